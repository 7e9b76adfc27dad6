//! The broker's side of the link: one listener, and one connection, the current worker's.
//!
//! Only the process that we started may connect: the kernel says who it is. What the worker
//! says becomes [`WorkerEvent`]s; what it should hear is written without waiting for it.

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
    LINK_VERSION, LinkDeframer, LinkFrame, read_control, write_control, write_data_header,
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

    /// The next one that comes in, and its pid as the kernel knows it.
    pub async fn accept(&self) -> io::Result<(Stream, Option<u32>)> {
        let stream = self.listener.accept().await?;
        let pid = stream.peer_creds()?.pid().and_then(|pid| u32::try_from(pid).ok());
        Ok((stream, pid))
    }
}

/// The connection to the current worker.
pub struct Link {
    epoch: Epoch,
    stream: Stream,
    inbound: LinkDeframer,
    outbound: BytesMut,
    greeted: bool,
    closed: bool,
}

impl Link {
    /// A connection of the worker of this epoch; says Hello.
    pub fn new(epoch: Epoch, stream: Stream) -> Self {
        let mut link = Self {
            epoch,
            stream,
            inbound: LinkDeframer::new(),
            outbound: BytesMut::new(),
            greeted: false,
            closed: false,
        };
        let hello = Hello {
            link_version: LINK_VERSION,
            build: concat!("ibouncer ", env!("CARGO_PKG_VERSION")).into(),
            epoch: epoch.0,
            pid: std::process::id(),
            ..Hello::default()
        };
        link.tell(&ToWorker { message: Some(to_worker::Message::Hello(hello)) });
        link
    }

    /// Its worker.
    pub fn epoch(&self) -> Epoch {
        self.epoch
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
                if hello.link_version != LINK_VERSION || hello.epoch != self.epoch.0 {
                    return Err(format!(
                        "the worker speaks link version {} for epoch {}, expected was version \
                         {LINK_VERSION} for {}",
                        hello.link_version, hello.epoch, self.epoch
                    ));
                }
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
