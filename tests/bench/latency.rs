//! Latency that the chain adds: relay and chain in turns on the same simulator, median of the
//! differences, at a quiet rate and at a busy one.

use std::time::Instant;

use crate::ticks::{Seen, TICK_PRICE, WARM_UP, monotonic_nanos};
use crate::{Lengths, chain, direct};

const RATES: [u64; 2] = [1_000, 10_000];

pub(crate) async fn run(lengths: Lengths) {
    for rate in RATES {
        at(rate, lengths).await;
    }
}

async fn at(rate: u64, lengths: Lengths) {
    println!("\nAge of a tick at {rate} ticks/s, {} pairs of {:?}", lengths.pairs, lengths.turn);
    println!(
        "{:>5} {:>12} {:>12} {:>12} {:>12} {:>10} {:>10}",
        "pair",
        "relay p50 us",
        "chain p50 us",
        "relay p99 us",
        "chain p99 us",
        "added p50",
        "added p99"
    );
    let sim = chain::simulator(rate);
    let broker = chain::broker(&sim);
    let client = chain::client(&broker).await;
    let (mut medians, mut tails) = (Vec::new(), Vec::new());
    for pair in 1..=lengths.pairs {
        let relay = direct::Relay::start(sim.address());
        let bare = direct::measure(&relay.address, WARM_UP, lengths.turn, 1);
        drop(relay);
        let chained = through_the_chain(&client, lengths).await;
        let at = |seen: &Seen, part: f64| seen.ages.value_at_quantile(part) as i64;
        let added = |part: f64| at(&chained, part) - at(&bare, part);
        medians.push(added(0.5));
        tails.push(added(0.99));
        println!(
            "{pair:>5} {:>12} {:>12} {:>12} {:>12} {:>10} {:>10}",
            at(&bare, 0.5),
            at(&chained, 0.5),
            at(&bare, 0.99),
            at(&chained, 0.99),
            added(0.5),
            added(0.99)
        );
    }
    for (what, added) in [("median", &mut medians), ("99th percentile", &mut tails)] {
        added.sort_unstable();
        println!(
            "added {what} at {rate} ticks/s: {} us (least {}, most {})",
            added[added.len() / 2],
            added[0],
            added[added.len() - 1]
        );
    }
}

async fn through_the_chain(client: &ibouncer_client::Client, lengths: Lengths) -> Seen {
    let mut stream = chain::stream(client, chain::ten()).await;
    let mut seen = Seen::default();
    let begin = Instant::now() + WARM_UP;
    let end = begin + lengths.turn;
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
