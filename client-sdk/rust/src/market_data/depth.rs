//! One change of an order book, read by hand. A field that is absent reads as in protobuf; the
//! price is the exception: absent is NaN.

use super::event::EventKind;
use super::wire::{Malformed, Reader};

/// What happens to a row of a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A row comes in; the rows from this position on move down.
    Insert,
    /// The row is replaced.
    Update,
    /// The row goes; the rows below move up.
    Delete,
}

/// Side of a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Who sells.
    Ask,
    /// Who buys.
    Bid,
}

/// One change of one row, borrowed from the batch that it came in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DepthChange<'a> {
    /// Row, counted from 0 at the best price.
    pub position: usize,
    /// What happens to it.
    pub operation: Operation,
    /// On which side.
    pub side: Side,
    /// The price; NaN if absent.
    pub price: f64,
    /// Decimal text.
    pub size: &'a str,
    /// Market maker, or exchange in a merged book; empty in a book without them.
    pub market_maker: &'a str,
    /// The row belongs to a merged book.
    pub is_smart: bool,
}

impl<'a> DepthChange<'a> {
    /// Reads a body of `kind`; `None` if that kind is not a change of a book.
    #[inline]
    pub(super) fn read(kind: EventKind, body: &'a [u8]) -> Result<Option<Self>, Malformed> {
        if !matches!(kind, EventKind::MarketDepth | EventKind::MarketDepthL2) {
            return Ok(None);
        }
        let mut data: &[u8] = &[];
        let mut fields = Reader::new(body);
        while let Some((field, value)) = fields.next()? {
            if field == 2 {
                data = value.bytes()?;
            }
        }
        read_data(data).map(Some)
    }
}

fn read_data(data: &[u8]) -> Result<DepthChange<'_>, Malformed> {
    let (mut position, mut operation, mut side) = (0, 0, 0);
    let (mut price, mut size, mut market_maker, mut is_smart) = (f64::NAN, "", "", false);
    let mut fields = Reader::new(data);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => position = value.int32()?,
            2 => operation = value.int32()?,
            3 => side = value.int32()?,
            4 => price = value.double()?,
            5 => size = value.text()?,
            6 => market_maker = value.text()?,
            7 => is_smart = value.bool()?,
            _ => {}
        }
    }
    let position = usize::try_from(position).map_err(|_| Malformed("row of a book below zero"))?;
    let operation = match operation {
        0 => Operation::Insert,
        1 => Operation::Update,
        2 => Operation::Delete,
        _ => return Err(Malformed("unknown change of a book")),
    };
    let side = match side {
        0 => Side::Ask,
        1 => Side::Bid,
        _ => return Err(Malformed("unknown side of a book")),
    };
    Ok(DepthChange { position, operation, side, price, size, market_maker, is_smart })
}
