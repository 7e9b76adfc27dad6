//! The commands that read, as a trader types them: what they print agrees with what the simulator
//! said, as text and as JSON.
//!
//! - `market`: bars, books, scanners, contracts.
//! - `money`: accounts, positions, profit, orders, executions.
//! - `people`: news, and who uses the session.
//! - `trouble`: what goes wrong, and that it is said with a next step.

mod market;
mod money;
mod people;
mod trouble;

use ibouncer_tests::harness::wait::PATIENCE;
use ibouncer_tests::harness::{Answer, Broker, Program, Sim};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{plan, sim};

/// Columns of text.
const WIDTH: usize = 80;

/// A READY broker at a lively Gateway with two accounts.
fn world() -> (Sim, Broker) {
    let sim = sim(&[
        "--accounts",
        "DU0000001,DU0000002",
        "--depth-interval",
        "20ms",
        "--pnl-interval",
        "50ms",
    ]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    (sim, broker)
}

/// A command that must go well, and say nothing that is wider than a terminal.
#[track_caller]
fn text(broker: &Broker, words: &[&str]) -> String {
    let answer = good(broker, words);
    for line in answer.stdout.lines().chain(answer.stderr.lines()) {
        assert!(line.chars().count() <= WIDTH, "{words:?}: {line}");
    }
    answer.stdout
}

/// The same with `--json`.
#[track_caller]
fn json(broker: &Broker, words: &[&str]) -> Value {
    let words: Vec<_> = words.iter().copied().chain(["--json"]).collect();
    good(broker, &words).json()
}

#[track_caller]
fn good(broker: &Broker, words: &[&str]) -> Answer {
    let answer = broker.cli(words);
    assert_eq!(answer.code, 0, "{words:?}: {answer:#?}");
    answer
}

/// The documented fields are there, and no others.
#[track_caller]
fn fields(value: &Value, expected: &[&str]) {
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    let object = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
    let mut keys: Vec<_> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, expected, "{value:#}");
}

/// `contract{}` of the documents.
#[track_caller]
fn is_contract(value: &Value) {
    let expected = [
        "con_id",
        "symbol",
        "sec_type",
        "exchange",
        "primary_exchange",
        "currency",
        "local_symbol",
        "trading_class",
        "expiry",
        "strike",
        "right",
        "multiplier",
    ];
    fields(value, &expected);
}

#[track_caller]
fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap_or_else(|| panic!("no {name}: {value}"))
}

/// A command that goes on: its first lines that fit, until a signal ends it well.
#[track_caller]
fn watch(broker: &Broker, words: &[&str], count: usize, signal: Signal) -> Vec<String> {
    let mut program: Program = broker.home().spawn(words);
    ibouncer_tests::harness::wait::until_true(&words.join(" "), PATIENCE, || {
        program.stdout.count() >= count
    });
    program.signal(signal);
    let status = program.exit(PATIENCE);
    assert_eq!(status.code(), Some(0), "{words:?}: {:?}", program.stderr.all());
    program.stdout.all()
}

#[track_caller]
fn parsed(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}
