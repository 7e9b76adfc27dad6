//! The test in the broker's place: it starts a real worker, and speaks the link with it.
//!
//! What a broker cannot be made to do on purpose, such as half a frame before its death, is done
//! here byte by byte.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ibouncer_proto::link::v1::{Configure, Hello, Stage, ToBroker, ToWorker, to_broker, to_worker};
use ibouncer_proto::link::{
    LINK_VERSION, LinkDeframer, LinkFrame, read_control, write_control, write_data_header,
};
use tempfile::TempDir;

use super::wait::{PATIENCE, until};

/// A worker, started as a broker would.
#[derive(Debug)]
pub struct LoneWorker {
    folder: TempDir,
    listener: UnixListener,
    child: Child,
    epoch: u64,
}

/// What came on the link.
#[derive(Debug)]
pub enum Said {
    /// A control message.
    Control(to_broker::Message),
    /// Frames from Gateway, with their number.
    Frames(u64, Bytes),
}

/// One connection of the worker.
#[derive(Debug)]
pub struct LinkEnd {
    stream: UnixStream,
    inbound: LinkDeframer,
    /// The first thing that the worker said.
    pub hello: Hello,
}

impl LoneWorker {
    /// Starts it; it will connect to [`Self::accept`].
    pub fn start(binary: &Path, epoch: u64) -> Self {
        let folder = tempfile::Builder::new().prefix("ib-link-").tempdir().unwrap();
        let path = folder.path().join("link.sock");
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let log = std::fs::File::create(folder.path().join("worker.log")).unwrap();
        let child = Command::new(binary)
            .arg0("ibouncer-worker")
            .arg("__worker")
            .arg(&path)
            .arg(epoch.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { folder, listener, child, epoch }
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its lock.
    pub fn lock(&self) -> PathBuf {
        self.folder.path().join("worker.lock")
    }

    /// What a broker configures, with quick retries.
    pub fn configuration(&self, gateway: &str, buffer: u64) -> Configure {
        Configure {
            gateway: gateway.to_owned(),
            client_id: 410,
            offer_min: 100,
            offer_max: 226,
            accept_min: 213,
            lock_path: self.lock().to_str().unwrap().to_owned(),
            adoption_grace_ms: 60_000,
            link_retry_ms: 10,
            drain_ms: 1500,
            buffer_bytes: buffer,
            droppable_ids: vec![201, 202, 212, 213, 221, 245, 246, 299],
            reserved_ids: vec![203, 204, 205, 211, 259],
            session_name: 7,
        }
    }

    /// Its next connection, once it has said Hello.
    #[track_caller]
    pub fn accept(&self) -> LinkEnd {
        let stream = until("the worker at the link", PATIENCE, || self.listener.accept().ok()).0;
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let hello = Hello::default();
        let mut link = LinkEnd { stream, inbound: LinkDeframer::new(), hello };
        match link.next("Hello") {
            Said::Control(to_broker::Message::Hello(hello)) => link.hello = hello,
            other => panic!("not Hello: {other:?}"),
        }
        link
    }

    /// Accepts it, greets it, and brings it to READY at this Gateway.
    #[track_caller]
    pub fn bring_up(&self, configure: Configure) -> LinkEnd {
        let mut link = self.accept();
        link.greet(self.epoch);
        link.tell(to_worker::Message::Configure(configure));
        loop {
            if let Said::Control(to_broker::Message::Stage(stage)) = link.next("READY")
                && stage.stage() == Stage::Ready
            {
                return link;
            }
        }
    }

    /// Waits for its exit code.
    #[track_caller]
    pub fn exit_code(&mut self) -> i32 {
        let status = until("the worker's exit", PATIENCE, || self.child.try_wait().unwrap());
        status.code().unwrap_or(-1)
    }
}

impl Drop for LoneWorker {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl LinkEnd {
    /// The broker's Hello.
    pub fn greet(&mut self, epoch: u64) {
        let hello = Hello {
            link_version: LINK_VERSION,
            build: "test".into(),
            epoch,
            pid: std::process::id(),
            ..Hello::default()
        };
        self.tell(to_worker::Message::Hello(hello));
    }

    /// A control message.
    pub fn tell(&mut self, message: to_worker::Message) {
        let mut out = BytesMut::new();
        write_control(&ToWorker { message: Some(message) }, &mut out);
        self.stream.write_all(&out).unwrap();
    }

    /// A data frame for Gateway.
    pub fn send(&mut self, number: u64, frames: &[u8]) {
        self.stream.write_all(&data_frame(number, frames)).unwrap();
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The first upward number that is expected, as Hello says.
    pub fn expect_number(&mut self, number: u64) {
        self.inbound.expect_number(number);
    }

    /// The next thing that is said.
    #[track_caller]
    pub fn next(&mut self, what: &str) -> Said {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(said) = self.poll() {
                return said;
            }
            assert!(Instant::now() < deadline, "not said: {what}");
        }
    }

    /// Something that was said, if there is anything within some milliseconds.
    #[track_caller]
    pub fn poll(&mut self) -> Option<Said> {
        loop {
            if let Some(frame) = self.inbound.next_frame().unwrap() {
                return Some(match frame {
                    LinkFrame::Control(body) => {
                        let message: ToBroker = read_control(&body).unwrap();
                        let message = message.message.unwrap();
                        if let to_broker::Message::Hello(hello) = &message {
                            self.inbound.expect_number(hello.next_number);
                        }
                        Said::Control(message)
                    }
                    LinkFrame::Data { number, frames } => Said::Frames(number, frames),
                });
            }
            let mut piece = [0; 64 * 1024];
            match self.stream.read(&mut piece) {
                Ok(0) => panic!("the worker closed the link"),
                Ok(count) => self.inbound.extend(&piece[..count]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return None;
                }
                Err(error) => panic!("the link failed: {error}"),
            }
        }
    }
}

/// A whole data frame of the link.
pub fn data_frame(number: u64, frames: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    write_data_header(number, frames.len(), &mut out);
    out.extend_from_slice(frames);
    out
}
