//! The broker's side of the link: one listener, and one connection, the current worker's.
//!
//! Who may connect is decided elsewhere; the kernel says who it is. What the worker says becomes
//! [`WorkerEvent`]s; what it should hear is written without waiting for it. A worker that is
//! linked for the first time hears our Hello at once; one that comes back says its own first,
//! and then hears ours in the version that it speaks.

use std::future::poll_fn;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Buf as _, BytesMut};
use ibouncer_core::hub::WorkerEvent;
use ibouncer_core::ids::Epoch;
use ibouncer_proto::link::v1::{Hello, ToBroker, ToWorker, to_broker, to_worker};
use ibouncer_proto::link::{
    LINK_VERSION, LinkDeframer, LinkFrame, OLDEST_LINK_VERSION, read_control, write_control,
    write_data_header,
};
use interprocess::local_socket::tokio::{Listener, Stream, prelude::*};
use interprocess::local_socket::{GenericFilePath, ListenerOptions};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};

/// Most bytes of one read.
const READ: usize = 256 * 1024;

/// Where workers come in.
pub struct LinkListener {
    listener: Listener,
}

impl LinkListener {
    /// Binds the socket. Only under the broker's lock: whatever is left there is dead.
    pub fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let name = path.to_fs_name::<GenericFilePath>()?;
        let listener = ListenerOptions::new().name(name).reclaim_name(false).create_tokio()?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener })
    }

    /// The next one that comes in, as the kernel knows it.
    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        let stream = self.listener.accept().await?;
        let credentials = stream.peer_creds()?;
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok());
        Ok((stream, Peer { pid, uid: credentials.euid() }))
    }
}

/// Who connected to the link, as the kernel knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Process id, if it has one here.
    pub pid: Option<u32>,
    /// User id.
    pub uid: Option<u32>,
}

/// The connection to the current worker.
pub struct Link {
    /// Not known before a worker that comes back has said it.
    epoch: Option<Epoch>,
    stream: Stream,
    inbound: LinkDeframer,
    outbound: BytesMut,
    greeted: bool,
    closed: bool,
}

impl Link {
    /// The first connection of the worker of this epoch; says Hello.
    pub fn new(epoch: Epoch, stream: Stream) -> Self {
        let mut link = Self::returning(stream);
        link.say_hello(epoch, LINK_VERSION);
        link
    }

    /// A connection of a worker that was linked before, to this broker or to another.
    pub fn returning(stream: Stream) -> Self {
        Self {
            epoch: None,
            stream,
            inbound: LinkDeframer::new(),
            outbound: BytesMut::new(),
            greeted: false,
            closed: false,
        }
    }

    /// The worker that came back is ours: says Hello in its version.
    pub fn say_hello(&mut self, epoch: Epoch, version: u32) {
        self.epoch = Some(epoch);
        let hello = Hello {
            link_version: version,
            build: concat!("ibouncer ", env!("CARGO_PKG_VERSION")).into(),
            epoch: epoch.0,
            pid: std::process::id(),
            ..Hello::default()
        };
        self.tell(&ToWorker { message: Some(to_worker::Message::Hello(hello)) });
    }

    /// Its worker.
    pub fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    /// Is everything written?
    pub fn is_flushed(&self) -> bool {
        self.closed || self.outbound.is_empty()
    }

    /// Says something; it leaves as soon as the worker takes it.
    pub fn tell(&mut self, message: &ToWorker) {
        write_control(message, &mut self.outbound);
    }

    /// Hands over frames for Gateway.
    pub fn send(&mut self, number: u64, frames: &[u8]) {
        write_data_header(number, frames.len(), &mut self.outbound);
        self.outbound.extend_from_slice(frames);
    }

    /// Writes what can be written and waits for what the worker says. Can be dropped and called
    /// again; nothing is lost.
    pub async fn events(&mut self, into: &mut Vec<WorkerEvent>) {
        poll_fn(|context| self.poll(context, into)).await;
    }

    /// Everything up to the end of a link whose worker is gone.
    pub async fn rest(&mut self, into: &mut Vec<WorkerEvent>) {
        while !self.closed {
            self.events(into).await;
        }
    }

    /// Writes what can be written now, without waiting.
    pub async fn flush(&mut self) {
        poll_fn(|context| {
            self.poll_write(context);
            Poll::Ready(())
        })
        .await;
    }

    fn poll(&mut self, context: &mut Context<'_>, into: &mut Vec<WorkerEvent>) -> Poll<()> {
        if self.closed {
            return Poll::Pending;
        }
        self.poll_write(context);
        let buffer = self.inbound.buffer_mut();
        buffer.reserve(READ);
        match pin!(self.stream.read_buf(buffer)).poll(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(0)) => self.close(into, "the worker closed the link".into()),
            Poll::Ready(Err(error)) => self.close(into, format!("the link failed: {error}")),
            Poll::Ready(Ok(_)) => self.understand(into),
        }
        Poll::Ready(())
    }

    fn poll_write(&mut self, context: &mut Context<'_>) {
        while !self.outbound.is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, &self.outbound) {
                Poll::Ready(Ok(count)) if count > 0 => self.outbound.advance(count),
                // Reading will tell, or has told, that the worker is gone.
                Poll::Ready(_) => self.outbound.clear(),
                Poll::Pending => break,
            }
        }
    }

    fn understand(&mut self, into: &mut Vec<WorkerEvent>) {
        loop {
            let event = match self.inbound.next_frame() {
                Ok(None) => return,
                Ok(Some(LinkFrame::Control(body))) => match read_control(&body) {
                    Ok(message) => self.on_control(message),
                    Err(error) => Err(error.to_string()),
                },
                Ok(Some(LinkFrame::Data { number, frames })) if self.greeted => {
                    Ok(Some(WorkerEvent::Frames { number, frames }))
                }
                Ok(Some(LinkFrame::Data { .. })) => Err("data came before Hello".into()),
                Err(error) => Err(error.to_string()),
            };
            match event {
                Ok(Some(event)) => into.push(event),
                Ok(None) => {}
                Err(because) => {
                    self.closed = true;
                    into.push(WorkerEvent::LinkViolated { because });
                    return;
                }
            }
        }
    }

    fn on_control(&mut self, message: ToBroker) -> Result<Option<WorkerEvent>, String> {
        let Some(message) = message.message else {
            return Ok(None);
        };
        if !self.greeted && !matches!(message, to_broker::Message::Hello(_)) {
            return Err("the worker did not begin with Hello".into());
        }
        Ok(Some(match message {
            to_broker::Message::Hello(hello) => {
                let known = OLDEST_LINK_VERSION..=LINK_VERSION;
                if !known.contains(&hello.link_version) {
                    return Err(format!(
                        "the worker speaks link version {}, this broker knows {} to {}",
                        hello.link_version,
                        known.start(),
                        known.end()
                    ));
                }
                if self.epoch.is_some_and(|epoch| epoch.0 != hello.epoch) {
                    return Err(format!("the worker is of epoch {}", hello.epoch));
                }
                self.inbound.expect_number(hello.next_number);
                if std::mem::replace(&mut self.greeted, true) {
                    return Err("the worker said Hello twice".into());
                }
                WorkerEvent::Hello(hello)
            }
            to_broker::Message::Stage(stage) => WorkerEvent::Stage(stage),
            to_broker::Message::Pong(pong) => WorkerEvent::Pong(pong),
            to_broker::Message::Gap(gap) => WorkerEvent::Gap(gap),
            to_broker::Message::Ended(ended) => WorkerEvent::Ended(ended),
        }))
    }

    fn close(&mut self, into: &mut Vec<WorkerEvent>, because: String) {
        self.closed = true;
        into.push(WorkerEvent::LinkClosed { because });
    }
}
