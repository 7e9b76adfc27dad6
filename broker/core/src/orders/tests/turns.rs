//! Who floods the desk delays itself: clients take turns, and what waits can be taken back.

use super::*;
use crate::principals::{LEAST_SHARE, share_of};

/// The owners of what has left, in its order; ids rise.
fn left_by(floor: &Floor) -> Vec<String> {
    let ids = floor.placements();
    assert!(ids.is_sorted(), "{ids:?}");
    let owner_of = |id: &i32| floor.desk.book.get(*id).unwrap().record.owner.clone();
    ids.iter().map(owner_of).collect()
}

#[test]
fn one_order_of_a_calm_client_passes_a_flood() {
    let mut floor = Floor::open();
    let flood: Vec<CallId> =
        (0..60).map(|number| floor.place("momentum", &format!("f{number}"))).collect();
    let calm = floor.place("carry", "a");
    floor.leave();
    floor.answer::<v1::PlaceOrderResponse>(calm);
    let owners = left_by(&floor);
    let at = owners.iter().position(|owner| owner == "carry").unwrap();
    assert!(at <= LEAST_SHARE, "place {at} of {}", owners.len());
    // And nothing of the flood is lost, or out of its order.
    assert_eq!(owners.len(), 61);
    for (number, call) in flood.into_iter().enumerate() {
        let placed = floor.answer::<v1::PlaceOrderResponse>(call).order.unwrap();
        assert_eq!(placed.client_order_id, format!("f{number}"));
    }
}

#[test]
fn what_waits_for_its_share_is_cancelled_and_never_leaves() {
    let mut floor = Floor::open();
    let calls: Vec<CallId> =
        (0..20).map(|number| floor.place("momentum", &format!("f{number}"))).collect();
    let again = floor.place("momentum", "f19");
    let cancel = floor.cancel("momentum", "f15");
    let cancelled = floor.answer::<v1::CancelOrderResponse>(cancel).order.unwrap();
    assert_eq!((cancelled.client_order_id.as_str(), cancelled.state()), ("f15", State::NotSent));
    assert_eq!(floor.refused(calls[15]).code, "WITHDRAWN");
    let dropped = calls[16];
    floor.desk.on_call_dropped(dropped, floor.now);
    floor.leave();
    let names = |floor: &Floor| {
        let owned = floor.desk.book.iter();
        owned.map(|order| order.record.client_order_id.clone()).collect::<Vec<_>>()
    };
    assert!(
        !names(&floor).contains(&"f15".to_owned()) && !names(&floor).contains(&"f16".to_owned())
    );
    assert_eq!(floor.placements().len(), 18, "the call that was made again places nothing");
    assert!(floor.answer::<v1::PlaceOrderResponse>(again).already_placed);
}

#[test]
fn cancel_all_and_a_halt_take_back_what_waits() {
    let mut floor = Floor::open();
    let calls: Vec<CallId> =
        (0..20).map(|number| floor.place("momentum", &format!("f{number}"))).collect();
    let all = floor.call("momentum", OrderRequest::CancelAll(Default::default()));
    let told = floor.answer::<v1::CancelAllOrdersResponse>(all).orders;
    assert_eq!(told.len(), 20);
    assert!(told.iter().all(|order| order.state() == State::NotSent), "{told:#?}");
    floor.leave();
    assert!(floor.placements().is_empty());
    for call in &calls {
        floor.refused(*call);
    }

    let calls: Vec<CallId> =
        (0..20).map(|number| floor.place("momentum", &format!("g{number}"))).collect();
    let halt = v1::HaltTradingRequest {
        client: "momentum".into(),
        reason: "too hot".into(),
        ..Default::default()
    };
    floor.call("risk", OrderRequest::Halt(halt));
    assert!(calls.iter().all(|call| floor.refused(*call).code == "TRADING_HALTED"));
    let noted = floor.audit.iter().filter(|one| one.client_order_id.starts_with('g'));
    assert_eq!(noted.filter(|one| !one.body_sha256.is_empty()).count(), 20, "each is audited");
    floor.leave();
    assert!(floor.placements().is_empty());
}

#[test]
fn a_flood_of_changes_delays_itself() {
    let mut floor = Floor::open();
    for number in 0..20 {
        let id = floor.placed("momentum", &format!("f{number}"));
        floor.opened(id, "Submitted", 10.0);
    }
    let before = floor.placements().len();
    let changes: Vec<CallId> =
        (0..20).map(|number| floor.call("momentum", modify(&format!("f{number}"), 11.0))).collect();
    let calm = floor.place("carry", "a");
    floor.leave();
    let placed = floor.answer::<v1::PlaceOrderResponse>(calm).order.unwrap().order_id;
    let left = floor.placements().split_off(before);
    assert!(left.iter().position(|id| *id == placed).unwrap() <= LEAST_SHARE, "{left:?}");
    for call in changes {
        floor.answer::<v1::ModifyOrderResponse>(call);
    }
}

#[test]
fn a_lost_session_ends_the_wait_of_all() {
    let mut floor = Floor::open();
    let calls: Vec<CallId> =
        (0..20).map(|number| floor.place("momentum", &format!("f{number}"))).collect();
    floor.down();
    for call in calls {
        assert_eq!(floor.refused(call).code, "NOT_READY");
    }
}

#[test]
fn a_share_is_what_leaves_in_a_fifth_of_a_second() {
    assert_eq!([0, 45, 100, 1_000_000].map(share_of), [8, 9, 20, 256]);
    let mut floor = Floor::open();
    let settings = TradingSettings { enabled: true, share: 20, ..Default::default() };
    floor.desk.on_settings(settings, principals(), &Contracts::default(), floor.now);
    for number in 0..30 {
        floor.place("momentum", &format!("f{number}"));
    }
    assert_eq!((floor.desk.departures.count_of("momentum"), floor.queue.len()), (20, 20));
    floor.leave();
    assert_eq!((floor.desk.departures.count_of("momentum"), floor.placements().len()), (0, 30));
}

#[test]
fn what_never_left_and_is_cancelled_does_not_leave_when_it_is_placed_again() {
    for waits in [false, true] {
        let mut floor = Floor::open();
        floor.placed("momentum", "a");
        floor.down();
        floor.session(2, Before::New);
        let resolve = v1::ResolveOrderRequest {
            owner: "momentum".into(),
            client_order_id: "a".into(),
            resolution: v1::Resolution::NeverArrived.into(),
            reason: "not in TWS".into(),
        };
        floor.call("risk", OrderRequest::Resolve(resolve));
        floor.left.clear();
        assert_eq!(floor.state("momentum", "a"), State::NotSent);
        floor.reconcile();
        if waits {
            // Others fill the share, so that the same call waits behind them.
            for number in 0..LEAST_SHARE {
                floor.place("momentum", &format!("f{number}"));
            }
            let again = floor.place("momentum", "a");
            floor.cancel("momentum", "a");
            assert_eq!(floor.refused(again).code, "WITHDRAWN");
        } else {
            floor.cancel("momentum", "a");
        }
        let again = floor.place("momentum", "a");
        floor.leave();
        let placed = floor.answer::<v1::PlaceOrderResponse>(again);
        assert!(placed.already_placed);
        assert_eq!(placed.order.unwrap().state(), State::NotSent);
        let left = floor.placements().len();
        assert_eq!(left, if waits { LEAST_SHARE } else { 0 }, "{waits}");
    }
}

#[test]
fn what_waits_is_cancelled_by_the_name_of_an_attached_order_too() {
    let mut floor = Floor::open();
    for number in 0..20 {
        floor.place("momentum", &format!("f{number}"));
    }
    let waits = floor.call("momentum", super::names::one(super::names::with_attached("a")));
    let cancel = floor.cancel("momentum", "a.sl");
    let cancelled = floor.answer::<v1::CancelOrderResponse>(cancel).order.unwrap();
    assert_eq!((&cancelled.client_order_id[..], cancelled.state()), ("a.sl", State::NotSent));
    assert_eq!(floor.refused(waits).code, "WITHDRAWN");
    floor.leave();
    assert_eq!(floor.placements().len(), 20);
}

#[test]
fn who_may_not_trade_any_more_sends_nothing_that_waits_either() {
    let mut floor = Floor::open();
    let calls: Vec<_> = (0..12).map(|at| floor.place("momentum", &format!("f{at}"))).collect();
    let other = floor.place("carry", "a");
    let mut principals = principals();
    principals.get_mut("momentum").unwrap().role = Role::Observe;
    floor.reload(principals);
    floor.settle();
    floor.leave();
    for call in calls {
        assert_eq!(floor.refused(call).code, "RIGHT_DENIED");
    }
    floor.answer::<v1::PlaceOrderResponse>(other);
    assert_eq!(left_by(&floor), ["carry"]);
}

#[test]
fn what_has_not_left_when_the_broker_ends_never_leaves_and_its_callers_hear_that() {
    let mut floor = Floor::open();
    for name in ["open", "b"] {
        let id = floor.placed("momentum", name);
        floor.opened(id, "Submitted", 10.0);
    }
    let waiting: Vec<_> = (0..10).map(|at| floor.place("momentum", &format!("o{at}"))).collect();
    let change = floor.call("momentum", modify("open", 9.0));
    let cancel = floor.cancel("momentum", "b");
    floor.desk.on_stopping(floor.now);
    floor.settle();
    let late = floor.place("momentum", "late");
    let late_cancel = floor.cancel("momentum", "open");
    for call in waiting.into_iter().chain([change, cancel, late, late_cancel]) {
        assert_eq!(floor.refused(call).code, "STOPPING", "and not sent");
    }
    let before = floor.left.len();
    floor.leave();
    assert_eq!(floor.left.len(), before);
}
