//! The bundle for support: what is in it, with and without a broker, and what is nowhere in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use ibouncer_tests::harness::{Broker, Home, Principal, Sim};
use serde_json::Value;

use super::{binary, plan, sim};

/// Accounts of the session and of the configuration, of several kinds.
const ACCOUNTS: [&str; 4] = ["DUH123456", "DFE1234567", "DUE765432", "U7654321"];

/// A token that somebody chose: no form gives it away.
const CHOSEN: &str = "correct-horse-battery-staple";

/// A broker with configured clients that have tokens.
fn broker_with_secrets() -> (Sim, Broker) {
    let sim = sim(&["--accounts", &ACCOUNTS[..2].join(","), "--no-orders"]);
    let accounts = format!("role = \"trade\"\naccounts = {:?}", &ACCOUNTS[2..]);
    let made = Principal::with_token("momentum", &accounts);
    let chosen = Principal::with_token("carry", "role = \"observe\"");
    let plan = plan(&sim);
    let token = plan.home().path().join("carry.token");
    std::fs::write(&token, format!("{CHOSEN}\n")).unwrap();
    private(&token);
    let broker = plan.trading(&[made, chosen]).start();
    broker.wait_ready();
    (sim, broker)
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Makes a bundle and opens it: texts by their names.
#[track_caller]
fn bundle(home: &Home, name: &str) -> BTreeMap<String, String> {
    let path = home.path().join(name);
    let config = home.path().join("trading.toml");
    let mut arguments = vec!["support-bundle", "-o", path.to_str().unwrap()];
    if config.exists() {
        arguments.extend(["--config", config.to_str().unwrap()]);
    }
    let answer = home.cli(&arguments);
    assert_eq!(answer.code, 0, "{answer:?}");
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(&path).unwrap()));
    let mut texts = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        let name = name.strip_prefix("ibouncer-support/").unwrap();
        texts.insert(name.to_owned(), text);
    }
    texts
}

fn json(texts: &BTreeMap<String, String>, name: &str) -> Value {
    let text = texts.get(name).unwrap_or_else(|| panic!("{name} is missing: {:?}", texts.keys()));
    serde_json::from_str(text).unwrap()
}

/// What is remembered of a Gateway (`record`), or of a client id there (`attempts`).
fn remembered(texts: &BTreeMap<String, String>, what: &str) -> Value {
    let end = format!(".{what}.json");
    let fits = |name: &&String| name.starts_with("attempts/") && name.ends_with(&end);
    let name = texts.keys().find(fits).cloned();
    json(texts, &name.unwrap_or_else(|| panic!("no {what}: {:?}", texts.keys())))
}

#[track_caller]
fn assert_clean(texts: &BTreeMap<String, String>, secrets: &[String]) {
    for (name, text) in texts {
        for secret in secrets {
            assert!(!text.contains(secret.as_str()), "{secret} is in {name}:\n{text}");
        }
    }
}

#[test]
fn a_bundle_has_everything_for_support_and_no_account_and_no_token() {
    let (_sim, mut broker) = broker_with_secrets();
    let made = std::fs::read_to_string(broker.home().path().join("momentum.token")).unwrap();
    let general = std::fs::read_to_string(broker.home().runtime().join("token")).unwrap();
    let mut secrets: Vec<String> = ACCOUNTS.iter().map(|one| (*one).to_owned()).collect();
    secrets.extend([CHOSEN.to_owned(), made.trim().to_owned(), general.trim().to_owned()]);
    // What a person writes into a reason is as dangerous as anything else.
    let reason = format!("{} with {CHOSEN} is stuck", ACCOUNTS[3]);
    let restart = ["worker", "restart", "--drop-live-session", "--reason", &reason];
    let answer = broker.cli(&restart);
    assert_eq!(answer.code, 0, "{answer:?}");
    broker.wait_step("READY", 2);

    let texts = bundle(broker.home(), "with.tar.gz");
    assert_clean(&texts, &secrets);
    assert!(json(&texts, "versions.json")["ibouncer"].is_string());
    let status = json(&texts, "status.json");
    assert_eq!(status["attempts"][0]["outcome"], "ready", "{status:#}");
    assert!(!status["attempts"][0]["stages"].as_array().unwrap().is_empty(), "timelines");
    assert!(texts["events.jsonl"].contains("\"kind\":\"transition\""));
    assert!(
        texts["events.jsonl"].contains("with (left out) is stuck"),
        "{}",
        texts["events.jsonl"]
    );
    assert_eq!(json(&texts, "connections.json")["source"], "broker");
    let config = json(&texts, "config.json");
    assert_eq!(config["settings"]["clients.momentum.accounts"]["value"][0], "DU***432");
    assert!(texts.keys().any(|name| name.starts_with("workers/")), "{:?}", texts.keys());
    assert_eq!(remembered(&texts, "attempts")["epoch"], 2);

    assert_eq!(broker.terminate(), Some(0));
    let texts = bundle(broker.home(), "without.tar.gz");
    assert_clean(&texts, &secrets);
    let missing = json(&texts, "versions.json")["missing"].to_string();
    assert!(missing.contains("status and events"), "{missing}");
    // Without a broker the record still says what was tried, and the files what happened.
    let record = remembered(&texts, "record");
    assert!(record["attempts"].as_array().unwrap().len() >= 2, "{record:#}");
    assert!(texts["events.jsonl"].contains("transition"));
    for name in ["connections.json", "config.json"] {
        json(&texts, name);
    }
}

#[test]
fn a_bundle_of_a_host_without_a_broker_has_the_doctors_attempts() {
    let sim = sim(&["--fault", "accept-and-mute"]);
    let home = Home::new(binary());
    let arguments = ["doctor", "--gateway", sim.address(), "--active", "--timeout", "200ms"];
    home.cli(&[&arguments[..], &["--eyes", "none"]].concat());
    let texts = bundle(&home, "doctor.tar.gz");
    let record = remembered(&texts, "record");
    assert_eq!(record["attempts"][0]["by"], "doctor", "{record:#}");
    assert_eq!(record["attempts"][0]["outcome"], "silent");
}
