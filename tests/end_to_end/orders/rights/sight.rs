//! What a client with an account list sees: its accounts, and no trace of the others.

use std::collections::BTreeSet;

use ibouncer_client::api::OrderScope;
use ibouncer_client::api::account_event::Body;
use ibouncer_client::{Client, tws};

use super::{ONE, TWO, both, clients, connect_all};

/// Every account that a client can read of, and where.
async fn accounts_seen(client: &Client) -> BTreeSet<(&'static str, String)> {
    let (accounts, orders) = (client.accounts(), client.orders());
    let mut seen = BTreeSet::new();
    for account in accounts.list().await.unwrap() {
        seen.insert(("accounts", account.account));
    }
    for position in accounts.positions().await.unwrap().value {
        seen.insert(("positions", position.account().to_owned()));
    }
    for value in accounts.account_summary("NetLiquidation").await.unwrap().value {
        seen.insert(("summary", value.account().to_owned()));
    }
    for open in orders.open(OrderScope::All).await.unwrap().value.orders {
        seen.insert(("open orders", open.order.unwrap().account().to_owned()));
    }
    for done in orders.completed(false).await.unwrap().value {
        seen.insert(("completed orders", done.order.unwrap().account().to_owned()));
    }
    let filter = tws::ExecutionFilter { last_n_days: Some(2), ..Default::default() };
    for done in orders.executions(filter, OrderScope::All).await.unwrap().value.executions {
        seen.insert(("executions", done.execution.unwrap().acct_number().to_owned()));
    }
    for order in orders.list(OrderScope::All, true).await.unwrap().0 {
        seen.insert(("the broker's list", order.order.unwrap().account().to_owned()));
    }
    let mut watch = orders.watch(None, OrderScope::All).await.unwrap();
    for event in watch.next().await.unwrap().unwrap() {
        let order = event.order.unwrap().order.unwrap();
        seen.insert(("the broker's events", order.account().to_owned()));
    }
    let mut watch = orders.watch_executions(Some(0), OrderScope::All).await.unwrap();
    for event in watch.next().await.unwrap().unwrap() {
        let done = event.execution.unwrap().execution.unwrap();
        seen.insert(("the broker's executions", done.acct_number().to_owned()));
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_limited_to_an_account_sees_nothing_of_the_other() {
    let (_sim, broker) = both();
    let connected = connect_all(&broker).await;
    // Something of both accounts in every list: orders, and executions of today.
    for (name, account) in [("plain", ONE), ("other", TWO)] {
        let orders = connected[name].orders();
        orders
            .place(clients::named("rests", clients::bid("AAPL", "10", 1.0, account)))
            .await
            .unwrap();
        let fills = clients::named("fills", clients::bid("AAPL", "10", 9_000.0, account));
        let mut handle = orders.place(fills).await.unwrap();
        handle.outcome().await.unwrap();
        super::super::state(&connected[name], "rests", super::super::OrderState::Working).await;
        let mut told = orders.watch_executions(Some(0), OrderScope::Own).await.unwrap();
        told.next().await.unwrap().unwrap();
    }
    let everything = accounts_seen(&connected["watcher"]).await;
    for (name, own, foreign) in
        [("watcher-one", ONE, TWO), ("one", ONE, TWO), ("two", TWO, ONE), ("alone", TWO, ONE)]
    {
        let client = &connected[name];
        let seen = accounts_seen(client).await;
        let expected: BTreeSet<_> =
            everything.iter().filter(|(_, account)| account == own).cloned().collect();
        assert_eq!(seen, expected, "{name}");
        let refused = client.accounts().account_updates(foreign).await.unwrap_err();
        assert_eq!(refused.code(), "RIGHT_DENIED", "{name}: {refused}");
        let acct_code = Some(foreign.to_owned());
        let filter = tws::ExecutionFilter { acct_code, ..Default::default() };
        let refused = client.orders().executions(filter, OrderScope::All).await.unwrap_err();
        assert_eq!(refused.code(), "RIGHT_DENIED", "{name}: {refused}");
        assert!(!refused.message().contains(foreign), "{refused}");
        let request = tws::PnLRequest { account: Some(foreign.into()), ..Default::default() };
        let mut events = client.accounts().stream_pnl(request).await.unwrap();
        let event = events.next().await.unwrap().expect("why it ended");
        let Some(Body::Mark(mark)) = event.body else {
            panic!("{name} was shown {event:?}");
        };
        assert_eq!(mark.error.unwrap().code, "RIGHT_DENIED", "{name}");
    }
    // Each look beyond is in the audit log, by the name of what was asked.
    let audit = broker.home().audit();
    for name in ["watcher-one", "one", "two", "alone"] {
        let refused =
            |line: &&serde_json::Value| line["principal"] == name && line["result"] == "refused";
        let what: BTreeSet<_> =
            audit.iter().filter(refused).map(|line| line["what"].to_string()).collect();
        assert!(what.len() >= 3, "{name} looked at account updates, executions and PnL: {what:?}");
    }
    // That something is missing could only be seen because it is there.
    for place in ["accounts", "positions", "summary", "open orders", "executions"]
        .into_iter()
        .chain(["the broker's list", "the broker's events", "the broker's executions"])
    {
        for account in [ONE, TWO] {
            assert!(everything.contains(&(place, account.to_owned())), "{place} of {account}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_lists_show_on_request_what_is_ones_own_and_never_our_mark() {
    let (_sim, broker) = both();
    let connected = connect_all(&broker).await;
    for name in ["plain", "other"] {
        let orders = connected[name].orders();
        orders.place(clients::named("rests", clients::bid("AAPL", "10", 1.0, ONE))).await.unwrap();
        let fills = clients::named("fills", clients::bid("AAPL", "10", 9_000.0, ONE));
        orders.place(fills).await.unwrap().outcome().await.unwrap();
        super::super::state(&connected[name], "rests", super::super::OrderState::Working).await;
    }
    let mut ids = BTreeSet::new();
    for (name, count) in [("plain", 1), ("other", 1), ("boss", 0)] {
        let orders = connected[name].orders();
        let own = orders.open(OrderScope::Own).await.unwrap().value.orders;
        assert_eq!(own.len(), count, "{name}");
        ids.extend(own.iter().map(tws::OpenOrder::order_id));
        let filter = tws::ExecutionFilter { last_n_days: Some(2), ..Default::default() };
        let own = orders.executions(filter, OrderScope::Own).await.unwrap().value;
        assert_eq!((own.executions.len(), own.commissions.len()), (count, count), "{name}");
    }
    assert_eq!(ids.len(), 2, "each its own");
    let all = connected["watcher"].orders().open(OrderScope::All).await.unwrap().value.orders;
    assert!(all.len() >= 2);
    for open in all {
        let order_ref = open.order.unwrap_or_default().order_ref().to_owned();
        assert!(!order_ref.starts_with("ibouncer:"), "{order_ref}");
    }
}
