//! The worker's side of the hub: its news to the session and the supervisor, their orders out.

use std::time::{Duration, Instant};

use ibouncer_proto::link::v1::{Acknowledge, Configure, StageReached, ToWorker, to_worker};
use ibouncer_proto::link::v1::{Hello, Stage};

use super::trading::is_desk;
use super::{Hub, Output, WorkerEvent};
use crate::accounts::{is_paper, mask_account};
use crate::heartbeat::Beat;
use crate::ids::Epoch;
use crate::notes::{NoteKind, Severity};
use crate::orders::session::Before;
use crate::routes::Route;
use crate::session::{StateKind, Transition, Wish};
use crate::settings::Expect;
use crate::supervisor::Order;

/// Data frames after which the worker is told that they have arrived.
const ACKNOWLEDGE_EVERY: u64 = 64;

/// The same by bytes, as a part of the worker's buffer, which keeps what is not acknowledged.
const ACKNOWLEDGE_PART: u64 = 32;

/// The worker's frames that may go first when its buffer is full: ticks and depth, whose newest
/// value replaces the older ones.
const DROPPABLE: [u32; 8] = [201, 202, 212, 213, 221, 245, 246, 299];

/// The worker's frames that never go: orders, executions, commissions, accounts, positions, and
/// errors, which can be about an order.
const RESERVED: [u32; 22] = [
    203, 204, 205, 206, 207, 208, 209, 211, 215, 253, 254, 255, 259, 261, 262, 263, 264, 271, 273,
    300, 301, 302,
];

impl Hub {
    pub(super) fn on_worker(&mut self, epoch: Epoch, event: WorkerEvent, now: Instant) {
        if self.supervisor.epoch() != Some(epoch) {
            self.counters.stale_news += 1;
            tracing::debug!(%epoch, "news of a worker that is gone was dropped");
            return;
        }
        match event {
            WorkerEvent::Spawned { pid } => {
                self.supervisor.on_spawned(pid, now);
                self.reach(epoch, Stage::Spawned, now);
            }
            WorkerEvent::NotSpawned { error } => self.supervisor.on_spawn_failed(error),
            WorkerEvent::Hello(hello) if self.session.is_up() => {
                self.supervisor.on_hello(now);
                self.on_relinked(epoch, &hello, now);
            }
            WorkerEvent::Hello(hello) if hello.session.is_some() => {
                self.on_ready_said_in_vain(epoch, &hello, now);
            }
            WorkerEvent::Hello(hello) => self.on_hello(epoch, &hello, now),
            WorkerEvent::Stage(stage) => self.on_stage(epoch, &stage, now),
            WorkerEvent::Pong(pong) => {
                self.supervisor.on_pong(now);
                self.left_lately.on_taken(pong.taken_through);
            }
            WorkerEvent::Gap(gap) => {
                self.counters.link_gap_frames += gap.frames;
                tracing::warn!(%epoch, frames = gap.frames, "the worker's buffer was full");
                let text = format!(
                    "{} frames of market data from Gateway, between frames {} and {} of the link, \
                     were dropped: the worker's buffer was full",
                    gap.frames, gap.from, gap.to
                );
                self.on_frames_lost(&text);
                self.desk.on_gap(&text, true, now);
                self.note(NoteKind::Gap, Severity::Warning, text);
            }
            WorkerEvent::Ended(ended) => self.supervisor.on_ended(ended),
            WorkerEvent::Frames { number, frames } => {
                self.received = number;
                self.unacknowledged += frames.len() as u64;
                self.on_frames(&frames, now);
                self.raise_barrier(number);
                self.acknowledge(epoch);
            }
            WorkerEvent::LinkClosed { because } => {
                // It may be READY, and the word of it lost with the link.
                let started = self.session.history().newest().is_some_and(|attempt| {
                    attempt.epoch == epoch && attempt.has(Stage::ApiStarted)
                });
                let live = self.outlives && (started || self.session.is_up());
                self.supervisor.on_link_closed(&because, live, now);
            }
            WorkerEvent::LinkViolated { because } => {
                tracing::error!(%epoch, because, "the worker's link carried nonsense");
                self.supervisor.kill(&because, now);
            }
            WorkerEvent::Exited(status) => self.supervisor.on_exited(status),
        }
    }

    /// Carries out what the machines want, until none wants anything.
    pub(super) fn settle(&mut self, now: Instant) {
        loop {
            if let Some(wish) = self.session.poll_wish() {
                self.fulfil(wish, now);
            } else if let Some(order) = self.supervisor.poll_order() {
                self.carry_out(order, now);
            } else {
                break;
            }
        }
        self.hand_on_updates(now);
        self.drive_desk(now);
        self.send_what_may_leave(now);
        self.drive_desk(now);
        self.release_outbox(now);
        self.drive_desk(now);
        self.remember_block();
        if self.session.is_stopped() && self.supervisor.is_absent() && !self.stopped {
            self.stopped = true;
            self.outputs.push_back(Output::Stopped);
        }
    }

    pub(super) fn beat(&mut self, now: Instant) {
        match self.heartbeat.handle_timeout(now) {
            Some(Beat::Ask) => {
                self.pacer.charge(now);
                self.send(super::upstream::current_time_request(), now);
            }
            Some(Beat::Lost(because)) => {
                self.heartbeat.stop();
                self.session.on_heartbeat_lost(&because);
            }
            None => {}
        }
    }

    pub(super) fn pacing_timeout(&self) -> Option<Instant> {
        let pacer = self.pacer.poll_timeout().filter(|_| self.session.is_up());
        [pacer, self.updates_timeout()].into_iter().flatten().min()
    }

    fn send_what_may_leave(&mut self, now: Instant) {
        if !self.session.is_up() {
            return;
        }
        while let Some(waiting) = self.pacer.pop(now) {
            let (request, frame) = (waiting.request, waiting.frame.clone());
            if is_desk(request) {
                self.send_order(request.0, frame, now);
                continue;
            }
            if let Some(feed) = waiting.feed.filter(|feed| *feed != self.feed_in_force) {
                self.feed_in_force = feed;
                self.pacer.charge(now);
                self.left_lately.feed(now);
                self.send(super::upstream::market_data_type_request(feed), now);
            }
            let opens = self.on_left(request, now);
            if let Some(cancel) = opens {
                self.outputs.push_back(Output::NoteOpen(request, cancel.code()));
            }
            self.send(frame, now);
            if let Some(group) = waiting.gate.group() {
                self.note_asked(group);
            }
            if opens.is_none() {
                self.outputs.push_back(Output::NoteClosed(request, Some(self.sent)));
            }
            match self.routes.get(request.0) {
                Some(Route::Ended) | None => {
                    self.pacer.on_cancel_left(request, now);
                    self.left_lately.cancel(waiting, self.sent, now);
                }
                Some(_) => self.left_lately.request(request, now),
            }
        }
    }

    /// Ids are used up block by block, and no broker uses a block of the one before.
    fn remember_block(&mut self) {
        if self.session.use_block(self.routes.block()) {
            let ledger = self.session.ledger().clone();
            self.outputs.push_back(Output::Remember(Box::new(ledger)));
        }
    }

    fn on_hello(&mut self, epoch: Epoch, hello: &Hello, now: Instant) {
        tracing::debug!(%epoch, pid = hello.pid, build = hello.build, "worker said Hello");
        self.supervisor.on_hello(now);
        self.linked_at = Some(now);
        self.reach(epoch, Stage::Linked, now);
        let configure = self.configure();
        self.outlives = configure.adoption_grace_ms > 0;
        self.tell(epoch, to_worker::Message::Configure(configure));
    }

    fn on_stage(&mut self, epoch: Epoch, stage: &StageReached, now: Instant) {
        let Some(attempt) = self.session.history().newest() else {
            return;
        };
        // The worker's own stamp, moved to the attempt's clock; never in the future.
        let begun = attempt.begun;
        if stage.next_order_id > 0 {
            self.trading.next_valid_id = stage.next_order_id;
        }
        let stamp = self.linked_at.unwrap_or(now) + Duration::from_micros(stage.at_us);
        let at = stamp.min(now).saturating_duration_since(begun);
        self.session.on_stage(epoch, stage, at, now);
        self.outputs.push_back(Output::StatusChanged);
    }

    fn reach(&mut self, epoch: Epoch, stage: Stage, now: Instant) {
        let Some(attempt) = self.session.history().newest() else {
            return;
        };
        let at = now.saturating_duration_since(attempt.begun);
        let reached = StageReached { stage: stage.into(), ..StageReached::default() };
        self.session.on_stage(epoch, &reached, at, now);
        self.outputs.push_back(Output::StatusChanged);
    }

    fn fulfil(&mut self, wish: Wish, now: Instant) {
        match wish {
            Wish::Remember => {
                let ledger = self.session.ledger().clone();
                self.outputs.push_back(Output::Remember(Box::new(ledger)));
            }
            Wish::Look => self.outputs.push_back(Output::Look),
            Wish::Claim => self.outputs.push_back(Output::Claim),
            Wish::Yield => self.outputs.push_back(Output::Yield),
            Wish::Dial(epoch) => {
                self.outputs.push_back(Output::NoteNone);
                self.linked_at = None;
                self.sent = 0;
                self.received = 0;
                self.acknowledged = 0;
                self.trading.forget_frames();
                // No broker draws the name of another one's session.
                let mut names = fastrand::Rng::with_seed(self.seed.wrapping_add(epoch.0));
                self.trading.session_name = names.u64(1..);
                self.supervisor.spawn(epoch, now);
            }
            Wish::Kill(because) => self.supervisor.kill(&because, now),
            Wish::End(because) => self.supervisor.end(&because, now),
            Wish::Up(epoch) => {
                self.heartbeat.start(now);
                // START_API has just left, and counts at Gateway.
                self.pacer.charge(now);
                if self.hold_an_unexpected_login(now) {
                    return;
                }
                self.on_session_up(epoch, now);
                let before = std::mem::replace(&mut self.before, Before::New);
                self.on_trading_up(epoch, before, now);
            }
            Wish::Down(epoch, because) => {
                self.heartbeat.stop();
                self.farms.clear();
                self.on_trading_down(&because, now);
                self.on_session_down(epoch, &because);
            }
            Wish::Transitioned(transition) => {
                self.counters.transitions += 1;
                self.note_transition(&transition);
                self.outputs.push_back(Output::Transitioned(transition));
                self.outputs.push_back(Output::StatusChanged);
            }
        }
    }

    /// Of a session that is up. True if it is not the one that is meant.
    pub(super) fn hold_an_unexpected_login(&mut self, now: Instant) -> bool {
        let Some(because) = self.unexpected_login() else {
            return false;
        };
        tracing::error!(because, "the session is held");
        self.note(NoteKind::Gateway, Severity::Error, because.clone());
        // It is up, so that this cannot be refused.
        let _ = self.session.hold(&because, true, now);
        true
    }

    /// Another kind of login answers than the one that is meant (`gateway.expect`).
    fn unexpected_login(&self) -> Option<String> {
        let accounts = self.session.accounts();
        let live = accounts.iter().find(|account| !is_paper(account));
        let paper = accounts.iter().find(|account| is_paper(account));
        let (word, account, what) = match (self.settings.expect, paper, live) {
            (Expect::Paper, _, Some(account)) => ("paper", account, "live"),
            (Expect::Live, Some(account), _) => ("live", account, "paper"),
            _ => return None,
        };
        Some(format!(
            "gateway.expect is \"{word}\", and account {} is {what}: is this the right port, and the \
             right login?",
            mask_account(account)
        ))
    }

    fn carry_out(&mut self, order: Order, now: Instant) {
        match order {
            Order::Spawn(epoch) => self.outputs.push_back(Output::Spawn(epoch)),
            Order::Kill(epoch) => {
                self.counters.kills += 1;
                self.outputs.push_back(Output::Kill(epoch));
            }
            Order::KillAgain(epoch, waited) => {
                self.outputs.push_back(Output::Kill(epoch));
                let text = format!(
                    "worker {} was killed {} s ago and its end is not seen: the kernel may hold it \
                     (state D in ps); no other one is started before",
                    epoch.0,
                    waited.as_secs()
                );
                tracing::error!(%epoch, ?waited, "a killed worker does not end");
                self.note(NoteKind::Worker, Severity::Error, text);
            }
            Order::StillUnborn(epoch, waited) => {
                let text = format!(
                    "worker {} is to end for {} s, and the system has not even started it; no other \
                     one is started before",
                    epoch.0,
                    waited.as_secs()
                );
                tracing::error!(%epoch, ?waited, "an ordered worker does not begin");
                self.note(NoteKind::Worker, Severity::Error, text);
            }
            Order::Tell(epoch, message) => self.outputs.push_back(Output::Tell(epoch, message)),
            Order::Gone(end) => {
                tracing::info!(epoch = %end.epoch, end = end.detail, "worker is gone");
                self.outputs.push_back(Output::NoteNone);
                let text = format!("worker {} is gone: {}", end.epoch.0, end.detail);
                self.note(NoteKind::Worker, Severity::Info, text);
                if let Some(class) = self.session.on_gone(&end, now) {
                    *self.counters.attempts.entry(class.name()).or_default() += 1;
                }
                self.outputs.push_back(Output::StatusChanged);
            }
        }
    }

    fn acknowledge(&mut self, epoch: Epoch) {
        if self.received - self.acknowledged >= ACKNOWLEDGE_EVERY
            || self.unacknowledged >= self.settings.worker.buffer / ACKNOWLEDGE_PART
        {
            let (through, unjournaled) = self.acknowledgeable();
            if through <= self.acknowledged {
                return;
            }
            self.unacknowledged = 0;
            self.acknowledged = through;
            let acknowledge = Acknowledge { through, unjournaled };
            self.tell(epoch, to_worker::Message::Acknowledge(acknowledge));
        }
    }

    fn tell(&mut self, epoch: Epoch, message: to_worker::Message) {
        self.outputs.push_back(Output::Tell(epoch, ToWorker { message: Some(message) }));
    }

    fn configure(&self) -> Configure {
        let worker = &self.settings.worker;
        Configure {
            gateway: worker.gateway.clone(),
            client_id: self.session.client_id(),
            offer_min: *worker.offer.start(),
            offer_max: *worker.offer.end(),
            accept_min: worker.accept_min,
            lock_path: worker.lock_path.clone(),
            adoption_grace_ms: worker.adoption_grace.as_millis() as u64,
            link_retry_ms: worker.link_retry.as_millis() as u64,
            // Less than the broker allows, so that the worker can still say how it went.
            drain_ms: (worker.drain * 3 / 4).as_millis() as u64,
            buffer_bytes: worker.buffer,
            droppable_ids: DROPPABLE.to_vec(),
            reserved_ids: RESERVED.to_vec(),
            session_name: self.trading.session_name,
        }
    }

    fn note_transition(&mut self, transition: &Transition) {
        let severity = match transition.to {
            StateKind::Wedged => Severity::Error,
            StateKind::Held
            | StateKind::Degraded
            | StateKind::ClientIdInUse
            | StateKind::GatewayAbsent
            | StateKind::Backoff => Severity::Warning,
            StateKind::Stopped
            | StateKind::Connecting
            | StateKind::Handshaking
            | StateKind::Ready => Severity::Info,
        };
        let text = format!("{} to {}: {}", transition.from, transition.to, transition.because);
        self.note(NoteKind::Transition, severity, text);
    }
}
