//! What answers a change: Gateway's word on the order that it is about.

use std::time::Instant;

use ibouncer_proto::api::v1::{ChangeKind, ChangeState, OrderEventKind, OrderState as State};
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::number;
use crate::orders::Desk;
use crate::orders::journal::Change;

impl Desk {
    /// What Gateway told may answer the change that is under way. True if it was told of.
    pub(in crate::orders) fn settle_change(
        &mut self,
        id: i32,
        state: Option<State>,
        open: Option<&tws::OpenOrder>,
        now: Instant,
    ) -> bool {
        let Some(order) = self.book.get_mut(id) else {
            return false;
        };
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
                let wanted = tws::PlaceOrderRequest::decode(&change.request[..]).ok();
                let wanted = wanted.and_then(|request| request.order);
                let told = open.and_then(|open| open.order.as_ref());
                let is_it = wanted.zip(told).is_some_and(|(wanted, told)| is_as(&wanted, told));
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

    /// Gateway has shown the orders as they are: a change that is not in them was not made.
    pub(in crate::orders) fn resolve_changes(&mut self, now: Instant) {
        let Some(epoch) = self.epoch else {
            return;
        };
        for id in self.book.live() {
            let Some(order) = self.book.get_mut(id) else {
                continue;
            };
            let unknown =
                order.pending().is_some_and(|change| change.state() == ChangeState::Unknown);
            let open =
                matches!(order.state(), State::Working | State::Acknowledged | State::Inactive);
            if unknown && open && order.is_seen_in(epoch) {
                let because = match order.pending().map(Change::kind) {
                    Some(ChangeKind::Cancel) => "Gateway shows the order open",
                    _ => "Gateway shows the order as it was before",
                };
                if order.move_change(ChangeState::Failed, because, 0) {
                    self.tell(id, OrderEventKind::Change, now);
                }
            }
        }
    }
}

/// Does Gateway show the order as this change wants it?
fn is_as(wanted: &tws::Order, told: &tws::Order) -> bool {
    let same = |wanted: Option<f64>, told: Option<f64>| {
        let unset = |price: Option<f64>| price.filter(|price| *price != 0.0 && *price < 1e300);
        unset(wanted).is_none_or(|price| unset(told) == Some(price))
    };
    number(wanted.total_quantity()) == number(told.total_quantity())
        && same(wanted.lmt_price, told.lmt_price)
        && same(wanted.aux_price, told.aux_price)
        && (wanted.tif().is_empty() || wanted.tif() == told.tif())
}
