//! Status under stable keys (`schema: 1`). A value that is not known is `null`, and its path
//! stands in `unknown` with the cause. Keys are added, never renamed.

use std::collections::BTreeMap;

use ibouncer_client::{StatusUpdate, api};
use prost_types::Timestamp;
use serde_json::{Value, json};

use crate::output::time;

/// The whole status.
pub(crate) fn as_json(status: &api::Status) -> Value {
    let gateway = status.gateway.clone().unwrap_or_default();
    let worker = status.worker.as_ref();
    let next = status.next.as_ref();
    let heartbeat = status.heartbeat.unwrap_or_default();
    let mut value = json!({
        "schema": SCHEMA,
        "instance": status.instance,
        "state": name_of_state(status.state),
        "since": at(status.since.as_ref()),
        "reason": status.reason,
        "next": {
            "action": next.map(|next| &next.action),
            "at": at(next.and_then(|next| next.at.as_ref())),
            "because": next.map(|next| &next.because),
        },
        "advice": status.advice,
        "epoch": status.epoch,
        "gateway": {
            "address": gateway.address,
            "server_version": gateway.server_version,
            "path": gateway.path,
            "listener": gateway.listener,
            "accept_queue": gateway.accept_queue,
            "close_wait": gateway.close_wait,
            "client_id": gateway.client_id,
            "path_because": gateway.path_because,
            "process": gateway.process.as_ref().map(process),
        },
        "worker": {
            "pid": worker.map(|worker| worker.pid),
            "epoch": worker.map(|worker| worker.epoch),
            "since": at(worker.and_then(|worker| worker.since.as_ref())),
            "restarts": status.restarts,
            "last_end": status.last_end,
            "adopted": worker.map(|worker| worker.adopted),
        },
        "hold": status.hold,
        "silence": {
            "used": status.silence.as_ref().map(|silence| silence.used),
            "limit": status.silence.as_ref().map(|silence| silence.limit),
            "grace_until": at(status.silence.and_then(|silence| silence.grace_until).as_ref()),
        },
        "broker": status.broker.as_ref().map(|broker| json!({
            "version": broker.version,
            "pid": broker.pid,
            "since": at(broker.since.as_ref()),
        })),
        "handshake": handshake(status.handshake.as_ref()),
        "attempts": status.attempts.iter().map(attempt).collect::<Vec<_>>(),
        "accounts": status.accounts,
        "mode": status.mode,
        "trading": status.trading,
        "clients": status.clients,
        "lines": {
            "used": status.lines.map(|lines| lines.used),
            "limit": status.lines.map(|lines| lines.limit),
        },
        "heartbeat": {
            "last_frame_age_ms": heartbeat.last_frame_age_ms,
            "last_round_trip_ms": heartbeat.last_round_trip_ms,
            "missed": heartbeat.missed,
        },
        "farms": status.farms.iter().map(farm).collect::<Vec<_>>(),
        "counters": status.counters.iter().collect::<BTreeMap<_, _>>(),
        "measures": status.measures.iter().collect::<BTreeMap<_, _>>(),
    });
    value["unknown"] = json!(unknown(status, &value));
    value
}

/// One update of `--watch`: the status, and how it came about.
pub(crate) fn update(update: &StatusUpdate) -> Value {
    let mut value = as_json(&update.status);
    let transitions: Vec<_> = update
        .transitions
        .iter()
        .map(|step| {
            json!({
                "from": name_of_state(step.from),
                "to": name_of_state(step.to),
                "because": step.because,
                "epoch": step.epoch,
                "at": at(step.at.as_ref()),
            })
        })
        .collect();
    value["transitions"] = json!(transitions);
    value
}

/// "READY"; a state of a newer broker by its number.
pub(crate) fn name_of_state(state: i32) -> String {
    match api::SessionState::try_from(state) {
        Ok(known) => short(known.as_str_name(), "SESSION_STATE_"),
        Err(_) => format!("STATE_{state}"),
    }
}

/// "TCP_CONNECTED"; a stage of a newer broker by its number.
pub(crate) fn name_of_stage(stage: i32) -> String {
    match api::HandshakeStage::try_from(stage) {
        Ok(known) => short(known.as_str_name(), "HANDSHAKE_STAGE_"),
        Err(_) => format!("STAGE_{stage}"),
    }
}

fn short(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_owned()
}

fn at(timestamp: Option<&Timestamp>) -> Option<String> {
    timestamp.and_then(time::of).map(time::rfc3339)
}

pub(crate) fn process(process: &api::Process) -> Value {
    json!({
        "pid": process.pid,
        "started": at(process.started.as_ref()),
        "command": process.command,
        "executable": process.executable,
        "cpu_percent": process.cpu_percent,
        "resident_bytes": process.resident_bytes,
        "threads": process.threads,
        "descriptors": process.descriptors,
    })
}

fn handshake(handshake: Option<&api::Handshake>) -> Value {
    json!({
        "outcome": handshake.map(|handshake| &handshake.outcome),
        "deadline": at(handshake.and_then(|handshake| handshake.deadline.as_ref())),
        "stages": stages(handshake.map_or(&[], |handshake| &handshake.stages)),
    })
}

fn stages(stages: &[api::StageStamp]) -> Vec<Value> {
    stages
        .iter()
        .map(|stamp| json!({ "stage": name_of_stage(stamp.stage), "at_ms": stamp.at_ms }))
        .collect()
}

fn attempt(attempt: &api::Attempt) -> Value {
    json!({
        "epoch": attempt.epoch,
        "at": at(attempt.at.as_ref()),
        "outcome": attempt.outcome,
        "last_stage": name_of_stage(attempt.last_stage),
        "end": (!attempt.end.is_empty()).then_some(&attempt.end),
        "stages": stages(&attempt.stages),
        "session_end": attempt.session_end,
    })
}

fn farm(farm: &api::Farm) -> Value {
    json!({
        "name": farm.name,
        "kind": farm.kind,
        "state": farm.state,
        "since": at(farm.since.as_ref()),
    })
}

/// The broker's causes under the paths of this document, and a cause for every other `null`.
fn unknown(status: &api::Status, value: &Value) -> BTreeMap<String, String> {
    let mut causes: BTreeMap<_, _> =
        status.unknown.iter().map(|(path, cause)| (own_path(path), cause.clone())).collect();
    for (paths, cause) in NULLS {
        for path in *paths {
            let pointer = format!("/{}", path.replace('.', "/"));
            if value.pointer(&pointer).is_some_and(Value::is_null) {
                causes.entry((*path).to_owned()).or_insert_with(|| (*cause).to_owned());
            }
        }
    }
    causes
}

/// Two fields of the message stand in `worker` here.
fn own_path(path: &str) -> String {
    match path {
        "last_end" | "restarts" => format!("worker.{path}"),
        other => other.to_owned(),
    }
}

const SCHEMA: u32 = 1;

/// Why a value is `null` where the broker gives no cause of its own.
const NULLS: &[(&[&str], &str)] = &[
    (&["next.action", "next.because"], "nothing is planned"),
    (&["next.at"], "it waits for an event, not for a time"),
    (&["worker.pid", "worker.epoch", "worker.since", "worker.adopted"], "no worker process exists"),
    (&["hold"], "no operator holds the session"),
    (&["silence.grace_until"], "nothing says that Gateway is about to start"),
    (&["silence.used", "silence.limit"], "the broker does not say"),
    (&["gateway.process"], "the process that listens is not known"),
    (
        &[
            "gateway.process.executable",
            "gateway.process.cpu_percent",
            "gateway.process.resident_bytes",
            "gateway.process.threads",
            "gateway.process.descriptors",
        ],
        "the process's own files do not say, or it was looked at only once",
    ),
    (&["worker.last_end"], "no worker has ended yet"),
    (&["handshake.outcome"], "no attempt was made yet"),
    (&["handshake.deadline"], "no handshake is under way"),
    (&["mode"], "Gateway has named no accounts yet"),
    (&["gateway.server_version"], "no handshake has come that far yet"),
    (
        &["gateway.path", "gateway.listener", "gateway.accept_queue", "gateway.close_wait"],
        "the broker has not looked, or cannot see it",
    ),
    (&["heartbeat.last_frame_age_ms", "heartbeat.last_round_trip_ms"], "no session"),
    (&["since", "broker", "lines.used", "lines.limit"], "the broker does not say"),
];

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::super::tests::handshaking;
    use super::*;

    #[test]
    fn all_keys_of_the_schema_are_there_in_every_status() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_772_373_727_123);
        for status in [handshaking(now), api::Status::default()] {
            let value = as_json(&status);
            for pointer in [
                "/schema",
                "/instance",
                "/state",
                "/since",
                "/reason",
                "/next/action",
                "/next/at",
                "/next/because",
                "/advice",
                "/epoch",
                "/gateway/address",
                "/gateway/server_version",
                "/gateway/path",
                "/gateway/listener",
                "/gateway/accept_queue",
                "/gateway/close_wait",
                "/gateway/client_id",
                "/worker/pid",
                "/worker/epoch",
                "/worker/restarts",
                "/worker/last_end",
                "/broker",
                "/handshake/outcome",
                "/handshake/stages",
                "/attempts",
                "/accounts",
                "/mode",
                "/trading",
                "/clients",
                "/lines/used",
                "/lines/limit",
                "/heartbeat",
                "/farms",
                "/counters",
                "/unknown",
            ] {
                assert!(value.pointer(pointer).is_some(), "{pointer} is missing");
            }
        }
    }

    #[test]
    fn names_have_no_prefix_and_times_are_utc() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_772_373_727_123);
        let value = as_json(&handshaking(now));
        assert_eq!(value["schema"], 1);
        assert_eq!(value["state"], "HANDSHAKING");
        assert_eq!(value["handshake"]["stages"][2]["stage"], "TCP_CONNECTED");
        assert_eq!(value["attempts"][0]["last_stage"], "HELLO_SENT");
        assert_eq!(value["next"]["at"], "2026-03-01T14:02:10.923Z");
        assert_eq!(value["worker"]["restarts"], 1);
        assert_eq!(value["worker"]["last_end"], "killed");
        assert_eq!(name_of_state(99), "STATE_99");
    }

    #[test]
    fn every_null_has_a_cause() {
        for status in [handshaking(SystemTime::now()), api::Status::default()] {
            let value = as_json(&status);
            let unknown = value["unknown"].as_object().unwrap();
            let mut nulls = Vec::new();
            collect_nulls(&value, String::new(), &mut nulls);
            for path in nulls {
                assert!(unknown.contains_key(&path), "{path} is null without a cause");
            }
        }
        let value = as_json(&handshaking(SystemTime::now()));
        assert_eq!(value["unknown"]["gateway.listener"], "the process belongs to another user");
    }

    fn collect_nulls(value: &Value, path: String, nulls: &mut Vec<String>) {
        match value {
            Value::Null => nulls.push(path),
            Value::Object(members) => {
                for (key, member) in members {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    collect_nulls(member, path, nulls);
                }
            }
            // Elements of lists have no path; their keys say themselves what null means.
            _ => {}
        }
    }

    #[test]
    fn an_update_carries_its_transitions() {
        let value = update(&StatusUpdate {
            status: handshaking(SystemTime::now()),
            transitions: vec![api::Transition {
                from: api::SessionState::Connecting.into(),
                to: api::SessionState::Handshaking.into(),
                because: "TCP is up".into(),
                epoch: 2,
                at: Some(SystemTime::now().into()),
            }],
        });
        assert_eq!(value["transitions"][0]["from"], "CONNECTING");
        assert_eq!(value["transitions"][0]["to"], "HANDSHAKING");
        assert!(!value.to_string().contains('\n'));
    }
}
