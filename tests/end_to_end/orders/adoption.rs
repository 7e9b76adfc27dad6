//! Live orders, and the next broker: it knows them, and what happened in between is told once.

use std::collections::BTreeMap;

use ibouncer_client::Client;
use ibouncer_client::api::{ExecutionEvent, ExecutionEventKind, OrderScope, OrderState};
use ibouncer_tests::harness::procfs::is_alive;
use ibouncer_tests::harness::wait::PATIENCE;
use ibouncer_tests::harness::{Broker, Sim};

use super::{all_of, entry, ledger_now, resting, sim, soon, state, trading};

/// Three orders that rest, of two clients.
async fn three_rest(broker: &Broker) -> [i32; 3] {
    let (alpha, beta) = (broker.client("alpha").await, broker.client("beta").await);
    for (client, name) in [(&alpha, "a1"), (&alpha, "a2"), (&beta, "b1")] {
        client.orders().place(resting(name)).await.unwrap();
    }
    [
        state(&alpha, "a1", OrderState::Working).await.order_id,
        state(&alpha, "a2", OrderState::Working).await.order_id,
        state(&beta, "b1", OrderState::Working).await.order_id,
    ]
}

/// Executions of this client after a number, until there are so many, and the number they end at.
async fn executions(client: &Client, after: u64, count: usize) -> (Vec<ExecutionEvent>, u64) {
    let mut stream = client.orders().watch_executions(Some(after), OrderScope::Own).await.unwrap();
    let mut found: Vec<ExecutionEvent> = Vec::new();
    while found.len() < count {
        let batch = tokio::time::timeout(PATIENCE, stream.next()).await.expect("in time");
        let batch = batch.unwrap().expect("it goes on");
        found.extend(batch.into_iter().filter(|one| one.kind() == ExecutionEventKind::New));
    }
    (found, stream.through().unwrap())
}

/// Shares of each order.
fn shares(events: &[ExecutionEvent]) -> BTreeMap<&str, Vec<&str>> {
    let mut shares: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for event in events {
        let execution = event.execution.as_ref().unwrap().execution.as_ref().unwrap();
        shares.entry(&event.client_order_id).or_default().push(execution.shares());
    }
    shares
}

/// The session is the one of before, and orders are taken.
fn goes_on(broker: &Broker, sim: &Sim) {
    broker.wait_trading();
    assert_eq!(broker.status()["epoch"], 1);
    assert_eq!(sim.named("accepted").len(), 1, "one connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_broker_knows_live_orders_and_tells_once_what_filled_meanwhile() {
    let mut sim = sim(&["--manual-fills"]);
    let mut broker = trading(&sim);
    let [first, second, other] = Box::pin(three_rest(&broker)).await;
    // A part of it is told before, and not again.
    sim.happen(&format!("fill=410/{first}:40"));
    let alpha = broker.client("alpha").await;
    let (before, number) = executions(&alpha, 0, 1).await;
    assert_eq!(shares(&before), BTreeMap::from([("a1", vec!["40"])]));
    let worker = broker.worker();
    broker.kill();
    assert!(is_alive(worker));
    sim.happen(&format!("fill=410/{first}:60"));
    sim.happen(&format!("fill=410/{other}:all"));
    let broker = broker.successor().start();
    goes_on(&broker, &sim);
    assert_eq!(broker.worker(), worker);

    let (alpha, beta) = (broker.client("alpha").await, broker.client("beta").await);
    assert_eq!(state(&alpha, "a1", OrderState::Filled).await.filled, "100");
    assert_eq!(state(&alpha, "a2", OrderState::Working).await.order_id, second);
    assert_eq!(state(&beta, "b1", OrderState::Filled).await.filled, "100");
    let (meanwhile, _) = executions(&alpha, number, 1).await;
    assert_eq!(shares(&meanwhile), BTreeMap::from([("a1", vec!["60"])]));
    // From the beginning it is the same, each once.
    sim.happen(&format!("fill=410/{second}:all"));
    let (all, _) = executions(&alpha, 0, 3).await;
    assert_eq!(shares(&all), BTreeMap::from([("a1", vec!["40", "60"]), ("a2", vec!["100"])]));
    let (theirs, _) = executions(&beta, 0, 1).await;
    assert_eq!(shares(&theirs), BTreeMap::from([("b1", vec!["100"])]));
    // And it trades on: new names are new orders, old ones are known.
    let again = alpha.orders().place(resting("a1")).await.unwrap();
    assert_eq!(again.order().order_id, first);
    alpha.orders().place(resting("a3")).await.unwrap();
    state(&alpha, "a3", OrderState::Working).await;
    let ledger = ledger_now(&mut sim);
    assert_eq!(ledger.len(), 4, "{ledger:#?}");
    assert!(ledger.iter().all(|entry| entry["places"] == 1), "{ledger:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handover_keeps_live_orders_and_their_watchers() {
    let mut sim = sim(&["--manual-fills"]);
    let broker = trading(&sim);
    let [first, second, _] = Box::pin(three_rest(&broker)).await;
    // This one comes back by itself.
    let options = broker.home().options_of("alpha").reconnect(true);
    let watcher = Client::connect(options).await.unwrap();
    let mut watch = watcher.orders().watch_executions(Some(0), OrderScope::Own).await.unwrap();
    sim.happen(&format!("fill=410/{first}:40"));
    let mut told: Vec<ExecutionEvent> = Vec::new();
    while told.is_empty() {
        told.extend(watch.next().await.unwrap().unwrap());
    }
    let answer = broker.cli(&["handover", "--json"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    sim.happen(&format!("fill=410/{first}:60"));
    sim.happen(&format!("fill=410/{second}:all"));
    goes_on(&broker, &sim);
    while told.iter().filter(|one| one.kind() == ExecutionEventKind::New).count() < 3 {
        let batch = tokio::time::timeout(PATIENCE, watch.next()).await.expect("in time");
        told.extend(batch.unwrap().unwrap());
    }
    told.retain(|event| event.kind() == ExecutionEventKind::New);
    assert_eq!(shares(&told), BTreeMap::from([("a1", vec!["40", "60"]), ("a2", vec!["100"])]));
    let alpha = broker.client("alpha").await;
    let orders = all_of(&alpha).await;
    assert!(orders.iter().all(|one| one.state() == OrderState::Filled), "{orders:?}");
    let beta = broker.client("beta").await;
    beta.orders().cancel("b1").await.unwrap();
    let cancelled = state(&beta, "b1", OrderState::Cancelled).await;
    soon("the audit log goes on", || async {
        let audit = broker.home().audit();
        let line = audit.iter().find(|line| line["order_id"] == cancelled.order_id)?;
        Some(line.clone())
    })
    .await;
    let ledger = ledger_now(&mut sim);
    assert_eq!(entry(&ledger, cancelled.order_id)["cancels"], 1);
    assert_eq!(ledger.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_fills_while_its_session_is_lost_is_unknown_and_then_filled() {
    let mut sim = sim(&["--manual-fills"]);
    let broker = trading(&sim);
    let [first, second, _] = Box::pin(three_rest(&broker)).await;
    let admin = broker.client("operator").await.admin();
    admin.hold("a look", true).await.unwrap();
    broker.wait_status("it is held", |status| status["state"] == "HELD");
    let alpha = broker.client("alpha").await;
    state(&alpha, "a1", OrderState::Unknown).await;
    let wanted = super::request(ibouncer_client::order::limit("BUY", "100", 2.0));
    let error = alpha.orders().modify("a2", wanted).await.unwrap_err();
    assert_eq!(error.delivery(), Some(ibouncer_client::Delivery::NotSent), "{error}");
    sim.happen(&format!("fill=410/{first}:all"));
    admin.release("looked").await.unwrap();
    broker.wait_trading();
    state(&alpha, "a1", OrderState::Filled).await;
    assert_eq!(state(&alpha, "a2", OrderState::Working).await.order_id, second);
    let (told, _) = executions(&alpha, 0, 1).await;
    assert_eq!(shares(&told), BTreeMap::from([("a1", vec!["100"])]));
}
