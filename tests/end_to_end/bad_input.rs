//! Nonsense on every listening side: it is refused with a typed error, and nobody else notices.
//!
//! Requests that are well formed and make no sense are in `bad_requests`, nonsense from Gateway's
//! side is in `faults`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use ibouncer_client::api;
use ibouncer_client::stubs::session_service_client::SessionServiceClient;
use ibouncer_client::{Feed, LineRequest, contract};
use ibouncer_tests::harness::procfs::resident_kib;
use ibouncer_tests::harness::wait::{PATIENCE, until_true};
use ibouncer_tests::harness::{Broker, Sim};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::stream::{Reader, connect};
use super::{plan, ready, sim};

/// Growth of the broker's memory that is no leak.
const SLACK_KIB: u64 = 12 * 1024;

fn with_tcp() -> (Sim, Broker) {
    let sim = sim(&[]);
    let broker = plan(&sim).set("grpc.listen=127.0.0.1:0").start();
    broker.wait_ready();
    (sim, broker)
}

/// A channel without name and token.
async fn channel(broker: &Broker) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", broker.tcp())).unwrap();
    endpoint.connect().await.unwrap()
}

fn token(broker: &Broker) -> String {
    let file = broker.home().runtime().join("token");
    std::fs::read_to_string(file).unwrap().trim().to_owned()
}

/// Nonsense of many kinds: noise, lengths beyond all bounds, and beginnings of the real thing.
fn nonsense() -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut noise = vec![0; 64 * 1024];
    random.fill(&mut noise);
    vec![
        noise,
        vec![0xff; 4096],
        vec![0; 4096],
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        // A link frame of 4 GiB, and one that is cut.
        [&[0xff, 0xff, 0xff, 0xff, 1][..], &[0; 64]].concat(),
        vec![0, 0, 1, 0, 0, 0, 0],
        // HTTP/2: a preface, then a frame of 16 MiB; then one that is cut.
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1][..]].concat(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0".to_vec(),
        // TLS, as if by mistake.
        [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 500]].concat(),
    ]
}

/// Says it and leaves; whoever listens may close first.
fn say(mut socket: impl Read + Write, words: &[u8]) {
    // Either may fail once the other side has had enough.
    let _ = socket.write_all(words);
    let _ = socket.flush();
    let _ = socket.read(&mut [0; 256]);
}

/// The same session as before, with ticks, and no panic; ERROR lines fail at the broker's end.
#[track_caller]
fn check_unharmed(broker: &Broker, sim: &Sim) {
    let status = broker.status();
    assert_eq!(status["state"], "READY", "{status:#}");
    assert_eq!(status["epoch"], 1, "the session is the first one");
    assert_eq!(sim.named("closed").len(), 0);
    let answer = broker.cli(&["quotes", "MSFT", "--for", "1s", "--json"]);
    assert_eq!(answer.code, 0, "{answer:?}");
}

#[test]
fn a_stranger_on_the_link_is_refused_and_disturbs_nothing() {
    let (sim, broker) = ready();
    let path = broker.home().runtime().join("link.sock");
    let before = resident_kib(broker.pid());
    for round in 0..20 {
        for words in nonsense() {
            let socket = UnixStream::connect(&path).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            say(&socket, &words);
        }
        // One that is silent is refused as well.
        let mut socket = UnixStream::connect(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(socket.read(&mut [0; 16]).unwrap(), 0, "round {round}");
    }
    let grown = resident_kib(broker.pid()).saturating_sub(before);
    assert!(grown < SLACK_KIB, "{grown} KiB more");
    check_unharmed(&broker, &sim);
}

#[test]
fn garbage_on_the_public_sockets_is_refused_within_bounded_memory() {
    let (sim, broker) = with_tcp();
    let before = resident_kib(broker.pid());
    let limit = Some(Duration::from_millis(300));
    for _ in 0..5 {
        for words in nonsense() {
            let unix = UnixStream::connect(broker.socket()).unwrap();
            unix.set_read_timeout(limit).unwrap();
            say(&unix, &words);
            let tcp = TcpStream::connect(broker.tcp()).unwrap();
            tcp.set_read_timeout(limit).unwrap();
            say(&tcp, &words);
        }
    }
    // Silent ones are kept, and cost little.
    let silent: Vec<_> = (0..100).map(|_| TcpStream::connect(broker.tcp()).unwrap()).collect();
    check_unharmed(&broker, &sim);
    drop(silent);
    let grown = resident_kib(broker.pid()).saturating_sub(before);
    assert!(grown < SLACK_KIB, "{grown} KiB more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_token_or_a_wrong_one_is_told_what_to_do() {
    let (_sim, broker) = with_tcp();
    let mut stub = SessionServiceClient::new(channel(&broker).await);
    let status = stub.get_status(api::GetStatusRequest {}).await.unwrap_err();
    check_typed(&status, Code::Unauthenticated, "UNAUTHENTICATED", "client", "never");
    assert!(status.message().contains("token"), "{status:?}");
    for given in ["Bearer wrong", "Basic abc", "Bearer ", &"x".repeat(4000)] {
        let mut request = tonic::Request::new(api::GetStatusRequest {});
        request.metadata_mut().insert("authorization", given.parse().unwrap());
        let status = stub.get_status(request).await.unwrap_err();
        check_typed(&status, Code::Unauthenticated, "UNAUTHENTICATED", "client", "never");
    }
    let mut request = tonic::Request::new(api::GetStatusRequest {});
    let good = format!("Bearer {}", token(&broker));
    request.metadata_mut().insert("authorization", good.parse().unwrap());
    stub.get_status(request).await.unwrap();

    // The command line finds the token by itself, and says what is wrong with another.
    let target = broker.tcp();
    assert_eq!(broker.cli(&["status", "--target", &target]).code, 0);
    let mut command = broker.home().command(&["status", "--json", "--target", &target]);
    command.env("IBOUNCER_TOKEN", "wrong");
    let mut program = ibouncer_tests::harness::Program::start("wrong token", command);
    assert_eq!(program.exit(PATIENCE).code(), Some(2));
    assert!(program.stderr.all().join("\n").contains("UNAUTHENTICATED"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_could_deceive_is_refused_with_a_typed_error() {
    let (_sim, broker) = with_tcp();
    let mut stub = SessionServiceClient::new(channel(&broker).await);
    for name in ["a b", "name#2", "", &"y".repeat(129)] {
        let mut request = tonic::Request::new(api::GetStatusRequest {});
        let metadata = request.metadata_mut();
        metadata.insert("authorization", format!("Bearer {}", token(&broker)).parse().unwrap());
        metadata.insert("x-client-name", name.parse().unwrap());
        let status = stub.get_status(request).await.unwrap_err();
        check_typed(&status, Code::PermissionDenied, "PERMISSION_DENIED", "client", "never");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_beyond_the_limits_fail_and_the_broker_does_not_grow() {
    let (sim, broker) = with_tcp();
    let client = connect(&broker).await;
    let before = resident_kib(broker.pid());
    for _ in 0..20 {
        let line = LineRequest::from(contract::stock("AAPL")).generic_ticks("1".repeat(1 << 20));
        let error = client.snapshot(line, Feed::Live).await.unwrap_err();
        let code = error.status().map(tonic::Status::code);
        assert_eq!(code, Some(Code::OutOfRange), "{error:?}");
        assert_eq!(error.code(), "MESSAGE_TOO_LARGE");

        let mut stub = SessionServiceClient::new(channel(&broker).await);
        let mut request = tonic::Request::new(api::GetStatusRequest {});
        let huge = "h".repeat(256 * 1024);
        request.metadata_mut().insert("x-huge", huge.parse().unwrap());
        stub.get_status(request).await.expect_err("headers beyond the limit");
    }
    let grown = resident_kib(broker.pid()).saturating_sub(before);
    assert!(grown < SLACK_KIB, "{grown} KiB more");
    check_unharmed(&broker, &sim);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_thrown_away_in_the_middle_harms_no_other() {
    let (_sim, broker) = ready();
    let client = connect(&broker).await;
    let mut stays = Reader::open(&client).await;
    stays.stock("AAPL").await;
    for _ in 0..30 {
        let other = connect(&broker).await;
        let reader = Reader::open(&other).await;
        reader.stock("AAPL").await;
        drop((reader, other));
        stays.live_tick().await;
    }
    until_true("they are forgotten", PATIENCE, || {
        let clients = broker.cli(&["clients", "--json"]).json();
        // The asking command is one of them.
        clients["clients"].as_array().unwrap().len() == 2
    });
}

#[track_caller]
pub(super) fn check_typed(
    status: &tonic::Status,
    code: Code,
    name: &str,
    source: &str,
    retry: &str,
) {
    assert_eq!(status.code(), code, "{status:?}");
    let trailer = |key: &str| status.metadata().get(key).map(|value| value.to_str().unwrap());
    assert_eq!(trailer("ibouncer-code"), Some(name), "{status:?}");
    assert_eq!(trailer("ibouncer-source"), Some(source), "{status:?}");
    assert_eq!(trailer("ibouncer-retry"), Some(retry), "{status:?}");
    assert!(!status.details().is_empty(), "google.rpc details: {status:?}");
}
