//! The four kinds of ticks that make up nearly all market data, read by hand.
//!
//! A field that is absent reads as in protobuf: number 0, value 0, text "". Prices and values
//! are the exception: absent is NaN, so that a missing price is never taken for a free share.

use std::borrow::Cow;

use super::event::EventKind;
use super::wire::{Malformed, Reader};
use crate::ticks;

/// A tick, borrowed from the batch that it came in. Sizes are decimal text, as IB sends them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tick<'a> {
    /// A price, with the size that belongs to it.
    Price {
        /// Number of the tick's kind; [`ticks`] has names.
        tick_type: i32,
        /// The price; NaN if absent. -1 with size 0 means that there is none.
        price: f64,
        /// Decimal text; empty if the tick has no size.
        size: &'a str,
        /// Bits: 1 can be executed automatically, 2 past limit, 4 pre-open.
        attributes: i32,
    },
    /// A size.
    Size {
        /// Number of the tick's kind.
        tick_type: i32,
        /// Decimal text.
        size: &'a str,
    },
    /// A number that is neither.
    Generic {
        /// Number of the tick's kind.
        tick_type: i32,
        /// The number; NaN if absent.
        value: f64,
    },
    /// A text.
    Text {
        /// Number of the tick's kind.
        tick_type: i32,
        /// The text.
        value: &'a str,
    },
}

impl<'a> Tick<'a> {
    /// Reads a body of `kind`; `None` if that kind is not a tick of these four.
    #[inline]
    pub(super) fn read(kind: EventKind, body: &'a [u8]) -> Result<Option<Self>, Malformed> {
        match kind {
            EventKind::TickPrice => read_price(body).map(Some),
            EventKind::TickSize => read_size(body).map(Some),
            EventKind::TickGeneric => read_generic(body).map(Some),
            EventKind::TickString => read_text(body).map(Some),
            _ => Ok(None),
        }
    }

    /// Number of the tick's kind.
    pub fn tick_type(&self) -> i32 {
        match *self {
            Self::Price { tick_type, .. }
            | Self::Size { tick_type, .. }
            | Self::Generic { tick_type, .. }
            | Self::Text { tick_type, .. } => tick_type,
        }
    }

    /// Name of the tick's kind, such as `bid`; `tick_107` for one that has none here.
    pub fn name(&self) -> Cow<'static, str> {
        let number = self.tick_type();
        ticks::name(number).map_or_else(|| format!("tick_{number}").into(), Cow::Borrowed)
    }
}

#[inline]
fn read_price(body: &[u8]) -> Result<Tick<'_>, Malformed> {
    let (mut tick_type, mut price, mut size, mut attributes) = (0, f64::NAN, "", 0);
    let mut fields = Reader::new(body);
    while let Some((field, value)) = fields.next()? {
        match field {
            2 => tick_type = value.int32()?,
            3 => price = value.double()?,
            4 => size = value.text()?,
            5 => attributes = value.int32()?,
            _ => {}
        }
    }
    Ok(Tick::Price { tick_type, price, size, attributes })
}

#[inline]
fn read_size(body: &[u8]) -> Result<Tick<'_>, Malformed> {
    let (mut tick_type, mut size) = (0, "");
    let mut fields = Reader::new(body);
    while let Some((field, value)) = fields.next()? {
        match field {
            2 => tick_type = value.int32()?,
            3 => size = value.text()?,
            _ => {}
        }
    }
    Ok(Tick::Size { tick_type, size })
}

fn read_generic(body: &[u8]) -> Result<Tick<'_>, Malformed> {
    let (mut tick_type, mut number) = (0, f64::NAN);
    let mut fields = Reader::new(body);
    while let Some((field, value)) = fields.next()? {
        match field {
            2 => tick_type = value.int32()?,
            3 => number = value.double()?,
            _ => {}
        }
    }
    Ok(Tick::Generic { tick_type, value: number })
}

fn read_text(body: &[u8]) -> Result<Tick<'_>, Malformed> {
    let (mut tick_type, mut text) = (0, "");
    let mut fields = Reader::new(body);
    while let Some((field, value)) = fields.next()? {
        match field {
            2 => tick_type = value.int32()?,
            3 => text = value.text()?,
            _ => {}
        }
    }
    Ok(Tick::Text { tick_type, value: text })
}
