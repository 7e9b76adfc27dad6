//! Which change an answer of Gateway is about, and what it says of the order itself.

use ibouncer_proto::api::v1::ChangeState;

use super::*;

fn changing(floor: &Floor) -> (v1::ChangeKind, ChangeState) {
    let change = floor.order("momentum", "a").change.as_ref().unwrap();
    (change.kind(), change.state())
}

fn price_in_force(floor: &Floor) -> f64 {
    let request = &floor.order("momentum", "a").request;
    tws::PlaceOrderRequest::decode(&request[..]).unwrap().order.unwrap().lmt_price()
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

/// The same, and a cancel behind it.
fn overtaken() -> (Floor, i32) {
    let (mut floor, id) = modified(limit(11.0));
    floor.cancel("momentum", "a");
    floor.leave();
    assert_eq!(changing(&floor), (v1::ChangeKind::Cancel, ChangeState::Sent));
    (floor, id)
}

#[test]
fn an_open_order_that_crosses_a_modification_does_not_answer_it() {
    let mut wider = limit(10.0);
    wider.order.as_mut().unwrap().outside_rth = Some(true);
    let (mut floor, id) = modified(wider.clone());
    floor.opened(id, "Submitted", 10.0);
    assert_eq!(changing(&floor).1, ChangeState::Sent);
    floor.failed(id, 201);
    assert_eq!(changing(&floor).1, ChangeState::Failed);
    assert_eq!(floor.state("momentum", "a"), State::Working);
    floor.call("momentum", change_to("a", wider));
    floor.leave();
    let mut open = floor.open_order(id, "Submitted", 10.0);
    open.order.as_mut().unwrap().outside_rth = Some(true);
    floor.hear(id::OPEN_ORDER, &open);
    assert_eq!(changing(&floor).1, ChangeState::Done);
}

#[test]
fn what_is_shown_of_it_before_it_leaves_is_what_a_modification_is_measured_by() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.opened(id, "Submitted", 10.0);
    floor.call("momentum", modify("a", 11.0));
    floor.opened(id, "Submitted", 10.4);
    floor.leave();
    floor.opened(id, "Submitted", 10.4);
    assert_eq!(changing(&floor).1, ChangeState::Sent);
    floor.opened(id, "Submitted", 11.0);
    assert_eq!(changing(&floor).1, ChangeState::Done);
}

#[test]
fn the_error_of_an_overtaken_modification_is_not_the_cancels() {
    let (mut floor, id) = overtaken();
    floor.failed(id, 201);
    assert_eq!(changing(&floor), (v1::ChangeKind::Cancel, ChangeState::Sent));
    assert_eq!(floor.state("momentum", "a"), State::Working);
    floor.told(id, "Cancelled");
    assert_eq!(changing(&floor), (v1::ChangeKind::Cancel, ChangeState::Done));
    for code in [161, 10_147, 10_148] {
        let (mut floor, id) = overtaken();
        floor.failed(id, code);
        assert_eq!(changing(&floor), (v1::ChangeKind::Cancel, ChangeState::Failed), "{code}");
    }
}

#[test]
fn a_second_error_is_the_cancels_and_so_is_one_of_another_session() {
    let (mut floor, id) = overtaken();
    floor.failed(id, 201);
    floor.failed(id, 201);
    assert_eq!(changing(&floor).1, ChangeState::Failed);
    let (mut floor, id) = overtaken();
    floor.down();
    floor.session(2, Before::New);
    floor.reconcile_with(|floor| floor.opened(id, "Submitted", 10.0));
    floor.cancel("momentum", "a");
    floor.leave();
    floor.failed(id, 201);
    assert_eq!(changing(&floor).1, ChangeState::Failed);
}

#[test]
fn an_overtaken_modification_that_is_shown_is_in_force() {
    let (mut floor, id) = overtaken();
    floor.opened(id, "Submitted", 10.0);
    assert_eq!(price_in_force(&floor), 10.0);
    floor.opened(id, "Submitted", 11.0);
    assert_eq!(price_in_force(&floor), 11.0);
    floor.failed(id, 201);
    assert_eq!(changing(&floor).1, ChangeState::Failed, "it can only be the cancel's");
}

#[test]
fn executions_do_not_end_an_order_whose_larger_quantity_was_overtaken() {
    let mut larger = limit(10.0);
    larger.order.as_mut().unwrap().total_quantity = Some("20".into());
    let (mut floor, id) = modified(larger);
    floor.cancel("momentum", "a");
    floor.leave();
    floor.executed(id, "1.1", "10");
    assert_eq!(floor.state("momentum", "a"), State::Working);
}

#[test]
fn inactive_after_a_rejection_is_the_end_as_a_rejection_after_inactive_is() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.opened(id, "Submitted", 10.0);
    floor.failed(id, 201);
    assert_eq!(floor.state("momentum", "a"), State::Working, "only a status ends it");
    floor.told(id, "Inactive");
    assert_eq!(floor.state("momentum", "a"), State::Rejected);
    assert!(floor.order("momentum", "a").because.contains("201"));
    let id = floor.placed("momentum", "b");
    floor.opened(id, "Submitted", 10.0);
    floor.failed(id, 201);
    floor.told(id, "Submitted");
    floor.told(id, "Inactive");
    assert_eq!(floor.state("momentum", "b"), State::Inactive, "it worked in between");
    let (mut floor, id) = modified(limit(11.0));
    floor.failed(id, 201);
    floor.told(id, "Inactive");
    assert_eq!(floor.state("momentum", "a"), State::Inactive, "that was the modification's");
}

#[test]
fn what_was_never_attached_is_unknown_once_its_parent_has_ended_and_a_person_ends_it() {
    let mut floor = Floor::open();
    floor.call("momentum", names::one(names::with_attached("a")));
    floor.leave();
    let id = floor.order("momentum", "a").order_id;
    floor.opened(id, "Submitted", 10.0);
    assert_eq!(floor.state("momentum", "a.sl"), State::Sent);
    let told = floor.order("momentum", "a.pt").order_id;
    floor.told(told, "PreSubmitted");
    floor.told(id, "Cancelled");
    assert_eq!(floor.state("momentum", "a.sl"), State::Unknown);
    assert_ne!(floor.state("momentum", "a.pt"), State::Unknown, "Gateway tells of this one");
    let resolve = v1::ResolveOrderRequest {
        owner: "momentum".into(),
        client_order_id: "a.sl".into(),
        resolution: v1::Resolution::NeverArrived.into(),
        reason: "not in TWS".into(),
    };
    floor.call("risk", OrderRequest::Resolve(resolve));
    assert_eq!(floor.state("momentum", "a.sl"), State::NotSent);
    let line = floor.audit.last().unwrap();
    assert_eq!((line.what, line.result), ("ResolveOrder", "done"));
    assert_eq!(line.reason, "never arrived: not in TWS");
    assert_eq!(line.order_id, floor.order("momentum", "a.sl").order_id);
}

#[test]
fn what_remains_follows_what_has_filled() {
    let status = |id: i32, filled: &str, remaining: &str| tws::OrderStatus {
        order_id: Some(id),
        status: Some("Submitted".into()),
        perm_id: Some(i64::from(id) + 1_000_000),
        client_id: Some(CLIENT_ID),
        filled: Some(filled.into()),
        remaining: Some(remaining.into()),
        ..Default::default()
    };
    let shown = |floor: &Floor| {
        let record = floor.order("momentum", "a");
        (record.filled.clone(), record.remaining.clone())
    };
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.hear(id::ORDER_STATUS, &status(id, "0", "10"));
    floor.executed(id, "1.01.01", "4");
    assert_eq!(shown(&floor), ("4".into(), "6".into()));
    floor.hear(id::ORDER_STATUS, &status(id, "0", "10"));
    assert_eq!(shown(&floor), ("4".into(), "6".into()), "that came late");
    floor.hear(id::ORDER_STATUS, &status(id, "4", "6"));
    floor.executed(id, "1.01.02", "3");
    assert_eq!(shown(&floor), ("3".into(), "7".into()), "it was corrected");
    floor.executed(id, "1.02.01", "10");
    assert_eq!(floor.state("momentum", "a"), State::Filled);
    assert_eq!(shown(&floor), ("10".into(), "0".into()));
}
