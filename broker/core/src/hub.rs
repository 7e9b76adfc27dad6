//! The hub: all machines of the broker, composed. Inputs and the time go in, outputs come out.
//!
//! ```text
//!   loop { hub.handle_input(input, now) or hub.handle_timeout(now);
//!          while let Some(output) = hub.poll_output() { carry it out } }
//! ```
//!
//! Owns every decision; carries out none. News of a worker that is not the current one is
//! dropped and counted. Read on in `hub/upstream.rs` (frames from Gateway), `hub/market.rs`
//! (subscriptions), `hub/snapshot.rs`, `hub/marks.rs` (what a subscription is told), `hub/streams.rs` (who gets what), `hub/worker.rs` (the
//! worker's life), and [`crate::status`].

mod market;
mod marks;
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
use crate::error::Error;
use crate::farms::Farms;
use crate::heartbeat::Heartbeat;
use crate::ids::{CallId, ClientId, Epoch, StreamId};
use crate::lines::Lines;
use crate::pacing::Pacer;
use crate::queue::Chunk;
use crate::routes::Routes;
use crate::session::{Eyes, Session, Transition};
use crate::settings::Settings;
use crate::supervisor::{ExitStatus, Supervisor};

use snapshot::Snapshot;
use streams::Streams;

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The broker is up.
    Start,
    /// The broker is to end.
    Stop {
        /// Why.
        because: String,
    },
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
    /// The kernel's tables were read.
    Eyes(Eyes),
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
    /// The last worker is gone and the broker may end.
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
    /// When the worker said Hello: its stamps count from there.
    linked_at: Option<Instant>,
    /// Number of the newest data frame down the link.
    sent: u64,
    /// Newest upward frame, and the newest that was acknowledged.
    received: u64,
    acknowledged: u64,
    outputs: VecDeque<Output>,
    stopped: bool,
}

impl Hub {
    /// A hub that has not been started. `seed` feeds jitter and nothing else.
    pub fn new(settings: Settings, seed: u64, now: Instant) -> Self {
        Self {
            session: Session::new(settings.clone(), seed, now),
            supervisor: Supervisor::new(settings.worker.clone()),
            heartbeat: Heartbeat::new(settings.heartbeat.clone()),
            pacer: Pacer::new(&settings.pacing, now),
            routes: Routes::default(),
            lines: Lines::new(settings.pacing.lines),
            clients: Clients::default(),
            farms: Farms::default(),
            counters: Counters::default(),
            streams: Streams::default(),
            snapshots: BTreeMap::new(),
            feed_in_force: market::LIVE,
            linked_at: None,
            sent: 0,
            received: 0,
            acknowledged: 0,
            outputs: VecDeque::new(),
            stopped: false,
            settings,
        }
    }

    /// Something happened.
    pub fn handle_input(&mut self, input: Input, now: Instant) {
        match input {
            Input::Start => self.session.start(now),
            Input::Stop { because } => self.session.stop(&because, now),
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
                let result = self.session.restart_worker(&reason, drop_live_session);
                self.outputs.push_back(Output::Reply(call, result.map(Reply::Restarting)));
            }
            Input::Retry { call, reason } => {
                let result = self.session.retry(&reason, now);
                self.outputs.push_back(Output::Reply(call, result.map(|()| Reply::Retrying)));
            }
            Input::Eyes(eyes) => self.session.on_eyes(eyes, now),
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

    /// Accounts of the newest session, in full.
    pub fn accounts(&self) -> &[String] {
        self.session.accounts()
    }

    /// Streams of a client.
    pub fn streams_of(&self, client: ClientId) -> Vec<StreamId> {
        self.streams.of(client).map(|(id, _)| id).collect()
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
