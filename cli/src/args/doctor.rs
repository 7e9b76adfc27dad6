//! `ibouncer doctor`.

use std::time::Duration;

use clap::Args as ClapArgs;
use ibouncer_doctor::Setting;

use super::values::{client_id, eyes, reason, some_time};

/// What the doctor may do, and to whom.
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
    /// Client id of the broker whose locks are taken [default: the
    /// running broker's, or 410].
    #[arg(long, value_name = "N", value_parser = client_id)]
    pub(crate) broker_client_id: Option<i32>,
    /// How Gateway is reached: auto, local, relayed, remote, none.
    #[arg(long, value_name = "HOW", default_value = "auto", value_parser = eyes)]
    pub(crate) eyes: Setting,
}
