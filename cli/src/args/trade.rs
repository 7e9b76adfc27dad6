//! Orders, and who may send them.

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use ibouncer_client::api::Resolution;

use super::read::{Symbol, Whose};
use super::values::price;

/// What sends, and what says who may.
#[derive(Debug, Subcommand)]
pub(crate) enum Trade {
    /// Place an order; answers once it has left for Gateway.
    Place(Place),
    /// Change price, quantity or time in force of a live order; answers once it has left.
    Modify(Modify),
    /// Cancel an order of yours, or all of them.
    Cancel(Cancel),
    /// List open orders, whoever placed them; watch yours; resolve one.
    Orders(Box<Orders>),
    /// Halt and resume trading, and say how it stands.
    #[command(subcommand)]
    Trading(Trading),
    /// Say who you are for the broker, and what you may do.
    Whoami,
}

/// `ibouncer place`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Place {
    /// What to do.
    #[arg(value_enum)]
    pub(crate) action: Action,
    /// How much, such as 100.
    pub(crate) quantity: String,
    #[command(flatten)]
    pub(crate) symbol: Symbol,
    /// At this price or better [default: at the market].
    #[arg(long, value_name = "PRICE", value_parser = price)]
    pub(crate) limit: Option<f64>,
    /// Once this price is touched.
    #[arg(long, value_name = "PRICE", value_parser = price)]
    pub(crate) stop: Option<f64>,
    /// How long it is good: DAY, GTC, IOC, FOK, …
    #[arg(long, value_name = "TIF", default_value = "DAY")]
    pub(crate) tif: String,
    /// Also outside regular trading hours.
    #[arg(long)]
    pub(crate) outside_rth: bool,
    /// Into this account; needed if the login has several.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// Its name: the same name is the same order [default: made up].
    #[arg(long, value_name = "NAME")]
    pub(crate) id: Option<String>,
    /// Ask for margin and commission only; nothing is placed.
    #[arg(long)]
    pub(crate) preview: bool,
    /// Wait for its end.
    #[arg(long, conflicts_with = "preview")]
    pub(crate) wait: bool,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Action {
    Buy,
    Sell,
}

/// `ibouncer modify`.
#[derive(Debug, ClapArgs)]
#[command(override_usage = "ibouncer modify [OPTIONS] <--quantity|--limit|--stop|--tif> <ID>")]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true)
    .args(["quantity", "limit", "stop", "tif"]))]
pub(crate) struct Modify {
    /// The order's name, as `ibouncer orders --mine` shows it.
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// How much in all, what has filled included.
    #[arg(long, value_name = "QUANTITY")]
    pub(crate) quantity: Option<String>,
    /// At this price or better.
    #[arg(long, value_name = "PRICE", value_parser = price)]
    pub(crate) limit: Option<f64>,
    /// Once this price is touched.
    #[arg(long, value_name = "PRICE", value_parser = price)]
    pub(crate) stop: Option<f64>,
    /// How long it is good: DAY, GTC, IOC, FOK, …
    #[arg(long, value_name = "TIF")]
    pub(crate) tif: Option<String>,
    /// Of this client; for administrators, with a reason, within that client's limits.
    #[arg(long, value_name = "CLIENT", requires = "reason")]
    pub(crate) owner: Option<String>,
    /// Why; goes to the audit log.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// `ibouncer cancel`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Cancel {
    /// The order's name, as `ibouncer orders --mine` shows it.
    #[arg(value_name = "ID", required_unless_present_any = ["all", "every_order"])]
    pub(crate) id: Option<String>,
    /// All open orders of yours, or of --owner; ends with 3 if some of them cannot be reached.
    #[arg(long, conflicts_with = "id")]
    pub(crate) all: bool,
    /// Of this client; for administrators, with a reason.
    #[arg(long, value_name = "CLIENT", requires = "reason")]
    pub(crate) owner: Option<String>,
    /// Every order of the login, by hand and of other programs too; for administrators. Type
    /// "cancel every order of every program" behind it.
    #[arg(long, value_name = "WORDS", requires = "reason", conflicts_with_all = ["id", "all"])]
    pub(crate) every_order: Option<String>,
    /// Why; goes to the audit log.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// `ibouncer orders`.
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Orders {
    #[command(flatten)]
    pub(crate) whose: Whose,
    /// Those that are filled or cancelled, as Gateway lists them.
    #[arg(long)]
    pub(crate) completed: bool,
    /// Those that went through this broker, by name and owner.
    #[arg(long)]
    pub(crate) broker: bool,
    /// Yours only.
    #[arg(long, conflicts_with = "completed")]
    pub(crate) mine: bool,
    /// With --mine or --broker: also those that have ended.
    #[arg(long, conflicts_with = "completed")]
    pub(crate) ended: bool,
    /// Go on with what happens to them.
    #[arg(long, conflicts_with_all = ["completed", "ended"])]
    pub(crate) watch: bool,
    #[command(subcommand)]
    pub(crate) order: Option<OrdersCommand>,
}

/// `ibouncer orders resolve`.
#[derive(Debug, Subcommand)]
pub(crate) enum OrdersCommand {
    /// Say what became of an order that is UNKNOWN.
    Resolve {
        /// Its name.
        #[arg(value_name = "ID")]
        id: String,
        /// Whose it is.
        #[arg(long, value_name = "CLIENT")]
        owner: String,
        /// What became of it.
        #[arg(long = "as", value_enum)]
        as_what: Fate,
        /// How you know; goes to the audit log.
        #[arg(long)]
        reason: String,
    },
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fate {
    Filled,
    Cancelled,
    NeverArrived,
}

impl From<Fate> for Resolution {
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Filled => Self::Filled,
            Fate::Cancelled => Self::Cancelled,
            Fate::NeverArrived => Self::NeverArrived,
        }
    }
}

/// `ibouncer trading`.
#[derive(Debug, Subcommand)]
pub(crate) enum Trading {
    /// Say whether orders are taken, and if not, why.
    Status,
    /// Refuse new and changed orders until `resume`, over restarts; cancels pass.
    Halt {
        /// Only of this client [default: of all].
        #[arg(long, value_name = "CLIENT", default_value = "")]
        client: String,
        /// Cancel what is open, too.
        #[arg(long)]
        cancel_open: bool,
        /// Why; kept, and told to whoever is refused.
        #[arg(long)]
        reason: String,
    },
    /// End a halt.
    Resume {
        /// The halt of this client [default: of all].
        #[arg(long, value_name = "CLIENT", default_value = "")]
        client: String,
        /// Why; goes to the audit log.
        #[arg(long)]
        reason: String,
    },
    /// Take the journal of orders as it is for the accounts that Gateway shows.
    AdoptState {
        /// What you looked at; goes to the audit log.
        #[arg(long)]
        reason: String,
    },
}
