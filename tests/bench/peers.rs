//! What others receive directly from the same stream: the Rust crate `ibapi`, ib_async and the
//! official Python client, each at rising rates until it loses ticks or falls behind.
//!
//! Each peer is a process of its own (`peers/`, `ibapi-peer/`) that connects, counts and prints
//! one line of JSON. ib_async speaks only the older text form, so it reads from `feeder.rs`. A peer
//! that cannot be had on this machine is left out, and that is said.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ibouncer_tests::harness::{Program, peers};
use serde_json::Value;

use crate::steady::{self, Outcome};
use crate::ticks::WARM_UP;
use crate::{Lengths, chain, throughput};

/// Beyond its time a peer is behind by more than matters, and is ended.
const GRACE: Duration = Duration::from_secs(15);

/// Compares them with the chain, whose best rate may be known from this run. Answers with that of
/// ib_async.
pub(crate) async fn run(best_of_chain: Option<u64>, lengths: Lengths) -> Option<u64> {
    println!("\nDirect clients on the same stream, 10 lines, {:?} a rate", lengths.peer);
    steady::print_head();
    let mut found = Vec::new();
    if let Some(peer) = build_ibapi() {
        for (name, way) in [("ibapi blocking", "blocking"), ("ibapi async", "async")] {
            found.push((
                name,
                steady::climb(name, 400_000, async |rate| {
                    let sim = chain::simulator(rate);
                    let mut command = Command::new(&peer);
                    command.arg(way);
                    receive(command, sim.address(), rate, lengths)
                })
                .await,
            ));
        }
    }
    let mut of_ib_async = None;
    if let Some(python) = python() {
        let best = ib_async(&python, lengths).await;
        found.push(("ib_async", best));
        of_ib_async = Some(best);
        let name = "official Python";
        found.push((
            name,
            steady::climb(name, 15_000, async |rate| {
                let sim = chain::simulator(rate);
                let command = script(&python, "official.py");
                receive(command, sim.address(), rate, lengths)
            })
            .await,
        ));
    }
    let chain = match best_of_chain {
        Some(best) => best,
        None => {
            let best = throughput::climb(2_000_000, lengths).await;
            throughput::print_overload(best, lengths).await;
            best
        }
    };
    println!("highest steady lossless rates: chain with one client {chain} ticks/s");
    for (name, best) in found {
        match best {
            0 => println!("  {name}, direct: nothing"),
            best => println!(
                "  {name}, direct: {best} ticks/s; the chain carries {:.1} x",
                ratio(chain, best)
            ),
        }
    }
    of_ib_async
}

/// ib_async on the text feeder.
pub(crate) async fn ib_async(python: &Path, lengths: Lengths) -> u64 {
    steady::climb("ib_async", 75_000, async |rate| {
        let feeder = crate::feeder::start(rate);
        receive(script(python, "ib_async_ticks.py"), &feeder.address, rate, lengths)
    })
    .await
}

/// A Python with ib_async and the official client in it.
pub(crate) fn python() -> Option<PathBuf> {
    let python = peers::official_python(tmp());
    if python.is_none() {
        println!("python3 is missing: its clients are left out");
    }
    python
}

/// A peer's program.
pub(crate) fn script(python: &Path, name: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(peers::workspace().join("tests/bench/peers").join(name));
    command
}

/// Lets a peer receive from an address, and reads what it says.
pub(crate) fn receive(mut command: Command, target: &str, rate: u64, lengths: Lengths) -> Outcome {
    command.arg(target).arg(lengths.peer.as_secs_f64().to_string()).args(chain::ten());
    let mut program = Program::start("peer", command);
    let within = WARM_UP + lengths.peer + GRACE;
    let begun = std::time::Instant::now();
    while program.poll_exit().is_none() && begun.elapsed() < within {
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = program.poll_exit().is_some();
    let said = program.stdout.all();
    let report = said.last().and_then(|line| serde_json::from_str::<Value>(line).ok());
    let Some(report) = report else {
        let errors = program.stderr.all();
        println!("no report (ended: {ended}): {}", errors.last().map_or("", String::as_str));
        let (received, lost) = (0.0, 0);
        return Outcome { offered: rate, received, lost, p50_us: 0, p99_us: 0, core_ns: None };
    };
    let number = |name: &str| report[name].as_u64().unwrap_or_default();
    Outcome {
        offered: rate,
        received: number("received") as f64 / lengths.peer.as_secs_f64(),
        lost: number("lost"),
        p50_us: number("p50_us"),
        p99_us: number("p99_us"),
        core_ns: report["core_ns"].as_u64(),
    }
}

/// Where what the benchmarks build is kept.
pub(crate) fn tmp() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

pub(crate) fn ratio(one: u64, other: u64) -> f64 {
    one as f64 / other.max(1) as f64
}

/// Builds the peer with the crate `ibapi`, which no other build of this workspace includes.
fn build_ibapi() -> Option<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let folder = tmp().join("ibapi-peer");
    let manifest = peers::workspace().join("tests/bench/ibapi-peer/Cargo.toml");
    let built = Command::new(cargo)
        .args(["build", "--release", "--locked", "--quiet", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&folder)
        .status();
    if built.is_ok_and(|status| status.success()) {
        return Some(folder.join("release/ibapi-peer"));
    }
    println!("the peer with the crate ibapi could not be built: it is left out");
    None
}
