//! The TCP shell around the pure Gateway: starts it, and is its handle while it runs.
//!
//! A simulator has a thread and a runtime of its own, so that a high tick rate never starves the
//! program that it runs in. Everything that happens on that thread is in `shell/serve.rs`.

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::config::{ClockBase, SimConfig};
use crate::events::{Event, Report};
use crate::fault::Fault;
use crate::gateway::{End, Gateway};
use crate::happening::Happening;
use crate::ledger::Ledger;
use serve::{Command, Server};

mod relay;
mod serve;
mod socket;
pub(crate) mod stdout;

/// Commands that may wait for the simulator's thread.
const COMMANDS: usize = 16;

/// Sees every event, on the simulator's thread: it must not block.
pub type Observer = Box<dyn FnMut(&Event) + Send>;

/// Why a simulator did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A simulator must not be reachable from elsewhere.
    #[error("cannot listen on {0}: the simulator listens on loopback only")]
    NotLoopback(SocketAddr),
    /// The address cannot be bound.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// No thread or runtime for it.
    #[error("cannot start the simulator's thread")]
    Thread(#[source] std::io::Error),
}

/// Starts a simulator on a thread of its own. It listens when this returns.
pub async fn start(config: SimConfig) -> Result<SimHandle, StartError> {
    start_observed(config, Box::new(|_| {})).await
}

/// As [`start`], and hands every event to the observer.
pub async fn start_observed(
    config: SimConfig,
    observer: Observer,
) -> Result<SimHandle, StartError> {
    if !config.listen.ip().is_loopback() {
        return Err(StartError::NotLoopback(config.listen));
    }
    let (commands, receiver) = mpsc::channel(COMMANDS);
    let (listening, started) = oneshot::channel();
    let (ended, finished) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(StartError::Thread)?;
    let thread = std::thread::Builder::new()
        .name("gateway-sim".to_owned())
        .spawn(move || {
            runtime.block_on(serve(config, observer, receiver, listening));
            // Nobody waits for it when the handle was only dropped.
            let _ = ended.send(());
        })
        .map_err(StartError::Thread)?;
    let addresses = started.await.expect("the thread tells how it started")?;
    Ok(SimHandle {
        addresses,
        commands: Some(commands),
        finished: Some(finished),
        thread: Some(thread),
    })
}

/// A running simulator. It ends when this is dropped.
#[derive(Debug)]
pub struct SimHandle {
    addresses: Addresses,
    commands: Option<mpsc::Sender<Command>>,
    finished: Option<oneshot::Receiver<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Clone, Copy)]
struct Addresses {
    announced: SocketAddr,
    behind: Option<SocketAddr>,
}

impl SimHandle {
    /// Where clients connect: with a relay, the relay's address.
    pub fn address(&self) -> SocketAddr {
        self.addresses.announced
    }

    /// With a relay, the address at which Gateway itself listens.
    pub fn behind(&self) -> Option<SocketAddr> {
        self.addresses.behind
    }

    /// Replaces all faults, for connections that are accepted from now on; `connections` limits
    /// for how many. Returns once it holds.
    pub async fn set_fault(&self, fault: Option<Fault>, connections: Option<u32>) {
        self.ask(|done| Command::SetFault(fault, connections, done)).await;
    }

    /// Sends an error or notice to every connection that started the API, such as 1100.
    pub async fn announce(&self, code: i32, text: &str) {
        let text = text.to_owned();
        self.ask(|done| Command::Announce(code, text, done)).await;
    }

    /// Lets something happen at the Gateway. Returns once it has.
    pub async fn happen(&self, what: Happening) {
        self.ask(|done| Command::Happen(what, done)).await;
    }

    /// Closes all connections, as a Gateway that is restarted. It goes on listening.
    pub async fn close_all(&self, how: End) {
        self.ask(|done| Command::CloseAll(how, done)).await;
    }

    /// Sums over all connections.
    pub async fn report(&self) -> Report {
        self.ask(Command::Report).await.unwrap_or_default()
    }

    /// Every order that ever was, and every request that made none.
    pub async fn ledger(&self) -> Ledger {
        self.ask(Command::Ledger).await.unwrap_or_default()
    }

    /// Ends it and waits for its end: the port is free afterwards.
    pub async fn shutdown(mut self) {
        self.commands = None;
        if let Some(finished) = self.finished.take() {
            // An error says that the thread is gone already.
            let _ = finished.await;
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.commands.as_ref()?.send(command(answer)).await.ok()?;
        answered.await.ok()
    }
}

impl Drop for SimHandle {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed there.
            let _ = thread.join();
        }
    }
}

async fn serve(
    config: SimConfig,
    mut observer: Observer,
    commands: mpsc::Receiver<Command>,
    listening: oneshot::Sender<Result<Addresses, StartError>>,
) {
    let (listener, relay, addresses) = match bind(&config) {
        Ok(bound) => bound,
        Err(error) => {
            // Whoever started this is gone if nobody receives it.
            let _ = listening.send(Err(error));
            return;
        }
    };
    // One look at both clocks: between two of them a stamped tick would seem to have aged.
    let (clock, started) = (clock_base(), Instant::now());
    let gateway = Gateway::new(config.gateway, clock);
    let server = Server::new(gateway, listener, commands, started);
    observer(&Event::Listening { address: addresses.announced, behind: addresses.behind });
    let _ = listening.send(Ok(addresses));
    if let (Some(relay), Some(behind)) = (relay, addresses.behind) {
        tokio::spawn(relay::run(relay, behind));
    }
    server.run(observer).await;
}

type Bound = (TcpListener, Option<TcpListener>, Addresses);

/// With a relay, the relay has the address that was asked for, and Gateway one of its own.
fn bind(config: &SimConfig) -> Result<Bound, StartError> {
    let first = listen(config.listen, config.backlog)?;
    let announced = local_address(&first, config.listen)?;
    if !config.relay {
        let behind = None;
        return Ok((first, None, Addresses { announced, behind }));
    }
    let inner = SocketAddr::new(config.listen.ip(), 0);
    let gateway = listen(inner, config.backlog)?;
    let behind = Some(local_address(&gateway, inner)?);
    Ok((gateway, Some(first), Addresses { announced, behind }))
}

fn listen(address: SocketAddr, backlog: u32) -> Result<TcpListener, StartError> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket.into())
    };
    open().map_err(|source| StartError::Listen { address, source })
}

fn local_address(listener: &TcpListener, address: SocketAddr) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Listen { address, source })
}

fn clock_base() -> ClockBase {
    let monotonic = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ClockBase {
        unix_millis: unix.as_millis() as u64,
        monotonic_nanos: monotonic.tv_sec as u64 * 1_000_000_000 + monotonic.tv_nsec as u64,
    }
}
