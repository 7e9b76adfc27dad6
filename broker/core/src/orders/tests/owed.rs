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

/// The configuration has this of the client that leaves.
fn wants(floor: &mut Floor, grace: Option<u64>) {
    let mut principals = floor.desk.principals.clone();
    principals.get_mut("leaver").unwrap().cancel_on_disconnect = grace.map(Duration::from_secs);
    floor.reload(principals);
    floor.settle();
}

#[test]
fn the_configuration_at_the_end_of_the_grace_decides() {
    for (grace, until) in [(None, None), (Some(5), Some(5)), (Some(90), Some(90))] {
        let mut floor = Floor::open();
        floor.desk.on_joined("leaver", ClientId(1));
        let id = floor.placed("leaver", "a");
        floor.told(id, "Submitted");
        floor.desk.on_parted("leaver", ClientId(1), floor.now);
        passes(&mut floor, 1);
        wants(&mut floor, grace);
        // Seconds since it left.
        passes(&mut floor, until.unwrap_or(100) - 2);
        assert!(floor.queue.is_empty(), "{grace:?}");
        passes(&mut floor, 1);
        floor.leave();
        assert_eq!(cancels(&floor), usize::from(until.is_some()), "{grace:?}");
    }
}

#[test]
fn what_was_turned_off_while_the_broker_was_away_is_not_owed() {
    let mut floor = Floor::open();
    floor.desk.on_joined("leaver", ClientId(1));
    let id = floor.placed("leaver", "a");
    floor.told(id, "Submitted");
    floor.desk.on_parted("leaver", ClientId(1), floor.now);
    floor.settle();
    assert_eq!(floor.disk.facts.as_ref().unwrap().owed_cancels, ["leaver"]);
    let mut principals = floor.desk.principals.clone();
    principals.get_mut("leaver").unwrap().cancel_on_disconnect = None;
    let mut next = Floor::closed_for(floor.disk.clone(), principals, floor.now);
    next.session(2, Before::TakenThrough(100));
    next.reconcile();
    passes(&mut next, 60);
    assert!(next.queue.is_empty());
    assert!(next.disk.facts.as_ref().unwrap().owed_cancels.is_empty());
}

#[test]
fn who_is_away_when_it_is_turned_on_has_its_grace_from_then_on() {
    let mut floor = Floor::open();
    wants(&mut floor, None);
    floor.desk.on_joined("leaver", ClientId(1));
    let id = floor.placed("leaver", "a");
    floor.told(id, "Submitted");
    floor.desk.on_parted("leaver", ClientId(1), floor.now);
    passes(&mut floor, 60);
    wants(&mut floor, Some(30));
    passes(&mut floor, 29);
    assert!(floor.queue.is_empty());
    passes(&mut floor, 1);
    floor.leave();
    assert_eq!(cancels(&floor), 1);
}

#[test]
fn what_is_placed_after_the_end_of_a_halt_is_not_cancelled_for_it() {
    let mut floor = Floor::open();
    let id = floor.placed("patient", "a");
    floor.opened(id, "Submitted", 10.0);
    floor.down();
    floor.call("risk", halt("patient", true));
    let (client, reason) = ("patient".to_owned(), "over".to_owned());
    floor.call("risk", OrderRequest::Resume(v1::ResumeTradingRequest { client, reason }));
    let waits = floor.place("patient", "b");
    floor.session(2, Before::New);
    floor.opened(id, "Submitted", 10.0);
    floor.reconcile();
    passes(&mut floor, 0);
    floor.leave();
    assert_eq!(cancels(&floor), 1, "what was open at the halt");
    passes(&mut floor, 60);
    floor.leave();
    let placed = floor.answer::<v1::PlaceOrderResponse>(waits).order.unwrap();
    assert_eq!((placed.state(), cancels(&floor)), (State::Sent, 1));
}

#[test]
fn what_a_halt_has_ordered_is_owed_until_it_has_left() {
    let stops: fn(&mut Floor) = |floor| {
        floor.desk.on_stopping(floor.now);
        floor.settle();
        let disk = floor.disk.clone();
        *floor = Floor::closed(disk);
    };
    let dies: fn(&mut Floor) = |floor| *floor = Floor::closed(floor.disk.clone());
    for interrupted in [Floor::down, stops, dies] {
        let mut floor = Floor::open();
        for name in ["a", "b"] {
            let id = floor.placed("momentum", name);
            floor.opened(id, "Submitted", 10.0);
        }
        let call = floor.call("risk", halt("momentum", true));
        assert_eq!(floor.answer::<v1::HaltTradingResponse>(call).cancels, 2);
        floor.settle();
        interrupted(&mut floor);
        assert_eq!(cancels(&floor), 0);
        floor.session(2, Before::New);
        for name in ["a", "b"] {
            floor.opened(floor.order("momentum", name).order_id, "Submitted", 10.0);
        }
        floor.reconcile();
        passes(&mut floor, 0);
        floor.leave();
        assert_eq!(cancels(&floor), 2);
        assert!(floor.disk.facts.as_ref().unwrap().ordered.is_empty());
    }
}

#[test]
fn a_halt_by_an_administrator_of_some_accounts_does_not_widen_what_another_one_is_owed() {
    let mut floor = Floor::closed(Loaded::default());
    floor.accounts.push("DU0000002".into());
    floor.session(1, Before::New);
    floor.reconcile();
    let place_in = |floor: &mut Floor, name: &str, account: &str| {
        let mut request = limit(10.0);
        request.order.as_mut().unwrap().account = Some(account.into());
        floor.call("patient", OrderRequest::Place(place(name, request)));
    };
    let mut principals = principals();
    let risk = principals["risk"].clone();
    let some = crate::principals::Principal { accounts: vec!["DU0000001".into()], ..risk };
    principals.insert("some".into(), some);
    floor.reload(principals);
    for (name, account) in [("one", "DU0000001"), ("two", "DU0000002")] {
        place_in(&mut floor, name, account);
        floor.leave();
    }
    floor.down();
    // Of what was there, in all accounts; and then of what is there, in one.
    floor.call("risk", halt("patient", true));
    let (client, reason) = ("patient".to_owned(), "over".to_owned());
    floor.call("risk", OrderRequest::Resume(v1::ResumeTradingRequest { client, reason }));
    floor.session(2, Before::New);
    floor.reconcile();
    for name in ["later-one", "later-two"] {
        place_in(&mut floor, name, if name == "later-one" { "DU0000001" } else { "DU0000002" });
        floor.leave();
    }
    floor.down();
    floor.call("some", halt("patient", true));
    floor.session(3, Before::New);
    floor.reconcile();
    passes(&mut floor, 0);
    floor.leave();
    let cancelled: Vec<i32> = floor
        .left
        .iter()
        .filter(|(message, _)| *message == id::CANCEL_ORDER)
        .map(|(_, body)| tws::CancelOrderRequest::decode(&body[..]).unwrap().order_id())
        .collect();
    let id = |name: &str| floor.order("patient", name).order_id;
    assert!(!cancelled.contains(&id("later-two")), "{cancelled:?}");
    assert!(cancelled.contains(&id("later-one")), "{cancelled:?}");
}
