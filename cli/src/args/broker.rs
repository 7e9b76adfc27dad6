//! Commands that run a broker, or need none.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};

use super::values::duration;

/// `ibouncer demo`.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Demo {
    /// End after this time [default: 15s, and in a terminal: never].
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) period: Option<Duration>,
}

/// `ibouncer serve`.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// End when stdin is closed: for a parent that must leave nothing behind.
    #[arg(long, hide = true)]
    pub(crate) until_stdin_closes: bool,
    /// Only say whether this build could take over from a running broker.
    #[arg(long, hide = true)]
    pub(crate) prove: bool,
}

/// Where the broker's configuration comes from: flag over environment over file over default.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct Settings {
    /// Configuration file [default: $XDG_CONFIG_HOME/ibouncer/config.toml].
    #[arg(long, value_name = "FILE", env = "IBOUNCER_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Gateway or TWS [default: 127.0.0.1:4002].
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) gateway: Option<String>,
    /// Client id of the one connection [default: 410].
    #[arg(long, value_name = "N")]
    pub(crate) client_id: Option<i32>,
    /// How long a whole handshake may take, and so each step [default: 30s].
    #[arg(long, value_name = "DURATION")]
    pub(crate) handshake_timeout: Option<String>,
    /// Any other setting, as in --set pacing.lines=200; see `config show`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

/// `ibouncer config`.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Say whether the configuration is good.
    Check {
        #[command(flatten)]
        settings: Settings,
    },
    /// Write a configuration file that names every key.
    Init {
        /// Where to [default: where `serve` looks for it].
        file: Option<PathBuf>,
    },
    /// Show every setting, and where its value comes from.
    Show {
        #[command(flatten)]
        settings: Settings,
    },
}

/// `ibouncer schema`.
#[derive(Debug, Subcommand)]
pub(crate) enum Schema {
    /// Write the .proto files into a folder.
    Export {
        /// The folder; made if it is missing.
        dir: PathBuf,
        /// Overwrite files that differ.
        #[arg(long)]
        force: bool,
    },
}
