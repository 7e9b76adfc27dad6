//! What is remembered of attempts over restarts, so that restarting a program buys nothing.
//!
//! Owns the account of one (Gateway, client id): silent handshakes in a row, where the ladder of
//! waits stands, the verdict WEDGED, an operator's hold, and which numbers are used up. Times are
//! those of the wall, because the machines' clock does not outlive a boot. An attempt is entered
//! *before* it is made: one whose end nobody saw counts as silent. Reads and writes no file:
//! that is `ibouncer-broker::ledger`.

use serde::{Deserialize, Serialize};

use crate::attempts::FailureClass;

/// Attempts that are kept.
const KEPT: usize = 20;

/// Form of the file; another one is not understood.
pub const SCHEMA: u32 = 1;

/// The account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Gateway's address, as a check that the file is about this one.
    pub gateway: String,
    /// The newest worker's number.
    pub epoch: u64,
    /// The newest block of request ids.
    pub request_block: u32,
    /// Silent handshakes in a row.
    pub silent_in_row: u32,
    /// Failures in a row: the position on the ladder of waits.
    pub failures: u32,
    /// When the next attempt may be made, at the earliest.
    pub not_before_ms: u64,
    /// Gateway counts as wedged.
    pub wedged: Option<Wedged>,
    /// An operator holds the session.
    pub hold: Option<Hold>,
    /// An attempt that was begun and whose end was not entered.
    pub in_flight: Option<InFlight>,
    /// The newest attempts, newest last.
    pub attempts: Vec<Entry>,
}

/// The verdict WEDGED.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wedged {
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// When one slow probe is due.
    pub probe_at_ms: u64,
    /// The listener of that time, if it was known: another one ends the verdict.
    pub listener: Option<KnownListener>,
}

/// A listener, as it can be told from the next one over restarts of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownListener {
    /// The socket.
    pub inode: u64,
    /// Process id; 0 if it was not known.
    pub pid: u32,
    /// Start of the process, in clock ticks since boot.
    pub started: u64,
}

/// An operator's hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Why.
    pub reason: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
}

/// An attempt under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InFlight {
    /// When it was begun, in milliseconds since 1970.
    pub at_ms: u64,
    /// "broker" or "doctor".
    pub by: String,
    /// It became a session: its end says nothing about silence.
    pub ready: bool,
}

/// One attempt that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// When it was begun, in milliseconds since 1970.
    pub at_ms: u64,
    /// "broker" or "doctor".
    pub by: String,
    /// "ready", or the class of its failure.
    pub outcome: String,
}

impl Ledger {
    /// Nothing is remembered.
    pub fn new(gateway: &str) -> Self {
        Self { schema: SCHEMA, gateway: gateway.to_owned(), ..Self::default() }
    }

    /// Enters that an attempt is being made.
    pub fn begin(&mut self, by: &str, now_ms: u64) {
        self.settle_in_flight();
        self.in_flight = Some(InFlight { at_ms: now_ms, by: by.to_owned(), ready: false });
    }

    /// The attempt became a session.
    pub fn on_ready(&mut self) {
        if let Some(flight) = &mut self.in_flight {
            flight.ready = true;
        }
        self.forgive();
        self.not_before_ms = 0;
    }

    /// The attempt, or the session that it became, is over. While Gateway may be starting,
    /// silence proves nothing and does not count.
    pub fn end(&mut self, class: FailureClass, starting: bool) {
        let Some(flight) = self.in_flight.take() else {
            return;
        };
        self.enter(flight, class.name());
        match class {
            FailureClass::Silent if starting => {}
            FailureClass::Silent => self.silent_in_row += 1,
            // Says nothing about Gateway; and a host that drops our SYN may be the last step of
            // the same silence.
            FailureClass::WorkerFault | FailureClass::Cancelled | FailureClass::Unreachable => {}
            _ => self.forgive(),
        }
    }

    /// Gateway has answered, or is another one: no silence counts any more.
    pub fn forgive(&mut self) {
        self.silent_in_row = 0;
        self.wedged = None;
    }

    /// What was begun and never ended, because its program died: if it had not become a session,
    /// nobody knows better than that it met silence.
    pub fn settle_in_flight(&mut self) {
        let Some(flight) = self.in_flight.take() else {
            return;
        };
        if flight.ready {
            self.enter(flight, "ready");
        } else {
            self.silent_in_row += 1;
            self.enter(flight, "unfinished");
        }
    }

    fn enter(&mut self, flight: InFlight, outcome: &str) {
        if self.attempts.len() == KEPT {
            self.attempts.remove(0);
        }
        let InFlight { at_ms, by, .. } = flight;
        self.attempts.push(Entry { at_ms, by, outcome: outcome.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_whose_end_nobody_saw_counts_as_silent() {
        let mut ledger = Ledger::new("127.0.0.1:4002");
        ledger.begin("broker", 1);
        ledger.end(FailureClass::Silent, false);
        ledger.begin("broker", 2);
        ledger.settle_in_flight();
        assert_eq!(ledger.silent_in_row, 2);
        assert_eq!(ledger.attempts[1].outcome, "unfinished");
        ledger.begin("broker", 3);
        ledger.on_ready();
        ledger.settle_in_flight();
        assert_eq!((ledger.silent_in_row, ledger.attempts[2].outcome.as_str()), (0, "ready"));
    }

    #[test]
    fn faults_of_ours_say_nothing_and_any_answer_ends_the_row() {
        let mut ledger = Ledger::new("127.0.0.1:4002");
        for (class, row) in [
            (FailureClass::Silent, 1),
            (FailureClass::WorkerFault, 1),
            (FailureClass::Unreachable, 1),
            (FailureClass::Silent, 2),
            (FailureClass::Refused, 0),
        ] {
            ledger.begin("doctor", 1);
            ledger.end(class, false);
            assert_eq!(ledger.silent_in_row, row);
        }
    }

    #[test]
    fn only_the_newest_attempts_are_kept() {
        let mut ledger = Ledger::new("127.0.0.1:4002");
        for at in 0..50 {
            ledger.begin("broker", at);
            ledger.end(FailureClass::Refused, false);
        }
        assert_eq!(ledger.attempts.len(), KEPT);
        assert_eq!(ledger.attempts[KEPT - 1].at_ms, 49);
    }
}
