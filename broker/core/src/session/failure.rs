//! What follows a failure: a missed deadline, an ordered end, a worker that is gone; and when
//! silence has been met often enough to stop dialling.

use std::time::Instant;

use super::{Session, State, Wish};
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
        let class = attempt.class_of_silence();
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

    pub(super) fn after_failure(&mut self, class: FailureClass, because: String, now: Instant) {
        if self.stopping {
            return self.transition(State::Stopped, because, now);
        }
        match class {
            FailureClass::Silent => self.silent_in_row += 1,
            // Says nothing about Gateway.
            FailureClass::WorkerFault | FailureClass::Cancelled => {}
            _ => self.silent_in_row = 0,
        }
        let settings = &self.settings.attempts;
        let next = match class {
            FailureClass::Cancelled => return self.dial(&because, now),
            FailureClass::Unsupported => State::Held,
            // A fault of our own during a probe is no reason to dial a wedged Gateway faster.
            FailureClass::Silent | FailureClass::WorkerFault if self.is_wedged(now) => {
                let period = if self.settings.gateway_is_local {
                    settings.slow_probe_local
                } else {
                    settings.slow_probe_remote
                };
                State::Wedged { probe_at: now + period }
            }
            FailureClass::Refused | FailureClass::Unreachable => {
                let wait = self.absent_backoff.next(&mut self.rng).min(settings.absent_retry);
                State::GatewayAbsent { dial_at: now + wait }
            }
            FailureClass::ClientIdInUse => {
                let wait = self.id_backoff.next(&mut self.rng).min(settings.client_id_retry);
                State::ClientIdInUse { dial_at: now + wait }
            }
            FailureClass::WorkerFault => {
                let dial_at = now + self.worker_backoff.next(&mut self.rng);
                State::Backoff { dial_at, class }
            }
            FailureClass::SessionLost => {
                self.grace_until = Some(now + settings.startup_grace);
                State::Backoff { dial_at: now + self.backoff.next(&mut self.rng), class }
            }
            FailureClass::Silent
            | FailureClass::StalledStart
            | FailureClass::Rejected
            | FailureClass::Poisoned => {
                State::Backoff { dial_at: now + self.backoff.next(&mut self.rng), class }
            }
        };
        let because = match next {
            State::Wedged { .. } => {
                format!("{} silent handshakes in a row; the last: {because}", self.silent_in_row)
            }
            _ => because,
        };
        self.transition(next, because, now);
    }

    fn is_wedged(&self, now: Instant) -> bool {
        let budget = self.settings.attempts.silent_budget;
        let starting = self.grace_until.is_some_and(|until| now < until);
        budget > 0 && self.silent_in_row >= budget && !starting
    }
}
