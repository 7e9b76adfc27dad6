//! Five hundred orders while worker and broker are killed at random: afterwards the ledger of
//! Gateway, the broker's journal and what each client was told agree to the last fill.
//!
//! `RESTARTS_SEED` replays the schedule of kills and the choices of the clients; how they meet is
//! the machine's. Clients and watchers are in `restarts/client.rs`, what is compared is in
//! `restarts/agreement.rs`.

mod agreement;
mod client;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ibouncer_tests::harness::wait::until;
use ibouncer_tests::harness::{Broker, Principal, Sim};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::{TRADE, ledger_now, ours, plan_for, sim};
use agreement::{Side, disagreements};
use client::{Modifies, Seen, Trader, watch_executions, watch_orders};

const CLIENTS: [&str; 5] = ["ada", "bob", "cyd", "dan", "eve"];

/// Of each client.
const ORDERS: usize = 100;

/// Longer than this the clients do not go on, and nothing is killed any more.
const LONGEST: Duration = Duration::from_secs(45);

/// After the last kill, until all agree.
const SETTLED: Duration = Duration::from_secs(15);

#[test]
fn after_five_hundred_orders_under_kills_ledger_journal_and_clients_agree() {
    let seed = std::env::var("RESTARTS_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("RESTARTS_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let limits = ["--limit", "message_rate=off", "--limit", "active_orders=off"];
    let mut sim = sim(&[&limits[..], &["--fill-interval", "5ms"]].concat());
    let principals = CLIENTS.map(|name| Principal::named(name, TRADE));
    let broker = plan_for(&sim, &principals)
        .set("pacing.messages_per_second=50")
        .set(r#"attempts.backoff=["20ms"]"#)
        .start();
    broker.wait_trading();

    let runtime = Runtime::new().unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let until = Instant::now() + LONGEST;
    let mut sides = Vec::new();
    let mut traders = Vec::new();
    for name in CLIENTS {
        let options = broker.home().options_of(name);
        let seen = Arc::new(Mutex::new(Seen::default()));
        // One stream comes back by itself, the other is opened again by the number it came to.
        runtime.spawn(watch_orders(options.clone().reconnect(true), Arc::clone(&seen)));
        runtime.spawn(watch_executions(options.clone(), Arc::clone(&seen)));
        let trader = Trader { name, options, random: random.fork(), until, done: done.clone() };
        traders.push(runtime.spawn(trader.run(ORDERS)));
        sides.push(Side { name, seen, modifies: Modifies::new() });
    }
    let (mut broker, kills) = kill_at_random(broker, &mut random, &done, &traders);
    eprintln!("killed {}: {kills:?}", kills.len());
    for (side, trader) in sides.iter_mut().zip(traders) {
        side.modifies = runtime.block_on(trader).expect("a client went on to its end");
    }
    assert_eq!(done.load(Ordering::Relaxed), ORDERS * CLIENTS.len());
    assert!(kills.len() >= 5, "{kills:?}");

    broker.wait_trading();
    let ledger = settle(&runtime, &broker, &mut sim, &sides);
    eprintln!("orders at Gateway: {}", ledger.len());
    // What the next broker reads from the journal is the same.
    broker.kill();
    let broker = broker.successor().start();
    broker.wait_trading();
    settle(&runtime, &broker, &mut sim, &sides);
    runtime.shutdown_background();
    drop(broker);
    let at_last = ours(&sim.ledger());
    assert_eq!(at_last.len(), ledger.len(), "nothing came after the look");
}

/// Kills worker, broker, or both, whenever some more orders were placed.
fn kill_at_random(
    mut broker: Broker,
    random: &mut fastrand::Rng,
    done: &AtomicUsize,
    traders: &[JoinHandle<Modifies>],
) -> (Broker, Vec<&'static str>) {
    let mut kills = Vec::new();
    loop {
        let next = done.load(Ordering::Relaxed) + random.usize(12..45);
        let is_over = || traders.iter().all(JoinHandle::is_finished);
        until("more orders, or the end", LONGEST * 2, || {
            (done.load(Ordering::Relaxed) >= next || is_over()).then_some(())
        });
        if is_over() {
            return (broker, kills);
        }
        let what = random.choice(["worker", "broker", "both"]).unwrap();
        kills.push(what);
        if what != "broker" {
            let worker = broker.worker();
            // It may have ended since.
            let _ = kill(Pid::from_raw(worker.pid as i32), Signal::SIGKILL);
        }
        if what != "worker" {
            broker.kill();
            broker = broker.successor().start();
        }
    }
}

/// Waits until all sides agree; answers with the ledger.
fn settle(
    runtime: &Runtime,
    broker: &Broker,
    sim: &mut Sim,
    sides: &[Side],
) -> Vec<serde_json::Value> {
    let deadline = Instant::now() + SETTLED;
    loop {
        let ledger = ledger_now(sim);
        let listed: Vec<_> = runtime.block_on(async {
            let mut listed = Vec::new();
            for side in sides {
                let client = broker.client(side.name).await;
                listed.push(super::all_of(&client).await);
            }
            listed
        });
        let found = disagreements(&ledger, sides, &listed);
        if found.is_empty() {
            return ledger;
        }
        assert!(
            Instant::now() < deadline,
            "{} disagreements; the first of them:\n{}",
            found.len(),
            found[..found.len().min(12)].join("\n")
        );
    }
}
