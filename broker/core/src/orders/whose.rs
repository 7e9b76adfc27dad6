//! Whose an order is that Gateway tells of, and what its id means for the next ones.

use std::time::Instant;

use bytes::Bytes;
use ibouncer_proto::tws::v1 as tws;

use super::brakes::Doubt;
use super::leaving::What;
use super::{Desk, HIGHEST_ORDER_ID};
use crate::notes::Severity;

/// Gateway writes this where there is no order id.
const NO_ORDER_ID: i32 = i32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Ours,
    /// Of our client id, and not in the book.
    Missing,
    Foreign,
}

impl Desk {
    /// Ids that Gateway has seen are not used again; those near the ids of requests end trading,
    /// until a person has accepted the order.
    pub(super) fn see_id(&mut self, order_id: i32, client_id: i32, perm_id: i64) {
        if order_id <= 0 || order_id == NO_ORDER_ID {
            return;
        }
        if order_id >= HIGHEST_ORDER_ID {
            if !self.is_doubtful(perm_id) {
                return;
            }
            let what = format!(
                "API client {client_id} has an order with id {order_id}, and ids above \
                 {HIGHEST_ORDER_ID} are for requests: new ids would have to be higher still. Let \
                 it use lower ids, and reset the ids in Gateway while no API order is open; or, if \
                 Gateway takes lower ones all the same, `ibouncer trading adopt-state`"
            );
            return self.doubt(Doubt::HighId, what);
        }
        self.next_id = self.next_id.max(order_id + 1);
    }

    /// Gateway's own counter: at READY, and after a duplicate.
    pub(crate) fn on_next_valid_id(&mut self, order_id: i32) {
        if (1..HIGHEST_ORDER_ID).contains(&order_id) {
            self.next_id = self.next_id.max(order_id);
        } else if order_id >= HIGHEST_ORDER_ID && self.active {
            let text = format!(
                "Gateway's next order id is {order_id}, and ids above {HIGHEST_ORDER_ID} are for \
                 requests: orders go on from {}. If Gateway refuses them (103), reset its order \
                 ids (API settings, Reset API order ID sequence) while no API order is open",
                self.next_id
            );
            self.note(Severity::Warning, text);
        }
    }

    pub(super) fn ours(&self, order_id: i32, client_id: i32) -> Whose {
        if client_id != self.client_id || order_id <= 0 || order_id == NO_ORDER_ID {
            Whose::Foreign
        } else if self.book.get(order_id).is_some() {
            Whose::Ours
        } else {
            Whose::Missing
        }
    }

    /// Gateway shows an open order of our client id that we do not know.
    pub(super) fn on_unaccounted_order(
        &mut self,
        told: &tws::OpenOrder,
        message: &[u8],
        now: Instant,
    ) {
        let order_id = told.order_id();
        let perm_id = told.order.as_ref().map_or(0, tws::Order::perm_id);
        if self.departures.iter().any(|(_, one)| one.what == What::Preview && one.holds(order_id)) {
            return;
        }
        self.keep_foreign(told, message, now);
        self.on_unaccounted(order_id, perm_id);
    }

    /// Gateway shows an open order that was not placed through this client id.
    pub(super) fn on_foreign_order(&mut self, told: &tws::OpenOrder, message: &[u8], now: Instant) {
        self.keep_foreign(told, message, now);
        let order = told.order.clone().unwrap_or_default();
        // By hand in TWS there is no order id.
        let by_api = told.order_id() > 0 && told.order_id() != NO_ORDER_ID;
        if !by_api || self.facts.settled || !self.book.is_empty() {
            return;
        }
        if !self.is_doubtful(order.perm_id()) {
            return;
        }
        let what = format!(
            "the journal of orders is empty, and Gateway shows an open order of API client {} \
             (permId {}): the journal may have been lost, or gateway.client_id been another one. \
             Then a client that repeats a call would place its order again. Look at `ibouncer \
             orders`; if these are other programs' orders, `ibouncer trading adopt-state --reason \
             …`",
            order.client_id(),
            order.perm_id()
        );
        self.doubt(Doubt::Empty, what);
    }

    fn keep_foreign(&mut self, told: &tws::OpenOrder, message: &[u8], now: Instant) {
        let now_ms = self.millis(now);
        let perm_id = told.order.as_ref().map_or(0, tws::Order::perm_id);
        let foreign = self.book.foreign.entry(perm_id).or_default();
        foreign.told = told.clone();
        foreign.open_order = Bytes::copy_from_slice(message);
        foreign.on_told(now_ms);
    }

    /// There is, or was, an order of our client id that we do not know: its owner may repeat the
    /// call, and that would place it again.
    pub(super) fn on_unaccounted(&mut self, order_id: i32, perm_id: i64) {
        if !self.is_doubtful(perm_id) {
            return;
        }
        let what = format!(
            "Gateway shows order {order_id} (permId {perm_id}) of our client id {}, and the \
             journal does not know it: the journal is older than that order, or another program \
             used this client id. Look at it, then `ibouncer trading adopt-state --reason …`",
            self.client_id
        );
        self.doubt(Doubt::Unaccounted, what);
    }

    /// False if a person has accepted the order with this permId.
    pub(super) fn is_doubtful(&mut self, perm_id: i64) -> bool {
        let doubtful = !self.facts.adopted.contains(&perm_id);
        // 0 is no order's in particular.
        if doubtful && perm_id != 0 {
            self.doubtful.insert(perm_id);
        }
        doubtful
    }
}
