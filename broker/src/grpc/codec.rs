//! The codec of the market-data stream: requests are decoded as usual, responses are pulled from
//! the stream's queue into the body's buffer, already encoded.

use std::sync::Arc;

use ibouncer_proto::api::v1::StreamMarketDataRequest;
use tonic::Status;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic_prost::ProstDecoder;

use super::stream::StreamShared;

/// A promise that the stream's queue holds something; kept when it is encoded.
#[derive(Debug)]
pub struct Pull(pub(super) Arc<StreamShared>);

/// The codec.
#[derive(Debug, Default)]
pub struct StreamCodec;

impl Codec for StreamCodec {
    type Encode = Pull;
    type Decode = StreamMarketDataRequest;
    type Encoder = PullEncoder;
    type Decoder = ProstDecoder<StreamMarketDataRequest>;

    fn encoder(&mut self) -> Self::Encoder {
        PullEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::default()
    }
}

/// Encodes a [`Pull`] by pulling.
#[derive(Debug)]
pub struct PullEncoder;

impl Encoder for PullEncoder {
    type Item = Pull;
    type Error = Status;

    fn encode(&mut self, item: Pull, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.0.pull(out);
        Ok(())
    }
}
