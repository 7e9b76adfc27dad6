//! Ends that Gateway itself takes back: what it tells is stronger than what was concluded, and than
//! what it has said before.
//!
//! An order that it has cancelled and shows open again works again: but only once a list of open
//! orders that was asked for after that end is complete, and only in the last pass of a run, because
//! Gateway repeats itself and lists come late. And an order that its executions have filled is not
//! filled once they were corrected to less.

use std::time::Instant;

use bytes::Bytes;
use ibouncer_proto::api::v1::{OrderEventKind, OrderState as State};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::fills::largest_total;
use super::{Told, number};
use crate::orders::Desk;
use crate::orders::book::order::decimal;
use crate::orders::session::reconcile::Listing;

/// Gateway's word for an order that has filled.
const FILLED: &str = "Filled";

impl Desk {
    /// A list of open orders has an order that Gateway had cancelled before the list was asked for.
    pub(in crate::orders) fn keep_relisted(&mut self, id: i32, told: &Told<'_>, message: &[u8]) {
        if self.reconciler.listing() != Some(Listing::OpenOrders) || !self.reconciler.is_last_pass()
        {
            return;
        }
        let pass = self.reconciler.passes_begun();
        let ended = self.book.get(id).is_some_and(|order| {
            order.state() == State::Cancelled && order.ended_in < pass && !order.overruled
        });
        if ended && matches!(told.state(), Some(State::Working | State::Acknowledged)) {
            self.relisted.insert(id, Bytes::copy_from_slice(message));
        }
    }

    /// The list is complete: what it shows open is open.
    pub(in crate::orders) fn revive_relisted(&mut self, complete: bool, now: Instant) {
        for (id, message) in std::mem::take(&mut self.relisted) {
            let ended = self.book.get_mut(id).filter(|order| order.state() == State::Cancelled);
            if complete && let Some(order) = ended {
                order.overruled = true;
                self.on_message(id::OPEN_ORDER, &message, now);
                if let Some(order) = self.book.get_mut(id) {
                    order.overruled = false;
                }
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
