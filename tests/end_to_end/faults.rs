//! Each fault of a handshake: how it is classed, where it stopped, that the worker is killed at
//! the deadline, that it is gone before the next one exists, and that the next one succeeds.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use ibouncer_tests::harness::procfs::ChildWatch;
use ibouncer_tests::harness::wait::{PATIENCE, lateness_since, until_true};
use ibouncer_tests::harness::{Broker, Sim, Step};
use serde_json::Value;

use super::{plan, sim};

const TIMEOUT: Duration = Duration::from_millis(1_500);

/// A worker is dead this long after its deadline, at the latest.
const KILLED_WITHIN: Duration = Duration::from_millis(200);

/// What a fault of the first connection leads to.
struct Expected {
    outcome: &'static str,
    last_stages: &'static [&'static str],
    /// States of the first epoch.
    path: &'static [&'static str],
    /// By us at the deadline; otherwise Gateway or the worker ended it.
    killed: bool,
}

const TO_BACKOFF: &[&str] = &["CONNECTING", "HANDSHAKING", "BACKOFF"];

/// Runs against a Gateway whose first connection suffers the fault; the second does not.
#[track_caller]
fn check(fault: &str, expected: &Expected) {
    let sim = sim(&["--fault", &format!("{fault}:1")]);
    run(&sim, expected, |_| {});
}

#[track_caller]
fn run(sim: &Sim, expected: &Expected, between: impl FnOnce(&Broker)) {
    let begun = Instant::now();
    let broker = plan(sim)
        .set(&format!("deadlines.total={}ms", TIMEOUT.as_millis()))
        // What the fault itself takes has no part in what comes after it.
        .set(r#"attempts.backoff=["300ms"]"#)
        .start();
    let children = ChildWatch::start(broker.pid());
    let attempt = broker.attempt(1);
    between(&broker);
    broker.wait_step("READY", 2);
    let (seen, most) = children.finish();
    let steps = broker.steps();

    assert_eq!(attempt["outcome"], expected.outcome, "{attempt:#}");
    let last_stage = attempt["last_stage"].as_str().unwrap();
    assert!(expected.last_stages.contains(&last_stage), "{attempt:#}");
    assert_eq!(path_of(&steps, 1), expected.path);
    let end = attempt["end"].as_str().unwrap();
    assert_eq!(end.contains("signal 9, ours"), expected.killed, "{end}");
    if expected.killed {
        let lived = steps[2].at.saturating_sub(steps[0].at);
        let bound = TIMEOUT + KILLED_WITHIN + lateness_since(begun);
        // Two clocks are read for each stamp.
        let rounding = Duration::from_millis(2);
        assert!(lived + rounding >= TIMEOUT, "killed early, after {lived:?}");
        assert!(lived <= bound, "killed after {lived:?}, not within {bound:?}");
    }
    assert!(most <= 1, "{most} workers at a time: {seen:?}");
    check_order(&broker.log(), 1);
}

/// The states of one epoch, in order.
fn path_of(steps: &[Step], epoch: u64) -> Vec<&str> {
    let of_epoch = steps.iter().filter(|step| step.epoch == epoch);
    of_epoch.map(|step| step.to.as_str()).collect()
}

/// A worker is gone before the next one is ordered.
#[track_caller]
fn check_order(log: &[Value], epoch: u64) {
    let place = |what: &str, fits: &dyn Fn(&Value) -> bool| {
        let place = log.iter().position(fits);
        place.unwrap_or_else(|| panic!("{what} is not in the log"))
    };
    let name = format!("epoch-{epoch}");
    let gone = place("the end of the worker", &|line| {
        line["message"] == "worker is gone" && line["epoch"] == name.as_str()
    });
    let next = place("the next attempt", &|line| {
        line["message"] == "session" && line["epoch"] == epoch + 1 && line["to"] == "CONNECTING"
    });
    assert!(gone < next, "a worker was ordered while one was there");
}

macro_rules! faults {
    ($($test:ident: $fault:literal, $outcome:literal, [$($stage:literal),+], $path:expr, $killed:literal;)+) => {
        $(#[test]
        fn $test() {
            check($fault, &Expected {
                outcome: $outcome,
                last_stages: &[$($stage),+],
                path: $path,
                killed: $killed,
            });
        })+
    };
}

faults! {
    a_gateway_that_never_accepts_is_killed_and_replaced:
        "never-accept", "silent", ["HELLO_SENT"], TO_BACKOFF, true;
    a_gateway_that_accepts_and_says_nothing_is_killed_and_replaced:
        "accept-and-mute", "silent", ["HELLO_SENT"], TO_BACKOFF, true;
    a_gateway_that_is_mute_after_its_version_is_killed_and_replaced:
        "mute-after-version", "stalled_start", ["API_STARTED"], TO_BACKOFF, true;
    a_gateway_that_sends_no_next_id_is_killed_and_replaced:
        "no-next-id", "stalled_start", ["ACCOUNTS_RECEIVED"], TO_BACKOFF, true;
    a_gateway_that_sends_no_accounts_is_killed_and_replaced:
        "no-accounts", "stalled_start", ["NEXT_ID_RECEIVED"], TO_BACKOFF, true;
    a_gateway_that_sends_an_empty_account_list_is_killed_and_replaced:
        "empty-accounts", "stalled_start", ["NEXT_ID_RECEIVED"], TO_BACKOFF, true;
    a_gateway_that_closes_at_once_has_rejected_us:
        "close-at-connect", "rejected", ["TCP_CONNECTED", "HELLO_SENT"], TO_BACKOFF, false;
    a_gateway_that_closes_after_its_version_has_rejected_us:
        "close-after-version", "rejected", ["VERSION_RECEIVED", "API_STARTED"], TO_BACKOFF, false;
    a_client_id_in_use_is_waited_for_on_the_same_id:
        "client-id-in-use", "client_id_in_use", ["API_STARTED"],
        &["CONNECTING", "HANDSHAKING", "CLIENT_ID_IN_USE"], false;
    a_frame_longer_than_any_is_poison:
        "oversize-length", "poisoned", ["API_STARTED"], TO_BACKOFF, false;
    garbage_in_place_of_a_version_is_poison:
        "garbage", "poisoned", ["FIRST_BYTE", "HELLO_SENT"], TO_BACKOFF, false;
}

#[test]
fn a_gateway_that_is_busy_with_a_half_dead_stranger_is_killed_until_the_stranger_goes() {
    let sim = sim(&["--fault", "serial-accept"]);
    let stranger = TcpStream::connect(sim.address()).unwrap();
    sim.wait_count("accepted", 1);
    let expected = Expected {
        outcome: "silent",
        last_stages: &["HELLO_SENT"],
        path: TO_BACKOFF,
        killed: true,
    };
    run(&sim, &expected, |_| drop(stranger));
    // The killed worker waited in the kernel's queue; it left a reset there, and no data to act on.
    assert_eq!(sim.close_of(2), "reset");
}

#[test]
fn a_frame_that_is_cut_in_the_middle_ends_the_session_and_the_next_one_works() {
    let sim = sim(&["--fault", "cut-mid-frame:1"]);
    let broker = plan(&sim).start();
    let steps = broker.wait_step("READY", 2);
    assert_eq!(path_of(&steps, 1), ["CONNECTING", "HANDSHAKING", "READY", "BACKOFF"]);
    check_order(&broker.log(), 1);
    // What came whole before the cut was good.
    assert_eq!(broker.attempt(1)["outcome"], "ready");
    let last_end = broker.status()["worker"]["last_end"].to_string();
    assert!(last_end.contains("frame"), "{last_end}");
}

#[track_caller]
fn works_at_the_first_attempt(flags: &[&str]) {
    let sim = sim(flags);
    let broker = plan(&sim).start();
    let status = broker.wait_ready();
    assert_eq!(status["epoch"], 1, "{status:#}");
    let stages: Vec<_> = status["handshake"]["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stamp| stamp["stage"].as_str().unwrap())
        .collect();
    for stage in ["TCP_CONNECTED", "VERSION_RECEIVED", "API_STARTED", "READY"] {
        assert!(stages.contains(&stage), "{stage} is not among {stages:?}");
    }
}

#[test]
fn frames_in_pieces_are_put_together() {
    works_at_the_first_attempt(&["--fault", "split-frames"]);
}

#[test]
fn a_handshake_byte_by_byte_works() {
    works_at_the_first_attempt(&["--fault", "slow-drip", "--drip", "3ms"]);
}

#[test]
fn other_frames_before_the_ids_do_no_harm() {
    works_at_the_first_attempt(&["--fault", "extra-frames-before-ids"]);
}

#[test]
fn after_two_silent_handshakes_the_third_is_ready_by_itself() {
    let sim = sim(&["--fault", "accept-and-mute:2"]);
    let broker = plan(&sim).handshake_timeout("400ms").start();
    let mut watch = broker.watch();
    let status = watch.state("READY", 3);
    let outcomes: Vec<_> = status["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["silent", "silent", "ready"]);
    assert_eq!(status["worker"]["restarts"], 2);
    // The watcher came in the middle, but from then on it is told every step.
    let told = watch.transitions();
    let all: Vec<_> =
        broker.steps().iter().map(|step| format!("{} {}", step.from, step.to)).collect();
    assert!(told.len() >= 3 && all.ends_with(&told), "{told:?} of {all:?}");
}

#[test]
fn three_silences_are_a_wedge_and_a_retry_makes_one_attempt() {
    let sim = sim(&["--fault", "accept-and-mute"]);
    let broker = plan(&sim).handshake_timeout("1s").start();
    broker.wait_step("WEDGED", 3);
    let answer = broker.cli(&["status", "--json"]);
    assert_eq!(answer.code, 4, "{answer:?}");
    let status = answer.json();
    assert_eq!(status["state"], "WEDGED");
    assert!(!status["advice"].as_array().unwrap().is_empty());
    assert!(status["next"]["at"].is_string(), "{status:#}");
    assert_eq!(status["worker"]["pid"], Value::Null);
    assert_eq!(broker.cli(&["wait-ready", "--timeout", "100ms"]).code, 4);

    let answer = broker.cli(&["retry", "--reason", "looked after it", "--json"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let steps = broker.wait_step("WEDGED", 4);
    let dial = steps.iter().find(|step| step.epoch == 4).unwrap();
    assert!(dial.because.contains("looked after it"), "{dial:?}");
    assert_eq!(sim.wait_count("accepted", 4).len(), 4, "one attempt, and no more");
}

#[test]
fn a_gateway_that_is_too_old_is_told_from_a_dead_one_and_held() {
    let sim = sim(&["--fault", "old-server-version"]);
    let broker = plan(&sim).start();
    broker.wait_step("HELD", 1);
    let answer = broker.cli(&["status", "--json"]);
    assert_eq!(answer.code, 4, "{answer:?}");
    let status = answer.json();
    let attempt = broker.attempt(1);
    assert_eq!(attempt["outcome"], "unsupported", "{attempt:#}");
    let reason = status["reason"].as_str().unwrap();
    for part in ["187", "213", "handshake itself worked"] {
        assert!(reason.contains(part), "{part:?} is not in {reason:?}");
    }
    assert_eq!(status["gateway"]["server_version"], 187);
    assert_eq!(broker.cli(&["wait-ready", "--timeout", "100ms"]).code, 4);
}

#[test]
fn nobody_listening_is_an_absent_gateway_and_it_is_found_when_it_comes() {
    // A port that was free a moment ago, and that the simulator takes afterwards.
    let port = {
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        held.local_addr().unwrap().port()
    };
    let address = format!("127.0.0.1:{port}");
    let broker = Broker::plan(super::binary(), &address).start();
    // Eyes see it, and nothing is dialled.
    broker.wait_step("GATEWAY_ABSENT", 0);
    assert_eq!(broker.cli(&["status"]).code, 3);
    let _sim = sim(&["--listen", &address]);
    until_true("READY", PATIENCE, || broker.cli(&["status"]).code == 0);
    assert_eq!(broker.status()["epoch"], 1);
}

#[test]
fn without_eyes_a_closed_port_is_found_by_asking() {
    let port = {
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        held.local_addr().unwrap().port()
    };
    let address = format!("127.0.0.1:{port}");
    let broker = Broker::plan(super::binary(), &address).set("gateway.eyes=none").start();
    broker.wait_step("GATEWAY_ABSENT", 1);
    assert_eq!(broker.attempt(1)["outcome"], "refused");
    let status = broker.status();
    assert_eq!(status["gateway"]["path"], Value::Null);
    assert!(status["unknown"]["gateway.path"].is_string(), "{status:#}");
    let _sim = sim(&["--listen", &address]);
    until_true("READY", PATIENCE, || broker.cli(&["status"]).code == 0);
}
