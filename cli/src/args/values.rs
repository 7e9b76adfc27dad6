//! How the values of flags are read.

use std::time::Duration;

use clap::ValueEnum;
use ibouncer_client::Feed;
use ibouncer_doctor::Setting;

/// IB's market data types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FeedName {
    Live,
    Frozen,
    Delayed,
    DelayedFrozen,
}

impl From<FeedName> for Feed {
    fn from(name: FeedName) -> Self {
        match name {
            FeedName::Live => Self::Live,
            FeedName::Frozen => Self::Frozen,
            FeedName::Delayed => Self::Delayed,
            FeedName::DelayedFrozen => Self::DelayedFrozen,
        }
    }
}

/// A price: a number that is one.
pub(super) fn price(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().map_err(|error| error.to_string())?;
    if number.is_finite() { Ok(number) } else { Err("a price is a finite number".into()) }
}

/// `90s`, `5m`, or a bare number of seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

pub(super) fn some_time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("no step can be done in no time".to_owned()),
        time => Ok(time),
    }
}

pub(super) fn client_id(text: &str) -> Result<i32, String> {
    let known = text.parse::<i32>().ok().filter(|id| *id >= 0);
    known.ok_or_else(|| "expected a number, 0 or more".to_owned())
}

pub(super) fn reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("a reason is needed: it is kept with the attempt".to_owned());
    }
    Ok(text.trim().to_owned())
}

pub(super) fn eyes(text: &str) -> Result<Setting, String> {
    text.parse::<Setting>().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_or_are_seconds() {
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(duration("soon").is_err());
    }
}
