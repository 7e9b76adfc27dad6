//! What is asked of Gateway through the broker: history, books, accounts, news.

use std::time::Duration;

use clap::{ArgGroup, Args as ClapArgs, Subcommand};

use super::periods::{size, span};
use super::values::{duration, price};

/// What is asked of Gateway.
#[derive(Debug, Subcommand)]
pub(crate) enum Read {
    /// Print or plot bars of the past.
    Bars(Bars),
    /// Show the order book as it changes.
    Depth(Depth),
    /// Rank the market: the top gainers, or any other scanner.
    Scan(Scan),
    /// Say what a symbol is: name, ids, hours, exchanges.
    Contract {
        #[command(flatten)]
        symbol: Symbol,
    },
    /// Look for symbols by their beginning, or by the company's name.
    Search {
        /// Beginning of a symbol, or part of a name.
        text: String,
    },
    /// Show balances and margins.
    Account(Account),
    /// List positions.
    Positions(Positions),
    /// Show profit and loss of the day.
    Pnl(Pnl),
    /// List executions with their commissions.
    Executions(Executions),
    /// Headlines about a symbol, articles, bulletins.
    News(News),
    /// List the requests that wait for their turn at Gateway.
    Queue(Queue),
    /// Watch clients, lines, rates, queue and latency.
    Top(Top),
}

/// The symbol that a command is about.
#[derive(Debug, ClapArgs)]
pub(crate) struct Symbol {
    /// A US stock (AAPL), or a currency pair (EUR.USD).
    #[arg(value_name = "SYMBOL")]
    pub(crate) symbol: String,
}

/// `ibouncer bars`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Bars {
    #[command(flatten)]
    pub(crate) symbol: Symbol,
    /// How far back, such as 6h, 1D, 2W, 3M (months), 1Y.
    #[arg(long, default_value = "1D", value_name = "SPAN", value_parser = span)]
    pub(crate) duration: String,
    /// How long a bar is, such as 30s, 1m, 1h, 1D.
    #[arg(long, default_value = "5m", value_name = "SIZE", value_parser = size)]
    pub(crate) size: String,
    /// TRADES, MIDPOINT, BID, ASK, … [default: TRADES, of currency pairs MIDPOINT].
    #[arg(long, value_name = "WHAT")]
    pub(crate) what: Option<String>,
    /// Regular trading hours only.
    #[arg(long)]
    pub(crate) rth: bool,
    /// Up to then, as in "20260301 16:00:00 US/Eastern" [default: now].
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Print comma-separated values.
    #[arg(long, conflicts_with_all = ["plot", "json"])]
    pub(crate) csv: bool,
    /// Draw candles, as wide as the terminal.
    #[arg(long, conflicts_with = "json")]
    pub(crate) plot: bool,
}

/// `ibouncer depth`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Depth {
    #[command(flatten)]
    pub(crate) symbol: Symbol,
    /// Rows of each side.
    #[arg(long, default_value_t = 10, value_name = "N",
          value_parser = clap::value_parser!(i32).range(1..=200))]
    pub(crate) rows: i32,
    /// Merge the books of all exchanges; that is so for stocks, unless --exchange is given.
    #[arg(long)]
    pub(crate) smart: bool,
    /// The book of this exchange, such as ISLAND.
    #[arg(long, value_name = "NAME")]
    pub(crate) exchange: Option<String>,
    /// Stop after this time, such as 5s [default: until Ctrl-C].
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) period: Option<Duration>,
}

/// `ibouncer scan`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Scan {
    /// What to rank by.
    #[arg(long, default_value = "TOP_PERC_GAIN", value_name = "CODE")]
    pub(crate) code: String,
    /// Kind of instrument.
    #[arg(long, default_value = "STK", value_name = "KIND")]
    pub(crate) instrument: String,
    /// Where to look.
    #[arg(long, default_value = "STK.US.MAJOR", value_name = "PLACE")]
    pub(crate) location: String,
    /// Length of the list; Gateway gives 50 at most.
    #[arg(long, default_value_t = 20, value_name = "N",
          value_parser = clap::value_parser!(i32).range(1..=50))]
    pub(crate) rows: i32,
    /// Only above this price.
    #[arg(long, value_name = "PRICE", value_parser = price)]
    pub(crate) above_price: Option<f64>,
    /// Only below this price.
    #[arg(long, value_name = "PRICE", value_parser = price)]
    pub(crate) below_price: Option<f64>,
    /// Only above this volume of the day.
    #[arg(long, value_name = "N")]
    pub(crate) above_volume: Option<i64>,
    /// Print what can be scanned for, as Gateway's XML.
    #[arg(long)]
    pub(crate) parameters: bool,
}

/// Which account, and how it is shown.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct Whose {
    /// Only this account, in full or as it is shown.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// Show accounts in full.
    #[arg(long)]
    pub(crate) show_accounts: bool,
}

/// `ibouncer account`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Account {
    #[command(flatten)]
    pub(crate) whose: Whose,
    /// Everything that Gateway says, balances by currency included.
    #[arg(long)]
    pub(crate) all: bool,
}

/// `ibouncer positions`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Positions {
    #[command(flatten)]
    pub(crate) whose: Whose,
}

/// `ibouncer pnl`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Pnl {
    #[command(flatten)]
    pub(crate) whose: Whose,
    /// Go on with every change.
    #[arg(long)]
    pub(crate) watch: bool,
    /// Stop after this time, such as 5s [default: until Ctrl-C].
    #[arg(long = "for", value_name = "TIME", value_parser = duration, requires = "watch")]
    pub(crate) period: Option<Duration>,
}

/// `ibouncer executions`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Executions {
    #[command(flatten)]
    pub(crate) whose: Whose,
    /// Of so many days [default: today].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=7))]
    pub(crate) days: Option<i32>,
    /// Only of this symbol.
    #[arg(long, value_name = "SYMBOL")]
    pub(crate) symbol: Option<String>,
}

/// `ibouncer news`.
#[derive(Debug, ClapArgs)]
#[command(
    args_conflicts_with_subcommands = true,
    group = ArgGroup::new("what").required(true).args(["symbol", "providers", "bulletins"])
)]
pub(crate) struct News {
    /// Headlines about this symbol.
    #[arg(value_name = "SYMBOL")]
    pub(crate) symbol: Option<String>,
    /// How many headlines.
    #[arg(long, default_value_t = 20, value_name = "N", requires = "symbol",
          value_parser = clap::value_parser!(i32).range(1..=300))]
    pub(crate) count: i32,
    /// List the providers that the login may read.
    #[arg(long)]
    pub(crate) providers: bool,
    /// Print bulletins of exchanges and of IB as they come.
    #[arg(long)]
    pub(crate) bulletins: bool,
    /// Stop after this time, such as 5s [default: until Ctrl-C].
    #[arg(long = "for", value_name = "TIME", value_parser = duration, requires = "bulletins")]
    pub(crate) period: Option<Duration>,
    #[command(subcommand)]
    pub(crate) command: Option<NewsCommand>,
}

/// `ibouncer news article`.
#[derive(Debug, Subcommand)]
pub(crate) enum NewsCommand {
    /// Print one article.
    Article {
        /// The provider's code, such as BRFG.
        provider: String,
        /// The article's id, as headlines show it.
        id: String,
    },
}

/// `ibouncer queue`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Queue {
    /// Only requests of the client of this name.
    #[arg(long, value_name = "NAME")]
    pub(crate) client: Option<String>,
}

/// `ibouncer top`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Top {
    /// Stop after this time, such as 5s [default: until q or Ctrl-C].
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) period: Option<Duration>,
    /// Show accounts in full.
    #[arg(long)]
    pub(crate) show_accounts: bool,
}
