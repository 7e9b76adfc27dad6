//! The state of the one session with Gateway: when to dial, when to stop dialling, and why.
//!
//! ```text
//!            ┌───────────────────────────── dial ──────────────────────────────┐
//!            ▼                                                                 │
//!  STOPPED ► CONNECTING ─TCP─► HANDSHAKING ─ids─► READY ◄─1102─► DEGRADED      │
//!                │                  │               │                │         │
//!                └──────────────────┴── worker gone ┴────────────────┘         │
//!                                        │ by class of failure                 │
//!       ┌────────────────┬───────────────┼────────────────┬─────────────┐      │
//!       ▼                ▼               ▼                ▼             ▼      │
//!  GATEWAY_ABSENT   CLIENT_ID_IN_USE   BACKOFF   WEDGED (silent ×3)   HELD ────┘
//! ```
//!
//! Rules: one attempt at a time, and only after the worker before it is gone. A handshake that
//! misses a deadline is ended by killing its worker. Silence counts towards WEDGED; any byte, a
//! refusal, or a Gateway that may be restarting does not. WEDGED makes slow probes only. HELD
//! makes none. A live session is ended only by an operator, by heartbeat loss, by Gateway or by
//! a violation of the protocol.
//!
//! Read on in `session/failure.rs` (what follows a failure), `session/view.rs` and
//! `session/advice.rs` (what can be asked of it).
//!
//! Does not know processes ([`crate::supervisor`]) nor requests ([`crate::lines`]).

mod advice;
mod failure;
mod state;
mod view;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use fastrand::Rng;
use ibouncer_proto::link::v1::{Stage, StageReached};

use crate::attempts::{FailureClass, History, Outcome};
use crate::backoff::Backoff;
use crate::error::{self, Error};
use crate::ids::Epoch;
use crate::settings::Settings;
use crate::supervisor::WorkerEnd;

pub use state::{Next, State, StateKind, Transition};

/// What the session wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Spawn a worker for this epoch.
    Dial(Epoch),
    /// Kill the worker.
    Kill(String),
    /// End the worker in order.
    End(String),
    /// Requests can be served from now on.
    Up(Epoch),
    /// They no longer can.
    Down(Epoch, String),
    /// The state has changed.
    Transitioned(Transition),
}

/// What the kernel's tables say about Gateway's port, without a packet. `None` is "unknown".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Eyes {
    /// Does anything listen?
    pub listening: Option<bool>,
    /// Connections that wait to be accepted.
    pub accept_queue: Option<u32>,
    /// Another process listens than before.
    pub listener_changed: bool,
}

/// The machine.
#[derive(Debug)]
pub struct Session {
    state: State,
    since: Instant,
    because: String,
    epoch: Epoch,
    history: History,
    settings: Settings,
    rng: Rng,
    /// After failures of the session, and after faults of our own worker.
    backoff: Backoff,
    worker_backoff: Backoff,
    id_backoff: Backoff,
    /// While nothing listens; starts anew as soon as something does.
    absent_backoff: Backoff,
    /// When the session became READY; DEGRADED in between does not count.
    up_since: Option<Instant>,
    /// Gateway said on this connection that its own link is down.
    upstream_lost: Option<String>,
    silent_in_row: u32,
    /// Connections waited to be accepted when the kernel's tables were read last.
    queue_was_long: bool,
    /// Until then Gateway may be starting, and silence proves nothing.
    grace_until: Option<Instant>,
    /// The class of the end that we ordered ourselves.
    verdict: Option<(FailureClass, String)>,
    stopping: bool,
    last_end: Option<String>,
    server_version: Option<i32>,
    accounts: Vec<String>,
    wishes: VecDeque<Wish>,
    /// Transitions that the drawing does not have; always 0 unless there is a bug.
    illegal: u64,
}

impl Session {
    /// STOPPED.
    pub fn new(settings: Settings, seed: u64, now: Instant) -> Self {
        let ladder = || Backoff::new(settings.attempts.backoff.clone());
        let id_ladder = [1.0, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0].map(Duration::from_secs_f64);
        Self {
            state: State::Stopped,
            since: now,
            because: "the broker is starting".into(),
            epoch: Epoch(0),
            history: History::default(),
            rng: Rng::with_seed(seed),
            backoff: ladder(),
            worker_backoff: ladder(),
            id_backoff: Backoff::new(id_ladder.to_vec()),
            absent_backoff: ladder(),
            up_since: None,
            upstream_lost: None,
            silent_in_row: 0,
            queue_was_long: false,
            grace_until: None,
            verdict: None,
            stopping: false,
            last_end: None,
            server_version: None,
            accounts: Vec::new(),
            wishes: VecDeque::new(),
            illegal: 0,
            settings,
        }
    }

    /// The broker is up: make the first attempt.
    pub fn start(&mut self, now: Instant) {
        if matches!(self.state, State::Stopped) && !self.stopping {
            self.dial("the broker started", now);
        }
    }

    /// The broker ends. With a worker, this is over when the worker is gone.
    pub fn stop(&mut self, because: &str, now: Instant) {
        self.stopping = true;
        if self.has_attempt() {
            self.order_end(FailureClass::Cancelled, because.to_owned(), true);
        } else {
            self.transition(State::Stopped, because.to_owned(), now);
        }
    }

    /// A worker reached a stage; `at` counts from the spawn.
    pub fn on_stage(&mut self, epoch: Epoch, stage: &StageReached, at: Duration, now: Instant) {
        let Some(attempt) = self.history.of(epoch) else {
            return;
        };
        let reached = stage.stage();
        attempt.reach(reached, at);
        match reached {
            Stage::TcpConnected if matches!(self.state, State::Connecting { .. }) => {
                self.absent_backoff.reset();
                self.transition(State::Handshaking { epoch }, "TCP is up".into(), now);
            }
            Stage::VersionReceived => self.server_version = Some(stage.server_version),
            Stage::AccountsReceived => self.accounts = split_accounts(&stage.accounts),
            Stage::Ready => self.on_ready(epoch, now),
            _ => {}
        }
    }

    /// The worker is gone. Answers with the class of what ended.
    pub fn on_gone(&mut self, end: &WorkerEnd, now: Instant) -> Option<FailureClass> {
        let was_up = self.is_up();
        let attempt = self.history.of(end.epoch)?;
        let (class, ordered) = match self.verdict.take() {
            Some((class, because)) => (class, Some(because)),
            None => (attempt.class_of_end(end), None),
        };
        let because = ordered.unwrap_or_else(|| end.detail.clone());
        attempt.end = Some(end.detail.clone());
        if attempt.outcome == Outcome::InProgress {
            attempt.outcome = Outcome::Failed(class);
        }
        self.last_end = Some(end.detail.clone());
        if was_up {
            self.wishes.push_back(Wish::Down(end.epoch, because.clone()));
            let stable = self.settings.attempts.stable_after;
            if self.up_since.is_some_and(|since| now.saturating_duration_since(since) >= stable) {
                self.backoff.reset();
                self.worker_backoff.reset();
            }
        }
        self.up_since = None;
        self.after_failure(class, because, now);
        Some(class)
    }

    /// Gateway reports that its link to Interactive Brokers is down (1100, 2110).
    pub fn on_upstream_lost(&mut self, because: &str, now: Instant) {
        self.upstream_lost = Some(because.to_owned());
        if let State::Ready { epoch } = self.state {
            self.transition(State::Degraded { epoch }, because.to_owned(), now);
        }
    }

    /// Gateway reports that it is back (1101, 1102).
    pub fn on_upstream_restored(&mut self, because: &str, now: Instant) {
        self.upstream_lost = None;
        if let State::Degraded { epoch } = self.state {
            self.transition(State::Ready { epoch }, because.to_owned(), now);
        }
    }

    /// Nothing comes from Gateway any more, although it was asked.
    pub fn on_heartbeat_lost(&mut self, because: &str) {
        if self.is_up() {
            self.order_end(FailureClass::SessionLost, because.to_owned(), false);
        }
    }

    /// The kernel's tables were read.
    pub fn on_eyes(&mut self, eyes: Eyes, now: Instant) {
        // An empty queue alone proves nothing: Gateway may accept and stay silent.
        let drained = self.queue_was_long && eyes.accept_queue == Some(0);
        self.queue_was_long = eyes.accept_queue.is_some_and(|queue| queue > 0);
        match self.state {
            State::GatewayAbsent { .. } if eyes.listening == Some(true) => {
                self.dial("something listens on Gateway's port again", now);
            }
            State::Wedged { .. } if eyes.listener_changed => {
                self.silent_in_row = 0;
                self.grace_until = Some(now + self.settings.attempts.startup_grace);
                self.dial("another process listens on Gateway's port", now);
            }
            State::Wedged { .. } if drained => {
                self.dial("Gateway's accept queue has drained", now);
            }
            _ => {}
        }
    }

    /// An operator ends the worker.
    pub fn restart_worker(&mut self, reason: &str, drop_live: bool) -> Result<Epoch, Error> {
        if !self.has_attempt() {
            return Err(error::no_worker(self.kind().name()));
        }
        if self.is_up() && !drop_live {
            return Err(error::would_drop_live_session());
        }
        let because = format!("an operator restarted the worker: {reason}");
        self.order_end(FailureClass::Cancelled, because, self.is_up());
        Ok(self.epoch)
    }

    /// An operator ends a wait.
    pub fn retry(&mut self, reason: &str, now: Instant) -> Result<(), Error> {
        match self.state {
            State::GatewayAbsent { .. }
            | State::Backoff { .. }
            | State::ClientIdInUse { .. }
            | State::Wedged { .. }
            | State::Held => {}
            State::Stopped
            | State::Connecting { .. }
            | State::Handshaking { .. }
            | State::Ready { .. }
            | State::Degraded { .. } => {
                return Err(error::nothing_to_retry(self.kind().name()));
            }
        }
        let because = match reason {
            "" => "an operator asked for a retry".to_owned(),
            reason => format!("an operator asked for a retry: {reason}"),
        };
        self.dial(&because, now);
        Ok(())
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::GatewayAbsent { dial_at }
            | State::Backoff { dial_at, .. }
            | State::ClientIdInUse { dial_at }
                if dial_at <= now =>
            {
                self.dial("the wait is over", now);
            }
            State::Wedged { probe_at } if probe_at <= now => self.dial("slow probe", now),
            State::Connecting { .. } | State::Handshaking { .. } if self.verdict.is_none() => {
                self.check_deadline(now);
            }
            _ => {}
        }
    }

    /// The next time that matters, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        match self.state {
            State::GatewayAbsent { dial_at } => Some((dial_at, "look for Gateway")),
            State::Backoff { dial_at, .. } => Some((dial_at, "backoff")),
            State::ClientIdInUse { dial_at } => Some((dial_at, "client id")),
            State::Wedged { probe_at } => Some((probe_at, "slow probe")),
            State::Connecting { .. } | State::Handshaking { .. } if self.verdict.is_none() => {
                let deadline = self.history.newest()?.deadline(&self.settings.deadlines)?;
                Some((deadline.at, "handshake deadline"))
            }
            State::Stopped
            | State::Connecting { .. }
            | State::Handshaking { .. }
            | State::Ready { .. }
            | State::Degraded { .. }
            | State::Held => None,
        }
    }

    /// The next thing that is wanted.
    pub fn poll_wish(&mut self) -> Option<Wish> {
        self.wishes.pop_front()
    }

    fn has_attempt(&self) -> bool {
        self.is_up() || matches!(self.state, State::Connecting { .. } | State::Handshaking { .. })
    }

    fn dial(&mut self, because: &str, now: Instant) {
        self.epoch = Epoch(self.epoch.0 + 1);
        self.verdict = None;
        self.upstream_lost = None;
        self.history.begin(self.epoch, now);
        self.wishes.push_back(Wish::Dial(self.epoch));
        self.transition(State::Connecting { epoch: self.epoch }, because.to_owned(), now);
    }

    fn on_ready(&mut self, epoch: Epoch, now: Instant) {
        if !matches!(self.state, State::Connecting { .. } | State::Handshaking { .. }) {
            return;
        }
        // The deadline has passed and the kill is on its way: too late is too late.
        if self.verdict.is_some() {
            return;
        }
        if let Some(attempt) = self.history.of(epoch) {
            attempt.outcome = Outcome::Ready;
        }
        self.silent_in_row = 0;
        self.grace_until = None;
        self.up_since = Some(now);
        self.id_backoff.reset();
        self.transition(
            State::Ready { epoch },
            "account list and next order id have arrived".into(),
            now,
        );
        self.wishes.push_back(Wish::Up(epoch));
        // Said before the ids came, and true all the same.
        if let Some(because) = self.upstream_lost.clone() {
            self.transition(State::Degraded { epoch }, because, now);
        }
    }

    /// The only writer of `state`.
    fn transition(&mut self, next: State, because: String, now: Instant) {
        let (from, to) = (self.state.kind(), next.kind());
        if !state::allowed(from, to) {
            self.illegal += 1;
            tracing::error!(%from, %to, because, "illegal session transition refused");
            debug_assert!(false, "illegal session transition {from} to {to}");
            return;
        }
        tracing::info!(%from, %to, epoch = self.epoch.0, because, "session");
        self.state = next;
        self.since = now;
        self.because = because.clone();
        let epoch = self.epoch;
        self.wishes.push_back(Wish::Transitioned(Transition { from, to, because, epoch, at: now }));
    }
}

fn split_accounts(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
