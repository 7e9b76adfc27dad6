//! What the simulator tells about itself: one event is one line of JSON.
//!
//! Only data. The shapes are documented at the crate's root, because tests of other packages
//! assert on them: a field may be added, none is renamed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use serde::Serialize;

use crate::fault::Fault;
use crate::ledger::{Ledger, LedgerEntry, OrderChange};
use crate::limits::Limit;
pub use request::Request;

mod request;

/// Number of a connection, from 1, in the order of acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "connection-{}", self.0)
    }
}

/// One line of the simulator's output. `at_ms` counts from the start of the simulator.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "one at a time; requests are the most of them")]
pub enum Event {
    /// The first event: connections are taken from now on.
    Listening {
        /// Where clients connect.
        address: SocketAddr,
        /// With a relay: where Gateway itself listens.
        #[serde(skip_serializing_if = "Option::is_none")]
        behind: Option<SocketAddr>,
    },
    /// A connection was taken from the kernel's queue.
    Accepted {
        /// Its number.
        connection: ConnectionId,
        /// When.
        at_ms: u64,
        /// Address of the other end.
        peer: String,
        /// The fault that it suffers.
        #[serde(skip_serializing_if = "Option::is_none")]
        fault: Option<Fault>,
    },
    /// A connection has come to the next stage.
    Stage {
        /// Its number.
        connection: ConnectionId,
        /// When.
        at_ms: u64,
        /// Which stage.
        #[serde(flatten)]
        stage: Stage,
    },
    /// A request came.
    Request {
        /// Its connection's number.
        connection: ConnectionId,
        /// When.
        at_ms: u64,
        /// What it is.
        #[serde(flatten)]
        request: Request,
    },
    /// A limit was in the way of a request.
    Limit {
        /// Its connection's number.
        connection: ConnectionId,
        /// When.
        at_ms: u64,
        /// Which limit.
        limit: Limit,
        /// The error that was sent; absent if the request only had to wait.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<i32>,
        /// Id of the request.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<i32>,
    },
    /// A connection is over.
    Closed {
        /// Its number.
        connection: ConnectionId,
        /// When.
        at_ms: u64,
        /// Who ended it, and how.
        how: CloseHow,
        /// The same in words.
        reason: String,
        /// Bytes that were read from it.
        received_bytes: u64,
        /// Ticks that were queued for it.
        sent_ticks: u64,
        /// Ticks that were due and had no room.
        dropped: u64,
        /// Messages that were dropped because the client did not read.
        output_dropped: u64,
        /// Lines that were active at the end.
        lines: usize,
    },
    /// The faults were changed while running.
    FaultSet {
        /// When.
        at_ms: u64,
        /// The fault from now on; absent: none.
        #[serde(skip_serializing_if = "Option::is_none")]
        fault: Option<Fault>,
        /// For how many connections; absent: all.
        #[serde(skip_serializing_if = "Option::is_none")]
        connections: Option<u32>,
    },
    /// Something happened at the Gateway, as scheduled or as asked for.
    Happened {
        /// When.
        at_ms: u64,
        /// What, as `--happen` spells it.
        what: String,
    },
    /// Something became of an order.
    Order {
        /// When.
        at_ms: u64,
        /// What.
        what: OrderChange,
        /// The order behind it, as the ledger has it.
        #[serde(flatten)]
        order: LedgerEntry,
    },
    /// All orders: when asked for, and before the last event if any was placed.
    Ledger {
        /// When.
        at_ms: u64,
        /// The orders, and requests that made none.
        #[serde(flatten)]
        ledger: Ledger,
    },
    /// A line on standard input is nothing that can happen.
    RefusedCommand {
        /// The line.
        line: String,
        /// What is wrong.
        error: String,
    },
    /// The last event.
    Stopped {
        /// When.
        at_ms: u64,
        /// Sums over all connections.
        #[serde(flatten)]
        report: Report,
    },
}

/// How far a connection has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// The client's version line is complete.
    Opening {
        /// Lowest version offered.
        offer_low: i32,
        /// Highest version offered.
        offer_high: i32,
        /// Connect options.
        options: String,
    },
    /// The version reply was queued.
    VersionSent {
        /// The version in it.
        server_version: i32,
    },
    /// START_API came.
    ApiStarted {
        /// The client id in it.
        client_id: i32,
    },
    /// Accounts and next valid id were queued.
    Ready,
    /// From here on nothing is answered, by fault.
    Mute,
    /// The client closed, and this side does not, by fault.
    CloseWait,
}

/// Who ended a connection, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseHow {
    /// The client, with FIN.
    Fin,
    /// The client, with RST.
    Reset,
    /// The simulator, because of a rule: client id taken, connection limit, no common version.
    Refused,
    /// The simulator, because the client's bytes make no sense.
    Violation,
    /// The simulator, by fault.
    Fault,
    /// The simulator, by fault, in the middle of a frame.
    Cut,
    /// The simulator, because it was told to.
    Asked,
    /// The simulator, at its own end.
    Shutdown,
}

/// Sums over all connections, past and present.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Connections taken from the kernel's queue.
    pub accepted: u64,
    /// Connections that are open.
    pub open: usize,
    /// Connections that became ready.
    pub became_ready: u64,
    /// Requests behind START_API.
    pub requests: u64,
    /// Bytes that were read.
    pub received_bytes: u64,
    /// Ticks that were queued.
    pub sent_ticks: u64,
    /// Ticks that were due and had no room.
    pub dropped: u64,
    /// Messages that were dropped because a client did not read.
    pub output_dropped: u64,
    /// Lines that are active.
    pub lines: usize,
    /// Regulatory snapshots that were served, at 0.01 USD each.
    pub regulatory_snapshots: u64,
    /// How often each limit was in the way, by name.
    pub limits: BTreeMap<Limit, u64>,
    /// Errors that answered requests, by code.
    pub errors: BTreeMap<i32, u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_exactly_as_documented() {
        let event = Event::Listening { address: "127.0.0.1:4002".parse().unwrap(), behind: None };
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"event":"listening","address":"127.0.0.1:4002"}"#
        );
    }

    #[test]
    fn stages_and_requests_are_flat_objects() {
        let event = Event::Stage {
            connection: ConnectionId(1),
            at_ms: 2,
            stage: Stage::ApiStarted { client_id: 7 },
        };
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"event":"stage","connection":1,"at_ms":2,"stage":"api_started","client_id":7}"#
        );
        let event = Event::Request {
            connection: ConnectionId(1),
            at_ms: 2,
            request: Request { message_id: 249, name: "REQ_CURRENT_TIME", ..Default::default() },
        };
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"event":"request","connection":1,"at_ms":2,"message_id":249,"name":"REQ_CURRENT_TIME"}"#
        );
    }
}
