//! The state of the one session with Gateway: when to dial, when to stop dialling, and why.
//!
//! ```text
//!            ┌──────────────────────── look, then dial ────────────────────────┐
//!            ▼                                                                 │
//!  STOPPED ► CONNECTING ─TCP─► HANDSHAKING ─ids─► READY ◄─1102─► DEGRADED      │
//!     │          │                  │           ▲   │                │         │
//!     └ adopt ───┼──────────────────┼───────────┘   │                │         │
//!                └──────────────────┴── worker gone ┴────────────────┘         │
//!                                        │ by class of failure                 │
//!       ┌────────────────┬───────────────┼────────────────┬─────────────┐      │
//!       ▼                ▼               ▼                ▼             ▼      │
//!  GATEWAY_ABSENT   CLIENT_ID_IN_USE   BACKOFF   WEDGED (silent ×3)   HELD ────┘
//! ```
//!
//! Rules: one attempt at a time, at this Gateway and not only here, only after the worker before
//! it is gone, and only after a look at the kernel's tables. A handshake that misses a deadline is
//! ended by killing its worker.
//! Silence counts towards WEDGED; any byte, a refusal, or a Gateway that may be starting does
//! not. WEDGED makes slow probes only. HELD makes none. A live session is ended only by an
//! operator, by heartbeat loss, by Gateway or by a violation of the protocol; a worker that
//! outlived the broker before is waited for, never replaced.
//!
//! Read on in `session/dial.rs` (what is looked for before an attempt), `session/turn.rs` (whose
//! turn it is, and when one is made), `session/waits.rs` (what time brings), `session/failure.rs`
//! (what follows a failure), `session/operator.rs` (orders of people), `session/adoption.rs` (a
//! worker that was there before us), `session/view.rs` and `session/advice.rs` (what can be asked
//! of it).
//!
//! Does not know processes ([`crate::supervisor`]) nor requests ([`crate::lines`]).

mod adoption;
mod advice;
mod dial;
mod failure;
mod operator;
mod state;
mod turn;
mod view;
mod waits;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use fastrand::Rng;
use ibouncer_proto::link::v1::{Stage, StageReached};

use crate::attempts::{FailureClass, History, Outcome, SessionEnd};
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::ids::Epoch;
use crate::ledger::Ledger;
use crate::lookout::Lookout;
use crate::settings::Settings;
use crate::supervisor::WorkerEnd;

pub use state::{HeldBy, Next, State, StateKind, Transition};

/// What the session wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Write the ledger, before anything that follows; and Gateway's record, if its lock is ours.
    Remember,
    /// Look at the kernel's tables and tell what they show.
    Look,
    /// Take Gateway's handshake lock, and tell what is remembered of Gateway.
    Claim,
    /// Let others make handshakes.
    Yield,
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

/// What a session begins with.
#[derive(Debug, Clone)]
pub struct Memory {
    /// What is remembered of attempts.
    pub ledger: Ledger,
    /// Both clocks now.
    pub clock: Clock,
}

/// The machine.
#[derive(Debug)]
pub struct Session {
    state: State,
    since: Instant,
    because: String,
    epoch: Epoch,
    /// Attempts of this broker, adopted sessions not counted.
    dials: u64,
    history: History,
    settings: Settings,
    rng: Rng,
    /// What is remembered over restarts; its record is as new as the newest claim.
    ledger: Ledger,
    /// Gateway's handshake lock is ours: nobody else makes a handshake or changes the record.
    turn: bool,
    /// Another listener was seen since the record was read.
    renewed: bool,
    /// A worker from before was taken over, and so its handshake was no silence.
    adopted: bool,
    clock: Clock,
    lookout: Lookout,
    /// An attempt is to be made as soon as the tables were read.
    intent: Option<dial::Intent>,
    /// After failures of the session, and after faults of our own worker.
    backoff: Backoff,
    worker_backoff: Backoff,
    id_backoff: Backoff,
    /// While nothing listens and no eyes see that; starts anew as soon as something does.
    absent_backoff: Backoff,
    /// Errors 326 in a row.
    id_refusals: u32,
    /// The client id of the newest attempt.
    dialled_id: i32,
    /// When the session became READY; DEGRADED in between does not count.
    up_since: Option<Instant>,
    /// Gateway said on this connection that its own link is down.
    upstream_lost: Option<String>,
    /// Gateway said that its API moved to another port (1300).
    port_moved: Option<String>,
    /// Until then Gateway may be starting, and silence proves nothing.
    grace_until: Option<Instant>,
    /// Until then an operator's restart window lasts.
    window_until: Option<Instant>,
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
    /// STOPPED, with what is remembered.
    pub fn new(settings: Settings, memory: Memory, seed: u64, now: Instant) -> Self {
        let ladder = || Backoff::new(settings.attempts.backoff.clone());
        let id_ladder = [1.0, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0].map(Duration::from_secs_f64);
        let Memory { ledger, clock } = memory;
        let mut backoff = ladder();
        backoff.resume(ledger.failures as usize);
        Self {
            state: State::Stopped,
            since: now,
            because: "the broker is starting".into(),
            epoch: Epoch(ledger.epoch),
            dials: 0,
            history: History::default(),
            rng: Rng::with_seed(seed),
            ledger,
            turn: false,
            renewed: false,
            adopted: false,
            clock,
            lookout: Lookout::default(),
            intent: None,
            backoff,
            worker_backoff: ladder(),
            id_backoff: Backoff::new(id_ladder.to_vec()),
            absent_backoff: ladder(),
            up_since: None,
            id_refusals: 0,
            dialled_id: settings.client_id,
            upstream_lost: None,
            port_moved: None,
            grace_until: None,
            window_until: None,
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

    /// Numbers up to this one were used, as somebody else remembers: the ledger may have been lost.
    pub fn on_used(&mut self, epoch: u64) {
        self.ledger.epoch = self.ledger.epoch.max(epoch);
    }

    /// The broker is up, and no worker is left from before: make the first attempt.
    pub fn start(&mut self, now: Instant) {
        if matches!(self.state, State::Stopped) && !self.stopping {
            self.want("the broker started", dial::Force::None, now);
        }
    }

    /// The broker ends. With a worker, this is over when the worker is gone.
    pub fn stop(&mut self, because: &str, now: Instant) {
        self.stopping = true;
        self.intent = None;
        if let State::Adopting { look_at, .. } = &mut self.state {
            // Its session ends with us, so it is waited for a moment, to be ended in order.
            *look_at = now + adoption::LAST_CHANCE;
        } else if self.has_attempt() {
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
            None => (attempt.class_of_end(end, self.lookout.counts()), None),
        };
        // What Gateway ended by itself may be followed by a start of Gateway.
        let by_peer = ordered.is_none();
        let because = ordered.unwrap_or_else(|| end.detail.clone());
        attempt.end = Some(end.detail.clone());
        match attempt.outcome {
            Outcome::InProgress => attempt.outcome = Outcome::Failed(class),
            Outcome::Ready => attempt.session_end = Some(SessionEnd::of(class, !by_peer)),
            Outcome::Failed(_) => {}
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
        self.after_failure(class, because, by_peer, now);
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

    /// Gateway reports that its API has moved to another port (1300).
    pub fn on_port_moved(&mut self, text: &str) {
        self.port_moved = Some(text.to_owned());
    }

    /// Other numbers to decide by, from now on.
    pub fn on_settings(&mut self, settings: Settings) {
        for (backoff, ladder) in [
            (&mut self.backoff, &settings.attempts.backoff),
            (&mut self.worker_backoff, &settings.attempts.backoff),
            (&mut self.absent_backoff, &settings.attempts.backoff),
        ] {
            let failures = backoff.failures();
            *backoff = Backoff::new(ladder.clone());
            backoff.resume(failures);
        }
        self.settings = settings;
    }

    /// The next thing that is wanted.
    pub fn poll_wish(&mut self) -> Option<Wish> {
        self.wishes.pop_front()
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
        self.ledger.record.on_ready();
        self.ledger.not_before_ms = 0;
        self.lookout.on_ready();
        self.grace_until = None;
        self.id_refusals = 0;
        self.up_since = Some(now);
        self.id_backoff.reset();
        self.let_others();
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
