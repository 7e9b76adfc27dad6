//! `[trading]` and `[clients.NAME]`: whether orders are taken, and from whom.
//!
//! Says what can be set and what cannot be; what a client may do with it is decided in the core.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ibouncer_core::principals::{
    OrderLimits, Principal, Principals, Role, TradingSettings, WhenAway, share_of,
};
use serde::{Deserialize, Serialize};

use super::values::Span;
use super::{BadValue, Config};
use crate::subject::Subject;

/// Longest name of a configured client.
const LONGEST_NAME: usize = 64;

/// `[trading]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TradingConfig {
    /// Orders are taken.
    pub enabled: bool,
    /// Also in accounts that are not paper; each must be named.
    pub allow_live: bool,
    /// The live accounts that are meant.
    pub live_accounts: Vec<String>,
    /// All orders are compared with Gateway's lists so often.
    pub reconcile_every: Span,
    /// A disk may take so long for what must be on it before an order leaves.
    pub journal_deadline: Span,
    /// A change that Gateway has not answered is looked for after this time.
    pub answer_deadline: Span,
    /// Before an order leaves, Gateway must have said something within this time.
    pub idle: Span,
    /// What is done if the state folder is forgotten by a restart.
    pub volatile_state: VolatileState,
}

/// What is done if the journal of orders lies where a restart forgets it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VolatileState {
    /// No order is taken.
    #[default]
    Halt,
    /// Orders are taken: for tests and demos.
    Allow,
}

/// `[clients.NAME]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientConfig {
    /// What it is there for.
    pub role: RoleConfig,
    /// Accounts that it sees and trades; empty: all.
    pub accounts: Vec<String>,
    /// Security types that it trades; empty: all.
    pub security_types: Vec<String>,
    /// Symbols that it trades; empty: all.
    pub symbols: Vec<String>,
    /// It may exercise options.
    pub exercise: bool,
    /// Largest total quantity of one order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_quantity: Option<f64>,
    /// Largest value of one order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_notional: Option<f64>,
    /// Orders that have not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_open_orders: Option<u32>,
    /// Orders and changes in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_orders_per_minute: Option<u32>,
    /// How far a limit price may be on the wrong side of the last quote, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_band: Option<f64>,
    /// What becomes of a new order while Gateway cannot take it.
    pub when_away: WhenAwayConfig,
    /// Its open orders are cancelled when its last instance has left.
    pub cancel_on_disconnect: bool,
    /// So long after that; none is 30 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_on_disconnect_grace: Option<Span>,
    /// Credential: this Unix user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Credential: the token in this file, which is made if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Credential: the subject of a certificate that grpc.tls.client_ca has signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_subject: Option<String>,
}

/// `role`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "as in the core's Role")]
pub enum RoleConfig {
    #[default]
    Observe,
    Trade,
    Admin,
}

/// `when_away`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "as in the core's WhenAway")]
pub enum WhenAwayConfig {
    #[default]
    Reject,
    Queue,
    Allow,
}

impl Default for TradingConfig {
    fn default() -> Self {
        let trading = TradingSettings::default();
        Self {
            enabled: trading.enabled,
            allow_live: trading.allow_live,
            live_accounts: trading.live_accounts,
            reconcile_every: Span(trading.reconcile_every),
            journal_deadline: Span(trading.journal_deadline),
            answer_deadline: Span(trading.answer_deadline),
            idle: Span(trading.idle),
            volatile_state: VolatileState::default(),
        }
    }
}

impl TradingConfig {
    /// What the machines are told, when so many messages leave in a second.
    pub(super) fn settings(&self, messages_per_second: u32) -> TradingSettings {
        TradingSettings {
            enabled: self.enabled,
            allow_live: self.allow_live,
            live_accounts: self.live_accounts.clone(),
            reconcile_every: self.reconcile_every.0,
            journal_deadline: self.journal_deadline.0,
            answer_deadline: self.answer_deadline.0,
            idle: self.idle.0,
            share: share_of(messages_per_second),
            volatile: None,
        }
    }

    fn check(&self) -> Result<(), BadValue> {
        for (key, span) in [
            ("trading.reconcile_every", self.reconcile_every),
            ("trading.journal_deadline", self.journal_deadline),
            ("trading.answer_deadline", self.answer_deadline),
            ("trading.idle", self.idle),
        ] {
            if span.0 < std::time::Duration::from_millis(10) {
                return Err(BadValue::new(key, &span, "use at least 10ms"));
            }
        }
        if !self.allow_live && !self.live_accounts.is_empty() {
            let problem = "accounts are named here, so say trading.allow_live = true as well";
            return Err(BadValue::new("trading.allow_live", &false, problem));
        }
        if self.allow_live && self.live_accounts.is_empty() {
            let problem = "name the live accounts that are meant";
            return Err(BadValue::new("trading.live_accounts", &"[]", problem));
        }
        Ok(())
    }
}

impl ClientConfig {
    const GRACE: Span = Span(std::time::Duration::from_secs(30));

    fn principal(&self) -> Principal {
        let grace = self.cancel_on_disconnect_grace.unwrap_or(Self::GRACE).0;
        Principal {
            role: match self.role {
                RoleConfig::Observe => Role::Observe,
                RoleConfig::Trade => Role::Trade,
                RoleConfig::Admin => Role::Admin,
            },
            accounts: self.accounts.clone(),
            security_types: self.security_types.clone(),
            symbols: self.symbols.clone(),
            exercise: self.exercise,
            limits: OrderLimits {
                quantity: self.max_quantity,
                notional: self.max_notional,
                open_orders: self.max_open_orders,
                orders_per_minute: self.max_orders_per_minute,
                price_band: self.price_band,
            },
            when_away: match self.when_away {
                WhenAwayConfig::Reject => WhenAway::Reject,
                WhenAwayConfig::Queue => WhenAway::Queue,
                WhenAwayConfig::Allow => WhenAway::Allow,
            },
            cancel_on_disconnect: self.cancel_on_disconnect.then_some(grace),
            // What stands in files and tables is the roster's to know.
            imprints: Vec::new(),
        }
    }

    fn check(&self, name: &str) -> Result<(), BadValue> {
        let bad = |key: &str, value: &dyn std::fmt::Display, problem: &str| {
            Err(BadValue::new(format!("clients.{name}.{key}"), value, problem))
        };
        for (key, limit) in [
            ("max_quantity", self.max_quantity),
            ("max_notional", self.max_notional),
            ("price_band", self.price_band),
        ] {
            if let Some(limit) = limit.filter(|limit| !limit.is_finite() || *limit <= 0.0) {
                return bad(key, &limit, "use a number above 0, or leave it out for no limit");
            }
        }
        for (key, limit) in [
            ("max_open_orders", self.max_open_orders),
            ("max_orders_per_minute", self.max_orders_per_minute),
        ] {
            if limit == Some(0) {
                return bad(key, &0, "use 1 or more, or role = \"observe\" for no orders at all");
            }
        }
        for (key, list) in [
            ("accounts", &self.accounts),
            ("security_types", &self.security_types),
            ("symbols", &self.symbols),
        ] {
            if list.iter().any(|one| one.is_empty() || one.trim() != one) {
                return bad(
                    key,
                    &format!("{list:?}"),
                    "an entry is empty, or has blanks around it",
                );
            }
        }
        if self.cancel_on_disconnect_grace.is_some() && !self.cancel_on_disconnect {
            let problem = "say cancel_on_disconnect = true as well, or leave this out";
            let grace = self.cancel_on_disconnect_grace.unwrap_or(Self::GRACE);
            return bad("cancel_on_disconnect_grace", &grace, problem);
        }
        if self.role == RoleConfig::Observe && self.exercise {
            return bad("exercise", &true, "a client with role = \"observe\" exercises nothing");
        }
        self.subject_of(name)?;
        match &self.token_file {
            Some(path) if !path.is_absolute() => {
                return bad("token_file", &path.display(), "use an absolute path");
            }
            None if self.uid.is_none() && self.tls_subject.is_none() => {
                let problem = "it has no credential: say which uid it runs under, token_file = \
                               \"/path\" for a token that it sends, or tls_subject = \"CN=…\" for \
                               its certificate";
                return Err(BadValue::new(format!("clients.{name}"), &"{}", problem));
            }
            _ => {}
        }
        Ok(())
    }
}

impl ClientConfig {
    /// Whom its certificate names, if that is a credential of it.
    pub fn subject(&self) -> Result<Option<Subject>, BadValue> {
        self.subject_of("NAME")
    }

    fn subject_of(&self, name: &str) -> Result<Option<Subject>, BadValue> {
        let parsed = self.tls_subject.as_ref().map(|text| {
            let key = format!("clients.{name}.tls_subject");
            text.parse().map_err(|problem| BadValue::new(key, text, problem))
        });
        parsed.transpose()
    }
}

impl Config {
    /// The configured clients.
    pub(super) fn principals(&self) -> Principals {
        self.clients.iter().map(|(name, client)| (name.clone(), client.principal())).collect()
    }

    pub(super) fn check_trading(&self) -> Result<(), BadValue> {
        self.trading.check()?;
        let mut folded = BTreeMap::new();
        let mut files = BTreeMap::new();
        let mut subjects = BTreeMap::new();
        for (name, client) in &self.clients {
            let key = || format!("clients.{name}");
            let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(good) {
                let problem = "use a name of 1 to 64 letters, digits and . _ -";
                return Err(BadValue::new(key(), &"{}", problem));
            }
            if let Some(other) = folded.insert(name.to_ascii_lowercase(), name) {
                let problem =
                    format!("it differs from clients.{other} by upper and lower case only");
                return Err(BadValue::new(key(), &"{}", &problem));
            }
            client.check(name)?;
            if let Some(subject) = client.subject_of(name)? {
                let key = format!("clients.{name}.tls_subject");
                if self.grpc.tls.client_ca.is_none() {
                    let problem = "no certificate is asked for: say grpc.tls.client_ca as well";
                    return Err(BadValue::new(key, &subject, problem));
                }
                if let Some(other) = subjects.insert(subject.clone(), name) {
                    let problem =
                        format!("clients.{other} has the same: a certificate names one client");
                    return Err(BadValue::new(key, &subject, &problem));
                }
            }
            if let Some(path) = &client.token_file
                && let Some(other) = files.insert(path, name)
            {
                let problem = format!("clients.{other} has the same: a token names one client");
                return Err(BadValue::new(
                    format!("clients.{name}.token_file"),
                    &path.display(),
                    &problem,
                ));
            }
        }
        Ok(())
    }
}
