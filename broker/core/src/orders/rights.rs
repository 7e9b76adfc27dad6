//! What one order is checked for: whether this client may send it, into this account, of this
//! kind, this large, at this price. A refusal names the rule, its value, and who can change it.

use ibouncer_proto::tws::v1 as tws;

use crate::error::{self, Error};
use crate::principals::{Principal, Role, TradingSettings};
use crate::status::is_paper;

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
            "that: see `ibouncer whoami`",
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
    account(settings, principal, known, order)?;
    instrument(principal, known.name, contract)?;
    limits(principal, known, contract, order)
}

/// An exercise has an account and an instrument, but neither price nor limits.
pub(crate) fn check_exercise(
    settings: &TradingSettings,
    principal: &Principal,
    known: Known<'_>,
    request: &tws::ExerciseOptionsRequest,
) -> Result<(), Error> {
    if !principal.exercise {
        let key = format!("clients.{}.exercise", known.name);
        return Err(denied(&format!("{key} is false, so it may not exercise options"), &key));
    }
    let order = tws::Order { account: request.account.clone(), ..tws::Order::default() };
    account(settings, principal, known, &order)?;
    instrument(principal, known.name, request.contract.as_ref().unwrap_or(&Default::default()))
}

fn account(
    settings: &TradingSettings,
    principal: &Principal,
    known: Known<'_>,
    order: &tws::Order,
) -> Result<(), Error> {
    let key = format!("clients.{}.accounts", known.name);
    let named = order.account();
    if !principal.accounts.is_empty() {
        if !order.fa_group().is_empty() {
            let what = format!("{key} is set, so an order may name no fa_group");
            return Err(denied(&what, &key));
        }
        if named.is_empty() {
            return Err(denied(&format!("{key} is set, so an order must name one account"), &key));
        }
        if !principal.sees(named) {
            return Err(denied(&format!("the order's account is not in {key}"), &key));
        }
    }
    if !named.is_empty() && !known.accounts.iter().any(|account| account == named) {
        return Err(error::order("INVALID_ARGUMENT", "the order's account is not of this login"));
    }
    // Without a name Gateway chooses: then each account of the login must be allowed.
    let meant = known.accounts.iter().filter(|account| named.is_empty() || *account == named);
    for account in meant.filter(|account| !is_paper(account)) {
        if !settings.allow_live {
            let what = "this is a live account, and trading.allow_live is false";
            return Err(denied(what, "trading.allow_live"));
        }
        if !settings.live_accounts.contains(account) {
            let what = if named.is_empty() {
                "the login has a live account that is not in trading.live_accounts, and the order \
                 names none"
            } else {
                "this is a live account that is not in trading.live_accounts"
            };
            return Err(denied(what, "trading.live_accounts"));
        }
    }
    Ok(())
}

fn instrument(principal: &Principal, name: &str, contract: &tws::Contract) -> Result<(), Error> {
    let allowed = |list: &[String], value: &str| {
        list.is_empty() || list.iter().any(|one| one.eq_ignore_ascii_case(value))
    };
    if !allowed(&principal.security_types, contract.sec_type()) {
        let key = format!("clients.{name}.security_types");
        let what = format!(
            "security type {:?} is not in {key} = {:?}",
            contract.sec_type(),
            principal.security_types
        );
        return Err(denied(&what, &key));
    }
    if !allowed(&principal.symbols, contract.symbol()) {
        let key = format!("clients.{name}.symbols");
        let what =
            format!("symbol {:?} is not in {key} = {:?}", contract.symbol(), principal.symbols);
        return Err(denied(&what, &key));
    }
    Ok(())
}

fn limits(
    principal: &Principal,
    known: Known<'_>,
    contract: &tws::Contract,
    order: &tws::Order,
) -> Result<(), Error> {
    let limits = &principal.limits;
    let exceeded = |rule: &str, value: String, limit: String| {
        let key = format!("clients.{}.{rule}", known.name);
        Err(error::forbidden("LIMIT_EXCEEDED", &format!("{value} is over {key} = {limit}"), &key))
    };
    let quantity = order.total_quantity().parse::<f64>().unwrap_or(0.0);
    if let Some(limit) = limits.quantity.filter(|limit| quantity > *limit) {
        return exceeded("max_quantity", format!("quantity {quantity}"), limit.to_string());
    }
    if let Some(limit) = limits.open_orders.filter(|limit| known.open_orders >= *limit as usize) {
        let value = format!("one more than the {} open orders", known.open_orders);
        return exceeded("max_open_orders", value, limit.to_string());
    }
    if let Some(limit) =
        limits.orders_per_minute.filter(|limit| known.last_minute >= *limit as usize)
    {
        let value = format!("one more than the {} of the last minute", known.last_minute);
        return exceeded("max_orders_per_minute", value, limit.to_string());
    }
    let price = match order.order_type() {
        "LMT" | "STP LMT" | "LIT" | "LOC" => order.lmt_price,
        "STP" | "MIT" => order.aux_price.or(known.quote),
        _ => known.quote,
    };
    if let Some(limit) = limits.notional {
        let cash = order.cash_qty.filter(|cash| *cash > 0.0);
        let multiplier = contract.multiplier.filter(|one| *one > 0.0).unwrap_or(1.0);
        let Some(notional) = cash.or(price.map(|price| (quantity * price * multiplier).abs()))
        else {
            return Err(no_quote(known.name, "max_notional", contract));
        };
        if notional > limit {
            return exceeded("max_notional", format!("a value of {notional}"), limit.to_string());
        }
    }
    if let (Some(band), Some(limit_price)) = (limits.price_band, order.lmt_price) {
        let Some(quote) = known.quote.filter(|quote| *quote > 0.0) else {
            return Err(no_quote(known.name, "price_band", contract));
        };
        let over = (limit_price / quote - 1.0) * 100.0;
        let wrong = if order.action() == "BUY" { over } else { -over };
        if wrong > band {
            let value = format!("{limit_price}, {wrong:.2} % on the wrong side of {quote},");
            return exceeded("price_band", value, format!("{band} %"));
        }
    }
    Ok(())
}

fn no_quote(name: &str, rule: &str, contract: &tws::Contract) -> Error {
    let key = format!("clients.{name}.{rule}");
    let what = format!(
        "{key} is set, and there is no quote of {} to compare with: subscribe to its market data \
         first",
        crate::checks::label(contract)
    );
    error::forbidden("LIMIT_EXCEEDED", &what, &key)
}

fn denied(what: &str, key: &str) -> Error {
    error::forbidden("RIGHT_DENIED", what, key)
}

#[cfg(test)]
mod tests;
