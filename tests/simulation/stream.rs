//! One open stream: what it wants, the real queue of what it was given, and two followers, one
//! where the hub delivers and one where the client reads.
//!
//! Checks that whatever was put into the queue is read or counted as skipped, that the newest is
//! always kept, and that subscriptions end for a reason.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use ibouncer_core::fields::field;
use ibouncer_core::ids::{ClientId, StreamId};
use ibouncer_core::queue::{Chunk, StreamQueue};
use ibouncer_proto::api::v1::{
    MarketDataEvent, StreamMark, StreamMarketDataResponse, market_data_event::Body,
};
use prost::Message as _;

use crate::clients::Key;
use crate::events::Event;
use crate::follower::{End, Follower, Seen, What};
use crate::world::World;

/// One open stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) client: ClientId,
    /// Live subscriptions, as the client knows that the broker knows them.
    pub(crate) keys: BTreeMap<u32, Key>,
    pub(crate) pushed: Follower,
    pulled: Follower,
    queue: StreamQueue,
    tallies: BTreeMap<u32, Tally>,
    pub(crate) slow: bool,
    pulls: bool,
    pub(crate) next_subscription: u32,
}

/// Events of one number of a subscription.
#[derive(Debug, Default)]
struct Tally {
    pushed: u64,
    pulled: u64,
    skipped: u64,
    /// Last values among those pushed, and lives that used the number.
    replayed: u64,
    lives: u64,
}

impl World {
    /// The hub delivers to a stream.
    pub(crate) fn on_delivery(&mut self, id: StreamId, chunk: Chunk) {
        let now = self.instant();
        let stream = self.clients.streams.get_mut(&id);
        let stream = stream.unwrap_or_else(|| panic!("delivery to {id}, which is closed"));
        for entry in &chunk.entries {
            let body = &chunk.bytes[entry.start as usize..][..entry.length as usize];
            let what = match entry.field {
                field::MARK => What::Mark(Box::new(StreamMark::decode(body).expect("a mark"))),
                field::ERROR => What::Error,
                _ => What::Data,
            };
            if let What::Mark(mark) = &what {
                self.trace.line(
                    self.now,
                    &format!("{id} {} {:?}: {}", entry.subscription, mark.kind(), mark.because),
                );
                self.dirty = true;
            }
            let tally = stream.tallies.entry(entry.subscription).or_default();
            tally.pushed += 1;
            tally.replayed += u64::from(entry.replayed);
            let seen = Seen {
                subscription: entry.subscription,
                sequence: entry.sequence,
                skipped: 0,
                replayed: entry.replayed,
                what,
            };
            let was_live = stream.pushed.lives().contains_key(&seen.subscription);
            match stream.pushed.on_event(&seen) {
                None => tally.lives += u64::from(!was_live),
                Some(End::BadNumber) => {}
                Some(end) => {
                    let key = stream.keys.remove(&seen.subscription).expect("it was asked for");
                    check_end(&end, was_live, &key);
                }
            }
        }
        stream.queue.push(chunk, now);
        let patience = self.hub.patience();
        assert_eq!(stream.queue.hopeless(now, patience), None);
        if !std::mem::replace(&mut stream.pulls, true) {
            let delay = match stream.slow {
                false => self.rng.u64(10..5000),
                true => self.rng.u64(1000..8_000_000),
            };
            let at = self.now + Duration::from_micros(delay);
            self.agenda.add(at, Event::Pull(id));
        }
    }

    /// A client reads what waits, or a part of it.
    pub(crate) fn on_pull(&mut self, id: StreamId) {
        let Some(stream) = self.clients.streams.get_mut(&id) else {
            return;
        };
        let mut out = BytesMut::new();
        let most = if stream.slow { self.rng.usize(1..2000) } else { 256 * 1024 };
        stream.queue.pull(most, &mut out);
        let response = StreamMarketDataResponse::decode(&out[..]).expect("a response");
        for event in response.events {
            self.clients.read += 1;
            self.clients.skipped += u64::from(event.skipped);
            stream.on_pulled(event);
        }
        self.trace.bytes(&out);
        if stream.queue.is_empty() {
            stream.pulls = false;
            stream.check_emptied();
        } else {
            let delay = if stream.slow { self.rng.u64(1000..500_000) } else { 10 };
            let at = self.now + Duration::from_micros(delay);
            self.agenda.add(at, Event::Pull(id));
        }
    }
}

impl Stream {
    /// One that was just opened, with a queue of this size.
    pub(crate) fn new(client: ClientId, limit: usize, slow: bool) -> Self {
        Self {
            client,
            keys: BTreeMap::new(),
            pushed: Follower::new(true),
            pulled: Follower::new(false),
            queue: StreamQueue::new(limit),
            tallies: BTreeMap::new(),
            slow,
            pulls: false,
            next_subscription: 0,
        }
    }

    /// Everything that was delivered was read.
    pub(crate) fn is_read(&self) -> bool {
        self.queue.is_empty()
    }

    fn on_pulled(&mut self, event: MarketDataEvent) {
        let what = match event.body.expect("an event has a body") {
            Body::Mark(mark) => What::Mark(Box::new(mark)),
            Body::Error(_) => What::Error,
            _ => What::Data,
        };
        let tally = self.tallies.entry(event.subscription_id).or_default();
        tally.pulled += 1;
        tally.skipped += u64::from(event.skipped);
        let seen = Seen {
            subscription: event.subscription_id,
            sequence: event.sequence,
            skipped: event.skipped,
            replayed: event.replayed,
            what,
        };
        self.pulled.on_event(&seen);
    }

    /// With nothing left to read, both followers have come to the same end.
    fn check_emptied(&self) {
        for (subscription, tally) in &self.tallies {
            let accounted = tally.pulled + tally.skipped;
            assert_eq!(tally.pushed, accounted, "subscription {subscription}: {tally:?}");
        }
        let (pushed, pulled) = (self.pushed.lives(), self.pulled.lives());
        assert!(pushed.keys().eq(pulled.keys()), "{pushed:?} was pushed, {pulled:?} pulled");
        for (subscription, life) in pulled {
            let other = &pushed[subscription];
            assert_eq!((life.last, life.stale), (other.last, other.stale), "the newest is kept");
            let tally = &self.tallies[subscription];
            if tally.replayed == 0 && tally.lives == 1 {
                let numbers = life.last - life.start;
                assert_eq!(life.events + life.skipped, numbers, "a gap that nobody counted");
            }
        }
    }
}

fn check_end(end: &End, was_live: bool, key: &Key) {
    match end {
        End::Asked | End::BadNumber => assert!(was_live),
        End::Error(code, _) if code == "LINES_EXHAUSTED" => assert!(!was_live),
        End::Error(code, gateway) => {
            assert!(was_live, "{key:?} was refused with {code}");
            assert!(key.is_doomed(), "{key:?} was ended by error {gateway}");
        }
    }
}
