//! The hub: all machines of the broker, composed. Inputs and the time go in, outputs come out.
//!
//! ```text
//!   loop { hub.handle_input(input, now) or hub.handle_timeout(now);
//!          while let Some(output) = hub.poll_output() { carry it out } }
//! ```
//!
//! Owns every decision; carries out none. News of a worker that is not the current one is
//! dropped and counted. Read on in `hub/upstream.rs` (frames from Gateway), `hub/market.rs`
//! (subscriptions), `hub/snapshot.rs`, `hub/marks.rs` (what a subscription is told),
//! `hub/streams.rs` (who gets what), `hub/worker.rs` (the worker's life), `hub/adoption.rs` (a
//! worker that was there before), `hub/operator.rs`, and [`crate::status`].

mod adoption;
mod market;
mod marks;
mod operator;
mod snapshot;
mod streams;
mod upstream;
mod worker;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use ibouncer_proto::api::v1;
use ibouncer_proto::link::v1::{Ended, Gap, Hello, Pong, StageReached, ToWorker};
use ibouncer_proto::tws::v1::MarketDataRequest;

use crate::clients::Clients;
use crate::clock::Clock;
use crate::error::Error;
use crate::farms::Farms;
use crate::heartbeat::Heartbeat;
use crate::ids::{CallId, ClientId, Epoch, RequestId, StreamId};
use crate::ledger::Ledger;
use crate::lines::Lines;
use crate::notes::Note;
use crate::pacing::Pacer;
use crate::queue::Chunk;
use crate::routes::Routes;
use crate::session::{Memory, Session, Transition};
use crate::settings::Settings;
use crate::sight::Sight;
use crate::supervisor::{ExitStatus, Supervisor};

use snapshot::Snapshot;
use streams::Streams;

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The broker is up, and no worker is left from before.
    Start,
    /// The broker is up, and a worker from before holds its lock.
    StartAdopting {
        /// What is known of it, in words.
        who: String,
    },
    /// That worker is here, and it is ours.
    Adopt {
        /// Which one.
        epoch: Epoch,
        /// Its pid.
        pid: u32,
        /// What it said.
        hello: Hello,
        /// Requests that are open at Gateway.
        open: Vec<RequestId>,
    },
    /// Its lock is free: it is gone.
    OrphanGone,
    /// The broker is to end, and the session with it.
    Stop {
        /// Why.
        because: String,
    },
    /// The broker is to end, and to leave a live session to the next one.
    LetGo {
        /// Why.
        because: String,
    },
    /// Other numbers to decide by, from now on.
    Settings(Box<Settings>),
    /// News of a worker.
    Worker {
        /// Which one.
        epoch: Epoch,
        /// What.
        event: WorkerEvent,
    },
    /// A program connected.
    ClientJoined {
        /// Its id.
        client: ClientId,
        /// The name that it wants.
        name: String,
        /// Where it comes from.
        peer: String,
    },
    /// It left; its streams and calls have been closed before.
    ClientLeft {
        /// Which one.
        client: ClientId,
    },
    /// A client opened a market-data stream.
    StreamOpened {
        /// Whose.
        client: ClientId,
        /// Its id.
        stream: StreamId,
    },
    /// It is gone.
    StreamClosed {
        /// Which one.
        stream: StreamId,
    },
    /// A subscription on a stream.
    Subscribe {
        /// Which stream.
        stream: StreamId,
        /// The client's number.
        subscription: u32,
        /// What it wants.
        request: Box<MarketDataRequest>,
        /// Market data type; 0 is the default.
        feed: i32,
    },
    /// Its end.
    Unsubscribe {
        /// Which stream.
        stream: StreamId,
        /// The client's number.
        subscription: u32,
    },
    /// A snapshot is wanted.
    Snapshot {
        /// By whom.
        client: ClientId,
        /// Answer to this.
        call: CallId,
        /// What it wants.
        request: Box<MarketDataRequest>,
        /// Market data type; 0 is the default.
        feed: i32,
    },
    /// Nobody waits for this call any more.
    CallDropped {
        /// Which one.
        call: CallId,
    },
    /// An operator ends the worker.
    RestartWorker {
        /// Answer to this.
        call: CallId,
        /// Why.
        reason: String,
        /// Also if the session is live.
        drop_live_session: bool,
    },
    /// An operator ends a wait.
    Retry {
        /// Answer to this.
        call: CallId,
        /// Why; may be empty.
        reason: String,
    },
    /// An operator stops all attempts.
    Hold {
        /// Answer to this.
        call: CallId,
        /// Why.
        reason: String,
        /// Also if the session is live.
        drop_live_session: bool,
    },
    /// An operator ends that.
    Release {
        /// Answer to this.
        call: CallId,
        /// Why; may be empty.
        reason: String,
    },
    /// The kernel's tables were read.
    Sight {
        /// What they show.
        sight: Box<Sight>,
        /// Both clocks now.
        clock: Clock,
    },
    /// An operator's window for restarts of Gateway began, or ended.
    RestartWindow {
        /// Its end.
        until: Option<Instant>,
    },
}

/// News of a worker.
#[derive(Debug)]
pub enum WorkerEvent {
    /// The process exists.
    Spawned {
        /// Its pid.
        pid: u32,
    },
    /// It could not be started.
    NotSpawned {
        /// Why.
        error: String,
    },
    /// It said Hello.
    Hello(Hello),
    /// It reached a stage of the handshake.
    Stage(StageReached),
    /// It answered a ping.
    Pong(Pong),
    /// It had to drop frames.
    Gap(Gap),
    /// Its last word.
    Ended(Ended),
    /// Whole TWS frames from Gateway.
    Frames {
        /// Their number on the link.
        number: u64,
        /// Headers included.
        frames: Bytes,
    },
    /// The link is gone.
    LinkClosed {
        /// Why.
        because: String,
    },
    /// The link carried nonsense.
    LinkViolated {
        /// What.
        because: String,
    },
    /// The process was waited for.
    Exited(ExitStatus),
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Write the ledger, before anything that follows.
    Remember(Box<Ledger>),
    /// Look at the kernel's tables, and tell.
    Look,
    /// Start a worker process.
    Spawn(Epoch),
    /// SIGKILL, through the child's handle.
    Kill(Epoch),
    /// Say this on the link.
    Tell(Epoch, ToWorker),
    /// Send these frames to Gateway.
    Send {
        /// Through this worker.
        epoch: Epoch,
        /// Their number on the link.
        number: u64,
        /// Whole frames.
        frames: Bytes,
    },
    /// Put this into a stream's queue.
    Deliver(StreamId, Chunk),
    /// Answer a call.
    Reply(CallId, Result<Reply, Error>),
    /// The state of the session has changed.
    Transitioned(Transition),
    /// Status would read differently now.
    StatusChanged,
    /// Write down that this request is open at Gateway, before it leaves.
    NoteOpen(RequestId),
    /// It no longer is.
    NoteClosed(RequestId),
    /// No request is open: a connection began or ended.
    NoteNone,
    /// Keep this for operators.
    Note(Note),
    /// Drop the link and leave the worker alone: the next broker takes it over.
    LetGo(Epoch),
    /// The last worker is gone, or let go, and the broker may end.
    Stopped,
}

/// The answer to a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A snapshot.
    Snapshot(v1::GetSnapshotResponse),
    /// The worker that is being ended.
    Restarting(Epoch),
    /// An attempt is being made.
    Retrying,
    /// Nothing is tried until it is released.
    Held,
    /// Attempts are made again.
    Released,
}

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
    /// A hub that has not been started. `seed` feeds jitter and nothing else.
    pub fn new(settings: Settings, memory: Memory, seed: u64, now: Instant) -> Self {
        let routes = Routes::behind_block(memory.ledger.request_block);
        Self {
            session: Session::new(settings.clone(), memory, seed, now),
            supervisor: Supervisor::new(settings.worker.clone()),
            heartbeat: Heartbeat::new(settings.heartbeat.clone()),
            pacer: Pacer::new(&settings.pacing, now),
            routes,
            lines: Lines::new(settings.pacing.lines),
            clients: Clients::default(),
            farms: Farms::default(),
            counters: Counters::default(),
            streams: Streams::default(),
            snapshots: BTreeMap::new(),
            feed_in_force: market::LIVE,
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
            Input::Start => self.session.start(now),
            Input::StartAdopting { who } => self.session.start_adopting(&who, now),
            Input::Adopt { epoch, pid, hello, open } => self.adopt(epoch, pid, &hello, &open, now),
            Input::OrphanGone => self.session.on_orphan_gone(now),
            Input::Stop { because } => self.session.stop(&because, now),
            Input::LetGo { because } => self.let_go(&because, now),
            Input::Settings(settings) => self.on_settings(*settings),
            Input::Worker { epoch, event } => self.on_worker(epoch, event, now),
            Input::ClientJoined { client, name, peer } => {
                self.clients.join(client, &name, peer, now);
                self.outputs.push_back(Output::StatusChanged);
            }
            Input::ClientLeft { client } => {
                self.clients.leave(client);
                self.outputs.push_back(Output::StatusChanged);
            }
            Input::StreamOpened { client, stream } => self.streams.open(stream, client),
            Input::StreamClosed { stream } => self.close_stream(stream),
            Input::Subscribe { stream, subscription, request, feed } => {
                self.subscribe(stream, subscription, *request, feed);
            }
            Input::Unsubscribe { stream, subscription } => self.unsubscribe(stream, subscription),
            Input::Snapshot { client, call, request, feed } => {
                self.snapshot(client, call, *request, feed, now);
            }
            Input::CallDropped { call } => self.drop_snapshot(call),
            Input::RestartWorker { call, reason, drop_live_session } => {
                self.restart_worker(call, &reason, drop_live_session);
            }
            Input::Retry { call, reason } => self.retry(call, &reason, now),
            Input::Hold { call, reason, drop_live_session } => {
                self.hold(call, &reason, drop_live_session, now);
            }
            Input::Release { call, reason } => self.release(call, &reason, now),
            Input::Sight { sight, clock } => self.on_sight(*sight, clock, now),
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
        self.settle(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The earliest time at which `handle_timeout` has something to do, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let snapshots = self.snapshots.values().map(|snapshot| (snapshot.deadline, "snapshot"));
        [
            self.session.poll_timeout(),
            self.supervisor.poll_timeout(),
            self.heartbeat.poll_timeout(),
            self.pacing_timeout().map(|at| (at, "pacing")),
        ]
        .into_iter()
        .flatten()
        .chain(snapshots)
        .min_by_key(|(at, _)| *at)
    }

    /// Is a worker from before waited for?
    pub fn is_adopting(&self) -> bool {
        self.session.is_adopting()
    }

    /// Accounts of the newest session, in full.
    pub fn accounts(&self) -> &[String] {
        self.session.accounts()
    }

    /// Streams of a client.
    pub fn streams_of(&self, client: ClientId) -> Vec<StreamId> {
        self.streams.of(client).map(|(id, _)| id).collect()
    }

    /// Requests, and messages that wait for their turn: what must not grow with a long life.
    pub fn backlog(&self) -> (usize, usize) {
        (self.routes.len(), self.pacer.len())
    }

    /// What must hold after every step; for tests and simulation.
    ///
    /// # Panics
    /// If it does not.
    pub fn check_invariants(&self) {
        self.lines.check_invariants();
        self.streams.check_invariants(&self.lines);
        assert_eq!(self.session.illegal_transitions(), 0);
        if !self.session.is_up() {
            assert!(self.pacer.is_empty(), "nothing waits for a session that is not there");
            assert!(self.snapshots.is_empty(), "nor any snapshot");
        }
    }
}
