//! The broker's end of the link: a deframer, the rule that Hello comes first, and who may come
//! in. Does what the broker's shell does: its own worker at once, one that comes back or that
//! another broker started once it has said who it is.

use bytes::{Bytes, BytesMut};
use ibouncer_core::hub::{Input, WorkerEvent};
use ibouncer_core::ids::Epoch;
use ibouncer_proto::link::v1::{Hello, ToBroker, ToWorker, to_broker, to_worker};
use ibouncer_proto::link::{LINK_VERSION, LinkDeframer, LinkFrame, read_control, write_control};

use crate::events::LinkPiece;
use crate::network::LinkId;
use crate::world::World;

/// The broker's end of one link.
#[derive(Debug)]
pub(crate) struct BrokerLink {
    id: LinkId,
    inbound: LinkDeframer,
    greeted: bool,
    closed: bool,
}

impl World {
    /// The broker says something on the link, if there is one.
    pub(crate) fn link_to_worker(&mut self, epoch: Epoch, bytes: Bytes) {
        let known = self.network.link.as_ref();
        if let Some(link) = known.filter(|link| link.id.epoch == epoch && !link.closed) {
            self.send_to_worker(link.id, LinkPiece::Bytes(bytes));
        }
    }

    /// The worker's first connection to the link was accepted: the kernel says whose it is.
    pub(crate) fn on_link_up(&mut self, epoch: Epoch) {
        let number = self.broker.number;
        let ours = self.os.alive(epoch).is_some_and(|process| process.owner == Some(number));
        if !ours {
            return;
        }
        self.trace(&format!("link of {epoch} is up"));
        let id = self.network.next_link(epoch);
        self.network.accepted = id.number;
        self.network.link = Some(BrokerLink::new(id));
        self.say_hello(epoch);
        self.begin_worker_session(id);
    }

    /// A control message for the worker.
    pub(crate) fn tell(&mut self, epoch: Epoch, message: &ToWorker) {
        let mut out = BytesMut::new();
        write_control(message, &mut out);
        self.link_to_worker(epoch, out.freeze());
    }

    /// A piece of the link arrives at the broker.
    pub(crate) fn on_link_piece(&mut self, id: LinkId, piece: LinkPiece) {
        if !self.broker.lives || (self.link(id).is_none() && !self.accept(id)) {
            return;
        }
        let Some(link) = self.link(id).filter(|link| !link.closed) else {
            return;
        };
        let events = link.take(piece);
        for event in events {
            if !self.broker.lives || self.link(id).is_none() {
                return;
            }
            self.on_link_event(id, event);
        }
    }

    /// Both ends lose the link.
    pub(crate) fn cut_link(&mut self) {
        if let Some(id) = self.network.link.as_ref().map(|link| link.id) {
            self.trace("the link breaks");
            self.lose_what_was_said();
            self.wire.lossy = true;
            self.send_to_broker(id, LinkPiece::Close);
            self.send_to_worker(id, LinkPiece::Close);
        }
    }

    fn on_link_event(&mut self, id: LinkId, event: WorkerEvent) {
        let is_greeting = self.network.greeting.as_ref().is_some_and(|link| link.id == id);
        match &event {
            WorkerEvent::LinkClosed { .. } => {
                self.send_to_worker(id, LinkPiece::Close);
                if is_greeting {
                    self.network.greeting = None;
                    return;
                }
                self.network.link = None;
            }
            WorkerEvent::Hello(hello) if is_greeting => return self.on_greeted(id, hello.clone()),
            WorkerEvent::Frames { number, frames } => {
                self.frames.on_seen(id.epoch, *number, frames);
            }
            WorkerEvent::Gap(gap) => self.frames.on_gap(id.epoch, gap),
            _ => {}
        }
        self.input(Input::Worker { epoch: id.epoch, event });
    }

    /// Somebody who was linked before connects; true if Hello is awaited.
    fn accept(&mut self, id: LinkId) -> bool {
        let Some(process) = &self.os.process else {
            return false;
        };
        let open = process.relay.as_ref().and_then(|relay| relay.link) == Some(id);
        if !open || id.number <= self.network.accepted {
            return false;
        }
        self.network.accepted = id.number;
        let ours = process.owner == Some(self.broker.number);
        let wanted = if ours { self.network.link.is_none() } else { self.hub.is_adopting() };
        if wanted {
            self.network.greeting = Some(BrokerLink::new(id));
        } else {
            self.refuse(id);
        }
        wanted
    }

    fn on_greeted(&mut self, id: LinkId, hello: Hello) {
        let Some(greeting) = self.network.greeting.take() else {
            return;
        };
        let epoch = id.epoch;
        let number = self.broker.number;
        let Some(process) = self.os.alive(epoch).filter(|_| hello.epoch == epoch.0) else {
            return self.refuse(id);
        };
        if process.owner == Some(number) {
            self.trace(&format!("{epoch} is back"));
            self.wire.disturbed = true;
            self.relinks += 1;
            self.network.link = Some(greeting);
            self.say_hello(epoch);
            let event = WorkerEvent::Hello(hello);
            return self.input(Input::Worker { epoch, event });
        }
        let trusted = process.holds_lock && hello.session.is_some() && self.hub.is_adopting();
        if !trusted || self.rng.u8(..8) == 0 {
            return self.refuse(id);
        }
        let pid = process_of(self, epoch);
        self.trace(&format!("{epoch} is adopted"));
        self.adoptions += 1;
        self.wire.disturbed = true;
        self.network.link = Some(greeting);
        self.say_hello(epoch);
        let open = self.disk.taken_over(hello.taken_through);
        let owed = self.disk.owed(hello.taken_through);
        self.input(Input::Adopt { epoch, pid, hello, open, owed });
    }

    fn refuse(&mut self, id: LinkId) {
        self.trace(&format!("{} is left alone at the link", id.epoch));
        self.send_to_worker(id, LinkPiece::Close);
    }

    fn say_hello(&mut self, epoch: Epoch) {
        let hello = Hello {
            link_version: LINK_VERSION,
            build: "ibouncer".into(),
            epoch: epoch.0,
            pid: 1,
            ..Hello::default()
        };
        let message = Some(to_worker::Message::Hello(hello));
        self.tell(epoch, &ToWorker { message });
    }

    fn link(&mut self, id: LinkId) -> Option<&mut BrokerLink> {
        let network = &mut self.network;
        network.link.iter_mut().chain(&mut network.greeting).find(|link| link.id == id)
    }
}

/// Makes it ours.
fn process_of(world: &mut World, epoch: Epoch) -> u32 {
    let number = world.broker.number;
    let process = world.os.alive(epoch).expect("it was checked");
    process.owner = Some(number);
    process.adopted = true;
    process.pid
}

impl BrokerLink {
    fn new(id: LinkId) -> Self {
        Self { id, inbound: LinkDeframer::new(), greeted: false, closed: false }
    }

    fn take(&mut self, piece: LinkPiece) -> Vec<WorkerEvent> {
        let mut events = Vec::new();
        match piece {
            LinkPiece::Bytes(bytes) => {
                self.inbound.extend(&bytes);
                self.understand(&mut events);
            }
            LinkPiece::Close => {
                self.closed = true;
                let because = "the worker closed the link".into();
                events.push(WorkerEvent::LinkClosed { because });
            }
        }
        events
    }

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
                assert_eq!(hello.epoch, self.id.epoch.0);
                self.inbound.expect_number(hello.next_number);
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
