//! Real-time bars: one for every five seconds, from the same past as historical data.

use std::time::Duration;

use ibouncer_proto::tws::v1::{RealTimeBarTick, RealTimeBarsRequest};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::connection::Connection;
use super::ids::tell;
use super::listings::Listing;
use super::pacing::LONG;
use super::streams::{Family, Key};
use super::subscriptions::Stream;
use crate::limits::Limit;

/// Seconds in a bar.
const LENGTH: i64 = 5;

/// One subscription.
#[derive(Debug, Clone, Copy)]
pub(super) struct LiveBars {
    listing: Listing,
    /// The walk of its contract, whose market data line it uses.
    pub(super) instrument: usize,
    traded: bool,
    /// Unix time at which the next bar begins.
    start: i64,
}

impl Connection {
    pub(super) fn on_real_time_bars(
        &mut self,
        body: RealTimeBarsRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let key = (Family::RealTimeBars, body.req_id());
        if self.streams.contains(key) {
            return Err(Refusal::duplicate_ticker());
        }
        let listing = shared.directory.one(body.contract.as_ref())?;
        let traded = match body.what_to_show() {
            "TRADES" => true,
            "MIDPOINT" | "BID" | "ASK" => false,
            _ => return Err(Refusal::invalid("whatToShow is not known for real-time bars")),
        };
        if shared.forbids(listing) || (traded && listing.sec_type() == "CASH") {
            let text = "Invalid Real-time Query: no market data permissions";
            return Err(Refusal::new(420, text));
        }
        shared.admit_bars(now)?;
        let instrument = shared.place(listing, now);
        shared.reserve(instrument)?;
        shared.bars_since.push_back(now);
        let start = shared.unix_seconds(now) / LENGTH * LENGTH;
        let bars = LiveBars { listing, instrument, traded, start };
        let due = Some(now + shared.config.bar_interval);
        self.streams.open(key, due, Stream::RealTimeBars(bars));
        Ok(())
    }

    /// The turn of a subscription: one bar. With a shorter interval bars come faster than time
    /// goes.
    pub(super) fn step_real_time_bars(
        &mut self,
        (_, request_id): Key,
        bars: &mut LiveBars,
        shared: &Shared,
    ) {
        let bar = shared.series(bars.listing).bar(bars.start, bars.start + LENGTH);
        let of_trades = |text: String| Some(if bars.traded { text } else { "-1".to_owned() });
        let message = RealTimeBarTick {
            req_id: Some(request_id),
            time: Some(bars.start),
            open: Some(bar.open),
            high: Some(bar.high),
            low: Some(bar.low),
            close: Some(bar.close),
            volume: of_trades(bar.volume.to_string()),
            wap: of_trades(format!("{:.3}", bar.average)),
            count: Some(if bars.traded { bar.count } else { -1 }),
        };
        self.say(tell::REAL_TIME_BARS, &message);
        bars.start += LENGTH;
    }
}

impl Shared {
    fn admit_bars(&mut self, now: Duration) -> Answer {
        while self.bars_since.front().is_some_and(|since| now - *since >= LONG) {
            self.bars_since.pop_front();
        }
        if self.bars_since.len() >= self.config.limits.of(Limit::RealTimeBars) as usize {
            let text = "Invalid Real-time Query: pacing violation";
            return Err(Refusal::limit(Limit::RealTimeBars, 420, text));
        }
        Ok(())
    }
}
