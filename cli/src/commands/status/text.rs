//! Status as a person reads it: what, why and what next in the first lines, facts below.

use std::time::{Duration, SystemTime};

use ibouncer_client::{StatusUpdate, api};

use super::json::{name_of_stage, name_of_state};
use crate::output::table::{Column, table};
use crate::output::text::{Block, wrap, wrap_behind};
use crate::output::time;

/// Everything.
pub(crate) fn page(status: &api::Status, now: SystemTime) -> String {
    let mut page = summary(status, now);
    page.push('\n');
    page.push_str(&facts(status, now));
    if !status.attempts.is_empty() {
        page.push('\n');
        page.push_str(&attempts(&status.attempts));
    }
    if !status.unknown.is_empty() {
        page.push_str("\nNot known:\n");
        let mut unknown: Vec<_> = status.unknown.iter().collect();
        unknown.sort();
        for (path, cause) in unknown {
            page.push_str(&wrap(&format!("- {path}: {cause}"), 4));
            page.push('\n');
        }
    }
    page
}

/// State and reason, what happens next, what a person can do: the lines that matter.
pub(crate) fn summary(status: &api::Status, now: SystemTime) -> String {
    let state = name_of_state(status.state);
    let reason = wrap_behind(&status.reason, state.len() + 2, 2);
    let mut text = format!("{state}  {reason}").trim_end().to_owned();
    text.push('\n');
    if let Some(next) = next(status, now) {
        text.push_str(&wrap(&next, 2));
        text.push('\n');
    }
    for advice in &status.advice {
        text.push_str(&wrap(&format!("- {advice}"), 2));
        text.push('\n');
    }
    text
}

/// What changed, as lines; `None` if it was only figures.
pub(crate) fn change(
    before: &api::Status,
    update: &StatusUpdate,
    now: SystemTime,
) -> Option<String> {
    let mut text = String::new();
    for step in &update.transitions {
        let at = step.at.as_ref().and_then(time::of).unwrap_or(now);
        let line = format!(
            "{}  {} -> {}: {} (session number {})",
            time::clock_millis(at),
            name_of_state(step.from),
            name_of_state(step.to),
            step.because,
            step.epoch
        );
        text.push_str(&wrap(&line, 4));
        text.push('\n');
    }
    let planned = |status: &api::Status| status.next.as_ref().map(|next| next.action.clone());
    let reason_changed = before.reason != update.status.reason && update.transitions.is_empty();
    if reason_changed && before.state == update.status.state {
        let line = format!("{}  {}", time::clock_millis(now), update.status.reason);
        text.push_str(&wrap(&line, 4));
        text.push('\n');
    }
    if planned(before) != planned(&update.status)
        && let Some(next) = next(&update.status, now)
    {
        text.push_str("    ");
        text.push_str(&wrap(&next, 4));
        text.push('\n');
    }
    (!text.is_empty()).then_some(text)
}

/// `Next: kill worker at 14:02:07Z (in 3 s) because …`.
fn next(status: &api::Status, now: SystemTime) -> Option<String> {
    let next = status.next.as_ref().filter(|next| !next.action.is_empty())?;
    let mut text = format!("Next: {}", next.action);
    if let Some(at) = next.at.as_ref().and_then(time::of) {
        let distance = match at.duration_since(now) {
            Ok(left) => format!("in {}", time::span(whole(left))),
            Err(_) => "due".to_owned(),
        };
        text.push_str(&format!(" at {} ({distance})", time::clock(at)));
    }
    if !next.because.is_empty() {
        text.push_str(&format!(" because {}", next.because));
    }
    Some(text)
}

/// Long times without their fraction.
fn whole(duration: Duration) -> Duration {
    if duration >= Duration::from_secs(1) {
        Duration::from_secs(duration.as_secs())
    } else {
        duration
    }
}

fn facts(status: &api::Status, now: SystemTime) -> String {
    let mut block = Block::default();
    let age = |timestamp: Option<&prost_types::Timestamp>| {
        timestamp.and_then(time::of).map(|at| time::age(at, now))
    };
    if let Some(since) = status.since.as_ref().and_then(time::of) {
        let line = format!("{} ({})", time::date_and_clock(since), time::age(since, now));
        block.line("Since", &line);
    }
    let mut instance = vec![status.instance.clone()];
    if let Some(broker) = &status.broker {
        instance.push(format!("broker {}, pid {}", broker.version, broker.pid));
        instance.extend(age(broker.since.as_ref()).map(|age| format!("up {age}")));
    }
    block.line("Instance", &instance.join(", "));
    if let Some(gateway) = &status.gateway {
        block.line("Gateway", &gateway_line(gateway));
    }
    if let Some(process) = status.gateway.as_ref().and_then(|gateway| gateway.process.as_ref()) {
        block.line("Process", &process_line(process, now));
    }
    block.line("Session", &session_line(status, now));
    if let Some(reason) = &status.hold {
        block.line("Held", reason);
    }
    if let Some(silence) = status.silence.filter(|silence| silence.used > 0) {
        block.line("Silence", &format!("{} of {} attempts", silence.used, silence.limit));
    }
    block.line("Handshake", &handshake_line(status.handshake.as_ref()));
    let mode = status.mode.as_deref().map(|mode| format!(" ({mode})"));
    let accounts = match status.accounts.as_slice() {
        [] => "not named yet".to_owned(),
        accounts => accounts.join(", ") + &mode.unwrap_or_default(),
    };
    block.line("Accounts", &accounts);
    let because = match (&status.trading_status, status.trading.as_str()) {
        (Some(details), word) if word != "on" => format!(": {}", details.because),
        _ => String::new(),
    };
    block.line("Trading", &format!("{}{because}", status.trading));
    block.line("Clients", &status.clients.to_string());
    if let Some(lines) = status.lines {
        block.line("Lines", &format!("{} of {} used", lines.used, lines.limit));
    }
    if let Some(heartbeat) = status.heartbeat {
        block.line("Heartbeat", &heartbeat_line(&heartbeat));
    }
    let farms: Vec<_> = status
        .farms
        .iter()
        .map(|farm| format!("{} ({}) {}", farm.name, farm.kind, farm.state))
        .collect();
    block.line("Farms", &farms.join(", "));
    block.finish()
}

fn gateway_line(gateway: &api::GatewayStatus) -> String {
    let mut parts = vec![gateway.address.clone()];
    parts.extend(gateway.path.clone());
    parts.extend(gateway.server_version.map(|version| format!("server version {version}")));
    parts.push(format!("client id {}", gateway.client_id));
    parts.extend(gateway.listener.as_ref().map(|listener| format!("listener {listener}")));
    parts.extend(gateway.accept_queue.map(|queue| format!("accept queue {queue}")));
    parts.extend(gateway.close_wait.map(|sockets| format!("CLOSE_WAIT {sockets}")));
    parts.join(", ")
}

fn process_line(process: &api::Process, now: SystemTime) -> String {
    let mut parts = Vec::new();
    if let Some(started) = process.started.as_ref().and_then(time::of) {
        parts.push(format!("up {}", time::age(started, now)));
    }
    parts.extend(process.cpu_percent.map(|percent| format!("{percent:.1} % of a core")));
    parts.extend(process.resident_bytes.map(|bytes| format!("{} MiB", bytes >> 20)));
    parts.extend(process.threads.map(|threads| format!("{threads} threads")));
    parts.extend(process.descriptors.map(|count| format!("{count} descriptors")));
    parts.join(", ")
}

fn session_line(status: &api::Status, now: SystemTime) -> String {
    let mut parts = vec![format!("number {}", status.epoch)];
    match &status.worker {
        None => parts.push("no worker process".to_owned()),
        Some(worker) => {
            parts.push(format!("worker pid {}", worker.pid));
            if worker.adopted {
                parts.push("taken over from the broker before".to_owned());
            }
            if let Some(since) = worker.since.as_ref().and_then(time::of) {
                parts.push(format!("age {}", time::age(since, now)));
            }
        }
    }
    parts.push(match status.restarts {
        1 => "1 restart".to_owned(),
        count => format!("{count} restarts"),
    });
    parts.extend(status.last_end.as_ref().map(|end| format!("last end: {end}")));
    parts.join(", ")
}

/// `in_progress: SPAWNED 0, LINKED +4.2 ms, …`: each stage with the time since the one before.
fn handshake_line(handshake: Option<&api::Handshake>) -> String {
    let Some(handshake) = handshake else {
        return String::new();
    };
    let mut before = 0.0;
    let stages: Vec<_> = handshake
        .stages
        .iter()
        .map(|stamp| {
            let step = stamp.at_ms - before;
            before = stamp.at_ms;
            format!("{} +{step:.1}", name_of_stage(stamp.stage))
        })
        .collect();
    match handshake.stages.last() {
        None => handshake.outcome.clone(),
        Some(last) => {
            format!("{} after {:.1} ms: {} ms", handshake.outcome, last.at_ms, stages.join(", "))
        }
    }
}

fn heartbeat_line(heartbeat: &api::Heartbeat) -> String {
    let mut parts = Vec::new();
    parts.extend(
        heartbeat
            .last_frame_age_ms
            .and_then(span_of_millis)
            .map(|age| format!("last frame {age} ago")),
    );
    parts.extend(heartbeat.last_round_trip_ms.map(|millis| format!("round trip {millis:.1} ms")));
    parts.push(format!("{} missed", heartbeat.missed));
    parts.join(", ")
}

fn span_of_millis(millis: f64) -> Option<String> {
    let duration = Duration::try_from_secs_f64(millis / 1000.0).ok()?;
    Some(time::span(duration))
}

fn attempts(attempts: &[api::Attempt]) -> String {
    let shown = &attempts[attempts.len().saturating_sub(ATTEMPTS_SHOWN)..];
    let rows: Vec<_> = shown
        .iter()
        .map(|attempt| {
            let started = attempt.at.as_ref().and_then(time::of);
            let last = attempt.stages.last();
            vec![
                attempt.epoch.to_string(),
                started.map_or_else(|| "?".to_owned(), time::clock),
                attempt.outcome.clone(),
                name_of_stage(attempt.last_stage),
                last.map_or_else(String::new, |stamp| format!("{:.1}", stamp.at_ms)),
                if attempt.end.is_empty() { "lives".to_owned() } else { attempt.end.clone() },
            ]
        })
        .collect();
    let columns = [
        Column::Figure("SESSION"),
        Column::Text("AT (UTC)"),
        Column::Text("OUTCOME"),
        Column::Text("LAST STAGE"),
        Column::Figure("MS"),
        Column::Flexible("END"),
    ];
    table(&columns, &rows)
}

const ATTEMPTS_SHOWN: usize = 5;

#[cfg(test)]
mod tests {
    use super::super::tests::handshaking;
    use super::*;
    use crate::output::WIDTH;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_772_373_727_123)
    }

    fn one_line(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_first_lines_say_what_why_and_what_next() {
        let text = summary(&handshaking(now()), now());
        assert!(text.starts_with("HANDSHAKING  silence after HELLO_SENT for 6.2 s (deadline"));
        let text = one_line(&text);
        assert!(
            text.contains("Next: kill worker at 14:02:10Z (in 3 s) because attempt 2 of 3"),
            "{text}"
        );
        assert!(text.contains("- Look whether Gateway shows a dialog."));
    }

    #[test]
    fn the_page_fits_80_columns_and_speaks_the_users_words() {
        let page = page(&handshaking(now()), now());
        for line in page.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        for fact in [
            "Gateway    127.0.0.1:4002, local, client id 410, accept queue 1",
            "Session    number 2, worker pid 4711, age 6.2 s, 1 restart, last end: killed",
            "Lines      2 of 100 used",
            "Since      2026-03-01 14:02:00 UTC (6.2 s)",
            "gateway.listener: the process belongs to another user",
        ] {
            assert!(page.contains(fact), "{fact} is missing in\n{page}");
        }
        assert!(!page.contains("epoch"), "{page}");
        assert!(one_line(&page).contains("SPAWNED +0.0, LINKED +4.2, TCP_CONNECTED +0.9"));
    }

    #[test]
    fn a_status_without_facts_is_still_a_page() {
        let page = page(&api::Status::default(), now());
        assert!(page.starts_with("UNSPECIFIED"), "{page}");
        assert!(page.contains("no worker process"));
    }

    #[test]
    fn a_change_shows_the_transition_and_the_new_plan() {
        let before = handshaking(now());
        let mut update = StatusUpdate { status: before.clone(), transitions: vec![] };
        assert_eq!(change(&before, &update, now()), None);
        update.status.next = Some(api::NextAction {
            action: "connect".into(),
            at: Some((now() + Duration::from_millis(400)).into()),
            because: String::new(),
        });
        update.transitions = vec![api::Transition {
            from: api::SessionState::Handshaking.into(),
            to: api::SessionState::Backoff.into(),
            because: "no byte within 10 s".into(),
            epoch: 2,
            at: Some(now().into()),
        }];
        assert_eq!(
            change(&before, &update, now()).unwrap(),
            "14:02:07.123Z HANDSHAKING -> BACKOFF: no byte within 10 s (session number 2)\n    \
             Next: connect at 14:02:07Z (in 0.4 s)\n"
        );
    }
}
