//! What keeps orders back: halts, clients that left, a session that is away, a lost IB.
//!
//! A journal that cannot be written, read, or trusted: `brakes/journal.rs`.

mod journal;

use std::time::Instant;

use ibouncer_client::api::{OrderScope, OrderState};
use ibouncer_client::{Client, Delivery, Error};
use ibouncer_tests::harness::wait::{PATIENCE, until_true};
use ibouncer_tests::harness::{Broker, Principal};

use super::{TRADE, entry, ledger_now, market, ours, plan_for, resting, sim, soon, state, trading};

/// An order of this name is refused with this code, and has not left.
async fn refused(client: &Client, name: &str, code: &str) -> Error {
    let error = client.orders().place(resting(name)).await.unwrap_err();
    assert_eq!((error.code(), error.delivery()), (code, Some(Delivery::NotSent)), "{error}");
    error
}

/// The same, where the journal may have lost orders: the same call may have placed it before.
async fn refused_in_doubt(client: &Client, name: &str) {
    let error = client.orders().place(resting(name)).await.unwrap_err();
    let expected = ("TRADING_HALTED", Some(Delivery::MaybeSent));
    assert_eq!((error.code(), error.delivery()), expected, "{error}");
}

async fn rests(client: &Client, name: &str) -> i32 {
    client.orders().place(resting(name)).await.unwrap();
    state(client, name, OrderState::Working).await.order_id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_halt_holds_from_its_answer_on_without_gateway_and_over_a_restart() {
    let sim = sim(&[]);
    let mut broker = trading(&sim);
    let (alpha, beta) = (broker.client("alpha").await, broker.client("beta").await);
    let operator = broker.client("operator").await;
    let begun = Instant::now();
    operator.admin().halt_trading("alpha", false, "a look").await.unwrap();
    println!("a halt took {:?}", begun.elapsed());
    let error = refused(&alpha, "a1", "TRADING_HALTED").await;
    assert!(error.message().contains("a look"), "{error}");
    rests(&beta, "b1").await;
    operator.admin().resume_trading("alpha", "looked").await.unwrap();
    rests(&alpha, "a1").await;

    // While Gateway is away a halt is as good as ever.
    sim.stop();
    broker.wait_status("it is away", |status| status["trading"] == "down");
    refused(&alpha, "a2", "NOT_READY").await;
    let begun = Instant::now();
    operator.admin().halt_trading("", false, "all of it").await.unwrap();
    println!("a halt without Gateway took {:?}", begun.elapsed());
    for client in [&alpha, &beta] {
        refused(client, "a2", "TRADING_HALTED").await;
    }
    broker.kill();
    let broker = broker.successor().start();
    let alpha = broker.client("alpha").await;
    refused(&alpha, "a2", "TRADING_HALTED").await;
    let status = broker.cli(&["trading", "status", "--json"]).json();
    assert_eq!(status["halts"][0]["reason"], "all of it", "{status:#}");
    broker.client("operator").await.admin().resume_trading("", "over").await.unwrap();
    refused(&alpha, "a2", "NOT_READY").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_halt_can_cancel_what_is_open() {
    let mut sim = sim(&[]);
    let broker = trading(&sim);
    let (alpha, beta) = (broker.client("alpha").await, broker.client("beta").await);
    let ids = [rests(&alpha, "a1").await, rests(&alpha, "a2").await];
    let other = rests(&beta, "b1").await;
    let halted = broker.cli(&[
        "trading",
        "halt",
        "--client",
        "alpha",
        "--cancel-open",
        "--reason",
        "stop it",
        "--json",
    ]);
    assert_eq!(halted.json()["cancels"], 2, "{halted:?}");
    for name in ["a1", "a2"] {
        state(&alpha, name, OrderState::Cancelled).await;
    }
    refused(&alpha, "a3", "TRADING_HALTED").await;
    let ledger = ledger_now(&mut sim);
    assert!(ids.iter().all(|id| entry(&ledger, *id)["status"] == "Cancelled"), "{ledger:#?}");
    assert_eq!(entry(&ledger, other)["cancels"], 0, "another's order is left alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_of_a_client_are_cancelled_when_its_last_instance_has_left() {
    let leaves = "role = \"trade\"\ncancel_on_disconnect = true\n\
                  cancel_on_disconnect_grace = \"200ms\"";
    let mut sim = sim(&[]);
    let principals = [Principal::named("alpha", TRADE), Principal::named("gamma", leaves)];
    let broker = plan_for(&sim, &principals).start();
    broker.wait_trading();
    let alpha = broker.client("alpha").await;
    let one = broker.client("gamma-1").await;
    let two = broker.client("gamma-2").await;
    let id = rests(&one, "g1").await;
    rests(&two, "g2").await;
    drop(one);
    wait_gone(&broker, "gamma-1");
    // More than the grace passes: a stranger's whole order does.
    alpha.orders().place(market("long", "400")).await.unwrap();
    state(&alpha, "long", OrderState::Filled).await;
    let still = alpha.orders().get("gamma", "g1").await.unwrap();
    assert_eq!(still.state(), OrderState::Working, "an instance is there");
    assert_eq!(entry(&ledger_now(&mut sim), id)["cancels"], 0);
    drop(two);
    for name in ["g1", "g2"] {
        soon(&format!("{name} is cancelled"), || async {
            let order = alpha.orders().get("gamma", name).await.ok()?;
            (order.state() == OrderState::Cancelled).then_some(())
        })
        .await;
    }
    let audit = broker.home().audit();
    let by_broker = |line: &&serde_json::Value| {
        line["what"] == "CancelOrder" && line["client"] == "broker" && line["owner"] == "gamma"
    };
    assert_eq!(audit.iter().filter(by_broker).count(), 2, "{audit:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_died_together_with_the_broker_is_cancelled_for() {
    let leaves = "role = \"trade\"\ncancel_on_disconnect = true\n\
                  cancel_on_disconnect_grace = \"200ms\"";
    let sim = sim(&[]);
    let principals = [Principal::named("alpha", TRADE), Principal::named("gamma", leaves)];
    let mut broker = plan_for(&sim, &principals).start();
    broker.wait_trading();
    let gamma = broker.client("gamma").await;
    rests(&gamma, "g1").await;
    broker.kill();
    drop(gamma);
    let broker = broker.successor().start();
    let alpha = broker.client("alpha").await;
    soon("the order is cancelled", || async {
        let order = alpha.orders().get("gamma", "g1").await.ok()?;
        (order.state() == OrderState::Cancelled).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_audit_log_trading_does_not_begin() {
    use std::os::unix::fs::PermissionsExt as _;
    let sim = sim(&[]);
    let mut broker = trading(&sim);
    rests(&broker.client("alpha").await, "a1").await;
    broker.kill();
    let log = broker.home().state().join("audit.jsonl");
    let allow = |mode| {
        std::fs::set_permissions(&log, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    // It is not the broker's alone.
    allow(0o644);
    let broker = broker
        .successor()
        .announce_error("audit log cannot be written")
        .announce_error("trading")
        .start();
    let alpha = broker.client("alpha").await;
    broker.wait_status("READY", |status| status["state"] == "READY");
    let error = refused(&alpha, "a2", "JOURNAL_FAILED").await;
    assert!(error.message().contains("audit log"), "{error}");
    // Cancels pass all the same.
    state(&alpha, "a1", OrderState::Working).await;
    alpha.orders().cancel("a1").await.unwrap();
    state(&alpha, "a1", OrderState::Cancelled).await;
    allow(0o600);
    broker.wait_trading();
    rests(&alpha, "a2").await;
    let refusals = |line: &serde_json::Value| line["client_order_id"] == "a2";
    assert_eq!(broker.home().audit().iter().filter(|line| refusals(line)).count(), 2);
}

fn wait_gone(broker: &Broker, name: &str) {
    until_true(&format!("{name} is gone"), PATIENCE, || {
        let clients = broker.cli(&["clients", "--json"]);
        clients.code == 0 && !clients.stdout.contains(name)
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_may_wait_for_the_next_session_and_leaves_once() {
    let mut sim = sim(&[]);
    let queue = "role = \"trade\"\nwhen_away = \"queue\"";
    let principals = [Principal::named("alpha", TRADE), Principal::named("patient", queue)];
    let broker = plan_for(&sim, &principals).start();
    broker.wait_trading();
    let (alpha, patient) = (broker.client("alpha").await, broker.client("patient").await);
    let admin = broker.client("operator").await.admin();
    admin.hold("a look", true).await.unwrap();
    broker.wait_status("it is held", |status| status["state"] == "HELD");
    refused(&alpha, "a1", "NOT_READY").await;
    let orders = patient.orders();
    let waits = tokio::spawn(async move { orders.place(resting("p1")).await });
    // The same order again waits as well, and is the same order.
    let orders = patient.orders();
    let again = tokio::spawn(async move { orders.place(resting("p1")).await });
    // One whose caller does not wait goes away with it.
    let orders = patient.orders();
    let impatient = tokio::spawn(async move { orders.place(resting("p2")).await });
    // Nothing is left of the three but that they have been asked: the next answer comes behind.
    for _ in 0..3 {
        assert!(patient.orders().list(OrderScope::Own, true).await.unwrap().0.is_empty());
    }
    impatient.abort();
    assert!(impatient.await.unwrap_err().is_cancelled());
    admin.release("looked").await.unwrap();
    let first = waits.await.unwrap().unwrap();
    let second = again.await.unwrap().unwrap();
    assert_eq!(first.order().order_id, second.order().order_id);
    let id = state(&patient, "p1", OrderState::Working).await.order_id;
    let ledger = ledger_now(&mut sim);
    assert_eq!(ledger.len(), 1, "{ledger:#?}");
    assert_eq!(entry(&ledger, id)["places"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_gateway_has_lost_ib_orders_are_refused_and_cancels_pass() {
    let mut sim = sim(&[]);
    let broker = trading(&sim);
    let alpha = broker.client("alpha").await;
    let id = rests(&alpha, "a1").await;
    sim.happen("1100");
    broker.wait_status("IB is lost", |status| status["trading"] == "down");
    let error = refused(&alpha, "a2", "NOT_READY").await;
    assert!(error.message().contains("1100"), "{error}");
    alpha.orders().cancel("a1").await.unwrap();
    sim.happen("1102");
    broker.wait_trading();
    state(&alpha, "a1", OrderState::Cancelled).await;
    rests(&alpha, "a2").await;
    drop(broker);
    let ledger = ours(&sim.ledger());
    assert_eq!(ledger.len(), 2, "{ledger:#?}");
    assert_eq!(entry(&ledger, id)["status"], "Cancelled");
}
