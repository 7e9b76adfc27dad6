//! Worker processes and their links: born, linked, back again, taken over, gone.

use std::io;
use std::time::Duration;

use anyhow::Context as _;
use ibouncer_core::hub::{Input, WorkerEvent};
use ibouncer_core::ids::Epoch;
use ibouncer_core::notes::{NoteKind, Severity};
use ibouncer_core::supervisor::ExitStatus;
use ibouncer_eyes::Ours;
use ibouncer_proto::link::v1::Hello;
use interprocess::local_socket::tokio::Stream as LocalStream;

use super::Driver;
use crate::link::{Link, Peer};
use crate::places::is_locked;
use crate::process::Worker;
use crate::trust::{self, WorkerFile};

/// How long the end of an ended worker's link is waited for; it is there already.
const LAST_WORD: Duration = Duration::from_millis(100);

/// A process start takes milliseconds, and a worker that comes back has started long ago.
const HELLO_DEADLINE: Duration = Duration::from_secs(5);

/// Somebody at the link who has not said Hello.
pub(super) struct Greeting {
    link: Link,
    peer: Peer,
    deadline: tokio::time::Instant,
    /// What was said; Hello first.
    said: Vec<WorkerEvent>,
}

impl Greeting {
    fn new(stream: LocalStream, peer: Peer) -> Self {
        let deadline = tokio::time::Instant::now() + HELLO_DEADLINE;
        Self { link: Link::returning(stream), peer, deadline, said: Vec::new() }
    }

    /// Waits for Hello. Can be dropped and called again.
    pub(super) async fn hello(&mut self) -> Result<Hello, String> {
        while self.said.is_empty() {
            let heard = self.link.events(&mut self.said);
            if tokio::time::timeout_at(self.deadline, heard).await.is_err() {
                return Err(format!("it said nothing for {} s", HELLO_DEADLINE.as_secs()));
            }
        }
        match &self.said[0] {
            WorkerEvent::Hello(hello) => Ok(hello.clone()),
            WorkerEvent::LinkViolated { because } | WorkerEvent::LinkClosed { because } => {
                Err(because.clone())
            }
            _ => Err("it did not begin with Hello".into()),
        }
    }
}

impl Driver {
    /// Is a worker left from the broker before?
    pub(super) fn begin(&mut self) {
        let now = std::time::Instant::now();
        if let Some(input) = self.desk.begin() {
            self.hub.handle_input(input, now);
        }
        if !self.is_orphan_there() {
            return self.hub.handle_input(Input::Start, now);
        }
        let (file, moved) = WorkerFile::read(&self.files.worker);
        if let Some(moved) = moved {
            let text = format!("the worker file was moved aside: {}", moved.because);
            self.say(NoteKind::Broker, Severity::Error, text);
        }
        let holder = trust::holder_of(&self.files.lock);
        let who = match (&file, holder) {
            (Some(file), _) => format!("worker {} (pid {})", file.epoch, file.pid),
            (None, Some(pid)) => format!("a worker (pid {pid})"),
            (None, None) => "a worker".into(),
        };
        let pid = holder.or(file.map(|file| file.pid));
        tracing::info!(who, "a worker of the broker before holds its lock; it is waited for");
        self.hub.handle_input(Input::StartAdopting { who, pid }, now);
    }

    /// While a worker from before is waited for: is its lock free?
    pub(super) async fn look_for_orphan(&mut self) {
        // Somebody at the link holds it.
        if self.hub.is_adopting() && self.greeting.is_none() && !self.is_orphan_there() {
            self.input(Input::OrphanGone).await;
        }
    }

    fn is_orphan_there(&self) -> bool {
        is_locked(&self.files.lock).unwrap_or_else(|error| {
            // Then the worker that we start finds out, and ends if it must.
            let path = self.files.lock.display();
            tracing::warn!(%path, %error, "the worker's lock cannot be looked at");
            false
        })
    }

    pub(super) async fn on_born(&mut self, epoch: Epoch, born: io::Result<Worker>) {
        self.birth = None;
        let event = match born {
            Ok(worker) => {
                let pid = worker.pid();
                self.write_worker_file(pid, epoch);
                self.own(worker);
                WorkerEvent::Spawned { pid }
            }
            Err(error) => WorkerEvent::NotSpawned { error: error.to_string() },
        };
        self.input(Input::Worker { epoch, event }).await;
    }

    pub(super) async fn on_link_events(&mut self, epoch: Epoch, events: Vec<WorkerEvent>) {
        for event in events {
            let over =
                matches!(event, WorkerEvent::LinkClosed { .. } | WorkerEvent::LinkViolated { .. });
            self.input(Input::Worker { epoch, event }).await;
            if over {
                self.link = None;
            }
        }
    }

    /// What a worker said before its end is still on the link, and explains the end.
    pub(super) async fn on_exited(&mut self, status: ExitStatus) {
        let Some(worker) = self.worker.take() else {
            return;
        };
        self.watcher.ours(Ours::default());
        let epoch = worker.epoch();
        if self.link.is_none()
            && let Ok(Ok((stream, peer))) =
                tokio::time::timeout(Duration::ZERO, self.listener.accept()).await
            && peer.pid == Some(worker.pid())
        {
            self.link = Some(Link::new(epoch, stream));
        }
        if let Some(link) = &mut self.link {
            let mut events = Vec::new();
            // The other end is closed, so this ends by itself.
            if tokio::time::timeout(LAST_WORD, link.rest(&mut events)).await.is_err() {
                tracing::warn!(%epoch, "the link of an ended worker did not end");
            }
            self.on_link_events(epoch, events).await;
            self.link = None;
        }
        self.input(Input::Worker { epoch, event: WorkerEvent::Exited(status) }).await;
    }

    /// The worker that we started, at once; one that comes back, or that another broker started,
    /// once it has said who it is.
    pub(super) fn on_accepted(&mut self, stream: LocalStream, peer: Peer) {
        let adopting = self.hub.is_adopting() && self.may_be_orphan(peer);
        match &mut self.worker {
            Some(worker) if peer.pid == Some(worker.pid()) && self.link.is_none() => {
                if worker.links() {
                    self.link = Some(Link::new(worker.epoch(), stream));
                } else {
                    self.greeting = Some(Greeting::new(stream, peer));
                }
            }
            // Where the kernel says who holds the lock, nobody else keeps that one waiting.
            None if adopting => {
                self.greeting = Some(Greeting::new(stream, peer));
            }
            _ => tracing::warn!(
                pid = peer.pid,
                "a process that is not our worker connected to the link"
            ),
        }
    }

    fn may_be_orphan(&self, peer: Peer) -> bool {
        trust::holder_of(&self.files.lock).is_none_or(|holder| peer.pid == Some(holder))
    }

    pub(super) async fn on_greeted(&mut self, hello: Result<Hello, String>) {
        let Some(greeting) = self.greeting.take() else {
            return;
        };
        let pid = greeting.peer.pid;
        let taken = match hello {
            Err(because) => Err(anyhow::anyhow!(because)),
            Ok(hello) if self.worker.is_some() => self.on_back(greeting, &hello).await,
            Ok(hello) => self.on_found(greeting, hello).await,
        };
        if let Err(error) = taken {
            let because = format!("{error:#}");
            tracing::warn!(pid, because, "whoever came to the link is left alone");
            let text = format!("process {pid:?} at the worker's link is left alone: {because}");
            self.say(NoteKind::Worker, Severity::Warning, text);
        }
    }

    /// Our worker is back on a new link.
    async fn on_back(&mut self, mut greeting: Greeting, hello: &Hello) -> anyhow::Result<()> {
        let worker = self.worker.as_ref().filter(|one| Some(one.pid()) == greeting.peer.pid);
        let epoch = worker.context("it is not the worker that we have")?.epoch();
        anyhow::ensure!(epoch.0 == hello.epoch, "it says that it is worker {}", hello.epoch);
        greeting.link.say_hello(epoch, hello.link_version);
        self.link = Some(greeting.link);
        self.on_link_events(epoch, greeting.said).await;
        Ok(())
    }

    /// A worker of the broker before is here; is it ours?
    async fn on_found(&mut self, mut greeting: Greeting, hello: Hello) -> anyhow::Result<()> {
        let pid = greeting.peer.pid.context("the kernel does not say who it is")?;
        let uid = greeting.peer.uid.context("the kernel does not say whose it is")?;
        hello.session.as_ref().context("it has no live session")?;
        let (file, _) = WorkerFile::read(&self.files.worker);
        let pidfd = trust::check(pid, uid, hello.epoch, file.as_ref(), &self.files.lock)?;
        let epoch = Epoch(hello.epoch);
        let worker = Worker::adopt(epoch, pid, pidfd, self.files.lock.clone())
            .context("watch the worker")?;
        self.write_worker_file(pid, epoch);
        self.own(worker);
        greeting.link.say_hello(epoch, hello.link_version);
        self.link = Some(greeting.link);
        let open = self.files.requests.taken_over(hello.taken_through);
        let owed = self.files.requests.owed(hello.taken_through);
        self.input(Input::Adopt { epoch, pid, hello, open, owed }).await;
        let behind_hello = greeting.said.split_off(1);
        self.on_link_events(epoch, behind_hello).await;
        Ok(())
    }

    fn own(&mut self, worker: Worker) {
        self.watcher.ours(Ours { worker: Some(worker.pid()), ..Ours::default() });
        self.worker = Some(worker);
    }

    fn write_worker_file(&self, pid: u32, epoch: Epoch) {
        let written = WorkerFile::of(pid, epoch.0, &self.files.link)
            .map_err(anyhow::Error::from)
            .and_then(|file| Ok(file.write(&self.files.worker)?));
        if let Err(error) = written {
            tracing::warn!(%epoch, error = format!("{error:#}"), "the worker file is not written");
            // One that speaks of the worker before would deny this one; without, the lock counts.
            let _ = std::fs::remove_file(&self.files.worker);
        }
    }
}
