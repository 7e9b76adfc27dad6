//! The budget of attempts: a wedged Gateway is left alone.
//!
//! A naive account of silent attempts, kept from what the world knows of each process: did it
//! open TCP, did it hear a byte, who ended it. Checks that the broker's class of the failure is
//! the true one, and that after three silent attempts in a row no worker is started but by an
//! operator, by the kernel's tables, or as a slow probe.

use std::time::{Duration, SystemTime};

use ibouncer_core::status::{BrokerProcess, Clock};
use ibouncer_core::supervisor::ExitStatus;

use crate::os::Process;
use crate::world::World;

/// Silent attempts in a row that are made.
pub(crate) const BUDGET: u32 = 3;

/// The account.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    silent: u32,
    last_silent: Duration,
    grace_until: Duration,
    /// Something else than a slow probe allows the next attempt.
    allowed: bool,
    pub(crate) was_ready: bool,
    pub(crate) wedged: u64,
    pub(crate) connections: u64,
}

impl Attempts {
    /// An operator, or the kernel's tables, allow an attempt.
    pub(crate) fn allow(&mut self) {
        self.allowed = true;
    }

    /// A session began.
    pub(crate) fn on_ready(&mut self) {
        self.silent = 0;
        self.grace_until = Duration::ZERO;
        self.was_ready = true;
    }

    /// Another process listens.
    pub(crate) fn on_new_listener(&mut self, now: Duration, grace: Duration) {
        self.silent = 0;
        self.grace_until = now + grace;
    }

    /// A worker is ordered.
    pub(crate) fn on_spawn(&mut self, now: Duration, probe: Duration) {
        let slow = now >= self.last_silent + probe;
        assert!(
            self.silent < BUDGET || self.allowed || slow,
            "attempt after {} silent ones, {:?} after the last",
            self.silent,
            now - self.last_silent
        );
        self.allowed = false;
        self.was_ready = false;
    }

    fn on_gone(&mut self, class: &str, now: Duration, grace: Duration) {
        if self.was_ready {
            self.silent = 0;
            // Only a session that Gateway ended makes a grace; here every one may.
            self.grace_until = now + grace;
            return;
        }
        match class {
            // A fault of our own says nothing, and buys no faster probe either.
            "silent" | "worker_fault" => {
                self.silent += u32::from(class == "silent");
                self.last_silent = now;
                self.allowed = self.silent < BUDGET || now < self.grace_until;
                self.wedged += u64::from(!self.allowed);
            }
            "cancelled" => self.allowed = true,
            _ => self.silent = 0,
        }
    }
}

impl World {
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
                assert!(process.connected.is_some(), "silent without TCP");
                let late = |heard: Duration| heard + Duration::from_secs(2) > killed;
                assert!(process.heard.is_none_or(late), "silent, but Gateway was heard");
            }
        }
        let grace = self.settings.attempts.startup_grace;
        self.attempts.on_gone(&class, self.now, grace);
    }

    fn class_of(&self, epoch: u64) -> String {
        let broker = BrokerProcess { version: "0".into(), pid: 1, since: self.instant() };
        let clock = Clock {
            now: self.instant(),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000),
        };
        let status = self.hub.status(&broker, &clock);
        let found = status.attempts.into_iter().find(|attempt| attempt.epoch == epoch);
        found.map(|attempt| attempt.outcome).expect("the newest attempts are kept")
    }
}
