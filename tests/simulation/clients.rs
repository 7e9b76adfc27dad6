//! Programs that subscribe: they join, open streams, share lines, read slowly, and leave.
//!
//! Owns what each of them wants, in the different ways in which it can be written. Checks that
//! every call is answered exactly once, and with what it may be answered. What their streams
//! bring is in `stream.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use ibouncer_core::error::Error;
use ibouncer_core::hub::{Input, Manner, Reply};
use ibouncer_core::ids::{CallId, ClientId, StreamId};
use ibouncer_core::lines::wanted::Wanted;
use ibouncer_proto::tws::v1::{Contract, MarketDataRequest};

use crate::broker::Wanted as Lost;
use crate::stream::Stream;
use crate::wire::exchange_of;
use crate::world::World;

/// What makes two subscriptions the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) symbol: &'static str,
    /// Generic ticks, sorted.
    pub(crate) generic: Vec<u32>,
    pub(crate) feed: i32,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    pub(crate) table: BTreeMap<ClientId, Vec<CallId>>,
    pub(crate) streams: BTreeMap<StreamId, Stream>,
    calls: BTreeMap<CallId, Call>,
    /// Those that lost their broker and will be back, with what they had on each stream.
    pub(crate) returning: Vec<Vec<Lost>>,
    next: u64,
    pub(crate) asked: u64,
    pub(crate) answered: u64,
    pub(crate) dropped: u64,
    pub(crate) read: u64,
    pub(crate) skipped: u64,
}

#[derive(Debug)]
struct Call {
    at: Duration,
    /// For a snapshot: what of.
    snapshot: Option<Key>,
}

impl Key {
    /// Does Gateway refuse it?
    pub(crate) fn is_doomed(&self) -> bool {
        match self.symbol {
            "NOSUCH" => true,
            "NOPERM" => self.feed < 3,
            _ => false,
        }
    }

    /// The exchange that stands for the type of data.
    pub(crate) fn exchange(&self) -> &'static str {
        exchange_of(self.feed)
    }

    /// One of the ways to write it.
    pub(crate) fn request(&self, way: u8) -> MarketDataRequest {
        let mut generic: Vec<_> = self.generic.iter().map(u32::to_string).collect();
        if way & 1 == 1 {
            generic.reverse();
        }
        let empty = (way & 2 == 2).then(String::new);
        MarketDataRequest {
            req_id: (way & 4 == 4).then_some(7),
            contract: Some(Contract {
                symbol: Some(self.symbol.to_owned()),
                con_id: (way & 2 == 2).then_some(0),
                exchange: Some(self.exchange().to_owned()),
                local_symbol: empty,
                ..Default::default()
            }),
            generic_tick_list: Some(generic.join(if way & 1 == 1 { ", " } else { "," })),
            ..Default::default()
        }
    }
}

impl Clients {
    /// When the oldest call began that waits.
    pub(crate) fn oldest_call(&self) -> Option<Duration> {
        self.calls.values().map(|call| call.at).min()
    }

    /// Calls that wait.
    pub(crate) fn waiting(&self) -> Vec<CallId> {
        self.calls.keys().copied().collect()
    }

    /// The broker is gone, and all connections with it.
    pub(crate) fn drop_all_calls(&mut self) {
        self.dropped += self.calls.len() as u64;
        self.calls.clear();
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

// What clients do.
impl World {
    pub(crate) fn join(&mut self) -> ClientId {
        let client = ClientId(self.clients.next());
        self.clients.table.insert(client, Vec::new());
        self.trace(&format!("{client} joins"));
        let (name, peer) = (client.to_string(), "unix uid=1".to_owned());
        self.input(Input::ClientJoined { client, name, peer });
        client
    }

    pub(crate) fn leave(&mut self, client: ClientId) {
        let of_client =
            |(id, stream): (&StreamId, &Stream)| (stream.client == client).then_some(*id);
        let streams: Vec<_> = self.clients.streams.iter().filter_map(of_client).collect();
        for stream in streams {
            self.close_stream(stream);
        }
        for call in self.clients.table.remove(&client).unwrap_or_default() {
            self.drop_call(call);
        }
        self.trace(&format!("{client} leaves"));
        self.input(Input::ClientLeft { client });
    }

    pub(crate) fn open_stream(&mut self, client: ClientId) -> StreamId {
        let id = StreamId(self.clients.next());
        let (limit, slow) = (self.rng.usize(100..20_000), self.rng.u8(..3) == 0 && self.chaos);
        let stream = Stream::new(client, limit, slow);
        self.trace(&format!("{client} opens {id}, slow: {}", stream.slow));
        self.clients.streams.insert(id, stream);
        self.input(Input::StreamOpened { client, stream: id, single: false });
        id
    }

    pub(crate) fn close_stream(&mut self, stream: StreamId) {
        self.trace(&format!("{stream} is closed"));
        self.clients.streams.remove(&stream);
        self.dirty = true;
        self.input(Input::StreamClosed { stream });
    }

    /// A subscription under a new number, or under one that was used before.
    pub(crate) fn subscribe(&mut self, id: StreamId, key: Key) {
        let next = self.clients.streams.get(&id).map_or(1, |stream| stream.next_subscription + 1);
        let reuse = self.rng.u8(..5) == 0 && next > 1;
        let subscription = if reuse { self.rng.u32(1..next) } else { next };
        self.subscribe_as(id, subscription, key);
    }

    /// A subscription under this number.
    pub(crate) fn subscribe_as(&mut self, id: StreamId, subscription: u32, key: Key) {
        let way = self.rng.u8(..);
        let Some(stream) = self.clients.streams.get_mut(&id) else {
            return;
        };
        stream.next_subscription = stream.next_subscription.max(subscription);
        let is_free = !stream.keys.contains_key(&subscription);
        if is_free {
            stream.keys.insert(subscription, key.clone());
        }
        self.trace(&format!("{id} subscribes {subscription} to {key:?}, free: {is_free}"));
        self.dirty = true;
        let feed = if key.feed == 1 && way & 8 == 8 { 0 } else { key.feed };
        self.input(Input::Subscribe {
            stream: id,
            subscription,
            wanted: Wanted::market_data(key.request(way), feed).map(Box::new),
            manner: Manner::default(),
        });
    }

    pub(crate) fn unsubscribe(&mut self, stream: StreamId, subscription: u32) {
        self.trace(&format!("{stream} unsubscribes {subscription}"));
        self.dirty = true;
        self.input(Input::Unsubscribe { stream, subscription });
        if let Some(stream) = self.clients.streams.get(&stream) {
            assert!(!stream.keys.contains_key(&subscription), "it was not ended");
        }
    }

    pub(crate) fn snapshot(&mut self, client: ClientId, key: Key) {
        let way = self.rng.u8(..);
        let call = self.call(Some(key.clone()));
        if let Some(calls) = self.clients.table.get_mut(&client) {
            calls.push(call);
        }
        self.trace(&format!("{client} takes a snapshot of {key:?}, {call}"));
        self.input(Input::Snapshot {
            client,
            call,
            request: Box::new(key.request(way)),
            feed: key.feed,
            accept_fee: false,
        });
    }

    /// A call that is to be answered.
    pub(crate) fn call(&mut self, snapshot: Option<Key>) -> CallId {
        let call = CallId(self.clients.next());
        self.clients.asked += 1;
        let at = self.now;
        self.clients.calls.insert(call, Call { at, snapshot });
        call
    }

    pub(crate) fn drop_call(&mut self, call: CallId) {
        if self.clients.calls.remove(&call).is_some() {
            self.trace(&format!("{call} is dropped"));
            self.clients.dropped += 1;
            self.input(Input::CallDropped { call });
        }
    }
}

// What comes back.
impl World {
    /// The hub answers a call.
    pub(crate) fn on_reply(&mut self, id: CallId, result: &Result<Reply, Error>) {
        let call = self.clients.calls.remove(&id);
        let call = call.unwrap_or_else(|| panic!("{id} is answered, but nobody waits for it"));
        self.clients.answered += 1;
        let Some(key) = call.snapshot else {
            return;
        };
        match result {
            Ok(Reply::Snapshot(snapshot)) => {
                assert!(!key.is_doomed(), "a snapshot of what Gateway refuses");
                // One that a full buffer of the worker may have torn is not answered as whole.
                assert!(snapshot.events.len() > 5, "a snapshot with nothing in it");
            }
            Ok(other) => panic!("a snapshot is answered with {other:?}"),
            Err(error) => match error.code.as_str() {
                "GATEWAY_ERROR" => assert!(key.is_doomed(), "{key:?}: {}", error.message),
                "NOT_READY" | "WORKER_ENDED" | "GATEWAY_DEADLINE" => {}
                other => panic!("a snapshot fails with {other}"),
            },
        }
    }
}
