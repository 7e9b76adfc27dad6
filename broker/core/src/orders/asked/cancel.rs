//! Cancelling orders, and whose one may cancel.
//!
//! A cancel is never held back by anything but the lack of a session in which its id means its
//! order (`orders/evidence/rivals.rs`): not by a halt, a full disk, or by another change. One of an order that waits for its turn takes it back, and its
//! whole group with it.

use std::time::Instant;

use bytes::Bytes;
use ibouncer_proto::api::v1::{
    self, CancelAllOrdersRequest, CancelAllOrdersResponse, CancelOrderRequest, CancelOrderResponse,
    ChangeKind, ChangeState, OrderEventKind, OrderScope, OrderState as State,
};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::place::sha256;
use super::placement::{read, unreadable};
use super::refusals::{ended, not_found};
use super::request::OrderRequest;
use super::waiting::Waiting;
use crate::error::{self, Error};
use crate::ids::CallId;
use crate::orders::body::patch::{part, with_parts};
use crate::orders::journal::Audit;
use crate::orders::leaving::departures::{Ask, Departure, What};
use crate::orders::{Caller, Desk, Doing};
use crate::pacing::Lane;
use crate::wire;

/// What leaves of a cancel as it was asked for: field of both `CancelOrderRequest`s.
pub(super) const DETAILS: u32 = 2;

impl Desk {
    pub(in crate::orders) fn cancel(
        &mut self,
        caller: &Caller,
        call: CallId,
        raw: &Bytes,
        now: Instant,
    ) -> Result<(), Error> {
        let asked = CancelOrderRequest::decode(&raw[..]).map_err(unreadable)?;
        let details = part(raw, DETAILS).map_err(unreadable)?;
        let owner = self.may_cancel_of(caller, &asked.owner, &asked.reason)?;
        let name = &asked.client_order_id;
        if self.is_unsent(&owner, name) {
            let of_name = |one: &Waiting| one.names.contains(name);
            let withdrawn = self.withdraw_waiting(caller, &owner, &asked.reason, of_name);
            let order = withdrawn.into_iter().find(|one| one.client_order_id == *name);
            if let Some(order) = order.filter(|_| self.book.named(&owner, name).is_none()) {
                self.answer(call, &CancelOrderResponse { order: Some(order) });
                return Ok(());
            }
        }
        let order_id = self.own(&owner, name)?;
        self.may_see(caller, order_id)?;
        let audit = self.cancel_audit(caller, &owner, order_id, &asked.reason);
        let audit = Audit { body_sha256: sha256(details.as_deref().unwrap_or_default()), ..audit };
        match self.cancel_one(Some(caller), order_id, details, audit, now)? {
            Cancelling::Leaves => {
                let key = self.departing(order_id, |what| what == What::Cancel);
                if let Some(departure) = key.and_then(|key| self.departures.get_mut(key)) {
                    departure.waiters.push((call, Ask::Cancel));
                }
            }
            Cancelling::Over => self.answer_left(call, Ask::Cancel, &[order_id]),
        }
        Ok(())
    }

    pub(in crate::orders) fn cancel_all(
        &mut self,
        caller: &Caller,
        call: CallId,
        asked: &CancelAllOrdersRequest,
        now: Instant,
    ) -> Result<(), Error> {
        let owner = self.may_cancel_of(caller, &asked.owner, &asked.reason)?;
        if self.book.live_count(&owner) > 0
            && let Some(error) = self.brakes.no_way()
        {
            return Err(error);
        }
        let withdrawn = self.withdraw_waiting(caller, &owner, &asked.reason, |_| true);
        for order in &withdrawn {
            if let Some(id) = self.book.named(&owner, &order.client_order_id) {
                let audit = self.cancel_audit(caller, &owner, id, &asked.reason);
                self.never_leaves(id, &audit, now);
            }
        }
        let orders = self.cancel_all_of(&owner, caller, &asked.reason, now);
        if orders.is_empty()
            && withdrawn.is_empty()
            && let Some(error) = self.none_of_them(caller, &owner)
        {
            return Err(error);
        }
        let orders = orders.iter().filter_map(|id| self.book.get(*id));
        let withdrawn = withdrawn.iter().map(prost::Message::encode_to_vec);
        let orders: Vec<_> =
            orders.map(|order| self.shown(&order.record)).chain(withdrawn).collect();
        if orders.is_empty() {
            // Each cancel is a line of its own, and this would leave none.
            self.done(caller, "CancelAllOrders", &owner, "", &asked.reason);
        }
        self.answer_orders(call, &CancelAllOrdersResponse::default(), orders);
        Ok(())
    }

    /// Why no order of this owner could be cancelled, if there are some.
    fn none_of_them(&self, caller: &Caller, owner: &str) -> Option<Error> {
        let seen = |id: &i32| self.may_see(caller, *id).is_ok();
        let mut seen = self.book.live_of(owner).into_iter().filter(seen);
        seen.find_map(|id| self.out_of_reach(id))
    }

    /// Nothing of this name has left or may have, and a call could still make it leave.
    fn is_unsent(&self, owner: &str, name: &str) -> bool {
        let known = self.book.named(owner, name).and_then(|id| self.book.get(id));
        known.is_none_or(crate::orders::book::order::Order::may_leave_after_all)
    }

    /// What waits, and has never left, is not taken in any more; a call that was made again for an
    /// order that has goes on to wait for its answer.
    fn withdraw_waiting(
        &mut self,
        caller: &Caller,
        owner: &str,
        reason: &str,
        which: impl Fn(&Waiting) -> bool,
    ) -> Vec<v1::Order> {
        const BECAUSE: &str = "it was cancelled while it waited to be taken in";
        let mut orders = Vec::new();
        let mut waiting = std::mem::take(&mut self.waiting);
        let unsent = |one: &Waiting| one.names.iter().all(|name| self.is_unsent(owner, name));
        // Whoever is limited to accounts does not learn of what waits for others.
        let view = self.view_of(caller, OrderScope::All);
        let shown =
            |one: &Waiting| accounts_of(&one.request).iter().all(|to| view.shows(owner, to));
        let withdrawn =
            waiting.take_out(|one| one.owner == owner && which(one) && shown(one) && unsent(one));
        self.waiting = waiting;
        for one in withdrawn {
            let error = error::order_later("WITHDRAWN", BECAUSE);
            self.reply(one.call, Err(error::not_sent(error)));
            for name in one.names {
                let audit = self.audit(caller, What::Cancel, owner, &name, 0, b"");
                let audit = Audit { reason: reason.to_owned(), result: "withdrawn", ..audit };
                self.doings.push_back(Doing::Audit(Box::new(audit)));
                orders.push(v1::Order {
                    client_order_id: name,
                    owner: owner.to_owned(),
                    state: State::NotSent.into(),
                    because: BECAUSE.to_owned(),
                    ..v1::Order::default()
                });
            }
        }
        orders
    }

    /// Cancels for all live orders of an owner that this caller sees.
    pub(in crate::orders) fn cancel_all_of(
        &mut self,
        owner: &str,
        caller: &Caller,
        reason: &str,
        now: Instant,
    ) -> Vec<i32> {
        self.cancel_each_of(owner, (Some(caller), caller), reason, |_| true, now)
    }

    /// The same, of those in accounts that are meant; of a caller who may be gone, for whom it is
    /// done then.
    pub(in crate::orders) fn cancel_each_of(
        &mut self,
        owner: &str,
        (caller, by): (Option<&Caller>, &Caller),
        reason: &str,
        meant: impl Fn(&String) -> bool,
        now: Instant,
    ) -> Vec<i32> {
        let mut orders = Vec::new();
        for id in self.book.live_of(owner) {
            let is_meant = self.book.get(id).is_some_and(|order| meant(&order.record.account));
            if !is_meant || self.may_see(by, id).is_err() {
                continue;
            }
            let audit = self.cancel_audit(by, owner, id, reason);
            if self.cancel_one(caller, id, None, audit, now).is_ok() {
                orders.push(id);
            }
        }
        orders
    }

    /// One cancel: taken back, put into the queue, or over already.
    pub(in crate::orders) fn cancel_one(
        &mut self,
        caller: Option<&Caller>,
        order_id: i32,
        details: Option<Vec<u8>>,
        audit: Audit,
        now: Instant,
    ) -> Result<Cancelling, Error> {
        let places = |what| matches!(what, What::Place | What::Exercise);
        if let Some(key) = self.departing(order_id, places)
            && self.departures.get(key).is_some_and(|one| !one.numbered)
        {
            self.end_unsent(key, &audit, now);
            return Ok(self.nothing_leaves(audit));
        }
        let Some(order) = self.book.get_mut(order_id) else {
            return Err(not_found(""));
        };
        match order.state() {
            State::NotSent => {
                self.never_leaves(order_id, &audit, now);
                return Ok(self.nothing_leaves(audit));
            }
            State::Cancelled => return Ok(self.nothing_leaves(audit)),
            state if !order.is_live() => return Err(ended(&order.record.client_order_id, state)),
            _ => {}
        }
        if order.pending().is_some_and(|change| {
            change.kind() == ChangeKind::Cancel && change.state() != ChangeState::Unknown
        }) {
            let waits = self.departing(order_id, |what| what == What::Cancel).is_some();
            return Ok(if waits { Cancelling::Leaves } else { self.nothing_leaves(audit) });
        }
        if let Some(error) = self.brakes.no_way().or_else(|| self.out_of_reach(order_id)) {
            return Err(error);
        }
        // A modification that waits for its turn is overtaken for good.
        let because = error::order_later("WITHDRAWN", "the order is cancelled instead");
        if let Some(key) = self.departing(order_id, |what| what == What::Modify) {
            self.take_back(key, &because, now);
        }
        let Some(order) = self.book.get_mut(order_id) else {
            return Err(not_found(""));
        };
        order.begin_change(ChangeKind::Cancel, b"", audit.by_another());
        let request = tws::CancelOrderRequest { order_id: Some(order_id), order_cancel: None };
        let request = with_parts(&request, DETAILS, details);
        let label = order.record.client_order_id.clone();
        let departure = Departure::new(What::Cancel, vec![order_id], audit);
        let frames = wire::unkeyed(id::CANCEL_ORDER, &request);
        let caller = caller.cloned().unwrap_or_else(the_broker);
        self.push(Lane::OrderCancel, &caller, departure, frames, ("cancelOrder", label));
        self.tell(order_id, OrderEventKind::Change, now);
        Ok(Cancelling::Leaves)
    }

    /// Its owner ends what has not left, and waits for nothing: the call that placed it does not
    /// place it after all.
    fn never_leaves(&mut self, order_id: i32, audit: &Audit, now: Instant) {
        if let Some(order) = self.book.get_mut(order_id).filter(|order| order.may_leave_after_all())
        {
            order.begin_change(ChangeKind::Cancel, b"", audit.by_another());
            order.move_change(ChangeState::Done, "it had not left, and never will", 0);
            self.tell(order_id, OrderEventKind::Change, now);
        }
    }

    /// Its owner ends what has not left: it never will, whoever asks again.
    fn end_unsent(&mut self, key: i32, audit: &Audit, now: Instant) {
        let orders = self.departures.get(key).map(|one| one.orders.clone()).unwrap_or_default();
        for id in orders {
            if let Some(order) = self.book.get_mut(id) {
                order.begin_change(ChangeKind::Cancel, b"", audit.by_another());
            }
        }
        let because = error::order("CANCELLED", "it was cancelled before it left");
        self.take_back(key, &because, now);
    }

    /// Who ended what needs no frame is written down all the same.
    fn nothing_leaves(&mut self, audit: Audit) -> Cancelling {
        self.doings.push_back(Doing::Audit(Box::new(Audit { result: "done", ..audit })));
        Cancelling::Over
    }

    pub(in crate::orders) fn cancel_audit(
        &self,
        caller: &Caller,
        owner: &str,
        order_id: i32,
        reason: &str,
    ) -> Audit {
        let name = self.book.get(order_id).map(|order| order.record.client_order_id.clone());
        let name = name.unwrap_or_default();
        let audit = self.audit(caller, What::Cancel, owner, &name, order_id, b"");
        Audit { reason: reason.to_owned(), ..audit }
    }

    /// Is there a way for cancels?
    pub(in crate::orders) fn may_cancel(&self) -> bool {
        self.brakes.no_way().is_none() && !self.brakes.reconciling
    }
}

/// What became of a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::orders) enum Cancelling {
    /// It is in the queue.
    Leaves,
    /// There is nothing to send.
    Over,
}

pub(in crate::orders) fn the_broker() -> Caller {
    Caller { name: "broker".into(), ..Caller::default() }
}

/// The accounts that a request names which would place something.
fn accounts_of(request: &OrderRequest) -> Vec<String> {
    let of_orders = |raw, group| -> Vec<String> {
        let placements = read(raw, group).unwrap_or_default();
        let orders = placements.into_iter().filter_map(|one| one.request.order);
        orders.map(|order| order.account.unwrap_or_default()).collect()
    };
    match request {
        OrderRequest::Place(raw) => of_orders(raw, false),
        OrderRequest::PlaceGroup(raw) => of_orders(raw, true),
        OrderRequest::Exercise(raw) => {
            let asked = v1::ExerciseOptionsRequest::decode(&raw[..]).unwrap_or_default();
            vec![asked.request.unwrap_or_default().account.unwrap_or_default()]
        }
        _ => Vec::new(),
    }
}
