//! Who may act on whose orders: the owner on its own, an administrator on everybody's with a
//! reason. A change keeps within the limits of the order's owner, whoever asks for it.

use std::time::Instant;

use ibouncer_proto::api::v1::OrderScope;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::operator::checked_reason;
use super::preview::Previewing;
use super::refusals::not_found;
use crate::contracts::Contracts;
use crate::error::{self, Error};
use crate::orders::journal::Audit;
use crate::orders::leaving::departures::{Departure, What};
use crate::orders::rights::{self, Known};
use crate::orders::{Caller, Desk};
use crate::principals::{Principal, Role, TradingSettings};

/// In whose name something is done to an order.
pub(in crate::orders) struct Acting {
    pub(in crate::orders) owner: String,
    pub(in crate::orders) principal: Principal,
    /// Empty for the owner itself.
    pub(in crate::orders) reason: String,
}

impl Desk {
    /// The principal of a caller who may send orders, and its name.
    pub(in crate::orders) fn trader(&self, caller: &Caller) -> Result<(String, Principal), Error> {
        let named = caller.principal.as_deref();
        let known = named.and_then(|name| Some((name, self.principals.get(name)?)));
        let principal = rights::may_trade(&self.settings, known)?.clone();
        Ok((named.unwrap_or_default().to_owned(), principal))
    }

    /// Operators, and clients of that role. `what` says what is for them.
    pub(in crate::orders) fn administrator(
        &self,
        caller: &Caller,
        what: &str,
    ) -> Result<(), Error> {
        let known = caller.principal.as_ref().and_then(|name| self.principals.get(name));
        let role = known.map(|one| one.role);
        if caller.operator || role == Some(Role::Admin) {
            return Ok(());
        }
        let key = format!("clients.{}.role", caller.principal.as_deref().unwrap_or("NAME"));
        let is = match role {
            Some(role) => format!("{key} is {:?}", role.name()),
            None => "this client falls under no [clients.NAME]".to_owned(),
        };
        Err(error::forbidden("RIGHT_DENIED", &format!("{what}, and {is}"), &key))
    }

    /// Who may not send orders any more, or not of this account and contract, sends none that waits for
    /// its turn either, nor does a caller whose credential a reload has taken away. Limits are those
    /// of the moment in which an order was taken in.
    pub(in crate::orders) fn take_back_of_those_without_rights(
        &mut self,
        contracts: &Contracts,
        now: Instant,
    ) {
        let sends = |what| !matches!(what, What::Cancel | What::CancelEvery);
        let waiting: Vec<_> = self
            .departures
            .iter()
            .filter(|(_, one)| sends(one.what) && !one.numbered)
            .filter_map(|(key, one)| Some((key, self.may_still_leave(one, contracts).err()?)))
            .collect();
        for (key, error) in waiting {
            self.take_back(key, &error, now);
        }
        self.end_previews_of_those_without_rights(contracts);
        let principals = &self.principals;
        let lost = self.waiting.take_out(|one| !one.caller.stands(principals));
        for one in lost {
            let error = error::not_sent(error::rights_changed(one.caller.principal.as_deref()));
            self.refuse(&one.caller, &one.request, &error);
            self.reply(one.call, Err(error));
        }
    }

    /// Previews that are under way are not told to who may not hear of them any more.
    fn end_previews_of_those_without_rights(&mut self, contracts: &Contracts) {
        let may_not = |(id, one): (&i32, &Previewing)| {
            let own = one.caller.principal.as_deref().unwrap_or_default();
            let allowed = self
                .may_still(&one.caller, own, "")
                .and_then(|acting| self.check_what(&acting, &one.request, contracts));
            Some((*id, allowed.err()?))
        };
        let ended: Vec<_> = self.previews.iter().filter_map(may_not).collect();
        for (id, error) in ended {
            if let Some(one) = self.previews.remove(&id) {
                self.reply(one.call, Err(error));
            }
        }
    }

    fn may_still_leave(&self, departure: &Departure, contracts: &Contracts) -> Result<(), Error> {
        let (caller, audit) = (&departure.caller, &departure.audit);
        let acting = self.may_still(caller, &audit.owner, &audit.reason)?;
        if departure.what == What::Exercise {
            rights::may_exercise(&acting.principal, &acting.owner)?;
        }
        for id in &departure.orders {
            if !acting.reason.is_empty() {
                self.may_see(caller, *id)?;
            }
            if let Some(request) = self.asked_of(*id, departure.what) {
                self.check_what(&acting, &request, contracts)?;
            }
        }
        Ok(())
    }

    /// May this caller act on these orders, as things stand now?
    fn may_still(&self, caller: &Caller, owner: &str, reason: &str) -> Result<Acting, Error> {
        // Of a client that is gone, its rights say that.
        let known = caller.principal.as_ref().is_some_and(|one| self.principals.contains_key(one));
        if known && !caller.stands(&self.principals) {
            return Err(error::rights_changed(caller.principal.as_deref()));
        }
        self.may_change_of(caller, owner, reason)
    }

    /// Account and contract; limits are those of the moment in which it was taken in.
    fn check_what(
        &self,
        acting: &Acting,
        request: &tws::PlaceOrderRequest,
        contracts: &Contracts,
    ) -> Result<(), Error> {
        let contract = request.contract.clone().unwrap_or_default();
        let order = request.order.clone().unwrap_or_default();
        let known = Known {
            name: &acting.owner,
            accounts: &self.accounts,
            open_orders: 0,
            last_minute: 0,
            quote: None,
            contracts,
        };
        rights::check_what(&self.settings, &acting.principal, known, &contract, &order)
    }

    /// What leaves for this order, as its owner has asked for it.
    fn asked_of(&self, id: i32, what: What) -> Option<tws::PlaceOrderRequest> {
        if what == What::Preview {
            return self.previews.get(&id).map(|one| (*one.request).clone());
        }
        let record = &self.book.get(id)?.record;
        let body = match what {
            What::Modify => &record.change.as_ref()?.request,
            _ => &record.request,
        };
        tws::PlaceOrderRequest::decode(&body[..]).ok()
    }

    /// Whose orders this caller may change here, and by whose limits.
    pub(in crate::orders) fn may_change_of(
        &self,
        caller: &Caller,
        owner: &str,
        reason: &str,
    ) -> Result<Acting, Error> {
        if is_own(caller, owner) {
            let (owner, principal) = self.trader(caller)?;
            return Ok(Acting { owner, principal, reason: String::new() });
        }
        let reason = self.for_another(caller, reason)?;
        let Some(principal) = self.principals.get(owner) else {
            return Err(error::order(
                "INVALID_ARGUMENT",
                format!(
                    "there is no [clients.{owner}], so there are no limits that a change could \
                     keep; an order of it can be cancelled"
                ),
            ));
        };
        let principal = rights::may_trade(&self.settings, Some((owner, principal)))?.clone();
        Ok(Acting { owner: owner.to_owned(), principal, reason })
    }

    /// Whose orders this caller may cancel here.
    pub(in crate::orders) fn may_cancel_of(
        &self,
        caller: &Caller,
        owner: &str,
        reason: &str,
    ) -> Result<String, Error> {
        if !is_own(caller, owner) {
            self.for_another(caller, reason)?;
            return Ok(owner.to_owned());
        }
        // Whoever may have sent it may cancel it, also once trading is off, or it may send no more.
        let settings = TradingSettings { enabled: self.active, ..self.settings.clone() };
        let named = caller.principal.as_deref().unwrap_or_default();
        let known = self.principals.get(named).map(|principal| (named, principal));
        if self.book.live_count(named) == 0 {
            rights::may_trade(&settings, known)?;
        }
        Ok(named.to_owned())
    }

    /// Whoever is limited to accounts touches nothing of others outside of them, administrators
    /// included: to them it looks as if it did not exist.
    pub(in crate::orders) fn may_see(&self, caller: &Caller, order_id: i32) -> Result<(), Error> {
        let view = self.view_of(caller, OrderScope::All);
        match self.book.get(order_id).map(|order| &order.record) {
            Some(record) if !view.shows(&record.owner, &record.account) => {
                Err(not_found(&record.client_order_id))
            }
            _ => Ok(()),
        }
    }

    /// An administrator's reason to touch what is another client's.
    fn for_another(&self, caller: &Caller, reason: &str) -> Result<String, Error> {
        let what = "another client's orders are for their owner and for administrators";
        self.administrator(caller, what)?;
        checked_reason(reason)
    }
}

fn is_own(caller: &Caller, owner: &str) -> bool {
    owner.is_empty() || caller.principal.as_deref() == Some(owner)
}

impl Audit {
    /// Of this caller.
    pub(crate) fn by(caller: &Caller) -> Self {
        Self {
            client: caller.name.clone(),
            principal: caller.principal.clone().unwrap_or_default(),
            credential: caller.credential.clone(),
            ..Self::default()
        }
    }

    /// Who asked for it, and why, where that was not the owner of the order.
    pub(in crate::orders) fn by_another(&self) -> Option<(&str, &str)> {
        let by = if self.principal.is_empty() { &self.client } else { &self.principal };
        (self.principal != self.owner).then_some((by, &self.reason))
    }
}
