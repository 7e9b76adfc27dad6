//! What `serve` and the commands say, exit codes, private files, and the end.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use ibouncer_tests::harness::procfs::{children, is_alive};
use ibouncer_tests::harness::wait::{PATIENCE, until_true};
use ibouncer_tests::harness::{Broker, Home};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{binary, plan, ready, sim};

#[test]
fn serve_says_who_it_is_where_it_listens_and_that_trading_is_off() {
    let sim = sim(&[]);
    let home = Home::new(binary());
    let mut serve = home.spawn(&[
        "serve",
        "--gateway",
        sim.address(),
        "--client-id",
        "77",
        "--set",
        "grpc.listen=127.0.0.1:0",
    ]);
    let last = |line: &str| (line == "trading   off").then_some(());
    serve.stdout.find("last line of the announcement", PATIENCE, last);
    let text = serve.stdout.all().join("\n");
    let socket = home.runtime().join("ibouncer.sock");
    for part in [
        "instance default",
        &format!("{} as client id 77", sim.address()),
        &format!("unix:{}", socket.display()),
        "127.0.0.1:",
        "(with token)",
        &home.runtime().display().to_string(),
        &home.state().display().to_string(),
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    assert_eq!(home.cli(&["wait-ready", "--timeout", "20s"]).code, 0);
    serve.signal(Signal::SIGINT);
    assert_eq!(serve.exit(PATIENCE).code(), Some(0));
}

#[test]
fn status_has_every_key_and_a_cause_for_every_null() {
    let (_sim, broker) = ready();
    let status = broker.status();
    for path in [
        "schema",
        "instance",
        "state",
        "since",
        "reason",
        "next",
        "next/action",
        "next/at",
        "advice",
        "epoch",
        "gateway/address",
        "gateway/server_version",
        "gateway/path",
        "gateway/listener",
        "gateway/accept_queue",
        "gateway/close_wait",
        "worker/pid",
        "worker/epoch",
        "worker/restarts",
        "worker/last_end",
        "broker/version",
        "broker/pid",
        "broker/since",
        "handshake/outcome",
        "handshake/stages/0/stage",
        "handshake/stages/0/at_ms",
        "attempts/0/outcome",
        "accounts/0",
        "mode",
        "trading",
        "clients",
        "lines/used",
        "lines/limit",
        "heartbeat",
        "farms",
        "counters",
        "unknown",
    ] {
        assert!(status.pointer(&format!("/{path}")).is_some(), "{path}: {status:#}");
    }
    assert_eq!(status["schema"], 1);
    assert_eq!(status["state"], "READY");
    assert_eq!(status["epoch"], 1);
    assert_eq!(status["mode"], "paper");
    assert_eq!(status["trading"], "off");
    assert_eq!(status["accounts"][0], "DU***001");
    assert_eq!(status["gateway"]["server_version"], 226);
    assert_eq!(status["broker"]["pid"], broker.pid());
    let worker = status["worker"]["pid"].as_u64().unwrap() as u32;
    let living: Vec<_> = children(broker.pid()).iter().map(|child| child.pid).collect();
    assert_eq!(living, [worker]);
    for (path, cause) in status["unknown"].as_object().unwrap() {
        let pointer = format!("/{}", path.replace('.', "/"));
        assert_eq!(status.pointer(&pointer), Some(&Value::Null), "{path}");
        assert!(!cause.as_str().unwrap().is_empty(), "{path}");
    }
    // A page for people fits a terminal.
    let page = broker.cli(&["status"]);
    assert_eq!(page.code, 0);
    for line in page.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn commands_have_the_exit_codes_that_the_help_lists() {
    // 1: no broker.
    let home = Home::new(binary());
    let answer = home.cli(&["status", "--json"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    let error = answer.error();
    assert_eq!(error["code"], "BROKER_UNREACHABLE");
    assert_eq!(error["retry"], "after");
    assert!(error["next"].as_str().unwrap().contains("ibouncer serve"), "{error:#}");
    assert_eq!(home.cli(&["wait-ready", "--timeout", "100ms"]).code, 1);

    // 2: usage.
    for line in [
        &["status", "--jsno"][..],
        &["quotes", "--json"],
        &["serve", "--set", "gateway.client_id=-1", "--json"],
        &["serve", "--set", "gateway.nonsense=1", "--json"],
        &["serve", "--gateway", "localhost", "--json"],
    ] {
        let answer = home.cli(line);
        assert_eq!(answer.code, 2, "{line:?}: {answer:?}");
        if line.contains(&"--json") {
            assert_eq!(answer.error()["code"], "USAGE", "{line:?}");
        }
    }

    // 3: not ready; a Gateway that is mute, with all the time of the world.
    let sim_mute = sim(&["--fault", "accept-and-mute"]);
    let broker = plan(&sim_mute).start();
    assert_eq!(broker.cli(&["status"]).code, 3);
    assert_eq!(broker.cli(&["wait-ready", "--timeout", "50ms"]).code, 3);
    let answer = broker.cli(&["accounts", "--json"]);
    assert_eq!(answer.code, 3, "{answer:?}");
    assert_eq!(answer.error()["code"], "NOT_READY");
    let retry = broker.cli(&["retry", "--json"]);
    assert_eq!(retry.error()["code"], "NOTHING_TO_RETRY", "{retry:?}");

    // 0: good. 4 is shown where sessions are wedged and held.
    let (_sim, broker) = ready();
    assert_eq!(broker.cli(&["status"]).code, 0);
    assert_eq!(broker.cli(&["--help"]).code, 0);
    let kept = broker.cli(&["worker", "restart", "--reason", "why not", "--json"]);
    assert_eq!(kept.error()["code"], "LIVE_SESSION", "{kept:?}");
    assert_eq!(broker.status()["epoch"], 1, "a live session is kept");
}

#[test]
fn wait_ready_can_stand_before_the_broker_that_it_waits_for() {
    let sim = sim(&[]);
    let home = Home::new(binary());
    let mut waiting = home.spawn(&["wait-ready", "--timeout", "25s"]);
    let remark = |line: &str| line.starts_with("Waiting:").then_some(());
    waiting.stderr.find("a remark that it waits", PATIENCE, remark);
    let flags = ["serve", "--gateway", sim.address(), "--set", "grpc.listen=off"];
    let mut serve = home.spawn(&flags);
    assert_eq!(waiting.exit(PATIENCE).code(), Some(0));
    assert!(waiting.stdout.all().join("\n").contains("READY"));
    serve.signal(Signal::SIGTERM);
    assert_eq!(serve.exit(PATIENCE).code(), Some(0));
}

#[test]
fn accounts_are_masked_unless_they_are_asked_for() {
    let (_sim, broker) = ready();
    let masked = broker.cli(&["accounts", "--json"]).json();
    assert_eq!(masked["accounts"][0]["account"], "DU***001");
    assert_eq!(masked["accounts"][0]["mode"], "paper");
    let full = broker.cli(&["accounts", "--show-accounts"]);
    assert!(full.stdout.contains("DU0000001"), "{full:?}");
}

#[test]
fn every_setting_is_shown_with_where_it_comes_from() {
    let home = Home::new(binary());
    let file = home.path().join("mine.toml");
    fs::write(&file, "[pacing]\nlines = 40\n[gateway]\nclient_id = 5\n").unwrap();
    let mut command = home.command(&["config", "show", "--json", "--gateway", "127.0.0.1:9999"]);
    command.env("IBOUNCER_CONFIG", &file).env("IBOUNCER_GATEWAY__CLIENT_ID", "6");
    let text = ibouncer_tests::harness::peers::run_to_end("config show", command);
    let shown: Value = serde_json::from_str(&text).unwrap();
    for (key, value, source) in [
        ("pacing.lines", Value::from(40), "mine.toml"),
        ("gateway.client_id", Value::from(6), "IBOUNCER_GATEWAY__CLIENT_ID"),
        ("gateway.address", Value::from("127.0.0.1:9999"), "--gateway"),
        ("grpc.listen", Value::from("127.0.0.1:4010"), "default"),
    ] {
        let setting = &shown["settings"][key];
        assert_eq!(setting["value"], value, "{key}: {setting}");
        assert!(setting["source"].as_str().unwrap().contains(source), "{key}: {setting}");
    }
}

#[test]
fn an_unknown_key_in_a_file_is_refused_with_its_line_and_column() {
    let home = Home::new(binary());
    let file = home.path().join("typo.toml");
    fs::write(&file, "[gateway]\naddress = \"127.0.0.1:4002\"\nclientid = 5\n").unwrap();
    let file = file.to_str().unwrap();
    for command in ["check", "show"] {
        let answer = home.cli(&["config", command, "--config", file]);
        assert_eq!(answer.code, 2, "{answer:?}");
        for part in ["line 3", "column 1", "clientid", "client_id", "typo.toml"] {
            assert!(answer.stderr.contains(part), "{part:?}: {}", answer.stderr);
        }
    }
    let answer = home.cli(&["serve", "--config", file]);
    assert_eq!(answer.code, 2, "{answer:?}");
}

#[test]
fn a_second_broker_for_the_same_session_is_refused_and_told_of_the_first() {
    let (sim, broker) = ready();
    // Its own folders, but the same user's locks.
    let other = Home::new(binary());
    let mut command = other.command(&["serve", "--json", "--gateway", sim.address()]);
    command.env("IBOUNCER_LOCK_DIR", broker.home().locks()).args(["--set", "grpc.listen=off"]);
    let mut second = ibouncer_tests::harness::Program::start("second broker", command);
    let status = second.exit(PATIENCE);
    assert!(!status.success());
    let text = second.stderr.all().join("\n");
    for part in [
        &format!("pid {}", broker.pid()),
        "client id 410",
        &broker.home().runtime().display().to_string(),
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert_eq!(broker.cli(&["status"]).code, 0, "the first is not disturbed");
    assert_eq!(sim.wait_count("accepted", 1).len(), 1, "nor was Gateway");

    // Another client id is another session.
    let mut command = other.command(&["serve", "--json", "--gateway", sim.address()]);
    command.env("IBOUNCER_LOCK_DIR", broker.home().locks()).args([
        "--client-id",
        "411",
        "--set",
        "grpc.listen=off",
    ]);
    let mut third = ibouncer_tests::harness::Program::start("third broker", command);
    assert_eq!(other.cli(&["wait-ready", "--timeout", "20s"]).code, 0);
    third.signal(Signal::SIGTERM);
    assert_eq!(third.exit(PATIENCE).code(), Some(0));
}

#[test]
fn everything_that_it_makes_is_private() {
    let sim = sim(&[]);
    let broker = plan(&sim).set("grpc.listen=127.0.0.1:0").start();
    broker.wait_ready();
    let mode = |path: &std::path::Path| {
        let metadata = fs::symlink_metadata(path);
        metadata.unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode()
            & 0o7777
    };
    let home = broker.home();
    for folder in [home.runtime(), home.state(), home.locks(), home.state().join("workers")] {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
    }
    let mut files: Vec<_> = ["ibouncer.sock", "link.sock", "token", "endpoints.json"]
        .iter()
        .map(|name| home.runtime().join(name))
        .collect();
    for folder in [home.locks(), home.state().join("workers")] {
        files.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    }
    assert!(files.len() >= 7, "{files:?}");
    for file in &files {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    // A folder that others can read is refused, not repaired.
    let open = Home::new(binary());
    fs::create_dir(open.runtime()).unwrap();
    fs::set_permissions(open.runtime(), fs::Permissions::from_mode(0o755)).unwrap();
    let answer = open.cli(&["serve", "--gateway", sim.address(), "--client-id", "9"]);
    assert_ne!(answer.code, 0);
    assert!(answer.stderr.contains("not private"), "{answer:?}");
}

#[test]
fn sigterm_closes_the_session_in_order_and_leaves_nothing_behind() {
    let (sim, mut broker) = ready();
    let worker = broker.worker();
    let mut quotes = broker.home().spawn(&["quotes", "AAPL", "--json"]);
    quotes.stdout.find("a tick", PATIENCE, |line| line.contains("\"bid\"").then_some(()));
    assert_eq!(broker.terminate(), Some(0));
    assert_eq!(sim.close_of(1), "fin");
    assert!(!is_alive(worker), "the worker is gone before the broker is");
    let left: Vec<_> = fs::read_dir(broker.home().runtime()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    // Its client is told, and does not hang.
    let status = quotes.exit(Duration::from_secs(5));
    assert_eq!(status.code(), Some(1), "{:?}", quotes.stderr.all());
    let told = quotes.stderr.all().join("\n");
    assert!(told.contains("STOPPING"), "{told}");
    assert_eq!(broker.cli(&["status"]).code, 1);
}

#[test]
fn a_broker_that_ends_in_the_middle_of_a_handshake_leaves_no_worker() {
    let sim = sim(&["--fault", "accept-and-mute"]);
    let mut broker = Broker::plan(binary(), sim.address()).start();
    broker.wait_step("HANDSHAKING", 1);
    let worker = broker.worker();
    assert_eq!(broker.terminate(), Some(0));
    until_true("the worker is gone", Duration::from_secs(2), || !is_alive(worker));
}
