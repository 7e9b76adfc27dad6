//! A broker that takes orders, from clients that its configuration names; and what it says of
//! them in its audit log.

use std::fs;
use std::path::PathBuf;

use ibouncer_client::{Client, Options};
use nix::sys::signal::Signal;
use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::Value;

use super::broker::{Broker, BrokerPlan};
use super::home::Home;
use super::wait::{PATIENCE, until_true};

/// A configured client.
#[derive(Debug, Clone)]
pub struct Principal {
    name: String,
    settings: String,
    token: bool,
}

impl Principal {
    /// One of this user's, told from the others by the name that it gives. `settings` are lines
    /// of its table.
    pub fn named(name: &str, settings: &str) -> Self {
        Self { name: name.to_owned(), settings: settings.to_owned(), token: false }
    }

    /// One with a token of its own, for the TCP listener.
    pub fn with_token(name: &str, settings: &str) -> Self {
        Self { name: name.to_owned(), settings: settings.to_owned(), token: true }
    }

    fn table(&self, home: &Home) -> String {
        let credential = if self.token {
            format!("token_file = {:?}", token_file(home, &self.name))
        } else {
            format!("uid = {}", nix::unistd::Uid::current())
        };
        format!("[clients.{}]\n{credential}\n{}\n", self.name, self.settings)
    }
}

fn token_file(home: &Home, name: &str) -> PathBuf {
    home.path().join(format!("{name}.token"))
}

impl BrokerPlan {
    /// Orders are taken, from these clients.
    pub fn trading(self, principals: &[Principal]) -> Self {
        let path = configure(self.home(), principals);
        let plan = self.flag("--config").flag(path.to_str().unwrap());
        match principals.iter().any(|one| one.token) {
            true => plan.set("grpc.listen=127.0.0.1:0"),
            false => plan,
        }
    }
}

/// Writes a configuration with these clients.
fn configure(home: &Home, principals: &[Principal]) -> PathBuf {
    let mut text = "[trading]\nenabled = true\nvolatile_state = \"allow\"\n".to_owned();
    for principal in principals {
        text.push_str(&principal.table(home));
    }
    let path = home.path().join("trading.toml");
    fs::write(&path, text).unwrap();
    path
}

impl Home {
    /// How the SDK is this client of the broker's user.
    pub fn options_of(&self, name: &str) -> Options {
        self.options().client_name(name)
    }

    /// The audit log so far.
    pub fn audit(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.state().join("audit.jsonl")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

impl Broker {
    /// Waits until orders are taken.
    #[track_caller]
    pub fn wait_trading(&self) -> Value {
        self.wait_status("orders are taken", |status| status["trading"] == "on")
    }

    /// This client of the broker's user, connected.
    pub async fn client(&self, name: &str) -> Client {
        Client::connect(self.home().options_of(name)).await.unwrap()
    }

    /// This client, connected with its token.
    pub async fn client_by_token(&self, name: &str) -> Client {
        Client::connect(self.options_by_token(name).reconnect(false)).await.unwrap()
    }

    /// How the SDK is this client by its token.
    pub fn options_by_token(&self, name: &str) -> Options {
        let token = fs::read_to_string(token_file(self.home(), name)).unwrap();
        Options::new().target(self.tcp()).token(token.trim()).client_name(name)
    }

    /// These are the configured clients from now on; the broker reads that while it runs.
    #[track_caller]
    pub fn reload_clients(&mut self, principals: &[Principal]) {
        let times = |broker: &Self| {
            let read = |line: &&Value| {
                line["message"].to_string().contains("the configuration was read again")
            };
            broker.log().iter().filter(read).count()
        };
        let before = times(self);
        configure(self.home(), principals);
        self.signal(Signal::SIGHUP);
        until_true("the configuration is read again", PATIENCE, || times(self) > before);
    }

    /// No file of the broker may grow beyond this size; `None`: any may. As a full disk, only
    /// for one process.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let pid = rustix::process::Pid::from_raw(self.pid() as i32).unwrap();
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Some(pid), Resource::Fsize, limit).unwrap();
    }
}
