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
    /// By the byte that a field begins with.
    plain: [Plain; 256],
}

/// The fields of which ticks are made: those with a tag of one byte that need no second look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plain {
    No,
    Varint,
    Fixed64,
    Text,
}

impl Shape {
    const fn new(name: &'static str, fields: &'static [Kind]) -> Self {
        let mut plain = [Plain::No; 256];
        let mut number = 1;
        while number < fields.len() && number < 16 {
            match fields[number] {
                Kind::Varint => plain[number << 3 | VARINT as usize] = Plain::Varint,
                Kind::Fixed64 => plain[number << 3 | FIXED64 as usize] = Plain::Fixed64,
                Kind::Text => plain[number << 3 | LENGTH_DELIMITED as usize] = Plain::Text,
                _ => {}
            }
            number += 1;
        }
        Self { name, fields, plain }
    }
}

static SHAPES: &[Shape] = include!(concat!(env!("OUT_DIR"), "/shapes.rs"));

/// Without fields that are known.
static NOTHING_KNOWN: Shape = Shape::new("", &[]);

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
/// costs several times as much.
#[inline]
fn plain<'a>(shape: &Shape, body: &'a [u8]) -> Option<&'a [u8]> {
    let (&tag, behind) = body.split_first()?;
    match shape.plain[usize::from(tag)] {
        Plain::No => None,
        Plain::Varint => match behind {
            [..0x80, behind @ ..] => Some(behind),
            // Request ids of ours have five; no over-long one has fewer than ten.
            [_, 0x80..=0xff, 0x80..=0xff, 0x80..=0xff, ..0x80, behind @ ..] => Some(behind),
            _ => None,
        },
        Plain::Fixed64 => behind.get(8..),
        Plain::Text => {
            let (&length, behind) = behind.split_first()?;
            let (text, behind) = behind.split_at_checked(usize::from(length))?;
            (length < 0x80 && text.is_ascii()).then_some(behind)
        }
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
mod tests;
