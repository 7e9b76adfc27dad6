//! From everything that is known to a verdict, with evidence, ranked hypotheses and next steps.
//!
//! Pure. The verdict is decided here; [`evidence`] says what it rests on, [`advice`] what may be
//! behind it, [`steps`] what a person can do. A live session of the broker comes first; then what a
//! handshake showed; then what is remembered; then what the kernel's tables show.

mod advice;
mod evidence;
#[cfg(test)]
pub(crate) mod samples;
mod steps;
#[cfg(test)]
mod tests;

use ibouncer_core::attempts::FailureClass;
use ibouncer_core::sight::{Sight, Vantage};
use ibouncer_proto::api::v1::SessionState;
use ibouncer_proto::tws::PROTOBUF_VERSIONS;

use crate::facts::{BrokerAttempt, BrokerFacts, Facts};
use crate::first_bytes::{Speaker, speaker};
use crate::settings::{Finding, findings};
use crate::timeline::{ClosePolicy, End, SettingsAnswer, Stage, Timeline, TlsAnswer};
use crate::verdict::Verdict;

/// From TCP to READY a Gateway in good health takes some hundreds of milliseconds.
const SLOW_MS: f64 = 2_000.0;

/// What is the matter, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The verdict.
    pub verdict: Verdict,
    /// What it rests on.
    pub evidence: Vec<String>,
    /// What may be behind it, the likeliest first.
    pub hypotheses: Vec<Hypothesis>,
    /// What to do now, in this order.
    pub next_steps: Vec<String>,
    /// Settings of Gateway that hurt.
    pub findings: Vec<Finding>,
    /// What a person can run where eyes are unknown, and how to read it.
    pub commands: Vec<CommandHint>,
    /// One sentence for an issue.
    pub sentence: String,
}

/// What may be behind a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hypothesis {
    /// What it is.
    pub what: String,
    /// What would confirm it.
    pub confirm: String,
}

/// A command for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandHint {
    /// The command.
    pub command: String,
    /// How to read what it prints.
    pub read: String,
}

/// Diagnoses.
pub fn diagnose(facts: &Facts) -> Diagnosis {
    let verdict = verdict(facts);
    Diagnosis {
        verdict,
        evidence: evidence::lines(facts),
        hypotheses: advice::hypotheses(verdict, facts),
        next_steps: steps::next_steps(verdict, facts),
        findings: settings_of(facts),
        commands: advice::commands(facts),
        sentence: evidence::sentence(verdict, facts),
    }
}

/// The class of a handshake for the ledger; `None` if it became a session.
pub fn class_of(timeline: &Timeline, sight: &Sight) -> Option<FailureClass> {
    if timeline.has(Stage::Ready) {
        return None;
    }
    Some(match verdict_of_timeline(timeline, sight) {
        Verdict::NoListener => FailureClass::Refused,
        // A queue so full that TCP gets no answer is the last step of the same silence.
        Verdict::AcceptQueueStuck | Verdict::SilentAfterTcp | Verdict::RelaySilent => {
            FailureClass::Silent
        }
        Verdict::Unreachable => FailureClass::Unreachable,
        Verdict::ClientIdInUse => FailureClass::ClientIdInUse,
        Verdict::ClosedAtConnect | Verdict::ClosedAfterVersion | Verdict::RelayWithoutGateway => {
            FailureClass::Rejected
        }
        Verdict::SpeaksHttp
        | Verdict::SpeaksTls
        | Verdict::NotTws
        | Verdict::OversizeFrame
        | Verdict::CutMidFrame => FailureClass::Poisoned,
        Verdict::BadVersion => FailureClass::Unsupported,
        _ => FailureClass::StalledStart,
    })
}

/// The handshake that decides: the first one that is not good, or else the newest.
pub(crate) fn deciding(facts: &Facts) -> Option<&Timeline> {
    let bad =
        |timeline: &&Timeline| verdict_of_timeline(timeline, &facts.sight) != Verdict::Healthy;
    facts.timelines.iter().find(bad).or(facts.timelines.last())
}

fn verdict(facts: &Facts) -> Verdict {
    if let Some(broker) = &facts.broker {
        return verdict_of_broker(broker, facts);
    }
    let ledger = facts.ledger.as_ref().ok();
    let wedged = ledger.is_some_and(|ledger| ledger.is_wedged());
    if let Some(timeline) = deciding(facts) {
        let verdict = verdict_of_timeline(timeline, &facts.sight);
        let silent = matches!(verdict, Verdict::SilentAfterTcp | Verdict::RelaySilent);
        return if silent && wedged { Verdict::Wedged } else { verdict };
    }
    if ledger.is_some_and(|ledger| ledger.hold.is_some()) {
        return Verdict::Held;
    }
    verdict_of_sight(facts, wedged)
}

/// Nothing was tried: what is remembered and what the tables show.
fn verdict_of_sight(facts: &Facts, wedged: bool) -> Verdict {
    let sight = &facts.sight;
    let here = matches!(sight.vantage, Vantage::Local | Vantage::Relayed);
    if here && sight.listening() == Some(false) {
        return Verdict::NoListener;
    }
    if wedged {
        return Verdict::Wedged;
    }
    if sight.counts() && facts.queue_stands && sight.accept_queue().is_some_and(|queue| queue > 0) {
        return Verdict::AcceptQueueStuck;
    }
    if sight.counts() && sight.close_wait().is_some_and(|sockets| sockets > 0) {
        return Verdict::CloseWaitLeft;
    }
    match sight.listening() {
        Some(true) if here => Verdict::Listening,
        _ => Verdict::Unknown,
    }
}

/// Silence, told apart by what eyes see.
fn silence(sight: &Sight) -> Verdict {
    let waiting = sight.accept_queue().is_some_and(|queue| queue > 0);
    match sight.vantage {
        Vantage::Local if waiting => Verdict::AcceptQueueStuck,
        Vantage::Relayed => Verdict::RelaySilent,
        _ => Verdict::SilentAfterTcp,
    }
}

fn closed_at_once(sight: &Sight) -> Verdict {
    match sight.vantage {
        Vantage::Relayed => Verdict::RelayWithoutGateway,
        _ => Verdict::ClosedAtConnect,
    }
}

/// What one handshake shows.
pub(crate) fn verdict_of_timeline(timeline: &Timeline, sight: &Sight) -> Verdict {
    let versioned = timeline.has(Stage::VersionReceived);
    match &timeline.end {
        End::Good => good(timeline),
        End::Refused => Verdict::NoListener,
        // As in `unanswered`.
        End::TcpTimeout if timeline.attempt.gateway.ip().is_loopback() => Verdict::AcceptQueueStuck,
        End::TcpTimeout if sight.counts() && sight.accept_queue().is_some_and(|one| one > 0) => {
            Verdict::AcceptQueueStuck
        }
        End::TcpTimeout | End::TcpFailed(_) => Verdict::Unreachable,
        End::Silence if timeline.received == 0 => silence(sight),
        End::Silence if !versioned => by_speaker(timeline, Verdict::VersionIncomplete),
        // The version came when it was not waited for any more.
        End::Silence if timeline.blank_line_ms.is_some() => Verdict::Slow,
        End::Silence => stalled(timeline),
        End::Closed { .. } if timeline.received == 0 => match &timeline.tls {
            Some(TlsAnswer::Record(_)) => Verdict::SpeaksTls,
            Some(TlsAnswer::Other(bytes)) if speaker(bytes) == Speaker::Http => Verdict::SpeaksHttp,
            _ => closed_at_once(sight),
        },
        End::Closed { .. } if !versioned => by_speaker(timeline, Verdict::CutMidFrame),
        End::Closed { .. } if timeline.unfinished > 0 => Verdict::CutMidFrame,
        End::Closed { .. } if timeline.has(Stage::Ready) => Verdict::ClosedAfterReady,
        End::Closed { .. } => Verdict::ClosedAfterVersion,
        End::NotProtocol(_) | End::TooLong(_) if !versioned => {
            by_speaker(timeline, Verdict::NotTws)
        }
        End::NotProtocol(_) => Verdict::NotTws,
        End::TooLong(_) => Verdict::OversizeFrame,
        End::BadVersion(_) => Verdict::BadVersion,
        End::ClientIdInUse => Verdict::ClientIdInUse,
        End::MuteAfterReady => Verdict::MuteAfterReady,
    }
}

fn good(timeline: &Timeline) -> Verdict {
    let version = timeline.server.as_ref().map_or(0, |server| server.server_version);
    let offered_more = timeline.attempt.offer.end() >= PROTOBUF_VERSIONS.start();
    let took = timeline.at(Stage::Ready).unwrap_or_default()
        - timeline.at(Stage::TcpConnected).unwrap_or_default();
    let graceful = timeline.attempt.close == ClosePolicy::Graceful;
    if version < *PROTOBUF_VERSIONS.start() && offered_more {
        Verdict::OldGateway
    } else if graceful && !timeline.has(Stage::CloseAnswered) {
        Verdict::CloseNotAnswered
    } else if took > SLOW_MS {
        Verdict::Slow
    } else {
        Verdict::Healthy
    }
}

fn stalled(timeline: &Timeline) -> Verdict {
    match (&timeline.accounts, timeline.next_id) {
        (None, None) => Verdict::SilentAfterVersion,
        (Some(accounts), _) if accounts.is_empty() => Verdict::EmptyAccounts,
        (None, Some(_)) => Verdict::NoAccounts,
        (Some(_), _) => Verdict::NoNextId,
    }
}

/// Bytes came, and no version: who speaks there?
fn by_speaker(timeline: &Timeline, if_tws: Verdict) -> Verdict {
    match speaker(&timeline.first_bytes) {
        Speaker::Http => Verdict::SpeaksHttp,
        Speaker::Tls => Verdict::SpeaksTls,
        Speaker::Tws => if_tws,
        Speaker::Nobody | Speaker::Ssh | Speaker::Vnc | Speaker::Unknown => Verdict::NotTws,
    }
}

/// By state and newest attempt together: a state alone says what the broker does about it, not
/// always what is the matter.
fn verdict_of_broker(broker: &BrokerFacts, facts: &Facts) -> Verdict {
    let attempt = broker.attempt.as_ref();
    let class = attempt.map_or("", |attempt| attempt.outcome.as_str());
    match broker.state {
        SessionState::Ready => Verdict::SessionReady,
        SessionState::Degraded => Verdict::SessionDegraded,
        SessionState::Wedged => Verdict::Wedged,
        // Also what a person must mend is waited for in HELD.
        SessionState::Held if broker.hold.is_none() && class == "unsupported" => {
            Verdict::OldGateway
        }
        SessionState::Held => Verdict::Held,
        SessionState::GatewayAbsent
            if class == "unreachable" && facts.sight.listening() != Some(false) =>
        {
            unanswered(facts)
        }
        SessionState::GatewayAbsent => Verdict::NoListener,
        SessionState::ClientIdInUse => Verdict::ClientIdInUse,
        SessionState::Unspecified
        | SessionState::Stopped
        | SessionState::Connecting
        | SessionState::Handshaking
        | SessionState::Backoff => {
            attempt.map_or(Verdict::BrokerConnecting, |attempt| verdict_of_attempt(attempt, facts))
        }
    }
}

/// TCP got no answer.
fn unanswered(facts: &Facts) -> Verdict {
    let waiting = facts.sight.accept_queue().is_some_and(|queue| queue > 0);
    // Nothing gets lost on the way to ourselves: the queue is full.
    if facts.gateway.ip().is_loopback() || (facts.sight.counts() && waiting) {
        Verdict::AcceptQueueStuck
    } else {
        Verdict::Unreachable
    }
}

/// The broker's newest attempt, by its class and its stages.
fn verdict_of_attempt(attempt: &BrokerAttempt, facts: &Facts) -> Verdict {
    let sight = &facts.sight;
    match attempt.outcome.as_str() {
        "ready" => verdict_of_lost(attempt),
        "refused" => Verdict::NoListener,
        "unreachable" => unanswered(facts),
        "silent" => silence(sight),
        "stalled_start" if !attempt.has("VERSION_RECEIVED") => Verdict::VersionIncomplete,
        "stalled_start" if attempt.has("ACCOUNTS_RECEIVED") => Verdict::NoNextId,
        "stalled_start" if attempt.has("NEXT_ID_RECEIVED") => Verdict::NoAccounts,
        "stalled_start" => Verdict::SilentAfterVersion,
        "client_id_in_use" => Verdict::ClientIdInUse,
        "rejected" if attempt.has("VERSION_RECEIVED") => Verdict::ClosedAfterVersion,
        "rejected" | "absent_or_rejected" => closed_at_once(sight),
        "poisoned" if attempt.has("VERSION_RECEIVED") => Verdict::OversizeFrame,
        "poisoned" => Verdict::NotTws,
        "unsupported" => Verdict::OldGateway,
        // Ours: a fault of the worker, or an operator's order.
        _ => Verdict::BrokerConnecting,
    }
}

/// A handshake that worked, and a session that has ended.
fn verdict_of_lost(attempt: &BrokerAttempt) -> Verdict {
    match attempt.session_end.as_deref() {
        Some("closed") => Verdict::ClosedAfterReady,
        Some("mute") => Verdict::MuteAfterReady,
        Some("poisoned") => Verdict::OversizeFrame,
        _ => Verdict::BrokerConnecting,
    }
}

fn settings_of(facts: &Facts) -> Vec<Finding> {
    let read = facts.timelines.iter().rev().find_map(|timeline| match &timeline.settings {
        SettingsAnswer::Read(config) => Some(config),
        _ => None,
    });
    read.map(|config| findings(config, facts.gateway)).unwrap_or_default()
}
