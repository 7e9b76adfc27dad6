//! The shell of the worker: the link, the socket to Gateway, and what waits for each.
//!
//! Reading Gateway never waits for writing to the broker: what the broker does not take is kept
//! up to a cap, and then the oldest ticks go, counted. Control overtakes data. One read from
//! Gateway becomes one data frame. A link that breaks while the session is live is opened again.
//! All decisions are [`WorkerSession`]'s.

pub mod backlog;
mod link;
mod socket;

use std::fs::File;
use std::future::{Future, poll_fn};
use std::io;
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes, BytesMut};
use ibouncer_proto::link::v1::{Configure, EndReason};
use ibouncer_proto::link::{LinkFrame, read_control};
use tokio::io::{AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use crate::log::Log;
use crate::process;
use crate::session::{ExitCode, Output, WorkerSession};
use backlog::Backlog;
use link::{Link, Search};

/// Most bytes that one read from Gateway takes.
const READ: usize = 256 * 1024;

/// Bytes for Gateway above which no more are taken from the broker, who paces by messages.
const MOST_UNWRITTEN: usize = 16 << 20;

/// After its last word a worker waits so long for the broker to take it.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Runs one worker on the link at this path.
pub async fn run(path: &Path, epoch: u64, log: &mut Log) -> anyhow::Result<ExitCode> {
    let stream = match link::open(path.to_owned()).await {
        Ok(stream) => stream,
        Err(error) => {
            log.line(&format!("open the link {}: {error}", path.display()));
            return Ok(ExitCode::LinkLost);
        }
    };
    let build = concat!("ibouncer ", env!("CARGO_PKG_VERSION"));
    let session = WorkerSession::new(epoch, std::process::id(), build, Instant::now());
    let mut relay = Relay {
        session,
        link: Link::up(path, stream),
        backlog: Backlog::default(),
        gateway: Gateway::Absent,
        unwritten: BytesMut::new(),
        closing: false,
        timer: None,
        exit: None,
        lock: None,
        log,
    };
    let code = poll_fn(|context| relay.poll(context)).await;
    relay.log.line(&format!("epoch {epoch} ends with code {}", code as u8));
    Ok(code)
}

type Connecting = Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>;

enum Gateway {
    Absent,
    Connecting(Connecting),
    Connected(TcpStream),
    /// Closed, failed, or given up.
    Gone,
}

struct Relay<'a> {
    session: WorkerSession,
    link: Link,
    backlog: Backlog,
    gateway: Gateway,
    /// For Gateway.
    unwritten: BytesMut,
    /// The socket is to be closed in order, once that has left.
    closing: bool,
    timer: Option<Pin<Box<Sleep>>>,
    exit: Option<ExitCode>,
    /// Held until the process ends.
    lock: Option<File>,
    log: &'a mut Log,
}

impl Relay<'_> {
    /// Everything that can be done now, until nothing can.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ExitCode> {
        loop {
            self.carry_out();
            let mut progress = self.poll_connect(context);
            progress |= self.poll_relink(context);
            progress |= self.poll_link_read(context);
            self.carry_out();
            progress |= self.poll_gateway_write(context);
            self.close_once_written();
            progress |= self.poll_gateway_read(context);
            self.carry_out();
            progress |= self.poll_link_write(context);
            if let Some(code) = self.exit
                && (self.backlog.is_empty() || !self.link.is_up())
            {
                return Poll::Ready(code);
            }
            if self.poll_timer(context) {
                progress = true;
                if let Some(code) = self.exit {
                    return Poll::Ready(code);
                }
            }
            if !progress {
                return Poll::Pending;
            }
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Tell(message) => self.backlog.push_control(&message),
                Output::Connect(configure) => self.connect(&configure),
                Output::Write(bytes) => self.unwritten.extend_from_slice(&bytes),
                Output::Outlive => {
                    if let Err(error) = process::outlive_parent() {
                        self.log.line(&format!("cannot outlive the broker: {error:#}"));
                    }
                }
                Output::Forget(through) => self.backlog.forget(through),
                Output::AwaitBroker { retry, grace } => {
                    self.log.line("the broker is gone; the session is kept for the next one");
                    self.backlog.unlink();
                    self.link.look_for_broker(retry, grace);
                }
                Output::BrokerFound => self.link.settle(),
                Output::DropLink => {
                    self.log.line("whoever answers at the link is no broker for this worker");
                    self.backlog.unlink();
                    self.link.look_on();
                }
                Output::CloseInOrder { within } => {
                    self.timer = Some(Box::pin(tokio::time::sleep(within)));
                    self.closing = true;
                }
                Output::Exit(code) => {
                    self.exit = Some(code);
                    // Dropped now, so that the reset goes out before the last word does.
                    self.gateway = Gateway::Gone;
                    self.timer = Some(Box::pin(tokio::time::sleep(LAST_WORD)));
                }
            }
        }
    }

    fn connect(&mut self, configure: &Configure) {
        self.backlog.configure(configure);
        if !configure.lock_path.is_empty() {
            match process::take_lock(Path::new(&configure.lock_path)) {
                Ok(Some(lock)) => self.lock = Some(lock),
                Ok(None) => return self.session.on_lock_taken(&configure.lock_path),
                Err(error) => {
                    let detail = format!("{error:#}");
                    return self.session.on_connect_failed(EndReason::Internal, detail);
                }
            }
        }
        match configure.gateway.parse() {
            Ok(address) => self.gateway = Gateway::Connecting(Box::pin(socket::open(address))),
            Err(error) => {
                let detail = format!("address {:?}: {error}", configure.gateway);
                self.session.on_connect_failed(EndReason::Internal, detail);
            }
        }
    }

    fn poll_connect(&mut self, context: &mut Context<'_>) -> bool {
        let Gateway::Connecting(connecting) = &mut self.gateway else {
            return false;
        };
        match connecting.as_mut().poll(context) {
            Poll::Pending => false,
            Poll::Ready(Ok(stream)) => {
                self.gateway = Gateway::Connected(stream);
                self.session.on_connected(Instant::now());
                true
            }
            Poll::Ready(Err(error)) => {
                self.gateway = Gateway::Gone;
                let detail = format!("TCP could not be opened: {error}");
                self.session.on_connect_failed(EndReason::ConnectFailed, detail);
                true
            }
        }
    }

    /// Looks for a broker, while there is none.
    fn poll_relink(&mut self, context: &mut Context<'_>) -> bool {
        match self.link.poll_search(context) {
            Search::Nothing => false,
            Search::GaveUp => {
                self.log.line("no broker came in time; the session is closed");
                self.session.on_grace_passed();
                true
            }
            Search::Found => {
                let first = self.backlog.relink();
                self.link.expect_number(self.session.taken_through() + 1);
                self.session.on_relinked(first);
                self.carry_out();
                self.backlog.tell_gap();
                true
            }
        }
    }

    fn poll_link_read(&mut self, context: &mut Context<'_>) -> bool {
        if self.unwritten.len() > MOST_UNWRITTEN || self.exit == Some(ExitCode::LinkLost) {
            return false;
        }
        let count = match self.link.poll_read(context) {
            Poll::Pending => return false,
            Poll::Ready(Ok(0)) => return self.lose_link("the broker closed the link".into()),
            Poll::Ready(Err(error)) => return self.lose_link(format!("the link failed: {error}")),
            Poll::Ready(Ok(count)) => count,
        };
        loop {
            match self.link.next_frame() {
                Ok(Some(LinkFrame::Control(body))) => match read_control(&body) {
                    Ok(message) => self.session.on_control(message),
                    Err(error) => {
                        self.session.on_link_violated(&error);
                        return true;
                    }
                },
                Ok(Some(LinkFrame::Data { number, frames })) => {
                    self.session.on_data(number, frames);
                }
                Ok(None) => return count > 0,
                Err(error) => {
                    self.session.on_link_violated(&error);
                    return true;
                }
            }
        }
    }

    fn poll_gateway_write(&mut self, context: &mut Context<'_>) -> bool {
        let Gateway::Connected(stream) = &mut self.gateway else {
            return false;
        };
        if self.unwritten.is_empty() {
            return false;
        }
        match Pin::new(stream).poll_write(context, &self.unwritten) {
            Poll::Pending => false,
            Poll::Ready(Ok(count)) => {
                self.unwritten.advance(count);
                if self.unwritten.is_empty() {
                    self.session.on_written(Instant::now());
                }
                true
            }
            Poll::Ready(Err(error)) => self.lose_gateway(&error),
        }
    }

    /// What came before the word to end was told to have left.
    fn close_once_written(&mut self) {
        if !self.unwritten.is_empty() || !std::mem::take(&mut self.closing) {
            return;
        }
        if let Gateway::Connected(stream) = &self.gateway {
            socket::close_in_order(stream, self.log);
        }
    }

    fn poll_gateway_read(&mut self, context: &mut Context<'_>) -> bool {
        let Gateway::Connected(stream) = &mut self.gateway else {
            return false;
        };
        if !self.session.is_open() {
            return self.poll_opening(context);
        }
        let buffer = self.session.deframer().buffer_mut();
        buffer.reserve(READ);
        match pin!(stream.read_buf(buffer)).poll(context) {
            Poll::Pending => false,
            Poll::Ready(Ok(0)) => self.close_gateway("Gateway closed the connection"),
            Poll::Ready(Ok(count)) => {
                self.relay_frames(count);
                true
            }
            Poll::Ready(Err(error)) => self.lose_gateway(&error),
        }
    }

    /// Until the version is known; it is not a frame for the broker.
    fn poll_opening(&mut self, context: &mut Context<'_>) -> bool {
        let Gateway::Connected(stream) = &mut self.gateway else {
            return false;
        };
        let mut piece = [0; 4096];
        match pin!(stream.read(&mut piece)).poll(context) {
            Poll::Pending => false,
            Poll::Ready(Ok(0)) => self.close_gateway("Gateway closed the connection"),
            Poll::Ready(Ok(count)) => {
                self.session.on_opening_bytes(&piece[..count], Instant::now());
                if self.session.is_open() {
                    // Whatever followed the reply in the same read.
                    self.relay_frames(0);
                }
                true
            }
            Poll::Ready(Err(error)) => self.lose_gateway(&error),
        }
    }

    fn relay_frames(&mut self, count: usize) {
        let frames: Bytes = self.session.take_frames(count, Instant::now());
        if !frames.is_empty() {
            self.backlog.push_data(frames);
        }
    }

    fn poll_link_write(&mut self, context: &mut Context<'_>) -> bool {
        let mut progress = false;
        while self.link.is_up() && !self.backlog.is_empty() {
            match self.link.poll_write(context, self.backlog.piece()) {
                Poll::Pending => break,
                Poll::Ready(Ok(written)) => {
                    let sent = self.backlog.consume(written);
                    self.session.on_sent(sent);
                    progress = true;
                }
                Poll::Ready(Err(error)) => {
                    return self.lose_link(format!("the link failed: {error}"));
                }
            }
        }
        progress
    }

    fn poll_timer(&mut self, context: &mut Context<'_>) -> bool {
        let Some(timer) = &mut self.timer else {
            return false;
        };
        if timer.as_mut().poll(context).is_pending() {
            return false;
        }
        self.timer = None;
        self.session.on_drain_passed();
        true
    }

    /// Nobody is left to tell anything. A live session is kept for the next broker; anything else
    /// ends.
    fn lose_link(&mut self, detail: String) -> bool {
        self.log.line(&detail);
        self.link.lose();
        self.session.on_link_lost(detail);
        self.carry_out();
        true
    }

    fn lose_gateway(&mut self, error: &io::Error) -> bool {
        let how = match error.kind() {
            io::ErrorKind::ConnectionReset => "Gateway reset the connection".to_owned(),
            _ => format!("Gateway's socket failed: {error}"),
        };
        self.close_gateway(&how)
    }

    fn close_gateway(&mut self, how: &str) -> bool {
        self.gateway = Gateway::Gone;
        self.session.on_closed(how);
        true
    }
}
