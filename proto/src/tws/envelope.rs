//! What a router must know of a frame: message id and correlation id, read without decoding the
//! body, and a new correlation id put in while every other byte stays.
//!
//! Only the form of server versions 201 and later: four bytes of message id, then the body; ids
//! above 200 have protobuf bodies. Source: protocol fact sheet, sections 1.1, 3.1 and 5.2.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message;
use thiserror::Error;

use super::messages::{Key, incoming, outgoing};
use super::{frame, varint};

/// Why a frame's body is not a message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EnvelopeError {
    /// Shorter than a message id.
    #[error("message of {length} bytes is too short for its four-byte id")]
    TooShort {
        /// Length of the body.
        length: usize,
    },
    /// A field of the body is cut off or has a wire type that protobuf does not know.
    #[error("message {message_id}: its protobuf body is malformed")]
    Malformed {
        /// Wire id of the message.
        message_id: u32,
    },
    /// The message carries no correlation id that could be replaced.
    #[error("message {message_id} has no request or order id of its own")]
    NotKeyed {
        /// Wire id of the message.
        message_id: u32,
    },
}

/// Which way a message travels: the same id means different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From a client to Gateway.
    ToGateway,
    /// From Gateway to a client.
    FromGateway,
}

/// A frame's body, cut into message id and message body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Wire id: the text id, plus 200 in protobuf form.
    pub message_id: u32,
    /// What follows the id.
    pub body: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Cuts a frame's body.
    #[inline]
    pub fn parse(frame_body: &'a [u8]) -> Result<Self, EnvelopeError> {
        match frame_body.split_first_chunk::<4>() {
            Some((id, body)) => Ok(Self { message_id: u32::from_be_bytes(*id), body }),
            None => Err(EnvelopeError::TooShort { length: frame_body.len() }),
        }
    }

    /// Value of the correlation id: of field 1, or of field 3 for `OrderBound`. `None` if the
    /// message has no such field, or Gateway left it out.
    #[inline]
    pub fn correlation_id(&self, direction: Direction) -> Result<Option<i32>, EnvelopeError> {
        let Some(field) = id_field(self.message_id, direction) else {
            return Ok(None);
        };
        // The usual case, at full tick rate: field 1 stands first, because encoders write fields
        // in the order of their numbers.
        if field == 1 && self.body.first() == Some(&0x08) {
            return match varint::read(&self.body[1..]) {
                Some((value, _)) => Ok(Some(value as i32)),
                None => Err(EnvelopeError::Malformed { message_id: self.message_id }),
            };
        }
        Ok(find_varint(self.body, field, self.message_id)?.map(|found| found.value as i32))
    }

    /// The same frame body with another correlation id. Every other byte stays as it was,
    /// unknown fields included; a missing id is put in front.
    pub fn with_correlation_id(
        &self,
        direction: Direction,
        id: i32,
    ) -> Result<Bytes, EnvelopeError> {
        let message_id = self.message_id;
        let field =
            id_field(message_id, direction).ok_or(EnvelopeError::NotKeyed { message_id })?;
        let mut value = Vec::with_capacity(11);
        let (before, after) = match find_varint(self.body, field, message_id)? {
            Some(found) => (&self.body[..found.start], &self.body[found.end..]),
            None => {
                varint::write(u64::from(field) << 3, &mut value);
                (&[][..], self.body)
            }
        };
        varint::write(i64::from(id) as u64, &mut value);
        let mut out = BytesMut::with_capacity(4 + before.len() + value.len() + after.len());
        out.put_u32(message_id);
        out.put_slice(before);
        out.put_slice(&value);
        out.put_slice(after);
        Ok(out.freeze())
    }
}

/// Appends a whole frame: length, message id, encoded body.
pub fn write_message(message_id: u32, body: &impl Message, out: &mut BytesMut) {
    let length = 4 + body.encoded_len();
    assert!(length <= frame::MAX_BODY, "message {message_id} of {length} bytes is over the limit");
    out.reserve(frame::HEADER + length);
    out.put_u32(length as u32);
    out.put_u32(message_id);
    body.encode(out).expect("room was reserved for the encoded length");
}

/// Where nearly every message has its request id: field 1, if it stands first. For messages that no
/// table knows.
pub fn first_id(body: &[u8]) -> Option<i32> {
    let value = body.strip_prefix(&[0x08])?;
    varint::read(value).map(|(value, _)| value as i32)
}

/// Number of the field that correlates a message; `None` for messages without one, and for ids
/// that are not known: an unknown message is never guessed at.
#[inline]
fn id_field(message_id: u32, direction: Direction) -> Option<u32> {
    let info = match direction {
        Direction::ToGateway => outgoing(message_id)?,
        Direction::FromGateway => incoming(message_id)?,
    };
    match info.key {
        Key::Request | Key::Order => Some(info.id_field),
        Key::None => None,
    }
}

struct FoundVarint {
    value: u64,
    /// Where the value (not its tag) starts and ends in the body.
    start: usize,
    end: usize,
}

/// The last occurrence of a top-level varint field, as protobuf prescribes for repeats.
fn find_varint(
    body: &[u8],
    field: u32,
    message_id: u32,
) -> Result<Option<FoundVarint>, EnvelopeError> {
    let malformed = || EnvelopeError::Malformed { message_id };
    let mut found = None;
    let mut rest = body;
    while !rest.is_empty() {
        let (tag, value) = varint::read(rest).ok_or_else(malformed)?;
        let wire_type = (tag & 7) as u8;
        rest = varint::skip(wire_type, value).ok_or_else(malformed)?;
        if tag >> 3 == u64::from(field) && wire_type == varint::VARINT {
            let (number, _) = varint::read(value).ok_or_else(malformed)?;
            let (start, end) = (body.len() - value.len(), body.len() - rest.len());
            found = Some(FoundVarint { value: number, start, end });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tws::v1::{CancelMarketData, ErrorMessage, OrderBound, TickPrice};

    fn frame_body(message_id: u32, body: &impl Message) -> Bytes {
        let mut out = BytesMut::new();
        write_message(message_id, body, &mut out);
        out.split_off(4).freeze()
    }

    #[test]
    fn the_documented_cancel_is_made_byte_for_byte() {
        let mut out = BytesMut::new();
        write_message(202, &CancelMarketData { req_id: Some(5) }, &mut out);
        assert_eq!(&out[..], &[0, 0, 0, 6, 0, 0, 0, 0xca, 8, 5]);
    }

    #[test]
    fn a_negative_id_is_read_and_a_missing_one_is_none() {
        let error = ErrorMessage { id: Some(-1), error_code: Some(2104), ..Default::default() };
        let bytes = frame_body(204, &error);
        let envelope = Envelope::parse(&bytes).unwrap();
        assert_eq!(envelope.correlation_id(Direction::FromGateway), Ok(Some(-1)));
        let bytes = frame_body(204, &ErrorMessage { error_code: Some(0), ..Default::default() });
        let envelope = Envelope::parse(&bytes).unwrap();
        assert_eq!(envelope.correlation_id(Direction::FromGateway), Ok(None));
    }

    #[test]
    fn order_bound_is_keyed_by_its_third_field() {
        let bound = OrderBound { perm_id: Some(1 << 40), client_id: Some(3), order_id: Some(17) };
        let bytes = frame_body(300, &bound);
        let envelope = Envelope::parse(&bytes).unwrap();
        assert_eq!(envelope.correlation_id(Direction::FromGateway), Ok(Some(17)));
        let changed = envelope.with_correlation_id(Direction::FromGateway, -4).unwrap();
        let again = OrderBound::decode(&changed[4..]).unwrap();
        assert_eq!(again, OrderBound { order_id: Some(-4), ..bound });
    }

    #[test]
    fn a_message_without_a_key_keeps_its_id_field() {
        // Field 1 of 209 is the next order id: a counter, not a key.
        let bytes = [0, 0, 0, 209, 8, 1];
        let envelope = Envelope::parse(&bytes).unwrap();
        assert_eq!(envelope.correlation_id(Direction::FromGateway), Ok(None));
        assert_eq!(
            envelope.with_correlation_id(Direction::FromGateway, 1),
            Err(EnvelopeError::NotKeyed { message_id: 209 })
        );
    }

    proptest! {
        #[test]
        fn replacing_the_id_keeps_every_other_byte(
            old in proptest::option::of(any::<i32>()),
            new in any::<i32>(),
            price in any::<f64>(),
            unknown in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let tick = TickPrice {
                req_id: old,
                price: Some(price),
                size: Some("10".into()),
                ..Default::default()
            };
            let mut bytes = frame_body(201, &tick).to_vec();
            // A field that no schema has: number 500, length-delimited.
            bytes.extend_from_slice(&[0xa2, 0x1f, unknown.len() as u8]);
            bytes.extend_from_slice(&unknown);
            let envelope = Envelope::parse(&bytes).unwrap();
            let changed = envelope.with_correlation_id(Direction::FromGateway, new).unwrap();
            let again = Envelope::parse(&changed).unwrap();
            prop_assert_eq!(again.correlation_id(Direction::FromGateway), Ok(Some(new)));
            if let Some(old) = old {
                let back = again.with_correlation_id(Direction::FromGateway, old).unwrap();
                prop_assert_eq!(&back[..], &bytes[..]);
            } else {
                prop_assert!(changed.ends_with(&bytes[4..]));
            }
        }

        #[test]
        fn garbage_is_an_error_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(envelope) = Envelope::parse(&bytes) {
                for direction in [Direction::ToGateway, Direction::FromGateway] {
                    let _ = envelope.correlation_id(direction);
                    let _ = envelope.with_correlation_id(direction, 7);
                }
            }
        }
    }
}
