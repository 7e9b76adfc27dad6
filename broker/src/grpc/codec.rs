//! Codecs of calls and streams: requests are decoded as usual; what goes back is already encoded,
//! an answer as the hub put it together, events pulled from the stream's queue into the body's
//! buffer.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::{BufMut as _, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic_prost::ProstDecoder;

use super::stream::StreamShared;

/// A promise that the stream's queue holds something; kept when it is encoded.
#[derive(Debug)]
pub struct Pull(pub(super) Arc<StreamShared>);

/// An encoded response.
#[derive(Debug, Clone)]
pub struct Answer(pub(super) Bytes);

impl Answer {
    /// Encodes a response.
    pub fn of(response: &impl Message) -> Self {
        Self(response.encode_to_vec().into())
    }
}

macro_rules! codec {
    ($(#[$doc:meta])* $codec:ident, $encoder:ident, $item:ty, $encode:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $codec<D>(PhantomData<D>);

        impl<D> Default for $codec<D> {
            fn default() -> Self {
                Self(PhantomData)
            }
        }

        impl<D: Message + Default + Send + 'static> Codec for $codec<D> {
            type Encode = $item;
            type Decode = D;
            type Encoder = $encoder;
            type Decoder = ProstDecoder<D>;

            fn encoder(&mut self) -> Self::Encoder {
                $encoder
            }

            fn decoder(&mut self) -> Self::Decoder {
                ProstDecoder::default()
            }
        }

        /// The encoder.
        #[derive(Debug)]
        pub struct $encoder;

        impl Encoder for $encoder {
            type Item = $item;
            type Error = Status;

            fn encode(&mut self, item: $item, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
                let encode: fn($item, &mut EncodeBuf<'_>) = $encode;
                encode(item, out);
                Ok(())
            }
        }
    };
}

codec!(
    /// Of streams.
    PullCodec, PullEncoder, Pull, |pull, out| pull.0.pull(out)
);
codec!(
    /// Of calls.
    AnswerCodec, AnswerEncoder, Answer, |answer, out| out.put(answer.0)
);
