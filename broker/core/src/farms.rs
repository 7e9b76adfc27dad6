//! State of the data farms, as Gateway's notices tell it. Changes nothing but this table.

use std::collections::BTreeMap;
use std::time::Instant;

/// The newest word about one farm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FarmState {
    /// "ok", "inactive", "connecting" or "broken".
    pub state: &'static str,
    /// Since when.
    pub since: Instant,
}

/// All farms, by kind ("market", "historical", "sec-def") and name.
#[derive(Debug, Default)]
pub struct Farms {
    table: BTreeMap<(&'static str, String), FarmState>,
}

impl Farms {
    /// Takes a notice. True if it was about a farm.
    pub fn on_notice(&mut self, code: i32, text: &str, now: Instant) -> bool {
        let (kind, state) = match code {
            2103 => ("market", "broken"),
            2104 => ("market", "ok"),
            2105 => ("historical", "broken"),
            2106 => ("historical", "ok"),
            2107 => ("historical", "inactive"),
            2108 => ("market", "inactive"),
            2119 => ("market", "connecting"),
            2157 => ("sec-def", "broken"),
            2158 => ("sec-def", "ok"),
            _ => return false,
        };
        let Some(name) = farm_name(text) else {
            return true;
        };
        let farm = self
            .table
            .entry((kind, name.to_owned()))
            .or_insert(FarmState { state: "", since: now });
        if farm.state != state {
            *farm = FarmState { state, since: now };
        }
        true
    }

    /// All that are known, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str, FarmState)> {
        self.table.iter().map(|((kind, name), farm)| (*kind, name.as_str(), *farm))
    }

    /// The session is gone.
    pub fn clear(&mut self) {
        self.table.clear();
    }
}

/// Gateway writes the name behind the last colon or full stop: "…is OK:usfarm",
/// "…available upon demand.ushmds".
fn farm_name(text: &str) -> Option<&str> {
    let name = text.rsplit([':', '.']).next()?.trim();
    let good = !name.is_empty() && name.len() <= 40 && !name.contains(' ');
    good.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_change_one_farm_and_keep_the_time_of_the_change() {
        let mut farms = Farms::default();
        let start = Instant::now();
        let later = start + std::time::Duration::from_secs(5);
        assert!(farms.on_notice(2104, "Market data farm connection is OK:usfarm", start));
        assert!(farms.on_notice(2107, "HMDS inactive but available upon demand.ushmds", start));
        assert!(farms.on_notice(2104, "Market data farm connection is OK:usfarm", later));
        assert!(!farms.on_notice(200, "No security definition", start));
        let seen: Vec<_> = farms.iter().collect();
        assert_eq!(
            seen,
            [
                ("historical", "ushmds", FarmState { state: "inactive", since: start }),
                ("market", "usfarm", FarmState { state: "ok", since: start }),
            ]
        );
        farms.on_notice(2103, "Market data farm connection is broken:usfarm", later);
        let broken = farms.iter().find(|(_, name, _)| *name == "usfarm").unwrap().2;
        assert_eq!(broken, FarmState { state: "broken", since: later });
    }
}
