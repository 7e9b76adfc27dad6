//! Receives stamped ticks with the Rust crate `ibapi`, directly from the simulator.
//!
//! `ibapi-peer blocking|async ADDRESS SECONDS SYMBOL…`
//!
//! Both clients of the crate in the form of its own examples: the blocking one with a thread per
//! subscription, the async one with a task per subscription on one thread. After a second of
//! warm-up it counts for SECONDS, prints one line of JSON and ends. The price of a tick is the
//! time at which it was made, its size a counter of its line.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use ibapi::market_data::realtime::TickTypes;
use ibapi::prelude::Contract;

const WARM_UP: Duration = Duration::from_secs(1);

/// Ages of one tick in so many are kept.
const SAMPLE: u64 = 64;

/// What was seen of one line.
struct Seen {
    begin: Instant,
    end: Instant,
    last: u64,
    received: u64,
    lost: u64,
    ages: Histogram<u64>,
}

impl Seen {
    fn new(begin: Instant, end: Instant) -> Self {
        let ages = Histogram::new_with_bounds(1, 60_000_000, 3).expect("sound bounds");
        Self { begin, end, last: 0, received: 0, lost: 0, ages }
    }

    /// One tick; false once the time is over.
    fn take(&mut self, tick: &TickTypes) -> bool {
        let TickTypes::PriceSize(tick) = tick else {
            return true;
        };
        let now = Instant::now();
        let size = tick.size as u64;
        let before = std::mem::replace(&mut self.last, size);
        if now < self.begin {
            return true;
        }
        self.received += 1;
        if before != 0 {
            self.lost += size.saturating_sub(before + 1);
        }
        if self.received.is_multiple_of(SAMPLE) {
            let age = monotonic_nanos().saturating_sub(tick.price as u64) / 1000;
            self.ages.saturating_record(age.max(1));
        }
        now < self.end
    }
}

fn main() {
    let mut words = std::env::args().skip(1);
    let mut word = || words.next().expect("blocking|async ADDRESS SECONDS SYMBOL…");
    let (way, address) = (word(), word());
    let seconds: f64 = word().parse().expect("seconds");
    let symbols: Vec<String> = words.collect();
    let seen = match way.as_str() {
        "blocking" => blocking(&address, seconds, &symbols),
        _ => on_one_thread(&address, seconds, &symbols),
    };
    let mut all = Seen::new(Instant::now(), Instant::now());
    for one in seen {
        all.received += one.received;
        all.lost += one.lost;
        all.ages.add(&one.ages).expect("the same bounds");
    }
    println!(
        r#"{{"received": {}, "lost": {}, "p50_us": {}, "p99_us": {}}}"#,
        all.received,
        all.lost,
        all.ages.value_at_quantile(0.5),
        all.ages.value_at_quantile(0.99)
    );
    // The crate's threads need not be waited for.
    std::process::exit(0);
}

fn blocking(address: &str, seconds: f64, symbols: &[String]) -> Vec<Seen> {
    use ibapi::client::blocking::Client;
    let client = Client::connect(address, 7).expect("a connection");
    let begin = Instant::now() + WARM_UP;
    let end = begin + Duration::from_secs_f64(seconds);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for symbol in symbols {
            let contract = Contract::stock(symbol.as_str()).build();
            let lines = client.market_data(&contract).subscribe().expect("a subscription");
            let done = &done;
            scope.spawn(move || {
                let mut seen = Seen::new(begin, end);
                // A line without ticks must end too.
                while Instant::now() < end {
                    let tick = lines.next_timeout(Duration::from_millis(100));
                    let Some(Ok(item)) = tick else {
                        continue;
                    };
                    if item.into_data().is_some_and(|tick| !seen.take(&tick)) {
                        break;
                    }
                }
                done.lock().expect("no panic").push(seen);
            });
        }
    });
    done.into_inner().expect("no panic")
}

fn on_one_thread(address: &str, seconds: f64, symbols: &[String]) -> Vec<Seen> {
    use futures::StreamExt as _;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let client = Arc::new(ibapi::Client::connect(address, 7).await.expect("a connection"));
        let begin = Instant::now() + WARM_UP;
        let end = begin + Duration::from_secs_f64(seconds);
        let mut tasks = Vec::new();
        for symbol in symbols {
            let contract = Contract::stock(symbol.as_str()).build();
            let lines = client.market_data(&contract).subscribe().await;
            let mut lines = lines.expect("a subscription");
            tasks.push(tokio::spawn(async move {
                let mut seen = Seen::new(begin, end);
                let over = tokio::time::sleep_until(end.into());
                let read = async {
                    while let Some(item) = lines.next().await {
                        // A reader that is overtaken is told so by an error, and goes on.
                        let Ok(item) = item else {
                            continue;
                        };
                        if item.into_data().is_some_and(|tick| !seen.take(&tick)) {
                            break;
                        }
                    }
                };
                tokio::select! {
                    () = read => {}
                    () = over => {}
                }
                seen
            }));
        }
        let mut all = Vec::new();
        for task in tasks {
            all.push(task.await.expect("a task that ends"));
        }
        all
    })
}

/// CLOCK_MONOTONIC in nanoseconds, the clock of the stamps.
fn monotonic_nanos() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
