//! The configuration: what can be set, its defaults, and how it becomes the machines' settings.
//!
//! Values come in layers, flag over environment over file over default; [`layers`] merges them
//! and remembers where each value came from. A key that does not exist is an error with its
//! place.

pub mod layers;
mod values;

use std::net::SocketAddr;
use std::time::Duration;

use ibouncer_core::Settings;
use ibouncer_core::settings::{
    AttemptSettings, Deadlines, HeartbeatSettings, PacingSettings, WorkerSettings,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use layers::{ConfigError, Layers, Loaded, Source};
pub use values::{ByteSize, Span};

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
    /// The public listeners.
    pub grpc: GrpcConfig,
    /// Logs.
    pub log: LogConfig,
}

/// `[gateway]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// HOST:PORT of IB Gateway or TWS.
    pub address: String,
    /// Client id of the one connection. 0 binds manual orders, 1 is every tutorial's.
    pub client_id: i32,
    /// How long silence after a closed session counts as a restart.
    pub startup_grace: Span,
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
    /// How long a worker may live without its broker. Only 0s is offered yet.
    pub adoption_grace: Span,
}

/// `[heartbeat]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeartbeatConfig {
    /// Nothing from Gateway for this long: ask for its time.
    pub idle: Span,
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

/// `[grpc]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcConfig {
    /// Loopback IP:PORT of the TCP listener, or "off".
    pub listen: String,
    /// Mode of the Unix socket, octal, at most 0660.
    pub socket_mode: String,
    /// Bytes that wait for one stream before it is conflated.
    pub stream_buffer: ByteSize,
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
            startup_grace: Span(settings.attempts.startup_grace),
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
            adoption_grace: Span(Duration::ZERO),
        }
    }
}

impl Default for HeartbeatConfig {
    fn default() -> Self {
        let heartbeat = HeartbeatSettings::default();
        Self {
            idle: Span(heartbeat.idle),
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

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:4010".into(),
            socket_mode: "0600".into(),
            stream_buffer: ByteSize(4 << 20),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".into() }
    }
}

/// A value that is well formed and cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{key} = {value}: {problem}")]
pub struct BadValue {
    /// Which key.
    pub key: &'static str,
    /// What it was set to.
    pub value: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl Config {
    /// Checks what the types cannot.
    pub fn check(&self) -> Result<(), BadValue> {
        let bad = |key, value: &dyn std::fmt::Display, problem: &str| {
            Err(BadValue { key, value: value.to_string(), problem: problem.to_owned() })
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
        if !(1..=50).contains(&self.pacing.messages_per_second) {
            let problem = "Gateway takes 50 messages a second; use 1 to 50";
            return bad("pacing.messages_per_second", &self.pacing.messages_per_second, problem);
        }
        if self.pacing.lines == 0 {
            return bad("pacing.lines", &0, "at least one line is needed");
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
            ("heartbeat.answer", self.heartbeat.answer),
        ] {
            if span.0 < Duration::from_millis(10) {
                return bad(key, &span, "use at least 10ms");
            }
        }
        if self.heartbeat.misses == 0 {
            return bad("heartbeat.misses", &0, "at least one");
        }
        if self.worker.adoption_grace.0 != Duration::ZERO {
            let problem = "adoption is not offered yet; only 0s is possible";
            return bad("worker.adoption_grace", &self.worker.adoption_grace, problem);
        }
        if self.worker.buffer.0 < 1 << 20 {
            return bad("worker.buffer", &self.worker.buffer, "use at least 1MiB");
        }
        if self.grpc.stream_buffer.0 < 64 << 10 {
            return bad("grpc.stream_buffer", &self.grpc.stream_buffer, "use at least 64KiB");
        }
        self.socket_mode()?;
        self.tcp_listener()?;
        Ok(())
    }

    /// Mode of the Unix socket.
    pub fn socket_mode(&self) -> Result<u32, BadValue> {
        let text = &self.grpc.socket_mode;
        let problem = "use an octal mode from 0600 to 0660, without more than that";
        u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| mode & 0o600 == 0o600 && mode & !0o660 == 0)
            .ok_or_else(|| BadValue {
                key: "grpc.socket_mode",
                value: text.clone(),
                problem: problem.into(),
            })
    }

    /// Address of the TCP listener, if there is to be one.
    pub fn tcp_listener(&self) -> Result<Option<SocketAddr>, BadValue> {
        let text = &self.grpc.listen;
        let bad = |problem: &str| BadValue {
            key: "grpc.listen",
            value: text.clone(),
            problem: problem.to_owned(),
        };
        if text == "off" {
            return Ok(None);
        }
        let address: SocketAddr =
            text.parse().map_err(|_| bad("use IP:PORT, as in 127.0.0.1:4010, or \"off\""))?;
        if !address.ip().is_loopback() {
            return Err(bad(
                "beyond loopback TLS is needed, which is not offered yet; use 127.0.0.1 or [::1], \
                 and an ssh tunnel or a TLS proxy to reach it from elsewhere",
            ));
        }
        Ok(Some(address))
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
        Settings {
            instance: instance.to_owned(),
            gateway: self.gateway.address.clone(),
            gateway_is_local: resolved.ip().is_loopback(),
            client_id: self.gateway.client_id,
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
            pacing: PacingSettings {
                messages_per_second: self.pacing.messages_per_second,
                lines: self.pacing.lines,
            },
            worker: WorkerSettings {
                gateway: resolved.to_string(),
                lock_path: lock_path.to_owned(),
                buffer: self.worker.buffer.0,
                drain: self.worker.drain.0,
                ..WorkerSettings::default()
            },
            heartbeat: HeartbeatSettings {
                idle: self.heartbeat.idle.0,
                answer: self.heartbeat.answer.0,
                misses: self.heartbeat.misses,
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
    fn the_default_is_good_and_each_bad_value_is_named() {
        Config::default().check().unwrap();
        let cases: [(&str, &str); 8] = [
            ("gateway.address = \"localhost\"", "HOST:PORT"),
            ("gateway.client_id = -1", "0 or greater"),
            ("pacing.messages_per_second = 51", "1 to 50"),
            ("worker.adoption_grace = \"5m\"", "not offered yet"),
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
