//! The search for the highest steady rate, the same for every way in which ticks are received.
//!
//! Steady means: nothing is skipped, nothing is lost, at least 98 % of the offered rate arrives,
//! and the 99th percentile of age stays below 50 ms. A rate that fails is tried once more, since
//! the machine may have had something else to do.

use std::time::Duration;

use crate::ticks::Seen;

/// Rates to climb, in ticks a second.
pub(crate) const LADDER: [u64; 23] = [
    2_000, 5_000, 7_500, 10_000, 15_000, 25_000, 50_000, 75_000, 100_000, 150_000, 200_000,
    300_000, 400_000, 500_000, 700_000, 1_000_000, 1_500_000, 2_000_000, 2_500_000, 3_000_000,
    4_000_000, 5_000_000, 6_000_000,
];

const OLDEST: Duration = Duration::from_millis(50);

/// What became of one rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) offered: u64,
    /// Per second.
    pub(crate) received: f64,
    pub(crate) lost: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    /// Time on a core that the receiver spent on each tick, if it says so: what can be compared on
    /// a machine that does not give it a whole core.
    pub(crate) core_ns: Option<u64>,
}

impl Outcome {
    pub(crate) fn of(offered: u64, seen: &Seen, length: Duration) -> Self {
        Self {
            offered,
            received: seen.ticks as f64 / length.as_secs_f64(),
            lost: seen.lost,
            p50_us: seen.ages.value_at_quantile(0.5),
            p99_us: seen.ages.value_at_quantile(0.99),
            core_ns: None,
        }
    }

    pub(crate) fn is_steady(&self) -> bool {
        // A rate that the simulator could not offer is not a rate that was carried.
        let carried = self.received > self.offered as f64 * 0.98;
        self.lost == 0 && carried && u128::from(self.p99_us) < OLDEST.as_micros()
    }

    /// Percent of what was offered that did not arrive.
    pub(crate) fn missing(&self) -> f64 {
        (1.0 - self.received / self.offered as f64).max(0.0) * 100.0
    }

    pub(crate) fn print(&self, way: &str) {
        println!(
            "{way:<15} {:>10} {:>12.0} {:>9} {:>8} {:>8} {:>12}  {}",
            self.offered,
            self.received,
            self.lost,
            self.p50_us,
            self.p99_us,
            self.core_ns.map_or_else(String::new, |nanos| nanos.to_string()),
            if self.is_steady() { "steady" } else { "not steady" },
        );
    }
}

pub(crate) fn print_head() {
    println!(
        "{:<15} {:>10} {:>12} {:>9} {:>8} {:>8} {:>12}  verdict",
        "way", "offered/s", "received/s", "lost", "p50 us", "p99 us", "core ns/tick"
    );
}

/// Climbs from a rate until one fails; from there downwards if the first one fails, unless nothing
/// came at all. Answers with the highest steady rate, 0 if there is none.
pub(crate) async fn climb(
    way: &str,
    from: u64,
    mut measure: impl AsyncFnMut(u64) -> Outcome,
) -> u64 {
    let start = LADDER.iter().position(|rate| *rate >= from).unwrap_or(0);
    let mut best = 0;
    for rate in &LADDER[start..] {
        match try_rate(way, *rate, &mut measure).await {
            Tried::Steady => best = *rate,
            Tried::NotSteady => break,
            Tried::Nothing => return best,
        }
    }
    if best > 0 {
        return best;
    }
    for rate in LADDER[..start].iter().rev() {
        match try_rate(way, *rate, &mut measure).await {
            Tried::Steady => return *rate,
            Tried::NotSteady => {}
            Tried::Nothing => return 0,
        }
    }
    0
}

enum Tried {
    Steady,
    NotSteady,
    /// Not a single tick came.
    Nothing,
}

async fn try_rate(way: &str, rate: u64, measure: &mut impl AsyncFnMut(u64) -> Outcome) -> Tried {
    for _ in 0..2 {
        let outcome = measure(rate).await;
        outcome.print(way);
        if outcome.is_steady() {
            return Tried::Steady;
        }
        if outcome.received == 0.0 {
            return Tried::Nothing;
        }
        if outcome.missing() > 20.0 {
            // No noise explains that.
            break;
        }
    }
    Tried::NotSteady
}
