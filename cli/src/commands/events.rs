//! `ibouncer events [-f]`: what happened.

use ibouncer_client::{Client, api};
use serde_json::{Value, json};

use super::until::Until;
use crate::exit::{Complaint, Exit, Failure};
use crate::output::text::wrap;
use crate::output::{Output, time};

pub(crate) async fn run(
    client: &Client,
    follow: bool,
    after: u64,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let mut events = client.admin().events(after, follow).await?;
    let mut until = Until::new(None)?;
    loop {
        let batch = tokio::select! {
            batch = events.next() => batch?,
            () = until.over() => return Ok(Exit::Good),
        };
        let Some(batch) = batch else {
            break;
        };
        for event in &batch {
            if output.json() {
                output.json_line(&as_json(event))?;
            } else {
                output.text(&as_text(event))?;
            }
        }
    }
    if follow { Err(Complaint::broker_stopped().into()) } else { Ok(Exit::Good) }
}

pub(crate) fn as_json(event: &api::Event) -> Value {
    json!({
        "number": event.number,
        "at": event.at.as_ref().and_then(time::of).map(time::rfc3339),
        "kind": event.kind,
        "severity": event.severity,
        "text": event.text,
        "epoch": event.epoch,
    })
}

fn as_text(event: &api::Event) -> String {
    let at = event.at.as_ref().and_then(time::of);
    let at = at.map_or_else(|| "?".to_owned(), time::date_and_clock);
    let mark = match event.severity.as_str() {
        "warning" => "! ",
        "error" => "!! ",
        _ => "",
    };
    wrap(&format!("{at}  {:<10}  {mark}{}", event.kind, event.text), 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::WIDTH;

    #[test]
    fn an_event_fits_80_columns_and_shows_how_bad_it_is() {
        let event = api::Event {
            number: 7,
            at: Some(prost_types::Timestamp { seconds: 1_772_373_727, nanos: 0 }),
            kind: "transition".into(),
            severity: "error".into(),
            text: "HANDSHAKING to WEDGED: 3 silent handshakes in a row; the last: silence".into(),
            epoch: 3,
        };
        let text = as_text(&event);
        assert!(text.starts_with("2026-03-01 14:02:07"), "{text}");
        assert!(text.contains("!! HANDSHAKING"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert_eq!(as_json(&event)["number"], 7);
    }
}
