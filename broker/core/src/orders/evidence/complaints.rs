//! Errors and warnings of Gateway about orders: which end an order, which a change, which neither.

use std::time::Instant;

use ibouncer_proto::api::v1::{ChangeKind, ChangeState, OrderEventKind, OrderState as State};
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use crate::error;
use crate::hub::ends_request;
use crate::notes::Severity;
use crate::orders::Desk;
use crate::orders::journal::Change;

/// Gateway's codes with a meaning of their own for orders. Source: protocol fact sheet, section 8.
const DUPLICATE_ID: i32 = 103;
const CANCELLED: i32 = 202;
/// Rejected, and not allowed to trade it.
const REJECTED: [i32; 2] = [201, 203];
/// They answer a cancel and neither a placement nor a modification: one that comes again is about
/// no order.
const ABOUT_CANCELS: [i32; 4] = [136, 161, 10147, 10148];
/// There is no order of that number: of a child's parent, or else of what a change is about.
const NO_SUCH_ORDER: i32 = 135;
/// A warning to ib_async, and the end of an order here: nothing follows it.
const SIZE_IS_ZERO: i32 = 434;

/// How Gateway begins what only warns, whatever its code.
const WARNING: &str = "Warning:";

/// After a duplicate id it is not known how far Gateway has counted.
const SKIPPED_IDS: i32 = 1_000;

impl Desk {
    /// An error or a warning about an order id. False if it is none of ours.
    pub(crate) fn on_error(&mut self, id: i32, told: &tws::ErrorMessage, now: Instant) -> bool {
        let (code, text) = (told.error_code(), told.error_msg());
        let ends = (ends_request(code) || code == SIZE_IS_ZERO)
            && code != CANCELLED
            && !text.starts_with(WARNING);
        if code == DUPLICATE_ID {
            self.next_id = self.next_id.max(id.saturating_add(SKIPPED_IDS));
            let what =
                format!("Gateway says 103 of order id {id}; ids go on from {}", self.next_id);
            self.note(Severity::Warning, what);
        }
        if self.previews.contains_key(&id) {
            if ends && let Some(preview) = self.previews.remove(&id) {
                self.reply(preview.call, Err(error::gateway(code, text)));
            }
            return true;
        }
        let epoch = self.epoch.unwrap_or_default();
        let Some(order) = self.book.get_mut(id) else {
            return false;
        };
        let because = format!("Gateway says {code}: {text}");
        order.record.notice = told.encode_to_vec().into();
        let pending = order.pending().map(Change::kind);
        // Two changes are unanswered once a cancel has overtaken a modification.
        let of_overtaken =
            ends && !ABOUT_CANCELS.contains(&code) && order.overtaken_in(epoch).is_some();
        // What was concluded of a modification may have been too early.
        let is_late = ends && !ABOUT_CANCELS.contains(&code) && order.may_be_refused_late(epoch);
        if of_overtaken {
            order.take_overtaken();
        }
        let changing =
            !of_overtaken && order.pending().is_some_and(|one| one.state() != ChangeState::Waiting);
        let answers_change =
            changing && !(pending == Some(ChangeKind::Modify) && ABOUT_CANCELS.contains(&code));
        let rejected = match order.state() {
            _ if of_overtaken => false,
            // Gateway answers a placement before the cancel that came behind it.
            State::Sent if changing && pending == Some(ChangeKind::Cancel) => {
                ends && !ABOUT_CANCELS.contains(&code) && code != NO_SUCH_ORDER
            }
            State::Sent => ends && !changing && !ABOUT_CANCELS.contains(&code),
            // Gateway says Inactive, and then why. Of a modification it rejects only that.
            State::Inactive => {
                REJECTED.contains(&code) && pending != Some(ChangeKind::Modify) && !is_late
            }
            _ => false,
        };
        let of_modification =
            of_overtaken || is_late || (changing && pending == Some(ChangeKind::Modify));
        if REJECTED.contains(&code) && !of_modification && order.is_live() {
            // The end of a working one only once Gateway shows it Inactive, or ended.
            order.refused = Some(because.clone());
        }
        let mut kind = OrderEventKind::Notice;
        if rejected && order.transition(State::Rejected, &because) == Ok(true) {
            kind = OrderEventKind::State;
            self.settle_change(id, Some(State::Rejected), false, now);
        } else if ends && answers_change && order.move_change(ChangeState::Failed, &because, code) {
            kind = OrderEventKind::Change;
            self.answers_due.remove(&id);
            if order.overtaken_in(epoch).is_some() {
                // The modification behind it is not answered by that.
                self.answers_due.insert(id, now + self.settings.answer_deadline);
            }
        } else if is_late {
            if order.explain_failed(&because, code) {
                kind = OrderEventKind::Change;
            }
            // It can have been the order's own, after all.
            self.reconciler.begin();
        }
        self.tell(id, kind, now);
        if kind == OrderEventKind::State {
            self.end_attached(id, now);
            if self.book.get(id).is_some_and(|order| !order.record.group.is_empty()) {
                // Of its group Gateway may hold back the others for it.
                self.reconciler.begin();
            }
        }
        true
    }

    /// Gateway makes attached orders of what it accepts, and tells of each: of an order that it has
    /// rejected there are none.
    fn end_attached(&mut self, parent: i32, now: Instant) {
        for id in self.book.live() {
            let Some(order) = self.book.get_mut(id) else {
                continue;
            };
            let never_made = order.record.attached_to == parent && order.record.perm_id == 0;
            let because = "Gateway has rejected the order that it was attached to";
            if never_made && order.transition(State::Rejected, because) == Ok(true) {
                self.tell(id, OrderEventKind::State, now);
            }
        }
    }

    /// Gateway has ended an order that it had accepted, and never told of what it was to attach to
    /// it. That it never made it cannot be known, so a person may say so.
    pub(super) fn doubt_attached(&mut self, parent: i32, now: Instant) {
        for id in self.book.live() {
            let Some(order) = self.book.get_mut(id) else {
                continue;
            };
            let untold = order.record.attached_to == parent
                && order.state() == State::Sent
                && !order.has_been_told();
            let because = "the order that it was to be attached to has ended, and Gateway has never \
                           told of this one";
            if untold && order.transition(State::Unknown, because) == Ok(true) {
                self.tell(id, OrderEventKind::State, now);
            }
        }
    }
}
