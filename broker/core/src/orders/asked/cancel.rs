//! Cancelling an order.
//!
//! A cancel is never held back by anything but the lack of a session in which its id means its
//! order (`orders/evidence/rivals.rs`): not by a halt, a full disk, or by another change. One of an
//! order that waits for its turn takes it back, and its whole group with it.

use std::time::Instant;

use bytes::Bytes;
use ibouncer_proto::api::v1::{
    CancelOrderRequest, CancelOrderResponse, ChangeKind, ChangeState, OrderEventKind,
    OrderState as State,
};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::place::sha256;
use super::placement::unreadable;
use super::refusals::{ended, not_found};
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
    pub(super) fn never_leaves(&mut self, order_id: i32, audit: &Audit, now: Instant) {
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
