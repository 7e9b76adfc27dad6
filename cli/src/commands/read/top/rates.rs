//! Events a second of each client and line, from two readings of their counters. Pure.

use std::collections::BTreeMap;

use ibouncer_client::api::{ClientInfo, LineInfo};
use tokio::time::Instant;

/// The newest rates.
#[derive(Debug, Default)]
pub(super) struct Rates {
    at: Option<Instant>,
    /// There was a reading before the newest.
    known: bool,
    clients: BTreeMap<String, Counter>,
    lines: BTreeMap<String, Counter>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    value: u64,
    /// `None` at the first reading.
    rate: Option<f64>,
}

impl Rates {
    /// Takes the next reading.
    pub(super) fn take(&mut self, clients: &[ClientInfo], lines: &[LineInfo], now: Instant) {
        self.known = self.at.is_some();
        let seconds = self.at.map(|at| now.duration_since(at).as_secs_f64());
        let delivered = clients.iter().map(|client| (client.id.as_str(), client.delivered));
        self.clients = next(&self.clients, delivered, seconds);
        let events = lines.iter().map(|line| (line.id.as_str(), line.sequence));
        self.lines = next(&self.lines, events, seconds);
        self.at = Some(now);
    }

    /// Events a second that this client was given.
    pub(super) fn of_client(&self, id: &str) -> Option<f64> {
        self.clients.get(id)?.rate
    }

    /// Events a second of this line.
    pub(super) fn of_line(&self, id: &str) -> Option<f64> {
        self.lines.get(id)?.rate
    }

    /// Events a second that all clients were given.
    pub(super) fn of_all_clients(&self) -> Option<f64> {
        self.known.then(|| sum(&self.clients))
    }

    /// Events a second that all lines had from Gateway.
    pub(super) fn of_all_lines(&self) -> Option<f64> {
        self.known.then(|| sum(&self.lines))
    }
}

/// Whoever is gone is forgotten; whoever is new has no rate yet.
fn next<'a>(
    before: &BTreeMap<String, Counter>,
    values: impl Iterator<Item = (&'a str, u64)>,
    seconds: Option<f64>,
) -> BTreeMap<String, Counter> {
    let counter = |(id, value): (&str, u64)| {
        let rate = before.get(id).zip(seconds).and_then(|(counter, seconds)| {
            let grown = value.saturating_sub(counter.value);
            (seconds > 0.0).then(|| grown as f64 / seconds)
        });
        (id.to_owned(), Counter { value, rate })
    };
    values.map(counter).collect()
}

fn sum(counters: &BTreeMap<String, Counter>) -> f64 {
    // Not sum(), whose sum of nothing is -0.
    counters.values().filter_map(|counter| counter.rate).fold(0.0, |sum, rate| sum + rate)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn client(id: &str, delivered: u64) -> ClientInfo {
        ClientInfo { id: id.into(), delivered, ..Default::default() }
    }

    #[test]
    fn a_rate_is_what_was_added_over_the_time_between() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        rates.take(&[client("client-1", 1_000)], &[], start);
        assert_eq!((rates.of_client("client-1"), rates.of_all_clients()), (None, None));
        let later = [client("client-1", 1_500), client("client-2", 9)];
        rates.take(&later, &[], start + Duration::from_secs(2));
        assert_eq!(rates.of_client("client-1"), Some(250.0));
        assert_eq!(rates.of_client("client-2"), None, "it is new");
        assert_eq!(rates.of_all_clients(), Some(250.0));
    }

    #[test]
    fn a_counter_that_began_anew_is_not_a_huge_rate() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        rates.take(&[client("client-1", 1_000)], &[], start);
        rates.take(&[client("client-1", 3)], &[], start + Duration::from_secs(1));
        assert_eq!(rates.of_client("client-1"), Some(0.0));
        rates.take(&[], &[], start + Duration::from_secs(2));
        assert_eq!((rates.of_client("client-1"), rates.of_all_clients()), (None, Some(0.0)));
    }
}
