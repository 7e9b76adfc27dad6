//! A thousand clients, each with a connection, a stream and a line of its own choice among 100:
//! whether all are served, and what one costs in memory while little flows.
//!
//! Memory is the broker's resident set with all of them less that with none. A client needs one
//! descriptor in the broker and one here, so the soft limit is raised to the hard one first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ibouncer_client::contract::stock;
use ibouncer_client::{Client, Feed, MarketDataStream};
use ibouncer_tests::harness::procfs;

use crate::machine::{cpu, descriptors, raise_descriptors};
use crate::ticks::TICK_PRICE;
use crate::{Lengths, chain};

const CLIENTS: usize = 1_000;

/// One tick per line and second: idle, yet every client shows that it is served.
const RATE: u64 = 100;

/// Besides those of clients.
const OTHER_DESCRIPTORS: u64 = 100;

pub(crate) async fn run(lengths: Lengths) {
    println!("\n{CLIENTS} clients with one line each, {RATE} ticks/s over 100 lines");
    let (soft, hard) = raise_descriptors();
    println!("descriptors: soft limit {soft}, raised to the hard one, {hard}");
    if hard < CLIENTS as u64 + OTHER_DESCRIPTORS {
        return println!("that is too few for {CLIENTS} clients: left out");
    }
    let sim = chain::simulator(RATE);
    let broker = chain::broker(&sim);
    // The first client makes the broker load what all share.
    drop(chain::stream(&chain::client(&broker).await, chain::ten()).await);
    let before = procfs::resident_kib(broker.pid());

    let begun = Instant::now();
    let received: Arc<Vec<AtomicU64>> = Arc::new((0..CLIENTS).map(|_| 0.into()).collect());
    let mut readers = Vec::new();
    for number in 0..CLIENTS {
        let options = broker.home().options().client_name(format!("crowd-{number}"));
        let client = Client::connect(options).await.unwrap();
        let stream = client.market_data().await.unwrap();
        let symbol = chain::HUNDRED[number % chain::HUNDRED.len()];
        stream.subscribe(stock(symbol), Feed::Live).await.unwrap();
        readers.push(tokio::spawn(read(client, stream, number, Arc::clone(&received))));
    }
    let all_served = || received.iter().all(|count| count.load(Ordering::Relaxed) > 0);
    let deadline = begun + Duration::from_secs(30);
    while !all_served() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!(
        "all {CLIENTS} connected and served: {}, after {:.1} s",
        if all_served() { "yes" } else { "NO" },
        begun.elapsed().as_secs_f64()
    );

    for count in received.iter() {
        count.store(0, Ordering::Relaxed);
    }
    let spent = cpu(broker.pid());
    tokio::time::sleep(lengths.idle).await;
    let spent = (cpu(broker.pid()) - spent) as f64 / 1e9 / lengths.idle.as_secs_f64();
    let counts = received.iter().map(|count| count.load(Ordering::Relaxed));
    let (least, most) = (counts.clone().min().unwrap(), counts.max().unwrap());
    let after = procfs::resident_kib(broker.pid());
    println!(
        "in {:?} each client got {least} to {most} ticks; broker {:.2} % of a core",
        lengths.idle,
        spent * 100.0
    );
    println!(
        "resident: {before} KiB with no client, {after} KiB with all: {:.1} KiB a client; \
         {} descriptors in the broker",
        (after - before) as f64 / CLIENTS as f64,
        descriptors(broker.pid())
    );
    for reader in readers {
        reader.abort();
    }
}

async fn read(
    _client: Client,
    mut stream: MarketDataStream,
    number: usize,
    received: Arc<Vec<AtomicU64>>,
) {
    while let Ok(Some(batch)) = stream.next_batch().await {
        let live =
            |event: &ibouncer_client::EventRef<'_>| event.field == TICK_PRICE && !event.replayed;
        let ticks = batch.events().filter_map(Result::ok).filter(live).count();
        received[number].fetch_add(ticks as u64, Ordering::Relaxed);
    }
}
