//! The pure Gateway, driven as a simulation would drive it: in virtual time, without a socket.
//!
//! [`World`] is the driver, with one client per connection; the tests are in `tests/`, by topic.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ibouncer_proto::tws::envelope::{Envelope, write_message};
use ibouncer_proto::tws::frame::Deframer;
use ibouncer_proto::tws::handshake::{ClientHandshake, start_api};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1::{
    CancelOrderRequest, ComboLeg, Contract, ErrorMessage, ExecutionDetails, MarketDataRequest,
    OpenOrder, Order, OrderStatus, PlaceOrderRequest,
};
use prost::Message;

use super::ids::{ask, tell};
use super::listings::{Listing, Term};
use super::symbols::INSTRUMENTS;
use super::{End, Gateway, Output};
use crate::config::{ClockBase, GatewayConfig};
use crate::events::{CloseHow, ConnectionId, Event, Stage};
use crate::fault::Fault;
use crate::ledger::LedgerEntry;

mod accounts;
mod combinations;
mod corrections;
mod faults;
mod groups;
mod happenings;
mod history;
mod kinds;
mod live;
mod market_data;
mod opening;
mod orders;
mod random_orders;
mod reference;
mod scripts;
mod services;
mod sessions;
mod trading;

const CLOCK: ClockBase =
    ClockBase { unix_millis: 1_795_457_715_000, monotonic_nanos: 5_000_000_000 };

/// A Gateway, its clients, and the time.
struct World {
    gateway: Gateway,
    now: Duration,
    /// All bytes that each connection got, in pieces.
    sent: BTreeMap<ConnectionId, Vec<Bytes>>,
    closed: BTreeMap<ConnectionId, End>,
    events: Vec<Event>,
    /// Whether sent bytes are reported as written.
    reads: bool,
    /// Lines of its story that each client has been asked for.
    heard: BTreeMap<ConnectionId, usize>,
}

impl World {
    fn new(config: GatewayConfig) -> Self {
        Self {
            gateway: Gateway::new(config, CLOCK),
            now: Duration::ZERO,
            sent: BTreeMap::new(),
            closed: BTreeMap::new(),
            events: Vec::new(),
            reads: true,
            heard: BTreeMap::new(),
        }
    }

    fn with_fault(fault: Fault) -> Self {
        Self::new(GatewayConfig {
            faults: vec![fault.name().parse().unwrap()],
            ..GatewayConfig::default()
        })
    }

    fn drain(&mut self) {
        while let Some(output) = self.gateway.poll_output() {
            match output {
                Output::Send { connection, bytes } => {
                    if self.reads {
                        self.gateway.written(connection, bytes.len());
                    }
                    self.sent.entry(connection).or_default().push(bytes);
                }
                Output::Close { connection, how } => {
                    self.closed.insert(connection, how);
                }
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    fn accept(&mut self) -> ConnectionId {
        let id = self.gateway.accept("127.0.0.1:50000", self.now);
        self.drain();
        id
    }

    fn send(&mut self, connection: ConnectionId, bytes: &[u8]) {
        self.gateway.receive(connection, bytes, self.now);
        self.drain();
    }

    fn request(&mut self, connection: ConnectionId, message_id: u32, body: &impl Message) {
        let mut out = BytesMut::new();
        write_message(message_id, body, &mut out);
        self.send(connection, &out);
    }

    fn hang_up(&mut self, connection: ConnectionId, how: End) {
        self.gateway.peer_closed(connection, how, self.now);
        self.drain();
    }

    /// Lets time pass, stopping wherever the Gateway wants to be called.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.gateway.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.gateway.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// Accepts a client and shakes hands as far as the Gateway goes along.
    fn connect(&mut self, client_id: i32) -> ConnectionId {
        let id = self.accept();
        self.send(id, &ClientHandshake::new(100..=226).opening());
        self.pass(Duration::from_secs(30));
        if let Some(version) = self.version(id) {
            self.send(id, &start_api(version, client_id));
            self.pass(Duration::from_secs(30));
        }
        id
    }

    /// Everything that the connection got.
    fn bytes(&self, connection: ConnectionId) -> Vec<u8> {
        self.sent.get(&connection).map(|pieces| pieces.concat()).unwrap_or_default()
    }

    /// Server version in the reply, if there is one.
    fn version(&self, connection: ConnectionId) -> Option<i32> {
        let mut handshake = ClientHandshake::new(100..=226);
        let reply = handshake.receive(&self.bytes(connection)).ok()??;
        Some(reply.server_version)
    }

    /// Bodies of all frames behind the version reply.
    fn bodies(&self, connection: ConnectionId) -> Vec<Bytes> {
        let mut deframer = Deframer::new();
        deframer.extend(&self.bytes(connection));
        let mut bodies = Vec::new();
        while let Ok(Some(body)) = deframer.next_body() {
            bodies.push(body);
        }
        bodies.drain(..1.min(bodies.len()));
        bodies
    }

    /// Ids of all messages behind the version reply.
    fn message_ids(&self, connection: ConnectionId) -> Vec<u32> {
        let bodies = self.bodies(connection);
        let ids = bodies.iter().map(|body| Envelope::parse(body).unwrap().message_id);
        ids.collect()
    }

    /// All messages of one id.
    fn messages<M: Message + Default>(&self, connection: ConnectionId, message_id: u32) -> Vec<M> {
        let mut messages = Vec::new();
        for body in self.bodies(connection) {
            let envelope = Envelope::parse(&body).unwrap();
            if envelope.message_id == message_id {
                messages.push(M::decode(envelope.body).unwrap());
            }
        }
        messages
    }

    /// Codes of all errors for an id.
    fn errors(&self, connection: ConnectionId, request_id: i32) -> Vec<i32> {
        self.messages::<ErrorMessage>(connection, id::ERR_MSG)
            .iter()
            .filter(|error| error.id() == request_id)
            .map(|error| error.error_code())
            .collect()
    }

    fn stages(&self, wanted: ConnectionId) -> Vec<Stage> {
        let stages = self.events.iter().filter_map(|event| match event {
            Event::Stage { connection, stage, .. } if *connection == wanted => Some(stage.clone()),
            _ => None,
        });
        stages.collect()
    }

    fn closed_how(&self, wanted: ConnectionId) -> Option<CloseHow> {
        self.events.iter().find_map(|event| match event {
            Event::Closed { connection, how, .. } if *connection == wanted => Some(*how),
            _ => None,
        })
    }
}

fn contract(symbol: &str, sec_type: &str) -> Contract {
    Contract {
        symbol: Some(symbol.to_owned()),
        sec_type: Some(sec_type.to_owned()),
        ..Default::default()
    }
}

fn market_data(request_id: i32, symbol: &str) -> MarketDataRequest {
    MarketDataRequest {
        req_id: Some(request_id),
        contract: Some(Contract {
            exchange: Some("SMART".to_owned()),
            currency: Some("USD".to_owned()),
            ..contract(symbol, "STK")
        }),
        ..Default::default()
    }
}

/// A combination of so many of each symbol, negative if they are sold.
fn combination(legs: &[(&str, i32)]) -> Contract {
    let leg = |(symbol, ratio): &(&str, i32)| ComboLeg {
        con_id: Some(con_id(symbol)),
        ratio: Some(ratio.abs()),
        action: Some(if *ratio > 0 { "BUY" } else { "SELL" }.to_owned()),
        exchange: Some("SMART".to_owned()),
        ..Default::default()
    };
    Contract { combo_legs: legs.iter().map(leg).collect(), ..contract(legs[0].0, "BAG") }
}

fn con_id(symbol: &str) -> i32 {
    let place = INSTRUMENTS.iter().position(|one| one.symbol == symbol).unwrap();
    Listing { place, term: Term::Itself }.con_id()
}

/// An order of this client for a stock; transmitted, and of the only account.
fn order(action: &str, quantity: u32, order_type: &str, limit: f64) -> Order {
    Order {
        action: Some(action.to_owned()),
        total_quantity: Some(quantity.to_string()),
        order_type: Some(order_type.to_owned()),
        lmt_price: (limit != 0.0).then_some(limit),
        transmit: Some(true),
        ..Default::default()
    }
}

impl World {
    /// No orders to begin with, so that ids count from 1.
    fn of_orders(config: GatewayConfig) -> Self {
        Self::new(GatewayConfig { orders: vec![], ..config })
    }

    fn place(&mut self, client: ConnectionId, order_id: i32, symbol: &str, order: &Order) {
        self.place_of(client, order_id, contract(symbol, "STK"), order);
    }

    fn place_of(&mut self, client: ConnectionId, order_id: i32, contract: Contract, order: &Order) {
        let request = PlaceOrderRequest {
            order_id: Some(order_id),
            contract: Some(contract),
            order: Some(order.clone()),
            ..Default::default()
        };
        self.request(client, ask::PLACE_ORDER, &request);
    }

    fn cancel(&mut self, client: ConnectionId, order_id: i32) {
        let request = CancelOrderRequest { order_id: Some(order_id), ..Default::default() };
        self.request(client, ask::CANCEL_ORDER, &request);
    }

    fn happen(&mut self, what: &str) {
        self.gateway.happen(&what.parse().unwrap(), self.now);
        self.drain();
    }

    /// What a client was told of orders since the last time, a line each: `open 1 Submitted`,
    /// `status 1 Submitted 0/100`, `exec 1 100@231.41`, `fee`, `error 1 202`, `end`.
    fn story(&mut self, client: ConnectionId) -> Vec<String> {
        let mut story = Vec::new();
        for body in self.bodies(client) {
            let envelope = Envelope::parse(&body).unwrap();
            let body = envelope.body;
            let line = match envelope.message_id {
                tell::OPEN_ORDER => {
                    let told = OpenOrder::decode(body).unwrap();
                    let state = told.order_state.clone().unwrap();
                    format!("open {} {}", told.order_id(), state.status())
                }
                tell::ORDER_STATUS => {
                    let told = OrderStatus::decode(body).unwrap();
                    let (done, left) = (told.filled(), told.remaining());
                    format!("status {} {} {done}/{left}", told.order_id(), told.status())
                }
                tell::EXECUTION_DATA => {
                    let told = ExecutionDetails::decode(body).unwrap().execution.unwrap();
                    format!("exec {} {}@{}", told.order_id(), told.shares(), told.price())
                }
                tell::COMMISSION_AND_FEES_REPORT => "fee".to_owned(),
                tell::OPEN_ORDER_END => "end".to_owned(),
                id::ERR_MSG => {
                    let told = ErrorMessage::decode(body).unwrap();
                    format!("error {} {}", told.id(), told.error_code())
                }
                _ => continue,
            };
            if !line.starts_with("error -1 ") {
                story.push(line);
            }
        }
        let heard = self.heard.entry(client).or_default();
        let new = story.split_off(*heard);
        *heard += new.len();
        new
    }

    fn line(&self, perm_id: i64) -> LedgerEntry {
        let ledger = self.gateway.ledger();
        ledger.orders.into_iter().find(|line| line.perm_id == perm_id).unwrap()
    }
}
