//! What follows a failure: a missed deadline, an ordered end, a worker that is gone; and when
//! silence has been met often enough to stop dialling.

use std::time::Instant;

use super::dial::Force;
use super::{HeldBy, Session, State, Wish};
use crate::attempts::FailureClass;

impl Session {
    pub(super) fn check_deadline(&mut self, now: Instant) {
        let deadlines = &self.settings.deadlines;
        let Some(attempt) = self.history.newest() else {
            return;
        };
        if attempt.deadline(deadlines).is_none_or(|deadline| now < deadline.at) {
            return;
        }
        let class = match attempt.class_of_silence() {
            // A full accept queue drops SYNs: the last step of the same silence.
            FailureClass::Unreachable if self.lookout.queue_age(now).is_some() => {
                FailureClass::Silent
            }
            class => class,
        };
        let because = attempt.describe_wait(deadlines, now);
        self.order_end(class, because, false);
    }

    pub(super) fn order_end(&mut self, class: FailureClass, because: String, in_order: bool) {
        if self.verdict.is_some() && !self.stopping {
            return;
        }
        self.wishes.push_back(if in_order {
            Wish::End(because.clone())
        } else {
            Wish::Kill(because.clone())
        });
        self.verdict = Some((class, because));
    }

    pub(super) fn after_failure(
        &mut self,
        class: FailureClass,
        because: String,
        by_peer: bool,
        now: Instant,
    ) {
        let starting = self.starting_until(now).is_some();
        if self.turn {
            self.ledger.record.end(class, starting, self.lookout.known_listener());
        }
        if self.stopping {
            self.let_others();
            return self.transition(State::Stopped, because, now);
        }
        match class {
            FailureClass::ClientIdInUse => self.id_refusals += 1,
            FailureClass::SessionLost if by_peer => {
                self.grace_until = Some(now + self.settings.attempts.startup_grace);
            }
            _ => {}
        }
        self.go_on(class, because, now);
        self.ledger.failures = u32::try_from(self.backoff.failures()).unwrap_or(u32::MAX);
        self.ledger.not_before_ms = match self.state {
            State::Backoff { dial_at, .. } => self.clock.millis(dial_at),
            _ => 0,
        };
        let ours = matches!(class, FailureClass::WorkerFault | FailureClass::Cancelled);
        if self.turn && !ours {
            self.ledger.record.failures = self.ledger.failures;
            self.ledger.record.not_before_ms = self.ledger.not_before_ms;
        }
        self.let_others();
    }

    fn go_on(&mut self, class: FailureClass, because: String, now: Instant) {
        if let Some(hold) = &self.ledger.hold {
            let because = format!("held: {}", hold.reason);
            return self.transition(State::Held { by: HeldBy::Operator }, because, now);
        }
        let next = match class {
            FailureClass::Cancelled => {
                self.transition(State::Backoff { dial_at: now, class }, because.clone(), now);
                return self.want(&because, Force::Person, now);
            }
            FailureClass::Unsupported => State::Held { by: HeldBy::Version },
            // A fault of our own during a probe is no reason to dial a wedged Gateway faster.
            FailureClass::Silent | FailureClass::WorkerFault if self.is_over_budget(now) => {
                return self.become_wedged(&because, now);
            }
            FailureClass::Refused | FailureClass::Unreachable => {
                return self.become_absent(because, now);
            }
            FailureClass::ClientIdInUse => {
                let longest = self.settings.attempts.client_id_retry;
                let wait = self.id_backoff.next(&mut self.rng).min(longest);
                State::ClientIdInUse { dial_at: now + wait }
            }
            FailureClass::WorkerFault => {
                let dial_at = now + self.worker_backoff.next(&mut self.rng);
                State::Backoff { dial_at, class }
            }
            FailureClass::SessionLost
            | FailureClass::Silent
            | FailureClass::StalledStart
            | FailureClass::Rejected
            | FailureClass::AbsentOrRejected
            | FailureClass::Poisoned => {
                State::Backoff { dial_at: now + self.backoff.next(&mut self.rng), class }
            }
        };
        self.transition(next, because, now);
    }
}
