//! Benchmarks of the whole chain, each beside its comparison in the same run.
//!
//! `cargo bench -p ibouncer-tests --bench session -- [throughput|latency|start|idle]… [--quick]`
//!
//! Simulator, broker, worker and relay are processes; the measuring client is this one. All
//! traffic stays on loopback and every run has a fixed length. The simulator runs in stamp mode:
//! a tick's price is the time at which it was made, its size a counter of its line, so that age
//! and loss are seen at the receiver. Figures and how to read them: `docs/performance.md`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints and may stop")]

mod chain;
mod direct;
mod latency;
mod life;
mod throughput;
mod ticks;

use std::path::Path;
use std::time::Duration;

/// The binary under test, in the profile of the benchmark.
fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ibouncer-under-test"))
}

/// How long things are measured.
#[derive(Debug, Clone, Copy)]
struct Lengths {
    /// One rate.
    steady: Duration,
    /// One turn of relay or chain.
    turn: Duration,
    /// Pairs of turns.
    pairs: usize,
    /// Repetitions of a start.
    starts: usize,
    /// An idle broker.
    idle: Duration,
}

const FULL: Lengths = Lengths {
    steady: Duration::from_secs(10),
    turn: Duration::from_secs(3),
    pairs: 7,
    starts: 21,
    idle: Duration::from_secs(20),
};

const QUICK: Lengths = Lengths {
    steady: Duration::from_secs(3),
    turn: Duration::from_secs(1),
    pairs: 3,
    starts: 5,
    idle: Duration::from_secs(5),
};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == direct::RELAY) {
        return direct::relay(&words[1]);
    }
    let lengths = if words.iter().any(|word| word == "--quick") { QUICK } else { FULL };
    let named: Vec<_> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|word| *word == name);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if wanted("start") {
            life::start(lengths).await;
        }
        if wanted("idle") {
            life::idle(lengths).await;
        }
        if wanted("latency") {
            latency::run(lengths).await;
        }
        if wanted("throughput") {
            throughput::run(lengths).await;
        }
    });
}
