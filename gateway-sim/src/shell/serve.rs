//! The loop that joins the pure Gateway to real sockets, and to the clock.
//!
//! One task owns everything, so there is no channel and no copy between Gateway and sockets.
//! Each turn hands in what happened, carries out what the Gateway says, writes, and waits for
//! the next thing: a command, a connection, a socket, or time.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep};

use super::Observer;
use super::socket::Socket;
use crate::events::{ConnectionId, Report};
use crate::fault::Fault;
use crate::gateway::{End, Gateway, Output};
use crate::happening::Happening;
use crate::ledger::Ledger;

/// Bytes per read, and reads per turn of one connection.
const READ_SIZE: usize = 64 * 1024;
const READS_PER_TURN: usize = 16;

/// Pause after an accept that failed, which is when the process has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the handle can ask for.
#[derive(Debug)]
pub(super) enum Command {
    SetFault(Option<Fault>, Option<u32>, oneshot::Sender<()>),
    Announce(i32, String, oneshot::Sender<()>),
    Happen(Happening, oneshot::Sender<()>),
    CloseAll(End, oneshot::Sender<()>),
    Report(oneshot::Sender<Report>),
    Ledger(oneshot::Sender<Ledger>),
}

/// What ended a wait.
enum Wake {
    Command(Option<Command>),
    Accepted(io::Result<(TcpStream, SocketAddr)>),
    Sockets,
    Time,
}

pub(super) struct Server {
    gateway: Gateway,
    listener: TcpListener,
    sockets: BTreeMap<ConnectionId, Socket>,
    commands: mpsc::Receiver<Command>,
    started: Instant,
    buffer: Vec<u8>,
}

impl Server {
    pub(super) fn new(
        gateway: Gateway,
        listener: TcpListener,
        commands: mpsc::Receiver<Command>,
        started: Instant,
    ) -> Self {
        Self {
            gateway,
            listener,
            sockets: BTreeMap::new(),
            commands,
            started,
            buffer: vec![0; READ_SIZE],
        }
    }

    /// Runs until the handle is gone.
    pub(super) async fn run(mut self, mut observer: Observer) {
        loop {
            self.gateway.handle_timeout(self.now());
            self.carry_out(&mut observer);
            while self.write(&mut observer) {}
            match self.wait().await {
                Wake::Command(Some(command)) => self.obey(command),
                Wake::Command(None) => break,
                Wake::Accepted(Ok((stream, peer))) => {
                    let id = self.gateway.accept(&peer.to_string(), self.now());
                    self.sockets.insert(id, Socket::new(stream));
                }
                Wake::Accepted(Err(error)) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                Wake::Sockets => self.read(),
                Wake::Time => {}
            }
        }
        self.gateway.stop(self.now());
        self.carry_out(&mut observer);
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn obey(&mut self, command: Command) {
        let now = self.now();
        // Whoever asked may be gone by now.
        let _ = match command {
            Command::SetFault(fault, connections, done) => {
                self.gateway.set_fault(fault, connections, now);
                done.send(())
            }
            Command::Announce(code, text, done) => {
                self.gateway.announce(code, &text, now);
                done.send(())
            }
            Command::Happen(what, done) => {
                self.gateway.happen(&what, now);
                done.send(())
            }
            Command::CloseAll(how, done) => {
                self.gateway.close_all(how, now);
                done.send(())
            }
            Command::Ledger(answer) => answer.send(self.gateway.ledger()).map_err(drop),
            Command::Report(answer) => answer.send(self.gateway.report()).map_err(drop),
        };
    }

    fn carry_out(&mut self, observer: &mut Observer) {
        while let Some(output) = self.gateway.poll_output() {
            match output {
                Output::Send { connection, bytes } => {
                    if let Some(socket) = self.sockets.get_mut(&connection) {
                        socket.push(bytes);
                    }
                }
                Output::Close { connection, how } => {
                    if let Some(socket) = self.sockets.remove(&connection) {
                        socket.close(how);
                    }
                }
                Output::Event(event) => observer(&event),
            }
        }
    }

    fn read(&mut self) {
        let now = self.now();
        for (id, socket) in &mut self.sockets {
            for _ in 0..READS_PER_TURN {
                if socket.ended || !self.gateway.reads(*id) {
                    break;
                }
                match socket.stream.try_read(&mut self.buffer) {
                    Ok(0) => {
                        socket.ended = true;
                        socket.discard();
                        self.gateway.peer_closed(*id, End::Fin, now);
                    }
                    Ok(length) => self.gateway.receive(*id, &self.buffer[..length], now),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => {
                        socket.ended = true;
                        self.gateway.peer_closed(*id, End::Reset, now);
                    }
                }
            }
        }
    }

    /// Writes what the sockets take, and what the Gateway has for the room that this makes; true
    /// if it is worth while to try again.
    fn write(&mut self, observer: &mut Observer) -> bool {
        let now = self.now();
        let mut again = false;
        for (id, socket) in &mut self.sockets {
            if !socket.has_output() {
                continue;
            }
            let (written, error) = socket.write();
            self.gateway.written(*id, written);
            // With everything written there may be room for more of what waits.
            again |= written > 0 && !socket.has_output();
            if error.is_some() {
                socket.ended = true;
                socket.discard();
                self.gateway.peer_closed(*id, End::Reset, now);
                again = true;
            }
        }
        if again {
            self.carry_out(observer);
        }
        again && self.sockets.values().any(Socket::has_output)
    }

    async fn wait(&mut self) -> Wake {
        let deadline = self.gateway.poll_timeout();
        let due = deadline.is_some_and(|deadline| deadline <= self.now());
        if due {
            // Other tasks, and the sockets' readiness, must have their turn at full speed too.
            tokio::task::yield_now().await;
        }
        let mut sleep = match deadline {
            Some(deadline) if !due => Some(tokio::time::sleep_until(self.started + deadline)),
            _ => None,
        };
        let mut sleep = pin!(sleep.take());
        poll_fn(|cx| self.poll_wake(cx, due, sleep.as_mut().as_pin_mut())).await
    }

    fn poll_wake(
        &mut self,
        cx: &mut Context<'_>,
        due: bool,
        sleep: Option<Pin<&mut Sleep>>,
    ) -> Poll<Wake> {
        if let Poll::Ready(command) = self.commands.poll_recv(cx) {
            return Poll::Ready(Wake::Command(command));
        }
        if self.gateway.accepts()
            && let Poll::Ready(accepted) = self.listener.poll_accept(cx)
        {
            return Poll::Ready(Wake::Accepted(accepted));
        }
        for (id, socket) in &self.sockets {
            let reads = !socket.ended && self.gateway.reads(*id);
            if (reads && socket.stream.poll_read_ready(cx).is_ready())
                || (socket.has_output() && socket.stream.poll_write_ready(cx).is_ready())
            {
                return Poll::Ready(Wake::Sockets);
            }
        }
        let elapsed = sleep.is_some_and(|sleep| sleep.poll(cx).is_ready());
        if due || elapsed {
            return Poll::Ready(Wake::Time);
        }
        Poll::Pending
    }
}
