//! The instruments that the simulated Gateway knows.
//!
//! Well-known names with plausible prices of no particular day. Only data: which contracts they
//! make is in `listings.rs`, and prices begin to move in `walk.rs`.

/// How sizes of an instrument look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Every size is a multiple of this.
    pub(crate) unit: u32,
    /// And at most this many units.
    pub(crate) most: u32,
}

/// One instrument.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Instrument {
    pub(crate) symbol: &'static str,
    pub(crate) sec_type: &'static str,
    pub(crate) currency: &'static str,
    /// Where its price starts.
    pub(crate) price: f64,
    /// Price steps to 1.0: a price is a whole number of steps, divided by this.
    pub(crate) steps: u32,
    pub(crate) sizes: Sizes,
    /// Key of its exchanges in tickReqParams.
    pub(crate) bbo_exchange: &'static str,
}

impl Instrument {
    /// The smallest price step, as a decimal string.
    pub(crate) fn min_tick(&self) -> String {
        (1.0 / f64::from(self.steps)).to_string()
    }
}

const fn stock(symbol: &'static str, price: f64) -> Instrument {
    Instrument {
        symbol,
        sec_type: "STK",
        currency: "USD",
        price,
        steps: 100,
        sizes: Sizes { unit: 100, most: 30 },
        bbo_exchange: "9c0001",
    }
}

const fn future(symbol: &'static str, price: f64, steps: u32) -> Instrument {
    Instrument {
        symbol,
        sec_type: "FUT",
        currency: "USD",
        price,
        steps,
        sizes: Sizes { unit: 1, most: 80 },
        bbo_exchange: "a60001",
    }
}

const fn currency(symbol: &'static str, currency: &'static str, price: f64) -> Instrument {
    Instrument {
        symbol,
        sec_type: "CASH",
        currency,
        price,
        steps: 20_000,
        sizes: Sizes { unit: 250_000, most: 40 },
        bbo_exchange: "8c0001",
    }
}

const fn index(symbol: &'static str, price: f64) -> Instrument {
    Instrument {
        symbol,
        sec_type: "IND",
        currency: "USD",
        price,
        steps: 100,
        sizes: Sizes { unit: 1, most: 1 },
        bbo_exchange: "9d0001",
    }
}

const fn bond(symbol: &'static str, price: f64) -> Instrument {
    Instrument {
        symbol,
        sec_type: "BOND",
        currency: "USD",
        price,
        steps: 1000,
        sizes: Sizes { unit: 10, most: 100 },
        bbo_exchange: "be0001",
    }
}

const fn crypto(symbol: &'static str, price: f64) -> Instrument {
    Instrument {
        symbol,
        sec_type: "CRYPTO",
        currency: "USD",
        price,
        steps: 4,
        sizes: Sizes { unit: 1, most: 5 },
        bbo_exchange: "c70001",
    }
}

/// All of them.
pub(crate) const INSTRUMENTS: &[Instrument] = &[
    stock("AAPL", 231.40),
    stock("MSFT", 428.15),
    stock("NVDA", 138.25),
    stock("AMZN", 205.70),
    stock("GOOGL", 176.35),
    stock("GOOG", 178.10),
    stock("META", 585.60),
    stock("TSLA", 342.20),
    stock("AVGO", 168.45),
    stock("BRK B", 468.90),
    stock("JPM", 241.30),
    stock("LLY", 812.50),
    stock("V", 309.75),
    stock("UNH", 588.20),
    stock("XOM", 119.60),
    stock("MA", 521.35),
    stock("COST", 928.10),
    stock("HD", 405.80),
    stock("PG", 172.45),
    stock("JNJ", 154.30),
    stock("WMT", 86.95),
    stock("ABBV", 171.20),
    stock("NFLX", 861.40),
    stock("CRM", 338.65),
    stock("BAC", 46.85),
    stock("ORCL", 188.70),
    stock("CVX", 158.90),
    stock("KO", 63.40),
    stock("MRK", 99.25),
    stock("AMD", 139.60),
    stock("PEP", 161.75),
    stock("ADBE", 512.30),
    stock("TMO", 519.85),
    stock("LIN", 449.20),
    stock("ACN", 358.40),
    stock("MCD", 291.65),
    stock("CSCO", 57.90),
    stock("ABT", 116.70),
    stock("GE", 179.35),
    stock("IBM", 213.80),
    stock("DHR", 233.45),
    stock("TXN", 201.10),
    stock("QCOM", 158.60),
    stock("PM", 127.85),
    stock("NOW", 1032.40),
    stock("CAT", 391.25),
    stock("INTU", 648.70),
    stock("WFC", 74.30),
    stock("AMGN", 291.15),
    stock("VZ", 42.65),
    stock("DIS", 112.40),
    stock("AMAT", 177.90),
    stock("ISRG", 538.25),
    stock("GS", 592.60),
    stock("PFE", 25.35),
    stock("SPGI", 508.45),
    stock("RTX", 119.70),
    stock("NEE", 76.85),
    stock("T", 22.90),
    stock("UBER", 71.35),
    stock("CMCSA", 43.20),
    stock("LOW", 268.55),
    stock("PGR", 256.80),
    stock("HON", 226.45),
    stock("UNP", 236.10),
    stock("BKNG", 5080.50),
    stock("TJX", 120.65),
    stock("AXP", 289.30),
    stock("MS", 132.75),
    stock("BLK", 1031.20),
    stock("ETN", 369.85),
    stock("COP", 110.45),
    stock("SYK", 385.60),
    stock("BSX", 90.15),
    stock("BA", 144.70),
    stock("MU", 101.85),
    stock("PANW", 389.40),
    stock("C", 69.25),
    stock("ADP", 302.60),
    stock("FI", 214.35),
    stock("LMT", 532.80),
    stock("SCHW", 81.45),
    stock("MDT", 86.20),
    stock("DE", 432.95),
    stock("INTC", 24.35),
    stock("SBUX", 99.60),
    stock("GILD", 89.75),
    stock("LRCX", 71.90),
    stock("KLAC", 628.40),
    stock("MMM", 129.85),
    stock("NKE", 76.50),
    stock("SHOP", 107.30),
    stock("PLTR", 64.20),
    stock("COIN", 304.65),
    stock("SNOW", 154.10),
    stock("F", 11.05),
    stock("GM", 56.30),
    stock("SPY", 591.85),
    stock("QQQ", 503.20),
    stock("IWM", 234.75),
    stock("DIA", 438.60),
    stock("VTI", 293.45),
    stock("TLT", 90.35),
    stock("GLD", 246.90),
    stock("XLF", 49.65),
    stock("XLE", 95.80),
    stock("EEM", 43.05),
    stock("HYG", 79.40),
    stock("NOPERM", 50.00),
    future("ES", 5935.25, 4),
    future("NQ", 20790.50, 4),
    future("YM", 43890.0, 1),
    future("CL", 70.85, 100),
    future("GC", 2694.30, 10),
    future("ZN", 109.50, 64),
    currency("EUR", "USD", 1.05430),
    currency("GBP", "USD", 1.26210),
    currency("AUD", "USD", 0.65105),
    currency("USD", "JPY", 154.35),
    currency("USD", "CHF", 0.88640),
    index("SPX", 5930.85),
    index("VIX", 15.20),
    bond("US-T", 98.750),
    bond("IBCID0001", 101.250),
    crypto("BTC", 97_250.0),
    crypto("ETH", 3_340.0),
    // Two listings of one name, so that there is a contract that is ambiguous.
    stock("AMBIG", 40.00),
    Instrument { currency: "EUR", ..stock("AMBIG", 37.50) },
    // Has no market data of its own: whoever asks for them is sent to the stock.
    Instrument { sec_type: "CFD", ..stock("AMD", 139.60) },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_written_as_decimals() {
        assert_eq!(stock("X", 1.0).min_tick(), "0.01");
        assert_eq!(future("X", 1.0, 4).min_tick(), "0.25");
        assert_eq!(currency("X", "USD", 1.0).min_tick(), "0.00005");
    }
}
