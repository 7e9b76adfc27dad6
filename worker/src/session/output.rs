//! What the session asks its shell to do, and the codes with which a worker ends.

use std::time::Duration;

use bytes::Bytes;
use ibouncer_proto::link::v1::{Configure, EndReason, ToBroker};

/// Exit codes, by which the broker knows the reason even if nothing else arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Asked to end.
    Asked = 0,
    /// Gateway refused.
    Refused = 10,
    /// Gateway broke the handshake.
    HandshakeViolated = 11,
    /// Gateway closed the connection.
    ClosedByPeer = 12,
    /// A frame that cannot be one.
    ProtocolViolation = 13,
    /// The broker is gone.
    LinkLost = 14,
    /// Another worker holds the lock.
    LockTaken = 15,
    /// TCP could not be opened.
    ConnectFailed = 16,
    /// A fault of the worker itself.
    Internal = 70,
}

impl ExitCode {
    pub(super) fn of(reason: EndReason) -> Self {
        match reason {
            EndReason::Asked => Self::Asked,
            EndReason::Refused => Self::Refused,
            EndReason::HandshakeViolated => Self::HandshakeViolated,
            EndReason::ClosedByPeer => Self::ClosedByPeer,
            EndReason::ProtocolViolation => Self::ProtocolViolation,
            EndReason::LinkLost => Self::LinkLost,
            EndReason::LockTaken => Self::LockTaken,
            EndReason::ConnectFailed => Self::ConnectFailed,
            EndReason::Internal | EndReason::Unspecified => Self::Internal,
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Say this on the link.
    Tell(ToBroker),
    /// Take the lock, then open TCP.
    Connect(Configure),
    /// Hand these bytes to Gateway's socket, in one piece and in this order.
    Write(Bytes),
    /// From now on the worker may outlive its broker.
    Outlive,
    /// The broker has dealt with every data frame up to this number: it need not be kept.
    Forget(u64),
    /// The link is gone: keep what comes from Gateway, and look for a broker.
    AwaitBroker {
        /// How often.
        retry: Duration,
        /// For how long.
        grace: Duration,
    },
    /// A broker that is good for us is at the other end of the link.
    BrokerFound,
    /// Whoever is at the other end of the link is no broker for us: drop it and look on.
    DropLink,
    /// Close the writing half in order, and read to the end until the deadline.
    CloseInOrder {
        /// How long that may take.
        within: Duration,
    },
    /// Exit, once what was told has left.
    Exit(ExitCode),
}
