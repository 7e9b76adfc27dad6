//! Accounts, orders and executions through the broker: what vanished while nobody looked, a second
//! account, and whose orders are listed.

use std::collections::BTreeSet;

use ibouncer_client::api::account_event::Body;
use ibouncer_client::api::{AccountEvent, MarkKind, OrderScope};
use ibouncer_client::{Client, Subscription, tws};
use ibouncer_tests::harness::Principal;
use ibouncer_tests::harness::wait::PATIENCE;
use serde_json::Value;

use super::stream::connect;
use super::{plan, ready, sim};

const FIRST: &str = "DU0000001";
const SECOND: &str = "DU0000002";

/// Everything up to a body that fits, itself included.
async fn until(events: &mut Subscription<AccountEvent>, fits: impl Fn(&Body) -> bool) -> Vec<Body> {
    let mut seen = Vec::new();
    loop {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("an event in time");
        let body = event.unwrap().expect("it goes on").body.expect("a body");
        let last = fits(&body);
        seen.push(body);
        if last {
            return seen;
        }
    }
}

fn is_mark(kind: MarkKind) -> impl Fn(&Body) -> bool {
    move |body| matches!(body, Body::Mark(mark) if mark.kind() == kind)
}

fn is_end(body: &Body) -> bool {
    matches!(body, Body::PositionEnd(_))
}

/// Sizes that were told of the positions in a symbol.
fn sizes(bodies: &[Body], symbol: &str) -> Vec<String> {
    let position = |body: &Body| match body {
        Body::Position(position) => {
            let contract = position.contract.as_ref()?;
            (contract.symbol() == symbol).then(|| position.position().to_owned())
        }
        _ => None,
    };
    bodies.iter().filter_map(position).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_vanished_while_there_was_no_session_is_told_once_as_nothing() {
    let sim = sim(&["--happen", "12s:position-vanishes=MSFT"]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let client = connect(&broker).await;
    let mut positions = client.accounts().stream_positions().await.unwrap();
    let before = until(&mut positions, is_end).await;
    assert_eq!(sizes(&before, "MSFT"), ["50"]);

    let held = broker.cli(&["session", "hold", "--drop-live-session", "--reason", "test"]);
    assert_eq!(held.code, 0, "{held:?}");
    until(&mut positions, is_mark(MarkKind::Stale)).await;
    assert!(sim.named("happened").is_empty(), "it is to happen while nobody looks");
    sim.wait("that it vanishes", |event| event["event"] == "happened");
    let released = broker.cli(&["session", "release"]);
    assert_eq!(released.code, 0, "{released:?}");

    until(&mut positions, is_mark(MarkKind::Resumed)).await;
    let after = until(&mut positions, is_end).await;
    assert_eq!(sizes(&after, "MSFT"), ["0"], "once, and before Gateway's end");
    assert_eq!(sizes(&after, "TSLA"), ["-20"], "what is held is told as it is");
    // Who comes later never knew it, and whoever knows it is not told again.
    let late = connect(&broker).await;
    let held = late.accounts().positions().await.unwrap();
    let symbols: BTreeSet<_> =
        held.iter().filter_map(|one| Some(one.contract.as_ref()?.symbol())).collect();
    assert!(symbols.contains("TSLA") && !symbols.contains("MSFT"), "{symbols:?}");
    let again = broker.cli(&["worker", "restart", "--drop-live-session", "--reason", "test"]);
    assert_eq!(again.code, 0, "{again:?}");
    until(&mut positions, is_mark(MarkKind::Resumed)).await;
    let last = until(&mut positions, is_end).await;
    assert!(sizes(&last, "MSFT").is_empty(), "{last:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_one_account_never_hears_of_positions_of_another_not_even_that_they_vanished() {
    let happens = ["--happen", "12s:position-vanishes=MSFT", "--no-orders"];
    let sim = sim(&[&["--accounts", "DU0000001,DU0000002"], &happens[..]].concat());
    let clients = [
        Principal::named("second", "role = \"observe\"\naccounts = [\"DU0000002\"]"),
        Principal::named("all", "role = \"observe\""),
    ];
    let broker = plan(&sim).trading(&clients).start();
    broker.wait_ready();
    let connect = async |name| Client::connect(broker.home().options_of(name)).await.unwrap();
    let (limited, free) = (connect("second").await, connect("all").await);
    let mut own = limited.accounts().stream_positions().await.unwrap();
    let mut all = free.accounts().stream_positions().await.unwrap();
    let before = until(&mut own, is_end).await;
    assert!(sizes(&before, "MSFT").is_empty() && !sizes(&before, "NVDA").is_empty(), "{before:?}");
    assert_eq!(sizes(&until(&mut all, is_end).await, "MSFT"), ["50"]);

    let held = broker.cli(&["session", "hold", "--drop-live-session", "--reason", "test"]);
    assert_eq!(held.code, 0, "{held:?}");
    sim.wait("that it vanishes", |event| event["event"] == "happened");
    let released = broker.cli(&["session", "release"]);
    assert_eq!(released.code, 0, "{released:?}");
    until(&mut all, is_mark(MarkKind::Resumed)).await;
    assert_eq!(sizes(&until(&mut all, is_end).await, "MSFT"), ["0"]);
    until(&mut own, is_mark(MarkKind::Resumed)).await;
    let after = until(&mut own, is_end).await;
    assert!(sizes(&after, "MSFT").is_empty(), "{after:?}");
    assert_eq!(sizes(&after, "NVDA"), sizes(&before, "NVDA"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_account_is_told_without_a_valuation_and_takes_nothing_from_the_first() {
    let sim = sim(&["--accounts", "DU0000001,DU0000002", "--account-refresh", "500ms"]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let client = connect(&broker).await;
    let mut first = client.accounts().stream_account_updates(FIRST).await.unwrap();
    let told = until(&mut first, |body| matches!(body, Body::AccountDataEnd(_))).await;
    let valued =
        |body: &Body| matches!(body, Body::PortfolioValue(item) if item.market_price() > 0.0);
    assert_eq!(told.iter().filter(|body| valued(body)).count(), 6);

    // The same call, read to its end by a program that knows nothing of all this.
    let other = connect(&broker).await;
    let accounts = other.accounts();
    let second = tokio::time::timeout(PATIENCE, accounts.account_updates(SECOND));
    let second = second.await.expect("it ends").unwrap();
    let cash = second.values.iter().find(|value| value.key() == "TotalCashValue").unwrap();
    assert_eq!((cash.account_name(), cash.value()), (SECOND, "1025000.00"));
    let mut held: Vec<_> = second
        .portfolio
        .iter()
        .map(|item| {
            let symbol = item.contract.as_ref().unwrap().symbol();
            (symbol, item.position(), item.market_price)
        })
        .collect();
    held.sort_by_key(|(symbol, ..)| *symbol);
    assert_eq!(held, [("AAPL", "10", None), ("NVDA", "200", None)]);
    assert_eq!(sim.wait_requests("REQ_ACCOUNT_UPDATES_MULTI", 1)[0]["account"], SECOND);
    assert_eq!(sim.wait_requests("REQ_POSITIONS_MULTI", 1)[0]["account"], SECOND);

    // What was opened is cancelled, and the first one goes on with what is new.
    sim.wait_requests("CANCEL_ACCOUNT_UPDATES_MULTI", 1);
    sim.wait_requests("CANCEL_POSITIONS_MULTI", 1);
    until(&mut first, valued).await;
    assert_eq!(sim.requests("REQ_ACCT_DATA").len(), 1);
    assert!(sim.named("limit").is_empty(), "Gateway switched nothing over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_not_named_is_the_first_one_whatever_others_ask_for() {
    let sim = sim(&["--accounts", "DU0000001,DU0000002", "--account-refresh", "500ms"]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let client = connect(&broker).await;
    let mut other = Some(client.accounts().stream_account_updates(SECOND).await.unwrap());
    let is_told = |body: &Body| matches!(body, Body::AccountDataEnd(_));
    until(other.as_mut().expect("it is open"), is_told).await;
    // Once beside the updates of another account, once alone.
    for turn in ["beside", "alone"] {
        let accounts = client.accounts();
        let unnamed = tokio::time::timeout(PATIENCE, accounts.account_updates(""));
        let unnamed = unnamed.await.expect("it ends").unwrap();
        let cash: Vec<_> =
            unnamed.values.iter().filter(|value| value.key() == "TotalCashValue").collect();
        assert_eq!(cash.len(), 1, "{turn}: {cash:?}");
        assert!(unnamed.values.iter().all(|value| value.account_name() == FIRST), "{turn}");
        assert!(unnamed.portfolio.iter().all(|item| item.account_name() == FIRST), "{turn}");
        if let Some(other) = other.take() {
            drop(other);
            let asked = sim.wait_requests("REQ_ACCT_DATA", 2);
            assert_eq!(asked[1]["subscribe"], false, "it is given back");
        }
    }
    assert_eq!(sim.wait_requests("REQ_ACCOUNT_UPDATES_MULTI", 1)[0]["account"], FIRST);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_late_knows_a_closed_position_and_its_profit_like_who_was_there() {
    let mut sim = sim(&["--control"]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let client = connect(&broker).await;
    let mut early = client.accounts().stream_account_updates(FIRST).await.unwrap();
    until(&mut early, |body| matches!(body, Body::AccountDataEnd(_))).await;
    sim.happen("execution=MSFT:-50:manual");
    let is_closed = |body: &Body| match body {
        Body::PortfolioValue(item) => {
            let symbol = item.contract.as_ref().map(|contract| contract.symbol());
            symbol == Some("MSFT") && item.position() == "0"
        }
        _ => false,
    };
    let told = until(&mut early, is_closed).await;
    let Some(Body::PortfolioValue(closed)) = told.last() else { panic!("{told:?}") };
    assert_ne!(closed.realized_pnl(), 0.0);
    let late = client.accounts().account_updates(FIRST).await.unwrap();
    assert!(late.portfolio.contains(closed), "{:?}", late.portfolio);
}

fn symbols_of(executions: &[tws::ExecutionDetails]) -> Vec<&str> {
    let mut symbols: Vec<_> =
        executions.iter().map(|one| one.contract.as_ref().unwrap().symbol()).collect();
    symbols.sort_unstable();
    symbols
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_and_executions_are_everybodys_or_those_of_the_session() {
    let (sim, broker) = ready();
    let client = connect(&broker).await;
    let orders = client.orders();
    // Of two days, so that midnight does not matter.
    let filter = || tws::ExecutionFilter { last_n_days: Some(2), ..Default::default() };
    let all = orders.executions(filter(), OrderScope::All).await.unwrap();
    assert_eq!(symbols_of(&all.executions), ["AAPL", "AAPL", "NVDA", "TSLA"]);
    let ids = |found: &[tws::ExecutionDetails]| -> BTreeSet<String> {
        found.iter().map(|one| one.execution.as_ref().unwrap().exec_id().to_owned()).collect()
    };
    let costs: BTreeSet<_> =
        all.commissions.iter().map(|report| report.exec_id().to_owned()).collect();
    assert_eq!(costs, ids(&all.executions), "each has its cost");
    assert!(all.commissions.iter().all(|report| report.commission_and_fees() > 1.0));
    let ours = orders.executions(filter(), OrderScope::Session).await.unwrap();
    assert_eq!(symbols_of(&ours.executions), ["AAPL", "AAPL"]);
    let costs: BTreeSet<_> =
        ours.commissions.iter().map(|report| report.exec_id().to_owned()).collect();
    assert_eq!(costs, ids(&ours.executions), "and no cost of another's");

    let ids = |found: &[tws::OpenOrder]| -> Vec<i32> {
        let mut ids: Vec<_> = found.iter().map(tws::OpenOrder::order_id).collect();
        ids.sort_unstable();
        ids
    };
    let all = orders.open(OrderScope::All).await.unwrap();
    assert_eq!((ids(&all.orders), all.statuses.len()), (vec![0, 3, 101, 102], 4));
    let ours = orders.open(OrderScope::Session).await.unwrap();
    assert_eq!(ids(&ours.orders), [101, 102]);
    assert_eq!(sim.wait_requests("REQ_OPEN_ORDERS", 1).len(), 1);
    let by_api = orders.completed(true).await.unwrap();
    let states: Vec<_> =
        by_api.iter().map(|order| order.order_state.as_ref().unwrap().status()).collect();
    assert_eq!(states, ["Filled", "Cancelled"], "without what was done by hand");
    let filtered: Vec<Value> = sim.wait_requests("REQ_EXECUTIONS", 2);
    assert_eq!(filtered.len(), 2);
    assert_eq!(filtered[1]["filter_client_id"], 410, "{filtered:?}");
}
