//! May a handshake be made at all? Pure: facts in, yes or a refusal with its reason out.
//!
//! The order is that of what would be lost: a live session is never risked, whoever asks. A
//! wedged Gateway, an operator's hold, a used-up budget and a queue that stands are left alone
//! unless a person overrides that with a reason, which goes into the ledger.

use std::fmt;

use ibouncer_core::ledger::{Ledger, Wedged};
use ibouncer_core::sight::Sight;
use ibouncer_proto::api::v1::SessionState;

use crate::facts::{BrokerFacts, LedgerFacts};

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
            | Self::NoLock { .. } => false,
            Self::Wedged
            | Self::Held { .. }
            | Self::BudgetUsedUp { .. }
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
    if ledger.is_used_up() {
        let (used, limit) = (ledger.silent_in_row, ledger.budget);
        return Some(Refusal::BudgetUsedUp { used, limit });
    }
    match sight.accept_queue() {
        Some(depth @ 1..) if sight.counts() && circumstances.queue_stands => {
            Some(Refusal::QueueStands { depth })
        }
        _ => None,
    }
}

/// Forgets silence and verdict if another process listens than the one that was silent: that is a
/// Gateway that was started again. Answers whether it did.
pub fn forget_if_restarted(ledger: &mut Ledger, sight: &Sight) -> bool {
    let Some(now) = sight.listener_id().filter(|_| sight.counts()) else {
        return false;
    };
    let Some(Wedged { listener: Some(known), .. }) = &ledger.wedged else {
        return false;
    };
    let (pid, started) = now.process.unwrap_or((known.pid, known.started));
    let same = (known.inode, known.pid, known.started) == (now.inode, pid, started);
    if !same {
        ledger.forgive();
    }
    !same
}

#[cfg(test)]
mod tests {
    use ibouncer_core::ledger::KnownListener;

    use super::*;
    use crate::diagnose::samples::{broker, ledger, listener, sight};

    fn refusal(
        broker: Option<&BrokerFacts>,
        ledger: &LedgerFacts,
        queue: u32,
        overridden: bool,
    ) -> Option<&'static str> {
        let sight = sight(queue);
        let circumstances =
            Circumstances { broker, ledger, sight: &sight, queue_stands: true, overridden };
        allow(&circumstances).err().map(|refusal| refusal.name())
    }

    #[test]
    fn a_live_session_is_never_risked_and_the_rest_only_by_a_person() {
        let fresh = ledger(0);
        let wedged = LedgerFacts { wedged_since_ms: Some(1), ..ledger(0) };
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
    fn a_restarted_gateway_is_a_new_one() {
        let known = |inode| {
            let mut ledger = Ledger::new("127.0.0.1:4002");
            ledger.silent_in_row = 3;
            let seen = listener(0);
            let process = seen.process.unwrap();
            let listener = KnownListener { inode, pid: process.pid, started: process.started };
            ledger.wedged = Some(Wedged { since_ms: 1, probe_at_ms: 2, listener: Some(listener) });
            ledger
        };
        let inode = listener(0).inode;
        let mut same = known(inode);
        assert!(!forget_if_restarted(&mut same, &sight(0)));
        assert_eq!(same.silent_in_row, 3);
        let mut other = known(inode + 1);
        assert!(!forget_if_restarted(&mut other, &Sight::blind("no eyes")));
        assert!(forget_if_restarted(&mut other, &sight(0)));
        assert_eq!((other.silent_in_row, other.wedged), (0, None));
    }
}
