//! Is the body of a message from Gateway one that every reader of protobuf accepts?
//!
//! Bodies are handed to clients as Gateway wrote them, many in one response: one that is malformed,
//! or has text that is no UTF-8, would make all of them unreadable. So each is walked once, by a
//! table of its fields that the build makes of the schema; nothing is decoded or copied. Text of
//! another code page can be mended. The strictest reader counts: what one of them refuses is refused.

use std::borrow::Cow;

use super::messages::all_incoming;
use super::varint::{FIXED32, FIXED64, LENGTH_DELIMITED, VARINT};

/// Why a body is not handed on as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is cut off, or a field is not what the schema says.
    #[error("its protobuf body is malformed")]
    Malformed,
    /// It may be well-formed, but a text of it is no UTF-8.
    #[error("a text in it is not UTF-8")]
    Text,
}

/// What a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The schema has no such field: anything well-formed.
    Unknown,
    Varint,
    Fixed64,
    #[allow(dead_code, reason = "as for bytes")]
    Fixed32,
    Text,
    #[allow(dead_code, reason = "made by the build for fields of bytes, if the schema has any")]
    Bytes,
    /// The message at this place of the table.
    Message(u16),
    /// Repeated numbers: each for itself, or all in one.
    #[allow(dead_code, reason = "as for bytes")]
    ManyVarint,
    #[allow(dead_code, reason = "as for bytes")]
    ManyFixed64,
    #[allow(dead_code, reason = "as for bytes")]
    ManyFixed32,
}

/// A message: its fields at the index of their numbers.
#[derive(Debug)]
struct Shape {
    name: &'static str,
    fields: &'static [Kind],
}

static SHAPES: &[Shape] = include!(concat!(env!("OUT_DIR"), "/shapes.rs"));

/// Without fields that are known.
static NOTHING_KNOWN: Shape = Shape { name: "", fields: &[] };

/// Wire ids below this have a place in the index.
const INDEXED: usize = 512;
/// Ids up to this are of text forms.
const NEWEST_TEXT_ID: u32 = super::PROTOBUF_ID_OFFSET;

/// Wire id to place in the table.
static INDEX: std::sync::LazyLock<[Option<u16>; INDEXED]> = std::sync::LazyLock::new(|| {
    let mut index = [None; INDEXED];
    for row in all_incoming() {
        let place = row.body.and_then(|body| SHAPES.iter().position(|one| one.name == body));
        if let (Some(slot), Some(place)) = (index.get_mut(row.wire_id() as usize), place) {
            *slot = u16::try_from(place).ok();
        }
    }
    index
});

/// Can every reader read this body of a message from Gateway? Of a message that no schema knows: is
/// it well-formed? Text forms are not looked at.
#[inline]
pub fn check(message_id: u32, body: &[u8]) -> Result<(), Fault> {
    match shape_of(message_id) {
        Some(shape) => walk(shape, body),
        None => Ok(()),
    }
}

/// The same body with U+FFFD in place of what is no UTF-8; none if it is malformed.
pub fn mend(message_id: u32, body: &[u8]) -> Option<Vec<u8>> {
    rewrite(shape_of(message_id)?, body).map(Cow::into_owned)
}

fn shape_of(message_id: u32) -> Option<&'static Shape> {
    if message_id <= NEWEST_TEXT_ID {
        return None;
    }
    let place = INDEX.get(message_id as usize).copied().flatten();
    Some(place.and_then(|place| SHAPES.get(usize::from(place))).unwrap_or(&NOTHING_KNOWN))
}

/// One field, and what comes behind it.
struct Field<'a> {
    kind: Kind,
    wire_type: u8,
    /// Tag and, for what has one, length.
    tag: &'a [u8],
    /// What it holds.
    value: &'a [u8],
    rest: &'a [u8],
}

#[inline]
fn next<'a>(shape: &Shape, body: &'a [u8]) -> Option<Field<'a>> {
    let (tag, mut value) = short(body)?;
    let (number, wire_type) = (tag >> 3, (tag & 7) as u8);
    if number == 0 {
        return None;
    }
    let kind = shape.fields.get(number as usize).copied().unwrap_or(Kind::Unknown);
    let length = match wire_type {
        VARINT => varint(value)?,
        FIXED64 => 8,
        FIXED32 => 4,
        LENGTH_DELIMITED => {
            let (length, behind) = short(value)?;
            value = behind;
            length as usize
        }
        // Groups were never part of this protocol.
        _ => return None,
    };
    let (value, rest) = value.split_at_checked(length)?;
    let tag = &body[..body.len() - rest.len() - length];
    Some(Field { kind, wire_type, tag, value, rest })
}

impl Field<'_> {
    /// Is a number what the schema says?
    #[inline]
    fn is_a_number_as_known(&self) -> bool {
        match (self.wire_type, self.kind) {
            (_, Kind::Unknown)
            | (VARINT, Kind::Varint | Kind::ManyVarint)
            | (FIXED64, Kind::Fixed64 | Kind::ManyFixed64)
            | (FIXED32, Kind::Fixed32 | Kind::ManyFixed32)
            | (LENGTH_DELIMITED, Kind::Bytes) => true,
            (LENGTH_DELIMITED, Kind::ManyVarint) => {
                let mut all = self.value;
                while let Some(length) = varint(all) {
                    all = &all[length..];
                }
                all.is_empty()
            }
            (LENGTH_DELIMITED, Kind::ManyFixed64) => self.value.len().is_multiple_of(8),
            (LENGTH_DELIMITED, Kind::ManyFixed32) => self.value.len().is_multiple_of(4),
            _ => false,
        }
    }
}

fn walk(shape: &Shape, body: &[u8]) -> Result<(), Fault> {
    let mut rest = body;
    while !rest.is_empty() {
        if let Some(behind) = plain(shape, rest) {
            rest = behind;
            continue;
        }
        let field = next(shape, rest).ok_or(Fault::Malformed)?;
        match (field.wire_type, field.kind) {
            (LENGTH_DELIMITED, Kind::Text) => check_text(field.value)?,
            (LENGTH_DELIMITED, Kind::Message(place)) => {
                walk(&SHAPES[usize::from(place)], field.value)?;
            }
            _ if !field.is_a_number_as_known() => return Err(Fault::Malformed),
            _ => {}
        }
        rest = field.rest;
    }
    Ok(())
}

/// What is behind a field of the kinds of which ticks are made, if it is as it should be: a small
/// number, a double, a short text in ASCII. Everything else, and all faults, are for [`next`], which
/// costs four times as much.
#[inline]
fn plain<'a>(shape: &Shape, body: &'a [u8]) -> Option<&'a [u8]> {
    let (&tag, behind) = body.split_first()?;
    if !(8..0x80).contains(&tag) {
        return None;
    }
    let kind = *shape.fields.get(usize::from(tag >> 3))?;
    match (tag & 7, kind) {
        (VARINT, Kind::Varint) => {
            // At most five bytes: no over-long one has fewer than ten.
            let end = behind.iter().take(5).position(|byte| *byte < 0x80)?;
            Some(&behind[end + 1..])
        }
        (FIXED64, Kind::Fixed64) => behind.get(8..),
        (LENGTH_DELIMITED, Kind::Text) => {
            let (&length, behind) = behind.split_first()?;
            let (text, behind) = behind.split_at_checked(usize::from(length))?;
            (length < 0x80 && text.is_ascii()).then_some(behind)
        }
        _ => None,
    }
}

#[inline]
fn check_text(text: &[u8]) -> Result<(), Fault> {
    match text.is_ascii() || std::str::from_utf8(text).is_ok() {
        true => Ok(()),
        false => Err(Fault::Text),
    }
}

fn rewrite<'a>(shape: &Shape, body: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while !rest.is_empty() {
        let field = next(shape, rest)?;
        let value = match (field.wire_type, field.kind) {
            (LENGTH_DELIMITED, Kind::Text) => match String::from_utf8_lossy(field.value) {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            },
            (LENGTH_DELIMITED, Kind::Message(place)) => {
                rewrite(&SHAPES[usize::from(place)], field.value)?
            }
            _ if !field.is_a_number_as_known() => return None,
            _ => Cow::Borrowed(field.value),
        };
        if field.wire_type == LENGTH_DELIMITED {
            let (tag, _) = short(field.tag)?;
            super::varint::write(u64::from(tag), &mut out);
            super::varint::write(value.len() as u64, &mut out);
        } else {
            out.extend_from_slice(field.tag);
        }
        out.extend_from_slice(&value);
        rest = field.rest;
    }
    Some(Cow::Owned(out))
}

/// A tag or a length: 32 bits in at most five bytes, and what comes behind it.
#[inline]
fn short(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        return Some((u32::from(first), rest));
    }
    let length = varint(bytes).filter(|length| *length <= 5)?;
    let value =
        bytes[..length].iter().rev().fold(0_u64, |all, byte| all << 7 | u64::from(byte & 0x7f));
    Some((u32::try_from(value).ok()?, &bytes[length..]))
}

/// Bytes of the varint that stands first; none if it is cut off, or has more than 64 bits.
#[inline]
fn varint(bytes: &[u8]) -> Option<usize> {
    let last = bytes.iter().take(10).position(|byte| *byte < 0x80)?;
    (last < 9 || bytes[last] <= 1).then_some(last + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::tws::messages::id;
    use crate::tws::v1 as tws;

    const TICK: [u8; 2] = [0x08, 0x07];

    fn with(begin: &[u8], end: &[u8]) -> Vec<u8> {
        [begin, end].concat()
    }

    #[test]
    fn every_message_of_gateway_has_a_shape_and_no_shape_holds_itself() {
        for row in all_incoming().iter().filter(|row| row.body.is_some()) {
            let shape = shape_of(row.wire_id()).unwrap();
            assert_eq!(Some(shape.name), row.body, "{}", row.name);
        }
        // So a walk goes no deeper than the schema.
        fn depth(shape: &Shape, above: usize) -> usize {
            assert!(above < 10, "{} holds itself", shape.name);
            let below = shape.fields.iter().map(|kind| match kind {
                Kind::Message(place) => depth(&SHAPES[usize::from(*place)], above + 1),
                _ => above,
            });
            below.max().unwrap_or(above)
        }
        assert!(SHAPES.iter().map(|shape| depth(shape, 0)).max().unwrap() >= 2);
    }

    #[test]
    fn what_a_reader_would_refuse_is_malformed() {
        let endless = [&[0x10][..], &[0xff; 10], &[1]].concat();
        for (what, end) in [
            ("cut off", &[0x19, 0, 0][..]),
            ("a number as a text", &[0x12, 1, b'x']),
            ("a group", &[0x1b]),
            ("a varint of eleven bytes", &endless),
            ("field 0", &[0x00, 0x01]),
            ("a length beyond the end", &[0x22, 0x09, b'x']),
            ("a length of six bytes", &[0x22, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]),
        ] {
            let body = with(&TICK, end);
            assert_eq!(check(id::TICK_PRICE, &body), Err(Fault::Malformed), "{what}");
            assert_eq!(mend(id::TICK_PRICE, &body), None, "{what}");
            assert!(check(1, &body).is_ok(), "a text form has no fields");
        }
        let nested = with(&TICK, &[0x12, 0x02, 0x08, 0xff]);
        assert_eq!(check(id::MARKET_DEPTH, &nested), Err(Fault::Malformed));
        let newer = with(&TICK, &[0xfa, 0x3e, 0x02, 0xff, 0xfe]);
        assert_eq!(check(id::TICK_PRICE, &newer), Ok(()), "a field of a newer Gateway");
        assert_eq!(check(399, &newer), Ok(()));
        assert_eq!(check(399, &newer[..newer.len() - 1]), Err(Fault::Malformed));
    }

    #[test]
    fn text_of_another_code_page_is_mended_wherever_it_stands() {
        let news = with(&TICK, &[0x2a, 4, b'c', b'a', b'f', 0xe9]);
        assert_eq!(check(id::TICK_NEWS, &news), Err(Fault::Text));
        let mended = mend(id::TICK_NEWS, &news).unwrap();
        assert_eq!(check(id::TICK_NEWS, &mended), Ok(()));
        assert_eq!(tws::TickNews::decode(&mended[..]).unwrap().headline(), "caf\u{fffd}");

        let position = [0x0a, 2, b'D', 0xe9, 0x12, 5, 0x12, 3, b'A', 0xff, b'B', 0x1a, 1, b'1'];
        assert_eq!(check(id::POSITION_DATA, &position), Err(Fault::Text));
        let mended = mend(id::POSITION_DATA, &position).unwrap();
        let mended = tws::Position::decode(&mended[..]).unwrap();
        assert_eq!((mended.account(), mended.position()), ("D\u{fffd}", "1"));
        assert_eq!(mended.contract.unwrap().symbol(), "A\u{fffd}B");
    }

    proptest! {
        #[test]
        fn what_passes_can_be_decoded_and_what_was_encoded_passes(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            text in ".{0,20}",
            number in any::<i32>(),
        ) {
            if check(id::CONTRACT_DATA, &bytes).is_ok() {
                prop_assert!(tws::ContractData::decode(&bytes[..]).is_ok());
            }
            if let Some(mended) = mend(id::CONTRACT_DATA, &bytes) {
                prop_assert!(tws::ContractData::decode(&mended[..]).is_ok());
            }
            let options = [(text.clone(), text.clone())].into();
            let contract = tws::Contract {
                con_id: Some(number),
                symbol: Some(text),
                ..Default::default()
            };
            let details = tws::ContractDetails { sec_id_list: options, ..Default::default() };
            let whole = tws::ContractData {
                req_id: Some(number),
                contract: Some(contract),
                contract_details: Some(details),
            };
            let body = whole.encode_to_vec();
            prop_assert_eq!(check(id::CONTRACT_DATA, &body), Ok(()));
            prop_assert_eq!(mend(id::CONTRACT_DATA, &body), Some(body));
        }
    }
}
