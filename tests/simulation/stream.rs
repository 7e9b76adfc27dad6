//! One open stream: what it wants, the real queue of what it was given, and two followers, one
//! where the hub delivers and one where the client reads.
//!
//! Checks that whatever was put into the queue is read or counted as skipped, that the newest is
//! always kept, and that subscriptions end for a reason.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use ibouncer_client::{EventRef, events};
use ibouncer_core::fields::{field, is_data};
use ibouncer_core::ids::{ClientId, StreamId};
use ibouncer_core::memory::Memory;
use ibouncer_core::queue::{Chunk, StreamQueue};
use ibouncer_proto::api::v1::{MarkKind, StreamMark};
use prost::Message as _;

use crate::events::Event;
use crate::follower::{End, Follower, Seen, What};
use crate::wishes::Key;
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
    /// What a reader knows who gets everything, and what this one knows.
    pub(crate) told: BTreeMap<u32, State>,
    known: BTreeMap<u32, State>,
    pub(crate) slow: bool,
    pulls: bool,
    /// How often everything was read.
    emptied: u64,
    pub(crate) next_subscription: u32,
}

/// What is known of a line from its events: last values, the book, the things of an image.
#[derive(Debug)]
pub(crate) struct State(Memory);

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
        for entry in chunk.entries() {
            let body = chunk.body(entry);
            let what = match entry.field {
                field::MARK => What::Mark(Box::new(StreamMark::decode(body).expect("a mark"))),
                field::ERROR => What::Error,
                field if !is_data(field) => What::Answer,
                _ => What::Data,
            };
            if let What::Mark(mark) = &what {
                self.trace.line(
                    self.now,
                    &format!("{id} {} {:?}: {}", entry.subscription, mark.kind(), mark.because),
                );
                self.dirty = true;
                self.clients.queued += u64::from(mark.kind() == MarkKind::Queued);
            }
            let tally = stream.tallies.entry(entry.subscription).or_default();
            tally.pushed += u64::from(!entry.reset);
            tally.replayed += u64::from(entry.replayed);
            let seen = Seen {
                subscription: entry.subscription,
                sequence: entry.sequence,
                skipped: 0,
                replayed: entry.replayed,
                what,
            };
            let number = seen.subscription;
            let was_live = stream.pushed.lives().contains_key(&number);
            let was_known = was_live || stream.pushed.waiting().contains(&number);
            State::follow(&mut stream.told, &stream.keys, &seen, entry.field, body);
            match stream.pushed.on_event(&seen) {
                None if stream.pushed.waiting().contains(&seen.subscription) => {}
                None => tally.lives += u64::from(!was_live),
                Some(End::BadNumber) => {}
                Some(end) => {
                    let key = stream.keys.remove(&seen.subscription).expect("it was asked for");
                    stream.told.remove(&seen.subscription);
                    check_end(&end, was_live, was_known, &key);
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

    /// A book of which changes were left out is asked for, once the reader has caught up.
    fn ask_for_book(&mut self, id: StreamId) {
        let Some(stream) = self.clients.streams.get_mut(&id) else {
            return;
        };
        if let Some(subscription) = stream.queue.poll_lost_book() {
            self.clients.books += 1;
            let at = self.now + Duration::from_micros(20);
            self.agenda.add(at, Event::BookLost(id, subscription));
        }
    }

    /// A client reads what waits, or a part of it.
    pub(crate) fn on_pull(&mut self, id: StreamId) {
        let Some(stream) = self.clients.streams.get_mut(&id) else {
            return;
        };
        let most = if stream.slow { self.rng.usize(1..2000) } else { 256 * 1024 };
        let message = stream.queue.message(most).unwrap_or_default();
        // Behind gRPC's header.
        let out = message.get(5..).unwrap_or_default();
        for event in events(out) {
            let event = event.expect("an event");
            self.clients.read += 1;
            self.clients.skipped += u64::from(event.skipped);
            stream.on_pulled(&event);
        }
        self.trace.bytes(out);
        if stream.queue.is_empty() {
            stream.pulls = false;
            stream.emptied += 1;
            stream.check_emptied();
        } else {
            let delay = if stream.slow { self.rng.u64(1000..500_000) } else { 10 };
            let at = self.now + Duration::from_micros(delay);
            self.agenda.add(at, Event::Pull(id));
        }
        self.ask_for_book(id);
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
            told: BTreeMap::new(),
            known: BTreeMap::new(),
            slow,
            pulls: false,
            emptied: 0,
            next_subscription: 0,
        }
    }

    /// Everything that was delivered was read.
    pub(crate) fn is_read(&self) -> bool {
        self.queue.is_empty()
    }

    fn on_pulled(&mut self, event: &EventRef<'_>) {
        let field = u8::try_from(event.field).expect("a field of an event");
        let what = match field {
            field::MARK => What::Mark(Box::new(StreamMark::decode(event.body).expect("a mark"))),
            field::ERROR => What::Error,
            field if !is_data(field) => What::Answer,
            _ => What::Data,
        };
        let subscription = event.subscription_id.0;
        let tally = self.tallies.entry(subscription).or_default();
        let is_reset = matches!(&what, What::Mark(mark) if mark.kind() == MarkKind::Reset);
        tally.pulled += u64::from(!is_reset);
        tally.skipped += u64::from(event.skipped);
        let seen = Seen {
            subscription,
            sequence: event.sequence,
            skipped: event.skipped,
            replayed: event.replayed,
            what,
        };
        State::follow(&mut self.known, &self.keys, &seen, field, event.body);
        self.pulled.on_event(&seen);
    }

    /// With nothing left to read, both followers have come to the same end.
    fn check_emptied(&self) {
        // What is left out of a book is counted once it comes whole again, what is cut off a tape
        // with its next event.
        let whole = |subscription: &u32| !self.queue.owes(*subscription);
        for (subscription, tally) in self.tallies.iter().filter(|(number, _)| whole(number)) {
            let accounted = tally.pulled + tally.skipped;
            assert_eq!(tally.pushed, accounted, "subscription {subscription}: {tally:?}");
        }
        let (pushed, pulled) = (self.pushed.lives(), self.pulled.lives());
        assert!(pushed.keys().eq(pulled.keys()), "{pushed:?} was pushed, {pulled:?} pulled");
        for (subscription, life) in pulled.iter().filter(|(number, _)| whole(number)) {
            let other = &pushed[subscription];
            assert_eq!((life.last, life.stale), (other.last, other.stale), "the newest is kept");
            if self.emptied.is_multiple_of(8)
                && let (Some(told), Some(known)) =
                    (self.told.get(subscription), self.known.get(subscription))
            {
                assert_eq!(told.facts(), known.facts(), "what {subscription} knows");
            }
            let tally = &self.tallies[subscription];
            if tally.replayed == 0 && tally.lives == 1 {
                let numbers = life.last - life.start;
                assert_eq!(life.events + life.skipped, numbers, "a gap that nobody counted");
            }
        }
    }
}

impl State {
    /// Takes notice of an event.
    fn follow(
        states: &mut BTreeMap<u32, Self>,
        keys: &BTreeMap<u32, Key>,
        seen: &Seen,
        field: u8,
        body: &[u8],
    ) {
        match &seen.what {
            What::Mark(mark) if mark.kind() == MarkKind::Subscribed => {
                if let Some(key) = keys.get(&seen.subscription) {
                    let kind = key.kind();
                    states.insert(seen.subscription, Self(kind.memory()));
                }
            }
            What::Mark(mark) if mark.kind() == MarkKind::Reset => {
                if let Some(state) = states.get_mut(&seen.subscription) {
                    state.0.on_reset();
                }
            }
            What::Data | What::Answer => {
                if let Some(state) = states.get_mut(&seen.subscription) {
                    state.0.remember(field, seen.sequence, body);
                }
            }
            What::Mark(_) | What::Error => {}
        }
    }

    /// In an order of their own, since what is newer may have come in another.
    pub(crate) fn facts(&self) -> Vec<(u8, Bytes)> {
        let all = self.0.replay(None, 0).into_iter();
        let mut facts: Vec<_> = all.map(|fact| (fact.field, fact.body)).collect();
        facts.sort();
        facts
    }
}

fn check_end(end: &End, was_live: bool, was_known: bool, key: &Key) {
    match end {
        End::Asked | End::BadNumber => assert!(was_known),
        End::Error(code, _) if code == "LINES_EXHAUSTED" => assert!(!was_live),
        End::Error(code, gateway) => {
            assert!(was_live, "{key:?} was refused with {code}");
            assert!(key.is_doomed(), "{key:?} was ended by error {gateway}");
        }
    }
}
