//! Steady lossless throughput to one Rust client: the highest offered rate at which nothing is
//! skipped, nothing is lost and the 99th percentile of age stays below 50 ms. The relay of the
//! same run says what the machine allows.

use std::time::{Duration, Instant};

use crate::ticks::{Seen, TICK_PRICE, monotonic_nanos};
use crate::{Lengths, chain, direct};

/// Offered rates, in ticks a second.
const RATES: [u64; 9] = [
    500_000, 1_000_000, 1_500_000, 2_000_000, 2_500_000, 3_000_000, 4_000_000, 6_000_000, 8_000_000,
];

const OLDEST: Duration = Duration::from_millis(50);

/// Ages of one tick in so many are kept.
const SAMPLE: u64 = 64;

const WARM_UP: Duration = Duration::from_secs(1);

pub(crate) async fn run(lengths: Lengths) {
    println!("\nSteady throughput to one client, 10 lines, {:?} a rate", lengths.steady);
    println!(
        "{:<7} {:>11} {:>12} {:>8} {:>8} {:>9} {:>9}  verdict",
        "way", "offered/s", "received/s", "skipped", "lost", "p50 us", "p99 us"
    );
    let mut best = 0;
    for rate in RATES {
        let sim = chain::simulator(rate);
        let relay = direct::Relay::start(sim.address());
        let seen = direct::measure(&relay.address, WARM_UP, lengths.steady, SAMPLE);
        print("relay", rate, &seen, 0, lengths.steady);
        drop((relay, sim));
        let (seen, skipped) = through_the_chain(rate, lengths.steady).await;
        let good = print("chain", rate, &seen, skipped, lengths.steady);
        if !good {
            break;
        }
        best = rate;
    }
    println!("steady lossless throughput of the chain: {best} ticks/s; the rate above it fails");
}

async fn through_the_chain(rate: u64, length: Duration) -> (Seen, u64) {
    let sim = chain::simulator(rate);
    let broker = chain::broker(&sim);
    let client = chain::client(&broker).await;
    let mut stream = chain::stream(&client).await;
    let mut seen = Seen::default();
    let mut skipped = 0;
    let begin = Instant::now() + WARM_UP;
    let end = begin + length;
    let mut begun = false;
    while let Some(batch) = stream.next_batch().await.unwrap() {
        let now = Instant::now();
        if !begun && now >= begin {
            begun = true;
            seen.begin();
            skipped = 0;
        }
        if now >= end {
            break;
        }
        let nanos = monotonic_nanos();
        for event in batch.events() {
            let event = event.unwrap();
            skipped += u64::from(event.skipped);
            if event.field == TICK_PRICE && !event.replayed {
                let aged = seen.ticks.is_multiple_of(SAMPLE).then_some(nanos);
                seen.take(event.subscription_id.0 as usize, event.body, aged);
            }
        }
    }
    (seen, skipped)
}

fn print(way: &str, rate: u64, seen: &Seen, skipped: u64, length: Duration) -> bool {
    let received = seen.ticks as f64 / length.as_secs_f64();
    let p99 = seen.ages.value_at_quantile(0.99);
    // A rate that the simulator could not offer is not a rate that was carried.
    let carried = received > rate as f64 * 0.98;
    let good = skipped == 0 && seen.lost == 0 && carried && p99 < OLDEST.as_micros() as u64;
    println!(
        "{way:<7} {rate:>11} {received:>12.0} {skipped:>8} {:>8} {:>9} {p99:>9}  {}",
        seen.lost,
        seen.ages.value_at_quantile(0.5),
        if good { "steady" } else { "not steady" },
    );
    good
}
