//! Another program uses our client id, and its order has the number of one of ours.

use ibouncer_client::Delivery;
use ibouncer_client::api::{OrderScope, OrderState};
use ibouncer_client::order;

use super::{entry, ledger_now, plan, resting, sim, state};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_programs_order_under_our_number_is_shown_and_neither_changed_nor_cancelled() {
    let mut sim = sim(&["--manual-fills"]);
    let broker = plan(&sim).announce_error("trading is halted").start();
    broker.wait_trading();
    let alpha = broker.client("alpha").await;
    sim.happen("drop-at-order=refused");
    let mut lost = alpha.orders().place(resting("lost")).await.unwrap();
    let id = lost.order().order_id;
    state(&alpha, "lost", OrderState::Unknown).await;
    sim.happen(&format!("order=410/{id}:MSFT:-77:999"));
    broker.wait_status("it is seen", |status| status["trading"] == "halted");
    let because = broker.cli(&["trading", "status", "--json"]).json()["because"].to_string();
    assert!(because.contains("orderRef, contract and side"), "{because}");

    let (all, _) = alpha.orders().list(OrderScope::All, true).await.unwrap();
    let theirs = all.iter().find(|one| one.owner.is_empty()).expect("it is shown");
    assert_eq!(theirs.contract.as_ref().unwrap().symbol(), "MSFT");
    let error = lost.cancel().await.unwrap_err();
    assert_eq!((error.code(), error.delivery()), ("ORDER_UNKNOWN", Some(Delivery::NotSent)));
    // Also when a person has accepted that it is there.
    let operator = broker.client("operator").await;
    operator.admin().adopt_trading_state("another program's").await.unwrap();
    broker.wait_trading();
    let error = lost.modify(order::limit("BUY", "100", 2.0)).await.unwrap_err();
    assert_eq!((error.code(), error.delivery()), ("ORDER_UNKNOWN", Some(Delivery::NotSent)));
    let ledger = ledger_now(&mut sim);
    let theirs = entry(&ledger, id);
    assert_eq!((&theirs["places"], &theirs["cancels"]), (&1.into(), &0.into()), "{theirs:#}");

    sim.happen(&format!("fill=410/{id}:all"));
    super::soon("it is gone", || async {
        let (all, _) = alpha.orders().list(OrderScope::All, false).await.ok()?;
        all.iter().all(|one| !one.owner.is_empty()).then_some(())
    })
    .await;
    let ours = alpha.orders().get("", "lost").await.unwrap();
    assert_eq!((ours.state(), &ours.filled[..], ours.perm_id), (OrderState::Unknown, "", 0));
}
