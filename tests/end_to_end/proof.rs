//! What the kernel saw of our processes: who connected to Gateway, and who was signalled.
//!
//! `strace` follows the broker and everything that it starts. Where it is missing, or where
//! nobody may trace, the test says so and is skipped.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use ibouncer_tests::harness::wait::{PATIENCE, until_true};
use ibouncer_tests::harness::{Home, Program};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{binary, sim};

fn may_trace() -> bool {
    let probe = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    probe.is_ok_and(|status| status.success())
}

/// One traced call: who made it, and its text.
struct Call {
    pid: u32,
    text: String,
}

fn calls(trace: &str) -> Vec<Call> {
    trace
        .lines()
        .filter_map(|line| {
            let (pid, text) = line.split_once(' ')?;
            Some(Call { pid: pid.parse().ok()?, text: text.trim().to_owned() })
        })
        .collect()
}

#[test]
fn only_workers_connect_to_gateway_and_only_workers_of_ours_are_signalled() {
    if !may_trace() {
        println!("skipped: strace is missing, or nobody may trace here");
        return;
    }
    let sim = sim(&["--fault", "accept-and-mute:2", "--fault", "split-frames:1"]);
    let home = Home::new(binary());
    let trace = home.path().join("trace");
    // strace itself starts the broker, in the folders of this test.
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-s", "256", "-e"]);
    command.arg("trace=connect,kill,tkill,tgkill,pidfd_send_signal,pidfd_open,execve");
    command.arg("-o").arg(&trace).arg(binary());
    command.args(["serve", "--json", "--gateway", sim.address(), "--handshake-timeout", "700ms"]);
    for setting in [
        "log.format=json",
        "grpc.listen=off",
        "attempts.backoff=[\"50ms\"]",
        "gateway.eyes=local",
        "gateway.startup_grace=0s",
        "worker.adoption_grace=40s",
    ] {
        command.args(["--set", setting]);
    }
    home.settle(&mut command);
    let mut traced = Program::start("strace serve", command);
    let serving = traced.stdout.find("serving event", PATIENCE, |line| {
        let event: Value = serde_json::from_str(line).ok()?;
        (event["event"] == "serving").then_some(event)
    });
    let broker = serving["pid"].as_u64().unwrap() as u32;
    let ready = home.cli(&["wait-ready", "--timeout", "25s"]);
    assert_eq!(ready.code, 0, "{ready:?}");
    // Two kills at a deadline are behind us; one of a READY worker, and an ordered end.
    let restart = ["worker", "restart", "--reason", "proof", "--drop-live-session", "--json"];
    assert_eq!(home.cli(&restart).code, 0);
    until_true("READY again", PATIENCE, || home.cli(&["status"]).code == 0);
    let connections = home.cli(&["connections", "--json"]);
    assert_eq!(connections.code, 0, "{connections:?}");
    // Another broker in the same process takes the worker over, which then hangs.
    assert_eq!(home.cli(&["handover", "--json"]).code, 0);
    // Between the two nobody listens for a moment.
    let status = || {
        let answer = home.cli(&["status", "--json"]).stdout;
        serde_json::from_str::<Value>(&answer).unwrap_or_default()
    };
    until_true("taken over", PATIENCE, || status()["worker"]["adopted"] == true);
    let adopted = status()["worker"]["pid"].as_u64().unwrap() as u32;
    let stopped = nix::unistd::Pid::from_raw(adopted as i32);
    nix::sys::signal::kill(stopped, Signal::SIGSTOP).unwrap();
    until_true("replaced", PATIENCE, || {
        let status = status();
        status["state"] == "READY" && status["worker"]["pid"] != adopted
    });
    check_doctor(&home, sim.address(), sim.port());
    // To our own child's child, which strace follows: an order to end.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(broker as i32), Signal::SIGTERM).unwrap();
    traced.exit(PATIENCE);

    let calls = calls(&std::fs::read_to_string(&trace).unwrap());
    let workers: BTreeSet<u32> = calls
        .iter()
        .filter(|call| call.text.starts_with("execve(") && call.text.contains("__worker"))
        .map(|call| call.pid)
        .collect();
    assert!(workers.len() >= 5, "{} workers", workers.len());
    let port = format!("htons({})", sim.port());
    let dials: Vec<_> = calls
        .iter()
        .filter(|call| call.text.starts_with("connect(") && call.text.contains(&port))
        .collect();
    assert!(dials.len() >= 5, "{} dials", dials.len());
    for dial in &dials {
        assert!(workers.contains(&dial.pid), "{} {}", dial.pid, dial.text);
    }
    let each: BTreeSet<_> = dials.iter().map(|dial| dial.pid).collect();
    assert_eq!(each.len(), dials.len(), "one connect a worker");
    let (mut signals, mut by_handle) = (0, false);
    let mut handles = BTreeSet::new();
    for call in &calls {
        if let Some(rest) = call.text.strip_prefix("kill(") {
            let target: i64 = rest.split(',').next().unwrap().parse().unwrap();
            assert!(
                u32::try_from(target).is_ok_and(|pid| workers.contains(&pid)),
                "{} signals {target}: {}",
                call.pid,
                call.text
            );
            signals += 1;
        }
        // To threads of the own process, and to handles; handles are opened on workers only.
        if let Some(rest) = call.text.strip_prefix("pidfd_open(") {
            let target: u32 = rest.split(',').next().unwrap().parse().unwrap();
            assert!(workers.contains(&target), "{} {}", call.pid, call.text);
            if target == adopted {
                handles.insert(call.text.rsplit("= ").next().unwrap().trim().to_owned());
            }
        }
        if let Some(rest) = call.text.strip_prefix("pidfd_send_signal(") {
            by_handle |= handles.contains(rest.split(',').next().unwrap().trim());
            signals += 1;
        }
        let thread = call.text.strip_prefix("tgkill(").or(call.text.strip_prefix("tkill("));
        assert!(thread.is_none(), "{} {}", call.pid, call.text);
    }
    assert!(signals >= 3, "two workers were killed at their deadline, {signals} signals");
    assert!(by_handle, "the adopted worker was killed through its handle");
}

/// The doctor's passive stage, traced: it looks, and asks the broker.
fn check_doctor(home: &Home, gateway: &str, port: u16) {
    let trace = home.path().join("trace-doctor");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-s", "256", "-e"]);
    command.arg("trace=connect,kill,tkill,tgkill,pidfd_send_signal");
    command.arg("-o").arg(&trace).arg(binary());
    command.args(["doctor", "--gateway", gateway, "--json"]);
    home.settle(&mut command);
    let answer = command.output().unwrap();
    assert!(!answer.stdout.is_empty(), "{answer:?}");
    let port = format!("htons({port})");
    for call in calls(&std::fs::read_to_string(&trace).unwrap()) {
        assert!(call.text.starts_with("connect("), "it signals somebody: {}", call.text);
        assert!(!call.text.contains(&port), "it dials Gateway: {}", call.text);
    }
}
