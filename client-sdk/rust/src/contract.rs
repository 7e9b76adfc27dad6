//! Short ways to write the usual contracts. Any field can still be set afterwards:
//!
//! ```
//! use ibouncer_client::{contract, tws::Contract};
//!
//! let bayer = Contract { currency: Some("EUR".into()), ..contract::stock("BAYN") };
//! ```

use crate::tws::Contract;

/// A US stock or ETF: SMART routing, in USD.
pub fn stock(symbol: impl Into<String>) -> Contract {
    contract(symbol, "STK", "SMART", "USD")
}

/// A currency pair at IDEALPRO: `forex("EUR", "USD")` is EUR priced in USD.
pub fn forex(base: impl Into<String>, quote: impl Into<String>) -> Contract {
    contract(base, "CASH", "IDEALPRO", quote)
}

/// An index, for example `index("SPX", "CBOE", "USD")`.
pub fn index(
    symbol: impl Into<String>,
    exchange: impl Into<String>,
    currency: impl Into<String>,
) -> Contract {
    contract(symbol, "IND", exchange, currency)
}

/// A future by its month (`YYYYMM`) or last trading day (`YYYYMMDD`), in USD.
pub fn future(
    symbol: impl Into<String>,
    month: impl Into<String>,
    exchange: impl Into<String>,
) -> Contract {
    Contract {
        last_trade_date_or_contract_month: Some(month.into()),
        ..contract(symbol, "FUT", exchange, "USD")
    }
}

/// An option on a US stock: day of expiry (`YYYYMMDD`), strike, and `"C"` or `"P"`.
pub fn option(
    symbol: impl Into<String>,
    expiry: impl Into<String>,
    strike: f64,
    right: impl Into<String>,
) -> Contract {
    Contract {
        last_trade_date_or_contract_month: Some(expiry.into()),
        strike: Some(strike),
        right: Some(right.into()),
        ..contract(symbol, "OPT", "SMART", "USD")
    }
}

/// Any instrument by its contract id, routed to `exchange` (`"SMART"` lets IB choose).
pub fn by_id(con_id: i32, exchange: impl Into<String>) -> Contract {
    Contract { con_id: Some(con_id), exchange: Some(exchange.into()), ..Contract::default() }
}

fn contract(
    symbol: impl Into<String>,
    sec_type: &str,
    exchange: impl Into<String>,
    currency: impl Into<String>,
) -> Contract {
    Contract {
        symbol: Some(symbol.into()),
        sec_type: Some(sec_type.to_owned()),
        exchange: Some(exchange.into()),
        currency: Some(currency.into()),
        ..Contract::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stock_is_smart_routed_in_dollars() {
        let apple = stock("AAPL");
        assert_eq!(apple.symbol(), "AAPL");
        assert_eq!(apple.sec_type(), "STK");
        assert_eq!(apple.exchange(), "SMART");
        assert_eq!(apple.currency(), "USD");
        assert_eq!(apple.con_id, None);
    }

    #[test]
    fn an_option_names_expiry_strike_and_right() {
        let call = option("AAPL", "20271217", 200.0, "C");
        assert_eq!(call.last_trade_date_or_contract_month(), "20271217");
        assert_eq!((call.strike(), call.right()), (200.0, "C"));
    }
}
