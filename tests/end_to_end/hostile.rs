//! Clients that do not read, ask for too much, or vanish: each meets its limit, nobody else
//! notices.

use ibouncer_client::api::market_data_event::Body;
use ibouncer_client::{Book, BookChange, LineRequest, Retry, SubscriptionId, contract};
use ibouncer_tests::harness::wait::{PATIENCE, until_true};
use serde_json::Value;

use super::stream::{Reader, connect, is_tick};
use super::{plan, ready, sim};

fn clients(broker: &ibouncer_tests::harness::Broker) -> Vec<Value> {
    let answer = broker.cli(&["clients", "--json"]).json();
    answer["clients"].as_array().cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_opens_too_many_streams_is_told_so_and_keeps_those_that_it_has() {
    let sim = sim(&[]);
    let broker = plan(&sim).set("limits.streams=5").start();
    broker.wait_ready();
    let (greedy, modest) = (connect(&broker).await, connect(&broker).await);
    let mut other = Reader::open(&modest).await;
    other.stock("MSFT").await;
    let mut open = Vec::new();
    for _ in 0..5 {
        let mut reader = Reader::open(&greedy).await;
        reader.stock("AAPL").await;
        reader.live_tick().await;
        open.push(reader);
    }
    // Ten thousand would open in all; one refusal after the other, the broker forgets each.
    for _ in 0..9_995 {
        let mut reader = Reader::open(&greedy).await;
        let error = loop {
            match tokio::time::timeout(PATIENCE, reader.stream.next_batch()).await.unwrap() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended without a word"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.code(), "TOO_MANY", "{error}");
        assert!(error.message().contains("limits.streams"), "{error}");
    }
    for reader in &mut open {
        reader.live_tick().await;
    }
    other.live_tick().await;
    let shown = clients(&broker);
    let greedy = shown.iter().find(|client| client["streams"] == 5).expect("the greedy one");
    assert_eq!(greedy["streams_limit"], 5, "limits are shown beside what is used");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_requests_is_refused_with_its_limit() {
    let sim = sim(&[]);
    let broker = plan(&sim).set("limits.requests_per_second=2").start();
    broker.wait_ready();
    let client = connect(&broker).await;
    let mut refused = None;
    for _ in 0..50 {
        if let Err(error) = client.contracts().details(contract::stock("AAPL")).await {
            refused = Some(error);
            break;
        }
    }
    let error = refused.expect("the flood ends");
    assert_eq!((error.code(), error.retry()), ("TOO_FAST", ibouncer_client::Retry::After));
    let calm = connect(&broker).await;
    calm.contracts().details(contract::stock("AAPL")).await.expect("others go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_book_that_was_not_read_is_told_whole_once_it_is() {
    let sim = sim(&["--depth-interval", "5ms", "--ticks-per-second", "50000"]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let client = connect(&broker).await;
    let mut slow = client.market_data().await.unwrap();
    let depth = LineRequest::depth(contract::stock("AAPL"), 10).smart();
    let depth = slow.subscribe_to(depth).await.unwrap();
    slow.subscribe_to(LineRequest::new(contract::stock("AAPL"))).await.unwrap();
    // Nothing is read until ticks fill the window of HTTP/2 and the queue, and more are left out.
    until_true("events are left out", 2 * PATIENCE, || {
        clients(&broker).iter().any(|client| client["skipped"].as_u64() > Some(200_000))
    });
    let mut book = Book::new();
    let (mut resets, mut skipped, mut fresh) = (0, 0, 0);
    while resets < 2 || fresh < 100 {
        let batch = tokio::time::timeout(PATIENCE, slow.next_batch()).await;
        let batch = batch.unwrap().unwrap().unwrap();
        for event in batch.events().map(Result::unwrap) {
            if event.subscription_id != depth {
                continue;
            }
            let change = book.take(&event).unwrap();
            if change == BookChange::Reset {
                resets += 1;
                skipped += event.skipped;
                fresh = 0;
            }
            fresh += u32::from(!event.replayed);
        }
    }
    assert!(skipped > 10, "what was left out is counted: {skipped}");
    assert_eq!(book.unfit(), 0, "no change came that did not fit");
    assert!(!book.bids().is_empty() && !book.asks().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_stall_old_ticks_end_with_what_was_under_way() {
    // In stamp mode a tick's price is the time at which it was made, in nanoseconds.
    let sim = sim(&["--stamp", "--ticks-per-second", "50000"]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let client = connect(&broker).await;
    let mut stalled = Reader::open(&client).await;
    stalled.stock("AAPL").await;
    stalled.live_tick().await;
    until_true("ticks are left out", 2 * PATIENCE, || {
        clients(&broker).iter().any(|client| client["skipped"].as_u64() > Some(200_000))
    });
    let mut witness = Reader::open(&connect(&broker).await).await;
    witness.stock("AAPL").await;
    let now = price(&witness.live_tick().await);
    let mut old = 0;
    loop {
        let event = stalled.next().await.unwrap();
        if is_tick(&event) && price(&event) >= now {
            break;
        }
        old += 1;
    }
    // 256 KiB of window and the same of the response that was being written, some 40 bytes each.
    assert!(old < 30_000, "{old} old ticks were read before the newest");
    // What was left out is still counted when the stream has ended.
    drop(stalled);
    until_true("the stream has ended", PATIENCE, || {
        clients(&broker).iter().any(|client| client["streams"] == 0)
    });
    let counters = broker.status()["counters"].clone();
    let dropped = counters
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| name.starts_with("ibouncer_client_dropped_total{client="));
    let dropped: u64 = dropped.map(|(_, count)| count.as_u64().unwrap()).sum();
    assert!(dropped > 200_000, "{counters:#}");
}

fn price(event: &ibouncer_client::api::MarketDataEvent) -> f64 {
    match &event.body {
        Some(Body::TickPrice(tick)) => tick.price(),
        _ => 0.0,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_what_cannot_be_left_out_is_put_out() {
    let sim = sim(&[]);
    let plan = plan(&sim).set("grpc.stream_buffer=64KiB");
    let broker = plan.set("limits.requests_per_second=100000").start();
    broker.wait_ready();
    let client = connect(&broker).await;
    let mut stuck = Reader::open(&client).await;
    stuck.stock("AAPL").await;
    stuck.live_tick().await;
    // Each of these is answered by a mark, and marks are kept. It stops once it is out: who goes
    // on to send on a stream that has ended loses its connection.
    let is_out = || {
        let idle = |client: &Value| client["streams"] == 0 && client["unread_bytes"] == 0;
        clients(&broker).iter().any(|client| client["name"] == "test" && idle(client))
    };
    let mut count = 10_000;
    let begun = std::time::Instant::now();
    while !is_out() {
        assert!(begun.elapsed() < PATIENCE, "it still has its stream");
        for _ in 0..count {
            stuck.stream.unsubscribe(SubscriptionId(99_999)).await.unwrap();
        }
        count = 200;
    }
    // Nothing was read yet, and its line is given up.
    sim.wait_requests("CANCEL_MKT_DATA", 1);
    let error = loop {
        match tokio::time::timeout(PATIENCE, stuck.stream.next_batch()).await.unwrap() {
            Ok(batch) => assert!(batch.is_some(), "it ended without a word"),
            Err(error) => break error,
        }
    };
    assert_eq!((error.code(), error.retry()), ("SLOW_CLIENT", Retry::Now), "{error}");
    // The same client may try again.
    let mut again = Reader::open(&client).await;
    again.stock("AAPL").await;
    again.live_tick().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_vanishes_leaves_nothing_behind() {
    let (sim, broker) = ready();
    let mut children = Vec::new();
    for symbol in ["AAPL", "MSFT"] {
        let mut command = tokio::process::Command::new(super::binary());
        broker.home().settle(command.as_std_mut());
        command.args(["quotes", symbol, "--json"]).kill_on_drop(true);
        command.stdout(std::process::Stdio::null());
        children.push(command.spawn().unwrap());
    }
    sim.wait_requests("REQ_MKT_DATA", 2);
    for mut child in children {
        child.kill().await.unwrap();
    }
    sim.wait_requests("CANCEL_MKT_DATA", 2);
    until_true("they are forgotten", PATIENCE, || {
        clients(&broker).iter().all(|client| client["subscriptions"] == 0)
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_is_evicted_in_the_end_and_others_are_not_disturbed() {
    let sim = sim(&["--ticks-per-second", "20000"]);
    let broker = plan(&sim).set("limits.stalled=1s").set("grpc.stream_buffer=64KiB").start();
    broker.wait_ready();
    let client = connect(&broker).await;
    let mut asleep = Reader::open(&client).await;
    asleep.stock("MSFT").await;
    asleep.live_tick().await;
    let mut awake = Reader::open(&connect(&broker).await).await;
    awake.stock("AAPL").await;
    // Its line is taken back although the client is still there.
    let cancelled = async {
        while sim.requests("CANCEL_MKT_DATA").is_empty() {
            awake.live_tick().await;
        }
    };
    tokio::time::timeout(2 * PATIENCE, cancelled).await.expect("it is evicted");
    let shown = clients(&broker);
    let evicted = shown.iter().find(|client| client["evicted"] == 1).expect("it is shown");
    assert_eq!((&evicted["streams"], &evicted["unread_bytes"]), (&0.into(), &0.into()));
    let told = broker.cli(&["events", "--json"]).stdout;
    assert!(told.contains("not read for") && told.contains("\"client\""), "{told}");

    // What was under way is read, and then why it ended.
    let error = loop {
        match tokio::time::timeout(PATIENCE, asleep.stream.next_batch()).await.unwrap() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended without a word"),
            Err(error) => break error,
        }
    };
    assert_eq!((error.code(), error.retry()), ("SLOW_CLIENT", ibouncer_client::Retry::Now));
    let mut again = Reader::open(&client).await;
    again.stock("MSFT").await;
    again.live_tick().await;
    awake.live_tick().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_too_many_is_refused_in_words_and_its_end_makes_room() {
    let sim = sim(&[]);
    let broker = plan(&sim).set("grpc.connections=3").start();
    broker.wait_ready();
    let mut open = Vec::new();
    while open.len() < 3 {
        let client = connect(&broker).await;
        client.session().queue(None).await.unwrap();
        open.push(client);
    }
    let refused = async || -> Option<ibouncer_client::Error> {
        let options = broker.home().options().client_name("one-too-many");
        let client = ibouncer_client::Client::connect(options).await.unwrap();
        client.session().queue(None).await.err()
    };
    let error = refused().await.expect("it is refused");
    assert_eq!(error.code(), "TOO_MANY", "{error}");
    assert!(error.message().contains("grpc.connections"), "{error}");
    open.pop();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while let Some(error) = refused().await {
        assert!(tokio::time::Instant::now() < deadline, "there is room again: {error}");
    }
    open[0].session().queue(None).await.expect("others are not disturbed");
}
