//! Pacing of requests for small bars: identical ones, those of one contract, and all of them.
//!
//! It holds for a Gateway as a whole, and for bars of 30 seconds or less; larger ones are let
//! through. A request that is refused does not count. Numbers: protocol fact sheet, section 9.

use std::collections::VecDeque;
use std::time::Duration;

use super::answer::{Answer, Refusal};
use super::history::Query;
use crate::limits::{Limit, Limits};

/// In which requests of one contract, exchange and type are counted.
const SHORT: Duration = Duration::from_secs(2);
/// In which all are counted.
pub(super) const LONG: Duration = Duration::from_secs(600);

/// The requests of the last ten minutes.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    taken: VecDeque<Taken>,
}

#[derive(Debug)]
struct Taken {
    at: Duration,
    text: String,
    /// Contract id, exchange and type.
    of: (i32, String, String),
    weight: u32,
}

impl Pacing {
    /// Counts a request, or refuses it.
    pub(super) fn take(&mut self, query: &Query, limits: &Limits, now: Duration) -> Answer {
        if !query.size.is_small() {
            return Ok(());
        }
        while self.taken.front().is_some_and(|oldest| now - oldest.at >= LONG) {
            self.taken.pop_front();
        }
        let of = (query.listing.con_id(), query.exchange.clone(), query.what.clone());
        let weight = if query.what == "BID_ASK" { 2 } else { 1 };
        let identical = Duration::from_secs(u64::from(limits.of(Limit::HistoricalIdentical)));
        let off = limits.of(Limit::HistoricalIdentical) == u32::MAX;
        let within = |pause: Duration| self.taken.iter().filter(move |one| now - one.at < pause);
        let alike = within(identical).any(|one| one.text == query.text) && !off;
        let same = within(SHORT).filter(|one| one.of == of).count() as u32;
        let sum: u32 = self.taken.iter().map(|one| one.weight).sum();
        let broken = if alike {
            Some(Limit::HistoricalIdentical)
        } else if same >= limits.of(Limit::HistoricalContract) {
            Some(Limit::HistoricalContract)
        } else if sum + weight > limits.of(Limit::HistoricalTotal) {
            Some(Limit::HistoricalTotal)
        } else {
            None
        };
        if let Some(limit) = broken {
            let violation = Refusal::history("Historical data request pacing violation");
            return Err(Refusal { limit: Some(limit), ..violation });
        }
        let text = query.text.clone();
        self.taken.push_back(Taken { at: now, text, of, weight });
        Ok(())
    }
}
