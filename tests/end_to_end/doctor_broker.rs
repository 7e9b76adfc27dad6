//! The doctor's verdict where a broker runs and makes the attempts: for every fault of the
//! simulator, and for what else can stand behind the port. State and newest attempt decide.

use std::time::Instant;

use ibouncer_gateway_sim::Fault;
use ibouncer_tests::harness::wait::PATIENCE;
use ibouncer_tests::harness::{Broker, BrokerPlan, Sim};
use serde_json::Value;

use super::doctor::full_backlog;
use super::{binary, plan, sim};

/// So many brokers at a time.
const CROWD: usize = 5;

#[track_caller]
fn asked(broker: &Broker, more: &[&str]) -> (i32, Value) {
    let answer = broker.cli(&[&["doctor", "--json"], more].concat());
    (answer.code, answer.json())
}

/// Waits until the doctor comes to this verdict; answers with what it said then.
#[track_caller]
fn wait_verdict(broker: &Broker, verdict: &str, more: &[&str]) -> (i32, Value) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (code, value) = asked(broker, more);
        if value["verdict"] == verdict {
            return (code, value);
        }
        assert!(Instant::now() < deadline, "still not {verdict}: {value:#}");
    }
}

/// Verdict and exit code for a fault: a new one does not compile until somebody says them.
fn expected(fault: Fault) -> (&'static str, i32) {
    match fault {
        Fault::NeverAccept | Fault::AcceptAndMute => ("WEDGED", 4),
        Fault::MuteAfterVersion => ("SILENT_AFTER_VERSION", 3),
        Fault::NoNextId => ("NO_NEXT_ID", 3),
        // The broker's stages do not tell an empty list from none.
        Fault::NoAccounts | Fault::EmptyAccounts => ("NO_ACCOUNTS", 3),
        Fault::CloseAtConnect => ("CLOSED_AT_CONNECT", 3),
        Fault::CloseAfterVersion => ("CLOSED_AFTER_VERSION", 3),
        Fault::ClientIdInUse => ("CLIENT_ID_IN_USE", 3),
        Fault::MuteAfterReady => ("MUTE_AFTER_READY", 3),
        // How far into a frame is in the evidence.
        Fault::CutMidFrame => ("CLOSED_AFTER_READY", 3),
        Fault::OversizeLength => ("OVERSIZE_FRAME", 3),
        Fault::Garbage => ("NOT_TWS", 3),
        Fault::OldServerVersion => ("OLD_GATEWAY", 3),
        Fault::SerialAccept
        | Fault::IgnoreRequests
        | Fault::LeakCloseWait
        | Fault::SplitFrames
        | Fault::SlowDrip
        | Fault::ExtraFramesBeforeIds => ("SESSION_READY", 0),
    }
}

#[test]
fn every_fault_of_the_simulator_has_its_verdict_while_a_broker_runs() {
    for crowd in Fault::ALL.chunks(CROWD) {
        std::thread::scope(|scope| {
            for fault in crowd {
                scope.spawn(|| check(*fault));
            }
        });
    }
}

fn check(fault: Fault) {
    let (verdict, exit) = expected(fault);
    let sim = sim(&["--fault", fault.name()]);
    let broker = match verdict {
        "WEDGED" => plan(&sim).handshake_timeout("700ms"),
        // What comes after the first attempt shall not be there before the doctor.
        _ => patient(&sim),
    };
    let broker = match fault {
        Fault::MuteAfterReady => broker
            .set("heartbeat.idle=200ms")
            .set("heartbeat.answer=200ms")
            .set("heartbeat.misses=1"),
        Fault::MuteAfterVersion | Fault::NoNextId | Fault::NoAccounts | Fault::EmptyAccounts => {
            broker.handshake_timeout("1500ms")
        }
        _ => broker,
    };
    let broker = broker.start();
    let (code, value) = wait_verdict(&broker, verdict, &["--eyes", "local"]);
    assert_eq!(code, exit, "{fault}: {value:#}");
    assert!(value["handshakes"].as_array().unwrap().is_empty(), "{fault}: {value:#}");
    assert!(value["broker"]["state"].is_string(), "{fault}: {value:#}");
    if fault == Fault::CutMidFrame {
        assert!(value["evidence"].to_string().contains("bytes into a frame"), "{value:#}");
    }
    let good = verdict == "SESSION_READY";
    assert_eq!(value["next_steps"].as_array().unwrap().is_empty(), good, "{fault}: {value:#}");
}

/// A broker that waits long after a failure.
fn patient(sim: &Sim) -> BrokerPlan {
    plan(sim).set(r#"attempts.backoff=["60s"]"#)
}

#[test]
fn a_relay_with_nothing_behind_it_is_named_while_a_broker_runs() {
    let sim = sim(&["--fault", "close-at-connect"]);
    let broker = patient(&sim).set("gateway.eyes=none").start();
    let attempt = broker.attempt(1);
    assert_eq!(attempt["outcome"], "absent_or_rejected", "{attempt:#}");
    wait_verdict(&broker, "RELAY_WITHOUT_GATEWAY", &["--eyes", "relayed"]);
    wait_verdict(&broker, "CLOSED_AT_CONNECT", &["--eyes", "none"]);
}

#[test]
fn a_full_backlog_is_a_stuck_queue_while_a_broker_runs() {
    let (_listener, address, _clients) = full_backlog();
    let broker = Broker::plan(binary(), &address.to_string())
        .set("gateway.eyes=none")
        .handshake_timeout("700ms")
        .start();
    let attempt = broker.attempt(1);
    assert_eq!(attempt["outcome"], "unreachable", "{attempt:#}");
    let (code, _) = wait_verdict(&broker, "ACCEPT_QUEUE_STUCK", &["--eyes", "none"]);
    assert_eq!(code, 4);
}

#[test]
fn a_session_that_gateway_closed_is_not_called_an_attempt() {
    let mut sim = sim(&["--control"]);
    let broker = patient(&sim).start();
    broker.wait_ready();
    assert_eq!(asked(&broker, &["--eyes", "local"]).1["verdict"], "SESSION_READY");
    sim.happen("restart");
    let (code, value) = wait_verdict(&broker, "CLOSED_AFTER_READY", &["--eyes", "local"]);
    assert_eq!((code, value["broker"]["attempt"]["session_end"].as_str()), (3, Some("closed")));
}

#[test]
fn a_hold_is_ended_by_the_step_that_the_doctor_names_and_by_no_retry() {
    let sim = sim(&[]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let hold = ["session", "hold", "--reason", "payday", "--drop-live-session"];
    assert_eq!(broker.cli(&hold).code, 0);
    let (code, value) = wait_verdict(&broker, "HELD", &["--eyes", "local", "--active"]);
    assert_eq!((code, value["broker"]["hold"].as_str()), (4, Some("payday")), "{value:#}");
    let steps = value["next_steps"].to_string();
    assert!(steps.contains("ibouncer session release") && !steps.contains("retry"), "{steps}");
    assert_ne!(broker.cli(&["retry"]).code, 0, "a hold refuses it");
    assert_eq!(broker.cli(&["session", "release"]).code, 0);
    broker.wait_ready();
}

#[test]
fn a_wedged_gateways_window_comes_before_a_retry_also_when_a_handshake_was_asked_for() {
    let sim = sim(&["--fault", "accept-and-mute"]);
    let broker = plan(&sim).handshake_timeout("500ms").start();
    let (_, value) = wait_verdict(&broker, "WEDGED", &["--eyes", "local", "--active"]);
    let steps: Vec<_> = value["next_steps"].as_array().unwrap().iter().collect();
    let place = |what: &str| steps.iter().position(|step| step.as_str().unwrap().contains(what));
    assert!(place("Gateway's window").unwrap() < place("ibouncer retry").unwrap(), "{value:#}");
}
