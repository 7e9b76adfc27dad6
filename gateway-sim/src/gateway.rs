//! The simulated Gateway: pure, so that a whole system can be simulated around it in virtual time.
//!
//! No clock, no sockets, no runtime. The driver hands in what happened and how much time has
//! passed since the start, then drains [`Gateway::poll_output`]. The same calls with the same
//! seed give the same bytes. What one connection says and hears is in `gateway/connection.rs`;
//! what they share in `gateway/shared.rs`, which request is answered where in
//! `gateway/requests.rs`; here are the listener, and the order in which things are done.
//!
//! ```text
//!   accepts() ─► accept() ─► receive() / written() / peer_closed() / handle_timeout()
//!                                  │
//!                                  └─► poll_output() until None ─► Send, Close, Event
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::config::{ClockBase, GatewayConfig};
use crate::events::{CloseHow, ConnectionId, Event, Report};
use crate::fault::{Fault, FaultPlan, FaultSpec};
use crate::happening::Scheduled;
use crate::ledger::Ledger;
use crate::limits::Limit;
use connection::{Connection, Ending};
use shared::{Holder, Shared, volatility};

mod accounts;
mod advisor;
mod answer;
mod bars;
mod book;
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
mod shared;
mod streams;
mod subscriptions;
mod symbols;
#[cfg(test)]
mod tests;
mod tick_by_tick;
mod ticks;
mod traded;
mod trading;
mod walk;
mod wishes;
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

impl Gateway {
    /// A Gateway to which nobody is connected. `clock` says what the clocks show at time zero.
    pub fn new(config: GatewayConfig, clock: ClockBase) -> Self {
        let mut agenda = config.happenings.clone();
        agenda.sort_by_key(|scheduled| scheduled.at);
        let mut gateway = Self {
            agenda: agenda.into(),
            plan: FaultPlan::new(&config.faults),
            connections: BTreeMap::new(),
            shared: Shared::new(config, clock),
        };
        gateway.shared.seed_orders();
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
        self.settle_orders(now);
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
        self.step_orders(now);
        self.settle_orders(now);
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
        let next = self.agenda.front().map(|next| next.at);
        [connections, next, self.shared.book.poll_timeout()].into_iter().flatten().min()
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
        let (report, ledger) = (self.report(), self.ledger());
        if ledger.orders.iter().any(|order| !order.seeded) || !ledger.refused.is_empty() {
            self.shared.event(Event::Ledger { at_ms: millis(now), ledger });
        }
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

    /// Every order that ever was, by permanent id: what a client must account for.
    pub fn ledger(&self) -> Ledger {
        self.shared.book.ledger()
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

fn millis(now: Duration) -> u64 {
    now.as_millis() as u64
}
