//! What a verdict rests on, in lines, and all of it in one sentence for an issue.
//!
//! Accounts are never named here, only counted.

use std::fmt::Write as _;

use ibouncer_core::sight::{Listener, PortSocket, Sight, Vantage};
use ibouncer_proto::api::v1::SessionState;

use super::deciding;
use crate::facts::{BrokerFacts, Facts};
use crate::first_bytes::{Speaker, quoted, speaker};
use crate::timeline::{ClosePolicy, End, SettingsAnswer, Stage, Timeline, TlsAnswer};
use crate::verdict::Verdict;

/// Sockets that are named one by one.
const NAMED_SOCKETS: usize = 4;

/// Notices that are named one by one.
const NAMED_NOTICES: usize = 4;

/// The state's name as users see it.
pub(crate) fn state_name(state: SessionState) -> &'static str {
    state.as_str_name().trim_start_matches("SESSION_STATE_")
}

pub(super) fn lines(facts: &Facts) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(broker) = &facts.broker {
        broker_lines(broker, &mut lines);
    }
    lines.extend(facts.broker_note.clone());
    sight_lines(&facts.sight, facts.now_unix_ms, &mut lines);
    ledger_lines(facts, &mut lines);
    if facts.timelines.len() > 1 {
        for timeline in &facts.timelines {
            lines.push(step_line(timeline, &facts.sight));
        }
    }
    if let Some(timeline) = deciding(facts) {
        timeline_lines(timeline, &mut lines);
    }
    if let Some(refusal) = &facts.refusal {
        lines.push(format!("no handshake was made: {refusal}"));
    }
    lines
}

fn broker_lines(broker: &BrokerFacts, lines: &mut Vec<String>) {
    let mut line = format!(
        "the broker (instance {}, client id {}) says {}",
        broker.instance,
        broker.client_id,
        state_name(broker.state)
    );
    if !broker.reason.is_empty() {
        let _ = write!(line, ": {}", broker.reason);
    }
    lines.push(line);
    if let Some(attempt) = &broker.attempt {
        let last = attempt.stages.last();
        let stage = last.map_or("no stage".to_owned(), |(name, at)| format!("{name} {at:.1} ms"));
        lines.push(format!("its newest finished attempt: {}, last {stage}", attempt.outcome));
        if !attempt.end.is_empty() {
            lines.push(format!("how the worker of that attempt ended: {}", attempt.end));
        }
    }
}

fn sight_lines(sight: &Sight, now_unix_ms: u64, lines: &mut Vec<String>) {
    lines.push(format!("eyes: {} ({})", sight.vantage.name(), sight.because));
    match &sight.listener {
        Err(unknown) if sight.vantage != Vantage::None => {
            lines.push(format!("listener: unknown ({unknown})"));
        }
        Err(_) => {}
        Ok(None) => lines.push("nothing listens on the port in the kernel's table".to_owned()),
        Ok(Some(listener)) => lines.push(listener_line(listener, now_unix_ms)),
    }
    let Ok(sockets) = &sight.sockets else {
        return;
    };
    let stuck = sight.close_wait().unwrap_or_default();
    if stuck > 0 {
        lines.push(format!(
            "{stuck} in CLOSE_WAIT on Gateway's side: their clients closed, Gateway did not"
        ));
    }
    let strangers: Vec<_> = sight.strangers().collect();
    for socket in strangers.iter().take(NAMED_SOCKETS) {
        lines.push(socket_line(socket));
    }
    if strangers.len() > NAMED_SOCKETS {
        lines.push(format!("and {} more of other programs", strangers.len() - NAMED_SOCKETS));
    }
    if sockets.is_empty() && sight.listener().is_some() {
        lines.push("no other socket of the port exists".to_owned());
    }
}

fn listener_line(listener: &Listener, now_unix_ms: u64) -> String {
    let mut line = match &listener.process {
        Err(unknown) => format!("{} listens, whose it is: unknown ({unknown})", listener.address),
        Ok(process) => {
            let age = (now_unix_ms / 1000).saturating_sub(process.started_unix);
            format!(
                "{} listens: {} (pid {}, up {})",
                listener.address,
                process.command,
                process.pid,
                span(age)
            )
        }
    };
    let _ = write!(line, "; accept queue {}", listener.accept_queue);
    if let Ok(backlog) = listener.backlog {
        let _ = write!(line, " of {backlog}");
    }
    line
}

fn socket_line(socket: &PortSocket) -> String {
    let owner = match &socket.owner {
        Ok(Some(owner)) => owner.to_string(),
        Ok(None) => "nobody's any more".to_owned(),
        Err(unknown) => format!("owner unknown ({unknown})"),
    };
    format!("another program: {} {} {owner}", socket.local, socket.state.name())
}

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn ledger_lines(facts: &Facts, lines: &mut Vec<String>) {
    let ledger = match &facts.ledger {
        Err(because) => return lines.push(format!("what is remembered: unknown ({because})")),
        Ok(ledger) => ledger,
    };
    let of = match ledger.budget {
        0 => String::new(),
        budget => format!(" of {budget}"),
    };
    lines.push(format!("silent handshakes in a row: {}{of}", ledger.silent_in_row));
    if let Some(since) = ledger.wedged_since_ms {
        let ago = facts.now_unix_ms.saturating_sub(since) / 1000;
        lines.push(format!("counts as wedged since {}", span(ago)));
    }
    if let Some(reason) = &ledger.hold {
        lines.push(format!("held: {reason}"));
    }
}

/// One handshake of a row.
fn step_line(timeline: &Timeline, sight: &Sight) -> String {
    let attempt = &timeline.attempt;
    format!(
        "client id {}, v{}..{}, limit {} s, {}: {} at {:.1} ms",
        attempt.client_id,
        attempt.offer.start(),
        attempt.offer.end(),
        attempt.limits.version.as_secs_f64(),
        attempt.close.name(),
        super::verdict_of_timeline(timeline, sight),
        timeline.ended_ms,
    )
}

fn timeline_lines(timeline: &Timeline, lines: &mut Vec<String>) {
    lines.push(end_line(timeline));
    lines.extend(question_lines(timeline));
    if let Some(server) = &timeline.server {
        lines.push(format!(
            "Gateway's server version {}, its clock {}",
            server.server_version, server.time
        ));
    }
    let who = speaker(&timeline.first_bytes);
    if !matches!(who, Speaker::Nobody | Speaker::Tws) {
        let name = match who {
            Speaker::Http => "a web server",
            Speaker::Tls => "TLS",
            Speaker::Ssh => "SSH",
            Speaker::Vnc => "VNC",
            _ => "no TWS API",
        };
        let bytes = quoted(&timeline.first_bytes, 48);
        lines.push(format!("its first bytes are those of {name}: \"{bytes}\""));
    }
    if timeline.unfinished > 0 && timeline.has(Stage::VersionReceived) {
        lines.push(format!("{} bytes of an unfinished frame came last", timeline.unfinished));
    }
    for notice in timeline.notices.iter().take(NAMED_NOTICES) {
        lines.push(format!("Gateway said {}: {}", notice.code, notice.text));
    }
    match &timeline.settings {
        SettingsAnswer::None => lines.push("Gateway did not tell its settings".to_owned()),
        SettingsAnswer::Refused(text) => lines.push(format!("settings: unknown ({text})")),
        SettingsAnswer::NotAsked(_) | SettingsAnswer::Read(_) => {}
    }
    let graceful = timeline.attempt.close == ClosePolicy::Graceful;
    if timeline.end == End::Good && graceful && !timeline.has(Stage::CloseAnswered) {
        lines.push(format!(
            "after our FIN Gateway did not close its side within {} s; our end went with a reset",
            timeline.attempt.limits.answer.as_secs_f64()
        ));
    }
}

/// What was asked beyond the handshake, and what came of it.
fn question_lines(timeline: &Timeline) -> Vec<String> {
    let mut lines = Vec::new();
    if timeline.blank_line_ms.is_some() {
        let answered = match (timeline.received, &timeline.server) {
            (0, _) => "a blank line after that changed nothing",
            (_, Some(_)) => "a blank line was sent then; the version came after it all the same",
            (_, None) => "it spoke only after a blank line, as a server of lines does",
        };
        lines.push(answered.to_owned());
    }
    let answer = match &timeline.tls {
        None => return lines,
        Some(TlsAnswer::Record(bytes)) => {
            format!("it answered with a record of TLS: \"{}\"", quoted(bytes, 48))
        }
        Some(TlsAnswer::Other(bytes)) => {
            format!("it answered with something else: \"{}\"", quoted(bytes, 48))
        }
        Some(TlsAnswer::Closed) => "it closed again, without a byte".to_owned(),
        Some(TlsAnswer::Silence) => "nothing came".to_owned(),
        Some(TlsAnswer::NoTcp) => "TCP could not be opened any more".to_owned(),
    };
    lines.push(format!("asked in TLS over a connection of its own: {answer}"));
    lines
}

fn end_line(timeline: &Timeline) -> String {
    let last = timeline.last_stage().map_or("nothing", Stage::name);
    let waited = timeline.waited_ms();
    match &timeline.end {
        End::Good => {
            let ready = timeline.at(Stage::Ready).unwrap_or_default();
            format!("READY after {ready:.1} ms, and Gateway answered in the session")
        }
        End::Refused => {
            format!("TCP was refused after {:.1} ms: no listener there", timeline.ended_ms)
        }
        End::TcpTimeout => format!("no answer to TCP's opening in {:.0} ms", timeline.ended_ms),
        End::TcpFailed(because) => format!("TCP could not be opened: {because}"),
        End::Silence => format!(
            "nothing more came in {waited:.0} ms after {last}; {} bytes in all",
            timeline.received
        ),
        End::Closed { reset } => format!(
            "the other side closed with {} {waited:.1} ms after {last}; {} bytes in all",
            if *reset { "RST" } else { "FIN" },
            timeline.received
        ),
        End::NotProtocol(because) | End::BadVersion(because) => because.clone(),
        End::TooLong(length) => {
            format!("after {last} a frame announced {length} bytes; none is that long")
        }
        End::ClientIdInUse => {
            format!("error 326: client id {} is taken", timeline.attempt.client_id)
        }
        End::MuteAfterReady => {
            format!("READY, and then no answer to a current-time request in {waited:.0} ms")
        }
    }
}

pub(super) fn sentence(verdict: Verdict, facts: &Facts) -> String {
    let mut text = format!("{verdict} at {}: ", facts.gateway);
    let meaning = verdict.meaning().trim_end_matches('.');
    text.push_str(&lower_first(meaning));
    let mut parts = Vec::new();
    if let Some(timeline) = deciding(facts) {
        parts.push(stages_in_short(timeline));
        if let Some(server) = &timeline.server {
            parts.push(format!("server version {}", server.server_version));
        }
    } else if let Some(broker) = &facts.broker {
        parts.push(format!("broker {}", state_name(broker.state)));
    } else {
        parts.push("no handshake made".to_owned());
    }
    parts.push(format!("eyes {}", facts.sight.vantage.name()));
    if let Some(queue) = facts.sight.accept_queue() {
        parts.push(format!("accept queue {queue}"));
    }
    if let Some(stuck) = facts.sight.close_wait().filter(|stuck| *stuck > 0) {
        parts.push(format!("CLOSE_WAIT {stuck}"));
    }
    if let Ok(ledger) = &facts.ledger
        && ledger.silent_in_row > 0
    {
        parts.push(format!("silent {} of {}", ledger.silent_in_row, ledger.budget));
    }
    let _ = write!(text, " ({}; ibouncer {}).", parts.join(", "), env!("CARGO_PKG_VERSION"));
    text
}

/// "TCP_CONNECTED 0.3 ms, then nothing for 10000 ms".
fn stages_in_short(timeline: &Timeline) -> String {
    match timeline.stages.last() {
        None => format!("no TCP in {:.0} ms", timeline.ended_ms),
        Some((stage, at)) => match &timeline.end {
            End::Good => {
                format!("READY {:.1} ms", timeline.at(Stage::Ready).unwrap_or_default())
            }
            End::Silence | End::MuteAfterReady => format!(
                "{} {at:.1} ms, then nothing for {:.0} ms",
                stage.name(),
                timeline.waited_ms()
            ),
            _ => format!("{} {at:.1} ms, ended {:.1} ms", stage.name(), timeline.ended_ms),
        },
    }
}

/// Gateway's and TCP's capitals stay.
fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() && !text.starts_with("Gateway") => {
            let mut lowered: String = first.to_lowercase().collect();
            lowered.push_str(&text[first.len_utf8()..]);
            lowered
        }
        _ => text.to_owned(),
    }
}
