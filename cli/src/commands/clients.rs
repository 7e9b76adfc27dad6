//! `ibouncer clients`: who is connected, what each has open, and how much it may have.

use std::time::SystemTime;

use ibouncer_client::{Client, api};
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};
use crate::output::number::count;
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
                // The name of the socket's kind is no news.
                client.peer.strip_prefix("unix ").unwrap_or(&client.peer).to_owned(),
                since.map_or_else(|| "?".to_owned(), |since| time::age(since, now)),
                client.streams.to_string(),
                client.subscriptions.to_string(),
                client.calls.to_string(),
                count(client.delivered),
                count(client.skipped),
            ]
        })
        .collect();
    let columns = [
        Column::Text("ID"),
        Column::Flexible("NAME"),
        Column::Flexible("PEER"),
        Column::Figure("AGE"),
        Column::Figure("STREAMS"),
        Column::Figure("SUBS"),
        Column::Figure("CALLS"),
        Column::Figure("EVENTS"),
        Column::Figure("SKIPPED"),
    ];
    let mut text = table(&columns, &rows);
    text.push_str(&limits(clients).unwrap_or_default());
    for client in clients.iter().filter(|client| client.evicted > 0) {
        let (id, evicted) = (&client.id, client.evicted);
        let streams = if evicted == 1 { "stream or answer" } else { "streams or answers" };
        text.push_str(&format!(
            "\n{id} lost {evicted} {streams} that it did not read, see events."
        ));
    }
    text
}

/// What one client may have at once; the same for all. For `ibouncer top`, too.
pub(crate) fn limits(clients: &[api::ClientInfo]) -> Option<String> {
    let client = clients.first()?;
    let (streams, calls) = (client.streams_limit, client.calls_limit);
    let (subscriptions, lines) = (client.subscriptions_limit, client.lines_limit);
    Some(format!(
        "Each may have {streams} streams, {subscriptions} subscriptions, {calls} calls, {lines} lines."
    ))
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
            streams: 256,
            subscriptions: 2000,
            streams_limit: 256,
            subscriptions_limit: 2000,
            calls_limit: 1000,
            lines_limit: 100,
            evicted: 2,
            ..Default::default()
        };
        let text = as_text(std::slice::from_ref(&client), SystemTime::now());
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("123.4G") && text.contains("99999"), "{text}");
        assert!(
            text.contains("Each may have 256 streams, 2000 subscriptions, 1000 calls, 100 lines."),
            "{text}"
        );
        assert!(
            text.ends_with(
                "client-4711 lost 2 streams or answers that it did not read, see events."
            )
        );
        assert_eq!(as_json(&[client])["clients"][0]["since"], Value::Null);
    }
}
