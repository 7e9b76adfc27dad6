//! The one task that owns the hub: it waits for whatever comes first, hands it over with the
//! time, and carries out what the hub decides. Decides nothing itself.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use ibouncer_core::error::{self, Error};
use ibouncer_core::hub::{Hub, Input, Output, Reply, WorkerEvent};
use ibouncer_core::ids::{CallId, Epoch, StreamId};
use ibouncer_core::status::{BrokerProcess, Clock, transition_view};
use ibouncer_core::supervisor::ExitStatus;
use ibouncer_proto::api::v1;
use interprocess::local_socket::tokio::Stream as LocalStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Sleep, sleep_until};

use crate::grpc::stream::StreamShared;
use crate::handle::{Command, Published, TRANSITIONS_KEPT};
use crate::link::{Link, LinkListener};
use crate::process::{Nursery, Worker};
use crate::watch::Observed;

/// Commands that are taken in one go, so that frames from Gateway are not kept waiting.
const COMMANDS_AT_ONCE: usize = 64;

/// Status is published at most this often while things change quickly.
const PUBLISH_EVERY: Duration = Duration::from_millis(20);

/// Everything that the driver drives.
pub struct Driver {
    hub: Hub,
    broker: BrokerProcess,
    nursery: Nursery,
    listener: LinkListener,
    birth: Option<(Epoch, oneshot::Receiver<io::Result<Worker>>)>,
    worker: Option<Worker>,
    link: Option<Link>,
    inbox: mpsc::Receiver<Command>,
    streams: BTreeMap<StreamId, Arc<StreamShared>>,
    calls: BTreeMap<CallId, oneshot::Sender<Result<Reply, Error>>>,
    publisher: watch::Sender<Published>,
    transitions: VecDeque<(u64, v1::Transition)>,
    transition_count: u64,
    /// Since when the published status is old.
    stale_since: Option<Instant>,
    published_at: Instant,
    stopped: bool,
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
    /// Commands from everybody else.
    pub inbox: mpsc::Receiver<Command>,
    /// Where status goes.
    pub publisher: watch::Sender<Published>,
}

/// How long the end of an ended worker's link is waited for; it is there already.
const LAST_WORD: Duration = Duration::from_millis(100);

/// What the driver waited for.
enum Woken {
    Link(Vec<WorkerEvent>),
    Command(Option<Command>),
    Born(Epoch, io::Result<Worker>),
    Exited(io::Result<ExitStatus>),
    Accepted(io::Result<(LocalStream, Option<u32>)>),
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
            birth: None,
            worker: None,
            link: None,
            inbox: parts.inbox,
            streams: BTreeMap::new(),
            calls: BTreeMap::new(),
            publisher: parts.publisher,
            transitions: VecDeque::new(),
            transition_count: 0,
            stale_since: None,
            published_at: Instant::now(),
            stopped: false,
        }
    }

    /// Runs until the hub has stopped: after a `Stop`, when the last worker is gone.
    pub async fn run(mut self) -> anyhow::Result<()> {
        self.hub.handle_input(Input::Start, Instant::now());
        let mut timer = Box::pin(sleep_until(Instant::now().into()));
        let mut events = Vec::new();
        loop {
            self.carry_out();
            if let Some(link) = &mut self.link {
                link.flush().await;
            }
            if self.stopped {
                return Ok(());
            }
            self.publish();
            self.arm(timer.as_mut());
            let woken = self.wait(timer.as_mut(), &mut events).await;
            self.take(woken).await?;
            for _ in 0..COMMANDS_AT_ONCE {
                match self.inbox.try_recv() {
                    Ok(command) => self.on_command(command),
                    Err(_) => break,
                }
            }
            let now = Instant::now();
            if self.hub.poll_timeout().is_some_and(|(at, _)| at <= now) {
                self.hub.handle_timeout(now);
            }
        }
    }

    async fn wait(
        &mut self,
        timer: std::pin::Pin<&mut Sleep>,
        events: &mut Vec<WorkerEvent>,
    ) -> Woken {
        // A worker may come to the link before we are told that it exists; it waits there.
        let unborn = self.birth.is_some();
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
        tokio::select! {
            () = link => Woken::Link(std::mem::take(events)),
            command = self.inbox.recv() => Woken::Command(command),
            (epoch, born) = birth => Woken::Born(epoch, born),
            status = exit => Woken::Exited(status),
            accepted = self.listener.accept(), if !unborn => Woken::Accepted(accepted),
            () = timer => Woken::Timer,
        }
    }

    async fn take(&mut self, woken: Woken) -> anyhow::Result<()> {
        match woken {
            Woken::Link(events) => {
                let Some(epoch) = self.link.as_ref().map(Link::epoch) else {
                    return Ok(());
                };
                self.on_link_events(epoch, events);
            }
            Woken::Command(Some(command)) => self.on_command(command),
            // The serving side holds a handle as long as the driver runs.
            Woken::Command(None) => anyhow::bail!("everybody who could command is gone"),
            Woken::Born(epoch, born) => {
                self.birth = None;
                let event = match born {
                    Ok(worker) => {
                        let pid = worker.pid();
                        self.worker = Some(worker);
                        WorkerEvent::Spawned { pid }
                    }
                    Err(error) => WorkerEvent::NotSpawned { error: error.to_string() },
                };
                self.input(Input::Worker { epoch, event });
            }
            Woken::Exited(status) => {
                let status = status.context("wait for the worker")?;
                self.on_exited(status).await;
            }
            Woken::Accepted(Ok((stream, pid))) => self.on_accepted(stream, pid),
            Woken::Accepted(Err(error)) => {
                tracing::warn!(%error, "a connection to the link could not be accepted");
            }
            Woken::Timer => {}
        }
        Ok(())
    }

    fn on_link_events(&mut self, epoch: Epoch, events: Vec<WorkerEvent>) {
        for event in events {
            let over =
                matches!(event, WorkerEvent::LinkClosed { .. } | WorkerEvent::LinkViolated { .. });
            self.input(Input::Worker { epoch, event });
            if over {
                self.link = None;
            }
        }
    }

    /// What a worker said before its end is still on the link, and explains the end.
    async fn on_exited(&mut self, status: ExitStatus) {
        let Some(worker) = self.worker.take() else {
            return;
        };
        let epoch = worker.epoch();
        if self.link.is_none()
            && let Ok(Ok((stream, pid))) =
                tokio::time::timeout(Duration::ZERO, self.listener.accept()).await
            && pid == Some(worker.pid())
        {
            self.link = Some(Link::new(epoch, stream));
        }
        if let Some(link) = &mut self.link {
            let mut events = Vec::new();
            // The other end is closed, so this ends by itself.
            if tokio::time::timeout(LAST_WORD, link.rest(&mut events)).await.is_err() {
                tracing::warn!(%epoch, "the link of an ended worker did not end");
            }
            self.on_link_events(epoch, events);
            self.link = None;
        }
        self.input(Input::Worker { epoch, event: WorkerEvent::Exited(status) });
    }

    /// Only the worker that we started, and only once.
    fn on_accepted(&mut self, stream: LocalStream, pid: Option<u32>) {
        match &self.worker {
            Some(worker) if pid == Some(worker.pid()) && self.link.is_none() => {
                self.link = Some(Link::new(worker.epoch(), stream));
            }
            _ => tracing::warn!(pid, "a process that is not our worker connected to the link"),
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Input(input) => {
                if let Input::StreamClosed { stream } = &input {
                    self.streams.remove(stream);
                }
                if let Input::CallDropped { call } = &input {
                    self.calls.remove(call);
                }
                self.input(input);
            }
            Command::Call(call, input, answer) => {
                self.calls.insert(call, answer);
                self.input(input);
            }
            Command::OpenStream(client, stream, shared) => {
                self.streams.insert(stream, shared);
                self.input(Input::StreamOpened { client, stream });
            }
            // Whoever asked and went away does not need the answer.
            Command::Status(answer) => drop(answer.send(Arc::new(self.status()))),
            Command::Accounts(answer) => drop(answer.send(self.accounts())),
            Command::Clients(answer) => drop(answer.send(self.clients())),
            Command::Lines(answer) => drop(answer.send(self.hub.list_lines())),
            Command::Connections(answer) => {
                let blind = Observed::blind("the broker does not look yet", Instant::now());
                drop(answer.send(Arc::new(blind)));
            }
        }
    }

    fn input(&mut self, input: Input) {
        self.hub.handle_input(input, Instant::now());
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Spawn(epoch) => self.birth = Some((epoch, self.nursery.spawn(epoch))),
                Output::Kill(epoch) => self.kill(epoch),
                Output::Tell(epoch, message) => {
                    if let Some(link) = self.link_of(epoch) {
                        link.tell(&message);
                    }
                }
                Output::Send { epoch, number, frames } => {
                    if let Some(link) = self.link_of(epoch) {
                        link.send(number, &frames);
                    }
                }
                Output::Deliver(stream, chunk) => {
                    if let Some(shared) = self.streams.get(&stream) {
                        shared.push(chunk);
                    }
                }
                Output::Reply(call, result) => {
                    if let Some(answer) = self.calls.remove(&call) {
                        // Whoever asked and went away does not need the answer.
                        let _ = answer.send(result);
                    }
                }
                Output::Transitioned(transition) => {
                    self.transition_count += 1;
                    if self.transitions.len() == TRANSITIONS_KEPT {
                        self.transitions.pop_front();
                    }
                    let view = transition_view(&transition, &clock());
                    self.transitions.push_back((self.transition_count, view));
                }
                Output::StatusChanged => {
                    self.stale_since.get_or_insert_with(Instant::now);
                }
                Output::Stopped => self.stopped = true,
            }
        }
    }

    fn kill(&mut self, epoch: Epoch) {
        let Some(worker) = self.worker.as_mut().filter(|worker| worker.epoch() == epoch) else {
            return;
        };
        if let Err(error) = worker.kill() {
            tracing::error!(%epoch, %error, "the worker could not be killed");
        }
    }

    fn link_of(&mut self, epoch: Epoch) -> Option<&mut Link> {
        self.link.as_mut().filter(|link| link.epoch() == epoch)
    }

    /// A change is published at once if the last one is old enough, else soon.
    fn publish(&mut self) {
        let now = Instant::now();
        if self.stale_since.is_some() && now >= self.published_at + PUBLISH_EVERY {
            self.stale_since = None;
            self.published_at = now;
            let status = Arc::new(self.status());
            let transitions = Arc::new(self.transitions.clone());
            self.publisher.send_replace(Published { status, transitions });
        }
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

    fn status(&self) -> v1::Status {
        self.hub.status(&self.broker, &clock())
    }

    fn accounts(&self) -> Result<Vec<String>, Error> {
        match self.hub.accounts() {
            [] => {
                let status = self.status();
                let state = status.state().as_str_name().trim_start_matches("SESSION_STATE_");
                Err(error::not_ready(state, &status.reason))
            }
            accounts => Ok(accounts.to_vec()),
        }
    }

    fn clients(&self) -> Vec<v1::ClientInfo> {
        let mut clients = self.hub.list_clients(&clock());
        for (id, info) in &mut clients {
            for stream in self.hub.streams_of(*id) {
                if let Some(shared) = self.streams.get(&stream) {
                    let (delivered, skipped) = shared.totals();
                    info.delivered += delivered;
                    info.skipped += skipped;
                }
            }
        }
        clients.into_iter().map(|(_, info)| info).collect()
    }
}

/// Both clocks at the same moment. On a busy machine a process can lose its core between two
/// looks; then it looks again, or takes the best pair that it got.
fn clock() -> Clock {
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
