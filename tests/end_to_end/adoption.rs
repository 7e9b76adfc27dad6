//! The session outlives the broker: killed, let go, handed over, reloaded. The same worker, the
//! same number, the same socket, and one connection in Gateway's report.

use std::fs;
use std::path::Path;

use ibouncer_client::api::MarkKind;
use ibouncer_tests::harness::procfs::{Process, is_alive, process};
use ibouncer_tests::harness::wait::{PATIENCE, until, until_true};
use ibouncer_tests::harness::{Broker, BrokerPlan, Sim};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::stream::{Reader, connect};
use super::{plan, sim};

/// A broker whose worker may outlive it, for as long as a test needs.
pub(crate) fn adopting(sim: &Sim) -> BrokerPlan {
    plan(sim).set("worker.adoption_grace=40s")
}

pub(crate) fn ready(sim: &Sim) -> (Broker, Process) {
    let broker = adopting(sim).start();
    broker.wait_ready();
    let worker = broker.worker();
    (broker, worker)
}

/// The next broker has the session of the one before.
#[track_caller]
pub(crate) fn check_same(broker: &Broker, sim: &Sim, worker: Process, epoch: u64) {
    let status = broker.wait_ready();
    let status = if status["state"].is_string() { status } else { broker.status() };
    assert_eq!(status["epoch"], epoch, "{status:#}");
    assert_eq!(broker.worker(), worker, "the same process");
    assert_eq!(broker.status()["worker"]["adopted"], true);
    assert_eq!(sim.named("accepted").len(), 1, "one connection");
    assert_eq!(sim.named("closed").len(), 0);
}

#[track_caller]
pub(crate) fn lock_of(broker: &Broker, sim: &Sim, suffix: &str) -> std::path::PathBuf {
    broker.home().locks().join(format!("127.0.0.1_{}_410.{suffix}", sim.port()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_under_full_load_leaves_the_session_to_the_next_one() {
    let sim = sim(&["--rate", "50000"]);
    let (mut broker, worker) = ready(&sim);
    {
        let client = connect(&broker).await;
        let mut reader = Reader::open(&client).await;
        for symbol in ["AAPL", "MSFT", "SPY"] {
            reader.stock(symbol).await;
        }
        reader.live_tick().await;
        broker.kill();
    }
    assert!(is_alive(worker), "it outlives its broker");
    let next = broker.successor().start();
    check_same(&next, &sim, worker, 1);
    // What the dead one had asked for is taken back, by its number.
    let asked = sim.requests("REQ_MKT_DATA");
    let cancelled = sim.wait_requests("CANCEL_MKT_DATA", 3);
    for request in &asked {
        let same = |cancel: &&Value| cancel["request_id"] == request["request_id"];
        assert_eq!(cancelled.iter().filter(same).count(), 1, "{request}");
    }
    // And the next one's clients get data, under numbers of a block that was never used.
    let client = connect(&next).await;
    let mut reader = Reader::open(&client).await;
    reader.stock("AAPL").await;
    reader.live_tick().await;
    let again = sim.wait_requests("REQ_MKT_DATA", 4);
    let number = |request: &Value| request["request_id"].as_i64().unwrap();
    assert!(number(&again[3]) >= number(&again[0]) + 900_000, "{again:?}");
}

#[test]
fn a_session_goes_from_broker_to_broker_ten_times() {
    let sim = sim(&[]);
    let (mut broker, worker) = ready(&sim);
    for round in 0..10 {
        match round % 2 {
            0 => broker.kill(),
            _ => assert_eq!(broker.let_go(), Some(0)),
        }
        let next = broker.successor().start();
        check_same(&next, &sim, worker, 1);
        broker = next;
    }
    assert_eq!(broker.terminate(), Some(0));
    assert_eq!(sim.close_of(1), "fin", "the last one ends it in order");
    assert!(!is_alive(worker));
}

#[test]
fn another_build_takes_over_and_one_that_cannot_changes_nothing() {
    let sim = sim(&[]);
    let (broker, worker) = ready(&sim);
    let refused = broker.cli(&["handover", "--binary", "/bin/true", "--json"]);
    assert_eq!(refused.error()["code"], "CANNOT_HAND_OVER", "{refused:?}");
    let refused = broker.cli(&["handover", "--binary", "/no/such/file", "--json"]);
    assert_eq!(refused.error()["code"], "CANNOT_HAND_OVER", "{refused:?}");
    assert_eq!(broker.status()["worker"]["adopted"], false);

    let other = broker.home().path().join("another-build");
    fs::copy(super::binary(), &other).unwrap();
    let answer = broker.cli(&["handover", "--binary", other.to_str().unwrap(), "--json"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(answer.json()["handover"]["epoch"], 1, "{answer:?}");
    check_same(&broker, &sim, worker, 1);
    let running = fs::read_link(format!("/proc/{}/exe", broker.pid())).unwrap();
    assert_eq!(running, other, "the same process runs the other file");
    // And back, to the file that stands at the path of the one before by now.
    fs::remove_file(&other).unwrap();
    fs::copy(super::binary(), &other).unwrap();
    let answer = broker.cli(&["handover", "--json"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    check_same(&broker, &sim, worker, 1);
}

#[test]
fn a_configuration_is_read_again_and_the_session_is_not_touched() {
    let sim = sim(&[]);
    let plan = adopting(&sim);
    let file = temporary_file(&sim);
    fs::write(&file, "[pacing]\nlines = 50\n").unwrap();
    let mut broker = plan
        .flag("--config")
        .flag(file.to_str().unwrap())
        .announce_error("the configuration is not good")
        .start();
    broker.wait_ready();
    let worker = broker.worker();
    assert_eq!(broker.status()["lines"]["limit"], 50);
    let said = |broker: &Broker, text: &str| {
        broker.log().iter().any(|line| line["message"].to_string().contains(text))
    };

    fs::write(&file, "[pacing]\nlines = 70\n[grpc]\nstream_buffer = \"1MiB\"\n").unwrap();
    broker.signal(Signal::SIGHUP);
    broker.wait_status("the new limit", |status| status["lines"]["limit"] == 70);
    assert!(said(&broker, "wait for the next start"), "what cannot change is named");

    fs::write(&file, "[pacing]\nlines = 0\n").unwrap();
    broker.signal(Signal::SIGHUP);
    until_true("the refusal", PATIENCE, || said(&broker, "the old one stays"));
    let status = broker.status();
    assert_eq!((&status["lines"]["limit"], &status["epoch"]), (&70.into(), &1.into()));
    assert_eq!(broker.worker(), worker);
    assert_eq!(sim.named("accepted").len(), 1);
    fs::remove_file(&file).unwrap();
}

fn temporary_file(sim: &Sim) -> std::path::PathBuf {
    super::temporary().join(format!("reload-{}.toml", sim.port()))
}

#[tokio::test(flavor = "multi_thread")]
async fn new_handshakes_hang_and_the_live_session_survives_its_brokers() {
    // The first connection works, under full load; every later one is accepted and never answered.
    let sim = sim(&[
        "--rate",
        "50000",
        "--fault",
        "serial-accept",
        "--fault",
        "split-frames:1",
        "--fault",
        "accept-and-mute",
    ]);
    let file = temporary_file(&sim);
    fs::write(&file, "[pacing]\nlines = 50\n").unwrap();
    let plan = adopting(&sim).flag("--config").flag(file.to_str().unwrap());
    let mut broker = plan.start();
    broker.wait_ready();
    let worker = broker.worker();
    let client = connect(&broker).await;
    let mut reader = Reader::open(&client).await;
    for symbol in ["AAPL", "MSFT", "SPY"] {
        reader.stock(symbol).await;
    }
    reader.live_tick().await;
    fs::write(&file, "[pacing]\nlines = 70\n").unwrap();
    broker.signal(Signal::SIGHUP);
    broker.wait_status("the new limit", |status| status["lines"]["limit"] == 70);
    reader.live_tick().await;
    broker.kill();
    drop((reader, client));
    let mut broker = broker.successor().start();
    check_same(&broker, &sim, worker, 1);
    assert_eq!(broker.let_go(), Some(0));
    let broker = broker.successor().start();
    check_same(&broker, &sim, worker, 1);
    let answer = broker.cli(&["handover", "--json"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    check_same(&broker, &sim, worker, 1);
    fs::remove_file(&file).unwrap();
    let answer = broker.cli(&["quotes", "GOOGL", "--for", "2s", "--json"]);
    assert!(answer.stdout.contains("\"field\""), "data flows: {answer:?}");
}

#[test]
fn a_worker_that_was_taken_over_and_is_stopped_is_killed_by_its_handle_and_replaced() {
    let sim = sim(&[]);
    let (mut broker, worker) = ready(&sim);
    broker.kill();
    let next = broker.successor().start();
    check_same(&next, &sim, worker, 1);
    kill(Pid::from_raw(worker.pid as i32), Signal::SIGSTOP).unwrap();
    next.wait_step("READY", 2);
    assert!(!is_alive(worker));
    assert_ne!(next.worker(), worker);
    assert_eq!(sim.close_of(1), "reset");
}

#[test]
fn a_worker_that_is_stopped_before_it_comes_is_waited_for_and_never_replaced() {
    let sim = sim(&[]);
    let (mut broker, worker) = ready(&sim);
    kill(Pid::from_raw(worker.pid as i32), Signal::SIGSTOP).unwrap();
    broker.kill();
    let next = broker.successor().start();
    let status = next.wait_status("it waits", |status| status["state"] == "CONNECTING");
    assert!(status["reason"].to_string().contains("outlived"), "{status:#}");
    assert!(
        status["advice"].to_string().contains("SIGCONT")
            || status["advice"].to_string().contains("-CONT")
    );
    until_true("some looks later", PATIENCE, || next.status()["broker"]["pid"].is_u64());
    assert_eq!(next.status()["epoch"], 1, "no attempt is made");
    kill(Pid::from_raw(worker.pid as i32), Signal::SIGCONT).unwrap();
    check_same(&next, &sim, worker, 1);
}

#[test]
fn when_no_broker_comes_the_session_ends_in_order_after_its_grace() {
    let sim = sim(&[]);
    let mut broker = plan(&sim).set("worker.adoption_grace=700ms").start();
    broker.wait_ready();
    let worker = broker.worker();
    broker.kill();
    assert_eq!(sim.close_of(1), "fin");
    until_true("the worker is gone", PATIENCE, || !is_alive(worker));
    // The next broker dials, with the next number.
    let next = broker.successor().start();
    next.wait_ready();
    assert_eq!(next.status()["epoch"], 2);
}

#[test]
fn a_broker_that_ends_before_the_worker_came_still_ends_the_session() {
    let sim = sim(&[]);
    let (mut broker, worker) = ready(&sim);
    broker.kill();
    let mut next = broker.successor().start();
    assert_eq!(next.terminate(), Some(0));
    until_true("the worker is gone", PATIENCE, || !is_alive(worker));
    assert_eq!(sim.close_of(1), "fin");
}

#[test]
fn a_worker_before_ready_dies_with_its_broker() {
    let sim = sim(&["--fault", "mute-after-version"]);
    let mut broker = adopting(&sim).start();
    broker.wait_step("HANDSHAKING", 1);
    let worker = broker.worker();
    broker.kill();
    until_true("the worker is gone", PATIENCE, || !is_alive(worker));
}

#[test]
fn gateway_can_end_a_session_that_no_broker_holds() {
    let sim = sim(&[]);
    let (mut broker, worker) = ready(&sim);
    broker.kill();
    drop(sim);
    until_true("the worker is gone", PATIENCE, || !is_alive(worker));
    // Nobody holds the lock, so the next broker is not kept waiting.
    let next = broker.successor().start();
    next.wait_status("it looks for Gateway", |status| status["state"] == "GATEWAY_ABSENT");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_breaks_comes_back_and_lines_are_asked_for_again() {
    let sim = sim(&[]);
    let (broker, worker) = ready(&sim);
    let client = connect(&broker).await;
    let mut reader = Reader::open(&client).await;
    reader.stock("AAPL").await;
    reader.live_tick().await;
    cut_links(broker.pid(), &broker.home().runtime().join("link.sock"));
    reader.mark(MarkKind::Stale).await;
    reader.mark(MarkKind::Resumed).await;
    reader.live_tick().await;
    assert_eq!(broker.worker(), worker);
    assert_eq!(broker.status()["epoch"], 1);
    assert_eq!(sim.named("accepted").len(), 1);
}

/// Shuts down the broker's end of the link, from outside: a debugger could not do it better.
fn cut_links(broker: u32, _link: &Path) {
    use std::os::fd::AsRawFd as _;
    let pidfd = rustix::process::pidfd_open(
        rustix::process::Pid::from_raw(broker as i32).unwrap(),
        rustix::process::PidfdFlags::empty(),
    )
    .unwrap();
    let mut cut = 0;
    for descriptor in 3..64 {
        let flags = rustix::process::PidfdGetfdFlags::empty();
        let Ok(copy) = rustix::process::pidfd_getfd(&pidfd, descriptor, flags) else {
            continue;
        };
        let name = fs::read_link(format!("/proc/self/fd/{}", copy.as_raw_fd())).unwrap();
        if !name.to_string_lossy().starts_with("socket:") {
            continue;
        }
        let socket = std::os::unix::net::UnixStream::from(copy);
        let peer =
            nix::sys::socket::getsockopt(&socket, nix::sys::socket::sockopt::PeerCredentials);
        let own = socket.local_addr().ok().and_then(|address| {
            Some(address.as_pathname()?.file_name()?.to_string_lossy().into_owned())
        });
        if own.as_deref() == Some("link.sock") && peer.is_ok() && socket.peer_addr().is_ok() {
            socket.shutdown(std::net::Shutdown::Both).unwrap();
            cut += 1;
        }
    }
    assert_eq!(cut, 1, "one link");
}

#[test]
fn a_second_broker_names_the_first_and_a_hold_outlives_them() {
    let sim = sim(&[]);
    let (mut broker, worker) = ready(&sim);
    let refused = broker.cli(&["session", "hold", "--reason", "maintenance", "--json"]);
    assert_eq!(refused.error()["code"], "LIVE_SESSION", "{refused:?}");
    let held = broker.cli(&[
        "session",
        "hold",
        "--reason",
        "maintenance",
        "--drop-live-session",
        "--json",
    ]);
    assert_eq!(held.code, 0, "{held:?}");
    broker.wait_status("HELD", |status| status["state"] == "HELD");
    assert!(!is_alive(worker));
    assert_eq!(sim.close_of(1), "fin");
    broker.kill();
    let next = broker.successor().start();
    let status = next.wait_status("HELD", |status| status["state"] == "HELD");
    assert_eq!(status["hold"], "maintenance");
    assert_eq!(status["worker"]["pid"], Value::Null);
    assert_eq!(next.cli(&["wait-ready", "--timeout", "1s"]).code, 4);
    let released = next.cli(&["session", "release", "--reason", "done", "--json"]);
    assert_eq!(released.code, 0, "{released:?}");
    next.wait_ready();
    let events = next.cli(&["events"]);
    for text in ["holds the session: maintenance", "released the session: done"] {
        let flat = events.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(text), "{text} in {}", events.stdout);
    }
}

#[test]
fn orphans_leave_nothing_behind() {
    let sim = sim(&[]);
    let (mut broker, worker) = ready(&sim);
    let mut brokers = vec![broker.pid()];
    for _ in 0..3 {
        broker.kill();
        broker = broker.successor().start();
        check_same(&broker, &sim, worker, 1);
        brokers.push(broker.pid());
    }
    let descriptors = |pid: u32| fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let before = descriptors(worker.pid);
    broker.kill();
    let mut broker = broker.successor().start();
    check_same(&broker, &sim, worker, 1);
    assert_eq!(descriptors(worker.pid), before);
    assert_eq!(broker.terminate(), Some(0));
    until("all are gone", PATIENCE, || {
        let gone = brokers.iter().all(|pid| process(*pid).is_none_or(|one| !is_alive(one)));
        (gone && !is_alive(worker)).then_some(())
    });
}
