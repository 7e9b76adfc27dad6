//! `ibouncer status`: what state the session is in, since when, why, and what happens next.
//!
//! The sentences are the broker's; here they are only laid out ([`text`]) or put under stable
//! keys ([`json`]).

mod json;
mod text;

use std::time::SystemTime;

use ibouncer_client::{Client, StatusUpdate, api};

use super::until::Until;
use crate::exit::{Complaint, Exit, Failure};
use crate::output::Output;

pub(crate) use json::{as_json, name_of_stage, process};
pub(crate) use text::summary;

/// The status as it is now; the exit code says how the session is.
pub(crate) async fn once(client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let status = client.status().await?;
    if output.json() {
        output.value(&as_json(&status))?;
    } else {
        output.text(&text::page(&status, SystemTime::now()))?;
    }
    Ok(Exit::of_state(status.state()))
}

/// The status now, then every change, until the user or the broker ends it.
pub(crate) async fn watch(client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let mut updates = client.watch_status().await?;
    let mut until = Until::new(None)?;
    let mut before: Option<api::Status> = None;
    loop {
        let update = tokio::select! {
            update = updates.next() => update?,
            () = until.over() => return Ok(Exit::Good),
        };
        let Some(update) = update else {
            return Err(Complaint::broker_stopped().into());
        };
        if output.json() {
            output.json_line(&json::update(&update))?;
        } else if let Some(text) = changes(before.as_ref(), &update) {
            output.text(&text)?;
        }
        before = Some(update.status);
    }
}

/// The page at first, then lines; `None` if nothing changed that a person would look at.
fn changes(before: Option<&api::Status>, update: &StatusUpdate) -> Option<String> {
    let now = SystemTime::now();
    match before {
        None => Some(text::page(&update.status, now)),
        Some(before) => text::change(before, update, now),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::{Duration, SystemTime};

    use ibouncer_client::api;

    /// A session in the middle of a handshake with a mute Gateway.
    pub(crate) fn handshaking(now: SystemTime) -> api::Status {
        let at = |before: u64| Some((now - Duration::from_millis(before)).into());
        let stamp =
            |stage: api::HandshakeStage, at_ms| api::StageStamp { stage: stage.into(), at_ms };
        let stages = vec![
            stamp(api::HandshakeStage::Spawned, 0.0),
            stamp(api::HandshakeStage::Linked, 4.2),
            stamp(api::HandshakeStage::TcpConnected, 5.1),
            stamp(api::HandshakeStage::HelloSent, 5.3),
        ];
        let attempt = |epoch, end: &str| api::Attempt {
            epoch,
            at: at(60_000),
            outcome: "silent".into(),
            last_stage: api::HandshakeStage::HelloSent.into(),
            end: end.into(),
            stages: stages.clone(),
            session_end: None,
        };
        api::Status {
            instance: "default".into(),
            state: api::SessionState::Handshaking.into(),
            since: at(6_200),
            reason: "silence after HELLO_SENT for 6.2 s (deadline 10 s). TCP is up; Gateway has \
                     sent no byte."
                .into(),
            next: Some(api::NextAction {
                action: "kill worker".into(),
                at: Some((now + Duration::from_millis(3_800)).into()),
                because: "attempt 2 of 3".into(),
            }),
            advice: vec!["Look whether Gateway shows a dialog.".into()],
            epoch: 2,
            gateway: Some(api::GatewayStatus {
                address: "127.0.0.1:4002".into(),
                path: Some("local".into()),
                accept_queue: Some(1),
                client_id: 410,
                ..Default::default()
            }),
            worker: Some(api::WorkerStatus {
                pid: 4711,
                epoch: 2,
                since: at(6_205),
                ..Default::default()
            }),
            broker: Some(api::BrokerStatus {
                version: "0.1.0".into(),
                pid: 4700,
                since: at(70_000),
            }),
            handshake: Some(api::Handshake {
                outcome: "in_progress".into(),
                stages: stages.clone(),
                deadline: None,
            }),
            attempts: vec![
                attempt(1, "killed at its deadline after a really long explanation of it all"),
                attempt(2, ""),
            ],
            accounts: vec![],
            mode: None,
            trading: "off".into(),
            clients: 3,
            lines: Some(api::LineUsage { used: 2, limit: 100 }),
            heartbeat: Some(api::Heartbeat::default()),
            farms: vec![],
            counters: [("ibouncer_attempts_total{class=\"silent\"}".to_owned(), 1)].into(),
            unknown: [(
                "gateway.listener".to_owned(),
                "the process belongs to another user".to_owned(),
            )]
            .into(),
            last_end: Some("killed".into()),
            restarts: 1,
            ..Default::default()
        }
    }
}
