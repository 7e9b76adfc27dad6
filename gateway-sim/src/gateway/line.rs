//! One market data line: its image, and the ticks that it makes.
//!
//! A line sends groups, as Gateway does: a quote is a price tick and its size tick, a trade is
//! last price, last size, time of the trade and volume. Which group comes is random. In stamp
//! mode every tick is one price tick that carries the time at which it was made and the line's
//! counter. When ticks are due is decided in `market.rs`.

use bytes::BytesMut;
use fastrand::Rng;
use ibouncer_proto::tws::envelope::write_message;
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1::{MarketDataType, TickGeneric, TickReqParams, TickString};

use super::ticks::{self, IdField};
use super::walk::{Market, Walk};

/// What a line is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// Place of the instrument in the market.
    pub(crate) instrument: usize,
    /// Market data type that it really gets.
    pub(crate) data_type: i32,
    pub(crate) rt_volume: bool,
}

/// One line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) request_id: i32,
    id_field: IdField,
    pub(super) subscription: Subscription,
    /// What the next tick of the line is.
    step: Step,
    /// Ticks so far, in stamp mode.
    pub(super) counter: u64,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Begin,
    BidSize,
    AskSize,
    LastSize,
    LastTime,
    Volume,
    RtVolume,
}

/// What the ticks of one slice have in common.
pub(super) struct Slice<'a> {
    pub(super) market: &'a mut Market,
    pub(super) unix_millis: u64,
    /// CLOCK_MONOTONIC in nanoseconds, in stamp mode.
    pub(super) stamp: Option<f64>,
    /// Whether there are quotes at all.
    pub(super) flows: bool,
}

/// Kinds of ticks, by their numbers on the wire.
mod kind {
    pub(super) const BID_SIZE: u8 = 0;
    pub(super) const BID: u8 = 1;
    pub(super) const ASK: u8 = 2;
    pub(super) const ASK_SIZE: u8 = 3;
    pub(super) const LAST: u8 = 4;
    pub(super) const LAST_SIZE: u8 = 5;
    pub(super) const HIGH: u8 = 6;
    pub(super) const LOW: u8 = 7;
    pub(super) const VOLUME: u8 = 8;
    pub(super) const CLOSE: u8 = 9;
    pub(super) const OPEN: u8 = 14;
    pub(super) const LAST_TIME: u8 = 45;
    pub(super) const RT_VOLUME: u8 = 48;
    pub(super) const HALTED: i32 = 49;

    /// The number that the same tick has when it is delayed.
    pub(super) const fn delayed(kind: u8) -> u8 {
        match kind {
            BID => 66,
            ASK => 67,
            LAST => 68,
            BID_SIZE => 69,
            ASK_SIZE => 70,
            LAST_SIZE => 71,
            HIGH => 72,
            LOW => 73,
            VOLUME => 74,
            CLOSE => 75,
            OPEN => 76,
            LAST_TIME => 88,
            other => other,
        }
    }
}

impl Line {
    pub(super) fn new(request_id: i32, subscription: Subscription) -> Self {
        Self {
            request_id,
            id_field: IdField::new(request_id),
            subscription,
            step: Step::Begin,
            counter: 0,
        }
    }

    fn kind(&self, kind: u8) -> u8 {
        if self.subscription.data_type >= 3 { kind::delayed(kind) } else { kind }
    }

    /// Parameters, data type, and the values of the moment. Returns how many ticks that are.
    pub(super) fn image(&self, slice: &mut Slice<'_>, out: &mut BytesMut) -> u64 {
        let walk = &slice.market.walks[self.subscription.instrument];
        let parameters = TickReqParams {
            req_id: Some(self.request_id),
            min_tick: Some(walk.instrument.min_tick()),
            bbo_exchange: Some(walk.instrument.bbo_exchange.to_owned()),
            snapshot_permissions: Some(3),
            ..Default::default()
        };
        write_message(id::TICK_REQ_PARAMS, &parameters, out);
        let data_type = MarketDataType {
            req_id: Some(self.request_id),
            market_data_type: Some(self.subscription.data_type),
        };
        write_message(id::MARKET_DATA_TYPE, &data_type, out);
        if slice.stamp.is_some() || !slice.flows {
            return 0;
        }
        let prices = [
            (kind::BID, walk.bid, walk.bid_size),
            (kind::ASK, walk.ask, walk.ask_size),
            (kind::LAST, walk.last, walk.last_size),
            (kind::HIGH, walk.high, 0),
            (kind::LOW, walk.low, 0),
            (kind::CLOSE, walk.close, 0),
            (kind::OPEN, walk.open, 0),
        ];
        for (kind, steps, size) in prices {
            let attributes = u8::from(kind == kind::BID || kind == kind::ASK);
            let price = walk.price(steps);
            ticks::price(out, &self.id_field, self.kind(kind), price, size, attributes);
        }
        let sizes = [
            (kind::BID_SIZE, walk.bid_size),
            (kind::ASK_SIZE, walk.ask_size),
            (kind::LAST_SIZE, walk.last_size),
            (kind::VOLUME, walk.volume),
        ];
        for (kind, size) in sizes {
            ticks::size(out, &self.id_field, self.kind(kind), size);
        }
        let seconds = slice.unix_millis / 1000;
        ticks::number_string(out, &self.id_field, self.kind(kind::LAST_TIME), seconds);
        let halted = TickGeneric {
            req_id: Some(self.request_id),
            tick_type: Some(kind::HALTED),
            value: Some(0.0),
        };
        write_message(id::TICK_GENERIC, &halted, out);
        (prices.len() + sizes.len() + 2) as u64
    }

    /// Appends one tick; true if it ends a group, so that the next line has its turn.
    #[inline]
    pub(super) fn tick(&mut self, slice: &mut Slice<'_>, out: &mut BytesMut) -> bool {
        if let Some(stamp) = slice.stamp {
            self.counter += 1;
            let kind = self.kind(kind::LAST);
            ticks::price(out, &self.id_field, kind, stamp, self.counter, 0);
            return true;
        }
        let Market { walks, rng, .. } = &mut *slice.market;
        let walk = &mut walks[self.subscription.instrument];
        self.step = match self.step {
            Step::Begin => self.begin(walk, rng, out),
            Step::BidSize => self.size(out, kind::BID_SIZE, walk.bid_size, Step::Begin),
            Step::AskSize => self.size(out, kind::ASK_SIZE, walk.ask_size, Step::Begin),
            Step::LastSize => self.size(out, kind::LAST_SIZE, walk.last_size, Step::LastTime),
            Step::LastTime => {
                let seconds = slice.unix_millis / 1000;
                ticks::number_string(out, &self.id_field, self.kind(kind::LAST_TIME), seconds);
                Step::Volume
            }
            Step::Volume => {
                let next = match self.subscription.rt_volume {
                    true => Step::RtVolume,
                    false => Step::Begin,
                };
                self.size(out, kind::VOLUME, walk.volume, next)
            }
            Step::RtVolume => {
                self.rt_volume(walk, slice.unix_millis, out);
                Step::Begin
            }
        };
        matches!(self.step, Step::Begin)
    }

    /// The first tick of a random group.
    #[inline]
    fn begin(&self, walk: &mut Walk, rng: &mut Rng, out: &mut BytesMut) -> Step {
        let (kind, steps, size, next) = match rng.u8(..) % 8 {
            0..=2 => {
                walk.quote(rng);
                (kind::BID, walk.bid, walk.bid_size, Step::BidSize)
            }
            3..=5 => {
                walk.quote(rng);
                (kind::ASK, walk.ask, walk.ask_size, Step::AskSize)
            }
            6 => {
                walk.trade(rng);
                (kind::LAST, walk.last, walk.last_size, Step::LastSize)
            }
            _ => {
                walk.resize(rng.u32(..));
                return self.size(out, kind::BID_SIZE, walk.bid_size, Step::Begin);
            }
        };
        let attributes = u8::from(kind != kind::LAST);
        let price = walk.price(steps);
        ticks::price(out, &self.id_field, self.kind(kind), price, size, attributes);
        next
    }

    #[inline]
    fn size(&self, out: &mut BytesMut, kind: u8, size: u64, next: Step) -> Step {
        ticks::size(out, &self.id_field, self.kind(kind), size);
        next
    }

    /// Price, size, time in milliseconds, volume, average price, whether one trade filled it.
    fn rt_volume(&self, walk: &Walk, unix_millis: u64, out: &mut BytesMut) {
        let price = walk.price(walk.last);
        let average = walk.price((walk.high + walk.low) / 2);
        let value =
            format!("{price};{};{unix_millis};{};{average};true", walk.last_size, walk.volume);
        let message = TickString {
            req_id: Some(self.request_id),
            tick_type: Some(i32::from(kind::RT_VOLUME)),
            value: Some(value),
        };
        write_message(id::TICK_STRING, &message, out);
    }
}
