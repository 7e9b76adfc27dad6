//! The command line. What is not named here has its default from [`ibouncer_client::places`].

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand};
use clap_complete::Shell;
use ibouncer_client::Options;
use ibouncer_doctor::Setting;
use ibouncer_gateway_sim::SimArgs;

mod values;

pub(crate) use values::FeedName;
use values::{client_id, duration, eyes, reason, some_time};

/// One Gateway login, every strategy.
#[derive(Debug, Parser)]
#[command(
    name = "ibouncer",
    version,
    about = "One Gateway login, every strategy: the PgBouncer of Interactive Brokers' Gateway",
    after_help = EXIT_CODES,
    max_term_width = 80,
    propagate_version = true
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Global {
    /// Folder of the sockets [default: $XDG_RUNTIME_DIR/ibouncer].
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub(crate) runtime_dir: Option<PathBuf>,
    /// Folder of what is kept [default: ~/.local/state/ibouncer].
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Which broker, if several run here [default: default].
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub(crate) instance: Option<String>,
    /// Print JSON, errors included.
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// The broker's address: unix:/path, host:port or http://host:port.
    #[arg(long, global = true, hide = true, value_name = "ADDRESS")]
    pub(crate) target: Option<String>,
    /// Name under which the broker lists this client.
    #[arg(long, global = true, hide = true, value_name = "NAME")]
    pub(crate) client_name: Option<String>,
}

impl Global {
    /// How the SDK finds the broker.
    pub(crate) fn options(&self) -> Options {
        // A command ends with its broker, so that scripts notice.
        let mut options = Options::new().reconnect(false);
        if let Some(folder) = &self.runtime_dir {
            options = options.runtime_dir(folder);
        }
        if let Some(folder) = &self.state_dir {
            options = options.state_dir(folder);
        }
        if let Some(name) = &self.instance {
            options = options.instance(name);
        }
        if let Some(target) = &self.target {
            options = options.target(target);
        }
        if let Some(name) = &self.client_name {
            options = options.client_name(name);
        }
        options
    }
}

/// What to do. The order is that of `--help`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show it all on a simulated Gateway: sharing, a hang, the kill, the replacement.
    Demo(Demo),
    /// Run the broker: hold the session with Gateway and share it.
    Serve(Serve),
    /// Run a simulated Gateway, with faults on demand.
    Sim(Box<SimArgs>),
    /// Say why Gateway does not answer: looks first, then at most one handshake.
    Doctor(Box<Doctor>),
    #[command(flatten)]
    Ask(Ask),
    /// Collect what a support thread needs, with accounts and secrets left out.
    SupportBundle {
        /// Where to [default: ./ibouncer-support-TIME.tar.gz].
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        settings: Settings,
    },
    /// The configuration of the broker.
    #[command(subcommand)]
    Config(Config),
    /// The gRPC schema of this version.
    #[command(subcommand)]
    Schema(Schema),
    /// Print shell completions.
    Completions {
        /// For which shell.
        shell: Shell,
    },
}

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

/// `ibouncer doctor`.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Doctor {
    /// Gateway or TWS [default: the running broker's, or 127.0.0.1:4002].
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) gateway: Option<String>,
    /// Make one full handshake. Never while the broker's session is READY.
    #[arg(long)]
    pub(crate) active: bool,
    /// Try one client id after the other; shown only, unless --run is given.
    #[arg(long, value_name = "N,…", value_delimiter = ',', conflicts_with = "active")]
    pub(crate) client_ids: Vec<i32>,
    /// Try time-outs × client ids × version ranges × ways to close; shown only,
    /// unless --run is given.
    #[arg(long, conflicts_with = "active")]
    pub(crate) matrix: bool,
    /// Carry the row out: one at a time, within the budget, to the first silence.
    #[arg(long)]
    pub(crate) run: bool,
    /// Try although Gateway is wedged, the session held, or the budget used up.
    #[arg(long = "override", requires = "reason")]
    pub(crate) overridden: bool,
    /// Why; is kept with the attempt.
    #[arg(long, requires = "overridden", value_parser = reason)]
    pub(crate) reason: Option<String>,
    /// No step of a handshake takes longer than this [default: 5s TCP, 10s version, 15s ready].
    #[arg(long, value_name = "TIME", value_parser = some_time)]
    pub(crate) timeout: Option<Duration>,
    /// Client id of the handshake.
    #[arg(long, value_name = "N", default_value_t = 411, value_parser = client_id)]
    pub(crate) client_id: i32,
    /// Client id of the broker whose lock and budget are taken [default: the
    /// running broker's, or 410].
    #[arg(long, value_name = "N", value_parser = client_id)]
    pub(crate) broker_client_id: Option<i32>,
    /// How Gateway is reached: auto, local, relayed, remote, none.
    #[arg(long, value_name = "HOW", default_value = "auto", value_parser = eyes)]
    pub(crate) eyes: Setting,
}

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
    /// List the connected clients.
    Clients,
    /// List the market-data lines at Gateway, and who shares them.
    Lines,
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

const EXIT_CODES: &str = "\
Exit codes: 0 good, 1 the broker cannot be reached, 2 usage, 3 not ready,
4 Gateway is wedged or the session is held, 70 a fault of this program.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_anywhere() {
        for line in ["ibouncer --json status", "ibouncer status --json"] {
            let args = Args::try_parse_from(line.split(' ')).unwrap();
            assert!(args.global.json, "{line}");
        }
    }

    #[test]
    fn an_override_needs_its_reason_and_a_reason_its_override() {
        let parse = |line: &str| Args::try_parse_from(line.split(' '));
        assert!(parse("ibouncer doctor --active --override --reason seen").is_ok());
        for line in [
            "ibouncer doctor --active --override",
            "ibouncer doctor --active --reason seen",
            "ibouncer doctor --active --override --reason= ",
            "ibouncer doctor --active --matrix",
            "ibouncer doctor --client-id -1",
            "ibouncer doctor --active --timeout 0",
            "ibouncer doctor --eyes wide",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn help_fits_80_columns() {
        let mut command = Args::command().term_width(80);
        command.build();
        let mut helps = vec![command.render_long_help().to_string()];
        for sub in command.get_subcommands_mut() {
            helps.push(sub.render_long_help().to_string());
        }
        for line in helps.iter().flat_map(|help| help.lines()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
