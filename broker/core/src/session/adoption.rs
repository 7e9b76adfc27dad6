//! A worker that was there before this broker: waited for, never replaced.
//!
//! Elsewhere new handshakes hung for hours while established sessions went on working. So as
//! long as a worker of the broker before holds its lock, nothing is dialled: either it comes to
//! the link and is taken over, or its lock is free and it is gone.

use std::time::{Duration, Instant};

use ibouncer_proto::link::v1::SessionFacts;

use super::dial::Force;
use super::{Session, State, Wish, split_accounts};
use crate::attempts::{FailureClass, Outcome};
use crate::ids::Epoch;

/// A worker tries the link several times a second; one that does not come for so long is stuck.
const LATE: Duration = Duration::from_secs(10);

/// A worker looks for a broker several times a second: so long it is waited for when the broker
/// ends before it came.
pub(super) const LAST_CHANCE: Duration = Duration::from_secs(2);

impl Session {
    /// The broker is up, and a worker from before holds the session.
    pub fn start_adopting(&mut self, who: &str, pid: Option<u32>, now: Instant) {
        if !matches!(self.state, State::Stopped) || self.stopping {
            return;
        }
        let because = format!(
            "{who} outlived the broker that started it and still holds the session; it is waited \
             for, and nothing is dialled meanwhile"
        );
        self.transition(State::Adopting { look_at: now + LATE, pid }, because, now);
    }

    /// It is here, and it is ours.
    pub fn adopt(&mut self, epoch: Epoch, facts: &SessionFacts, now: Instant) {
        if !matches!(self.state, State::Adopting { .. }) {
            return;
        }
        self.epoch = epoch;
        self.ledger.epoch = self.ledger.epoch.max(epoch.0);
        self.history.begin(epoch, now);
        if let Some(attempt) = self.history.of(epoch) {
            attempt.outcome = Outcome::Ready;
        }
        if facts.client_id != 0 {
            self.dialled_id = facts.client_id;
        }
        self.server_version = Some(facts.server_version);
        self.accounts = split_accounts(&facts.accounts);
        self.adopted = true;
        self.ledger.not_before_ms = 0;
        self.up_since = Some(now);
        self.wishes.push_back(Wish::Remember);
        let because = "the worker of the broker before was taken over, with its session".into();
        self.transition(State::Ready { epoch }, because, now);
        self.wishes.push_back(Wish::Up(epoch));
        if let Some(because) = self.upstream_lost.clone() {
            self.transition(State::Degraded { epoch }, because, now);
        }
        let ends = match &self.ledger.hold {
            _ if self.stopping => Some("the broker ends, and the session with it".to_owned()),
            // The broker before was told to end it, and died on the way.
            Some(hold) => Some(format!("held: {}", hold.reason)),
            None => None,
        };
        if let Some(because) = ends {
            self.order_end(FailureClass::Cancelled, because, true);
        }
    }

    /// Its lock is free: it is gone.
    pub fn on_orphan_gone(&mut self, now: Instant) {
        if !matches!(self.state, State::Adopting { .. }) {
            return;
        }
        let because = "the worker of the broker before is gone";
        self.transition(State::Stopped, because.into(), now);
        if !self.stopping {
            self.want(because, Force::None, now);
        }
    }

    pub(super) fn on_orphan_late(&mut self, now: Instant) {
        if self.stopping {
            let because = "the worker of the broker before did not come; it ends by itself";
            return self.transition(State::Stopped, because.into(), now);
        }
        tracing::warn!(
            because = self.because,
            "a worker from before does not come; it is left alone until it ends"
        );
        if let State::Adopting { look_at, .. } = &mut self.state {
            *look_at = now + LATE;
        }
    }
}
