//! How large an order may be, how many, and at what price.
//!
//! Whatever Gateway would compute by itself is over every limit, and so is what cannot be valued:
//! a limit that holds only for those who mean well is none.

use ibouncer_proto::tws::v1 as tws;

use super::{Known, instrument};
use crate::checks;
use crate::error::{self, Error};
use crate::principals::Principal;

/// Orders that are bought at their limit price at worst.
const BOUNDED: [&str; 4] = ["LMT", "LOC", "LIT", "STP LMT"];

/// Types of orders that have no limit price, whatever stands in its field.
const WITHOUT_LIMIT: [&str; 6] = ["MKT", "STP", "MOC", "MOO", "MIT", "TRAIL"];

/// Types whose unit is what is traded. Of others, the multiplier decides.
const WITHOUT_MULTIPLIER: [&str; 7] = ["STK", "CASH", "CRYPTO", "CFD", "FUND", "CMDTY", "BOND"];

/// Unset, in the form that some clients send.
const UNSET: f64 = 1e300;

pub(super) fn check(
    principal: &Principal,
    known: Known<'_>,
    contract: &tws::Contract,
    order: &tws::Order,
) -> Result<(), Error> {
    counts(principal, known)?;
    let given = order.total_quantity().parse::<f64>().ok().filter(|one| *one > 0.0);
    // Of a hedge and of a change in percent, Gateway computes the quantity.
    let computed = !order.hedge_type().is_empty() || !order.fa_percentage().is_empty();
    let quantity = given.filter(|_| !computed);
    if let Some(limit) = principal.limits.quantity {
        match quantity {
            None => return unknown_size(known, "max_quantity", "it names no quantity of its own"),
            Some(quantity) => at_most(known, "max_quantity", quantity, limit)?,
        }
    }
    if let Some(limit) = principal.limits.notional {
        let value = value(known, contract, order, quantity)?;
        at_most(known, "max_notional", value, limit)?;
    }
    if (principal.limits.quantity.is_some() || principal.limits.notional.is_some())
        && has_delta_neutral(contract, order)
    {
        return unknown_size(known, "max_quantity", "Gateway adds a delta neutral order to it");
    }
    price_band(principal, known, contract, order)
}

/// An exercise has a quantity, and no price.
pub(super) fn check_exercise(
    principal: &Principal,
    known: Known<'_>,
    quantity: i32,
) -> Result<(), Error> {
    counts(principal, known)?;
    match principal.limits.quantity {
        Some(limit) => at_most(known, "max_quantity", f64::from(quantity), limit),
        None => Ok(()),
    }
}

fn counts(principal: &Principal, known: Known<'_>) -> Result<(), Error> {
    let limits = &principal.limits;
    if let Some(limit) = limits.open_orders.filter(|limit| known.open_orders >= *limit as usize) {
        let value = format!("one more than the {} open orders", known.open_orders);
        return exceeded(known, "max_open_orders", value, limit.to_string());
    }
    if let Some(limit) =
        limits.orders_per_minute.filter(|limit| known.last_minute >= *limit as usize)
    {
        let value = format!("one more than the {} of the last minute", known.last_minute);
        return exceeded(known, "max_orders_per_minute", value, limit.to_string());
    }
    Ok(())
}

/// The most that the order can be worth, as far as quotes tell.
fn value(
    known: Known<'_>,
    contract: &tws::Contract,
    order: &tws::Order,
    quantity: Option<f64>,
) -> Result<f64, Error> {
    const RULE: &str = "max_notional";
    let key = format!("clients.{}.{RULE}", known.name);
    if !contract.combo_legs.is_empty() || contract.sec_type().eq_ignore_ascii_case("BAG") {
        return unknown_size(known, RULE, "the value of a combination is that of its legs");
    }
    let cash = order.cash_qty.filter(|cash| *cash > 0.0);
    let Some(quantity) = quantity else {
        return match cash.filter(|_| order.hedge_type().is_empty()) {
            Some(cash) => Ok(cash),
            None => unknown_size(known, RULE, "it names no quantity of its own"),
        };
    };
    let meant = instrument::meant(known, contract, &key)?;
    let multiplier = meant.multiplier.filter(|one| *one > 0.0);
    let multiplier = if WITHOUT_MULTIPLIER.contains(&meant.sec_type()) {
        multiplier.unwrap_or(1.0).max(1.0)
    } else {
        // Said by Gateway, not by the client.
        match multiplier.filter(|_| contract.con_id() != 0) {
            Some(multiplier) => multiplier,
            None => {
                let what = "its multiplier is known only by con_id, after GetContractDetails";
                return unknown_size(known, RULE, what);
            }
        }
    };
    let set = |price: Option<f64>| price.filter(|price| price.abs() < UNSET);
    let limit = set(order.lmt_price);
    let kind = order.order_type().to_ascii_uppercase();
    let price = match limit.filter(|_| order.action() == "BUY" && BOUNDED.contains(&&kind[..])) {
        // It may pay so much more without showing it.
        Some(limit) => limit.abs() + set(order.discretionary_amt).unwrap_or(0.0).max(0.0),
        // A sale can fetch more than its limit, and a stop fills where the market is.
        None => {
            let quote = known.quote.filter(|quote| *quote > 0.0);
            let Some(quote) = quote else {
                return Err(no_quote(known.name, RULE, contract));
            };
            [limit, set(order.aux_price)]
                .into_iter()
                .flatten()
                .fold(quote, |most, price| most.max(price.abs()))
        }
    };
    Ok((quantity * price * multiplier).max(cash.unwrap_or(0.0)))
}

fn price_band(
    principal: &Principal,
    known: Known<'_>,
    contract: &tws::Contract,
    order: &tws::Order,
) -> Result<(), Error> {
    let limit_price = order.lmt_price.filter(|price| price.abs() < UNSET);
    let (Some(band), Some(limit_price)) = (principal.limits.price_band, limit_price) else {
        return Ok(());
    };
    let kind = order.order_type().to_ascii_uppercase();
    if WITHOUT_LIMIT.contains(&&kind[..]) {
        // Gateway tells such an order with a limit of 0, and it may come back so.
        return Ok(());
    }
    let Some(quote) = known.quote.filter(|quote| *quote > 0.0) else {
        return Err(no_quote(known.name, "price_band", contract));
    };
    let over = (limit_price / quote - 1.0) * 100.0;
    let wrong = if order.action() == "BUY" { over } else { -over };
    if wrong > band {
        let value = format!("{limit_price}, {wrong:.2} % on the wrong side of {quote},");
        return exceeded(known, "price_band", value, format!("{band} %"));
    }
    Ok(())
}

fn has_delta_neutral(contract: &tws::Contract, order: &tws::Order) -> bool {
    let kind = order.delta_neutral_order_type();
    contract.delta_neutral_contract.is_some()
        || !(kind.is_empty() || kind.eq_ignore_ascii_case("None"))
        || order.delta_neutral_con_id() != 0
}

fn at_most(known: Known<'_>, rule: &str, value: f64, limit: f64) -> Result<(), Error> {
    if value <= limit {
        return Ok(());
    }
    let what = if rule == "max_quantity" { "quantity" } else { "a value of" };
    exceeded(known, rule, format!("{what} {value}"), limit.to_string())
}

fn exceeded<T>(known: Known<'_>, rule: &str, value: String, limit: String) -> Result<T, Error> {
    let key = format!("clients.{}.{rule}", known.name);
    Err(error::forbidden("LIMIT_EXCEEDED", &format!("{value} is over {key} = {limit}"), &key))
}

fn unknown_size<T>(known: Known<'_>, rule: &str, because: &str) -> Result<T, Error> {
    let key = format!("clients.{}.{rule}", known.name);
    let what = format!("{key} is set, and the order cannot be measured: {because}");
    Err(error::forbidden("LIMIT_EXCEEDED", &what, &key))
}

fn no_quote(name: &str, rule: &str, contract: &tws::Contract) -> Error {
    let key = format!("clients.{name}.{rule}");
    let what = format!(
        "{key} is set, and there is no quote of {} to compare with: subscribe to its market data \
         first",
        checks::label(contract)
    );
    error::forbidden("LIMIT_EXCEEDED", &what, &key)
}
