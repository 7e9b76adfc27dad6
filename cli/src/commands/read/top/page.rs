//! How `ibouncer top` looks: as a picture, as one line, as JSON. Pure.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::Look;
use super::rates::Rates;
use crate::commands::clients::limits;
use crate::commands::read::queue;
use crate::output::number::count;
use crate::output::table::{Column, table};
use crate::output::time;

/// The picture, in so many rows: state, clients, lines, queue, the busiest first.
pub(super) fn lines(look: &Look, rates: &Rates, now: SystemTime, height: usize) -> Vec<String> {
    let mut page = head(look, rates, now);
    page.push(String::new());
    // What is left is shared: the queue has a quarter if it needs it, clients half of the rest.
    let room = height.saturating_sub(page.len());
    let share = |count: usize, most: usize| (count + TITLE).min(most.max(MIN_ROWS)) + GAP;
    let queue = match look.queue.requests.len() {
        0 => 0,
        count => share(count, room / 4),
    };
    let rest = room.saturating_sub(queue);
    let clients_rows = share(look.clients.len(), rest / 2);
    let lines_rows = share(look.lines.len(), rest.saturating_sub(clients_rows + GAP));
    part(&mut page, clients(look, rates, now), look.clients.len(), clients_rows - GAP);
    part(&mut page, lines_of_gateway(look, rates), look.lines.len(), lines_rows - GAP);
    if queue > 0 {
        part(&mut page, waiting(look), look.queue.requests.len(), queue - GAP);
    }
    page.truncate(height);
    page
}

/// Everything that matters in one line.
pub(super) fn line(look: &Look, rates: &Rates, now: SystemTime) -> String {
    format!(
        "{}  {}  clients {}  lines {}  in {}/s  out {}/s  waiting {}  Gateway {}  broker {}",
        time::clock(now),
        state(look),
        look.clients.len(),
        look.lines.len(),
        figure(rates.of_all_lines()),
        figure(rates.of_all_clients()),
        look.queue.requests.len(),
        round_trip(look),
        millis(look.took.as_secs_f64() * 1e3),
    )
}

pub(super) fn as_json(look: &Look, rates: &Rates, now: SystemTime) -> Value {
    let usage = look.status.lines.unwrap_or_default();
    let heartbeat = look.status.heartbeat.unwrap_or_default();
    let clients: Vec<_> = look
        .clients
        .iter()
        .map(|client| {
            json!({
                "id": client.id,
                "name": client.name,
                "events_per_second": rates.of_client(&client.id),
                "delivered": client.delivered,
                "skipped": client.skipped,
                "streams": client.streams,
                "streams_limit": client.streams_limit,
                "subscriptions": client.subscriptions,
                "subscriptions_limit": client.subscriptions_limit,
                "lines": client.lines,
                "calls": client.calls,
                "calls_limit": client.calls_limit,
                "waiting": client.waiting,
                "unread_bytes": client.unread_bytes,
                "requests": client.requests,
            })
        })
        .collect();
    let lines: Vec<_> = look
        .lines
        .iter()
        .map(|line| {
            json!({
                "id": line.id,
                "kind": line.kind,
                "symbol": line.symbol,
                "state": line.state,
                "events_per_second": rates.of_line(&line.id),
                "sequence": line.sequence,
                "clients": line.clients.len(),
            })
        })
        .collect();
    json!({
        "at": time::rfc3339(now),
        "state": state(look),
        "events_per_second": { "in": rates.of_all_lines(), "out": rates.of_all_clients() },
        "lines_used": usage.used,
        "lines_limit": usage.limit,
        "gateway_round_trip_ms": heartbeat.last_round_trip_ms,
        "last_frame_age_ms": heartbeat.last_frame_age_ms,
        "broker_answer_ms": look.took.as_secs_f64() * 1e3,
        "clients": clients,
        "lines": lines,
        "queue": queue::as_json(&look.queue),
    })
}

fn head(look: &Look, rates: &Rates, now: SystemTime) -> Vec<String> {
    let usage = look.status.lines.unwrap_or_default();
    let since = look.status.since.as_ref().and_then(time::of);
    let age = since.map(|since| time::age(since, now)).unwrap_or_default();
    let silent = look.status.heartbeat.unwrap_or_default().last_frame_age_ms;
    let silent = silent.map_or_else(|| "?".to_owned(), millis);
    let mut head = vec![
        format!("ibouncer {}   {} for {age}", look.status.instance, state(look)),
        format!(
            "events/s in {}, out {}   lines {} of {}   waiting {}",
            figure(rates.of_all_lines()),
            figure(rates.of_all_clients()),
            usage.used,
            usage.limit,
            look.queue.requests.len(),
        ),
        format!(
            "Gateway's round trip {}, last frame {silent} ago   broker's answer {}",
            round_trip(look),
            millis(look.took.as_secs_f64() * 1e3),
        ),
    ];
    head.extend(limits(&look.clients));
    head
}

/// Adds a table with its title line, and how many rows did not fit.
fn part(page: &mut Vec<String>, table: String, count: usize, rows: usize) {
    let lines: Vec<_> = table.lines().collect();
    let fits = lines.len() <= rows;
    let shown = if fits { lines.len() } else { rows.saturating_sub(1).max(1) };
    page.extend(lines[..shown].iter().map(|line| (*line).to_owned()));
    if !fits {
        page.push(format!("… and {} more", count.saturating_sub(shown.saturating_sub(1))));
    }
    page.push(String::new());
}

fn clients(look: &Look, rates: &Rates, now: SystemTime) -> String {
    let mut clients: Vec<_> = look.clients.iter().collect();
    let rate = |client: &&ibouncer_client::api::ClientInfo| {
        -rates.of_client(&client.id).unwrap_or_default()
    };
    clients.sort_by(|a, b| rate(a).total_cmp(&rate(b)));
    let rows: Vec<_> = clients
        .iter()
        .map(|client| {
            let since = client.since.as_ref().and_then(time::of);
            vec![
                client.name.clone(),
                since.map_or_else(|| "?".to_owned(), |since| time::age(since, now)),
                client.subscriptions.to_string(),
                figure(rates.of_client(&client.id)),
                count(client.skipped),
                client.calls.to_string(),
                client.waiting.to_string(),
                kibibytes(client.unread_bytes),
            ]
        })
        .collect();
    let columns = [
        Column::Flexible("CLIENT"),
        Column::Figure("AGE"),
        Column::Figure("SUBS"),
        Column::Figure("EVENTS/S"),
        Column::Figure("SKIPPED"),
        Column::Figure("CALLS"),
        Column::Figure("WAIT"),
        Column::Figure("UNREAD"),
    ];
    table(&columns, &rows)
}

fn lines_of_gateway(look: &Look, rates: &Rates) -> String {
    let mut lines: Vec<_> = look.lines.iter().collect();
    let rate =
        |line: &&ibouncer_client::api::LineInfo| -rates.of_line(&line.id).unwrap_or_default();
    lines.sort_by(|a, b| rate(a).total_cmp(&rate(b)));
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            vec![
                line.symbol.clone(),
                line.kind.clone(),
                line.state.clone(),
                figure(rates.of_line(&line.id)),
                line.clients.len().to_string(),
            ]
        })
        .collect();
    let columns = [
        Column::Flexible("LINE"),
        Column::Text("KIND"),
        Column::Text("STATE"),
        Column::Figure("EVENTS/S"),
        Column::Figure("CLIENTS"),
    ];
    table(&columns, &rows)
}

fn waiting(look: &Look) -> String {
    let rows: Vec<_> = look
        .queue
        .requests
        .iter()
        .map(|request| {
            vec![
                format!("{} {}", request.request, request.label).trim_end().to_owned(),
                request.client.clone(),
                request.place.to_string(),
                queue::wait(request).map_or_else(|| "?".to_owned(), time::span),
            ]
        })
        .collect();
    let columns = [
        Column::Flexible("WAITING"),
        Column::Flexible("CLIENT"),
        Column::Figure("AHEAD"),
        Column::Figure("WAIT"),
    ];
    table(&columns, &rows)
}

fn state(look: &Look) -> &'static str {
    look.status.state().as_str_name().trim_start_matches("SESSION_STATE_")
}

fn round_trip(look: &Look) -> String {
    let known = look.status.heartbeat.and_then(|heartbeat| heartbeat.last_round_trip_ms);
    known.map_or_else(|| "?".to_owned(), millis)
}

fn millis(millis: f64) -> String {
    if millis >= 100.0 {
        return time::span(Duration::from_secs_f64(millis.clamp(0.0, 1e15) / 1e3));
    }
    format!("{millis:.1} ms")
}

/// "?" before the second look.
fn figure(rate: Option<f64>) -> String {
    rate.map_or_else(|| "?".to_owned(), |rate| format!("{rate:.0}"))
}

fn kibibytes(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        1..1_048_576 => format!("{} K", bytes.div_ceil(1024)),
        _ => format!("{} M", bytes / 1_048_576),
    }
}

/// Of one part: its title, and the line behind it.
const TITLE: usize = 1;
const GAP: usize = 1;
const MIN_ROWS: usize = 3;

#[cfg(test)]
mod tests {
    use ibouncer_client::api::{self, ClientInfo, LineInfo};
    use tokio::time::Instant;

    use super::*;
    use crate::output::WIDTH;

    fn look(clients: usize, delivered: u64) -> Look {
        let client = |number: usize| ClientInfo {
            id: format!("client-{number}"),
            name: format!("a-rather-long-strategy-name-{number}.py@some-host.example:123456"),
            delivered: delivered * (number as u64 + 1),
            subscriptions: 100,
            unread_bytes: 2_000_000,
            ..Default::default()
        };
        let line = |number: usize| LineInfo {
            id: format!("line-{number}"),
            symbol: format!("SYM{number}"),
            kind: "market data".into(),
            state: "live".into(),
            sequence: delivered,
            ..Default::default()
        };
        let request =
            api::QueuedRequest { request: "reqHistoricalData".into(), ..Default::default() };
        Look {
            status: api::Status {
                instance: "default".into(),
                state: api::SessionState::Ready.into(),
                ..Default::default()
            },
            clients: (0..clients).map(client).collect(),
            lines: (0..clients).map(line).collect(),
            queue: api::GetQueueResponse { requests: vec![request], messages_per_second: 45.0 },
            took: Duration::from_micros(1_500),
        }
    }

    fn rates(first: &Look, second: &Look) -> Rates {
        let (mut rates, start) = (Rates::default(), Instant::now());
        rates.take(&first.clients, &first.lines, start);
        rates.take(&second.clients, &second.lines, start + Duration::from_secs(1));
        rates
    }

    #[test]
    fn the_picture_fits_any_terminal_and_the_busiest_comes_first() {
        for (count, height) in [(0, 24), (3, 24), (100, 24), (100, 60), (5, 8)] {
            let look = look(count, 500);
            let rates = rates(&self::look(count, 0), &look);
            let lines = lines(&look, &rates, SystemTime::now(), height);
            assert!(lines.len() <= height, "{count}: {lines:#?}");
            assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:#?}");
            if count == 3 {
                assert!(lines[3].starts_with("Each may have "), "{lines:#?}");
                let first = lines.iter().position(|line| line.starts_with("CLIENT")).unwrap() + 1;
                assert!(lines[first].contains("1500"), "{lines:#?}");
                assert!(lines.iter().any(|line| line.starts_with("WAITING")));
            }
            if count == 100 {
                assert!(lines.iter().any(|line| line.starts_with("… and ")), "{lines:#?}");
            }
        }
    }

    #[test]
    fn rates_are_unknown_at_first() {
        let look = look(2, 500);
        let mut rates = Rates::default();
        rates.take(&look.clients, &look.lines, Instant::now());
        let now = SystemTime::now();
        assert!(line(&look, &rates, now).contains("in ?/s  out ?/s"));
        let json = as_json(&look, &rates, now);
        assert_eq!(json["clients"][0]["events_per_second"], Value::Null);
        assert_eq!(json["state"], "READY");
        assert_eq!(json["queue"]["requests"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn accounts_are_masked_in_the_picture_and_in_json() {
        let mut look = look(1, 500);
        look.lines[0].symbol = "DU0000001 conId 265598".into();
        crate::commands::lines::mask(&mut look.lines);
        let (rates, now) = (Rates::default(), SystemTime::now());
        let picture = lines(&look, &rates, now, 24).join("\n");
        for shown in [picture, as_json(&look, &rates, now).to_string()] {
            assert!(!shown.contains("DU0000001"), "{shown}");
            assert!(shown.contains("DU***001 conId 265598"), "{shown}");
        }
    }
}
