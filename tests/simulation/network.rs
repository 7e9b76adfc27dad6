//! Time that bytes take: the link between broker and worker, and TCP to Gateway's host.
//!
//! Each direction keeps its order, whatever the delays are. A partition delays TCP, and loses
//! nothing; that is what TCP does. The broker's ends of the link are in `link.rs`.

use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use ibouncer_core::ids::Epoch;

use crate::events::{Event, LinkPiece, TcpPiece};
use crate::link::BrokerLink;
use crate::world::World;

/// One TCP connection, by number of the SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SocketId(pub(crate) u64);

/// One connection between a worker and a broker; the kernel knows whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkId {
    pub(crate) epoch: Epoch,
    pub(crate) number: u64,
}

/// How long pieces are under way.
#[derive(Debug)]
pub(crate) struct Network {
    base: Duration,
    /// Delays vary; if not, messages keep their distances.
    pub(crate) jitter: bool,
    pub(crate) partitioned_until: Duration,
    /// The broker's end of the current worker's link.
    pub(crate) link: Option<BrokerLink>,
    /// Somebody came to the link who has not said Hello.
    pub(crate) greeting: Option<BrokerLink>,
    /// The newest connection to the link that was accepted, or refused.
    pub(crate) accepted: u64,
    pub(crate) sockets: u64,
    links: u64,
    to_broker: Duration,
    to_worker: Duration,
    to_gateway: Duration,
    from_gateway: Duration,
}

impl Network {
    /// Of a random speed.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            base: Duration::from_micros(rng.u64(20..3000)),
            jitter: rng.u8(..4) > 0,
            partitioned_until: Duration::ZERO,
            link: None,
            greeting: None,
            accepted: 0,
            sockets: 0,
            links: 0,
            to_broker: Duration::ZERO,
            to_worker: Duration::ZERO,
            to_gateway: Duration::ZERO,
            from_gateway: Duration::ZERO,
        }
    }

    /// A worker connects to the link.
    pub(crate) fn next_link(&mut self, epoch: Epoch) -> LinkId {
        self.links += 1;
        LinkId { epoch, number: self.links }
    }

    fn delay(&self, rng: &mut Rng) -> Duration {
        let jitter = match rng.u8(..) {
            _ if !self.jitter => 0,
            0 => rng.u64(..500_000),
            1..=30 => rng.u64(..20_000),
            _ => rng.u64(..1000),
        };
        self.base + Duration::from_micros(jitter)
    }
}

impl World {
    /// The worker says something on the link, in one or two pieces.
    pub(crate) fn link_to_broker(&mut self, link: LinkId, mut bytes: Bytes) {
        if bytes.len() > 1 && self.rng.u8(..4) == 0 {
            let head = bytes.split_to(self.rng.usize(1..bytes.len()));
            self.send_to_broker(link, LinkPiece::Bytes(head));
        }
        self.send_to_broker(link, LinkPiece::Bytes(bytes));
    }

    /// One side closes the link; the other learns it behind what is under way.
    pub(crate) fn send_to_broker(&mut self, link: LinkId, piece: LinkPiece) {
        let at = (self.now + self.network.delay(&mut self.rng)).max(self.network.to_broker);
        self.network.to_broker = at;
        self.agenda.add(at, Event::ToBroker(link, piece));
    }

    pub(crate) fn send_to_worker(&mut self, link: LinkId, piece: LinkPiece) {
        let at = (self.now + self.network.delay(&mut self.rng)).max(self.network.to_worker);
        self.network.to_worker = at;
        self.agenda.add(at, Event::ToWorker(link, piece));
    }

    /// TCP towards Gateway.
    pub(crate) fn tcp_to_gateway(&mut self, event: Event) {
        let network = &self.network;
        let at = (self.now + network.delay(&mut self.rng))
            .max(network.to_gateway)
            .max(network.partitioned_until);
        self.network.to_gateway = at;
        self.agenda.add(at, event);
    }

    /// TCP from Gateway.
    pub(crate) fn tcp_from_gateway(&mut self, event: Event) {
        let network = &self.network;
        let at = (self.now + network.delay(&mut self.rng))
            .max(network.from_gateway)
            .max(network.partitioned_until);
        self.network.from_gateway = at;
        self.agenda.add(at, event);
    }

    /// A piece of TCP for the worker's socket.
    pub(crate) fn send_from_gateway(&mut self, socket: SocketId, piece: TcpPiece) {
        self.tcp_from_gateway(Event::FromGateway(socket, piece));
    }

    /// A broker dies: what it said last may have left its process, or not, or in part.
    pub(crate) fn lose_what_was_said(&mut self) {
        let said = self.agenda.under_way();
        if said.is_empty() || self.rng.bool() {
            return;
        }
        let kept = self.rng.usize(..=said.len());
        for piece in said.into_iter().skip(kept) {
            if let LinkPiece::Bytes(bytes) = piece {
                bytes.truncate(0);
            }
        }
        // The piece at the border is cut.
        if let Some(last) = kept.checked_sub(1)
            && let Some(LinkPiece::Bytes(bytes)) = self.agenda.under_way().into_iter().nth(last)
        {
            bytes.truncate(self.rng.usize(..=bytes.len()));
        }
    }
}
