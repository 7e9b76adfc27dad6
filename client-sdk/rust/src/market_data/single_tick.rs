//! One trade or quote of tick-by-tick data, read by hand. A field that is absent reads as in
//! protobuf; prices are the exception: absent is NaN.

use super::event::EventKind;
use super::wire::{Malformed, Reader};

/// One trade, quote or midpoint, borrowed from the batch that it came in. Times are Unix
/// seconds; sizes are decimal text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SingleTick<'a> {
    /// A trade.
    Last {
        /// Unix time in seconds.
        time: i64,
        /// The price; NaN if absent.
        price: f64,
        /// Decimal text.
        size: &'a str,
        /// Where it was made.
        exchange: &'a str,
        /// Letters of the exchange.
        conditions: &'a str,
        /// Halted or beyond a limit.
        past_limit: bool,
        /// Not reported to the tape.
        unreported: bool,
    },
    /// A quote.
    BidAsk {
        /// Unix time in seconds.
        time: i64,
        /// Best bid; NaN if absent.
        bid: f64,
        /// Best ask; NaN if absent.
        ask: f64,
        /// Decimal text.
        bid_size: &'a str,
        /// Decimal text.
        ask_size: &'a str,
        /// The bid is below the day's low.
        bid_past_low: bool,
        /// The ask is above the day's high.
        ask_past_high: bool,
    },
    /// The midpoint.
    MidPoint {
        /// Unix time in seconds.
        time: i64,
        /// The price; NaN if absent.
        price: f64,
    },
}

impl<'a> SingleTick<'a> {
    /// Reads a body of `kind`; `None` if it is not tick-by-tick data, or of a kind that this
    /// version does not know.
    #[inline]
    pub(super) fn read(kind: EventKind, body: &'a [u8]) -> Result<Option<Self>, Malformed> {
        if kind != EventKind::TickByTick {
            return Ok(None);
        }
        let mut tick = None;
        let mut fields = Reader::new(body);
        while let Some((field, value)) = fields.next()? {
            match field {
                3 => tick = Some(read_last(value.bytes()?)?),
                4 => tick = Some(read_bid_ask(value.bytes()?)?),
                5 => tick = Some(read_mid_point(value.bytes()?)?),
                _ => {}
            }
        }
        Ok(tick)
    }

    /// Unix time in seconds.
    pub fn time(&self) -> i64 {
        match *self {
            Self::Last { time, .. } | Self::BidAsk { time, .. } | Self::MidPoint { time, .. } => {
                time
            }
        }
    }
}

fn read_last(body: &[u8]) -> Result<SingleTick<'_>, Malformed> {
    let (mut time, mut price, mut size) = (0, f64::NAN, "");
    let (mut exchange, mut conditions, mut attributes) = ("", "", (false, false));
    let mut fields = Reader::new(body);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => time = value.int64()?,
            2 => attributes = read_flags(value.bytes()?)?,
            3 => price = value.double()?,
            4 => size = value.text()?,
            5 => exchange = value.text()?,
            6 => conditions = value.text()?,
            _ => {}
        }
    }
    let (past_limit, unreported) = attributes;
    Ok(SingleTick::Last { time, price, size, exchange, conditions, past_limit, unreported })
}

fn read_bid_ask(body: &[u8]) -> Result<SingleTick<'_>, Malformed> {
    let (mut time, mut bid, mut ask) = (0, f64::NAN, f64::NAN);
    let (mut bid_size, mut ask_size, mut attributes) = ("", "", (false, false));
    let mut fields = Reader::new(body);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => time = value.int64()?,
            2 => attributes = read_flags(value.bytes()?)?,
            3 => bid = value.double()?,
            4 => ask = value.double()?,
            5 => bid_size = value.text()?,
            6 => ask_size = value.text()?,
            _ => {}
        }
    }
    let (bid_past_low, ask_past_high) = attributes;
    Ok(SingleTick::BidAsk { time, bid, ask, bid_size, ask_size, bid_past_low, ask_past_high })
}

fn read_mid_point(body: &[u8]) -> Result<SingleTick<'_>, Malformed> {
    let (mut time, mut price) = (0, f64::NAN);
    let mut fields = Reader::new(body);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => time = value.int64()?,
            2 => price = value.double()?,
            _ => {}
        }
    }
    Ok(SingleTick::MidPoint { time, price })
}

/// Both kinds of attributes are two flags.
fn read_flags(body: &[u8]) -> Result<(bool, bool), Malformed> {
    let mut flags = (false, false);
    let mut fields = Reader::new(body);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => flags.0 = value.bool()?,
            2 => flags.1 = value.bool()?,
            _ => {}
        }
    }
    Ok(flags)
}
