//! Symbols as people write them, and contracts as they read them.

use ibouncer_client::contract;
use ibouncer_client::tws::Contract;
use serde_json::{Value, json};

use crate::output::number::{price, set};

/// `EUR.USD` is a currency pair, everything else a US stock; `BRK.B` is one with classes of shares,
/// which Gateway writes with a space.
pub(crate) fn contract_of(symbol: &str) -> Contract {
    let is_currency =
        |text: &str| text.len() == 3 && text.bytes().all(|letter| letter.is_ascii_uppercase());
    match symbol.split_once('.') {
        Some((base, quote)) if is_currency(base) && is_currency(quote) => {
            contract::forex(base, quote)
        }
        Some((base, class)) if class.len() == 1 && !base.is_empty() => {
            contract::stock(format!("{base} {class}"))
        }
        _ => contract::stock(symbol),
    }
}

/// `AAPL`, `EUR.USD`, `AAPL 20271217 200 C`, `ESZ6`.
pub(crate) fn name_of(contract: &Contract) -> String {
    let symbol = contract.symbol();
    match contract.sec_type() {
        "CASH" => format!("{symbol}.{}", contract.currency()),
        "OPT" | "FOP" | "WAR" => {
            let expiry = contract.last_trade_date_or_contract_month();
            format!("{symbol} {expiry} {} {}", price(contract.strike), contract.right())
        }
        "FUT" | "BOND" | "BILL" if !contract.local_symbol().is_empty() => {
            contract.local_symbol().to_owned()
        }
        _ if symbol.is_empty() => contract.local_symbol().to_owned(),
        _ => symbol.to_owned(),
    }
}

/// The fields that identify a contract; what Gateway did not say is `null`.
pub(crate) fn as_json(contract: &Contract) -> Value {
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    json!({
        "con_id": contract.con_id,
        "symbol": text(&contract.symbol),
        "sec_type": text(&contract.sec_type),
        "exchange": text(&contract.exchange),
        "primary_exchange": text(&contract.primary_exch),
        "currency": text(&contract.currency),
        "local_symbol": text(&contract.local_symbol),
        "trading_class": text(&contract.trading_class),
        "expiry": text(&contract.last_trade_date_or_contract_month),
        "strike": set(contract.strike).filter(|strike| *strike != 0.0),
        "right": text(&contract.right).filter(|right| right != "?" && right != "0"),
        "multiplier": set(contract.multiplier).filter(|multiplier| *multiplier != 0.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_stocks_or_currency_pairs() {
        let read = |symbol| {
            let contract = contract_of(symbol);
            (contract.sec_type().to_owned(), contract.symbol().to_owned(), name_of(&contract))
        };
        assert_eq!(read("AAPL"), ("STK".into(), "AAPL".into(), "AAPL".into()));
        assert_eq!(read("EUR.USD"), ("CASH".into(), "EUR".into(), "EUR.USD".into()));
        assert_eq!(read("BRK.B"), ("STK".into(), "BRK B".into(), "BRK B".into()));
        assert_eq!(read("BRK B"), read("BRK.B"));
    }

    #[test]
    fn an_option_is_named_with_its_terms() {
        let call = contract::option("AAPL", "20271217", 200.0, "C");
        assert_eq!(name_of(&call), "AAPL 20271217 200 C");
        assert_eq!(as_json(&call)["strike"], 200.0);
        assert_eq!(as_json(&call)["con_id"], Value::Null);
        let unset = contract::option("AAPL", "20271217", f64::MAX, "C");
        assert_eq!(name_of(&unset), "AAPL 20271217 - C");
        assert_eq!(as_json(&unset)["strike"], Value::Null);
    }
}
