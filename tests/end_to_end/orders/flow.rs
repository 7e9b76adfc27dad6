//! An order from its call to its end, and what Gateway's ledger says of it.

use ibouncer_client::api::{ChangeKind, ChangeState, OrderState};
use ibouncer_client::{Delivery, Outcome, contract, order, tws};
use ibouncer_tests::harness::Principal;
use ibouncer_tests::harness::wait::{PATIENCE, until_true};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{all_of, entry, ledger_now, market, ours, request, resting, sim, state, trading};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_at_the_market_fills_and_its_handle_says_so() {
    let sim = sim(&[]);
    let broker = trading(&sim);
    let client = broker.client("alpha").await;
    let mut handle = client.orders().place(market("m", "10")).await.unwrap();
    assert!(handle.order().order_id > 0, "it has left");
    let outcome = handle.outcome().await.unwrap();
    assert!(matches!(outcome, Outcome::Filled(_)), "{outcome:?}");
    let filled = outcome.order();
    assert_eq!(filled.filled, "10");
    assert_eq!((filled.owner.as_str(), filled.client_id), ("alpha", 410));

    // In parts: each is an execution, and the order has ended after the last.
    let mut handle = client.orders().place(market("parts", "400")).await.unwrap();
    let outcome = handle.outcome().await.unwrap();
    assert_eq!(outcome.order().filled, "400");
    let ids = (filled.order_id, outcome.order().order_id);
    drop(broker);
    let ledger = ours(&sim.ledger());
    assert_eq!(ledger.len(), 2);
    assert_eq!(entry(&ledger, ids.0)["filled"], "10");
    assert_eq!(entry(&ledger, ids.1)["filled"], "400");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_rests_is_changed_and_then_cancelled() {
    let sim = sim(&[]);
    let broker = trading(&sim);
    let client = broker.client("alpha").await;
    let mut handle = client.orders().place(resting("r")).await.unwrap();
    handle.acknowledged().await.unwrap();
    state(&client, "r", OrderState::Working).await;
    handle.modify(order::limit("BUY", "150", 2.0)).await.unwrap();
    let changed = super::soon("the change is done", || async {
        let order = client.orders().get("", "r").await.ok()?;
        let change = order.change.clone()?;
        (change.state() == ChangeState::Done && change.kind() == ChangeKind::Modify)
            .then_some(order)
    })
    .await;
    let told = changed.order.clone().unwrap();
    assert_eq!((told.lmt_price(), told.total_quantity()), (2.0, "150"));
    handle.cancel().await.unwrap();
    let ended = state(&client, "r", OrderState::Cancelled).await;
    let again = client.orders().cancel("r").await.unwrap();
    assert_eq!(again.state(), OrderState::Cancelled, "a second cancel changes nothing");
    drop(broker);
    let ledger = ours(&sim.ledger());
    let entry = entry(&ledger, ended.order_id);
    assert_eq!((&entry["quantity"], &entry["status"]), (&"150".into(), &"Cancelled".into()));
    assert_eq!((&entry["places"], &entry["cancels"]), (&2.into(), &1.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_gateway_holds_back_is_let_go_by_a_change() {
    let mut sim = sim(&[]);
    let broker = trading(&sim);
    let client = broker.client("alpha").await;
    let mut held = resting("h");
    let order = held.request.as_mut().unwrap().order.as_mut().unwrap();
    order.transmit = Some(false);
    let now = tws::Order { transmit: Some(true), ..order.clone() };
    let mut handle = client.orders().place(held).await.unwrap();
    // Gateway tells of it only when it is asked, and the broker asks.
    super::soon("it can be changed", || async {
        let order = client.orders().get("", "h").await.ok()?;
        (order.perm_id != 0).then_some(())
    })
    .await;
    handle.modify(now).await.unwrap();
    let order = state(&client, "h", OrderState::Working).await;
    let ledger = ledger_now(&mut sim);
    assert_eq!(entry(&ledger, order.order_id)["status"], "Submitted", "{ledger:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_exit_of_a_bracket_ends_the_other() {
    let mut sim = sim(&[]);
    let broker = trading(&sim);
    let client = broker.client("alpha").await;
    let entry_order = order::market("BUY", "10");
    let group = order::bracket("b", contract::stock("AAPL"), entry_order, 1.0, 9_000.0);
    let handles = client.orders().place_group(group).await.unwrap();
    assert_eq!(handles.len(), 3);
    let groups: std::collections::BTreeSet<_> =
        handles.iter().map(|handle| handle.order().group.clone()).collect();
    assert_eq!(groups.len(), 1, "one unit");
    state(&client, "b", OrderState::Filled).await;
    let target = state(&client, "b.target", OrderState::Working).await;
    assert_eq!(target.parent_client_order_id, "b");
    sim.happen(&format!("fill=410/{}:all", target.order_id));
    state(&client, "b.target", OrderState::Filled).await;
    state(&client, "b.stop", OrderState::Cancelled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exits_of_a_bracket_end_with_its_entry() {
    let mut sim = sim(&[]);
    let broker = trading(&sim);
    let client = broker.client("alpha").await;
    let entry_order = order::limit("BUY", "10", 2.0);
    let group = order::bracket("b", contract::stock("AAPL"), entry_order, 1.0, 9_000.0);
    client.orders().place_group(group.clone()).await.unwrap();
    state(&client, "b", OrderState::Working).await;
    // The same group again is the same group.
    let again = client.orders().place_group(group).await.unwrap();
    assert_eq!(again.len(), 3);
    assert_eq!(ledger_now(&mut sim).len(), 3);
    client.orders().cancel("b").await.unwrap();
    for name in ["b", "b.target", "b.stop"] {
        state(&client, name, OrderState::Cancelled).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_option_that_is_held_is_exercised_once() {
    let mut sim = sim(&[]);
    let rights = "role = \"trade\"\nexercise = true";
    let broker = super::plan_for(&sim, &[Principal::named("alpha", rights)]).start();
    broker.wait_trading();
    let client = broker.client("alpha").await;
    let held = client.accounts().positions().await.unwrap().value;
    let option =
        held.into_iter().filter_map(|one| one.contract).find(|one| one.sec_type() == "OPT");
    let exercise = tws::ExerciseOptionsRequest {
        contract: Some(tws::Contract {
            con_id: option.unwrap().con_id,
            exchange: Some("SMART".into()),
            ..Default::default()
        }),
        exercise_action: Some(1),
        exercise_quantity: Some(1),
        ..Default::default()
    };
    let handle = client.orders().exercise("e", exercise.clone()).await.unwrap();
    let again = client.orders().exercise("e", exercise).await.unwrap();
    assert_eq!(again.order().order_id, handle.order().order_id);
    let id = state(&client, "e", OrderState::Working).await.order_id;
    sim.happen(&format!("fill=410/{id}:all"));
    assert_eq!(state(&client, "e", OrderState::Filled).await.filled, "1");
    let ledger = ledger_now(&mut sim);
    assert_eq!(ledger.len(), 1, "{ledger:#?}");
    assert_eq!(entry(&ledger, id)["places"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_places_nothing() {
    let mut sim = sim(&[]);
    let broker = trading(&sim);
    let client = broker.client("alpha").await;
    let preview = client.orders().preview(request(order::limit("BUY", "100", 200.0))).await;
    let preview = preview.unwrap().order_state.unwrap();
    assert!(preview.init_margin_after.is_some(), "{preview:?}");
    assert!(all_of(&client).await.is_empty());
    assert!(ledger_now(&mut sim).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_name_twice_is_one_order_and_for_another_order_an_error() {
    let mut sim = sim(&[]);
    let broker = trading(&sim);
    let client = broker.client("alpha").await;
    let (orders, again) = (client.orders(), broker.client("alpha").await.orders());
    let (first, second) = tokio::join!(orders.place(resting("once")), again.place(resting("once")));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.order().order_id, second.order().order_id);
    let error = orders.place(market("once", "10")).await.unwrap_err();
    assert_eq!(error.code(), "ORDER_EXISTS", "{error}");
    // Names are their owner's: another's is another order.
    let other = broker.client("beta").await;
    let theirs = other.orders().place(resting("once")).await.unwrap();
    assert_ne!(theirs.order().order_id, first.order().order_id);
    state(&client, "once", OrderState::Working).await;
    state(&other, "once", OrderState::Working).await;
    assert_eq!(ledger_now(&mut sim).len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_and_what_finds_no_broker_was_not_sent_and_that_is_said() {
    let sim = sim(&[]);
    let mut broker = trading(&sim);
    let client = broker.client("alpha").await;
    let mut large = resting("a");
    large.parent_client_order_id = "x".repeat(300 * 1024);
    let refused = client.orders().place(large).await.unwrap_err();
    assert_eq!(refused.delivery(), Some(Delivery::NotSent), "{refused}");
    broker.kill();
    // The connection that is just breaking may have taken it; the next one does not come about.
    super::soon("no connection comes about", || async {
        let error = client.orders().place(resting("a")).await.unwrap_err();
        (error.delivery() == Some(Delivery::NotSent)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_to_have_left_reaches_gateway_though_the_session_ends_right_behind_it() {
    let sim = sim(&[]);
    let mut broker = trading(&sim);
    let client = broker.client("alpha").await;
    // The worker will read the orders and the word to end in one piece.
    let worker = Pid::from_raw(i32::try_from(broker.worker().pid).unwrap());
    kill(worker, Signal::SIGSTOP).unwrap();
    for name in ["a", "b", "c"] {
        let handle = client.orders().place(resting(name)).await.unwrap();
        assert_eq!(handle.order().state(), OrderState::Sent);
    }
    broker.signal(Signal::SIGTERM);
    until_true("it ends", PATIENCE, || {
        broker.log().iter().any(|line| line["message"] == "the broker ends")
    });
    kill(worker, Signal::SIGCONT).unwrap();
    assert_eq!(broker.terminate(), Some(0));
    assert_eq!(ours(&sim.ledger()).len(), 3);
}
