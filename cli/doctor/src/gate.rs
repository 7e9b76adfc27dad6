//! May a handshake be made at all? Pure: facts in, yes or a refusal with its reason out.
//!
//! The order is that of what would be lost: a live session is never risked, whoever asks. A
//! wedged Gateway, an operator's hold, a used-up budget, a wait that is not over and a queue that
//! stands are left alone unless a person overrides that with a reason, which goes into the record.

use std::fmt;

use ibouncer_core::record::Record;
use ibouncer_core::sight::Sight;
use ibouncer_proto::api::v1::SessionState;

use crate::facts::{BrokerFacts, LedgerFacts};

/// No ladder has a longer wait.
const LONGEST_WAIT_MS: u64 = 375_000;

/// Why no handshake is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The broker's session is live.
    SessionReady,
    /// A broker serves this Gateway: it makes the attempts.
    BrokerServes {
        /// What it wrote about itself.
        who: String,
    },
    /// A worker lives on without its broker, and may hold a live session.
    WorkerLives,
    /// Gateway counts as wedged.
    Wedged,
    /// An operator holds the session.
    Held {
        /// Why.
        reason: String,
    },
    /// So many silent handshakes in a row.
    BudgetUsedUp {
        /// How many there were.
        used: u32,
        /// How many may be.
        limit: u32,
    },
    /// The wait after the last silence is not over.
    TooEarly {
        /// How long it lasts yet, in milliseconds.
        wait_ms: u64,
    },
    /// Somebody else makes a handshake at this Gateway.
    HandshakeUnderWay {
        /// What they wrote about themselves.
        who: String,
    },
    /// Connections wait to be accepted, and do not get fewer.
    QueueStands {
        /// How many.
        depth: u32,
    },
    /// Lock or ledger cannot be used.
    NoLock {
        /// Why.
        because: String,
    },
}

impl Refusal {
    /// Can a person override it, with a reason?
    pub fn can_be_overridden(&self) -> bool {
        match self {
            Self::SessionReady
            | Self::BrokerServes { .. }
            | Self::WorkerLives
            | Self::HandshakeUnderWay { .. }
            | Self::NoLock { .. } => false,
            Self::Wedged
            | Self::Held { .. }
            | Self::BudgetUsedUp { .. }
            | Self::TooEarly { .. }
            | Self::QueueStands { .. } => true,
        }
    }

    /// Stable name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SessionReady => "session_ready",
            Self::BrokerServes { .. } => "broker_serves",
            Self::WorkerLives => "worker_lives",
            Self::Wedged => "wedged",
            Self::Held { .. } => "held",
            Self::BudgetUsedUp { .. } => "budget_used_up",
            Self::TooEarly { .. } => "too_early",
            Self::HandshakeUnderWay { .. } => "handshake_under_way",
            Self::QueueStands { .. } => "queue_stands",
            Self::NoLock { .. } => "no_lock",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SessionReady => {
                formatter.write_str("the broker's session is live, and nothing may disturb it")
            }
            Self::BrokerServes { who } => write!(
                formatter,
                "the lock of this Gateway is held by the one that makes the attempts: {who}"
            ),
            Self::WorkerLives => formatter.write_str(
                "a worker holds its lock: it may hold a live session that waits for its broker",
            ),
            Self::Wedged => formatter.write_str("Gateway counts as wedged and is left alone"),
            Self::Held { reason } => write!(formatter, "an operator holds the session: {reason}"),
            Self::BudgetUsedUp { used, limit } => write!(
                formatter,
                "{used} silent handshakes in a row, {limit} are allowed: one more would leave one \
                 more dead connection"
            ),
            Self::TooEarly { wait_ms } => write!(
                formatter,
                "the wait after the last silent handshake lasts {:.1} s more",
                *wait_ms as f64 / 1000.0
            ),
            Self::HandshakeUnderWay { who } => write!(
                formatter,
                "another handshake at this Gateway is under way, and there is one at a time: {who}"
            ),
            Self::QueueStands { depth } => write!(
                formatter,
                "{depth} connections wait to be accepted already: one more would only wait too"
            ),
            Self::NoLock { because } => {
                write!(formatter, "lock and budget cannot be used: {because}")
            }
        }
    }
}

/// Everything that the decision needs.
#[derive(Debug)]
pub struct Circumstances<'a> {
    /// What a running broker of this Gateway says.
    pub broker: Option<&'a BrokerFacts>,
    /// What is remembered.
    pub ledger: &'a LedgerFacts,
    /// What eyes see.
    pub sight: &'a Sight,
    /// The queue was above zero at two looks and did not get shorter.
    pub queue_stands: bool,
    /// Gateway may be starting: silence proves nothing then, and costs it as much.
    pub starting: bool,
    /// Now, in milliseconds since 1970.
    pub now_ms: u64,
    /// A person overrides what can be overridden.
    pub overridden: bool,
}

/// May a handshake be made?
pub fn allow(circumstances: &Circumstances<'_>) -> Result<(), Refusal> {
    match first_obstacle(circumstances) {
        Some(refusal) if circumstances.overridden && refusal.can_be_overridden() => Ok(()),
        Some(refusal) => Err(refusal),
        None => Ok(()),
    }
}

fn first_obstacle(circumstances: &Circumstances<'_>) -> Option<Refusal> {
    let Circumstances { broker, ledger, sight, .. } = circumstances;
    if let Some(broker) = broker {
        return Some(match broker.state {
            SessionState::Ready | SessionState::Degraded => Refusal::SessionReady,
            _ => Refusal::BrokerServes { who: format!("instance {}", broker.instance) },
        });
    }
    if let Some(reason) = &ledger.hold {
        return Some(Refusal::Held { reason: reason.clone() });
    }
    if ledger.wedged_since_ms.is_some() {
        return Some(Refusal::Wedged);
    }
    let excused = if circumstances.starting { ledger.excused } else { 0 };
    let (used, limit) = (ledger.silent_in_row.saturating_add(excused), ledger.budget);
    if limit > 0 && used >= limit {
        return Some(Refusal::BudgetUsedUp { used, limit });
    }
    // A clock that was set back makes no endless wait.
    let wait_ms = ledger.not_before_ms.saturating_sub(circumstances.now_ms).min(LONGEST_WAIT_MS);
    if wait_ms > 0 {
        return Some(Refusal::TooEarly { wait_ms });
    }
    match sight.accept_queue() {
        Some(depth @ 1..) if sight.counts() && circumstances.queue_stands => {
            Some(Refusal::QueueStands { depth })
        }
        _ => None,
    }
}

/// Forgets silence and verdict if another process listens than the one that was silent: that is a
/// Gateway that was started again.
pub fn forget_if_restarted(record: &mut Record, sight: &Sight) {
    if sight.known_listener().is_some_and(|seen| record.is_about_another(seen)) {
        record.renew();
    }
}

#[cfg(test)]
mod tests {
    use ibouncer_core::attempts::FailureClass;
    use ibouncer_core::record::Wedged;

    use super::*;
    use crate::diagnose::samples::{NOW, broker, ledger, sight};

    fn refusal(
        broker: Option<&BrokerFacts>,
        ledger: &LedgerFacts,
        queue: u32,
        overridden: bool,
    ) -> Option<&'static str> {
        let sight = sight(queue);
        let circumstances = Circumstances {
            broker,
            ledger,
            sight: &sight,
            queue_stands: true,
            starting: false,
            now_ms: NOW,
            overridden,
        };
        allow(&circumstances).err().map(|refusal| refusal.name())
    }

    #[test]
    fn a_live_session_is_never_risked_and_the_rest_only_by_a_person() {
        let fresh = ledger(0);
        let wedged = LedgerFacts { wedged_since_ms: Some(1), ..ledger(0) };
        let early = LedgerFacts { not_before_ms: NOW + 900, ..ledger(1) };
        let held = LedgerFacts { hold: Some("payday".into()), ..ledger(0) };
        for (state, name) in [
            (SessionState::Ready, "session_ready"),
            (SessionState::Degraded, "session_ready"),
            (SessionState::Wedged, "broker_serves"),
            (SessionState::Backoff, "broker_serves"),
        ] {
            for overridden in [false, true] {
                let broker = broker(state);
                assert_eq!(refusal(Some(&broker), &fresh, 0, overridden), Some(name), "{state:?}");
            }
        }
        for (ledger, queue, name) in [
            (&wedged, 0, "wedged"),
            (&held, 0, "held"),
            (&ledger(3), 0, "budget_used_up"),
            (&ledger(4), 0, "budget_used_up"),
            (&early, 0, "too_early"),
            (&fresh, 2, "queue_stands"),
        ] {
            assert_eq!(refusal(None, ledger, queue, false), Some(name));
            assert_eq!(refusal(None, ledger, queue, true), None, "{name}");
        }
        assert_eq!(refusal(None, &fresh, 0, false), None);
        assert_eq!(refusal(None, &ledger(2), 0, false), None);
        let unlimited = LedgerFacts { budget: 0, ..ledger(9) };
        assert_eq!(refusal(None, &unlimited, 0, false), None);
    }

    #[test]
    fn a_gateway_that_may_be_starting_is_not_asked_more_often_than_another() {
        let ledger = LedgerFacts { excused: 2, ..ledger(1) };
        let sight = sight(0);
        let at = |starting| Circumstances {
            broker: None,
            ledger: &ledger,
            sight: &sight,
            queue_stands: false,
            starting,
            now_ms: NOW,
            overridden: false,
        };
        assert_eq!(allow(&at(true)), Err(Refusal::BudgetUsedUp { used: 3, limit: 3 }));
        assert_eq!(allow(&at(false)), Ok(()), "what is excused proves nothing later on");
        assert!(!ledger.is_wedged());
    }

    #[test]
    fn a_restarted_gateway_is_a_new_one_whoever_it_was_silent_to() {
        let silent_to = |by: &str, sight: &Sight| {
            let mut record = Record::new("127.0.0.1:4002");
            for _ in 0..3 {
                record.begin(by, 1, std::time::Duration::ZERO);
                record.end(FailureClass::Silent, false, sight.known_listener());
            }
            let listener = sight.known_listener();
            record.wedged = Some(Wedged { since_ms: 1, probe_at_ms: 2, listener });
            record
        };
        let here = sight(0);
        let mut elsewhere = here.clone();
        if let Ok(Some(listener)) = &mut elsewhere.listener {
            listener.inode += 1;
        }
        for by in ["doctor", "broker, client id 500"] {
            let mut same = silent_to(by, &here);
            forget_if_restarted(&mut same, &here);
            assert_eq!(same.silent_in_row, 3);
            let mut other = silent_to(by, &elsewhere);
            forget_if_restarted(&mut other, &Sight::blind("no eyes"));
            assert_eq!(other.silent_in_row, 3);
            forget_if_restarted(&mut other, &here);
            assert_eq!((other.silent_in_row, other.wedged), (0, None));
        }
    }
}
