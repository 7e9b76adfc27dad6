//! One hundred lines to 1, 8, 64 and 256 clients: what the broker spends on each tick that it
//! delivers, at the highest rate at which less than 1 % has to be left out, and at the same rate for
//! all numbers of clients.
//!
//! All clients live in this process and count events without reading them, so that they are not
//! what is measured; the broker's time is the kernel's account of it. Delivered is what clients
//! received.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ibouncer_client::{Client, MarketDataStream};
use ibouncer_tests::harness::{Broker, procfs};
use tokio::task::JoinHandle;

use crate::machine::cpu;
use crate::ticks::WARM_UP;
use crate::{Lengths, chain};

pub(crate) const CLIENTS: [u64; 4] = [1, 8, 64, 256];

/// Deliveries a second, of all clients together, and where the climb begins.
const LADDER: [u64; 10] = [
    1_000_000, 2_000_000, 3_000_000, 4_000_000, 6_000_000, 8_000_000, 12_000_000, 16_000_000,
    24_000_000, 32_000_000,
];
const FROM: usize = 3;

/// The most that 256 clients take in full.
const SAME: u64 = 46_875;

pub(crate) async fn run(lengths: Lengths) {
    head("as fast as it goes", lengths);
    for clients in CLIENTS {
        saturate(clients, lengths).await;
    }
    head("the same stream for all", lengths);
    for clients in CLIENTS {
        holds(clients, SAME, lengths).await;
    }
}

fn head(how: &str, lengths: Lengths) {
    println!("\nFan-out of 100 lines, {how}, {:?} each", lengths.fan);
    println!(
        "{:>8} {:>10} {:>12} {:>10} {:>12} {:>13} {:>13}",
        "clients",
        "offered/s",
        "delivered/s",
        "left out",
        "broker core",
        "ns/delivered",
        "events/batch"
    );
}

/// Climbs until more than a little is left out, or down until little is.
async fn saturate(clients: u64, lengths: Lengths) {
    let holds = async |deliveries: u64| holds(clients, deliveries / clients, lengths).await;
    if holds(LADDER[FROM]).await {
        for deliveries in &LADDER[FROM + 1..] {
            if !holds(*deliveries).await {
                return;
            }
        }
    } else {
        for deliveries in LADDER[..FROM].iter().rev() {
            if holds(*deliveries).await {
                return;
            }
        }
    }
}

/// Measures and tells one rate; true if less than 1 % was left out.
async fn holds(clients: u64, rate: u64, lengths: Lengths) -> bool {
    let spent = measure(rate, clients, lengths.fan).await;
    let offered = (rate * clients) as f64;
    println!(
        "{clients:>8} {rate:>10} {:>12.0} {:>8.1} % {:>10.0} % {:>13.0} {:>13.0}",
        spent.delivered,
        (1.0 - spent.delivered / offered).max(0.0) * 100.0,
        spent.core * 100.0,
        spent.core * 1e9 / spent.delivered,
        spent.delivered / spent.batches
    );
    spent.delivered > offered * 0.99
}

/// Per second of the measured time.
pub(crate) struct Spent {
    pub(crate) core: f64,
    pub(crate) worker: f64,
    pub(crate) delivered: f64,
    /// Responses that clients received.
    pub(crate) batches: f64,
}

pub(crate) async fn measure(rate: u64, clients: u64, length: Duration) -> Spent {
    let sim = chain::simulator(rate);
    let broker = chain::broker(&sim);
    let fan = Fan::open(&broker, clients).await;
    let worker = broker.worker();
    tokio::time::sleep(WARM_UP).await;
    let look = || {
        let (events, batches) = fan.counts.all();
        (Instant::now(), cpu(broker.pid()), cpu(worker.pid), events, batches)
    };
    let before = look();
    tokio::time::sleep(length).await;
    let after = look();
    assert!(procfs::is_alive(worker), "the worker that was measured");
    let seconds = (after.0 - before.0).as_secs_f64();
    let share = |before: u64, after: u64| (after - before) as f64 / 1e9 / seconds;
    Spent {
        core: share(before.1, after.1),
        worker: share(before.2, after.2),
        delivered: (after.3 - before.3) as f64 / seconds,
        batches: (after.4 - before.4) as f64 / seconds,
    }
}

/// Clients that count.
struct Fan {
    readers: Vec<JoinHandle<()>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    events: AtomicU64,
    batches: AtomicU64,
}

impl Counts {
    fn all(&self) -> (u64, u64) {
        (self.events.load(Ordering::Relaxed), self.batches.load(Ordering::Relaxed))
    }
}

impl Fan {
    /// Returns once every line has reached every client.
    async fn open(broker: &Broker, clients: u64) -> Self {
        let counts = Arc::<Counts>::default();
        let mut readers = Vec::new();
        for number in 0..clients {
            let options = broker.home().options().client_name(format!("fan-{number}"));
            let client = Client::connect(options).await.unwrap();
            let stream = chain::stream(&client, &chain::HUNDRED).await;
            readers.push(tokio::spawn(read(client, stream, Arc::clone(&counts))));
        }
        // Requests leave at the pace that Gateway allows.
        let deadline = Instant::now() + Duration::from_secs(20);
        while open_lines(broker) < chain::HUNDRED.len() as u64 {
            assert!(Instant::now() < deadline, "all lines are open");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Self { readers, counts }
    }
}

impl Drop for Fan {
    fn drop(&mut self) {
        for reader in &self.readers {
            reader.abort();
        }
    }
}

fn open_lines(broker: &Broker) -> u64 {
    let lines = broker.cli(&["lines", "--json"]);
    let live = |line: &&str| line.contains("\"live\"");
    lines.stdout.split('{').filter(live).count() as u64
}

async fn read(_client: Client, mut stream: MarketDataStream, counts: Arc<Counts>) {
    while let Ok(Some(batch)) = stream.next_batch().await {
        counts.events.fetch_add(elements(batch.bytes()), Ordering::Relaxed);
        counts.batches.fetch_add(1, Ordering::Relaxed);
    }
}

/// Elements of a response that has only them: tags and lengths are read, bodies are not.
fn elements(mut rest: &[u8]) -> u64 {
    let mut count = 0;
    while !rest.is_empty() {
        let (mut at, mut length, mut shift) = (1, 0, 0);
        loop {
            let byte = rest[at];
            length |= usize::from(byte & 0x7f) << shift;
            at += 1;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        rest = &rest[at + length..];
        count += 1;
    }
    count
}
