//! That an allowance of Gateway is used up, and what is said then.

use super::kind::Allowance;
use crate::error::{self, Error, Retry, Source};

/// Of more holders of an allowance only the number is told.
const MOST_HOLDERS: usize = 5;

/// An allowance of Gateway is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// Which.
    pub allowance: Allowance,
    /// How much there is of it.
    pub limit: u32,
}

impl Full {
    /// Names who uses it, to one who `waits` or might. Is there a `shared` summary that would do?
    pub fn refusal(self, holders: &[(String, usize)], waits: bool, shared: bool) -> Error {
        let named = holders.iter().take(MOST_HOLDERS);
        let mut names: Vec<_> = named.map(|(name, lines)| format!("{name} {lines}")).collect();
        if holders.len() > MOST_HOLDERS {
            names.push(format!("and {} more", holders.len() - MOST_HOLDERS));
        }
        let (what, more) = match self.allowance {
            Allowance::MarketData => {
                ("market-data lines are in use", ", or raise pacing.lines if the account has more")
            }
            Allowance::Depth => ("books are in use, one for each 100 market-data lines", ""),
            Allowance::TickByTick => {
                ("tick-by-tick lines are in use, one for each 20 market-data lines", "")
            }
            Allowance::Summaries if shared => (
                "account summaries are in use; the one of group All is shared by all who ask for it",
                "",
            ),
            Allowance::Summaries => ("account summaries are in use", ""),
            Allowance::Scanners => ("scanners are in use", ""),
            Allowance::Histories => {
                ("streams of historical bars are in use; the rest of 50 is for single requests", "")
            }
        };
        // What else there is can only be asked for again.
        let wait = match self.allowance {
            Allowance::Summaries | Allowance::Scanners | Allowance::Histories => "",
            _ if waits => "",
            _ => ", or set wait_for_line",
        };
        let message = format!(
            "all {} {what} ({}); unsubscribe something{more}{wait}",
            self.limit,
            names.join(", ")
        );
        error::error("LINES_EXHAUSTED", Source::Broker, Retry::After, message)
    }
}
