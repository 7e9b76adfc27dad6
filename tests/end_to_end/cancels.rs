//! What is cancelled at Gateway is gone before anything is asked for that needs its place, however
//! much waits: by the order in which the simulator reads, and by its limits.

use std::collections::BTreeSet;

use ibouncer_client::api::account_event::Body as Account;
use ibouncer_client::api::market_data_event::Body;
use ibouncer_client::{LineRequest, SubscriptionId, contract};
use ibouncer_tests::harness::wait::{PATIENCE, until_true};
use serde_json::Value;

use super::stream::{Reader, connect, is_tick};
use super::{plan, sim};

/// More cancels than most lanes let pass before their turn.
const QUOTES: u32 = 60;

impl Reader {
    /// So many lines of quotes that nobody shares, each with data.
    async fn quotes(&mut self, count: u32) -> Vec<SubscriptionId> {
        let mut ids = Vec::new();
        for number in 0..count {
            let wanted =
                LineRequest::new(contract::stock("AAPL")).generic_ticks((100 + number).to_string());
            ids.push(self.stream.subscribe_to(wanted).await.unwrap());
        }
        self.all_have_data(&ids).await;
        ids
    }

    async fn books(&mut self, symbols: [&str; 3]) -> Vec<SubscriptionId> {
        let mut ids = Vec::new();
        for symbol in symbols {
            let wanted = LineRequest::depth(contract::stock(symbol), 5);
            ids.push(self.stream.subscribe_to(wanted).await.unwrap());
        }
        ids
    }

    async fn all_have_data(&mut self, ids: &[SubscriptionId]) {
        let mut missing: BTreeSet<u32> = ids.iter().map(|id| id.0).collect();
        while !missing.is_empty() {
            let event = self.next().await.expect("it goes on");
            if let Some(Body::Mark(mark)) = &event.body {
                assert_eq!(mark.error, None, "nothing is refused");
            }
            if is_tick(&event) || matches!(event.body, Some(Body::MarketDepth(_))) {
                missing.remove(&event.subscription_id);
            }
        }
    }
}

/// The names of those of these requests that Gateway read, in their order.
fn order(events: &[Value], names: &[&str]) -> Vec<String> {
    let name = |event: &Value| event["name"].as_str().unwrap_or_default().to_owned();
    let names = |event: &&Value| names.contains(&name(event).as_str());
    events.iter().filter(|event| event["event"] == "request").filter(names).map(name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_that_one_client_leaves_and_another_takes_up_go_on() {
    let mut sim = sim(&["--control"]);
    // So slow that the cancels still wait when the next client comes.
    let broker = plan(&sim).set("pacing.messages_per_second=10").start();
    broker.wait_ready();
    let (first, second) = (connect(&broker).await, connect(&broker).await);
    let mut reader = Reader::open(&first).await;
    let quotes = reader.quotes(QUOTES / 2).await;
    let positions = first.accounts().stream_positions().await.unwrap();
    sim.wait_requests("REQ_POSITIONS", 1);

    for id in quotes {
        reader.stream.unsubscribe(id).await.unwrap();
    }
    drop(positions);
    let admin = second.admin();
    loop {
        let lines = admin.lines().await.unwrap();
        if !lines.iter().any(|line| line.kind == "positions") {
            break;
        }
    }
    let mut positions = second.accounts().stream_positions().await.unwrap();
    sim.wait_requests("REQ_POSITIONS", 2);
    let names = ["REQ_POSITIONS", "CANCEL_POSITIONS"];
    assert_eq!(order(&sim.events(), &names), [names[0], names[1], names[0]]);

    let mut ended = false;
    let mut told = async |size: &str| loop {
        let event = tokio::time::timeout(PATIENCE, positions.next()).await.expect("it goes on");
        match event.unwrap().expect("it goes on").body {
            Some(Account::PositionEnd(_)) => ended = true,
            Some(Account::Position(one)) if ended && one.position() == size => return,
            _ => {}
        }
        if ended && size.is_empty() {
            return;
        }
    };
    told("").await;
    sim.happen("execution=AAPL:1000");
    told("1100").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_books_are_opened_once_those_before_are_closed_at_gateway() {
    let sim = sim(&[]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let client = connect(&broker).await;
    let mut reader = Reader::open(&client).await;
    let quotes = reader.quotes(QUOTES).await;
    let books = reader.books(["AAPL", "MSFT", "NVDA"]).await;
    reader.all_have_data(&books).await;
    for id in quotes.into_iter().chain(books) {
        reader.stream.unsubscribe(id).await.unwrap();
    }
    let others = reader.books(["TSLA", "META", "AMZN"]).await;
    reader.all_have_data(&others).await;
    until_true("all cancels at Gateway", PATIENCE, || {
        sim.requests("CANCEL_MKT_DATA").len() == QUOTES as usize
    });
    drop(broker);
    let report = sim.stop();
    let broken = report["limits"].as_object().is_some_and(|all| !all.is_empty());
    assert!(!broken, "{report}");
}
