//! Benchmarks of the whole chain, each beside its comparison in the same run.
//!
//! `cargo bench -p ibouncer-tests --bench session -- [NAME]… [--quick]` with the names `start`,
//! `idle`, `latency`, `throughput`, `peers`, `python`, `fanout`, `wakeups`, `crowd`, `stall`, `orders`,
//! `hub`; without a name all of them.
//!
//! Simulator, broker, worker, relay and peers are processes; the measuring client is this one. All
//! traffic stays on loopback and every run has a fixed length. The simulator runs in stamp mode:
//! a tick's price is the time at which it was made, its size a counter of its line, so that age
//! and loss are seen at the receiver. `BENCH_BINARY=PATH` measures another build of the binary.
//! Figures and how to read them: `docs/performance.md`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints and may stop")]

mod awake;
mod beside;
mod chain;
mod crowd;
mod direct;
mod fanout;
mod feeder;
mod hub;
mod latency;
mod life;
mod machine;
mod orders;
mod peers;
mod python;
mod stall;
mod steady;
mod tap;
mod throughput;
mod ticks;
mod wakeups;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The binary under test, in the profile of the benchmark; or another build, to compare with.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("BENCH_BINARY") {
        Some(other) => other.into(),
        None => env!("CARGO_BIN_EXE_ibouncer-under-test").into(),
    })
}

/// How long things are measured.
#[derive(Debug, Clone, Copy)]
struct Lengths {
    /// One rate through the chain.
    steady: Duration,
    /// One rate of a peer.
    peer: Duration,
    /// One turn of relay or chain.
    turn: Duration,
    /// Turns of each.
    pairs: usize,
    /// One number of clients.
    fan: Duration,
    /// Repetitions of a start.
    starts: usize,
    /// An idle broker.
    idle: Duration,
}

const FULL: Lengths = Lengths {
    steady: Duration::from_secs(10),
    peer: Duration::from_secs(5),
    turn: Duration::from_secs(2),
    pairs: 7,
    fan: Duration::from_secs(3),
    starts: 21,
    idle: Duration::from_secs(20),
};

const QUICK: Lengths = Lengths {
    steady: Duration::from_secs(3),
    peer: Duration::from_secs(2),
    turn: Duration::from_secs(1),
    pairs: 3,
    fan: Duration::from_secs(2),
    starts: 5,
    idle: Duration::from_secs(5),
};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some(direct::RELAY) => return direct::relay(&words[1]),
        Some(feeder::FEEDER) => return feeder::run(words[1].parse().unwrap()),
        Some(hub::ALONE) => return hub::alone(&words[1..]),
        _ => {}
    }
    let lengths = if words.iter().any(|word| word == "--quick") { QUICK } else { FULL };
    let named: Vec<_> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|word| *word == name);
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run(wanted, lengths));
    println!("\nAll of it took {:.0} s.", begun.elapsed().as_secs_f64());
}

async fn run(wanted: impl Fn(&str) -> bool, lengths: Lengths) {
    if wanted("start") {
        life::start(lengths).await;
    }
    if wanted("idle") {
        life::idle(lengths).await;
    }
    if wanted("latency") {
        latency::run(lengths).await;
    }
    let mut best = None;
    if wanted("throughput") {
        best = Some(throughput::run(lengths).await);
    }
    let mut ib_async = None;
    if wanted("peers") {
        ib_async = peers::run(best, lengths).await;
    }
    if wanted("python") {
        python::run(ib_async, lengths).await;
    }
    if wanted("fanout") {
        fanout::run(lengths).await;
    }
    if wanted("wakeups") {
        wakeups::run(lengths).await;
    }
    if wanted("crowd") {
        crowd::run(lengths).await;
    }
    if wanted("stall") {
        stall::run(lengths).await;
    }
    if wanted("orders") {
        orders::run(lengths).await;
    }
    if wanted("hub") {
        hub::run();
    }
}
