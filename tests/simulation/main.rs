//! The whole system in one thread and in virtual time, from one seed.
//!
//! Real: the hub with all machines of the broker, the worker's session, the link's bytes, the
//! simulated Gateway, the worker's backlog, the queues of slow readers. Simulated here: processes
//! and signals (`os.rs`), brokers that die and what they leave on disk (`broker.rs`), the link
//! and TCP (`network.rs`, `link.rs`), the worker's shell (`relay.rs`), the kernel's side of
//! Gateway's port (`host.rs`), its tables and the clocks (`eyes.rs`), and programs that
//! subscribe and ask (`clients.rs`, `wishes.rs`, `stream.rs`), and others who make handshakes at
//! the same Gateway (`others.rs`). What happens is drawn from `grammar.rs`; what must hold is in
//! `checks.rs`, `attempts.rs`, `frames.rs`, `wire.rs` and `follower.rs`; each seed ends with a
//! world that is healed and must recover (`recovery.rs`). `orders.rs` has worlds of orders and
//! their oracle; `overtaking.rs` has cancels and requests of one moment; `soak.rs` runs one world for long.
//!
//! ```text
//!   cargo test -p ibouncer-tests --test simulation              1000 seeds
//!   SIM_SEEDS=5000 cargo test -p ibouncer-tests --test simulation
//!   SIM_SEED=17 cargo test -p ibouncer-tests --test simulation -- --nocapture    one, in full
//! ```

mod actions;
mod attempts;
mod broker;
mod checks;
mod clients;
mod events;
mod eyes;
mod follower;
mod frames;
mod grammar;
mod host;
mod link;
mod network;
mod orders;
mod os;
mod others;
mod overtaking;
mod recovery;
mod relay;
mod runner;
mod soak;
mod stream;
mod trace;
mod wire;
mod wishes;
mod world;

use std::time::{Duration, Instant};

use runner::from_environment;

/// Seeds of an ordinary test run.
const SEEDS: u64 = 1000;

#[test]
fn whatever_happens_the_rules_hold_and_the_session_comes_back() {
    if let Some(seed) = from_environment("SIM_SEED") {
        let run = runner::quietly(|| runner::run(seed, true));
        println!("{}\n{}", run.trace, run.summary);
        assert!(run.failure.is_none(), "seed {seed} failed, see above");
        return;
    }
    let begun = Instant::now();
    let seeds = from_environment("SIM_SEEDS").unwrap_or(SEEDS);
    let total = runner::quietly(|| runner::run_all(seeds));
    println!("{seeds} seeds in {:.1} s: {total}", begun.elapsed().as_secs_f64());
    assert!(total.failures.is_empty(), "{}", total.failures.join("\n\n"));
    // A suite in which nothing happens proves nothing.
    assert!(total.sessions > seeds && total.workers > 2 * seeds);
    assert!(total.ticks > 100 * seeds && total.skipped > 0 && total.wedged > 0);
    assert!(total.broker_deaths > seeds && total.adoptions > seeds / 2);
    assert!(total.relinks > 0 && total.gaps > 0 && total.resent > 0 && total.gave_up > 0);
    assert!(total.late_looks > 0 && total.cold_starts > 0 && total.turns_waited > seeds);
    assert!(total.answers > seeds && total.books > 0 && total.queued > seeds);
    assert!(total.virtual_time > Duration::from_secs(60) * seeds as u32);
}
