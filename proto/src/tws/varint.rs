//! Protobuf varints and tags, as far as envelopes need them.

/// Wire type of varints.
pub(super) const VARINT: u8 = 0;
pub(super) const FIXED64: u8 = 1;
pub(super) const LENGTH_DELIMITED: u8 = 2;
pub(super) const FIXED32: u8 = 5;

/// Reads one varint; returns it and the rest, or nothing if it is cut off or over ten bytes.
#[inline]
pub(super) fn read(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().enumerate().take(10) {
        let part = u64::from(byte & 0x7f);
        if index == 9 && part > 1 {
            return None;
        }
        value |= part << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

/// Appends one varint.
pub(super) fn write(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Skips the value of one field; returns the rest.
pub(super) fn skip(wire_type: u8, bytes: &[u8]) -> Option<&[u8]> {
    match wire_type {
        VARINT => read(bytes).map(|(_, rest)| rest),
        FIXED64 => bytes.get(8..),
        LENGTH_DELIMITED => {
            let (length, rest) = read(bytes)?;
            rest.get(usize::try_from(length).ok()?..)
        }
        FIXED32 => bytes.get(4..),
        _ => None,
    }
}
