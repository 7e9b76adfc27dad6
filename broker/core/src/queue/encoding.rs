//! One event on the wire. Written by hand because a body is Gateway's own bytes; a test holds it
//! against the typed schema.

use bytes::BufMut;

use super::Entry;

/// Appends one element of a response's `events`; returns its length.
#[inline]
pub(super) fn encode(entry: &Entry, skipped: u32, body: &[u8], out: &mut impl BufMut) -> usize {
    const EVENTS: u8 = 1 << 3 | 2;
    const SUBSCRIPTION_ID: u8 = 1 << 3;
    const SEQUENCE: u8 = 2 << 3;
    const SKIPPED: u8 = 3 << 3;
    const REPLAYED: u8 = 4 << 3;
    // The fields before the body are gathered here: at most 7 varints with their tags.
    let mut fields = Header::default();
    fields.put_field(SUBSCRIPTION_ID, u64::from(entry.subscription));
    fields.put_field(SEQUENCE, entry.sequence);
    fields.put_field(SKIPPED, u64::from(skipped));
    fields.put_field(REPLAYED, u64::from(entry.replayed));
    fields.put_varint(u64::from(entry.field) << 3 | 2);
    fields.put_varint(body.len() as u64);
    let mut start = Header::default();
    start.put_byte(EVENTS);
    start.put_varint((fields.length + body.len()) as u64);
    start.put_all(&fields);
    out.put_slice(start.as_slice());
    out.put_slice(body);
    start.length + body.len()
}

/// A few bytes on the stack, so that each event is two copies into the output and no more.
struct Header {
    bytes: [u8; 64],
    length: usize,
}

impl Default for Header {
    fn default() -> Self {
        Self { bytes: [0; 64], length: 0 }
    }
}

impl Header {
    #[inline]
    fn put_byte(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    #[inline]
    fn put_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put_byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.put_byte(value as u8);
    }

    /// A field with the value 0 is not on the wire.
    #[inline]
    fn put_field(&mut self, tag: u8, value: u64) {
        if value != 0 {
            self.put_byte(tag);
            self.put_varint(value);
        }
    }

    #[inline]
    fn put_all(&mut self, other: &Self) {
        self.bytes[self.length..self.length + other.length].copy_from_slice(other.as_slice());
        self.length += other.length;
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
