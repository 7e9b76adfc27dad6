//! The simulator over real sockets on loopback: what only a kernel can show.
//!
//! Clients here are plain blocking sockets with deadlines; the simulator has its own thread.
#![allow(clippy::unwrap_used, reason = "a test may fail wherever it likes")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ibouncer_gateway_sim::{
    CloseHow, End, Event, Fault, GatewayConfig, OrderChange, Rate, SimConfig, SimHandle, Stage,
    StartError, start, start_observed,
};
use ibouncer_proto::tws::envelope::{Envelope, write_message};
use ibouncer_proto::tws::frame::Deframer;
use ibouncer_proto::tws::handshake::{ClientHandshake, start_api};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1::{Contract, CurrentTimeRequest, ErrorMessage, MarketDataRequest};
use prost::Message as _;
use socket2::SockRef;

const DEADLINE: Duration = Duration::from_secs(10);

struct Sim {
    handle: SimHandle,
    events: mpsc::Receiver<Event>,
}

impl Sim {
    async fn start(config: SimConfig) -> Self {
        let (sender, events) = mpsc::channel();
        let observer = move |event: &Event| drop(sender.send(event.clone()));
        let handle = start_observed(config, Box::new(observer)).await.unwrap();
        Self { handle, events }
    }

    async fn with_faults(faults: &[&str]) -> Self {
        Self::start(SimConfig { gateway: gateway_with(faults), ..SimConfig::default() }).await
    }

    /// Takes events until one is right.
    fn wait_for(&self, what: &str, right: impl Fn(&Event) -> bool) -> Event {
        let end = Instant::now() + DEADLINE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) if right(&event) => return event,
                Ok(_) => {}
                Err(error) => panic!("{what}: {error}"),
            }
        }
    }

    fn wait_closed(&self) -> CloseHow {
        let closed = self.wait_for("closed", |event| matches!(event, Event::Closed { .. }));
        match closed {
            Event::Closed { how, .. } => how,
            other => panic!("{other:?}"),
        }
    }
}

fn gateway_with(faults: &[&str]) -> GatewayConfig {
    GatewayConfig {
        faults: faults.iter().map(|fault| fault.parse().unwrap()).collect(),
        ..GatewayConfig::default()
    }
}

struct Client {
    stream: TcpStream,
    deframer: Deframer,
}

impl Client {
    /// Connects and sends the opening.
    fn open(sim: &Sim) -> Self {
        let mut stream = TcpStream::connect(sim.handle.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let opening = ClientHandshake::new(213..=226).opening();
        stream.write_all(&opening).unwrap();
        let deframer = Deframer::new();
        Self { stream, deframer }
    }

    /// Waits for the version reply and starts the API.
    fn start_api(&mut self, client_id: i32) {
        let reply = self.next().expect("a version reply");
        assert!(reply.starts_with(b"226\0"), "{reply:?}");
        self.stream.write_all(&start_api(226, client_id)).unwrap();
    }

    fn ready(sim: &Sim, client_id: i32) -> Self {
        let mut client = Self::open(sim);
        client.start_api(client_id);
        client.wait_for(id::MANAGED_ACCTS);
        client.wait_for(id::NEXT_VALID_ID);
        client
    }

    fn request(&mut self, message_id: u32, body: &impl prost::Message) {
        let mut out = BytesMut::new();
        write_message(message_id, body, &mut out);
        self.stream.write_all(&out).unwrap();
    }

    fn subscribe(&mut self) {
        let request = MarketDataRequest {
            req_id: Some(5),
            contract: Some(Contract { symbol: Some("AAPL".to_owned()), ..Default::default() }),
            ..Default::default()
        };
        self.request(id::REQ_MKT_DATA, &request);
    }

    /// The next frame; nothing at the end of the stream.
    fn next(&mut self) -> Option<Bytes> {
        let mut piece = [0; 65_536];
        loop {
            if let Some(body) = self.deframer.next_body().unwrap() {
                return Some(body);
            }
            match self.stream.read(&mut piece).unwrap() {
                0 => return None,
                length => self.deframer.extend(&piece[..length]),
            }
        }
    }

    fn wait_for(&mut self, message_id: u32) -> Bytes {
        loop {
            let body = self.next().expect("the stream goes on");
            let envelope = Envelope::parse(&body).unwrap();
            if envelope.message_id == message_id {
                return body.slice(4..);
            }
        }
    }

    /// Whether nothing has arrived so far.
    fn hears_nothing(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

#[tokio::test]
async fn a_client_becomes_ready_and_gets_ticks_until_it_leaves() {
    let sim = Sim::start(SimConfig {
        gateway: GatewayConfig { rate: Rate::PerLine(1000), ..GatewayConfig::default() },
        ..SimConfig::default()
    })
    .await;
    let listening = sim.events.recv_timeout(DEADLINE).unwrap();
    let address = sim.handle.address();
    assert_eq!(listening, Event::Listening { address, behind: None });
    let mut client = Client::ready(&sim, 7);
    client.subscribe();
    for _ in 0..30 {
        client.wait_for(id::TICK_SIZE);
    }
    let report = sim.handle.report().await;
    assert_eq!((report.open, report.lines), (1, 1));
    drop(client);
    assert!(matches!(sim.wait_closed(), CloseHow::Fin | CloseHow::Reset));
    sim.handle.shutdown().await;
    assert!(TcpStream::connect(address).is_err(), "the port is free");
}

#[tokio::test]
async fn a_mute_gateway_lets_tcp_connect_and_says_nothing() {
    let sim = Sim::with_faults(&["accept-and-mute:1"]).await;
    let mute = Client::open(&sim);
    let _ready = Client::ready(&sim, 7);
    assert!(mute.hears_nothing());
    assert_eq!(sim.handle.report().await.open, 2);
}

#[tokio::test]
async fn a_listener_that_never_accepts_does_so_once_the_fault_is_lifted() {
    let sim = Sim::with_faults(&["never-accept"]).await;
    let mut client = Client::open(&sim);
    assert_eq!(sim.handle.report().await.accepted, 0);
    assert!(client.hears_nothing());
    sim.handle.set_fault(None, None).await;
    client.start_api(7);
    client.wait_for(id::NEXT_VALID_ID);
}

#[tokio::test]
async fn a_serial_listener_is_blocked_by_a_silent_client_and_freed_by_its_end() {
    let sim = Sim::with_faults(&["serial-accept"]).await;
    let silent = TcpStream::connect(sim.handle.address()).unwrap();
    sim.wait_for("accepted", |event| matches!(event, Event::Accepted { .. }));
    let mut waiting = Client::open(&sim);
    assert_eq!(sim.handle.report().await.accepted, 1);
    assert!(waiting.hears_nothing());
    drop(silent);
    waiting.start_api(7);
    waiting.wait_for(id::NEXT_VALID_ID);
}

#[tokio::test]
async fn the_refusal_arrives_although_requests_were_under_way() {
    let sim = Sim::with_faults(&[]).await;
    let _first = Client::ready(&sim, 7);
    let mut second = Client::open(&sim);
    let reply = second.next().unwrap();
    assert!(reply.starts_with(b"226\0"));
    second.stream.write_all(&start_api(226, 7)).unwrap();
    for _ in 0..1000 {
        // The other side may have closed by now; what counts is what arrives.
        let _ = second.stream.write_all(&start_api(226, 7));
    }
    let error = ErrorMessage::decode(second.wait_for(id::ERR_MSG)).unwrap();
    assert_eq!((error.id(), error.error_code()), (-1, 326));
    assert_eq!(second.next(), None);
    assert_eq!(sim.wait_closed(), CloseHow::Refused);
}

#[tokio::test]
async fn a_reset_is_seen_as_one_but_ends_at_a_relay() {
    for (relay, expected) in [(false, CloseHow::Reset), (true, CloseHow::Fin)] {
        let sim = Sim::start(SimConfig { relay, ..SimConfig::default() }).await;
        assert_eq!(sim.handle.behind().is_some(), relay);
        Client::ready(&sim, 7).reset();
        assert_eq!(sim.wait_closed(), expected);
    }
}

#[tokio::test]
async fn a_relay_passes_the_end_of_gateway_on_and_accepts_when_gateway_does_not() {
    let sim = Sim::start(SimConfig {
        relay: true,
        gateway: gateway_with(&["close-after-version:1", "never-accept"]),
        ..SimConfig::default()
    })
    .await;
    let mut closed = Client::open(&sim);
    assert!(closed.next().unwrap().starts_with(b"226\0"));
    assert_eq!(closed.next(), None);
    let waiting = Client::open(&sim);
    assert_eq!(sim.handle.report().await.accepted, 1);
    assert!(waiting.hears_nothing());
}

#[tokio::test]
async fn a_leaked_connection_is_half_closed_and_stays() {
    let sim = Sim::with_faults(&["leak-close-wait"]).await;
    let client = Client::ready(&sim, 7);
    client.stream.shutdown(Shutdown::Write).unwrap();
    sim.wait_for(
        "close_wait",
        |event| matches!(event, Event::Stage { stage, .. } if *stage == Stage::CloseWait),
    );
    assert_eq!(sim.handle.report().await.open, 1);
}

#[tokio::test]
async fn a_handshake_in_splinters_works() {
    let sim = Sim::with_faults(&["split-frames:1", "extra-frames-before-ids"]).await;
    Client::ready(&sim, 7);
    Client::ready(&sim, 8);
}

#[tokio::test]
async fn a_slow_reader_is_not_waited_for() {
    let sim = Sim::start(SimConfig {
        gateway: GatewayConfig {
            rate: Rate::PerConnection(2_000_000),
            queue_limit: 1 << 20,
            ..GatewayConfig::default()
        },
        ..SimConfig::default()
    })
    .await;
    let mut slow = Client::ready(&sim, 7);
    slow.subscribe();
    let end = Instant::now() + DEADLINE;
    while sim.handle.report().await.dropped == 0 {
        assert!(Instant::now() < end, "nothing was dropped");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Another client is served meanwhile, and the slow one is still heard.
    let mut other = Client::ready(&sim, 8);
    other.request(id::REQ_CURRENT_TIME, &CurrentTimeRequest {});
    other.wait_for(id::CURRENT_TIME);
    slow.request(id::REQ_CURRENT_TIME, &CurrentTimeRequest {});
    slow.wait_for(id::CURRENT_TIME);
}

#[tokio::test]
async fn what_a_client_leaves_unread_is_halved_and_what_is_left_is_whole() {
    let sim = Sim::start(SimConfig {
        gateway: GatewayConfig {
            rate: Rate::PerConnection(400_000),
            output_limit: 10_000,
            ..GatewayConfig::default()
        },
        ..SimConfig::default()
    })
    .await;
    let mut slow = Client::ready(&sim, 7);
    slow.subscribe();
    let end = Instant::now() + DEADLINE;
    while sim.handle.report().await.output_dropped == 0 {
        assert!(Instant::now() < end, "nothing was dropped");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // More than the socket and the queue can hold: so it comes from before and behind the gap.
    for _ in 0..100_000 {
        let body = slow.next().expect("the stream goes on");
        let envelope = Envelope::parse(&body).unwrap();
        assert!((201..=400).contains(&envelope.message_id), "{}", envelope.message_id);
    }
}

#[tokio::test]
async fn everything_can_be_changed_while_running() {
    let sim = Sim::with_faults(&[]).await;
    let mut client = Client::ready(&sim, 7);
    sim.handle.announce(1100, "Connectivity is lost").await;
    loop {
        let error = ErrorMessage::decode(client.wait_for(id::ERR_MSG)).unwrap();
        if error.error_code() == 1100 {
            break;
        }
    }
    sim.handle.set_fault(Some(Fault::CloseAtConnect), Some(1)).await;
    assert_eq!(Client::open(&sim).next(), None);
    Client::ready(&sim, 8);
    sim.handle.close_all(End::Reset).await;
    let error = client.stream.read(&mut [0; 4096]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    Client::ready(&sim, 7);
}

#[tokio::test]
async fn other_addresses_than_loopback_are_refused() {
    let config = SimConfig { listen: "0.0.0.0:0".parse().unwrap(), ..SimConfig::default() };
    let refused = start(config).await;
    assert!(matches!(refused, Err(StartError::NotLoopback(_))));
}

#[tokio::test]
async fn the_ledger_can_be_asked_for_and_each_change_is_an_event() {
    let sim = Sim::start(SimConfig::default()).await;
    sim.handle.happen("order=55/1700000000:AAPL:10".parse().unwrap()).await;
    sim.wait_for("fill", |event| matches!(event, Event::Order { what: OrderChange::Filled, .. }));
    let ledger = sim.handle.ledger().await;
    let line = ledger.orders.iter().find(|line| line.order_id == 1_700_000_000).unwrap();
    assert_eq!((line.client_id, line.filled.as_str(), line.is_over()), (55, "10", true));
    sim.handle.shutdown().await;
    assert!(sim.events.iter().any(|event| matches!(event, Event::Ledger { .. })));
}
