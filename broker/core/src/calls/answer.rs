//! A response as it grows: each message of Gateway becomes one field of it.

use bytes::{BufMut as _, BytesMut};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};

/// One field of the response.
pub(super) fn put(field: u8, body: &[u8], out: &mut BytesMut) {
    encode_key(u32::from(field), WireType::LengthDelimited, out);
    encode_varint(body.len() as u64, out);
    out.put_slice(body);
}

/// Says this page that it is the last? None: it cannot be read.
pub(super) fn is_last_page(message_id: u32, body: &[u8]) -> Option<bool> {
    match message_id {
        id::HISTORICAL_TICKS => tws::HistoricalTicks::decode(body).ok().map(|page| page.is_done()),
        id::HISTORICAL_TICKS_BID_ASK => {
            tws::HistoricalTicksBidAsk::decode(body).ok().map(|page| page.is_done())
        }
        id::HISTORICAL_TICKS_LAST => {
            tws::HistoricalTicksLast::decode(body).ok().map(|page| page.is_done())
        }
        _ => Some(false),
    }
}
