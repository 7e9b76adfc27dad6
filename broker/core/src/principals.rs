//! Who may do what: the configured clients, each with its role, what it may touch, and its
//! limits.
//!
//! A principal is proven by a credential, which the shell checks; here it is a name. Orders
//! belong to principals and not to connections: all instances of one share its orders, and it
//! keeps them over restarts. Read on in `orders/rights.rs` (what an order is checked for).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

/// What a principal is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Role {
    /// Reads.
    #[default]
    Observe,
    /// Reads, and sends orders of its own.
    Trade,
    /// May also end what others began: with a reason, and audited.
    Admin,
}

impl Role {
    /// Name in the configuration and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Trade => "trade",
            Self::Admin => "admin",
        }
    }
}

/// What becomes of a new order while Gateway cannot take it: the session is down or starting, a
/// restart is expected, or Gateway has lost IB (1100).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenAway {
    /// It is refused.
    #[default]
    Reject,
    /// It waits, as long as the caller waits.
    Queue,
    /// It is refused where nothing can leave, and leaves in a restart window.
    Allow,
}

/// Limits of one principal; none is no limit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OrderLimits {
    /// Largest total quantity of one order.
    pub quantity: Option<f64>,
    /// Largest value of one order: quantity, price and multiplier.
    pub notional: Option<f64>,
    /// Orders that have not ended.
    pub open_orders: Option<u32>,
    /// Orders and changes in a minute.
    pub orders_per_minute: Option<u32>,
    /// How far a limit price may be on the wrong side of the last quote, in percent.
    pub price_band: Option<f64>,
}

/// Tells one credential from another, without being it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Imprint([u8; 32]);

impl Imprint {
    /// Of what is shown, and of which kind that is.
    pub fn of(kind: &str, shown: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(kind).chain_update([0]).chain_update(shown);
        Self(digest.finalize().into())
    }
}

/// A short token could be guessed from its digest.
impl fmt::Debug for Imprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Imprint")
    }
}

/// One configured client.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Principal {
    /// Credentials that make a caller it.
    pub imprints: Vec<Imprint>,
    /// What it is there for.
    pub role: Role,
    /// Accounts that it sees and trades; none: all.
    pub accounts: Vec<String>,
    /// Security types that it trades; none: all.
    pub security_types: Vec<String>,
    /// Symbols that it trades; none: all.
    pub symbols: Vec<String>,
    /// It may exercise options.
    pub exercise: bool,
    /// Its limits.
    pub limits: OrderLimits,
    /// While Gateway cannot take an order.
    pub when_away: WhenAway,
    /// Its open orders are cancelled so long after its last instance has left; none: never.
    pub cancel_on_disconnect: Option<Duration>,
}

impl Principal {
    /// May it see what belongs to this account?
    pub fn sees(&self, account: &str) -> bool {
        self.accounts.is_empty() || self.accounts.iter().any(|one| one == account)
    }
}

/// What a connection was proven to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credential {
    /// The configured client that it falls under.
    pub principal: Option<String>,
    /// It may give operators' orders, whatever the configuration says of it: the broker's own
    /// user, or its token.
    pub operator: bool,
    /// In words.
    pub shown: String,
    /// Of what makes it that client; none: nothing that a reload could take from it.
    pub imprint: Option<Imprint>,
}

/// All of them, by name.
pub type Principals = BTreeMap<String, Principal>;

/// Is somebody who was that client by this credential still that client? Who is none is nothing
/// that could change.
pub fn stands(principals: &Principals, name: Option<&str>, imprint: Option<Imprint>) -> bool {
    let Some(name) = name else {
        return true;
    };
    let known = principals.get(name);
    known.is_some_and(|one| imprint.is_none_or(|imprint| one.imprints.contains(&imprint)))
}

/// Orders of one client in the queue at once, at the least: a group of them should fit.
pub const LEAST_SHARE: usize = 8;

/// And at the most, where no pace holds them back: what one write to disk may well carry.
const GREATEST_SHARE: usize = 256;

/// How many orders and changes of one client may be in the queue at once when so many messages
/// leave in a second: 0.2 s of them. Whoever places one order waits that long for a client that
/// floods the queue.
pub fn share_of(messages_per_second: u32) -> usize {
    let fifth = usize::try_from(messages_per_second / 5).unwrap_or(GREATEST_SHARE);
    fifth.clamp(LEAST_SHARE, GREATEST_SHARE)
}

/// Whether there is trading at all, and on what.
#[derive(Debug, Clone, PartialEq)]
pub struct TradingSettings {
    /// Orders are taken.
    pub enabled: bool,
    /// Also in accounts that are not paper.
    pub allow_live: bool,
    /// The live accounts that are meant.
    pub live_accounts: Vec<String>,
    /// All orders are compared with Gateway's lists so often.
    pub reconcile_every: Duration,
    /// A disk may take so long for what must be on it before an order leaves.
    pub journal_deadline: Duration,
    /// A change that Gateway has not answered is looked for after this time.
    pub answer_deadline: Duration,
    /// Before an order leaves, Gateway must have said something within this time.
    pub idle: Duration,
    /// Orders and changes of one client in the queue at once, see `share_of`.
    pub share: usize,
    /// The journal lies where a restart of the machine or of the container forgets it: where, in
    /// words.
    pub volatile: Option<String>,
}

impl Default for TradingSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            allow_live: false,
            live_accounts: Vec::new(),
            reconcile_every: Duration::from_secs(30 * 60),
            journal_deadline: Duration::from_secs(2),
            answer_deadline: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            share: LEAST_SHARE,
            volatile: None,
        }
    }
}
