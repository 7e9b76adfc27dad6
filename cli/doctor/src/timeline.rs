//! What one handshake left: its stages with their times, how it ended, and what was said.
//!
//! Data, and the few questions that everybody asks of it. Who makes one is [`crate::probe`]; what
//! it means is [`crate::diagnose`].

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use ibouncer_proto::tws::handshake::ServerHello;
use ibouncer_proto::tws::v1::ConfigResponse;

/// Bytes that are kept as evidence.
pub const KEPT_BYTES: usize = 256;

/// What one handshake is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Gateway.
    pub gateway: SocketAddr,
    /// Client id that is asked for.
    pub client_id: i32,
    /// Versions that are offered.
    pub offer: RangeInclusive<i32>,
    /// How long each step may take.
    pub limits: Limits,
    /// How a session that became READY is closed. Before READY it is always a reset.
    pub close: ClosePolicy,
    /// Gateway's settings are asked for, if its version knows them.
    pub read_settings: bool,
}

/// How long each step may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until TCP is up.
    pub tcp: Duration,
    /// From there to the version.
    pub version: Duration,
    /// From START_API to READY.
    pub ready: Duration,
    /// For an answer in a session that is READY, and for the end in order.
    pub answer: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tcp: Duration::from_secs(5),
            version: Duration::from_secs(10),
            ready: Duration::from_secs(15),
            answer: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// No step longer than this.
    pub fn capped(self, cap: Duration) -> Self {
        Self {
            tcp: self.tcp.min(cap),
            version: self.version.min(cap),
            ready: self.ready.min(cap),
            answer: self.answer.min(cap),
        }
    }
}

/// How a session that became READY is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosePolicy {
    /// FIN, then reading to the end, as a good client does.
    Graceful,
    /// RST, as after a kill.
    Reset,
}

impl ClosePolicy {
    /// Name on the command line and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Graceful => "graceful",
            Self::Reset => "reset",
        }
    }
}

/// Stages in their order; those up to READY are the broker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The kernel completed TCP; says nothing about Gateway itself.
    TcpConnected,
    /// The opening line was handed to the kernel, whole.
    HelloSent,
    /// The first byte from the other side.
    FirstByte,
    /// Server version and time.
    VersionReceived,
    /// START_API was handed to the kernel.
    ApiStarted,
    /// A list of accounts that is not empty.
    AccountsReceived,
    /// The next valid order id.
    NextIdReceived,
    /// Both are there.
    Ready,
    /// The answer to a current-time request.
    TimeReceived,
    /// Gateway's settings.
    ConfigReceived,
    /// Gateway closed its side after ours.
    CloseAnswered,
}

impl Stage {
    /// Name in timelines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TcpConnected => "TCP_CONNECTED",
            Self::HelloSent => "HELLO_SENT",
            Self::FirstByte => "FIRST_BYTE",
            Self::VersionReceived => "VERSION_RECEIVED",
            Self::ApiStarted => "API_STARTED",
            Self::AccountsReceived => "ACCOUNTS_RECEIVED",
            Self::NextIdReceived => "NEXT_ID_RECEIVED",
            Self::Ready => "READY",
            Self::TimeReceived => "TIME_RECEIVED",
            Self::ConfigReceived => "CONFIG_RECEIVED",
            Self::CloseAnswered => "CLOSE_ANSWERED",
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// READY, and Gateway answered in the session. Whether it answered the close is a stage.
    Good,
    /// Nobody listens: the kernel of the other side said so.
    Refused,
    /// No answer to TCP's opening.
    TcpTimeout,
    /// TCP could not be opened for another reason.
    TcpFailed(String),
    /// A deadline passed in which nothing more came.
    Silence,
    /// The other side closed.
    Closed {
        /// With RST instead of FIN.
        reset: bool,
    },
    /// Bytes that are not the protocol, in words.
    NotProtocol(String),
    /// A frame announced more bytes than any frame has.
    TooLong(u32),
    /// The version reply is one, and cannot be accepted, in words.
    BadVersion(String),
    /// Error 326.
    ClientIdInUse,
    /// READY, and then no answer to a current-time request.
    MuteAfterReady,
}

/// An error or notice of Gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Request that it belongs to; -1 is the whole connection.
    pub request: i32,
    /// Its number.
    pub code: i32,
    /// Its text.
    pub text: String,
}

/// What came of asking for Gateway's settings.
#[derive(Debug, Clone, PartialEq)]
pub enum SettingsAnswer {
    /// They were not asked for, for this reason.
    NotAsked(&'static str),
    /// No answer within the limit.
    None,
    /// Gateway refused, in its words.
    Refused(String),
    /// Here they are.
    Read(Box<ConfigResponse>),
}

/// What came of a question in TLS, where a handshake was closed without a byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsAnswer {
    /// A record of TLS, with its first bytes.
    Record(Vec<u8>),
    /// Bytes that are none.
    Other(Vec<u8>),
    /// Closed again.
    Closed,
    /// Nothing.
    Silence,
    /// TCP could not be opened any more.
    NoTcp,
}

impl TlsAnswer {
    /// Name in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Record(_) => "tls",
            Self::Other(_) => "other",
            Self::Closed => "closed",
            Self::Silence => "silence",
            Self::NoTcp => "no_tcp",
        }
    }
}

/// One handshake.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// What was to be done.
    pub attempt: Attempt,
    /// When it began, in milliseconds since 1970.
    pub began_unix_ms: u64,
    /// Stages in the order in which they came, in milliseconds since the beginning.
    pub stages: Vec<(Stage, f64)>,
    /// How it ended.
    pub end: End,
    /// When it ended, in milliseconds since the beginning.
    pub ended_ms: f64,
    /// The first bytes from the other side up to its version, at most [`KEPT_BYTES`].
    pub first_bytes: Vec<u8>,
    /// Bytes that came in all.
    pub received: u64,
    /// When a blank line was sent because nothing had come, in milliseconds since the beginning.
    pub blank_line_ms: Option<f64>,
    /// What a connection of its own for a question in TLS brought, if one was made.
    pub tls: Option<TlsAnswer>,
    /// Bytes of a frame that was never completed.
    pub unfinished: usize,
    /// What Gateway said of itself.
    pub server: Option<ServerHello>,
    /// The account list as it came; empty lists come too.
    pub accounts: Option<Vec<String>>,
    /// The next valid order id.
    pub next_id: Option<i32>,
    /// Errors and notices, at most some tens.
    pub notices: Vec<Notice>,
    /// Gateway's settings.
    pub settings: SettingsAnswer,
}

impl Timeline {
    /// A handshake that has not begun.
    pub fn new(attempt: Attempt, began_unix_ms: u64) -> Self {
        Self {
            attempt,
            began_unix_ms,
            stages: Vec::new(),
            end: End::Silence,
            ended_ms: 0.0,
            first_bytes: Vec::new(),
            received: 0,
            blank_line_ms: None,
            tls: None,
            unfinished: 0,
            server: None,
            accounts: None,
            next_id: None,
            notices: Vec::new(),
            settings: SettingsAnswer::NotAsked("the session did not become READY"),
        }
    }

    /// When a stage was reached, in milliseconds.
    pub fn at(&self, stage: Stage) -> Option<f64> {
        self.stages.iter().find(|(reached, _)| *reached == stage).map(|(_, at)| *at)
    }

    /// Was it reached?
    pub fn has(&self, stage: Stage) -> bool {
        self.at(stage).is_some()
    }

    /// The stage that was reached last.
    pub fn last_stage(&self) -> Option<Stage> {
        self.stages.last().map(|(stage, _)| *stage)
    }

    /// From the last stage to the end: how long nothing more came, in milliseconds.
    pub fn waited_ms(&self) -> f64 {
        let last = self.stages.last().map_or(0.0, |(_, at)| *at);
        (self.ended_ms - last).max(0.0)
    }

    /// Was it closed without a byte, so that the other side is alive and may speak TLS?
    pub fn was_closed_at_once(&self) -> bool {
        matches!(self.end, End::Closed { .. }) && self.received == 0
    }

    /// Did it meet silence, in the sense of the budget: TCP, and not one byte?
    pub fn was_silent(&self) -> bool {
        self.end == End::Silence && self.received == 0
    }
}
