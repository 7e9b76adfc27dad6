//! Gateway's rules for single requests, beside the one budget for all: history pacing, one at a
//! time, one a second. A request that its rule holds back waits; others pass it.
//!
//! Source of the numbers: protocol fact sheet, section 9. Windows are a little longer here than
//! there, because Gateway measures arrivals and we measure departures.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::ids::RequestId;

/// History requests that may be open at once.
const HISTORY_OPEN: usize = 50;

/// Weight of requests for small bars within [`HISTORY_WINDOW`]; bid and ask count twice.
const HISTORY_WEIGHT: u32 = 60;
const HISTORY_WINDOW: Duration = Duration::from_secs(602);

/// No identical request for small bars within this.
const IDENTICAL: Duration = Duration::from_millis(15_200);

/// Gateway refuses the sixth for the same contract, exchange and tick type within two seconds.
const SAME_CONTRACT: usize = 5;
const SAME_CONTRACT_WINDOW: Duration = Duration::from_millis(2_200);

/// New real-time bars within [`HISTORY_WINDOW`].
const REAL_TIME_BARS: usize = 60;

/// One tick-by-tick request for an instrument within this.
const TICK_BY_TICK: Duration = Duration::from_millis(15_200);

/// Regulatory snapshots and symbol searches: one a second.
const ONE_A_SECOND: Duration = Duration::from_millis(1_050);

/// What a request must pass besides the budget.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Gate {
    /// Nothing.
    #[default]
    Open,
    /// The rules for historical data.
    History(History),
    /// No other of this group is open.
    Alone(Group),
    /// New real-time bars.
    RealTimeBars,
    /// Tick-by-tick data of this instrument.
    TickByTick(String),
    /// One a second of this group.
    OneASecond(Group),
}

/// A request for historical data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Bars of 30 seconds and less, and ticks: strictly paced. Others only count as open.
    pub small: bool,
    /// What makes two requests identical.
    pub identity: Vec<u8>,
    /// Contract, exchange and tick type.
    pub contract: String,
    /// How much it counts: 2 for bid and ask.
    pub weight: u32,
}

/// Requests of which one is open at a time, or one leaves a second. Those that are answered
/// without an id and share an end mark are in one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "named as the requests")]
pub enum Group {
    OpenOrders,
    CompletedOrders,
    ScannerParameters,
    NewsProviders,
    FamilyCodes,
    MarketDepthExchanges,
    MarketRule,
    Advisor,
    CurrentTime,
    Wsh,
    RegulatorySnapshot,
    MatchingSymbols,
}

/// May it leave?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Now.
    Go,
    /// Not before then.
    At(Instant, &'static str),
    /// When another request has been answered.
    Later(&'static str),
}

/// The rules, and what they have seen.
#[derive(Debug, Default)]
pub struct Gates {
    history_open: BTreeSet<RequestId>,
    history: VecDeque<(Instant, u32)>,
    identical: BTreeMap<Vec<u8>, Instant>,
    contracts: BTreeMap<String, VecDeque<Instant>>,
    bars: VecDeque<Instant>,
    instruments: BTreeMap<String, Instant>,
    alone: BTreeMap<Group, RequestId>,
    seconds: BTreeMap<Group, Instant>,
}

impl Gates {
    /// May it leave now?
    pub fn check(&self, gate: &Gate, now: Instant) -> Verdict {
        match gate {
            Gate::Open => Verdict::Go,
            Gate::History(history) => self.check_history(history, now),
            Gate::Alone(group) if self.alone.contains_key(group) => {
                Verdict::Later("Gateway answers one such request at a time")
            }
            Gate::Alone(_) => Verdict::Go,
            Gate::RealTimeBars => {
                let recent = |at: &&Instant| now < **at + HISTORY_WINDOW;
                if self.bars.iter().filter(recent).count() < REAL_TIME_BARS {
                    return Verdict::Go;
                }
                let oldest = self.bars[self.bars.len() - REAL_TIME_BARS];
                Verdict::At(oldest + HISTORY_WINDOW, "60 new real-time bars in 10 minutes")
            }
            Gate::TickByTick(instrument) => {
                let last = self.instruments.get(instrument).copied();
                after(last, TICK_BY_TICK, now, "one tick-by-tick request an instrument in 15 s")
            }
            Gate::OneASecond(group) => {
                after(self.seconds.get(group).copied(), ONE_A_SECOND, now, "one a second")
            }
        }
    }

    /// It leaves.
    pub fn on_left(&mut self, gate: &Gate, request: RequestId, now: Instant) {
        match gate {
            Gate::Open => {}
            Gate::History(history) => {
                self.history_open.insert(request);
                if history.small {
                    self.history.push_back((now, history.weight));
                    self.identical.insert(history.identity.clone(), now);
                    self.contracts.entry(history.contract.clone()).or_default().push_back(now);
                }
                self.forget(now);
            }
            Gate::Alone(group) => drop(self.alone.insert(*group, request)),
            Gate::RealTimeBars => {
                self.bars.push_back(now);
                self.bars.retain(|at| now < *at + HISTORY_WINDOW);
            }
            Gate::TickByTick(instrument) => {
                self.instruments.insert(instrument.clone(), now);
                self.instruments.retain(|_, at| now < *at + TICK_BY_TICK);
            }
            Gate::OneASecond(group) => drop(self.seconds.insert(*group, now)),
        }
    }

    /// It is answered, or cancelled.
    pub fn on_done(&mut self, request: RequestId) {
        self.history_open.remove(&request);
        self.alone.retain(|_, open| *open != request);
    }

    /// The session is gone, and all that was open. Gateway remembers when requests came.
    pub fn clear_open(&mut self) {
        self.history_open.clear();
        self.alone.clear();
    }

    fn check_history(&self, wanted: &History, now: Instant) -> Verdict {
        if self.history_open.len() >= HISTORY_OPEN {
            return Verdict::Later("50 requests for history are open at Gateway");
        }
        if !wanted.small {
            return Verdict::Go;
        }
        let identical = self.identical.get(&wanted.identity).copied();
        let identical = after(identical, IDENTICAL, now, "no identical history within 15 s");
        let same = self.contracts.get(&wanted.contract);
        let same = same
            .and_then(|left| Some(left.len().checked_sub(SAME_CONTRACT)? + 1).map(|n| left[n - 1]));
        let same = after(same, SAME_CONTRACT_WINDOW, now, "5 histories of a contract in 2 s");
        later(later(identical, same), self.check_weight(wanted.weight, now))
    }

    fn check_weight(&self, weight: u32, now: Instant) -> Verdict {
        let recent = self.history.iter().filter(|(at, _)| now < *at + HISTORY_WINDOW);
        let mut used: u32 = recent.clone().map(|(_, weight)| weight).sum();
        for (at, freed) in recent {
            if used + weight <= HISTORY_WEIGHT {
                break;
            }
            used -= freed;
            if used + weight <= HISTORY_WEIGHT {
                return Verdict::At(
                    *at + HISTORY_WINDOW,
                    "60 histories of small bars in 10 minutes",
                );
            }
        }
        Verdict::Go
    }

    fn forget(&mut self, now: Instant) {
        self.history.retain(|(at, _)| now < *at + HISTORY_WINDOW);
        self.identical.retain(|_, at| now < *at + IDENTICAL);
        self.contracts.retain(|_, left| {
            left.retain(|at| now < *at + SAME_CONTRACT_WINDOW);
            !left.is_empty()
        });
    }
}

fn after(last: Option<Instant>, wait: Duration, now: Instant, why: &'static str) -> Verdict {
    match last {
        Some(last) if now < last + wait => Verdict::At(last + wait, why),
        _ => Verdict::Go,
    }
}

/// The stricter of two.
fn later(one: Verdict, other: Verdict) -> Verdict {
    match (one, other) {
        (Verdict::At(a, _), Verdict::At(b, _)) => {
            if a >= b {
                one
            } else {
                other
            }
        }
        (Verdict::Go, other) => other,
        (one, _) => one,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(identity: u8, contract: &str, weight: u32) -> Gate {
        let contract = contract.to_owned();
        Gate::History(History { small: true, identity: vec![identity], contract, weight })
    }

    #[test]
    fn history_keeps_all_rules_of_gateway() {
        let mut gates = Gates::default();
        let start = Instant::now();
        let mut left: Vec<(Instant, u8, String, u32)> = Vec::new();
        let mut now = start;
        for number in 0..200_u32 {
            let (identity, contract) = ((number % 7) as u8, format!("c{}", number % 3));
            let weight = 1 + u32::from(number % 5 == 0);
            let gate = history(identity, &contract, weight);
            loop {
                match gates.check(&gate, now) {
                    Verdict::Go => break,
                    Verdict::At(at, _) => now = at,
                    Verdict::Later(why) => panic!("{why}"),
                }
            }
            gates.on_left(&gate, RequestId(number as i32), now);
            gates.on_done(RequestId(number as i32));
            left.push((now, identity, contract, weight));
            now += Duration::from_millis(23);
        }
        for (index, (at, identity, contract, _)) in left.iter().enumerate() {
            let before = |seconds| {
                let since = move |one: &&(Instant, u8, String, u32)| {
                    *at - one.0 < Duration::from_secs(seconds)
                };
                left[..index].iter().filter(since)
            };
            assert!(before(15).all(|one| one.1 != *identity), "identical within 15 s");
            assert!(before(2).filter(|one| one.2 == *contract).count() < 5, "six in 2 s");
            let weight: u32 = left[..=index]
                .iter()
                .filter(|one| *at - one.0 < Duration::from_secs(600))
                .map(|one| one.3)
                .sum();
            assert!(weight <= 60, "{weight} in 10 minutes");
        }
        assert!(left[199].0 - start < Duration::from_secs(3_000), "and no time is wasted");
    }

    #[test]
    fn fifty_histories_are_open_at_most_and_large_bars_count_too() {
        let mut gates = Gates::default();
        let now = Instant::now();
        let large = |n: i32| {
            Gate::History(History {
                small: false,
                identity: vec![],
                contract: n.to_string(),
                weight: 1,
            })
        };
        for number in 0..50 {
            assert_eq!(gates.check(&large(number), now), Verdict::Go);
            gates.on_left(&large(number), RequestId(number), now);
        }
        assert!(matches!(gates.check(&large(50), now), Verdict::Later(_)));
        gates.on_done(RequestId(7));
        assert_eq!(gates.check(&large(50), now), Verdict::Go);
    }

    #[test]
    fn groups_are_alone_and_seconds_are_waited_for() {
        let mut gates = Gates::default();
        let now = Instant::now();
        let orders = Gate::Alone(Group::OpenOrders);
        gates.on_left(&orders, RequestId(1), now);
        assert!(matches!(gates.check(&orders, now), Verdict::Later(_)));
        gates.on_done(RequestId(1));
        assert_eq!(gates.check(&orders, now), Verdict::Go);
        for gate in [Gate::OneASecond(Group::MatchingSymbols), Gate::TickByTick("AAPL".into())] {
            gates.on_left(&gate, RequestId(2), now);
            let Verdict::At(at, _) = gates.check(&gate, now) else { panic!("it waits") };
            assert_eq!(gates.check(&gate, at), Verdict::Go);
        }
        for _ in 0..60 {
            assert_eq!(gates.check(&Gate::RealTimeBars, now), Verdict::Go);
            gates.on_left(&Gate::RealTimeBars, RequestId(3), now);
        }
        let Verdict::At(at, _) = gates.check(&Gate::RealTimeBars, now) else { panic!("it waits") };
        assert!(at - now > Duration::from_secs(600));
    }
}
