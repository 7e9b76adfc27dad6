//! An order's way: taken in, once, to its end.

use super::*;

#[test]
fn an_order_leaves_once_however_often_it_is_asked_for() {
    let mut floor = Floor::open();
    let first = floor.place("momentum", "a");
    let second = floor.place("momentum", "a");
    assert_eq!(floor.queue.len(), 1, "the second call waits for the same departure");
    floor.leave();
    let third = floor.place("momentum", "a");
    let answer = |call| floor.answer::<v1::PlaceOrderResponse>(call);
    let id = answer(first).order.unwrap().order_id;
    for (call, again) in [(first, false), (second, true), (third, true)] {
        assert_eq!(answer(call).already_placed, again);
        assert_eq!(answer(call).order.unwrap().state(), State::Sent);
    }
    assert_eq!(floor.placements(), [id]);
    let other = floor.call("momentum", OrderRequest::Place(place("a", limit(11.0))));
    assert_eq!(floor.refused(other).code, "ORDER_EXISTS");
    assert_eq!(floor.placed("carry", "a"), id + 1, "names are an owner's own");
}

#[test]
fn what_is_told_of_an_order_is_an_event_once() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.opened(id, "PreSubmitted", 10.0);
    floor.told(id, "PreSubmitted");
    floor.told(id, "Submitted");
    floor.told(id, "Submitted");
    floor.told(id, "Filled");
    floor.told(id, "Submitted");
    let states: Vec<_> =
        floor.order_events().iter().map(|event| event.order.clone().unwrap().state()).collect();
    assert_eq!(states, [State::Sent, State::Working, State::Working, State::Filled]);
    assert!(floor.order_events().windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    let answer = floor.call("momentum", OrderRequest::List(v1::ListOrdersRequest::default()));
    assert!(floor.answer::<v1::ListOrdersResponse>(answer).orders.is_empty());
}

#[test]
fn an_error_ends_what_gateway_never_told_of_and_only_that() {
    let mut floor = Floor::open();
    let (a, b) = (floor.placed("momentum", "a"), floor.placed("momentum", "b"));
    for warning in [399, 10_349] {
        floor.failed(a, warning);
        assert_eq!(floor.state("momentum", "a"), State::Sent, "{warning} is a warning");
    }
    floor.failed(a, 201);
    assert_eq!(floor.state("momentum", "a"), State::Rejected);
    floor.told(a, "Inactive");
    assert_eq!(floor.state("momentum", "a"), State::Rejected);
    floor.told(a, "Submitted");
    assert_eq!(floor.state("momentum", "a"), State::Working, "Gateway says that it lives");
    floor.told(b, "Submitted");
    floor.failed(b, 201);
    assert_eq!(floor.state("momentum", "b"), State::Working);
}

#[test]
fn what_is_inactive_because_it_was_rejected_has_ended() {
    let mut floor = Floor::open();
    let names = ["a", "b", "c"];
    let [a, b, c] = names.map(|name| floor.placed("momentum", name));
    for id in [a, b, c] {
        floor.opened(id, "PreSubmitted", 10.0);
        floor.told(id, "Inactive");
    }
    floor.failed(a, 201);
    assert_eq!(floor.state("momentum", "a"), State::Rejected, "Gateway says why");
    floor.told(a, "Submitted");
    assert_eq!(floor.state("momentum", "a"), State::Working, "Gateway says that it lives");
    floor.call("momentum", modify("b", 11.0));
    floor.leave();
    floor.failed(b, 201);
    assert_eq!(floor.state("momentum", "b"), State::Inactive, "only the change was rejected");
    let completed = tws::CompletedOrder {
        order: Some(tws::Order {
            perm_id: Some(floor.order("momentum", "c").perm_id),
            ..tws::Order::default()
        }),
        order_state: Some(tws::OrderState {
            status: Some("Inactive".into()),
            ..tws::OrderState::default()
        }),
        ..tws::CompletedOrder::default()
    };
    floor.hear(id::COMPLETED_ORDER, &completed);
    assert_eq!(floor.state("momentum", "c"), State::Rejected, "it is among those that ended");
}

#[test]
fn what_may_not_be_traded_has_ended_as_what_was_rejected_has() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.told(id, "Inactive");
    floor.failed(id, 203);
    assert_eq!(floor.state("momentum", "a"), State::Rejected);
    assert!(floor.order("momentum", "a").because.contains("203"));
}

#[test]
fn inactive_comes_back_and_a_fill_after_cancelled_is_taken() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.told(id, "Inactive");
    assert_eq!(floor.state("momentum", "a"), State::Inactive);
    floor.told(id, "Submitted");
    floor.told(id, "Cancelled");
    floor.executed(id, "e.1.01", "4");
    assert_eq!(floor.state("momentum", "a"), State::Cancelled);
    assert_eq!(floor.order("momentum", "a").filled, "4");
    floor.executed(id, "e.2.01", "10");
    assert_eq!(floor.state("momentum", "a"), State::Filled);
}

#[test]
fn a_market_order_fills_without_a_status() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.executed(id, "e.1.01", "10");
    assert_eq!(floor.state("momentum", "a"), State::Filled);
}

/// As a list has one of an order without its ids.
fn nameless(floor: &Floor, id: i32, exec_id: &str, cum_qty: &str) -> tws::ExecutionDetails {
    let mut told = floor.execution(id, exec_id, cum_qty);
    told.req_id = Some(9);
    let execution = told.execution.as_mut().unwrap();
    (execution.order_id, execution.client_id) = (Some(i32::MAX), Some(0));
    told
}

fn later(floor: &mut Floor) {
    floor.now += Duration::from_secs(6);
    floor.desk.handle_timeout(floor.now);
    floor.settle();
}

#[test]
fn an_execution_without_its_orders_ids_is_known_by_our_tag() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.down();
    floor.session(2, Before::New);
    let mut forged = nameless(&floor, id, "f.1.01", "10");
    forged.execution.as_mut().unwrap().side = Some("SLD".into());
    floor.hear(id::EXECUTION_DATA, &forged);
    assert_eq!(floor.state("momentum", "a"), State::Unknown, "anybody can write a tag");
    let told = nameless(&floor, id, "e.1.01", "10");
    floor.hear(id::EXECUTION_DATA, &told);
    assert_eq!(floor.state("momentum", "a"), State::Filled);
    assert_eq!(floor.order("momentum", "a").perm_id, i64::from(id) + 1_000_000);
    later(&mut floor);
    let owners: Vec<_> = floor.execution_events().into_iter().map(|one| one.owner).collect();
    assert_eq!(owners, ["momentum", ""]);
    assert_eq!(floor.desk.status(&floor.desk.clock).0, "halted", "of the permId there is a sale");
}

#[test]
fn executions_that_nobody_could_claim_are_told_to_their_owner_once_the_perm_id_is_known() {
    for restarts in [false, true] {
        let mut floor = Floor::open();
        let mut request = limit(10.0);
        request.order.as_mut().unwrap().order_ref = Some("mine".into());
        let call = floor.call("momentum", OrderRequest::Place(place("a", request)));
        floor.leave();
        let id = floor.answer::<v1::PlaceOrderResponse>(call).order.unwrap().order_id;
        floor.down();
        floor.session(2, Before::New);
        for (exec_id, cum_qty) in [("e.1.01", "3"), ("e.1.02", "4"), ("e.2.01", "7")] {
            let mut told = nameless(&floor, id, exec_id, cum_qty);
            let fill = told.execution.as_mut().unwrap();
            fill.order_ref = Some("mine".into());
            fill.shares = Some(if exec_id == "e.2.01" { "3" } else { cum_qty }.into());
            floor.hear(id::EXECUTION_DATA, &told);
        }
        later(&mut floor);
        if restarts {
            floor = Floor::closed(floor.disk.clone());
            floor.session(3, Before::New);
        }
        floor.events.clear();
        let mut open = floor.open_order(id, "Submitted", 10.0);
        open.order.as_mut().unwrap().order_ref = Some("mine".into());
        floor.hear(id::OPEN_ORDER, &open);
        assert_eq!(floor.order("momentum", "a").filled, "7");
        later(&mut floor);
        let told: Vec<_> = floor.execution_events().into_iter().map(|one| one.owner).collect();
        assert_eq!(told, ["momentum"; 3]);
        let owned = |one: &journal::ExecutionRecord| one.order_id == id && one.told;
        assert!(floor.disk.executions.iter().all(owned));
        floor.hear(id::OPEN_ORDER, &open);
        later(&mut floor);
        assert_eq!(floor.execution_events().len(), 3, "once");
    }
}

#[test]
fn a_correction_is_told_behind_what_it_corrects() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.executed(id, "e.1.01", "4");
    floor.executed(id, "e.1.02", "5");
    let commission = tws::CommissionAndFeesReport {
        exec_id: Some("e.1.02".into()),
        commission_and_fees: Some(1.5),
        ..Default::default()
    };
    floor.hear(id::COMMISSION_AND_FEES_REPORT, &commission);
    let kinds: Vec<_> = floor.execution_events().iter().map(v1::ExecutionEvent::kind).collect();
    assert_eq!(kinds, [v1::ExecutionEventKind::New, v1::ExecutionEventKind::Corrected]);
}

#[test]
fn each_execution_is_told_once_with_its_commission_and_corrections_name_the_first() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.executed(id, "e.1.01", "5");
    floor.executed(id, "e.1.01", "5");
    assert!(floor.execution_events().is_empty(), "its commission is waited for");
    let commission = tws::CommissionAndFeesReport {
        exec_id: Some("e.1.01".into()),
        commission_and_fees: Some(1.0),
        ..Default::default()
    };
    floor.hear(id::COMMISSION_AND_FEES_REPORT, &commission);
    floor.hear(id::COMMISSION_AND_FEES_REPORT, &commission);
    floor.executed(id, "e.1.02", "6");
    floor.now += Duration::from_secs(6);
    floor.desk.handle_timeout(floor.now);
    floor.settle();
    let events = floor.execution_events();
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0].owner, "momentum");
    assert_eq!(events[0].commission.as_ref().unwrap().commission_and_fees(), 1.0);
    assert_eq!(events[1].kind(), v1::ExecutionEventKind::Corrected);
    assert_eq!(events[1].corrects_exec_id, "e.1.01");
    assert!(events[1].commission.is_none());
}

#[test]
fn a_bracket_leaves_in_one_frame_with_its_links() {
    let mut floor = Floor::open();
    let held = |price| {
        let mut request = limit(price);
        request.order.as_mut().unwrap().transmit = Some(false);
        request
    };
    let child = |name: &str, request| v1::NewOrder {
        parent_client_order_id: "entry".into(),
        ..new_order(name, request)
    };
    let group = v1::PlaceOrdersRequest {
        orders: vec![
            new_order("entry", held(10.0)),
            child("stop", held(9.0)),
            child("target", limit(11.0)),
        ],
    };
    let group = OrderRequest::PlaceGroup(group.encode_to_vec().into());
    let call = floor.call("momentum", group.clone());
    assert_eq!(floor.queue.len(), 1);
    floor.leave();
    let orders = floor.answer::<v1::PlaceOrdersResponse>(call).orders;
    let ids: Vec<i32> = orders.iter().map(|order| order.order_id).collect();
    assert_eq!(floor.placements(), ids);
    let sent: Vec<_> = floor
        .left
        .iter()
        .map(|(_, body)| tws::PlaceOrderRequest::decode(body.clone()).unwrap().order.unwrap())
        .map(|order| (order.parent_id(), order.transmit()))
        .collect();
    assert_eq!(sent, [(0, false), (ids[0], false), (ids[0], true)]);
    assert!(orders.iter().all(|order| order.group == orders[0].group));
    let again = floor.call("momentum", group);
    assert!(floor.answer::<v1::PlaceOrdersResponse>(again).already_placed);
    let orphan = v1::PlaceOrderRequest { order: Some(child("late", limit(1.0))) };
    let orphan = floor.call("carry", OrderRequest::Place(orphan.encode_to_vec().into()));
    assert_eq!(floor.refused(orphan).code, "ORDER_NOT_FOUND", "the parent is another's");
}

#[test]
fn orders_that_gateway_attaches_have_names_and_ids_of_ours() {
    let mut floor = Floor::open();
    let mut request = limit(10.0);
    request.attached_orders = Some(tws::AttachedOrders {
        sl_order_type: Some("PRESET".into()),
        pt_order_type: Some("PRESET".into()),
        ..Default::default()
    });
    let order =
        v1::NewOrder { stop_loss_client_order_id: "my-stop".into(), ..new_order("a", request) };
    let order = v1::PlaceOrderRequest { order: Some(order) };
    let call = floor.call("momentum", OrderRequest::Place(order.encode_to_vec().into()));
    floor.leave();
    let id = floor.answer::<v1::PlaceOrderResponse>(call).order.unwrap().order_id;
    let sent = tws::PlaceOrderRequest::decode(floor.left[0].1.clone()).unwrap();
    let attached = sent.attached_orders.unwrap();
    assert_eq!((attached.sl_order_id(), attached.pt_order_id()), (id + 1, id + 2));
    assert_eq!(floor.order("momentum", "my-stop").order_id, id + 1);
    assert_eq!(floor.order("momentum", "a.pt").parent_client_order_id, "a");
}

#[test]
fn a_preview_is_answered_and_is_no_order() {
    let mut floor = Floor::open();
    let request = v1::PreviewOrderRequest { request: Some(limit(10.0)) };
    let call = floor.call("momentum", OrderRequest::Preview(request.encode_to_vec().into()));
    floor.leave();
    let sent = tws::PlaceOrderRequest::decode(floor.left[0].1.clone()).unwrap();
    assert!(sent.order.clone().unwrap().what_if());
    let mut told = floor.open_order(sent.order_id(), "PreSubmitted", 10.0);
    // A list has an order of that number, of another API client.
    let order = told.order.get_or_insert_default();
    order.client_id = Some(55);
    floor.hear(id::OPEN_ORDER, &told);
    assert!(!floor.replies.contains_key(&call), "it answers nothing");
    let order = told.order.get_or_insert_default();
    (order.client_id, order.what_if) = (Some(CLIENT_ID), Some(true));
    floor.hear(id::OPEN_ORDER, &told);
    assert!(floor.answer::<v1::PreviewOrderResponse>(call).preview.is_some());
    assert!(floor.desk.book.get(sent.order_id()).is_none());
    assert!(floor.placed("momentum", "a") > sent.order_id(), "its id is used up");
    let mut asks = limit(10.0);
    asks.order.as_mut().unwrap().what_if = Some(true);
    let call = floor.call("momentum", OrderRequest::Place(place("b", asks)));
    assert!(floor.refused(call).message.contains("PreviewOrder"));
}
