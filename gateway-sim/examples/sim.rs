//! The simulator as a program: `cargo run -p ibouncer-gateway-sim --example sim -- --help`.

use clap::Parser;
use ibouncer_gateway_sim::{SimArgs, run};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    sim: SimArgs,
}

fn main() -> anyhow::Result<()> {
    run(Cli::parse().sim)
}
