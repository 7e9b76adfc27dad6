//! The daemon from start to end: places, lock, link, listeners, driver; then signals, and all
//! of it in the opposite order.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use ibouncer_core::Hub;
use ibouncer_core::hub::Input;
use ibouncer_core::status::{BrokerProcess, Clock};
use ibouncer_proto::places::Places;
use nix::unistd::Uid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::config::Config;
use crate::driver::{Driver, Parts};
use crate::grpc::connection::Doorkeeper;
use crate::grpc::listeners::{bind_tcp, bind_unix, routes, serve_tcp, serve_unix};
use crate::handle::{Command, Handle, Published};
use crate::link::LinkListener;
use crate::places::{self, Locks};
use crate::process::Nursery;

/// After the session has ended, clients get so long to read their last messages.
const LAST_MESSAGES: Duration = Duration::from_millis(500);

/// What to serve.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Checked configuration.
    pub config: Config,
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
    /// Folders.
    pub runtime: PathBuf,
    /// Folders.
    pub state: PathBuf,
}

/// Serves until SIGTERM or SIGINT. `announce` is called once everything listens.
pub async fn serve(
    options: ServeOptions,
    announce: impl FnOnce(&Announcement),
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut hang_up = signal(SignalKind::hangup()).context("listen for SIGHUP")?;
    tokio::spawn(async move {
        // Neither a closed terminal nor a wish to reload is worth a live session.
        while hang_up.recv().await.is_some() {
            tracing::info!("SIGHUP is ignored; settings are read at start");
        }
    });
    let ServeOptions { config, places, locks } = options;
    let client_id = config.gateway.client_id;
    let gateway = resolve(&config.gateway.address)?;

    places::runtime_folder(places.runtime(), config.socket_mode()?)?;
    for folder in [places.state(), &places.worker_logs()] {
        places::private_folder(folder)?;
    }
    let locks = Locks::new(locks, gateway, client_id)?;
    let who = format!(
        "instance {}, pid {}, runtime folder {}",
        places.instance(),
        std::process::id(),
        places.runtime().display()
    );
    let _lock = locks.take(gateway, client_id, &who)?;
    let _runtime_lock = locks.take_runtime(places.runtime(), &who)?;

    let listener = LinkListener::bind(&places.link_socket())
        .with_context(|| format!("bind {}", places.link_socket().display()))?;
    let nursery = Nursery::start(places.link_socket(), places.worker_logs())
        .context("start the thread that starts workers")?;
    let token = places::new_token(&places)?;
    let unix = bind_unix(&places.socket(), config.socket_mode()?)?;
    let tcp = match config.tcp_listener()? {
        Some(address) => Some(bind_tcp(address).await?),
        None => None,
    };
    let tcp_address = tcp.as_ref().map(tokio::net::TcpListener::local_addr).transpose()?;
    write_endpoints(&places, tcp_address)?;

    let now = Instant::now();
    let lock_path = locks.worker();
    let lock_path = lock_path.to_str().context("the lock folder's path is not UTF-8")?;
    let settings = config.settings(places.instance(), gateway, lock_path);
    let hub = Hub::new(settings, seed(), now);
    let broker = BrokerProcess {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        since: now,
    };
    let clock = Clock { now, wall: std::time::SystemTime::now() };
    let first =
        Published { status: Arc::new(hub.status(&broker, &clock)), transitions: Arc::default() };
    let (publisher, published) = watch::channel(first);
    let (handle, inbox) = Handle::new(published);
    let driver = Driver::new(Parts { hub, broker, nursery, listener, inbox, publisher });
    let mut driver = tokio::spawn(driver.run());

    let doorkeeper = Doorkeeper::new(&token, Uid::effective().as_raw(), handle.clone());
    let stream_buffer = usize::try_from(config.grpc.stream_buffer.0).unwrap_or(usize::MAX);
    let routes = routes(&doorkeeper, &handle, stream_buffer)?;
    let (end, ended) = watch::channel(false);
    let until_end = || {
        let mut ended = ended.clone();
        async move {
            // An error means that the sender is gone, which is the end as well.
            let _ = ended.wait_for(|ended| *ended).await;
        }
    };
    let mut servers = tokio::task::JoinSet::new();
    servers.spawn(serve_unix(unix, routes.clone(), handle.clone(), until_end()));
    if let Some(tcp) = tcp {
        servers.spawn(serve_tcp(tcp, routes, handle.clone(), until_end()));
    }

    announce(&Announcement {
        instance: places.instance().to_owned(),
        gateway: config.gateway.address.clone(),
        client_id,
        socket: places.socket(),
        tcp: tcp_address,
        runtime: places.runtime().to_owned(),
        state: places.state().to_owned(),
    });

    let because = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        result = &mut driver => {
            places::tidy_up(&places);
            return result.context("the driver panicked")?.context("the driver failed");
        }
        Some(result) = servers.join_next() => {
            places::tidy_up(&places);
            result.context("a listener panicked")?.context("a listener failed")?;
            anyhow::bail!("a listener ended by itself");
        }
    };
    tracing::info!(because, "the broker ends");
    let stop = Input::Stop { because: format!("the broker ends: {because}") };
    // The session first: its end in order is what matters.
    if handle.tell(Command::Input(stop)).await.is_ok() {
        driver.await.context("the driver panicked")?.context("the driver failed")?;
    }
    end.send_replace(true);
    let drained =
        tokio::time::timeout(LAST_MESSAGES, async { while servers.join_next().await.is_some() {} });
    if drained.await.is_err() {
        servers.abort_all();
    }
    places::tidy_up(&places);
    Ok(())
}

/// The first address that the name has.
fn resolve(address: &str) -> anyhow::Result<SocketAddr> {
    let found = address
        .to_socket_addrs()
        .with_context(|| format!("resolve Gateway's address {address:?}"))?
        .min_by_key(|address| !address.is_ipv4());
    found.with_context(|| format!("Gateway's address {address:?} resolves to nothing"))
}

fn write_endpoints(places: &Places, tcp: Option<SocketAddr>) -> anyhow::Result<()> {
    let endpoints = serde_json::json!({
        "schema": 1,
        "pid": std::process::id(),
        "unix": places.socket(),
        "tcp": tcp.map(|address| address.to_string()),
    });
    places::write_private(&places.endpoints(), &format!("{endpoints}\n"))?;
    Ok(())
}

/// Feeds jitter and nothing else.
fn seed() -> u64 {
    fastrand::u64(..)
}
