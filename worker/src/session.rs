//! The decisions of a worker, pure: no socket, no clock, no runtime.
//!
//! ```text
//!  Greeting ─Configure─► Connecting ─TCP─► Opening ─version─► Open ─ids─► Open, ready
//!                                                                            │
//!     any ─────────────────────── end ───────────► Ended ◄── Draining ◄─ Shutdown, grace over
//! ```
//!
//! A link that breaks before READY ends the worker. After READY it keeps reading Gateway for
//! `adoption_grace` and looks for a broker; then the session goes on, or is closed in order.
//!
//! Owns the handshake in the client's role, the stages with their stamps, the numbers of data
//! frames in both directions, and the reason of the end. Judges nothing: deadlines, retries and
//! what a failure means are the broker's.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ibouncer_proto::link::v1::{
    Configure, EndReason, Ended, Hello, Pong, SessionFacts, Stage, StageReached, ToBroker,
    ToWorker, to_broker, to_worker,
};
use ibouncer_proto::link::{LINK_VERSION, LinkError};
use ibouncer_proto::tws::frame::Deframer;
use ibouncer_proto::tws::handshake::ClientHandshake;

mod notices;
mod opening;
mod output;

use notices::Notices;
pub use output::{ExitCode, Output};

enum State {
    Greeting,
    Connecting { configure: Configure },
    Opening { configure: Configure, handshake: ClientHandshake },
    Open { ready: bool },
    Draining { reason: EndReason },
    Ended,
}

/// Where the link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkState {
    /// We have said Hello.
    Greeting,
    Up,
    Down,
}

/// The machine.
pub struct WorkerSession {
    state: State,
    epoch: u64,
    greeted: Instant,
    outputs: std::collections::VecDeque<Output>,
    deframer: Deframer,
    accounts_seen: bool,
    next_id_seen: bool,
    drain: Duration,
    link_retry: Duration,
    adoption_grace: Duration,
    build: String,
    pid: u32,
    /// What the broker calls the session.
    name: u64,
    /// What a broker must know that did not see the session begin.
    facts: SessionFacts,
    notices: Notices,
    /// Is there a link, and did the broker say Hello on it?
    link: LinkState,
    /// Stage that is reached when what waits for Gateway has left.
    leaving: Option<Stage>,
    received: u64,
    taken: u64,
    written: u64,
    /// Data frames that have left for the broker.
    sent: u64,
}

impl WorkerSession {
    /// A worker that is linked, and says Hello.
    pub fn new(epoch: u64, pid: u32, build: &str, now: Instant) -> Self {
        let mut session = Self {
            state: State::Greeting,
            epoch,
            greeted: now,
            outputs: std::collections::VecDeque::new(),
            deframer: Deframer::new(),
            accounts_seen: false,
            next_id_seen: false,
            drain: Duration::ZERO,
            link_retry: Duration::ZERO,
            adoption_grace: Duration::ZERO,
            build: build.to_owned(),
            pid,
            name: 0,
            facts: SessionFacts::default(),
            notices: Notices::default(),
            link: LinkState::Greeting,
            leaving: None,
            received: 0,
            taken: 0,
            written: 0,
            sent: 0,
        };
        let hello = session.hello();
        session.tell(to_broker::Message::Hello(hello));
        session
    }

    /// The broker said something.
    pub fn on_control(&mut self, message: ToWorker) {
        match message.message {
            Some(to_worker::Message::Hello(hello)) => self.on_hello(&hello),
            Some(to_worker::Message::Configure(configure)) => {
                if matches!(self.state, State::Greeting) {
                    self.name = configure.session_name;
                    self.drain = Duration::from_millis(configure.drain_ms);
                    self.link_retry = Duration::from_millis(configure.link_retry_ms.max(10));
                    self.adoption_grace = Duration::from_millis(configure.adoption_grace_ms);
                    self.outputs.push_back(Output::Connect(configure.clone()));
                    self.state = State::Connecting { configure };
                }
            }
            Some(to_worker::Message::Ping(ping)) => self.tell(to_broker::Message::Pong(Pong {
                number: ping.number,
                taken_through: self.taken,
                written_through: self.written,
                sent_through: self.sent,
            })),
            Some(to_worker::Message::Acknowledge(acknowledge)) => {
                self.outputs.push_back(Output::Forget(acknowledge.through));
            }
            None => {}
            Some(to_worker::Message::Shutdown(shutdown)) => self.on_shutdown(&shutdown.because),
        }
    }

    /// Frames for Gateway. A number that was taken before is dropped: it has been sent.
    pub fn on_data(&mut self, number: u64, frames: Bytes) {
        if number <= self.taken || !matches!(self.state, State::Open { .. }) {
            return;
        }
        self.taken = number;
        self.outputs.push_back(Output::Write(frames));
    }

    /// Everything so far is wholly in the socket's hands: the opening line, START_API, or data.
    pub fn on_written(&mut self, now: Instant) {
        self.written = self.taken;
        if let Some(stage) = self.leaving.take() {
            self.reach(stage, StageReached::default(), now);
        }
    }

    /// One data frame has left for the broker.
    pub fn on_sent(&mut self, number: u64) {
        self.sent = number;
    }

    /// TCP is up.
    pub fn on_connected(&mut self, now: Instant) {
        let State::Connecting { configure } = std::mem::replace(&mut self.state, State::Ended)
        else {
            return;
        };
        self.reach(Stage::TcpConnected, StageReached::default(), now);
        let handshake = ClientHandshake::new(configure.offer_min..=configure.offer_max);
        self.outputs.push_back(Output::Write(handshake.opening()));
        self.leaving = Some(Stage::HelloSent);
        self.state = State::Opening { configure, handshake };
    }

    /// The lock is held by another worker.
    pub fn on_lock_taken(&mut self, path: &str) {
        self.end(EndReason::LockTaken, format!("another worker holds {path}"), 0);
    }

    /// TCP could not be opened, or the lock could not even be looked at.
    pub fn on_connect_failed(&mut self, reason: EndReason, detail: String) {
        self.end(reason, detail, 0);
    }

    /// Bytes of the handshake. Once the session is open, bytes are read into
    /// [`Self::deframer`] and taken with [`Self::take_frames`].
    pub fn on_opening_bytes(&mut self, bytes: &[u8], now: Instant) {
        if self.received == 0 {
            self.reach(Stage::FirstByte, StageReached::default(), now);
        }
        self.received += bytes.len() as u64;
        let State::Opening { handshake, .. } = &mut self.state else {
            return;
        };
        match handshake.receive(bytes) {
            Ok(None) => {}
            Ok(Some(hello)) => self.on_version(hello, now),
            Err(error) => self.end(EndReason::HandshakeViolated, error.to_string(), 0),
        }
    }

    /// Is the version known, and are frames expected?
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. } | State::Draining { .. })
    }

    /// Where bytes from Gateway go once the session is open.
    pub fn deframer(&mut self) -> &mut Deframer {
        &mut self.deframer
    }

    /// All whole frames that are there, for the broker; empty if there are none. Call after
    /// `count` bytes were added to the deframer.
    pub fn take_frames(&mut self, count: usize, now: Instant) -> Bytes {
        self.received += count as u64;
        match self.deframer.take_whole() {
            Ok(frames) => {
                if matches!(self.state, State::Open { ready: false }) && !frames.is_empty() {
                    self.watch_for_ready(&frames, now);
                }
                if !self.adoption_grace.is_zero() {
                    self.notices.watch(&frames);
                }
                if matches!(self.state, State::Ended) { Bytes::new() } else { frames }
            }
            Err(error) => {
                self.end(EndReason::ProtocolViolation, error.to_string(), 0);
                Bytes::new()
            }
        }
    }

    /// Gateway closed, or the socket failed.
    pub fn on_closed(&mut self, how: &str) {
        if let State::Draining { reason } = self.state {
            return self.end(reason, "closed in order".into(), 0);
        }
        let detail = match self.deframer.buffered() {
            0 => how.to_owned(),
            cut => format!("{how}, {cut} bytes into a frame"),
        };
        self.end(EndReason::ClosedByPeer, detail, 0);
    }

    /// The ordered end took too long; it ends all the same.
    pub fn on_drain_passed(&mut self) {
        let reason = match self.state {
            State::Draining { reason } => reason,
            _ => EndReason::Asked,
        };
        self.end(reason, "Gateway did not close its side in time".into(), 0);
    }

    /// The broker is gone. A live session outlives it; anything else ends.
    pub fn on_link_lost(&mut self, detail: String) {
        if !self.may_outlive() {
            return self.end(EndReason::LinkLost, detail, 0);
        }
        if self.link != LinkState::Down {
            self.link = LinkState::Down;
            self.outputs.push_back(Output::AwaitBroker {
                retry: self.link_retry,
                grace: self.adoption_grace,
            });
        }
    }

    /// The broker spoke nonsense.
    pub fn on_link_violated(&mut self, error: &LinkError) {
        let detail = format!("the broker's link carried nonsense: {error}");
        if self.may_outlive() {
            self.outputs.push_back(Output::DropLink);
        } else {
            self.end(EndReason::LinkLost, detail, 0);
        }
    }

    /// There is a link again; `next_number` is what the first data frame on it will have.
    pub fn on_relinked(&mut self, next_number: u64) {
        self.link = LinkState::Greeting;
        self.facts.notices = self.notices.frames();
        let hello = Hello {
            session: Some(self.facts.clone()),
            next_number,
            sent_through: self.sent,
            ..self.hello()
        };
        self.tell(to_broker::Message::Hello(hello));
    }

    /// Number of the newest data frame from the broker that was taken; the next one counts on.
    pub fn taken_through(&self) -> u64 {
        self.taken
    }

    /// No broker came in time: the session is closed in order.
    pub fn on_grace_passed(&mut self) {
        self.close_in_order(EndReason::LinkLost);
    }

    fn may_outlive(&self) -> bool {
        matches!(self.state, State::Open { ready: true }) && !self.adoption_grace.is_zero()
    }

    fn close_in_order(&mut self, reason: EndReason) {
        // The broker, if there is one, has its own, later deadline, by SIGKILL.
        self.outputs.push_back(Output::CloseInOrder { within: self.drain });
        self.state = State::Draining { reason };
    }

    fn hello(&self) -> Hello {
        Hello {
            link_version: LINK_VERSION,
            build: self.build.clone(),
            epoch: self.epoch,
            pid: self.pid,
            session_name: self.name,
            taken_through: self.taken,
            written_through: self.written,
            ..Hello::default()
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn on_hello(&mut self, hello: &Hello) {
        if hello.link_version == LINK_VERSION && hello.epoch == self.epoch {
            self.link = LinkState::Up;
            self.outputs.push_back(Output::BrokerFound);
        } else if self.may_outlive() {
            self.outputs.push_back(Output::DropLink);
        } else {
            let detail = format!(
                "the broker speaks link version {} for epoch {}, this is version {LINK_VERSION} \
                 of epoch {}",
                hello.link_version, hello.epoch, self.epoch
            );
            self.end(EndReason::LinkLost, detail, 0);
        }
    }

    fn on_shutdown(&mut self, because: &str) {
        match &self.state {
            State::Open { .. } => self.close_in_order(EndReason::Asked),
            State::Draining { .. } | State::Ended => {}
            State::Greeting | State::Connecting { .. } | State::Opening { .. } => {
                self.end(EndReason::Asked, because.to_owned(), 0);
            }
        }
    }

    fn reach(&mut self, stage: Stage, reached: StageReached, now: Instant) {
        let at_us = now.saturating_duration_since(self.greeted).as_micros() as u64;
        let reached = StageReached { stage: stage.into(), at_us, ..reached };
        self.tell(to_broker::Message::Stage(reached));
    }

    fn end(&mut self, reason: EndReason, detail: String, gateway_code: i32) {
        if matches!(self.state, State::Ended)
            && self.outputs.iter().any(|output| matches!(output, Output::Exit(_)))
        {
            return;
        }
        self.state = State::Ended;
        self.tell(to_broker::Message::Ended(Ended {
            reason: reason.into(),
            detail,
            gateway_code,
            received_bytes: self.received,
            sent_through: self.sent,
        }));
        self.outputs.push_back(Output::Exit(ExitCode::of(reason)));
    }

    fn tell(&mut self, message: to_broker::Message) {
        self.outputs.push_back(Output::Tell(ToBroker { message: Some(message) }));
    }
}

#[cfg(test)]
mod tests;
