//! A broker meets a worker of another build: one that it can take over, and one that it cannot.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use ibouncer_tests::harness::procfs::{is_alive, process};
use ibouncer_tests::harness::wait::{PATIENCE, until_true};
use ibouncer_tests::harness::{Home, Program, Sim};
use nix::sys::signal::Signal;

use super::adoption::adopting;
use super::sim;

/// A worker of another build that holds the lock and comes to the link.
fn old_worker(home: &Home, sim: &Sim, version: u32) -> Program {
    let locks = home.locks();
    fs::create_dir_all(&locks).unwrap();
    fs::set_permissions(&locks, fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ibouncer-old-worker"));
    command.arg(locks.join(format!("127.0.0.1_{}_410.worker.lock", sim.port())));
    command.arg(home.runtime().join("link.sock")).args([&version.to_string(), "7"]);
    let program = Program::start("old worker", command);
    program.stdout.find("its lock", PATIENCE, |line| (line == "locked").then_some(()));
    program
}

#[test]
fn a_worker_of_the_build_before_is_taken_over() {
    let sim = sim(&[]);
    let plan = adopting(&sim);
    let mut old = old_worker(plan.home(), &sim, 1);
    let mut broker = plan.start();
    broker.wait_ready();
    let status = broker.status();
    assert_eq!((&status["epoch"], &status["worker"]["adopted"]), (&7.into(), &true.into()));
    assert_eq!(status["worker"]["pid"], old.pid());
    assert_eq!(status["gateway"]["server_version"], 220);
    assert_eq!(sim.named("accepted").len(), 0, "nothing was dialled");
    assert_eq!(broker.terminate(), Some(0));
    assert_eq!(old.exit(PATIENCE).code(), Some(0), "it was told to end, not killed");
}

#[test]
fn a_worker_of_an_unknown_build_is_left_alone_until_it_ends() {
    let sim = sim(&[]);
    let plan = adopting(&sim);
    let mut old = old_worker(plan.home(), &sim, 99);
    let broker = plan.start();
    until_true("the refusal in the events", PATIENCE, || {
        let events = broker.cli(&["events", "--json"]).stdout;
        events.contains("link version 99")
    });
    let status = broker.status();
    assert_eq!(status["state"], "CONNECTING", "{status:#}");
    assert!(is_alive(process(old.pid()).unwrap()));
    assert_eq!(sim.named("accepted").len(), 0, "nothing is dialled beside it");
    old.signal(Signal::SIGTERM);
    old.exit(PATIENCE);
    broker.wait_ready();
    assert_eq!(broker.status()["worker"]["adopted"], false);
}
