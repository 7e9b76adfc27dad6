//! End to end: the one binary as real processes, with signals and sockets, against the simulated
//! Gateway or a bare listener.
//!
//! - `adoption`: the session outlives the broker.
//! - `link`: a worker whose broker is the test.
//! - `start`: what `serve` and the commands say, exit codes, private files, the end.
//! - `faults`: each fault of a handshake, to the kill and the replacement.
//! - `sockets`: that a kill leaves nothing behind on Gateway's side.
//! - `eyes`: what `connections` says of a port, and that it makes no connection.
//! - `survival`: streams of the SDK go on with the next broker.
//! - `proof`: what strace saw of our processes.
//! - `service`: the service unit of the documents, by its signals.
//! - `soak`: two hundred cycles of everything, and nothing leaks.
//! - `upsets`: 1100, 1101, 1102, broken farms, a restart, and what clients see of them.
//! - `wedge`: the faults of the field, replayed.
//! - `workers`: workers and brokers that are stopped, killed, or never speak.
//! - `market_data`: last values, errors, limits, snapshots, health, reflection.
//! - `pacing`: a crowd that asks for everything at once never makes Gateway refuse anything.
//! - `cancels`: what is cancelled is gone before its place is asked for again.
//! - `cli_reads`: the commands that read, as a trader types them.
//! - `accounts`, `news`: positions that vanish, a second account, whose orders; bulletins, the
//!   calendar, scanners.
//! - `reads`: what is shared of each kind of data, and what late joiners know.
//! - `sdk_reads`: every call of the Rust client that reads; `rarely_read`: what few ask for.
//! - `orders`: orders of several clients, with rights, brakes and restarts, against Gateway's ledger.
//! - `hostile`: clients that do not read, ask too much, or vanish.
//! - `unread`: clients that do not take the answers to their calls.
//! - `bad_input`, `bad_requests`: nonsense on every listening side.
//! - `doctor`, `doctor_safety`: its verdict for whatever stands behind a port, and that it harms
//!   nothing.
//! - `doctor_broker`, `doctor_peers`: the same while a broker runs, and against real servers that
//!   are no Gateway.
//! - `support_bundle`: what it holds, and that accounts and tokens are nowhere in it.
//! - `one_budget`: one handshake at a time and one budget of silence, whatever the client id.
//! - `demo`: the first thing that a newcomer runs.
//! - `crowd`: 32 processes in three languages share the session.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests; a test that cannot go on says where it stopped"
)]

mod accounts;
mod adoption;
mod adoption_files;
mod bad_input;
mod bad_requests;
mod cancels;
mod cli_reads;
mod crowd;
mod demo;
mod doctor;
mod doctor_broker;
mod doctor_peers;
mod doctor_safety;
mod eyes;
mod faults;
mod hostile;
mod link;
mod market_data;
mod news;
mod old_builds;
mod one_budget;
mod orders;
mod pacing;
mod proof;
mod rarely_read;
mod reads;
mod sdk_reads;
mod service;
mod soak;
mod sockets;
mod start;
mod stream;
mod support_bundle;
mod survival;
mod tls;
mod unread;
mod upsets;
mod wedge;
mod workers;

use std::path::Path;

use ibouncer_tests::harness::{Broker, BrokerPlan, Sim};

/// The one binary.
fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ibouncer-under-test"))
}

/// Cargo's folder for temporary files of tests.
fn temporary() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

fn sim(flags: &[&str]) -> Sim {
    Sim::start(binary(), flags)
}

fn plan(sim: &Sim) -> BrokerPlan {
    Broker::plan(binary(), sim.address())
}

/// A broker that is READY at a Gateway without faults.
fn ready() -> (Sim, Broker) {
    let sim = sim(&[]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    (sim, broker)
}
