//! What is remembered of one (Gateway, client id) over restarts of its broker.
//!
//! Owns what belongs to the client id: which numbers are used up, an operator's hold, and where
//! its own ladder of waits stands. What belongs to Gateway is the [`Record`], one for all client
//! ids; the ledger keeps what this client id knew of it last, so that a build from before finds
//! it, and a Gateway without a record gets one. Reads and writes no file: that is
//! `ibouncer-broker::ledger`.

use serde::{Deserialize, Serialize};

use crate::record::{self, Entry, InFlight, Record, Wedged};

/// Form of the file; another one is not understood.
pub const SCHEMA: u32 = 1;

/// The ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub struct Ledger {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Gateway's address, as a check that the file is about this one.
    pub gateway: String,
    /// The newest worker's number.
    pub epoch: u64,
    /// The newest block of request ids.
    pub request_block: u32,
    /// Failures in a row of this client id, sessions that ended included.
    pub failures: u32,
    /// When this client id may be tried again, at the earliest.
    pub not_before_ms: u64,
    /// An operator holds the session.
    pub hold: Option<Hold>,
    /// What was known of Gateway last. The file of the record is newer.
    pub record: Record,
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

/// As it is written: in one piece, as it was before Gateway's account was one of its own.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    schema: u32,
    gateway: String,
    epoch: u64,
    request_block: u32,
    silent_in_row: u32,
    failures: u32,
    not_before_ms: u64,
    wedged: Option<Wedged>,
    hold: Option<Hold>,
    in_flight: Option<InFlight>,
    attempts: Vec<Entry>,
}

impl Ledger {
    /// Nothing is remembered.
    pub fn new(gateway: &str) -> Self {
        Self {
            schema: SCHEMA,
            gateway: gateway.to_owned(),
            record: Record::new(gateway),
            ..Self::default()
        }
    }
}

impl From<Form> for Ledger {
    fn from(form: Form) -> Self {
        let record = Record {
            schema: record::SCHEMA,
            gateway: form.gateway.clone(),
            silent_in_row: form.silent_in_row,
            failures: form.failures,
            not_before_ms: form.not_before_ms,
            wedged: form.wedged,
            in_flight: form.in_flight,
            attempts: form.attempts,
            ..Record::default()
        };
        Self {
            schema: form.schema,
            gateway: form.gateway,
            epoch: form.epoch,
            request_block: form.request_block,
            failures: form.failures,
            not_before_ms: form.not_before_ms,
            hold: form.hold,
            record,
        }
    }
}

impl From<Ledger> for Form {
    fn from(ledger: Ledger) -> Self {
        Self {
            schema: ledger.schema,
            gateway: ledger.gateway,
            epoch: ledger.epoch,
            request_block: ledger.request_block,
            silent_in_row: ledger.record.silent_in_row,
            failures: ledger.failures,
            not_before_ms: ledger.not_before_ms,
            wedged: ledger.record.wedged,
            hold: ledger.hold,
            in_flight: ledger.record.in_flight,
            attempts: ledger.record.attempts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a build wrote it whose ledger was all that there was.
    const OLD: &str = r#"{"schema":1,"gateway":"127.0.0.1:4002","epoch":9,"request_block":4,
        "silent_in_row":3,"failures":2,"not_before_ms":77,
        "wedged":{"since_ms":5,"probe_at_ms":6,
            "listener":{"inode":1,"pid":2,"started":3}},
        "hold":{"reason":"payday","since_ms":8},
        "in_flight":{"at_ms":70,"by":"broker","ready":false},
        "attempts":[{"at_ms":60,"by":"doctor","outcome":"silent"}]}"#;

    #[test]
    fn a_ledger_of_before_is_read_and_its_part_of_gateway_is_a_record() {
        let mut ledger: Ledger = serde_json::from_str(OLD).unwrap();
        assert_eq!((ledger.epoch, ledger.request_block, ledger.not_before_ms), (9, 4, 77));
        assert_eq!(ledger.hold.as_ref().unwrap().reason, "payday");
        let record = &mut ledger.record;
        assert_eq!((record.silent_in_row, record.failures, record.not_before_ms), (3, 2, 77));
        assert_eq!(record.wedged.as_ref().unwrap().since_ms, 5);
        record.settle_in_flight();
        assert_eq!((record.silent_in_row, record.attempts.len()), (4, 2));
    }

    #[test]
    fn a_build_of_before_can_read_what_is_written() {
        let ledger: Ledger = serde_json::from_str(OLD).unwrap();
        let written: serde_json::Value = serde_json::to_value(ledger).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(OLD).unwrap());
    }
}
