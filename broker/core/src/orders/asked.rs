//! What is asked of the desk, and to whom it goes; and what only looks: who am I, what is there.
//! A refusal is audited as well (`asked/audited.rs`).
//!
//! Read on in `asked/request.rs` (what there is to ask), `asked/authority.rs` (who may act on whose),
//! `asked/waiting.rs` (before it is taken in), `asked/place.rs` with `asked/placement.rs` (one order and
//! groups), `asked/change.rs`, `asked/cancel.rs`, `asked/cancel_all.rs` with `asked/withdraw.rs`,
//! `asked/preview.rs`, `asked/exercise.rs`, and `asked/operator.rs` (halts, resolving, adopting).

mod audited;
mod authority;
pub(super) mod cancel;
pub(super) mod cancel_all;
mod change;
mod exercise;
pub(super) mod operator;
pub(super) mod place;
pub(super) mod placement;
pub(super) mod preview;
mod refusals;
pub mod request;
pub(super) mod waiting;
mod withdraw;

use std::time::Instant;

use ibouncer_proto::api::v1::{
    GetOrderResponse, ListOrdersRequest, ListOrdersResponse, OrderEvent, OrderEventKind,
    OrderScope, WatchOrdersResponse, WhoAmIResponse,
};

use super::body::patch::with_parts;
use super::brakes::Road;
use super::journal::OrderRecord;
use super::telling::view;
use super::{Caller, Desk, Surroundings};
use crate::accounts::hide_others;
use crate::error::{self, Delivery, Error};
use crate::hub::Reply;
use crate::ids::CallId;
use crate::principals::{Principal, Role};
use refusals::not_found;
use request::{OrderRequest, View};

/// Where every response about orders has them.
const ORDERS: u32 = 1;

impl Desk {
    /// Somebody asks.
    pub(crate) fn handle(
        &mut self,
        caller: &Caller,
        call: CallId,
        request: &OrderRequest,
        around: Surroundings<'_>,
    ) {
        let now = around.now;
        let done = match request {
            _ if self.blind.is_some() && is_about_known(request) => Err(self.nothing_is_known()),
            OrderRequest::Place(raw) => self.place(caller, call, raw, false, around),
            OrderRequest::PlaceGroup(raw) => self.place(caller, call, raw, true, around),
            OrderRequest::Modify(raw) => self.modify(caller, call, raw, around),
            OrderRequest::Preview(raw) => self.preview(caller, call, raw, around),
            OrderRequest::Exercise(raw) => self.exercise(caller, call, raw, around),
            OrderRequest::Cancel(raw) => self.cancel(caller, call, raw, now),
            OrderRequest::CancelAll(asked) => self.cancel_all(caller, call, asked, now),
            OrderRequest::Get(asked) => {
                self.show_one(caller, call, &asked.owner, &asked.client_order_id)
            }
            OrderRequest::List(asked) => self.show_all(caller, call, asked, now),
            OrderRequest::Watch { scope, snapshot } => self.watch(caller, call, *scope, *snapshot),
            OrderRequest::WhoAmI => {
                self.who_am_i(caller, call);
                Ok(())
            }
            OrderRequest::Halt(asked) => self.halt(caller, call, asked, now),
            OrderRequest::Resume(asked) => self.resume(caller, call, &asked.client, &asked.reason),
            OrderRequest::AdoptState(asked) => {
                self.adopt_state(caller, call, &asked.reason, around.accounts)
            }
            OrderRequest::Resolve(asked) => self.resolve(caller, call, asked, now),
            OrderRequest::CancelEvery(asked) => self.cancel_every(caller, call, asked),
        };
        if let Err(error) = done {
            self.refuse(caller, request, &error);
            self.reply(call, Err(self.with_delivery(request, error)));
        }
    }

    /// What a refusal says about the order itself.
    fn with_delivery(&self, request: &OrderRequest, error: Error) -> Error {
        match request {
            OrderRequest::Get(_) | OrderRequest::List(_) | OrderRequest::Watch { .. } => error,
            _ if error.delivery() == Delivery::MaybeSent => error,
            // The same call may have placed it before, and nobody here would know.
            OrderRequest::Place(_) | OrderRequest::PlaceGroup(_) | OrderRequest::Exercise(_)
                if self.blind.is_some() || self.brakes.forgets_orders() =>
            {
                error::maybe_sent_before(error)
            }
            _ => error::not_sent(error),
        }
    }

    /// Of a journal that could not be read: an empty list would say that there is no order.
    fn nothing_is_known(&self) -> Error {
        let what = format!(
            "which orders there are is not known, and none can be cancelled by name: {}. Orders at IB \
             live on; `ibouncer cancel --every-order`, or TWS, ends them",
            self.blind.as_deref().unwrap_or_default()
        );
        error::trading_closed("JOURNAL_DAMAGED", error::Retry::Never, &what)
    }

    /// An order as it stands now, in its owner's terms, encoded.
    pub(super) fn shown(&self, record: &OrderRecord) -> Vec<u8> {
        let lives = self.book.get(record.order_id).is_some_and(|order| order.is_live());
        let unreachable = lives && self.brakes.road == Road::Alternate;
        view::order(record, self.client_id, unreachable)
    }

    /// Answers with orders in the field that all these responses have for them.
    pub(super) fn answer_orders(
        &mut self,
        call: CallId,
        response: &impl prost::Message,
        orders: impl IntoIterator<Item = Vec<u8>>,
    ) {
        let answer = with_parts(response, ORDERS, orders);
        self.reply(call, Ok(Reply::Answer(answer.into())));
    }

    /// What this caller sees of this scope.
    pub(crate) fn view_of(&self, caller: &Caller, scope: OrderScope) -> View {
        let accounts = self.principal_of(caller).map(|one| one.accounts.clone());
        let owner = match scope {
            OrderScope::Unspecified | OrderScope::Own => {
                Some(caller.principal.clone().unwrap_or_default())
            }
            OrderScope::All | OrderScope::Session => None,
        };
        let own = caller.principal.clone().unwrap_or_default();
        View { own, owner, accounts: accounts.unwrap_or_default() }
    }

    fn show_one(
        &mut self,
        caller: &Caller,
        call: CallId,
        owner: &str,
        name: &str,
    ) -> Result<(), Error> {
        let own = caller.principal.clone().unwrap_or_default();
        let owner = if owner.is_empty() { own } else { owner.to_owned() };
        let view = self.view_of(caller, OrderScope::All);
        let order = self.book.named(&owner, name).and_then(|id| self.book.get(id));
        let shown = order
            .filter(|order| view.shows(&owner, &order.record.account))
            .map(|order| self.shown(&order.record));
        // What lies in an account that is not the caller's looks as if it did not exist.
        let order = shown.ok_or_else(|| not_found(name))?;
        self.answer_orders(call, &GetOrderResponse::default(), [order]);
        Ok(())
    }

    fn show_all(
        &mut self,
        caller: &Caller,
        call: CallId,
        asked: &ListOrdersRequest,
        now: Instant,
    ) -> Result<(), Error> {
        let scope = request::scope(asked.scope)?;
        let view = self.view_of(caller, scope);
        let mut orders: Vec<_> = self
            .book
            .iter()
            .filter(|order| asked.ended || order.is_live())
            .filter(|order| view.shows(&order.record.owner, &order.record.account))
            .map(|order| self.shown(&order.record))
            .collect();
        if scope == OrderScope::All {
            let foreign = self.book.foreign.values().filter(|one| {
                let account = one.told.order.as_ref().map_or("", |order| order.account());
                view.shows("", account)
            });
            orders.extend(foreign.map(view::foreign));
            // Gateway tells of orders of others only when it is asked.
            self.look_again(now);
        }
        let through_sequence = self.telling.told_event();
        let response = ListOrdersResponse { through_sequence, ..Default::default() };
        self.answer_orders(call, &response, orders);
        Ok(())
    }

    fn watch(
        &mut self,
        caller: &Caller,
        call: CallId,
        scope: OrderScope,
        snapshot: bool,
    ) -> Result<(), Error> {
        let view = self.view_of(caller, scope);
        let through_sequence = self.telling.told_event();
        let live = self.book.live();
        let orders = live
            .iter()
            .filter_map(|id| self.book.get(*id))
            .filter(|order| snapshot && view.shows(&order.record.owner, &order.record.account));
        let events = orders.map(|order| {
            let event = OrderEvent {
                sequence: order.record.sequence,
                at: Some(view::timestamp(order.record.updated_ms)),
                kind: OrderEventKind::Snapshot.into(),
                order: None,
            };
            with_parts(&event, view::EVENT_ORDER, [self.shown(&order.record)])
        });
        let first = WatchOrdersResponse { through_sequence, ..Default::default() };
        let first = with_parts(&first, 1, events).into();
        self.reply(call, Ok(Reply::Watch(first, through_sequence, view)));
        Ok(())
    }

    fn who_am_i(&mut self, caller: &Caller, call: CallId) {
        let trader = self.trader(caller);
        let principal = self.principal_of(caller).cloned().unwrap_or_default();
        let role = if caller.operator { Role::Admin } else { principal.role };
        let limits = &principal.limits;
        let shown = [
            ("max_quantity", limits.quantity.map(|one| one.to_string())),
            ("max_notional", limits.notional.map(|one| one.to_string())),
            ("max_open_orders", limits.open_orders.map(|one| one.to_string())),
            ("max_orders_per_minute", limits.orders_per_minute.map(|one| one.to_string())),
            ("price_band", limits.price_band.map(|one| format!("{one} %"))),
        ];
        let response = WhoAmIResponse {
            client: caller.name.clone(),
            principal: caller.principal.clone().unwrap_or_default(),
            role: role.name().into(),
            credential: caller.credential.clone(),
            may_trade: trader.is_ok(),
            because: trader.err().map(|error| error.message).unwrap_or_default(),
            accounts: principal.accounts,
            security_types: principal.security_types,
            symbols: principal.symbols,
            limits: shown
                .into_iter()
                .filter_map(|(key, value)| Some((key.to_owned(), value?)))
                .collect(),
        };
        self.answer(call, &response);
    }

    /// What closes trading may name accounts that are not this caller's.
    pub(super) fn as_seen_by(&self, caller: &Caller, error: Error) -> Error {
        match self.principal_of(caller) {
            Some(one) if !one.accounts.is_empty() => {
                Error { message: hide_others(&error.message, &one.accounts), ..error }
            }
            _ => error,
        }
    }

    pub(super) fn principal_of(&self, caller: &Caller) -> Option<&Principal> {
        self.principals.get(caller.principal.as_deref()?)
    }
}

/// Is it about orders that were placed before?
fn is_about_known(request: &OrderRequest) -> bool {
    matches!(
        request,
        OrderRequest::Modify(_)
            | OrderRequest::Cancel(_)
            | OrderRequest::CancelAll(_)
            | OrderRequest::Get(_)
            | OrderRequest::List(_)
            | OrderRequest::Watch { .. }
            | OrderRequest::Resolve(_)
    )
}
