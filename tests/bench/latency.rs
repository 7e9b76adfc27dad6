//! Latency that the chain adds at 10 000 ticks a second: relay and chain in turns, median of the
//! differences.

use std::time::{Duration, Instant};

use crate::ticks::{Seen, TICK_PRICE, monotonic_nanos};
use crate::{Lengths, chain, direct};

const RATE: u64 = 10_000;

const WARM_UP: Duration = Duration::from_millis(500);

pub(crate) async fn run(lengths: Lengths) {
    println!("\nAge of a tick at {RATE} ticks/s, {} pairs of {:?}", lengths.pairs, lengths.turn);
    println!(
        "{:>5} {:>12} {:>12} {:>12} {:>12} {:>10}",
        "pair", "relay p50 us", "chain p50 us", "relay p99 us", "chain p99 us", "added p50"
    );
    let sim = chain::simulator(RATE);
    let broker = chain::broker(&sim);
    let client = chain::client(&broker).await;
    let mut added = Vec::new();
    for pair in 1..=lengths.pairs {
        let relay = direct::Relay::start(sim.address());
        let bare = direct::measure(&relay.address, WARM_UP, lengths.turn, 1);
        drop(relay);
        let chained = through_the_chain(&client, lengths.turn).await;
        let (one, other) = (bare.ages.value_at_quantile(0.5), chained.ages.value_at_quantile(0.5));
        added.push(other as i64 - one as i64);
        println!(
            "{pair:>5} {one:>12} {other:>12} {:>12} {:>12} {:>10}",
            bare.ages.value_at_quantile(0.99),
            chained.ages.value_at_quantile(0.99),
            other as i64 - one as i64
        );
    }
    added.sort_unstable();
    println!(
        "added median latency: {} us (least {}, most {})",
        added[added.len() / 2],
        added[0],
        added[added.len() - 1]
    );
}

async fn through_the_chain(client: &ibouncer_client::Client, length: Duration) -> Seen {
    let mut stream = chain::stream(client).await;
    let mut seen = Seen::default();
    let begin = Instant::now() + WARM_UP;
    let end = begin + length;
    let mut begun = false;
    while let Some(batch) = stream.next_batch().await.unwrap() {
        let nanos = monotonic_nanos();
        let now = Instant::now();
        if !begun && now >= begin {
            begun = true;
            seen.begin();
        }
        if now >= end {
            break;
        }
        for event in batch.events() {
            let event = event.unwrap();
            if event.field == TICK_PRICE && !event.replayed {
                seen.take(event.subscription_id.0 as usize, event.body, Some(nanos));
            }
        }
    }
    seen
}
