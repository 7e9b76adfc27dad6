//! Names of orders: each is one order's, also those of the orders that Gateway attaches.

use super::*;

pub(super) fn with_attached(name: &str) -> v1::NewOrder {
    let attached = tws::AttachedOrders {
        sl_order_type: Some("PRESET".into()),
        pt_order_type: Some("PRESET".into()),
        ..Default::default()
    };
    let request = tws::PlaceOrderRequest { attached_orders: Some(attached), ..limit(10.0) };
    new_order(name, request)
}

pub(super) fn one(order: v1::NewOrder) -> OrderRequest {
    let request = v1::PlaceOrderRequest { order: Some(order) };
    OrderRequest::Place(request.encode_to_vec().into())
}

fn group(orders: Vec<v1::NewOrder>) -> OrderRequest {
    OrderRequest::PlaceGroup(v1::PlaceOrdersRequest { orders }.encode_to_vec().into())
}

#[test]
fn one_name_for_two_orders_of_a_request_is_refused_and_trading_goes_on() {
    let mut floor = Floor::open();
    let named = |stop_loss: &str, profit_taker: &str| v1::NewOrder {
        stop_loss_client_order_id: stop_loss.into(),
        profit_taker_client_order_id: profit_taker.into(),
        ..with_attached("a")
    };
    for request in [
        one(named("a", "")),
        one(named("x", "x")),
        one(named("a.pt", "")),
        group(vec![with_attached("a"), new_order("a.sl", limit(10.0))]),
        group(vec![named("b", ""), new_order("b", limit(10.0))]),
        group(vec![new_order("b", limit(10.0)), new_order("b", limit(11.0))]),
    ] {
        let call = floor.call("momentum", request);
        let refused = floor.refused(call).message.clone();
        assert!(refused.contains("is there twice"), "{refused}");
    }
    let nothing_to_name =
        v1::NewOrder { stop_loss_client_order_id: "a.stop".into(), ..new_order("a", limit(10.0)) };
    let call = floor.call("momentum", one(nothing_to_name));
    assert!(floor.refused(call).message.contains("sl_order_type"));
    floor.placed("momentum", "a");
}

#[test]
fn the_name_of_an_attached_order_is_taken() {
    let mut floor = Floor::open();
    floor.call("momentum", one(with_attached("a")));
    let call = floor.place("momentum", "a.sl");
    assert_eq!(floor.refused(call).code, "ORDER_EXISTS");
    let taken = v1::NewOrder { profit_taker_client_order_id: "a.pt".into(), ..with_attached("b") };
    let call = floor.call("momentum", one(taken));
    assert_eq!(floor.refused(call).code, "ORDER_EXISTS");
    assert!(floor.desk.book.named("momentum", "b").is_none(), "nothing of it stays");
}

#[test]
fn what_never_left_is_placed_by_the_same_call_with_all_that_is_attached() {
    let mut floor = Floor::open();
    floor.disk_works = false;
    let call = floor.call("momentum", one(with_attached("a")));
    floor.leave();
    floor.refused(call);
    assert_eq!(floor.state("momentum", "a.sl"), State::NotSent);
    floor.desk.on_journaled(0);
    floor.disk_works = true;
    let call = floor.call("momentum", one(with_attached("a")));
    floor.leave();
    let placed = floor.answer::<v1::PlaceOrderResponse>(call);
    assert!(!placed.already_placed);
    for name in ["a", "a.sl", "a.pt"] {
        assert_eq!(floor.state("momentum", name), State::Sent, "{name}");
    }
}

#[test]
fn a_repeat_that_is_refused_leaves_the_order_as_it_was() {
    let mut floor = Floor::open();
    floor.disk_works = false;
    floor.place("momentum", "a");
    floor.leave();
    floor.down();
    assert_eq!(floor.state("momentum", "a"), State::NotSent);
    let call = floor.place("momentum", "a");
    assert_eq!(floor.refused(call).code, "JOURNAL_FAILED");
    assert_eq!(floor.state("momentum", "a"), State::NotSent, "it is found still");
}

#[test]
fn the_same_group_again_is_told_whole_with_its_attached_orders() {
    let mut floor = Floor::open();
    let group = || {
        let orders = vec![with_attached("a")];
        OrderRequest::PlaceGroup(v1::PlaceOrdersRequest { orders }.encode_to_vec().into())
    };
    let names = |floor: &Floor, call| {
        let answer = floor.answer::<v1::PlaceOrdersResponse>(call);
        answer.orders.into_iter().map(|order| order.client_order_id).collect::<Vec<_>>()
    };
    let first = floor.call("momentum", group());
    floor.leave();
    let again = floor.call("momentum", group());
    assert_eq!(names(&floor, first).len(), 3);
    assert_eq!(names(&floor, again), names(&floor, first));
}

#[test]
fn a_name_that_leaves_no_room_for_the_attached_ones_is_refused_with_what_helps() {
    let mut floor = Floor::open();
    let long = "n".repeat(62);
    let call = floor.call("momentum", one(with_attached(&long)));
    let refused = floor.refused(call).message.clone();
    assert!(refused.contains("62 letters") && refused.contains("stop_loss_client_order_id"));
    let named = v1::NewOrder {
        stop_loss_client_order_id: "stop".into(),
        profit_taker_client_order_id: "target".into(),
        ..with_attached(&long)
    };
    let call = floor.call("momentum", one(named));
    floor.leave();
    floor.answer::<v1::PlaceOrderResponse>(call);
    let call = floor.place("momentum", &"n".repeat(65));
    assert!(floor.refused(call).message.contains("65 letters"));
}

#[test]
fn an_order_of_which_a_person_was_wrong_keeps_its_owner_though_its_name_is_another_s() {
    let mut floor = Floor::open();
    let first = floor.placed("momentum", "a");
    floor.down();
    floor.session(2, Before::New);
    floor.reconcile();
    let resolve = v1::ResolveOrderRequest {
        owner: "momentum".into(),
        client_order_id: "a".into(),
        resolution: v1::Resolution::NeverArrived.into(),
        reason: "not in TWS".into(),
    };
    floor.call("risk", OrderRequest::Resolve(resolve));
    let again = floor.place("momentum", "a");
    floor.leave();
    let placed = floor.answer::<v1::PlaceOrderResponse>(again);
    assert!(!placed.already_placed);
    let second = floor.order("momentum", "a").order_id;
    assert_ne!(second, first);
    let kept = format!("a#{first}");
    assert_eq!(floor.state("momentum", &kept), State::NotSent);
    // It lives after all, and fills.
    floor.opened(first, "Submitted", 10.0);
    assert_eq!(floor.state("momentum", &kept), State::Working);
    floor.told(first, "Filled");
    assert_eq!(floor.state("momentum", &kept), State::Filled);
    assert_eq!(floor.order("momentum", "a").order_id, second);
    assert!(floor.desk.brakes.doubts.is_empty(), "it is nobody else's order");
    // And so after a restart.
    let next = Floor::closed(floor.disk.clone());
    assert_eq!(next.state("momentum", &kept), State::Filled);
    assert_eq!(next.order("momentum", "a").order_id, second);
}

#[test]
fn whoever_may_not_trade_any_more_is_not_told_that_its_order_never_left() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    let mut principals = principals();
    principals.get_mut("momentum").unwrap().role = crate::principals::Role::Observe;
    floor.reload(principals);
    let again = floor.place("momentum", "a");
    let answer = floor.answer::<v1::PlaceOrderResponse>(again);
    assert!(answer.already_placed);
    assert_eq!(answer.order.unwrap().order_id, id);
    let new = floor.place("momentum", "b");
    assert_eq!(floor.refused(new).code, "RIGHT_DENIED");
}

#[test]
fn of_an_order_that_gateway_rejects_nothing_was_attached() {
    for unknown in [false, true] {
        let mut floor = Floor::open();
        floor.call("momentum", one(with_attached("a")));
        floor.placed("momentum", "other");
        let id = floor.order("momentum", "a").order_id;
        if unknown {
            // One of them was lost sight of before.
            let leg = floor.order("momentum", "a.sl").order_id;
            let order = floor.desk.book.get_mut(leg).unwrap();
            order.transition(State::Unknown, "test").unwrap();
            floor.desk.book.note(leg);
        }
        floor.failed(id, 201);
        for name in ["a", "a.sl", "a.pt"] {
            assert_eq!(floor.state("momentum", name), State::Rejected, "{name}");
        }
        assert_eq!(floor.state("momentum", "other"), State::Sent);
        assert_eq!(floor.desk.book.live_count("momentum"), 1);
    }
}

#[test]
fn nobody_says_of_an_order_that_gateway_has_told_of_that_it_never_arrived() {
    use v1::Resolution::{Cancelled, Filled, NeverArrived};
    let told: [fn(&mut Floor, i32); 3] = [
        |floor, id| floor.told(id, "Submitted"),
        |floor, id| floor.executed(id, "x.1.01", "4"),
        // A row whose body is damaged has its permId left.
        |floor, id| floor.desk.book.get_mut(id).unwrap().record.perm_id = 7,
    ];
    for tell in told {
        let mut floor = Floor::open();
        let id = floor.placed("momentum", "a");
        tell(&mut floor, id);
        floor.down();
        floor.session(2, Before::New);
        let resolve = |resolution: v1::Resolution| {
            OrderRequest::Resolve(v1::ResolveOrderRequest {
                owner: "momentum".into(),
                client_order_id: "a".into(),
                resolution: resolution.into(),
                reason: "not in TWS".into(),
            })
        };
        let call = floor.call("risk", resolve(NeverArrived));
        let refused = floor.refused(call);
        assert_eq!(refused.code, "INVALID_ARGUMENT");
        assert!(refused.message.contains("has arrived") && refused.message.contains("permId"));
        assert_eq!(floor.state("momentum", "a"), State::Unknown);
        let resolution = if id % 2 == 0 { Cancelled } else { Filled };
        floor.call("risk", resolve(resolution));
        assert_ne!(floor.state("momentum", "a"), State::Unknown);
    }
}
