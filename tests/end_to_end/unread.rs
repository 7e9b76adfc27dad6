//! Clients that ask and do not take what they are told: below gRPC, with a window of HTTP/2 that
//! has no room for anything but headers.

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request, Response};
use ibouncer_client::contract;
use ibouncer_tests::harness::wait::{PATIENCE, until, until_true};
use ibouncer_tests::harness::{Broker, procfs};
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::stream::connect;
use super::{plan, sim};

const PARAMETERS: &str = "ScannerService/GetScannerParameters";

/// Calls of one connection; it may have 256.
const CALLS: usize = 250;

const CONNECTIONS: usize = 6;

const LIMIT: u64 = 1 << 20;

/// A connection that has room for headers only, until it makes some.
struct Raw {
    send: SendRequest<Bytes>,
    room: Option<oneshot::Sender<()>>,
}

impl Raw {
    async fn connect(broker: &Broker) -> Self {
        let socket = UnixStream::connect(broker.socket()).await.unwrap();
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(0).initial_connection_window_size(16 << 20);
        let (send, mut connection) = builder.handshake(socket).await.unwrap();
        let (room, wanted) = oneshot::channel();
        tokio::spawn(async move {
            tokio::select! {
                _ = &mut connection => return,
                wanted = wanted => if wanted.is_ok() {
                    connection.set_initial_window_size(4 << 20).unwrap();
                }
            }
            let _ = connection.await;
        });
        Self { send, room: Some(room) }
    }

    /// A call with an empty request.
    async fn call(&mut self, method: &str) -> ResponseFuture {
        let request = Request::post(format!("http://localhost/ibouncer.v1.{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("x-client-name", "asleep")
            .body(())
            .unwrap();
        self.send = self.send.clone().ready().await.unwrap();
        let (response, mut body) = self.send.send_request(request, false).unwrap();
        body.send_data(Bytes::from_static(&[0; 5]), true).unwrap();
        response
    }

    fn make_room(&mut self) {
        self.room.take().unwrap().send(()).unwrap();
    }
}

/// What is refused is told in headers, which no window keeps back.
fn refusal(response: &Response<RecvStream>) -> Option<(&str, &str)> {
    let text = |name: &str| response.headers().get(name)?.to_str().ok();
    Some((text("ibouncer-code")?, text("grpc-message")?))
}

/// The rest of a response: its bytes and its trailers.
async fn rest(response: Response<RecvStream>) -> (usize, HeaderMap) {
    let mut body = response.into_body();
    let mut length = 0;
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        length += data.len();
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    (length, body.trailers().await.unwrap().expect("trailers"))
}

fn asleep(broker: &Broker) -> Vec<Value> {
    let shown = broker.cli(&["clients", "--json"]).json();
    let is_its = |client: &&Value| client["name"].as_str().unwrap().starts_with("asleep");
    shown["clients"].as_array().unwrap().iter().filter(is_its).cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_takes_are_bounded_and_there_is_room_again_once_they_are() {
    let sim = sim(&[]);
    let broker = plan(&sim).set("limits.unread_answers=1MiB").start();
    broker.wait_ready();
    let awake = connect(&broker).await;
    let whole = awake.scanners().parameters().await.unwrap().value.xml().len() as u64;
    assert!(whole > 100_000, "the answer is large: {whole}");
    let before = procfs::resident_kib(broker.pid());
    let mut raws = Vec::new();
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut raw = Raw::connect(&broker).await;
        let mut responses = Vec::new();
        for _ in 0..CALLS {
            responses.push(raw.call(PARAMETERS).await);
        }
        let mut refused = 0;
        for response in responses {
            let response = tokio::time::timeout(PATIENCE, response).await.unwrap().unwrap();
            match refusal(&response) {
                Some((code, message)) => {
                    assert_eq!(code, "TOO_MANY");
                    assert!(message.contains("limits.unread_answers"), "{message}");
                    refused += 1;
                }
                None => held.push(response),
            }
        }
        assert!(refused > CALLS / 2, "{refused}");
        raws.push(raw);
    }
    for client in asleep(&broker) {
        let unread = client["unread_bytes"].as_u64().unwrap();
        assert!((LIMIT..LIMIT + whole + 1_000).contains(&unread), "{client:#}");
    }
    let grown = procfs::resident_kib(broker.pid()).saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB more for what nobody takes");
    awake.contracts().details(contract::stock("AAPL")).await.expect("others are not disturbed");

    // Whoever reads at last gets what was kept for it, and may ask again.
    raws.iter_mut().for_each(Raw::make_room);
    for response in held {
        let (length, trailers) = tokio::time::timeout(PATIENCE, rest(response)).await.unwrap();
        assert!(length as u64 >= whole);
        assert_eq!(trailers["grpc-status"], "0");
    }
    until_true("nothing is unread", PATIENCE, || {
        asleep(&broker).iter().all(|client| client["unread_bytes"] == 0)
    });
    for raw in &mut raws {
        let response = raw.call(PARAMETERS).await.await.unwrap();
        assert_eq!(rest(response).await.1["grpc-status"], "0");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_takes_is_let_go_of_in_the_end_and_its_client_is_told() {
    let sim = sim(&[]);
    let broker = plan(&sim).set("limits.stalled=300ms").start();
    broker.wait_ready();
    let mut raw = Raw::connect(&broker).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(raw.call(PARAMETERS).await.await.unwrap());
    }
    let shown = until("all three are shown as let go of", PATIENCE, || {
        asleep(&broker).into_iter().find(|client| client["evicted"] == 3)
    });
    assert_eq!(shown["unread_bytes"], 0);
    let told = broker.cli(&["events", "--json"]).stdout;
    assert!(told.contains("answers were let go of"), "{told}");
    raw.make_room();
    for response in held {
        let (_, trailers) = tokio::time::timeout(PATIENCE, rest(response)).await.unwrap();
        assert_eq!(trailers["ibouncer-code"], "SLOW_CLIENT");
        assert_eq!(trailers["ibouncer-retry"], "now");
    }
    let again = raw.call(PARAMETERS).await.await.unwrap();
    assert_eq!(rest(again).await.1["grpc-status"], "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_not_read_ends_although_nothing_more_comes_for_it() {
    let sim = sim(&[]);
    let broker = plan(&sim).set("limits.stalled=300ms").start();
    broker.wait_ready();
    let mut raw = Raw::connect(&broker).await;
    let response = raw.call("AccountService/StreamPositions").await.await.unwrap();
    // Its state comes once, and then nothing: no position changes.
    sim.wait_requests("CANCEL_POSITIONS", 1);
    let shown = asleep(&broker);
    assert_eq!((&shown[0]["evicted"], &shown[0]["streams"]), (&1.into(), &0.into()));
    raw.make_room();
    let (_, trailers) = tokio::time::timeout(PATIENCE, rest(response)).await.unwrap();
    assert_eq!(trailers["ibouncer-code"], "SLOW_CLIENT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_whose_client_goes_away_is_forgotten_at_once() {
    let sim = sim(&[]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let mut raw = Raw::connect(&broker).await;
    let response = raw.call(PARAMETERS).await.await.unwrap();
    assert!(asleep(&broker)[0]["unread_bytes"].as_u64() > Some(100_000));
    // One that takes its call back, and one that is gone with its connection.
    let other = raw.call(PARAMETERS).await.await.unwrap();
    drop(response);
    until_true("one is left", PATIENCE, || {
        asleep(&broker)[0]["unread_bytes"].as_u64() < Some(400_000)
    });
    drop((other, raw));
    until_true("the client has left", PATIENCE, || asleep(&broker).is_empty());
}
