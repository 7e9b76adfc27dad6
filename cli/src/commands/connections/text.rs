//! The answer for people: who listens, a table, and what may be done.

use std::time::{Duration, SystemTime};

use ibouncer_client::api;

use super::Answer;
use crate::output::table::{Column, table};
use crate::output::text::Block;
use crate::output::time;

/// Role of the row of the listener, which is told above the table.
const LISTENER: &str = "listener";

pub(super) fn as_text(answer: &Answer, now: SystemTime) -> String {
    let response = &answer.response;
    let sockets: Vec<_> = response.connections.iter().filter(|row| row.role != LISTENER).collect();
    let mut text = head(answer, now);
    if !sockets.is_empty() {
        let rows: Vec<_> = sockets.iter().map(|socket| row(socket)).collect();
        let columns = [
            Column::Text("ROLE"),
            Column::Text("STATE"),
            Column::Figure("PID"),
            Column::Flexible("OWNER"),
            Column::Figure("AGE"),
            Column::Text("CLIENT'S SIDE"),
        ];
        text.push('\n');
        text.push_str(&table(&columns, &rows));
    }
    let rest = rest(response, &sockets);
    if !rest.is_empty() {
        text.push('\n');
        text.push_str(&rest);
    }
    text
}

/// Who listens, and how much of it is known.
fn head(answer: &Answer, now: SystemTime) -> String {
    let response = &answer.response;
    let unknown = |name: &str| response.unknown.get(name).map(|why| format!("unknown: {why}"));
    let mut block = Block::default();
    if let Some(gateway) = answer.own {
        block.line("Gateway", &gateway.to_string());
    }
    block.line("Path", &format!("{}: {}", response.path, response.because));
    let row = response.connections.iter().find(|row| row.role == LISTENER);
    let listens = match (&response.listener, row) {
        (Some(process), row) => {
            let at = row.map(|row| format!(" on {}", row.local)).unwrap_or_default();
            format!("{} (pid {}){at}{}", process.command, process.pid, age_of(process, now))
        }
        (None, _) => unknown("listener")
            .or_else(|| unknown("listener.process"))
            .unwrap_or_else(|| "nothing listens".to_owned()),
    };
    block.line("Listener", &listens);
    block.line("Process", &response.listener.as_ref().map(figures).unwrap_or_default());
    if let Some(queue) = response.accept_queue {
        let most = response.backlog.map(|most| format!(" of {most}")).unwrap_or_default();
        let wait = if queue == 1 { "connection waits" } else { "connections wait" };
        block.line("Queue", &format!("{queue}{most} {wait} to be accepted"));
    }
    block.line("Sockets", &unknown("connections").unwrap_or_default());
    if answer.own.is_some() {
        block.line("Ages", &unknown("connections.age_ms").unwrap_or_default());
    }
    block.finish()
}

fn age_of(process: &api::Process, now: SystemTime) -> String {
    let started = process.started.as_ref().and_then(time::of);
    started.map(|started| format!(", for {}", time::age(started, now))).unwrap_or_default()
}

/// "12.5 % of a core, 512 MiB, 54 threads, 300 descriptors", as far as they are known.
fn figures(process: &api::Process) -> String {
    let figures = [
        process.cpu_percent.map(|percent| format!("{percent:.1} % of a core")),
        process.resident_bytes.map(|bytes| format!("{} MiB", bytes >> 20)),
        process.threads.map(|count| format!("{count} threads")),
        process.descriptors.map(|count| format!("{count} descriptors")),
    ];
    figures.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn row(socket: &api::Connection) -> Vec<String> {
    let (pid, owner) = match (&socket.owner, &socket.unknown_owner) {
        (Some(owner), _) => (owner.pid.to_string(), owner.command.clone()),
        (None, Some(why)) => ("?".to_owned(), format!("? {why}")),
        (None, None) => ("-".to_owned(), "-".to_owned()),
    };
    let age = socket.age_ms.and_then(|millis| Duration::try_from_secs_f64(millis / 1000.0).ok());
    // Both rows of one connection name the same address.
    let behind = matches!(socket.role.as_str(), "waiting" | "gateway");
    let client = if behind { &socket.remote } else { &socket.local };
    vec![
        socket.role.clone(),
        socket.state.clone(),
        pid,
        owner,
        age.map_or_else(|| "?".to_owned(), time::span),
        client.clone(),
    ]
}

/// What may be done, once for each kind of row, and who checks the port.
fn rest(response: &api::ListConnectionsResponse, sockets: &[&api::Connection]) -> String {
    let mut block = Block::default();
    let mut told: Vec<(&str, &str)> = Vec::new();
    for socket in sockets {
        let one = (socket.role.as_str(), socket.advice.as_str());
        if !told.contains(&one) {
            told.push(one);
            block.line(one.0, one.1);
        }
    }
    for short in &response.short_connections {
        let line = if short.advice.is_empty() {
            format!(
                "{}: at least {} in the last hour, {} in the last day",
                short.owner, short.last_hour, short.last_day
            )
        } else {
            short.advice.clone()
        };
        block.line("short", &line);
    }
    block.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::WIDTH;

    fn socket(role: &str, state: &str, owner: Option<&str>, advice: &str) -> api::Connection {
        api::Connection {
            local: "127.0.0.1:50000".into(),
            remote: "192.168.100.100:40000".into(),
            state: state.into(),
            role: role.into(),
            owner: owner.map(|command| api::Process {
                pid: 4_194_304,
                command: command.into(),
                ..Default::default()
            }),
            age_ms: Some(3_725_000.0),
            advice: advice.into(),
            ..Default::default()
        }
    }

    fn answer(response: api::ListConnectionsResponse) -> Answer {
        Answer { own: None, response }
    }

    #[test]
    fn it_fits_80_columns_and_names_what_may_be_done_once_for_each_kind() {
        let long = "python /home/somebody/strategies/a-rather-long-name.py --with many --flags";
        let advice = "another program; end it yourself if it is yours";
        let response = api::ListConnectionsResponse {
            path: "local".into(),
            because: "java (pid 7) listens here, and it can be Gateway".into(),
            listener: Some(api::Process {
                pid: 7,
                command: format!("java {}", "-Xmx768m ".repeat(20)),
                cpu_percent: Some(12.52),
                threads: Some(54),
                resident_bytes: Some(512 << 20),
                ..Default::default()
            }),
            accept_queue: Some(3),
            connections: vec![
                socket("listener", "LISTEN", None, ""),
                socket("waiting", "CLOSE_WAIT", None, "Gateway has not accepted this one"),
                socket("stranger", "ESTABLISHED", Some(long), advice),
                socket("stranger", "ESTABLISHED", Some(long), advice),
            ],
            short_connections: vec![api::ShortConnections {
                owner: long.into(),
                last_hour: 41,
                last_day: 50,
                advice: format!("{long}, at least 41 short connections in the last hour"),
                ..Default::default()
            }],
            ..Default::default()
        };
        let text = as_text(&answer(response), SystemTime::UNIX_EPOCH);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert_eq!(text.matches(advice).count(), 1, "{text}");
        assert!(text.contains("3 connections wait to be accepted"), "{text}");
        assert!(text.contains("12.5 % of a core, 512 MiB, 54 threads"), "{text}");
        assert!(text.contains("4194304"), "{text}");
        assert!(text.contains("1 h 2 min"), "{text}");
        assert!(text.contains("short      python"), "{text}");
        assert!(!text.contains("LISTEN "), "{text}");
    }

    #[test]
    fn what_is_unknown_is_never_told_as_none() {
        let mut response = api::ListConnectionsResponse::default();
        let text = as_text(&answer(response.clone()), SystemTime::UNIX_EPOCH);
        assert!(text.contains("nothing listens"), "{text}");
        for name in ["listener", "connections", "accept_queue"] {
            response.unknown.insert(name.into(), "read /proc: denied".into());
        }
        let text = as_text(&answer(response), SystemTime::UNIX_EPOCH);
        assert!(!text.contains("nothing listens"), "{text}");
        assert_eq!(text.matches("unknown: read /proc: denied").count(), 2, "{text}");
        assert!(!text.contains("Queue"), "{text}");
    }
}
