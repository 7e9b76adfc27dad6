//! The daemon from start to end: places, locks, link, listeners, driver; then signals, and all
//! of it in the opposite order.
//!
//! Read on in `serve/ground.rs` (what must stand before anything is served), `serve/signals.rs`
//! (what each signal means) and `serve/reload.rs` (SIGHUP).

mod ground;
mod reload;
mod signals;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use ibouncer_core::Hub;
use ibouncer_core::clock::Clock;
use ibouncer_core::hub::Input;
use ibouncer_core::ids::Epoch;
use ibouncer_core::notes::{NoteKind, Severity};
use ibouncer_core::session::Memory;
use ibouncer_core::status::BrokerProcess;
use ibouncer_proto::places::Places;
use nix::unistd::Uid;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::driver::{Desk, Driver, Ending, Files, Parts};
use crate::events::Events;
use crate::grpc::capacity::Capacity;
use crate::grpc::connection::Doorkeeper;
use crate::grpc::credentials::Roster;
use crate::grpc::listeners::{bind_tcp, bind_unix, routes, serve_tcp, serve_tls, serve_unix};
use crate::grpc::tls::Tls;
use crate::handle::{Command, Handle, Published};
use crate::handover::{Proof, own_path, prove};
use crate::link::LinkListener;
use crate::open_requests::OpenRequests;
use crate::places;
use crate::process::Nursery;
use crate::watch::Watcher;
use ground::Ground;
use reload::Reloader;
use signals::{Order, Signals};

/// After the session has ended, clients get so long to read their last messages.
const LAST_MESSAGES: Duration = Duration::from_millis(500);

/// Reads the configuration again, from where it was read at start.
pub type Reload = Box<dyn Fn() -> anyhow::Result<Config> + Send>;

/// What to serve.
pub struct ServeOptions {
    /// Checked configuration.
    pub config: Config,
    /// How to read it again.
    pub reload: Reload,
    /// Where the processes meet.
    pub places: Places,
    /// Folder of the locks of this user.
    pub locks: PathBuf,
}

/// What is told once everything listens.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// Name of the instance.
    pub instance: String,
    /// Gateway, as configured.
    pub gateway: String,
    /// Client id there.
    pub client_id: i32,
    /// The Unix socket.
    pub socket: PathBuf,
    /// The TCP listener.
    pub tcp: Option<SocketAddr>,
    /// It speaks TLS.
    pub tls: bool,
    /// Clients that may send orders; none if trading is off.
    pub traders: Vec<String>,
    /// Folders.
    pub runtime: PathBuf,
    /// Folders.
    pub state: PathBuf,
}

/// Serves until a signal or a handover. `announce` is called once everything listens.
pub async fn serve(
    options: ServeOptions,
    announce: impl FnOnce(&Announcement),
) -> anyhow::Result<Ending> {
    let mut signals = Signals::listen()?;
    ground::take_all_descriptors();
    let ServeOptions { config, reload, places, locks } = options;
    let ground = Ground::stand_on(&config, &places, locks)?;
    let (gateway, client_id) = (ground.gateway, config.gateway.client_id);
    let proof = Proof::of_this_build(gateway.to_string(), client_id);

    let listener = LinkListener::bind(&places.link_socket())
        .with_context(|| format!("bind {}", places.link_socket().display()))?;
    let nursery = Nursery::start(places.link_socket(), places.worker_logs())
        .context("start the thread that starts workers")?;
    let own_uid = Uid::effective().as_raw();
    let token = places::new_token(&places)?;
    let roster = Roster::new(own_uid, &token).with_clients(&config)?;
    let tls = config.grpc.tls.files()?.as_ref().map(Tls::read).transpose()?;
    let unix = bind_unix(&places.socket(), config.socket_mode()?)?;
    let tcp = match config.tcp_listener()? {
        Some(address) => Some(bind_tcp(address).await?),
        None => None,
    };
    let tcp_address = tcp.as_ref().map(tokio::net::TcpListener::local_addr).transpose()?;
    ground::write_endpoints(&places, tcp_address, tls.is_some())?;

    let now = Instant::now();
    let mut settings = ground.settings(&config, &places)?;
    roster.imprint(&mut settings.principals);
    let memory = Memory { ledger: ground.ledger.clone(), clock: crate::driver::clock() };
    let (journal, loaded) = ground.open_journal(&config, &places)?;
    let damaged = loaded.damaged.clone();
    let desk = Desk::new(journal, loaded.newest_event, places.state().join("audit.jsonl"));
    let log = desk.log();
    let mut hub = Hub::new(settings, memory, seed(), now);
    hub.open_trading(loaded, crate::driver::clock());
    let broker = BrokerProcess {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        since: now,
    };
    let clock = Clock { now, wall: SystemTime::now() };
    let first =
        Published { status: Arc::new(hub.status(&broker, &clock)), transitions: Arc::default() };
    let (publisher, published) = watch::channel(first);
    let (handle, inbox) = Handle::new(published);
    let watcher = Watcher::start(gateway, config.eyes()?).context("start the eyes")?;
    let mut events = Events::at(places.events());
    if let Some(lost) = &ground.lost {
        let text = format!(
            "what was remembered of this client id, and an operator's hold if there was one, is \
             forgotten: {} (now {})",
            lost.because,
            lost.to.display()
        );
        events.say(NoteKind::Broker, Severity::Error, text, Epoch(0));
    }
    if let Some(damaged) = damaged {
        events.say(NoteKind::Broker, Severity::Error, damaged, Epoch(0));
    }
    let files = Files {
        ledger: ground.ledger_file(),
        turn: ground.turn(),
        worker: ground.locks.worker_file(),
        lock: ground.locks.worker(),
        link: places.link_socket(),
        requests: OpenRequests::at(ground.locks.open_requests()),
        events,
    };
    let windows = config.restart_windows()?;
    let answers = Arc::clone(handle.answers());
    let parts = Parts {
        hub,
        broker,
        nursery,
        listener,
        watcher,
        files,
        desk,
        windows,
        inbox,
        answers,
        publisher,
    };
    let mut driver = tokio::spawn(Driver::new(parts).run());

    let doorkeeper = Doorkeeper::new(roster, handle.clone());
    let stream_buffer = usize::try_from(config.grpc.stream_buffer.0).unwrap_or(usize::MAX);
    let routes = routes(&doorkeeper, &handle, stream_buffer, &proof, log)?;
    let (end, ended) = watch::channel(false);
    let until_end = || {
        let mut ended = ended.clone();
        async move {
            // An error means that the sender is gone, which is the end as well.
            let _ = ended.wait_for(|ended| *ended).await;
        }
    };
    let mut servers = JoinSet::new();
    let connections = usize::try_from(config.grpc.connections).unwrap_or(usize::MAX);
    let capacity = Capacity::new(connections);
    let seats = || Arc::clone(&capacity);
    servers.spawn(serve_unix(unix, routes.clone(), handle.clone(), seats(), until_end()));
    if let Some(tcp) = tcp {
        let (handle, seats, end) = (handle.clone(), seats(), until_end());
        match &tls {
            Some(tls) => servers.spawn(serve_tls(tcp, tls.clone(), routes, handle, seats, end)),
            None => servers.spawn(serve_tcp(tcp, routes, handle, seats, end)),
        };
    }

    announce(&Announcement {
        instance: places.instance().to_owned(),
        gateway: config.gateway.address.clone(),
        client_id,
        socket: places.socket(),
        tcp: tcp_address,
        tls: tls.is_some(),
        traders: config.traders(),
        runtime: places.runtime().to_owned(),
        state: places.state().to_owned(),
    });
    #[cfg(target_os = "linux")]
    crate::notify::tell("READY=1");

    let reloader = Reloader {
        reload: &reload,
        ground: &ground,
        places: &places,
        handle: &handle,
        doorkeeper: &doorkeeper,
        tls: tls.as_ref(),
        own_uid,
        own_token: &token,
    };
    let mut current = config;
    let (because, lets_go) = loop {
        let order = tokio::select! {
            order = signals.next() => order,
            result = &mut driver => {
                let ending = result.context("the driver panicked")?.context("the driver failed");
                end.send_replace(true);
                finish(servers).await;
                // Whoever takes over finds these files, and replaces them.
                if !matches!(ending, Ok(Ending::HandOver(_))) {
                    places::tidy_up(&places);
                }
                return ending;
            }
            Some(result) = servers.join_next() => {
                places::tidy_up(&places);
                result.context("a listener panicked")?.context("a listener failed")?;
                anyhow::bail!("a listener ended by itself");
            }
        };
        match order {
            Order::End(because) => break (because, false),
            Order::Reload => current = reloader.reread(current).await,
            Order::LetGo => match prove_own(proof.clone()).await {
                Ok(()) => break ("SIGUSR2", true),
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "SIGUSR2: the binary on disk could not go on; this broker stays"
                ),
            },
        }
    };
    tracing::info!(because, "the broker ends");
    #[cfg(target_os = "linux")]
    crate::notify::tell("STOPPING=1");
    let because = format!("the broker ends: {because}");
    let stop = if lets_go { Input::LetGo { because } } else { Input::Stop { because } };
    // The session first: its end in order is what matters.
    if handle.tell(Command::Input(stop)).await.is_ok() {
        driver.await.context("the driver panicked")?.context("the driver failed")?;
    }
    end.send_replace(true);
    finish(servers).await;
    places::tidy_up(&places);
    Ok(Ending::Stopped)
}

/// Whether this build, with this configuration, could go on where a running broker stops: reads
/// what it would read, and changes nothing.
pub fn prove_here(config: &Config, places: &Places) -> anyhow::Result<Proof> {
    let gateway = ground::resolve(&config.gateway.address)?;
    config.restart_windows()?;
    config.eyes()?;
    for folder in [places.runtime(), places.state()] {
        std::fs::metadata(folder).with_context(|| format!("look at {}", folder.display()))?;
    }
    if let Some(tls) = &config.grpc.tls.files()? {
        Tls::read(tls)?;
    }
    for (name, client) in &config.clients {
        if let Some(path) = &client.token_file {
            crate::tokens::read(name, path)?;
        }
    }
    let journal = places::journal(places.state(), gateway, config.gateway.client_id);
    if config.trading.enabled && journal.exists() {
        crate::journal::look(&journal).context("look at the journal of orders")?;
    }
    Ok(Proof::of_this_build(gateway.to_string(), config.gateway.client_id))
}

async fn finish(mut servers: JoinSet<anyhow::Result<()>>) {
    let drained =
        tokio::time::timeout(LAST_MESSAGES, async { while servers.join_next().await.is_some() {} });
    if drained.await.is_err() {
        servers.abort_all();
    }
}

async fn prove_own(ours: Proof) -> anyhow::Result<()> {
    let binary = own_path().context("find the broker's binary")?;
    tokio::task::spawn_blocking(move || prove(&binary, &ours)).await??;
    Ok(())
}

/// Feeds jitter and nothing else.
fn seed() -> u64 {
    fastrand::u64(..)
}
