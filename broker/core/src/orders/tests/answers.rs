//! What answers a change, and what does not: only what Gateway shows of just this order.

use ibouncer_proto::api::v1::{ChangeState, OrderChange};

use super::*;

fn change(floor: &Floor) -> OrderChange {
    floor.order_events().pop().unwrap().order.unwrap().change.unwrap()
}

fn is_unknown(floor: &Floor) -> bool {
    floor.order("momentum", "a").change.as_ref().unwrap().state() == ChangeState::Unknown
}

/// A working order with a change that has left, and no answer in time.
fn unanswered(change: fn(&mut Floor)) -> (Floor, i32) {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.opened(id, "Submitted", 10.0);
    change(&mut floor);
    floor.leave();
    floor.now += Duration::from_secs(11);
    floor.desk.handle_timeout(floor.now);
    floor.settle();
    assert!(is_unknown(&floor));
    (floor, id)
}

/// The same, lost with the session.
fn lost(change: fn(&mut Floor)) -> (Floor, i32) {
    let (mut floor, id) = unanswered(change);
    floor.down();
    floor.session(2, Before::New);
    (floor, id)
}

fn modified(floor: &mut Floor) {
    floor.call("momentum", modify("a", 11.0));
}

fn cancelled(floor: &mut Floor) {
    floor.cancel("momentum", "a");
}

#[test]
fn a_change_stays_unknown_when_a_list_ends_that_does_not_show_its_order() {
    for change in [modified as fn(&mut Floor), cancelled] {
        for (mut floor, _) in [unanswered(change), lost(change)] {
            floor.reconcile();
            assert!(is_unknown(&floor));
        }
    }
    let (mut floor, id) = unanswered(cancelled);
    floor.reconcile();
    floor.told(id, "Cancelled");
    assert_eq!(change(&floor).state(), ChangeState::Done);
}

#[test]
fn a_status_alone_says_nothing_of_a_modification() {
    let (mut floor, id) = lost(modified);
    floor.reconcile_with(|floor| floor.told(id, "Submitted"));
    assert_eq!(floor.state("momentum", "a"), State::Working);
    assert!(is_unknown(&floor));
    let again = floor.call("momentum", modify("a", 12.0));
    assert_eq!(floor.refused(again).code, "CHANGE_PENDING");
    floor.now += Duration::from_secs(11);
    floor.call("momentum", modify("a", 12.0));
    floor.reconcile_with(|floor| floor.opened(id, "Submitted", 11.0));
    assert_eq!(change(&floor).state(), ChangeState::Done, "who asks makes Gateway be asked");
}

#[test]
fn what_a_list_shows_of_the_order_answers_a_modification() {
    for (price, because) in [
        (10.0, "Gateway shows the order as it was before"),
        (12.0, "Gateway shows the order, and not as this change wants it"),
    ] {
        let (mut floor, id) = unanswered(modified);
        floor.reconcile_with(|floor| floor.opened(id, "Submitted", price));
        assert_eq!(change(&floor).state(), ChangeState::Failed);
        assert_eq!(change(&floor).because, because);
    }
    let (mut floor, id) = unanswered(modified);
    floor.reconcile_with(|floor| floor.opened(id, "Submitted", 11.0));
    assert_eq!(change(&floor).state(), ChangeState::Done);
}

#[test]
fn what_was_shown_in_the_first_pass_of_a_session_answers_nothing() {
    let (mut floor, id) = lost(modified);
    let mut pass = 0;
    floor.reconcile_with(|floor| {
        pass += 1;
        if pass == 1 {
            floor.opened(id, "Submitted", 10.0);
        }
    });
    assert!(is_unknown(&floor), "lists come late");
}

#[test]
fn an_order_that_is_being_cancelled_is_not_shown_open() {
    let (mut floor, id) = unanswered(cancelled);
    floor.reconcile_with(|floor| floor.told(id, "PendingCancel"));
    assert!(is_unknown(&floor));
    floor.cancel("momentum", "a");
    floor.leave();
    floor.now += Duration::from_secs(11);
    floor.desk.handle_timeout(floor.now);
    floor.settle();
    assert!(change(&floor).because.contains("being cancelled"), "{:?}", change(&floor));
    floor.reconcile_with(|floor| floor.told(id, "Submitted"));
    assert_eq!(change(&floor).because, "Gateway shows the order open");
    assert_eq!(change(&floor).state(), ChangeState::Failed);
}

#[test]
fn while_gateway_has_lost_ib_its_lists_answer_no_change() {
    let (mut floor, id) = unanswered(modified);
    floor.desk.on_road(Road::UpstreamLost);
    floor.reconcile_with(|floor| floor.opened(id, "Submitted", 10.0));
    assert!(is_unknown(&floor), "it may keep the change back");
    floor.desk.on_road(Road::Open);
    floor.desk.on_gap("1102", false, floor.now);
    floor.reconcile_with(|floor| floor.opened(id, "Submitted", 10.0));
    assert_eq!(change(&floor).state(), ChangeState::Failed);
}
