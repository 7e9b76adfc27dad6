//! The timeline of one handshake, how it ended, and the history of the newest ones.
//!
//! Owns what "at which stage did it stop" is answered from. Decides the class of a failure from
//! the stage that was reached and from how the worker ended; decides nothing about what to do.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use ibouncer_proto::link::v1::{EndReason, Stage};

use crate::ids::Epoch;
use crate::settings::Deadlines;
use crate::supervisor::{EndCause, WorkerEnd};

/// Attempts that are kept for status.
const KEPT: usize = 20;

/// Why a handshake, or the session that it began, failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureClass {
    /// Nobody listens.
    Refused,
    /// TCP could not be opened in time.
    Unreachable,
    /// TCP is up, and not one byte came.
    Silent,
    /// Gateway answered, but account list or next id did not come.
    StalledStart,
    /// Error 326.
    ClientIdInUse,
    /// Gateway closed before READY.
    Rejected,
    /// Closed without a byte, where no eyes can tell a Gateway that rejects from a relay that
    /// has nothing behind it.
    AbsentOrRejected,
    /// Bytes that are not the protocol.
    Poisoned,
    /// A server version that cannot be served.
    Unsupported,
    /// Our own worker: crash, stuck, no Hello, lock taken.
    WorkerFault,
    /// A session that was READY ended on Gateway's side.
    SessionLost,
    /// Ended by an operator.
    Cancelled,
}

impl FailureClass {
    /// Name in status and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Silent => "silent",
            Self::StalledStart => "stalled_start",
            Self::ClientIdInUse => "client_id_in_use",
            Self::Rejected => "rejected",
            Self::AbsentOrRejected => "absent_or_rejected",
            Self::Poisoned => "poisoned",
            Self::Unsupported => "unsupported",
            Self::WorkerFault => "worker_fault",
            Self::SessionLost => "session_lost",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// How an attempt stands or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Under way.
    InProgress,
    /// Reached READY.
    Ready,
    /// Did not.
    Failed(FailureClass),
}

impl Outcome {
    /// Name in status.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Ready => "ready",
            Self::Failed(class) => class.name(),
        }
    }
}

/// How a session that was READY ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEnd {
    /// Gateway closed it.
    Closed,
    /// Gateway did not answer heartbeats.
    Mute,
    /// Otherwise: not by Gateway, or not by the rules.
    Other(FailureClass),
}

impl SessionEnd {
    /// By the class of the end. `ordered` says whether the broker ended the worker.
    pub fn of(class: FailureClass, ordered: bool) -> Self {
        match (class, ordered) {
            (FailureClass::SessionLost, false) => Self::Closed,
            // Nothing else makes the broker give up a session as lost.
            (FailureClass::SessionLost, true) => Self::Mute,
            (class, _) => Self::Other(class),
        }
    }

    /// Name in status.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Mute => "mute",
            Self::Other(class) => class.name(),
        }
    }
}

/// One attempt, from spawn to the worker's end.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Its worker.
    pub epoch: Epoch,
    /// When the worker was ordered.
    pub begun: Instant,
    /// Stages in the order in which they came, since `begun`.
    pub stages: Vec<(Stage, Duration)>,
    /// How it stands.
    pub outcome: Outcome,
    /// How the worker ended, in words.
    pub end: Option<String>,
    /// How the session that it became ended.
    pub session_end: Option<SessionEnd>,
}

/// A deadline of a handshake: when, and what is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageDeadline {
    /// When it passes.
    pub at: Instant,
    /// How long the step was given.
    pub allowed: Duration,
    /// When the step began.
    pub since: Instant,
}

impl Attempt {
    /// An attempt that begins now.
    pub fn new(epoch: Epoch, now: Instant) -> Self {
        Self {
            epoch,
            begun: now,
            stages: Vec::new(),
            outcome: Outcome::InProgress,
            end: None,
            session_end: None,
        }
    }

    /// Notes a stage. Each counts once.
    pub fn reach(&mut self, stage: Stage, at: Duration) {
        if !self.has(stage) {
            self.stages.push((stage, at));
        }
    }

    /// Was this stage reached?
    pub fn has(&self, stage: Stage) -> bool {
        self.at(stage).is_some()
    }

    /// The furthest stage.
    pub fn last_stage(&self) -> Stage {
        self.stages.iter().map(|(stage, _)| *stage).max().unwrap_or(Stage::Unspecified)
    }

    /// What the handshake must have done by when; `None` once it is READY.
    pub fn deadline(&self, deadlines: &Deadlines) -> Option<StageDeadline> {
        if self.outcome != Outcome::InProgress || self.has(Stage::Ready) {
            return None;
        }
        let step = |since: Duration, allowed: Duration| StageDeadline {
            at: self.begun + since + allowed,
            allowed,
            since: self.begun + since,
        };
        let next = if let Some(at) = self.at(Stage::ApiStarted) {
            step(at, deadlines.ready)
        } else if let Some(at) = self.at(Stage::TcpConnected) {
            step(at, deadlines.version)
        } else if let Some(at) = self.at(Stage::Linked) {
            step(at, deadlines.tcp)
        } else {
            step(Duration::ZERO, deadlines.linked)
        };
        let total = step(Duration::ZERO, deadlines.total);
        Some(if next.at <= total.at { next } else { total })
    }

    /// The class of a handshake that stopped here because nothing more came.
    pub fn class_of_silence(&self) -> FailureClass {
        if !self.has(Stage::Linked) {
            FailureClass::WorkerFault
        } else if !self.has(Stage::TcpConnected) {
            FailureClass::Unreachable
        } else if !self.has(Stage::FirstByte) {
            FailureClass::Silent
        } else {
            FailureClass::StalledStart
        }
    }

    /// The class of a worker's end that was not ordered. `seen` says whether Gateway itself is
    /// seen at its port.
    pub fn class_of_end(&self, end: &WorkerEnd, seen: bool) -> FailureClass {
        let closed = || match (self.has(Stage::Ready), self.has(Stage::FirstByte) || seen) {
            (true, _) => FailureClass::SessionLost,
            (false, true) => FailureClass::Rejected,
            (false, false) => FailureClass::AbsentOrRejected,
        };
        match &end.cause {
            EndCause::Reported { reason, gateway_code } => match reason {
                EndReason::ConnectFailed => FailureClass::Refused,
                EndReason::Refused if *gateway_code == 326 => FailureClass::ClientIdInUse,
                EndReason::Refused => FailureClass::Unsupported,
                EndReason::ClosedByPeer => closed(),
                EndReason::HandshakeViolated | EndReason::ProtocolViolation => {
                    FailureClass::Poisoned
                }
                EndReason::Asked => FailureClass::Cancelled,
                EndReason::LinkLost
                | EndReason::LockTaken
                | EndReason::Internal
                | EndReason::Unspecified => FailureClass::WorkerFault,
            },
            // The code says the same as the last word, in case that did not arrive.
            EndCause::Exited { code } => match code {
                0 => FailureClass::Cancelled,
                10 => FailureClass::Rejected,
                11 | 13 => FailureClass::Poisoned,
                12 => closed(),
                16 => FailureClass::Refused,
                _ => FailureClass::WorkerFault,
            },
            EndCause::Signalled { .. } | EndCause::Unseen | EndCause::NotSpawned { .. } => {
                FailureClass::WorkerFault
            }
        }
    }

    /// What is being waited for, for people: "silence after HELLO_SENT for 6.2 s (deadline 10 s)".
    pub fn describe_wait(&self, deadlines: &Deadlines, now: Instant) -> String {
        let Some(deadline) = self.deadline(deadlines) else {
            return "handshake complete".into();
        };
        let waited = now.saturating_duration_since(deadline.since).as_secs_f64();
        // Whole seconds without a point, anything else with what it needs.
        let allowed = (deadline.allowed.as_secs_f64() * 100.0).round() / 100.0;
        let last = stage_name(self.last_stage());
        let meaning = match self.last_stage() {
            Stage::Unspecified | Stage::Spawned => "The worker has not said Hello yet.",
            Stage::Linked => "The worker is opening TCP.",
            Stage::TcpConnected | Stage::HelloSent => "TCP is up; Gateway has sent no byte.",
            Stage::FirstByte => "Gateway began to answer and did not finish its version.",
            Stage::VersionReceived | Stage::ApiStarted => {
                "Gateway answered; account list and next order id are missing."
            }
            Stage::AccountsReceived => "The account list is there; the next order id is missing.",
            Stage::NextIdReceived => "The next order id is there; the account list is missing.",
            Stage::Ready => "",
        };
        format!("silence after {last} for {waited:.1} s (deadline {allowed} s). {meaning}")
    }

    fn at(&self, stage: Stage) -> Option<Duration> {
        self.stages.iter().find(|(reached, _)| *reached == stage).map(|(_, at)| *at)
    }
}

/// Name of a stage as users see it.
pub fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Unspecified => "nothing",
        other => other.as_str_name().trim_start_matches("STAGE_"),
    }
}

/// The newest attempts, newest last.
#[derive(Debug, Clone, Default)]
pub struct History {
    attempts: VecDeque<Attempt>,
}

impl History {
    /// Begins an attempt.
    pub fn begin(&mut self, epoch: Epoch, now: Instant) {
        if self.attempts.len() == KEPT {
            self.attempts.pop_front();
        }
        self.attempts.push_back(Attempt::new(epoch, now));
    }

    /// The newest one.
    pub fn newest(&self) -> Option<&Attempt> {
        self.attempts.back()
    }

    /// The newest one, if it is this worker's.
    pub fn of(&mut self, epoch: Epoch) -> Option<&mut Attempt> {
        self.attempts.back_mut().filter(|attempt| attempt.epoch == epoch)
    }

    /// All that are kept.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Attempt> {
        self.attempts.iter()
    }
}

#[cfg(test)]
mod tests;
