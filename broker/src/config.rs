//! The configuration: what can be set, its defaults, and how it becomes the machines' settings.
//!
//! Values come in layers, flag over environment over file over default; [`layers`] merges them
//! and remembers where each value came from. A key that does not exist is an error with its
//! place.

mod clients;
pub mod layers;
mod sections;
mod values;
mod window;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use ibouncer_core::Settings;
use ibouncer_core::settings::{
    AttemptSettings, Deadlines, Expect, HeartbeatSettings, LimitSettings, PacingSettings,
    WorkerSettings,
};
use ibouncer_eyes::Setting;
use thiserror::Error;

pub use clients::{ClientConfig, RoleConfig, TradingConfig, VolatileState, WhenAwayConfig};
pub use layers::{ConfigError, Layers, Loaded, Source};
pub use sections::{
    AttemptConfig, Config, DeadlineConfig, ExpectConfig, Gateway, GrpcConfig, HeartbeatConfig,
    LogConfig, LogFormat, PacingConfig, TlsConfig, TlsFiles, WorkerConfig,
};
pub use values::{ByteSize, Span};
pub use window::RestartWindows;

/// Messages a second that nobody reaches.
const NO_LIMIT: u32 = 1_000_000;

/// A value that is well formed and cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{key} = {value}: {problem}")]
pub struct BadValue {
    /// Which key.
    pub key: Cow<'static, str>,
    /// What it was set to.
    pub value: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl BadValue {
    fn new(
        key: impl Into<Cow<'static, str>>,
        value: &dyn std::fmt::Display,
        problem: &str,
    ) -> Self {
        Self { key: key.into(), value: value.to_string(), problem: problem.to_owned() }
    }
}

impl Config {
    /// Checks what the types cannot.
    pub fn check(&self) -> Result<(), BadValue> {
        let bad = |key: &'static str, value: &dyn std::fmt::Display, problem: &str| {
            Err(BadValue::new(key, value, problem))
        };
        let address = &self.gateway.address;
        let port = address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(1..))) {
            return bad("gateway.address", address, "use HOST:PORT, as in 127.0.0.1:4002");
        }
        if self.gateway.client_id < 0 {
            let problem = "client ids are 0 or greater";
            return bad("gateway.client_id", &self.gateway.client_id, problem);
        }
        if self.pacing.messages_per_second > 50 {
            let problem = "Gateway takes 50 messages a second; use 1 to 50, or 0 for a simulator without limit";
            return bad("pacing.messages_per_second", &self.pacing.messages_per_second, problem);
        }
        if self.pacing.lines == 0 {
            return bad("pacing.lines", &0, "at least one line is needed");
        }
        for (key, value) in [
            ("limits.streams", self.limits.streams),
            ("limits.subscriptions", self.limits.subscriptions),
            ("limits.calls", self.limits.calls),
            ("limits.requests_per_second", self.limits.requests_per_second),
            ("grpc.connections", self.grpc.connections),
        ] {
            if value == 0 {
                return bad(key, &0, "at least one is needed, or nobody could do anything");
            }
        }
        if !(1..=100).contains(&self.limits.history_share) {
            let problem = "use 1 to 100, in percent of what Gateway allows";
            return bad("limits.history_share", &self.limits.history_share, problem);
        }
        if self.attempts.backoff.is_empty() {
            return bad("attempts.backoff", &"[]", "name at least one waiting time");
        }
        for (key, span) in [
            ("deadlines.linked", self.deadlines.linked),
            ("deadlines.tcp", self.deadlines.tcp),
            ("deadlines.version", self.deadlines.version),
            ("deadlines.ready", self.deadlines.ready),
            ("deadlines.total", self.deadlines.total),
            ("heartbeat.idle", self.heartbeat.idle),
            ("heartbeat.overdue", self.heartbeat.overdue),
            ("heartbeat.answer", self.heartbeat.answer),
            ("limits.stalled", self.limits.stalled),
        ] {
            if span.0 < Duration::from_millis(10) {
                return bad(key, &span, "use at least 10ms");
            }
        }
        if self.heartbeat.misses == 0 {
            return bad("heartbeat.misses", &0, "at least one");
        }
        if self.worker.adoption_grace.0 > Duration::from_secs(3600) {
            let problem = "use 1h or less: a session without a broker serves nobody";
            return bad("worker.adoption_grace", &self.worker.adoption_grace, problem);
        }
        if self.gateway.alternate_client_id < -1
            || self.gateway.alternate_client_id == self.gateway.client_id
        {
            let problem = "use -1 for none, or an id that nobody else uses";
            return bad("gateway.alternate_client_id", &self.gateway.alternate_client_id, problem);
        }
        if self.worker.buffer.0 < 1 << 20 {
            return bad("worker.buffer", &self.worker.buffer, "use at least 1MiB");
        }
        if self.limits.unread_answers.0 < 64 << 10 {
            return bad("limits.unread_answers", &self.limits.unread_answers, "use at least 64KiB");
        }
        if self.grpc.stream_buffer.0 < 64 << 10 {
            return bad("grpc.stream_buffer", &self.grpc.stream_buffer, "use at least 64KiB");
        }
        self.socket_mode()?;
        self.tcp_listener()?;
        self.grpc.tls.files()?;
        self.eyes()?;
        self.restart_windows()?;
        self.check_trading()
    }

    /// Which eyes count.
    pub fn eyes(&self) -> Result<Setting, BadValue> {
        let eyes = &self.gateway.eyes;
        let problem = "use auto, local, relayed, remote or none";
        eyes.parse().map_err(|_| BadValue::new("gateway.eyes", eyes, problem))
    }

    /// Clients that may send orders.
    pub fn traders(&self) -> Vec<String> {
        let may = |role: RoleConfig| self.trading.enabled && role != RoleConfig::Observe;
        let clients = self.clients.iter().filter(|(_, client)| may(client.role));
        clients.map(|(name, _)| name.clone()).collect()
    }

    /// When restarts of Gateway are expected.
    pub fn restart_windows(&self) -> Result<RestartWindows, BadValue> {
        RestartWindows::parse(&self.gateway.restart_window, &self.gateway.time_zone)
    }

    /// Mode of the Unix socket.
    pub fn socket_mode(&self) -> Result<u32, BadValue> {
        let text = &self.grpc.socket_mode;
        let problem = "use an octal mode from 0600 to 0660, without more than that";
        u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| mode & 0o600 == 0o600 && mode & !0o660 == 0)
            .ok_or_else(|| BadValue::new("grpc.socket_mode", text, problem))
    }

    /// Address of the TCP listener, if there is to be one.
    pub fn tcp_listener(&self) -> Result<Option<SocketAddr>, BadValue> {
        let text = &self.grpc.listen;
        let bad = |problem: &str| BadValue::new("grpc.listen", text, problem);
        if text == "off" {
            return Ok(None);
        }
        let address: SocketAddr =
            text.parse().map_err(|_| bad("use IP:PORT, as in 127.0.0.1:4010, or \"off\""))?;
        if !address.ip().is_loopback() && self.grpc.tls.files()?.is_none() {
            return Err(bad(
                "beyond loopback TLS is needed: say grpc.tls.cert and grpc.tls.key, or use \
                 127.0.0.1 or [::1] and an ssh tunnel to reach it from elsewhere",
            ));
        }
        Ok(Some(address))
    }

    /// The reserved client id, if there is one.
    pub fn alternate_client_id(&self) -> Option<i32> {
        Some(self.gateway.alternate_client_id).filter(|id| *id >= 0)
    }

    /// Settings that differ from another configuration's and hold until the next start: what a
    /// listener, a lock or a worker was made with.
    pub fn fixed_changes(&self, next: &Self) -> Vec<&'static str> {
        let mut keys = Vec::new();
        let mut note = |key, differs: bool| {
            if differs {
                keys.push(key);
            }
        };
        let (one, other) = (&self.gateway, &next.gateway);
        note("gateway.address", one.address != other.address);
        note("gateway.client_id", one.client_id != other.client_id);
        note("gateway.alternate_client_id", one.alternate_client_id != other.alternate_client_id);
        note("gateway.eyes", one.eyes != other.eyes);
        note("worker.buffer", self.worker.buffer != next.worker.buffer);
        note("worker.adoption_grace", self.worker.adoption_grace != next.worker.adoption_grace);
        note("trading.enabled", next.trading.enabled && !self.trading.enabled);
        note("grpc", self.grpc != next.grpc);
        note("log", self.log != next.log);
        keys
    }

    /// This one, with those settings as they were.
    pub fn with_fixed_of(mut self, running: &Self) -> Self {
        let gateway = &running.gateway;
        self.gateway.address.clone_from(&gateway.address);
        self.gateway.client_id = gateway.client_id;
        self.gateway.alternate_client_id = gateway.alternate_client_id;
        self.gateway.eyes.clone_from(&gateway.eyes);
        self.worker.buffer = running.worker.buffer;
        self.worker.adoption_grace = running.worker.adoption_grace;
        // The journal is opened at start; what is switched off is off at once.
        self.trading.enabled &= running.trading.enabled;
        self.grpc = running.grpc.clone();
        self.log = running.log.clone();
        self
    }

    /// What the machines are told. `resolved` is Gateway's address, `lock_path` the worker's lock.
    pub fn settings(&self, instance: &str, resolved: SocketAddr, lock_path: &str) -> Settings {
        let deadlines = Deadlines {
            linked: self.deadlines.linked.0,
            tcp: self.deadlines.tcp.0,
            version: self.deadlines.version.0,
            ready: self.deadlines.ready.0,
            total: self.deadlines.total.0,
        };
        let messages_per_second = match self.pacing.messages_per_second {
            0 => NO_LIMIT,
            limit => limit,
        };
        Settings {
            instance: instance.to_owned(),
            gateway: self.gateway.address.clone(),
            client_id: self.gateway.client_id,
            alternate_client_id: self.alternate_client_id(),
            deadlines: deadlines.capped(self.deadlines.total.0),
            attempts: AttemptSettings {
                silent_budget: self.attempts.silent_budget,
                backoff: self.attempts.backoff.iter().map(|span| span.0).collect(),
                stable_after: self.attempts.stable_after.0,
                slow_probe_local: self.attempts.slow_probe_local.0,
                slow_probe_remote: self.attempts.slow_probe_remote.0,
                startup_grace: self.gateway.startup_grace.0,
                ..AttemptSettings::default()
            },
            pacing: PacingSettings { messages_per_second, lines: self.pacing.lines },
            limits: LimitSettings {
                streams: self.limits.streams,
                subscriptions: self.limits.subscriptions,
                calls: self.limits.calls,
                lines: Some(self.limits.lines).filter(|lines| *lines > 0),
                history_share: self.limits.history_share,
                requests_per_second: self.limits.requests_per_second,
                unread_answers: usize::try_from(self.limits.unread_answers.0).unwrap_or(usize::MAX),
                stalled: self.limits.stalled.0,
            },
            worker: WorkerSettings {
                gateway: resolved.to_string(),
                lock_path: lock_path.to_owned(),
                buffer: self.worker.buffer.0,
                drain: self.worker.drain.0,
                adoption_grace: self.worker.adoption_grace.0,
                ..WorkerSettings::default()
            },
            heartbeat: HeartbeatSettings {
                idle: self.heartbeat.idle.0,
                overdue: self.heartbeat.overdue.0,
                answer: self.heartbeat.answer.0,
                misses: self.heartbeat.misses,
            },
            trading: self.trading.settings(messages_per_second),
            principals: self.principals(),
            expect: match self.gateway.expect {
                ExpectConfig::Any => Expect::Any,
                ExpectConfig::Paper => Expect::Paper,
                ExpectConfig::Live => Expect::Live,
            },
        }
    }
}

/// The default configuration as a file, each key with its meaning, all commented out.
pub fn template() -> &'static str {
    include_str!("config/template.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_the_default_once_uncommented() {
        let text: String = template()
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.contains(" = ") => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let config: Config = toml::from_str(&text).unwrap();
        assert_eq!(config, Config::default());
        let keys = text.lines().filter(|line| line.contains(" = ") && !line.starts_with('#'));
        let all = layers::flatten(&toml::Table::try_from(Config::default()).unwrap());
        assert_eq!(keys.count(), all.len(), "the template names every key");
    }

    #[test]
    fn the_template_shows_a_client_with_every_setting() {
        let example: String = template()
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .map(|line| format!("{line}\n"))
            .collect();
        let config: Config = toml::from_str(&example).unwrap();
        config.check().unwrap();
        let client = &config.clients["momentum"];
        let shown = toml::Table::try_from(client).unwrap().len();
        // All but the credential that is not offered yet.
        assert_eq!(shown, 15, "{example}");
        assert_eq!(example.lines().count(), shown + 1, "{example}");
        let settings = config.settings("a", "127.0.0.1:4002".parse().unwrap(), "lock");
        let principal = &settings.principals["momentum"];
        assert_eq!(principal.cancel_on_disconnect, Some(Duration::from_secs(30)));
        assert_eq!(principal.limits.price_band, Some(5.0));
    }

    #[test]
    fn trading_is_switched_off_at_once_and_on_at_the_next_start() {
        let mut on = Config::default();
        on.trading.enabled = true;
        let off = Config::default();
        assert_eq!(off.fixed_changes(&on), ["trading.enabled"]);
        assert!(!on.clone().with_fixed_of(&off).trading.enabled);
        assert!(on.fixed_changes(&off).is_empty());
        assert!(!off.with_fixed_of(&on).trading.enabled);
    }

    #[test]
    fn the_default_is_good_and_each_bad_value_is_named() {
        Config::default().check().unwrap();
        let cases: [(&str, &str); 15] = [
            ("gateway.address = \"localhost\"", "HOST:PORT"),
            ("gateway.client_id = -1", "0 or greater"),
            ("pacing.messages_per_second = 51", "1 to 50"),
            ("limits.calls = 0", "at least one"),
            ("limits.history_share = 0", "1 to 100"),
            ("limits.unread_answers = \"1KiB\"", "at least 64KiB"),
            ("grpc.connections = 0", "at least one"),
            ("worker.adoption_grace = \"2h\"", "1h or less"),
            ("gateway.eyes = \"open\"", "auto, local"),
            ("gateway.restart_window = \"noon\"", "HH:MM-HH:MM"),
            ("gateway.alternate_client_id = 410", "nobody else"),
            ("grpc.listen = \"0.0.0.0:4010\"", "TLS"),
            ("grpc.socket_mode = \"0666\"", "octal"),
            ("attempts.backoff = []", "waiting time"),
            ("deadlines.version = \"1ms\"", "10ms"),
        ];
        for (line, wanted) in cases {
            let config: Config = toml::from_str(line).unwrap();
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(wanted), "{line}: {error}");
        }
    }
}
