//! Market data requests: what is allowed, and what becomes a line or a snapshot of the feed.

use std::time::Duration;

use ibouncer_proto::tws::v1::{
    CancelMarketData, MarketDataRequest, MarketDataTypeRequest, RerouteMarketDataRequest,
};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::connection::Connection;
use super::generic_ticks::Generics;
use super::ids::tell;
use super::line::Subscription;
use super::listings::{Listing, Term};
use super::market::Cancelled;
use super::streams::Family;
use super::subscriptions::Stream;
use super::symbols::{INSTRUMENTS, Instrument};
use crate::limits::Limit;

/// Generic tick that adds a real-time volume tick to every trade.
const RT_VOLUME: &str = "233";

impl Connection {
    pub(super) fn on_market_data(
        &mut self,
        body: MarketDataRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let request_id = body.req_id();
        let (subscription, listing) = self.allow(&body, shared, now)?;
        if let Some(stock) = listing.rerouted().filter(|_| !is_snapshot(&body)) {
            let message = RerouteMarketDataRequest {
                req_id: Some(request_id),
                con_id: Some(stock.con_id()),
                exchange: Some(stock.exchange().to_owned()),
            };
            self.say(tell::REROUTE_MKT_DATA_REQ, &message);
            self.streams.open((Family::Generics, request_id), None, Stream::Named);
            return Ok(());
        }
        let delayed = subscription.data_type >= 3;
        let list = body.generic_tick_list();
        let generics = Generics::read(list, listing, subscription.instrument, delayed)?;
        if is_snapshot(&body) && !list.is_empty() && shared.config.strict_snapshots {
            let cause = "Snapshot market data subscription is not applicable to generic ticks";
            return Err(Refusal::invalid(cause));
        }
        if body.regulatory_snapshot() {
            shared.admit_regulatory_snapshot(now)?;
        }
        if !is_snapshot(&body) {
            shared.reserve(subscription.instrument)?;
        }
        if subscription.data_type >= 3 {
            let text = "Live market data is not subscribed. Delayed market data is shown";
            self.replies(shared, now).error(request_id, 10167, text);
        }
        let delay = shared.config.snapshot_delay;
        let (feed, outbox, context) = self.feed_parts(shared, now);
        if is_snapshot(&body) {
            feed.snapshot(request_id, subscription, now + delay, context, outbox);
        } else {
            feed.subscribe(request_id, subscription, context, outbox);
        }
        if let Some(generics) = generics.filter(|_| !shared.config.stamp) {
            let key = (Family::Generics, request_id);
            self.step_generics(key, &generics, shared, now);
            if !is_snapshot(&body) {
                let due = Some(now + shared.config.generic_interval);
                self.streams.open(key, due, Stream::Generics(generics));
            }
        }
        Ok(())
    }

    pub(super) fn on_market_data_type(
        &mut self,
        body: MarketDataTypeRequest,
        _: &mut Shared,
        _: Duration,
    ) -> Answer {
        if !(1..=4).contains(&body.market_data_type()) {
            return Err(Refusal::unreadable());
        }
        self.data_type = body.market_data_type();
        Ok(())
    }

    pub(super) fn on_cancel_market_data(
        &mut self,
        body: CancelMarketData,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let request_id = body.req_id();
        if let Some(Stream::Named) = self.streams.close((Family::Generics, request_id)) {
            return Ok(());
        }
        let (feed, _, context) = self.feed_parts(shared, now);
        match feed.cancel(request_id, &context) {
            Cancelled::Line { instrument } => shared.release(instrument),
            Cancelled::Snapshot => {}
            Cancelled::Nothing => return Err(Refusal::nothing_to_cancel(300, request_id)),
        }
        Ok(())
    }

    fn allow(
        &self,
        body: &MarketDataRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Result<(Subscription, Listing), Refusal> {
        let known = self.streams.contains((Family::Generics, body.req_id()));
        if known || self.feed.contains(body.req_id()) {
            return Err(Refusal::duplicate_ticker());
        }
        let listing = shared.directory.one(body.contract.as_ref())?;
        if let Some(code) = shared.refuses(listing) {
            return Err(Refusal::market_data(code));
        }
        let forbidden = shared.forbids(listing);
        if forbidden && self.data_type < 3 {
            return Err(Refusal::no_permission());
        }
        let mut generic = body.generic_tick_list().split(',');
        let subscription = Subscription {
            instrument: shared.place(listing, now),
            // Who may have live data gets it, whatever type was asked for.
            data_type: if forbidden { self.data_type } else { 1 },
            rt_volume: generic.any(|tick| tick.trim() == RT_VOLUME),
        };
        Ok((subscription, listing))
    }
}

impl Listing {
    /// The stock whose market data a CFD has; none for anything else.
    pub(super) fn rerouted(self) -> Option<Self> {
        let instrument = self.instrument();
        let is_stock = |one: &Instrument| {
            (one.symbol, one.currency) == (instrument.symbol, instrument.currency)
                && one.sec_type == "STK"
        };
        let place = INSTRUMENTS.iter().position(is_stock)?;
        (instrument.sec_type == "CFD").then_some(Self { place, term: Term::Itself })
    }
}

fn is_snapshot(body: &MarketDataRequest) -> bool {
    body.snapshot() || body.regulatory_snapshot()
}

impl Shared {
    /// Whether live data of a contract is not subscribed.
    pub(super) fn forbids(&self, listing: Listing) -> bool {
        let symbol = listing.instrument().symbol;
        self.config.no_permission.iter().any(|no| no == symbol)
    }

    /// The error that market data of a contract is answered with, if it is.
    fn refuses(&self, listing: Listing) -> Option<i32> {
        let symbol = listing.instrument().symbol;
        let found = self.config.refused.iter().find(|(refused, _)| refused == symbol);
        found.map(|(_, code)| *code)
    }

    /// Counts a regulatory snapshot, which costs 0.01 USD.
    fn admit_regulatory_snapshot(&mut self, now: Duration) -> Answer {
        let second = Duration::from_secs(1);
        self.snapshots_since.retain(|since| now - *since < second);
        let most = self.config.limits.of(Limit::RegulatorySnapshots) as usize;
        if self.snapshots_since.len() >= most {
            let text = "Error processing request: too many regulatory snapshots in a second";
            return Err(Refusal::limit(Limit::RegulatorySnapshots, 322, text));
        }
        self.snapshots_since.push_back(now);
        self.sums.regulatory_snapshots += 1;
        Ok(())
    }

    /// Takes a market data line for an instrument. A second one of the same is free.
    pub(super) fn reserve(&mut self, instrument: usize) -> Answer {
        let full = self.instruments.len() >= self.config.lines;
        if full && !self.instruments.contains_key(&instrument) {
            let text = "The limit of market data lines is reached";
            return Err(Refusal::limit(Limit::MarketDataLines, 101, text));
        }
        *self.instruments.entry(instrument).or_default() += 1;
        Ok(())
    }

    /// Gives one line of an instrument back.
    pub(super) fn release(&mut self, instrument: usize) {
        if let Some(lines) = self.instruments.get_mut(&instrument) {
            *lines -= 1;
            if *lines == 0 {
                self.instruments.remove(&instrument);
            }
        }
    }
}
