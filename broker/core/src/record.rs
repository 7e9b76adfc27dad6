//! What is remembered of handshakes at one Gateway, whoever made them, so that neither a restart
//! of a program nor another client id buys anything.
//!
//! Owns the account that is Gateway's: silent handshakes in a row, the verdict WEDGED, how soon
//! the next handshake may be made, and the one that is under way. Times are those of the wall,
//! because the machines' clock does not outlive a boot. A handshake is entered *before* it is
//! made: one whose end nobody saw counts as silent. It is changed only by the holder of
//! Gateway's handshake lock, who has read it under that lock. What belongs to one client id is in
//! [`crate::ledger`]; the file is `ibouncer-broker::turn`'s.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::attempts::FailureClass;

/// Attempts that are kept.
const KEPT: usize = 20;

/// Form of the file; another one is not understood.
pub const SCHEMA: u32 = 1;

/// The account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Gateway's address, as a check that the file is about this one.
    pub gateway: String,
    /// Silent handshakes in a row.
    pub silent_in_row: u32,
    /// Silent handshakes since the last answer that do not count: Gateway may have been starting.
    pub excused: u32,
    /// Failures in a row: the position on the ladder of waits.
    pub failures: u32,
    /// When the next handshake may be made, at the earliest.
    pub not_before_ms: u64,
    /// The listener that was silent last, if it was known: another one starts the row anew.
    pub listener: Option<KnownListener>,
    /// Gateway counts as wedged.
    pub wedged: Option<Wedged>,
    /// Connections waited to be accepted at the time of that verdict.
    pub queued: bool,
    /// A handshake that was begun and whose end was not entered.
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

impl KnownListener {
    /// Is the one that is seen now another one? A process that could not be read, then or now, is
    /// no evidence of that.
    pub fn is_another(self, seen: Self) -> bool {
        let both_read = seen.pid != 0 && self.pid != 0;
        seen.inode != self.inode
            || (both_read && (seen.pid, seen.started) != (self.pid, self.started))
    }
}

/// A handshake under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InFlight {
    /// When it was begun, in milliseconds since 1970.
    pub at_ms: u64,
    /// Whose: "broker, client id N", or "doctor".
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
    /// Whose: "broker, client id N", or "doctor".
    pub by: String,
    /// "ready", or the class of its failure.
    pub outcome: String,
}

/// What became of the wish to make a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The lock is ours, and this was remembered when we got it.
    Ours(Box<Record>),
    /// Somebody else makes a handshake.
    Taken {
        /// What they wrote about themselves.
        holder: String,
    },
    /// Whether somebody does cannot be told.
    Unusable {
        /// Why.
        because: String,
    },
}

impl Record {
    /// Nothing is remembered.
    pub fn new(gateway: &str) -> Self {
        Self { schema: SCHEMA, gateway: gateway.to_owned(), ..Self::default() }
    }

    /// The account of a Gateway of which only ledgers speak, each of one client id, as versions
    /// before kept them, in a record of its own. Counts are not added up: what one of them met may have ended before the
    /// next.
    pub fn gather(gateway: &str, records: impl IntoIterator<Item = Self>) -> Self {
        let mut gathered = Self::new(gateway);
        for mut record in records {
            record.settle_in_flight();
            gathered.silent_in_row = gathered.silent_in_row.max(record.silent_in_row);
            gathered.failures = gathered.failures.max(record.failures);
            gathered.not_before_ms = gathered.not_before_ms.max(record.not_before_ms);
            let since = |wedged: &Option<Wedged>| wedged.as_ref().map(|wedged| wedged.since_ms);
            if since(&record.wedged) > since(&gathered.wedged) {
                gathered.wedged = record.wedged;
            }
            gathered.attempts.append(&mut record.attempts);
        }
        gathered.attempts.sort_by_key(|entry| entry.at_ms);
        let surplus = gathered.attempts.len().saturating_sub(KEPT);
        gathered.attempts.drain(..surplus);
        gathered
    }

    /// Enters that a handshake is being made. If it is a probe of a wedged Gateway, and nobody sees
    /// its end, the next one is due a period after it all the same.
    pub fn begin(&mut self, by: &str, now_ms: u64, probe_period: Duration) {
        self.settle_in_flight();
        if let Some(wedged) = &mut self.wedged {
            let period = u64::try_from(probe_period.as_millis()).unwrap_or(u64::MAX);
            wedged.probe_at_ms = now_ms.saturating_add(period);
        }
        // Whatever drained before it is used up by it.
        self.queued = false;
        self.in_flight = Some(InFlight { at_ms: now_ms, by: by.to_owned(), ready: false });
    }

    /// It became a session.
    pub fn on_ready(&mut self) {
        if let Some(flight) = self.in_flight.take() {
            self.enter(flight, "ready");
        }
        self.forgive();
        self.not_before_ms = 0;
    }

    /// It is over without one. While Gateway may be starting, silence proves nothing and does not
    /// count.
    pub fn end(&mut self, class: FailureClass, starting: bool, listener: Option<KnownListener>) {
        let Some(flight) = self.in_flight.take() else {
            return;
        };
        self.enter(flight, class.name());
        match class {
            FailureClass::Silent => {
                let count = if starting { &mut self.excused } else { &mut self.silent_in_row };
                *count = count.saturating_add(1);
                self.listener = listener.or(self.listener);
            }
            // Says nothing about Gateway; and a host that drops our SYN may be the last step of
            // the same silence.
            FailureClass::WorkerFault | FailureClass::Cancelled | FailureClass::Unreachable => {}
            _ => self.forgive(),
        }
    }

    /// One rung up the ladder of waits: the next handshake may be made that much later.
    pub fn back_off(&mut self, ladder: &[Duration], now_ms: u64) {
        let rung = ladder.get(self.failures as usize).or(ladder.last()).copied();
        let wait = u64::try_from(rung.unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
        self.not_before_ms = now_ms.saturating_add(wait);
        self.failures = self.failures.saturating_add(1);
    }

    /// Gateway has answered: no silence counts any more.
    pub fn forgive(&mut self) {
        self.silent_in_row = 0;
        self.excused = 0;
        self.listener = None;
        self.wedged = None;
        self.queued = false;
    }

    /// Gateway is another one: what was met before says nothing.
    pub fn renew(&mut self) {
        self.forgive();
        self.failures = 0;
        self.not_before_ms = 0;
    }

    /// Is all this about another listener than the one that is seen now?
    pub fn is_about_another(&self, seen: KnownListener) -> bool {
        self.known_listener().is_some_and(|known| known.is_another(seen))
    }

    /// The listener that it is about, if that is known.
    pub fn known_listener(&self) -> Option<KnownListener> {
        self.wedged.as_ref().and_then(|wedged| wedged.listener).or(self.listener)
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
            self.silent_in_row = self.silent_in_row.saturating_add(1);
            self.enter(flight, "unfinished");
        }
    }

    fn enter(&mut self, flight: InFlight, outcome: &str) {
        if self.attempts.len() >= KEPT {
            self.attempts.remove(0);
        }
        let InFlight { at_ms, by, .. } = flight;
        self.attempts.push(Entry { at_ms, by, outcome: outcome.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(900);

    const GATEWAY: &str = "127.0.0.1:4002";

    const SEEN: KnownListener = KnownListener { inode: 7, pid: 70, started: 700 };

    #[test]
    fn an_attempt_whose_end_nobody_saw_counts_as_silent() {
        let mut record = Record::new(GATEWAY);
        record.begin("broker", 1, PERIOD);
        record.end(FailureClass::Silent, false, None);
        record.begin("broker", 2, PERIOD);
        record.settle_in_flight();
        assert_eq!(record.silent_in_row, 2);
        assert_eq!(record.attempts[1].outcome, "unfinished");
        record.begin("broker", 3, PERIOD);
        record.on_ready();
        record.settle_in_flight();
        assert_eq!((record.silent_in_row, record.attempts[2].outcome.as_str()), (0, "ready"));
    }

    #[test]
    fn faults_of_ours_say_nothing_and_any_answer_ends_the_row() {
        let mut record = Record::new(GATEWAY);
        for (class, row) in [
            (FailureClass::Silent, 1),
            (FailureClass::WorkerFault, 1),
            (FailureClass::Unreachable, 1),
            (FailureClass::Silent, 2),
            (FailureClass::Refused, 0),
        ] {
            record.begin("doctor", 1, PERIOD);
            record.end(class, false, None);
            assert_eq!(record.silent_in_row, row);
        }
    }

    #[test]
    fn silence_of_a_gateway_that_may_be_starting_is_kept_apart() {
        let mut record = Record::new(GATEWAY);
        for starting in [true, true, false] {
            record.begin("doctor", 1, PERIOD);
            record.end(FailureClass::Silent, starting, Some(SEEN));
        }
        assert_eq!((record.silent_in_row, record.excused), (1, 2));
        record.on_ready();
        assert_eq!((record.silent_in_row, record.excused), (0, 0));
    }

    #[test]
    fn another_listener_is_told_by_socket_and_process_and_an_unread_process_is_none() {
        let mut record = Record::new(GATEWAY);
        assert!(!record.is_about_another(SEEN), "nothing was silent");
        record.begin("doctor", 1, PERIOD);
        record.end(FailureClass::Silent, false, Some(SEEN));
        for (seen, another) in [
            (SEEN, false),
            (KnownListener { inode: 8, ..SEEN }, true),
            (KnownListener { started: 701, ..SEEN }, true),
            (KnownListener { pid: 0, started: 0, ..SEEN }, false),
        ] {
            assert_eq!(record.is_about_another(seen), another, "{seen:?}");
        }
    }

    #[test]
    fn a_probe_that_nobody_saw_the_end_of_is_the_probe_of_its_period() {
        let mut record = Record::new(GATEWAY);
        record.wedged = Some(Wedged { since_ms: 1, probe_at_ms: 5, listener: None });
        record.begin("doctor", 7, PERIOD);
        record.settle_in_flight();
        assert_eq!(record.wedged.unwrap().probe_at_ms, 900_007);
    }

    #[test]
    fn waits_grow_along_the_ladder_and_the_last_rung_repeats() {
        let mut record = Record::new(GATEWAY);
        let ladder = [1, 5].map(Duration::from_secs);
        let waits = [1_000, 5_000, 5_000];
        for wait in waits {
            record.back_off(&ladder, 100);
            assert_eq!(record.not_before_ms, 100 + wait);
        }
        assert_eq!(record.failures, 3);
    }

    #[test]
    fn only_the_newest_attempts_are_kept() {
        let mut record = Record::new(GATEWAY);
        for at in 0..50 {
            record.begin("broker", at, PERIOD);
            record.end(FailureClass::Refused, false, None);
        }
        assert_eq!(record.attempts.len(), KEPT);
        assert_eq!(record.attempts[KEPT - 1].at_ms, 49);
    }

    #[test]
    fn ledgers_of_before_are_gathered_to_what_is_worst_in_them() {
        let record = |silent, since_ms: Option<u64>, at_ms| {
            let mut record = Record::new(GATEWAY);
            record.wedged =
                since_ms.map(|since_ms| Wedged { since_ms, probe_at_ms: 9, listener: None });
            record.begin("broker", at_ms, PERIOD);
            record.on_ready();
            record.silent_in_row = silent;
            record
        };
        let mut wedged = record(3, None, 5);
        wedged.wedged = Some(Wedged { since_ms: 4, probe_at_ms: 9, listener: Some(SEEN) });
        let gathered = Record::gather(GATEWAY, [record(1, None, 7), wedged, record(2, None, 6)]);
        assert_eq!(gathered.silent_in_row, 3);
        assert_eq!(gathered.wedged.as_ref().map(|wedged| wedged.since_ms), Some(4));
        let at: Vec<_> = gathered.attempts.iter().map(|entry| entry.at_ms).collect();
        assert_eq!(at, [5, 6, 7]);
        assert_eq!(Record::gather(GATEWAY, []), Record::new(GATEWAY));
    }
}
