//! What is waited for, and what follows when its time has come.

use std::time::Instant;

use super::dial::Force;
use super::{Session, State};

impl Session {
    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(intent) = &self.intent {
            if intent.deadline() <= now {
                self.on_intent_late(now);
            }
            return;
        }
        match self.state {
            State::Backoff { dial_at, .. } | State::ClientIdInUse { dial_at } if dial_at <= now => {
                self.want("the wait is over", Force::None, now);
            }
            State::GatewayAbsent { dial_at } if dial_at <= now => {
                self.want("the wait is over", Force::Absence, now);
            }
            State::Wedged { probe_at } if probe_at <= now => {
                self.want("slow probe", Force::Due, now);
            }
            State::Adopting { look_at, .. } if look_at <= now => self.on_orphan_late(now),
            State::Connecting { .. } | State::Handshaking { .. } if self.verdict.is_none() => {
                self.check_deadline(now);
            }
            _ => {}
        }
    }

    /// The next time that matters, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        if let Some(intent) = &self.intent {
            return Some((intent.deadline(), intent.waits_for()));
        }
        match self.state {
            State::GatewayAbsent { dial_at } => Some((dial_at, "look for Gateway")),
            State::Backoff { dial_at, .. } => Some((dial_at, "backoff")),
            State::ClientIdInUse { dial_at } => Some((dial_at, "client id")),
            State::Wedged { probe_at } => Some((probe_at, "slow probe")),
            State::Adopting { look_at, .. } => Some((look_at, "worker of the broker before")),
            State::Connecting { .. } | State::Handshaking { .. } if self.verdict.is_none() => {
                let deadline = self.history.newest()?.deadline(&self.settings.deadlines)?;
                Some((deadline.at, "handshake deadline"))
            }
            State::Stopped
            | State::Connecting { .. }
            | State::Handshaking { .. }
            | State::Ready { .. }
            | State::Degraded { .. }
            | State::Held { .. } => None,
        }
    }
}
