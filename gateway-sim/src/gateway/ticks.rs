//! Tick frames, written by hand: at millions of ticks a second a general encoder is too slow.
//!
//! Each function appends one whole frame. The bytes are those of the schema, which the tests
//! check against the generated types. Frames of rarer messages go through
//! `ibouncer_proto::tws::envelope::write_message`.

use bytes::BytesMut;
use ibouncer_proto::tws::messages::id;

/// Room that every tick frame fits in.
pub(crate) const LARGEST: usize = 80;

/// Field 1 of every tick: tag and request id, encoded once per line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IdField {
    bytes: [u8; 11],
    length: u8,
}

impl IdField {
    pub(crate) fn new(request_id: i32) -> Self {
        let mut field = Self { bytes: [0; 11], length: 1 };
        field.bytes[0] = 0x08;
        let mut value = i64::from(request_id) as u64;
        loop {
            let low = value as u8 & 0x7f;
            value >>= 7;
            field.bytes[field.length as usize] = if value == 0 { low } else { low | 0x80 };
            field.length += 1;
            if value == 0 {
                return field;
            }
        }
    }
}

/// `TickPrice`.
#[inline]
pub(crate) fn price(
    out: &mut BytesMut,
    request_id: &IdField,
    tick_type: u8,
    price: f64,
    size: u64,
    attributes: u8,
) {
    let mut frame = Frame::new(id::TICK_PRICE, request_id, tick_type);
    frame.bytes[frame.end] = 0x19;
    frame.bytes[frame.end + 1..frame.end + 9].copy_from_slice(&price.to_le_bytes());
    frame.end += 9;
    frame.decimal(0x22, size);
    frame.bytes[frame.end] = 0x28;
    frame.bytes[frame.end + 1] = attributes;
    frame.end += 2;
    frame.finish(out);
}

/// `TickSize`.
#[inline]
pub(crate) fn size(out: &mut BytesMut, request_id: &IdField, tick_type: u8, size: u64) {
    let mut frame = Frame::new(id::TICK_SIZE, request_id, tick_type);
    frame.decimal(0x1a, size);
    frame.finish(out);
}

/// `TickString` whose text is a whole number.
#[inline]
pub(crate) fn number_string(out: &mut BytesMut, request_id: &IdField, tick_type: u8, value: u64) {
    let mut frame = Frame::new(id::TICK_STRING, request_id, tick_type);
    frame.decimal(0x1a, value);
    frame.finish(out);
}

struct Frame {
    bytes: [u8; LARGEST],
    end: usize,
}

impl Frame {
    #[inline]
    fn new(message_id: u32, request_id: &IdField, tick_type: u8) -> Self {
        let mut bytes = [0; LARGEST];
        bytes[4..8].copy_from_slice(&message_id.to_be_bytes());
        // All eleven bytes, so that the length is a constant; the rest is written over.
        bytes[8..19].copy_from_slice(&request_id.bytes);
        let end = 8 + request_id.length as usize;
        bytes[end] = 0x10;
        bytes[end + 1] = tick_type;
        Self { bytes, end: end + 2 }
    }

    /// A string field that holds a number in decimal.
    #[inline]
    fn decimal(&mut self, tag: u8, value: u64) {
        let mut digits = [0; 20];
        let mut start = digits.len();
        let mut rest = value;
        loop {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let digits = &digits[start..];
        self.bytes[self.end] = tag;
        self.bytes[self.end + 1] = digits.len() as u8;
        self.bytes[self.end + 2..self.end + 2 + digits.len()].copy_from_slice(digits);
        self.end += 2 + digits.len();
    }

    #[inline]
    fn finish(mut self, out: &mut BytesMut) {
        let length = (self.end - 4) as u32;
        self.bytes[..4].copy_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&self.bytes[..self.end]);
    }
}

#[cfg(test)]
mod tests {
    use ibouncer_proto::tws::envelope::write_message;
    use ibouncer_proto::tws::v1::{TickPrice, TickSize, TickString};

    use super::*;

    #[test]
    fn hand_written_frames_are_those_of_the_schema() {
        for request_id in [0, 1, 127, 128, 1_500_000_000, i32::MAX, -1] {
            for value in [0, 7, 1_000_000, u64::MAX] {
                let id_field = IdField::new(request_id);
                let (mut ours, mut theirs) = (BytesMut::new(), BytesMut::new());
                price(&mut ours, &id_field, 66, 231.45, value, 3);
                let message = TickPrice {
                    req_id: Some(request_id),
                    tick_type: Some(66),
                    price: Some(231.45),
                    size: Some(value.to_string()),
                    attr_mask: Some(3),
                };
                write_message(id::TICK_PRICE, &message, &mut theirs);
                size(&mut ours, &id_field, 5, value);
                let message = TickSize {
                    req_id: Some(request_id),
                    tick_type: Some(5),
                    size: Some(value.to_string()),
                };
                write_message(id::TICK_SIZE, &message, &mut theirs);
                number_string(&mut ours, &id_field, 45, value);
                let message = TickString {
                    req_id: Some(request_id),
                    tick_type: Some(45),
                    value: Some(value.to_string()),
                };
                write_message(id::TICK_STRING, &message, &mut theirs);
                assert_eq!(ours, theirs, "{request_id} {value}");
            }
        }
    }
}
