//! Numbers of the kinds of market-data ticks, as Interactive Brokers counts them, and names for
//! them. A number that is not listed is shown as a number, never dropped.

/// The name of a tick kind: `name(1)` is `"bid"`. `None` for a number that is not listed.
pub fn name(tick_type: i32) -> Option<&'static str> {
    NAMES.get(usize::try_from(tick_type).ok()?).copied()
}

/// The number of a tick kind by its name: the inverse of [`name`].
pub fn number(name: &str) -> Option<i32> {
    let position = NAMES.iter().position(|known| *known == name)?;
    i32::try_from(position).ok()
}

/// The kind whose value the size in a price tick is: that of a bid is a bid size.
pub fn size_of_price(tick_type: i32) -> Option<i32> {
    match tick_type {
        BID => Some(BID_SIZE),
        ASK => Some(ASK_SIZE),
        LAST => Some(LAST_SIZE),
        DELAYED_BID => Some(DELAYED_BID_SIZE),
        DELAYED_ASK => Some(DELAYED_ASK_SIZE),
        DELAYED_LAST => Some(DELAYED_LAST_SIZE),
        _ => None,
    }
}

/// Size at the best bid.
pub const BID_SIZE: i32 = 0;
/// Best bid.
pub const BID: i32 = 1;
/// Best ask.
pub const ASK: i32 = 2;
/// Size at the best ask.
pub const ASK_SIZE: i32 = 3;
/// Price of the last trade.
pub const LAST: i32 = 4;
/// Size of the last trade.
pub const LAST_SIZE: i32 = 5;
/// The day's high.
pub const HIGH: i32 = 6;
/// The day's low.
pub const LOW: i32 = 7;
/// The day's volume.
pub const VOLUME: i32 = 8;
/// Close of the day before.
pub const CLOSE: i32 = 9;
/// The day's open.
pub const OPEN: i32 = 14;
/// Time of the last trade, Unix seconds as text.
pub const LAST_TIMESTAMP: i32 = 45;
/// 0 not halted, 1 general halt, 2 volatility halt, -1 not known.
pub const HALTED: i32 = 49;
/// As [`BID`], delayed.
pub const DELAYED_BID: i32 = 66;
/// As [`ASK`], delayed.
pub const DELAYED_ASK: i32 = 67;
/// As [`LAST`], delayed.
pub const DELAYED_LAST: i32 = 68;
/// As [`BID_SIZE`], delayed.
pub const DELAYED_BID_SIZE: i32 = 69;
/// As [`ASK_SIZE`], delayed.
pub const DELAYED_ASK_SIZE: i32 = 70;
/// As [`LAST_SIZE`], delayed.
pub const DELAYED_LAST_SIZE: i32 = 71;

/// The position is the number.
const NAMES: &[&str] = &[
    "bid_size",
    "bid",
    "ask",
    "ask_size",
    "last",
    "last_size",
    "high",
    "low",
    "volume",
    "close",
    "bid_option",
    "ask_option",
    "last_option",
    "model_option",
    "open",
    "low_13_weeks",
    "high_13_weeks",
    "low_26_weeks",
    "high_26_weeks",
    "low_52_weeks",
    "high_52_weeks",
    "average_volume",
    "open_interest",
    "option_historical_volatility",
    "option_implied_volatility",
    "option_bid_exchange",
    "option_ask_exchange",
    "option_call_open_interest",
    "option_put_open_interest",
    "option_call_volume",
    "option_put_volume",
    "index_future_premium",
    "bid_exchange",
    "ask_exchange",
    "auction_volume",
    "auction_price",
    "auction_imbalance",
    "mark_price",
    "bid_efp",
    "ask_efp",
    "last_efp",
    "open_efp",
    "high_efp",
    "low_efp",
    "close_efp",
    "last_timestamp",
    "shortable",
    "fundamental_ratios",
    "rt_volume",
    "halted",
    "bid_yield",
    "ask_yield",
    "last_yield",
    "custom_option",
    "trade_count",
    "trade_rate",
    "volume_rate",
    "last_rth_trade",
    "rt_historical_volatility",
    "ib_dividends",
    "bond_factor_multiplier",
    "regulatory_imbalance",
    "news",
    "short_term_volume_3_minutes",
    "short_term_volume_5_minutes",
    "short_term_volume_10_minutes",
    "delayed_bid",
    "delayed_ask",
    "delayed_last",
    "delayed_bid_size",
    "delayed_ask_size",
    "delayed_last_size",
    "delayed_high",
    "delayed_low",
    "delayed_volume",
    "delayed_close",
    "delayed_open",
    "rt_trade_volume",
    "creditman_mark_price",
    "creditman_slow_mark_price",
    "delayed_bid_option",
    "delayed_ask_option",
    "delayed_last_option",
    "delayed_model_option",
    "last_exchange",
    "last_regulatory_time",
    "futures_open_interest",
    "average_option_volume",
    "delayed_last_timestamp",
    "shortable_shares",
    "delayed_halted",
    "reuters_mutual_funds",
    "etf_nav_close",
    "etf_nav_prior_close",
    "etf_nav_bid",
    "etf_nav_ask",
    "etf_nav_last",
    "etf_frozen_nav_last",
    "etf_nav_high",
    "etf_nav_low",
    "social_market_analytics",
    "estimated_ipo_midpoint",
    "final_ipo_last",
    "delayed_yield_bid",
    "delayed_yield_ask",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_their_numbers() {
        for (number_expected, name_expected) in [
            (BID_SIZE, "bid_size"),
            (ASK, "ask"),
            (LAST_SIZE, "last_size"),
            (CLOSE, "close"),
            (13, "model_option"),
            (OPEN, "open"),
            (37, "mark_price"),
            (LAST_TIMESTAMP, "last_timestamp"),
            (HALTED, "halted"),
            (59, "ib_dividends"),
            (DELAYED_BID, "delayed_bid"),
            (DELAYED_LAST_SIZE, "delayed_last_size"),
            (84, "last_exchange"),
            (104, "delayed_yield_ask"),
        ] {
            assert_eq!(name(number_expected), Some(name_expected));
            assert_eq!(number(name_expected), Some(number_expected));
        }
        assert_eq!(name(-1), None);
        assert_eq!(name(105), None);
        assert_eq!(number("nonsense"), None);
    }

    #[test]
    fn the_size_of_a_price_has_the_name_of_the_price() {
        for price in [BID, ASK, LAST, DELAYED_BID, DELAYED_ASK, DELAYED_LAST] {
            let size = size_of_price(price).and_then(name).unwrap();
            assert_eq!(size, format!("{}_size", name(price).unwrap()));
        }
        assert_eq!(size_of_price(CLOSE), None);
    }
}
