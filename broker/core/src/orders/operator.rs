//! What is asked of the desk, to whom it goes; and what people ask: who am I, what is there,
//! halt, resume, adopt, resolve. A refusal is audited as well.

use std::time::Instant;

use ibouncer_proto::api::v1::{
    AdoptTradingStateResponse, CancelEveryOrderRequest, GetOrderResponse, HaltTradingRequest,
    HaltTradingResponse, ListOrdersRequest, ListOrdersResponse, OrderEvent, OrderEventKind,
    OrderScope, OrderState as State, Resolution, ResolveOrderRequest, ResolveOrderResponse,
    ResumeTradingResponse, WatchOrdersResponse, WhoAmIResponse,
};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::change::not_found;
use super::journal::{Audit, Halt};
use super::leaving::{Departure, What};
use super::request::{OrderRequest, View};
use super::{Caller, Desk, Doing, Surroundings, view};
use crate::error::{self, Error};
use crate::hub::Reply;
use crate::ids::CallId;
use crate::notes::Severity;
use crate::pacing::Lane;
use crate::principals::{Principal, Role};
use crate::wire;

/// What an administrator types to cancel everything of everybody.
pub(super) const CONFIRMATION: &str = "cancel every order of every program";

/// Longest reason that is kept.
const LONGEST_REASON: usize = 500;

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
            OrderRequest::Place(raw) => self.place(caller, call, raw, false, around),
            OrderRequest::PlaceGroup(raw) => self.place(caller, call, raw, true, around),
            OrderRequest::Modify(raw) => self.modify(caller, call, raw, around),
            OrderRequest::Preview(raw) => self.preview(caller, call, raw, around),
            OrderRequest::Exercise(raw) => self.exercise(caller, call, raw, around),
            OrderRequest::Cancel(asked) => self.cancel(caller, call, asked, now),
            OrderRequest::CancelAll(asked) => self.cancel_all(caller, call, asked, now),
            OrderRequest::Get(asked) => {
                self.show_one(caller, call, &asked.owner, &asked.client_order_id)
            }
            OrderRequest::List(asked) => self.show_all(caller, call, asked),
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
            let looks_only = matches!(
                request,
                OrderRequest::Get(_) | OrderRequest::List(_) | OrderRequest::Watch { .. }
            );
            self.reply(call, Err(if looks_only { error } else { error::not_sent(error) }));
        }
    }

    fn refuse(&mut self, caller: &Caller, request: &OrderRequest, error: &Error) {
        let (what, owner, name) = named(request);
        if what.is_empty() {
            return;
        }
        self.doings.push_back(Doing::Audit(Box::new(Audit {
            client: caller.name.clone(),
            principal: caller.principal.clone().unwrap_or_default(),
            what,
            result: "refused",
            reason: format!("{}: {}", error.code, error.message),
            client_order_id: name,
            owner,
            ..Audit::default()
        })));
    }

    fn done(&mut self, caller: &Caller, what: &'static str, owner: &str, name: &str, reason: &str) {
        self.doings.push_back(Doing::Audit(Box::new(Audit {
            client: caller.name.clone(),
            principal: caller.principal.clone().unwrap_or_default(),
            what,
            result: "done",
            reason: reason.to_owned(),
            client_order_id: name.to_owned(),
            owner: owner.to_owned(),
            ..Audit::default()
        })));
    }

    fn principal_of(&self, caller: &Caller) -> Option<&Principal> {
        self.principals.get(caller.principal.as_deref()?)
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
        View { owner, accounts: accounts.unwrap_or_default() }
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
            .map(|order| view::order(&order.record, self.client_id));
        // What lies in an account that is not the caller's looks as if it did not exist.
        let order = Some(shown.ok_or_else(|| not_found(name))?);
        self.answer(call, &GetOrderResponse { order });
        Ok(())
    }

    fn show_all(
        &mut self,
        caller: &Caller,
        call: CallId,
        asked: &ListOrdersRequest,
    ) -> Result<(), Error> {
        let view = self.view_of(caller, asked.scope());
        let mut orders: Vec<_> = self
            .book
            .iter()
            .filter(|order| asked.ended || order.is_live())
            .filter(|order| view.shows(&order.record.owner, &order.record.account))
            .map(|order| view::order(&order.record, self.client_id))
            .collect();
        if asked.scope() == OrderScope::All {
            let foreign = self.book.foreign.values().filter(|one| {
                let account = one.told.order.as_ref().map_or("", |order| order.account());
                view.shows("", account)
            });
            orders.extend(foreign.map(view::foreign));
        }
        let through_sequence = self.telling.told_event();
        self.answer(call, &ListOrdersResponse { orders, through_sequence });
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
        let events = orders
            .map(|order| OrderEvent {
                sequence: order.record.sequence,
                at: Some(view::timestamp(order.record.updated_ms)),
                kind: OrderEventKind::Snapshot.into(),
                order: Some(view::order(&order.record, self.client_id)),
            })
            .collect();
        let first = WatchOrdersResponse { events, through_sequence };
        let first = first.encode_to_vec().into();
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

    fn halt(
        &mut self,
        caller: &Caller,
        call: CallId,
        asked: &HaltTradingRequest,
        now: Instant,
    ) -> Result<(), Error> {
        self.administrator(caller, "halts")?;
        self.only_enabled()?;
        let reason = checked_reason(&asked.reason)?;
        if !asked.client.is_empty() && !self.principals.contains_key(&asked.client) {
            let what = format!("there is no [clients.{}]", asked.client);
            return Err(error::order("INVALID_ARGUMENT", what));
        }
        let halt =
            Halt { reason: reason.clone(), by: caller.name.clone(), since_ms: self.millis(now) };
        self.facts.halts.insert(asked.client.clone(), halt);
        self.save_facts();
        // What waits for its turn is a new order still.
        self.withdraw_of(&asked.client, &reason, now);
        let mut cancels = 0;
        if asked.cancel_open {
            for owner in self.owners(&asked.client) {
                let open = self.book.live_count(&owner);
                if self.may_cancel() {
                    cancels += self.cancel_all_of(&owner, Some(caller), &reason, now).len();
                } else if open > 0 {
                    cancels += open;
                    self.owe_cancels(&owner, now);
                }
            }
        }
        let who = if asked.client.is_empty() { "all clients" } else { &asked.client };
        self.note(
            Severity::Warning,
            format!("trading of {who} was halted by {}: {reason}", caller.name),
        );
        self.done(caller, "HaltTrading", &asked.client, "", &reason);
        self.doings.push_back(Doing::StatusChanged);
        self.answer(call, &HaltTradingResponse { cancels: cancels as u32 });
        Ok(())
    }

    fn owners(&self, client: &str) -> Vec<String> {
        if !client.is_empty() {
            return vec![client.to_owned()];
        }
        let live = self.book.live();
        let mut owners: Vec<String> = live
            .iter()
            .filter_map(|id| self.book.get(*id))
            .map(|order| order.record.owner.clone())
            .collect();
        owners.dedup();
        owners.sort();
        owners.dedup();
        owners
    }

    fn withdraw_of(&mut self, client: &str, reason: &str, now: Instant) {
        let error = super::brakes::halted(&format!("trading was halted: {reason}"));
        let of_client = |owner: &str| client.is_empty() || owner == client;
        let keys: Vec<i32> = self
            .departures
            .iter()
            .filter(|(_, one)| matches!(one.what, What::Place | What::Modify | What::Exercise))
            .filter(|(_, one)| of_client(&one.audit.owner))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            self.take_back(key, &error, now);
        }
        let waiting = std::mem::take(&mut self.waiting);
        for one in waiting {
            if of_client(one.caller.principal.as_deref().unwrap_or_default()) {
                self.reply(one.call, Err(error.clone()));
            } else {
                self.waiting.push_back(one);
            }
        }
        self.ready = self.ready.min(self.waiting.len());
    }

    fn resume(
        &mut self,
        caller: &Caller,
        call: CallId,
        client: &str,
        reason: &str,
    ) -> Result<(), Error> {
        self.administrator(caller, "halts")?;
        self.only_enabled()?;
        let reason = checked_reason(reason)?;
        if self.facts.halts.remove(client).is_none() {
            let who = if client.is_empty() { "all clients".into() } else { format!("{client:?}") };
            let what = format!("no halt of {who} is in force");
            return Err(error::order("NOT_HALTED", what));
        }
        self.save_facts();
        self.note(Severity::Info, format!("a halt was ended by {}: {reason}", caller.name));
        self.done(caller, "ResumeTrading", client, "", &reason);
        self.ready = self.waiting.len();
        self.doings.push_back(Doing::StatusChanged);
        self.answer(call, &ResumeTradingResponse {});
        Ok(())
    }

    fn adopt_state(
        &mut self,
        caller: &Caller,
        call: CallId,
        reason: &str,
        accounts: &[String],
    ) -> Result<(), Error> {
        self.administrator(caller, "the journal's state")?;
        self.only_enabled()?;
        let reason = checked_reason(reason)?;
        if self.brakes.doubts.contains_key(&super::brakes::Doubt::Damaged) {
            return Err(error::order(
                "TRADING_HALTED",
                "the journal cannot be read: repair it or move it away, and start the broker anew",
            ));
        }
        let adopted: Vec<String> = std::mem::take(&mut self.brakes.doubts).into_values().collect();
        if !accounts.is_empty() {
            self.facts.accounts = accounts.to_vec();
            self.facts.accounts.sort();
        }
        self.next_id = self.next_id.max(self.facts.floor + 1);
        self.save_facts();
        self.note(
            Severity::Warning,
            format!("the journal's state was adopted by {}: {reason}", caller.name),
        );
        self.done(caller, "AdoptTradingState", "", "", &reason);
        self.ready = self.waiting.len();
        self.doings.push_back(Doing::StatusChanged);
        self.answer(call, &AdoptTradingStateResponse { adopted });
        Ok(())
    }

    fn resolve(
        &mut self,
        caller: &Caller,
        call: CallId,
        asked: &ResolveOrderRequest,
        now: Instant,
    ) -> Result<(), Error> {
        self.administrator(caller, "resolutions")?;
        let reason = checked_reason(&asked.reason)?;
        let next = match asked.resolution() {
            Resolution::Filled => State::Filled,
            Resolution::Cancelled => State::Cancelled,
            Resolution::NeverArrived => State::NotSent,
            Resolution::Unspecified => {
                let what = "resolution is missing: filled, cancelled or never-arrived";
                return Err(error::order("INVALID_ARGUMENT", what));
            }
        };
        let id = self.own(&asked.owner, &asked.client_order_id)?;
        let Some(order) = self.book.get_mut(id).filter(|one| one.state() == State::Unknown) else {
            return Err(error::order(
                "INVALID_ARGUMENT",
                format!(
                    "order {:?} of {:?} is not UNKNOWN; only those are resolved by a person",
                    asked.client_order_id, asked.owner
                ),
            ));
        };
        let because = format!("{} says so: {reason}", caller.name);
        let change = ibouncer_proto::api::v1::ChangeState::Failed;
        order.move_change(change, "the order was resolved by a person", 0);
        if order.transition(next, &because) == Ok(true) {
            self.tell(id, OrderEventKind::State, now);
        }
        self.done(caller, "ResolveOrder", &asked.owner, &asked.client_order_id, &reason);
        self.doings.push_back(Doing::StatusChanged);
        self.answer(call, &ResolveOrderResponse {});
        Ok(())
    }

    fn cancel_every(
        &mut self,
        caller: &Caller,
        call: CallId,
        asked: &CancelEveryOrderRequest,
    ) -> Result<(), Error> {
        self.administrator(caller, "all orders of the login")?;
        self.only_enabled()?;
        let reason = checked_reason(&asked.reason)?;
        if asked.confirmation != CONFIRMATION {
            let what = format!("confirmation must be {CONFIRMATION:?}");
            return Err(error::order("INVALID_ARGUMENT", what));
        }
        if self.brakes.road == super::brakes::Road::Down {
            return Err(error::order_later("NOT_READY", "there is no session with Gateway"));
        }
        let audit = self.audit(caller, What::CancelEvery, "", "", 0, b"");
        let audit = Audit { reason: reason.clone(), ..audit };
        let frames = wire::message(id::REQ_GLOBAL_CANCEL, &tws::GlobalCancelRequest::default());
        let departure = Departure::new(What::CancelEvery, Vec::new(), audit);
        let what = ("reqGlobalCancel", String::new());
        self.push(Lane::OrderCancel, caller, departure, frames, what);
        let text = format!("{} cancels every order of the login: {reason}", caller.name);
        self.note(Severity::Warning, text);
        self.answer(call, &ibouncer_proto::api::v1::CancelEveryOrderResponse {});
        Ok(())
    }

    fn only_enabled(&self) -> Result<(), Error> {
        if self.settings.enabled {
            return Ok(());
        }
        Err(error::trading_closed(
            "TRADING_OFF",
            error::Retry::Never,
            "trading is off (trading.enabled = false): there is nothing to halt or to adopt",
        ))
    }
}

fn checked_reason(reason: &str) -> Result<String, Error> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON {
        let what = format!("reason must have 1 to {LONGEST_REASON} characters: say why");
        return Err(error::order("INVALID_ARGUMENT", what));
    }
    Ok(reason.chars().filter(|one| !one.is_control()).collect())
}

/// What a request is about, for the audit log; nothing for those that only look.
fn named(request: &OrderRequest) -> (&'static str, String, String) {
    let none = String::new;
    match request {
        OrderRequest::Place(_) | OrderRequest::PlaceGroup(_) => ("PlaceOrder", none(), none()),
        OrderRequest::Modify(_) => ("ModifyOrder", none(), none()),
        OrderRequest::Preview(_) => ("PreviewOrder", none(), none()),
        OrderRequest::Exercise(_) => ("ExerciseOptions", none(), none()),
        OrderRequest::Cancel(asked) => {
            ("CancelOrder", asked.owner.clone(), asked.client_order_id.clone())
        }
        OrderRequest::CancelAll(asked) => ("CancelAllOrders", asked.owner.clone(), none()),
        OrderRequest::Halt(asked) => ("HaltTrading", asked.client.clone(), none()),
        OrderRequest::Resume(asked) => ("ResumeTrading", asked.client.clone(), none()),
        OrderRequest::AdoptState(_) => ("AdoptTradingState", none(), none()),
        OrderRequest::Resolve(asked) => {
            ("ResolveOrder", asked.owner.clone(), asked.client_order_id.clone())
        }
        OrderRequest::CancelEvery(_) => ("CancelEveryOrder", none(), none()),
        OrderRequest::Get(asked) => {
            ("GetOrder", asked.owner.clone(), asked.client_order_id.clone())
        }
        OrderRequest::List(_) | OrderRequest::Watch { .. } | OrderRequest::WhoAmI => {
            ("", none(), none())
        }
    }
}
