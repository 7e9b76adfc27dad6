//! Frames to Gateway, built from bodies.

use bytes::{BufMut as _, Bytes, BytesMut};
use ibouncer_proto::tws::envelope::write_message;
use prost::Message;

use crate::ids::RequestId;

/// Tag of field 1, a varint: the request id of every keyed message.
const REQUEST_ID: u8 = 1 << 3;

/// A whole frame.
pub fn message(message_id: u32, body: &impl Message) -> Bytes {
    let mut out = BytesMut::new();
    write_message(message_id, body, &mut out);
    out.freeze()
}

/// A whole frame from an encoded body without an id, and the id.
pub fn keyed(message_id: u32, request: RequestId, body: &[u8]) -> Bytes {
    let mut key = BytesMut::new();
    key.put_u8(REQUEST_ID);
    prost::encoding::encode_varint(i64::from(request.0) as u64, &mut key);
    framed(message_id, &[&key, body])
}

/// A whole frame from an encoded body as it is.
pub fn unkeyed(message_id: u32, body: &[u8]) -> Bytes {
    framed(message_id, &[body])
}

fn framed(message_id: u32, parts: &[&[u8]]) -> Bytes {
    let length = 4 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut out = BytesMut::with_capacity(4 + length);
    // Bodies come from requests of at most 256 KiB.
    out.put_u32(length as u32);
    out.put_u32(message_id);
    for part in parts {
        out.put_slice(part);
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use ibouncer_proto::tws::v1::CancelMarketDepth;

    use super::*;

    #[test]
    fn a_keyed_frame_is_what_the_typed_message_would_be() {
        let whole = CancelMarketDepth { req_id: Some(1_500_000_000), is_smart_depth: Some(true) };
        let body = CancelMarketDepth { req_id: None, ..whole }.encode_to_vec();
        assert_eq!(keyed(211, RequestId(1_500_000_000), &body), message(211, &whole));
    }
}
