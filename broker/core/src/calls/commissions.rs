//! Commissions of the executions that open calls list: whose each is, in whichever order they come.
//!
//! A report carries no request id, only that of its execution, and may come before it. One that does
//! is kept while a list is open. Source: protocol fact sheet, section 10.

use std::collections::BTreeMap;

use bytes::Bytes;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use crate::ids::RequestId;

/// Reports that are kept; a day has fewer executions.
const MOST_EARLY: usize = 20_000;

/// Who waits for which.
#[derive(Debug, Default)]
pub(super) struct Commissions {
    /// Executions whose commission has not come.
    missing: BTreeMap<String, RequestId>,
    /// Reports whose execution had not come. Every open list may have it yet.
    early: BTreeMap<String, Bytes>,
}

impl Commissions {
    /// The call that a report is for. It is kept if nobody waits for it, and `may_be_early`.
    pub(super) fn call_for(&mut self, report: &[u8], may_be_early: bool) -> Option<RequestId> {
        let read = tws::CommissionAndFeesReport::decode(report).ok()?;
        let execution = read.exec_id();
        let call = self.missing.get(execution).copied();
        if call.is_none() && may_be_early && self.early.len() < MOST_EARLY {
            self.early.insert(execution.to_owned(), Bytes::copy_from_slice(report));
        }
        call
    }

    /// An execution has come. Its report, if that was there first; else it is waited for.
    pub(super) fn report_of(&mut self, execution: &str, call: RequestId) -> Option<Bytes> {
        let early = self.early.get(execution).cloned();
        if early.is_none() {
            self.missing.insert(execution.to_owned(), call);
        }
        early
    }

    /// Its report has come.
    pub(super) fn on_report(&mut self, execution: &str) {
        self.missing.remove(execution);
    }

    /// The call is over; is another list open?
    pub(super) fn forget(&mut self, call: RequestId, others: bool) {
        self.missing.retain(|_, of| *of != call);
        if !others {
            self.early.clear();
        }
    }

    /// Calls that wait for some.
    pub(super) fn calls(&self) -> impl Iterator<Item = &RequestId> {
        self.missing.values()
    }
}
