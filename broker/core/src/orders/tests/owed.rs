//! Cancels that are owed: for those who left, and because an operator said so.

use super::rules::halt;
use super::*;

#[test]
fn a_halt_while_the_session_is_down_owes_the_cancels() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.told(id, "Submitted");
    floor.down();
    floor.call("risk", halt("", true));
    let refused = floor.place("momentum", "b");
    assert_eq!(floor.refused(refused).code, "TRADING_HALTED");
    floor.session(2, Before::New);
    floor.opened(id, "Submitted", 10.0);
    floor.reconcile();
    floor.desk.handle_timeout(floor.now);
    floor.settle();
    floor.leave();
    assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER);
}

#[test]
fn those_who_leave_for_longer_than_their_grace_are_cancelled_for() {
    let mut floor = Floor::open();
    floor.desk.on_joined("leaver", ClientId(1));
    floor.desk.on_joined("leaver", ClientId(2));
    let id = floor.placed("leaver", "a");
    floor.told(id, "Submitted");
    floor.desk.on_parted("leaver", ClientId(1), floor.now);
    floor.now += Duration::from_secs(31);
    floor.desk.handle_timeout(floor.now);
    floor.settle();
    assert!(floor.queue.is_empty(), "another instance is there");
    floor.desk.on_parted("leaver", ClientId(2), floor.now);
    floor.now += Duration::from_secs(29);
    floor.desk.handle_timeout(floor.now);
    floor.desk.on_joined("leaver", ClientId(3));
    floor.now += Duration::from_secs(60);
    floor.desk.handle_timeout(floor.now);
    floor.settle();
    assert!(floor.queue.is_empty(), "it came back in time");
    floor.desk.on_parted("leaver", ClientId(3), floor.now);
    floor.settle();
    // The broker ends meanwhile, and is away for long: the grace begins anew.
    let mut next = Floor::closed(floor.disk.clone());
    next.session(1, Before::TakenThrough(100));
    next.reconcile();
    next.desk.handle_timeout(next.now);
    next.settle();
    assert!(next.queue.is_empty());
    next.now += Duration::from_secs(30);
    next.desk.handle_timeout(next.now);
    next.settle();
    next.leave();
    assert_eq!(next.left.last().unwrap().0, id::CANCEL_ORDER);
}

/// The next broker, which finds what the one before has written.
fn next_life(floor: &Floor) -> Floor {
    let mut next = Floor::closed(floor.disk.clone());
    next.session(2, Before::TakenThrough(100));
    next.reconcile();
    next
}

fn passes(floor: &mut Floor, seconds: u64) {
    floor.now += Duration::from_secs(seconds);
    floor.desk.handle_timeout(floor.now);
    floor.settle();
}

fn cancels(floor: &Floor) -> usize {
    floor.left.iter().filter(|(message, _)| *message == id::CANCEL_ORDER).count()
}

#[test]
fn who_does_not_come_back_after_the_broker_died_is_cancelled_for() {
    let mut floor = Floor::open();
    floor.desk.on_joined("leaver", ClientId(1));
    let id = floor.placed("leaver", "a");
    floor.told(id, "Submitted");
    // Both die at once: nobody has seen the client leave.
    let mut next = next_life(&floor);
    passes(&mut next, 29);
    assert!(next.queue.is_empty(), "our own downtime is not the client's");
    passes(&mut next, 1);
    next.leave();
    assert_eq!(cancels(&next), 1);
    let mut other = next_life(&floor);
    other.desk.on_joined("leaver", ClientId(2));
    passes(&mut other, 60);
    assert!(other.queue.is_empty(), "it came back");
}

#[test]
fn who_comes_back_during_a_halt_is_forgiven_its_own_leaving_only() {
    let mut floor = Floor::open();
    floor.desk.on_joined("leaver", ClientId(1));
    let id = floor.placed("leaver", "a");
    floor.told(id, "Submitted");
    floor.call("risk", halt("leaver", false));
    floor.desk.on_parted("leaver", ClientId(1), floor.now);
    floor.desk.on_joined("leaver", ClientId(2));
    passes(&mut floor, 60);
    assert!(floor.queue.is_empty(), "the halt did not ask for cancels");
    floor.down();
    floor.call("risk", halt("leaver", true));
    let reason = "cooled".to_owned();
    let client = "leaver".to_owned();
    floor.call("risk", OrderRequest::Resume(v1::ResumeTradingRequest { client, reason }));
    floor.desk.on_joined("leaver", ClientId(3));
    let mut next = next_life(&floor);
    next.desk.on_joined("leaver", ClientId(4));
    passes(&mut next, 0);
    next.leave();
    assert_eq!(cancels(&next), 1, "what an operator has ordered is done, whoever is back");
}
