//! Time that bytes take: the link between broker and worker, and TCP to Gateway's host.
//!
//! Each direction keeps its order, whatever the delays are. A partition delays TCP, and loses
//! nothing; that is what TCP does. Owns the broker's end of the link, which is a deframer and
//! the rule that Hello comes first.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fastrand::Rng;
use ibouncer_core::hub::{Input, WorkerEvent};
use ibouncer_core::ids::Epoch;
use ibouncer_proto::link::v1::{Hello, ToBroker, ToWorker, to_broker, to_worker};
use ibouncer_proto::link::{LINK_VERSION, LinkDeframer, LinkFrame, read_control, write_control};

use crate::events::{Event, LinkPiece, TcpPiece};
use crate::world::World;

/// One TCP connection, by number of the SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SocketId(pub(crate) u64);

/// How long pieces are under way.
#[derive(Debug)]
pub(crate) struct Network {
    base: Duration,
    /// Delays vary; if not, messages keep their distances.
    pub(crate) jitter: bool,
    pub(crate) partitioned_until: Duration,
    /// The broker's end of the link.
    pub(crate) link: Option<BrokerLink>,
    pub(crate) sockets: u64,
    to_broker: Duration,
    to_worker: Duration,
    to_gateway: Duration,
    from_gateway: Duration,
}

/// The broker's end of the link.
#[derive(Debug)]
pub(crate) struct BrokerLink {
    epoch: Epoch,
    inbound: LinkDeframer,
    greeted: bool,
    closed: bool,
}

impl Network {
    /// Of a random speed.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            base: Duration::from_micros(rng.u64(20..3000)),
            jitter: rng.u8(..4) > 0,
            partitioned_until: Duration::ZERO,
            link: None,
            sockets: 0,
            to_broker: Duration::ZERO,
            to_worker: Duration::ZERO,
            to_gateway: Duration::ZERO,
            from_gateway: Duration::ZERO,
        }
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
    /// The broker says something on the link, if there is one.
    pub(crate) fn link_to_worker(&mut self, epoch: Epoch, bytes: Bytes) {
        let known = self.network.link.as_ref();
        if known.is_some_and(|link| link.epoch == epoch && !link.closed) {
            self.send_to_worker(epoch, LinkPiece::Bytes(bytes));
        }
    }

    /// The worker says something on the link, in one or two pieces.
    pub(crate) fn link_to_broker(&mut self, epoch: Epoch, mut bytes: Bytes) {
        if bytes.len() > 1 && self.rng.u8(..4) == 0 {
            let head = bytes.split_to(self.rng.usize(1..bytes.len()));
            self.send_to_broker(epoch, LinkPiece::Bytes(head));
        }
        self.send_to_broker(epoch, LinkPiece::Bytes(bytes));
    }

    /// One side closes the link; the other learns it behind what is under way.
    pub(crate) fn send_to_broker(&mut self, epoch: Epoch, piece: LinkPiece) {
        let at = (self.now + self.network.delay(&mut self.rng)).max(self.network.to_broker);
        self.network.to_broker = at;
        self.agenda.add(at, Event::ToBroker(epoch, piece));
    }

    pub(crate) fn send_to_worker(&mut self, epoch: Epoch, piece: LinkPiece) {
        let at = (self.now + self.network.delay(&mut self.rng)).max(self.network.to_worker);
        self.network.to_worker = at;
        self.agenda.add(at, Event::ToWorker(epoch, piece));
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

    /// The worker's connection to the link was accepted: the kernel says whose it is.
    pub(crate) fn on_link_up(&mut self, epoch: Epoch) {
        let Some(process) = &self.os.process else {
            return;
        };
        if process.epoch != epoch || !process.is_alive() {
            return;
        }
        self.trace(&format!("link of {epoch} is up"));
        self.network.link =
            Some(BrokerLink { epoch, inbound: LinkDeframer::new(), greeted: false, closed: false });
        let hello = Hello {
            link_version: LINK_VERSION,
            build: "ibouncer".into(),
            epoch: epoch.0,
            pid: 1,
            ..Hello::default()
        };
        self.tell(epoch, &to_worker::Message::Hello(hello).into_message());
        self.begin_worker_session(epoch);
    }

    /// A control message for the worker.
    pub(crate) fn tell(&mut self, epoch: Epoch, message: &ToWorker) {
        let mut out = BytesMut::new();
        write_control(message, &mut out);
        self.link_to_worker(epoch, out.freeze());
    }

    /// A piece of the link arrives at the broker.
    pub(crate) fn on_link_piece(&mut self, epoch: Epoch, piece: LinkPiece) {
        let Some(link) = &mut self.network.link else {
            return;
        };
        if link.epoch != epoch || link.closed {
            return;
        }
        let mut events = Vec::new();
        match piece {
            LinkPiece::Bytes(bytes) => {
                link.inbound.extend(&bytes);
                link.understand(&mut events);
            }
            LinkPiece::Close => {
                link.closed = true;
                let because = "the worker closed the link".into();
                events.push(WorkerEvent::LinkClosed { because });
            }
        }
        for event in events {
            if matches!(event, WorkerEvent::LinkClosed { .. }) {
                self.network.link = None;
                self.send_to_worker(epoch, LinkPiece::Close);
            }
            self.input(Input::Worker { epoch, event });
        }
    }

    /// Both ends lose the link.
    pub(crate) fn cut_link(&mut self) {
        if let Some(epoch) = self.network.link.as_ref().map(|link| link.epoch) {
            self.trace("the link breaks");
            self.send_to_broker(epoch, LinkPiece::Close);
            self.send_to_worker(epoch, LinkPiece::Close);
        }
    }

    /// A piece of TCP for the worker's socket.
    pub(crate) fn send_from_gateway(&mut self, socket: SocketId, piece: TcpPiece) {
        self.tcp_from_gateway(Event::FromGateway(socket, piece));
    }
}

impl BrokerLink {
    fn understand(&mut self, events: &mut Vec<WorkerEvent>) {
        while let Some(frame) = self.inbound.next_frame().expect("the link's bytes are legal") {
            events.push(match frame {
                LinkFrame::Control(body) => {
                    let message: ToBroker = read_control(&body).expect("it is a message");
                    self.on_control(message.message.expect("it is one of ours"))
                }
                LinkFrame::Data { number, frames } => {
                    assert!(self.greeted, "data came before Hello");
                    WorkerEvent::Frames { number, frames }
                }
            });
        }
    }

    fn on_control(&mut self, message: to_broker::Message) -> WorkerEvent {
        let is_hello = matches!(message, to_broker::Message::Hello(_));
        assert_ne!(is_hello, self.greeted, "Hello comes first and once");
        match message {
            to_broker::Message::Hello(hello) => {
                assert_eq!(hello.epoch, self.epoch.0);
                self.greeted = true;
                WorkerEvent::Hello(hello)
            }
            to_broker::Message::Stage(stage) => WorkerEvent::Stage(stage),
            to_broker::Message::Pong(pong) => WorkerEvent::Pong(pong),
            to_broker::Message::Gap(gap) => WorkerEvent::Gap(gap),
            to_broker::Message::Ended(ended) => WorkerEvent::Ended(ended),
        }
    }
}

/// The envelope of a control message.
trait IntoMessage {
    fn into_message(self) -> ToWorker;
}

impl IntoMessage for to_worker::Message {
    fn into_message(self) -> ToWorker {
        ToWorker { message: Some(self) }
    }
}
