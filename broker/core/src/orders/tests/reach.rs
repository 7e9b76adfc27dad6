//! How far back Gateway is asked for executions.

use super::*;
use crate::orders::session::reach::days_since;

/// A broker that starts so long after the other one was there.
fn later(floor: &Floor, hours: u64) -> Floor {
    let now = floor.now + Duration::from_secs(hours * 3600);
    let mut next = Floor::closed_at(floor.disk.clone(), now);
    next.session(9, Before::New);
    next
}

#[test]
fn a_midnight_that_may_lie_between_is_a_day_more_and_no_more_than_a_week_is_asked_for() {
    for (hours, days) in [
        (0, 2),
        (22, 2),
        (23, 3),
        (47, 4),
        (5 * 24, 7),
        (300 * 24, 7),
        // The clock was set back.
        (-1, 2),
        (-5 * 24, 7),
    ] {
        assert_eq!(days_since(1000, 1000 + hours * 3_600_000), days, "{hours}");
    }
}

#[test]
fn executions_are_asked_for_since_they_were_last_taken_in_also_of_orders_that_ended() {
    let mut floor = Floor::open();
    assert_eq!(floor.days, [2, 2], "midnight may have been a moment ago");
    let id = floor.placed("momentum", "a");
    floor.told(id, "Filled");
    let mut next = later(&floor, 30);
    // The open-order list comes first, and refreshes what it shows.
    next.opened(id, "Submitted", 10.0);
    next.desk.poll_listing();
    next.desk.on_listed(true, next.now);
    next.desk.poll_listing();
    assert_eq!(next.desk.ask_for_executions(next.now), 3);
    next.desk.on_listed(true, next.now);
    next.settle();
    // The first pass counts for nothing: the broker dies, and the next one asks again.
    let mut last = later(&next, 0);
    last.reconcile();
    assert_eq!(last.days, [3, 3]);
    // Taken in.
    last.desk.on_gap("test", false, last.now);
    last.reconcile();
    assert_eq!(last.days.pop(), Some(2));
}

#[test]
fn a_list_that_fails_and_one_of_another_login_take_nothing_in() {
    let mut floor = Floor::open();
    floor.placed("momentum", "a");
    let mut next = later(&floor, 30);
    next.desk.poll_listing();
    next.desk.on_listed(true, next.now);
    next.desk.poll_listing();
    next.desk.on_listed(false, next.now);
    next.settle();
    let mut other = Floor::closed_at(next.disk.clone(), next.now);
    other.accounts = vec!["DU0000009".into()];
    other.session(9, Before::New);
    other.reconcile();
    let mut last = later(&other, 0);
    last.reconcile();
    assert_eq!(last.days, [3, 3]);
}

#[test]
fn what_gateway_does_not_keep_so_long_is_said_once() {
    let mut floor = Floor::open();
    floor.placed("momentum", "a");
    let mut next = later(&floor, 30 * 24);
    next.reconcile();
    assert_eq!(next.days, [7, 7]);
    let said = next.notes.iter().filter(|note| note.contains("30 days ago")).count();
    assert_eq!(said, 1, "{:?}", next.notes);
}

#[test]
fn a_journal_of_before_is_asked_for_since_it_was_made() {
    let mut floor = Floor::open();
    floor.placed("momentum", "a");
    floor.disk.facts.as_mut().unwrap().executions_ms = 0;
    let mut next = later(&floor, 30);
    next.reconcile();
    assert_eq!(next.days, [3, 3]);
}
