//! Tick-by-tick data: a page of the past if that was asked for, and then every tick.

use std::time::Duration;

use ibouncer_proto::tws::v1::tick_by_tick_data::Tick;
use ibouncer_proto::tws::v1::{
    HistoricalTick, HistoricalTickBidAsk, HistoricalTickLast, TickAttribBidAsk, TickAttribLast,
    TickByTickData, TickByTickRequest,
};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::connection::Connection;
use super::ids::tell;
use super::listings::Listing;
use super::past::{TickKind, VENUES};
use super::streams::{Family, Key};
use super::subscriptions::Stream;
use super::walk::Market;
use crate::limits::Limit;

/// Ticks of a page at most.
const MOST_TICKS: i32 = 1000;

/// One subscription.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticker {
    listing: Listing,
    /// Its walk, which is also its market data line.
    pub(super) instrument: usize,
    kind: Kind,
    ignore_size: bool,
    /// Ticks of the past that are to come before the first.
    past: i32,
}

/// Kinds of ticks, as they are numbered on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Last = 1,
    AllLast = 2,
    BidAsk = 3,
    MidPoint = 4,
}

impl Connection {
    pub(super) fn on_tick_by_tick(
        &mut self,
        body: TickByTickRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let key = (Family::TickByTick, body.req_id());
        if self.streams.contains(key) {
            return Err(Refusal::duplicate_ticker());
        }
        let listing = shared.directory.one(body.contract.as_ref())?;
        let kind = match body.tick_type() {
            "Last" => Kind::Last,
            "AllLast" => Kind::AllLast,
            "BidAsk" => Kind::BidAsk,
            "MidPoint" => Kind::MidPoint,
            _ => return Err(Refusal::invalid("the tick type is not known")),
        };
        let trades = matches!(kind, Kind::Last | Kind::AllLast);
        if shared.forbids(listing) || (trades && listing.sec_type() == "CASH") {
            let text = "Failed to request tick-by-tick data: no market data permissions";
            return Err(Refusal::new(10189, text));
        }
        shared.admit_ticker(listing, now)?;
        let instrument = shared.place(listing, now);
        shared.reserve(instrument)?;
        shared.tickers += 1;
        shared.ticker_since.insert(listing, now);
        let past = body.number_of_ticks().min(MOST_TICKS);
        let ticker = Ticker { listing, instrument, kind, ignore_size: body.ignore_size(), past };
        self.begin(key, Stream::TickByTick(ticker), shared, now);
        Ok(())
    }

    /// The page of ticks before the first, if one was asked for.
    pub(super) fn say_past_ticks(
        &mut self,
        (_, request_id): Key,
        ticker: &Ticker,
        shared: &Shared,
        now: Duration,
    ) {
        if ticker.past <= 0 {
            return;
        }
        let end = shared.unix_seconds(now);
        let times: Vec<_> = (end - i64::from(ticker.past)..end).collect();
        let page = match ticker.kind {
            Kind::Last | Kind::AllLast => TickKind::Trades,
            Kind::BidAsk => TickKind::BidAsk,
            Kind::MidPoint => TickKind::Midpoint,
        };
        let series = shared.series(ticker.listing);
        self.say_ticks(request_id, page, &series, &times);
    }

    /// The turn of a subscription: one tick.
    pub(super) fn step_tick_by_tick(
        &mut self,
        (_, request_id): Key,
        ticker: &Ticker,
        shared: &mut Shared,
        now: Duration,
    ) {
        let unix = shared.unix_seconds(now);
        let message = TickByTickData {
            req_id: Some(request_id),
            tick_type: Some(ticker.kind as i32),
            tick: Some(ticker.tick(&mut shared.market, unix)),
        };
        self.say(tell::TICK_BY_TICK, &message);
    }
}

impl Ticker {
    fn tick(&self, market: &mut Market, unix: i64) -> Tick {
        let Market { walks, rng, .. } = market;
        let walk = &mut walks[self.instrument];
        walk.quote(rng);
        match self.kind {
            Kind::Last | Kind::AllLast => {
                walk.trade(rng);
                let attributes =
                    TickAttribLast { past_limit: Some(false), unreported: Some(false) };
                Tick::HistoricalTickLast(HistoricalTickLast {
                    time: Some(unix),
                    tick_attrib_last: Some(attributes),
                    price: Some(walk.price(walk.last)),
                    size: Some(walk.last_size.to_string()),
                    exchange: Some(VENUES[rng.usize(..VENUES.len())].to_owned()),
                    special_conditions: Some(String::new()),
                })
            }
            Kind::BidAsk => {
                let size = |size: u64| Some(if self.ignore_size { 0 } else { size }.to_string());
                let attributes =
                    TickAttribBidAsk { bid_past_low: Some(false), ask_past_high: Some(false) };
                Tick::HistoricalTickBidAsk(HistoricalTickBidAsk {
                    time: Some(unix),
                    tick_attrib_bid_ask: Some(attributes),
                    price_bid: Some(walk.price(walk.bid)),
                    price_ask: Some(walk.price(walk.ask)),
                    size_bid: size(walk.bid_size),
                    size_ask: size(walk.ask_size),
                })
            }
            Kind::MidPoint => Tick::HistoricalTickMidPoint(HistoricalTick {
                time: Some(unix),
                price: Some((walk.price(walk.bid) + walk.price(walk.ask)) / 2.0),
                size: Some("0".to_owned()),
            }),
        }
    }
}

impl Shared {
    /// Whether one more subscription may begin, and one of this contract.
    fn admit_ticker(&self, listing: Listing, now: Duration) -> Answer {
        let limits = &self.config.limits;
        let percent = limits.of(Limit::TickByTick) as usize;
        let most = (self.config.lines.saturating_mul(percent) / 100).max(1);
        if self.tickers >= most {
            let text = "Max number of tick-by-tick requests has been reached";
            return Err(Refusal::limit(Limit::TickByTick, 10190, text));
        }
        let pause = limits.of(Limit::TickByTickPause);
        let recent = |since: &Duration| now - *since < Duration::from_secs(u64::from(pause));
        if pause != u32::MAX && self.ticker_since.get(&listing).is_some_and(recent) {
            let text = "Max number of tick-by-tick requests for one instrument in 15 seconds";
            return Err(Refusal::limit(Limit::TickByTickPause, 10190, text));
        }
        Ok(())
    }
}
