//! Cancelling all orders of an owner, and saying which of them live on.

use std::time::Instant;

use ibouncer_proto::api::v1::{CancelAllOrdersRequest, CancelAllOrdersResponse, SparedOrder};

use crate::error::Error;
use crate::hub::Reply;
use crate::ids::CallId;
use crate::orders::body::patch::{put_part, with_parts};
use crate::orders::journal::OrderRecord;
use crate::orders::leaving::departures::What;
use crate::orders::{Caller, Desk};

/// Field of `SparedOrder`.
const ORDER: u32 = 1;
/// Fields of `CancelAllOrdersResponse`; the second is `HaltTradingResponse`'s as well.
const ORDERS: u32 = 1;
const SPARED: u32 = 2;

/// What became of cancelling many orders.
#[derive(Debug, Default)]
pub(in crate::orders) struct CancelledAll {
    /// A cancel leaves, or they had not left and never will.
    pub orders: Vec<i32>,
    /// They live on, and why.
    pub spared: Vec<(i32, Error)>,
}

impl Desk {
    pub(super) fn cancel_all(
        &mut self,
        caller: &Caller,
        call: CallId,
        asked: &CancelAllOrdersRequest,
        now: Instant,
    ) -> Result<(), Error> {
        let owner = self.may_cancel_of(caller, &asked.owner, &asked.reason)?;
        if let Some(error) = self.brakes.no_way()
            && self.book.live_of(&owner).into_iter().any(|id| self.may_see(caller, id).is_ok())
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
        let all = self.cancel_all_of(&owner, caller, &asked.reason, now);
        if all.orders.is_empty()
            && withdrawn.is_empty()
            && let Some((_, error)) = all.spared.first()
        {
            return Err(error.clone());
        }
        let orders = all.orders.iter().filter_map(|id| self.book.get(*id));
        let withdrawn = withdrawn.iter().map(prost::Message::encode_to_vec);
        let orders: Vec<_> =
            orders.map(|order| self.shown(&order.record)).chain(withdrawn).collect();
        if orders.is_empty() {
            // Each cancel is a line of its own, and this would leave none.
            self.done(caller, "CancelAllOrders", &owner, "", &asked.reason);
        }
        let mut answer = with_parts(&CancelAllOrdersResponse::default(), ORDERS, orders);
        self.put_spared(&mut answer, &all.spared);
        self.reply(call, Ok(Reply::Answer(answer.into())));
        Ok(())
    }

    /// Cancels for all live orders of an owner that this caller sees.
    pub(in crate::orders) fn cancel_all_of(
        &mut self,
        owner: &str,
        caller: &Caller,
        reason: &str,
        now: Instant,
    ) -> CancelledAll {
        self.cancel_each_of(owner, (Some(caller), caller), reason, |_| true, now)
    }

    /// The same, of those that are meant; of a caller who may be gone, for whom it is done then.
    pub(in crate::orders) fn cancel_each_of(
        &mut self,
        owner: &str,
        (caller, by): (Option<&Caller>, &Caller),
        reason: &str,
        meant: impl Fn(&OrderRecord) -> bool,
        now: Instant,
    ) -> CancelledAll {
        let mut all = CancelledAll::default();
        for id in self.book.live_of(owner) {
            let is_meant = self.book.get(id).is_some_and(|order| meant(&order.record));
            if !is_meant || self.may_see(by, id).is_err() {
                continue;
            }
            let audit = self.cancel_audit(by, owner, id, reason);
            match self.cancel_one(caller, id, None, audit, now) {
                Ok(_) => all.orders.push(id),
                Err(error) => all.spared.push((id, error)),
            }
            let ordered = caller.is_none() || by.principal.as_deref() != Some(owner);
            let key = self.departing(id, |what| what == What::Cancel).filter(|_| ordered);
            if let Some(departure) = key.and_then(|key| self.departures.get_mut(key)) {
                departure.ordered = true;
            }
        }
        all
    }

    /// Appends orders that live on to an answer.
    pub(super) fn put_spared(&self, answer: &mut Vec<u8>, spared: &[(i32, Error)]) {
        for (id, error) in spared {
            let Some(order) = self.book.get(*id) else {
                continue;
            };
            let one = SparedOrder { order: None, error: Some(error.clone()) };
            let one = with_parts(&one, ORDER, [self.shown(&order.record)]);
            put_part(answer, SPARED, &one);
        }
    }
}
