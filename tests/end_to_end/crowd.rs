//! 32 client processes in three languages share the session through twenty replacements of the
//! worker: one line a symbol at Gateway, and nobody's stream is torn.
//!
//! Where Python or Node is missing, Rust clients take their places.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use ibouncer_tests::harness::wait::{PATIENCE, until_true};
use ibouncer_tests::harness::{Broker, Program, Sim, peers};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{plan, sim, temporary};

const SYMBOLS: [&str; 4] = ["AAPL", "MSFT", "TSLA", "NVDA"];
const RUST: usize = 20;
const PYTHON: usize = 8;
const NODE: usize = 4;
const REPLACEMENTS: u64 = 20;

/// Interpreters start slowly, and all at once on few cores.
const START: Duration = Duration::from_secs(90);

struct Member {
    language: Language,
    program: Program,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Rust,
    Python,
    Node,
}

impl Member {
    fn rust(broker: &Broker) -> Self {
        let mut command = broker.home().command(&["quotes", "--json"]);
        command.args(SYMBOLS);
        Self::start(Language::Rust, command)
    }

    fn start(language: Language, command: Command) -> Self {
        Self { language, program: Program::start(&format!("{language:?} client"), command) }
    }

    /// Marks by kind and symbol, in order, and the ticks behind the newest one.
    fn seen(&self) -> (Vec<(String, String)>, BTreeMap<String, usize>) {
        let (mut marks, mut ticks) = (Vec::new(), BTreeMap::new());
        for line in self.program.stdout.json() {
            let symbol = line["symbol"].as_str().unwrap_or_default().to_owned();
            let kind = match self.language {
                Language::Rust => &line["mark"],
                Language::Python | Language::Node => &line["kind"],
            };
            match kind.as_str() {
                Some(kind @ ("STALE" | "RESUMED" | "ENDED")) => {
                    ticks.remove(&symbol);
                    marks.push((kind.to_owned(), symbol));
                }
                _ if self.is_tick(&line) => *ticks.entry(symbol).or_default() += 1,
                _ => {}
            }
        }
        (marks, ticks)
    }

    fn is_tick(&self, line: &Value) -> bool {
        match self.language {
            Language::Rust => line["field"].is_string(),
            Language::Node => line["event"] == "tick",
            Language::Python => false,
        }
    }

    /// How often each symbol's data has come back.
    fn resumed(&self) -> usize {
        // Looked at often, hence as text.
        let lines = self.program.stdout.all();
        let marks: Vec<_> = lines.iter().filter(|line| line.contains("RESUMED")).collect();
        let of = |symbol: &str| {
            let symbol = format!("\"{symbol}\"");
            marks.iter().filter(|line| line.contains(&symbol)).count()
        };
        SYMBOLS.iter().map(|symbol| of(symbol)).min().unwrap_or(0)
    }

    fn has_started(&self) -> bool {
        let lines = self.program.stdout.all();
        SYMBOLS.iter().all(|symbol| {
            let symbol = format!("\"{symbol}\"");
            lines.iter().any(|line| line.contains(&symbol))
        })
    }

    /// It still listens, nothing was reported as broken, and every STALE had its RESUMED.
    #[track_caller]
    fn check(&mut self) {
        let language = self.language;
        let errors = self.program.stderr.all();
        let exit = self.program.poll_exit();
        assert_eq!(exit, None, "{language:?} has ended: {errors:?}");
        assert!(errors.is_empty(), "{language:?}: {errors:?}");
        let (marks, _) = self.seen();
        for symbol in SYMBOLS {
            let own: Vec<_> = marks.iter().filter(|mark| mark.1 == symbol).collect();
            let kinds: Vec<_> = own.iter().map(|mark| mark.0.as_str()).collect();
            let whole = kinds.chunks(2).all(|pair| pair == ["STALE", "RESUMED"]);
            assert!(whole, "{language:?}, {symbol}: {kinds:?}");
            assert_eq!(kinds.len() as u64, 2 * REPLACEMENTS, "{language:?}, {symbol}");
        }
        let broken = self.program.stdout.json();
        let broken = broken.iter().find(|line| line["event"] == "error");
        assert_eq!(broken, None, "{language:?}");
    }

    /// Ends it; what it says about itself must be good.
    #[track_caller]
    fn finish(mut self) {
        match self.language {
            Language::Rust => {
                self.program.signal(Signal::SIGINT);
                assert_eq!(self.program.exit(PATIENCE).code(), Some(0));
            }
            Language::Python => {
                self.program.close_stdin();
                let code = self.program.exit(PATIENCE).code();
                let lines = self.program.stdout.json();
                let summary = lines.last().expect("a summary");
                assert_eq!(summary["torn"], false, "{summary:#}");
                for symbol in SYMBOLS {
                    assert!(summary["per_symbol"][symbol].as_u64() > Some(0), "{summary:#}");
                }
                assert_eq!(code, Some(0), "{:?}", self.program.stderr.all());
            }
            // It has no orderly end but its time.
            Language::Node => {}
        }
    }
}

fn crowd(broker: &Broker) -> Vec<Member> {
    let mut crowd: Vec<_> = (0..RUST).map(|_| Member::rust(broker)).collect();
    let python = peers::sdk_python(temporary());
    let node = peers::node(temporary());
    let schema = broker.home().path().join("schema");
    assert_eq!(broker.cli(&["schema", "export", schema.to_str().unwrap()]).code, 0);
    for _ in 0..PYTHON {
        crowd.push(match &python {
            Some(interpreter) => {
                let mut command = Command::new(interpreter);
                command.arg(peers::workspace().join("tests/peers/python_sdk/shared_session.py"));
                command.args(SYMBOLS);
                broker.home().settle(&mut command);
                Member::start(Language::Python, command)
            }
            None => Member::rust(broker),
        });
    }
    for _ in 0..NODE {
        crowd.push(match &node {
            Some(folder) => {
                let mut command = Command::new("node");
                command.arg(folder.join("quotes.js")).arg("--schema").arg(&schema);
                command.arg("--target").arg(format!("unix:{}", broker.socket().display()));
                command.args(["--for", "600"]).args(SYMBOLS);
                broker.home().settle(&mut command);
                Member::start(Language::Node, command)
            }
            None => Member::rust(broker),
        });
    }
    for (there, name) in [(python.is_some(), "Python"), (node.is_some(), "Node")] {
        if !there {
            peers::skip(name);
        }
    }
    crowd
}

/// One request for each symbol on each connection.
#[track_caller]
fn check_shared(sim: &Sim) {
    let expected = (REPLACEMENTS as usize + 1) * SYMBOLS.len();
    let mut count: BTreeMap<(u64, String), usize> = BTreeMap::new();
    for request in sim.wait_requests("REQ_MKT_DATA", expected) {
        let symbol = request["symbol"].as_str().unwrap().to_owned();
        let connection = request["connection"].as_u64().unwrap();
        *count.entry((connection, symbol)).or_default() += 1;
    }
    assert_eq!(count.len(), expected);
    let more: Vec<_> = count.iter().filter(|(_, count)| **count != 1).collect();
    assert!(more.is_empty(), "more than one line: {more:?}");
}

#[test]
fn thirty_two_clients_in_three_languages_share_lines_through_twenty_replacements() {
    let sim = sim(&[]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let mut crowd = crowd(&broker);
    assert_eq!(crowd.len(), 32);
    until_true("everybody has data", START, || crowd.iter().all(Member::has_started));
    let clients = broker.status()["clients"].as_u64().unwrap();
    assert!(clients >= 32, "{clients} clients");
    let lines = broker.cli(&["lines", "--json"]).json();
    for line in lines["lines"].as_array().unwrap() {
        assert_eq!(line["clients"].as_array().unwrap().len(), 32, "{line}");
    }

    for round in 1..=REPLACEMENTS {
        let because = format!("round {round}");
        let answer =
            broker.cli(&["worker", "restart", "--drop-live-session", "--reason", &because]);
        assert_eq!(answer.code, 0, "{answer:?}");
        until_true(&format!("everybody's data is back in {because}"), PATIENCE, || {
            crowd.iter().all(|member| member.resumed() as u64 >= round)
        });
    }
    until_true("ticks after the last replacement", PATIENCE, || {
        crowd.iter().all(|member| {
            member.language == Language::Python || member.seen().1.len() == SYMBOLS.len()
        })
    });
    check_shared(&sim);
    let epoch = broker.status()["epoch"].as_u64();
    assert_eq!(epoch, Some(REPLACEMENTS + 1), "each replacement took one attempt");
    for member in &mut crowd {
        member.check();
    }
    for member in crowd {
        member.finish();
    }
    until_true("the lines are cancelled", PATIENCE, || broker.status()["lines"]["used"] == 0);
}
