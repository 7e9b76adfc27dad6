//! What becomes of an order of ours when Gateway tells of another one under its number, or of it
//! with another contract or side: it stays what it was, trading halts, and nothing leaves for it
//! that could reach the other one.
//!
//! On the wire an order is named by its number alone. So a modification waits until Gateway tells
//! of our order in this session; and once it has shown another one there, neither a change nor a
//! cancel leaves until it has shown ours again, over lists, sessions and restarts: that the other
//! one is in no list any more does not mean that it is gone. In an account that the session does
//! not have, nothing is ours to touch.

use std::time::Instant;

use bytes::Bytes;
use ibouncer_proto::tws::v1 as tws;

use super::matching::Unlike;
use crate::error::{self, Error};
use crate::orders::Desk;
use crate::orders::book::ForeignId;
use crate::orders::brakes::Doubt;
use crate::orders::leaving::departures::What;

impl Desk {
    /// An openOrder under the number of one of ours is of another order.
    pub(in crate::orders) fn on_another_order(
        &mut self,
        told: &tws::OpenOrder,
        message: &[u8],
        unlike: Unlike,
        now: Instant,
    ) {
        let perm_id = told.order.as_ref().map_or(0, tws::Order::perm_id);
        if self.book.by_perm_id(perm_id).is_none() {
            self.keep_foreign(told, message, now);
        }
        // Its number reaches one of two that are ours.
        if !unlike.is_double() {
            self.contest(told.order_id(), perm_id, now);
        }
        self.on_another(told.order_id(), perm_id, unlike);
    }

    /// An orderStatus under the number of one of ours has another permId.
    pub(in crate::orders) fn on_another_status(
        &mut self,
        told: &tws::OrderStatus,
        message: &[u8],
        unlike: Unlike,
        now: Instant,
    ) {
        let (order_id, perm_id, now_ms) = (told.order_id(), told.perm_id(), self.millis(now));
        let foreign = ForeignId::new(perm_id, told.client_id(), order_id);
        let foreign = self.book.foreign.entry(foreign).or_default();
        foreign.told.order_id = told.order_id;
        let order = tws::Order {
            client_id: told.client_id,
            perm_id: told.perm_id,
            ..tws::Order::default()
        };
        foreign.told.order.get_or_insert(order);
        foreign.on_told(now_ms);
        foreign.status = told.clone();
        foreign.order_status = Bytes::copy_from_slice(message);
        self.contest(order_id, perm_id, now);
        self.on_another(order_id, perm_id, unlike);
    }

    /// Trading halts until a person has looked at both.
    pub(in crate::orders) fn on_another(&mut self, id: i32, perm_id: i64, unlike: Unlike) {
        let known = self.book.get(id).map_or(0, |order| order.record.perm_id);
        if !self.is_doubtful(id, perm_id) {
            return;
        }
        let words = match unlike.words() {
            words if words.is_empty() => String::new(),
            words => format!(", with another {words} than was placed"),
        };
        let look = "look at both (`ibouncer orders --broker`, TWS), then `ibouncer trading \
                    adopt-state --reason …`";
        let (doubt, what) = if known == 0 {
            let what = format!(
                "Gateway shows order {id} (permId {perm_id}) of our client id {}, with another \
                 {} than was placed with that id: another program used this client id, or ids were \
                 set back. It is not touched, and ours stays as it was; {look}",
                self.client_id,
                unlike.words()
            );
            (Doubt::Unaccounted, what)
        } else if unlike.perm_id {
            let what = format!(
                "Gateway tells permId {perm_id} for order {id}, which has permId {known}{words}: \
                 there may be two orders where one was placed; {look}"
            );
            (Doubt::TwoPermIds, what)
        } else {
            let what = format!(
                "Gateway tells another {} for order {id} (permId {known}) than was placed: that is \
                 not counted, and the order not changed while it is shown so; {look}",
                unlike.words()
            );
            (Doubt::Altered, what)
        };
        self.doubt(doubt, what);
    }

    /// Something else stands under its number now.
    fn contest(&mut self, id: i32, perm_id: i64, now: Instant) {
        let Some(order) = self.book.get_mut(id) else {
            return;
        };
        if perm_id != 0 && perm_id == order.record.perm_id {
            order.altered_in = self.epoch;
        } else if order.record.taken_by.replace(perm_id) != Some(perm_id) {
            self.save_order(id);
        }
        let changes = |what| matches!(what, What::Modify | What::Cancel);
        while let Some(key) = self.departing(id, changes) {
            let error = match self.departures.get(key).map(|one| one.what) {
                Some(What::Cancel) => self.out_of_reach(id),
                _ => self.is_contested(id),
            };
            if !error.is_some_and(|error| self.take_back(key, &error, now)) {
                break;
            }
        }
    }

    /// Why a modification, or a child, would be one of something else, if it would.
    pub(in crate::orders) fn is_contested(&self, id: i32) -> Option<Error> {
        let (epoch, order) = (self.epoch?, self.book.get(id)?);
        let what = match order.record.taken_by {
            Some(perm_id) => format!("another order (permId {perm_id})"),
            None if order.altered_in == Some(epoch) => "another contract or side".to_owned(),
            None => return None,
        };
        let what = format!(
            "Gateway shows {what} under the id {id} of order {:?}: what leaves for it would reach \
             that. It can leave once Gateway tells of the order itself; see `ibouncer trading status`",
            order.record.client_order_id
        );
        Some(error::order_later("ORDER_UNKNOWN", what))
    }

    /// Why a cancel would not reach this order, or would reach another one.
    pub(in crate::orders) fn out_of_reach(&self, id: i32) -> Option<Error> {
        let order = self.book.get(id)?;
        if let Some(error) = self.away(id) {
            return Some(error);
        }
        let other = order.record.taken_by?;
        let name = &order.record.client_order_id;
        let what = format!(
            "Gateway has shown another order (permId {other}) under the id {id} of order {name:?}, \
             and a cancel would end that one, also if no list shows it now: it can leave once \
             Gateway shows the order itself there. Look in TWS: cancel it there by hand, and if \
             nothing of it is left, `ibouncer orders resolve {name} --owner {} --as … --reason …`",
            order.record.owner
        );
        Some(error::order_later("ORDER_UNKNOWN", what))
    }
}
