//! The faults of the field, replayed: who is silent, who is in the way, when dialling stops, and
//! what ends that without an operator.

use std::process::{Child, Command, Stdio};

use ibouncer_tests::harness::procfs::{TcpState, states_of};
use ibouncer_tests::harness::wait::{PATIENCE, until, until_true};
use ibouncer_tests::harness::{Broker, BrokerPlan, Sim};
use serde_json::Value;

use super::{plan, sim};

/// Another program that connects and then does nothing: half dead.
struct Stranger(Child);

impl Stranger {
    fn connect(sim: &Sim) -> Self {
        let script = format!("exec 3<>/dev/tcp/127.0.0.1/{}; exec sleep 600", sim.port());
        let child = Command::new("bash")
            .args(["-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let stranger = Self(child);
        sim.wait_count("accepted", 1);
        stranger
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn quick(sim: &Sim) -> BrokerPlan {
    plan(sim).handshake_timeout("600ms").set("attempts.slow_probe_local=10m")
}

/// WEDGED after three attempts, each silent after the hello, and not one more.
#[track_caller]
fn wedged(broker: &Broker) -> Value {
    broker.wait_step("WEDGED", 3);
    let status = broker.status();
    let attempts = status["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 3, "{status:#}");
    for attempt in attempts {
        assert_eq!(attempt["outcome"], "silent", "{attempt:#}");
        assert_eq!(attempt["last_stage"], "HELLO_SENT", "{attempt:#}");
    }
    status
}

#[test]
fn one_half_dead_stranger_wedges_gateway_is_named_and_its_end_ends_that() {
    let sim = sim(&["--fault", "serial-accept"]);
    let stranger = Stranger::connect(&sim);
    let broker = quick(&sim).start();
    let status = wedged(&broker);
    let advice = status["advice"][0].as_str().unwrap();
    let pid = stranger.0.id();
    assert!(
        advice.contains(&format!("(pid {pid})")) && advice.contains("end it first"),
        "{advice}"
    );
    assert!(status["reason"].as_str().unwrap().contains("3 silent handshakes"), "{status:#}");
    assert_eq!(sim.named("accepted").len(), 1, "Gateway has accepted nobody but the stranger");
    let connections = broker.cli(&["connections", "--json"]).json();
    let owners = connections["connections"].as_array().unwrap().iter();
    // The port may have been another test's simulator's a minute ago.
    let lives = |one: &&Value| one["role"] == "stranger" && one["state"] == "ESTABLISHED";
    let strangers: Vec<_> = owners.filter(lives).collect();
    assert_eq!(strangers.len(), 1, "{connections:#}");
    assert_eq!(strangers[0]["owner"]["pid"], pid);

    drop(stranger);
    // By itself, with one attempt.
    broker.wait_step("READY", 4);
    let steps = broker.steps();
    let dial = steps.iter().find(|step| step.epoch == 4).unwrap();
    assert_eq!((dial.from.as_str(), dial.to.as_str()), ("WEDGED", "CONNECTING"));
    assert!(dial.because.contains("drained"), "{dial:?}");
    until_true("nothing is left half closed", PATIENCE, || {
        !states_of(sim.port()).contains_key(&TcpState::CloseWait)
    });
}

#[test]
fn a_wedged_gateway_that_is_replaced_is_found_without_an_operator() {
    let first = sim(&["--fault", "accept-and-mute"]);
    let address = first.address().to_owned();
    let broker = quick(&first).start();
    let status = wedged(&broker);
    assert!(status["advice"].to_string().contains("look at its window first"), "{status:#}");
    first.stop();
    let second = sim(&["--listen", &address]);
    until_true("READY", PATIENCE, || broker.cli(&["status"]).code == 0);
    assert_eq!(second.named("accepted").len(), 1, "one attempt");
    // Seen to go and come back, or only to be another one.
    let dial = broker.steps().into_iter().find(|step| step.from == "WEDGED").unwrap();
    assert_eq!((dial.to.as_str(), dial.epoch), ("CONNECTING", 4));
    assert!(dial.because.contains("another process"), "{dial:?}");
    let events = broker.cli(&["events"]).stdout;
    assert!(events.contains("WEDGED"), "{events}");
}

#[test]
fn a_verdict_outlives_the_broker_that_made_it() {
    let sim = sim(&["--fault", "accept-and-mute"]);
    let mut broker = quick(&sim).start();
    wedged(&broker);
    broker.kill();
    let next = broker.successor().start();
    let status = next.wait_status("WEDGED", |status| status["state"] == "WEDGED");
    assert_eq!(status["epoch"], 3, "a restart of the broker buys nothing");
    assert_eq!(status["silence"]["used"], 3, "{status:#}");
    assert_eq!(sim.named("accepted").len(), 3);
    // Killed in the middle of an attempt: that one counts as well.
    drop(next);
    let sim = super::sim(&["--fault", "accept-and-mute"]);
    let mut broker = plan(&sim).handshake_timeout("20s").start();
    for killed in 1..=3 {
        broker.wait_step("HANDSHAKING", killed);
        broker.kill();
        broker = broker.successor().start();
    }
    broker.wait_status("WEDGED", |status| status["state"] == "WEDGED");
    assert_eq!(sim.named("accepted").len(), 3);
}

#[test]
fn a_restart_with_a_silent_login_is_waited_out_and_a_real_wedge_right_after_is_one() {
    let first = sim(&[]);
    let address = first.address().to_owned();
    let broker = quick(&first).set("gateway.startup_grace=40s").start();
    broker.wait_ready();
    // The port is gone, then somebody logs in: silent for five attempts, then good, then wedged.
    first.stop();
    broker.wait_status("the port is gone", |status| status["state"] == "GATEWAY_ABSENT");
    let second = sim(&[
        "--listen",
        &address,
        "--fault",
        "accept-and-mute:5",
        "--fault",
        "split-frames:1",
        "--fault",
        "accept-and-mute",
    ]);
    let ready = until("READY again", PATIENCE, || {
        let steps = broker.steps();
        let ready = steps.iter().filter(|step| step.to == "READY").nth(1)?;
        Some(ready.epoch)
    });
    let status = broker.status();
    let silent = status["attempts"].as_array().unwrap().iter();
    let silent = silent.filter(|attempt| attempt["outcome"] == "silent").count();
    assert_eq!(silent, 5, "{status:#}");
    let steps = broker.steps();
    assert!(steps.iter().all(|step| step.to != "WEDGED"), "{steps:?}");
    assert_eq!(second.named("accepted").len(), 6);
    let answer =
        broker.cli(&["worker", "restart", "--reason", "test", "--drop-live-session", "--json"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    broker.wait_step("WEDGED", ready + 3);
}

#[test]
fn ticks_that_flow_do_not_hide_that_nothing_is_answered() {
    let sim = sim(&["--fault", "ignore-requests:1"]);
    let broker = plan(&sim)
        .set("heartbeat.overdue=400ms")
        .set("heartbeat.answer=400ms")
        .set("heartbeat.misses=3")
        .start();
    broker.wait_ready();
    let quotes = broker.home().spawn(&["quotes", "AAPL", "--json"]);
    let tick = |line: &str| line.contains("\"field\"").then_some(());
    quotes.stdout.find("a tick", PATIENCE, tick);
    // The second line is never answered, while the first one ticks.
    let second = broker.home().spawn(&["quotes", "MSFT", "--json"]);
    broker.wait_step("READY", 2);
    let steps = broker.steps();
    let lost = steps.iter().find(|step| step.to == "BACKOFF").unwrap();
    assert!(lost.because.contains("still sends data"), "{lost:?}");
    second.stdout.find("a tick of the second", PATIENCE, tick);
}

#[test]
fn a_moved_port_is_said() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = ibouncer_gateway_sim::SimConfig::default();
    let gateway = runtime.block_on(ibouncer_gateway_sim::start(config)).unwrap();
    let broker = Broker::plan(super::binary(), &gateway.address().to_string())
        .announce_error("moves its API to another port")
        .start();
    broker.wait_ready();
    let text = "TWS socket port has been reset and this connection is being dropped. \
                Please reconnect on the new port - 4999";
    runtime.block_on(gateway.announce(1300, text));
    runtime.block_on(gateway.shutdown());
    let status = broker.wait_status("it is absent", |status| status["state"] == "GATEWAY_ABSENT");
    assert!(status["advice"][0].as_str().unwrap().contains("4999"), "{status:#}");
}

#[test]
fn a_reserved_client_id_is_used_while_the_main_one_is_taken() {
    let sim = sim(&["--fault", "client-id-in-use:2"]);
    let broker = plan(&sim).set("gateway.alternate_client_id=499").start();
    broker.wait_ready();
    let status = broker.status();
    assert_eq!(status["gateway"]["client_id"], 499, "{status:#}");
    assert_eq!(status["counters"]["ibouncer_session_state{state=\"READY\"}"], 1);
    assert_eq!(status["counters"]["ibouncer_session_state{state=\"WEDGED\"}"], 0);
    let ready = &status["measures"]["ibouncer_handshake_stage_seconds{stage=\"READY\"}"];
    assert!(ready.as_f64().is_some_and(|seconds| seconds > 0.0), "{status:#}");
    let started: Vec<_> = sim
        .named("stage")
        .iter()
        .filter(|event| event["stage"] == "api_started")
        .map(|event| event["client_id"].as_i64().unwrap())
        .collect();
    assert_eq!(started, [410, 410, 499], "the same one first");
}

#[test]
fn a_restart_window_makes_silence_wait_only() {
    let sim = sim(&["--fault", "accept-and-mute:5"]);
    // All day, but for one minute that is not now.
    let broker = quick(&sim).set("gateway.restart_window=00:00-12:00,12:00-00:00").start();
    broker.wait_step("READY", 6);
    let steps = broker.steps();
    assert!(steps.iter().all(|step| step.to != "WEDGED"), "{steps:?}");
}
