//! Latency that the chain adds: relay and chain in turns on the same simulator, median of the
//! differences, at a quiet rate and at a busy one.
//!
//! The chain has one process more than the relay. Two relays in a row say what that alone costs on
//! this machine; the rest is what our code costs. All of it once with the cores as they are, and once
//! with cores that are kept awake.

use std::time::Instant;

use crate::awake::Awake;
use crate::ticks::{Seen, TICK_PRICE, WARM_UP, monotonic_nanos};
use crate::{Lengths, chain, direct};

const RATES: [u64; 2] = [1_000, 10_000];

pub(crate) async fn run(lengths: Lengths) {
    for rate in RATES {
        at(rate, "", lengths).await;
    }
    let Some(_awake) = Awake::keep() else {
        return;
    };
    for rate in RATES {
        at(rate, ", cores kept awake", lengths).await;
    }
}

async fn at(rate: u64, how: &str, lengths: Lengths) {
    let Lengths { pairs, turn, .. } = lengths;
    println!("\nAge of a tick at {rate} ticks/s{how}, {pairs} pairs of {turn:?}");
    println!(
        "{:>5} {:>9} {:>11} {:>9} {:>10} {:>10} {:>10} {:>10}",
        "p50:", "relay us", "2 relays us", "chain us", "added", "p99: relay", "chain", "added"
    );
    let sim = chain::simulator(rate);
    let broker = chain::broker(&sim);
    let client = chain::client(&broker).await;
    let (mut medians, mut tails, mut hops) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 1..=lengths.pairs {
        let bare = relayed(1, sim.address(), lengths);
        let twice = relayed(2, sim.address(), lengths);
        let chained = through_the_chain(&client, lengths).await;
        let at = |seen: &Seen, part: f64| seen.ages.value_at_quantile(part) as i64;
        let added = |part: f64| at(&chained, part) - at(&bare, part);
        medians.push(added(0.5));
        tails.push(added(0.99));
        hops.push(at(&twice, 0.5) - at(&bare, 0.5));
        println!(
            "{pair:>5} {:>9} {:>11} {:>9} {:>10} {:>10} {:>10} {:>10}",
            at(&bare, 0.5),
            at(&twice, 0.5),
            at(&chained, 0.5),
            added(0.5),
            at(&bare, 0.99),
            at(&chained, 0.99),
            added(0.99)
        );
    }
    for (what, added) in [
        ("by the chain, median", &mut medians),
        ("by the chain, 99th percentile", &mut tails),
        ("by one more relay, median", &mut hops),
    ] {
        added.sort_unstable();
        println!(
            "added {what}, at {rate} ticks/s{how}: {} us (least {}, most {})",
            added[added.len() / 2],
            added[0],
            added[added.len() - 1]
        );
    }
}

/// Ages through so many relays.
fn relayed(relays: usize, gateway: &str, lengths: Lengths) -> Seen {
    let mut chain = Vec::new();
    let mut address = gateway.to_owned();
    for _ in 0..relays {
        let relay = direct::start(&address);
        address.clone_from(&relay.address);
        chain.push(relay);
    }
    direct::measure(&address, WARM_UP, lengths.turn, 1)
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
