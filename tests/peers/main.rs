//! Peers: real third-party clients at pinned versions.
//!
//! - The official Python client against the simulator directly, reading, trading, and meeting its
//!   limits and misfortunes: so the simulator tells the truth.
//! - The official client's own message descriptors against our schema.
//! - The Python SDK: its own tests and checks, its committed stubs, its examples, and each of its
//!   calls that read against a real broker.
//! - ib_async beside IBouncer, against the same mute listener.
//! - A Node client that is made from the exported schema and nothing else of ours.
//!
//! Each needs an index of packages once; what was installed is kept. Without the interpreter a
//! test is skipped and says so, except with `CI=true`.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests; a test that cannot go on says where it stopped"
)]

mod limits;
mod orders;
mod side_by_side;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ibouncer_proto::tws::messages::Key;
use ibouncer_tests::harness::wait::PATIENCE;
use ibouncer_tests::harness::{Broker, Program, READS, Sim, peers};
use serde_json::Value;

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ibouncer-under-test"))
}

fn temporary() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

fn scripts() -> PathBuf {
    peers::workspace().join("tests/peers")
}

/// A Python that leaves nothing in the source tree.
fn python(interpreter: &Path) -> Command {
    let mut command = Command::new(interpreter);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn ready() -> (Sim, Broker) {
    let sim = Sim::start(binary(), &[]);
    let broker = Broker::plan(binary(), sim.address()).start();
    broker.wait_ready();
    (sim, broker)
}

#[test]
fn the_official_client_is_served_by_the_simulator_as_by_a_gateway() {
    let Some(interpreter) = peers::official_python(temporary()) else {
        return peers::skip("python3");
    };
    let sim = Sim::start(binary(), &["--accounts", "DU0000001"]);
    let mut command = python(&interpreter);
    command.arg(scripts().join("ibapi_direct.py"));
    command.args(["127.0.0.1", &sim.port().to_string(), "--deadline", "20"]);
    let mut program = Program::start("ibapi_direct.py", command);
    let status = program.exit(Duration::from_secs(120));
    let text = program.stdout.all().join("\n");
    assert!(status.success(), "{text}\n{}", program.stderr.all().join("\n"));
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["ok"], true, "{report:#}");
    assert_eq!(report["accounts"], "DU0000001");
    assert_eq!(report["server_version"], 226, "the newest that both sides know");
    // The simulator's own view agrees.
    assert!(sim.requests("REQ_MKT_DATA").len() >= 5);
    assert_eq!(sim.close_of(2), "refused", "the second one of the same client id");
}

/// Messages that change something, or that only a TWS with windows answers.
const NO_READS: &[&str] = &[
    "REPLACE_FA",
    "REQ_GLOBAL_CANCEL",
    "UPDATE_CONFIG",
    "VERIFY_REQUEST",
    "VERIFY_MESSAGE",
    "QUERY_DISPLAY_GROUPS",
    "SUBSCRIBE_TO_GROUP_EVENTS",
    "UPDATE_DISPLAY_GROUP",
    "UNSUBSCRIBE_FROM_GROUP_EVENTS",
    "START_API",
];

#[test]
fn ibapi_gets_an_answer_to_every_read_request_from_the_simulator() {
    let Some(interpreter) = peers::official_python(temporary()) else {
        return peers::skip("python3");
    };
    let flags = ["--accounts", "DU0000001,DU0000002", "--bar-interval", "300ms"];
    let sim = Sim::start(binary(), &flags);
    let mut command = python(&interpreter);
    command.arg(scripts().join("ibapi_reads"));
    command.args(["127.0.0.1", &sim.port().to_string(), "--deadline", "20"]);
    let mut program = Program::start("ibapi_reads", command);
    let status = program.exit(Duration::from_secs(180));
    let text = program.stdout.all().join("\n");
    assert!(status.success(), "{text}\n{}", program.stderr.all().join("\n"));
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["ok"], true, "{report:#}");
    for row in ibouncer_proto::tws::messages::all_outgoing() {
        let read = row.key != Key::Order && row.body.is_some() && !NO_READS.contains(&row.name);
        assert!(!read || !sim.requests(row.name).is_empty(), "{} was not asked", row.name);
    }
    let bars = sim.requests("REQ_HISTORICAL_DATA");
    assert_eq!(bars[0]["symbol"], "AAPL");
    assert_eq!(bars[0]["bar_size"], "5 secs");
    let limits: Vec<_> =
        sim.named("limit").iter().map(|event| event["limit"].to_string()).collect();
    let expected = [
        "\"historical_identical\"",
        "\"market_depth\"",
        "\"tick_by_tick_pause\"",
        "\"account_summaries\"",
    ];
    assert_eq!(limits, expected);
    let stopped = sim.stop();
    assert_eq!(stopped["output_dropped"], 0, "{stopped}");
    assert_eq!(stopped["limits"]["market_depth"], 1, "{stopped}");
}

#[test]
fn our_schema_of_the_tws_messages_is_that_of_the_official_client() {
    let Some(interpreter) = peers::official_python(temporary()) else {
        return peers::skip("python3");
    };
    let folder = tempfile::tempdir().unwrap();
    let descriptors = folder.path().join("ours.bin");
    std::fs::write(&descriptors, ibouncer_proto::FILE_DESCRIPTOR_SET).unwrap();
    let mut command = python(&interpreter);
    command.arg(scripts().join("compare_schema.py")).arg(&descriptors);
    let text = peers::run_to_end("compare_schema.py", command);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["messages"], 200, "{report:#}");
    assert_eq!(report["fields"], 912, "{report:#}");
}

#[test]
fn the_python_sdk_passes_its_own_tests() {
    let Some(interpreter) = peers::sdk_python(temporary()) else {
        return peers::skip("python3");
    };
    let mut command = python(&interpreter);
    command
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .current_dir(peers::workspace().join("client-sdk/python"));
    peers::run_to_end("pytest", command);
}

#[test]
fn the_python_sdk_is_typed_and_tidy() {
    let Some(interpreter) = peers::sdk_python(temporary()) else {
        return peers::skip("python3");
    };
    let package = peers::workspace().join("client-sdk/python");
    let cache = temporary().join("mypy");
    let module = |words: &[&str]| {
        let mut command = python(&interpreter);
        command.arg("-m").args(words).current_dir(&package);
        command
    };
    peers::run_to_end("ruff check", module(&["ruff", "check", "--no-cache"]));
    let format = ["ruff", "format", "--check", "--no-cache"];
    peers::run_to_end("ruff format", module(&format));
    let mut types = module(&["mypy", "--cache-dir"]);
    types.arg(cache);
    peers::run_to_end("mypy", types);
}

#[test]
fn the_committed_python_stubs_are_those_of_the_schema() {
    let Some(interpreter) = peers::sdk_python(temporary()) else {
        return peers::skip("python3");
    };
    let mut command = python(&interpreter);
    let tool = peers::workspace().join("client-sdk/python/tools/generate.py");
    command.arg(tool).arg("--check");
    // The generators look for their plug-ins on the path.
    let mut path = vec![interpreter.parent().unwrap().to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    command.env("PATH", std::env::join_paths(path).unwrap());
    peers::run_to_end("generate.py --check", command);
}

#[test]
fn the_python_examples_find_the_broker_by_themselves() {
    let Some(interpreter) = peers::sdk_python(temporary()) else {
        return peers::skip("python3");
    };
    let (sim, broker) = ready();
    let examples = peers::workspace().join("client-sdk/python/examples");
    let mut command = python(&interpreter);
    command.arg(examples.join("quotes.py")).args(["--for", "2", "--json", "AAPL", "MSFT"]);
    broker.home().settle(&mut command);
    let text = peers::run_to_end("quotes.py", command);
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ticks: Vec<_> = lines.filter(|line| line["event"] == "tick").collect();
    for symbol in ["AAPL", "MSFT"] {
        let bid = ticks.iter().find(|tick| tick["symbol"] == symbol && tick["field"] == "bid");
        assert!(bid.is_some_and(|tick| tick["value"].as_f64() > Some(0.0)), "{text}");
    }
    assert_eq!(sim.requests("REQ_MKT_DATA").len(), 2);

    let mut command = python(&interpreter);
    command.arg("-u").arg(examples.join("watch_status.py"));
    broker.home().settle(&mut command);
    let watch = Program::start("watch_status.py", command);
    let ready = |line: &str| line.contains("READY").then_some(());
    watch.stdout.find("READY", PATIENCE, ready);
}

#[test]
fn a_node_client_that_is_made_from_the_exported_schema_reads_quotes() {
    let Some(folder) = peers::node(temporary()) else {
        return peers::skip("node");
    };
    let sim = Sim::start(binary(), &[]);
    let broker = Broker::plan(binary(), sim.address()).set("grpc.listen=127.0.0.1:0").start();
    broker.wait_ready();
    let schema = broker.home().path().join("schema");
    let export = broker.cli(&["schema", "export", schema.to_str().unwrap(), "--json"]);
    assert_eq!(export.code, 0, "{export:?}");
    let token = std::fs::read_to_string(broker.home().runtime().join("token")).unwrap();
    let unix = format!("unix:{}", broker.socket().display());
    for target in [unix, broker.tcp()] {
        let mut command = Command::new("node");
        command.arg(folder.join("quotes.js")).arg("--schema").arg(&schema);
        command.args(["--target", &target, "--token", token.trim()]);
        command.args(["--count", "40", "--for", "20", "AAPL", "TSLA"]);
        let text = peers::run_to_end("quotes.js", command);
        let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(last["event"], "summary", "{last}");
        assert_eq!(last["complete"], true, "{last}");
        assert_eq!(last["broken"], false, "{last}");
    }
    // A wrong token is a typed error in this language too.
    let mut command = Command::new("node");
    command.arg(folder.join("quotes.js")).arg("--schema").arg(&schema);
    command.args(["--target", &broker.tcp(), "--token", "wrong", "--for", "10", "AAPL"]);
    let mut program = Program::start("quotes.js", command);
    assert_eq!(program.exit(PATIENCE).code(), Some(1));
    let lines = program.stdout.json();
    let error = lines.iter().find(|line| line["event"] == "error").unwrap();
    assert_eq!(error["code"], "UNAUTHENTICATED", "{error}");
    assert_eq!(error["source"], "client");
    assert_eq!(error["retry"], "never");
}

/// And by the streams of the Python SDK.
const LINES: &[&str] = &["REQ_MKT_DEPTH", "REQ_TICK_BY_TICK_DATA", "REQ_REAL_TIME_BARS"];

#[test]
fn every_call_of_the_python_sdk_that_reads_is_answered_with_and_without_asyncio() {
    let Some(interpreter) = peers::sdk_python(temporary()) else {
        return peers::skip("python3");
    };
    let flags = [
        "--accounts",
        "DU0000001,DU0000002",
        "--bar-interval",
        "300ms",
        "--snapshot-delay",
        "200ms",
        "--pnl-interval",
        "200ms",
    ];
    let sim = Sim::start(binary(), &flags);
    let broker = Broker::plan(binary(), sim.address()).start();
    let mut command = python(&interpreter);
    command.arg(scripts().join("python_sdk/reads"));
    broker.home().settle(&mut command);
    let mut program = Program::start("reads", command);
    let status = program.exit(Duration::from_secs(180));
    let text = program.stdout.all().join("\n");
    let report: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}\n{:?}", program.stderr.all()));
    assert!(status.success() && report["ok"] == true, "{:#}", report["failures"]);
    for name in READS.iter().chain(LINES) {
        assert!(!sim.requests(name).is_empty(), "{name} was not asked");
    }
    drop(broker);
    let limits = sim.stop()["limits"].clone();
    let broken = limits.as_object().unwrap().values().any(|count| *count != 0);
    assert!(!broken, "Gateway had to refuse: {limits}");
}

#[test]
fn python_streams_survive_the_death_of_their_broker() {
    let Some(interpreter) = peers::sdk_python(temporary()) else {
        return peers::skip("python3");
    };
    let sim = Sim::start(binary(), &[]);
    let plan = Broker::plan(binary(), sim.address()).set("worker.adoption_grace=40s");
    let mut broker = plan.start();
    broker.wait_ready();
    let worker = broker.worker();
    let mut command = python(&interpreter);
    command.arg("-u").arg(scripts().join("python_sdk/survives_broker.py"));
    command.args(["--for", "90", "AAPL", "MSFT", "SPY"]);
    broker.home().settle(&mut command);
    let mut program = Program::start("survives_broker.py", command);
    program.stdout.find("READY", PATIENCE, |line| (line == "READY").then_some(()));
    let resumed = |count: usize| move |line: &Value| line["event"] == "resumed" && count > 0;
    for round in 0..2 {
        broker.kill();
        broker = broker.successor().start();
        broker.wait_ready();
        assert_eq!(broker.worker(), worker, "the session was not touched");
        let seen = resumed(1);
        ibouncer_tests::harness::wait::until("all have data again", PATIENCE, || {
            let count = program.stdout.json().iter().filter(|line| seen(line)).count();
            (count > round).then_some(())
        });
    }
    program.say("end");
    let status = program.exit(PATIENCE);
    let text = program.stdout.all().join("\n");
    assert!(status.success(), "{text}\n{}", program.stderr.all().join("\n"));
    assert_eq!(sim.named("accepted").len(), 1);
}
