//! When a message may leave for Gateway: one budget, lanes by urgency, fair between clients.
//!
//! Owns the token bucket and what waits for it. A burst is small, so that no second, wherever
//! it begins, sees more than Gateway's 50 messages. Inside a lane clients take turns; a message
//! never overtakes an earlier one of the same client. Lower lanes are never starved. Messages
//! that wait can be taken back, and then nothing leaves.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::ids::{ClientId, RequestId};
use crate::settings::PacingSettings;

/// After so many messages of higher lanes in a row, a lower lane that waits gets one.
const TURNS: u32 = 8;

/// Lanes, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// What the session itself needs.
    Control,
    /// Cancels of data: they free lines.
    DataCancel,
    /// Requests for data.
    Data,
}

const LANES: usize = 3;

/// One message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The whole frame.
    pub frame: Bytes,
    /// Its request id.
    pub request: RequestId,
    /// The market data type that must be in force when it leaves, if it depends on one.
    pub feed: Option<i32>,
}

/// The budget.
#[derive(Debug)]
pub struct Pacer {
    per_second: f64,
    burst: f64,
    tokens: f64,
    counted: Instant,
    lanes: [LaneQueue; LANES],
    /// Messages in a row from lanes above one that waits.
    turns: u32,
}

#[derive(Debug, Default)]
struct LaneQueue {
    clients: BTreeMap<ClientId, VecDeque<Waiting>>,
    /// Whose turn was last.
    last: Option<ClientId>,
}

impl Pacer {
    /// A full bucket.
    pub fn new(settings: &PacingSettings, now: Instant) -> Self {
        let per_second = f64::from(settings.messages_per_second.max(1));
        let burst = (per_second / 9.0).max(1.0);
        Self {
            per_second,
            burst,
            tokens: burst,
            counted: now,
            lanes: std::array::from_fn(|_| LaneQueue::default()),
            turns: 0,
        }
    }

    /// Adds a message at the end of its client's queue.
    pub fn push(&mut self, lane: Lane, client: ClientId, message: Waiting) {
        self.lanes[lane as usize].clients.entry(client).or_default().push_back(message);
    }

    /// Takes a message back. True if it was still waiting.
    pub fn take_back(&mut self, request: RequestId) -> bool {
        let mut found = false;
        for lane in &mut self.lanes {
            lane.clients.retain(|_, queue| {
                let before = queue.len();
                queue.retain(|waiting| waiting.request != request);
                found |= queue.len() < before;
                !queue.is_empty()
            });
        }
        found
    }

    /// The next message that may leave now.
    pub fn pop(&mut self, now: Instant) -> Option<Waiting> {
        self.refill(now);
        if self.tokens < 1.0 {
            return None;
        }
        let first = self.lanes.iter().position(|lane| !lane.is_empty())?;
        let lower = (first + 1..LANES).find(|lane| !self.lanes[*lane].is_empty());
        let lane = match lower {
            Some(lower) if self.turns >= TURNS => {
                self.turns = 0;
                lower
            }
            Some(_) => {
                self.turns += 1;
                first
            }
            None => first,
        };
        self.tokens -= 1.0;
        self.lanes[lane].next()
    }

    /// A message left without asking: a heartbeat, or the half of a unit.
    pub fn charge(&mut self, now: Instant) {
        self.refill(now);
        self.tokens -= 1.0;
    }

    /// It is not known what left just before: nothing leaves until the bucket has filled again.
    pub fn drain(&mut self, now: Instant) {
        self.refill(now);
        self.tokens = 0.0;
    }

    /// Another budget from now on.
    pub fn on_settings(&mut self, settings: &PacingSettings) {
        self.per_second = f64::from(settings.messages_per_second.max(1));
        self.burst = (self.per_second / 9.0).max(1.0);
        self.tokens = self.tokens.min(self.burst);
    }

    /// When the next message may leave, if one waits.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.lanes.iter().all(LaneQueue::is_empty) {
            return None;
        }
        let missing = (1.0 - self.tokens).max(0.0);
        // A hair later than computed, so that rounding cannot make it too early.
        let wait = Duration::from_secs_f64(missing / self.per_second) + Duration::from_micros(1);
        Some(if missing == 0.0 { self.counted } else { self.counted + wait })
    }

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.lanes.iter().flat_map(|lane| lane.clients.values()).map(VecDeque::len).sum()
    }

    /// Does nothing wait?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The session is gone: what waits is for nobody.
    pub fn clear(&mut self) {
        for lane in &mut self.lanes {
            *lane = LaneQueue::default();
        }
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        self.counted = self.counted.max(now);
    }
}

impl LaneQueue {
    fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// The first message of the client whose turn it is.
    fn next(&mut self) -> Option<Waiting> {
        use std::ops::Bound::{Excluded, Unbounded};
        let after = self.last.map_or(Unbounded, Excluded);
        let turn = self.clients.range((after, Unbounded)).next().or(self.clients.iter().next());
        let client = *turn?.0;
        self.last = Some(client);
        let queue = self.clients.get_mut(&client)?;
        let message = queue.pop_front();
        if queue.is_empty() {
            self.clients.remove(&client);
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: i32) -> Waiting {
        Waiting { frame: Bytes::new(), request: RequestId(id), feed: None }
    }

    fn pacer() -> (Pacer, Instant) {
        let now = Instant::now();
        (Pacer::new(&PacingSettings::default(), now), now)
    }

    /// Everything that leaves, with its time, in the order of leaving.
    fn run(pacer: &mut Pacer, mut now: Instant) -> Vec<(Instant, i32)> {
        let mut left = Vec::new();
        while let Some(at) = pacer.poll_timeout() {
            now = now.max(at);
            while let Some(message) = pacer.pop(now) {
                left.push((now, message.request.0));
            }
        }
        left
    }

    #[test]
    fn no_second_sees_more_than_fifty() {
        let (mut pacer, now) = pacer();
        for id in 0..500 {
            pacer.push(Lane::Data, ClientId(u64::from(id as u32 % 7)), message(id));
        }
        let left = run(&mut pacer, now);
        assert_eq!(left.len(), 500);
        for window in left.windows(51) {
            assert!(window[50].0 - window[0].0 > Duration::from_secs(1));
        }
        let took = left[499].0 - left[0].0;
        assert!(took < Duration::from_secs_f64(500.0 / 45.0 + 0.1), "{took:?}: no time is wasted");
    }

    #[test]
    fn clients_take_turns_and_keep_their_own_order() {
        let (mut pacer, now) = pacer();
        for id in 0..10 {
            pacer.push(Lane::Data, ClientId(1), message(id));
        }
        pacer.push(Lane::Data, ClientId(2), message(100));
        let order: Vec<_> = run(&mut pacer, now).into_iter().map(|(_, id)| id).collect();
        assert_eq!(order[..3], [0, 100, 1]);
        assert!(order.iter().filter(|id| **id < 100).is_sorted());
    }

    #[test]
    fn cancels_lead_and_never_starve_what_is_below() {
        let (mut pacer, now) = pacer();
        pacer.push(Lane::Data, ClientId(1), message(1000));
        for id in 0..100 {
            pacer.push(Lane::DataCancel, ClientId(1), message(id));
        }
        let order: Vec<_> = run(&mut pacer, now).into_iter().map(|(_, id)| id).collect();
        let place = order.iter().position(|id| *id == 1000).unwrap();
        assert_eq!(place, TURNS as usize);
    }

    #[test]
    fn what_waits_can_be_taken_back() {
        let (mut pacer, now) = pacer();
        pacer.push(Lane::Data, ClientId(1), message(1));
        pacer.push(Lane::Data, ClientId(1), message(2));
        assert!(pacer.take_back(RequestId(1)));
        assert!(!pacer.take_back(RequestId(1)));
        assert_eq!(pacer.pop(now).map(|message| message.request), Some(RequestId(2)));
        assert!(pacer.is_empty());
        assert_eq!(pacer.poll_timeout(), None);
    }
}
