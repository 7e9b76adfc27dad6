//! The doctor's verdict for every fault of the simulator, and for what else can stand behind a
//! port that was thought to be Gateway's.
//!
//! That it never harms what it examines is tested in `doctor_safety`.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use ibouncer_gateway_sim::Fault;
use ibouncer_tests::harness::procfs::{TcpState, sockets_of};
use ibouncer_tests::harness::wait::{PATIENCE, until_true};
use ibouncer_tests::harness::{Answer, Home};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::{binary, sim};

/// The doctor in folders of its own, with one handshake of short steps.
#[track_caller]
fn active(gateway: &str, more: &[&str]) -> (Answer, Value) {
    let mut arguments = vec!["doctor", "--gateway", gateway, "--active", "--json"];
    if !more.contains(&"--timeout") {
        arguments.extend(["--timeout", "1s"]);
    }
    arguments.extend(more);
    let answer = Home::new(binary()).cli(&arguments);
    let value = answer.json();
    (answer, value)
}

/// What the doctor is to say about a fault: with eyes that count, and without any.
struct Expected {
    local: &'static str,
    blind: &'static str,
    last_stage: &'static str,
    exit: i32,
}

/// One row for each fault: a new one does not compile until somebody says what it looks like.
fn expected(fault: Fault) -> Expected {
    let row = |local, blind, last_stage, exit| Expected { local, blind, last_stage, exit };
    let same = |verdict, last_stage, exit| row(verdict, verdict, last_stage, exit);
    match fault {
        Fault::NeverAccept => row("ACCEPT_QUEUE_STUCK", "SILENT_AFTER_TCP", "HELLO_SENT", 4),
        Fault::AcceptAndMute => same("SILENT_AFTER_TCP", "HELLO_SENT", 3),
        Fault::SerialAccept => same("HEALTHY", "CLOSE_ANSWERED", 0),
        Fault::MuteAfterVersion => same("SILENT_AFTER_VERSION", "API_STARTED", 3),
        Fault::NoNextId => same("NO_NEXT_ID", "ACCOUNTS_RECEIVED", 3),
        Fault::NoAccounts => same("NO_ACCOUNTS", "NEXT_ID_RECEIVED", 3),
        Fault::EmptyAccounts => same("EMPTY_ACCOUNTS", "NEXT_ID_RECEIVED", 3),
        Fault::CloseAtConnect => same("CLOSED_AT_CONNECT", "HELLO_SENT", 3),
        Fault::CloseAfterVersion => same("CLOSED_AFTER_VERSION", "API_STARTED", 3),
        Fault::ClientIdInUse => same("CLIENT_ID_IN_USE", "API_STARTED", 3),
        Fault::MuteAfterReady => same("MUTE_AFTER_READY", "READY", 3),
        // Only a client with market data meets it.
        Fault::IgnoreRequests => same("HEALTHY", "CLOSE_ANSWERED", 0),
        Fault::LeakCloseWait => same("CLOSE_NOT_ANSWERED", "CONFIG_RECEIVED", 3),
        Fault::CutMidFrame => same("CUT_MID_FRAME", "READY", 3),
        Fault::OversizeLength => same("OVERSIZE_FRAME", "API_STARTED", 3),
        Fault::Garbage => same("NOT_TWS", "FIRST_BYTE", 3),
        Fault::SplitFrames => same("HEALTHY", "CLOSE_ANSWERED", 0),
        Fault::SlowDrip => same("SLOW", "CLOSE_ANSWERED", 3),
        Fault::ExtraFramesBeforeIds => same("HEALTHY", "CLOSE_ANSWERED", 0),
        Fault::OldServerVersion => same("OLD_GATEWAY", "CLOSE_ANSWERED", 3),
    }
}

#[test]
fn every_fault_of_the_simulator_has_its_verdict_with_eyes_and_without() {
    std::thread::scope(|scope| {
        for fault in Fault::ALL {
            scope.spawn(|| check(*fault));
        }
    });
}

fn check(fault: Fault) {
    let expected = expected(fault);
    for eyes in ["local", "none"] {
        let sim = sim(&["--fault", fault.name()]);
        // Whatever ends by itself may take its time on a busy machine.
        let silent = ["HELLO_SENT", "API_STARTED", "ACCOUNTS_RECEIVED", "NEXT_ID_RECEIVED"]
            .contains(&expected.last_stage);
        let unanswered = [Fault::MuteAfterReady, Fault::LeakCloseWait].contains(&fault);
        let timeout = if silent || unanswered { "2s" } else { "20s" };
        let (answer, value) = active(sim.address(), &["--eyes", eyes, "--timeout", timeout]);
        let verdict = if eyes == "local" { expected.local } else { expected.blind };
        assert_eq!(value["verdict"], verdict, "{fault}: {value:#}");
        let exit = if eyes == "none" && expected.exit == 4 { 3 } else { expected.exit };
        assert_eq!(answer.code, exit, "{fault}: {value:#}");
        let stages = value["handshakes"][0]["stages"].as_array().unwrap();
        let last = stages.last().unwrap()["stage"].as_str().unwrap();
        // A peer that closes at once may be faster than our next write.
        let early = match expected.last_stage {
            "HELLO_SENT" if fault == Fault::CloseAtConnect => "TCP_CONNECTED",
            "API_STARTED" if fault == Fault::CloseAfterVersion => "VERSION_RECEIVED",
            stage => stage,
        };
        assert!([expected.last_stage, early].contains(&last), "{fault}: {value:#}");
        check_page(&value, fault.name());
        // Whatever happened, nothing of the doctor stays behind.
        if fault != Fault::NeverAccept {
            until_true("no socket is left in CLOSE_WAIT", PATIENCE, || {
                let sockets = sockets_of(sim.port());
                sockets.iter().all(|socket| socket.state != TcpState::CloseWait)
            });
        }
    }
}

/// What every page has, and what none has.
#[track_caller]
fn check_page(value: &Value, what: &str) {
    let sentence = value["sentence"].as_str().unwrap();
    assert!(sentence.starts_with(value["verdict"].as_str().unwrap()), "{what}: {sentence}");
    assert_eq!(sentence.lines().count(), 1, "{what}");
    assert!(!value["evidence"].as_array().unwrap().is_empty(), "{what}");
    let good = value["grade"] == "good";
    assert_eq!(value["hypotheses"].as_array().unwrap().is_empty(), good, "{what}: {value:#}");
    assert_eq!(value["next_steps"].as_array().unwrap().is_empty(), good, "{what}: {value:#}");
    let text = value.to_string();
    let account = "DU0000001";
    let hex: String = account.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(!text.contains(account) && !text.contains(&hex), "{what}: an account is shown");
    let seen = value["eyes"]["vantage"] == "local";
    assert_eq!(value["commands"].as_array().unwrap().is_empty(), seen, "{what}");
}

#[test]
fn the_page_has_a_timeline_and_ends_with_one_sentence() {
    let sim = sim(&["--fault", "mute-after-version"]);
    let home = Home::new(binary());
    let arguments =
        ["doctor", "--gateway", sim.address(), "--active", "--timeout", "300ms", "--eyes", "none"];
    let answer = home.cli(&arguments);
    assert_eq!(answer.code, 3, "{answer:?}");
    let lines: Vec<_> = answer.stdout.lines().collect();
    assert!(lines[0].starts_with("SILENT_AFTER_VERSION  "), "{}", answer.stdout);
    let sentence = lines.last().unwrap();
    assert!(sentence.starts_with("SILENT_AFTER_VERSION at 127.0.0.1:"), "{sentence}");
    for line in &lines[..lines.len() - 1] {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for part in ["VERSION_RECEIVED", "Timeline (ms)", "Confirm: ", "ss -ltn 'sport = :"] {
        assert!(answer.stdout.contains(part), "{part}: {}", answer.stdout);
    }
}

#[test]
fn a_healthy_gateway_is_measured_by_stage_and_closed_in_order() {
    let sim = sim(&[]);
    let (answer, value) = active(sim.address(), &["--eyes", "local", "--timeout", "20s"]);
    assert_eq!((answer.code, value["verdict"].as_str()), (0, Some("HEALTHY")), "{value:#}");
    let handshake = &value["handshakes"][0];
    let stages: Vec<_> = handshake["stages"].as_array().unwrap().iter().collect();
    let names: Vec<_> = stages.iter().map(|stamp| stamp["stage"].as_str().unwrap()).collect();
    let order = [
        "TCP_CONNECTED",
        "HELLO_SENT",
        "FIRST_BYTE",
        "VERSION_RECEIVED",
        "API_STARTED",
        "ACCOUNTS_RECEIVED",
        "NEXT_ID_RECEIVED",
        "READY",
        "TIME_RECEIVED",
        "CONFIG_RECEIVED",
        "CLOSE_ANSWERED",
    ];
    assert_eq!(names, order);
    let times: Vec<_> = stages.iter().map(|stamp| stamp["at_ms"].as_f64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(handshake["server_version"], 226);
    assert_eq!(handshake["accounts"][0], "DU***001");
    assert_eq!(handshake["client_id"], 411);
    assert_eq!(sim.close_of(1), "fin");
    assert_eq!(value["budget"]["attempts"][0]["by"], "doctor");
    assert_eq!(value["budget"]["attempts"][0]["outcome"], "ready");
}

#[test]
fn gateways_of_both_older_forms_become_ready_and_are_called_old() {
    for version in ["178", "205"] {
        let sim = sim(&["--server-version", version]);
        let (answer, value) = active(sim.address(), &["--eyes", "local", "--timeout", "20s"]);
        assert_eq!(value["verdict"], "OLD_GATEWAY", "{value:#}");
        assert_eq!(value["handshakes"][0]["server_version"].to_string(), version);
        assert_eq!(answer.code, 3);
    }
}

#[test]
fn nobody_listening_is_seen_without_a_packet_and_with_one() {
    let port = {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        held.local_addr().unwrap().port()
    };
    let gateway = format!("127.0.0.1:{port}");
    let (answer, value) = active(&gateway, &["--eyes", "none"]);
    assert_eq!((answer.code, value["verdict"].as_str()), (3, Some("NO_LISTENER")), "{value:#}");
    let passive = Home::new(binary()).cli(&["doctor", "--gateway", &gateway, "--json"]);
    let value = passive.json();
    assert_eq!(value["verdict"], "NO_LISTENER", "{value:#}");
    assert!(value["handshakes"].as_array().unwrap().is_empty());
}

/// A listener that never accepts and whose queue is full.
pub(super) fn full_backlog() -> (Socket, SocketAddr, Vec<Socket>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(1).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    // One more than the backlog fits; the next one's opening is dropped.
    let clients = (0..2)
        .map(|_| {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            client.connect_timeout(&address.into(), PATIENCE).unwrap();
            client
        })
        .collect();
    (listener, address, clients)
}

#[test]
fn a_full_backlog_is_a_stuck_queue() {
    let (_listener, address, _clients) = full_backlog();
    let (answer, value) = active(&address.to_string(), &["--eyes", "none"]);
    assert_eq!(value["verdict"], "ACCEPT_QUEUE_STUCK", "{value:#}");
    assert_eq!(value["handshakes"][0]["end"], "tcp_timeout");
    assert_eq!(answer.code, 4);
    // Eyes see it, and then nothing is added to the queue.
    let (answer, value) = active(&address.to_string(), &["--eyes", "local"]);
    assert_eq!(value["verdict"], "ACCEPT_QUEUE_STUCK", "{value:#}");
    assert_eq!(value["refusal"]["code"], "queue_stands", "{value:#}");
    assert!(value["handshakes"].as_array().unwrap().is_empty());
    assert_eq!(answer.code, 4);
}

#[test]
fn a_strangers_socket_in_close_wait_is_seen_and_named() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let stranger = TcpStream::connect(address).unwrap();
    let _kept = listener.accept().unwrap();
    drop(stranger);
    until_true("CLOSE_WAIT", PATIENCE, || {
        sockets_of(address.port()).iter().any(|socket| socket.state == TcpState::CloseWait)
    });
    let home = Home::new(binary());
    let gateway = address.to_string();
    let value = home.cli(&["doctor", "--gateway", &gateway, "--eyes", "local", "--json"]).json();
    assert_eq!(value["verdict"], "CLOSE_WAIT_LEFT", "{value:#}");
    assert_eq!(value["eyes"]["close_wait"], 1, "{value:#}");
    // It never accepts the next one: half-dead clients are then the first suspicion.
    let (_, value) = active(&gateway, &["--eyes", "local"]);
    assert_eq!(value["verdict"], "ACCEPT_QUEUE_STUCK", "{value:#}");
    let first = value["hypotheses"][0]["what"].as_str().unwrap();
    assert!(first.contains("half-dead client"), "{first}");
}

#[test]
fn a_gateway_that_is_busy_with_a_half_dead_stranger_is_silent() {
    let sim = sim(&["--fault", "serial-accept"]);
    let _stranger = TcpStream::connect(sim.address()).unwrap();
    sim.wait_count("accepted", 1);
    let (_, value) = active(sim.address(), &["--eyes", "local"]);
    assert_eq!(value["verdict"], "ACCEPT_QUEUE_STUCK", "{value:#}");
    let evidence = value["evidence"].to_string();
    assert!(evidence.contains("another program: "), "{evidence}");
}

/// A listener whose connections are handed to `serve`, one after the other.
fn peer(serve: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            serve(stream);
        }
    });
    address
}

fn read_some(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // What came does not matter.
    let _ = stream.read(&mut [0; 256]);
}

#[test]
fn a_relay_with_nothing_behind_it_is_told_from_a_gateway() {
    let closing = peer(drop);
    let (_, value) = active(&closing, &["--eyes", "relayed"]);
    assert_eq!(value["verdict"], "RELAY_WITHOUT_GATEWAY", "{value:#}");
    // The process that listens is no Gateway, and eyes find that out by themselves.
    let (_, value) = active(&closing, &[]);
    assert_eq!(value["verdict"], "RELAY_WITHOUT_GATEWAY", "{value:#}");
    let (_, value) = active(&closing, &["--eyes", "none"]);
    assert_eq!(value["verdict"], "CLOSED_AT_CONNECT", "{value:#}");

    let silent = peer(|stream| {
        // Held until the other side has gone.
        let mut stream = stream;
        read_some(&mut stream);
        read_some(&mut stream);
    });
    let (_, value) = active(&silent, &[]);
    assert_eq!(value["verdict"], "RELAY_SILENT", "{value:#}");
    let first = value["hypotheses"][0]["what"].as_str().unwrap();
    assert!(first.contains("no Gateway is behind it"), "{first}");
    assert_eq!(value["budget"]["silent_in_row"], 1);
}

#[test]
fn a_simulator_behind_its_relay_is_healthy_and_called_relayed() {
    let sim = sim(&["--relay"]);
    let (answer, value) = active(sim.address(), &["--timeout", "20s"]);
    assert_eq!(value["verdict"], "HEALTHY", "{value:#}");
    assert_eq!(value["eyes"]["vantage"], "relayed", "{value:#}");
    assert_eq!(answer.code, 0);
}

#[test]
fn a_web_server_is_named() {
    let gateway = peer(|mut stream| {
        read_some(&mut stream);
        let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        let _ = stream.write_all(answer);
    });
    let (answer, value) = active(&gateway, &["--eyes", "none"]);
    assert_eq!((answer.code, value["verdict"].as_str()), (3, Some("SPEAKS_HTTP")), "{value:#}");
    assert!(value["evidence"].to_string().contains("HTTP/1.1 400"), "{value:#}");
}

#[test]
fn a_tls_server_is_named() {
    let gateway = peer(|mut stream| {
        read_some(&mut stream);
        // Alert: fatal, protocol version.
        let _ = stream.write_all(&[0x15, 3, 3, 0, 2, 2, 0x46]);
    });
    let (answer, value) = active(&gateway, &["--eyes", "none"]);
    assert_eq!((answer.code, value["verdict"].as_str()), (3, Some("SPEAKS_TLS")), "{value:#}");
    assert!(value["handshakes"][0]["first_bytes"].as_str().unwrap().starts_with("1503"));
}
