//! What a person has to look at lasts until that person has; and what of that Gateway's counter says.

use super::strangers::{adopt, first_lists_show, stranger};
use super::*;

fn word(floor: &Floor) -> &'static str {
    floor.desk.status(&floor.desk.clock).0
}

/// The broker ends, and the next one has a session in which Gateway gives this as the next id.
fn again(floor: &Floor, next_valid_id: i32) -> Floor {
    let mut next = Floor::closed(floor.disk.clone());
    next.session_of(9, 9, next_valid_id, Before::New);
    next.reconcile();
    next
}

type Raise = fn(&mut Floor, i32);

#[test]
fn what_a_person_has_to_look_at_outlives_the_broker_and_ends_with_adoption_for_good() {
    let unaccounted: Raise = |floor, _| floor.hear(id::OPEN_ORDER, &stranger(CLIENT_ID, 700, 900));
    let high: Raise = |floor, _| floor.hear(id::OPEN_ORDER, &stranger(7, 1_500_000_000, 900));
    let two: Raise = |floor, id| {
        let mut other = floor.open_order(id, "Submitted", 10.0);
        other.order.as_mut().unwrap().perm_id = Some(900);
        floor.hear(id::OPEN_ORDER, &other);
    };
    let altered: Raise = |floor, id| {
        let mut other = floor.open_order(id, "Submitted", 10.0);
        other.order.as_mut().unwrap().action = Some("SELL".into());
        floor.hear(id::OPEN_ORDER, &other);
    };
    for (name, raise) in
        [("unaccounted", unaccounted), ("high", high), ("two", two), ("altered", altered)]
    {
        let mut floor = Floor::open();
        let id = floor.placed("momentum", "a");
        floor.opened(id, "Submitted", 10.0);
        raise(&mut floor, id);
        assert_eq!(word(&floor), "halted", "{name}");
        let because = floor.desk.brakes.doubts.clone();
        let mut next = again(&floor, 1);
        assert_eq!(next.desk.brakes.doubts, because, "{name}: nothing shows it any more");
        assert!(next.notes.iter().any(|note| note.contains("trading is halted")), "{name}");
        next.call("risk", adopt());
        assert_eq!(word(&next), "on", "{name}");
        let mut last = again(&next, 1);
        assert_eq!(word(&last), "on", "{name}");
        raise(&mut last, id);
        assert_eq!(word(&last), "on", "{name}: it was accepted");
    }
}

#[test]
fn an_empty_journal_stays_in_doubt_when_the_orders_beside_it_are_gone() {
    let floor = first_lists_show(Loaded::default(), &[stranger(77, 5, 900)]);
    let next = again(&floor, 1);
    assert_eq!(word(&next), "halted");
    assert!(next.notes.last().unwrap().ends_with("trading is halted"), "{:?}", next.notes);
}

#[test]
fn a_doubt_of_a_newer_build_halts_as_well() {
    let floor = Floor::open();
    let mut loaded = floor.disk.clone();
    let doubt = journal::Doubt { kind: "of-tomorrow".into(), words: "look at it".into() };
    loaded.facts.as_mut().unwrap().doubts.push(doubt);
    let mut next = Floor::closed(loaded);
    next.session(9, Before::New);
    assert_eq!(word(&next), "halted");
}

#[test]
fn ids_that_gateway_has_counted_and_the_journal_does_not_know_halt_trading() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    let backup = floor.disk.clone();
    let next = floor.placed("momentum", "b");
    floor.disk = backup;
    let mut restored = again(&floor, next + 1);
    let call = restored.place("momentum", "b");
    let refused = restored.refused_in_doubt(call);
    let known = format!("none above {id}:");
    assert!(refused.message.contains(&known), "{}", refused.message);
    assert_eq!(word(&again(&restored, 1)), "halted");
    restored.call("risk", adopt());
    assert_eq!(word(&restored), "on");
    assert_eq!(word(&again(&restored, next + 1)), "on", "that was accepted");
    assert_eq!(word(&again(&restored, next + 2)), "halted");
}

#[test]
fn what_gateway_counts_in_normal_life_is_no_doubt() {
    // A new journal beside an old client id.
    let mut floor = Floor::closed(Loaded::default());
    floor.session_of(1, 1, 500, Before::New);
    floor.reconcile();
    let id = floor.placed("momentum", "a");
    assert_eq!(id, 500);
    let mut floor = again(&floor, id + 1);
    // Ids go on behind the floor, and previews count.
    let id = floor.placed("momentum", "b");
    let preview = v1::PreviewOrderRequest { request: Some(limit(10.0)) };
    floor.call("momentum", OrderRequest::Preview(preview.encode_to_vec().into()));
    floor.leave();
    let mut floor = again(&floor, id + 2);
    // One that never left, and one that was cancelled.
    floor.place("momentum", "c");
    floor.cancel("momentum", "c");
    let last = floor.placed("momentum", "d");
    floor.told(last, "Cancelled");
    let mut floor = again(&floor, last + 1);
    // Another program's id, which ours must be above.
    floor.hear(id::OPEN_ORDER, &stranger(77, last + 900, 900));
    let mut floor = again(&floor, last + 901);
    assert!(floor.placed("momentum", "e") > last + 900, "though it is shown no more");
    // The same of one that only this session's lists show.
    let mut next = Floor::closed(floor.disk.clone());
    next.session_of(9, 9, last + 1_901, Before::New);
    next.hear(id::OPEN_ORDER, &stranger(77, last + 1_900, 901));
    next.reconcile();
    assert_eq!(word(&next), "on");
    // Gateway sets ids back, and a broker of before did not look.
    let mut floor = again(&floor, 3);
    floor.placed("momentum", "f");
    let facts = floor.disk.facts.as_mut().unwrap();
    (facts.counted, facts.used) = (false, 0);
    let mut floor = again(&floor, 100_000);
    // Another login's counter says nothing, nor does that of the reserved client id.
    floor.down();
    floor.accounts = vec!["DU0000009".into()];
    floor.session_of(10, 10, 900_000, Before::New);
    assert!(floor.desk.brakes.doubts.keys().eq([&brakes::Doubt::Accounts]));
    floor.call("risk", adopt());
    floor.down();
    floor.session_of(11, 11, 900_000, Before::New);
    floor.desk.on_road(Road::Alternate);
    let accounts = &floor.accounts.clone();
    let (epoch, name, next_valid_id, before) = (12, 12, 950_000, Before::New);
    let arrival = Arrival { epoch, name, accounts, next_valid_id, before };
    floor.desk.on_session_up(arrival, floor.now);
    floor.settle();
    assert!(floor.desk.brakes.doubts.is_empty());
}

#[test]
fn an_id_that_was_seen_is_not_given_out_by_a_later_broker() {
    let mut floor = Floor::open();
    floor.hear(id::OPEN_ORDER, &stranger(CLIENT_ID, 5000, 900));
    floor.call("risk", adopt());
    // Gateway set its ids back, and that order is gone.
    let mut next = again(&floor, 1);
    assert!(next.placed("momentum", "a") > 5000);
}

fn beside(accounts: &[&str]) -> Loaded {
    let beside = journal::Beside {
        path: "/state/127.0.0.1_4001_410.orders.db".into(),
        new: "/state/127.0.0.1_4002_410.orders.db".into(),
        accounts: accounts.iter().map(|&one| one.to_owned()).collect(),
    };
    Loaded { beside: vec![beside], ..Loaded::default() }
}

#[test]
fn a_new_journal_beside_one_of_the_same_login_halts_before_anything_is_placed() {
    for (accounts, halts) in
        [(&["DU0000001", "DU0000002"][..], true), (&["DU0000009"], false), (&[], true)]
    {
        let mut floor = first_lists_show(beside(accounts), &[]);
        if !halts {
            floor.placed("momentum", "a");
            continue;
        }
        let call = floor.place("momentum", "a");
        let refused = floor.refused_in_doubt(call);
        assert_eq!(refused.code, "TRADING_HALTED");
        assert!(refused.message.contains("/state/127.0.0.1_4001_410.orders.db"));
        // The next broker does not look beside it any more.
        let mut next = again(&floor, 1);
        assert_eq!(word(&next), "halted");
        next.call("risk", adopt());
        next.placed("momentum", "a");
        assert_eq!(word(&again(&next, 1)), "on");
    }
}
