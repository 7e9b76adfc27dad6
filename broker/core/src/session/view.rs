//! What can be asked of the session. Changes no state.

use std::time::Instant;

use super::dial::Intent;
use super::{Session, State, StateKind};
use crate::attempts::History;
use crate::clock::Clock;
use crate::ids::Epoch;
use crate::ledger::Ledger;
use crate::lookout::Lookout;

impl Session {
    /// Can requests be served?
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Ready { .. } | State::Degraded { .. })
    }

    /// What Gateway said when it lost IB on this connection (1100, 2110); none if it has not, or has
    /// said that it is back.
    pub fn upstream_lost(&self) -> Option<&str> {
        self.upstream_lost.as_deref()
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

    /// Attempts of this broker.
    pub fn dials(&self) -> u64 {
        self.dials
    }

    /// What is remembered over restarts.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Request ids of this block are in use. True if that is news.
    pub fn use_block(&mut self, block: u32) -> bool {
        let news = self.ledger.request_block != block;
        self.ledger.request_block = block;
        news
    }

    /// What is seen of Gateway's port.
    pub fn lookout(&self) -> &Lookout {
        &self.lookout
    }

    /// Both clocks, as of the newest look.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The client id of the attempt under way, or else of the next one.
    pub fn client_id(&self) -> i32 {
        if self.has_attempt() { self.dialled_id } else { self.next_client_id() }
    }

    /// The reserved id after two refusals of the main one, and then in turns.
    pub(super) fn next_client_id(&self) -> i32 {
        match self.settings.alternate_client_id {
            Some(alternate) if self.id_refusals >= 2 && self.id_refusals.is_multiple_of(2) => {
                alternate
            }
            _ => self.settings.client_id,
        }
    }

    /// Until when Gateway may be starting, so that silence does not count.
    pub fn grace_until(&self, now: Instant) -> Option<Instant> {
        self.starting_until(now)
    }

    /// Is a worker from before waited for?
    pub fn is_adopting(&self) -> bool {
        matches!(self.state, State::Adopting { .. })
    }

    pub(super) fn has_attempt(&self) -> bool {
        self.is_up() || matches!(self.state, State::Connecting { .. } | State::Handshaking { .. })
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
        if let Some((others, _)) = self.intent.as_ref().and_then(Intent::waits_for_others)
            && matches!(self.state, State::Backoff { .. } | State::ClientIdInUse { .. })
        {
            return others.to_owned();
        }
        match (&self.state, self.history.newest(), &self.verdict) {
            (State::Connecting { .. } | State::Handshaking { .. }, _, Some((_, because))) => {
                format!("ending the worker: {because}")
            }
            (State::Connecting { .. } | State::Handshaking { .. }, Some(attempt), None) => {
                attempt.describe_wait(&self.settings.deadlines, now)
            }
            (State::Backoff { .. }, _, _) if self.starting_until(now).is_some() => {
                format!("expected restart: {}", self.because)
            }
            _ => self.because.clone(),
        }
    }

    /// Transitions that should not exist.
    pub fn illegal_transitions(&self) -> u64 {
        self.illegal
    }
}
