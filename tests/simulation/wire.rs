//! What Gateway may see of us: request ids that are never used twice, cancels of what exists,
//! no more than 50 messages a second, and each request under the market data type it needs.
//!
//! Listens at Gateway's side of the wire, and at the hub's for the pace, since a network that
//! jitters can push messages together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ibouncer_gateway_sim::{ConnectionId, Request};
use ibouncer_proto::tws::envelope::{Direction, Envelope};
use ibouncer_proto::tws::frame::{self, Deframer};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1::{Execution, ExecutionDetails};

/// Lower ids are those of orders.
const LOWEST_REQUEST: i32 = 1_400_000_000;

/// Gateway's limit.
const MOST_PER_SECOND: usize = 50;

/// Requests that stay open, besides those for quotes, and what takes them back.
const REQUESTS: [u32; 11] = [
    id::REQ_MKT_DEPTH,
    id::REQ_TICK_BY_TICK_DATA,
    id::REQ_REAL_TIME_BARS,
    id::REQ_ACCOUNT_SUMMARY,
    id::REQ_PNL,
    id::REQ_ACCOUNT_UPDATES_MULTI,
    id::REQ_POSITIONS_MULTI,
    id::REQ_SCANNER_SUBSCRIPTION,
    id::REQ_CONTRACT_DATA,
    id::REQ_HISTORICAL_DATA,
    id::REQ_HEAD_TIMESTAMP,
];
const CANCELS: [u32; 11] = [
    id::CANCEL_MKT_DEPTH,
    id::CANCEL_TICK_BY_TICK_DATA,
    id::CANCEL_REAL_TIME_BARS,
    id::CANCEL_ACCOUNT_SUMMARY,
    id::CANCEL_PNL,
    id::CANCEL_ACCOUNT_UPDATES_MULTI,
    id::CANCEL_POSITIONS_MULTI,
    id::CANCEL_SCANNER_SUBSCRIPTION,
    id::CANCEL_CONTRACT_DATA,
    id::CANCEL_HISTORICAL_DATA,
    id::CANCEL_HEAD_TIMESTAMP,
];

/// Everything that was seen on the wire.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    connections: BTreeMap<ConnectionId, Connection>,
    /// Request ids of all connections: none is used twice, whichever broker asks.
    used: BTreeSet<i32>,
    /// Request ids that a broker wrote down as open, ever.
    pub(crate) noted: BTreeSet<i32>,
    left: Window,
    /// A process was stopped or the network was parted: Gateway sees messages in heaps.
    pub(crate) disturbed: bool,
    /// The current worker's link broke, or its broker died: what left may not have arrived.
    pub(crate) lossy: bool,
    /// More brokers than blocks of request ids: an id may come again in another session.
    pub(crate) endless: bool,
    pub(crate) requests: u64,
    /// Executions that Gateway has told, to be taken.
    pub(crate) executions: Vec<Execution>,
}

#[derive(Debug)]
struct Connection {
    asked: BTreeSet<i32>,
    cancelled: BTreeSet<i32>,
    /// Errors and ends that Gateway has sent.
    over: BTreeSet<i32>,
    lossy: bool,
    has_accounts: bool,
    has_next_id: bool,
    feed: i32,
    window: Window,
    deframer: Option<Deframer>,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            asked: BTreeSet::new(),
            cancelled: BTreeSet::new(),
            over: BTreeSet::new(),
            lossy: false,
            has_accounts: false,
            has_next_id: false,
            feed: 1,
            window: Window::default(),
            deframer: Some(Deframer::new()),
        }
    }
}

/// Times of the newest messages.
#[derive(Debug, Default)]
struct Window(VecDeque<Duration>);

impl Window {
    fn add(&mut self, now: Duration) -> usize {
        self.0.push_back(now);
        while self.0.front().is_some_and(|at| *at + Duration::from_secs(1) <= now) {
            self.0.pop_front();
        }
        self.0.len()
    }
}

/// The exchange by which a simulated client marks the market data type that it wants.
pub(crate) fn exchange_of(feed: i32) -> &'static str {
    match feed {
        2 => "FROZEN",
        3 => "DELAYED",
        4 => "DELAYED_FROZEN",
        _ => "LIVE",
    }
}

impl Wire {
    /// The hub lets frames go.
    pub(crate) fn on_left(&mut self, frames: &[u8], now: Duration) {
        for _ in frame::bodies(frames) {
            let count = self.left.add(now);
            assert!(count <= MOST_PER_SECOND, "{count} messages left within a second");
        }
    }

    /// There is no worker: the next one has a connection of its own, with a budget of its own.
    pub(crate) fn on_no_worker(&mut self) {
        self.left.0.clear();
    }

    /// Another Gateway counts its connections anew.
    pub(crate) fn forget_connections(&mut self) {
        self.connections.clear();
    }

    /// A worker is ordered.
    pub(crate) fn on_spawn(&mut self) {
        for connection in self.connections.values_mut() {
            connection.lossy |= self.lossy;
        }
        self.lossy = false;
        if self.endless {
            self.used.clear();
            self.noted.clear();
            self.connections.clear();
        }
    }

    /// Gateway reads a request.
    pub(crate) fn on_request(
        &mut self,
        connection: ConnectionId,
        request: &Request,
        now: Duration,
        even: bool,
    ) {
        self.requests += 1;
        let wire = self.connections.entry(connection).or_default();
        let count = wire.window.add(now);
        if even && !self.disturbed {
            assert!(count <= MOST_PER_SECOND, "Gateway reads {count} messages within a second");
        }
        let number = request.request_id.unwrap_or_default();
        match request.message_id {
            // Without an id.
            id::REQ_CURRENT_TIME
            | id::REQ_CURRENT_TIME_IN_MILLIS
            | id::REQ_POSITIONS
            | id::CANCEL_POSITIONS
            | id::REQ_ACCT_DATA
            | id::REQ_OPEN_ORDERS
            | id::REQ_ALL_OPEN_ORDERS
            | id::REQ_COMPLETED_ORDERS
            | id::REQ_MARKET_RULE => {}
            id::PLACE_ORDER | id::CANCEL_ORDER | id::REQ_GLOBAL_CANCEL => {}
            // Nothing takes them back.
            id::REQ_EXECUTIONS => {
                assert!(self.used.insert(number), "request id {number} is used twice");
            }
            message if REQUESTS.contains(&message) => {
                assert!(self.used.insert(number), "request id {number} is used twice");
                assert!(self.noted.contains(&number), "{number} was not written down");
                wire.asked.insert(number);
            }
            id::REQ_MKT_DATA => {
                assert!(self.used.insert(number), "request id {number} is used twice");
                assert!(self.noted.contains(&number), "{number} was not written down");
                wire.asked.insert(number);
                let wanted = request.exchange.as_deref().unwrap_or_default();
                assert_eq!(wanted, exchange_of(wire.feed), "asked for under another type");
            }
            message if message == id::CANCEL_MKT_DATA || CANCELS.contains(&message) => {
                let lossy = self.lossy || wire.lossy;
                let asked = wire.asked.contains(&number);
                let known = asked || (lossy && self.noted.contains(&number));
                assert!(known, "cancel of {number}, never asked for");
                let first = wire.cancelled.insert(number);
                assert!(first || lossy, "{number} is cancelled twice");
                if !asked || !first {
                    wire.over.insert(number);
                }
            }
            id::REQ_MARKET_DATA_TYPE => {
                wire.feed = request.market_data_type.expect("it is understood");
            }
            other => panic!("Gateway is asked {other}, which nobody wants"),
        }
    }

    /// Gateway sends bytes: errors and ends are noted, and an error about a cancel that no race
    /// explains is a failure.
    /// True once account list and order id were sent.
    pub(crate) fn on_sent(&mut self, connection: ConnectionId, bytes: &[u8]) -> bool {
        let wire = self.connections.entry(connection).or_default();
        let mut deframer = wire.deframer.take();
        if let Some(deframer) = &mut deframer {
            deframer.extend(bytes);
        }
        while let Some(lives) = &mut deframer {
            match lives.next_body() {
                Ok(Some(body)) => {
                    if let Ok(envelope) = Envelope::parse(&body) {
                        wire.has_accounts |= envelope.message_id == id::MANAGED_ACCTS;
                        wire.has_next_id |= envelope.message_id == id::NEXT_VALID_ID;
                        if envelope.message_id == id::EXECUTION_DATA {
                            self.executions.extend(execution(envelope.body));
                        }
                        on_answer(envelope, &mut wire.over);
                    }
                }
                Ok(None) => break,
                // Garbage by fault.
                Err(_) => deframer = None,
            }
        }
        wire.deframer = deframer;
        wire.has_accounts && wire.has_next_id
    }
}

fn execution(body: &[u8]) -> Option<Execution> {
    use prost::Message as _;
    ExecutionDetails::decode(body).ok()?.execution
}

fn on_answer(envelope: Envelope<'_>, over: &mut BTreeSet<i32>) {
    if !matches!(envelope.message_id, id::ERR_MSG | id::TICK_SNAPSHOT_END) {
        return;
    }
    let number = envelope.correlation_id(Direction::FromGateway);
    let Some(number) = number.ok().flatten().filter(|number| *number > 0) else {
        return;
    };
    let code = match envelope.message_id {
        id::ERR_MSG => {
            use prost::Message as _;
            let error = ibouncer_proto::tws::v1::ErrorMessage::decode(envelope.body);
            error.map(|error| error.error_code()).unwrap_or_default()
        }
        _ => 0,
    };
    match code {
        // Does not end anything.
        10167 => {}
        300 => assert!(over.contains(&number), "cancel of {number}, which Gateway does not know"),
        // Gateway may refuse an order.
        _ if number < LOWEST_REQUEST => {}
        102 | 320 | 321 => panic!("Gateway refuses request {number} with {code}"),
        _ => {
            over.insert(number);
        }
    }
}
