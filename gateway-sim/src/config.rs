//! Settings of a simulated Gateway, without any notion of where they come from.
//!
//! [`SimConfig`] is what the shell needs, [`GatewayConfig`] what the pure [`Gateway`] needs.
//! Defaults are those of the command line.
//!
//! [`Gateway`]: crate::Gateway

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use crate::fault::FaultSpec;
use crate::happening::Scheduled;
use crate::limits::Limits;
use crate::seeds::{self, SeedExecution, SeedOrder, SeedPosition};

/// Server version that a current Gateway answers.
pub const SERVER_VERSION: i32 = 226;

/// Settings of the TCP shell.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Where to listen; loopback only. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Length of the kernel's accept queue.
    pub backlog: u32,
    /// Put a relay in front, and announce its address.
    pub relay: bool,
    /// What the Gateway behind it is like.
    pub gateway: GatewayConfig,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            backlog: 50,
            relay: false,
            gateway: GatewayConfig::default(),
        }
    }
}

/// Settings of the pure Gateway.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Highest server version that it speaks.
    pub server_version: i32,
    /// Accounts of the logged-in user.
    pub accounts: Vec<String>,
    /// What it answers as next valid order id.
    pub next_order_id: i32,
    /// Everything that trades is error 321.
    pub read_only: bool,
    /// Only market orders, and those that must be filled at once, are filled by themselves; others
    /// when told.
    pub manual_fills: bool,
    /// An order of more than this is filled in parts, four at most.
    pub fill_part: u32,
    /// Between two parts.
    pub fill_interval: Duration,
    /// Connections at a time.
    pub connection_limit: usize,
    /// How long a client id stays taken after its connection was reset.
    pub hold_client_id: Duration,
    /// Seed of everything random.
    pub seed: u64,
    /// Ticks per second.
    pub rate: Rate,
    /// Ticks carry the time at which they were made and a counter, in place of market data.
    pub stamp: bool,
    /// From a snapshot request to its end.
    pub snapshot_delay: Duration,
    /// Snapshots with generic ticks are error 321, as at a real Gateway; otherwise the ticks of the
    /// moment come with them.
    pub strict_snapshots: bool,
    /// From a request for historical bars or ticks to its answer: so long it is open.
    pub history_delay: Duration,
    /// Between two changes of a book of market depth.
    pub depth_interval: Duration,
    /// Between two ticks of a tick-by-tick subscription.
    pub tick_by_tick_interval: Duration,
    /// Between two real-time bars; their times are five seconds apart in any case.
    pub bar_interval: Duration,
    /// Between two rounds of generic ticks and option computations of a line.
    pub generic_interval: Duration,
    /// Between two lists of a scanner.
    pub scanner_interval: Duration,
    /// Between two refreshes of account values and summaries.
    pub account_refresh: Duration,
    /// Between two profits and losses.
    pub pnl_interval: Duration,
    /// Account updates of another account take over (error 2100 for whoever had them); otherwise
    /// they are refused (error 2101).
    pub account_updates_switch: bool,
    /// What the accounts hold.
    pub positions: Vec<SeedPosition>,
    /// Orders that are open or completed.
    pub orders: Vec<SeedOrder>,
    /// What was executed before the start.
    pub executions: Vec<SeedExecution>,
    /// Client id of those orders and executions that are ours; `None`: of whoever starts the API
    /// first.
    pub own_client_id: Option<i32>,
    /// Instruments that may be subscribed at a time, over all connections.
    pub lines: usize,
    /// Symbols for which live data is refused.
    pub no_permission: Vec<String>,
    /// Symbols whose market data is refused with this code, such as 10197.
    pub refused: Vec<(String, i32)>,
    /// Pause between two bytes of the fault `slow-drip`.
    pub drip: Duration,
    /// Bytes that may wait for a slow reader before ticks are dropped.
    pub queue_limit: usize,
    /// Messages that may wait for a slow reader before the first half of them is dropped; not in
    /// stamp mode.
    pub output_limit: usize,
    /// Limits besides those of lines and connections.
    pub limits: Limits,
    /// Messages above the maximum rate are error 100, and the third time the end; otherwise they
    /// wait.
    pub reject_above_rate: bool,
    /// What happens, and when.
    pub happenings: Vec<Scheduled>,
    /// Faults, in order.
    pub faults: Vec<FaultSpec>,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            server_version: SERVER_VERSION,
            accounts: vec!["DU0000001".to_owned()],
            next_order_id: 1,
            read_only: false,
            manual_fills: false,
            fill_part: 100,
            fill_interval: Duration::from_millis(50),
            connection_limit: 32,
            hold_client_id: Duration::ZERO,
            seed: 1,
            rate: Rate::PerLine(5),
            stamp: false,
            snapshot_delay: Duration::from_secs(1),
            strict_snapshots: false,
            history_delay: Duration::from_millis(20),
            depth_interval: Duration::from_millis(250),
            tick_by_tick_interval: Duration::from_millis(200),
            bar_interval: Duration::from_secs(5),
            generic_interval: Duration::from_secs(5),
            scanner_interval: Duration::from_secs(30),
            account_refresh: Duration::from_secs(180),
            pnl_interval: Duration::from_secs(1),
            account_updates_switch: true,
            positions: seeds::usual_positions(),
            orders: seeds::usual_orders(),
            executions: seeds::usual_executions(),
            own_client_id: None,
            lines: 100,
            no_permission: vec!["NOPERM".to_owned()],
            refused: Vec::new(),
            drip: Duration::from_millis(50),
            queue_limit: 16 << 20,
            output_limit: 100_000,
            limits: Limits::default(),
            reject_above_rate: false,
            happenings: Vec::new(),
            faults: Vec::new(),
        }
    }
}

/// How many ticks a connection with at least one active line gets per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// So many for each of its lines.
    PerLine(u32),
    /// So many over all of its lines together.
    PerConnection(u64),
    /// As fast as the reader takes them.
    Max,
}

impl FromStr for Rate {
    type Err = String;

    /// A number is a rate per connection; `max` is [`Rate::Max`].
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.replace('_', "").parse() {
            Ok(rate) => Ok(Self::PerConnection(rate)),
            Err(_) => Err(format!("\"{text}\" is no rate; write ticks per second, or max")),
        }
    }
}

/// What the clocks showed at the Gateway's virtual time zero: the pure part has no clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockBase {
    /// Wall clock, Unix time in milliseconds.
    pub unix_millis: u64,
    /// CLOCK_MONOTONIC in nanoseconds.
    pub monotonic_nanos: u64,
}
