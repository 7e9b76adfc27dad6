//! The worker's shell, simulated: [`WorkerSession`] and the real backlog between a link and a
//! socket.
//!
//! Does what the real relay does, in its order: control leaves before data, data is numbered
//! when its turn comes and kept until it is acknowledged, a link that breaks under a live
//! session is opened again, and the last word leaves before the exit. A stall of the link keeps
//! both waiting; a stopped process does nothing while its sockets fill. Checks that no data frame
//! of the broker is handed to Gateway's socket twice.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use ibouncer_core::ids::Epoch;
use ibouncer_core::supervisor::ExitStatus;
use ibouncer_proto::link::v1::EndReason;
use ibouncer_proto::link::{LinkDeframer, LinkFrame, read_control};
use ibouncer_worker::relay::backlog::Backlog;
use ibouncer_worker::session::{ExitCode, Output, WorkerSession};

use crate::events::{Event, LinkPiece, TcpPiece};
use crate::network::{LinkId, SocketId};
use crate::os::{Life, Process};
use crate::world::World;

/// How long the last word may take.
const LAST_WORD: Duration = Duration::from_secs(1);

/// The worker's sockets and what waits at each.
pub(crate) struct Relay {
    session: WorkerSession,
    backlog: Backlog,
    /// The open link.
    pub(crate) link: Option<LinkId>,
    inbound: LinkDeframer,
    link_inbox: VecDeque<LinkPiece>,
    search: Search,
    /// The newest data frame of a broker that was handed to Gateway's socket.
    written: u64,
    /// The link takes nothing before this.
    pub(crate) stalled_until: Duration,
    pub(crate) socket: Option<SocketId>,
    connected: bool,
    socket_inbox: VecDeque<SocketNews>,
    timer: Option<Duration>,
    exit: Option<ExitCode>,
}

/// How a broker is looked for.
#[derive(Debug, Default)]
struct Search {
    retry: Duration,
    try_at: Option<Duration>,
    give_up_at: Option<Duration>,
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
    pub(crate) fn begin_worker_session(&mut self, link: LinkId) {
        let now = self.instant();
        if let Some(process) = self.os.alive(link.epoch) {
            process.relay = Some(Relay {
                session: WorkerSession::new(link.epoch.0, process.pid, "ibouncer", now),
                backlog: Backlog::default(),
                link: Some(link),
                inbound: LinkDeframer::new(),
                link_inbox: VecDeque::new(),
                search: Search::default(),
                written: 0,
                stalled_until: Duration::ZERO,
                socket: None,
                connected: false,
                socket_inbox: VecDeque::new(),
                timer: None,
                exit: None,
            });
            self.run_worker(link.epoch);
        }
    }

    /// A piece of the link reaches the worker's socket.
    pub(crate) fn on_worker_link(&mut self, link: LinkId, piece: LinkPiece) {
        if let Some(process) = self.os.alive(link.epoch)
            && let Some(relay) = &mut process.relay
            && relay.link == Some(link)
        {
            relay.link_inbox.push_back(piece);
            self.run_worker(link.epoch);
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
            self.carry_out_worker(process, relay, None);
            let mut progress = self.search(process, relay);
            progress |= self.read_link(process, relay);
            self.carry_out_worker(process, relay, None);
            progress |= self.read_socket(process, relay);
            self.carry_out_worker(process, relay, None);
            self.flush_link(relay);
            if relay.exit.is_some() && (relay.backlog.is_empty() || relay.link.is_none()) {
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

    /// `number` is that of the data frame that was just taken.
    fn carry_out_worker(&mut self, process: &mut Process, relay: &mut Relay, number: Option<u64>) {
        let now = self.instant();
        while let Some(output) = relay.session.poll_output() {
            match output {
                Output::Tell(message) => relay.backlog.push_control(&message),
                Output::Connect(_) if self.os.foreign_lock => relay.session.on_lock_taken("lock"),
                Output::Connect(configure) => {
                    assert!(!configure.lock_path.is_empty(), "no lock is named");
                    relay.backlog.configure(&configure);
                    self.frames.begin(process.epoch, &configure);
                    process.holds_lock = true;
                    relay.socket = Some(self.open_socket());
                }
                Output::Write(bytes) => {
                    if let Some(number) = number {
                        assert!(number > relay.written, "data frame {number} is written again");
                        relay.written = number;
                    }
                    if let Some(socket) = relay.socket.filter(|_| relay.connected) {
                        self.write_in_pieces(socket, bytes);
                    }
                    relay.session.on_written(now);
                }
                Output::Outlive => process.outlives = true,
                Output::Forget(through) => {
                    relay.backlog.forget(through);
                    self.frames.on_forgotten(through);
                }
                Output::AwaitBroker { retry, grace } => {
                    relay.backlog.unlink();
                    relay.search.retry = retry;
                    relay.search.give_up_at = Some(self.wake_in(process.epoch, grace));
                    relay.search.try_at = Some(self.wake_in(process.epoch, retry));
                }
                Output::BrokerFound => relay.search.give_up_at = None,
                Output::DropLink => {
                    relay.backlog.unlink();
                    self.close_worker_link(relay);
                    relay.search.try_at = Some(self.wake_in(process.epoch, relay.search.retry));
                }
                Output::CloseInOrder { within } => {
                    relay.timer = Some(self.wake_in(process.epoch, within));
                    if let Some(socket) = relay.socket {
                        self.tcp_to_gateway(Event::ToGateway(socket, TcpPiece::Fin));
                        self.host.finish(socket);
                    }
                }
                Output::Exit(code) => {
                    relay.exit = Some(code);
                    self.close_socket(relay.socket.take());
                    relay.timer = Some(self.wake_in(process.epoch, LAST_WORD));
                }
            }
        }
    }

    /// TCP knows no frames: what is written at once arrives at once, or in pieces, each later; so in
    /// worlds where no paces are judged. A group of orders is torn apart now and then:
    /// Gateway dies with a part of it.
    fn write_in_pieces(&mut self, socket: SocketId, mut bytes: Bytes) {
        let tears = self.orders.tears(&bytes);
        let splits = self.orders.is_on() || self.network.jitter;
        while bytes.len() > 1 && (tears || splits && self.rng.u8(..3) == 0) {
            let piece = bytes.split_to(self.rng.usize(1..bytes.len()));
            self.tcp_to_gateway(Event::ToGateway(socket, TcpPiece::Bytes(piece)));
            if tears {
                self.tcp_to_gateway(Event::Torn);
                break;
            }
        }
        self.tcp_to_gateway(Event::ToGateway(socket, TcpPiece::Bytes(bytes)));
    }

    fn wake_in(&mut self, epoch: Epoch, within: Duration) -> Duration {
        let at = self.now + within;
        self.agenda.add(at, Event::WakeWorker(epoch));
        at
    }

    /// Looks for a broker, while there is none.
    fn search(&mut self, process: &mut Process, relay: &mut Relay) -> bool {
        let due = |at: Option<Duration>| at.is_some_and(|at| at <= self.now);
        if due(relay.search.give_up_at) {
            self.trace(&format!("{} found no broker in time", process.epoch));
            self.gave_up += 1;
            relay.search = Search::default();
            self.close_worker_link(relay);
            relay.session.on_grace_passed();
            return true;
        }
        if relay.link.is_some() || !due(relay.search.try_at) {
            return false;
        }
        relay.search.try_at = None;
        if !self.broker.lives {
            relay.search.try_at = Some(self.wake_in(process.epoch, relay.search.retry));
            return false;
        }
        relay.link = Some(self.network.next_link(process.epoch));
        relay.inbound = LinkDeframer::new();
        let first = relay.backlog.relink();
        relay.inbound.expect_number(relay.session.taken_through() + 1);
        relay.session.on_relinked(first);
        self.carry_out_worker(process, relay, None);
        relay.backlog.tell_gap();
        true
    }

    fn close_worker_link(&mut self, relay: &mut Relay) {
        relay.link_inbox.clear();
        if let Some(link) = relay.link.take() {
            self.send_to_broker(link, LinkPiece::Close);
        }
    }

    fn read_link(&mut self, process: &mut Process, relay: &mut Relay) -> bool {
        let mut progress = false;
        while let Some(piece) = relay.link_inbox.pop_front() {
            progress = true;
            match piece {
                LinkPiece::Close => {
                    self.close_worker_link(relay);
                    relay.session.on_link_lost("the broker closed the link".into());
                    self.carry_out_worker(process, relay, None);
                }
                LinkPiece::Bytes(bytes) => relay.inbound.extend(&bytes),
            }
            while relay.link.is_some()
                && let Some(frame) =
                    relay.inbound.next_frame().expect("the broker's bytes are legal")
            {
                match frame {
                    LinkFrame::Control(body) => {
                        let message = read_control(&body).expect("it is a message");
                        relay.session.on_control(message);
                        self.carry_out_worker(process, relay, None);
                    }
                    LinkFrame::Data { number, frames } => {
                        relay.session.on_data(number, frames);
                        self.carry_out_worker(process, relay, Some(number));
                    }
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
                let mut count = bytes.len();
                if relay.session.is_open() {
                    relay.session.deframer().extend(&bytes);
                } else {
                    relay.session.on_opening_bytes(&bytes, now);
                    count = 0;
                }
                if relay.session.is_open() {
                    let frames: Bytes = relay.session.take_frames(count, now);
                    if !frames.is_empty() {
                        self.frames.on_read(&frames);
                        relay.backlog.push_data(frames);
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

    fn flush_link(&mut self, relay: &mut Relay) {
        let Some(link) = relay.link.filter(|_| relay.stalled_until <= self.now) else {
            return;
        };
        while !relay.backlog.is_empty() {
            let piece = Bytes::copy_from_slice(relay.backlog.piece());
            let sent = relay.backlog.consume(piece.len());
            relay.session.on_sent(sent);
            self.link_to_broker(link, piece);
        }
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
