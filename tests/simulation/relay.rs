//! The worker's shell, simulated: [`WorkerSession`] between a link and a socket.
//!
//! Does what the real relay does, in its order: control leaves before data, data is numbered
//! when its turn comes, and the last word leaves before the exit. A stall of the link keeps both
//! waiting; a stopped process does nothing while its sockets fill.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ibouncer_core::ids::Epoch;
use ibouncer_core::supervisor::ExitStatus;
use ibouncer_proto::link::v1::EndReason;
use ibouncer_proto::link::{
    LinkDeframer, LinkFrame, read_control, write_control, write_data_header,
};
use ibouncer_worker::session::{ExitCode, Output, WorkerSession};

use crate::events::{Event, LinkPiece, TcpPiece};
use crate::network::SocketId;
use crate::os::{Life, Process};
use crate::world::World;

/// How long the last word may take.
const LAST_WORD: Duration = Duration::from_secs(1);

/// The worker's sockets and what waits at each.
pub(crate) struct Relay {
    session: WorkerSession,
    inbound: LinkDeframer,
    link_inbox: VecDeque<LinkPiece>,
    link_lost: bool,
    control: BytesMut,
    data: VecDeque<Bytes>,
    number: u64,
    /// The link takes nothing before this.
    pub(crate) stalled_until: Duration,
    pub(crate) socket: Option<SocketId>,
    connected: bool,
    socket_inbox: VecDeque<SocketNews>,
    timer: Option<Duration>,
    exit: Option<ExitCode>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Relay").finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum SocketNews {
    Answered(bool),
    Piece(TcpPiece),
}

impl World {
    /// The link is open: the worker says Hello.
    pub(crate) fn begin_worker_session(&mut self, epoch: Epoch) {
        let now = self.instant();
        if let Some(process) = self.os.alive(epoch) {
            process.relay = Some(Relay {
                session: WorkerSession::new(epoch.0, 1, "ibouncer", now),
                inbound: LinkDeframer::new(),
                link_inbox: VecDeque::new(),
                link_lost: false,
                control: BytesMut::new(),
                data: VecDeque::new(),
                number: 0,
                stalled_until: Duration::ZERO,
                socket: None,
                connected: false,
                socket_inbox: VecDeque::new(),
                timer: None,
                exit: None,
            });
            self.run_worker(epoch);
        }
    }

    /// A piece of the link reaches the worker's socket.
    pub(crate) fn on_worker_link(&mut self, epoch: Epoch, piece: LinkPiece) {
        if let Some(process) = self.os.alive(epoch)
            && let Some(relay) = &mut process.relay
        {
            relay.link_inbox.push_back(piece);
            self.run_worker(epoch);
        }
    }

    /// The SYN was answered.
    pub(crate) fn on_syn_answered(&mut self, socket: SocketId, accepted: bool) {
        self.on_socket_news(socket, SocketNews::Answered(accepted));
    }

    /// A piece of TCP reaches the worker's socket.
    pub(crate) fn on_tcp_piece(&mut self, socket: SocketId, piece: TcpPiece) {
        self.on_socket_news(socket, SocketNews::Piece(piece));
    }

    fn on_socket_news(&mut self, socket: SocketId, news: SocketNews) {
        if let Some(process) = &mut self.os.process
            && let Some(relay) = &mut process.relay
            && relay.socket == Some(socket)
        {
            relay.socket_inbox.push_back(news);
            let epoch = process.epoch;
            self.run_worker(epoch);
        }
    }

    /// Everything that the worker can do now.
    pub(crate) fn run_worker(&mut self, epoch: Epoch) {
        if self.os.alive(epoch).is_none_or(|process| process.life != Life::Running) {
            return;
        }
        let Some(mut process) = self.os.process.take() else {
            return;
        };
        let Some(mut relay) = process.relay.take() else {
            self.os.process = Some(process);
            return;
        };
        let end = self.turn(&mut process, &mut relay);
        process.relay = Some(relay);
        self.os.process = Some(process);
        if let Some(code) = end {
            self.trace(&format!("{epoch} exits with {code:?}"));
            self.die(ExitStatus::Code(code as i32));
        }
    }

    fn turn(&mut self, process: &mut Process, relay: &mut Relay) -> Option<ExitCode> {
        loop {
            self.carry_out_worker(process.epoch, relay);
            let mut progress = self.read_link(relay);
            self.carry_out_worker(process.epoch, relay);
            progress |= self.read_socket(process, relay);
            self.carry_out_worker(process.epoch, relay);
            let flushed = self.flush_link(process.epoch, relay);
            if relay.exit.is_some() && (flushed || relay.link_lost) {
                return relay.exit;
            }
            if relay.timer.is_some_and(|at| at <= self.now) {
                relay.timer = None;
                if relay.exit.is_some() {
                    return relay.exit;
                }
                relay.session.on_drain_passed();
                progress = true;
            }
            if !progress {
                return None;
            }
        }
    }

    fn carry_out_worker(&mut self, epoch: Epoch, relay: &mut Relay) {
        let now = self.instant();
        while let Some(output) = relay.session.poll_output() {
            match output {
                Output::Tell(message) => write_control(&message, &mut relay.control),
                Output::Connect(_) if self.os.foreign_lock => relay.session.on_lock_taken("lock"),
                Output::Connect(configure) => {
                    assert!(!configure.lock_path.is_empty(), "no lock is named");
                    relay.socket = Some(self.open_socket());
                }
                Output::Write(bytes) => {
                    if let Some(socket) = relay.socket.filter(|_| relay.connected) {
                        self.tcp_to_gateway(Event::ToGateway(socket, TcpPiece::Bytes(bytes)));
                    }
                    relay.session.on_written(now);
                }
                Output::CloseInOrder { within } => {
                    self.arm(epoch, relay, within);
                    if let Some(socket) = relay.socket {
                        self.tcp_to_gateway(Event::ToGateway(socket, TcpPiece::Fin));
                        self.host.finish(socket);
                    }
                }
                Output::Exit(code) => {
                    relay.exit = Some(code);
                    self.close_socket(relay.socket.take());
                    self.arm(epoch, relay, LAST_WORD);
                }
            }
        }
    }

    fn arm(&mut self, epoch: Epoch, relay: &mut Relay, within: Duration) {
        let at = self.now + within;
        relay.timer = Some(at);
        self.agenda.add(at, Event::WakeWorker(epoch));
    }

    fn read_link(&mut self, relay: &mut Relay) -> bool {
        let mut progress = false;
        while let Some(piece) = relay.link_inbox.pop_front() {
            progress = true;
            match piece {
                LinkPiece::Close => {
                    relay.session.on_link_lost("the broker closed the link".into());
                    relay.link_lost = true;
                }
                LinkPiece::Bytes(bytes) => relay.inbound.extend(&bytes),
            }
            while let Some(frame) =
                relay.inbound.next_frame().expect("the broker's bytes are legal")
            {
                match frame {
                    LinkFrame::Control(body) => {
                        let message = read_control(&body).expect("it is a message");
                        relay.session.on_control(message);
                    }
                    LinkFrame::Data { number, frames } => relay.session.on_data(number, frames),
                }
            }
        }
        progress
    }

    fn read_socket(&mut self, process: &mut Process, relay: &mut Relay) -> bool {
        let now = self.instant();
        let Some(news) = relay.socket_inbox.pop_front().filter(|_| relay.socket.is_some()) else {
            return false;
        };
        match news {
            SocketNews::Answered(true) => {
                process.connected = Some(self.now);
                relay.connected = true;
                relay.session.on_connected(now);
            }
            SocketNews::Answered(false) => {
                self.close_socket(relay.socket.take());
                let detail = "TCP could not be opened: refused".to_owned();
                relay.session.on_connect_failed(EndReason::ConnectFailed, detail);
            }
            SocketNews::Piece(TcpPiece::Bytes(bytes)) => {
                process.heard.get_or_insert(self.now);
                if relay.session.is_open() {
                    relay.session.deframer().extend(&bytes);
                    relay.relay_frames(bytes.len(), now);
                } else {
                    relay.session.on_opening_bytes(&bytes, now);
                    if relay.session.is_open() {
                        relay.relay_frames(0, now);
                    }
                }
            }
            SocketNews::Piece(TcpPiece::Fin) => {
                self.close_socket(relay.socket.take());
                relay.session.on_closed("Gateway closed the connection");
            }
            SocketNews::Piece(TcpPiece::Reset) => {
                self.close_socket(relay.socket.take());
                relay.session.on_closed("Gateway reset the connection");
            }
        }
        true
    }

    /// True once nothing waits.
    fn flush_link(&mut self, epoch: Epoch, relay: &mut Relay) -> bool {
        if relay.stalled_until > self.now {
            return relay.control.is_empty() && relay.data.is_empty();
        }
        let mut out = std::mem::take(&mut relay.control);
        while let Some(frames) = relay.data.pop_front() {
            relay.number += 1;
            write_data_header(relay.number, frames.len(), &mut out);
            out.extend_from_slice(&frames);
            relay.session.on_sent(relay.number);
        }
        if !out.is_empty() {
            self.link_to_broker(epoch, out.freeze());
        }
        true
    }

    /// The broker takes nothing from the link for a while.
    pub(crate) fn stall_link(&mut self, time: Duration) {
        let until = self.now + time;
        if let Some(process) = &mut self.os.process
            && let Some(relay) = &mut process.relay
        {
            relay.stalled_until = until;
            process.disturbed = true;
            let epoch = process.epoch;
            self.agenda.add(until, Event::WakeWorker(epoch));
        }
    }
}

impl Relay {
    fn relay_frames(&mut self, count: usize, now: std::time::Instant) {
        let frames = self.session.take_frames(count, now);
        if !frames.is_empty() {
            self.data.push_back(frames);
        }
    }
}
