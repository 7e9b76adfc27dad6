//! Taking back what waits to be taken in, because it is cancelled.

use ibouncer_proto::api::v1::{self, OrderScope, OrderState as State};
use prost::Message as _;

use super::placement::read;
use super::request::OrderRequest;
use super::waiting::Waiting;
use crate::error;
use crate::orders::journal::Audit;
use crate::orders::leaving::departures::What;
use crate::orders::{Caller, Desk, Doing};

impl Desk {
    /// Nothing of this name has left or may have, and a call could still make it leave.
    pub(super) fn is_unsent(&self, owner: &str, name: &str) -> bool {
        let known = self.book.named(owner, name).and_then(|id| self.book.get(id));
        known.is_none_or(crate::orders::book::order::Order::may_leave_after_all)
    }

    /// What waits, and has never left, is not taken in any more; a call that was made again for an
    /// order that has goes on to wait for its answer.
    pub(super) fn withdraw_waiting(
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
