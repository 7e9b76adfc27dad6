//! Tables of the supervisor: every life a worker can have.

use std::time::Duration;

use ibouncer_proto::link::v1::EndReason;

use super::*;

fn supervisor() -> (Supervisor, Instant) {
    (Supervisor::new(WorkerSettings::default()), Instant::now())
}

fn orders(supervisor: &mut Supervisor) -> Vec<Order> {
    std::iter::from_fn(|| supervisor.poll_order()).collect()
}

fn linked() -> (Supervisor, Instant) {
    let (mut supervisor, now) = supervisor();
    supervisor.spawn(Epoch(1), now);
    supervisor.on_spawned(100, now);
    supervisor.on_hello(now);
    orders(&mut supervisor);
    (supervisor, now)
}

#[test]
fn an_ordinary_life_is_spawn_kill_gone() {
    let (mut supervisor, now) = supervisor();
    supervisor.spawn(Epoch(1), now);
    assert_eq!(orders(&mut supervisor), [Order::Spawn(Epoch(1))]);
    supervisor.on_spawned(100, now);
    supervisor.kill("silence", now);
    assert_eq!(orders(&mut supervisor), [Order::Kill(Epoch(1))]);
    assert!(!supervisor.is_absent(), "a killed worker is there until it was waited for");
    supervisor.on_exited(ExitStatus::Signal(9));
    let [Order::Gone(end)] = &orders(&mut supervisor)[..] else { panic!() };
    assert_eq!(end.ordered.as_deref(), Some("silence"));
    assert!(end.detail.contains("ours: silence"), "{}", end.detail);
    assert!(supervisor.is_absent());
}

#[test]
fn a_kill_before_the_process_exists_is_carried_out_when_it_does() {
    let (mut supervisor, now) = supervisor();
    supervisor.spawn(Epoch(1), now);
    supervisor.kill("stop", now);
    orders(&mut supervisor);
    let (at, _) = supervisor.poll_timeout().expect("the wait has an end");
    supervisor.handle_timeout(at);
    assert_eq!(orders(&mut supervisor), [Order::StillUnborn(Epoch(1), at - now)]);
    supervisor.on_spawned(100, now);
    assert_eq!(orders(&mut supervisor), [Order::Kill(Epoch(1))]);
}

#[test]
fn a_worker_is_killed_once() {
    let (mut supervisor, now) = linked();
    supervisor.kill("one", now);
    supervisor.kill("two", now);
    supervisor.on_link_closed("closed", false, now);
    assert_eq!(orders(&mut supervisor), [Order::Kill(Epoch(1))]);
}

#[test]
fn a_killed_worker_whose_end_is_not_seen_is_killed_again_and_said() {
    let (mut supervisor, now) = linked();
    supervisor.kill("silence", now);
    orders(&mut supervisor);
    let (at, _) = supervisor.poll_timeout().expect("the wait has an end");
    supervisor.handle_timeout(at);
    assert_eq!(orders(&mut supervisor), [Order::KillAgain(Epoch(1), at - now)]);
    assert!(supervisor.poll_timeout().expect("and so has the next").0 > at);
    assert!(!supervisor.is_absent(), "and no other one is started");
    supervisor.on_exited(ExitStatus::Signal(9));
    let [Order::Gone(end)] = &orders(&mut supervisor)[..] else { panic!() };
    assert_eq!(end.ordered.as_deref(), Some("silence"));
}

#[test]
fn a_worker_that_answers_no_ping_is_killed() {
    let (mut supervisor, now) = linked();
    supervisor.handle_timeout(now + Duration::from_secs(1));
    assert!(matches!(orders(&mut supervisor)[..], [Order::Tell(..)]));
    supervisor.on_pong(now + Duration::from_millis(1001));
    supervisor.handle_timeout(now + Duration::from_secs(4));
    assert!(!matches!(supervisor.state, State::Killing { .. }));
    supervisor.handle_timeout(now + Duration::from_millis(5001));
    assert!(matches!(supervisor.state, State::Killing { .. }));
}

#[test]
fn a_broken_link_waits_for_the_exit_and_then_kills() {
    let (mut supervisor, now) = linked();
    supervisor.on_link_closed("closed", false, now);
    supervisor.handle_timeout(now + Duration::from_millis(100));
    assert!(orders(&mut supervisor).is_empty());
    supervisor.handle_timeout(now + EXIT_AFTER_CUT);
    assert_eq!(orders(&mut supervisor), [Order::Kill(Epoch(1))]);

    let (mut supervisor, now) = linked();
    supervisor.on_link_closed("closed", false, now);
    supervisor.on_exited(ExitStatus::Signal(9));
    let [Order::Gone(end)] = &orders(&mut supervisor)[..] else { panic!() };
    assert!(end.detail.contains("signal 9, not ours"), "{}", end.detail);
}

#[test]
fn an_ordered_end_is_killed_when_it_takes_too_long() {
    let (mut supervisor, now) = linked();
    supervisor.end("shutdown", now);
    assert!(matches!(orders(&mut supervisor)[..], [Order::Tell(..)]));
    supervisor.handle_timeout(now + Duration::from_secs(1));
    assert!(orders(&mut supervisor).is_empty());
    supervisor.handle_timeout(now + Duration::from_secs(2));
    assert_eq!(orders(&mut supervisor), [Order::Kill(Epoch(1))]);
    supervisor.on_exited(ExitStatus::Signal(9));
    let [Order::Gone(end)] = &orders(&mut supervisor)[..] else { panic!() };
    assert_eq!(end.ordered.as_deref(), Some("shutdown"));
}

#[test]
fn a_reported_end_explains_the_exit() {
    let (mut supervisor, now) = linked();
    let ended = Ended {
        reason: EndReason::ClosedByPeer.into(),
        detail: "Gateway closed the connection".into(),
        ..Ended::default()
    };
    supervisor.on_ended(ended);
    supervisor.on_link_closed("closed", false, now);
    assert!(orders(&mut supervisor).is_empty(), "it exits by itself");
    supervisor.on_exited(ExitStatus::Code(12));
    let [Order::Gone(end)] = &orders(&mut supervisor)[..] else { panic!() };
    assert_eq!(end.detail, "Gateway closed the connection");
    assert_eq!(end.ordered, None);
}

#[test]
fn a_worker_with_a_live_session_may_come_back_to_the_link() {
    let now = Instant::now();
    let mut supervisor = Supervisor::new(WorkerSettings::default());
    supervisor.adopt(Epoch(7), 100, now);
    assert!(supervisor.is_adopted());
    supervisor.on_link_closed("closed", true, now);
    let (at, why) = supervisor.poll_timeout().unwrap();
    assert_eq!((at - now, why), (RELINK, "exit after link loss"));
    supervisor.on_hello(now);
    assert_eq!(supervisor.poll_timeout().unwrap().1, "ping");
    supervisor.on_link_closed("closed", true, now);
    supervisor.handle_timeout(now + RELINK);
    let orders: Vec<_> = std::iter::from_fn(|| supervisor.poll_order()).collect();
    assert_eq!(orders, [Order::Kill(Epoch(7))]);
    supervisor.on_exited(ExitStatus::Unseen);
    let Some(Order::Gone(end)) = supervisor.poll_order() else { panic!("it is gone") };
    assert_eq!(end.cause, EndCause::Unseen);
    assert!(supervisor.is_absent() && !supervisor.is_adopted());
}
