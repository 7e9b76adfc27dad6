//! A journal that cannot be written, that cannot be read, and that is another login's.

use std::fs;
use std::path::PathBuf;

use ibouncer_client::api::{OrderScope, OrderState};
use ibouncer_tests::harness::Broker;

use super::super::super::stream::Reader;
use super::super::{all_of, entry, ledger_now, ours, plan, sim, soon, state, trading};
use super::{refused, refused_in_doubt, rests};

fn journal_of(broker: &Broker) -> PathBuf {
    let entries = fs::read_dir(broker.home().state()).unwrap();
    let paths = entries.flatten().map(|entry| entry.path());
    let mut journals: Vec<_> =
        paths.filter(|path| path.to_string_lossy().ends_with(".orders.db")).collect();
    assert_eq!(journals.len(), 1, "{journals:?}");
    journals.remove(0)
}

/// Why trading is as it is.
fn why(broker: &Broker) -> String {
    broker.cli(&["trading", "status", "--json"]).json()["because"].to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_orders_lets_the_rest_pass_and_is_over_when_there_is_room() {
    let mut sim = sim(&[]);
    let broker = plan(&sim).announce_error("cannot be written").announce_error("journal").start();
    broker.wait_trading();
    let alpha = broker.client("alpha").await;
    let mut quotes = Reader::open(&alpha).await;
    quotes.stock("MSFT").await;
    quotes.live_tick().await;
    let (first, second) = (rests(&alpha, "a1").await, rests(&alpha, "a2").await);
    broker.limit_files(Some(1));
    // What is on its way when it fills up does not leave; what comes then is not taken.
    let error = alpha.orders().place(super::resting("lost")).await.unwrap_err();
    assert_eq!(error.delivery(), Some(ibouncer_client::Delivery::NotSent), "{error}");
    let status = broker.wait_status("it is told", |status| status["trading"] == "halted");
    assert!(status["state"] == "READY", "{status:#}");
    let error = refused(&alpha, "a3", "JOURNAL_FAILED").await;
    assert!(error.message().contains("cannot be written"), "{error}");
    let status = broker.cli(&["trading", "status", "--json"]).json();
    assert_ne!(status["journal"], "ok", "{status:#}");
    // Cancels pass, data passes, and owners hear of their fills.
    alpha.orders().cancel("a1").await.unwrap();
    state(&alpha, "a1", OrderState::Cancelled).await;
    sim.happen(&format!("fill=410/{second}:all"));
    state(&alpha, "a2", OrderState::Filled).await;
    quotes.live_tick().await;

    broker.limit_files(None);
    broker.wait_trading();
    assert_eq!(broker.cli(&["trading", "status", "--json"]).json()["journal"], "ok");
    rests(&alpha, "a3").await;
    let ledger = ledger_now(&mut sim);
    assert_eq!(ledger.len(), 3, "{ledger:#?}");
    assert_eq!(entry(&ledger, first)["status"], "Cancelled");
    // And what happened meanwhile is on disk now.
    let mut broker = broker;
    drop(quotes);
    broker.kill();
    let broker = broker.successor().start();
    broker.wait_trading();
    let alpha = broker.client("alpha").await;
    state(&alpha, "a1", OrderState::Cancelled).await;
    let filled = state(&alpha, "a2", OrderState::Filled).await;
    assert_eq!(filled.filled, "100");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_is_damaged_halts_trading_and_says_how_to_repair_it() {
    let sim = sim(&[]);
    let mut broker = trading(&sim);
    let alpha = broker.client("alpha").await;
    let id = rests(&alpha, "a1").await;
    broker.kill();
    let journal = journal_of(&broker);
    let whole = fs::read(&journal).unwrap();
    let aside: Vec<_> = ["-wal", "-shm"]
        .map(|suffix| PathBuf::from(format!("{}{suffix}", journal.display())))
        .into_iter()
        .filter_map(|path| Some((fs::read(&path).ok()?, path)))
        .collect();
    for (_, path) in &aside {
        fs::remove_file(path).unwrap();
    }
    fs::write(
        &journal,
        b"this is no database, and never was one; it is longer than a header".repeat(9),
    )
    .unwrap();
    let mut broker =
        broker.successor().announce_error("journal").announce_error("no order").start();
    broker.wait_ready();
    broker.wait_status("it is halted", |status| status["trading"] == "halted");
    let because = why(&broker);
    assert!(because.contains(journal.to_str().unwrap()), "{because}");
    let alpha = broker.client("alpha").await;
    // Nobody is told that there is no order, or that it never left.
    refused_in_doubt(&alpha, "a1").await;
    for error in [
        alpha.orders().cancel("a1").await.unwrap_err(),
        alpha.orders().cancel_all("", "").await.unwrap_err(),
        alpha.orders().list(OrderScope::Own, true).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), "JOURNAL_DAMAGED", "{error}");
    }
    let mut quotes = Reader::open(&alpha).await;
    quotes.stock("AAPL").await;
    quotes.live_tick().await;
    // Nobody can wave it through, and the file is as it was.
    let adopted = broker.cli(&["trading", "adopt-state", "--reason", "never mind", "--json"]);
    assert_eq!(adopted.error()["code"], "TRADING_HALTED", "{adopted:?}");
    drop(quotes);
    broker.kill();
    assert!(fs::read(&journal).unwrap().starts_with(b"this is no database"));
    // The way to repair it: what was there before.
    fs::write(&journal, whole).unwrap();
    for (text, path) in aside {
        fs::write(path, text).unwrap();
    }
    let broker = broker.successor().start();
    broker.wait_trading();
    let alpha = broker.client("alpha").await;
    assert_eq!(state(&alpha, "a1", OrderState::Working).await.order_id, id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_of_another_login_halts_trading_until_it_is_adopted() {
    let sim_before = sim(&[]);
    let address = sim_before.address().to_owned();
    let broker = plan(&sim_before).announce_error("trading is halted").start();
    broker.wait_trading();
    let alpha = broker.client("alpha").await;
    rests(&alpha, "a1").await;
    sim_before.stop();
    let sim = sim(&["--listen", &address, "--accounts", "DU0000007"]);
    broker.wait_status("it is halted", |status| status["trading"] == "halted");
    assert!(why(&broker).contains("adopt-state"), "{}", why(&broker));
    let error = refused(&alpha, "a2", "TRADING_HALTED").await;
    assert!(error.message().contains("another login"), "{error}");
    assert!(!error.message().contains("DU0000007"), "accounts are masked: {error}");
    let adopted = broker.cli(&["trading", "adopt-state", "--reason", "we moved", "--json"]);
    assert_eq!(adopted.code, 0, "{adopted:?}");
    broker.wait_trading();
    let id = rests(&alpha, "a2").await;
    soon("the first one is UNKNOWN", || async {
        let orders = all_of(&alpha).await;
        let first = orders.iter().find(|order| order.client_order_id == "a1")?;
        (first.state() == OrderState::Unknown).then_some(())
    })
    .await;
    assert_eq!(alpha.orders().list(OrderScope::Own, false).await.unwrap().0.len(), 2);
    drop(broker);
    let ledger = ours(&sim.ledger());
    assert_eq!(entry(&ledger, id)["account"], "DU0000007");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_journal_beside_orders_of_another_program_halts_trading_until_it_is_adopted() {
    // The order that this one holds from the start is of API client 77.
    let sim = super::super::super::sim(&["--own-client-id", "77", "--control"]);
    let mut broker = plan(&sim).announce_error("trading is halted").start();
    broker.wait_status("it is halted", |status| status["trading"] == "halted");
    assert!(why(&broker).contains("API client 77"), "{}", why(&broker));
    let alpha = broker.client("alpha").await;
    refused_in_doubt(&alpha, "a1").await;
    let adopted = broker.cli(&["trading", "adopt-state", "--reason", "those are others'"]);
    assert_eq!(adopted.code, 0, "{adopted:?}");
    broker.wait_trading();
    // Once is enough, though the journal holds no order still.
    broker.kill();
    let broker = broker.successor().start();
    broker.wait_trading();
    rests(&broker.client("alpha").await, "a1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_event_halts_trading_and_orders_can_be_cancelled_all_the_same() {
    let sim = sim(&[]);
    let mut broker = trading(&sim);
    rests(&broker.client("alpha").await, "a1").await;
    broker.kill();
    let journal = journal_of(&broker);
    let database = rusqlite::Connection::open(&journal).unwrap();
    let damage =
        "UPDATE events SET sum = sum + 1 WHERE sequence = (SELECT max(sequence) FROM events)";
    assert_eq!(database.execute(damage, []).unwrap(), 1);
    drop(database);
    let mut broker =
        broker.successor().announce_error("trading is halted").announce_error("old events").start();
    broker.wait_status("it is halted", |status| status["trading"] == "halted");
    broker.wait_ready();
    let words = why(&broker);
    assert!(words.contains("of its table events"), "{words}");
    let alpha = broker.client("alpha").await;
    refused(&alpha, "a2", "TRADING_HALTED").await;
    let mut watch = alpha.orders().watch(Some(0), OrderScope::Own).await.unwrap();
    let error = loop {
        if let Err(error) = watch.next().await {
            break error;
        }
    };
    assert_eq!(error.code(), "JOURNAL_DAMAGED", "{error}");
    state(&alpha, "a1", OrderState::Working).await;
    alpha.orders().cancel("a1").await.unwrap();
    state(&alpha, "a1", OrderState::Cancelled).await;
    // What is said is what helps.
    broker.kill();
    let (_, statement) = words.split_once("'DELETE").expect("a statement");
    let statement = format!("DELETE{}", statement.split_once('\'').unwrap().0);
    let database = rusqlite::Connection::open(&journal).unwrap();
    assert_eq!(database.execute(&statement, []).unwrap(), 1, "{statement}");
    drop(database);
    let broker = broker.successor().start();
    broker.wait_trading();
    rests(&broker.client("alpha").await, "a2").await;
}
