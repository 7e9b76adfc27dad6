//! What goes into the hub, and what comes out.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ibouncer_proto::api::v1;
use ibouncer_proto::link::v1::{Ended, Gap, Hello, Pong, StageReached, ToWorker};
use ibouncer_proto::tws::v1::MarketDataRequest;

use crate::calls::Asked;
use crate::clock::Clock;
use crate::error::Error;
use crate::ids::{CallId, ClientId, Epoch, RequestId, StreamId};
use crate::ledger::Ledger;
use crate::lines::wanted::Wanted;
use crate::notes::Note;
use crate::orders::journal::{Audit, EventRecord, Write};
use crate::orders::request::{OrderRequest, View};
use crate::pacing::gates::Group;
use crate::principals::Credential;
use crate::queue::{Chunk, Hopeless};
use crate::record::{Claim, Record};
use crate::session::Transition;
use crate::settings::Settings;
use crate::sight::Sight;
use crate::supervisor::ExitStatus;

pub use super::subscriptions::Manner;

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The broker is up, and no worker is left from before.
    Start,
    /// The broker is up, and a worker from before holds its lock.
    StartAdopting {
        /// What is known of it, in words.
        who: String,
        /// The process that holds the lock, if that is known.
        pid: Option<u32>,
    },
    /// That worker is here, and it is ours.
    Adopt {
        /// Which one.
        epoch: Epoch,
        /// Its pid.
        pid: u32,
        /// What it said.
        hello: Hello,
        /// Requests that are open at Gateway, each with the code of its cancel.
        open: Vec<(RequestId, u32)>,
        /// Answers without an id that may be under way.
        owed: Vec<Group>,
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
        /// What it was proven to be.
        credential: Credential,
    },
    /// A program did not prove what it claimed to be.
    Unproven {
        /// The name that it gave, or has.
        name: String,
        /// Where it comes from.
        peer: String,
        /// Why it was refused.
        because: String,
    },
    /// A program has asked for what is for operators.
    Denied {
        /// Which one.
        client: ClientId,
        /// What it asked for.
        what: &'static str,
        /// Why it was refused.
        because: String,
    },
    /// It left; its streams and calls have been closed before.
    ClientLeft {
        /// Which one.
        client: ClientId,
    },
    /// A client opened a stream.
    StreamOpened {
        /// Whose.
        client: ClientId,
        /// Its id.
        stream: StreamId,
        /// It is for one subscription, and ends with it.
        single: bool,
    },
    /// It is gone.
    StreamClosed {
        /// Which one.
        stream: StreamId,
    },
    /// Nobody reads it, and there is no use in waiting.
    StreamHopeless {
        /// Which one.
        stream: StreamId,
        /// Why.
        why: Hopeless,
    },
    /// A client did not take answers, which were let go of.
    AnswersEvicted {
        /// Which one.
        client: ClientId,
        /// How many.
        count: usize,
        /// How long the oldest was left.
        left: Duration,
    },
    /// A subscription on a stream.
    Subscribe {
        /// Which stream.
        stream: StreamId,
        /// The client's number.
        subscription: u32,
        /// What it wants, or what is wrong with that.
        wanted: Result<Box<Wanted>, Error>,
        /// How.
        manner: Manner,
    },
    /// A reader has caught up, and lost changes of this book before.
    BookLost {
        /// Which stream.
        stream: StreamId,
        /// The client's number.
        subscription: u32,
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
        /// A fee may be taken.
        accept_fee: bool,
    },
    /// A one-shot request is made.
    Call {
        /// By whom.
        client: ClientId,
        /// Answer to this.
        call: CallId,
        /// What is asked, or what is wrong with that.
        asked: Result<Box<Asked>, Error>,
    },
    /// Something about orders is asked for.
    Order {
        /// By whom.
        client: ClientId,
        /// Answer to this.
        call: CallId,
        /// What.
        request: OrderRequest,
    },
    /// Everything up to this number is on disk.
    Journaled {
        /// The number.
        through: u64,
    },
    /// What was to be written is not on disk; it is tried again.
    JournalFailed {
        /// Why.
        error: String,
    },
    /// The journal of orders cannot be trusted any more.
    JournalDamaged {
        /// What is wrong, and what a person can do.
        words: String,
    },
    /// The audit log cannot be written, and why; or it can again.
    AuditFailed {
        /// Why.
        error: Option<String>,
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
    /// The answer to a claim of the handshake lock.
    Claimed(Claim),
    /// Somebody else has changed what is remembered of Gateway.
    Record(Box<Record>),
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
    /// Write the ledger, before anything that follows; and Gateway's record, if its lock is ours.
    Remember(Box<Ledger>),
    /// Look at the kernel's tables, and tell.
    Look,
    /// Take Gateway's handshake lock, and tell what is remembered of Gateway.
    Claim,
    /// Give it back.
    Yield,
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
    /// End a stream with this error.
    EndStream(StreamId, Error),
    /// End a stream with this error, and forget what waits in it.
    EvictStream(StreamId, Error),
    /// Answer a call.
    Reply(CallId, Result<Reply, Error>),
    /// The state of the session has changed.
    Transitioned(Transition),
    /// Status would read differently now.
    StatusChanged,
    /// Write down that this request is open at Gateway, and the code of its cancel, before it
    /// leaves.
    NoteOpen(RequestId, u32),
    /// It no longer is: Gateway ended it, or it is taken back by the frame of this number, once the
    /// worker has that.
    NoteClosed(RequestId, Option<u64>),
    /// Write down that an answer without an id is under way, to what left in the frame of this number;
    /// or that it has come to its end.
    NoteAnswer(Group, Option<u64>),
    /// No request is open: a connection began or ended.
    NoteNone,
    /// Write this to the journal of orders, in one piece, and say when it is on disk.
    Journal(u64, Vec<Write>),
    /// Write this to the audit log.
    Audit(Box<Audit>),
    /// Show this to those who watch orders.
    OrderEvent(Box<EventRecord>),
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
    /// Gateway's answer, or the desk's, as an encoded response.
    Answer(Bytes),
    /// The same of a request that had to wait so long for its turn to leave.
    Paced(Bytes, Duration),
    /// A watch begins: its first response, the event up to which that tells all, and what it
    /// shows.
    Watch(Bytes, u64, View),
    /// The worker that is being ended.
    Restarting(Epoch),
    /// An attempt is being made.
    Retrying,
    /// Nothing is tried until it is released.
    Held,
    /// Attempts are made again.
    Released,
}
