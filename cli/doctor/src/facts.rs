//! Everything that a diagnosis is made of, as data: no I/O, no clock.

use std::net::SocketAddr;

use ibouncer_core::record::{Entry, Record};
use ibouncer_core::sight::Sight;
use ibouncer_proto::api::v1::SessionState;

use crate::gate::Refusal;
use crate::timeline::Timeline;

/// What is known.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Gateway.
    pub gateway: SocketAddr,
    /// Now, in milliseconds since 1970.
    pub now_unix_ms: u64,
    /// What the kernel's tables say, the newest look.
    pub sight: Sight,
    /// The accept queue was above zero at two looks and did not get shorter.
    pub queue_stands: bool,
    /// What is remembered of attempts; or why it cannot be read.
    pub ledger: Result<LedgerFacts, String>,
    /// What a running broker says about this Gateway.
    pub broker: Option<BrokerFacts>,
    /// A broker was found that is of no help, and why.
    pub broker_note: Option<String>,
    /// Handshakes that were made, oldest first.
    pub timelines: Vec<Timeline>,
    /// One was asked for and was not made.
    pub refusal: Option<Refusal>,
}

/// What is remembered of attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerFacts {
    /// Silent handshakes in a row.
    pub silent_in_row: u32,
    /// Those since the last answer that do not count, because Gateway may have been starting.
    pub excused: u32,
    /// How many may be.
    pub budget: u32,
    /// When the next handshake may be made, at the earliest, in milliseconds since 1970.
    pub not_before_ms: u64,
    /// The verdict WEDGED, since when, in milliseconds since 1970.
    pub wedged_since_ms: Option<u64>,
    /// Why an operator holds the session.
    pub hold: Option<String>,
    /// The newest attempts, newest last.
    pub attempts: Vec<Entry>,
}

impl LedgerFacts {
    /// What a diagnosis needs of Gateway's record, and why this client id is held.
    pub fn of(record: &Record, hold: Option<String>, budget: u32) -> Self {
        Self {
            silent_in_row: record.silent_in_row,
            excused: record.excused,
            budget,
            not_before_ms: record.not_before_ms,
            wedged_since_ms: record.wedged.as_ref().map(|wedged| wedged.since_ms),
            hold,
            attempts: record.attempts.clone(),
        }
    }

    /// Does Gateway count as wedged, by the verdict or by the count?
    pub fn is_wedged(&self) -> bool {
        self.wedged_since_ms.is_some() || self.is_used_up()
    }

    /// May no silent handshake be risked any more?
    pub fn is_used_up(&self) -> bool {
        self.budget > 0 && self.silent_in_row >= self.budget
    }
}

/// What a running broker says.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerFacts {
    /// Its instance.
    pub instance: String,
    /// State of its session.
    pub state: SessionState,
    /// Why.
    pub reason: String,
    /// Pid of its worker, which is no stranger.
    pub worker: Option<u32>,
    /// Its client id at Gateway.
    pub client_id: i32,
    /// Gateway's version, if a handshake came that far.
    pub server_version: Option<i32>,
    /// The newest attempt.
    pub attempt: Option<BrokerAttempt>,
    /// Why an operator holds the session.
    pub hold: Option<String>,
    /// Silent handshakes in a row, and how many may be.
    pub silence: Option<(u32, u32)>,
}

/// One attempt of the broker.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerAttempt {
    /// "ready", "in_progress", or the class of its failure.
    pub outcome: String,
    /// How the session that it became ended: "closed", "mute", or a class of failure; `None` if it
    /// became none, or lives.
    pub session_end: Option<String>,
    /// How its worker ended, in words.
    pub end: String,
    /// Stages by name, in milliseconds since the worker was started.
    pub stages: Vec<(String, f64)>,
}

impl BrokerAttempt {
    /// Was this stage reached?
    pub fn has(&self, stage: &str) -> bool {
        self.stages.iter().any(|(name, _)| name == stage)
    }
}
