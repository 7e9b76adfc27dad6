//! The journal is adopted for another login: nothing leaves there for orders of the one before.

use super::rules::halt;
use super::*;

/// Two orders, one of which names its account; then another login answers, and is adopted.
fn moved() -> Floor {
    let mut floor = Floor::open();
    for (name, account) in [("a", Some("DU0000001".to_owned())), ("b", None)] {
        let mut request = limit(10.0);
        request.order.as_mut().unwrap().account = account;
        floor.call("momentum", OrderRequest::Place(place(name, request)));
        floor.leave();
        floor.told(floor.order("momentum", name).order_id, "Submitted");
    }
    floor.down();
    floor.accounts = vec!["DU0000003".into()];
    floor.session(2, Before::New);
    floor.reconcile();
    floor
}

fn adopt(floor: &mut Floor) {
    let reason = "the login has changed".to_owned();
    let adopt = OrderRequest::AdoptState(v1::AdoptTradingStateRequest { reason });
    let call = floor.call("risk", adopt);
    floor.answer::<v1::AdoptTradingStateResponse>(call);
}

/// Its login, in a later session.
fn back(floor: &mut Floor, epoch: u64) {
    floor.down();
    floor.accounts = vec!["DU0000001".into()];
    floor.session(epoch, Before::New);
    floor.reconcile();
    floor.now += Duration::from_secs(61);
    floor.desk.handle_timeout(floor.now);
    floor.settle();
    floor.leave();
}

fn cancels(floor: &Floor) -> usize {
    floor.left.iter().filter(|(message, _)| *message == id::CANCEL_ORDER).count()
}

#[test]
fn nothing_leaves_for_orders_of_the_login_before_also_after_a_restart() {
    let mut floor = moved();
    adopt(&mut floor);
    let mut next = Floor::closed(floor.disk.clone());
    next.accounts = vec!["DU0000003".into()];
    next.session(3, Before::New);
    next.reconcile();
    for mut floor in [floor, next] {
        for name in ["a", "b"] {
            let call = floor.cancel("momentum", name);
            assert!(floor.refused(call).message.contains("another login"));
            let call = floor.call("momentum", modify(name, 9.0));
            floor.refused(call);
        }
        let parent_client_order_id = "a".to_owned();
        let child = v1::NewOrder { parent_client_order_id, ..new_order("c", limit(11.0)) };
        let child = v1::PlaceOrderRequest { order: Some(child) }.encode_to_vec();
        let call = floor.call("momentum", OrderRequest::Place(child.into()));
        assert!(floor.refused(call).message.contains("another login"));
        let before = floor.left.len();
        floor.leave();
        assert_eq!(floor.left.len(), before);
        // What is of this one goes as ever.
        let id = floor.placed("momentum", "new");
        floor.told(id, "Submitted");
        floor.cancel("momentum", "new");
        floor.leave();
        assert_eq!(cancels(&floor), 1);
        back(&mut floor, 9);
        floor.cancel("momentum", "a");
        floor.leave();
        assert_eq!(cancels(&floor), 2, "its own login is back");
    }
}

#[test]
fn what_a_halt_owes_orders_of_the_login_before_waits_for_it() {
    let mut floor = moved();
    floor.call("risk", halt("", true));
    adopt(&mut floor);
    for epoch in 3..6 {
        floor.down();
        floor.session(epoch, Before::New);
        floor.reconcile();
        floor.now += Duration::from_secs(61);
        floor.desk.handle_timeout(floor.now);
        floor.settle();
        floor.leave();
        assert_eq!(cancels(&floor), 0);
    }
    back(&mut floor, 6);
    assert_eq!(cancels(&floor), 2);
}
