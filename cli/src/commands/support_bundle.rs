//! `ibouncer support-bundle`: one file with what a support thread needs.
//!
//! Asks the broker if one runs, and takes what lies on disk: without a broker the record still
//! says which attempts were made and how they ended. Everything goes through [`redact`]: accounts
//! are masked, and secrets are left out. What is missing is named, with its cause.

mod redact;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::GzEncoder;
use ibouncer_broker::config::Loaded;
use ibouncer_broker::ledger::read_own;
use ibouncer_broker::places::lock_folder;
use ibouncer_client::Client;
use ibouncer_proto::places::Places;
use serde_json::{Value, json};

use super::{config, connections, events, status};
use crate::args::{Global, Settings};
use crate::exit::{Complaint, Exit, Failure};
use crate::output::{Output, time};
use redact::Redactor;

/// Bytes of one file of the bundle; logs are cut at the front.
const LARGEST: usize = 1 << 20;

/// A shorter line in a token's file is no token.
const SHORTEST_TOKEN: usize = 8;

/// How the names of records and ledgers end: what is remembered of a Gateway, and of a client id.
const REMEMBERED: [&str; 2] = [".record.json", ".attempts.json"];

/// Named pieces of the bundle, and what is missing.
struct Bundle {
    files: Vec<(String, String)>,
    missing: Vec<Value>,
    redactor: Redactor,
}

pub(crate) async fn run(
    file: Option<&Path>,
    settings: &Settings,
    global: &Global,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let now = SystemTime::now();
    let places = config::places(global)?;
    let loaded = config::load(settings, &places);
    let redactor = Redactor::new(tokens(loaded.as_ref().ok(), &places));
    let mut bundle = Bundle { files: Vec::new(), missing: Vec::new(), redactor };
    bundle.ask_broker(global).await;
    bundle.take_connections(global).await;
    bundle.take_configuration(loaded);
    bundle.take_attempts();
    bundle.take_logs(&places);
    let versions = json!({
        "schema": 1,
        "made": time::rfc3339(now),
        "ibouncer": env!("CARGO_PKG_VERSION"),
        "link_version": ibouncer_proto::link::LINK_VERSION,
        "system": system(),
        "missing": bundle.missing,
    });
    bundle.files.insert(0, ("versions.json".into(), format!("{versions:#}\n")));
    let path = file.map_or_else(|| default_path(now), Path::to_owned);
    let failed =
        |error: std::io::Error| Complaint::usage(format!("write {}: {error}", path.display()));
    bundle.write(&path).map_err(failed)?;
    let names: Vec<_> = bundle.files.iter().map(|(name, _)| name.clone()).collect();
    if output.json() {
        output.value(&json!({ "file": path, "holds": names, "missing": bundle.missing }))?;
    } else {
        let mut text = format!("{} holds: {}.", path.display(), names.join(", "));
        for missing in &bundle.missing {
            text.push_str(&format!("\nMissing: {}: {}", missing["what"], missing["because"]));
        }
        text.push_str("\nAccounts are masked and secrets left out; look before you post it.");
        output.text(&text)?;
    }
    Ok(Exit::Good)
}

impl Bundle {
    fn add(&mut self, name: &str, text: &str) {
        let start = text.len().saturating_sub(LARGEST);
        let start = (start..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        self.files.push((name.to_owned(), self.redactor.redact(&text[start..])));
    }

    fn miss(&mut self, what: &str, because: impl std::fmt::Display) {
        self.missing.push(json!({ "what": what, "because": because.to_string() }));
    }

    /// The socket table, by the broker's eyes or by our own.
    async fn take_connections(&mut self, global: &Global) {
        match connections::collect(global).await {
            Ok(found) => self.add("connections.json", &format!("{found:#}\n")),
            Err(Failure::Told(complaint)) => self.miss("connections", complaint.message),
            Err(Failure::StdoutClosed) => {}
        }
    }

    /// Status with timelines, and events.
    async fn ask_broker(&mut self, global: &Global) {
        let client = match Client::connect(global.options()).await {
            Ok(client) => client,
            Err(error) => return self.miss("status and events", error),
        };
        match client.status().await {
            Ok(found) => self.add("status.json", &format!("{:#}\n", status::as_json(&found))),
            Err(error) => self.miss("status", error),
        }
        match all_events(&client).await {
            Ok(text) => self.add("events.jsonl", &text),
            Err(error) => self.miss("events", error),
        }
    }

    fn take_configuration(&mut self, loaded: Result<Loaded, Failure>) {
        match loaded.and_then(|loaded| config::as_json(&loaded)) {
            Ok(settings) => self.add("config.json", &format!("{settings:#}\n")),
            Err(Failure::Told(complaint)) => self.miss("configuration", complaint.message),
            Err(Failure::StdoutClosed) => {}
        }
    }

    /// What is remembered of attempts, the doctor's included: of every Gateway and client id of
    /// this user.
    fn take_attempts(&mut self) {
        let folder = lock_folder(|name| std::env::var_os(name));
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => return self.miss("attempts", format!("{}: {error}", folder.display())),
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> =
            names.filter(|name| REMEMBERED.iter().any(|end| name.ends_with(end))).collect();
        names.sort();
        if names.is_empty() {
            self.miss("attempts", "no attempt was ever made");
        }
        for name in names {
            match read_own(&folder.join(&name)) {
                Ok(text) => self.add(&format!("attempts/{name}"), &text),
                Err(error) => self.miss(&name, error),
            }
        }
    }

    fn take_logs(&mut self, places: &Places) {
        let folder = places.worker_logs();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                return self.miss("worker logs", format!("{}: {error}", folder.display()));
            }
        };
        let mut logs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        logs.sort();
        for log in logs {
            let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match std::fs::read_to_string(&log) {
                Ok(text) => self.add(&format!("workers/{name}"), &text),
                Err(error) => self.miss(&name, error),
            }
        }
        if let Ok(text) = std::fs::read_to_string(places.events())
            && !self.files.iter().any(|(name, _)| name == "events.jsonl")
        {
            self.add("events.jsonl", &text);
        }
    }

    fn write(&self, path: &Path) -> std::io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
        let made = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        for (name, text) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(made.as_secs());
            let path = format!("ibouncer-support/{name}");
            archive.append_data(&mut header, path, text.as_bytes())?;
        }
        archive.into_inner()?.finish()?.flush()
    }
}

/// Every token that can be read: the listener's, and those of configured clients.
fn tokens(loaded: Option<&Loaded>, places: &Places) -> Vec<String> {
    let clients = loaded.into_iter().flat_map(|loaded| loaded.config.clients.values());
    let files = clients.filter_map(|client| client.token_file.clone()).chain([places.token()]);
    let mut tokens = Vec::new();
    // One that cannot be read is no token that a broker would have taken.
    for text in files.filter_map(|file| read_own(&file).ok()) {
        let token = text.trim();
        if token.len() >= SHORTEST_TOKEN {
            let in_json = Value::from(token).to_string();
            tokens.extend([token.to_owned(), in_json.trim_matches('"').to_owned()]);
        }
    }
    tokens
}

async fn all_events(client: &Client) -> Result<String, ibouncer_client::Error> {
    let mut stream = client.admin().events(0, false).await?;
    let mut text = String::new();
    while let Some(batch) = stream.next().await? {
        for event in &batch {
            text.push_str(&format!("{}\n", events::as_json(event)));
        }
    }
    Ok(text)
}

fn system() -> Value {
    let read = |path| std::fs::read_to_string(path).ok().map(|text: String| text.trim().to_owned());
    json!({
        "os": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
        "kernel": read("/proc/sys/kernel/osrelease"),
        "name": read("/etc/os-release").and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
            Some(line.trim_matches('"').to_owned())
        }),
    })
}

fn default_path(now: SystemTime) -> PathBuf {
    let stamp: String = time::rfc3339(now).chars().filter(char::is_ascii_digit).take(14).collect();
    PathBuf::from(format!("ibouncer-support-{stamp}.tar.gz"))
}
