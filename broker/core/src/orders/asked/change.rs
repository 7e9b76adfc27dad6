//! Changing orders that were taken in.
//!
//! A modification is a placement on the wire: it leaves only for an order that Gateway has told
//! of in this session, with its permId, contract and side unchanged. It waits for its share of the
//! queue as a placement does, and never for trading to open: what it was meant for may be over then.

use std::time::Instant;

use bytes::Bytes;
use ibouncer_proto::api::v1::{self, ChangeKind, ChangeState, OrderEventKind, OrderState as State};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::authority::Acting;
use super::place::Admitted;
use super::placement::{is_held, unreadable};
use super::refusals::{ended, not_found};
use super::request::OrderRequest;
use crate::checks;
use crate::error::{self, Error};
use crate::ids::CallId;
use crate::orders::body::patch::{Put, part, patched};
use crate::orders::body::{self, Purpose, UpstreamIds, versions};
use crate::orders::evidence::answered::is_being_cancelled;
use crate::orders::journal::{Audit, Change};
use crate::orders::leaving::departures::{Ask, Departure, What};
use crate::orders::rights::{self, Known};
use crate::orders::session::is_held_back;
use crate::orders::{Caller, Desk, Surroundings};
use crate::pacing::Lane;
use crate::principals::WhenAway;
use crate::wire;

/// Field of `PlaceOrderRequest`.
const CONTRACT: u32 = 2;

impl Desk {
    pub(in crate::orders) fn modify(
        &mut self,
        caller: &Caller,
        call: CallId,
        raw: &Bytes,
        around: Surroundings<'_>,
    ) -> Result<(), Error> {
        let asked = v1::ModifyOrderRequest::decode(&raw[..]).map_err(unreadable)?;
        let acting = self.may_change_of(caller, &asked.owner, &asked.reason)?;
        let Acting { owner, principal, reason } = acting;
        // Whose trading is halted does not trade with the orders of others either.
        if let Some(error) = self.halt_of("this client", caller.principal.as_deref().unwrap_or("-"))
        {
            return Err(self.as_seen_by(caller, error));
        }
        let body = part(raw, 2).map_err(unreadable)?.unwrap_or_default();
        let request = body::checked_change(&body)?;
        let order_id = self.own(&owner, &asked.client_order_id)?;
        self.may_see(caller, order_id)?;
        let when_away = match principal.when_away {
            WhenAway::Queue => WhenAway::Reject,
            other => other,
        };
        let again = || OrderRequest::Modify(raw.clone());
        match self.admit(&owner, when_away, call, caller, Vec::new(), again)? {
            Admitted::Later => return Ok(()),
            Admitted::Now => {}
        }
        if let Err(error) = self.may_modify(order_id, &request) {
            if matches!(&error.code[..], "ORDER_UNKNOWN" | "CHANGE_PENDING") {
                self.look_again(around.now);
            }
            return Err(error);
        }
        versions::check(&request, around.server_version)?;
        let contract = request.contract.clone().unwrap_or_default();
        let order = request.order.clone().unwrap_or_default();
        // It is one of the open ones already.
        let known = self.known_of(&owner, &around, (around.quote)(&contract));
        let known = Known { open_orders: 0, ..known };
        // The pace of an administrator is not the owner's.
        let own = reason.is_empty();
        let known = if own { known } else { Known { last_minute: 0, ..known } };
        rights::check(&self.settings, &principal, known, &contract, &order)?;
        let name = asked.client_order_id;
        let audit = self.audit(caller, What::Modify, &owner, &name, order_id, &body);
        let audit = Audit { reason, ..audit };
        let Some(order) = self.book.get_mut(order_id) else {
            return Err(not_found(&name));
        };
        let ids = UpstreamIds {
            order: order_id,
            parent: order.record.parent_id,
            ..UpstreamIds::default()
        };
        // In the words in which it was placed: they stay what a later change is compared with.
        let words = part(&order.record.request, CONTRACT).map_err(unreadable)?.unwrap_or_default();
        let body = patched(&body, &[(CONTRACT, Put::Bytes(words))]).map_err(unreadable)?;
        let body = body::with_account_of(&body, &order.record.request).map_err(unreadable)?;
        let body = body::with_unknown_of(&body, &order.record.request).map_err(unreadable)?;
        let told = tws::Order::decode(&order.record.told_order[..]).unwrap_or_default();
        let purpose = Purpose::Change { group: told.oca_group() };
        let tag = body::tag(&self.facts.journal_id, order_id);
        let frame_body = body::upstream(&body, ids, &owner, &tag, purpose).map_err(unreadable)?;
        order.begin_change(ChangeKind::Modify, &body, audit.by_another());
        let mut departure =
            Departure::new(What::Modify, vec![order_id], audit).waiter(Some((call, Ask::Modify)));
        departure.held = is_held(&request);
        let frames = wire::unkeyed(id::PLACE_ORDER, &frame_body);
        self.push(Lane::Order, caller, departure, frames, ("placeOrder", checks::label(&contract)));
        if own {
            self.pace.count(&owner, 1, around.now);
        }
        Ok(())
    }

    fn may_modify(&self, order_id: i32, request: &tws::PlaceOrderRequest) -> Result<(), Error> {
        let Some(order) = self.book.get(order_id) else {
            return Err(not_found(""));
        };
        let record = &order.record;
        let name = &record.client_order_id;
        match order.state() {
            State::Intent => {
                let what = format!("order {name:?} has not left yet; cancel it, or wait");
                return Err(error::order_later("NOT_LEFT", what));
            }
            State::Unknown => {
                let what = format!(
                    "order {name:?} is UNKNOWN ({}): a change of it could place it again. It is \
                     looked for; cancel it if in doubt",
                    record.because
                );
                return Err(error::order_later("ORDER_UNKNOWN", what));
            }
            _ if !order.is_live() => return Err(ended(name, order.state())),
            _ => {}
        }
        if request.attached_orders.is_some() {
            return Err(error::invalid(
                "request.attached_orders is set: Gateway attaches orders to a new one only",
            ));
        }
        if let Some(change) = order.pending() {
            let what = format!(
                "order {name:?} has a change that Gateway has not answered ({}, {}): wait for it",
                change.kind().as_str_name().trim_start_matches("CHANGE_KIND_"),
                change.state().as_str_name().trim_start_matches("CHANGE_STATE_"),
            );
            return Err(error::order_later("CHANGE_PENDING", what));
        }
        if self.epoch.is_some_and(|epoch| order.overtaken_in(epoch).is_some()) {
            let what = format!(
                "order {name:?} has a modification that Gateway has not answered, behind a cancel \
                 that it has refused: wait for it"
            );
            return Err(error::order_later("CHANGE_PENDING", what));
        }
        let seen = self.epoch.is_some_and(|epoch| order.is_seen_in(epoch));
        if !seen || record.perm_id == 0 {
            let what = format!(
                "Gateway has not told of order {name:?} in this session yet, and a change of it \
                 could place it again; Gateway is being asked"
            );
            return Err(error::order_later("ORDER_UNKNOWN", what));
        }
        if let Some(error) = self.away(order_id).or_else(|| self.is_contested(order_id)) {
            return Err(error);
        }
        if record.exercise {
            return Err(error::order("INVALID_ARGUMENT", "an exercise can be cancelled only"));
        }
        let before = tws::PlaceOrderRequest::decode(&record.request[..]).unwrap_or_default();
        let told = tws::Contract::decode(&record.told_contract[..]).unwrap_or_default();
        let new = checks::plain(&request.contract.clone().unwrap_or_default());
        let same = |old: &tws::Contract| checks::plain(old) == new;
        if !same(&before.contract.unwrap_or_default()) && !same(&told) {
            return Err(error::order(
                "INVALID_ARGUMENT",
                "the contract differs from the order's: a change keeps it, cancel and place anew",
            ));
        }
        let (old, new) =
            (before.order.unwrap_or_default(), request.order.clone().unwrap_or_default());
        // Left out, it stays as it was placed.
        let same_account = ["", old.account(), &record.account[..]].contains(&new.account());
        if old.action() != new.action() || !same_account {
            return Err(error::order(
                "INVALID_ARGUMENT",
                "action or account differ from the order's: a change keeps them",
            ));
        }
        Ok(())
    }

    /// What waits to change an order that has ended meanwhile does not leave.
    pub(in crate::orders) fn take_back_change(&mut self, order_id: i32, now: Instant) {
        let changes = |what| matches!(what, What::Modify | What::Cancel);
        if let Some(key) = self.departing(order_id, changes) {
            let because = error::order("ORDER_ENDED", "the order has ended meanwhile");
            self.take_back(key, &because, now);
        }
    }

    /// The frame of this kind in which this order waits for its turn or for the disk.
    pub(in crate::orders) fn departing(
        &self,
        order_id: i32,
        kind: impl Fn(What) -> bool,
    ) -> Option<i32> {
        let found = self.departures.iter().find(|(_, one)| kind(one.what) && one.holds(order_id));
        found.map(|(key, _)| key)
    }

    pub(in crate::orders) fn own(&self, owner: &str, client_order_id: &str) -> Result<i32, Error> {
        self.book.named(owner, client_order_id).ok_or_else(|| not_found(client_order_id))
    }

    /// Gateway has not answered a change in time: it is looked for.
    pub(in crate::orders) fn on_unanswered(&mut self, id: i32, now: Instant) {
        let Some(order) = self.book.get_mut(id) else {
            return;
        };
        let epoch = self.epoch.unwrap_or_default();
        match order.pending().map(Change::state) {
            None if order.overtaken_in(epoch).is_some() || is_held_back(order, epoch) => {
                return self.reconciler.begin();
            }
            Some(ChangeState::Waiting) | None => return,
            Some(_) => {}
        }
        let ending = order.pending().is_some_and(|change| change.kind() == ChangeKind::Cancel)
            && is_being_cancelled(&order.record);
        let what = match ending {
            true => "Gateway says that it is being cancelled, and no end has come in time",
            false => "Gateway has not answered in time",
        };
        if order.move_change(ChangeState::Unknown, what, 0) {
            self.tell(id, OrderEventKind::Change, now);
            self.reconciler.begin();
        }
    }
}
