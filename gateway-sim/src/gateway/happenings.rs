//! What happens at the Gateway while it runs, and what connections notice of it.
//!
//! While a farm is down or IB is lost, data stop; what is asked for in that time is answered as
//! far as a Gateway could answer it alone. Texts of the notices are those of Gateway.

use std::time::Duration;

use super::connection::Connection;
use super::executions::LIVE;
use super::holdings::{Holding, Trade};
use super::streams::Family;
use super::subscriptions::{Stream, is_live};
use super::{End, Gateway, Shared, millis};
use crate::events::Event;
use crate::happening::{Farm, Happening, OrderHappening};
use crate::seeds::{SeedExecution, SeedOwner};

/// First order and permanent ids of executions that happen.
const FIRST_ORDER_ID: i32 = 900;
const FIRST_PERM_ID: i64 = 710_000_000;

/// Which of IB's data farms are connected, and whether IB is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Farms {
    pub(super) market: bool,
    pub(super) historical: bool,
    pub(super) security_definitions: bool,
    pub(super) linked: bool,
}

impl Default for Farms {
    fn default() -> Self {
        Self { market: true, historical: true, security_definitions: true, linked: true }
    }
}

impl Farms {
    /// The notices with which a connection begins.
    pub(super) fn notices(&self) -> [(i32, &'static str); 3] {
        [
            notice(Farm::Market, self.market),
            notice(Farm::Historical, self.historical),
            notice(Farm::SecurityDefinitions, self.security_definitions),
        ]
    }

    /// Whether quotes, ticks and depth come.
    pub(super) fn quotes_flow(&self) -> bool {
        self.market && self.linked
    }

    /// Whether historical data come.
    pub(super) fn history_flows(&self) -> bool {
        self.historical && self.linked
    }

    /// Whether definitions of contracts come; while they do not, requests have no answer.
    pub(super) fn definitions_flow(&self) -> bool {
        self.security_definitions && self.linked
    }

    /// Whether streams of a family have to wait.
    pub(super) fn hold(&self, family: Family) -> bool {
        match family {
            // A query that waits is refused instead.
            Family::History | Family::HistoricalTicks => false,
            family if is_live(family) => !self.quotes_flow(),
            _ => !self.linked,
        }
    }
}

fn notice(farm: Farm, connected: bool) -> (i32, &'static str) {
    match (farm, connected) {
        (Farm::Market, true) => (2104, "Market data farm is connected:usfarm"),
        (Farm::Market, false) => (2103, "Market data farm connection is broken:usfarm"),
        (Farm::Historical, true) => (2106, "Historical data farm is connected:ushmds"),
        (Farm::Historical, false) => (2105, "HMDS data farm connection is broken:ushmds"),
        (Farm::SecurityDefinitions, true) => {
            (2158, "Security definition farm is connected:secdefil")
        }
        (Farm::SecurityDefinitions, false) => {
            (2157, "Sec-def data farm connection is broken:secdefil")
        }
    }
}

impl Gateway {
    /// Lets something happen, and tells that it did.
    pub fn happen(&mut self, what: &Happening, now: Duration) {
        self.shared.event(Event::Happened { at_ms: millis(now), what: what.to_string() });
        match what {
            Happening::FarmDown(farm) => self.set_farm(*farm, false, now),
            Happening::FarmUp(farm) => self.set_farm(*farm, true, now),
            Happening::LinkLost => {
                self.shared.farms.linked = false;
                self.shared.trade(now, |book, desk| book.set_linked(false, desk));
                let text = "Connectivity between IB and Trader Workstation has been lost.";
                self.announce(1100, text, now);
            }
            Happening::RestoredWithoutData => {
                self.shared.farms.linked = true;
                for connection in self.connections.values_mut() {
                    connection.lose_data(&mut self.shared, now);
                }
                let text = "Connectivity between IB and Trader Workstation has been restored - \
                            data lost.";
                self.announce(1101, text, now);
                self.shared.trade(now, |book, desk| book.set_linked(true, desk));
            }
            Happening::RestoredWithData => {
                self.shared.farms.linked = true;
                let text = "Connectivity between IB and Trader Workstation has been restored - \
                            data maintained.";
                self.announce(1102, text, now);
                self.shared.trade(now, |book, desk| book.set_linked(true, desk));
            }
            Happening::Restart { roll_back } => {
                self.close_all(End::Fin, now);
                self.shared.trade(now, |book, desk| book.restart(*roll_back, desk));
                self.shared.farms = Farms::default();
                self.shared.pacing = Default::default();
            }
            Happening::PositionVanishes(symbol) => self.vanish(symbol, now),
            Happening::Execution { symbol, quantity, owner } => {
                self.execute(symbol, *quantity, *owner, now);
            }
            Happening::Order(what) => self.happen_to_order(what, now),
            Happening::DepthReset => {
                for connection in self.connections.values_mut() {
                    connection.reset_depth(&mut self.shared, now);
                    connection.flush(&mut self.shared, now);
                }
            }
            Happening::Bulletin(text) => {
                let number = self.shared.publish(text);
                self.each(now, |connection, _| connection.on_bulletin(number, text));
            }
        }
        for connection in self.connections.values_mut() {
            connection.hold_feed(&mut self.shared, now);
        }
        self.settle_orders(now);
    }

    fn set_farm(&mut self, farm: Farm, connected: bool, now: Duration) {
        let farms = &mut self.shared.farms;
        match farm {
            Farm::Market => farms.market = connected,
            Farm::Historical => farms.historical = connected,
            Farm::SecurityDefinitions => farms.security_definitions = connected,
        }
        let (code, text) = notice(farm, connected);
        self.announce(code, text, now);
    }

    fn vanish(&mut self, symbol: &str, now: Duration) {
        let positions = &mut self.shared.portfolio.positions;
        let place = positions.iter().position(|one| one.listing.instrument().symbol == symbol);
        let Some(place) = place else {
            return;
        };
        let gone = Holding { quantity: 0.0, average_cost: 0.0, ..positions.remove(place) };
        self.each(now, |connection, shared| connection.on_position_changed(&gone, shared, now));
    }

    /// An execution out of nowhere: nobody has seen its order.
    fn execute(&mut self, symbol: &str, quantity: i32, owner: SeedOwner, now: Duration) {
        let shared = &mut self.shared;
        let wanted = shared.stock(symbol);
        let (Ok(listing), Some(account)) =
            (shared.directory.one(Some(&wanted)), shared.config.accounts.first().cloned())
        else {
            return;
        };
        let number = shared.book.executions.len() as i32;
        let price = shared.fair_price(listing, now);
        let seed = SeedExecution {
            owner,
            order_id: FIRST_ORDER_ID + number,
            perm_id: FIRST_PERM_ID + i64::from(number),
            account: 0,
            symbol: symbol.to_owned(),
            bought: quantity > 0,
            quantity: quantity.unsigned_abs(),
            price,
            seconds_ago: 0,
        };
        let done = shared.execute(seed, shared.unix_seconds(now));
        let (holding, _) = shared.portfolio.trade(&Trade {
            account: &account,
            listing,
            quantity: f64::from(quantity),
            price,
            commission: done.commission,
        });
        let client_id = shared.book.client_of(owner);
        self.each(now, |connection, shared| {
            if connection.client_id == Some(client_id) {
                connection.say_execution(LIVE, &done, shared);
                connection.say_commission(&done);
            }
            connection.on_position_changed(&holding, shared, now);
        });
    }

    fn happen_to_order(&mut self, what: &OrderHappening, now: Duration) {
        let shared = &mut self.shared;
        match what {
            OrderHappening::Price { symbol, price } => {
                shared.set_price(symbol, *price);
                self.step_orders(now);
            }
            OrderHappening::Place { owner, order_id, symbol, quantity, limit } => {
                shared.place_foreign(*owner, *order_id, (symbol, *quantity, *limit), now);
            }
            OrderHappening::Ledger => {
                let (at_ms, ledger) = (millis(now), shared.book.ledger());
                shared.event(Event::Ledger { at_ms, ledger });
            }
            what => {
                shared.refresh_quotes(now);
                // What rests until it is told has no quote that is kept fresh.
                if let OrderHappening::Fill { order, .. } = what
                    && let Some(traded) = shared.book.traded_of(*order)
                {
                    shared.refresh_quotes_of(&traded, now);
                }
                shared.trade(now, |book, desk| book.happen(what, desk));
            }
        }
    }

    /// Tells every connection that can be told something.
    fn each(&mut self, now: Duration, tell: impl Fn(&mut Connection, &Shared)) {
        for connection in self.connections.values_mut() {
            if connection.is_served() {
                tell(connection, &self.shared);
                connection.flush(&mut self.shared, now);
            }
        }
    }
}

impl Connection {
    /// Subscriptions to data are gone; those to accounts and positions are not.
    fn lose_data(&mut self, shared: &mut Shared, now: Duration) {
        let (feed, _, context) = self.feed_parts(shared, now);
        let lost = feed.clear(&context);
        lost.into_iter().for_each(|instrument| shared.release(instrument));
        let kept = |family| {
            use Family::{History, Scanner};
            !is_live(family) && family != History && family != Scanner
        };
        let keys: Vec<_> = self.streams.all().map(|(key, _)| key).collect();
        for key in keys.into_iter().filter(|key| !kept(key.0)) {
            if let Some(stream) = self.streams.close(key) {
                self.on_stream_closed(&stream, shared);
                // Of a query that was to be answered once nothing is heard any more.
                if let Stream::History(query) = &stream
                    && query.keep
                {
                    let text = "Failed to request live updates (disconnected).";
                    self.replies(shared, now).error(key.1, 10182, text);
                }
            }
        }
    }
}
