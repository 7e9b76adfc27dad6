//! What is lost, what is proven, and what nobody may conclude.

use ibouncer_proto::api::v1::ChangeState;

use super::*;

#[test]
fn after_a_session_is_lost_an_order_is_unknown_until_gateway_tells_of_it() {
    let mut floor = Floor::open();
    let (a, b) = (floor.placed("momentum", "a"), floor.placed("momentum", "b"));
    floor.told(a, "Submitted");
    floor.down();
    floor.session(2, Before::New);
    for name in ["a", "b"] {
        assert_eq!(floor.state("momentum", name), State::Unknown);
    }
    floor.desk.poll_listing();
    floor.opened(a, "Submitted", 10.0);
    floor.desk.on_listed(true, floor.now);
    floor.settle();
    floor.reconcile();
    assert_eq!(floor.state("momentum", "a"), State::Working);
    assert_eq!(floor.state("momentum", "b"), State::Unknown, "absence is no evidence");
    let call = floor.call("momentum", modify("b", 11.0));
    assert_eq!(floor.refused(call).code, "ORDER_UNKNOWN");
    let _ = b;
    floor.cancel("momentum", "b");
    floor.leave();
    floor.failed(b, 10_147);
    assert_eq!(floor.state("momentum", "b"), State::Unknown, "nor is that");
}

/// An order that has ended, with our tag.
fn completed(floor: &Floor, id: i32) -> tws::CompletedOrder {
    tws::CompletedOrder {
        contract: Some(stock()),
        order: Some(tws::Order {
            perm_id: Some(99),
            action: Some("BUY".into()),
            order_ref: Some(body::tag(&floor.desk.facts.journal_id, id)),
            filled_quantity: Some("10".into()),
            ..Default::default()
        }),
        order_state: Some(tws::OrderState {
            status: Some("Filled".into()),
            completed_time: Some("20261128 10:00:00".into()),
            ..Default::default()
        }),
    }
}

#[test]
fn a_completed_order_is_evidence_also_by_our_tag_alone() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.down();
    floor.session(2, Before::New);
    let completed = completed(&floor, id);
    floor.hear(id::COMPLETED_ORDER, &completed);
    assert_eq!(floor.state("momentum", "a"), State::Filled);
    assert_eq!(floor.order("momentum", "a").perm_id, 99);
    let shown = floor.order_events().pop().unwrap().order.unwrap();
    assert_eq!(shown.order_state.unwrap().completed_time(), "20261128 10:00:00");
}

#[test]
fn a_tag_that_somebody_else_wrote_is_no_evidence() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.told(id, "Submitted");
    for change in [
        (|told: &mut tws::CompletedOrder| {
            told.order.as_mut().unwrap().client_id = Some(7);
        }) as fn(&mut tws::CompletedOrder),
        |told| told.order.as_mut().unwrap().action = Some("SELL".into()),
        |told| told.contract.as_mut().unwrap().symbol = Some("MSFT".into()),
    ] {
        let mut forged = completed(&floor, id);
        change(&mut forged);
        floor.hear(id::COMPLETED_ORDER, &forged);
        assert_eq!(floor.state("momentum", "a"), State::Working);
        assert_eq!(floor.desk.status(&floor.desk.clock).0, "on");
    }
}

#[test]
fn a_completed_order_of_our_client_id_that_nobody_knows_halts_trading() {
    let mut floor = Floor::open();
    let mut forgotten = completed(&floor, 5);
    let order = forgotten.order.as_mut().unwrap();
    order.order_ref = Some("theirs".into());
    order.client_id = Some(CLIENT_ID);
    order.order_id = Some(700);
    floor.hear(id::COMPLETED_ORDER, &forgotten);
    let call = floor.place("momentum", "a");
    assert_eq!(floor.refused_in_doubt(call).code, "TRADING_HALTED");
}

#[test]
fn what_the_worker_has_not_taken_was_never_sent() {
    let mut floor = Floor::open();
    floor.placed("momentum", "a");
    floor.placed("momentum", "b");
    floor.desk.on_relinked(1, floor.now);
    floor.settle();
    assert_eq!(floor.state("momentum", "a"), State::Sent);
    assert_eq!(floor.state("momentum", "b"), State::NotSent);
    let id = floor.placed("momentum", "b");
    assert_eq!(floor.placements().len(), 3, "the same call may send it after all");
    assert_eq!(floor.order("momentum", "b").order_id, id);
}

#[test]
fn another_broker_goes_on_from_the_journal() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.placed("momentum", "b");
    floor.told(id, "Submitted");
    floor.executed(id, "e.1.01", "4");
    let mut next = Floor::closed(floor.disk.clone());
    next.session(1, Before::TakenThrough(1));
    assert_eq!(next.state("momentum", "a"), State::Working);
    assert_eq!(next.state("momentum", "b"), State::NotSent, "proof by the link's numbers");
    next.executed(id, "e.1.01", "4");
    next.now += Duration::from_secs(6);
    next.desk.handle_timeout(next.now);
    next.settle();
    assert_eq!(next.execution_events().len(), 1, "it was not told before");
    next.reconcile();
    let again = next.place("momentum", "a");
    assert!(next.answer::<v1::PlaceOrderResponse>(again).already_placed);
    assert!(next.placed("momentum", "c") > id + 1, "ids are never used again");
    let (old, new) = (&floor.order_events(), &next.order_events());
    assert!(new[0].sequence > old.last().unwrap().sequence);
}

#[test]
fn a_new_session_under_a_new_broker_makes_all_unknown() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.told(id, "Submitted");
    let mut next = Floor::closed(floor.disk.clone());
    next.session(2, Before::New);
    assert_eq!(next.state("momentum", "a"), State::Unknown);
}

#[test]
fn a_cancel_that_was_lost_can_be_made_again() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.told(id, "Submitted");
    floor.cancel("momentum", "a");
    floor.leave();
    floor.down();
    floor.session(2, Before::New);
    floor.reconcile_with(|floor| floor.opened(id, "Submitted", 10.0));
    let change = floor.order("momentum", "a").change.clone().unwrap();
    assert_eq!(change.state(), v1::ChangeState::Failed);
    floor.cancel("momentum", "a");
    floor.leave();
    let cancels = floor.left.iter().filter(|(message, _)| *message == id::CANCEL_ORDER).count();
    assert_eq!(cancels, 2);
}

#[test]
fn a_disk_that_fails_withholds_orders_and_lets_cancels_and_news_pass() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.told(id, "Submitted");
    let waits = floor.place("momentum", "b");
    floor.disk_works = false;
    floor.leave();
    assert_eq!(floor.refused(waits).code, "JOURNAL_FAILED");
    assert_eq!(floor.placements(), [id]);
    let next = floor.place("momentum", "c");
    assert_eq!(floor.refused(next).code, "JOURNAL_FAILED");
    floor.cancel("momentum", "a");
    floor.leave();
    assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER);
    let before = floor.order_events().len();
    floor.told(id, "Cancelled");
    assert!(floor.order_events().len() > before, "its owner hears of it all the same");
    floor.disk_works = true;
    floor.desk.on_journaled(1_000);
    floor.settle();
    floor.placed("momentum", "b");
}

#[test]
fn a_cancel_that_waited_when_the_broker_died_can_be_made_again() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.told(id, "Submitted");
    floor.cancel("momentum", "a");
    let mut floor = Floor::closed(floor.disk.clone());
    let change = |floor: &Floor| floor.order("momentum", "a").change.clone().unwrap().state();
    assert_eq!(change(&floor), ChangeState::Unknown);
    floor.session(2, Before::New);
    floor.cancel("momentum", "a");
    floor.leave();
    assert_eq!(floor.left.len(), 1, "the cancel leaves");
    assert_eq!(change(&floor), ChangeState::Sent);
}

#[test]
fn a_name_that_was_given_on_is_one_orders_after_a_restart() {
    let mut floor = Floor::open();
    floor.placed("momentum", "a");
    floor.desk.on_relinked(0, floor.now);
    floor.settle();
    assert_eq!(floor.state("momentum", "a"), State::NotSent);
    let id = floor.placed("momentum", "a");
    let floor = Floor::closed(floor.disk.clone());
    floor.desk.check_invariants();
    assert_eq!(floor.order("momentum", "a").order_id, id);
}

#[test]
fn what_left_in_another_session_is_unknown_in_one_that_is_taken_over() {
    let mut floor = Floor::open();
    floor.placed("momentum", "a");
    let mut floor = Floor::closed(floor.disk.clone());
    floor.session(2, Before::TakenThrough(100));
    assert_eq!(floor.state("momentum", "a"), State::Unknown);
}

#[test]
fn a_rejected_order_in_the_list_of_completed_ones_has_ended() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.told(id, "Submitted");
    floor.told(id, "Inactive");
    assert_eq!(floor.state("momentum", "a"), State::Inactive);
    let perm_id = Some(floor.order("momentum", "a").perm_id);
    let completed = tws::CompletedOrder {
        order: Some(tws::Order { perm_id, ..Default::default() }),
        order_state: Some(tws::OrderState {
            status: Some("Inactive".into()),
            ..Default::default()
        }),
        ..Default::default()
    };
    floor.hear(id::COMPLETED_ORDER, &completed);
    assert_eq!(floor.state("momentum", "a"), State::Rejected);
}

#[test]
fn what_gateway_says_of_a_filled_order_is_shown_as_it_said_it_last() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.opened(id, "PreSubmitted", 10.0);
    floor.executed(id, "1.1", "10");
    assert_eq!(floor.state("momentum", "a"), State::Filled);
    let filled = tws::OrderStatus {
        order_id: Some(id),
        status: Some("Filled".into()),
        filled: Some("10".into()),
        remaining: Some("0".into()),
        avg_fill_price: Some(9.5),
        perm_id: Some(i64::from(id) + 1_000_000),
        client_id: Some(CLIENT_ID),
        ..Default::default()
    };
    floor.hear(id::ORDER_STATUS, &filled);
    let told = floor.order_events().len();
    floor.hear(id::ORDER_STATUS, &filled);
    assert_eq!(floor.order_events().len(), told, "the same again is no news");
    // It was on its way when the order filled.
    floor.told(id, "PreSubmitted");
    let order = floor.order("momentum", "a");
    assert_eq!((order.status.as_str(), order.remaining.as_str()), ("Filled", "0"));
    let status = tws::OrderStatus::decode(&order.order_status[..]).unwrap();
    assert_eq!(status, filled);
    assert_eq!(order.avg_fill_price, 9.5);
}

#[test]
fn of_a_journal_that_could_not_be_read_nobody_is_told_that_there_is_no_order() {
    let damaged = Some("row 1 is not what was written".to_owned());
    let mut floor = Floor::closed(Loaded { damaged, blind: true, ..Loaded::default() });
    floor.session(1, Before::New);
    floor.reconcile();
    let get = v1::GetOrderRequest { client_order_id: "a".into(), ..Default::default() };
    let all = OrderRequest::CancelAll(v1::CancelAllOrdersRequest::default());
    let watch = OrderRequest::Watch { scope: v1::OrderScope::Own, snapshot: true };
    for request in [OrderRequest::Get(get), all, watch, modify("a", 1.0)] {
        let call = floor.call("momentum", request);
        let refused = floor.refused(call);
        assert_eq!(refused.code, "JOURNAL_DAMAGED");
        assert!(refused.message.contains("row 1"), "{refused:?}");
    }
    let placed = floor.place("momentum", "a");
    assert_eq!(floor.refused_in_doubt(placed).code, "TRADING_HALTED");
}

#[test]
fn a_call_whose_row_is_damaged_may_have_been_sent_and_is_no_other_orders() {
    let mut floor = Floor::open();
    floor.placed("momentum", "a");
    let mut loaded = floor.disk.clone();
    // What the other columns of the row say.
    let OrderRecord { order_id, owner, client_order_id, .. } = loaded.orders[0].clone();
    let mut outline = OrderRecord { order_id, owner, client_order_id, ..OrderRecord::default() };
    outline.set_state(State::Unknown);
    outline.sending = Some(journal::Sending::default());
    loaded.orders = vec![outline];
    loaded.damaged = Some("row 1 is not what was written".into());
    let mut floor = Floor::closed(loaded);
    floor.session(2, Before::New);
    floor.reconcile();
    for price in [10.0, 11.0] {
        let call = floor.call("momentum", OrderRequest::Place(place("a", limit(price))));
        let error = floor.replies[&call].as_ref().unwrap_err();
        assert_eq!(error.code, "JOURNAL_DAMAGED");
        assert_eq!(error.delivery(), crate::error::Delivery::MaybeSent, "{error:?}");
        assert!(floor.left.is_empty());
    }
}
