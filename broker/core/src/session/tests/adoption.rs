//! A worker that was there before.

use super::*;

fn adopting() -> World {
    let now = Instant::now();
    let clock = Clock { now, wall: SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000) };
    let mut ledger = Ledger::new("127.0.0.1:4002");
    ledger.epoch = 7;
    ledger.record.begin("broker", 1, Duration::ZERO);
    ledger.record.on_ready();
    let mut world = World::remembering_at(Settings::default(), ledger, listening(1, 0), clock);
    world.session.start_adopting("worker 7 (pid 100)", Some(100), now);
    world.settle();
    world
}

#[test]
fn a_worker_from_before_is_taken_over_with_its_number_and_its_accounts() {
    let mut world = adopting();
    assert_eq!(world.state(), StateKind::Connecting);
    assert!(world.session.reason(world.now).contains("worker 7 (pid 100) outlived"));
    let advice = world.session.advice(world.now).join("; ");
    assert!(advice.ends_with("kill -CONT 100"), "{advice}");
    let facts = SessionFacts {
        server_version: 222,
        accounts: "DU0000001,".into(),
        ..SessionFacts::default()
    };
    world.session.adopt(Epoch(7), &facts, world.now);
    world.settle();
    assert_eq!((world.state(), world.session.epoch), (StateKind::Ready, Epoch(7)));
    assert_eq!(world.session.accounts(), ["DU0000001"]);
    assert_eq!(world.session.server_version(), Some(222));
    assert!(world.wishes().contains(&Wish::Up(Epoch(7))));
    // Its end is an end as of any other.
    world.reported(EndReason::ClosedByPeer, 0);
    assert_eq!(world.state(), StateKind::Backoff);
    world.expire();
    assert_eq!(world.session.epoch, Epoch(8));
}

#[test]
fn numbers_of_sessions_go_on_above_all_that_is_known_to_be_used() {
    let mut world = adopting();
    // The ledger was lost once, and the journal of orders knows more.
    world.session.on_used(40);
    world.session.adopt(Epoch(2), &SessionFacts::default(), world.now);
    world.settle();
    assert_eq!(world.session.epoch, Epoch(2));
    world.reported(EndReason::ClosedByPeer, 0);
    world.expire();
    assert_eq!((world.session.epoch, world.session.ledger().epoch), (Epoch(41), 41));
}

#[test]
fn nothing_is_dialled_while_it_holds_its_lock_however_late_it_is() {
    let mut world = adopting();
    for _ in 0..100 {
        world.expire();
        world.look();
        world.settle();
        assert_eq!(world.state(), StateKind::Connecting);
    }
    assert!(!world.wishes().iter().any(|wish| matches!(wish, Wish::Dial(_))));
    world.session.on_orphan_gone(world.now);
    world.settle();
    assert!(world.wishes().contains(&Wish::Dial(Epoch(8))));
    assert_eq!(world.session.ledger().record.silent_in_row, 0, "its session was live");
}

#[test]
fn whoever_comes_when_nobody_is_waited_for_changes_nothing() {
    let mut world = World::new();
    world.session.adopt(Epoch(99), &SessionFacts::default(), world.now);
    world.session.on_orphan_gone(world.now);
    assert_eq!((world.state(), world.session.epoch), (StateKind::Connecting, Epoch(1)));
}

#[test]
fn a_broker_that_ends_ends_the_session_that_it_waits_for_if_it_comes_in_time() {
    let mut world = adopting();
    world.session.stop("SIGTERM", world.now);
    assert!(!world.session.is_stopped());
    world.session.adopt(Epoch(7), &SessionFacts::default(), world.now);
    world.settle();
    assert!(matches!(world.wishes().last(), Some(Wish::End(_))));
    world.reported(EndReason::Asked, 0);
    assert!(world.session.is_stopped());

    let mut world = adopting();
    world.session.stop("SIGTERM", world.now);
    world.expire();
    assert!(world.session.is_stopped(), "it is not waited for for ever");

    let mut world = adopting();
    assert!(!world.session.let_go("SIGUSR2", world.now));
    assert!(world.session.is_stopped());
}

#[test]
fn a_hold_that_a_dying_broker_did_not_carry_out_is_carried_out_by_the_next() {
    let mut world = adopting();
    world.session.ledger.hold =
        Some(crate::ledger::Hold { reason: "maintenance".into(), since_ms: 1 });
    world.session.adopt(Epoch(7), &SessionFacts::default(), world.now);
    world.settle();
    assert!(matches!(world.wishes().last(), Some(Wish::End(_))));
    world.reported(EndReason::Asked, 0);
    assert_eq!(world.state(), StateKind::Held);
}
