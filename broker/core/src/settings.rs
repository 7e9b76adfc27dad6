//! The numbers by which the machines decide. Where they come from is the shell's business.

use std::time::Duration;

use ibouncer_proto::tws;

use crate::principals::{Principals, TradingSettings};

/// Everything that the hub must be told once.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name of the instance.
    pub instance: String,
    /// Gateway, HOST:PORT as the user wrote it.
    pub gateway: String,
    /// Client id of the one connection.
    pub client_id: i32,
    /// Used while Gateway says that another connection holds that one; none unless reserved.
    pub alternate_client_id: Option<i32>,
    /// How long each step of a handshake may take.
    pub deadlines: Deadlines,
    /// When to try again, and when to stop trying.
    pub attempts: AttemptSettings,
    /// The budget for messages to Gateway.
    pub pacing: PacingSettings,
    /// What one client may have open.
    pub limits: LimitSettings,
    /// What the worker is told.
    pub worker: WorkerSettings,
    /// Liveness on the wire.
    pub heartbeat: HeartbeatSettings,
    /// Whether orders are taken.
    pub trading: TradingSettings,
    /// The configured clients.
    pub principals: Principals,
    /// Accounts that are meant.
    pub expect: Expect,
}

/// Accounts that are meant; a session with others is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expect {
    /// Whatever there is.
    #[default]
    Any,
    /// Paper accounts.
    Paper,
    /// Live accounts.
    Live,
}

/// Deadlines of a handshake. All are kept by the broker; the worker has none.
#[derive(Debug, Clone)]
pub struct Deadlines {
    /// Spawn to Hello on the link. A process start takes milliseconds.
    pub linked: Duration,
    /// Hello to TCP established.
    pub tcp: Duration,
    /// TCP to the version reply. Gateway answers within milliseconds when it answers at all.
    pub version: Duration,
    /// START_API to READY: Gateway may be loading accounts.
    pub ready: Duration,
    /// Spawn to READY.
    pub total: Duration,
}

impl Deadlines {
    /// No step longer than the whole, and the whole no longer than `cap`.
    pub fn capped(self, cap: Duration) -> Self {
        let total = self.total.min(cap);
        Self {
            linked: self.linked.min(total),
            tcp: self.tcp.min(total),
            version: self.version.min(total),
            ready: self.ready.min(total),
            total,
        }
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            linked: Duration::from_secs(5),
            tcp: Duration::from_secs(5),
            version: Duration::from_secs(10),
            ready: Duration::from_secs(15),
            total: Duration::from_secs(30),
        }
    }
}

/// When to try again, and when to stop trying.
#[derive(Debug, Clone)]
pub struct AttemptSettings {
    /// Silent handshakes in a row after which Gateway counts as wedged; 0 means never.
    pub silent_budget: u32,
    /// Waiting times after failures in a row; the last one repeats.
    pub backoff: Vec<Duration>,
    /// READY for this long starts the waiting times anew.
    pub stable_after: Duration,
    /// Period of probes while wedged, for a Gateway that is seen itself.
    pub slow_probe_local: Duration,
    /// The same for any other.
    pub slow_probe_remote: Duration,
    /// After Gateway itself closed a session it may be restarting: so long, silence only waits.
    pub startup_grace: Duration,
    /// Longest wait while nothing accepts TCP and no eyes see the port: a closed port answers by
    /// itself, so asking costs Gateway nothing.
    pub absent_retry: Duration,
    /// Where eyes see that nothing listens, a dial is made this often all the same: NAT can
    /// serve a port without a listener.
    pub absent_dial: Duration,
    /// Longest wait while another connection holds our client id.
    pub client_id_retry: Duration,
}

impl Default for AttemptSettings {
    fn default() -> Self {
        let ladder = [0.25, 1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0];
        Self {
            silent_budget: 3,
            backoff: ladder.into_iter().map(Duration::from_secs_f64).collect(),
            stable_after: Duration::from_secs(60),
            slow_probe_local: Duration::from_secs(15 * 60),
            slow_probe_remote: Duration::from_secs(5 * 60),
            startup_grace: Duration::from_secs(180),
            absent_retry: Duration::from_secs(5),
            absent_dial: Duration::from_secs(30),
            client_id_retry: Duration::from_secs(30),
        }
    }
}

/// The budget for messages to Gateway.
#[derive(Debug, Clone)]
pub struct PacingSettings {
    /// Gateway's limit is 50 a second with 100 lines; stay below, so that messages that were held
    /// up on their way and come closer together do not break it.
    pub messages_per_second: u32,
    /// Market-data lines that may be open at once.
    pub lines: u32,
}

impl Default for PacingSettings {
    fn default() -> Self {
        Self { messages_per_second: 40, lines: 100 }
    }
}

/// What one client may have open at once, so that none takes everything from the others.
#[derive(Debug, Clone)]
pub struct LimitSettings {
    /// Streams.
    pub streams: u32,
    /// Subscriptions on all of them.
    pub subscriptions: u32,
    /// Calls that wait for an answer of Gateway.
    pub calls: u32,
    /// Market-data lines that it opened, whoever else shares them; none: all that there are.
    pub lines: Option<u32>,
    /// Its share of what Gateway allows of history, in percent.
    pub history_share: u32,
    /// Requests a second, over ten seconds.
    pub requests_per_second: u32,
    /// Bytes of answers that it has not taken.
    pub unread_answers: usize,
    /// How long it may leave a stream or an answer unread that has something for it.
    pub stalled: Duration,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            streams: 256,
            subscriptions: 2_000,
            calls: 1_000,
            lines: None,
            history_share: 100,
            requests_per_second: 200,
            unread_answers: 64 << 20,
            stalled: Duration::from_secs(300),
        }
    }
}

/// What the worker is told, and how it is watched.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Resolved address of Gateway.
    pub gateway: String,
    /// Lock that the worker takes before it connects.
    pub lock_path: String,
    /// Bytes that the worker keeps for a broker that reads slowly.
    pub buffer: u64,
    /// How long an ordered end may take before the worker is killed.
    pub drain: Duration,
    /// How long a worker keeps a live session without a broker; zero means not at all.
    pub adoption_grace: Duration,
    /// How often it then looks for one.
    pub link_retry: Duration,
    /// Period of pings on the link.
    pub ping: Duration,
    /// No answer for this long: the worker is stuck.
    pub stuck_after: Duration,
    /// Version range offered to Gateway.
    pub offer: std::ops::RangeInclusive<i32>,
    /// Lowest server version that can be served.
    pub accept_min: i32,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            gateway: "127.0.0.1:4002".into(),
            lock_path: String::new(),
            buffer: 64 << 20,
            drain: Duration::from_secs(2),
            adoption_grace: Duration::from_secs(300),
            link_retry: Duration::from_millis(200),
            ping: Duration::from_secs(1),
            stuck_after: Duration::from_secs(4),
            // The whole range of the official client, so that an old Gateway answers too, and
            // can be told from a dead one.
            offer: tws::OLDEST_OFFER..=*tws::PROTOBUF_VERSIONS.end(),
            accept_min: *tws::PROTOBUF_VERSIONS.start(),
        }
    }
}

/// Liveness on the wire.
#[derive(Debug, Clone)]
pub struct HeartbeatSettings {
    /// Nothing from Gateway for this long: ask for its time.
    pub idle: Duration,
    /// A request without any answer for this long: ask for its time, even while ticks flow.
    pub overdue: Duration,
    /// How long the answer may take.
    pub answer: Duration,
    /// Misses in a row after which the session is lost.
    pub misses: u32,
}

impl Default for HeartbeatSettings {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(15),
            overdue: Duration::from_secs(10),
            answer: Duration::from_secs(10),
            misses: 3,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            instance: "default".into(),
            gateway: "127.0.0.1:4002".into(),
            client_id: 410,
            alternate_client_id: None,
            deadlines: Deadlines::default(),
            attempts: AttemptSettings::default(),
            pacing: PacingSettings::default(),
            limits: LimitSettings::default(),
            worker: WorkerSettings::default(),
            heartbeat: HeartbeatSettings::default(),
            trading: TradingSettings::default(),
            principals: Principals::new(),
            expect: Expect::default(),
        }
    }
}
