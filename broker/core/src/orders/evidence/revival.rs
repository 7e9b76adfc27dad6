//! Ends that Gateway itself takes back: what it tells is stronger than what was concluded, and than
//! what it has said before.
//!
//! An order that it has cancelled and shows open again works again, and so does one that has filled
//! and that it shows open with a larger quantity than that (it was changed by hand, or by a change
//! that this journal does not know): but only once a list of open orders that was asked for after that
//! end is complete, and only in the last pass of a run, because Gateway repeats itself and lists come
//! late. And an order that its executions have filled is not filled once they were corrected to less.

use std::time::Instant;

use bytes::Bytes;
use ibouncer_proto::api::v1::{OrderEventKind, OrderState as State};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::fills::largest_total;
use super::{Told, is_more, number};
use crate::orders::Desk;
use crate::orders::book::order::{Order, decimal};
use crate::orders::session::reconcile::Listing;

/// Gateway's word for an order that has filled.
const FILLED: &str = "Filled";

impl Desk {
    /// Gateway shows an order open that has ended. In a list that was asked for after its end that is
    /// kept; of one that was filled, which nothing else revives, it has Gateway asked for such a list.
    pub(in crate::orders) fn keep_relisted(&mut self, id: i32, told: &Told<'_>, message: &[u8]) {
        let is_open = matches!(told.state(), Some(State::Working | State::Acknowledged));
        let Some(order) = self.book.get(id).filter(|order| is_open && is_less(order, told.open))
        else {
            return;
        };
        if self.reconciler.listing() != Some(Listing::OpenOrders) {
            if order.state() == State::Filled {
                self.reconciler.begin();
            }
            return;
        }
        let is_late = order.ended_in >= self.reconciler.passes_begun() || order.overruled;
        if self.reconciler.is_last_pass() && !is_late {
            self.relisted.insert(id, Bytes::copy_from_slice(message));
        }
    }

    /// The list is complete: what it shows open is open.
    pub(in crate::orders) fn revive_relisted(&mut self, complete: bool, now: Instant) {
        for (id, message) in std::mem::take(&mut self.relisted) {
            let open = tws::OpenOrder::decode(&message[..]).unwrap_or_default();
            let ended = self.book.get_mut(id).filter(|order| is_less(order, Some(&open)));
            let Some(order) = ended.filter(|_| complete) else {
                continue;
            };
            let total = open.order.as_ref().and_then(|order| number(order.total_quantity()));
            let filled = number(&order.record.filled).filter(|_| order.state() == State::Filled);
            if let Some((total, filled)) = total.zip(filled) {
                order.record.remaining = decimal(total - filled);
            }
            order.overruled = true;
            self.on_message(id::OPEN_ORDER, &message, now);
            if let Some(order) = self.book.get_mut(id) {
                order.overruled = false;
            }
        }
    }

    /// An execution was corrected by so much less. What had been filled by executions alone is not.
    pub(in crate::orders) fn on_corrected(
        &mut self,
        id: i32,
        less: f64,
        avg_price: f64,
        now: Instant,
    ) {
        let executed = self.executions.sum_of(id);
        let Some(order) = self.book.get_mut(id) else {
            return;
        };
        // Some executions may never have come: of them only the sum is known.
        let before = number(&order.record.filled).unwrap_or_default();
        let filled = executed.max(before - less);
        order.fill_to(&decimal(filled));
        order.record.avg_fill_price = avg_price;
        let request = tws::PlaceOrderRequest::decode(&order.record.request[..]).unwrap_or_default();
        let total = largest_total(&request, &order.record);
        let mut kind = OrderEventKind::Update;
        if order.state() == State::Filled && total.is_some_and(|total| filled < total) {
            // Of one that Gateway itself has called filled, that is its newest word.
            let because = "an execution that filled it was corrected to less";
            let concluded = order.record.status != FILLED;
            if concluded && order.transition(State::Unknown, because) == Ok(true) {
                kind = OrderEventKind::State;
            }
            self.reconciler.begin();
        }
        self.tell(id, kind, now);
    }

    /// Gateway tells of less than was filled, and its corrected executions say the same.
    pub(in crate::orders) fn is_lowered(&self, id: i32, told: &Told<'_>) -> bool {
        let known = self.book.get(id).and_then(|order| number(&order.record.filled));
        let told = told.filled.and_then(number);
        told.zip(known).is_some_and(|(told, known)| told < known)
            && self.executions.is_lowered(id)
            && told == Some(self.executions.sum_of(id))
    }

    /// It is taken for filled, its executions were corrected to less, and Gateway says otherwise.
    pub(in crate::orders) fn is_short(&self, id: i32, told: &Told<'_>, lowered: bool) -> bool {
        let filled = self.book.get(id).filter(|order| order.state() == State::Filled);
        let Some(order) = filled.filter(|_| told.state() != Some(State::Filled)) else {
            return false;
        };
        let of = |text: &str| number(text).unwrap_or_default();
        let is_late = told.filled.is_some_and(|told| of(told) < of(&order.record.filled));
        if !self.executions.is_lowered(id) || (is_late && !lowered) {
            return false;
        }
        let request = tws::PlaceOrderRequest::decode(&order.record.request[..]).unwrap_or_default();
        let filled = match lowered {
            true => told.filled.map_or(0.0, of),
            false => of(&order.record.filled),
        };
        largest_total(&request, &order.record).is_some_and(|total| filled < total)
    }
}

/// It has ended with less than Gateway shows of it.
fn is_less(order: &Order, told: Option<&tws::OpenOrder>) -> bool {
    let total = told.and_then(|told| told.order.as_ref()).map_or("", tws::Order::total_quantity);
    let filled = &order.record.filled;
    match order.state() {
        State::Cancelled => true,
        State::Filled => number(filled).is_some() && is_more(total, filled),
        _ => false,
    }
}
