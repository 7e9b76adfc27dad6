//! `ibouncer clients`: who is connected.

use std::time::SystemTime;

use ibouncer_client::{Client, api};
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};
use crate::output::table::{Column, table};
use crate::output::{Output, time};

pub(crate) async fn run(client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let clients = client.admin().clients().await?;
    if output.json() {
        output.value(&as_json(&clients))?;
    } else {
        output.text(&as_text(&clients, SystemTime::now()))?;
    }
    Ok(Exit::Good)
}

fn as_json(clients: &[api::ClientInfo]) -> Value {
    let list: Vec<_> = clients
        .iter()
        .map(|client| {
            json!({
                "id": client.id,
                "name": client.name,
                "peer": client.peer,
                "since": client.since.as_ref().and_then(time::of).map(time::rfc3339),
                "streams": client.streams,
                "subscriptions": client.subscriptions,
                "delivered": client.delivered,
                "skipped": client.skipped,
                "streams_limit": client.streams_limit,
                "subscriptions_limit": client.subscriptions_limit,
                "calls": client.calls,
                "calls_limit": client.calls_limit,
                "lines": client.lines,
                "lines_limit": client.lines_limit,
                "waiting": client.waiting,
                "unread_bytes": client.unread_bytes,
                "requests": client.requests,
                "evicted": client.evicted,
            })
        })
        .collect();
    json!({ "clients": list })
}

fn as_text(clients: &[api::ClientInfo], now: SystemTime) -> String {
    if clients.is_empty() {
        return "No clients.".to_owned();
    }
    let rows: Vec<_> = clients
        .iter()
        .map(|client| {
            let since = client.since.as_ref().and_then(time::of);
            vec![
                client.id.clone(),
                client.name.clone(),
                client.peer.clone(),
                since.map_or_else(|| "?".to_owned(), |since| time::age(since, now)),
                client.subscriptions.to_string(),
                client.delivered.to_string(),
                client.skipped.to_string(),
            ]
        })
        .collect();
    let columns = [
        Column::Text("ID"),
        Column::Flexible("NAME"),
        Column::Flexible("PEER"),
        Column::Figure("AGE"),
        Column::Figure("SUBS"),
        Column::Figure("EVENTS"),
        Column::Figure("SKIPPED"),
    ];
    table(&columns, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::WIDTH;

    #[test]
    fn clients_fit_80_columns() {
        let client = api::ClientInfo {
            id: "client-4711".into(),
            name: "a-rather-long-strategy-name.py@some-host.example:123456".into(),
            peer: "unix uid=1000 pid=123456".into(),
            delivered: 123_456_789_012,
            skipped: 99_999,
            subscriptions: 100,
            ..Default::default()
        };
        let text = as_text(std::slice::from_ref(&client), SystemTime::now());
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("123456789012"));
        assert_eq!(as_json(&[client])["clients"][0]["since"], Value::Null);
    }
}
