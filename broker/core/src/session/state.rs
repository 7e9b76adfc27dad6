//! States of the session with their data, without it, and which may follow which.

use std::fmt;
use std::time::Instant;

use ibouncer_proto::api::v1::SessionState;

use crate::attempts::FailureClass;
use crate::ids::Epoch;

/// A state with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The broker is starting or ending.
    Stopped,
    /// Nobody listens.
    GatewayAbsent {
        /// When to look again.
        dial_at: Instant,
    },
    /// A worker that outlived the broker before still holds the session, and is waited for.
    Adopting {
        /// When its absence is remarked again.
        look_at: Instant,
        /// Its process, if that is known.
        pid: Option<u32>,
    },
    /// A worker is coming up and opening TCP.
    Connecting {
        /// Which one.
        epoch: Epoch,
    },
    /// TCP is up.
    Handshaking {
        /// Which worker.
        epoch: Epoch,
    },
    /// Requests are served.
    Ready {
        /// Which worker.
        epoch: Epoch,
    },
    /// The session lives, Gateway's own link does not.
    Degraded {
        /// Which worker.
        epoch: Epoch,
    },
    /// The last attempt failed.
    Backoff {
        /// When the next one is due.
        dial_at: Instant,
        /// Why the last one failed.
        class: FailureClass,
    },
    /// Error 326.
    ClientIdInUse {
        /// When the same id is tried again.
        dial_at: Instant,
    },
    /// Silent too often.
    Wedged {
        /// When one probe is made.
        probe_at: Instant,
    },
    /// Nothing until a person says so.
    Held {
        /// What a person must do.
        by: HeldBy,
    },
}

/// Why nothing is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBy {
    /// An operator said so, and says when it is over.
    Operator,
    /// Gateway's server version cannot be served.
    Version,
}

impl State {
    /// The state without its data.
    pub const fn kind(&self) -> StateKind {
        match self {
            Self::Stopped => StateKind::Stopped,
            Self::GatewayAbsent { .. } => StateKind::GatewayAbsent,
            // For users it is the same wait: a worker that is not connected to us yet.
            Self::Adopting { .. } | Self::Connecting { .. } => StateKind::Connecting,
            Self::Handshaking { .. } => StateKind::Handshaking,
            Self::Ready { .. } => StateKind::Ready,
            Self::Degraded { .. } => StateKind::Degraded,
            Self::Backoff { .. } => StateKind::Backoff,
            Self::ClientIdInUse { .. } => StateKind::ClientIdInUse,
            Self::Wedged { .. } => StateKind::Wedged,
            Self::Held { .. } => StateKind::Held,
        }
    }
}

/// A state without its data, for status, metrics and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the states are described at State")]
pub enum StateKind {
    Stopped,
    GatewayAbsent,
    Connecting,
    Handshaking,
    Ready,
    Degraded,
    Backoff,
    ClientIdInUse,
    Wedged,
    Held,
}

impl StateKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Stopped,
        Self::GatewayAbsent,
        Self::Connecting,
        Self::Handshaking,
        Self::Ready,
        Self::Degraded,
        Self::Backoff,
        Self::ClientIdInUse,
        Self::Wedged,
        Self::Held,
    ];

    /// Name as users see it.
    pub fn name(self) -> &'static str {
        self.wire().as_str_name().trim_start_matches("SESSION_STATE_")
    }

    /// The same in the public API.
    pub const fn wire(self) -> SessionState {
        match self {
            Self::Stopped => SessionState::Stopped,
            Self::GatewayAbsent => SessionState::GatewayAbsent,
            Self::Connecting => SessionState::Connecting,
            Self::Handshaking => SessionState::Handshaking,
            Self::Ready => SessionState::Ready,
            Self::Degraded => SessionState::Degraded,
            Self::Backoff => SessionState::Backoff,
            Self::ClientIdInUse => SessionState::ClientIdInUse,
            Self::Wedged => SessionState::Wedged,
            Self::Held => SessionState::Held,
        }
    }
}

impl fmt::Display for StateKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// May `to` follow `from`?
pub(super) const fn allowed(from: StateKind, to: StateKind) -> bool {
    use StateKind as K;
    match (from, to) {
        // Every wait and the start can dial, or find a worker from before.
        (
            K::Stopped | K::GatewayAbsent | K::Backoff | K::ClientIdInUse | K::Wedged | K::Held,
            K::Connecting,
        ) => true,
        (K::Connecting, K::Handshaking) => true,
        // READY can be told before the stages on the way to it are; an adopted session has it.
        (K::Connecting | K::Handshaking, K::Ready) => true,
        (K::Ready, K::Degraded) | (K::Degraded, K::Ready) => true,
        // The end of an attempt or of a session, by the class of the failure.
        (
            K::Connecting | K::Handshaking | K::Ready | K::Degraded,
            K::GatewayAbsent | K::Backoff | K::ClientIdInUse | K::Wedged | K::Held,
        ) => true,
        // A look before an attempt can show another reason to wait, and an operator can hold.
        (
            K::Stopped | K::GatewayAbsent | K::Backoff | K::ClientIdInUse | K::Wedged,
            K::GatewayAbsent | K::Backoff | K::Wedged | K::Held,
        ) => true,
        (K::Held, K::GatewayAbsent | K::Backoff | K::Wedged) => true,
        // The broker can end at any time.
        (
            K::Stopped
            | K::GatewayAbsent
            | K::Connecting
            | K::Handshaking
            | K::Ready
            | K::Degraded
            | K::Backoff
            | K::ClientIdInUse
            | K::Wedged
            | K::Held,
            K::Stopped,
        ) => true,
        (
            K::Stopped | K::GatewayAbsent | K::Backoff | K::ClientIdInUse | K::Wedged | K::Held,
            K::Handshaking | K::Ready | K::Degraded | K::ClientIdInUse,
        ) => false,
        (K::Held, K::Held) => false,
        (K::Connecting, K::Connecting | K::Degraded)
        | (K::Handshaking, K::Connecting | K::Handshaking | K::Degraded)
        | (K::Ready, K::Connecting | K::Handshaking | K::Ready)
        | (K::Degraded, K::Connecting | K::Handshaking | K::Degraded) => false,
    }
}

/// One change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// What it was.
    pub from: StateKind,
    /// What it is.
    pub to: StateKind,
    /// Why.
    pub because: String,
    /// The newest worker at the time.
    pub epoch: Epoch,
    /// When.
    pub at: Instant,
}

/// What happens next by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// In words.
    pub action: String,
    /// When, if at a time.
    pub at: Option<Instant>,
    /// Why then.
    pub because: String,
}
