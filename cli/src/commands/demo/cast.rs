//! The processes of the demo, and what they say.
//!
//! Children are ended through their handles, and end by themselves if this process vanishes:
//! the broker when its stdin closes, the clients when their stdout does.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use ibouncer_client::api::Status;
use ibouncer_client::{Client, Options, StatusUpdate};
use ibouncer_gateway_sim::{GatewayConfig, Rate, SimConfig, SimHandle};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// The strategies, and what each trades.
pub(super) const STRATEGIES: [(&str, &[&str]); 3] = [
    ("momentum", &["AAPL", "MSFT", "SPY"]),
    ("pairs", &["AAPL", "MSFT"]),
    ("hedger", &["SPY", "AAPL"]),
];

/// The deadline of a handshake in the demo; the default of 30 s would be long to watch.
const HANDSHAKE: &str = "2s";

/// How long the broker may take to come up, and to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// What one of them said.
#[derive(Debug)]
pub(super) enum Event {
    /// The broker.
    Status(Box<StatusUpdate>),
    /// A client: one line of its output.
    Client(usize, Value),
    /// A client ended, which none should.
    ClientGone(usize),
}

/// The processes.
pub(super) struct Cast {
    gateway: SimHandle,
    broker: Child,
    clients: Vec<Child>,
    admin: Client,
    events: mpsc::Receiver<Event>,
    folder: TempDir,
}

impl Cast {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("ibouncer-demo-").tempdir()?;
        let gateway = GatewayConfig { rate: Rate::PerConnection(40), ..GatewayConfig::default() };
        let gateway =
            ibouncer_gateway_sim::start(SimConfig { gateway, ..SimConfig::default() }).await?;
        let runtime = folder.path().join("run");
        let mut broker = Command::new(own_binary()?)
            .args(["serve", "--json", "--until-stdin-closes", "--runtime-dir"])
            .arg(&runtime)
            .arg("--state-dir")
            .arg(folder.path().join("state"))
            .args(["--gateway", &gateway.address().to_string()])
            .args(["--handshake-timeout", HANDSHAKE])
            .args(["--config", "/dev/null", "--set", "grpc.listen=off"])
            // Gateway is simulated, and nothing of the demo outlives it.
            .args(["--set", "gateway.eyes=local", "--set", "gateway.startup_grace=0s"])
            .args(["--set", "worker.adoption_grace=0s"])
            .env("IBOUNCER_LOCK_DIR", folder.path().join("locks"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.path().join("broker.log"))?)
            .kill_on_drop(true)
            .spawn()
            .context("start the broker")?;
        let first = first_line(&mut broker);
        let told = tokio::time::timeout(PATIENCE, first).await.ok().flatten();
        if told.is_none() {
            let log = std::fs::read_to_string(folder.path().join("broker.log"))?;
            anyhow::bail!("the broker did not come up: {}", log.trim());
        }
        let options = Options::new().runtime_dir(&runtime).client_name("demo");
        let admin = Client::connect(options).await?;
        admin.wait_ready(PATIENCE).await?;
        let (sender, events) = mpsc::channel(256);
        tokio::spawn(watch_status(admin.clone(), sender.clone()));
        let mut clients = Vec::new();
        for (index, (name, symbols)) in STRATEGIES.iter().enumerate() {
            let mut client = Command::new(own_binary()?)
                .args(["quotes", "--json", "--client-name", name, "--runtime-dir"])
                .arg(&runtime)
                .args(*symbols)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .with_context(|| format!("start the client {name}"))?;
            tokio::spawn(read_client(index, client.stdout.take(), sender.clone()));
            clients.push(client);
        }
        Ok(Self { gateway, broker, clients, admin, events, folder })
    }

    pub(super) async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    pub(super) fn gateway(&self) -> &SimHandle {
        &self.gateway
    }

    pub(super) fn broker_pid(&self) -> Option<u32> {
        self.broker.id()
    }

    pub(super) fn client_pid(&self, index: usize) -> Option<u32> {
        self.clients.get(index)?.id()
    }

    /// The status as it is now, with its seconds counted.
    pub(super) async fn status(&self) -> Option<Status> {
        self.admin.status().await.ok()
    }

    pub(super) async fn restart_worker(&self) -> Result<u64, ibouncer_client::Error> {
        self.admin.admin().restart_worker("the demo shows a hang", true).await
    }

    /// Clients first, then the broker in order, then the simulator; the folder goes last.
    pub(super) async fn end(mut self) {
        for client in &mut self.clients {
            // One that has ended by itself needs no kill.
            let _ = client.kill().await;
        }
        drop(self.broker.stdin.take());
        if tokio::time::timeout(PATIENCE, self.broker.wait()).await.is_err() {
            let _ = self.broker.kill().await;
        }
        self.gateway.shutdown().await;
        drop(self.folder);
    }
}

async fn first_line(broker: &mut Child) -> Option<String> {
    let stdout = broker.stdout.take()?;
    BufReader::new(stdout).lines().next_line().await.ok().flatten()
}

async fn watch_status(client: Client, into: mpsc::Sender<Event>) {
    let Ok(mut updates) = client.watch_status().await else {
        return;
    };
    while let Ok(Some(update)) = updates.next().await {
        if into.send(Event::Status(Box::new(update))).await.is_err() {
            return;
        }
    }
}

async fn read_client(
    index: usize,
    stdout: Option<tokio::process::ChildStdout>,
    into: mpsc::Sender<Event>,
) {
    let Some(stdout) = stdout else { return };
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(value) = serde_json::from_str(&line) else {
            continue;
        };
        if into.send(Event::Client(index, value)).await.is_err() {
            return;
        }
    }
    let _ = into.send(Event::ClientGone(index)).await;
}

fn own_binary() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("find this program's own file")
}
