//! Tables of the session machine: every class of failure, every way out of every wait.

use std::time::SystemTime;

use ibouncer_proto::link::v1::{EndReason, SessionFacts};

use super::*;
use crate::record::{Claim, Record};
use crate::sight::Sight;
use crate::sight::tests::{listening, nothing};
use crate::supervisor::EndCause;

struct World {
    session: Session,
    /// What is on disk of Gateway, and who makes a handshake at it but us.
    record: Record,
    others: Option<&'static str>,
    now: Instant,
    /// What the kernel's tables show at the moment.
    sight: Sight,
    wall: SystemTime,
    base: Instant,
    seen: Vec<Wish>,
}

impl World {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        Self::remembering(settings, Ledger::new("127.0.0.1:4002"), listening(1, 0))
    }

    /// Gateway's process is old: the wall is far from its start.
    fn remembering(settings: Settings, ledger: Ledger, sight: Sight) -> Self {
        let now = Instant::now();
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000);
        let mut world = Self::remembering_at(settings, ledger, sight, Clock { now, wall });
        world.session.start(now);
        world.settle();
        world
    }

    /// Another broker, with what this one remembered.
    fn restarted(&self) -> Self {
        let ledger = self.session.ledger().clone();
        let settings = self.session.settings.clone();
        let mut world = Self::remembering_at(settings, ledger, self.sight.clone(), self.clock());
        world.session.start(world.now);
        world.settle();
        world
    }

    fn remembering_at(settings: Settings, ledger: Ledger, sight: Sight, clock: Clock) -> Self {
        let record = ledger.record.clone();
        let memory = Memory { ledger, clock };
        let session = Session::new(settings, memory, 1, clock.now);
        let (now, wall) = (clock.now, clock.wall);
        Self { session, record, others: None, now, sight, wall, base: now, seen: Vec::new() }
    }

    fn clock(&self) -> Clock {
        Clock { now: self.now, wall: self.wall + (self.now - self.base) }
    }

    /// Answers every wish for a look or a turn.
    fn settle(&mut self) {
        while let Some(wish) = self.session.poll_wish() {
            self.fulfil(wish);
        }
        self.session.check_invariants();
    }

    fn fulfil(&mut self, wish: Wish) {
        match wish {
            Wish::Look => self.look(),
            Wish::Claim => {
                let claim = match self.others {
                    None => Claim::Ours(Box::new(self.record.clone())),
                    Some(holder) => Claim::Taken { holder: holder.into() },
                };
                self.session.on_claimed(claim, self.now);
            }
            // Nothing that changes the record comes between its change and this.
            Wish::Remember if self.others.is_none() => {
                self.record = self.session.ledger.record.clone();
            }
            Wish::Remember | Wish::Yield => {}
            other => self.seen.push(other),
        }
    }

    fn look(&mut self) {
        self.session.on_sight(self.sight.clone(), self.clock(), self.now);
    }

    /// The tables show something else now.
    fn show(&mut self, sight: Sight) {
        self.sight = sight;
        self.look();
        self.settle();
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
        self.settle();
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
        self.settle();
    }

    fn reported(&mut self, reason: EndReason, gateway_code: i32) {
        self.gone(EndCause::Reported { reason, gateway_code });
    }

    /// Lets time run to the next deadline.
    fn expire(&mut self) {
        let (at, _) = self.session.poll_timeout().expect("something is waited for");
        self.now = at;
        self.session.handle_timeout(at);
        self.settle();
    }

    /// One attempt that meets silence, to the worker's end.
    fn silence(&mut self) {
        self.reach(&TO_HELLO);
        self.expire();
        assert!(matches!(self.wishes().last(), Some(Wish::Kill(_))));
        self.gone(EndCause::Signalled { signal: 9 });
    }

    fn wedge(&mut self) {
        for attempt in 1..=3 {
            self.silence();
            if attempt < 3 {
                self.expire();
            }
        }
        assert_eq!(self.state(), StateKind::Wedged);
    }

    fn wishes(&mut self) -> Vec<Wish> {
        std::mem::take(&mut self.seen)
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
fn a_live_session_is_dropped_only_by_name() {
    let mut world = World::new();
    world.ready();
    let refused = world.session.restart_worker("tidy up", false).unwrap_err();
    assert_eq!(refused.code, "LIVE_SESSION");
    world.wishes();
    world.session.restart_worker("tidy up", true).unwrap();
    world.settle();
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
    world.wedge();
    world.show(listening(1, 0));
    assert_eq!(world.state(), StateKind::Wedged);
    world.show(listening(1, 4));
    world.show(listening(1, 0));
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
    world.sight = nothing();
    world.reported(EndReason::ConnectFailed, 0);
    world.show(nothing());
    assert_eq!(world.state(), StateKind::GatewayAbsent);
    world.show(listening(1, 0));
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
    let next = |world: &World| (world.state(), world.session.next(world.now));
    let mut seen = vec![next(&world)];
    world.silence();
    seen.push(next(&world));
    world.expire();
    world.ready();
    seen.push(next(&world));
    for (state, next) in seen {
        assert!(!next.action.is_empty() && !next.because.is_empty(), "{state}");
    }
    for from in StateKind::ALL {
        assert!(super::state::allowed(from, StateKind::Stopped));
    }
}

mod adoption;
mod dial;
mod operator;
mod turn;
