//! How large an order may be, how many, and at what price.
//!
//! Whatever Gateway would compute by itself is over every limit, and so is what cannot be valued:
//! a limit that holds only for those who mean well is none. Read on in `rights/prices.rs` (what an
//! order may come to pay).

use ibouncer_proto::tws::v1 as tws;

use super::prices::Prices;
use super::{Known, has_delta_neutral, instrument};
use crate::checks;
use crate::error::{self, Error};
use crate::orders::body::figures::{set, shown};
use crate::principals::Principal;

/// Types whose unit is what is traded. Of others, the multiplier decides.
const WITHOUT_MULTIPLIER: [&str; 7] = ["STK", "CASH", "CRYPTO", "CFD", "FUND", "CMDTY", "BOND"];

/// What binary numbers make of a value that is exactly at its limit, of its size.
const ROUNDING: f64 = 1e-12;

/// And of a percentage.
const ROUNDING_PERCENT: f64 = 1e-9;

pub(super) fn check(
    principal: &Principal,
    known: Known<'_>,
    contract: &tws::Contract,
    order: &tws::Order,
) -> Result<(), Error> {
    counts(principal, known)?;
    let limits = &principal.limits;
    let rule = |name, limit| Rule { known, name, limit, unit: "" };
    if let Some(limit) = limits.quantity {
        let rule = rule("max_quantity", limit);
        let quantity = quantity(order).ok_or_else(|| rule.hidden(NO_QUANTITY))?;
        rule.without_delta_neutral(contract, order)?;
        // Of a combination, that of its largest leg.
        let ratios = contract.combo_legs.iter().map(|leg| leg.ratio().unsigned_abs());
        let quantity = quantity * f64::from(ratios.max().unwrap_or(1).max(1));
        rule.at_most("quantity", quantity, limit)?;
    }
    if let Some(limit) = limits.notional {
        let rule = rule("max_notional", limit);
        let value = value(rule, contract, order)?;
        rule.without_delta_neutral(contract, order)?;
        rule.at_most("a value of", value, limit * (1.0 + ROUNDING))?;
    }
    match limits.price_band {
        Some(limit) => {
            price_band(Rule { unit: " %", ..rule("price_band", limit) }, contract, order)
        }
        None => Ok(()),
    }
}

/// What Gateway attaches is priced by the presets of TWS.
pub(super) fn check_attached(principal: &Principal, known: Known<'_>) -> Result<(), Error> {
    let limits = &principal.limits;
    let limits = [("max_notional", limits.notional, ""), ("price_band", limits.price_band, " %")];
    match limits.into_iter().find_map(|(name, limit, unit)| Some((name, limit?, unit))) {
        Some((name, limit, unit)) => Err(Rule { known, name, limit, unit }
            .hidden("the presets of TWS price its attached_orders; place them as a group")),
        None => Ok(()),
    }
}

/// An exercise has a quantity, and its price is the strike: for that the underlying comes or goes.
pub(super) fn check_exercise(
    principal: &Principal,
    known: Known<'_>,
    contract: &tws::Contract,
    quantity: i32,
) -> Result<(), Error> {
    counts(principal, known)?;
    let (limits, quantity) = (&principal.limits, f64::from(quantity));
    let rule = |name, limit| Rule { known, name, limit, unit: "" };
    if let Some(limit) = limits.quantity {
        rule("max_quantity", limit).at_most("quantity", quantity, limit)?;
    }
    let Some(limit) = limits.notional else {
        return Ok(());
    };
    let rule = rule("max_notional", limit);
    let meant = instrument::meant(known, contract, &rule.key(), &rule.shown())?;
    let said = meant.strike.zip(meant.multiplier).filter(|_| contract.con_id() != 0);
    let (strike, multiplier) = said.ok_or_else(|| {
        rule.hidden("its strike and multiplier are known only by con_id, after GetContractDetails")
    })?;
    rule.at_most("a value of", quantity * strike * multiplier, limit * (1.0 + ROUNDING))
}

fn counts(principal: &Principal, known: Known<'_>) -> Result<(), Error> {
    let limits = &principal.limits;
    for (name, limit, count, what) in [
        ("max_open_orders", limits.open_orders, known.open_orders, "open orders"),
        (
            "max_orders_per_minute",
            limits.orders_per_minute,
            known.last_minute,
            "of the last minute",
        ),
    ] {
        if let Some(limit) = limit.filter(|limit| count >= *limit as usize) {
            let rule = Rule { known, name, limit: f64::from(limit), unit: "" };
            return Err(rule.over(&format!("one more than the {count} {what}")));
        }
    }
    Ok(())
}

const NO_QUANTITY: &str = "it names no quantity of its own";

/// What the order itself says; of a hedge, and of a change in percent, Gateway computes it.
fn quantity(order: &tws::Order) -> Option<f64> {
    let computed = !order.hedge_type().is_empty() || !order.fa_percentage().is_empty();
    let given = order.total_quantity().parse::<f64>().ok();
    given.filter(|one| *one > 0.0 && one.is_finite() && !computed)
}

/// The most that the order can be worth, as far as quotes tell.
fn value(rule: Rule<'_>, contract: &tws::Contract, order: &tws::Order) -> Result<f64, Error> {
    let known = rule.known;
    if is_combination(contract) {
        return Err(rule.hidden("the value of a combination is that of its legs"));
    }
    let cash = set(order.cash_qty).filter(|cash| *cash > 0.0);
    let Some(quantity) = quantity(order) else {
        return match cash.filter(|_| order.hedge_type().is_empty()) {
            Some(cash) => Ok(cash),
            None => Err(rule.hidden(NO_QUANTITY)),
        };
    };
    let meant = instrument::meant(known, contract, &rule.key(), &rule.shown())?;
    let multiplier = meant.multiplier.filter(|one| *one > 0.0);
    let multiplier = if WITHOUT_MULTIPLIER.contains(&meant.sec_type()) {
        multiplier.unwrap_or(1.0).max(1.0)
    } else {
        // Said by Gateway, not by the client.
        let said = multiplier.filter(|_| contract.con_id() != 0);
        said.ok_or_else(|| {
            rule.hidden("its multiplier is known only by con_id, after GetContractDetails")
        })?
    };
    let prices = Prices::of(order);
    if let Some(because) = prices.hidden(contract) {
        return Err(rule.hidden(&because));
    }
    let price = match prices.bound() {
        Some(price) => price,
        // A sale can fetch more than its limit, and a stop fills where the market is.
        None => prices.highest(rule.quote(contract)?),
    };
    let value = quantity * price * multiplier;
    // What is no number stays none: the larger of it and a number would be the number.
    Ok(cash.filter(|cash| *cash > value).unwrap_or(value))
}

fn price_band(rule: Rule<'_>, contract: &tws::Contract, order: &tws::Order) -> Result<(), Error> {
    let prices = Prices::of(order);
    if let Some(because) = prices.hidden(contract) {
        return Err(rule.hidden(&because));
    }
    rule.without_delta_neutral(contract, order)?;
    // Whether there is a limit can be told without a quote, how far away it is cannot.
    let quote = match prices.limits(1.0) {
        Ok(none) if none.is_empty() => return Ok(()),
        _ => rule.quote(contract)?,
    };
    let limits = prices.limits(quote).map_err(|because| rule.hidden(because))?;
    for limit in limits {
        let over = (limit / quote - 1.0) * 100.0;
        let wrong = if order.action() == "BUY" { over } else { -over };
        if wrong.is_nan() || wrong > rule.limit + ROUNDING_PERCENT {
            let (limit, wrong, quote) = (shown(limit), shown(wrong), shown(quote));
            let side =
                format!("a limit of {limit}, {wrong} % on the wrong side of the quote {quote},");
            return Err(rule.over(&side));
        }
    }
    Ok(())
}

fn is_combination(contract: &tws::Contract) -> bool {
    !contract.combo_legs.is_empty() || contract.sec_type().eq_ignore_ascii_case("BAG")
}

/// A limit that is set.
#[derive(Debug, Clone, Copy)]
struct Rule<'a> {
    known: Known<'a>,
    name: &'static str,
    limit: f64,
    unit: &'static str,
}

impl Rule<'_> {
    fn key(&self) -> String {
        format!("clients.{}.{}", self.known.name, self.name)
    }

    /// With its value.
    fn shown(&self) -> String {
        format!("{} = {}{}", self.key(), shown(self.limit), self.unit)
    }

    fn at_most(&self, what: &str, value: f64, limit: f64) -> Result<(), Error> {
        // What is no number is not below anything.
        if value <= limit { Ok(()) } else { Err(self.over(&format!("{what} {}", shown(value)))) }
    }

    fn over(&self, value: &str) -> Error {
        self.refusal(&format!("{value} is over {}", self.shown()))
    }

    fn hidden(&self, because: &str) -> Error {
        self.refusal(&format!("{}, and the order cannot be measured: {because}", self.shown()))
    }

    fn without_delta_neutral(
        &self,
        contract: &tws::Contract,
        order: &tws::Order,
    ) -> Result<(), Error> {
        match has_delta_neutral(contract, order) {
            true => Err(self.hidden("Gateway adds a delta neutral order to it")),
            false => Ok(()),
        }
    }

    fn quote(&self, contract: &tws::Contract) -> Result<f64, Error> {
        let quote = self.known.quote.filter(|quote| *quote > 0.0 && quote.is_finite());
        quote.ok_or_else(|| {
            self.refusal(&format!(
                "{}, and there is no quote of {} to compare with: subscribe to its market data \
                 first",
                self.shown(),
                checks::label(contract)
            ))
        })
    }

    fn refusal(&self, what: &str) -> Error {
        error::forbidden("LIMIT_EXCEEDED", what, &self.key())
    }
}
