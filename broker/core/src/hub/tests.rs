//! The hub as a whole, driven by hand: what each of two clients sees of one shared line.

mod accounts;
mod answers;
mod commissions;
mod complaints;
mod farms;
mod first_data;
mod limits;
mod loads;
mod one_account;
mod orders;
mod outage;
mod reads;
mod rules;
mod sight;
mod snapshots;
mod taken_back;
mod troubled;
mod unreadable;

use std::time::Duration;

use bytes::BytesMut;
use ibouncer_proto::api::v1::market_data_event::Body;
use ibouncer_proto::api::v1::{MarkKind, MarketDataEvent, StreamMarketDataResponse};
use ibouncer_proto::link::v1::{
    Hello, Pong, SessionFacts, Stage, StageReached, ToWorker, to_worker,
};
use ibouncer_proto::tws::envelope::{Envelope, write_message};
use ibouncer_proto::tws::frame::bodies;
use ibouncer_proto::tws::v1::{Contract, ErrorMessage, MarketDataRequest, TickPrice};
use prost::Message as _;

use super::*;
use crate::clock::Clock;
use crate::error::Error;
use crate::ids::Epoch;
use crate::ledger::Ledger;
use crate::lines::wanted::Wanted;
use crate::pacing::gates::Group;
use crate::queue::StreamQueue;
use crate::record::Claim;
use crate::session::StateKind;
use crate::supervisor::ExitStatus;

struct World {
    hub: Hub,
    now: Instant,
    queues: BTreeMap<StreamId, StreamQueue>,
    /// Requests that left: message id and request id.
    sent: Vec<(u32, i32)>,
    spawned: Vec<Epoch>,
    /// How often a worker was let go, and told to close in order.
    let_go: u32,
    shut_down: u32,
    replies: BTreeMap<CallId, Result<Reply, Error>>,
    ended: Vec<StreamId>,
    /// What was written down of answers without an id.
    answers: Vec<(Group, Option<u64>)>,
    /// The newest number on the link.
    number: u64,
    /// The disk takes the journal at once.
    disk_works: bool,
}

fn memory(now: Instant) -> Memory {
    let wall = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000);
    Memory { ledger: Ledger::new("127.0.0.1:4002"), clock: Clock { now, wall } }
}

fn ours() -> Claim {
    Claim::Ours(Box::default())
}

const AAPL: &str = "AAPL";

impl World {
    fn ready() -> Self {
        Self::ready_with(Settings::default())
    }

    fn ready_with(settings: Settings) -> Self {
        let mut world = Self::new(settings);
        world.input(Input::Start);
        world.handshake();
        world
    }

    fn new(settings: Settings) -> Self {
        let now = Instant::now();
        Self {
            hub: Hub::new(settings, memory(now), 1, now),
            now,
            queues: BTreeMap::new(),
            sent: Vec::new(),
            spawned: Vec::new(),
            let_go: 0,
            shut_down: 0,
            replies: BTreeMap::new(),
            ended: Vec::new(),
            answers: Vec::new(),
            number: 0,
            disk_works: true,
        }
    }

    fn handshake(&mut self) {
        let epoch = *self.spawned.last().unwrap();
        self.worker(WorkerEvent::Spawned { pid: 100 });
        self.worker(WorkerEvent::Hello(Hello { epoch: epoch.0, ..Hello::default() }));
        for stage in [Stage::TcpConnected, Stage::VersionReceived, Stage::Ready] {
            let stage = StageReached { stage: stage.into(), ..StageReached::default() };
            self.worker(WorkerEvent::Stage(stage));
        }
        assert!(self.hub.session.is_up());
    }

    fn look(&mut self) {
        let sight = Box::new(crate::sight::tests::listening(1, 0));
        self.hub.handle_input(Input::Sight { sight, clock: memory(self.now).clock }, self.now);
    }

    fn worker(&mut self, event: WorkerEvent) {
        let epoch = *self.spawned.last().unwrap();
        self.input(Input::Worker { epoch, event });
    }

    fn input(&mut self, input: Input) {
        self.hub.handle_input(input, self.now);
        self.carry_out();
        self.hub.check_invariants();
    }

    fn carry_out(&mut self) {
        let mut journaled = None;
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Look => self.look(),
                Output::Claim => self.hub.handle_input(Input::Claimed(ours()), self.now),
                Output::Spawn(epoch) => self.spawned.push(epoch),
                Output::LetGo(_) => self.let_go += 1,
                Output::Tell(_, ToWorker { message: Some(to_worker::Message::Shutdown(_)) }) => {
                    self.shut_down += 1;
                }
                Output::Deliver(stream, chunk) => {
                    self.queues.get_mut(&stream).expect("an open stream").push(chunk, self.now);
                }
                Output::Journal(number, _) if self.disk_works => journaled = Some(number),
                Output::Send { number, frames, .. } => {
                    self.number = number;
                    for body in bodies(&frames) {
                        let envelope = Envelope::parse(body).unwrap();
                        let id = envelope
                            .correlation_id(ibouncer_proto::tws::envelope::Direction::ToGateway)
                            .unwrap();
                        self.sent.push((envelope.message_id, id.unwrap_or_default()));
                    }
                }
                Output::NoteAnswer(group, asked) => self.answers.push((group, asked)),
                Output::Reply(call, result) => {
                    assert!(self.replies.insert(call, result).is_none(), "{call} twice");
                }
                Output::EndStream(stream, _) | Output::EvictStream(stream, _) => {
                    self.ended.push(stream);
                }
                _ => {}
            }
        }
        if let Some(through) = journaled {
            self.input(Input::Journaled { through });
        }
    }

    fn open(&mut self, number: u64) -> StreamId {
        let (client, stream) = (ClientId(number), StreamId(number));
        self.queues.insert(stream, StreamQueue::new(1 << 20));
        self.input(Input::ClientJoined {
            client,
            name: "test".into(),
            peer: "here".into(),
            credential: Default::default(),
        });
        self.input(Input::StreamOpened { client, stream, single: false });
        stream
    }

    fn subscribe(&mut self, stream: StreamId, subscription: u32, symbol: &str) {
        let contract = Contract { symbol: Some(symbol.into()), ..Contract::default() };
        let request = MarketDataRequest { contract: Some(contract), ..Default::default() };
        self.want(stream, subscription, Wanted::market_data(request, 0), Manner::default());
    }

    fn want(
        &mut self,
        stream: StreamId,
        subscription: u32,
        wanted: Result<Wanted, Error>,
        manner: Manner,
    ) {
        let wanted = wanted.map(Box::new);
        self.input(Input::Subscribe { stream, subscription, wanted, manner });
    }

    fn frame(&mut self, message_id: u32, body: &impl prost::Message) {
        let mut frames = BytesMut::new();
        write_message(message_id, body, &mut frames);
        self.worker(WorkerEvent::Frames { number: 1, frames: frames.freeze() });
    }

    fn tick(&mut self, request: i32, price: f64) {
        let tick = TickPrice {
            req_id: Some(request),
            tick_type: Some(1),
            price: Some(price),
            ..TickPrice::default()
        };
        self.frame(201, &tick);
    }

    fn asked(&self) -> usize {
        self.sent.iter().filter(|(message, _)| *message == 201).count()
    }

    /// The newest request for data.
    fn line(&self) -> i32 {
        self.sent.iter().rev().find(|(message, _)| *message == 201).expect("a request").1
    }

    fn events(&mut self, stream: StreamId) -> Vec<MarketDataEvent> {
        let mut out = BytesMut::new();
        self.queues.get_mut(&stream).unwrap().pull(usize::MAX, &mut out);
        StreamMarketDataResponse::decode(&out[..]).unwrap().events
    }

    /// Marks as kind and epoch, prices as they are.
    fn story(&mut self, stream: StreamId) -> Vec<String> {
        let tell = |event: MarketDataEvent| match event.body {
            Some(Body::Mark(mark)) => format!("{:?} {}", mark.kind(), mark.epoch),
            Some(Body::TickPrice(tick)) if event.replayed => format!("old {}", tick.price()),
            Some(Body::TickPrice(tick)) => format!("new {}", tick.price()),
            Some(Body::Error(error)) => format!("error {}", error.error_code()),
            other => format!("{other:?}"),
        };
        self.events(stream).into_iter().map(tell).collect()
    }
}

#[test]
fn two_clients_share_one_line_and_the_late_one_starts_with_last_values() {
    let mut world = World::ready();
    let (first, second) = (world.open(1), world.open(2));
    world.subscribe(first, 7, AAPL);
    let line = world.line();
    world.tick(line, 1.0);
    world.tick(line, 2.0);
    world.subscribe(second, 9, AAPL);
    world.tick(line, 3.0);
    assert_eq!(world.story(first), ["Subscribed 1", "new 1", "new 2", "new 3"]);
    assert_eq!(world.story(second), ["Subscribed 1", "old 2", "new 3"]);
    assert_eq!(world.sent.iter().filter(|(message, _)| *message == 201).count(), 1);
    world.input(Input::StreamClosed { stream: first });
    assert_eq!(world.sent.last(), Some(&(201, line)), "one is left, nothing is cancelled");
    world.input(Input::StreamClosed { stream: second });
    assert_eq!(world.sent.last(), Some(&(202, line)));
}

#[test]
fn a_stale_mark_names_the_worker_that_ended_and_a_resumed_one_the_next() {
    let mut world = World::ready();
    let stream = world.open(1);
    world.subscribe(stream, 1, AAPL);
    world.tick(world.line(), 1.0);
    let restart =
        Input::RestartWorker { call: CallId(1), reason: "test".into(), drop_live_session: true };
    world.input(restart);
    world.worker(WorkerEvent::Exited(ExitStatus::Code(0)));
    world.handshake();
    world.tick(world.line(), 2.0);
    assert_eq!(world.story(stream), ["Subscribed 1", "new 1", "Stale 1", "Resumed 2", "new 2"]);
}

#[test]
fn news_of_a_worker_that_is_gone_changes_nothing() {
    let mut world = World::ready();
    let stream = world.open(1);
    world.subscribe(stream, 1, AAPL);
    let old = world.line();
    world.worker(WorkerEvent::Exited(ExitStatus::Signal(9)));
    let mut frames = BytesMut::new();
    let tick = TickPrice { req_id: Some(old), price: Some(9.0), ..TickPrice::default() };
    write_message(201, &tick, &mut frames);
    let event = WorkerEvent::Frames { number: 2, frames: frames.freeze() };
    world.input(Input::Worker { epoch: Epoch(1), event });
    assert_eq!(world.story(stream), ["Subscribed 1", "Stale 1"]);
    assert_eq!(world.hub.counters.stale_news, 1);
}

#[test]
fn an_error_ends_the_line_for_all_and_a_used_id_ends_nothing() {
    let mut world = World::ready();
    let (first, second) = (world.open(1), world.open(2));
    world.subscribe(first, 1, AAPL);
    world.subscribe(second, 1, AAPL);
    world.subscribe(first, 1, "MSFT");
    let line = world.line();
    world.tick(line, 1.0);
    let error = ErrorMessage {
        id: Some(line),
        error_code: Some(200),
        error_msg: Some("no such contract".into()),
        ..ErrorMessage::default()
    };
    world.frame(204, &error);
    let kinds = |kind: MarkKind| format!("{kind:?} 1");
    let refused = kinds(MarkKind::Refused);
    let ended = kinds(MarkKind::Ended);
    assert_eq!(
        world.story(first),
        ["Subscribed 1", refused.as_str(), "new 1", "error 200", ended.as_str()]
    );
    assert_eq!(world.story(second), ["Subscribed 1", "new 1", "error 200", ended.as_str()]);
    assert_eq!(world.hub.lines.len(), 0);
    assert!(!world.sent.contains(&(202, line)), "a dead id is not cancelled");
}

#[test]
fn the_earliest_deadline_is_told_with_its_reason() {
    let world = World::ready();
    let (at, why) = world.hub.poll_timeout().unwrap();
    assert_eq!((at - world.now, why), (Duration::from_secs(1), "ping"));
}

#[test]
fn a_worker_that_may_not_live_on_is_ended_in_order_instead_of_let_go() {
    let because = || "handover".to_owned();
    let mut world = World::ready();
    world.input(Input::LetGo { because: because() });
    assert_eq!((world.let_go, world.shut_down), (1, 0));

    let mut settings = Settings::default();
    settings.worker.adoption_grace = Duration::ZERO;
    let mut world = World::ready_with(settings);
    // What the worker was told counts, not what the configuration says meanwhile.
    world.input(Input::Settings(Box::default()));
    world.input(Input::LetGo { because: because() });
    assert_eq!((world.let_go, world.shut_down), (0, 1));
}

#[test]
fn lines_are_asked_for_once_after_an_adoption_whatever_notices_came_before() {
    for (code, state) in [(1101, StateKind::Ready), (1100, StateKind::Degraded)] {
        let mut world = World::new(Settings::default());
        world.input(Input::StartAdopting { who: "a worker".into(), pid: None });
        let stream = world.open(1);
        world.subscribe(stream, 1, AAPL);
        let mut notices = BytesMut::new();
        let notice = ErrorMessage { id: Some(-1), error_code: Some(code), ..Default::default() };
        write_message(204, &notice, &mut notices);
        let facts = SessionFacts { notices: notices.freeze(), ..SessionFacts::default() };
        let (epoch, pid, open) = (Epoch(7), 100, Vec::new());
        let hello = Hello { epoch: 7, session: Some(facts), ..Hello::default() };
        world.input(Input::Adopt { epoch, pid, hello, open, owed: Vec::new() });
        world.spawned.push(epoch);
        assert_eq!(world.hub.session.kind(), state);
        for _ in 0..50 {
            world.now += Duration::from_millis(50);
            world.worker(WorkerEvent::Pong(Pong::default()));
        }
        assert_eq!(world.asked(), 1, "after {code}");
    }
}

#[test]
fn ready_that_was_lost_with_the_link_is_read_from_the_next_hello() {
    let mut world = World::new(Settings::default());
    world.input(Input::Start);
    world.worker(WorkerEvent::Spawned { pid: 100 });
    world.worker(WorkerEvent::Hello(Hello { epoch: 1, ..Hello::default() }));
    for stage in [Stage::TcpConnected, Stage::VersionReceived, Stage::ApiStarted] {
        let stage = StageReached { stage: stage.into(), ..StageReached::default() };
        world.worker(WorkerEvent::Stage(stage));
    }
    world.worker(WorkerEvent::LinkClosed { because: "test".into() });
    world.now += Duration::from_secs(1);
    world.hub.handle_timeout(world.now);
    let facts = SessionFacts { accounts: "DU0000001".into(), ..SessionFacts::default() };
    let hello = Hello { epoch: 1, session: Some(facts), ..Hello::default() };
    world.worker(WorkerEvent::Hello(hello));
    assert_eq!(world.hub.session.kind(), StateKind::Ready);
    assert_eq!(world.hub.accounts(), ["DU0000001"]);
}
