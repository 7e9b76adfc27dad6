//! Two hundred kills, stalls, restarts and adoptions of real processes: nothing leaks.
//!
//! One broker goes through a hundred workers, and then one worker through a hundred brokers, so
//! that what either keeps of each cycle adds up where it is looked for.

use std::fs;

use ibouncer_tests::harness::procfs::{
    Process, TcpState, children, is_alive, process, resident_kib, states_of,
};
use ibouncer_tests::harness::wait::{PATIENCE, until, until_true};
use ibouncer_tests::harness::{Broker, Sim};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{plan, sim};

const CYCLES: u32 = 100;

/// Until here a process may still grow into what it needs: buffers, logs that are kept, lists of
/// the newest attempts.
const GROWN: u32 = 30;

/// What the allocator may keep besides, over seventy cycles: 15 KiB for each.
const SLACK_KIB: u64 = 1024;

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    descriptors: usize,
    resident_kib: u64,
}

impl Held {
    fn by(pid: u32) -> Self {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        Self { descriptors, resident_kib: resident_kib(pid) }
    }

    /// Descriptors of calls that just end are waited for.
    fn check_not_more(pid: u32, than: Self, who: &str, cycles: u32) {
        until_true("no more descriptors than before", PATIENCE, || {
            Self::by(pid).descriptors <= than.descriptors
        });
        let now = Self::by(pid);
        let memory = now.resident_kib <= than.resident_kib + SLACK_KIB;
        assert!(memory, "{who} grew from {than:?} to {now:?} in {cycles} cycles");
    }
}

#[test]
fn two_hundred_cycles_of_kill_stall_restart_and_adoption_leak_nothing() {
    let sim = sim(&[]);
    let settings = ["worker.adoption_grace=40s", "attempts.backoff=[\"10ms\"]"];
    let plan = settings.iter().fold(plan(&sim), |plan, setting| plan.set(setting));
    let broker = plan.start();
    broker.wait_ready();

    let replaced = one_broker_and_its_workers(&broker);
    check_sockets(&sim);
    let (mut broker, gone) = one_worker_and_its_brokers(broker);
    check_sockets(&sim);

    let accepted = sim.named("accepted").len() as u32;
    assert_eq!(accepted, replaced + 1, "one connection for each worker, none for a broker");
    println!("{} cycles, {replaced} replacements, {accepted} connections", 2 * CYCLES);
    let last = broker.worker();
    assert_eq!(broker.terminate(), Some(0));
    until_true("all are gone", PATIENCE, || {
        let dead = |pid: &u32| process(*pid).is_none_or(|one| !is_alive(one));
        gone.iter().all(dead) && !is_alive(last)
    });
}

/// How many workers came.
fn one_broker_and_its_workers(broker: &Broker) -> u32 {
    let mut replaced = 0;
    let mut grown = None;
    for cycle in 0..CYCLES {
        let worker = broker.worker();
        match cycle % 25 {
            // It hangs until the broker has lost patience.
            0 => {
                stop(worker);
                wait_replaced(broker, worker);
                replaced += 1;
            }
            // It hangs for a moment, and goes on.
            1..=4 => {
                stop(worker);
                signal(worker, Signal::SIGCONT);
                broker.wait_ready();
                assert_eq!(broker.worker(), worker, "cycle {cycle}");
            }
            5..=8 => {
                let restart = ["worker", "restart", "--reason", "soak", "--drop-live-session"];
                let answer = broker.cli(&restart);
                assert_eq!(answer.code, 0, "cycle {cycle}: {answer:?}");
                wait_replaced(broker, worker);
                replaced += 1;
            }
            _ => {
                signal(worker, Signal::SIGKILL);
                wait_replaced(broker, worker);
                replaced += 1;
            }
        }
        assert!(children(broker.pid()).len() <= 1, "one worker");
        if cycle + 1 == GROWN {
            grown = Some(Held::by(broker.pid()));
        }
    }
    Held::check_not_more(broker.pid(), grown.unwrap(), "the broker", CYCLES - GROWN);
    replaced
}

/// The last broker, and the pids of those before.
fn one_worker_and_its_brokers(mut broker: Broker) -> (Broker, Vec<u32>) {
    let worker = broker.worker();
    let mut gone = Vec::new();
    let mut grown = None;
    for cycle in 0..CYCLES {
        match cycle % 5 {
            // Another build takes over in the same process.
            0 => {
                let answer = broker.cli(&["handover", "--json"]);
                assert_eq!(answer.code, 0, "cycle {cycle}: {answer:?}");
            }
            // The broker is killed, or lets go.
            way => {
                gone.push(broker.pid());
                if way % 2 == 0 {
                    broker.kill();
                } else {
                    assert_eq!(broker.let_go(), Some(0));
                }
                broker = broker.successor().start();
            }
        }
        broker.wait_ready();
        assert_eq!(broker.worker(), worker, "cycle {cycle}");
        if cycle + 1 == GROWN {
            grown = Some(Held::by(worker.pid));
        }
    }
    Held::check_not_more(worker.pid, grown.unwrap(), "the worker", CYCLES - GROWN);
    // What is handed over with the process must not add up either.
    let before = Held::by(broker.pid());
    for _ in 0..10 {
        assert_eq!(broker.cli(&["handover", "--json"]).code, 0);
        broker.wait_ready();
    }
    Held::check_not_more(broker.pid(), before, "a broker that is handed over", 10);
    (broker, gone)
}

fn signal(worker: Process, signal: Signal) {
    kill(Pid::from_raw(worker.pid as i32), signal).unwrap();
}

/// Stops it, for certain.
fn stop(worker: Process) {
    signal(worker, Signal::SIGSTOP);
    until_true("the worker is stopped", PATIENCE, || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", worker.pid)).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    });
}

fn wait_replaced(broker: &Broker, worker: Process) {
    until("another worker", PATIENCE, || {
        let status = broker.status();
        let other = status["worker"]["pid"] != worker.pid;
        (other && status["state"] == "READY").then_some(())
    });
}

fn check_sockets(sim: &Sim) {
    // The kernel tells its table piece by piece, so that a row can come twice.
    until_true("one socket, and none half closed", PATIENCE, || {
        let states = states_of(sim.port());
        let one = states.get(&TcpState::Established).is_none_or(|open| *open <= 1);
        one && !states.contains_key(&TcpState::CloseWait)
    });
}
