//! The codec of services whose answers are bytes already: requests are decoded as usual, answers go
//! out as the hub put them together. Most bodies never come this way: see [`super::bodies`].

use std::marker::PhantomData;

use bytes::{BufMut as _, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic_prost::ProstDecoder;

/// An encoded response.
#[derive(Debug, Clone)]
pub struct Answer(pub(super) Bytes);

impl Answer {
    /// Encodes a response.
    pub fn of(response: &impl Message) -> Self {
        Self(response.encode_to_vec().into())
    }
}

/// The codec.
#[derive(Debug)]
pub struct AnswerCodec<D>(PhantomData<D>);

impl<D> Default for AnswerCodec<D> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<D: Message + Default + Send + 'static> Codec for AnswerCodec<D> {
    type Encode = Answer;
    type Decode = D;
    type Encoder = AnswerEncoder;
    type Decoder = ProstDecoder<D>;

    fn encoder(&mut self) -> Self::Encoder {
        AnswerEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::default()
    }
}

/// The encoder.
#[derive(Debug)]
pub struct AnswerEncoder;

impl Encoder for AnswerEncoder {
    type Item = Answer;
    type Error = Status;

    fn encode(&mut self, answer: Answer, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(answer.0);
        Ok(())
    }
}
