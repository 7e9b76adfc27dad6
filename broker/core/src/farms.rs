//! State of the data farms, as Gateway's notices tell it, and whether one that serves market data is
//! broken. What that means for lines is decided in `hub/doubts.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// The newest word about one farm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FarmState {
    /// "ok", "inactive", "connecting" or "broken".
    pub state: &'static str,
    /// Since when.
    pub since: Instant,
}

/// What a notice about a farm means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The table has changed, or has not.
    Noted,
    /// A farm of market data is broken, and was not.
    Broke,
    /// No farm of market data is broken any more.
    Mended,
}

/// All farms, by kind ("market", "historical", "sec-def") and name.
#[derive(Debug, Default)]
pub struct Farms {
    table: BTreeMap<(&'static str, String), FarmState>,
    /// Farms of market data that are broken. One that is being connected to (2119) still is.
    broken: BTreeSet<String>,
}

impl Farms {
    /// Takes a notice; none if it is not about a farm.
    pub fn on_notice(&mut self, code: i32, text: &str, now: Instant) -> Option<Word> {
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
            _ => return None,
        };
        let Some(name) = farm_name(text) else {
            return Some(Word::Noted);
        };
        let farm = self
            .table
            .entry((kind, name.to_owned()))
            .or_insert(FarmState { state: "", since: now });
        if farm.state != state {
            *farm = FarmState { state, since: now };
        }
        Some(match code {
            2103 if self.broken.insert(name.to_owned()) => Word::Broke,
            // One that is idle is connected to on demand, and nothing waits for it.
            2104 | 2108 if self.broken.remove(name) && self.broken.is_empty() => Word::Mended,
            _ => Word::Noted,
        })
    }

    /// Is one of market data broken?
    pub fn is_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    /// Which farms of market data are broken, for whoever gets no data.
    pub fn in_words(&self) -> String {
        let names: Vec<_> = self.broken.iter().map(String::as_str).collect();
        format!(
            "Gateway says 2103, market data farm broken: {}; it does not say which farm serves this \
             line",
            names.join(", ")
        )
    }

    /// All that are known, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str, FarmState)> {
        self.table.iter().map(|((kind, name), farm)| (*kind, name.as_str(), *farm))
    }

    /// The session is gone.
    pub fn clear(&mut self) {
        self.table.clear();
        self.broken.clear();
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
        for (code, text, at) in [
            (2104, "Market data farm connection is OK:usfarm", start),
            (2107, "HMDS inactive but available upon demand.ushmds", start),
            (2104, "Market data farm connection is OK:usfarm", later),
        ] {
            assert_eq!(farms.on_notice(code, text, at), Some(Word::Noted));
        }
        assert_eq!(farms.on_notice(200, "No security definition", start), None);
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

    #[test]
    fn a_market_farm_breaks_once_until_it_is_ok_or_idle_and_others_do_not_count() {
        let mut farms = Farms::default();
        let mut say =
            |code, name: &str| farms.on_notice(code, &format!("…:{name}"), Instant::now());
        for (code, name, word) in [
            (2103, "usfarm", Word::Broke),
            (2103, "usfarm", Word::Noted),
            (2119, "usfarm", Word::Noted),
            (2103, "usfarm", Word::Noted),
            (2103, "eufarm", Word::Broke),
            (2105, "ushmds", Word::Noted),
            (2157, "secdefil", Word::Noted),
            (2104, "usfarm", Word::Noted),
            (2104, "usfarm", Word::Noted),
            (2107, "ushmds", Word::Noted),
            (2108, "eufarm", Word::Mended),
            (2104, "eufarm", Word::Noted),
        ] {
            assert_eq!(say(code, name), Some(word), "{code} {name}");
        }
    }
}
