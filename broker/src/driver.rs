//! The one task that owns the hub: it waits for whatever comes first, hands it over with the
//! time, and carries out what the hub decides. Decides nothing itself.
//!
//! Read on in `driver/orders.rs` (what the hub decides), `driver/workers.rs` (processes and their
//! links), `driver/answers.rs` (what others ask), `driver/looks.rs` (what is seen, and when it is
//! time), `driver/desk.rs` (what is kept of orders).

mod answers;
mod desk;
mod looks;
mod orders;
mod workers;

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ibouncer_core::clock::Clock;
use ibouncer_core::error::Error;
use ibouncer_core::hub::{Hub, Input, Reply, WorkerEvent};
use ibouncer_core::ids::{CallId, Epoch, StreamId};
use ibouncer_core::notes::{NoteKind, Severity};
use ibouncer_core::status::BrokerProcess;
use ibouncer_core::supervisor::ExitStatus;
use ibouncer_proto::api::v1;
use ibouncer_proto::link::v1::Hello;
use interprocess::local_socket::tokio::Stream as LocalStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Sleep, sleep_until};

use crate::config::RestartWindows;
use crate::events::Events;
use crate::grpc::answers::Answers;
use crate::grpc::stream::StreamShared;
use crate::handle::{Command, Published};
use crate::journal::News;
use crate::ledger::LedgerFile;
use crate::link::{Link, LinkListener, Peer};
use crate::open_requests::OpenRequests;
use crate::process::{Nursery, Worker};
use crate::turn::Turn;
use crate::watch::{Observed, Watcher};
pub use desk::Desk;
use workers::Greeting;

/// Commands that are taken in one go, so that frames from Gateway are not kept waiting.
const COMMANDS_AT_ONCE: usize = 64;

/// Status is published at most this often while things change quickly.
const PUBLISH_EVERY: Duration = Duration::from_millis(20);

/// Between two looks at what nobody tells us: the lock of a worker from before, the restart
/// window, and facts of the tables that only age.
const TICK: Duration = Duration::from_millis(200);

/// Everything that the driver drives.
pub struct Driver {
    hub: Hub,
    broker: BrokerProcess,
    nursery: Nursery,
    listener: LinkListener,
    watcher: Watcher,
    files: Files,
    desk: Desk,
    windows: RestartWindows,
    window_open: bool,
    /// The session is live, so that looks are in no hurry.
    calm: bool,
    birth: Option<(Epoch, oneshot::Receiver<io::Result<Worker>>)>,
    worker: Option<Worker>,
    link: Option<Link>,
    /// Somebody at the link who may be a worker of ours that comes back.
    greeting: Option<Greeting>,
    look: Option<oneshot::Receiver<Arc<Observed>>>,
    ticked: Instant,
    /// Who was named as a port checker, and when.
    port_checks: BTreeMap<String, Instant>,
    inbox: mpsc::Receiver<Command>,
    streams: BTreeMap<StreamId, Served>,
    /// Events that were left out on streams that have ended, by their client's name.
    dropped: BTreeMap<String, u64>,
    /// Answers that clients have not taken.
    answers: Arc<Answers>,
    calls: BTreeMap<CallId, oneshot::Sender<Result<Reply, Error>>>,
    publisher: watch::Sender<Published>,
    transitions: VecDeque<(u64, v1::Transition)>,
    transition_count: u64,
    /// Since when the published status is old.
    stale_since: Option<Instant>,
    published_at: Instant,
    /// The binary that goes on in this process, once we have stopped.
    successor: Option<PathBuf>,
    stopped: bool,
}

/// A stream, and the name of its client.
struct Served {
    client: String,
    shared: Arc<StreamShared>,
}

/// What is kept on disk, and where.
#[derive(Debug)]
pub struct Files {
    /// What is remembered of this client id.
    pub ledger: LedgerFile,
    /// Gateway's handshake lock, and what is remembered of Gateway.
    pub turn: Turn,
    /// What is written about the newest worker.
    pub worker: PathBuf,
    /// The worker's lock.
    pub lock: PathBuf,
    /// The link's socket.
    pub link: PathBuf,
    /// Requests that are open at Gateway.
    pub requests: OpenRequests,
    /// What happened.
    pub events: Events,
}

/// What a driver is made of.
pub struct Parts {
    /// The decisions.
    pub hub: Hub,
    /// Who we are.
    pub broker: BrokerProcess,
    /// Where workers come from.
    pub nursery: Nursery,
    /// Where they come in.
    pub listener: LinkListener,
    /// Who looks at Gateway's port.
    pub watcher: Watcher,
    /// What is kept on disk.
    pub files: Files,
    /// What is kept of orders.
    pub desk: Desk,
    /// When restarts of Gateway are expected.
    pub windows: RestartWindows,
    /// Commands from everybody else.
    pub inbox: mpsc::Receiver<Command>,
    /// Answers that clients have not taken.
    pub answers: Arc<Answers>,
    /// Where status goes.
    pub publisher: watch::Sender<Published>,
}

/// How a driver ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The worker is gone, or was let go for a broker that somebody else starts.
    Stopped,
    /// This binary goes on in our process.
    HandOver(PathBuf),
}

/// What the driver waited for.
enum Woken {
    Link(Vec<WorkerEvent>),
    Command(Option<Command>),
    Born(Epoch, io::Result<Worker>),
    Exited(io::Result<ExitStatus>),
    Accepted(io::Result<(LocalStream, Peer)>),
    Greeted(Result<Hello, String>),
    Looked(Option<Arc<Observed>>),
    Seen(Observed),
    Journal(News),
    Tick,
    Timer,
}

impl Driver {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        Self {
            hub: parts.hub,
            broker: parts.broker,
            nursery: parts.nursery,
            listener: parts.listener,
            watcher: parts.watcher,
            files: parts.files,
            desk: parts.desk,
            windows: parts.windows,
            window_open: false,
            calm: false,
            birth: None,
            worker: None,
            link: None,
            greeting: None,
            look: None,
            ticked: Instant::now(),
            port_checks: BTreeMap::new(),
            inbox: parts.inbox,
            streams: BTreeMap::new(),
            dropped: BTreeMap::new(),
            answers: parts.answers,
            calls: BTreeMap::new(),
            publisher: parts.publisher,
            transitions: VecDeque::new(),
            transition_count: 0,
            stale_since: None,
            published_at: Instant::now(),
            successor: None,
            stopped: false,
        }
    }

    /// Runs until the hub has stopped: after a `Stop`, when the last worker is gone, or after a
    /// `LetGo`.
    pub async fn run(mut self) -> anyhow::Result<Ending> {
        let text = format!("broker {} started, pid {}", self.broker.version, self.broker.pid);
        self.say(NoteKind::Broker, Severity::Info, text);
        self.answers.set_limit(self.hub.unread_answers());
        self.tick_window();
        self.begin();
        let mut timer = Box::pin(sleep_until(Instant::now().into()));
        let mut events = Vec::new();
        loop {
            self.carry_out().await;
            self.flush_link().await;
            if self.stopped {
                self.desk.finish().await;
                let ending = self.successor.map_or(Ending::Stopped, Ending::HandOver);
                return Ok(ending);
            }
            self.publish();
            self.arm(timer.as_mut());
            let woken = self.wait(timer.as_mut(), &mut events).await;
            self.take(woken).await?;
            for _ in 0..COMMANDS_AT_ONCE {
                match self.inbox.try_recv() {
                    Ok(command) => self.on_command(command).await,
                    Err(_) => break,
                }
                // What leaves in turn must not go out in a heap behind the last command.
                self.flush_link().await;
            }
            let now = Instant::now();
            if self.hub.poll_timeout().is_some_and(|(at, _)| at <= now) {
                self.hub.handle_timeout(now);
            }
        }
    }

    async fn flush_link(&mut self) {
        if let Some(link) = &mut self.link {
            link.flush().await;
        }
    }

    async fn wait(
        &mut self,
        timer: std::pin::Pin<&mut Sleep>,
        events: &mut Vec<WorkerEvent>,
    ) -> Woken {
        // A worker may come to the link before we are told that it exists; it waits there.
        let takes = self.birth.is_none() && self.greeting.is_none();
        let birth = async {
            match &mut self.birth {
                Some((epoch, born)) => {
                    let gone = || Err(io::Error::other("the thread that starts workers is gone"));
                    let worker = born.await.unwrap_or_else(|_| gone());
                    (*epoch, worker)
                }
                None => pending().await,
            }
        };
        let exit = async {
            match &mut self.worker {
                Some(worker) => worker.exited().await,
                None => pending().await,
            }
        };
        let link = async {
            match &mut self.link {
                Some(link) => link.events(events).await,
                None => pending().await,
            }
        };
        let greeting = async {
            match &mut self.greeting {
                Some(greeting) => greeting.hello().await,
                None => pending().await,
            }
        };
        let look = async {
            match &mut self.look {
                // The thread drops an answer that it cannot give.
                Some(look) => look.await.ok(),
                None => pending().await,
            }
        };
        let tick = sleep_until((self.ticked + TICK).into());
        tokio::select! {
            () = link => Woken::Link(std::mem::take(events)),
            command = self.inbox.recv() => Woken::Command(command),
            (epoch, born) = birth => Woken::Born(epoch, born),
            status = exit => Woken::Exited(status),
            accepted = self.listener.accept(), if takes => Woken::Accepted(accepted),
            hello = greeting => Woken::Greeted(hello),
            observed = look => Woken::Looked(observed),
            observed = self.watcher.changed() => Woken::Seen(observed),
            news = self.desk.news() => Woken::Journal(news),
            () = tick => Woken::Tick,
            () = timer => Woken::Timer,
        }
    }

    async fn take(&mut self, woken: Woken) -> anyhow::Result<()> {
        match woken {
            Woken::Link(events) => {
                let Some(epoch) = self.link.as_ref().and_then(Link::epoch) else {
                    return Ok(());
                };
                self.on_link_events(epoch, events).await;
            }
            Woken::Command(Some(command)) => self.on_command(command).await,
            // The serving side holds a handle as long as the driver runs.
            Woken::Command(None) => anyhow::bail!("everybody who could command is gone"),
            Woken::Born(epoch, born) => self.on_born(epoch, born).await,
            Woken::Exited(status) => self.on_exited(status?).await,
            Woken::Accepted(Ok((stream, peer))) => self.on_accepted(stream, peer),
            Woken::Accepted(Err(error)) => {
                tracing::warn!(%error, "a connection to the link could not be accepted");
            }
            Woken::Greeted(hello) => self.on_greeted(hello).await,
            Woken::Looked(observed) => {
                self.look = None;
                let blind = || Arc::new(Observed::blind("the look failed", Instant::now()));
                self.on_observed(&observed.unwrap_or_else(blind)).await;
            }
            Woken::Seen(observed) => self.on_seen(&observed).await,
            Woken::Journal(news) => {
                let input = self.desk.on_news(news);
                self.input(input).await;
            }
            Woken::Tick => self.on_tick().await,
            Woken::Timer => {}
        }
        Ok(())
    }

    async fn input(&mut self, input: Input) {
        self.hub.handle_input(input, Instant::now());
        self.carry_out().await;
    }

    fn say(&mut self, kind: NoteKind, severity: Severity, text: String) {
        let epoch = self.worker.as_ref().map_or(Epoch(0), Worker::epoch);
        self.files.events.say(kind, severity, text, epoch);
    }

    fn arm(&self, mut timer: std::pin::Pin<&mut Sleep>) {
        let publish = self.stale_since.map(|_| self.published_at + PUBLISH_EVERY);
        let hub = self.hub.poll_timeout().map(|(at, _)| at);
        let far = || Instant::now() + Duration::from_secs(3600);
        let next = publish.into_iter().chain(hub).min().unwrap_or_else(far);
        // A timer that fires early costs one look; setting it at every batch costs more.
        let armed = timer.deadline().into_std();
        if timer.is_elapsed() || next < armed {
            timer.as_mut().reset(next.into());
        }
    }
}

/// Both clocks at the same moment. On a busy machine a process can lose its core between two
/// looks; then it looks again, or takes the best pair that it got.
pub(crate) fn clock() -> Clock {
    const CLOSE: Duration = Duration::from_micros(20);
    let look = || {
        let now = Instant::now();
        let wall = SystemTime::now();
        (now.elapsed(), Clock { now, wall })
    };
    let mut best = look();
    for _ in 0..3 {
        if best.0 <= CLOSE {
            break;
        }
        let next = look();
        if next.0 < best.0 {
            best = next;
        }
    }
    best.1
}
