//! What answers a change: Gateway's word on the order that it is about, and nothing else.
//!
//! A modification is in force once an openOrder shows what it changes (`evidence/modified.rs`), also
//! one that a cancel has overtaken on its way; a cancel is done once the order has ended. That a
//! change of which no answer came was not made is concluded only from a list of open orders that was
//! begun after that and has come whole, and only if it shows just this order: with its fields for a
//! modification, in any open state but PendingCancel for a cancel. What a list does not show stays
//! UNKNOWN; and while Gateway has lost IB (1100) it keeps changes back, and its lists say nothing of
//! them. A modification of what Gateway does not show is answered by such a list alone: Gateway has
//! had it, and refused nothing; unless its session was lost before.

use std::time::Instant;

use ibouncer_proto::api::v1::{ChangeKind, ChangeState, OrderEventKind, OrderState as State};

use super::Told;
use super::modified::{Shows, shows};
use crate::orders::Desk;
use crate::orders::brakes::Road;
use crate::orders::journal::{Change, OrderRecord};
use crate::orders::session::reconcile::Listing;

impl Desk {
    /// What Gateway told may answer the change that is under way. True if it was told of.
    pub(in crate::orders) fn settle_change(
        &mut self,
        id: i32,
        state: Option<State>,
        is_open_order: bool,
        now: Instant,
    ) -> bool {
        let Some(order) = self.book.get_mut(id) else {
            return false;
        };
        if is_open_order {
            order.settle_overtaken(|record, overtaken| shows(record, overtaken) == Shows::Wanted);
        }
        let Some(change) = order.pending() else {
            return false;
        };
        let waits = change.state() == ChangeState::Waiting;
        let answer = match (change.kind(), state) {
            (ChangeKind::Cancel, Some(State::Cancelled)) => Some((ChangeState::Done, "")),
            (ChangeKind::Cancel, Some(State::Filled)) => {
                Some((ChangeState::Failed, "the order filled first"))
            }
            (ChangeKind::Modify, Some(State::Filled | State::Cancelled))
            | (_, Some(State::Rejected)) => Some((ChangeState::Failed, "the order ended first")),
            (ChangeKind::Modify, _) if change.state() != ChangeState::Waiting => {
                let is_it = is_open_order && shows(&order.record, change) == Shows::Wanted;
                is_it.then_some((ChangeState::Done, ""))
            }
            _ => None,
        };
        let Some((next, because)) = answer else {
            return false;
        };
        if !order.move_change(next, because, 0) {
            return false;
        }
        self.answers_due.remove(&id);
        self.tell(id, OrderEventKind::Change, now);
        if waits {
            // It must not leave for an order that is over.
            self.take_back_change(id, now);
        }
        true
    }

    /// Gateway told of this order: does that show it without the change that it has not answered?
    /// Lists come late, so only the last pass over them counts.
    pub(in crate::orders) fn keep_unchanged(&mut self, id: i32, told: &Told<'_>) {
        if self.reconciler.listing() != Some(Listing::OpenOrders) || !self.reconciler.is_last_pass()
        {
            return;
        }
        let pass = self.reconciler.passes_begun();
        let is_behind = self.is_due_behind_a_cancel(id);
        let Some(order) = self.book.get_mut(id) else {
            return;
        };
        let change = order.pending().filter(|change| change.state() == ChangeState::Unknown);
        let shows = match change.map(Change::kind) {
            Some(ChangeKind::Cancel) => told.state().is_some(),
            Some(_) => told.open.is_some(),
            None => is_behind && told.open.is_some(),
        };
        if shows {
            order.unchanged_in = pass;
        }
    }

    /// Gateway's lists are complete: a change that is not in what they show of its order was not made.
    pub(in crate::orders) fn resolve_changes(&mut self, now: Instant) {
        if self.brakes.road == Road::UpstreamLost {
            return;
        }
        let pass = self.reconciler.passes_begun();
        let epoch = self.epoch;
        for id in self.book.live() {
            let is_behind = self.is_due_behind_a_cancel(id);
            let Some(order) = self.book.get_mut(id) else {
                continue;
            };
            if is_behind && order.unchanged_in == pass {
                order.take_overtaken();
                self.save_order(id);
                continue;
            }
            let unknown = order.pending().filter(|one| one.state() == ChangeState::Unknown);
            let open =
                matches!(order.state(), State::Working | State::Acknowledged | State::Inactive);
            let Some(change) = unknown.filter(|_| open && order.unchanged_in == pass) else {
                continue;
            };
            let left_now = change.sending.map(|sending| sending.epoch) == epoch;
            let (next, because) = match (change.kind(), shows(&order.record, change)) {
                (ChangeKind::Cancel, _) if is_being_cancelled(&order.record) => continue,
                (ChangeKind::Cancel, _) => (ChangeState::Failed, "Gateway shows the order open"),
                (_, Shows::Before) => {
                    (ChangeState::Failed, "Gateway shows the order as it was before")
                }
                (_, Shows::Nothing) if left_now => (
                    ChangeState::Done,
                    "Gateway shows the order and has refused nothing; it does not show what this \
                     changes",
                ),
                (_, Shows::Nothing) => (
                    ChangeState::Failed,
                    "its session was lost, and Gateway does not show whether it was made",
                ),
                (_, Shows::Wanted | Shows::Otherwise) => (
                    ChangeState::Failed,
                    "Gateway shows the order, and not as this change wants it",
                ),
            };
            if order.move_change(next, because, 0) {
                self.tell(id, OrderEventKind::Change, now);
            }
        }
    }

    /// A modification has not been answered in time, and the cancel that overtook it was refused.
    fn is_due_behind_a_cancel(&self, id: i32) -> bool {
        let (Some(epoch), Some(order)) = (self.epoch, self.book.get(id)) else {
            return false;
        };
        let is_due = !self.answers_due.contains_key(&id);
        is_due && order.pending().is_none() && order.overtaken_in(epoch).is_some()
    }
}

/// Gateway has the cancel, and the order has not ended: while its exchange is closed, for hours.
pub(in crate::orders) fn is_being_cancelled(record: &OrderRecord) -> bool {
    matches!(&record.status[..], "PendingCancel" | "PreCancelled")
}
