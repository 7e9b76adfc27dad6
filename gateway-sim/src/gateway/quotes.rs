//! Market data requests: what is allowed, and what becomes a line or a snapshot of the feed.

use std::time::Duration;

use ibouncer_proto::tws::v1::{CancelMarketData, MarketDataRequest, MarketDataTypeRequest};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::connection::Connection;
use super::line::Subscription;
use super::listings::Listing;
use super::market::Cancelled;
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
        let subscription = self.allow(&body, shared, now)?;
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
    ) -> Result<Subscription, Refusal> {
        if self.feed.contains(body.req_id()) {
            return Err(Refusal::duplicate_ticker());
        }
        let listing = shared.directory.one(body.contract.as_ref())?;
        let forbidden = shared.forbids(listing);
        if forbidden && self.data_type < 3 {
            return Err(Refusal::no_permission());
        }
        let mut generic = body.generic_tick_list().split(',');
        Ok(Subscription {
            instrument: shared.place(listing, now),
            // Who may have live data gets it, whatever type was asked for.
            data_type: if forbidden { self.data_type } else { 1 },
            rt_volume: generic.any(|tick| tick.trim() == RT_VOLUME),
        })
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
