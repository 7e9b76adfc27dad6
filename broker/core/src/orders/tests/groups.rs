//! Groups that were cut on their way, and groups that were not.

use super::*;

const MEMBERS: [&str; 3] = ["entry", "target", "stop"];

/// A bracket leaves; the ids of its orders.
fn bracket(floor: &mut Floor) -> [i32; 3] {
    let member = |name: &str| {
        let mut request = limit(10.0);
        request.order.as_mut().unwrap().transmit = Some(name == "stop");
        let parent = if name == "entry" { "" } else { "entry" };
        v1::NewOrder { parent_client_order_id: parent.into(), ..new_order(name, request) }
    };
    let group = v1::PlaceOrdersRequest { orders: MEMBERS.map(member).to_vec() };
    floor.call("momentum", OrderRequest::PlaceGroup(group.encode_to_vec().into()));
    floor.leave();
    MEMBERS.map(|name| floor.order("momentum", name).order_id)
}

/// Gateway lists these, in this state.
fn listed(floor: &mut Floor, ids: &[i32], status: &str) {
    floor.reconcile_with(|floor| ids.iter().for_each(|id| floor.opened(*id, status, 10.0)));
    floor.leave();
}

fn cancels(floor: &Floor) -> Vec<i32> {
    let cancels = floor.left.iter().filter(|(message, _)| *message == id::CANCEL_ORDER);
    let id = |body: &Bytes| tws::CancelOrderRequest::decode(body.clone()).unwrap().order_id();
    cancels.map(|(_, body)| id(body)).collect()
}

#[test]
fn what_gateway_holds_of_a_torn_group_is_cancelled() {
    let mut floor = Floor::open();
    let [entry, target, _] = bracket(&mut floor);
    floor.down();
    floor.session(2, Before::New);
    listed(&mut floor, &[entry, target], "Inactive");
    assert_eq!(cancels(&floor), [entry, target]);
    assert_eq!(floor.state("momentum", "stop"), State::Unknown);
}

#[test]
fn a_group_that_has_arrived_is_not_torn_by_a_list_that_lacks_one_of_it() {
    for restarts in [false, true] {
        let mut floor = Floor::open();
        let [entry, target, stop] = bracket(&mut floor);
        for id in [entry, target, stop] {
            floor.opened(id, "PreSubmitted", 10.0);
        }
        if restarts {
            floor = Floor::closed(floor.disk.clone());
        } else {
            floor.down();
        }
        floor.session(2, Before::New);
        for status in ["Submitted", "Inactive"] {
            listed(&mut floor, &[entry, target], status);
            assert_eq!(cancels(&floor), [0; 0], "{status}");
            floor.down();
            floor.session(3, Before::New);
        }
        assert_eq!(floor.state("momentum", "stop"), State::Unknown);
    }
}

#[test]
fn what_gateway_does_not_hold_back_is_not_cancelled_for_a_member_that_is_missing() {
    let mut floor = Floor::open();
    let [entry, target, _] = bracket(&mut floor);
    floor.down();
    floor.session(2, Before::New);
    listed(&mut floor, &[entry, target], "PreSubmitted");
    assert_eq!(cancels(&floor), [0; 0], "it was transmitted, so all of it arrived");
}

#[test]
fn a_group_whose_last_order_was_told_of_has_arrived() {
    let mut floor = Floor::open();
    let [entry, _, stop] = bracket(&mut floor);
    floor.opened(stop, "PreSubmitted", 10.0);
    floor.down();
    floor.session(2, Before::New);
    listed(&mut floor, &[entry], "Inactive");
    assert_eq!(cancels(&floor), [0; 0], "what lay before it in the frame came before it");
    assert_eq!(floor.state("momentum", "target"), State::Unknown);
}

#[test]
fn what_gateway_holds_of_a_group_whose_last_order_it_refuses_is_cancelled() {
    let mut floor = Floor::open();
    let [entry, target, stop] = bracket(&mut floor);
    floor.failed(stop, 110);
    assert_eq!(floor.state("momentum", "stop"), State::Rejected);
    listed(&mut floor, &[entry, target], "Inactive");
    assert_eq!(cancels(&floor), [0; 0], "it can have been a notice, and the list be early");
    floor.now += Duration::from_secs(10);
    floor.desk.handle_timeout(floor.now);
    listed(&mut floor, &[entry, target], "Inactive");
    assert_eq!(cancels(&floor), [entry, target]);
}

#[test]
fn what_seemed_to_be_refused_and_lives_keeps_its_group() {
    let mut floor = Floor::open();
    let [entry, target, stop] = bracket(&mut floor);
    floor.failed(stop, 10_351);
    listed(&mut floor, &[entry, target], "Inactive");
    floor.now += Duration::from_secs(1);
    for id in [entry, target, stop] {
        floor.opened(id, "PreSubmitted", 10.0);
    }
    floor.now += Duration::from_secs(10);
    floor.desk.handle_timeout(floor.now);
    listed(&mut floor, &[entry, target, stop], "PreSubmitted");
    assert_eq!(cancels(&floor), [0; 0]);
}

#[test]
fn what_another_order_of_the_same_parent_may_have_let_go_is_not_cancelled() {
    let mut floor = Floor::open();
    let [entry, target, stop] = bracket(&mut floor);
    floor.failed(stop, 110);
    let parent_client_order_id = "entry".into();
    let order = v1::NewOrder { parent_client_order_id, ..new_order("stop-2", limit(10.0)) };
    let order = v1::PlaceOrderRequest { order: Some(order) };
    floor.call("momentum", OrderRequest::Place(order.encode_to_vec().into()));
    floor.leave();
    listed(&mut floor, &[entry, target], "Inactive");
    assert_eq!(cancels(&floor), [0; 0]);
}
