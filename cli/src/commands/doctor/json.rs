//! An examination under stable keys (`schema: 1`). A value that is not known is `null`, and its
//! path stands in `unknown` with the cause. Keys are added, never renamed. Accounts are masked.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use ibouncer_core::sight::{PortSocket, Sight};
use ibouncer_doctor::timeline::{Attempt, End, SettingsAnswer, Timeline, TlsAnswer};
use ibouncer_doctor::verdict::Grade;
use ibouncer_doctor::{BrokerFacts, Facts, Plan, Refusal, Report};
use serde_json::{Value, json};

use crate::output::mask::masked;
use crate::output::time;

const SCHEMA: u32 = 1;

/// The whole examination.
pub(super) fn as_json(report: &Report) -> Value {
    let Report { facts, diagnosis, dry_run } = report;
    let mut unknown = BTreeMap::new();
    let mut value = json!({
        "schema": SCHEMA,
        "at": rfc3339(facts.now_unix_ms),
        "gateway": facts.gateway.to_string(),
        "verdict": diagnosis.verdict.name(),
        "meaning": diagnosis.verdict.meaning(),
        "grade": match diagnosis.verdict.grade() {
            Grade::Good => "good",
            Grade::Problem => "problem",
            Grade::WedgedOrHeld => "wedged_or_held",
        },
        "evidence": diagnosis.evidence,
        "hypotheses": diagnosis.hypotheses.iter().map(|one| json!({
            "what": one.what,
            "confirm": one.confirm,
        })).collect::<Vec<_>>(),
        "next_steps": diagnosis.next_steps,
        "settings": diagnosis.findings.iter().map(|finding| json!({
            "setting": finding.setting,
            "value": finding.value,
            "why": finding.why,
        })).collect::<Vec<_>>(),
        "commands": diagnosis.commands.iter().map(|hint| json!({
            "command": hint.command,
            "read": hint.read,
        })).collect::<Vec<_>>(),
        "handshakes": facts.timelines.iter().map(handshake).collect::<Vec<_>>(),
        "refusal": facts.refusal.as_ref().map(refusal),
        "dry_run": dry_run.as_ref().map(|(plan, obstacle)| planned(plan, obstacle.as_ref())),
        "eyes": eyes(&facts.sight, &mut unknown),
        "budget": budget(facts, &mut unknown),
        "broker": facts.broker.as_ref().map(broker),
        "sentence": diagnosis.sentence,
    });
    if facts.broker.is_none() {
        let because = facts.broker_note.clone();
        unknown.insert("broker".into(), because.unwrap_or_else(|| "no broker runs".into()));
    }
    value["unknown"] = json!(unknown);
    value
}

fn handshake(timeline: &Timeline) -> Value {
    let server = timeline.server.as_ref();
    let accounts = timeline.accounts.as_ref();
    let mut value = attempt(&timeline.attempt);
    value["at"] = json!(rfc3339(timeline.began_unix_ms));
    value["stages"] = timeline
        .stages
        .iter()
        .map(|(stage, at_ms)| json!({ "stage": stage.name(), "at_ms": at_ms }))
        .collect();
    value["end"] = json!(end_name(&timeline.end));
    value["ended_ms"] = json!(timeline.ended_ms);
    value["bytes"] = json!(timeline.received);
    // Only where they are evidence of something else than Gateway.
    value["first_bytes"] = json!(server.is_none().then(|| hex(&timeline.first_bytes)));
    value["blank_line_ms"] = json!(timeline.blank_line_ms);
    value["tls"] = json!(timeline.tls.as_ref().map(TlsAnswer::name));
    value["unfinished_bytes"] = json!(timeline.unfinished);
    value["server_version"] = json!(server.map(|server| server.server_version));
    value["server_time"] = json!(server.map(|server| &server.time));
    value["accounts"] =
        json!(accounts.map(|list| list.iter().map(|one| masked(one)).collect::<Vec<_>>()));
    value["next_id"] = json!(timeline.next_id);
    value["notices"] = timeline
        .notices
        .iter()
        .map(
            |notice| json!({ "request": notice.request, "code": notice.code, "text": notice.text }),
        )
        .collect();
    value["settings_read"] = json!(matches!(timeline.settings, SettingsAnswer::Read(_)));
    value
}

fn attempt(attempt: &Attempt) -> Value {
    json!({
        "client_id": attempt.client_id,
        "offer": [attempt.offer.start(), attempt.offer.end()],
        "close": attempt.close.name(),
        "limits_ms": {
            "tcp": millis(attempt.limits.tcp),
            "version": millis(attempt.limits.version),
            "ready": millis(attempt.limits.ready),
            "answer": millis(attempt.limits.answer),
        },
    })
}

fn planned(plan: &Plan, obstacle: Option<&Refusal>) -> Value {
    json!({
        "kind": plan.kind,
        "steps": plan.steps.iter().map(attempt).collect::<Vec<_>>(),
        "pause_ms": millis(plan.pause),
        "left_out": plan.left_out,
        "longest_ms": millis(plan.longest()),
        "obstacle": obstacle.map(refusal),
    })
}

fn refusal(refusal: &Refusal) -> Value {
    json!({
        "code": refusal.name(),
        "because": refusal.to_string(),
        "can_be_overridden": refusal.can_be_overridden(),
    })
}

fn eyes(sight: &Sight, unknown: &mut BTreeMap<String, String>) -> Value {
    let mut note = |path: &str, cause: &dyn std::fmt::Display| {
        unknown.insert(format!("eyes.{path}"), cause.to_string());
    };
    let listener = match &sight.listener {
        Ok(listener) => listener.as_ref().map(|listener| {
            let process = listener.process.as_ref().ok();
            json!({
                "address": listener.address.to_string(),
                "accept_queue": listener.accept_queue,
                "backlog": listener.backlog.as_ref().ok(),
                "pid": process.map(|process| process.pid),
                "command": process.map(|process| &process.command),
                "started": process.map(|process| rfc3339(process.started_unix * 1000)),
            })
        }),
        Err(cause) => {
            note("listener", cause);
            None
        }
    };
    if let Err(cause) = &sight.sockets {
        note("sockets", cause);
        note("close_wait", cause);
    }
    if sight.listener.is_ok() && listener.is_none() {
        note("listener", &"nothing listens");
    }
    let sockets = sight.sockets.as_ref().ok();
    json!({
        "vantage": sight.vantage.name(),
        "because": sight.because,
        "listener": listener,
        "close_wait": sight.close_wait(),
        "sockets": sockets.map(|sockets| sockets.iter().map(socket).collect::<Vec<_>>()),
    })
}

fn socket(socket: &PortSocket) -> Value {
    let owner = socket.owner.as_ref().ok().and_then(Option::as_ref);
    json!({
        "local": socket.local.to_string(),
        "remote": socket.remote.to_string(),
        "state": socket.state.name(),
        "role": socket.role.name(),
        "pid": owner.map(|owner| owner.pid),
        "command": owner.map(|owner| &owner.command),
        "age_ms": millis(socket.age),
        "unread": socket.unread,
    })
}

fn budget(facts: &Facts, unknown: &mut BTreeMap<String, String>) -> Value {
    match &facts.ledger {
        Ok(ledger) => json!({
            "silent_in_row": ledger.silent_in_row,
            "excused": ledger.excused,
            "limit": ledger.budget,
            "wedged_since": ledger.wedged_since_ms.map(rfc3339),
            "hold": ledger.hold,
            "attempts": ledger.attempts.iter().map(|entry| json!({
                "at": rfc3339(entry.at_ms),
                "by": entry.by,
                "outcome": entry.outcome,
            })).collect::<Vec<_>>(),
        }),
        Err(cause) => {
            unknown.insert("budget".into(), cause.clone());
            Value::Null
        }
    }
}

fn broker(broker: &BrokerFacts) -> Value {
    let state = broker.state.as_str_name();
    json!({
        "instance": broker.instance,
        "state": state.strip_prefix("SESSION_STATE_").unwrap_or(state),
        "reason": broker.reason,
        "client_id": broker.client_id,
        "server_version": broker.server_version,
        "hold": broker.hold,
        "attempt": broker.attempt.as_ref().map(|attempt| json!({
            "outcome": attempt.outcome,
            "session_end": attempt.session_end,
            "stages": attempt.stages.iter().map(|(stage, at_ms)| {
                json!({ "stage": stage, "at_ms": at_ms })
            }).collect::<Vec<_>>(),
        })),
    })
}

fn end_name(end: &End) -> &'static str {
    match end {
        End::Good => "good",
        End::Refused => "refused",
        End::TcpTimeout => "tcp_timeout",
        End::TcpFailed(_) => "tcp_failed",
        End::Silence => "silence",
        End::Closed { reset: true } => "reset",
        End::Closed { reset: false } => "closed",
        End::NotProtocol(_) => "not_protocol",
        End::TooLong(_) => "too_long",
        End::BadVersion(_) => "bad_version",
        End::ClientIdInUse => "client_id_in_use",
        End::MuteAfterReady => "mute_after_ready",
    }
}

fn rfc3339(unix_ms: u64) -> String {
    time::rfc3339(UNIX_EPOCH + Duration::from_millis(unix_ms))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
