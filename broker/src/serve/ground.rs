//! What must stand before anything is served: private folders, Gateway's address, the locks that
//! make us the only broker, and what is remembered.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use anyhow::Context as _;
use ibouncer_core::Settings;
use ibouncer_core::ledger::Ledger;
use ibouncer_core::orders::journal::Loaded;
use ibouncer_proto::places::Places;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::config::{Config, VolatileState};
use crate::journal::Journal;
use crate::ledger::{LedgerFile, MovedAside};
use crate::places::{self, Lock, Locks};
use crate::turn::Turn;

/// A descriptor for each client: the usual soft limit of 1024 is soon reached, and the hard one is
/// what the system's operator allows.
pub(super) fn take_all_descriptors() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::debug!(%error, "the limit of descriptors stays as it is");
    }
}

/// The ground. The locks are held as long as it is.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) gateway: SocketAddr,
    pub(super) locks: Locks,
    pub(super) ledger: Ledger,
    /// A ledger that could not be trusted: attempts, and an operator's hold, are forgotten.
    pub(super) lost: Option<MovedAside>,
    /// What others are told of us.
    who: String,
    _held: Vec<Lock>,
}

impl Ground {
    /// Makes and takes all of it, or says who stands there already.
    pub(super) fn stand_on(
        config: &Config,
        places: &Places,
        locks: PathBuf,
    ) -> anyhow::Result<Self> {
        let client_id = config.gateway.client_id;
        let gateway = resolve(&config.gateway.address)?;
        places::runtime_folder(places.runtime(), config.socket_mode()?)?;
        for folder in [places.state(), &places.worker_logs()] {
            places::private_folder(folder)?;
        }
        let who = format!(
            "instance {}, pid {}, runtime folder {}",
            places.instance(),
            std::process::id(),
            places.runtime().display()
        );
        let own = Locks::new(locks, gateway, client_id)?;
        let mut held = vec![own.take(gateway, client_id, &who)?];
        if let Some(id) = config.alternate_client_id() {
            held.push(own.of_id(id).take(gateway, id, &who)?);
        }
        held.push(own.take_runtime(places.runtime(), &who)?);
        let (ledger, lost) = LedgerFile::at(own.ledger()).read(gateway);
        if std::process::id() == 1 {
            tracing::warn!(
                "this broker is PID 1: when it ends, the system ends its worker with it, so a live \
                 session cannot outlive it; run it under an init, and use ibouncer handover"
            );
        }
        Ok(Self { gateway, locks: own, ledger, lost, who, _held: held })
    }

    pub(super) fn ledger_file(&self) -> LedgerFile {
        LedgerFile::at(self.locks.ledger())
    }

    pub(super) fn turn(&self) -> Turn {
        Turn::new(&self.locks, self.gateway, &self.who)
    }

    /// The journal of orders and what it holds; nothing is made while trading is off.
    pub(super) fn open_journal(
        &self,
        config: &Config,
        places: &Places,
    ) -> anyhow::Result<(Option<Journal>, Loaded)> {
        if !config.trading.enabled {
            return Ok((None, Loaded::default()));
        }
        let path = places::journal(places.state(), self.gateway, config.gateway.client_id);
        let opened = Journal::open(&path).context("start the thread of the journal of orders");
        let (journal, loaded) = opened?;
        if let Some(damaged) = &loaded.damaged {
            tracing::error!(damaged, "no order is taken; data is served");
        }
        Ok((Some(journal), loaded))
    }

    /// What the machines are told.
    pub(super) fn settings(&self, config: &Config, places: &Places) -> anyhow::Result<Settings> {
        let lock = self.locks.worker();
        let lock = lock.to_str().context("the lock folder's path is not UTF-8")?;
        let mut settings = config.settings(places.instance(), self.gateway, lock);
        if config.trading.volatile_state == VolatileState::Halt {
            settings.trading.volatile = places::volatile(places.state());
        }
        Ok(settings)
    }
}

/// The first address that the name has.
pub(super) fn resolve(address: &str) -> anyhow::Result<SocketAddr> {
    let found = address
        .to_socket_addrs()
        .with_context(|| format!("resolve Gateway's address {address:?}"))?
        .min_by_key(|address| !address.is_ipv4());
    found.with_context(|| format!("Gateway's address {address:?} resolves to nothing"))
}

/// Programs of this host find the plain listener here; for TLS they must be told whom to trust.
pub(super) fn write_endpoints(
    places: &Places,
    tcp: Option<SocketAddr>,
    tls: bool,
) -> anyhow::Result<()> {
    let address = tcp.map(|address| address.to_string());
    let (tcp, tls) = if tls { (None, address) } else { (address, None) };
    let endpoints = serde_json::json!({
        "schema": 1,
        "pid": std::process::id(),
        "unix": places.socket(),
        "tcp": tcp,
        "tls": tls,
    });
    places::write_private(&places.endpoints(), &format!("{endpoints}\n"))?;
    Ok(())
}
