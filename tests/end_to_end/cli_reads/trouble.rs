//! What goes wrong: exit codes, and a next step that a trader can take.

use ibouncer_tests::harness::{Answer, Broker, Home};
use serde_json::Value;

use super::super::{binary, plan, ready, sim};
use super::{WIDTH, world};

const READS: &[&[&str]] = &[
    &["bars", "AAPL"],
    &["depth", "AAPL"],
    &["scan"],
    &["contract", "AAPL"],
    &["search", "AAP"],
    &["account"],
    &["positions"],
    &["pnl"],
    &["orders"],
    &["executions"],
    &["news", "AAPL"],
    &["queue"],
    &["top"],
];

/// The command as text and as JSON; both say the same.
#[track_caller]
fn fails(broker: &Broker, words: &[&str], code: i32) -> (Answer, Value) {
    let answer = broker.cli(words);
    assert_eq!(answer.code, code, "{words:?}: {answer:#?}");
    assert!(answer.stderr.starts_with("error: ") && answer.stdout.is_empty(), "{answer:#?}");
    let words: Vec<_> = words.iter().copied().chain(["--json"]).collect();
    let as_json = broker.cli(&words);
    assert_eq!(as_json.code, code, "{words:?}: {as_json:#?}");
    let error = as_json.error();
    (answer, error)
}

#[test]
fn without_a_broker_every_command_says_how_to_start_one() {
    let home = Home::new(binary());
    for words in READS {
        let answer = home.cli(words);
        assert_eq!(answer.code, 1, "{words:?}: {answer:?}");
        assert!(answer.stderr.contains("ibouncer serve"), "{words:?}: {answer:?}");
        let words: Vec<_> = words.iter().copied().chain(["--json"]).collect();
        assert_eq!(home.cli(&words).error()["code"], "BROKER_UNREACHABLE", "{words:?}");
    }
}

#[test]
fn a_symbol_that_gateway_does_not_know_is_told_with_a_search() {
    let (_sim, broker) = ready();
    for words in
        [["bars", "NOSUCH"], ["contract", "NOSUCH"], ["news", "NOSUCH"], ["depth", "NOSUCH"]]
    {
        let (answer, error) = fails(&broker, &words, 2);
        assert!(answer.stderr.contains("ibouncer search"), "{words:?}: {answer:#?}");
        assert_eq!((&error["gateway_code"], &error["retry"]), (&200.into(), &"never".into()));
        assert!(error["next"].as_str().unwrap().contains("ibouncer search"), "{error}");
    }
}

#[test]
fn data_without_permission_is_told_with_what_is_there_instead() {
    let (_sim, broker) = ready();
    let (answer, error) = fails(&broker, &["depth", "NOPERM"], 2);
    assert_eq!(error["gateway_code"], 354, "{error}");
    // There is no delayed book; what can be had is said.
    let told = answer.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("best prices alone are in `ibouncer quotes`"), "{answer:#?}");
    let answer = broker.cli(&["quotes", "NOPERM", "--feed", "delayed", "--for", "3s"]);
    assert_eq!(answer.code, 0, "{answer:#?}");
    assert!(answer.stderr.contains("(10167)"), "{answer:#?}");
    assert!(answer.stderr.contains("Delayed data comes instead"), "{answer:#?}");
    assert!(answer.stdout.contains("delayed"), "{answer:#?}");
}

#[test]
fn what_market_data_is_refused_for_is_told_with_a_way_out() {
    let sim = sim(&["--refuse", "AAPL=10197,MSFT=10168"]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    for (symbol, code, way_out, exit) in [
        ("NOPERM", 354, "subscribe to it in IB's Client Portal", 2),
        ("MSFT", 10168, "has --feed delayed", 2),
        // What another session takes comes back by itself: there the command goes on.
        ("AAPL", 10197, "log out there", 3),
        ("NOSUCH", 200, "ibouncer search", 2),
    ] {
        let answer = broker.cli(&["quotes", symbol, "--for", "3s"]);
        assert_eq!(answer.code, exit, "{answer:#?}");
        assert!(answer.stderr.lines().all(|line| line.chars().count() <= WIDTH), "{answer:#?}");
        let told = answer.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(&format!("({code})")) && told.contains(way_out), "{answer:#?}");
        let answer = broker.cli(&["quotes", symbol, "--for", "3s", "--json"]);
        assert_eq!(answer.code, exit, "{answer:#?}");
        let lines = answer.stderr.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut errors = lines.map(|line| line["error"].clone());
        let error = errors.find(|error| error["gateway_code"] == code).expect("its error");
        assert!(error["next"].as_str().unwrap().contains(way_out), "{error}");
    }
}

#[test]
fn history_and_scanners_share_a_code_and_not_its_explanation() {
    let (_sim, broker) = ready();
    for (words, way_out, exit, retry) in [
        (&["bars", "NOPERM", "--json"][..], "Client Portal", 3, "after"),
        (
            &["bars", "AAPL", "--size", "1s", "--duration", "1Y", "--json"],
            "Is the span right",
            3,
            "after",
        ),
        (&["scan", "--code", "NOSUCH", "--json"], "ibouncer scan --parameters", 2, "never"),
    ] {
        // Asked once: small bars are given once in 15 s.
        let answer = broker.cli(words);
        assert_eq!(answer.code, exit, "{answer:#?}");
        let error = answer.error();
        assert_eq!((&error["gateway_code"], &error["retry"]), (&162.into(), &retry.into()));
        assert!(error["next"].as_str().unwrap().contains(way_out), "{words:?}: {error}");
    }
}

#[test]
fn an_account_that_the_login_has_not_is_a_mistake_and_not_one_that_holds_nothing() {
    let (_sim, broker) = world();
    for command in ["account", "positions", "pnl", "orders", "executions"] {
        let (answer, error) = fails(&broker, &[command, "--account", "DU9999999"], 2);
        let told = "the login has DU***001, DU***002";
        assert!(answer.stderr.contains(told), "{command}: {answer:#?}");
        assert_eq!((&error["code"], &error["next"]), (&"USAGE".into(), &told.into()));
    }
}

#[test]
fn without_a_session_reads_say_so_at_once_and_what_goes_on_waits_for_it() {
    let sim = sim(&["--fault", "accept-and-mute"]);
    let broker = plan(&sim).handshake_timeout("60s").start();
    for words in [&["positions"][..], &["account"], &["bars", "AAPL"], &["orders"], &["scan"]] {
        let (answer, error) = fails(&broker, words, 3);
        assert!(answer.stderr.contains("ibouncer wait-ready"), "{words:?}: {answer:#?}");
        assert_eq!((&error["code"], &error["retry"]), (&"NOT_READY".into(), &"after".into()));
    }
    let answer = broker.cli(&["depth", "AAPL", "--for", "1s"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (3, ""), "{answer:#?}");
    assert!(answer.stderr.contains("STALE"), "{answer:#?}");
    for words in [&["pnl", "--watch", "--for", "1s"][..], &["quotes", "AAPL", "--for", "1s"]] {
        let answer = broker.cli(words);
        assert_eq!(answer.code, 3, "{answer:#?}");
        assert!(answer.stderr.contains("STALE"), "{answer:#?}");
    }
}

#[test]
fn profit_that_is_watched_before_there_is_a_session_comes_with_it() {
    let sim = sim(&["--fault", "accept-and-mute:1"]);
    let plan = plan(&sim).set("deadlines.total=3s").set(r#"attempts.backoff=["300ms"]"#);
    let broker = plan.start();
    let answer = broker.cli(&["pnl", "--watch", "--for", "9s"]);
    assert_eq!(answer.code, 0, "{answer:#?}");
    let told: Vec<_> = answer.stderr.split_whitespace().collect();
    assert_eq!(told.first(), Some(&"STALE"), "{answer:#?}");
    assert!(told.contains(&"RESUMED") && answer.stdout.contains("  daily "), "{answer:#?}");
}
