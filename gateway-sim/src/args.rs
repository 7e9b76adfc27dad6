//! Flags of `ibouncer sim`, and the settings that they make.
//!
//! The only place that knows flags. What a setting means is said in `config.rs`.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use crate::config::{GatewayConfig, Rate, SERVER_VERSION, SimConfig};
use crate::fault::{Fault, FaultSpec};
use crate::happening::{self, Scheduled};
use crate::limits::{Limit, LimitSpec, Limits};
use crate::seeds;

/// Runs a simulated IB Gateway on loopback, with faults on demand.
#[derive(Debug, Clone, Args)]
#[command(after_help = after_help())]
pub struct SimArgs {
    /// Where to listen; loopback addresses only, port 0 lets the system choose
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4002", value_parser = loopback)]
    pub listen: SocketAddr,

    /// Length of the kernel's accept queue
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub backlog: u32,

    /// Put a relay in front, as socat or docker-proxy would be, and announce its address
    #[arg(long)]
    pub relay: bool,

    /// End after this time; otherwise on SIGINT or SIGTERM
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub run_for: Option<Duration>,

    /// Highest server version to speak; below 213 only handshake and time work
    #[arg(long, value_name = "N", default_value_t = SERVER_VERSION,
          value_parser = clap::value_parser!(i32).range(100..=999))]
    pub server_version: i32,

    /// Accounts of the logged-in user
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', default_value = "DU0000001")]
    pub accounts: Vec<String>,

    /// Next valid order id
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub next_order_id: i32,

    /// Orders, cancels and exercises are refused with error 321
    #[arg(long)]
    pub read_only: bool,

    /// Limit and stop orders are filled only when told, by the happening fill
    #[arg(long)]
    pub manual_fills: bool,

    /// Orders of more than this are filled in parts, four at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub fill_part: u32,

    /// Between two parts
    #[arg(long, value_name = "DURATION", default_value = "50ms", value_parser = interval)]
    pub fill_interval: Duration,

    /// Let happen what lines on standard input say, each as WHAT of --happen
    #[arg(long)]
    pub control: bool,

    /// How long a client id stays taken after its connection was reset
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    pub hold_client_id: Duration,

    /// Seed of prices, sizes and random faults
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Ticks per second of each connection, over all of its lines; max: as fast as they are taken.
    /// Default: 5 for each line
    #[arg(long, alias = "rate", value_name = "N|max")]
    pub ticks_per_second: Option<Rate>,

    /// Every tick is a price tick (4, or 68 when delayed) whose price is CLOCK_MONOTONIC in
    /// nanoseconds and whose size counts the ticks of its line from 1; lines begin without image
    #[arg(long)]
    pub stamp: bool,

    /// From a snapshot request to its end; about 11s at a real Gateway
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    pub snapshot_delay: Duration,

    /// Snapshots with generic ticks are error 321, as at a real Gateway
    #[arg(long)]
    pub strict_snapshots: bool,

    /// From a request for historical bars or ticks to its answer
    #[arg(long, value_name = "DURATION", default_value = "20ms", value_parser = humantime::parse_duration)]
    pub history_delay: Duration,

    /// Between two changes of a book of market depth
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = interval)]
    pub depth_interval: Duration,

    /// Between two ticks of a tick-by-tick subscription
    #[arg(long, value_name = "DURATION", default_value = "200ms", value_parser = interval)]
    pub tick_by_tick_interval: Duration,

    /// Between two real-time bars, whose times are five seconds apart in any case
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = interval)]
    pub bar_interval: Duration,

    /// Between two rounds of generic ticks and option computations of a line
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = interval)]
    pub generic_interval: Duration,

    /// Between two lists of a scanner
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = interval)]
    pub scanner_interval: Duration,

    /// Between two refreshes of account values and summaries
    #[arg(long, value_name = "DURATION", default_value = "180s", value_parser = interval)]
    pub account_refresh: Duration,

    /// Between two profits and losses of a subscription
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval)]
    pub pnl_interval: Duration,

    /// Account updates of another account are refused (2101); otherwise they take over (2100)
    #[arg(long)]
    pub keep_account_updates: bool,

    /// No orders and no executions from before the start
    #[arg(long, conflicts_with = "own_client_id")]
    pub no_orders: bool,

    /// Client id of the orders and executions that are ours; otherwise that of whoever comes first
    #[arg(long, value_name = "N")]
    pub own_client_id: Option<i32>,

    /// Instruments that may be subscribed at a time
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub lines: usize,

    /// Symbols without permission for live data: error 354, or delayed data if asked for
    #[arg(long, value_name = "SYMBOL,…", value_delimiter = ',', default_value = "NOPERM")]
    pub no_permission: Vec<String>,

    /// Symbols whose market data is refused with this error, such as AAPL=10197
    #[arg(long, value_name = "SYMBOL=CODE,…", value_delimiter = ',', value_parser = refusal)]
    pub refuse: Vec<(String, i32)>,

    /// Bytes that may wait for a slow reader before ticks are dropped, such as 16MiB
    #[arg(long, value_name = "BYTES", default_value = "16MiB", value_parser = bytes)]
    pub queue_limit: usize,

    /// Messages that may wait for a slow reader before the first half of them is dropped
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub output_limit: usize,

    /// Set one of Gateway's limits, such as account_summaries=1 or message_rate=off; repeat for more
    #[arg(long = "limit", value_name = "NAME=N|off")]
    pub limits: Vec<LimitSpec>,

    /// Messages above the maximum rate are error 100, and the third time the end; otherwise they wait
    #[arg(long)]
    pub reject_above_rate: bool,

    /// Let this happen, so long after the start; repeat for more
    #[arg(long = "happen", value_name = "TIME:WHAT")]
    pub happenings: Vec<Scheduled>,

    /// Fail like this, for the first N connections or for all; repeat for faults in turn
    #[arg(long = "fault", value_name = "NAME[:N]")]
    pub faults: Vec<FaultSpec>,

    /// Pause between two bytes of the fault slow-drip
    #[arg(long, value_name = "DURATION", default_value = "50ms", value_parser = humantime::parse_duration)]
    pub drip: Duration,
}

impl SimArgs {
    /// The settings that these flags make.
    pub fn config(&self) -> SimConfig {
        let defaults = GatewayConfig::default();
        let mut lines = self.lines;
        let mut connection_limit = defaults.connection_limit;
        let mut limits = Limits::default();
        for LimitSpec { limit, value } in self.limits.iter().copied() {
            match limit {
                Limit::MarketDataLines => lines = value as usize,
                Limit::Connections => connection_limit = value as usize,
                _ => limits = limits.with(limit, value),
            }
        }
        SimConfig {
            listen: self.listen,
            backlog: self.backlog,
            relay: self.relay,
            gateway: GatewayConfig {
                server_version: self.server_version,
                accounts: self.accounts.clone(),
                next_order_id: self.next_order_id,
                read_only: self.read_only,
                manual_fills: self.manual_fills,
                fill_part: self.fill_part,
                fill_interval: self.fill_interval,
                hold_client_id: self.hold_client_id,
                seed: self.seed,
                rate: self.ticks_per_second.unwrap_or(defaults.rate),
                stamp: self.stamp,
                snapshot_delay: self.snapshot_delay,
                strict_snapshots: self.strict_snapshots,
                history_delay: self.history_delay,
                depth_interval: self.depth_interval,
                tick_by_tick_interval: self.tick_by_tick_interval,
                bar_interval: self.bar_interval,
                generic_interval: self.generic_interval,
                scanner_interval: self.scanner_interval,
                account_refresh: self.account_refresh,
                pnl_interval: self.pnl_interval,
                account_updates_switch: !self.keep_account_updates,
                orders: if self.no_orders { Vec::new() } else { seeds::usual_orders() },
                executions: if self.no_orders { Vec::new() } else { seeds::usual_executions() },
                own_client_id: self.own_client_id,
                lines,
                no_permission: self.no_permission.clone(),
                refused: self.refuse.clone(),
                drip: self.drip,
                queue_limit: self.queue_limit,
                faults: self.faults.clone(),
                connection_limit,
                output_limit: self.output_limit,
                limits,
                reject_above_rate: self.reject_above_rate,
                happenings: self.happenings.clone(),
                ..defaults
            },
        }
    }
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "expected ADDRESS:PORT, such as 127.0.0.1:4002".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("the simulator listens on loopback only, such as 127.0.0.1".to_owned())
    }
}

/// A pause between turns; none would be a loop without end.
fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match interval {
        Duration::ZERO => Err("it must be longer than nothing, such as 100ms".to_owned()),
        interval => Ok(interval),
    }
}

fn refusal(text: &str) -> Result<(String, i32), String> {
    let parts = text.split_once('=').filter(|(symbol, _)| !symbol.is_empty());
    let read = parts.and_then(|(symbol, code)| Some((symbol.to_owned(), code.parse().ok()?)));
    read.ok_or_else(|| "expected SYMBOL=CODE, such as AAPL=10197".to_owned())
}

fn bytes(text: &str) -> Result<usize, String> {
    let (number, unit) = match text.find(|letter: char| !letter.is_ascii_digit()) {
        Some(place) => text.split_at(place),
        None => (text, ""),
    };
    let unit = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return Err("expected bytes, such as 65536, 64KiB or 16MiB".to_owned()),
    };
    let number: usize = number.parse().map_err(|_| "expected a number".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "that many bytes cannot be counted".to_owned())
}

fn after_help() -> String {
    let mut text = "Faults:\n".to_owned();
    for fault in Fault::ALL {
        let summary = fault.summary().trim();
        text.push_str(&format!("  {:<23} {summary}\n", fault.name()));
    }
    text.push_str("\nLimits, and what they are set to:\n");
    for limit in Limit::ALL {
        let (summary, usual) = (limit.summary().trim(), limit.usual());
        text.push_str(&format!("  {:<21} {usual:>3}  {summary}\n", limit.name()));
    }
    text.push_str("\nWhat can happen:\n");
    for form in happening::FORMS.split("; ").chain(happening::ORDER_FORMS.split("; ")) {
        text.push_str(&format!("  {form}\n"));
    }
    text.push_str(
        "\nEvents are lines of JSON on stdout:\n  \
         {\"event\":\"listening\",\"address\":…} comes first; then accepted, stage (opening, \
         version_sent,\n  api_started, ready, mute, close_wait), request, limit, closed, fault_set, \
         happened, order, ledger, refused_command, and stopped at the end.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        sim: SimArgs,
    }

    fn parse(flags: &[&str]) -> Result<SimConfig, String> {
        let words = std::iter::once(&"sim").chain(flags);
        match Cli::try_parse_from(words) {
            Ok(cli) => Ok(cli.sim.config()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn without_flags_the_defaults_hold() {
        let config = parse(&[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:4002");
        assert_eq!(config.gateway.rate, Rate::PerLine(5));
        assert_eq!(config.gateway.queue_limit, 16 << 20);
        assert_eq!(config.gateway.accounts, ["DU0000001"]);
    }

    #[test]
    fn rates_and_faults_are_read() {
        let config = parse(&["--ticks-per-second", "1_500_000"]).unwrap();
        assert_eq!(config.gateway.rate, Rate::PerConnection(1_500_000));
        let config = parse(&["--ticks-per-second", "max"]).unwrap();
        assert_eq!(config.gateway.rate, Rate::Max);
        let config = parse(&["--fault", "garbage:2", "--fault", "slow-drip"]).unwrap();
        assert_eq!(config.gateway.faults.len(), 2);
    }

    #[test]
    fn mistakes_say_what_would_be_right() {
        for (flags, wanted) in [
            (["--listen", "0.0.0.0:4002"], "loopback only"),
            (["--fault", "sleepy"], "never-accept, accept-and-mute"),
            (["--queue-limit", "3GB"], "16MiB"),
            (["--ticks-per-second", "fast"], "or max"),
            (["--refuse", "AAPL"], "AAPL=10197"),
        ] {
            let error = parse(&flags).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
