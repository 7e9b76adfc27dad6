//! The Python SDK, one process, with line, price and size of every tick read, beside what
//! ib_async receives directly: measured here, unless it is known from this run.

use crate::steady;
use crate::{Lengths, chain, peers};
use ibouncer_tests::harness::peers as pythons;

pub(crate) async fn run(of_ib_async: Option<u64>, lengths: Lengths) {
    println!("\nPython, one process, every tick's fields read, {:?} a rate", lengths.peer);
    let (Some(sdk), Some(others)) = (pythons::sdk_python(peers::tmp()), peers::python()) else {
        return println!("python3 is missing: left out");
    };
    steady::print_head();
    let with_sdk = steady::climb("SDK", 200_000, async |rate| {
        let sim = chain::simulator(rate);
        let broker = chain::broker(&sim);
        let target = format!("unix:{}", broker.socket().display());
        peers::receive(peers::script(&sdk, "sdk_ticks.py"), &target, rate, lengths)
    })
    .await;
    let direct = match of_ib_async {
        Some(best) => best,
        None => peers::ib_async(&others, lengths).await,
    };
    println!(
        "highest steady lossless rates: SDK {with_sdk} ticks/s, ib_async, direct {direct} ticks/s: \
         {:.1} x",
        peers::ratio(with_sdk, direct)
    );
}
