//! A worker that was there before: taken over from the broker before, or back on a link that
//! broke.
//!
//! What was asked for under the old link cannot be known to have arrived, and books and last
//! values cannot be rebuilt from what changed since. So every open line is cancelled and asked
//! for again, paced, under an id of a fresh block; answers to older ids are counted and dropped, and the
//! rest of one without an id is waited for.
//! Nothing that may have left is ever sent again.

use std::time::Instant;

use ibouncer_proto::link::v1::{Hello, Stage, StageReached};

use super::{Hub, Output};
use crate::ids::{ClientId, Epoch, RequestId};
use crate::lines::kind::Cancel;
use crate::notes::{NoteKind, Severity};
use crate::orders::session::Before;
use crate::pacing::Lane;
use crate::pacing::gates::Group;
use crate::routes::Routes;

/// What lies behind a worker that is READY; stages that were heard keep their stamps.
const TO_READY: [Stage; 6] = [
    Stage::TcpConnected,
    Stage::VersionReceived,
    Stage::ApiStarted,
    Stage::AccountsReceived,
    Stage::NextIdReceived,
    Stage::Ready,
];

/// No market data type was told to Gateway, as far as is known.
pub(super) const FEED_UNKNOWN: i32 = 0;

impl Hub {
    /// A worker of the broker before is ours now.
    pub(super) fn adopt(
        &mut self,
        epoch: Epoch,
        pid: u32,
        hello: &Hello,
        (open, owed): (&[(RequestId, u32)], &[Group]),
        now: Instant,
    ) {
        if !self.session.is_adopting() {
            self.counters.stale_news += 1;
            return;
        }
        self.supervisor.adopt(epoch, pid, now);
        self.outlives = true;
        // Nothing is asked for before there is a session.
        debug_assert!(self.routes.is_empty());
        let newest = self.session.ledger().request_block;
        let requests = open.iter().map(|(request, _)| *request);
        self.routes = Routes::beside(newest, requests, self.seed);
        self.continue_link(hello, now);
        self.counters.adoptions += 1;
        let facts = hello.session.clone().unwrap_or_default();
        self.trading.next_valid_id = facts.next_order_id;
        self.trading.session_name = hello.session_name;
        self.before = Before::TakenThrough(hello.taken_through);
        if !facts.notices.is_empty() {
            // What a late joiner must know: farms, and whether Gateway's own link is up. Before
            // the session counts as up: nothing was asked for that could be asked for again.
            self.on_frames(&facts.notices, now);
        }
        self.session.adopt(epoch, &facts, now);
        for group in owed {
            self.pacer.owe(*group, now);
        }
        for (request, cancel) in open {
            self.push_cancel(*request, Cancel::from_code(*cancel), ClientId(0));
        }
        let text = format!(
            "took over worker {} (pid {pid}, {}) with its live session; {} open requests of \
             before are cancelled",
            epoch.0,
            hello.build,
            open.len()
        );
        tracing::info!(%epoch, pid, open = open.len(), "a worker of the broker before was adopted");
        self.note(NoteKind::Broker, Severity::Info, text);
    }

    /// The current worker's link broke, and it is back.
    pub(super) fn on_relinked(&mut self, epoch: Epoch, hello: &Hello, now: Instant) {
        self.counters.relinks += 1;
        let lost = self.sent.saturating_sub(hello.taken_through);
        self.continue_link(hello, now);
        self.desk.on_relinked(hello.taken_through, now);
        let because = "the link to the worker broke and is back; what was asked for is asked again";
        tracing::warn!(%epoch, lost, "the worker is back on a new link");
        let text = format!("the link to worker {} broke and is back", epoch.0);
        self.note(NoteKind::Worker, Severity::Warning, text);
        for cancel in self.left_lately.lost_cancels(hello.taken_through) {
            self.pacer.push(Lane::DataCancel, ClientId(0), cancel);
        }
        self.resubscribe_all(because, now);
    }

    /// The link broke while the worker became READY; it is back, and says what it knows.
    pub(super) fn on_ready_said_in_vain(&mut self, epoch: Epoch, hello: &Hello, now: Instant) {
        let Some(begun) = self.session.history().newest().map(|attempt| attempt.begun) else {
            return;
        };
        self.counters.relinks += 1;
        self.supervisor.on_hello(now);
        self.continue_link(hello, now);
        let facts = hello.session.clone().unwrap_or_default();
        let at = now.saturating_duration_since(begun);
        for stage in TO_READY {
            let reached = StageReached {
                stage: stage.into(),
                server_version: facts.server_version,
                accounts: facts.accounts.clone(),
                next_order_id: facts.next_order_id,
                ..StageReached::default()
            };
            self.session.on_stage(epoch, &reached, at, now);
        }
        self.outputs.push_back(Output::StatusChanged);
    }

    /// Goes on with the numbers that the worker has.
    fn continue_link(&mut self, hello: &Hello, now: Instant) {
        self.linked_at = Some(now);
        self.clear_outbox(now);
        self.sent = hello.taken_through;
        self.received = hello.next_number.max(1) - 1;
        self.acknowledged = self.received;
        // What comes again raises its barriers again.
        self.trading.forget_frames();
        self.feed_in_force = FEED_UNKNOWN;
        self.pacer.drain(now);
    }

    /// The broker ends, and its session with it.
    pub(super) fn stop(&mut self, because: &str, now: Instant) {
        self.end_trading(now);
        self.session.stop(because, now);
    }

    /// The broker ends and leaves a live session to the next one.
    pub(super) fn let_go(&mut self, because: &str, now: Instant) {
        self.end_trading(now);
        if self.session.is_up() && !self.outlives {
            // It would end with us, and without an order.
            return self.session.stop(because, now);
        }
        if self.session.let_go(because, now)
            && let Some(epoch) = self.supervisor.epoch()
        {
            self.supervisor.let_go();
            self.note(NoteKind::Broker, Severity::Info, format!("lets worker {} go", epoch.0));
            self.outputs.push_back(Output::LetGo(epoch));
        }
    }
}
