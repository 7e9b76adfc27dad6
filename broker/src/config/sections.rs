//! The sections of the configuration, with their defaults, which are the machines' own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ibouncer_core::Settings;
use ibouncer_core::settings::{
    AttemptSettings, Deadlines, HeartbeatSettings, LimitSettings, PacingSettings, WorkerSettings,
};
use serde::{Deserialize, Serialize};

use super::BadValue;
use super::clients::{ClientConfig, TradingConfig};
use super::values::{ByteSize, Span};

/// Everything that can be configured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where Gateway is and who we are there.
    pub gateway: Gateway,
    /// How long each step of a handshake may take.
    pub deadlines: DeadlineConfig,
    /// When to try again, and when to stop trying.
    pub attempts: AttemptConfig,
    /// The worker process.
    pub worker: WorkerConfig,
    /// Liveness on the wire.
    pub heartbeat: HeartbeatConfig,
    /// The budget for messages to Gateway.
    pub pacing: PacingConfig,
    /// What one client may have.
    pub limits: LimitsConfig,
    /// The public listeners.
    pub grpc: GrpcConfig,
    /// Logs.
    pub log: LogConfig,
    /// Whether orders are taken.
    pub trading: TradingConfig,
    /// Who may do more than read.
    pub clients: BTreeMap<String, ClientConfig>,
}

/// `[gateway]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// HOST:PORT of IB Gateway or TWS.
    pub address: String,
    /// Client id of the one connection. 0 binds manual orders, 1 is every tutorial's.
    pub client_id: i32,
    /// Used while Gateway says that another connection holds `client_id`; -1 is none.
    pub alternate_client_id: i32,
    /// Whose socket tables show Gateway itself: "auto", "local", "relayed", "remote", "none".
    pub eyes: String,
    /// How long a Gateway that may be starting is given: silence does not count meanwhile.
    pub startup_grace: Span,
    /// Times of day in which Gateway is restarted, as in "23:45-00:30"; several with commas.
    pub restart_window: String,
    /// IANA time zone of `restart_window`; empty is this host's.
    pub time_zone: String,
    /// Accounts that are meant; a session with others is not used.
    pub expect: ExpectConfig,
}

/// `gateway.expect`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExpectConfig {
    /// Whatever there is.
    #[default]
    Any,
    /// Paper accounts.
    Paper,
    /// Live accounts.
    Live,
}

/// `[deadlines]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadlineConfig {
    /// Spawn to Hello.
    pub linked: Span,
    /// Hello to TCP.
    pub tcp: Span,
    /// TCP to the version reply.
    pub version: Span,
    /// START_API to READY.
    pub ready: Span,
    /// Spawn to READY; caps all others.
    pub total: Span,
}

/// `[attempts]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AttemptConfig {
    /// Silent handshakes in a row after which Gateway counts as wedged; 0 means never.
    pub silent_budget: u32,
    /// Waiting times after failures in a row; the last one repeats.
    pub backoff: Vec<Span>,
    /// READY for this long starts the waiting times anew.
    pub stable_after: Span,
    /// Period of probes of a wedged Gateway on this host.
    pub slow_probe_local: Span,
    /// The same for any other.
    pub slow_probe_remote: Span,
}

/// `[worker]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerConfig {
    /// Bytes that a worker keeps for a broker that reads slowly.
    pub buffer: ByteSize,
    /// How long an ordered end may take.
    pub drain: Span,
    /// How long a worker keeps a live session without a broker; 0s: it ends with its broker.
    pub adoption_grace: Span,
}

/// `[heartbeat]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeartbeatConfig {
    /// Nothing from Gateway for this long: ask for its time.
    pub idle: Span,
    /// A request without any answer for this long: ask for its time, even while ticks flow.
    pub overdue: Span,
    /// How long the answer may take.
    pub answer: Span,
    /// Misses in a row after which the session is lost.
    pub misses: u32,
}

/// `[pacing]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PacingConfig {
    /// Messages a second to Gateway, 1 to 50.
    pub messages_per_second: u32,
    /// Market-data lines of the account.
    pub lines: u32,
}

/// `[limits]`: of each client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Streams that are open.
    pub streams: u32,
    /// Subscriptions on all of them.
    pub subscriptions: u32,
    /// Calls that wait for an answer of Gateway.
    pub calls: u32,
    /// Market-data lines that it opened; 0 for all that there are.
    pub lines: u32,
    /// Its share of what Gateway allows of history, in percent.
    pub history_share: u32,
    /// Requests a second, over ten seconds.
    pub requests_per_second: u32,
    /// Bytes of answers that it has not taken.
    pub unread_answers: ByteSize,
    /// How long it may leave a stream or an answer unread that has something for it.
    pub stalled: Span,
}

/// `[grpc]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcConfig {
    /// IP:PORT of the TCP listener, or "off"; beyond loopback only with TLS.
    pub listen: String,
    /// Mode of the Unix socket, octal, at most 0660.
    pub socket_mode: String,
    /// Bytes that wait for one stream before it is conflated.
    pub stream_buffer: ByteSize,
    /// Connections that may be open at once.
    pub connections: u32,
    /// If it says anything, the TCP listener speaks TLS.
    pub tls: TlsConfig,
}

/// `[grpc.tls]`, files in PEM
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// Our certificate, and those between it and its root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// Its private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Authorities whose certificates clients may show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
}

/// What TLS is spoken with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// [`TlsConfig::cert`]
    pub cert: PathBuf,
    /// [`TlsConfig::key`]
    pub key: PathBuf,
    /// [`TlsConfig::client_ca`]
    pub client_ca: Option<PathBuf>,
}

impl TlsConfig {
    /// The files, if TLS is spoken.
    pub fn files(&self) -> Result<Option<TlsFiles>, BadValue> {
        let needs = |key: &str| {
            let problem = "TLS needs grpc.tls.cert and grpc.tls.key, both";
            BadValue::new(format!("grpc.tls.{key}"), &"missing", problem)
        };
        match self {
            Self { cert: None, key: None, client_ca: None } => Ok(None),
            Self { cert: None, .. } => Err(needs("cert")),
            Self { key: None, .. } => Err(needs("key")),
            Self { cert: Some(cert), key: Some(key), client_ca } => {
                let (cert, key, client_ca) = (cert.clone(), key.clone(), client_ca.clone());
                Ok(Some(TlsFiles { cert, key, client_ca }))
            }
        }
    }
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// "text" or "json".
    pub format: LogFormat,
    /// A level, or a filter as of tracing-subscriber.
    pub filter: String,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

impl Default for Gateway {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            address: settings.gateway,
            client_id: settings.client_id,
            alternate_client_id: -1,
            eyes: "auto".into(),
            startup_grace: Span(settings.attempts.startup_grace),
            restart_window: String::new(),
            time_zone: String::new(),
            expect: ExpectConfig::Any,
        }
    }
}

impl Default for DeadlineConfig {
    fn default() -> Self {
        let deadlines = Deadlines::default();
        Self {
            linked: Span(deadlines.linked),
            tcp: Span(deadlines.tcp),
            version: Span(deadlines.version),
            ready: Span(deadlines.ready),
            total: Span(deadlines.total),
        }
    }
}

impl Default for AttemptConfig {
    fn default() -> Self {
        let attempts = AttemptSettings::default();
        Self {
            silent_budget: attempts.silent_budget,
            backoff: attempts.backoff.into_iter().map(Span).collect(),
            stable_after: Span(attempts.stable_after),
            slow_probe_local: Span(attempts.slow_probe_local),
            slow_probe_remote: Span(attempts.slow_probe_remote),
        }
    }
}

impl Default for WorkerConfig {
    fn default() -> Self {
        let worker = WorkerSettings::default();
        Self {
            buffer: ByteSize(worker.buffer),
            drain: Span(worker.drain),
            adoption_grace: Span(worker.adoption_grace),
        }
    }
}

impl Default for HeartbeatConfig {
    fn default() -> Self {
        let heartbeat = HeartbeatSettings::default();
        Self {
            idle: Span(heartbeat.idle),
            overdue: Span(heartbeat.overdue),
            answer: Span(heartbeat.answer),
            misses: heartbeat.misses,
        }
    }
}

impl Default for PacingConfig {
    fn default() -> Self {
        let pacing = PacingSettings::default();
        Self { messages_per_second: pacing.messages_per_second, lines: pacing.lines }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let limits = LimitSettings::default();
        Self {
            streams: limits.streams,
            subscriptions: limits.subscriptions,
            calls: limits.calls,
            lines: limits.lines.unwrap_or(0),
            history_share: limits.history_share,
            requests_per_second: limits.requests_per_second,
            unread_answers: ByteSize(limits.unread_answers as u64),
            stalled: Span(limits.stalled),
        }
    }
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:4010".into(),
            socket_mode: "0600".into(),
            stream_buffer: ByteSize(4 << 20),
            connections: 4096,
            tls: TlsConfig::default(),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".into() }
    }
}
