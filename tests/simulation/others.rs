//! Others who make handshakes at the same Gateway: brokers with other client ids, and the doctor.
//!
//! Now and then one of them has the handshake lock when the broker claims it. What it met stands
//! in the record afterwards, and counts in the naive account as well. Checks that a worker is
//! started, and the record is written, only by the holder of the lock.

use std::time::Duration;

use fastrand::Rng;
use ibouncer_core::attempts::FailureClass;
use ibouncer_core::hub::Input;
use ibouncer_core::ledger::Ledger;
use ibouncer_core::record::{Claim, Wedged};

use crate::attempts::BUDGET;
use crate::world::World;

/// A handshake of somebody else takes no longer.
const LONGEST: u64 = 12_000_000;

/// Who holds the lock.
#[derive(Debug)]
pub(crate) struct Others {
    /// Their own, so that a world is the same with and without them until they come.
    rng: Rng,
    /// The broker does.
    broker: bool,
    /// Somebody else does, since and until then.
    theirs: Option<(Duration, Duration)>,
    /// Claims that were refused.
    pub(crate) refused: u64,
}

impl Others {
    /// Of a world with this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(!seed), broker: false, theirs: None, refused: 0 }
    }
}

impl World {
    /// The broker claims the lock.
    pub(crate) fn claim(&mut self) {
        assert!(!self.others.broker, "the lock is claimed by who holds it");
        if self.others.theirs.is_none() && self.chaos && self.others.rng.u8(..12) == 0 {
            let until = self.now + Duration::from_micros(self.others.rng.u64(..LONGEST));
            self.others.theirs = Some((self.now, until));
            let (now, period) = (self.millis(self.now), self.probe_period());
            self.disk.record.begin("somebody else", now, period);
            self.trace("somebody else makes a handshake");
        }
        let claim = match self.others.theirs {
            Some((_, until)) if until > self.now => {
                self.others.refused += 1;
                Claim::Taken { holder: "somebody else".into() }
            }
            Some((begun, until)) => {
                self.others.theirs = None;
                self.end_of_others(begun, until);
                self.our_turn()
            }
            None => self.our_turn(),
        };
        // Among what else the hub wants done, which goes on.
        self.hub.handle_input(Input::Claimed(claim), self.instant());
    }

    /// It gives it back.
    pub(crate) fn let_others(&mut self) {
        assert!(self.others.broker, "a lock is given back that is not held");
        self.others.broker = false;
    }

    /// Its process is gone.
    pub(crate) fn lose_turn(&mut self) {
        self.others.broker = false;
    }

    /// A worker is ordered.
    pub(crate) fn check_turn(&self) {
        assert!(self.others.broker, "a dial without the handshake lock");
    }

    /// What is to be remembered is written; of Gateway only under the lock.
    pub(crate) fn remember(&mut self, ledger: Ledger) {
        if self.others.broker {
            self.disk.record.clone_from(&ledger.record);
        }
        self.disk.ledger = ledger;
    }

    fn our_turn(&mut self) -> Claim {
        self.others.broker = true;
        Claim::Ours(Box::new(self.disk.record.clone()))
    }

    /// What the other one met, and that it met it then.
    fn end_of_others(&mut self, begun: Duration, then: Duration) {
        let starting = self.may_be_starting();
        let outcome = self.others.rng.u8(..8);
        self.trace(&format!("what somebody else met at {then:?}: {outcome}"));
        match outcome {
            0 => {
                self.disk.record.on_ready();
                self.attempts.on_others_answered();
            }
            1 => {
                self.disk.record.end(FailureClass::StalledStart, starting, None);
                self.attempts.on_others_answered();
            }
            // It died in the middle.
            2 => self.attempts.on_others_silent(begun, self.probe_period()),
            _ => {
                self.disk.record.end(FailureClass::Silent, starting, None);
                if starting {
                    return;
                }
                let period = self.probe_period();
                self.attempts.on_others_silent(then, period);
                if self.disk.record.silent_in_row >= BUDGET {
                    let since_ms = self.millis(then);
                    let probe_at_ms = self.millis(then + period);
                    self.disk.record.wedged =
                        Some(Wedged { since_ms, probe_at_ms, listener: None });
                }
            }
        }
    }

    fn millis(&self, at: Duration) -> u64 {
        let clock = self.clock();
        let now = clock.millis(clock.now);
        let micros = at.as_micros() as i128 - self.now.as_micros() as i128;
        now.saturating_add_signed((micros / 1000) as i64)
    }
}
