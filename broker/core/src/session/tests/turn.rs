//! One handshake at a time at one Gateway, and one account of silence for all who make them.

use super::*;
use crate::record::Wedged;

/// Another client id meets silence at the same Gateway.
fn silence_of_others(world: &mut World, not_before_ms: u64) {
    let listener = world.sight.known_listener();
    world.record.begin("broker, client id 500", 1, Duration::ZERO);
    world.record.end(FailureClass::Silent, false, listener);
    world.record.not_before_ms = not_before_ms;
}

fn millis(world: &World, after: Duration) -> u64 {
    world.clock().millis(world.now + after)
}

fn wedge_of_others(world: &mut World, probe_in: Duration) {
    for _ in 0..3 {
        silence_of_others(world, 0);
    }
    world.record.wedged = Some(Wedged {
        since_ms: 1,
        probe_at_ms: millis(world, probe_in),
        listener: world.sight.known_listener(),
    });
}

/// One that has not started, beside others that have done something.
fn beside(others: fn(&mut World)) -> World {
    let now = Instant::now();
    let clock = Clock { now, wall: SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000) };
    let ledger = Ledger::new("127.0.0.1:4002");
    let mut world = World::remembering_at(Settings::default(), ledger, listening(1, 0), clock);
    others(&mut world);
    world.session.start(now);
    world.settle();
    world
}

#[test]
fn another_client_id_buys_no_silence() {
    let mut world = beside(|world| {
        silence_of_others(world, 0);
        silence_of_others(world, 0);
    });
    assert_eq!(world.state(), StateKind::Connecting);
    world.silence();
    assert_eq!(world.state(), StateKind::Wedged, "the third, whoever made the first two");
    let mut world = beside(|world| wedge_of_others(world, Duration::from_secs(600)));
    assert_eq!(world.state(), StateKind::Wedged);
    let begun = world.now;
    world.expire();
    assert_eq!((world.now - begun).as_secs(), 600, "one probe for all");
    assert_eq!(world.state(), StateKind::Connecting);
}

#[test]
fn what_others_met_between_two_attempts_counts_too() {
    let mut world = World::new();
    world.silence();
    wedge_of_others(&mut world, Duration::from_secs(600));
    world.expire();
    assert_eq!(world.state(), StateKind::Wedged);
    assert!(world.session.reason(world.now).contains("under another client id"));
}

#[test]
fn the_wait_after_the_attempt_of_another_is_kept() {
    let mut world = beside(|world| silence_of_others(world, millis(world, Duration::from_secs(7))));
    assert_eq!(world.state(), StateKind::Backoff);
    let begun = world.now;
    world.expire();
    assert_eq!((world.now - begun).as_secs(), 7);
    assert_eq!(world.state(), StateKind::Connecting);
    // Also later on, and it is no wait of our own.
    world.silence();
    world.record.not_before_ms = millis(&world, Duration::from_secs(20));
    let begun = world.now;
    world.expire();
    assert_eq!(world.state(), StateKind::Backoff);
    world.expire();
    assert_eq!(((world.now - begun).as_secs(), world.state()), (20, StateKind::Connecting));
}

#[test]
fn while_another_makes_a_handshake_it_is_named_and_nothing_is_dialled() {
    let mut world = beside(|world| world.others = Some("instance two, pid 77"));
    for _ in 0..20 {
        assert_eq!(world.state(), StateKind::Backoff);
        assert!(world.session.reason(world.now).contains("instance two, pid 77"));
        let next = world.session.next(world.now);
        assert!(next.because.contains("pid 77") && next.at.is_some(), "{next:?}");
        let (at, _) = world.session.poll_timeout().unwrap();
        assert!(at - world.now <= Duration::from_secs(1), "every wait has an end");
        world.expire();
    }
    assert!(!world.wishes().iter().any(|wish| matches!(wish, Wish::Dial(_))));
    // It met silence, and so its wait is ours.
    world.others = None;
    silence_of_others(&mut world, 0);
    world.record.not_before_ms = millis(&world, Duration::from_secs(5));
    world.expire();
    assert!(world.session.reason(world.now).contains("goes on over the restart"));
    world.expire();
    assert_eq!(world.state(), StateKind::Connecting);
}

#[test]
fn a_lock_that_cannot_be_used_makes_a_wait_with_its_cause() {
    let mut world = World::new();
    world.silence();
    let (at, _) = world.session.poll_timeout().unwrap();
    world.session.handle_timeout(at);
    while let Some(wish) = world.session.poll_wish() {
        match wish {
            Wish::Claim => {
                let because = "open lock: no space".into();
                world.session.on_claimed(Claim::Unusable { because }, at);
            }
            other => world.fulfil(other),
        }
    }
    assert_eq!(world.state(), StateKind::Backoff);
    assert!(world.session.reason(at).contains("no space"));
    world.expire();
    assert_eq!(world.state(), StateKind::Connecting);
}

#[test]
fn the_lock_is_kept_to_the_end_of_the_handshake_and_no_longer() {
    let mut world = World::new();
    assert!(world.session.turn);
    world.reach(&TO_HELLO);
    world.expire();
    assert!(world.session.turn, "the worker is not gone");
    world.gone(EndCause::Signalled { signal: 9 });
    assert!(!world.session.turn);
    world.expire();
    world.ready();
    assert!(!world.session.turn, "two sessions may live side by side");
    assert_eq!((world.record.silent_in_row, &world.record.in_flight), (0, &None));
    world.gone(EndCause::Signalled { signal: 11 });
    assert_eq!(world.record.attempts.last().unwrap().outcome, "ready");
}

#[test]
fn an_answer_to_anybody_ends_the_verdict_of_all() {
    let mut world = World::new();
    world.wedge();
    world.session.on_record(&world.record.clone(), world.now);
    world.settle();
    assert_eq!(world.state(), StateKind::Wedged, "nothing has changed");
    world.record.begin("broker, client id 500", 1, Duration::ZERO);
    world.record.on_ready();
    world.session.on_record(&world.record.clone(), world.now);
    world.settle();
    assert_eq!(world.state(), StateKind::Connecting);
}

#[test]
fn a_probe_of_another_is_the_probe_of_this_period() {
    let mut world = World::new();
    world.wedge();
    let wedged = world.record.wedged.as_mut().unwrap();
    wedged.probe_at_ms += 300_000;
    world.expire();
    assert_eq!(world.state(), StateKind::Wedged, "somebody has just probed");
    let begun = world.now;
    world.expire();
    assert_eq!((world.state(), (world.now - begun).as_secs()), (StateKind::Connecting, 300));
    // Also if it is under way.
    let mut world = World::new();
    world.wedge();
    world.others = Some("pid 77");
    world.expire();
    world.others = None;
    world.expire();
    assert_eq!(world.state(), StateKind::Wedged);
    // A person's word is not used up by that.
    world.others = Some("pid 77");
    world.session.retry("the dialog is gone", world.now).unwrap();
    world.settle();
    world.others = None;
    world.expire();
    assert_eq!(world.state(), StateKind::Connecting);
}

#[test]
fn a_gateway_that_was_started_again_is_a_new_one_for_all_who_were_silent() {
    // Met under another id, by a broker that is gone, two silences and no verdict.
    let mut world = beside(|world| {
        silence_of_others(world, u64::MAX);
        silence_of_others(world, u64::MAX);
        world.sight = listening(2, 0);
    });
    assert_eq!(world.state(), StateKind::Connecting);
    world.silence();
    assert_eq!((world.state(), world.record.silent_in_row), (StateKind::Backoff, 1));
    let world = beside(|world| {
        wedge_of_others(world, Duration::from_secs(600));
        world.sight = listening(2, 0);
    });
    assert_eq!(world.state(), StateKind::Connecting);
}

#[test]
fn a_queue_that_drained_while_no_broker_looked_ends_the_verdict() {
    let mut world = World::new();
    world.show(listening(1, 2));
    world.wedge();
    assert!(world.record.queued);
    let still = world.restarted();
    assert_eq!(still.state(), StateKind::Wedged);
    world.sight = listening(1, 0);
    let mut again = world.restarted();
    assert_eq!(again.state(), StateKind::Connecting);
    let Some(Wish::Transitioned(dial)) = again.wishes().pop() else { panic!("a transition") };
    assert!(dial.because.contains("drained"), "{dial:?}");
    // One attempt, and not one more: there is no queue that could drain again.
    again.silence();
    assert_eq!(again.state(), StateKind::Wedged);
    assert_eq!(again.restarted().state(), StateKind::Wedged);
}

#[test]
fn a_worker_that_was_taken_over_was_not_silent_although_nobody_wrote_that_down() {
    let mut world = World::new();
    let mut next = World::remembering_at(
        Settings::default(),
        world.session.ledger().clone(),
        listening(1, 0),
        world.clock(),
    );
    assert!(next.record.in_flight.is_some());
    next.session.start_adopting("worker 1", None, next.now);
    next.session.adopt(Epoch(1), &SessionFacts::default(), next.now);
    next.settle();
    next.reported(EndReason::ClosedByPeer, 0);
    next.expire();
    assert_eq!((next.state(), next.record.silent_in_row), (StateKind::Connecting, 0));
    world.wishes();
}
