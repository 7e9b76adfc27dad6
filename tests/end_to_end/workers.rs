//! Workers that are stopped, killed, or never speak, and brokers that are killed: all are
//! noticed, streams go on, and nothing is left over.

use std::fs::{self, File};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use ibouncer_tests::harness::procfs::{ChildWatch, Process, children, is_alive};
use ibouncer_tests::harness::wait::{PATIENCE, until_true};
use ibouncer_tests::harness::{Broker, Program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::{plan, ready, sim};

fn signal(worker: Process, signal: Signal) {
    assert!(is_alive(worker));
    kill(Pid::from_raw(worker.pid as i32), signal).unwrap();
}

/// A `quotes` process that has ticks, and how many lines it had written by then.
#[track_caller]
fn quotes(broker: &Broker) -> (Program, usize) {
    let quotes = broker.home().spawn(&["quotes", "AAPL", "--json"]);
    let (_, seen) = quotes.stdout.find_from(0, "a tick", PATIENCE, tick);
    (quotes, seen)
}

fn tick(line: &str) -> Option<()> {
    let line: Value = serde_json::from_str(line).ok()?;
    (line["field"].is_string() && line["replayed"] == false).then_some(())
}

fn mark(name: &'static str) -> impl FnMut(&str) -> Option<()> {
    move |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["mark"] == name).then_some(())
    }
}

/// STALE, RESUMED, and live ticks, without a word from the client.
#[track_caller]
fn check_resumes(quotes: &Program, seen: usize) {
    let (_, seen) = quotes.stdout.find_from(seen, "STALE", PATIENCE, mark("STALE"));
    let (_, seen) = quotes.stdout.find_from(seen, "RESUMED", PATIENCE, mark("RESUMED"));
    quotes.stdout.find_from(seen, "a tick after RESUMED", PATIENCE, tick);
}

#[test]
fn a_stopped_worker_is_found_by_its_silence_killed_and_replaced() {
    let (sim, broker) = ready();
    let (quotes, seen) = quotes(&broker);
    let watch = ChildWatch::start(broker.pid());
    let worker = broker.worker();
    signal(worker, Signal::SIGSTOP);
    check_resumes(&quotes, seen);
    let (seen, most) = watch.finish();
    assert_eq!((seen.len(), most), (2, 1), "{seen:?}");
    assert!(!is_alive(worker));
    assert_eq!(sim.close_of(1), "reset");
    let last_end = broker.status()["worker"]["last_end"].to_string();
    assert!(last_end.contains("answered no ping"), "{last_end}");
}

#[test]
fn a_killed_worker_is_replaced_and_streams_go_on() {
    let (_sim, broker) = ready();
    let (quotes, seen) = quotes(&broker);
    let watch = ChildWatch::start(broker.pid());
    let worker = broker.worker();
    signal(worker, Signal::SIGKILL);
    check_resumes(&quotes, seen);
    let (seen, most) = watch.finish();
    assert_eq!((seen.len(), most), (2, 1), "{seen:?}");
    let last_end = broker.status()["worker"]["last_end"].to_string();
    assert!(last_end.contains("signal 9, not ours"), "{last_end}");
}

#[test]
fn a_worker_that_exits_at_once_is_a_fault_of_ours_and_never_wedges() {
    let (sim, broker) = ready();
    // Whoever holds this lock is a worker as far as every other worker is concerned.
    let name = format!("127.0.0.1_{}_410.worker.lock", sim.port());
    let lock = File::open(broker.home().locks().join(name)).unwrap();
    let worker = broker.worker();
    signal(worker, Signal::SIGSTOP);
    assert!(lock.try_lock().is_err(), "the worker holds it");
    signal(worker, Signal::SIGKILL);
    until_true("the lock is taken by the test", PATIENCE, || lock.try_lock().is_ok());
    broker.wait_step("BACKOFF", 6);
    let status = broker.status();
    let faults = status["attempts"].as_array().unwrap().iter();
    let faults = faults.filter(|attempt| attempt["outcome"] == "worker_fault");
    assert!(faults.count() >= 4, "{status:#}");
    assert!(broker.steps().iter().all(|step| step.to != "WEDGED"));
    let ends = broker.log();
    let taken = ends.iter().any(|line| line["end"].to_string().contains("lock"));
    assert!(taken, "the end says why");
    drop(lock);
    broker.wait_ready();
    // Gateway saw only the workers that had the lock.
    assert_eq!(sim.wait_count("accepted", 2).len(), 2);
}

#[test]
fn a_worker_that_never_says_hello_is_killed_at_its_deadline() {
    let sim = sim(&[]);
    let broker = plan(&sim).set("deadlines.linked=500ms").start();
    broker.wait_ready();
    // The next worker finds a listener of the test in the place of the link.
    let link = broker.home().runtime().join("link.sock");
    let aside = broker.home().runtime().join("aside.sock");
    fs::rename(&link, &aside).unwrap();
    let impostor = UnixListener::bind(&link).unwrap();
    signal(broker.worker(), Signal::SIGKILL);
    let attempt = broker.attempt(2);
    assert_eq!(attempt["outcome"], "worker_fault", "{attempt:#}");
    assert_eq!(attempt["last_stage"], "SPAWNED", "{attempt:#}");
    assert!(attempt["end"].to_string().contains("signal 9, ours"), "{attempt:#}");
    fs::rename(&aside, &link).unwrap();
    drop(impostor);
    broker.wait_ready();
    assert_eq!(sim.wait_count("accepted", 2).len(), 2, "without Hello no connection was made");
}

/// Kills the broker as the machine would, and waits for its worker's end.
#[track_caller]
fn check_no_orphan(mut broker: Broker) {
    let worker = broker.worker();
    broker.kill();
    until_true("no orphan is left", Duration::from_secs(2), || !is_alive(worker));
}

#[test]
fn a_broker_that_is_killed_before_ready_leaves_no_orphan() {
    let sim = sim(&["--fault", "accept-and-mute"]);
    let broker = plan(&sim).start();
    broker.wait_step("HANDSHAKING", 1);
    sim.wait_count("accepted", 1);
    check_no_orphan(broker);
}

#[test]
fn a_broker_that_is_killed_when_ready_leaves_no_orphan_and_gateway_sees_a_reset() {
    let (sim, broker) = ready();
    check_no_orphan(broker);
    assert_eq!(sim.close_of(1), "reset");
}

#[test]
fn a_broker_that_is_killed_can_be_started_again_in_the_same_place() {
    let (sim, mut broker) = ready();
    let worker = broker.worker();
    broker.kill();
    let mut arguments = vec!["serve", "--json", "--set", "log.format=json"];
    arguments.extend(["--set", "grpc.listen=off", "--gateway", sim.address()]);
    let mut second = broker.home().spawn(&arguments);
    assert_eq!(broker.cli(&["wait-ready", "--timeout", "20s"]).code, 0);
    assert!(!is_alive(worker));
    assert_eq!(children(second.pid()).len(), 1);
    second.signal(Signal::SIGTERM);
    assert_eq!(second.exit(PATIENCE).code(), Some(0));
}

#[test]
fn a_session_that_goes_mute_is_found_by_the_heartbeat() {
    let sim = sim(&["--fault", "mute-after-ready:1"]);
    let broker = plan(&sim)
        .set("heartbeat.idle=200ms")
        .set("heartbeat.answer=200ms")
        .set("heartbeat.misses=2")
        .start();
    broker.wait_step("READY", 1);
    let steps = broker.wait_step("READY", 2);
    let lost = steps.iter().find(|step| step.to == "BACKOFF").unwrap();
    assert_eq!(lost.from, "READY", "{lost:?}");
    assert_eq!(sim.close_of(1), "reset");
}

#[test]
fn a_gateway_that_is_restarted_is_found_again_and_streams_go_on() {
    let first = sim(&[]);
    let address = first.address().to_owned();
    let broker = plan(&first).start();
    broker.wait_ready();
    let (quotes, seen) = quotes(&broker);
    first.stop();
    // Its socket may close before its listener: then one attempt is refused first.
    broker.wait_state("GATEWAY_ABSENT");
    let second = sim(&["--listen", &address]);
    check_resumes(&quotes, seen);
    assert_eq!(second.wait_requests("REQ_MKT_DATA", 1).len(), 1);
    let steps = broker.steps();
    assert!(steps.iter().all(|step| step.to != "WEDGED"), "{steps:?}");
}
