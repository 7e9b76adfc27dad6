//! Market data through the SDK: last values, errors of Gateway, limits, snapshots; health and
//! reflection beside it.

use std::time::Duration;

use ibouncer_client::api::market_data_event::Body;
use ibouncer_client::api::{ErrorRetry, ErrorSource, MarkKind, MarketDataEvent};
use ibouncer_client::{Feed, LineRequest, Origin, Retry, contract, tws};
use ibouncer_tests::harness::procfs::resident_kib;
use ibouncer_tests::harness::wait::{PATIENCE, until_true};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::stream::{Reader, connect, is_tick};
use super::{plan, ready, sim};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_joiner_gets_last_values_before_live_ticks_from_the_same_line() {
    let (sim, broker) = ready();
    let first = connect(&broker).await;
    let mut early = Reader::open(&first).await;
    early.stock("AAPL").await;
    early.mark(MarkKind::Subscribed).await;
    let mut newest = 0;
    for _ in 0..20 {
        newest = early.live_tick().await.sequence;
    }
    let second = connect(&broker).await;
    let mut late = Reader::open(&second).await;
    late.stock("AAPL").await;
    late.mark(MarkKind::Subscribed).await;
    let (mut replayed, mut last) = (Vec::new(), 0);
    let live = loop {
        let event = late.next().await.expect("an event");
        if !event.replayed {
            break event;
        }
        assert!(event.sequence > last, "last values come in order of arrival");
        last = event.sequence;
        replayed.push(event);
    };
    let ticks = replayed.iter().filter(|event| is_tick(event)).count();
    assert!(ticks >= 4, "{ticks} last values");
    assert!(live.sequence > last && live.sequence > newest.min(last));
    assert_eq!(sim.wait_requests("REQ_MKT_DATA", 1).len(), 1, "one line at Gateway");

    // Both leave, and so does the line.
    drop((early, late));
    until_true("the line is cancelled", PATIENCE, || sim.requests("CANCEL_MKT_DATA").len() == 1);
    assert_eq!(broker.status()["lines"]["used"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_gateway_reaches_the_subscriber_and_ends_the_subscription() {
    let (_sim, broker) = ready();
    let client = connect(&broker).await;
    let mut reader = Reader::open(&client).await;
    for (symbol, code) in [("NOSUCHSYMBOL", 200), ("NOPERM", 354)] {
        let id = reader.stock(symbol).await;
        let event = reader
            .until("Gateway's error", |event| matches!(event.body, Some(Body::Error(_))))
            .await;
        assert_eq!(event.subscription_id, id.0);
        let Some(Body::Error(error)) = event.body else { unreachable!("it was looked for") };
        assert_eq!(error.error_code(), code);
        let mark = reader.mark(MarkKind::Ended).await;
        let error = mark.error.expect("it ended by an error");
        assert_eq!(error.code, "GATEWAY_ERROR");
        assert_eq!(error.gateway_code, code);
        assert_eq!(error.source(), ErrorSource::Upstream);
        assert_eq!(error.retry(), ErrorRetry::Never);
    }
    // The stream itself is whole.
    reader.stock("AAPL").await;
    reader.live_tick().await;
    assert_eq!(broker.status()["lines"]["used"], 1);
    // People are told on standard error, with what to do.
    let answer = broker.cli(&["quotes", "NOPERM", "--for", "5s"]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(
        answer.stderr.contains("354") && answer.stderr.contains("--feed delayed"),
        "{answer:?}"
    );
    let answer = broker.cli(&["quotes", "NOPERM", "--feed", "delayed", "--for", "2s", "--json"]);
    assert_eq!(answer.code, 0, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_lines_are_taken_the_refusal_names_who_holds_them() {
    let sim = sim(&[]);
    let broker = plan(&sim).set("pacing.lines=2").start();
    broker.wait_ready();
    let options = broker.home().options().client_name("greedy");
    let greedy = ibouncer_client::Client::connect(options).await.unwrap();
    let mut first = Reader::open(&greedy).await;
    for symbol in ["AAPL", "MSFT"] {
        first.stock(symbol).await;
        first.mark(MarkKind::Subscribed).await;
    }
    let client = connect(&broker).await;
    let mut second = Reader::open(&client).await;
    second.stock("TSLA").await;
    let error = second.mark(MarkKind::Ended).await.error.unwrap();
    assert_eq!(error.code, "LINES_EXHAUSTED");
    assert_eq!(error.source(), ErrorSource::Broker);
    assert_eq!(error.retry(), ErrorRetry::After);
    assert!(error.message.contains("greedy 2"), "{}", error.message);
    // What is shared needs no line of its own.
    second.stock("AAPL").await;
    second.live_tick().await;
    assert_eq!(sim.wait_requests("REQ_MKT_DATA", 2).len(), 2);
    let lines = broker.cli(&["lines", "--json"]).json();
    let shared = lines["lines"].as_array().unwrap().iter();
    let shared = shared.filter(|line| line["symbol"].as_str().unwrap().contains("AAPL"));
    let shared: Vec<_> = shared.map(|line| line["clients"].as_array().unwrap().len()).collect();
    assert_eq!(shared, [2]);
    let clients = broker.cli(&["clients", "--json"]).json();
    assert!(clients.to_string().contains("greedy"), "{clients:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_slows_nobody_and_costs_bounded_memory() {
    let sim = sim(&["--ticks-per-second", "40000"]);
    let broker = plan(&sim).set("grpc.stream_buffer=1MiB").start();
    broker.wait_ready();
    let idle = connect(&broker).await;
    let mut slow = Reader::open(&idle).await;
    slow.stock("AAPL").await;
    slow.mark(MarkKind::Subscribed).await;
    let busy = connect(&broker).await;
    let mut fast = Reader::open(&busy).await;
    fast.stock("AAPL").await;
    let first = fast.live_tick().await.sequence;
    let before = resident_kib(broker.pid());
    let mut skipped = 0;
    let reached = fast
        .until("200 000 ticks", |event| {
            skipped += event.skipped;
            event.sequence > first + 200_000
        })
        .await;
    assert_eq!(skipped, 0, "the one who reads misses nothing");
    let grown = resident_kib(broker.pid()).saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB more for one who does not read");
    // It reads no more from here on, and would be left out as well.
    drop(fast);
    // What waited is old ticks, then the newest of each kind with a count of those left out.
    let caught_up = slow.until("a conflated tick", |event| event.skipped > 0).await;
    assert!(caught_up.sequence > first, "{caught_up:?}");
    slow.until("the newest", |event| event.sequence >= reached.sequence).await;
    let clients = broker.cli(&["clients", "--json"]).json();
    let counts = clients["clients"].as_array().unwrap().iter();
    let mut counts: Vec<_> = counts.map(|client| client["skipped"].as_u64()).collect();
    counts.retain(|count| *count > Some(0));
    assert_eq!(counts.len(), 1, "one of them skipped: {clients:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_late_to_a_cfd_is_told_where_its_data_are_too() {
    let (sim, broker) = ready();
    let cfd = || tws::Contract { sec_type: Some("CFD".into()), ..contract::stock("AMD") };
    let mut open = Vec::new();
    for _ in 0..2 {
        let client = connect(&broker).await;
        let mut reader = Reader::open(&client).await;
        reader.stream.subscribe(cfd(), Feed::Live).await.unwrap();
        let is = |event: &MarketDataEvent| matches!(event.body, Some(Body::Reroute(_)));
        let event = reader.until("another contract", is).await;
        let Some(Body::Reroute(other)) = event.body else { unreachable!("it was looked for") };
        let stock = contract::by_id(other.con_id(), other.exchange());
        reader.stream.subscribe(stock, Feed::Live).await.unwrap();
        reader.until("its ticks", is_tick).await;
        let depth = LineRequest::depth(cfd(), 5);
        reader.stream.subscribe_to(depth).await.unwrap();
        let is = |event: &MarketDataEvent| matches!(event.body, Some(Body::RerouteMarketDepth(_)));
        reader.until("another contract for the book", is).await;
        // The next one joins what this one has.
        open.push((client, reader));
    }
    // Gateway's requests are told in their order: behind this one, all of them are.
    open[1].1.stock("MSFT").await;
    assert_eq!(sim.wait_requests("REQ_MKT_DATA", 3).len(), 3);
    assert_eq!(sim.requests("REQ_MKT_DEPTH").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_has_the_last_value_of_each_kind_and_leaves_no_line() {
    let sim = sim(&["--snapshot-delay", "200ms"]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let client = connect(&broker).await;
    let events = client.snapshot(contract::stock("MSFT"), Feed::Live).await.unwrap();
    let mut kinds: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.body {
            Some(Body::TickPrice(tick)) => Some(tick.tick_type()),
            _ => None,
        })
        .collect();
    let count = kinds.len();
    kinds.sort_unstable();
    kinds.dedup();
    assert!(count >= 3 && kinds.len() == count, "each kind once: {kinds:?}");
    assert_eq!(broker.status()["lines"]["used"], 0);
    let error = client.snapshot(contract::stock("NOSUCHSYMBOL"), Feed::Live).await.unwrap_err();
    assert_eq!(error.gateway_code(), Some(200), "{error}");
    assert_eq!(error.origin(), Origin::Upstream);
    assert_eq!(error.retry(), Retry::Never);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_in_flight_when_the_worker_dies_fails_and_says_when_to_try_again() {
    let sim = sim(&["--snapshot-delay", "60s"]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let worker = broker.worker();
    let client = connect(&broker).await;
    let caller = client.clone();
    let call =
        tokio::spawn(async move { caller.snapshot(contract::stock("AAPL"), Feed::Live).await });
    sim.wait("the snapshot request", |event| event["snapshot"] == true);
    kill(Pid::from_raw(worker.pid as i32), Signal::SIGKILL).unwrap();
    let result = tokio::time::timeout(PATIENCE, call).await.unwrap().unwrap();
    let error = result.expect_err("nobody can answer it");
    assert_eq!(error.code(), "WORKER_ENDED", "{error}");
    assert_eq!(error.origin(), Origin::Worker);
    assert_eq!(error.retry(), Retry::After);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_a_session_says_so_at_once_and_a_stream_waits_for_it() {
    let sim = sim(&["--fault", "accept-and-mute:1"]);
    let broker = plan(&sim).handshake_timeout("1500ms").start();
    let client = connect(&broker).await;
    let error = client.snapshot(contract::stock("AAPL"), Feed::Live).await.unwrap_err();
    assert_eq!(error.code(), "NOT_READY", "{error}");
    assert_eq!(error.retry(), Retry::After);
    let mut reader = Reader::open(&client).await;
    reader.stock("AAPL").await;
    reader.mark(MarkKind::Subscribed).await;
    reader.mark(MarkKind::Stale).await;
    reader.mark(MarkKind::Resumed).await;
    reader.live_tick().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_serves_always_and_gateway_only_when_ready() {
    let sim = sim(&["--fault", "accept-and-mute:1"]);
    let broker = plan(&sim).handshake_timeout("1s").start();
    let client = connect(&broker).await;
    let mut health = HealthClient::new(client.service());
    let mut check = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        health.check(request).await.map(|answer| answer.into_inner().status())
    };
    assert_eq!(check("").await.unwrap(), ServingStatus::Serving);
    assert_eq!(check("ibouncer.v1.Gateway").await.unwrap(), ServingStatus::NotServing);
    broker.wait_ready();
    let end = tokio::time::Instant::now() + Duration::from_secs(5);
    while check("ibouncer.v1.Gateway").await.unwrap() != ServingStatus::Serving {
        assert!(tokio::time::Instant::now() < end, "READY, and not serving");
    }
    assert_eq!(check("").await.unwrap(), ServingStatus::Serving);
    let unknown = check("no.such.Service").await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_lists_the_services() {
    let (_sim, broker) = ready();
    let client = connect(&broker).await;
    let mut reflection = ServerReflectionClient::new(client.service());
    let request = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let answer = reflection.server_reflection_info(tokio_stream::once(request)).await;
    let answer = answer.unwrap().into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}")
    };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["SessionService", "MarketDataService", "AccountService", "AdminService"] {
        let name = format!("ibouncer.v1.{name}");
        assert!(names.contains(&name.as_str()), "{name} is not among {names:?}");
    }
    assert!(names.contains(&"grpc.health.v1.Health"), "{names:?}");
}
