//! The answer under stable keys (`schema: 1`). A value that is not known is `null`, and its path
//! stands in `unknown` with the cause. Keys are added, never renamed.

use ibouncer_client::api;
use serde_json::{Value, json};

use super::Answer;
use crate::output::time;

const SCHEMA: u32 = 1;

pub(super) fn as_json(answer: &Answer) -> Value {
    let response = &answer.response;
    let known = |name: &str, value: Value| {
        if response.unknown.contains_key(name) { Value::Null } else { value }
    };
    let connections: Vec<_> = response.connections.iter().map(connection).collect();
    let short: Vec<_> = response.short_connections.iter().map(short).collect();
    json!({
        "schema": SCHEMA,
        "source": if answer.own.is_some() { "self" } else { "broker" },
        "gateway": answer.own.map(|gateway| gateway.to_string()),
        "path": response.path,
        "because": response.because,
        "listener": response.listener.as_ref().map(process),
        "accept_queue": response.accept_queue,
        "backlog": response.backlog,
        "connections": known("connections", connections.into()),
        "short_connections": known("short_connections", short.into()),
        "unknown": response.unknown,
    })
}

fn process(process: &api::Process) -> Value {
    json!({
        "pid": process.pid,
        "started": process.started.as_ref().and_then(time::of).map(time::rfc3339),
        "command": process.command,
        "executable": process.executable,
        "cpu_percent": process.cpu_percent,
        "resident_bytes": process.resident_bytes,
        "threads": process.threads,
        "descriptors": process.descriptors,
    })
}

fn connection(connection: &api::Connection) -> Value {
    let owner = connection.owner.as_ref().map(|owner| {
        json!({
            "pid": owner.pid,
            "started": owner.started.as_ref().and_then(time::of).map(time::rfc3339),
            "command": owner.command,
        })
    });
    json!({
        "role": connection.role,
        "state": connection.state,
        "local": connection.local,
        "remote": (!connection.remote.is_empty()).then_some(&connection.remote),
        "owner": owner,
        "unknown_owner": connection.unknown_owner,
        "age_ms": connection.age_ms,
        "unread": connection.unread,
        "advice": connection.advice,
    })
}

fn short(short: &api::ShortConnections) -> Value {
    json!({
        "owner": short.owner,
        "pid": (short.pid != 0).then_some(short.pid),
        "last_hour": short.last_hour,
        "last_day": short.last_day,
        "advice": (!short.advice.is_empty()).then_some(&short.advice),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_null_and_what_is_known_to_be_none_is_empty() {
        let mut response = api::ListConnectionsResponse::default();
        let value = |response: &api::ListConnectionsResponse| {
            as_json(&Answer { own: None, response: response.clone() })
        };
        assert_eq!(value(&response)["connections"], json!([]));
        response.unknown.insert("connections".into(), "no /proc".into());
        let value = value(&response);
        assert_eq!(value["connections"], Value::Null);
        assert_eq!(value["short_connections"], json!([]));
        assert_eq!(value["unknown"]["connections"], "no /proc");
        assert_eq!(value["source"], "broker");
    }
}
