//! What is looked at before an attempt, and every way into and out of waiting without one.

use super::*;

#[test]
fn nothing_is_dialled_without_a_look_and_a_look_that_fails_is_no_obstacle() {
    let now = Instant::now();
    let clock = Clock { now, wall: SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000) };
    let ledger = Ledger::new("127.0.0.1:4002");
    let mut world =
        World::remembering_at(Settings::default(), ledger, Sight::blind("no tables"), clock);
    world.session.start(now);
    let wishes: Vec<_> = std::iter::from_fn(|| world.session.poll_wish()).collect();
    assert_eq!(wishes, [Wish::Look]);
    assert_eq!(world.state(), StateKind::Stopped);
    world.expire();
    assert_eq!(world.state(), StateKind::Connecting);
    assert!(world.wishes().contains(&Wish::Dial(Epoch(1))));
}

#[test]
fn an_absent_gateway_is_dialled_every_30_s_all_the_same() {
    let ledger = Ledger::new("127.0.0.1:4002");
    let mut world = World::remembering(Settings::default(), ledger, nothing());
    assert_eq!(world.state(), StateKind::GatewayAbsent);
    assert_eq!(world.session.epoch, Epoch(0), "nothing was dialled");
    let begun = world.now;
    world.expire();
    assert_eq!(world.now - begun, Duration::from_secs(30));
    assert_eq!(world.state(), StateKind::Connecting);
    world.reported(EndReason::ConnectFailed, 0);
    assert_eq!(world.state(), StateKind::GatewayAbsent);
}

#[test]
fn an_attempt_is_remembered_before_it_is_made() {
    let mut world = World::new();
    world.silence();
    world.session.handle_timeout(world.session.poll_timeout().unwrap().0);
    let mut order = Vec::new();
    while let Some(wish) = world.session.poll_wish() {
        match wish {
            Wish::Remember => order.push(world.session.ledger().record.in_flight.is_some()),
            Wish::Dial(_) => break,
            other => world.fulfil(other),
        }
    }
    assert_eq!(order.last(), Some(&true));
}

#[test]
fn another_listener_ends_every_wait_and_is_given_time_to_start() {
    let mut world = World::new();
    world.wedge();
    // A process that was started just now.
    world.wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_001);
    world.base = world.now;
    world.show(listening(2, 0));
    assert_eq!(world.state(), StateKind::Connecting);
    for _ in 0..5 {
        world.silence();
        assert_eq!(world.state(), StateKind::Backoff, "Gateway may be starting");
        assert!(world.session.reason(world.now).starts_with("expected restart"));
        world.expire();
    }
    world.ready();
    // The same process answers nobody any more, and this time it is no start.
    world.session.on_heartbeat_lost("nothing");
    world.gone(EndCause::Signalled { signal: 9 });
    world.expire();
    world.wedge();
}

#[test]
fn a_restart_of_90_s_is_waited_out_and_a_real_wedge_right_after_is_one() {
    let mut world = World::new();
    world.ready();
    world.now += Duration::from_secs(3600);
    let restart = world.now;
    // The port is gone.
    world.sight = nothing();
    world.reported(EndReason::ClosedByPeer, 0);
    while world.now < restart + Duration::from_secs(30) {
        world.look();
        match world.state() {
            StateKind::Connecting => world.reported(EndReason::ConnectFailed, 0),
            _ => world.expire(),
        }
    }
    // Login: another process listens and answers nothing.
    world.wall += Duration::from_secs(0);
    let mut young = listening(7, 0);
    if let Ok(Some(listener)) = &mut young.listener
        && let Ok(process) = &mut listener.process
    {
        process.started_unix = world.clock().millis(world.now) / 1000;
    }
    world.show(young);
    while world.now < restart + Duration::from_secs(90) {
        match world.state() {
            StateKind::Connecting => world.silence(),
            StateKind::Backoff => world.expire(),
            other => panic!("a restart ended in {other}"),
        }
    }
    if world.state() != StateKind::Connecting {
        world.expire();
    }
    world.ready();
    world.session.on_heartbeat_lost("nothing");
    world.gone(EndCause::Signalled { signal: 9 });
    world.expire();
    world.wedge();
}

#[test]
fn connections_that_nobody_accepts_for_30_s_are_proof_with_one_silence() {
    let mut world = World::new();
    world.show(listening(1, 3));
    world.silence();
    assert_eq!(world.state(), StateKind::Backoff);
    world.now += Duration::from_secs(31);
    world.show(listening(1, 3));
    assert_eq!(world.state(), StateKind::Wedged);
}

#[test]
fn a_restart_of_the_broker_buys_nothing() {
    let mut world = World::new();
    world.silence();
    world.expire();
    world.silence();
    // The wait that was begun goes on.
    let again = world.restarted();
    assert_eq!(again.state(), StateKind::Backoff);
    // A broker that dies in the third attempt has met silence for all that is known.
    world.expire();
    assert_eq!(world.state(), StateKind::Connecting);
    let again = world.restarted();
    assert_eq!(again.state(), StateKind::Wedged);
    world.silence();
    assert_eq!(world.state(), StateKind::Wedged);
    world.now += Duration::from_secs(60);
    let mut again = world.restarted();
    assert_eq!((again.state(), again.session.epoch), (StateKind::Wedged, Epoch(3)));
    let (probe, _) = again.session.poll_timeout().unwrap();
    assert_eq!((probe - again.now).as_secs(), 14 * 60, "the probe keeps its time");
    // Another process listens meanwhile: that ends it.
    again.show(listening(2, 0));
    assert_eq!(again.state(), StateKind::Connecting);
    let mut replaced = world;
    replaced.sight = listening(3, 0);
    assert_eq!(replaced.restarted().state(), StateKind::Connecting);
}

#[test]
fn a_clock_that_was_set_back_makes_no_endless_wait() {
    let mut world = World::new();
    world.silence();
    world.wall -= Duration::from_secs(86_400);
    let again = world.restarted();
    let (dial, _) = again.session.poll_timeout().unwrap();
    assert!(dial - again.now <= Duration::from_secs(375));
}

#[test]
fn a_restart_window_makes_silence_wait_only() {
    let mut world = World::new();
    world.session.on_restart_window(Some(world.now + Duration::from_secs(3600)));
    for _ in 0..5 {
        world.silence();
        assert_eq!(world.state(), StateKind::Backoff);
        world.expire();
    }
    world.session.on_restart_window(None);
    world.wedge();
}

#[test]
fn a_reserved_id_is_used_in_turns_after_two_refusals_and_only_if_configured() {
    let settings = Settings { alternate_client_id: Some(411), ..Settings::default() };
    let mut world = World::with(settings);
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(world.session.client_id());
        world.reach(&TO_HELLO);
        world.reported(EndReason::Refused, 326);
        assert_eq!(world.state(), StateKind::ClientIdInUse);
        world.expire();
    }
    assert_eq!(ids, [410, 410, 411, 410, 411]);
    let mut world = World::new();
    for _ in 0..5 {
        world.reported(EndReason::Refused, 326);
        assert_eq!(world.session.client_id(), 410);
        world.expire();
    }
}

#[test]
fn closed_without_a_byte_is_ambiguous_where_no_eyes_see_gateway() {
    let mut world = World::new();
    world.sight = Sight::blind("behind docker-proxy");
    world.look();
    world.reach(&TO_HELLO);
    world.reported(EndReason::ClosedByPeer, 0);
    assert!(matches!(
        world.session.state,
        State::Backoff { class: FailureClass::AbsentOrRejected, .. }
    ));
    let mut world = World::new();
    world.reach(&TO_HELLO);
    world.reported(EndReason::ClosedByPeer, 0);
    assert!(matches!(world.session.state, State::Backoff { class: FailureClass::Rejected, .. }));
}

#[test]
fn a_wedged_gateway_is_described_by_what_is_seen() {
    let mut world = World::new();
    let mut sight = listening(1, 2);
    sight.sockets = Ok(vec![crate::sight::PortSocket {
        local: "127.0.0.1:50000".parse().unwrap(),
        remote: "127.0.0.1:4002".parse().unwrap(),
        state: crate::sight::TcpState::Established,
        role: crate::sight::Role::Stranger,
        owner: Ok(Some(crate::sight::Owner {
            pid: 77,
            started: 1,
            started_unix: 1,
            command: "python app.py".into(),
        })),
        age: Duration::from_secs(600),
        unread: 0,
    }]);
    world.show(sight);
    world.wedge();
    let advice = world.session.advice(world.now);
    assert!(advice[0].starts_with("python app.py (pid 77) holds a connection"), "{advice:?}");
    assert!(advice[1].contains("look at its window first"), "{advice:?}");
    assert!(advice[2].starts_with("2 connections wait to be accepted"), "{advice:?}");
}

#[test]
fn a_full_accept_queue_that_drops_our_syn_is_the_same_silence() {
    let mut world = World::new();
    world.show(listening(1, 128));
    for attempt in 1..=3 {
        world.reach(&TO_HELLO[..2]);
        world.expire();
        world.gone(EndCause::Signalled { signal: 9 });
        if attempt < 3 {
            assert_eq!(world.state(), StateKind::Backoff);
            world.now += Duration::from_millis(1);
            world.expire();
        }
    }
    assert_eq!(world.state(), StateKind::Wedged);
}

#[test]
fn a_broker_that_dies_during_a_slow_probe_is_not_followed_by_another_probe_at_once() {
    let mut world = World::new();
    world.wedge();
    world.expire();
    assert_eq!(world.state(), StateKind::Connecting);
    let mut again = world.restarted();
    assert_eq!(again.state(), StateKind::Wedged);
    let restarted = again.now;
    again.expire();
    assert_eq!(again.now - restarted, Duration::from_secs(15 * 60));
}

#[test]
fn a_gateway_that_was_too_old_is_tried_again_once_another_one_listens() {
    let mut world = World::new();
    world.reach(&TO_HELLO);
    world.reported(EndReason::Refused, 0);
    assert_eq!(world.state(), StateKind::Held);
    world.show(listening(1, 0));
    assert_eq!(world.state(), StateKind::Held);
    world.show(listening(2, 0));
    assert_eq!(world.state(), StateKind::Connecting);
}
