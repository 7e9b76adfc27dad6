//! Gateway's host: the kernel's side of its port around the pure simulated Gateway.
//!
//! Owns the accept queue, what lies unread in sockets, and which socket is which connection.
//! Checks that no connection is opened while the client still has another one open.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ibouncer_gateway_sim::{
    ClockBase, ConnectionId, End, Event as Told, Fault, Gateway, GatewayConfig, Happening, Output,
    Stage,
};

use crate::events::{Event, TcpPiece};
use crate::network::SocketId;
use crate::world::World;

/// Length of the accept queue.
const BACKLOG: usize = 8;

/// The host.
pub(crate) struct Host {
    pub(crate) gateway: Gateway,
    pub(crate) listening: bool,
    /// Nothing answers at all.
    pub(crate) unreachable: bool,
    queue: VecDeque<SocketId>,
    sockets: BTreeMap<SocketId, Socket>,
    connections: BTreeMap<ConnectionId, SocketId>,
    /// Connections that only a restart of Gateway removes.
    pub(crate) stuck: bool,
    /// Number of the listening socket; each process has its own.
    pub(crate) inode: u64,
    /// When the process was started, if not long before.
    pub(crate) started: Option<Duration>,
    /// The newest socket on which account list and order id were sent.
    pub(crate) served: Option<SocketId>,
}

#[derive(Debug)]
struct Socket {
    /// The client's side: open, or closed in one way or the other.
    client_open: bool,
    connection: Option<ConnectionId>,
    unread: VecDeque<TcpPiece>,
}

impl Host {
    /// A Gateway that listens.
    pub(crate) fn new(config: GatewayConfig) -> Self {
        let clock = ClockBase { unix_millis: 1_795_457_715_000, monotonic_nanos: 5_000_000_000 };
        Self {
            gateway: Gateway::new(config, clock),
            listening: true,
            unreachable: false,
            queue: VecDeque::new(),
            sockets: BTreeMap::new(),
            connections: BTreeMap::new(),
            stuck: false,
            inode: 1,
            started: None,
            served: None,
        }
    }

    /// The client sent its FIN: another connection may follow.
    pub(crate) fn finish(&mut self, socket: SocketId) {
        if let Some(socket) = self.sockets.get_mut(&socket) {
            socket.client_open = false;
        }
    }

    /// Sockets that exist.
    pub(crate) fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// Connections that wait to be accepted.
    pub(crate) fn queued(&self) -> u32 {
        self.queue.len() as u32
    }
}

impl World {
    /// The worker opens TCP.
    pub(crate) fn open_socket(&mut self) -> SocketId {
        let open = self.host.sockets.values().filter(|socket| socket.client_open);
        assert_eq!(open.count(), 0, "a connection is opened while one exists");
        // Whatever neither side has any more is forgotten.
        let queue = &self.host.queue;
        self.host.sockets.retain(|id, socket| socket.connection.is_some() || queue.contains(id));
        self.network.sockets += 1;
        let id = SocketId(self.network.sockets);
        self.on_dial();
        self.host
            .sockets
            .insert(id, Socket { client_open: true, connection: None, unread: VecDeque::new() });
        self.tcp_to_gateway(Event::Syn(id));
        id
    }

    /// The worker's socket is closed, by whatever; unless it was finished, that is a reset.
    pub(crate) fn close_socket(&mut self, socket: Option<SocketId>) {
        let Some(id) = socket else {
            return;
        };
        if let Some(socket) = self.host.sockets.get_mut(&id)
            && std::mem::take(&mut socket.client_open)
        {
            self.tcp_to_gateway(Event::ToGateway(id, TcpPiece::Reset));
        }
    }

    /// A SYN arrives.
    pub(crate) fn on_syn(&mut self, id: SocketId) {
        let host = &mut self.host;
        if host.unreachable || (host.listening && host.queue.len() >= BACKLOG) {
            return;
        }
        let listening = host.listening;
        if listening {
            host.queue.push_back(id);
        } else {
            host.sockets.remove(&id);
        }
        self.trace(&format!("SYN of {id:?}, listening: {listening}"));
        self.tcp_from_gateway(Event::SynAnswered(id, listening));
        self.accept_waiting();
    }

    /// A piece arrives at a socket of the host.
    pub(crate) fn on_host_piece(&mut self, id: SocketId, piece: TcpPiece) {
        let Some(socket) = self.host.sockets.get_mut(&id) else {
            return;
        };
        if matches!(piece, TcpPiece::Reset) {
            socket.unread.clear();
        }
        socket.unread.push_back(piece);
        self.read_host_socket(id);
        self.accept_waiting();
    }

    /// The Gateway has something to do by the clock.
    pub(crate) fn on_gateway_timeout(&mut self) {
        self.host.gateway.handle_timeout(self.now);
        self.drain_gateway();
        self.accept_waiting();
    }

    /// A notice to everybody.
    pub(crate) fn announce(&mut self, code: i32, text: &str) {
        self.host.gateway.announce(code, text, self.now);
        self.drain_gateway();
    }

    /// Something happens at Gateway.
    pub(crate) fn happen(&mut self, what: &Happening) {
        self.trace(&format!("at Gateway: {what}"));
        self.host.gateway.happen(what, self.now);
        self.drain_gateway();
        self.accept_waiting();
    }

    /// Other faults from now on.
    pub(crate) fn set_fault(&mut self, fault: Option<Fault>, connections: Option<u32>) {
        self.host.gateway.set_fault(fault, connections, self.now);
        self.drain_gateway();
        self.accept_waiting();
    }

    /// All connections end, also those that wait.
    pub(crate) fn close_all(&mut self, how: End) {
        self.host.gateway.close_all(how, self.now);
        self.drain_gateway();
        self.host.stuck = false;
    }

    /// Gateway's process ends; it listens again after a while.
    pub(crate) fn restart_gateway(&mut self, away: Duration) {
        for id in std::mem::take(&mut self.host.queue) {
            self.host.sockets.remove(&id);
            self.send_from_gateway(id, TcpPiece::Reset);
        }
        self.close_all(End::Reset);
        self.host.listening = false;
        self.agenda.add(self.now + away, Event::Listen);
    }

    /// Its next process listens.
    pub(crate) fn on_listen(&mut self) {
        if !self.host.listening {
            self.host.listening = true;
            self.host.inode += 1;
            self.host.started = Some(self.now);
        }
    }

    /// Takes connections out of the kernel's queue as long as Gateway does.
    pub(crate) fn accept_waiting(&mut self) {
        while self.host.gateway.accepts() {
            let Some(id) = self.host.queue.pop_front() else {
                return;
            };
            let connection = self.host.gateway.accept("127.0.0.1:50000", self.now);
            self.host.connections.insert(connection, id);
            if let Some(socket) = self.host.sockets.get_mut(&id) {
                socket.connection = Some(connection);
            }
            self.drain_gateway();
            self.read_host_socket(id);
        }
    }

    fn read_host_socket(&mut self, id: SocketId) {
        loop {
            let Some(socket) = self.host.sockets.get_mut(&id) else {
                return;
            };
            let Some(connection) = socket.connection else {
                return;
            };
            if !self.host.gateway.reads(connection) {
                return;
            }
            let Some(piece) = socket.unread.pop_front() else {
                return;
            };
            let gateway = &mut self.host.gateway;
            match piece {
                TcpPiece::Bytes(bytes) => gateway.receive(connection, &bytes, self.now),
                TcpPiece::Fin => gateway.peer_closed(connection, End::Fin, self.now),
                TcpPiece::Reset => gateway.peer_closed(connection, End::Reset, self.now),
            }
            self.drain_gateway();
        }
    }

    fn drain_gateway(&mut self) {
        while let Some(output) = self.host.gateway.poll_output() {
            match output {
                Output::Send { connection, bytes } => {
                    self.host.gateway.written(connection, bytes.len());
                    let has_ids = self.wire.on_sent(connection, &bytes);
                    self.orders.executions.append(&mut self.wire.executions);
                    if let Some(id) = self.host.connections.get(&connection).copied() {
                        if has_ids {
                            self.host.served = Some(id);
                        }
                        self.send_from_gateway(id, TcpPiece::Bytes(bytes));
                    }
                }
                Output::Close { connection, how } => {
                    let Some(id) = self.host.connections.remove(&connection) else {
                        continue;
                    };
                    if self.host.sockets.get(&id).is_some_and(|socket| !socket.client_open) {
                        self.host.sockets.remove(&id);
                    } else if let Some(socket) = self.host.sockets.get_mut(&id) {
                        socket.connection = None;
                    }
                    let piece = match how {
                        End::Fin => TcpPiece::Fin,
                        End::Reset => TcpPiece::Reset,
                    };
                    self.send_from_gateway(id, piece);
                }
                Output::Event(told) => self.on_told(&told),
            }
        }
    }

    fn on_told(&mut self, told: &Told) {
        match told {
            Told::Accepted { fault, .. } => {
                let for_good = [
                    Fault::NeverAccept,
                    Fault::AcceptAndMute,
                    Fault::SerialAccept,
                    Fault::LeakCloseWait,
                    Fault::MuteAfterVersion,
                ];
                self.host.stuck |= fault.is_some_and(|fault| for_good.contains(&fault));
                self.trace(&format!("Gateway accepted, fault {fault:?}"));
            }
            Told::Stage { stage: Stage::CloseWait, .. } => self.host.stuck = true,
            Told::Request { connection, request, .. } => {
                self.trace(&format!(
                    "Gateway reads {} {:?} {:?}",
                    request.name, request.request_id, request.symbol
                ));
                let even = !self.network.jitter;
                self.wire.on_request(*connection, request, self.now, even);
            }
            Told::Closed { how, reason, .. } => {
                self.trace(&format!("Gateway closed: {how:?}, {reason}"));
            }
            _ => {}
        }
    }
}
