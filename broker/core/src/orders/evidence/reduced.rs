//! Fills that Gateway takes back without a word: a trade that is busted, or corrected while nobody
//! listened. Its list of open orders then says that less has filled than is known.
//!
//! That is believed once a list is complete that was asked for after the newest fill was known, and
//! only in the last pass of a run, because lists come late.

use std::time::Instant;

use bytes::Bytes;
use ibouncer_proto::api::v1::{OrderEventKind, OrderState as State};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::{is_more, number};
use crate::notes::Severity;
use crate::orders::Desk;
use crate::orders::book::order::{Order, meaning};
use crate::orders::session::reconcile::Listing;

impl Desk {
    pub(super) fn keep_reduced(&mut self, id: i32, told: &tws::OrderStatus, message: &[u8]) {
        let begun = self.reconciler.passes_begun();
        let is_last = self.reconciler.listing() == Some(Listing::OpenOrders)
            && self.reconciler.is_last_pass();
        if is_last && self.book.get(id).is_some_and(|order| is_reduced(order, told, begun)) {
            self.reduced.insert(id, Bytes::copy_from_slice(message));
        }
    }

    /// The list is complete: so much has filled, and the rest works.
    pub(in crate::orders) fn lower_reduced(&mut self, complete: bool, now: Instant) {
        let begun = self.reconciler.passes_begun();
        for (id, message) in std::mem::take(&mut self.reduced) {
            let told = tws::OrderStatus::decode(&message[..]).unwrap_or_default();
            let order = self.book.get_mut(id).filter(|order| is_reduced(order, &told, begun));
            let Some(order) = order.filter(|_| complete) else {
                continue;
            };
            let before = order.state();
            let text = format!(
                "{} of order {id} had filled, and Gateway's list says {}: a fill was taken back",
                order.record.filled,
                told.filled()
            );
            told.filled().clone_into(&mut order.record.filled);
            told.remaining().clone_into(&mut order.record.remaining);
            order.record.avg_fill_price = told.avg_fill_price();
            order.overruled = before == State::Filled;
            self.on_message(id::ORDER_STATUS, &message, now);
            self.note(Severity::Warning, text);
            let Some(order) = self.book.get_mut(id) else {
                continue;
            };
            order.overruled = false;
            if order.state() == before {
                self.tell(id, OrderEventKind::Update, now);
            }
        }
    }
}

/// Gateway shows it open, with less filled than is known and was known when it was asked.
fn is_reduced(order: &Order, told: &tws::OrderStatus, begun: u64) -> bool {
    let is_open = matches!(meaning(told.status()), Some(State::Working | State::Acknowledged));
    let may_be = order.is_live() || order.state() == State::Filled;
    let remains = number(told.remaining()).is_some_and(|remaining| remaining > 0.0);
    let is_less = number(told.filled()).is_some() && is_more(&order.record.filled, told.filled());
    is_open && may_be && remains && is_less && order.filled_in < begun
}
