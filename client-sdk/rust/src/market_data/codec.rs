//! The codec of market-data streams: requests are encoded as usual, answers are handed out as
//! the bytes that came, without a copy.

use bytes::{Buf as _, Bytes};
use prost::Message as _;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::api::StreamMarketDataRequest;

/// Encodes requests, passes answers on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BatchCodec;

impl Codec for BatchCodec {
    type Encode = StreamMarketDataRequest;
    type Decode = Bytes;
    type Encoder = RequestEncoder;
    type Decoder = BatchDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        RequestEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        BatchDecoder
    }
}

/// Encodes one request.
#[derive(Debug)]
pub(super) struct RequestEncoder;

impl Encoder for RequestEncoder {
    type Item = StreamMarketDataRequest;
    type Error = Status;

    fn encode(&mut self, item: Self::Item, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer).expect("the buffer grows");
        Ok(())
    }
}

/// Hands out the body of one answer.
#[derive(Debug)]
pub(super) struct BatchDecoder;

impl Decoder for BatchDecoder {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        // An empty answer is an answer without events.
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length)))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(READ_BUFFER, YIELD_THRESHOLD)
    }
}

const READ_BUFFER: usize = 64 * 1024;
/// Only of use to encoders; tonic's default.
const YIELD_THRESHOLD: usize = 32 * 1024;
