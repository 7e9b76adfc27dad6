//! Whose turn it is: one handshake at a time at one Gateway, whoever makes it, and one account of
//! what they met.
//!
//! Brokers with other client ids, and the doctor, dial the same Gateway. So before an attempt its
//! handshake lock is claimed, and the record is read under it; only then it is decided. Whoever
//! does not get the lock waits, and looks again soon. The record is changed only while the lock is
//! ours, which is from the claim to READY or to the worker's end, or to the decision to wait.

use std::time::{Duration, Instant};

use super::dial::{DRAINED, Force, Intent, Step};
use super::{Session, State, Wish};
use crate::attempts::FailureClass;
use crate::record::{Claim, Record, Wedged};

/// The lock and the record are small files; what does not answer in this time is not waited for.
const CLAIM_DEADLINE: Duration = Duration::from_secs(2);

/// Between two looks whether a handshake of somebody else is over.
const TURN_AGAIN: Duration = Duration::from_millis(500);

/// Connections that wait so long to be accepted, beside a silent attempt, are proof enough.
const QUEUE_STUCK: Duration = Duration::from_secs(30);

impl Session {
    /// The tables were read: is it our turn?
    pub(super) fn claim(&mut self, mut intent: Intent, now: Instant) {
        intent.step = Step::Claim { until: now + CLAIM_DEADLINE };
        self.intent = Some(intent);
        self.wishes.push_back(Wish::Claim);
    }

    /// Whether it is.
    pub fn on_claimed(&mut self, claim: Claim, now: Instant) {
        if self.has_attempt() {
            return;
        }
        match claim {
            Claim::Ours(record) => {
                self.turn = true;
                let before = std::mem::replace(&mut self.ledger.record, *record);
                self.settle();
                if let Some(intent) = self.intent.take().filter(|_| !self.stopping) {
                    self.weigh(intent, &before, now);
                }
                if !self.has_attempt() {
                    self.let_others();
                }
            }
            Claim::Taken { holder } => {
                if let Some(intent) = &mut self.intent
                    && matches!(intent.force, Force::Due | Force::Evidence)
                {
                    // Theirs is the probe.
                    intent.force = Force::None;
                }
                let others = format!("another handshake at this Gateway is under way: {holder}");
                self.wait_for_turn(others, now);
            }
            Claim::Unusable { because } => {
                let others = format!("it cannot be told whether one is under way: {because}");
                self.wait_for_turn(others, now);
            }
        }
    }

    /// Somebody else has changed what is remembered of Gateway.
    pub fn on_record(&mut self, record: &Record, now: Instant) {
        let waits = matches!(self.state, State::Wedged { .. }) && self.intent.is_none();
        if waits && record.wedged.is_none() && !self.is_too_many(record.silent_in_row) {
            self.want("Gateway has answered somebody else", Force::None, now);
        }
    }

    /// Has Gateway been silent as often as it may be?
    pub(super) fn is_over_budget(&self, now: Instant) -> bool {
        let silent = self.ledger.record.silent_in_row;
        self.settings.attempts.silent_budget > 0
            && self.starting_until(now).is_none()
            && (self.is_too_many(silent) || silent > 0 && self.is_queue_stuck(now))
    }

    /// WEDGED by what was met just now, until its probe is due.
    pub(super) fn become_wedged(&mut self, because: &str, now: Instant) {
        let probe_at = now + self.probe_period();
        let since_ms = self.ledger.record.wedged.as_ref().map(|wedged| wedged.since_ms);
        self.ledger.record.wedged = Some(Wedged {
            since_ms: since_ms.unwrap_or_else(|| self.clock.millis(now)),
            probe_at_ms: self.clock.millis(probe_at),
            listener: self.lookout.known_listener(),
        });
        self.ledger.record.queued = self.lookout.queue_age(now).is_some();
        self.go_to_wedged(because, probe_at, now);
    }

    pub(super) fn probe_period(&self) -> Duration {
        let settings = &self.settings.attempts;
        if self.lookout.counts() { settings.slow_probe_local } else { settings.slow_probe_remote }
    }

    /// What stands as "by" in the record.
    pub(super) fn name(&self) -> String {
        format!("broker, client id {}", self.settings.client_id)
    }

    /// What was entered is written, and the next one may.
    pub(super) fn let_others(&mut self) {
        self.wishes.push_back(Wish::Remember);
        if std::mem::take(&mut self.turn) {
            self.wishes.push_back(Wish::Yield);
        }
    }

    /// What must hold after every step.
    ///
    /// # Panics
    /// If it does not.
    pub fn check_invariants(&self) {
        assert_eq!(self.illegal, 0, "illegal transitions");
        let handshake = matches!(self.state, State::Connecting { .. } | State::Handshaking { .. });
        assert_eq!(self.turn, handshake, "the handshake lock in {}", self.kind());
    }

    /// The record as it is now, seen with our own eyes.
    fn settle(&mut self) {
        let name = self.name();
        let adopted = std::mem::take(&mut self.adopted);
        let renewed = std::mem::take(&mut self.renewed);
        let record = &mut self.ledger.record;
        if let Some(flight) = record.in_flight.as_mut().filter(|flight| flight.by == name) {
            flight.ready |= adopted;
        }
        record.settle_in_flight();
        let another = match (record.known_listener(), self.lookout.known_listener()) {
            (Some(known), Some(seen)) => known.is_another(seen),
            (None, _) | (_, None) => renewed,
        };
        if another {
            record.renew();
        }
        if self.backoff.failures() < record.failures as usize {
            self.backoff.resume(record.failures as usize);
        }
    }

    /// It is our turn, and this was known before it was.
    fn weigh(&mut self, mut intent: Intent, before: &Record, now: Instant) {
        let record = &self.ledger.record;
        if record.wedged.is_some() && record.queued && self.lookout.is_drained() {
            intent.force = intent.force.max(Force::Evidence);
            DRAINED.clone_into(&mut intent.because);
        }
        let probe_of = |record: &Record| record.wedged.as_ref().map(|one| one.probe_at_ms);
        let not_before = record.not_before_ms;
        let others_probed = probe_of(record) != probe_of(before);
        let others_failed = not_before != before.not_before_ms;
        if self.is_over_budget(now) || self.is_wedged_from_before(now) {
            let due = intent.force == Force::Due && !others_probed;
            if !due && intent.force < Force::Evidence {
                return self.stay_wedged(intent.restarted, now);
            }
        }
        if intent.force == Force::Judge {
            return;
        }
        let restarted = intent.restarted;
        if intent.force < Force::Due && (restarted || others_failed) {
            let own = if restarted { self.ledger.not_before_ms } else { 0 };
            let wait = self.clock.until(own.max(not_before), now).min(self.backoff.longest());
            if !wait.is_zero() {
                let class = FailureClass::Cancelled;
                let because = match restarted {
                    true => "the wait after the attempt before goes on over the restart",
                    false => "the wait after somebody else's attempt is not over",
                };
                let next = State::Backoff { dial_at: now + wait, class };
                return self.transition(next, because.to_owned(), now);
            }
        }
        if self.lookout.is_absent() && intent.force < Force::Absence {
            let because = "nothing listens on Gateway's port".into();
            return self.become_absent(because, now);
        }
        self.dial(&intent.because, now);
    }

    fn wait_for_turn(&mut self, others: String, now: Instant) {
        let Some(intent) = &mut self.intent else {
            return;
        };
        let until = now + TURN_AGAIN;
        tracing::debug!(others, "an attempt waits for its turn");
        intent.step = Step::Wait { until, others: others.clone() };
        if intent.force == Force::Judge {
            self.intent = None;
        } else if let State::Stopped | State::GatewayAbsent { .. } | State::Held { .. } = self.state
        {
            let next = State::Backoff { dial_at: until, class: FailureClass::Cancelled };
            self.transition(next, others, now);
        }
    }

    /// WEDGED by what is remembered: the probe keeps its time.
    fn stay_wedged(&mut self, restarted: bool, now: Instant) {
        let (period, known) = (self.probe_period(), self.lookout.known_listener());
        let because = if restarted {
            "it was met before this broker started"
        } else if self.is_queue_stuck(now) {
            "connections wait for 30 s and more to be accepted"
        } else {
            "it was met under another client id, or by the doctor"
        };
        let Some(wedged) = &mut self.ledger.record.wedged else {
            return self.become_wedged(because, now);
        };
        wedged.listener = wedged.listener.or(known);
        let probe_at = now + self.clock.until(wedged.probe_at_ms, now).min(period);
        self.go_to_wedged(because, probe_at, now);
    }

    fn go_to_wedged(&mut self, because: &str, probe_at: Instant, now: Instant) {
        if matches!(self.state, State::Wedged { .. }) {
            self.state = State::Wedged { probe_at };
            return;
        }
        let count = self.ledger.record.silent_in_row;
        let because = format!("{count} silent handshakes in a row; the last: {because}");
        self.transition(State::Wedged { probe_at }, because, now);
    }

    fn is_too_many(&self, silent: u32) -> bool {
        let budget = self.settings.attempts.silent_budget;
        budget > 0 && silent >= budget
    }

    fn is_queue_stuck(&self, now: Instant) -> bool {
        self.lookout.queue_age(now).is_some_and(|age| age >= QUEUE_STUCK)
    }

    /// The verdict was there before, and nothing speaks against it.
    fn is_wedged_from_before(&self, now: Instant) -> bool {
        self.settings.attempts.silent_budget > 0
            && self.ledger.record.wedged.is_some()
            && self.starting_until(now).is_none()
    }
}
