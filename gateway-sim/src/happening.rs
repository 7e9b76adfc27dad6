//! What can happen at a Gateway while it runs, as text: for `--happen TIME:WHAT` and for handles.
//!
//! Only data. What each does is in `gateway/happenings.rs`; those of orders are in
//! `happening/orders.rs`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::seeds::SeedOwner;
pub(crate) use orders::FORMS as ORDER_FORMS;
pub use orders::{DropAtOrder, OrderHappening, OrderName};

mod orders;
mod parts;

/// One of IB's data farms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farm {
    /// Quotes, depth and ticks.
    Market,
    /// Historical data.
    Historical,
    /// Contract definitions.
    SecurityDefinitions,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// A farm is broken: 2103, 2105 or 2157, and its data stop.
    FarmDown(Farm),
    /// A farm is connected again: 2104, 2106 or 2158.
    FarmUp(Farm),
    /// Gateway has lost IB: 1100, and all data stop.
    LinkLost,
    /// It is back, and subscriptions to data are gone: 1101.
    RestoredWithoutData,
    /// It is back, and everything goes on: 1102.
    RestoredWithData,
    /// Gateway restarts: all connections are closed, and the next valid id is so much lower.
    Restart {
        /// By how much.
        roll_back: i32,
    },
    /// The first account's position in a symbol is closed elsewhere: it is 0, and gone.
    PositionVanishes(String),
    /// An order of somebody is executed, and the first account's position changes.
    Execution {
        /// Of which stock.
        symbol: String,
        /// How much; negative if it was sold.
        quantity: i32,
        /// Whose order it was.
        owner: SeedOwner,
    },
    /// All books of depth are reset: 317, and new ones.
    DepthReset,
    /// A bulletin is published.
    Bulletin(String),
    /// Something happens to an order, or to the next ones.
    Order(OrderHappening),
}

/// A happening and when, counted from the start: `10s:1100`.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheduled {
    /// When.
    pub at: Duration,
    /// What.
    pub what: Happening,
}

/// A text that is no happening.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "\"{0}\" is nothing that can happen; write TIME:WHAT, such as 10s:1100, with WHAT one of: {FORMS}; {ORDER_FORMS}"
)]
pub struct HappeningError(String);

/// All forms, as they are listed to users.
pub(crate) const FORMS: &str = "farm-down=FARM; farm-up=FARM with FARM one of market, historical, \
                                security-definitions; 1100; 1101; 1102; restart[=ROLLBACK]; \
                                position-vanishes=SYMBOL; \
                                execution=SYMBOL:QUANTITY[:own|manual|CLIENT]; depth-reset; \
                                bulletin=TEXT";

const FARMS: &[(&str, Farm)] = &[
    ("market", Farm::Market),
    ("historical", Farm::Historical),
    ("security-definitions", Farm::SecurityDefinitions),
];

impl fmt::Display for Farm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = FARMS.iter().find(|(_, farm)| farm == self).map_or("", |(name, _)| name);
        formatter.write_str(name)
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FarmDown(farm) => write!(formatter, "farm-down={farm}"),
            Self::FarmUp(farm) => write!(formatter, "farm-up={farm}"),
            Self::LinkLost => formatter.write_str("1100"),
            Self::RestoredWithoutData => formatter.write_str("1101"),
            Self::RestoredWithData => formatter.write_str("1102"),
            Self::Restart { roll_back } => write!(formatter, "restart={roll_back}"),
            Self::PositionVanishes(symbol) => write!(formatter, "position-vanishes={symbol}"),
            Self::Execution { symbol, quantity, owner } => {
                write!(formatter, "execution={symbol}:{quantity}:")?;
                match owner {
                    SeedOwner::Own => formatter.write_str("own"),
                    SeedOwner::Manual => formatter.write_str("manual"),
                    SeedOwner::Client(client_id) => write!(formatter, "{client_id}"),
                }
            }
            Self::DepthReset => formatter.write_str("depth-reset"),
            Self::Bulletin(text) => write!(formatter, "bulletin={text}"),
            Self::Order(what) => what.fmt(formatter),
        }
    }
}

impl FromStr for Happening {
    type Err = HappeningError;

    fn from_str(text: &str) -> Result<Self, HappeningError> {
        let error = || HappeningError(text.to_owned());
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let farm = || {
            let found = FARMS.iter().find(|(name, _)| Some(*name) == value);
            found.map(|(_, farm)| *farm).ok_or_else(error)
        };
        let word = || value.filter(|word| !word.is_empty()).map(str::to_owned).ok_or_else(error);
        match (name, value) {
            ("farm-down", _) => Ok(Self::FarmDown(farm()?)),
            ("farm-up", _) => Ok(Self::FarmUp(farm()?)),
            ("1100", None) => Ok(Self::LinkLost),
            ("1101", None) => Ok(Self::RestoredWithoutData),
            ("1102", None) => Ok(Self::RestoredWithData),
            ("restart", _) => {
                let roll_back = value.unwrap_or("0").parse().map_err(|_| error())?;
                Ok(Self::Restart { roll_back })
            }
            ("position-vanishes", _) => Ok(Self::PositionVanishes(word()?)),
            ("execution", Some(value)) => execution(value).ok_or_else(error),
            ("depth-reset", None) => Ok(Self::DepthReset),
            ("bulletin", _) => Ok(Self::Bulletin(word()?)),
            (name, value) => orders::read(name, value).map(Self::Order).ok_or_else(error),
        }
    }
}

fn execution(value: &str) -> Option<Happening> {
    let mut parts = value.split(':');
    let symbol = parts.next().filter(|symbol| !symbol.is_empty())?.to_owned();
    let quantity = parts.next()?.parse().ok().filter(|quantity| *quantity != 0)?;
    let owner = match parts.next() {
        None | Some("own") => SeedOwner::Own,
        Some("manual") => SeedOwner::Manual,
        Some(client_id) => SeedOwner::Client(client_id.parse().ok()?),
    };
    Some(Happening::Execution { symbol, quantity, owner })
}

impl FromStr for Scheduled {
    type Err = HappeningError;

    fn from_str(text: &str) -> Result<Self, HappeningError> {
        let error = || HappeningError(text.to_owned());
        let (at, what) = text.split_once(':').ok_or_else(error)?;
        let at = humantime::parse_duration(at).map_err(|_| error())?;
        Ok(Self { at, what: what.parse().map_err(|_| error())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_back() {
        for text in [
            "farm-down=market",
            "farm-up=historical",
            "farm-down=security-definitions",
            "1100",
            "1101",
            "1102",
            "restart=100",
            "position-vanishes=BRK B",
            "execution=AAPL:-10:manual",
            "execution=AAPL:10:own",
            "execution=AAPL:10:55",
            "depth-reset",
            "bulletin=All is well",
        ] {
            assert_eq!(text.parse::<Happening>().unwrap().to_string(), text);
            let scheduled: Scheduled = format!("1m 5s:{text}").parse().unwrap();
            assert_eq!(scheduled.at, Duration::from_secs(65));
        }
        for text in
            ["", "1103", "farm-down=corn", "execution=AAPL", "execution=AAPL:0", "restart=x"]
        {
            assert!(text.parse::<Happening>().is_err(), "{text}");
        }
        assert!("1100".parse::<Scheduled>().is_err());
    }
}
