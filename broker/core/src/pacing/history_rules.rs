//! Gateway's rules for historical data, and each client's share of what they allow.
//!
//! Owns which requests are open and when the recent ones left. Source of the numbers: protocol
//! fact sheet, section 9. Windows are a little longer here than there, because Gateway measures
//! arrivals and we measure departures. One client may use a percentage of it all, so that a
//! program that loads ten years of bars cannot keep the others from their first.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::verdict::{Verdict, after, later};
use crate::contracts::Instrument;
use crate::ids::{ClientId, RequestId};

/// Requests that may be open at once.
const OPEN: u32 = 50;

/// Weight of requests for small bars within [`WINDOW`]; bid and ask count twice.
const WEIGHT: u32 = 60;
const WINDOW: Duration = Duration::from_secs(602);

/// The heaviest request; a share that is smaller would be none.
const HEAVIEST: u32 = 2;

/// No identical request for small bars within this.
const IDENTICAL: Duration = Duration::from_millis(15_200);

/// Gateway refuses the sixth for the same contract, exchange and tick type within two seconds.
const SAME_CONTRACT: usize = 5;
const SAME_CONTRACT_WINDOW: Duration = Duration::from_millis(2_200);

/// After a pacing violation (162) nothing that is strictly paced leaves for so long: Gateway has
/// counted what we do not know of.
const VIOLATED: Duration = Duration::from_secs(15);

/// A request for historical data.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Bars of 30 seconds and less, and ticks: strictly paced. Others only count as open.
    pub small: bool,
    /// Of what.
    pub instrument: Instrument,
    /// What else makes two requests identical.
    pub identity: Vec<u8>,
    /// Exchange and tick type.
    pub kind: String,
    /// How much it counts: 2 for bid and ask.
    pub weight: u32,
}

/// One for small bars that left.
#[derive(Debug, Clone)]
struct Left {
    at: Instant,
    weight: u32,
    client: ClientId,
}

/// The rules, and what they have seen.
#[derive(Debug, Clone)]
pub(super) struct HistoryRules {
    open: BTreeMap<RequestId, ClientId>,
    left: VecDeque<Left>,
    /// By instrument, and by what else makes them identical.
    identical: BTreeMap<String, BTreeMap<Vec<u8>, Instant>>,
    /// By instrument, and by exchange and tick type.
    contracts: BTreeMap<String, BTreeMap<String, VecDeque<Instant>>>,
    /// Gateway said that a request came too early.
    violated: Option<Instant>,
    /// Of one client, in percent.
    share: u32,
}

impl Default for HistoryRules {
    fn default() -> Self {
        Self {
            open: BTreeMap::new(),
            left: VecDeque::new(),
            identical: BTreeMap::new(),
            contracts: BTreeMap::new(),
            violated: None,
            share: 100,
        }
    }
}

impl HistoryRules {
    pub(super) fn set_share(&mut self, percent: u32) {
        self.share = percent;
    }

    /// Must every request for history wait for the answer to another?
    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= OPEN as usize
    }

    /// May it leave now?
    pub(super) fn check(&self, wanted: &History, client: ClientId, now: Instant) -> Verdict {
        if self.is_full() {
            return Verdict::Later("50 requests for history are open at Gateway");
        }
        let own = self.open.values().filter(|one| **one == client).count();
        if own >= (OPEN * self.share / 100).max(1) as usize {
            return Verdict::Later("this client's share of open requests for history is open");
        }
        if !wanted.small {
            return Verdict::Go;
        }
        let name = wanted.instrument.name();
        let identical = self.identical.get(name).and_then(|all| all.get(&wanted.identity)).copied();
        let identical = after(identical, IDENTICAL, now, "no identical history within 15 s");
        let why = "Gateway said that histories of small bars come too fast";
        let violated = after(self.violated, VIOLATED, now, why);
        let same = self.contracts.get(name).and_then(|all| all.get(&wanted.kind));
        let same = same
            .and_then(|left| Some(left.len().checked_sub(SAME_CONTRACT)? + 1).map(|n| left[n - 1]));
        let same = after(same, SAME_CONTRACT_WINDOW, now, "5 histories of a contract in 2 s");
        let why = "60 histories of small bars in 10 minutes";
        let all = self.weight_of(None, wanted.weight, WEIGHT, why, now);
        let why = "this client's share of 60 histories of small bars in 10 minutes";
        let limit = (WEIGHT * self.share / 100).max(HEAVIEST);
        let own = self.weight_of(Some(client), wanted.weight, limit, why, now);
        later(violated, later(later(identical, same), later(all, own)))
    }

    pub(super) fn on_left(
        &mut self,
        wanted: &History,
        request: RequestId,
        client: ClientId,
        now: Instant,
    ) {
        self.open.insert(request, client);
        if wanted.small {
            let at = self.left.partition_point(|left| left.at <= now);
            self.left.insert(at, Left { at: now, weight: wanted.weight, client });
            let name = wanted.instrument.name();
            let identical = self.identical.entry(name.to_owned()).or_default();
            identical.insert(wanted.identity.clone(), now);
            let same = self.contracts.entry(name.to_owned()).or_default();
            same.entry(wanted.kind.clone()).or_default().push_back(now);
        }
    }

    /// Gateway says so of a request that was within all rules as far as we know.
    pub(super) fn on_violated(&mut self, now: Instant) {
        self.violated = Some(now);
    }

    pub(super) fn on_done(&mut self, request: RequestId) {
        self.open.remove(&request);
    }

    /// The session is gone, and all that was open. Gateway remembers when requests came.
    pub(super) fn clear_open(&mut self) {
        self.open.clear();
    }

    /// When so much weight more is within the limit, for one client or for all.
    fn weight_of(
        &self,
        client: Option<ClientId>,
        more: u32,
        limit: u32,
        why: &'static str,
        now: Instant,
    ) -> Verdict {
        let counts = |left: &&Left| {
            now < left.at + WINDOW && client.is_none_or(|client| client == left.client)
        };
        let recent = self.left.iter().filter(counts);
        let mut used: u32 = recent.clone().map(|left| left.weight).sum();
        for left in recent {
            if used + more <= limit {
                break;
            }
            used -= left.weight;
            if used + more <= limit {
                return Verdict::At(left.at + WINDOW, why);
            }
        }
        Verdict::Go
    }

    /// What no rule looks at any more.
    pub(super) fn forget(&mut self, now: Instant) {
        self.left.retain(|left| now < left.at + WINDOW);
        self.identical.retain(|_, all| {
            all.retain(|_, at| now < *at + IDENTICAL);
            !all.is_empty()
        });
        self.contracts.retain(|_, all| {
            all.retain(|_, left| {
                left.retain(|at| now < *at + SAME_CONTRACT_WINDOW);
                !left.is_empty()
            });
            !all.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use ibouncer_proto::tws::v1::Contract;

    use super::*;

    const ME: ClientId = ClientId(1);

    fn history(identity: u8, contract: &str, weight: u32) -> History {
        let contract = Contract { symbol: Some(contract.into()), ..Contract::default() };
        let (instrument, kind) = (Instrument::new(&contract), "TRADES".into());
        History { small: true, instrument, identity: vec![identity], kind, weight }
    }

    #[test]
    fn history_keeps_all_rules_of_gateway() {
        let mut rules = HistoryRules::default();
        let start = Instant::now();
        let mut left: Vec<(Instant, u8, String, u32)> = Vec::new();
        let mut now = start;
        for number in 0..200_u32 {
            // What is identical is of one contract.
            let (identity, contract) = ((number % 7) as u8, format!("c{}", number % 7 % 3));
            let weight = 1 + u32::from(number % 5 == 0);
            let wanted = history(identity, &contract, weight);
            loop {
                match rules.check(&wanted, ME, now) {
                    Verdict::Go => break,
                    Verdict::At(at, _) => now = at,
                    Verdict::Later(why) => panic!("{why}"),
                }
            }
            rules.on_left(&wanted, RequestId(number as i32), ME, now);
            rules.forget(now);
            rules.on_done(RequestId(number as i32));
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
        let mut rules = HistoryRules::default();
        let now = Instant::now();
        let large = |n: i32| History { small: false, ..history(0, &n.to_string(), 1) };
        for number in 0..50 {
            assert_eq!(rules.check(&large(number), ME, now), Verdict::Go);
            rules.on_left(&large(number), RequestId(number), ME, now);
        }
        assert!(matches!(rules.check(&large(50), ME, now), Verdict::Later(_)));
        rules.on_done(RequestId(7));
        assert_eq!(rules.check(&large(50), ME, now), Verdict::Go);
    }

    #[test]
    fn a_client_uses_its_share_and_leaves_the_rest_to_others() {
        let mut rules = HistoryRules::default();
        rules.set_share(50);
        let now = Instant::now();
        let (greedy, modest) = (ClientId(1), ClientId(2));
        for number in 0..30 {
            let wanted = history(number, &format!("c{number}"), 1);
            let request = RequestId(i32::from(number));
            if number == 25 {
                // Half of those that may be open are.
                assert!(matches!(rules.check(&wanted, greedy, now), Verdict::Later(_)));
                rules.clear_open();
            }
            assert_eq!(rules.check(&wanted, greedy, now), Verdict::Go);
            rules.on_left(&wanted, request, greedy, now);
        }
        rules.clear_open();
        let wanted = history(77, "another", 2);
        let Verdict::At(at, why) = rules.check(&wanted, greedy, now) else { panic!("it waits") };
        assert!(at - now > Duration::from_secs(600) && why.contains("share"), "{why}");
        assert_eq!(rules.check(&wanted, modest, now), Verdict::Go);
    }

    #[test]
    fn after_a_violation_small_bars_wait_and_large_ones_do_not() {
        let mut rules = HistoryRules::default();
        let now = Instant::now();
        rules.on_violated(now);
        let small = history(1, "c", 1);
        let Verdict::At(at, why) = rules.check(&small, ME, now) else { panic!("it waits") };
        assert!(at == now + VIOLATED && why.contains("too fast"), "{why}");
        assert_eq!(rules.check(&small, ME, at), Verdict::Go);
        assert_eq!(rules.check(&History { small: false, ..small }, ME, now), Verdict::Go);
    }
}
