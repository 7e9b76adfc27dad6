//! Twenty clients with different rights trade at once on one session; whatever goes beyond them is
//! refused and audited, and Gateway's ledger has what was allowed, and nothing else.

mod attempts;
mod clients;
mod reloads;
mod sight;

use std::collections::BTreeMap;

use ibouncer_client::api::ChangeState;
use ibouncer_client::{Client, contract};
use ibouncer_tests::harness::{Broker, Sim};
use serde_json::Value;
use tokio::task::JoinSet;

use super::{all_of, ours, sim};
use attempts::{ATTEMPTS, Attempt};

const ONE: &str = "DU0000001";
const TWO: &str = "DU0000002";

/// Two accounts, and a broker for all clients.
fn both() -> (Sim, Broker) {
    let sim = sim(&["--accounts", "DU0000001,DU0000002"]);
    let broker = super::plan_for(&sim, &clients::all()).start();
    broker.wait_trading();
    (sim, broker)
}

async fn connect_all(broker: &Broker) -> BTreeMap<&'static str, Client> {
    let mut connected = BTreeMap::new();
    for (name, _) in clients::CLIENTS {
        connected.insert(name, broker.client_by_token(name).await);
    }
    connected
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_clients_trade_at_once_and_whatever_is_beyond_their_rights_is_refused_and_audited() {
    let (sim, broker) = both();
    let connected = connect_all(&broker).await;
    assert_eq!(connected.len(), 20);
    // Where a price is compared with a quote, there has to be one.
    let mut quotes = super::super::stream::Reader::open(&connected["banded"]).await;
    quotes.stock("AAPL").await;
    quotes.live_tick().await;

    // What each may, all at once.
    let mut tasks = JoinSet::new();
    for (name, order) in clients::allowed() {
        let orders = connected[name].orders();
        tasks.spawn(async move {
            let mut handle = orders.place(order).await.unwrap_or_else(|e| panic!("{name}: {e}"));
            handle.acknowledged().await.unwrap();
            (name.to_owned(), handle.client_order_id().to_owned())
        });
    }
    let mut allowed = tasks.join_all().await;
    allowed.sort();
    for (name, order) in clients::allowed() {
        super::state(&connected[name], &order.client_order_id, super::OrderState::Working).await;
    }

    // And then everything that it may not.
    let mut tasks = JoinSet::new();
    for (who, client) in &connected {
        let (who, client) = (*who, client.clone());
        tasks.spawn(async move {
            let mut wrong = Vec::new();
            for (_, attempt, code) in ATTEMPTS.iter().filter(|(name, ..)| *name == who) {
                match attempt.make(&client).await {
                    Err(error) if error.code() == *code => {}
                    other => wrong.push(format!("{who}: {attempt:?} is {other:?}, not {code}")),
                }
            }
            wrong
        });
    }
    let wrong: Vec<_> = tasks.join_all().await.concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    check_audit(&broker.home().audit());

    // What is listed is what was allowed, in the broker and at Gateway.
    let mut listed = Vec::new();
    for (name, client) in &connected {
        let orders = all_of(client).await;
        assert!(orders.iter().all(|order| order.owner == *name), "{name}: {orders:?}");
        listed.extend(orders.into_iter().map(|order| (order.owner, order.client_order_id)));
    }
    listed.sort();
    assert_eq!(listed, allowed);

    // An administrator changes what another began, and ends it, and that is audited as well.
    let change = Attempt::ModifyOf("plain", "own", "5", "too large").make(&connected["boss"]).await;
    change.unwrap();
    let changed = super::soon("the change is done", || async {
        let order = connected["plain"].orders().get("", "own").await.ok()?;
        let done = order.change.as_ref()?.state() == ChangeState::Done;
        done.then_some(order)
    })
    .await;
    assert_eq!(changed.order.unwrap().total_quantity(), "5");
    let by = changed.change.unwrap();
    assert_eq!((&by.by[..], &by.reason[..]), ("boss", "too large"), "its owner sees who it was");
    let cancel = Attempt::Cancel("plain", "own", "a test").make(&connected["boss"]).await;
    cancel.unwrap();
    super::state(&connected["plain"], "own", super::OrderState::Cancelled).await;
    let audit = broker.home().audit();
    let by_boss = |line: &&Value| {
        (&line["principal"], &line["owner"]) == (&"boss".into(), &"plain".into())
            && line["result"] == "sent"
    };
    let line = audit.iter().find(by_boss).expect("a line about the boss");
    assert_eq!((&line["what"], &line["reason"]), (&"ModifyOrder".into(), &"too large".into()));
    assert_eq!(line["credential"], "the token of clients.boss");
    let line = audit.iter().rfind(by_boss).expect("a line about the boss");
    assert_eq!((&line["result"], &line["reason"]), (&"sent".into(), &"a test".into()), "{line}");

    drop(quotes);
    drop(connected);
    drop(broker);
    let ledger = ours(&sim.ledger());
    assert_eq!(ledger.len(), allowed.len(), "{ledger:#?}");
    let mut places: Vec<_> = ledger.iter().map(|entry| entry["places"].as_u64().unwrap()).collect();
    places.sort_unstable();
    assert_eq!(places.pop(), Some(2), "the one that was changed: {ledger:#?}");
    assert!(places.iter().all(|places| *places == 1), "{ledger:#?}");
    let cancelled = ledger.iter().filter(|entry| entry["cancels"] != 0).count();
    assert_eq!(cancelled, 1);
}

/// Each order of an attempt that came to the desk has its line, and no other line says "refused".
#[track_caller]
fn check_audit(audit: &[Value]) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found: Vec<_> = audit
        .iter()
        .filter(|line| line["result"] == "refused")
        .map(|line| {
            let reason = text(&line["reason"]);
            let code = reason.split(':').next().unwrap_or_default().to_owned();
            (text(&line["principal"]), text(&line["what"]), code)
        })
        .collect();
    let mut expected: Vec<_> = ATTEMPTS
        .iter()
        .flat_map(|(who, attempt, code)| {
            let line = ((*who).to_owned(), attempt.audited_as().to_owned(), (*code).to_owned());
            vec![line; attempt.lines()]
        })
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_of_one_client_does_not_make_another() {
    let (_sim, broker) = both();
    let path = broker.home().path().join("one.token");
    let token = std::fs::read_to_string(path).unwrap();
    let options = ibouncer_client::Options::new().target(broker.tcp()).token(token.trim());
    let as_two = options.clone().client_name("two");
    let refused = match Client::connect(as_two).await {
        Ok(client) => client.who_am_i().await.map(drop).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    assert!(refused.contains("configured client"), "{refused}");
    // By another name it is what its token says.
    let client = Client::connect(options.client_name("anything")).await.unwrap();
    let me = client.who_am_i().await.unwrap();
    assert_eq!((me.principal.as_str(), me.accounts), ("one", vec![ONE.to_owned()]));
    let wrong = ibouncer_client::Options::new().target(broker.tcp()).token("wrong");
    let refused = match Client::connect(wrong).await {
        Ok(client) => client.who_am_i().await.map(drop).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    assert!(refused.contains("wrong token"), "{refused}");
    let claims: Vec<_> = broker
        .home()
        .audit()
        .into_iter()
        .filter(|line| line["what"] == "Connect" && line["result"] == "refused")
        .map(|line| (line["client"].clone(), line["reason"].to_string()))
        .collect();
    let is = |name: &str, why: &str| {
        claims.iter().any(|(client, reason)| client == name && reason.contains(why))
    };
    assert!(is("two", "configured client"), "{claims:?}");
    assert!(claims.iter().any(|(_, reason)| reason.contains("wrong token")), "{claims:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_con_id_counts_once_gateway_has_said_what_it_is() {
    let (_sim, broker) = both();
    let apple = broker.client_by_token("apple").await;
    let by_number = |name: &str, con_id: i32| {
        let mut request = clients::bid("AAPL", "10", 1.0, ONE);
        request.contract.get_or_insert_default().con_id = Some(con_id);
        clients::named(name, request)
    };
    let mut ids = BTreeMap::new();
    for symbol in ["AAPL", "MSFT"] {
        let details = apple.contracts().details(contract::stock(symbol)).await.unwrap().value;
        ids.insert(symbol, details[0].contract.as_ref().unwrap().con_id());
    }
    apple.orders().place(by_number("known", ids["AAPL"])).await.unwrap();
    let error = apple.orders().place(by_number("x", ids["MSFT"])).await.unwrap_err();
    assert!(error.message().contains("MSFT"), "{error}");
    let error = apple.orders().place(by_number("x", 1)).await.unwrap_err();
    assert!(error.message().contains("GetContractDetails"), "{error}");
    // Words are words: Gateway goes by them as well.
    apple
        .orders()
        .place(clients::named("words", clients::bid("AAPL", "10", 1.0, ONE)))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_changed_as_it_was_told_by_a_client_that_may_trade_one_symbol_only() {
    let (_sim, broker) = both();
    let apple = broker.client_by_token("apple").await;
    apple.orders().place(clients::named("a", clients::bid("AAPL", "10", 1.0, ONE))).await.unwrap();
    let told = super::state(&apple, "a", super::OrderState::Working).await;
    let (contract, order) = (told.contract.unwrap(), told.order.unwrap());
    assert_ne!(contract.con_id(), 0, "Gateway has told which one it is");
    let request = ibouncer_client::tws::PlaceOrderRequest {
        contract: Some(contract),
        order: Some(ibouncer_client::tws::Order { lmt_price: Some(2.0), ..order }),
        ..Default::default()
    };
    apple.orders().modify("a", request).await.unwrap();
}
