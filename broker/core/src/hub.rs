//! The hub: all machines of the broker, composed. Inputs and the time go in, outputs come out.
//!
//! ```text
//!   loop { hub.handle_input(input, now) or hub.handle_timeout(now);
//!          while let Some(output) = hub.poll_output() { carry it out } }
//! ```
//!
//! Owns every decision; carries out none. News of a worker that is not the current one is
//! dropped and counted.
//!
//! Read on in `hub/io.rs` (what goes in and out), `hub/worker.rs` (the worker's life),
//! `hub/upstream.rs` (frames from Gateway), `hub/subscriptions.rs`, `hub/lines.rs`, `hub/marks.rs`
//! (lines, and what is told of them), `hub/calls.rs`, `hub/trading.rs` (orders), [`crate::status`].

mod accounts;
mod adoption;
mod allotment;
mod calls;
mod complaint;
mod doubts;
mod io;
mod late;
mod lens;
mod line_errors;
mod lines;
mod marks;
mod operator;
mod quotes;
mod snapshot;
mod streams;
mod subscriptions;
mod trading;
mod unreadable;
mod upstream;
mod worker;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use crate::accounts::mask_account;
use crate::calls::kept::Kept;
use crate::calls::open::OpenCalls;
use crate::clients::Clients;
use crate::contracts::Contracts;
use crate::error;
use crate::farms::Farms;
use crate::heartbeat::Heartbeat;
use crate::ids::{CallId, ClientId, StreamId};
use crate::lines::Lines;
use crate::lines::wanted::LIVE;
use crate::orders::Desk;
use crate::orders::journal::Audit;
use crate::orders::session::Before;
use crate::pacing::Pacer;
use crate::routes::Routes;
use crate::session::{Memory, Session};
use crate::settings::Settings;
use crate::supervisor::Supervisor;

use allotment::Waiter;
use complaint::LeftLately;
pub use io::{Input, Manner, Output, Reply, WorkerEvent};
pub(crate) use line_errors::ends_request;
use snapshot::Snapshot;
use streams::Streams;
use trading::Trading;

/// Things that are counted, by the names of their metrics.
#[derive(Debug, Default, Clone)]
#[allow(missing_docs, reason = "named and described in status.rs")]
pub struct Counters {
    pub frames_received: u64,
    pub bytes_received: u64,
    pub messages_sent: u64,
    pub events_delivered: u64,
    pub unrouted_frames: u64,
    pub unknown_messages: u64,
    pub malformed_frames: u64,
    pub stale_news: u64,
    pub link_gap_frames: u64,
    pub kills: u64,
    pub lines_opened: u64,
    pub evictions: u64,
    pub adoptions: u64,
    pub relinks: u64,
    pub attempts: BTreeMap<&'static str, u64>,
    pub transitions: u64,
}

/// The composition.
#[derive(Debug)]
pub struct Hub {
    pub(crate) settings: Settings,
    pub(crate) session: Session,
    pub(crate) supervisor: Supervisor,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) pacer: Pacer,
    pub(crate) routes: Routes,
    pub(crate) lines: Lines,
    pub(crate) clients: Clients,
    pub(crate) farms: Farms,
    pub(crate) counters: Counters,
    streams: Streams,
    snapshots: BTreeMap<CallId, Snapshot>,
    pub(crate) calls: OpenCalls,
    kept: Kept,
    contracts: Contracts,
    /// Wishes that wait for a line to become free.
    line_waiters: VecDeque<Waiter>,
    /// Nobody has Gateway's one place for account updates any more.
    updates_freed: bool,
    /// Another API program has it: until when a wish that comes is served without asking for it.
    updates_taken: Option<Instant>,
    left_lately: LeftLately,
    said: unreadable::Said,
    /// What is known of orders that left before the session that comes up next.
    before: Before,
    pub(crate) desk: Desk,
    trading: Trading,
    /// Calls whose answer is only shown in part.
    lenses: BTreeMap<CallId, lens::Lens>,
    /// Makes names of lines unique among brokers.
    seed: u64,
    /// The market data type that Gateway was told last on this connection.
    feed_in_force: i32,
    /// The worker was told that it may live on without a broker.
    outlives: bool,
    /// When the worker said Hello: its stamps count from there.
    linked_at: Option<Instant>,
    /// Number of the newest data frame down the link.
    sent: u64,
    /// Newest upward frame, and the newest that was acknowledged.
    received: u64,
    acknowledged: u64,
    /// Bytes since the newest acknowledgement.
    unacknowledged: u64,
    outputs: VecDeque<Output>,
    stopped: bool,
}

impl Hub {
    /// A hub that has not been started. `seed` feeds jitter, and makes names of lines unique.
    pub fn new(settings: Settings, memory: Memory, seed: u64, now: Instant) -> Self {
        let routes = Routes::behind_block(memory.ledger.request_block);
        let mut pacer = Pacer::new(&settings.pacing, now);
        pacer.set_history_share(settings.limits.history_share);
        let desk = Desk::new(
            settings.trading.clone(),
            settings.principals.clone(),
            settings.client_id,
            memory.clock,
        );
        Self {
            session: Session::new(settings.clone(), memory, seed, now),
            supervisor: Supervisor::new(settings.worker.clone()),
            heartbeat: Heartbeat::new(settings.heartbeat.clone()),
            pacer,
            routes,
            lines: Lines::new(&settings.pacing),
            clients: Clients::default(),
            farms: Farms::default(),
            counters: Counters::default(),
            streams: Streams::default(),
            snapshots: BTreeMap::new(),
            calls: OpenCalls::default(),
            kept: Kept::default(),
            contracts: Contracts::default(),
            line_waiters: VecDeque::new(),
            updates_freed: false,
            updates_taken: None,
            said: unreadable::Said::default(),
            left_lately: LeftLately::default(),
            before: Before::New,
            desk,
            trading: Trading::default(),
            lenses: BTreeMap::new(),
            seed,
            feed_in_force: LIVE,
            outlives: false,
            linked_at: None,
            sent: 0,
            received: 0,
            acknowledged: 0,
            unacknowledged: 0,
            outputs: VecDeque::new(),
            stopped: false,
            settings,
        }
    }

    /// Something happened.
    pub fn handle_input(&mut self, input: Input, now: Instant) {
        match input {
            Input::Start => {
                self.desk.on_alone(now);
                self.session.start(now);
            }
            Input::StartAdopting { who, pid } => self.session.start_adopting(&who, pid, now),
            Input::Adopt { epoch, pid, hello, open, owed } => {
                self.adopt(epoch, pid, &hello, (&open, &owed), now);
            }
            Input::OrphanGone => {
                self.desk.on_alone(now);
                self.session.on_orphan_gone(now);
            }
            Input::Stop { because } => self.stop(&because, now),
            Input::LetGo { because } => self.let_go(&because, now),
            Input::Settings(settings) => self.on_settings(*settings, now),
            Input::Worker { epoch, event } => self.on_worker(epoch, event, now),
            Input::ClientJoined { client, name, peer, credential } => {
                if let Some(principal) = &credential.principal {
                    self.desk.on_joined(principal, client);
                }
                self.clients.join(client, &name, peer, credential, now);
                self.outputs.push_back(Output::StatusChanged);
            }
            Input::Unproven { name, peer, because } => self.audit_unproven(name, &peer, &because),
            Input::Denied { client, what, because } => {
                self.audit_denied(client, what, because, now);
            }
            Input::ClientLeft { client } => {
                self.part(client, now);
                self.clients.leave(client);
                self.outputs.push_back(Output::StatusChanged);
            }
            Input::StreamOpened { client, stream, single } => {
                self.open_stream(client, stream, single, now);
            }
            Input::StreamClosed { stream } => self.close_stream(stream, now),
            Input::StreamHopeless { stream, why } => self.evict(stream, why, now),
            Input::AnswersEvicted { client, count, left } => {
                self.on_answers_evicted(client, count, left);
            }
            Input::Subscribe { stream, subscription, wanted, manner } => {
                self.subscribe(stream, subscription, wanted, manner, now);
            }
            Input::BookLost { stream, subscription } => self.resend_book(stream, subscription),
            Input::Unsubscribe { stream, subscription } => {
                self.unsubscribe(stream, subscription, now);
            }
            Input::Snapshot { client, call, request, feed, accept_fee } => {
                self.snapshot(client, call, *request, feed, accept_fee, now);
            }
            Input::Call { client, call, asked } => self.call(client, call, asked, now),
            Input::Order { client, call, request } => match self.check_known(client) {
                Ok(()) => self.on_order(client, call, &request, now),
                Err(error) => self.reply(call, Err(error::not_sent(error))),
            },
            Input::Journaled { through } => self.desk.on_journaled(through),
            Input::JournalFailed { error } => self.desk.on_journal_failed(&error),
            Input::JournalDamaged { words } => self.desk.on_damaged(words),
            Input::AuditFailed { error } => self.desk.on_audit(error),
            Input::CallDropped { call } => {
                self.desk.on_call_dropped(call, now);
                self.drop_snapshot(call);
                self.drop_call(call);
            }
            Input::RestartWorker { call, reason, drop_live_session } => {
                self.restart_worker(call, &reason, drop_live_session);
            }
            Input::Retry { call, reason } => self.retry(call, &reason, now),
            Input::Hold { call, reason, drop_live_session } => {
                self.hold(call, &reason, drop_live_session, now);
            }
            Input::Release { call, reason } => self.release(call, &reason, now),
            Input::Sight { sight, clock } => self.on_sight(*sight, clock, now),
            Input::Claimed(claim) => {
                self.session.on_claimed(claim, now);
                self.outputs.push_back(Output::StatusChanged);
            }
            Input::Record(record) => self.session.on_record(&record, now),
            Input::RestartWindow { until } => self.session.on_restart_window(until),
        }
        self.settle(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.session.handle_timeout(now);
        self.supervisor.handle_timeout(now);
        self.beat(now);
        self.expire_snapshots(now);
        self.expire_calls(now);
        self.expire_lines(now);
        self.expire_refusals(now);
        self.expire_trading(now);
        self.settle(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The earliest time at which `handle_timeout` has something to do, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let deadlines = self.snapshots.values().filter_map(|snapshot| snapshot.deadline);
        let snapshots = deadlines.map(|deadline| (deadline, "snapshot"));
        [
            self.session.poll_timeout(),
            self.supervisor.poll_timeout(),
            self.heartbeat.poll_timeout(),
            self.pacing_timeout().map(|at| (at, "pacing")),
            self.calls.poll_timeout().map(|at| (at, "answer")),
            self.lines.poll_timeout().map(|at| (at, "line without listeners")),
            self.refusals_timeout().map(|at| (at, "line that Gateway had not")),
            self.trading_timeout().map(|at| (at, "orders")),
        ]
        .into_iter()
        .flatten()
        .chain(snapshots)
        .min_by_key(|(at, _)| *at)
    }

    /// Is there a live session?
    pub fn is_up(&self) -> bool {
        self.session.is_up()
    }

    /// Is a worker from before waited for?
    pub fn is_adopting(&self) -> bool {
        self.session.is_adopting()
    }

    /// Accounts of the newest session, in full.
    pub fn accounts(&self) -> &[String] {
        self.session.accounts()
    }

    /// A text without the accounts of this session.
    pub(crate) fn mask_accounts(&self, text: &str) -> String {
        let accounts = self.session.accounts().iter();
        accounts.fold(text.to_owned(), |text, one| text.replace(one.as_str(), &mask_account(one)))
    }

    /// How long a stream or an answer that has something for its reader may be left unread.
    pub fn patience(&self) -> std::time::Duration {
        self.settings.limits.stalled
    }

    /// Bytes of answers that a client may leave.
    pub fn unread_answers(&self) -> usize {
        self.settings.limits.unread_answers
    }

    /// Somebody has claimed to be what it could not prove. Where nobody trades, nothing hangs on it.
    fn audit_unproven(&mut self, name: String, peer: &str, because: &str) {
        if self.desk.is_active() {
            let reason = format!("{peer}: {because}");
            let (client, what, result) = (name, "Connect", "refused");
            let audit = Audit { client, what, result, reason, ..Audit::default() };
            self.outputs.push_back(Output::Audit(Box::new(audit)));
        }
    }

    /// Streams of a client.
    pub fn streams_of(&self, client: ClientId) -> Vec<StreamId> {
        self.streams.of(client).map(|(id, _)| id).collect()
    }

    /// The client id of the session, or of the attempt under way.
    pub fn client_id(&self) -> i32 {
        self.session.client_id()
    }

    /// What a client calls itself.
    pub fn client_name(&self, client: ClientId) -> &str {
        self.clients.name(client)
    }

    /// Requests, and messages that wait for their turn: what must not grow with a long life.
    pub fn backlog(&self) -> (usize, usize) {
        (self.routes.len(), self.pacer.len())
    }

    /// Bytes of answers that are kept.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.kept.bytes() as u64
    }

    /// What must hold after every step; for tests and simulation.
    ///
    /// # Panics
    /// If it does not.
    pub fn check_invariants(&self) {
        self.lines.check_invariants();
        self.calls.check_invariants();
        self.streams.check_invariants(&self.lines);
        self.desk.check_invariants();
        self.session.check_invariants();
        if !self.session.is_up() {
            assert!(self.pacer.is_empty(), "nothing waits for a session that is not there");
            assert!(self.snapshots.is_empty(), "nor any snapshot");
            assert!(self.calls.is_empty(), "nor any call");
        }
    }
}
