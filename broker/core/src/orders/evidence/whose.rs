//! Whose an order is that Gateway tells of.

use std::time::Instant;

use bytes::Bytes;
use ibouncer_proto::tws::v1 as tws;

use super::ids::NO_ORDER_ID;
use super::matching::{Description, Placed, Unlike};
use crate::orders::book::ForeignId;
use crate::orders::brakes::Doubt;
use crate::orders::leaving::departures::What;
use crate::orders::{Desk, body};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::orders) enum Whose {
    Ours,
    /// It has the number of one of ours, and is another order.
    Another(Unlike),
    /// It has the number of one of ours, and nothing yet says that it is that one.
    Unproven,
    /// Of our client id, and not in the book.
    Missing,
    Foreign,
}

impl Desk {
    pub(in crate::orders) fn is_of_our_client_id(&self, order_id: i32, client_id: i32) -> bool {
        client_id == self.client_id && order_id > 0 && order_id != NO_ORDER_ID
    }

    /// Whose the order is that Gateway describes so.
    pub(in crate::orders) fn whose(
        &self,
        order_id: i32,
        client_id: i32,
        told: &Description<'_>,
    ) -> Whose {
        if !self.is_of_our_client_id(order_id, client_id) {
            Whose::Foreign
        } else if self.book.get(order_id).is_none() {
            Whose::Missing
        } else if told.is_bare && self.is_known_as_foreign(order_id, told.perm_id) {
            Whose::Foreign
        } else {
            self.is_it(order_id, told)
        }
    }

    /// Under our client id, and not ours.
    fn is_known_as_foreign(&self, order_id: i32, perm_id: i64) -> bool {
        let foreign = ForeignId::new(perm_id, self.client_id, order_id);
        self.book.foreign.contains_key(&foreign) && self.book.by_perm_id(perm_id).is_none()
    }

    /// Is what Gateway describes so the order that we know by this id?
    pub(in crate::orders) fn is_it(&self, id: i32, told: &Description<'_>) -> Whose {
        let Some(order) = self.book.get(id) else {
            return Whose::Missing;
        };
        let epoch = self.epoch.unwrap_or_default();
        let record = &order.record;
        let both_known = record.perm_id != 0 && told.perm_id != 0;
        let is_rival = told.perm_id != 0 && record.taken_by == Some(told.perm_id);
        let is_another = both_known && record.perm_id != told.perm_id;
        if told.is_bare {
            return if is_another || (is_rival && !both_known) {
                Whose::Another(Unlike { perm_id: true, ..Unlike::default() })
            } else if order.altered_in == Some(epoch) {
                // What Gateway says of its state may be of what we did not place.
                Whose::Unproven
            } else if both_known {
                Whose::Ours
            } else if record.taken_by.is_none() && (order.is_seen_in(epoch) || order.left_in(epoch))
            {
                // In the session in which it was placed Gateway refuses the number to others.
                Whose::Ours
            } else {
                Whose::Unproven
            };
        }
        let tag = |id| body::tag(&self.facts.journal_id, id);
        let mut placed = Placed::of(record, tag(id), &self.facts.accounts);
        if let Some(parent) = self.book.get(record.attached_to) {
            let parent = Placed::of(&parent.record, tag(record.attached_to), &[]);
            placed.refs.extend(parent.refs);
        }
        let mut unlike = placed.unlike(told);
        if both_known && !is_another {
            // The permId is the order's for ever; what remains is what a change has to keep.
            let Unlike { contract, side, .. } = unlike;
            unlike = Unlike { contract: contract && !record.exercise, side, ..Unlike::default() };
        }
        unlike.perm_id = is_another;
        if unlike.is_any() { Whose::Another(unlike) } else { Whose::Ours }
    }

    /// Gateway shows an open order of our client id that we do not know.
    pub(in crate::orders) fn on_unaccounted_order(
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
    pub(in crate::orders) fn on_foreign_order(
        &mut self,
        told: &tws::OpenOrder,
        message: &[u8],
        now: Instant,
    ) {
        self.keep_foreign(told, message, now);
        let order = told.order.clone().unwrap_or_default();
        // By hand in TWS there is no order id.
        let by_api = told.order_id() > 0 && told.order_id() != NO_ORDER_ID;
        if !by_api || self.facts.settled || !self.book.is_empty() {
            return;
        }
        if !self.is_doubtful(told.order_id(), order.perm_id()) {
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

    pub(in crate::orders) fn keep_foreign(
        &mut self,
        told: &tws::OpenOrder,
        message: &[u8],
        now: Instant,
    ) {
        let now_ms = self.millis(now);
        let order = told.order.clone().unwrap_or_default();
        let named = |perm_id| ForeignId::new(perm_id, order.client_id(), told.order_id());
        if order.perm_id() != 0 {
            // It has one now.
            self.book.foreign.remove(&named(0));
        }
        let foreign = self.book.foreign.entry(named(order.perm_id())).or_default();
        foreign.told = told.clone();
        foreign.open_order = Bytes::copy_from_slice(message);
        foreign.on_told(now_ms);
    }

    /// There is, or was, an order of our client id that we do not know: its owner may repeat the
    /// call, and that would place it again.
    pub(in crate::orders) fn on_unaccounted(&mut self, order_id: i32, perm_id: i64) {
        if !self.is_doubtful(order_id, perm_id) {
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
}
