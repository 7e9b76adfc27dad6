//! What leaves for Gateway, and when: a crowd that asks for everything at once never makes it
//! refuse anything. The simulator keeps the rules as Gateway does, and says when one was broken.

use std::time::Duration;

use ibouncer_client::api::MarkKind;
use ibouncer_client::api::market_data_event::Body;
use ibouncer_client::{BarRequest, LineRequest, SubscriptionId, contract, tws};
use ibouncer_tests::harness::wait::PATIENCE;
use serde_json::Value;

use super::stream::{Reader, connect};
use super::{plan, sim};

const CLIENTS: u32 = 40;

/// Every fifth of the histories is one that another client asks for too.
const HISTORIES: u32 = 500;

/// Each client subscribes to so many, and leaves each.
const SUBSCRIPTIONS: u32 = 5;

const SYMBOLS: [&str; 10] =
    ["AAPL", "MSFT", "NVDA", "AMZN", "GOOGL", "META", "TSLA", "AVGO", "JPM", "LLY"];

/// All of it leaves at 45 a second.
const ALL: Duration = Duration::from_secs(90);

/// No rule of Gateway was in the way of a request.
fn check_unbroken(report: &Value) {
    let limits = report["limits"].as_object().expect("the report counts limits");
    assert!(limits.values().all(|count| *count == 0), "Gateway had to refuse: {limits:?}");
}

/// Bars like nobody else's, but every fifth.
async fn histories(client: ibouncer_client::Client, number: u32) -> u32 {
    let mut answered = 0;
    for turn in 0..HISTORIES / CLIENTS + u32::from(number < HISTORIES % CLIENTS) {
        let (size, days) = if turn % 5 == 0 { ("1 hour", 1) } else { ("1 min", 1 + turn) };
        let symbol = SYMBOLS[(number % 10) as usize];
        let end = if turn % 5 == 0 {
            String::new()
        } else {
            format!("202511{:02} 16:00:00 US/Eastern", 1 + number % 20)
        };
        let request =
            BarRequest::new(contract::stock(symbol), format!("{days} D"), size).until(end);
        let bars = client.history().bars(request).await.unwrap();
        assert!(!bars.bars.is_empty());
        answered += 1;
    }
    answered
}

/// Subscribes to all at once, waits for data of each, and leaves each.
async fn changes(client: ibouncer_client::Client, number: u32) -> u32 {
    let mut reader = Reader::open(&client).await;
    for turn in 0..SUBSCRIPTIONS {
        let symbol = SYMBOLS[((number + turn) % 10) as usize];
        // 200 lines that nobody shares, of 100 that there are.
        let generic = format!("{},{}", 100 + number, 200 + turn);
        let wanted = LineRequest::new(contract::stock(symbol)).generic_ticks(generic);
        reader.stream.subscribe_to(wanted.wait_for_line()).await.unwrap();
    }
    let mut ended = 0;
    while ended < SUBSCRIPTIONS {
        let event = reader.next().await.expect("the stream goes on");
        let Some(Body::Mark(mark)) = &event.body else {
            continue;
        };
        match mark.kind() {
            MarkKind::Ended => {
                assert_eq!(mark.error, None, "nothing is refused");
                ended += 1;
            }
            MarkKind::Subscribed => {
                let id = SubscriptionId(event.subscription_id);
                reader.stream.unsubscribe(id).await.unwrap();
            }
            _ => {}
        }
    }
    ended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_clients_ask_for_everything_at_once_and_gateway_refuses_nothing() {
    let sim = sim(&[]);
    // One question is never answered, so that Gateway's pulse is taken in the middle of it all.
    let broker = plan(&sim).set("heartbeat.overdue=1s").start();
    broker.wait_ready();
    let asker = connect(&broker).await;
    let unknown = tws::PnLSingleRequest {
        account: Some("DU0000001".into()),
        con_id: Some(999_999),
        ..Default::default()
    };
    let _silent = asker.accounts().stream_pnl_single(unknown).await.unwrap();
    sim.wait_requests("REQ_PNL_SINGLE", 1);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let (first, second) = (connect(&broker).await, connect(&broker).await);
        tasks.spawn(histories(first, number));
        tasks.spawn(changes(second, number));
    }
    let queue = asker.session().queue(None).await.unwrap();
    let pulse = sim.wait_requests("REQ_CURRENT_TIME", 1);
    let done = tokio::time::timeout(ALL, tasks.join_all()).await.expect("all of it in time");
    assert_eq!(done.iter().sum::<u32>(), HISTORIES + CLIENTS * SUBSCRIPTIONS);
    let last = sim.requests("REQ_HISTORICAL_DATA").pop().unwrap();
    assert!(pulse[0]["at_ms"].as_u64() < last["at_ms"].as_u64(), "it passed what waited");
    assert!(!queue.requests.is_empty(), "the queue can be seen");
    let places: Vec<_> = queue.requests.iter().map(|request| request.place).collect();
    assert!(places.is_sorted());
    assert_eq!(broker.status()["state"], "READY", "one session carried it all");
    drop(broker);
    check_unbroken(&sim.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_bars_wait_for_gateways_rules_and_the_queue_says_which() {
    let sim = sim(&[]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let client = connect(&broker).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=7 {
        let client = client.clone();
        tasks.spawn(async move {
            let request =
                BarRequest::new(contract::stock("AAPL"), format!("{} S", number * 60), "5 secs");
            client.history().bars(request).await.unwrap().bars.len()
        });
    }
    // The sixth of one contract within two seconds is one too many.
    sim.wait_requests("REQ_HISTORICAL_DATA", 5);
    let queue = client.session().queue(None).await.unwrap();
    let held =
        queue.requests.iter().find(|request| request.because.contains("of a contract in 2 s"));
    let held = held.unwrap_or_else(|| panic!("{queue:?}"));
    assert_eq!((held.request.as_str(), held.label.as_str()), ("reqHistoricalData", "AAPL"));
    let done = tokio::time::timeout(PATIENCE, tasks.join_all()).await.unwrap();
    assert!(done.iter().all(|bars| *bars > 0));

    // The same again, by another program: the answers are here.
    let other = connect(&broker).await;
    let request = BarRequest::new(contract::stock("AAPL"), "60 S", "5 secs");
    assert!(!other.history().bars(request).await.unwrap().bars.is_empty());
    assert_eq!(sim.requests("REQ_HISTORICAL_DATA").len(), 7);
    drop(broker);
    check_unbroken(&sim.stop());
}
