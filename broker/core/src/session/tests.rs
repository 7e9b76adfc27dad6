//! Tables of the session machine: every class of failure, every way out of every wait.

use super::*;
use crate::supervisor::EndCause;
use ibouncer_proto::link::v1::EndReason;

struct World {
    session: Session,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let now = Instant::now();
        let mut session = Session::new(settings, 1, now);
        session.start(now);
        Self { session, now }
    }

    fn state(&self) -> StateKind {
        self.session.kind()
    }

    fn reach(&mut self, stages: &[Stage]) {
        for stage in stages {
            let at = self.now - self.session.history.newest().unwrap().begun;
            let reached = StageReached {
                stage: (*stage).into(),
                accounts: "DU0000001,".into(),
                server_version: 226,
                ..Default::default()
            };
            self.session.on_stage(self.session.epoch, &reached, at, self.now);
        }
    }

    fn ready(&mut self) {
        self.reach(&TO_HELLO);
        self.reach(&[Stage::VersionReceived, Stage::AccountsReceived, Stage::Ready]);
        assert_eq!(self.state(), StateKind::Ready);
    }

    fn gone(&mut self, cause: EndCause) {
        let end =
            WorkerEnd { epoch: self.session.epoch, cause, detail: "gone".into(), ordered: None };
        self.session.on_gone(&end, self.now);
    }

    fn reported(&mut self, reason: EndReason, gateway_code: i32) {
        self.gone(EndCause::Reported { reason, gateway_code });
    }

    /// Lets time run to the next deadline.
    fn expire(&mut self) {
        let (at, _) = self.session.poll_timeout().expect("something is waited for");
        self.now = at;
        self.session.handle_timeout(at);
    }

    /// One attempt that meets silence, to the worker's end.
    fn silence(&mut self) {
        self.reach(&TO_HELLO);
        self.expire();
        assert!(matches!(self.wishes().last(), Some(Wish::Kill(_))));
        self.gone(EndCause::Signalled { signal: 9 });
    }

    fn wishes(&mut self) -> Vec<Wish> {
        std::iter::from_fn(|| self.session.poll_wish()).collect()
    }
}

const TO_HELLO: [Stage; 4] = [Stage::Spawned, Stage::Linked, Stage::TcpConnected, Stage::HelloSent];

#[test]
fn the_way_to_ready_names_every_state() {
    let mut world = World::new();
    assert_eq!(world.state(), StateKind::Connecting);
    world.reach(&TO_HELLO);
    assert_eq!(world.state(), StateKind::Handshaking);
    world.reach(&[Stage::VersionReceived, Stage::AccountsReceived, Stage::Ready]);
    assert_eq!(world.state(), StateKind::Ready);
    assert_eq!(world.session.accounts(), ["DU0000001"]);
    assert_eq!(world.session.server_version(), Some(226));
    assert!(world.wishes().contains(&Wish::Up(Epoch(1))));
}

#[test]
fn each_class_of_failure_leads_to_its_state() {
    let to_hello: &[Stage] = &TO_HELLO;
    let cases = [
        (&to_hello[..2], EndReason::ConnectFailed, 0, StateKind::GatewayAbsent),
        (to_hello, EndReason::Refused, 326, StateKind::ClientIdInUse),
        (to_hello, EndReason::Refused, 0, StateKind::Held),
        (to_hello, EndReason::ClosedByPeer, 0, StateKind::Backoff),
        (to_hello, EndReason::HandshakeViolated, 0, StateKind::Backoff),
        (&to_hello[..2], EndReason::LockTaken, 0, StateKind::Backoff),
        (to_hello, EndReason::Internal, 0, StateKind::Backoff),
    ];
    for (stages, reason, code, state) in cases {
        let mut world = World::new();
        world.reach(stages);
        world.reported(reason, code);
        assert_eq!(world.state(), state, "{reason:?} {code}");
    }
}

#[test]
fn three_silences_in_a_row_are_wedged_and_a_slow_probe_is_one_attempt() {
    let mut world = World::new();
    for attempt in 1..=3 {
        assert_eq!(world.session.epoch, Epoch(attempt));
        world.silence();
        if attempt < 3 {
            assert_eq!(world.state(), StateKind::Backoff);
            world.expire();
        }
    }
    assert_eq!(world.state(), StateKind::Wedged);
    let wedged_at = world.now;
    world.expire();
    assert_eq!(world.now - wedged_at, Duration::from_secs(15 * 60));
    assert_eq!(world.state(), StateKind::Connecting);
    world.silence();
    assert_eq!(world.state(), StateKind::Wedged, "one silent probe is enough to go back");
}

#[test]
fn a_byte_between_two_silences_starts_the_count_anew() {
    let mut world = World::new();
    world.silence();
    world.expire();
    world.silence();
    world.expire();
    world.reach(&TO_HELLO);
    world.reach(&[Stage::FirstByte]);
    world.expire();
    world.gone(EndCause::Signalled { signal: 9 });
    world.expire();
    world.silence();
    assert_eq!(world.state(), StateKind::Backoff);
}

#[test]
fn a_budget_of_zero_never_gives_up() {
    let mut settings = Settings::default();
    settings.attempts.silent_budget = 0;
    let mut world = World::with(settings);
    for _ in 0..20 {
        world.silence();
        assert_eq!(world.state(), StateKind::Backoff);
        world.expire();
    }
}

#[test]
fn silence_after_gateway_closed_a_session_only_waits() {
    let mut world = World::new();
    world.ready();
    world.reported(EndReason::ClosedByPeer, 0);
    for _ in 0..4 {
        world.expire();
        world.silence();
        assert_eq!(world.state(), StateKind::Backoff);
    }
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
        assert_eq!(world.state(), StateKind::Connecting);
        assert_eq!(world.session.epoch.0, before.0 + 1);
        assert!(world.session.retry("test", world.now).is_err());
    }
}

#[test]
fn a_live_session_is_dropped_only_by_name() {
    let mut world = World::new();
    world.ready();
    let refused = world.session.restart_worker("tidy up", false).unwrap_err();
    assert_eq!(refused.code, "LIVE_SESSION");
    world.wishes();
    world.session.restart_worker("tidy up", true).unwrap();
    assert!(matches!(world.wishes()[..], [Wish::End(_)]));
    world.reported(EndReason::Asked, 0);
    assert_eq!(world.state(), StateKind::Connecting, "the next one follows at once");
    assert_eq!(world.session.epoch, Epoch(2));
}

#[test]
fn a_stable_session_starts_the_waits_anew() {
    let mut world = World::new();
    for _ in 0..5 {
        world.ready();
        world.gone(EndCause::Signalled { signal: 11 });
        world.expire();
    }
    world.ready();
    world.now += Duration::from_secs(61);
    let before = world.now;
    world.gone(EndCause::Signalled { signal: 11 });
    world.expire();
    assert!(world.now - before < Duration::from_millis(320));
}

#[test]
fn lost_and_restored_links_of_gateway_degrade_and_return() {
    let mut world = World::new();
    world.ready();
    world.session.on_upstream_lost("1100", world.now);
    assert_eq!(world.state(), StateKind::Degraded);
    assert!(world.session.is_up());
    world.session.on_upstream_restored("1102", world.now);
    assert_eq!(world.state(), StateKind::Ready);
}

#[test]
fn a_link_that_was_lost_before_ready_is_not_forgotten() {
    let mut world = World::new();
    world.reach(&TO_HELLO);
    world.session.on_upstream_lost("1100", world.now);
    world.reach(&[Stage::VersionReceived, Stage::AccountsReceived, Stage::Ready]);
    assert_eq!(world.state(), StateKind::Degraded);
    world.session.on_upstream_restored("1102", world.now);
    assert_eq!(world.state(), StateKind::Ready);
}

#[test]
fn a_queue_that_was_never_long_is_no_reason_to_leave_wedged() {
    let mut world = World::new();
    for attempt in 1..=3 {
        world.silence();
        if attempt < 3 {
            world.expire();
        }
    }
    let queue = |length| Eyes { accept_queue: Some(length), ..Eyes::default() };
    world.session.on_eyes(queue(0), world.now);
    assert_eq!(world.state(), StateKind::Wedged);
    world.session.on_eyes(queue(4), world.now);
    world.session.on_eyes(queue(0), world.now);
    assert_eq!(world.state(), StateKind::Connecting);
}

#[test]
fn stopping_waits_for_the_worker() {
    let mut world = World::new();
    world.ready();
    world.session.stop("SIGTERM", world.now);
    assert!(!world.session.is_stopped());
    world.reported(EndReason::Asked, 0);
    assert!(world.session.is_stopped());
    let mut world = World::new();
    world.reported(EndReason::ConnectFailed, 0);
    world.session.stop("SIGTERM", world.now);
    assert!(world.session.is_stopped());
}

#[test]
fn eyes_end_a_wait_when_they_see_a_reason() {
    let mut world = World::new();
    world.reported(EndReason::ConnectFailed, 0);
    world.session.on_eyes(Eyes { listening: Some(false), ..Eyes::default() }, world.now);
    assert_eq!(world.state(), StateKind::GatewayAbsent);
    world.session.on_eyes(Eyes { listening: Some(true), ..Eyes::default() }, world.now);
    assert_eq!(world.state(), StateKind::Connecting);
}

#[test]
fn ready_after_the_deadline_is_too_late() {
    let mut world = World::new();
    world.reach(&TO_HELLO);
    world.expire();
    world.reach(&[Stage::VersionReceived, Stage::AccountsReceived, Stage::Ready]);
    assert_eq!(world.state(), StateKind::Handshaking);
    world.gone(EndCause::Signalled { signal: 9 });
    assert_eq!(world.state(), StateKind::Backoff);
}

#[test]
fn every_state_says_what_is_next() {
    let mut world = World::new();
    let mut seen = vec![(world.state(), world.session.next())];
    world.silence();
    seen.push((world.state(), world.session.next()));
    world.expire();
    world.ready();
    seen.push((world.state(), world.session.next()));
    for (state, next) in seen {
        assert!(!next.action.is_empty() && !next.because.is_empty(), "{state}");
    }
    for from in StateKind::ALL {
        assert!(super::state::allowed(from, StateKind::Stopped));
    }
}
