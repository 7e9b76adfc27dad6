//! What Gateway refuses: the order, its change, or a cancel of before.

use ibouncer_proto::api::v1::ChangeState;

use super::*;

fn changing(floor: &Floor) -> (v1::ChangeKind, ChangeState) {
    let change = floor.order("momentum", "a").change.as_ref().unwrap();
    (change.kind(), change.state())
}

/// Nothing that Gateway was asked for was answered in time.
fn unanswered(floor: &mut Floor) {
    floor.now += Duration::from_secs(11);
    floor.desk.handle_timeout(floor.now);
    floor.settle();
}

/// A working order whose modification has left.
fn modified(request: tws::PlaceOrderRequest) -> (Floor, i32) {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.opened(id, "Submitted", 10.0);
    floor.call("momentum", change_to("a", request));
    floor.leave();
    (floor, id)
}

fn larger() -> tws::PlaceOrderRequest {
    let mut larger = limit(10.0);
    larger.order.as_mut().unwrap().total_quantity = Some("20".into());
    larger
}

#[test]
fn an_order_that_was_cancelled_before_any_answer_is_rejected_by_an_error_that_is_no_cancel_s() {
    for code in [110, 201] {
        let mut floor = Floor::open();
        let id = floor.placed("momentum", "a");
        floor.cancel("momentum", "a");
        floor.leave();
        floor.failed(id, code);
        assert_eq!(floor.state("momentum", "a"), State::Rejected, "{code}");
        assert_eq!(changing(&floor), (v1::ChangeKind::Cancel, ChangeState::Failed));
        floor.failed(id, 10_147);
        assert_eq!(floor.state("momentum", "a"), State::Rejected);
        assert_eq!(floor.desk.book.live_count("momentum"), 0, "limits do not count it");
    }
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.cancel("momentum", "a");
    floor.leave();
    floor.failed(id, 135);
    assert_eq!(floor.state("momentum", "a"), State::Sent, "the cancel may have found nothing");
}

#[test]
fn a_cancel_that_waits_does_not_leave_for_an_order_that_is_rejected() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    let cancel = floor.cancel("momentum", "a");
    floor.failed(id, 201);
    assert_eq!(floor.state("momentum", "a"), State::Rejected);
    assert_eq!(floor.refused(cancel).code, "ORDER_ENDED");
    floor.leave();
    assert_eq!(floor.left.len(), 1, "the placement alone");
}

#[test]
fn a_late_answer_to_a_cancel_is_not_the_modification_s() {
    for code in [136, 161, 10_147, 10_148] {
        let mut floor = Floor::open();
        let id = floor.placed("momentum", "a");
        floor.opened(id, "Submitted", 10.0);
        floor.cancel("momentum", "a");
        floor.leave();
        unanswered(&mut floor);
        floor.reconcile_with(|floor| floor.opened(id, "Submitted", 10.0));
        assert_eq!(changing(&floor), (v1::ChangeKind::Cancel, ChangeState::Failed));
        floor.call("momentum", modify("a", 11.0));
        floor.leave();
        floor.failed(id, code);
        assert_eq!(changing(&floor), (v1::ChangeKind::Modify, ChangeState::Sent), "{code}");
        floor.opened(id, "Submitted", 11.0);
        assert_eq!(changing(&floor), (v1::ChangeKind::Modify, ChangeState::Done));
    }
}

#[test]
fn executions_fill_an_order_whose_larger_quantity_gateway_has_refused() {
    for refused in [true, false] {
        let (mut floor, id) = modified(larger());
        if refused {
            floor.failed(id, 201);
        } else {
            unanswered(&mut floor);
            floor.reconcile_with(|floor| floor.opened(id, "Submitted", 10.0));
        }
        assert_eq!(changing(&floor), (v1::ChangeKind::Modify, ChangeState::Failed));
        floor.executed(id, "1.1", "10");
        let state = if refused { State::Filled } else { State::Working };
        assert_eq!(floor.state("momentum", "a"), state, "a list alone may be wrong");
    }
}

#[test]
fn a_change_of_what_gateway_does_not_show_is_done_by_a_later_list_of_the_same_session_alone() {
    let mut request = limit(10.0);
    request.order.as_mut().unwrap().ext_operator = Some("desk".into());
    for (restarts, end) in [(false, ChangeState::Done), (true, ChangeState::Failed)] {
        let (mut floor, id) = modified(request.clone());
        floor.opened(id, "Submitted", 10.0);
        assert_eq!(changing(&floor).1, ChangeState::Sent, "it crossed");
        if restarts {
            floor.down();
            floor.session(2, Before::New);
        } else {
            unanswered(&mut floor);
        }
        floor.reconcile_with(|floor| floor.opened(id, "Submitted", 10.0));
        assert_eq!(changing(&floor).1, end);
    }
}

#[test]
fn a_held_order_whose_letting_go_is_refused_is_still_held() {
    let mut held = limit(10.0);
    held.order.as_mut().unwrap().transmit = Some(false);
    let mut floor = Floor::open();
    let call = floor.call("momentum", OrderRequest::Place(place("a", held)));
    floor.leave();
    let id = floor.answer::<v1::PlaceOrderResponse>(call).order.unwrap().order_id;
    floor.opened(id, "Inactive", 10.0);
    floor.call("momentum", change_to("a", limit(10.0)));
    floor.leave();
    floor.opened(id, "Inactive", 10.0);
    assert_eq!(changing(&floor).1, ChangeState::Sent, "it crossed");
    floor.failed(id, 201);
    assert_eq!(changing(&floor).1, ChangeState::Failed);
    assert_eq!(floor.state("momentum", "a"), State::Inactive);
    floor.cancel("momentum", "a");
    floor.leave();
    assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER);
}

#[test]
fn a_late_error_of_a_modification_that_a_list_has_failed_is_not_the_order_s() {
    let (mut floor, id) = modified(limit(11.0));
    unanswered(&mut floor);
    floor.reconcile_with(|floor| floor.opened(id, "Submitted", 10.0));
    assert_eq!(changing(&floor), (v1::ChangeKind::Modify, ChangeState::Failed));
    floor.failed(id, 201);
    assert!(floor.order("momentum", "a").change.as_ref().unwrap().because.contains("201"));
    floor.told(id, "Inactive");
    assert_eq!(floor.state("momentum", "a"), State::Inactive, "it may come back");
    floor.failed(id, 201);
    assert_eq!(floor.state("momentum", "a"), State::Rejected, "this one is its own");
}

#[test]
fn an_error_after_a_modification_that_was_shown_may_be_its_own_and_is_not_the_order_s() {
    let (mut floor, id) = modified(limit(11.0));
    floor.opened(id, "Submitted", 11.0);
    floor.failed(id, 201);
    assert_eq!(floor.desk.poll_listing(), Some(Listing::OpenOrders), "Gateway is asked");
    floor.told(id, "Inactive");
    assert_eq!(floor.state("momentum", "a"), State::Inactive);
    floor.cancel("momentum", "a");
    floor.leave();
    assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER);
}

#[test]
fn only_one_error_behind_a_modification_that_was_shown_can_be_its_own() {
    let (mut floor, id) = modified(limit(11.0));
    floor.opened(id, "Submitted", 11.0);
    floor.failed(id, 201);
    floor.told(id, "Inactive");
    assert_eq!(floor.state("momentum", "a"), State::Inactive);
    floor.failed(id, 201);
    assert_eq!(floor.state("momentum", "a"), State::Rejected);
}

#[test]
fn a_modification_waits_for_the_answer_of_the_one_that_a_refused_cancel_has_overtaken() {
    let sent = || {
        let (mut floor, id) = modified(limit(11.0));
        floor.cancel("momentum", "a");
        floor.leave();
        floor.failed(id, 10_148);
        let second = floor.call("momentum", modify("a", 12.0));
        assert_eq!(floor.refused(second).code, "CHANGE_PENDING");
        (floor, id)
    };
    let again = |floor: &mut Floor| {
        let call = floor.call("momentum", modify("a", 12.0));
        floor.leave();
        floor.answer::<v1::ModifyOrderResponse>(call);
    };
    let (mut floor, id) = sent();
    floor.failed(id, 201);
    again(&mut floor);
    let (mut floor, id) = sent();
    floor.opened(id, "Submitted", 11.0);
    again(&mut floor);
    // Or a list shows it without that, once it is late.
    let (mut floor, id) = sent();
    floor.desk.on_gap("test", false, floor.now);
    floor.reconcile_with(|floor| floor.opened(id, "Submitted", 10.0));
    let second = floor.call("momentum", modify("a", 12.0));
    assert_eq!(floor.refused(second).code, "CHANGE_PENDING");
    unanswered(&mut floor);
    floor.reconcile_with(|floor| floor.opened(id, "Submitted", 10.0));
    again(&mut floor);
}
