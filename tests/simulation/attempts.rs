//! The budget of attempts: a wedged Gateway is left alone, whoever restarts what.
//!
//! A naive account of silent attempts, kept from what the world knows of each process: did it
//! open TCP, did it hear a byte, who ended it. An attempt whose broker died before it knew the
//! end counts as silent. Checks that the broker's class of the failure is the true one, and that
//! after three silent attempts in a row no worker is started but by an operator, by the kernel's
//! tables, while Gateway may be starting, or as a slow probe.

use std::time::Duration;

use ibouncer_core::status::BrokerProcess;
use ibouncer_core::supervisor::ExitStatus;

use crate::os::Process;
use crate::world::World;

/// Silent attempts in a row that are made.
pub(crate) const BUDGET: u32 = 3;

/// So long a pair of clocks from before a step may still be reckoned with.
const STEP_LASTS: Duration = Duration::from_secs(30 * 60);

/// The account.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    silent: u32,
    last_silent: Duration,
    /// Period of slow probes, as of then.
    probe: Duration,
    /// When the attempt under way was made, until it is READY or gone; and the newest of all.
    flying: Option<Duration>,
    begun: Duration,
    /// After the end of a session, and in an operator's window, silence proves nothing.
    grace_until: Duration,
    pub(crate) window_until: Duration,
    /// Something else than a slow probe allows the next attempt.
    allowed: bool,
    /// The listener as the broker knew it when silence was met last.
    silent_at: Option<u64>,
    listener: Option<u64>,
    /// Connections waited to be accepted when it was met.
    queued: bool,
    /// The broker was restarted since silence was met.
    reborn: bool,
    pub(crate) was_ready: bool,
    pub(crate) wedged: u64,
    pub(crate) connections: u64,
}

impl Attempts {
    /// An operator, or the kernel's tables, allow an attempt.
    pub(crate) fn allow(&mut self) {
        self.allowed = true;
    }

    /// A session began, or was taken over.
    pub(crate) fn on_ready(&mut self) {
        self.silent = 0;
        self.grace_until = Duration::ZERO;
        self.was_ready = true;
        self.flying = None;
    }

    /// The broker is told which socket listens.
    pub(crate) fn on_listener(&mut self, before: Option<u64>, now: u64) {
        let other = |known: Option<u64>| known.is_some_and(|known| known != now);
        if other(before) || other(self.silent_at) {
            self.silent = 0;
        }
        self.listener = Some(now);
    }

    /// The broker is gone, and saw no end of the attempt under way.
    pub(crate) fn on_broker_gone(&mut self) {
        self.reborn = true;
        self.allowed = false;
        self.silent += u32::from(self.flying.take().is_some());
        // It may have died before it wrote down how the attempt ended.
        self.last_silent = self.begun;
    }

    /// Gateway has answered somebody else.
    pub(crate) fn on_others_answered(&mut self) {
        self.silent = 0;
    }

    /// Somebody else met silence.
    pub(crate) fn on_others_silent(&mut self, then: Duration, probe: Duration) {
        self.silent += 1;
        self.last_silent = self.last_silent.max(then);
        self.probe = probe;
    }

    /// The broker is told that no connection waits.
    pub(crate) fn on_no_queue(&mut self) {
        self.allowed |= self.queued;
    }

    fn on_gone(&mut self, class: &str, now: Duration, probe: Duration, starting: bool) {
        self.flying = None;
        self.allowed = class == "cancelled";
        self.silent_at = self.listener;
        if self.was_ready {
            self.silent = 0;
            return;
        }
        match class {
            // A fault of our own says nothing, and buys no faster probe either.
            "silent" | "worker_fault" => {
                self.silent += u32::from(class == "silent" && !starting);
                self.last_silent = now;
                self.probe = probe;
                self.reborn = false;
                self.wedged += u64::from(self.silent >= BUDGET);
            }
            "cancelled" => {}
            _ => self.silent = 0,
        }
    }
}

impl World {
    /// A worker is ordered.
    pub(crate) fn before_dial(&mut self) {
        self.check_looked();
        self.check_turn();
        let starting = self.may_be_starting();
        let stepped = self
            .eyes
            .stepped
            .is_some_and(|at| self.attempts.reborn && at + STEP_LASTS >= self.attempts.last_silent);
        let attempts = &mut self.attempts;
        let slow = self.now >= attempts.last_silent + attempts.probe;
        assert!(
            attempts.silent < BUDGET || attempts.allowed || slow || starting || stepped,
            "attempt after {} silent ones, {:?} after the last",
            attempts.silent,
            self.now - attempts.last_silent
        );
        attempts.allowed = false;
        attempts.queued = false;
        attempts.was_ready = false;
        attempts.flying = Some(self.now);
        attempts.begun = self.now;
    }

    /// A connection is being opened.
    pub(crate) fn on_dial(&mut self) {
        self.attempts.connections += 1;
    }

    /// The worker is gone, and the broker was told.
    pub(crate) fn after_gone(&mut self, process: &Process, status: Option<ExitStatus>) {
        let class = self.class_of(process.epoch.0);
        self.trace(&format!("{} was {class}, {status:?}", process.epoch));
        if !process.disturbed && !self.ends {
            let settled = Duration::from_secs(5);
            let by_kill = matches!(status, Some(ExitStatus::Signal(_)));
            let muted = match (process.killed, process.connected) {
                (Some(killed), Some(connected)) if by_kill => {
                    process.heard.is_none() && killed > connected + settled
                }
                (Some(_) | None, _) => false,
            };
            assert!(!muted || class == "silent", "Gateway was silent, the class is {class}");
            if class == "silent" {
                let killed = process.killed.expect("silence is ended by a kill");
                // A full accept queue, as eyes saw it last, drops SYNs.
                let full = self.eyes.queue > 0;
                assert!(process.connected.is_some() || full, "silent without TCP");
                let late = |heard: Duration| heard + Duration::from_secs(2) > killed;
                assert!(process.heard.is_none_or(late), "silent, but Gateway was heard");
            }
        }
        let probe = self.probe_period();
        let starting = self.may_be_starting();
        if self.attempts.was_ready {
            // Only a session that Gateway ended makes a grace; here every one may.
            self.attempts.grace_until = self.now + self.settings.attempts.startup_grace;
        }
        self.attempts.queued = self.eyes.queue > 0;
        self.attempts.on_gone(&class, self.now, probe, starting);
    }

    /// Between two probes of a wedged Gateway.
    pub(crate) fn probe_period(&self) -> Duration {
        let settings = &self.settings.attempts;
        match self.eyes.counts {
            true => settings.slow_probe_local,
            false => settings.slow_probe_remote,
        }
    }

    /// May Gateway be about to start? Rather too often than too seldom.
    pub(crate) fn may_be_starting(&self) -> bool {
        let grace = self.settings.attempts.startup_grace;
        let sees = self.eyes.period.is_some();
        let young = self.host.started.is_some_and(|at| sees && self.now < at + grace);
        young || self.now < self.attempts.grace_until.max(self.attempts.window_until)
    }

    fn class_of(&self, epoch: u64) -> String {
        let broker = BrokerProcess { version: "0".into(), pid: 1, since: self.instant() };
        let status = self.hub.status(&broker, &self.clock());
        let found = status.attempts.into_iter().find(|attempt| attempt.epoch == epoch);
        found.map(|attempt| attempt.outcome).expect("the newest attempts are kept")
    }
}
