//! Orders of people.

use super::*;

#[test]
fn a_hold_stops_every_state_and_lasts_over_restarts_until_it_is_released() {
    let begin: [fn(&mut World); 4] = [
        |_| {},
        |world| world.reported(EndReason::ConnectFailed, 0),
        |world| world.reported(EndReason::Internal, 0),
        World::wedge,
    ];
    for begin in begin {
        let mut world = World::new();
        begin(&mut world);
        world.session.hold("maintenance", false, world.now).unwrap();
        world.settle();
        if world.state() != StateKind::Held {
            assert!(matches!(world.wishes().last(), Some(Wish::Kill(_))));
            world.gone(EndCause::Signalled { signal: 9 });
        }
        assert_eq!(world.state(), StateKind::Held);
        assert_eq!(world.session.retry("now", world.now).unwrap_err().code, "HELD");
        assert_eq!(world.session.poll_timeout(), None);
        let mut again = world.restarted();
        assert_eq!(again.state(), StateKind::Held);
        assert!(again.session.reason(again.now).contains("maintenance"));
        again.session.release("done", again.now).unwrap();
        again.settle();
        assert_ne!(again.state(), StateKind::Held);
        assert_eq!(again.session.release("", again.now).unwrap_err().code, "NOT_HELD");
    }
}

#[test]
fn a_hold_drops_a_live_session_only_by_name() {
    let mut world = World::new();
    world.ready();
    let refused = world.session.hold("maintenance", false, world.now).unwrap_err();
    assert_eq!(refused.code, "LIVE_SESSION");
    assert_eq!(world.session.ledger().hold, None);
    world.wishes();
    world.session.hold("maintenance", true, world.now).unwrap();
    world.settle();
    assert!(matches!(world.wishes()[..], [Wish::End(_)]));
    world.reported(EndReason::Asked, 0);
    assert_eq!(world.state(), StateKind::Held);
}

#[test]
fn letting_go_leaves_a_live_session_alone_and_ends_anything_else() {
    let mut world = World::new();
    world.ready();
    world.wishes();
    assert!(world.session.let_go("SIGUSR2", world.now));
    world.settle();
    assert!(world.session.is_stopped());
    let wishes = world.wishes();
    assert!(!wishes.iter().any(|wish| matches!(wish, Wish::Kill(_) | Wish::End(_))), "{wishes:?}");

    let mut world = World::new();
    world.reach(&TO_HELLO);
    assert!(!world.session.let_go("SIGUSR2", world.now));
    assert!(!world.session.is_stopped(), "the handshake is ended first");
}

#[test]
fn an_operator_gets_out_of_every_wait_and_out_of_nothing_else() {
    let waits: [fn(&mut World); 5] = [
        |world| world.reported(EndReason::ConnectFailed, 0),
        |world| world.reported(EndReason::Refused, 326),
        |world| world.reported(EndReason::Refused, 0),
        |world| world.reported(EndReason::Internal, 0),
        |world| {
            for attempt in 0..3 {
                world.silence();
                if attempt < 2 {
                    world.expire();
                }
            }
        },
    ];
    for wait in waits {
        let mut world = World::new();
        wait(&mut world);
        let before = world.session.epoch;
        world.session.retry("test", world.now).unwrap();
        world.settle();
        assert_eq!(world.state(), StateKind::Connecting);
        assert_eq!(world.session.epoch.0, before.0 + 1);
        assert!(world.session.retry("test", world.now).is_err());
    }
}
