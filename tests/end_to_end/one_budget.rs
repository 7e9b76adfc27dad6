//! One Gateway, one budget: whoever makes handshakes, under whichever client id, there is one at a
//! time and one account of what they met.

use ibouncer_tests::harness::wait::{PATIENCE, until, until_true};
use ibouncer_tests::harness::{BrokerPlan, Home, Sim};
use serde_json::Value;

use super::{binary, plan, sim};

/// Of one user, whose locks are those of `first`.
fn served_as(sim: &Sim, client_id: i32, first: &Home) -> BrokerPlan {
    plan(sim)
        .beside(first)
        .set("deadlines.version=600ms")
        .set("attempts.slow_probe_local=10m")
        .flag("--client-id")
        .flag(&client_id.to_string())
}

#[track_caller]
fn doctor(home: &Home, sim: &Sim, more: &[&str]) -> (i32, Value) {
    let gateway = sim.address();
    let mut arguments = vec!["doctor", "--gateway", gateway, "--json", "--eyes", "local"];
    arguments.extend(more);
    let answer = home.cli(&arguments);
    (answer.code, answer.json())
}

#[test]
fn six_client_ids_in_turn_meet_three_silences_together_and_a_restart_is_a_restart_for_all() {
    let sim = sim(&["--fault", "accept-and-mute"]);
    let address = sim.address().to_owned();
    let user = Home::new(binary());
    for (index, client_id) in [1, 100, 500, 999, 1234, 9999].into_iter().enumerate() {
        let mut broker = served_as(&sim, client_id, &user).start();
        let status = broker.wait_status("WEDGED", |status| status["state"] == "WEDGED");
        assert_eq!(status["silence"]["used"], 3, "{status:#}");
        let own = status["attempts"].as_array().unwrap().len();
        assert_eq!(own, if index == 0 { 3 } else { 0 }, "client id {client_id}: {status:#}");
        broker.terminate();
    }
    let (code, value) = doctor(&user, &sim, &["--active"]);
    assert_eq!((code, value["refusal"]["code"].as_str()), (4, Some("wedged")), "{value:#}");
    assert_eq!(sim.named("accepted").len(), 3);
    // Another process listens, and what one that is gone has met is no verdict on it.
    sim.stop();
    let second = super::sim(&["--listen", &address]);
    let (code, value) = doctor(&user, &second, &[]);
    assert_eq!((code, value["verdict"].as_str()), (3, Some("LISTENING")), "{value:#}");
    let (code, value) = doctor(&user, &second, &["--active"]);
    assert_eq!((code, value["verdict"].as_str()), (0, Some("HEALTHY")), "{value:#}");
    assert_eq!(value["budget"]["silent_in_row"], 0);
}

#[test]
fn while_one_makes_a_handshake_the_other_waits_names_it_and_learns_what_it_met() {
    let sim = sim(&["--fault", "accept-and-mute"]);
    let user = Home::new(binary());
    let patient = ["deadlines.version=60s", "deadlines.total=60s"];
    let mut first = served_as(&sim, 410, &user).set(patient[0]).set(patient[1]).start();
    first.wait_step("HANDSHAKING", 1);
    sim.wait_count("accepted", 1);
    let second = served_as(&sim, 500, &user).start();
    let names = |status: &Value, pid: u32| {
        let reason = status["reason"].as_str().unwrap_or_default();
        reason.contains("under way") && reason.contains(&format!("pid {pid}"))
    };
    let status = second.wait_status("it waits", |status| names(status, first.pid()));
    assert_eq!(status["state"], "BACKOFF", "{status:#}");
    assert!(status["next"]["because"].as_str().unwrap().contains("one handshake at a time"));
    assert!(status["next"]["at"].is_string(), "{status:#}");
    assert_eq!(sim.named("accepted").len(), 1);
    // The kernel takes the lock from a broker that is killed, and its attempt was one.
    first.kill();
    second.wait_step("WEDGED", 2);
    let status = second.status();
    assert_eq!((&status["silence"]["used"], &status["epoch"]), (&3.into(), &2.into()));
    assert_eq!(sim.named("accepted").len(), 3);
}

#[test]
fn a_broker_waits_for_the_doctor_whatever_its_client_id() {
    let sim = sim(&["--fault", "accept-and-mute"]);
    let user = Home::new(binary());
    let gateway = sim.address();
    let arguments =
        ["doctor", "--gateway", gateway, "--active", "--timeout", "60s", "--eyes", "none"];
    let mut examination = user.spawn(&arguments);
    sim.wait_count("accepted", 1);
    let broker = served_as(&sim, 500, &user).start();
    broker.wait_status("it waits", |status| {
        status["reason"].as_str().is_some_and(|reason| reason.contains("ibouncer doctor, pid"))
    });
    assert_eq!(sim.named("accepted").len(), 1);
    examination.signal(nix::sys::signal::Signal::SIGKILL);
    examination.exit(PATIENCE);
    broker.wait_step("WEDGED", 2);
    assert_eq!(sim.named("accepted").len(), 3);
}

#[test]
fn two_client_ids_are_ready_side_by_side() {
    let sim = sim(&[]);
    let user = Home::new(binary());
    let one = served_as(&sim, 410, &user).set("deadlines.version=20s").start();
    let two = served_as(&sim, 500, &user).set("deadlines.version=20s").start();
    one.wait_ready();
    two.wait_ready();
    assert_eq!(one.cli(&["status"]).code, 0);
    assert_eq!(sim.named("accepted").len(), 2);
}

#[test]
fn an_answer_to_one_client_id_ends_the_verdict_of_the_other() {
    let sim = sim(&["--fault", "accept-and-mute:3"]);
    let user = Home::new(binary());
    let one = served_as(&sim, 410, &user).start();
    one.wait_step("WEDGED", 3);
    let two = served_as(&sim, 500, &user).set("deadlines.version=20s").start();
    two.wait_status("WEDGED", |status| status["state"] == "WEDGED");
    assert_eq!(two.cli(&["retry", "--reason", "the dialog is gone"]).code, 0);
    two.wait_ready();
    until_true("READY by itself", PATIENCE, || one.cli(&["status"]).code == 0);
    let dial = until("its attempt", PATIENCE, || {
        one.steps().into_iter().find(|step| step.from == "WEDGED")
    });
    assert!(dial.because.contains("somebody else"), "{dial:?}");
}

#[test]
fn a_young_gateway_gets_no_more_of_the_doctors_handshakes_than_another() {
    let sim = sim(&["--fault", "accept-and-mute"]);
    let user = Home::new(binary());
    let quick = ["--active", "--timeout", "300ms"];
    for attempt in 1..=3 {
        let (_, value) = doctor(&user, &sim, &quick);
        assert_eq!(value["refusal"], Value::Null, "{value:#}");
        // It may be starting: that is no verdict.
        assert_eq!(value["budget"]["silent_in_row"], 0, "{value:#}");
        assert_eq!(value["budget"]["excused"], attempt, "{value:#}");
        assert_eq!(value["verdict"], "SILENT_AFTER_TCP", "{value:#}");
    }
    for _ in 0..2 {
        let (code, value) = doctor(&user, &sim, &quick);
        assert_eq!(value["refusal"]["code"], "budget_used_up", "{value:#}");
        assert_eq!(code, 3, "{value:#}");
    }
    assert_eq!(sim.named("accepted").len(), 3);
    let forced = ["--override", "--reason", "its window says that it is ready"];
    let (_, value) = doctor(&user, &sim, &[&quick[..], &forced].concat());
    assert_eq!(value["handshakes"].as_array().unwrap().len(), 1, "{value:#}");
    assert_eq!(sim.named("accepted").len(), 4);
}
