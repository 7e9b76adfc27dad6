//! A client that does not read for ten seconds while 100 000 ticks/s flow: how old what it reads
//! afterwards is, and whether the others notice.
//!
//! Five clients with connections of their own. First all read; then one does not, as a program
//! that is busy with something else; then it goes on. The four others are measured all the time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use ibouncer_client::{Client, EventRef, MarketDataStream, Tick};

use crate::ticks::{TICK_PRICE, WARM_UP, monotonic_nanos};
use crate::{Lengths, chain};

const RATE: u64 = 100_000;

const OTHERS: usize = 4;

/// What does not read, in seconds that count.
const STALL: Duration = Duration::from_secs(10);

/// Data that is younger is fresh.
const FRESH: Duration = Duration::from_millis(500);

/// How long the stalled client reads afterwards.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// What the others do meanwhile.
const WITHOUT: usize = 0;
const WITH: usize = 1;
const BETWEEN: usize = 2;

pub(crate) async fn run(lengths: Lengths) {
    println!("\nA client that does not read for {STALL:?} at {RATE} ticks/s, and {OTHERS} others");
    let sim = chain::simulator(RATE);
    let broker = chain::broker(&sim);
    let ages = Arc::new(Ages::default());
    for number in 0..OTHERS {
        let (client, stream) = client(&broker, &format!("other-{number}")).await;
        tokio::spawn(read(client, stream, Arc::clone(&ages)));
    }
    let (_client, mut stalled) = client(&broker, "stalled").await;
    read_for(&mut stalled, WARM_UP, |_| {}).await;

    ages.phase.store(WITHOUT, Ordering::Relaxed);
    read_for(&mut stalled, lengths.steady, |_| {}).await;
    ages.phase.store(WITH, Ordering::Relaxed);
    tokio::time::sleep(STALL).await;
    ages.phase.store(BETWEEN, Ordering::Relaxed);

    let begun = Instant::now();
    let mut back = Back::default();
    read_for(&mut stalled, AFTERWARDS, |event| back.take(event, begun)).await;
    back.print();
    for (phase, what) in [(WITHOUT, "while all read"), (WITH, "while one does not")] {
        let ages = ages.of[phase].lock().unwrap();
        println!(
            "the others, {what}: age p50 {} us, p99 {} us, most {} us",
            ages.value_at_quantile(0.5),
            ages.value_at_quantile(0.99),
            ages.max()
        );
    }
    println!("left out for the others: {} ticks", ages.skipped.load(Ordering::Relaxed));
}

/// What the stalled client reads once it goes on.
#[derive(Default)]
struct Back {
    first: Option<Duration>,
    /// Events that are not fresh, from before the first fresh one.
    old: u64,
    fresh_after: Option<Duration>,
    skipped: u64,
    /// From the first fresh one on.
    oldest: Duration,
}

impl Back {
    fn take(&mut self, event: &EventRef<'_>, begun: Instant) {
        let age = age(event);
        self.first.get_or_insert(age);
        self.skipped += u64::from(event.skipped);
        if self.fresh_after.is_some() {
            self.oldest = self.oldest.max(age);
        } else if age < FRESH {
            self.fresh_after = Some(begun.elapsed());
            self.oldest = age;
        } else {
            self.old += 1;
        }
    }

    fn print(&self) {
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        println!(
            "afterwards: {} ticks that its window held from before, the first {:.0} ms old, then \
             fresh ones, {:.1} ms after it went on",
            self.old,
            millis(self.first.unwrap_or_default()),
            millis(self.fresh_after.unwrap_or(AFTERWARDS))
        );
        println!(
            "oldest from there on: {:.1} ms; {} ticks were left out, each counted",
            millis(self.oldest),
            self.skipped
        );
    }
}

struct Ages {
    phase: AtomicUsize,
    of: [Mutex<Histogram<u64>>; 3],
    skipped: std::sync::atomic::AtomicU64,
}

impl Default for Ages {
    fn default() -> Self {
        let ages = || Mutex::new(Histogram::new_with_bounds(1, 60_000_000, 3).unwrap());
        Self {
            phase: AtomicUsize::new(BETWEEN),
            of: [ages(), ages(), ages()],
            skipped: std::sync::atomic::AtomicU64::new(0),
        }
    }
}

async fn client(
    broker: &ibouncer_tests::harness::Broker,
    name: &str,
) -> (Client, MarketDataStream) {
    let options = broker.home().options().client_name(name);
    let client = Client::connect(options).await.unwrap();
    let stream = chain::stream(&client, chain::ten()).await;
    (client, stream)
}

/// One of the others, for as long as there is a broker.
async fn read(_client: Client, mut stream: MarketDataStream, ages: Arc<Ages>) {
    while let Ok(Some(batch)) = stream.next_batch().await {
        let phase = ages.phase.load(Ordering::Relaxed);
        let mut seen = ages.of[phase].lock().unwrap();
        for event in batch.events() {
            let event = event.unwrap();
            ages.skipped.fetch_add(u64::from(event.skipped), Ordering::Relaxed);
            if is_live(&event) {
                seen.saturating_record((age(&event).as_micros() as u64).max(1));
            }
        }
    }
}

async fn read_for(
    stream: &mut MarketDataStream,
    length: Duration,
    mut take: impl FnMut(&EventRef<'_>),
) {
    let end = Instant::now() + length;
    while let Some(batch) = stream.next_batch().await.unwrap() {
        for event in batch.events() {
            let event = event.unwrap();
            if is_live(&event) {
                take(&event);
            }
        }
        if Instant::now() >= end {
            return;
        }
    }
}

fn is_live(event: &EventRef<'_>) -> bool {
    event.field == TICK_PRICE && !event.replayed
}

fn age(event: &EventRef<'_>) -> Duration {
    match event.tick() {
        Ok(Some(Tick::Price { price, .. })) => {
            Duration::from_nanos(monotonic_nanos().saturating_sub(price as u64))
        }
        _ => Duration::ZERO,
    }
}
