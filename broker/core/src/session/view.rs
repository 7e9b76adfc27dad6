//! What can be asked of the session. Changes nothing.

use std::time::Instant;

use super::{Session, State, StateKind};
use crate::attempts::History;
use crate::ids::Epoch;

impl Session {
    /// Can requests be served?
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Ready { .. } | State::Degraded { .. })
    }

    /// Has `stop` been carried out?
    pub fn is_stopped(&self) -> bool {
        self.stopping && matches!(self.state, State::Stopped)
    }

    /// The state without its data.
    pub fn kind(&self) -> StateKind {
        self.state.kind()
    }

    /// When the state began.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// The newest epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The attempts.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// How the newest worker ended.
    pub fn last_end(&self) -> Option<&str> {
        self.last_end.as_deref()
    }

    /// Gateway's version, once it was heard.
    pub fn server_version(&self) -> Option<i32> {
        self.server_version
    }

    /// The accounts of the newest session.
    pub fn accounts(&self) -> &[String] {
        &self.accounts
    }

    /// Why the state is what it is.
    pub fn reason(&self, now: Instant) -> String {
        match (&self.state, self.history.newest(), &self.verdict) {
            (State::Connecting { .. } | State::Handshaking { .. }, _, Some((_, because))) => {
                format!("ending the worker: {because}")
            }
            (State::Connecting { .. } | State::Handshaking { .. }, Some(attempt), None) => {
                attempt.describe_wait(&self.settings.deadlines, now)
            }
            _ => self.because.clone(),
        }
    }

    /// Transitions that should not exist.
    pub fn illegal_transitions(&self) -> u64 {
        self.illegal
    }
}
