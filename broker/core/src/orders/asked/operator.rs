//! What people order of the desk: halt, resume, adopt, resolve, cancel everything. Each with a
//! reason, and audited.

use std::time::Instant;

use ibouncer_proto::api::v1::{
    AdoptTradingStateResponse, CancelEveryOrderRequest, HaltTradingRequest, HaltTradingResponse,
    OrderEventKind, OrderState as State, Resolution, ResolveOrderRequest, ResolveOrderResponse,
    ResumeTradingResponse,
};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use crate::accounts::mask_accounts;
use crate::error::{self, Error, Retry, Source};
use crate::ids::CallId;
use crate::notes::Severity;
use crate::orders::book::order::Order;
use crate::orders::journal::{Audit, Halt, OrderRecord};
use crate::orders::leaving::departures::{Departure, What};
use crate::orders::{Caller, Desk, Doing};
use crate::pacing::Lane;
use crate::wire;

/// What an administrator types to cancel everything of everybody.
pub(in crate::orders) const CONFIRMATION: &str = "cancel every order of every program";

/// Longest reason that is kept.
const LONGEST_REASON: usize = 500;

impl Desk {
    /// Writes down that something was done for which nothing leaves.
    pub(in crate::orders) fn done(
        &mut self,
        caller: &Caller,
        what: &'static str,
        owner: &str,
        name: &str,
        reason: &str,
    ) {
        self.doings.push_back(Doing::Audit(Box::new(Audit {
            what,
            result: "done",
            reason: reason.to_owned(),
            client_order_id: name.to_owned(),
            owner: owner.to_owned(),
            ..Audit::by(caller)
        })));
    }

    pub(in crate::orders) fn halt(
        &mut self,
        caller: &Caller,
        call: CallId,
        asked: &HaltTradingRequest,
        now: Instant,
    ) -> Result<(), Error> {
        self.administrator(caller, "a halt is for administrators to order")?;
        self.only_enabled()?;
        let reason = checked_reason(&asked.reason)?;
        if !asked.client.is_empty() && !self.principals.contains_key(&asked.client) {
            let what = format!("there is no [clients.{}]", asked.client);
            return Err(error::order("INVALID_ARGUMENT", what));
        }
        let halt = Halt {
            reason: reason.clone(),
            by: caller.shown().to_owned(),
            since_ms: self.millis(now),
        };
        let before = self.facts.halts.get(&asked.client);
        if !before.is_some_and(|before| self.is_not_its_own_to_end(caller, &asked.client, before)) {
            self.facts.halts.insert(asked.client.clone(), halt);
        }
        self.save_facts();
        // What waits for its turn is a new order still.
        let halted = crate::orders::brakes::halted(&format!("trading was halted: {reason}"));
        self.withdraw_of(&asked.client, &halted, now);
        let (mut cancels, mut spared) = (0, Vec::new());
        if asked.cancel_open {
            for owner in self.owners(&asked.client) {
                let seen = |id: &i32| self.may_see(caller, *id).is_ok();
                let open = self.book.live_of(&owner).iter().filter(|id| seen(id)).count();
                if self.may_cancel() {
                    let all = self.cancel_all_of(&owner, caller, &reason, now);
                    cancels += all.orders.len();
                    spared.extend(all.spared);
                    // Until the last of it has left it is on disk.
                    if self.any_elsewhere(&owner) || self.is_on_its_way(&owner) {
                        self.owe_ordered(&owner, caller, &reason, now);
                    }
                } else if open > 0 {
                    cancels += open;
                    self.owe_ordered(&owner, caller, &reason, now);
                }
            }
        }
        let who = if asked.client.is_empty() { "all clients" } else { &asked.client };
        self.note(
            Severity::Warning,
            format!("trading of {who} was halted by {}: {reason}", caller.shown()),
        );
        self.done(caller, "HaltTrading", &asked.client, "", &reason);
        self.doings.push_back(Doing::StatusChanged);
        let answer = HaltTradingResponse { cancels: cancels as u32, spared: Vec::new() };
        let mut answer = answer.encode_to_vec();
        self.put_spared(&mut answer, &spared);
        self.answer_once_written(call, answer);
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

    fn withdraw_of(&mut self, client: &str, error: &Error, now: Instant) {
        // Of its own orders, and what it changes of others'.
        let is_client = |name: &str| client.is_empty() || name == client;
        let of_client = |owner: &str, caller: &Caller| {
            is_client(owner) || caller.principal.as_deref().is_some_and(is_client)
        };
        let keys: Vec<i32> = self
            .departures
            .iter()
            .filter(|(_, one)| matches!(one.what, What::Place | What::Modify | What::Exercise))
            .filter(|(_, one)| of_client(&one.audit.owner, &one.caller))
            .map(|(key, _)| key)
            .collect();
        for key in keys {
            self.take_back(key, error, now);
        }
        for one in self.waiting.take_out(|one| of_client(&one.owner, &one.caller)) {
            self.refuse(&one.caller, &one.request, error);
            self.reply(one.call, Err(error.clone()));
        }
    }

    /// A halt of an administrator that another one has ordered.
    fn is_not_its_own_to_end(&self, caller: &Caller, client: &str, halt: &Halt) -> bool {
        let is_halted = caller.principal.as_deref() == Some(client) && !caller.operator;
        is_halted && halt.by != caller.shown()
    }

    pub(in crate::orders) fn resume(
        &mut self,
        caller: &Caller,
        call: CallId,
        client: &str,
        reason: &str,
    ) -> Result<(), Error> {
        self.administrator(caller, "a halt is for administrators to end")?;
        if client.is_empty() {
            // Anybody may brake for all; to let go is another matter.
            self.everywhere(caller)?;
        }
        self.only_enabled()?;
        let reason = checked_reason(reason)?;
        if let Some(halt) = self.facts.halts.get(client)
            && self.is_not_its_own_to_end(caller, client, halt)
        {
            let by = &halt.by;
            let what =
                format!("{by} has halted this client: {by} or another administrator ends that");
            return Err(error::error("RIGHT_DENIED", Source::Broker, Retry::Never, what));
        }
        if self.facts.halts.remove(client).is_none() {
            let who = if client.is_empty() { "all clients".into() } else { format!("{client:?}") };
            let what = format!("no halt of {who} is in force");
            return Err(error::order("NOT_HALTED", what));
        }
        self.save_facts();
        self.note(Severity::Info, format!("a halt was ended by {}: {reason}", caller.shown()));
        self.done(caller, "ResumeTrading", client, "", &reason);
        self.waiting.try_all();
        self.doings.push_back(Doing::StatusChanged);
        self.answer_once_written(call, ResumeTradingResponse {}.encode_to_vec());
        Ok(())
    }

    pub(in crate::orders) fn adopt_state(
        &mut self,
        caller: &Caller,
        call: CallId,
        reason: &str,
        accounts: &[String],
    ) -> Result<(), Error> {
        self.administrator(caller, "the journal's state is for administrators to adopt")?;
        self.everywhere(caller)?;
        self.only_enabled()?;
        let reason = checked_reason(reason)?;
        if self.brakes.doubts.contains_key(&crate::orders::brakes::Doubt::Damaged) {
            return Err(error::order(
                "TRADING_HALTED",
                "the journal cannot be read: repair it or move it away, and start the broker anew",
            ));
        }
        if !accounts.is_empty() {
            self.keep_logins(accounts);
            self.facts.accounts = accounts.to_vec();
            self.facts.accounts.sort();
        }
        self.next_id = self.next_id.max(self.facts.floor + 1);
        self.facts.settled = true;
        let adopted = self.end_doubts();
        self.note(
            Severity::Warning,
            format!("the journal's state was adopted by {}: {reason}", caller.shown()),
        );
        self.done(caller, "AdoptTradingState", "", "", &reason);
        self.waiting.try_all();
        self.doings.push_back(Doing::StatusChanged);
        self.answer_once_written(call, AdoptTradingStateResponse { adopted }.encode_to_vec());
        Ok(())
    }

    pub(in crate::orders) fn resolve(
        &mut self,
        caller: &Caller,
        call: CallId,
        asked: &ResolveOrderRequest,
        now: Instant,
    ) -> Result<(), Error> {
        self.administrator(caller, "an order is for administrators to resolve")?;
        let reason = checked_reason(&asked.reason)?;
        let next = match asked.resolution() {
            Resolution::Filled => State::Filled,
            Resolution::Cancelled => State::Cancelled,
            Resolution::NeverArrived => State::NotSent,
            Resolution::Unspecified => {
                let what = format!(
                    "resolution is {}: use 1 (filled), 2 (cancelled) or 3 (never arrived)",
                    asked.resolution
                );
                return Err(error::order("INVALID_ARGUMENT", what));
            }
        };
        let id = self.own(&asked.owner, &asked.client_order_id)?;
        self.may_see(caller, id)?;
        if next == State::NotSent {
            self.may_never_have_arrived(id)?;
        }
        let Some(order) = self.book.get_mut(id).filter(|one| one.state() == State::Unknown) else {
            return Err(error::order(
                "INVALID_ARGUMENT",
                format!(
                    "order {:?} of {:?} is not UNKNOWN; only those are resolved by a person",
                    asked.client_order_id, asked.owner
                ),
            ));
        };
        let because = format!("{} says so: {reason}", caller.shown());
        let perm_id = order.record.perm_id;
        let change = ibouncer_proto::api::v1::ChangeState::Failed;
        order.move_change(change, "the order was resolved by a person", 0);
        if order.transition(next, &because) == Ok(true) {
            order.record.by_person = true;
            self.tell(id, OrderEventKind::State, now);
        }
        let audit = Audit {
            what: "ResolveOrder",
            result: "done",
            reason: format!("{}: {reason}", as_what(asked.resolution())),
            client_order_id: asked.client_order_id.clone(),
            owner: asked.owner.clone(),
            order_id: id,
            perm_id,
            ..Audit::by(caller)
        };
        self.doings.push_back(Doing::Audit(Box::new(audit)));
        self.doings.push_back(Doing::StatusChanged);
        self.answer_once_written(call, ResolveOrderResponse {}.encode_to_vec());
        Ok(())
    }

    /// A person cannot say so of what Gateway has told of: placed again, it would be there twice.
    fn may_never_have_arrived(&self, id: i32) -> Result<(), Error> {
        let told = |order: &&Order| order.has_been_told() || self.executions.has_any(id);
        let Some(order) = self.book.get(id).filter(told) else {
            return Ok(());
        };
        let OrderRecord { client_order_id, perm_id, status, filled, .. } = &order.record;
        let said = [("status", &status[..]), ("filled", &filled[..])];
        let said = said.iter().filter(|(_, word)| !word.is_empty());
        let said: String = said.map(|(what, word)| format!(", {what} {word}")).collect();
        Err(error::order(
            "INVALID_ARGUMENT",
            format!(
                "order {client_order_id:?} has arrived: Gateway has told of it (permId {perm_id}\
                 {said}), and placed again it would be there twice. Resolve it as filled or as \
                 cancelled, once TWS shows which"
            ),
        ))
    }

    pub(in crate::orders) fn cancel_every(
        &mut self,
        caller: &Caller,
        call: CallId,
        asked: &CancelEveryOrderRequest,
    ) -> Result<(), Error> {
        self.administrator(caller, "all orders of the login are for administrators to cancel")?;
        // It touches orders outside of the accounts: whoever the caller is besides.
        self.of_all_accounts(caller)?;
        self.only_enabled()?;
        let reason = checked_reason(&asked.reason)?;
        if asked.confirmation != CONFIRMATION {
            let what = format!("confirmation must be {CONFIRMATION:?}");
            return Err(error::order("INVALID_ARGUMENT", what));
        }
        if self.brakes.road == crate::orders::brakes::Road::Down {
            return Err(error::order_later("NOT_READY", "there is no session with Gateway"));
        }
        let audit = self.audit(caller, What::CancelEvery, "", "", 0, b"");
        let audit = Audit { reason: reason.clone(), ..audit };
        let frames = wire::message(id::REQ_GLOBAL_CANCEL, &tws::GlobalCancelRequest::default());
        let departure = Departure::new(What::CancelEvery, Vec::new(), audit);
        let what = ("reqGlobalCancel", String::new());
        self.push(Lane::OrderCancel, caller, departure, frames, what);
        let text = format!("{} cancels every order of the login: {reason}", caller.shown());
        self.note(Severity::Warning, text);
        self.answer(call, &ibouncer_proto::api::v1::CancelEveryOrderResponse {});
        Ok(())
    }

    /// What concerns the whole login, and touches no order, is not for who is limited to some of its
    /// accounts, unless it is the broker's own user.
    fn everywhere(&self, caller: &Caller) -> Result<(), Error> {
        if caller.operator { Ok(()) } else { self.of_all_accounts(caller) }
    }

    fn of_all_accounts(&self, caller: &Caller) -> Result<(), Error> {
        let named = caller.principal.as_deref().unwrap_or_default();
        let accounts = self.principals.get(named).map(|one| &one.accounts[..]).unwrap_or_default();
        if accounts.is_empty() {
            return Ok(());
        }
        let key = format!("clients.{named}.accounts");
        let shown = mask_accounts(accounts);
        let what = format!("{key} = {shown}, and this concerns all accounts of the login");
        Err(error::forbidden("RIGHT_DENIED", &what, &key))
    }

    fn only_enabled(&self) -> Result<(), Error> {
        if self.active {
            return Ok(());
        }
        Err(error::trading_closed(
            "TRADING_OFF",
            error::Retry::Never,
            "trading is off (trading.enabled = false): there is nothing to halt or to adopt",
        ))
    }
}

/// What a person says of an order, as it is written down.
fn as_what(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::Filled => "filled",
        Resolution::Cancelled => "cancelled",
        Resolution::NeverArrived => "never arrived",
        Resolution::Unspecified => "unspecified",
    }
}

pub(in crate::orders) fn checked_reason(reason: &str) -> Result<String, Error> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON {
        let what = format!("reason must have 1 to {LONGEST_REASON} characters: say why");
        return Err(error::order("INVALID_ARGUMENT", what));
    }
    Ok(reason.chars().filter(|one| !one.is_control()).collect())
}
