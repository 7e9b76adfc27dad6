//! How workers end, in data and in words.

use ibouncer_proto::link::v1::{EndReason, Ended};

use crate::ids::Epoch;

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerEnd {
    /// Which one.
    pub epoch: Epoch,
    /// What is known of the cause.
    pub cause: EndCause,
    /// One sentence.
    pub detail: String,
    /// Why we ordered the end, if we did.
    pub ordered: Option<String>,
}

/// The cause as the worker or the kernel named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndCause {
    /// The worker said why before it went.
    Reported {
        /// Its word.
        reason: EndReason,
        /// Gateway's error code, if Gateway refused.
        gateway_code: i32,
    },
    /// It exited without a word.
    Exited {
        /// Exit code.
        code: i32,
    },
    /// It was ended by a signal.
    Signalled {
        /// Number of the signal.
        signal: i32,
    },
    /// It is gone, and its status went to another parent.
    Unseen,
    /// It never began.
    NotSpawned {
        /// Why.
        error: String,
    },
}

/// What the kernel said of a process that was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// It called exit.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// It is gone; as an adopted one it had another parent, who got the status.
    Unseen,
}

pub(super) fn describe(
    epoch: Epoch,
    reported: Option<Ended>,
    status: ExitStatus,
    ordered: Option<String>,
) -> WorkerEnd {
    let (cause, detail) = match (reported, status) {
        (Some(ended), _) => {
            let cause =
                EndCause::Reported { reason: ended.reason(), gateway_code: ended.gateway_code };
            (cause, ended.detail)
        }
        (None, ExitStatus::Code(code)) => {
            let detail = format!("worker exited with code {code} ({})", exit_code_meaning(code));
            (EndCause::Exited { code }, detail)
        }
        (None, ExitStatus::Unseen) => {
            (EndCause::Unseen, "worker is gone; its exit status went to another parent".to_owned())
        }
        (None, ExitStatus::Signal(signal)) => {
            let whose = if ordered.is_some() { "ours" } else { "not ours" };
            let detail = format!("worker ended by signal {signal}, {whose}");
            (EndCause::Signalled { signal }, detail)
        }
    };
    let detail = match &ordered {
        Some(because) => format!("{detail}: {because}"),
        None => detail,
    };
    WorkerEnd { epoch, cause, detail, ordered }
}

/// Meaning of a worker's exit code.
pub fn exit_code_meaning(code: i32) -> &'static str {
    match code {
        0 => "asked to end",
        10 => "refused by Gateway",
        11 => "handshake violated",
        12 => "closed by Gateway",
        13 => "protocol violation",
        14 => "link lost",
        15 => "lock taken",
        16 => "connection refused",
        70 => "internal fault",
        _ => "unknown",
    }
}
