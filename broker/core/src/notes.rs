//! What an operator wants to know afterwards: one sentence each, of one kind.
//!
//! Notes are said once, when something happens; where they are kept is the shell's business.

use crate::ids::Epoch;

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum NoteKind {
    Transition,
    Worker,
    Gateway,
    Operator,
    Broker,
    Gap,
    PortCheck,
    Client,
    Order,
}

impl NoteKind {
    /// Name in `ibouncer events`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transition => "transition",
            Self::Worker => "worker",
            Self::Gateway => "gateway",
            Self::Operator => "operator",
            Self::Broker => "broker",
            Self::Gap => "gap",
            Self::PortCheck => "port-check",
            Self::Client => "client",
            Self::Order => "order",
        }
    }
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Severity {
    Info,
    Warning,
    Error,
}

impl Severity {
    /// Name in `ibouncer events`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// About what.
    pub kind: NoteKind,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence.
    pub text: String,
    /// The worker at the time.
    pub epoch: Epoch,
}
