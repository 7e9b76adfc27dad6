//! What the connections of a Gateway share: its settings, the market, what the accounts hold, and
//! the counts of every limit that holds for the Gateway as a whole.
//!
//! Only state and small look-ups; the rules are in the files of the families.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fastrand::Rng;

use super::book::OrderBook;
use super::calendar::DAY;
use super::happenings::Farms;
use super::holdings::{self, Portfolio};
use super::listings::{Directory, Listing, Term};
use super::pacing::Pacing;
use super::walk::Market;
use super::{Output, millis, model, trading};
use crate::config::{ClockBase, GatewayConfig};
use crate::events::{ConnectionId, Event, Report};

/// What connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: GatewayConfig,
    pub(super) clock: ClockBase,
    pub(super) market: Market,
    pub(super) directory: Directory,
    pub(super) farms: Farms,
    pub(super) pacing: Pacing,
    /// Contracts with depth, by how many subscriptions.
    pub(super) books: BTreeMap<Listing, u32>,
    /// Tick-by-tick subscriptions, and when each contract was last asked for.
    pub(super) tickers: usize,
    pub(super) ticker_since: BTreeMap<Listing, Duration>,
    /// When real-time bars began, in the last ten minutes.
    pub(super) bars_since: VecDeque<Duration>,
    pub(super) portfolio: Portfolio,
    /// Orders and executions.
    pub(super) book: OrderBook,
    /// Client id 0 has orders bound that are given by hand.
    pub(super) binds: bool,
    /// Which account's updates each connection has.
    pub(super) account_updates: BTreeMap<ConnectionId, String>,
    /// Some of them were taken away, and their connections do not know yet.
    pub(super) account_updates_taken: bool,
    /// Account summaries that are active.
    pub(super) summaries: usize,
    /// Scanners that are active.
    pub(super) scanners: usize,
    /// When regulatory snapshots were served, in the last second.
    pub(super) snapshots_since: VecDeque<Duration>,
    /// Bulletins since the start, by their numbers.
    pub(super) bulletins: Vec<(i32, String)>,
    pub(super) rng: Rng,
    pub(super) client_ids: BTreeMap<i32, Holder>,
    /// Subscribed instruments, by how many lines.
    pub(super) instruments: BTreeMap<usize, u32>,
    pub(super) outputs: VecDeque<Output>,
    pub(super) sums: Report,
}

/// Who has a client id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    Connection,
    /// Nobody, but it is not free before this.
    HeldUntil(Duration),
}

impl Shared {
    /// What a Gateway to which nobody is connected has.
    pub(super) fn new(config: GatewayConfig, clock: ClockBase) -> Self {
        let directory = Directory::new((clock.unix_millis / 1000) as i64);
        Self {
            market: Market::new(config.seed),
            portfolio: Portfolio::new(holdings::seeded(&config, &directory)),
            book: OrderBook::new(trading::settings(&config), config.own_client_id),
            binds: false,
            account_updates: BTreeMap::new(),
            account_updates_taken: false,
            summaries: 0,
            scanners: 0,
            snapshots_since: VecDeque::new(),
            bulletins: Vec::new(),
            directory,
            farms: Farms::default(),
            pacing: Pacing::default(),
            books: BTreeMap::new(),
            tickers: 0,
            ticker_since: BTreeMap::new(),
            bars_since: VecDeque::new(),
            rng: Rng::with_seed(config.seed ^ 0x0066_6175_6c74),
            config,
            clock,
            client_ids: BTreeMap::new(),
            instruments: BTreeMap::new(),
            outputs: VecDeque::new(),
            sums: Report::default(),
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn unix_millis(&self, now: Duration) -> u64 {
        self.clock.unix_millis + millis(now)
    }

    /// Whether a client id may be taken; one that was held too long ago is free.
    pub(super) fn client_id_is_free(&self, client_id: i32, now: Duration) -> bool {
        match self.client_ids.get(&client_id) {
            None => true,
            Some(Holder::Connection) => false,
            Some(Holder::HeldUntil(until)) => *until <= now,
        }
    }

    pub(super) fn unix_seconds(&self, now: Duration) -> i64 {
        (self.unix_millis(now) / 1000) as i64
    }

    /// The walk of a contract.
    pub(super) fn place(&mut self, listing: Listing, now: Duration) -> usize {
        let price = self.fair_price(listing, now);
        self.market.place(listing, price)
    }

    /// What a contract is worth, by the last trade of its instrument.
    pub(super) fn fair_price(&self, listing: Listing, now: Duration) -> f64 {
        let walk = &self.market.walks[listing.place];
        let price = walk.price(walk.last);
        match listing.term {
            Term::Itself => price,
            Term::Month(month) => price * (1.0 + 0.004 * f64::from(month)),
            Term::Option { .. } => {
                self.option(listing, price, now).value(volatility(listing)).price.max(0.05)
            }
        }
    }

    /// The terms of an option for the model.
    pub(super) fn option(&self, listing: Listing, underlying: f64, now: Duration) -> model::Option {
        let ends = self.directory.last_day(listing).unwrap_or_default() * DAY + 75_600;
        let years = (ends - self.unix_seconds(now)).max(3600) as f64 / (365.0 * DAY as f64);
        let (call, strike) = (listing.is_call() == Some(true), listing.strike().unwrap_or(1.0));
        model::Option { call, strike, years, underlying }
    }
}

/// Volatility of an option: some smile around that of its underlying.
pub(super) fn volatility(listing: Listing) -> f64 {
    let base = 0.16 + 0.02 * (listing.place % 12) as f64;
    let moneyness =
        listing.strike().map_or(0.0, |strike| strike / listing.instrument().price - 1.0);
    base + 0.4 * moneyness * moneyness
}
