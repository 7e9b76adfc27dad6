//! When a message may leave for Gateway: one budget, lanes by urgency, fair between clients.
//!
//! Owns the token bucket and what waits for it. A burst is small, so that no second, wherever
//! it begins, sees more than Gateway's 50 messages. Inside a lane clients take turns; a message
//! never overtakes an earlier one of the same client, unless a rule of Gateway holds the earlier
//! one back (`pacing/gates.rs`). Lower lanes are never starved. Messages that wait can be taken
//! back, and then nothing leaves. Read on in `pacing/waiting_line.rs`: who stands where in the queue.

pub mod gates;
mod turns;
mod waiting_line;

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::ids::{ClientId, RequestId};
use crate::settings::PacingSettings;
use gates::{Gate, Gates};
use turns::Turns;
pub use waiting_line::Place;
use waiting_line::WaitingLine;

/// Without another complaint of Gateway for this long, the full rate is tried again.
const FORGIVEN: Duration = Duration::from_secs(600);

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
#[derive(Debug, Clone, PartialEq, Eq)]
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
            lanes: std::array::from_fn(|_| WaitingLine::default()),
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
        self.gates.on_done(request);
        self.held_until = None;
        found
    }

    /// A request is answered or cancelled; another may have waited for that.
    pub fn on_done(&mut self, request: RequestId) {
        self.gates.on_done(request);
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
        let message = self.lanes[lane].next(&self.gates, now)?;
        self.gates.on_left(&message.gate, message.request, now);
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
    /// one.
    pub fn on_complaint(&mut self, now: Instant) -> f64 {
        self.refill(now);
        self.per_second = (self.per_second / 2.0).max(SLOWEST).min(self.configured);
        self.tokens = self.tokens.min(0.0);
        self.complained = Some(now);
        self.per_second
    }

    /// Another budget from now on.
    pub fn on_settings(&mut self, settings: &PacingSettings) {
        self.configured = f64::from(settings.messages_per_second.max(1));
        self.per_second = self.configured;
        self.tokens = self.tokens.min(burst(self.per_second));
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
        for lane in &mut self.lanes {
            *lane = WaitingLine::default();
        }
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
    (per_second / 9.0).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: i32) -> Waiting {
        Waiting {
            frame: Bytes::new(),
            request: RequestId(id),
            feed: None,
            gate: Gate::Open,
            what: ("reqMktData", String::new()),
        }
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
        assert_eq!(place, turns::PATIENCE as usize);
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

    #[test]
    fn an_order_cancel_leaves_within_two_slots_of_a_full_queue() {
        let (mut pacer, now) = pacer();
        for id in 0..500 {
            let lane = Lane::ALL[1 + id as usize % 5];
            pacer.push(lane, ClientId(u64::from(id as u32 % 40)), message(id));
        }
        for id in 0..20 {
            pacer.pop(now + Duration::from_secs(id));
        }
        pacer.push(Lane::OrderCancel, ClientId(7), message(9_999));
        let order: Vec<_> = run(&mut pacer, now + Duration::from_secs(20));
        let place = order.iter().position(|(_, id)| *id == 9_999).unwrap();
        assert!(place < 2, "it left as number {place}");
    }

    #[test]
    fn a_request_that_its_rule_holds_back_lets_others_pass() {
        let (mut pacer, now) = pacer();
        let alone = |id| Waiting { gate: Gate::Alone(gates::Group::OpenOrders), ..message(id) };
        pacer.push(Lane::Data, ClientId(1), alone(1));
        pacer.push(Lane::Data, ClientId(1), alone(2));
        pacer.push(Lane::Data, ClientId(1), message(3));
        let left = |pacer: &mut Pacer, now| pacer.pop(now).map(|message| message.request.0);
        assert_eq!(left(&mut pacer, now), Some(1));
        assert_eq!(left(&mut pacer, now), Some(3));
        assert_eq!(left(&mut pacer, now), None);
        let place = &pacer.queue(now)[0];
        assert_eq!(
            (place.request, place.because),
            (RequestId(2), "Gateway answers one such request at a time")
        );
        pacer.on_done(RequestId(1));
        assert_eq!(left(&mut pacer, now), Some(2));
    }

    #[test]
    fn a_complaint_of_gateway_halves_the_rate_for_ten_minutes() {
        let (mut pacer, now) = pacer();
        assert_eq!(pacer.on_complaint(now), 22.5);
        for id in 0..100 {
            pacer.push(Lane::Data, ClientId(1), message(id));
        }
        let left = run(&mut pacer, now);
        let took = left[99].0 - left[0].0;
        assert!(took > Duration::from_secs_f64(96.0 / 22.5), "{took:?}");
        assert_eq!(pacer.on_complaint(now), 11.25);
        pacer.charge(now + FORGIVEN);
        assert_eq!(pacer.rate(), 45.0);
    }

    #[test]
    fn the_queue_is_told_in_the_order_in_which_it_leaves() {
        let (mut pacer, now) = pacer();
        for id in 0..60 {
            let lane = Lane::ALL[3 + id as usize % 3];
            pacer.push(lane, ClientId(u64::from(id as u32 % 7)), message(id));
        }
        let told = pacer.queue(now);
        let left = run(&mut pacer, now);
        for (place, (at, id)) in told.iter().zip(&left) {
            assert_eq!(place.request.0, *id, "place {}", place.place);
            let error = place.expected_wait.as_secs_f64() - (*at - now).as_secs_f64();
            assert!(error.abs() < 0.05, "{error} at {}", place.place);
        }
    }
}
