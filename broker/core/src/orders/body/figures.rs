//! The numbers of an order, whoever places it: which of them are none, and which are not set.
//!
//! A number that cannot be compared passes every comparison that asks whether it is over something,
//! so it never gets as far as the limits (`rights/limits.rs`).

use ibouncer_proto::tws::v1 as tws;

use crate::error::{self, Error};

/// What a client of IB writes where it sets nothing. Every other number is meant, however absurd.
const UNSET: f64 = f64::MAX;

/// The number, if one is set.
pub(in crate::orders) fn set(number: Option<f64>) -> Option<f64> {
    number.filter(|number| *number != UNSET)
}

/// As a sentence shows it: what binary numbers add is left out, and large ones are short.
pub(in crate::orders) fn shown(number: f64) -> String {
    if number.abs() >= 1e15 {
        return format!("{number:e}");
    }
    let text = format!("{number:.8}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Is each number of it one?
pub(in crate::orders) fn check(contract: &tws::Contract, order: &tws::Order) -> Result<(), Error> {
    for (field, number) in numbers(order) {
        if number.is_some_and(|number| !number.is_finite()) {
            return Err(none(&format!("order.{field}"), number.unwrap_or_default()));
        }
    }
    // The one field in which infinity says something.
    if order.compete_against_best_offset.is_some_and(f64::is_nan) {
        return Err(none("order.compete_against_best_offset", f64::NAN));
    }
    self::contract(contract)?;
    for (field, text) in [
        ("filled_quantity", order.filled_quantity()),
        ("fa_percentage", order.fa_percentage()),
        ("hedge_param", order.hedge_param()),
    ] {
        if text.trim().parse::<f64>().is_ok_and(|number| !number.is_finite()) {
            return Err(none(&format!("order.{field}"), text));
        }
    }
    quantity(order)
}

/// Is each number of the contract one, and has it legs only if it is a combination? Beside those it
/// would say two things: what Gateway makes of that nobody knows.
pub(in crate::orders) fn contract(contract: &tws::Contract) -> Result<(), Error> {
    if !contract.combo_legs.is_empty() && contract.sec_type() != "BAG" {
        return Err(error::invalid(format!(
            "request.contract.combo_legs are those of a combination, and sec_type is {:?}: use \
             \"BAG\" and no con_id, or leave the legs out",
            contract.sec_type()
        )));
    }
    for (field, number) in [("strike", contract.strike), ("multiplier", contract.multiplier)] {
        if number.is_some_and(|number| !number.is_finite()) {
            return Err(none(&format!("contract.{field}"), number.unwrap_or_default()));
        }
    }
    for leg in &contract.combo_legs {
        if leg.per_leg_price.is_some_and(|price| !price.is_finite()) {
            return Err(none("contract.combo_legs.per_leg_price", leg.per_leg_price()));
        }
    }
    Ok(())
}

/// How much is wanted: by quantity, by cash, or as Gateway computes it.
fn quantity(order: &tws::Order) -> Result<(), Error> {
    let cash = set(order.cash_qty).unwrap_or(0.0);
    if cash < 0.0 {
        return Err(error::invalid(format!("request.order.cash_qty is {cash}: use 0 or more")));
    }
    // Of a hedge, and of some allocations, Gateway computes the quantity itself.
    let computed = !order.hedge_type().is_empty() || !order.fa_group().is_empty();
    let needed = cash == 0.0 && !computed;
    let text = order.total_quantity();
    let good = match text.parse::<f64>() {
        Ok(quantity) if needed => quantity.is_finite() && quantity > 0.0,
        Ok(quantity) => quantity.is_finite() && quantity >= 0.0,
        Err(_) => text.is_empty() && !needed,
    };
    if good {
        return Ok(());
    }
    Err(error::invalid(format!("request.order.total_quantity {text:?} is not a number above 0")))
}

fn none(field: &str, shown: impl std::fmt::Display) -> Error {
    error::invalid(format!("request.{field} is {shown}, which is no number that can be compared"))
}

fn numbers(order: &tws::Order) -> [(&'static str, Option<f64>); 26] {
    [
        ("lmt_price", order.lmt_price),
        ("aux_price", order.aux_price),
        ("percent_offset", order.percent_offset),
        ("trailing_percent", order.trailing_percent),
        ("trail_stop_price", order.trail_stop_price),
        ("volatility", order.volatility),
        ("delta_neutral_aux_price", order.delta_neutral_aux_price),
        ("scale_price_increment", order.scale_price_increment),
        ("scale_price_adjust_value", order.scale_price_adjust_value),
        ("scale_profit_offset", order.scale_profit_offset),
        ("discretionary_amt", order.discretionary_amt),
        ("starting_price", order.starting_price),
        ("stock_ref_price", order.stock_ref_price),
        ("delta", order.delta),
        ("stock_range_lower", order.stock_range_lower),
        ("stock_range_upper", order.stock_range_upper),
        ("pegged_change_amount", order.pegged_change_amount),
        ("reference_change_amount", order.reference_change_amount),
        ("trigger_price", order.trigger_price),
        ("adjusted_stop_price", order.adjusted_stop_price),
        ("adjusted_stop_limit_price", order.adjusted_stop_limit_price),
        ("adjusted_trailing_amount", order.adjusted_trailing_amount),
        ("lmt_price_offset", order.lmt_price_offset),
        ("cash_qty", order.cash_qty),
        ("mid_offset_at_whole", order.mid_offset_at_whole),
        ("mid_offset_at_half", order.mid_offset_at_half),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> tws::Order {
        tws::Order { total_quantity: Some("10".into()), ..Default::default() }
    }

    fn refusal(change: impl Fn(&mut tws::Contract, &mut tws::Order)) -> Option<String> {
        let (mut contract, mut order) = (tws::Contract::default(), order());
        change(&mut contract, &mut order);
        check(&contract, &order).err().map(|error| {
            assert_eq!(error.code, "INVALID_ARGUMENT");
            error.message
        })
    }

    #[test]
    fn a_quantity_is_a_number_above_nothing() {
        let of = |text: &str| refusal(|_, order| order.total_quantity = Some(text.into()));
        for good in ["1", "0.5", "+101", "1e2", "100.0000001", &"1".repeat(40)] {
            assert_eq!(of(good), None, "{good}");
        }
        for bad in ["", "0", "-1", "inf", "Infinity", "-inf", "nan", "NaN", "1e400", "1e-400", "x"]
        {
            let said = of(bad).unwrap_or_else(|| panic!("{bad}"));
            assert!(said.contains(&format!("total_quantity {bad:?}")), "{said}");
        }
    }

    #[test]
    fn beside_cash_a_quantity_may_be_missing_and_is_no_nonsense_either() {
        let of = |text: &str, cash: f64| {
            refusal(|_, order| {
                order.total_quantity = Some(text.into());
                order.cash_qty = Some(cash);
            })
        };
        assert_eq!(of("", 100.0), None);
        assert_eq!(of("0", 100.0), None);
        assert_eq!(of("1", UNSET), None);
        for (text, cash) in [
            ("inf", 100.0),
            ("nan", 100.0),
            ("-5", 100.0),
            ("x", 100.0),
            ("", UNSET),
            ("", 0.0),
            ("1", -1.0),
            ("1", f64::NAN),
            ("", f64::INFINITY),
        ] {
            assert!(of(text, cash).is_some(), "{text:?} {cash}");
        }
        for text in ["inf", "NaN"] {
            for change in [
                (|order, text| order.filled_quantity = Some(text)) as fn(&mut tws::Order, String),
                |order, text| order.fa_percentage = Some(text),
                |order, text| order.hedge_param = Some(text),
            ] {
                assert!(refusal(|_, order| change(order, text.into())).is_some(), "{text}");
            }
        }
    }

    #[test]
    fn legs_are_those_of_a_combination() {
        let with_leg = |sec_type: &str| {
            refusal(|contract, _| {
                contract.sec_type = Some(sec_type.into());
                contract.combo_legs = vec![tws::ComboLeg::default()];
            })
        };
        assert_eq!(with_leg("BAG"), None);
        for other in ["STK", "OPT", "bag", ""] {
            assert!(with_leg(other).unwrap().contains("combo_legs"), "{other}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused_by_its_field_and_absurd_numbers_are_numbers() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for (field, change) in [
                (
                    "order.lmt_price",
                    (|_, order, bad| order.lmt_price = Some(bad))
                        as fn(&mut tws::Contract, &mut tws::Order, f64),
                ),
                ("order.trail_stop_price", |_, order, bad| order.trail_stop_price = Some(bad)),
                ("order.adjusted_stop_limit_price", |_, order, bad| {
                    order.adjusted_stop_limit_price = Some(bad);
                }),
                ("order.cash_qty", |_, order, bad| order.cash_qty = Some(bad)),
                ("contract.strike", |contract, _, bad| contract.strike = Some(bad)),
                ("contract.multiplier", |contract, _, bad| contract.multiplier = Some(bad)),
                ("contract.combo_legs", |contract, _, bad| {
                    let leg = tws::ComboLeg { per_leg_price: Some(bad), ..Default::default() };
                    contract.sec_type = Some("BAG".into());
                    contract.combo_legs = vec![leg];
                }),
            ] {
                let said = refusal(|contract, order| change(contract, order, bad));
                let said = said.unwrap_or_else(|| panic!("{field} {bad}"));
                assert!(said.contains(field), "{said}");
            }
        }
        assert_eq!(refusal(|_, order| order.lmt_price = Some(1.7e308)), None);
        let midpoint = refusal(|_, order| order.compete_against_best_offset = Some(f64::INFINITY));
        assert_eq!(midpoint, None);
        assert!(refusal(|_, order| order.compete_against_best_offset = Some(f64::NAN)).is_some());
        assert_eq!(set(Some(1e300)), Some(1e300));
        let numbers = [100.009_999_999_999_99, 5.0, -0.5, 1.7e308, f64::INFINITY, 0.0, 1000.0];
        let texts = ["100.01", "5", "-0.5", "1.7e308", "inf", "0", "1000"];
        assert_eq!(numbers.map(shown), texts);
        assert_eq!((set(Some(UNSET)), set(None)), (None, None));
    }
}
