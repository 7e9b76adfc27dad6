//! What one order is checked for: whether this client may send it, into this account, of this
//! kind, this large, at this price. A refusal names the rule, its value, and who can change it.
//!
//! Read on in `rights/instrument.rs` (what is traded), `rights/limits.rs` (how much of it) and
//! `rights/prices.rs` (at what price).

mod instrument;
mod limits;
mod prices;

use ibouncer_proto::tws::v1 as tws;

use super::body::figures::set;
use crate::accounts::{is_paper, mask_account, mask_accounts};
use crate::contracts::Contracts;
use crate::error::{self, Error};
use crate::principals::{Principal, Role, TradingSettings};

/// What the checks need to know besides the order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    /// Name of the principal.
    pub(crate) name: &'a str,
    /// Accounts of the session.
    pub(crate) accounts: &'a [String],
    /// Orders of it that have not ended.
    pub(crate) open_orders: usize,
    /// Orders and changes of it in the last minute.
    pub(crate) last_minute: usize,
    /// Price of the newest quote, if there is one.
    pub(crate) quote: Option<f64>,
    /// What Gateway has said of contracts.
    pub(crate) contracts: &'a Contracts,
}

/// May this principal send orders at all?
pub(crate) fn may_trade<'a>(
    settings: &TradingSettings,
    principal: Option<(&str, &'a Principal)>,
) -> Result<&'a Principal, Error> {
    if !settings.enabled {
        return Err(error::trading_closed(
            "TRADING_OFF",
            error::Retry::Never,
            "trading is off; the operator of the broker can set trading.enabled = true and give \
             clients the role \"trade\" ([clients.NAME])",
        ));
    }
    let Some((name, principal)) = principal else {
        return Err(denied(
            "this client falls under no [clients.NAME], so it may not send orders",
            "that: [clients.NAME] with a credential of this caller",
        ));
    };
    match principal.role {
        Role::Trade | Role::Admin => Ok(principal),
        Role::Observe => Err(denied(
            &format!("clients.{name}.role is \"observe\", so it may not send orders"),
            &format!("clients.{name}.role"),
        )),
    }
}

/// May this order go?
pub(crate) fn check(
    settings: &TradingSettings,
    principal: &Principal,
    known: Known<'_>,
    contract: &tws::Contract,
    order: &tws::Order,
) -> Result<(), Error> {
    check_what(settings, principal, known, contract, order)?;
    limits::check(principal, known, contract, order)
}

/// May Gateway attach orders to it?
pub(crate) fn check_attached(principal: &Principal, known: Known<'_>) -> Result<(), Error> {
    limits::check_attached(principal, known)
}

/// May it be of this account and this contract, however much?
pub(crate) fn check_what(
    settings: &TradingSettings,
    principal: &Principal,
    known: Known<'_>,
    contract: &tws::Contract,
    order: &tws::Order,
) -> Result<(), Error> {
    account(settings, principal, known, order)?;
    instrument::check(principal, known, contract, order)
}

/// An exercise has an account, an instrument and a quantity; its price is the option's strike.
pub(crate) fn check_exercise(
    settings: &TradingSettings,
    principal: &Principal,
    known: Known<'_>,
    request: &tws::ExerciseOptionsRequest,
) -> Result<(), Error> {
    may_exercise(principal, known.name)?;
    let order = tws::Order {
        account: request.account.clone(),
        customer_account: request.customer_account.clone(),
        ..tws::Order::default()
    };
    account(settings, principal, known, &order)?;
    let contract = request.contract.clone().unwrap_or_default();
    instrument::check(principal, known, &contract, &order)?;
    limits::check_exercise(principal, known, &contract, request.exercise_quantity())
}

/// A right of its own.
pub(crate) fn may_exercise(principal: &Principal, name: &str) -> Result<(), Error> {
    if principal.exercise {
        return Ok(());
    }
    let key = format!("clients.{name}.exercise");
    Err(denied(&format!("{key} is false, so it may not exercise options"), &key))
}

fn account(
    settings: &TradingSettings,
    principal: &Principal,
    known: Known<'_>,
    order: &tws::Order,
) -> Result<(), Error> {
    let named = order.account();
    if !principal.accounts.is_empty() {
        of_its_accounts(principal, known, order)?;
    }
    if !named.is_empty() && !known.accounts.iter().any(|account| account == named) {
        return Err(error::order("INVALID_ARGUMENT", "the order's account is not of this login"));
    }
    // Without a name, and for a group, Gateway chooses: then each account of the login must be
    // allowed.
    let chosen = named.is_empty() || !order.fa_group().is_empty();
    let meant = known.accounts.iter().filter(|account| chosen || *account == named);
    for account in meant.filter(|account| !is_paper(account)) {
        if !settings.allow_live {
            let what = "this is a live account, and trading.allow_live is false";
            return Err(denied(what, "trading.allow_live"));
        }
        if !settings.live_accounts.contains(account) {
            let names = if named.is_empty() { ", and the order names none" } else { "" };
            let which = if principal.sees(account) { &mask_account(account)[..] } else { "there" };
            let what = format!(
                "{which} is a live account of the login that is not in trading.live_accounts = \
                 {}{names}",
                seen(principal, &settings.live_accounts)
            );
            return Err(denied(&what, "trading.live_accounts"));
        }
    }
    Ok(())
}

/// Whoever is limited to accounts says which of them is meant, and no other.
fn of_its_accounts(
    principal: &Principal,
    known: Known<'_>,
    order: &tws::Order,
) -> Result<(), Error> {
    let key = format!("clients.{}.accounts", known.name);
    let refuse = |what: &str| {
        Err(denied(&format!("{key} = {}, {what}", mask_accounts(&principal.accounts)), &key))
    };
    if !order.fa_group().is_empty() {
        return refuse(&format!("so an order may name no fa_group ({:?})", order.fa_group()));
    }
    if order.account().is_empty() {
        return refuse("so an order must name one account");
    }
    for (field, account) in [
        ("account", order.account()),
        ("clearing_account", order.clearing_account()),
        ("customer_account", order.customer_account()),
        ("delta_neutral_clearing_account", order.delta_neutral_clearing_account()),
    ] {
        if !account.is_empty() && !principal.sees(account) {
            return refuse(&format!(
                "and the order's {field} {} is not among them",
                mask_account(account)
            ));
        }
    }
    Ok(())
}

/// Accounts as this client may be shown them: how many there are beside its own.
fn seen<'a>(principal: &Principal, accounts: impl IntoIterator<Item = &'a String>) -> String {
    let (own, others): (Vec<_>, Vec<_>) =
        accounts.into_iter().partition(|account| principal.sees(account));
    match (own.len(), others.len()) {
        (_, 0) => mask_accounts(own),
        (0, count) => format!("[{count} that this client does not see]"),
        (_, count) => format!("{} and {count} that this client does not see", mask_accounts(own)),
    }
}

/// Does Gateway make another order of it, of something else?
fn has_delta_neutral(contract: &tws::Contract, order: &tws::Order) -> bool {
    let kind = order.delta_neutral_order_type();
    contract.delta_neutral_contract.is_some()
        || !(kind.is_empty() || kind.eq_ignore_ascii_case("None"))
        || order.delta_neutral_con_id() != 0
        || set(order.delta_neutral_aux_price).is_some_and(|price| price != 0.0)
}

fn denied(what: &str, key: &str) -> Error {
    error::forbidden("RIGHT_DENIED", what, key)
}

#[cfg(test)]
mod tests;
