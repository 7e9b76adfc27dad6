//! Which session it is: where its worker's numbers prove something, and where they do not.

use ibouncer_proto::api::v1::ChangeState;

use super::*;

/// Gateway has it, and has said nothing.
fn sent_as_second(name: &str) -> Floor {
    let mut floor = Floor::open();
    floor.placed("momentum", "first");
    floor.placed("momentum", name);
    floor
}

#[test]
fn a_session_number_that_is_used_twice_proves_nothing() {
    let floor = sent_as_second("a");
    // The ledger was lost: another session has this number. Only the name tells.
    let mut other = Floor::closed(floor.disk.clone());
    other.session_of(1, 77, 1, Before::TakenThrough(0));
    assert_eq!(other.state("momentum", "a"), State::Unknown);
    other.desk.on_relinked(0, other.now);
    other.settle();
    assert_eq!(other.state("momentum", "a"), State::Unknown, "nor on a new link");
    // The next broker takes that session over, which is the journal's by now.
    let mut next = Floor::closed(other.disk.clone());
    next.session_of(1, 77, 1, Before::TakenThrough(0));
    assert_eq!(next.state("momentum", "a"), State::Unknown);
}

#[test]
fn a_new_session_of_a_number_that_was_used_makes_its_numbers_worthless() {
    let floor = sent_as_second("a");
    let mut other = Floor::closed(floor.disk.clone());
    other.session_of(1, 77, 1, Before::New);
    let mut next = Floor::closed(other.disk.clone());
    next.session_of(1, 77, 1, Before::TakenThrough(0));
    assert_eq!(next.state("momentum", "a"), State::Unknown);
}

#[test]
fn a_worker_that_has_no_name_for_its_session_proves_nothing() {
    let mut floor = Floor::closed(Loaded::default());
    floor.session_of(1, 0, 1, Before::New);
    floor.reconcile();
    floor.placed("momentum", "a");
    let mut next = Floor::closed(floor.disk.clone());
    next.session_of(1, 0, 1, Before::TakenThrough(0));
    assert_eq!(next.state("momentum", "a"), State::Unknown);
}

#[test]
fn the_journal_says_how_far_session_numbers_are_used_up() {
    let mut floor = Floor::open();
    assert_eq!(floor.desk.newest_epoch(), 1);
    floor.down();
    floor.session(7, Before::New);
    assert_eq!(Floor::closed(floor.disk.clone()).desk.newest_epoch(), 7);
    // A journal of before knows it by its orders only.
    floor.reconcile();
    floor.placed("momentum", "a");
    let mut loaded = floor.disk.clone();
    loaded.facts.as_mut().unwrap().session = None;
    assert_eq!(Floor::closed(loaded).desk.newest_epoch(), 7);
}

#[test]
fn a_broker_that_finds_no_session_does_not_say_that_orders_work() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.told(id, "Submitted");
    floor.call("momentum", modify("a", 11.0));
    floor.leave();
    floor.placed("momentum", "b");
    let mut next = Floor::closed(floor.disk.clone());
    next.desk.on_alone(next.now);
    next.settle();
    for name in ["a", "b"] {
        assert_eq!(next.state("momentum", name), State::Unknown);
    }
    let change = next.order("momentum", "a").change.clone().unwrap();
    assert_eq!(change.state(), ChangeState::Unknown);
}

#[test]
fn a_session_that_the_journal_was_not_ready_in_is_a_loss_for_orders_of_earlier_ones() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.told(id, "Submitted");
    // The broker between died before it had taken in that its session was READY.
    let mut next = Floor::closed(floor.disk.clone());
    next.session(2, Before::TakenThrough(0));
    assert_eq!(next.state("momentum", "a"), State::Unknown);
    next.reconcile();
    assert_eq!(next.state("momentum", "a"), State::Unknown, "no list has shown it");
    // From then on it is the journal's session.
    next.opened(id, "Submitted", 10.0);
    let mut last = Floor::closed(next.disk.clone());
    last.session(2, Before::TakenThrough(0));
    assert_eq!(last.state("momentum", "a"), State::Working);
}

#[test]
fn a_client_of_some_accounts_is_told_of_another_login_without_its_names() {
    let mut floor = Floor::open();
    floor.placed("momentum", "a");
    floor.down();
    let mut principals = principals();
    principals.get_mut("momentum").unwrap().accounts = vec!["DU0000001".into()];
    floor.reload(principals);
    floor.accounts = vec!["DU0000002".into()];
    floor.session(2, Before::New);
    floor.reconcile();
    let call = floor.place("momentum", "b");
    let refused = floor.replies[&call].as_ref().unwrap_err();
    assert_eq!(refused.code, "TRADING_HALTED");
    assert!(
        refused.message.contains("belongs to [DU***001], and Gateway shows [***]"),
        "{refused:?}"
    );
}
