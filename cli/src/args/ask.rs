//! What is asked of a running broker about itself and the session.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};

use super::read::Read;
use super::trade::Trade;
use super::values::{FeedName, duration};

/// What is asked of a running broker.
#[derive(Debug, Subcommand)]
pub(crate) enum Ask {
    /// Say what state the session is in, since when, why, and what happens next.
    Status {
        /// Go on with every change.
        #[arg(long)]
        watch: bool,
    },
    /// Wait until the session is READY; also for a broker that is still starting.
    WaitReady {
        /// How long at most, such as 90s or 5m.
        #[arg(long, default_value = "60s", value_parser = duration)]
        timeout: Duration,
    },
    /// List the accounts of the login.
    Accounts {
        /// Show them in full.
        #[arg(long)]
        show_accounts: bool,
    },
    /// Print market data as it comes.
    Quotes(Quotes),
    #[command(flatten)]
    Read(Read),
    #[command(flatten)]
    Trade(Trade),
    /// List the connected clients.
    Clients,
    /// List the lines at Gateway, and who shares them.
    Lines {
        /// Show accounts in full.
        #[arg(long)]
        show_accounts: bool,
    },
    /// Show who holds Gateway's port and who connects to it, without a packet.
    Connections(Connections),
    /// Orders to the worker, the process that holds the session.
    #[command(subcommand)]
    Worker(Worker),
    /// Orders to the session: hold it, release it.
    #[command(subcommand)]
    Session(Session),
    /// Let another build of the broker take over, without ending the session.
    Handover {
        /// The binary [default: the broker's own, as it is on disk now].
        #[arg(long, value_name = "PATH")]
        binary: Option<PathBuf>,
    },
    /// Say what happened.
    Events {
        /// Go on with what happens.
        #[arg(short, long)]
        follow: bool,
        /// Only events after this number.
        #[arg(long, default_value_t = 0, value_name = "N")]
        after: u64,
    },
    /// End waiting with one attempt now.
    Retry {
        /// Why; goes to the log.
        #[arg(long, default_value = "")]
        reason: String,
    },
}

/// `ibouncer quotes`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Quotes {
    /// US stocks (AAPL), or currency pairs (EUR.USD).
    #[arg(required = true, value_name = "SYMBOL")]
    pub(crate) symbols: Vec<String>,
    /// Stop after this time, such as 5s [default: until Ctrl-C].
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) period: Option<Duration>,
    /// Which data to ask Gateway for.
    #[arg(long, value_enum, default_value_t = FeedName::Live)]
    pub(crate) feed: FeedName,
}

/// `ibouncer connections`. Asks the broker; without one, or with a flag of its own, it looks
/// itself.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct Connections {
    /// Look at this Gateway or TWS instead of asking the broker; without a broker [default:
    /// 127.0.0.1:4002].
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) gateway: Option<String>,
    /// How Gateway is reached: auto, local, relayed, remote, none; looks instead of asking the
    /// broker [default: auto].
    #[arg(long, value_name = "HOW")]
    pub(crate) eyes: Option<ibouncer_eyes::Setting>,
}

/// `ibouncer session`.
#[derive(Debug, Subcommand)]
pub(crate) enum Session {
    /// Make no attempts until `release`, over restarts of the broker.
    Hold {
        /// Why; kept, and shown in status.
        #[arg(long)]
        reason: String,
        /// Do it even if that ends a session that is READY.
        #[arg(long)]
        drop_live_session: bool,
    },
    /// End the hold; the session goes on as after a start of the broker.
    Release {
        /// Why; goes to the log.
        #[arg(long, default_value = "")]
        reason: String,
    },
}

/// `ibouncer worker`.
#[derive(Debug, Subcommand)]
pub(crate) enum Worker {
    /// End the worker; the next one follows at once.
    Restart {
        /// Why; goes to the log.
        #[arg(long)]
        reason: String,
        /// Do it even if that ends a session that is READY.
        #[arg(long)]
        drop_live_session: bool,
    },
}
