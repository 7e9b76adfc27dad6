//! What has been shown under the number of one of ours is not cancelled by it, however long ago.

use super::matches::{lost, status, theirs};
use super::rules::halt;
use super::*;

/// Ours never arrived, and Gateway has shown another one under its number.
fn taken(order_status: bool) -> (Floor, i32) {
    let mut floor = Floor::open();
    let id = lost(&mut floor, limit(10.0));
    floor.reconcile_with(|floor| floor.hear(id::OPEN_ORDER, &theirs(id)));
    if order_status {
        floor.hear(id::ORDER_STATUS, &status(id, 55_555, "Submitted"));
    }
    (floor, id)
}

fn is_held_back(floor: &mut Floor) {
    let call = floor.cancel("momentum", "a");
    let error = floor.refused(call);
    assert_eq!(error.code, "ORDER_UNKNOWN");
    assert!(error.message.contains("permId 55555"), "{error:?}");
    assert!(error.message.contains("orders resolve a --owner momentum"), "{error:?}");
    floor.leave();
    assert!(floor.left.iter().all(|(message, _)| *message != id::CANCEL_ORDER));
}

#[test]
fn lists_that_do_not_show_the_other_one_let_no_cancel_leave() {
    let (mut floor, id) = taken(true);
    for _ in 0..5 {
        floor.desk.on_gap("test", false, floor.now);
        floor.reconcile();
        is_held_back(&mut floor);
    }
    // It lives, and is still not taken for ours.
    floor.hear(id::ORDER_STATUS, &status(id, 55_555, "Submitted"));
    assert_eq!(floor.state("momentum", "a"), State::Unknown);
    is_held_back(&mut floor);
}

#[test]
fn nor_does_another_session_or_a_restart() {
    let (mut floor, id) = taken(false);
    floor.down();
    floor.session(3, Before::New);
    floor.reconcile();
    is_held_back(&mut floor);
    let mut floor = Floor::closed(floor.disk.clone());
    floor.session(4, Before::New);
    is_held_back(&mut floor);
    floor.reconcile();
    is_held_back(&mut floor);
    floor.opened(id, "Submitted", 10.0);
    let disk = floor.disk.clone();
    floor.cancel("momentum", "a");
    floor.leave();
    assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER, "Gateway shows ours there");
    let floor = Floor::closed(disk);
    assert_eq!(floor.order("momentum", "a").taken_by, None);
}

#[test]
fn no_child_is_placed_under_the_number_that_is_another_orders() {
    let (mut floor, _) = taken(false);
    let reason = "seen".to_owned();
    let adopt = v1::AdoptTradingStateRequest { reason };
    floor.call("risk", OrderRequest::AdoptState(adopt));
    let parent_client_order_id = "a".into();
    let child = v1::NewOrder { parent_client_order_id, ..new_order("b", limit(9.0)) };
    let child = v1::PlaceOrderRequest { order: Some(child) }.encode_to_vec();
    let call = floor.call("momentum", OrderRequest::Place(child.into()));
    assert_eq!(floor.refused(call).code, "ORDER_UNKNOWN");
}

#[test]
fn whoever_cancels_all_is_told_which_orders_live_on() {
    let mut floor = Floor::open();
    for name in ["a", "b"] {
        let id = floor.placed("momentum", name);
        floor.opened(id, "Submitted", 10.0);
    }
    let id = floor.order("momentum", "a").order_id;
    floor.hear(id::OPEN_ORDER, &theirs(id));
    let live_on = |spared: &[v1::SparedOrder]| {
        let [one] = spared else { panic!("{spared:?}") };
        let error = one.error.as_ref().unwrap();
        assert_eq!(error.code, "ORDER_UNKNOWN");
        assert!(error.message.contains("permId 55555"), "{error:?}");
        assert_eq!(one.order.as_ref().unwrap().client_order_id, "a");
    };
    let all = OrderRequest::CancelAll(v1::CancelAllOrdersRequest::default());
    let all = floor.call("momentum", all);
    let answer = floor.answer::<v1::CancelAllOrdersResponse>(all);
    let cancelled: Vec<_> = answer.orders.iter().map(|one| one.client_order_id.as_str()).collect();
    assert_eq!(cancelled, ["b"]);
    live_on(&answer.spared);
    let call = floor.call("risk", halt("", true));
    live_on(&floor.answer::<v1::HaltTradingResponse>(call).spared);
}
