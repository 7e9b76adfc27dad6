//! Executions that a list tells: they say what was, and not that anything still works.

use super::*;

/// An order of which no answer came, resolved so by a person, and then the list of a new session
/// tells that some of it has filled.
fn resolved(resolution: v1::Resolution, cum_qty: &str) -> (Floor, i32) {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.down();
    floor.session(2, Before::New);
    floor.reconcile();
    let resolve = v1::ResolveOrderRequest {
        owner: "momentum".into(),
        client_order_id: "a".into(),
        resolution: resolution.into(),
        reason: "not in TWS".into(),
    };
    floor.call("risk", OrderRequest::Resolve(resolve));
    floor.down();
    floor.session(3, Before::New);
    let mut told = floor.execution(id, "1.1.01", cum_qty);
    told.req_id = Some(1);
    floor.reconcile_with(|floor| floor.hear(id::EXECUTION_DATA, &told));
    (floor, id)
}

#[test]
fn a_partial_fill_of_what_never_arrived_makes_it_unknown_and_it_is_not_placed_again() {
    let (mut floor, id) = resolved(v1::Resolution::NeverArrived, "4");
    assert_eq!(floor.state("momentum", "a"), State::Unknown);
    assert_eq!(floor.order("momentum", "a").filled, "4");
    assert!(floor.notes.iter().any(|note| note.contains("taken for NotSent")), "{:?}", floor.notes);
    let again = floor.place("momentum", "a");
    floor.leave();
    assert!(floor.answer::<v1::PlaceOrderResponse>(again).already_placed);
    let change = floor.call("momentum", modify("a", 11.0));
    assert_eq!(floor.refused(change).code, "ORDER_UNKNOWN");
    assert_eq!(floor.placements(), [id]);
    floor.opened(id, "Submitted", 10.0);
    assert_eq!(floor.state("momentum", "a"), State::Working, "Gateway shows it");
}

#[test]
fn a_partial_fill_of_what_a_person_has_ended_revives_nothing() {
    for (resolution, state) in
        [(v1::Resolution::Filled, State::Filled), (v1::Resolution::Cancelled, State::Cancelled)]
    {
        let (mut floor, id) = resolved(resolution, "4");
        assert_eq!(floor.state("momentum", "a"), state);
        assert_eq!(floor.order("momentum", "a").filled, "4");
        let change = floor.call("momentum", modify("a", 11.0));
        assert_eq!(floor.refused(change).code, "ORDER_ENDED");
        floor.leave();
        assert_eq!(floor.placements(), [id]);
    }
    let (floor, _) = resolved(v1::Resolution::NeverArrived, "10");
    assert_eq!(floor.state("momentum", "a"), State::Filled, "all of it is all");
}

#[test]
fn a_change_waits_until_gateway_shows_the_order_and_not_only_its_fills() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    let mut told = floor.execution(id, "1.1.01", "4");
    told.req_id = Some(1);
    floor.hear(id::EXECUTION_DATA, &told);
    let change = floor.call("momentum", modify("a", 11.0));
    assert_eq!(floor.refused(change).code, "ORDER_UNKNOWN");
    floor.opened(id, "Submitted", 10.0);
    floor.call("momentum", modify("a", 11.0));
    floor.leave();
    assert_eq!(floor.placements(), [id, id]);
}
