//! The command line. What is not named here has its default from [`ibouncer_client::places`].
//!
//! - [`broker`], [`doctor`]: commands that run a broker, or need none.
//! - [`ask`]: what is asked about the broker and the session.
//! - [`read`]: what is asked of Gateway. [`trade`]: what is sent, and by whom.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use clap_complete::Shell;
use ibouncer_client::Options;
use ibouncer_gateway_sim::SimArgs;

mod ask;
mod broker;
mod doctor;
mod periods;
mod read;
mod trade;
mod values;

pub(crate) use ask::{Ask, Connections, Quotes, Session, Worker};
pub(crate) use broker::{Config, Demo, Schema, Serve, Settings};
pub(crate) use doctor::Doctor;
pub(crate) use read::{
    Account, Bars, Depth, Executions, News, NewsCommand, Pnl, Positions, Read, Scan, Top, Whose,
};
pub(crate) use trade::{Action, Cancel, Modify, Orders, OrdersCommand, Place, Trade, Trading};

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
    /// The broker's address: unix:/path, host:port, http://host:port or https://host:port.
    #[arg(long, global = true, hide = true, value_name = "ADDRESS")]
    pub(crate) target: Option<String>,
    /// Which [clients.NAME] to be, if your user is several; NAME-2 for an instance of it. Else the
    /// name under which the broker lists this command.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
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
