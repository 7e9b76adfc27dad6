//! What a request must be before anything is sent to Gateway: checks that all requests share.
//!
//! Every refusal names the field, says what was wrong with it, and what to do.

use ibouncer_proto::tws::v1::Contract;

use crate::error::{self, Error};

/// Longest text in a field; Gateway's own are far shorter.
const LONGEST: usize = 1_000;

/// A contract that names something.
pub fn contract(contract: Option<&Contract>) -> Result<&Contract, Error> {
    let Some(contract) = contract else {
        return Err(error::invalid("request.contract is missing: name what to ask for"));
    };
    let named = contract.con_id() != 0
        || !contract.symbol().is_empty()
        || !contract.local_symbol().is_empty()
        || !contract.sec_id().is_empty()
        || !contract.issuer_id().is_empty();
    if !named {
        return Err(error::invalid(
            "request.contract names nothing: set symbol, local_symbol, con_id, sec_id or issuer_id",
        ));
    }
    for (field, value) in [
        ("symbol", contract.symbol()),
        ("sec_type", contract.sec_type()),
        ("last_trade_date_or_contract_month", contract.last_trade_date_or_contract_month()),
        ("right", contract.right()),
        ("exchange", contract.exchange()),
        ("primary_exch", contract.primary_exch()),
        ("currency", contract.currency()),
        ("local_symbol", contract.local_symbol()),
        ("trading_class", contract.trading_class()),
        ("sec_id", contract.sec_id()),
        ("issuer_id", contract.issuer_id()),
    ] {
        if value.len() > 200 || !value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err(error::invalid(format!(
                "request.contract.{field} is {value:?}: use at most 200 printable ASCII characters"
            )));
        }
    }
    number("contract.strike", contract.strike)?;
    number("contract.multiplier", contract.multiplier)?;
    Ok(contract)
}

/// A number, if there is one.
pub fn number(field: &str, value: Option<f64>) -> Result<(), Error> {
    match value {
        Some(value) if !value.is_finite() => Err(error::invalid(format!(
            "request.{field} is {value}: use a number, or leave it out"
        ))),
        _ => Ok(()),
    }
}

/// How many there are to be, at most; 0 leaves it to Gateway.
pub fn count(field: &str, value: Option<i32>) -> Result<(), Error> {
    match value {
        Some(value) if value < 0 => {
            Err(error::invalid(format!("request.{field} is {value}: use 0 or more")))
        }
        _ => Ok(()),
    }
}

/// A list in a text.
pub fn list(field: &str, value: &str) -> Result<(), Error> {
    if value.len() > LONGEST {
        return Err(error::invalid(format!(
            "request.{field} has {} characters: use at most {LONGEST}",
            value.len()
        )));
    }
    Ok(())
}

/// A text without control characters.
pub fn text(field: &str, value: &str) -> Result<(), Error> {
    if value.len() > LONGEST || value.chars().any(char::is_control) {
        let shown: String = value.chars().take(40).collect();
        return Err(error::invalid(format!(
            "request.{field} is {shown:?}: use at most {LONGEST} characters, no control characters"
        )));
    }
    Ok(())
}

/// A text that must be there.
pub fn needed(field: &str, value: &str, example: &str) -> Result<(), Error> {
    if value.is_empty() {
        return Err(error::invalid(format!("request.{field} is missing: for example {example:?}")));
    }
    text(field, value)
}

/// One of a few words, in capitals or not.
pub fn one_of(field: &str, value: &str, words: &[&str]) -> Result<(), Error> {
    if words.contains(&value) {
        return Ok(());
    }
    let words = words.join(", ");
    Err(error::invalid(format!("request.{field} is {value:?}: use one of {words}")))
}

/// Symbol, or what stands for it.
pub fn label(contract: &Contract) -> String {
    if !contract.local_symbol().is_empty() {
        contract.local_symbol().to_owned()
    } else if contract.sec_type() == "CASH" {
        format!("{}.{}", contract.symbol(), contract.currency())
    } else if !contract.symbol().is_empty() {
        contract.symbol().to_owned()
    } else {
        format!("conId {}", contract.con_id())
    }
}

/// The same contract in one form: absent and empty mean the same to Gateway.
pub fn plain(contract: &Contract) -> Contract {
    let mut contract = contract.clone();
    for text in [
        &mut contract.symbol,
        &mut contract.sec_type,
        &mut contract.last_trade_date_or_contract_month,
        &mut contract.right,
        &mut contract.exchange,
        &mut contract.primary_exch,
        &mut contract.currency,
        &mut contract.local_symbol,
        &mut contract.trading_class,
        &mut contract.sec_id_type,
        &mut contract.sec_id,
        &mut contract.issuer_id,
        &mut contract.description,
        &mut contract.combo_legs_descrip,
        &mut contract.last_trade_date,
    ] {
        text.take_if(|text| text.is_empty());
    }
    contract.con_id.take_if(|id| *id == 0);
    contract.strike.take_if(|strike| *strike == 0.0);
    contract.multiplier.take_if(|multiplier| *multiplier == 0.0);
    contract.include_expired.take_if(|include| !*include);
    contract
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_nothing_or_cannot_be_sent_is_refused_with_its_field() {
        let named = |symbol: &str| Contract { symbol: Some(symbol.into()), ..Contract::default() };
        assert!(contract(Some(&named("AAPL"))).is_ok());
        for (bad, word) in
            [(None, "missing"), (Some(named("")), "nothing"), (Some(named("A\0")), "symbol")]
        {
            let error = contract(bad.as_ref()).unwrap_err();
            assert!(error.message.contains(word), "{}", error.message);
        }
        assert!(text("account", "DU\n1").unwrap_err().message.contains("request.account"));
    }

    #[test]
    fn numbers_that_are_none_counts_below_0_and_endless_lists_do_not_leave() {
        let at = |strike| Contract { strike, symbol: Some("AAPL".into()), ..Contract::default() };
        // The official clients write the largest number for none; strikes below 0 have been traded.
        for strike in [None, Some(0.0), Some(-5.0), Some(f64::MAX)] {
            assert!(contract(Some(&at(strike))).is_ok(), "{strike:?}");
        }
        for strike in [f64::NAN, f64::INFINITY] {
            let error = contract(Some(&at(Some(strike)))).unwrap_err();
            assert!(error.message.contains("request.contract.strike"), "{}", error.message);
        }
        assert!(count("total_results", None).is_ok() && count("total_results", Some(0)).is_ok());
        assert!(count("total_results", Some(-7)).unwrap_err().message.contains("is -7"));
        assert!(list("generic_tick_list", &"233,".repeat(250)).is_ok());
        assert!(list("generic_tick_list", &"233,".repeat(27_000)).is_err());
    }
}
