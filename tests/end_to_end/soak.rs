//! Two hundred kills, stalls, restarts and adoptions of real processes: nothing leaks.

use std::fs;

use ibouncer_tests::harness::procfs::{
    TcpState, children, is_alive, process, resident_kib, states_of,
};
use ibouncer_tests::harness::wait::{PATIENCE, until, until_true};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{plan, sim};

const CYCLES: u32 = 200;

#[test]
fn two_hundred_cycles_of_kill_stall_restart_and_adoption_leak_nothing() {
    let sim = sim(&[]);
    let settings = ["worker.adoption_grace=40s", "attempts.backoff=[\"10ms\"]"];
    let plan = settings.iter().fold(plan(&sim), |plan, setting| plan.set(setting));
    let mut broker = plan.start();
    broker.wait_ready();
    let descriptors = |pid: u32| fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    let mut adopted = 0;
    let mut replaced = 0;
    let mut first = None;
    let mut brokers = Vec::new();
    for cycle in 0..CYCLES {
        let worker = broker.worker();
        match cycle % 20 {
            // The broker is killed, or lets go: the same worker, with the next one.
            0..=7 => {
                brokers.push(broker.pid());
                if cycle % 2 == 0 {
                    broker.kill();
                } else {
                    assert_eq!(broker.let_go(), Some(0));
                }
                broker = broker.successor().start();
                broker.wait_ready();
                assert_eq!(broker.worker(), worker, "cycle {cycle}");
                adopted += 1;
            }
            // Another build takes over in the same process.
            8..=9 => {
                let answer = broker.cli(&["handover", "--json"]);
                assert_eq!(answer.code, 0, "cycle {cycle}: {answer:?}");
                broker.wait_ready();
                assert_eq!(broker.worker(), worker, "cycle {cycle}");
                adopted += 1;
            }
            // The worker is killed by somebody, or stopped for a moment, or restarted.
            10..=15 => {
                kill(Pid::from_raw(worker.pid as i32), Signal::SIGKILL).unwrap();
                until("another worker", PATIENCE, || {
                    let status = broker.status();
                    let other = status["worker"]["pid"] != worker.pid;
                    (other && status["state"] == "READY").then_some(())
                });
                replaced += 1;
            }
            16..=17 => {
                kill(Pid::from_raw(worker.pid as i32), Signal::SIGSTOP).unwrap();
                kill(Pid::from_raw(worker.pid as i32), Signal::SIGCONT).unwrap();
                broker.wait_ready();
                assert_eq!(broker.worker(), worker, "cycle {cycle}");
            }
            _ => {
                let answer = broker.cli(&[
                    "worker",
                    "restart",
                    "--reason",
                    "soak",
                    "--drop-live-session",
                    "--json",
                ]);
                assert_eq!(answer.code, 0, "cycle {cycle}: {answer:?}");
                until("another worker", PATIENCE, || {
                    let status = broker.status();
                    let other = status["worker"]["pid"] != worker.pid;
                    (other && status["state"] == "READY").then_some(())
                });
                replaced += 1;
            }
        }
        if cycle % 20 == 19 {
            // After each round everything stands as it stood after the first.
            let worker = broker.worker();
            let now = (descriptors(broker.pid()), descriptors(worker.pid));
            let first = *first.get_or_insert(now);
            assert!(now.0 <= first.0 + 2 && now.1 <= first.1, "descriptors {first:?}, {now:?}");
            assert!(children(broker.pid()).len() <= 1);
            assert!(resident_kib(broker.pid()) < 64 * 1024 && resident_kib(worker.pid) < 32 * 1024);
            // The kernel tells its table piece by piece, so that a row can come twice.
            until_true("one socket, and none half closed", PATIENCE, || {
                let states = states_of(sim.port());
                let one = states.get(&TcpState::Established).is_none_or(|open| *open <= 1);
                one && !states.contains_key(&TcpState::CloseWait)
            });
        }
    }
    let accepted = sim.named("accepted").len() as u32;
    assert_eq!(accepted, replaced + 1, "one connection for each worker, none for a broker");
    println!(
        "{CYCLES} cycles: {adopted} adoptions, {replaced} replacements, {accepted} connections"
    );
    let last = broker.worker();
    assert_eq!(broker.terminate(), Some(0));
    until_true("all are gone", PATIENCE, || {
        let dead = |pid: &u32| process(*pid).is_none_or(|one| !is_alive(one));
        brokers.iter().all(dead) && !is_alive(last)
    });
}
