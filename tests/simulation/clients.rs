//! Programs that subscribe: they join, open streams, share lines, read slowly, and leave.
//!
//! Owns their calls. Checks that every call is answered exactly once, and with what it may be
//! answered. What they want is in `wishes.rs`, what their streams bring in `stream.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use ibouncer_core::error::Error;
use ibouncer_core::hub::{Input, Manner, Reply};
use ibouncer_core::ids::{CallId, ClientId, StreamId};
use ibouncer_core::principals::Credential;

use crate::broker::Wanted as Lost;
use crate::stream::Stream;
use crate::wishes::{Ask, Key};
use crate::world::World;

/// An operator's call is answered within this.
const ANSWERED: Duration = Duration::from_secs(30);

/// A snapshot has 22 s from its leaving. Before it may leave, one after the other: the cancels of a
/// hundred lines that Gateway lost (1101), the requests for them, which its own client made before it,
/// and the cancels of what is given up meanwhile; at 10 messages a second, half of that once Gateway has
/// complained.
const SNAPSHOT_ANSWERED: Duration = Duration::from_secs(90);

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
    pub(crate) answers: u64,
    pub(crate) books: u64,
    pub(crate) queued: u64,
}

#[derive(Debug)]
struct Call {
    /// When it is answered at the latest.
    until: Duration,
    expected: Expected,
}

/// What may come of a call.
#[derive(Debug)]
pub(crate) enum Expected {
    /// Whatever an operator is told.
    Anything,
    Snapshot(Key),
    Answer(Ask),
}

impl Clients {
    /// When the first of the calls that wait is to be answered.
    pub(crate) fn next_answer(&self) -> Option<Duration> {
        self.calls.values().map(|call| call.until).min()
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
        self.input(Input::ClientJoined { client, name, peer, credential: Credential::default() });
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
        let manner = Manner { wait: self.rng.u8(..4) == 0, ..Manner::default() };
        let wanted = key.wanted(way).map(Box::new);
        self.input(Input::Subscribe { stream: id, subscription, wanted, manner });
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
        let call = self.call_of(client, Expected::Snapshot(key.clone()));
        self.trace(&format!("{client} takes a snapshot of {key:?}, {call}"));
        self.input(Input::Snapshot {
            client,
            call,
            request: Box::new(key.request(way)),
            feed: key.feed,
            accept_fee: false,
        });
    }

    /// A client asks Gateway something once.
    pub(crate) fn ask(&mut self, client: ClientId, ask: Ask) {
        let call = self.call_of(client, Expected::Answer(ask));
        self.trace(&format!("{client} asks {ask:?}, {call}"));
        let asked = ask.asked().map(Box::new);
        self.input(Input::Call { client, call, asked });
    }

    /// A call of an operator, who is to be answered.
    pub(crate) fn call(&mut self) -> CallId {
        self.expect(Expected::Anything)
    }

    fn call_of(&mut self, client: ClientId, expected: Expected) -> CallId {
        let call = self.expect(expected);
        if let Some(calls) = self.clients.table.get_mut(&client) {
            calls.push(call);
        }
        call
    }

    fn expect(&mut self, expected: Expected) -> CallId {
        let call = CallId(self.clients.next());
        self.clients.asked += 1;
        let within = match expected {
            Expected::Answer(_) => Ask::ANSWERED,
            Expected::Snapshot(_) => SNAPSHOT_ANSWERED,
            Expected::Anything => ANSWERED,
        };
        self.clients.calls.insert(call, Call { until: self.now + within, expected });
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
        match call.expected {
            Expected::Anything => {}
            Expected::Snapshot(key) => check_snapshot(&key, result),
            Expected::Answer(ask) => {
                self.clients.answers += u64::from(result.is_ok());
                self.check_answer(ask, result);
            }
        }
    }

    fn check_answer(&self, ask: Ask, result: &Result<Reply, Error>) {
        match result {
            Ok(Reply::Answer(answer) | Reply::Paced(answer, _)) => ask.check_answer(answer),
            Ok(other) => panic!("{ask:?} is answered with {other:?}"),
            Err(error) => match error.code.as_str() {
                // What a broker before this one asked for is known to Gateway only.
                "GATEWAY_ERROR" if error.gateway_code == 162 && ask.is_paced() => {
                    assert!(self.broker.number > 1 || ask.is_doomed(), "{ask:?}: pacing violation");
                }
                "GATEWAY_ERROR" => assert!(ask.is_doomed(), "{ask:?}: {}", error.message),
                "NOT_READY" | "WORKER_ENDED" | "GATEWAY_DEADLINE" => {}
                other => panic!("{ask:?} fails with {other}"),
            },
        }
    }
}

fn check_snapshot(key: &Key, result: &Result<Reply, Error>) {
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
