//! Steady lossless throughput to one Rust client, beside the bare relay at the same rates in the
//! same run: the relay says what the machine allows. Then the loss at twice the best rate.

use std::time::Instant;

use crate::steady::{self, Outcome};
use crate::ticks::{Seen, TICK_PRICE, WARM_UP, monotonic_nanos};
use crate::{Lengths, chain, direct};

/// Where the climb begins.
const FROM: u64 = 2_000_000;

/// Ages of one tick in so many are kept.
const SAMPLE: u64 = 64;

/// Answers with the highest steady rate of the chain.
pub(crate) async fn run(lengths: Lengths) -> u64 {
    println!("\nSteady throughput to one client, 10 lines, {:?} a rate", lengths.steady);
    steady::print_head();
    let best = steady::climb("chain", FROM, async |rate| {
        let sim = chain::simulator(rate);
        let relay = direct::start(sim.address());
        let seen = direct::measure(&relay.address, WARM_UP, lengths.steady, SAMPLE);
        Outcome::of(rate, &seen, lengths.steady).print("relay");
        drop((relay, sim));
        through_the_chain(rate, lengths).await.0
    })
    .await;
    println!("highest steady lossless rate of the chain: {best} ticks/s");
    print_overload(best, lengths).await;
    best
}

/// The climb without the relay.
pub(crate) async fn climb(from: u64, lengths: Lengths) -> u64 {
    steady::climb("chain", from, async |rate| through_the_chain(rate, lengths).await.0).await
}

/// Loss at twice a rate; offered is what the simulator could make of it.
pub(crate) async fn print_overload(best: u64, lengths: Lengths) {
    let (outcome, told) = through_the_chain(2 * best, lengths).await;
    outcome.print("chain, twice");
    let made = outcome.received + outcome.lost as f64 / lengths.steady.as_secs_f64();
    println!(
        "loss at twice that rate: {:.1} % of {made:.0} ticks/s that the simulator could make",
        (1.0 - outcome.received / made) * 100.0,
    );
    let of_lost = |count: u64| count as f64 / outcome.lost.max(1) as f64 * 100.0;
    println!(
        "lost {} = left out by the broker (skipped) {} + dropped by the worker (GAP) {} + not told \
         {} ({:.1} %); the simulator itself dropped {} in all of the run",
        outcome.lost,
        told.skipped,
        told.gaps,
        outcome.lost as i64 - (told.skipped + told.gaps) as i64,
        100.0 - of_lost(told.skipped) - of_lost(told.gaps),
        told.never_made,
    );
}

/// What is said about ticks that did not come.
#[derive(Debug, Default, Clone, Copy)]
struct Told {
    /// By the broker, to this client.
    skipped: u64,
    /// Frames that the worker dropped, each of which is a tick here, by the broker's counter.
    gaps: u64,
    /// Ticks that the simulator did not make because the worker did not read, from its start to
    /// its end.
    never_made: u64,
}

/// Frames that the worker has dropped so far.
async fn gaps(client: ibouncer_client::Client) -> u64 {
    client.status().await.unwrap().counters["ibouncer_link_gap_frames_total"]
}

/// Answers with what is said about ticks that did not come, too.
async fn through_the_chain(rate: u64, lengths: Lengths) -> (Outcome, Told) {
    let length = lengths.steady;
    let sim = chain::simulator(rate);
    let broker = chain::broker(&sim);
    let client = chain::client(&broker).await;
    let mut stream = chain::stream(&client, chain::ten()).await;
    let mut seen = Seen::default();
    let mut told = Told::default();
    // Asked beside the ticks, so that nobody waits for it.
    let mut gaps_before = None;
    let begin = Instant::now() + WARM_UP;
    let end = begin + length;
    let mut begun = false;
    while let Some(batch) = stream.next_batch().await.unwrap() {
        let now = Instant::now();
        if !begun && now >= begin {
            begun = true;
            seen.begin();
            told.skipped = 0;
            gaps_before = Some(tokio::spawn(gaps(client.clone())));
        }
        if now >= end {
            break;
        }
        let nanos = monotonic_nanos();
        for event in batch.events() {
            let event = event.unwrap();
            told.skipped += u64::from(event.skipped);
            if event.field == TICK_PRICE && !event.replayed {
                let aged = seen.ticks.is_multiple_of(SAMPLE).then_some(nanos);
                seen.take(event.subscription_id.0 as usize, event.body, aged);
            }
        }
    }
    if let Some(before) = gaps_before {
        told.gaps = gaps(client).await - before.await.unwrap();
    }
    drop((stream, broker));
    told.never_made = sim.stop()["dropped"].as_u64().unwrap_or_default();
    (Outcome::of(rate, &seen, length), told)
}
