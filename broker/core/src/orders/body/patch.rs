//! Messages rewritten in a few fields, everything else byte for byte as it was: also what this
//! build does not know.

use prost::bytes::Buf as _;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};
use prost::{DecodeError, Message};

/// What becomes of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Put {
    /// It goes.
    Nothing,
    /// A number or a flag.
    Number(u64),
    /// A text or a message.
    Bytes(Vec<u8>),
}

impl Put {
    pub(crate) fn id(id: i32) -> Self {
        Self::Number(i64::from(id) as u64)
    }

    pub(crate) fn text(text: &str) -> Self {
        if text.is_empty() { Self::Nothing } else { Self::Bytes(text.as_bytes().to_vec()) }
    }
}

/// The message with these fields as given.
pub(crate) fn patched(message: &[u8], puts: &[(u32, Put)]) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::with_capacity(message.len() + 32);
    let mut rest = message;
    while rest.has_remaining() {
        let begin = rest;
        let (tag, wire_type) = decode_key(&mut rest)?;
        skip_field(wire_type, tag, &mut rest, DecodeContext::default())?;
        if puts.iter().all(|(put, _)| *put != tag) {
            out.extend_from_slice(&begin[..begin.len() - rest.len()]);
        }
    }
    for (tag, put) in puts {
        match put {
            Put::Nothing => {}
            Put::Number(number) => {
                encode_key(*tag, WireType::Varint, &mut out);
                encode_varint(*number, &mut out);
            }
            Put::Bytes(bytes) => put_part(&mut out, *tag, bytes),
        }
    }
    Ok(out)
}

/// The message, and behind it these messages as its field `tag`. Where the bytes are Gateway's own,
/// what this build does not know of them stays.
pub(crate) fn with_parts<P: AsRef<[u8]>>(
    message: &impl Message,
    tag: u32,
    parts: impl IntoIterator<Item = P>,
) -> Vec<u8> {
    let mut out = message.encode_to_vec();
    for part in parts {
        put_part(&mut out, tag, part.as_ref());
    }
    out
}

/// Appends a field that is a message.
pub(crate) fn put_part(out: &mut Vec<u8>, tag: u32, part: &[u8]) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(part.len() as u64, out);
    out.extend_from_slice(part);
}

/// A field that is a message; one that comes in pieces is put together, as protobuf has it.
pub(crate) fn part(message: &[u8], wanted: u32) -> Result<Option<Vec<u8>>, DecodeError> {
    let mut found = None;
    for piece in parts(message, wanted)? {
        found.get_or_insert_with(Vec::new).extend_from_slice(piece);
    }
    Ok(found)
}

/// All of a repeated field of messages.
pub(crate) fn parts(message: &[u8], wanted: u32) -> Result<Vec<&[u8]>, DecodeError> {
    let mut found = fields(message)?;
    found.retain(|(tag, whole, inside)| *tag == wanted && whole.len() > inside.len());
    Ok(found.into_iter().map(|(_, _, inside)| inside).collect())
}

/// A field: its number, the whole of it, and what is inside if it has a length.
pub(crate) type Field<'a> = (u32, &'a [u8], &'a [u8]);

/// All fields, in their order.
pub(crate) fn fields(message: &[u8]) -> Result<Vec<Field<'_>>, DecodeError> {
    let mut found = Vec::new();
    let mut rest = message;
    while rest.has_remaining() {
        let begin = rest;
        let (tag, wire_type) = decode_key(&mut rest)?;
        let mut inside = rest;
        skip_field(wire_type, tag, &mut rest, DecodeContext::default())?;
        let whole = &begin[..begin.len() - rest.len()];
        let inside = if wire_type == WireType::LengthDelimited {
            let length = usize::try_from(decode_varint(&mut inside)?).unwrap_or(usize::MAX);
            &inside[..length.min(inside.len())]
        } else {
            whole
        };
        found.push((tag, whole, inside));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use ibouncer_proto::tws::v1 as tws;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_named_stays_also_unknown_fields() {
        let order =
            tws::Order { order_id: Some(7), action: Some("BUY".into()), ..Default::default() };
        let mut bytes = order.encode_to_vec();
        // Field 9999, a varint; field 9998, bytes.
        encode_key(9999, WireType::Varint, &mut bytes);
        encode_varint(5, &mut bytes);
        encode_key(9998, WireType::LengthDelimited, &mut bytes);
        bytes.extend_from_slice(&[2, 1, 2]);
        let made = patched(&bytes, &[(2, Put::id(11)), (28, Put::text("tag"))]).unwrap();
        let read = tws::Order::decode(&made[..]).unwrap();
        assert_eq!((read.order_id(), read.action(), read.order_ref()), (11, "BUY", "tag"));
        let back = patched(&made, &[(2, Put::id(7)), (28, Put::Nothing)]).unwrap();
        assert_eq!(back.len(), bytes.len());
        assert_eq!(parts(&back, 9998).unwrap(), [&[1, 2][..]]);
    }

    #[test]
    fn a_broken_message_is_an_error() {
        for broken in [&[0x0a, 5, 1][..], &[0xff], &[0x0b]] {
            assert!(patched(broken, &[]).is_err(), "{broken:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = patched(&bytes, &[(1, Put::Number(1))]);
            let _ = part(&bytes, 1);
        }
    }
}
