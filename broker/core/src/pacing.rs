//! When a message may leave for Gateway: one budget, lanes by urgency, fair between clients.
//!
//! Owns the token bucket and what waits for it. A burst is small, so that no second, wherever
//! it begins, sees more than Gateway's 50 messages. Inside a lane, but for that of orders, clients
//! take turns; a message never overtakes an earlier one of the same client, unless a rule of Gateway holds the earlier
//! one back (`pacing/gates.rs`). Lower lanes are never starved; only requests for data wait for
//! all cancels of data (`pacing/turns.rs`). Messages that wait can be taken back, and then nothing
//! leaves. Read on in `pacing/waiting_line.rs`: who stands where in the queue.

pub mod gates;
mod history_rules;
mod turns;
mod verdict;
mod waiting_line;

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::ids::{ClientId, RequestId};
use crate::settings::PacingSettings;
use gates::{Gate, Gates, Group};
use turns::Turns;
use verdict::Verdict;
pub use waiting_line::Place;
use waiting_line::WaitingLine;

/// Without another complaint of Gateway for this long, the full rate is tried again.
const FORGIVEN: Duration = Duration::from_secs(600);

/// Complaints within this time are about messages that left before the first of them: Gateway counts
/// by the second.
const SAME_BURST: Duration = Duration::from_secs(2);

/// However often Gateway complains.
const SLOWEST: f64 = 5.0;

/// Lanes, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Cancels of orders.
    OrderCancel,
    /// Orders.
    Order,
    /// What the session itself needs.
    Control,
    /// Cancels of data: they free lines.
    DataCancel,
    /// Requests for data.
    Data,
    /// Requests for history.
    History,
}

impl Lane {
    /// All, most urgent first.
    pub const ALL: [Self; LANES] = [
        Self::OrderCancel,
        Self::Order,
        Self::Control,
        Self::DataCancel,
        Self::Data,
        Self::History,
    ];

    /// Name in GetQueue.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OrderCancel => "order-cancel",
            Self::Order => "order",
            Self::Control => "control",
            Self::DataCancel => "data-cancel",
            Self::Data => "data",
            Self::History => "history",
        }
    }
}

const LANES: usize = 6;

/// One message that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// The whole frame.
    pub frame: Bytes,
    /// Its request id.
    pub request: RequestId,
    /// The market data type that must be in force when it leaves, if it depends on one.
    pub feed: Option<i32>,
    /// A rule of Gateway for requests of its kind.
    pub gate: Gate,
    /// What it is, for people: TWS name, and what it is about.
    pub what: (&'static str, String),
}

/// The budget.
#[derive(Debug)]
pub struct Pacer {
    configured: f64,
    per_second: f64,
    tokens: f64,
    counted: Instant,
    gates: Gates,
    lanes: [WaitingLine; LANES],
    turns: Turns,
    /// Nothing that waits may leave before; none if something may.
    held_until: Option<Instant>,
    /// Gateway complained.
    complained: Option<Instant>,
}

impl Pacer {
    /// A full bucket.
    pub fn new(settings: &PacingSettings, now: Instant) -> Self {
        let per_second = f64::from(settings.messages_per_second.max(1));
        Self {
            configured: per_second,
            per_second,
            tokens: burst(per_second),
            counted: now,
            gates: Gates::default(),
            lanes: Lane::ALL.map(|lane| match lane {
                Lane::Order => WaitingLine::as_it_comes(),
                _ => WaitingLine::default(),
            }),
            turns: Turns::default(),
            held_until: None,
            complained: None,
        }
    }

    /// Adds a message at the end of its client's queue.
    pub fn push(&mut self, lane: Lane, client: ClientId, message: Waiting) {
        self.held_until = None;
        self.lanes[lane as usize].push(client, message);
    }

    /// Takes a message back. True if it was still waiting.
    pub fn take_back(&mut self, request: RequestId) -> bool {
        let mut found = false;
        for lane in &mut self.lanes {
            found |= lane.take_back(request);
        }
        self.gates.on_cancelled(request);
        self.held_until = None;
        found
    }

    /// A request is answered or cancelled; another may have waited for that.
    pub fn on_done(&mut self, request: RequestId) {
        self.gates.on_done(request);
        self.held_until = None;
    }

    /// It was not answered in time; until then others of its kind may have to wait for that.
    pub fn on_late(&mut self, request: RequestId, until: Instant) {
        self.gates.on_late(request, until);
        self.held_until = None;
    }

    /// A cancel has left. What it takes back may have to end first.
    pub fn on_cancel_left(&mut self, request: RequestId, now: Instant) {
        self.gates.on_cancel_left(request, now);
        self.held_until = None;
    }

    /// The answer to a request of the broker before has not come to its end.
    pub fn owe(&mut self, group: Group, now: Instant) {
        self.gates.owe(group, now);
        self.held_until = None;
    }

    /// Must the next of this group wait?
    pub fn is_held(&self, group: Group, now: Instant) -> bool {
        self.gates.check(&Gate::Alone(group), ClientId(0), now) != Verdict::Go
    }

    /// When what holds it back is given up, if its answer is only waited for.
    pub fn held_until(&self, group: Group) -> Option<Instant> {
        self.gates.held_until(group)
    }

    /// A piece of what nobody waits for has come; others of its group wait for its end.
    pub fn on_rest(&mut self, group: Group, is_end: bool, now: Instant) {
        self.gates.on_rest(group, is_end, now);
        self.held_until = None;
    }

    /// The next message that may leave now.
    pub fn pop(&mut self, now: Instant) -> Option<Waiting> {
        self.refill(now);
        if self.tokens < 1.0 || self.held_until.is_some_and(|until| now < until) {
            return None;
        }
        let ready = std::array::from_fn(|lane| self.lanes[lane].has_ready(&self.gates, now));
        let Some(lane) = self.turns.choose(ready) else {
            self.held_until = self.earliest(now);
            return None;
        };
        self.tokens -= 1.0;
        let (client, message) = self.lanes[lane].next(&self.gates, now)?;
        self.gates.on_left(&message.gate, message.request, client, now);
        Some(message)
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

    /// Gateway says that messages come too fast (error 100). Half the rate from now on; the new
    /// one. Of one burst it says so of each message, and that is one complaint.
    pub fn on_complaint(&mut self, now: Instant) -> f64 {
        self.refill(now);
        if self.complained.is_some_and(|at| now < at + SAME_BURST) {
            return self.per_second;
        }
        self.per_second = (self.per_second / 2.0).max(SLOWEST).min(self.configured);
        self.tokens = self.tokens.min(0.0);
        self.complained = Some(now);
        self.per_second
    }

    /// Gateway says that a history came too early (162): for some seconds none of small bars leaves.
    pub fn on_violated(&mut self, now: Instant) {
        self.gates.on_violated(now);
    }

    /// Another budget from now on.
    pub fn on_settings(&mut self, settings: &PacingSettings) {
        self.configured = f64::from(settings.messages_per_second.max(1));
        // What Gateway complained of is not forgotten with that.
        self.per_second = match self.complained {
            Some(_) => self.per_second.min(self.configured),
            None => self.configured,
        };
        self.tokens = self.tokens.min(burst(self.per_second));
    }

    /// Of what Gateway allows of history, one client may use so many percent.
    pub fn set_history_share(&mut self, percent: u32) {
        self.gates.set_history_share(percent);
        self.held_until = None;
    }

    /// Messages that may leave in a second, as things are.
    pub fn rate(&self) -> f64 {
        self.per_second
    }

    /// When the next message may leave, if one waits and time alone can free it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.lanes.iter().all(WaitingLine::is_empty) {
            return None;
        }
        let missing = (1.0 - self.tokens).max(0.0);
        // A hair later than computed, so that rounding cannot make it too early.
        let wait = Duration::from_secs_f64(missing / self.per_second) + Duration::from_micros(1);
        let filled = if missing == 0.0 { self.counted } else { self.counted + wait };
        Some(self.held_until.map_or(filled, |until| until.max(filled)))
    }

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.lanes.iter().map(WaitingLine::len).sum()
    }

    /// Does nothing wait?
    pub fn is_empty(&self) -> bool {
        self.lanes.iter().all(WaitingLine::is_empty)
    }

    /// Messages of a client that wait.
    pub fn waiting_of(&self, client: ClientId) -> usize {
        self.lanes.iter().map(|lane| lane.of(client)).sum()
    }

    /// What waits, in the order in which it will leave if nothing comes in between.
    pub fn queue(&self, now: Instant) -> Vec<Place> {
        waiting_line::places(
            &self.lanes,
            &self.gates,
            self.turns,
            (self.per_second, self.tokens),
            now,
        )
    }

    /// The session is gone: what waits is for nobody.
    pub fn clear(&mut self) {
        self.lanes.iter_mut().for_each(WaitingLine::clear);
        self.gates.clear_open();
        self.held_until = None;
    }

    fn earliest(&self, now: Instant) -> Option<Instant> {
        // What waits for an answer is freed by it; it is looked at again all the same.
        const LOOK_AGAIN: Duration = Duration::from_secs(1);
        let waits = self.lanes.iter().any(|lane| !lane.is_empty());
        let freed = self.lanes.iter().filter_map(|lane| lane.earliest(&self.gates, now)).min();
        waits.then(|| freed.map_or(now + LOOK_AGAIN, |at| at.min(now + LOOK_AGAIN)))
    }

    fn refill(&mut self, now: Instant) {
        if self.complained.is_some_and(|at| now >= at + FORGIVEN) {
            self.complained = None;
            self.per_second = self.configured;
        }
        let passed = now.saturating_duration_since(self.counted).as_secs_f64();
        let most = burst(self.per_second);
        self.tokens = (self.tokens + passed * self.per_second).min(most);
        self.counted = self.counted.max(now);
    }
}

/// So many at once; the more a second, the larger.
fn burst(per_second: f64) -> f64 {
    (per_second / 10.0).max(1.0)
}

#[cfg(test)]
mod tests;
