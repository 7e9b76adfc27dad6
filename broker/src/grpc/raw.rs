//! A request as it came, byte by byte: what is passed on to Gateway must not lose what this
//! build does not know of it.

use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{DecodeContext, WireType};
use prost::{DecodeError, Message};

/// The bytes of a message. Decoding takes them, and nothing else.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Raw(pub Bytes);

impl Message for Raw {
    fn encode_raw(&self, out: &mut impl BufMut) {
        out.put_slice(&self.0);
    }

    /// Never called: [`Self::merge`] takes everything at once.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        from: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        prost::encoding::skip_field(wire_type, tag, from, context)
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    fn merge(&mut self, mut from: impl Buf) -> Result<(), DecodeError> {
        self.0 = from.copy_to_bytes(from.remaining());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_what_is_kept_also_what_nobody_knows() {
        let bytes = Bytes::from_static(&[0x08, 0x01, 0xfa, 0x3f, 0x02, 0x08, 0x07]);
        let raw = Raw::decode(bytes.clone()).unwrap();
        assert_eq!(raw.encode_to_vec(), bytes);
    }
}
