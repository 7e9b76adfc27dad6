//! The limit of a minute holds over restarts of the broker.

use super::*;
use crate::principals::OrderLimits;

fn limited(mut floor: Floor) -> Floor {
    let mut principals = principals();
    for name in ["momentum", "carry"] {
        principals.get_mut(name).unwrap().limits =
            OrderLimits { orders_per_minute: Some(3), ..Default::default() };
    }
    floor.reload(principals);
    floor
}

/// The next broker on the same disk, which is trading so much later.
fn next(before: &Floor, later: Duration) -> Floor {
    let mut floor = Floor::closed_at(before.disk.clone(), before.now + later);
    floor.session(2, Before::New);
    floor.reconcile();
    limited(floor)
}

#[test]
fn orders_and_changes_of_the_last_minute_count_after_a_restart_too() {
    let mut floor = limited(Floor::open());
    for name in ["a", "b"] {
        let id = floor.placed("momentum", name);
        floor.opened(id, "Submitted", 10.0);
    }
    floor.call("momentum", modify("a", 9.0));
    floor.leave();
    let refused = floor.place("momentum", "c");
    assert!(floor.refused(refused).message.contains("max_orders_per_minute = 3"));

    let mut soon = next(&floor, Duration::from_secs(5));
    let refused = soon.place("momentum", "c");
    assert!(soon.refused(refused).message.contains("one more than the 3 of the last minute"));
    soon.placed("carry", "x");
    let mut later = next(&floor, Duration::from_secs(61));
    later.placed("momentum", "c");
}

#[test]
fn what_gateway_attaches_and_what_others_change_is_not_counted_then_either() {
    let mut floor = limited(Floor::open());
    floor.call("momentum", super::names::one(super::names::with_attached("a")));
    floor.leave();
    let id = floor.order("momentum", "a").order_id;
    floor.opened(id, "Submitted", 10.0);
    let by_another = v1::ModifyOrderRequest {
        owner: "momentum".into(),
        reason: "too close".into(),
        ..change("a", limit(9.0))
    };
    floor.call("risk", OrderRequest::Modify(by_another.encode_to_vec().into()));
    floor.leave();
    assert_eq!(floor.placements().len(), 2);
    let mut soon = next(&floor, Duration::from_secs(5));
    soon.placed("momentum", "b");
    soon.placed("momentum", "c");
    let refused = soon.place("momentum", "d");
    assert_eq!(soon.refused(refused).code, "LIMIT_EXCEEDED");
}
