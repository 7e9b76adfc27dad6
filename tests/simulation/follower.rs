//! What a subscriber may see: the rules of one stream's subscriptions, followed event by event.
//!
//! SUBSCRIBED first, ENDED last, STALE and RESUMED in turns with no live tick between them,
//! numbers that never go back. A strict follower stands where the hub delivers, and there every
//! number of the line must come; another stands where the client reads, behind the queue.

use std::collections::{BTreeMap, BTreeSet};

use ibouncer_proto::api::v1::{MarkKind, StreamMark};

/// One event of a subscription.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) subscription: u32,
    pub(crate) sequence: u64,
    pub(crate) skipped: u32,
    pub(crate) replayed: bool,
    pub(crate) what: What,
}

/// What it is.
#[derive(Debug, PartialEq)]
pub(crate) enum What {
    /// Market data, or anything else from Gateway but what is named below.
    Data,
    /// What comes with a request, and proves nothing.
    Answer,
    Error,
    Mark(Box<StreamMark>),
}

/// How a subscription ended, or a request was refused.
#[derive(Debug, PartialEq)]
pub(crate) enum End {
    /// It was asked for.
    Asked,
    /// It did not: the number of a request cannot be meant.
    BadNumber,
    /// An error, by its code and Gateway's.
    Error(String, i32),
}

/// One live subscription.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) start: u64,
    pub(crate) last: u64,
    pub(crate) stale: bool,
    /// Events after the start that came, and that were left out.
    pub(crate) events: u64,
    pub(crate) skipped: u64,
    /// Live data since this was last set to zero.
    pub(crate) fresh: u64,
    /// A whole book is being told, or a whole state.
    resetting: bool,
}

/// All subscriptions of one stream.
#[derive(Debug)]
pub(crate) struct Follower {
    strict: bool,
    lives: BTreeMap<u32, Life>,
    /// Those that wait for a line.
    waiting: BTreeSet<u32>,
}

impl Follower {
    /// Of a stream that was just opened.
    pub(crate) fn new(strict: bool) -> Self {
        Self { strict, lives: BTreeMap::new(), waiting: BTreeSet::new() }
    }

    /// The live ones.
    pub(crate) fn lives(&self) -> &BTreeMap<u32, Life> {
        &self.lives
    }

    /// Those that wait for a line.
    pub(crate) fn waiting(&self) -> &BTreeSet<u32> {
        &self.waiting
    }

    /// From now on fresh data is counted.
    pub(crate) fn forget_fresh(&mut self) {
        self.lives.values_mut().for_each(|life| life.fresh = 0);
    }

    /// One event; tells if it ended a subscription, or refused one.
    pub(crate) fn on_event(&mut self, seen: &Seen) -> Option<End> {
        match &seen.what {
            What::Data | What::Answer | What::Error => {
                self.on_data(seen);
                None
            }
            What::Mark(mark) => self.on_mark(seen, mark),
        }
    }

    fn on_data(&mut self, seen: &Seen) {
        let strict = self.strict;
        let life = self.lives.get_mut(&seen.subscription);
        let life = life.unwrap_or_else(|| panic!("an event outside of a subscription: {seen:?}"));
        if seen.replayed {
            let begins = life.events == 0 && seen.sequence <= life.start;
            assert!(begins || life.resetting, "a replay out of place: {seen:?}, {life:?}");
            let told_again = life.resetting;
            assert!(!strict || !life.stale || told_again, "replay behind STALE: {seen:?}");
            if !strict {
                // Of a slow reader's events the newest of each thing is kept, which can be the one
                // that was told again.
                life.last = life.last.max(seen.sequence);
            }
            return;
        }
        life.resetting = false;
        if seen.what == What::Data {
            assert!(!life.stale, "live data between STALE and RESUMED: {seen:?}");
            life.fresh += 1;
        }
        if strict {
            assert_eq!(seen.sequence, life.last + 1, "a number is missing: {seen:?}");
        }
        assert!(seen.sequence > life.last, "numbers go back: {seen:?}, {life:?}");
        life.last = seen.sequence;
        life.events += 1;
        life.skipped += u64::from(seen.skipped);
    }

    fn on_mark(&mut self, seen: &Seen, mark: &StreamMark) -> Option<End> {
        let strict = self.strict;
        let life = self.lives.get_mut(&seen.subscription);
        let kind = mark.kind();
        if kind == MarkKind::Refused {
            let code = mark.error.as_ref().map(|error| error.code.as_str());
            assert_eq!(code, Some("BAD_SUBSCRIPTION_ID"));
            return Some(End::BadNumber);
        }
        match (kind, life) {
            (MarkKind::Subscribed, None) => {
                let life = Life {
                    start: seen.sequence,
                    last: seen.sequence,
                    stale: false,
                    events: 0,
                    skipped: 0,
                    fresh: 0,
                    resetting: false,
                };
                self.waiting.remove(&seen.subscription);
                self.lives.insert(seen.subscription, life);
                None
            }
            (MarkKind::Stale | MarkKind::Resumed, Some(life)) => {
                let stale = kind == MarkKind::Stale;
                assert_ne!(life.stale, stale, "{kind:?} twice: {seen:?}");
                assert!(!strict || seen.sequence == life.last, "{seen:?}, {life:?}");
                assert!(seen.sequence >= life.last, "numbers go back: {seen:?}, {life:?}");
                life.stale = stale;
                // What has a state tells it again.
                life.resetting = !stale;
                None
            }
            // Also one that had a line, which Gateway then had not (101).
            (MarkKind::Queued, _) => {
                self.lives.remove(&seen.subscription);
                assert!(self.waiting.insert(seen.subscription), "it waits already: {seen:?}");
                None
            }
            (MarkKind::Reset, Some(life)) => {
                assert!(seen.sequence >= life.last, "numbers go back: {seen:?}, {life:?}");
                life.resetting = true;
                life.skipped += u64::from(seen.skipped);
                life.last = seen.sequence;
                None
            }
            (MarkKind::Gap, Some(life)) => {
                assert!(seen.sequence >= life.last, "numbers go back: {seen:?}, {life:?}");
                None
            }
            (MarkKind::Ended, life) => {
                let end = match &mark.error {
                    None => End::Asked,
                    Some(error) => End::Error(error.code.clone(), error.gateway_code),
                };
                let waited = self.waiting.remove(&seen.subscription);
                let was = life.is_some() || waited;
                assert!(end != End::Asked || was, "ENDED of nothing: {seen:?}");
                self.lives.remove(&seen.subscription);
                Some(end)
            }
            (kind, life) => panic!("{kind:?} is out of place: {seen:?}, {life:?}"),
        }
    }
}
