//! The Python SDK, one process, with line, price and size of every tick read, as objects and by
//! columns, beside what ib_async receives directly: measured here, unless it is known from this run.

use std::path::Path;

use crate::steady;
use crate::{Lengths, chain, peers};
use ibouncer_tests::harness::peers as pythons;

pub(crate) async fn run(of_ib_async: Option<u64>, lengths: Lengths) {
    println!("\nPython, one process, every tick's fields read, {:?} a rate", lengths.peer);
    let (Some(sdk), Some(others)) = (pythons::sdk_python(peers::tmp()), peers::python()) else {
        return println!("python3 is missing: left out");
    };
    steady::print_head();
    let with_sdk = climb(&sdk, "SDK", "sdk_ticks.py", lengths).await;
    let by_columns = climb(&sdk, "SDK, columns", "sdk_columns.py", lengths).await;
    let direct = match of_ib_async {
        Some(best) => best,
        None => peers::ib_async(&others, lengths).await,
    };
    println!("highest steady lossless rates: ib_async, direct {direct} ticks/s");
    for (name, rate) in [("tick by tick", with_sdk), ("by columns", by_columns)] {
        println!("  SDK, {name}: {rate} ticks/s: {:.1} x", peers::ratio(rate, direct));
    }
}

/// The SDK with one of its programs, each rate with a chain of its own.
async fn climb(sdk: &Path, way: &str, program: &str, lengths: Lengths) -> u64 {
    steady::climb(way, 200_000, async |rate| {
        let sim = chain::simulator(rate);
        let broker = chain::broker(&sim);
        let target = format!("unix:{}", broker.socket().display());
        peers::receive(peers::script(sdk, program), &target, rate, lengths)
    })
    .await
}
