//! Calls about orders, and what a handle tells of one.

use ibouncer_client::api::{OrderScope, OrderState, Resolution};
use ibouncer_client::{Client, Delivery, Outcome, contract, order, tws};

use crate::broker::FakeBroker;

fn buy() -> tws::Order {
    order::limit("BUY", "10", 100.0)
}

async fn client(broker: &FakeBroker) -> Client {
    Client::connect(broker.options()).await.unwrap()
}

#[tokio::test]
async fn a_handle_waits_for_the_end_of_its_order() {
    let broker = FakeBroker::on_socket();
    let orders = client(&broker).await.orders();
    let mut handle = orders.place(order::named("a", contract::stock("AAPL"), buy())).await.unwrap();
    assert_eq!(handle.order().state(), OrderState::Sent);
    assert_eq!(handle.acknowledged().await.unwrap().state(), OrderState::Working);
    let outcome = handle.outcome().await.unwrap();
    assert!(matches!(&outcome, Outcome::Filled(order) if order.sequence == 6), "{outcome:?}");
}

#[tokio::test]
async fn who_asks_again_hears_what_became_of_it() {
    let broker = FakeBroker::on_socket();
    let orders = client(&broker).await.orders();
    let named = order::named("doubtful", contract::stock("AAPL"), buy());
    let mut handle = orders.place(named).await.unwrap();
    assert!(matches!(handle.outcome().await.unwrap(), Outcome::Unknown(_)));
    assert!(matches!(handle.outcome().await.unwrap(), Outcome::Rejected(_)));
    assert!(matches!(handle.resolved().await.unwrap(), Outcome::Rejected(_)));
}

#[tokio::test]
async fn an_error_says_whether_the_order_has_left() {
    let broker = FakeBroker::on_socket();
    let orders = client(&broker).await.orders();
    for (name, delivery) in [("halted", Delivery::NotSent), ("lost", Delivery::MaybeSent)] {
        let named = order::named(name, contract::stock("AAPL"), buy());
        let error = orders.place(named).await.unwrap_err();
        assert_eq!(error.delivery(), Some(delivery), "{error}");
    }
}

#[tokio::test]
async fn each_call_reaches_its_method() {
    let broker = FakeBroker::on_socket();
    let client = client(&broker).await;
    assert_eq!(client.who_am_i().await.unwrap().principal, "momentum");
    let orders = client.orders();
    let bracket = order::bracket("b", contract::stock("AAPL"), buy(), 90.0, 110.0);
    let group = orders.place_group(bracket).await.unwrap();
    let names: Vec<_> = group.iter().map(|one| one.client_order_id()).collect();
    assert_eq!(names, ["b", "b.target", "b.stop"]);
    let request = tws::PlaceOrderRequest::default();
    assert_eq!(orders.modify("m", request.clone()).await.unwrap().client_order_id, "m");
    orders.preview(request).await.unwrap();
    assert_eq!(orders.cancel("c").await.unwrap().client_order_id, "c");
    assert_eq!(orders.cancel_all("risk", "test").await.unwrap().orders[0].client_order_id, "risk");
    let exercised = orders.exercise("x", tws::ExerciseOptionsRequest::default()).await.unwrap();
    assert_eq!(exercised.client_order_id(), "x");
    assert_eq!(orders.handle("h").await.unwrap().client_order_id(), "h");
    let (all, through) = orders.list(OrderScope::Own, false).await.unwrap();
    assert_eq!((all.len(), through), (1, 4));
    let mut executions = orders.watch_executions(None, OrderScope::Own).await.unwrap();
    assert_eq!(executions.next().await.unwrap().unwrap()[0].sequence, 7);

    let admin = client.admin();
    assert_eq!(admin.halt_trading("", true, "test").await.unwrap().cancels, 1);
    admin.resume_trading("", "test").await.unwrap();
    assert_eq!(admin.adopt_trading_state("looked").await.unwrap(), ["looked"]);
    admin.resolve_order("m", "a", Resolution::Filled, "seen").await.unwrap();
    assert!(admin.resolve_order("m", "a", Resolution::Cancelled, "seen").await.is_err());
    admin.cancel_every_order("yes", "test").await.unwrap();
    assert!(admin.cancel_every_order("", "test").await.is_err());
}
