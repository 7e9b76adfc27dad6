//! The worker's machine against every way in which a Gateway can answer.

use bytes::BytesMut;
use ibouncer_proto::link::v1::{Ping, Shutdown};
use ibouncer_proto::tws::envelope::write_message;
use ibouncer_proto::tws::handshake::{start_api, version_reply};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1::{ErrorMessage, ManagedAccounts, NextValidId};

use super::*;

struct World {
    session: WorkerSession,
    now: Instant,
    stages: Vec<Stage>,
    ended: Option<Ended>,
    exit: Option<ExitCode>,
    written: Vec<u8>,
    closed_in_order: bool,
    hello: Option<Hello>,
    /// What was ordered about the link.
    link: Vec<Output>,
}

impl World {
    fn connected() -> Self {
        let now = Instant::now();
        let mut world = Self {
            session: WorkerSession::new(7, 100, "test", now),
            now,
            stages: Vec::new(),
            ended: None,
            exit: None,
            written: Vec::new(),
            closed_in_order: false,
            hello: None,
            link: Vec::new(),
        };
        let configure = Configure {
            gateway: "127.0.0.1:4002".into(),
            client_id: 410,
            offer_min: 100,
            offer_max: 226,
            accept_min: 213,
            adoption_grace_ms: 300_000,
            link_retry_ms: 200,
            drain_ms: 1500,
            session_name: 77,
            ..Configure::default()
        };
        world.control(to_worker::Message::Configure(configure));
        world.session.on_connected(now);
        world.drain();
        world
    }

    fn control(&mut self, message: to_worker::Message) {
        self.session.on_control(ToWorker { message: Some(message) });
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Tell(message) => match message.message {
                    Some(to_broker::Message::Stage(stage)) => self.stages.push(stage.stage()),
                    Some(to_broker::Message::Ended(ended)) => self.ended = Some(ended),
                    Some(to_broker::Message::Hello(hello)) => self.hello = Some(hello),
                    _ => {}
                },
                Output::Write(bytes) => {
                    self.written.extend_from_slice(&bytes);
                    self.session.on_written(self.now);
                }
                Output::CloseInOrder { .. } => self.closed_in_order = true,
                Output::Exit(code) => self.exit = Some(code),
                Output::Connect(_) => {}
                Output::Outlive
                | Output::Forget(_)
                | Output::AwaitBroker { .. }
                | Output::BrokerFound
                | Output::DropLink => self.link.push(output),
            }
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> Bytes {
        let frames = if self.session.is_open() {
            self.session.deframer().extend(bytes);
            self.session.take_frames(bytes.len(), self.now)
        } else {
            self.session.on_opening_bytes(bytes, self.now);
            self.drain();
            if self.session.is_open() {
                self.session.take_frames(0, self.now)
            } else {
                Bytes::new()
            }
        };
        self.drain();
        frames
    }

    fn ready() -> Self {
        let mut world = Self::connected();
        world.bytes(&version_reply(226, "20261123 10:00:00 UTC"));
        world.bytes(&ids("DU0000001"));
        assert_eq!(world.stages.last(), Some(&Stage::Ready));
        world
    }
}

fn ids(accounts: &str) -> BytesMut {
    let mut out = BytesMut::new();
    write_message(215, &ManagedAccounts { accounts_list: Some(accounts.into()) }, &mut out);
    write_message(209, &NextValidId { order_id: Some(1) }, &mut out);
    out
}

#[test]
fn a_handshake_passes_every_stage_in_order_whatever_the_pieces() {
    for step in [1, 5, 4096] {
        let mut world = World::connected();
        let mut all = version_reply(226, "20261123 10:00:00 UTC").to_vec();
        all.extend_from_slice(&ids("DU0000001"));
        let mut relayed = 0;
        for piece in all.chunks(step) {
            relayed += world.bytes(piece).len();
        }
        assert_eq!(
            world.stages,
            [
                Stage::TcpConnected,
                Stage::HelloSent,
                Stage::FirstByte,
                Stage::VersionReceived,
                Stage::ApiStarted,
                Stage::AccountsReceived,
                Stage::NextIdReceived,
                Stage::Ready,
            ]
        );
        assert_eq!(relayed, ids("DU0000001").len(), "the broker sees the same frames");
        assert!(world.written.starts_with(b"API\0"));
        assert!(world.written.ends_with(&start_api(226, 410)));
    }
}

#[test]
fn each_bad_gateway_ends_with_its_reason() {
    let mut refused = BytesMut::new();
    let error = ErrorMessage {
        id: Some(-1),
        error_code: Some(326),
        error_msg: Some("client id in use".into()),
        ..ErrorMessage::default()
    };
    write_message(204, &error, &mut refused);
    let version = version_reply(226, "now");
    let cases: [(&str, Vec<Vec<u8>>, ExitCode, &str); 5] = [
        ("old version", vec![version_reply(187, "now").to_vec()], ExitCode::Refused, "187"),
        ("garbage", vec![b"HTTP/1.1 400".to_vec()], ExitCode::HandshakeViolated, "limit"),
        ("id in use", vec![version.to_vec(), refused.to_vec()], ExitCode::Refused, "326"),
        (
            "oversize",
            vec![version.to_vec(), vec![0x7f, 0xff, 0xff, 0xff]],
            ExitCode::ProtocolViolation,
            "limit",
        ),
        (
            "too short for an id",
            vec![version.to_vec(), vec![0, 0, 0, 2, 1, 1]],
            ExitCode::ProtocolViolation,
            "too short",
        ),
    ];
    for (name, pieces, code, word) in cases {
        let mut world = World::connected();
        for piece in pieces {
            world.bytes(&piece);
        }
        assert_eq!(world.exit, Some(code), "{name}");
        let detail = world.ended.unwrap().detail;
        assert!(detail.contains(word), "{name}: {detail}");
    }
}

#[test]
fn an_old_gateway_is_told_apart_with_both_versions() {
    let mut world = World::connected();
    world.bytes(&version_reply(187, "now"));
    let detail = world.ended.unwrap().detail;
    assert!(detail.contains("handshake itself worked"), "{detail}");
    assert!(detail.contains("187") && detail.contains("213 to 226"), "{detail}");
}

#[test]
fn an_empty_account_list_is_not_ready() {
    for empty in ["", ",", " , "] {
        let mut world = World::connected();
        world.bytes(&version_reply(226, "now"));
        world.bytes(&ids(empty));
        assert_eq!(world.stages.last(), Some(&Stage::NextIdReceived));
        assert_eq!(world.exit, None);
    }
}

#[test]
fn a_close_in_the_middle_of_a_frame_says_so() {
    let mut world = World::ready();
    world.bytes(&[0, 0, 0, 9, 1, 2]);
    world.session.on_closed("Gateway closed the connection");
    world.drain();
    assert_eq!(world.exit, Some(ExitCode::ClosedByPeer));
    assert!(world.ended.unwrap().detail.contains("6 bytes into a frame"));
}

#[test]
fn a_number_is_sent_to_gateway_once() {
    let mut world = World::ready();
    world.written.clear();
    world.session.on_data(1, Bytes::from_static(b"one"));
    world.session.on_data(1, Bytes::from_static(b"one"));
    world.session.on_data(2, Bytes::from_static(b"two"));
    world.drain();
    assert_eq!(world.written, b"onetwo");
}

#[test]
fn nothing_is_sent_before_the_session_is_open() {
    let mut world = World::connected();
    world.written.clear();
    world.session.on_data(1, Bytes::from_static(b"early"));
    world.drain();
    assert!(world.written.is_empty());
}

#[test]
fn shutdown_closes_in_order_and_then_exits() {
    let mut world = World::ready();
    world.control(to_worker::Message::Shutdown(Shutdown { because: "stop".into() }));
    assert!(world.closed_in_order);
    assert_eq!(world.exit, None);
    world.session.on_closed("Gateway closed the connection");
    world.drain();
    assert_eq!(world.exit, Some(ExitCode::Asked));
}

#[test]
fn a_ping_is_answered_with_the_numbers() {
    let mut world = World::ready();
    world.session.on_data(3, Bytes::from_static(b"x"));
    world.session.on_sent(9);
    world
        .session
        .on_control(ToWorker { message: Some(to_worker::Message::Ping(Ping { number: 4 })) });
    let pong = std::iter::from_fn(|| world.session.poll_output()).find_map(|output| match output {
        Output::Tell(ToBroker { message: Some(to_broker::Message::Pong(pong)) }) => Some(pong),
        _ => None,
    });
    let expected = Pong { number: 4, taken_through: 3, written_through: 0, sent_through: 9 };
    assert_eq!(pong, Some(expected));
}

#[test]
fn a_broker_of_another_epoch_is_not_ours() {
    let mut world = World::connected();
    let hello = Hello { link_version: LINK_VERSION, epoch: 8, ..Hello::default() };
    world.control(to_worker::Message::Hello(hello));
    assert_eq!(world.exit, Some(ExitCode::LinkLost));
}

const AWAITS: Output =
    Output::AwaitBroker { retry: Duration::from_millis(200), grace: Duration::from_secs(300) };

#[test]
fn a_live_session_outlives_its_broker_and_tells_the_next_one_what_it_is() {
    let mut world = World::ready();
    assert_eq!(world.link, [Output::Outlive]);
    world.session.on_data(1, Bytes::from_static(b"one"));
    world.session.on_data(2, Bytes::from_static(b"two"));
    world.drain();
    let mut notice = BytesMut::new();
    let error = ErrorMessage {
        id: Some(-1),
        error_code: Some(2104),
        error_msg: Some("is OK:usfarm".into()),
        ..ErrorMessage::default()
    };
    write_message(id::ERR_MSG, &error, &mut notice);
    world.bytes(&notice);
    world.session.on_link_lost("the broker is gone".into());
    world.drain();
    assert_eq!(world.link, [Output::Outlive, AWAITS]);
    assert_eq!(world.exit, None);

    world.session.on_relinked(5);
    world.drain();
    let hello = world.hello.take().unwrap();
    assert_eq!((hello.epoch, hello.taken_through, hello.next_number), (7, 2, 5));
    assert_eq!(hello.session_name, 77, "as the broker before called it");
    let facts = hello.session.unwrap();
    assert_eq!((facts.server_version, facts.accounts.as_str()), (226, "DU0000001"));
    assert_eq!(facts.notices, notice.freeze());

    // Not this broker: look on, and come back to the one that is.
    let other = Hello { link_version: LINK_VERSION + 1, epoch: 7, ..Hello::default() };
    world.control(to_worker::Message::Hello(other));
    assert_eq!(world.link.pop(), Some(Output::DropLink));
    let right = Hello { link_version: LINK_VERSION, epoch: 7, ..Hello::default() };
    world.control(to_worker::Message::Hello(right));
    assert_eq!(world.link.pop(), Some(Output::BrokerFound));
    // What was taken is not sent twice, whoever sends it.
    let before = world.written.len();
    world.session.on_data(2, Bytes::from_static(b"two"));
    world.session.on_data(3, Bytes::from_static(b"three"));
    world.drain();
    assert_eq!(&world.written[before..], b"three");
}

#[test]
fn without_a_live_session_a_worker_ends_with_its_broker() {
    let mut world = World::connected();
    world.session.on_link_lost("the broker is gone".into());
    world.drain();
    assert_eq!(world.exit, Some(ExitCode::LinkLost));
}

#[test]
fn when_no_broker_comes_the_session_is_closed_in_order() {
    let mut world = World::ready();
    world.session.on_link_lost("the broker is gone".into());
    world.session.on_grace_passed();
    world.drain();
    assert!(world.closed_in_order);
    world.session.on_closed("Gateway closed");
    world.drain();
    assert_eq!(world.exit, Some(ExitCode::LinkLost));
}

#[test]
fn gateway_can_end_a_session_that_waits_for_a_broker() {
    let mut world = World::ready();
    world.session.on_link_lost("the broker is gone".into());
    world.session.on_closed("Gateway closed the connection");
    world.drain();
    assert_eq!(world.exit, Some(ExitCode::ClosedByPeer));
}
