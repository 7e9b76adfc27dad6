//! The simulated Gateway: pure, so that a whole system can be simulated around it in virtual time.
//!
//! No clock, no sockets, no runtime. The driver hands in what happened and how much time has
//! passed since the start, then drains [`Gateway::poll_output`]. The same calls with the same
//! seed give the same bytes. What one connection says and hears is in `gateway/connection.rs`;
//! here is what connections share: the listener, the client ids, the lines, the sums.
//!
//! ```text
//!   accepts() ─► accept() ─► receive() / written() / peer_closed() / handle_timeout()
//!                                  │
//!                                  └─► poll_output() until None ─► Send, Close, Event
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;

use crate::config::{ClockBase, GatewayConfig};
use crate::events::{CloseHow, ConnectionId, Event, Report};
use crate::fault::{Fault, FaultPlan, FaultSpec};
use crate::happening::Scheduled;
use crate::limits::Limit;
use calendar::DAY;
use connection::{Connection, Ending};
use executions::Done;
use happenings::Farms;
use holdings::Holding;
use listings::{Directory, Listing, Term};
use pacing::Pacing;
use walk::Market;

mod accounts;
mod advisor;
mod answer;
mod bars;
mod calendar;
mod connection;
mod contracts;
mod depth;
mod describe;
mod executions;
mod generic_ticks;
mod happenings;
mod history;
mod holdings;
mod ids;
mod line;
mod listings;
mod market;
mod meter;
mod model;
mod news;
mod opening;
mod options;
mod orders;
mod outbox;
mod pace;
mod pacing;
mod past;
mod periods;
mod positions;
mod quotes;
mod reference;
mod replies;
mod requests;
mod scanner;
mod series;
mod sessions;
mod streams;
mod subscriptions;
mod symbols;
#[cfg(test)]
mod tests;
mod tick_by_tick;
mod ticks;
mod walk;
mod wsh;

/// What a driver must do.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "a queue of them is short and drained at once")]
pub enum Output {
    /// Hand bytes to the connection, as one piece. Once they are handed over (or whenever a part
    /// of them is), tell [`Gateway::written`].
    Send {
        /// Which connection.
        connection: ConnectionId,
        /// What.
        bytes: Bytes,
    },
    /// Close the connection, behind everything that was sent before. It is forgotten here.
    Close {
        /// Which connection.
        connection: ConnectionId,
        /// With FIN or RST.
        how: End,
    },
    /// Something to tell.
    Event(Event),
}

/// How a side ends a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Regularly, after everything that was sent before.
    Fin,
    /// At once; what is under way is lost.
    Reset,
}

/// A Gateway as seen from its API port.
#[derive(Debug)]
pub struct Gateway {
    plan: FaultPlan,
    connections: BTreeMap<ConnectionId, Connection>,
    /// What is still to happen, the first first.
    agenda: VecDeque<Scheduled>,
    shared: Shared,
}

/// What connections share.
#[derive(Debug)]
struct Shared {
    config: GatewayConfig,
    clock: ClockBase,
    market: Market,
    directory: Directory,
    farms: Farms,
    pacing: Pacing,
    /// Contracts with depth, by how many subscriptions.
    books: BTreeMap<Listing, u32>,
    /// Tick-by-tick subscriptions, and when each contract was last asked for.
    tickers: usize,
    ticker_since: BTreeMap<Listing, Duration>,
    /// When real-time bars began, in the last ten minutes.
    bars_since: VecDeque<Duration>,
    positions: Vec<Holding>,
    executions: Vec<Done>,
    /// Whose the orders of "our" client are, once that is known.
    own_client_id: Option<i32>,
    /// Which account's updates each connection has.
    account_updates: BTreeMap<ConnectionId, String>,
    /// Some of them were taken away, and their connections do not know yet.
    account_updates_taken: bool,
    /// Account summaries that are active.
    summaries: usize,
    /// Scanners that are active.
    scanners: usize,
    /// When regulatory snapshots were served, in the last second.
    snapshots_since: VecDeque<Duration>,
    /// Bulletins since the start, by their numbers.
    bulletins: Vec<(i32, String)>,
    rng: Rng,
    client_ids: BTreeMap<i32, Holder>,
    /// Subscribed instruments, by how many lines.
    instruments: BTreeMap<usize, u32>,
    outputs: VecDeque<Output>,
    sums: Report,
}

/// Who has a client id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Connection,
    /// Nobody, but it is not free before this.
    HeldUntil(Duration),
}

impl Gateway {
    /// A Gateway to which nobody is connected. `clock` says what the clocks show at time zero.
    pub fn new(config: GatewayConfig, clock: ClockBase) -> Self {
        let directory = Directory::new((clock.unix_millis / 1000) as i64);
        let mut agenda = config.happenings.clone();
        agenda.sort_by_key(|scheduled| scheduled.at);
        let mut gateway = Self {
            agenda: agenda.into(),
            plan: FaultPlan::new(&config.faults),
            connections: BTreeMap::new(),
            shared: Shared {
                market: Market::new(config.seed),
                positions: holdings::seeded(&config, &directory),
                executions: Vec::new(),
                own_client_id: config.own_client_id,
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
            },
        };
        gateway.shared.seed_executions();
        gateway
    }

    /// Whether a connection may be taken from the kernel's queue now. Ask before each one.
    pub fn accepts(&self) -> bool {
        let blocked = |connection: &Connection| connection.blocks_acceptor();
        !self.plan.never_accepts() && !self.connections.values().any(blocked)
    }

    /// A connection was taken from the kernel's queue.
    pub fn accept(&mut self, peer: &str, now: Duration) -> ConnectionId {
        let shared = &mut self.shared;
        shared.sums.accepted += 1;
        let id = ConnectionId(shared.sums.accepted);
        let (fault, serial) = self.plan.take();
        shared.event(Event::Accepted {
            connection: id,
            at_ms: millis(now),
            peer: peer.to_owned(),
            fault: fault.or(serial.then_some(Fault::SerialAccept)),
        });
        let connection = Connection::new(id, fault, serial, shared.config.drip);
        let taken = self.connections.values().filter(|other| other.takes_a_place());
        let full = taken.count() >= shared.config.connection_limit && connection.takes_a_place();
        self.connections.insert(id, connection);
        if full {
            let shared = &mut self.shared;
            *shared.sums.limits.entry(Limit::Connections).or_default() += 1;
            let (limit, at_ms) = (Limit::Connections, millis(now));
            let (code, request_id) = (None, None);
            shared.event(Event::Limit { connection: id, at_ms, limit, code, request_id });
            let reason = "the connection limit is reached".to_owned();
            self.close(id, Ending::new(CloseHow::Refused, reason), now);
        } else if fault == Some(Fault::CloseAtConnect) {
            self.close(id, Ending::fault(Fault::CloseAtConnect), now);
        }
        id
    }

    /// Whether the connection is being read. What comes on one that is not must be left in its
    /// socket; its FIN or RST goes unnoticed.
    pub fn reads(&self, connection: ConnectionId) -> bool {
        self.connections
            .get(&connection)
            .is_some_and(|connection| connection.reads(self.shared.config.queue_limit))
    }

    /// Bytes came.
    pub fn receive(&mut self, connection: ConnectionId, bytes: &[u8], now: Duration) {
        self.with(connection, now, |connection, shared| {
            shared.sums.received_bytes += bytes.len() as u64;
            connection.receive(bytes, shared, now)
        });
        self.settle_account_updates(now);
    }

    /// The socket took so many bytes of what was sent, so that more of it may be sent.
    pub fn written(&mut self, connection: ConnectionId, bytes: usize) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.written(bytes);
            connection.hand_out(&mut self.shared);
        }
    }

    /// The client closed its side, or reset the connection.
    pub fn peer_closed(&mut self, connection: ConnectionId, how: End, now: Duration) {
        self.with(connection, now, |connection, shared| {
            connection.on_peer_closed(how, shared, now)
        });
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Duration) {
        while self.agenda.front().is_some_and(|next| next.at <= now) {
            if let Some(Scheduled { what, .. }) = self.agenda.pop_front() {
                self.happen(&what, now);
            }
        }
        let mut endings = Vec::new();
        for connection in self.connections.values_mut() {
            if let Err(ending) = connection.handle_timeout(&mut self.shared, now) {
                endings.push((connection.id, ending));
            }
        }
        for (id, ending) in endings {
            self.close(id, ending, now);
        }
        self.settle_account_updates(now);
    }

    /// The next thing to do; drain after every other call.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.shared.outputs.pop_front()
    }

    /// When [`Gateway::handle_timeout`] is next to be called; a time that has passed means at
    /// once.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let connections = self
            .connections
            .values()
            .filter_map(|connection| connection.poll_timeout(&self.shared))
            .min();
        [connections, self.agenda.front().map(|next| next.at)].into_iter().flatten().min()
    }

    /// Replaces all faults. Connections that are open keep theirs; the count starts anew.
    pub fn set_fault(&mut self, fault: Option<Fault>, connections: Option<u32>, now: Duration) {
        let step = fault.map(|fault| FaultSpec { fault, connections });
        self.plan = FaultPlan::new(step.as_slice());
        self.shared.event(Event::FaultSet { at_ms: millis(now), fault, connections });
    }

    /// Sends an error or notice to every connection that started the API: 1100, 1101, 1102 and
    /// the like. The Gateway's own behaviour does not change.
    pub fn announce(&mut self, code: i32, text: &str, now: Duration) {
        for connection in self.connections.values_mut() {
            connection.announce(code, text, &mut self.shared, now);
        }
    }

    /// Closes all connections, as a Gateway that is restarted.
    pub fn close_all(&mut self, how: End, now: Duration) {
        for id in self.ids() {
            let reason = "told to close".to_owned();
            let ending = Ending::new(CloseHow::Asked, reason).by(how);
            self.close(id, ending, now);
        }
    }

    /// Ends everything and tells the sums.
    pub fn stop(&mut self, now: Duration) {
        for id in self.ids() {
            let reason = "the simulator ends".to_owned();
            self.close(id, Ending::new(CloseHow::Shutdown, reason), now);
        }
        let report = self.report();
        self.shared.event(Event::Stopped { at_ms: millis(now), report });
    }

    /// Sums over all connections.
    pub fn report(&self) -> Report {
        let mut report = self.shared.sums.clone();
        report.open = self.connections.len();
        for connection in self.connections.values() {
            report.sent_ticks += connection.feed.sent;
            report.dropped += connection.feed.dropped;
            report.output_dropped += connection.outbox.dropped;
            report.lines += connection.feed.lines();
        }
        report
    }

    /// Tells those whose account updates went to another account.
    fn settle_account_updates(&mut self, now: Duration) {
        let shared = &mut self.shared;
        if !std::mem::take(&mut shared.account_updates_taken) {
            return;
        }
        for connection in self.connections.values_mut() {
            if !shared.account_updates.contains_key(&connection.id) {
                connection.lose_account_updates(shared, now);
            }
        }
    }

    fn ids(&self) -> Vec<ConnectionId> {
        self.connections.keys().copied().collect()
    }

    fn with(
        &mut self,
        id: ConnectionId,
        now: Duration,
        work: impl FnOnce(&mut Connection, &mut Shared) -> Result<(), Ending>,
    ) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        match work(connection, &mut self.shared) {
            Ok(()) => connection.flush(&mut self.shared, now),
            Err(ending) => self.close(id, ending, now),
        }
    }

    fn close(&mut self, id: ConnectionId, ending: Ending, now: Duration) {
        let Some(mut connection) = self.connections.remove(&id) else {
            return;
        };
        let shared = &mut self.shared;
        connection.finish(ending.how, shared, now);
        connection.close_streams(shared);
        shared.outputs.push_back(Output::Close { connection: id, how: ending.end });
        let feed = &connection.feed;
        shared.sums.sent_ticks += feed.sent;
        shared.sums.dropped += feed.dropped;
        shared.sums.output_dropped += connection.outbox.dropped;
        shared.event(Event::Closed {
            connection: id,
            at_ms: millis(now),
            how: ending.how,
            reason: ending.reason,
            received_bytes: connection.received_bytes,
            sent_ticks: feed.sent,
            dropped: feed.dropped,
            output_dropped: connection.outbox.dropped,
            lines: feed.lines(),
        });
        feed.instruments().for_each(|instrument| shared.release(instrument));
    }
}

impl Shared {
    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn unix_millis(&self, now: Duration) -> u64 {
        self.clock.unix_millis + millis(now)
    }

    /// Whether a client id may be taken; one that was held too long ago is free.
    fn client_id_is_free(&self, client_id: i32, now: Duration) -> bool {
        match self.client_ids.get(&client_id) {
            None => true,
            Some(Holder::Connection) => false,
            Some(Holder::HeldUntil(until)) => *until <= now,
        }
    }

    fn unix_seconds(&self, now: Duration) -> i64 {
        (self.unix_millis(now) / 1000) as i64
    }

    /// The walk of a contract.
    fn place(&mut self, listing: Listing, now: Duration) -> usize {
        let price = self.fair_price(listing, now);
        self.market.place(listing, price)
    }

    /// What a contract is worth, by the last trade of its instrument.
    fn fair_price(&self, listing: Listing, now: Duration) -> f64 {
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
    fn option(&self, listing: Listing, underlying: f64, now: Duration) -> model::Option {
        let ends = self.directory.last_day(listing).unwrap_or_default() * DAY + 75_600;
        let years = (ends - self.unix_seconds(now)).max(3600) as f64 / (365.0 * DAY as f64);
        let (call, strike) = (listing.is_call() == Some(true), listing.strike().unwrap_or(1.0));
        model::Option { call, strike, years, underlying }
    }
}

/// Volatility of an option: some smile around that of its underlying.
fn volatility(listing: Listing) -> f64 {
    let base = 0.16 + 0.02 * (listing.place % 12) as f64;
    let moneyness =
        listing.strike().map_or(0.0, |strike| strike / listing.instrument().price - 1.0);
    base + 0.4 * moneyness * moneyness
}

fn millis(now: Duration) -> u64 {
    now.as_millis() as u64
}
