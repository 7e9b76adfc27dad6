//! Changes and cancels.

use super::*;

fn changing(floor: &Floor, name: &str) -> v1::ChangeState {
    floor.order("momentum", name).change.as_ref().unwrap().state()
}

#[test]
fn a_cancel_of_what_waits_takes_it_back_for_good() {
    let mut floor = Floor::open();
    let placed = floor.place("momentum", "a");
    let cancelled = floor.cancel("momentum", "a");
    assert!(floor.queue.is_empty());
    assert_eq!(floor.refused(placed).code, "CANCELLED");
    let order = floor.answer::<v1::CancelOrderResponse>(cancelled).order.unwrap();
    assert_eq!(order.state(), State::NotSent);
    let again = floor.place("momentum", "a");
    floor.leave();
    let again = floor.answer::<v1::PlaceOrderResponse>(again).order.unwrap();
    assert_eq!(again.state(), State::NotSent, "a late copy of the call does not revive it");
    assert!(floor.left.is_empty());
}

#[test]
fn a_caller_who_goes_away_leaves_nothing_behind() {
    let mut floor = Floor::open();
    let placed = floor.place("momentum", "a");
    floor.desk.on_call_dropped(placed, floor.now);
    floor.settle();
    assert!(floor.queue.is_empty());
    floor.placed("momentum", "a");
    assert_eq!(floor.placements().len(), 1);
}

#[test]
fn a_modification_keeps_its_id_and_an_error_fails_it_and_not_the_order() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    let early = floor.call("momentum", modify("a", 11.0));
    assert_eq!(floor.refused(early).code, "ORDER_UNKNOWN", "Gateway has not told of it");
    floor.opened(id, "Submitted", 10.0);
    let call = floor.call("momentum", modify("a", 11.0));
    floor.leave();
    floor.answer::<v1::ModifyOrderResponse>(call);
    assert_eq!(floor.placements(), [id, id]);
    let second = floor.call("momentum", modify("a", 12.0));
    assert_eq!(floor.refused(second).code, "CHANGE_PENDING");
    floor.opened(id, "Submitted", 10.0);
    assert_eq!(changing(&floor, "a"), v1::ChangeState::Sent, "that is the old price");
    floor.failed(id, 110);
    assert_eq!(changing(&floor, "a"), v1::ChangeState::Failed);
    assert_eq!(floor.state("momentum", "a"), State::Working);
    floor.call("momentum", modify("a", 12.0));
    floor.leave();
    floor.opened(id, "Submitted", 12.0);
    assert_eq!(changing(&floor, "a"), v1::ChangeState::Done);
    let request = tws::PlaceOrderRequest::decode(floor.order("momentum", "a").request.clone());
    assert_eq!(request.unwrap().order.unwrap().lmt_price(), 12.0);
}

#[test]
fn contract_and_side_stay() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.opened(id, "Submitted", 10.0);
    let mut other = limit(10.0);
    other.contract.as_mut().unwrap().symbol = Some("MSFT".into());
    let mut sell = limit(10.0);
    sell.order.as_mut().unwrap().action = Some("SELL".into());
    for request in [other, sell] {
        let call = floor.call("momentum", change_to("a", request));
        assert_eq!(floor.refused(call).code, "INVALID_ARGUMENT");
    }
}

#[test]
fn a_cancel_is_done_when_gateway_says_so_and_can_come_too_late() {
    let mut floor = Floor::open();
    let (a, b) = (floor.placed("momentum", "a"), floor.placed("momentum", "b"));
    floor.told(a, "Submitted");
    floor.told(b, "Submitted");
    for name in ["a", "b"] {
        let call = floor.cancel("momentum", name);
        floor.leave();
        floor.answer::<v1::CancelOrderResponse>(call);
    }
    floor.failed(a, 202);
    assert_eq!(floor.state("momentum", "a"), State::Working, "only a status ends it");
    floor.told(a, "Cancelled");
    assert_eq!(changing(&floor, "a"), v1::ChangeState::Done);
    assert_eq!(floor.state("momentum", "a"), State::Cancelled);
    floor.told(b, "Filled");
    assert_eq!(changing(&floor, "b"), v1::ChangeState::Failed);
    let again = floor.cancel("momentum", "b");
    assert_eq!(floor.refused(again).code, "ORDER_ENDED");
    let idempotent = floor.cancel("momentum", "a");
    floor.answer::<v1::CancelOrderResponse>(idempotent);
}

#[test]
fn a_cancel_overtakes_a_modification_that_waits() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.opened(id, "Submitted", 10.0);
    let modified = floor.call("momentum", modify("a", 11.0));
    floor.cancel("momentum", "a");
    assert_eq!(floor.refused(modified).code, "WITHDRAWN");
    floor.leave();
    assert_eq!(floor.placements(), [id]);
    assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER);
}

#[test]
fn what_a_cancel_says_besides_leaves_as_it_came_also_what_is_not_known_here() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.told(id, "Submitted");
    let client_order_id = "a".to_owned();
    let asked = CancelOrderRequest { client_order_id, ..Default::default() };
    // Field 100, a varint.
    let details = [0xa0, 0x06, 7];
    let raw = body::patch::with_parts(&asked, 2, [&details]);
    floor.call("momentum", OrderRequest::Cancel(raw.into()));
    floor.leave();
    let (message_id, left) = floor.left.last().unwrap();
    assert_eq!(*message_id, id::CANCEL_ORDER);
    assert_eq!(body::patch::part(left, 2).unwrap().unwrap(), details);
    assert_eq!(tws::CancelOrderRequest::decode(&left[..]).unwrap().order_id(), id);
}

#[test]
fn what_is_another_s_can_be_seen_and_not_touched() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.opened(id, "Submitted", 10.0);
    let not_found = floor.cancel("carry", "a");
    assert_eq!(floor.refused(not_found).code, "ORDER_NOT_FOUND");
    let of = |reason: &str| {
        cancel_of(&CancelOrderRequest {
            client_order_id: "a".into(),
            owner: "momentum".into(),
            reason: reason.into(),
            ..Default::default()
        })
    };
    for (who, reason, code) in [
        ("carry", "mine now", "RIGHT_DENIED"),
        ("observer", "why not", "RIGHT_DENIED"),
        ("nobody", "why not", "RIGHT_DENIED"),
        ("risk", "", "INVALID_ARGUMENT"),
    ] {
        let call = floor.call(who, of(reason));
        assert_eq!(floor.refused(call).code, code, "{who}");
        let audit = floor.audit.last().unwrap();
        assert_eq!((audit.result, audit.what), ("refused", "CancelOrder"), "{who}");
    }
    floor.call("risk", of("over its limit"));
    floor.leave();
    assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER);
    let audit = floor.audit.last().unwrap();
    assert_eq!((audit.result, audit.reason.as_str()), ("sent", "over its limit"));
}

#[test]
fn orders_by_hand_and_of_others_are_shown_and_have_no_owner() {
    let mut floor = Floor::open();
    for (client_id, order_id) in [(0, 0), (77, 5), (77, i32::MAX)] {
        let open = tws::OpenOrder {
            order_id: Some(order_id),
            order: Some(tws::Order {
                client_id: Some(client_id),
                perm_id: Some(i64::from(client_id) + i64::from(order_id) + 9),
                ..Default::default()
            }),
            ..Default::default()
        };
        floor.hear(id::OPEN_ORDER, &open);
    }
    let list = |scope: v1::OrderScope| {
        OrderRequest::List(v1::ListOrdersRequest { scope: scope.into(), ended: false })
    };
    let all = floor.call("observer", list(v1::OrderScope::All));
    let all = floor.answer::<v1::ListOrdersResponse>(all).orders;
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|order| order.owner.is_empty()));
    let own = floor.call("momentum", list(v1::OrderScope::Own));
    assert!(floor.answer::<v1::ListOrdersResponse>(own).orders.is_empty());
    assert!(floor.desk.brakes.doubts.is_empty());
    assert!(floor.placed("momentum", "a") > 5, "ids that Gateway has seen are not used");
}

#[test]
fn executions_do_not_end_an_order_whose_larger_quantity_is_not_answered() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.told(id, "Submitted");
    let mut larger = limit(10.0);
    larger.order.as_mut().unwrap().total_quantity = Some("20".into());
    floor.call("momentum", change_to("a", larger));
    floor.leave();
    floor.executed(id, "1.1", "10");
    assert_eq!(floor.state("momentum", "a"), State::Working);
    floor.executed(id, "1.2", "20");
    assert_eq!(floor.state("momentum", "a"), State::Filled);
}

#[test]
fn executions_of_more_than_was_asked_for_end_nothing() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.told(id, "Submitted");
    floor.executed(id, "1.1", "12");
    assert_eq!(floor.state("momentum", "a"), State::Working, "a change that was forgotten");
    floor.told(id, "Cancelled");
    assert_eq!(floor.state("momentum", "a"), State::Cancelled);
    assert_eq!(floor.order("momentum", "a").filled, "12");
}

#[test]
fn a_change_that_waits_does_not_leave_for_an_order_that_has_ended_meanwhile() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.opened(id, "Submitted", 10.0);
    let modified = floor.call("momentum", modify("a", 11.0));
    floor.told(id, "Filled");
    assert_eq!(floor.refused(modified).code, "ORDER_ENDED");
    floor.leave();
    assert_eq!(floor.placements(), [id]);
}

#[test]
fn gateways_word_that_the_size_is_zero_ends_an_order() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.failed(id, 434);
    assert_eq!(floor.state("momentum", "a"), State::Rejected);
    let id = floor.placed("momentum", "b");
    floor.failed(id, 399);
    assert_eq!(floor.state("momentum", "b"), State::Sent, "a warning ends nothing");
}

#[test]
fn an_error_that_answers_cancels_ends_no_order_that_was_not_answered() {
    for code in [161, 10_147, 10_148] {
        let mut floor = Floor::open();
        let id = floor.placed("momentum", "a");
        floor.cancel("momentum", "a");
        floor.leave();
        floor.failed(id, code);
        assert_eq!(changing(&floor, "a"), v1::ChangeState::Failed);
        floor.failed(id, code);
        assert_eq!(floor.state("momentum", "a"), State::Sent, "{code} came twice");
    }
}

#[test]
fn an_order_is_shown_as_gateway_knows_it_and_changed_as_it_was_shown() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    let resolved = tws::Contract { con_id: Some(265_598), ..stock() };
    let open = tws::OpenOrder {
        order_id: Some(id),
        contract: Some(resolved.clone()),
        order: Some(tws::Order {
            client_id: Some(CLIENT_ID),
            perm_id: Some(77),
            order_ref: Some(floor.tag(id)),
            ..limit(10.0).order.unwrap()
        }),
        order_state: Some(tws::OrderState {
            status: Some("PreSubmitted".into()),
            ..Default::default()
        }),
    };
    floor.hear(id::OPEN_ORDER, &open);
    let status = tws::OrderStatus {
        order_id: Some(id),
        client_id: Some(CLIENT_ID),
        status: Some("PreSubmitted".into()),
        perm_id: Some(77),
        why_held: Some("locate".into()),
        ..Default::default()
    };
    floor.hear(id::ORDER_STATUS, &status);
    let heard = floor.events.len();
    floor.hear(id::ORDER_STATUS, &status);
    assert_eq!(floor.events.len(), heard, "the same again is no event");
    let shown = floor.order_events().pop().unwrap().order.unwrap();
    assert_eq!(shown.contract, Some(resolved.clone()));
    assert_eq!(shown.order_status.unwrap().why_held(), "locate");
    let as_shown = tws::PlaceOrderRequest {
        contract: Some(resolved),
        order: Some(tws::Order { lmt_price: Some(11.0), ..shown.order.unwrap() }),
        ..Default::default()
    };
    let attached = Some(tws::AttachedOrders::default());
    let call = floor.call(
        "momentum",
        change_to("a", tws::PlaceOrderRequest { attached_orders: attached, ..as_shown.clone() }),
    );
    assert!(floor.refused(call).message.contains("attached_orders"));
    let call = floor.call("momentum", change_to("a", as_shown));
    floor.leave();
    floor.answer::<v1::ModifyOrderResponse>(call);
}

#[test]
fn what_gateway_holds_back_is_looked_for_so_that_it_can_be_changed() {
    let mut floor = Floor::open();
    let mut held = limit(10.0);
    held.order.as_mut().unwrap().transmit = Some(false);
    let call = floor.call("momentum", OrderRequest::Place(place("a", held)));
    floor.leave();
    let id = floor.answer::<v1::PlaceOrderResponse>(call).order.unwrap().order_id;
    assert_eq!(floor.desk.poll_listing(), Some(Listing::OpenOrders));
    floor.opened(id, "Inactive", 10.0);
    floor.call("momentum", modify("a", 11.0));
    floor.leave();
    assert_eq!(floor.placements(), [id, id]);
}

#[test]
fn who_changes_what_gateway_has_not_told_of_makes_it_be_asked() {
    let mut floor = Floor::open();
    floor.placed("momentum", "a");
    let early = floor.call("momentum", modify("a", 11.0));
    assert_eq!(floor.refused(early).code, "ORDER_UNKNOWN");
    assert_eq!(floor.desk.poll_listing(), None, "the lists were read a moment ago");
    floor.now += Duration::from_secs(11);
    floor.call("momentum", modify("a", 11.0));
    assert_eq!(floor.desk.poll_listing(), Some(Listing::OpenOrders));
}

#[test]
fn the_owner_s_words_for_the_contract_hold_after_a_change_in_gateway_s_words() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    let resolved = tws::Contract { con_id: Some(265_598), ..stock() };
    let told = |floor: &mut Floor, price: f64| {
        let open = tws::OpenOrder {
            order_id: Some(id),
            contract: Some(resolved.clone()),
            order: Some(tws::Order {
                client_id: Some(CLIENT_ID),
                perm_id: Some(77),
                order_ref: Some(floor.tag(id)),
                oca_group: Some("3000000004".into()),
                account: Some("DU0000001".into()),
                ..limit(price).order.unwrap()
            }),
            order_state: Some(tws::OrderState {
                status: Some("Submitted".into()),
                ..Default::default()
            }),
        };
        floor.hear(id::OPEN_ORDER, &open);
    };
    told(&mut floor, 10.0);
    let shown = floor.order_events().pop().unwrap().order.unwrap();
    let as_shown = tws::PlaceOrderRequest {
        contract: shown.contract,
        order: Some(tws::Order { lmt_price: Some(11.0), ..shown.order.unwrap() }),
        ..Default::default()
    };
    floor.call("momentum", change_to("a", as_shown));
    floor.leave();
    let left = tws::PlaceOrderRequest::decode(floor.left.last().unwrap().1.clone()).unwrap();
    assert_eq!(left.order.unwrap().oca_group(), "3000000004", "the group that Gateway made");
    told(&mut floor, 11.0);
    assert_eq!(changing(&floor, "a"), v1::ChangeState::Done);
    let own = floor.call("momentum", modify("a", 12.0));
    floor.leave();
    floor.answer::<v1::ModifyOrderResponse>(own);
    let left = tws::PlaceOrderRequest::decode(floor.left.last().unwrap().1.clone()).unwrap();
    assert_eq!(left.order.unwrap().account(), "DU0000001", "the account that is in force");
}
