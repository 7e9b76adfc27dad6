//! Gateway's limits by name, and what each is set to.
//!
//! Only data: the counts are kept in `gateway/shared.rs` and by whoever answers the request, and
//! one that meets a limit is refused there. The names are those of `--limit`, of `limit` events and
//! of the report.

use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $value:literal;)*) => {
        /// One of Gateway's limits.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Limit {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Limit {
            /// All of them, in the order in which they are listed to users.
            pub const ALL: &[Limit] = &[$(Limit::$variant),*];

            /// The name on the command line and in events.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Limit::$variant => $name,)*
                }
            }

            /// What a Gateway with 100 market data lines has.
            pub const fn usual(self) -> u32 {
                match self {
                    $(Limit::$variant => $value,)*
                }
            }

            /// What it counts, in one line.
            pub const fn summary(self) -> &'static str {
                match self {
                    $(Limit::$variant => concat!($($doc),+),)*
                }
            }
        }
    };
}

limits! {
    /// Messages of one connection in a second; more wait, or are error 100.
    MessageRate = "message_rate", 50;
    /// Connections at a time; more are closed.
    Connections = "connections", 32;
    /// Instruments subscribed at a time; error 101. As --lines.
    MarketDataLines = "market_data_lines", 100;
    /// Depth subscriptions to different contracts; error 309.
    MarketDepth = "market_depth", 3;
    /// Tick-by-tick subscriptions, in percent of the market data lines; error 10190.
    TickByTick = "tick_by_tick", 5;
    /// Seconds between two tick-by-tick requests for one instrument; error 10190.
    TickByTickPause = "tick_by_tick_pause", 15;
    /// Account summaries at a time; error 322.
    AccountSummaries = "account_summaries", 2;
    /// Accounts with account updates at a time; errors 2100 and 2101.
    AccountUpdates = "account_updates", 1;
    /// Historical requests that are open; error 322.
    HistoricalOpen = "historical_open", 50;
    /// Seconds between identical requests for bars of 30 s or less; error 162.
    HistoricalIdentical = "historical_identical", 15;
    /// Requests for such bars of one contract, exchange and type within 2 s; error 162.
    HistoricalContract = "historical_contract", 5;
    /// Requests for such bars in 10 minutes, BID_ASK twice; error 162.
    HistoricalTotal = "historical_total", 60;
    /// Scanner subscriptions at a time; error 322.
    Scanners = "scanners", 10;
    /// New real-time bars in 10 minutes; error 420.
    RealTimeBars = "real_time_bars", 60;
    /// Regulatory snapshots in a second; error 322.
    RegulatorySnapshots = "regulatory_snapshots", 1;
    /// Active orders of one contract, side and account; error 201.
    ActiveOrders = "active_orders", 20;
    /// Wall Street Horizon requests at a time; error 10281 or 10283.
    Wsh = "wsh", 1;
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What the limits are set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    values: [u32; Limit::ALL.len()],
}

impl Default for Limits {
    fn default() -> Self {
        let mut limits = Self { values: [0; Limit::ALL.len()] };
        for limit in Limit::ALL {
            limits.values[*limit as usize] = limit.usual();
        }
        limits
    }
}

impl Limits {
    /// No limits at all, except that lines and connections have their own settings.
    pub const OFF: Self = Self { values: [LimitSpec::OFF; Limit::ALL.len()] };

    /// The value of one; [`LimitSpec::OFF`] if it is off.
    pub fn of(&self, limit: Limit) -> u32 {
        self.values[limit as usize]
    }

    /// These, with one of them set.
    #[must_use]
    pub fn with(mut self, limit: Limit, value: u32) -> Self {
        self.values[limit as usize] = value;
        self
    }
}

/// A limit and its value: `NAME=N` or `NAME=off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSpec {
    /// Which.
    pub limit: Limit,
    /// Its value.
    pub value: u32,
}

impl LimitSpec {
    /// The value of a limit that does not limit.
    pub const OFF: u32 = u32::MAX;
}

/// A text that sets no limit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LimitError {
    /// It is not of the form.
    #[error("\"{0}\" sets no limit; write NAME=N or NAME=off")]
    BadForm(String),
    /// No limit has this name.
    #[error("there is no limit \"{0}\"; the limits are: {names}", names = names())]
    Unknown(String),
}

impl FromStr for LimitSpec {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let bad = || LimitError::BadForm(text.to_owned());
        let (name, value) = text.split_once('=').ok_or_else(bad)?;
        let known = Limit::ALL.iter().find(|limit| limit.name() == name);
        let limit = *known.ok_or_else(|| LimitError::Unknown(name.to_owned()))?;
        let value = match value {
            "off" => Self::OFF,
            number => number.parse().map_err(|_| bad())?,
        };
        Ok(Self { limit, value })
    }
}

fn names() -> String {
    let names: Vec<_> = Limit::ALL.iter().map(|limit| limit.name()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_and_sets_its_own_value() {
        for limit in Limit::ALL {
            let spec: LimitSpec = format!("{}=7", limit.name()).parse().unwrap();
            assert_eq!(spec, LimitSpec { limit: *limit, value: 7 });
            let limits = Limits::default().with(*limit, 7);
            let changed = Limit::ALL.iter().filter(|one| limits.of(**one) != one.usual());
            assert!(changed.count() <= 1);
            assert_eq!(limits.of(*limit), 7);
        }
        assert_eq!("scanners=off".parse::<LimitSpec>().unwrap().value, LimitSpec::OFF);
        assert!("scanners".parse::<LimitSpec>().is_err());
        let unknown = "beer=1".parse::<LimitSpec>().unwrap_err().to_string();
        assert!(unknown.contains("message_rate"), "{unknown}");
    }
}
