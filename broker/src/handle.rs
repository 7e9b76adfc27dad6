//! How everything else talks to the driver: a bounded queue of commands, and the status.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ibouncer_core::Settings;
use ibouncer_core::error::{self, Error};
use ibouncer_core::hub::{Input, Reply};
use ibouncer_core::ids::{CallId, ClientId, StreamId};
use ibouncer_proto::api::v1;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::RestartWindows;
use crate::grpc::answers::Answers;
use crate::grpc::stream::StreamShared;
use crate::watch::Observed;

/// Commands that may wait for the driver.
const WAITING: usize = 1024;

/// Transitions that a watcher can be behind without missing one.
pub(crate) const TRANSITIONS_KEPT: usize = 256;

/// What the driver is told.
#[derive(Debug)]
pub enum Command {
    /// Something for the hub.
    Input(Input),
    /// Something for the hub, with somebody who waits for the answer.
    Call(CallId, Input, oneshot::Sender<Result<Reply, Error>>),
    /// A stream was opened, for one subscription only or for many; deliveries go there.
    OpenStream(ClientId, StreamId, bool, Arc<StreamShared>),
    /// Answer with the status.
    Status(oneshot::Sender<Arc<v1::Status>>),
    /// Answer with the accounts, in full, if the session is up.
    Accounts(oneshot::Sender<Result<Vec<String>, Error>>),
    /// Answer with the clients.
    Clients(oneshot::Sender<Vec<v1::ClientInfo>>),
    /// Answer with the lines.
    Lines(ClientId, oneshot::Sender<Vec<v1::LineInfo>>),
    /// Answer with what waits to leave for Gateway: of this client, or of all.
    Queue(ClientId, String, oneshot::Sender<v1::GetQueueResponse>),
    /// Answer with a look at Gateway's port, taken now.
    Connections(oneshot::Sender<Arc<Observed>>),
    /// Answer with the events behind this number, and a way to wait for more.
    Events(u64, oneshot::Sender<(Vec<v1::Event>, watch::Receiver<u64>)>),
    /// Decide by other numbers from now on.
    Reload(Box<Settings>, RestartWindows),
    /// Let the worker go, and let this binary go on in our process. Answers with its number.
    HandOver(PathBuf, oneshot::Sender<u64>),
}

/// The status as it was published, and the newest transitions, numbered.
#[derive(Debug, Clone)]
pub struct Published {
    /// The status.
    pub status: Arc<v1::Status>,
    /// The newest transitions.
    pub transitions: Arc<VecDeque<(u64, v1::Transition)>>,
}

/// A way to the driver. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    published: watch::Receiver<Published>,
    numbers: Arc<AtomicU64>,
    answers: Arc<Answers>,
}

impl Handle {
    /// The way, and its other end.
    pub fn new(published: watch::Receiver<Published>) -> (Self, mpsc::Receiver<Command>) {
        let (commands, inbox) = mpsc::channel(WAITING);
        let (numbers, answers) = (Arc::new(AtomicU64::new(1)), Arc::default());
        (Self { commands, published, numbers, answers }, inbox)
    }

    /// A number for a client, a stream or a call; never used twice.
    pub fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Answers that clients have not taken.
    pub fn answers(&self) -> &Arc<Answers> {
        &self.answers
    }

    /// The status, and a way to wait for the next.
    pub fn published(&self) -> watch::Receiver<Published> {
        self.published.clone()
    }

    /// Tells the driver something.
    pub async fn tell(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).await.map_err(|_| error::stopping())
    }

    /// Tells the driver something from where nothing can be waited for.
    pub fn tell_later(&self, command: Command) {
        if let Err(mpsc::error::TrySendError::Full(command)) = self.commands.try_send(command) {
            let commands = self.commands.clone();
            tokio::spawn(async move { commands.send(command).await });
        }
    }

    /// Asks the driver something.
    pub async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Error> {
        let (answer, receiver) = oneshot::channel();
        self.tell(command(answer)).await?;
        receiver.await.map_err(|_| error::stopping())
    }

    /// Makes a call of the hub and waits for its answer. If the caller goes away, the hub is
    /// told.
    pub async fn call(&self, input: impl FnOnce(CallId) -> Input) -> Result<Reply, Error> {
        let call = CallId(self.number());
        let (answer, receiver) = oneshot::channel();
        let input = input(call);
        let sends = matches!(input, Input::Order { .. });
        self.tell(Command::Call(call, input, answer)).await.map_err(|error| match sends {
            true => error::not_sent(error),
            false => error,
        })?;
        let guard = CallGuard { handle: self, call, answered: false };
        let result = receiver.await;
        guard.answered();
        result.map_err(|_| error::stopping())?
    }
}

/// Takes a call back if nobody waits for it any more.
struct CallGuard<'a> {
    handle: &'a Handle,
    call: CallId,
    answered: bool,
}

impl CallGuard<'_> {
    fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for CallGuard<'_> {
    fn drop(&mut self) {
        if !self.answered {
            let call = self.call;
            self.handle.tell_later(Command::Input(Input::CallDropped { call }));
        }
    }
}
