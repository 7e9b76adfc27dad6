//! `ibouncer queue`: what waits for its turn at Gateway, where it stands, and for how long.

use std::time::Duration;

use ibouncer_client::{Client, api};
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::output::table::{Column, table};
use crate::output::time::span;

pub(super) async fn run(
    client: &Client,
    of_client: Option<&str>,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let queue = client.session().queue(of_client).await?;
    if output.json() {
        output.value(&as_json(&queue))?;
    } else {
        output.text(&as_text(&queue))?;
    }
    Ok(Exit::Good)
}

/// Also for `ibouncer top`.
pub(super) fn as_json(queue: &api::GetQueueResponse) -> Value {
    let list: Vec<_> = queue
        .requests
        .iter()
        .map(|request| {
            json!({
                "client": request.client,
                "lane": request.lane,
                "request": request.request,
                "label": Some(&request.label).filter(|label| !label.is_empty()),
                "place": request.place,
                "expected_wait_ms": wait(request).map(|wait| wait.as_millis() as u64),
                "because": Some(&request.because).filter(|because| !because.is_empty()),
            })
        })
        .collect();
    json!({ "messages_per_second": queue.messages_per_second, "requests": list })
}

fn as_text(queue: &api::GetQueueResponse) -> String {
    let rate = queue.messages_per_second;
    if queue.requests.is_empty() {
        return format!("Nothing waits. Up to {rate} messages leave in a second.");
    }
    let rows: Vec<_> = queue
        .requests
        .iter()
        .map(|request| {
            vec![
                request.place.to_string(),
                wait(request).map_or_else(|| "?".to_owned(), span),
                request.lane.clone(),
                request.request.clone(),
                request.label.clone(),
                request.client.clone(),
                request.because.clone(),
            ]
        })
        .collect();
    let columns = [
        Column::Figure("AHEAD"),
        Column::Figure("WAIT"),
        Column::Text("LANE"),
        Column::Flexible("REQUEST"),
        Column::Flexible("ABOUT"),
        Column::Flexible("CLIENT"),
        Column::Flexible("BECAUSE"),
    ];
    let mut text = table(&columns, &rows);
    text.push_str(&format!("Up to {rate} messages leave in a second."));
    text
}

pub(super) fn wait(request: &api::QueuedRequest) -> Option<Duration> {
    Duration::try_from(request.expected_wait?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::WIDTH;

    #[test]
    fn what_waits_is_told_with_its_place_and_reason() {
        let request = api::QueuedRequest {
            client: "a-rather-long-strategy-name.py@some-host.example:123456".into(),
            lane: "history".into(),
            request: "reqHistoricalData".into(),
            label: "AAPL".into(),
            place: 3,
            expected_wait: Some(prost_types::Duration { seconds: 65, nanos: 0 }),
            because: "60 requests for history in 10 minutes".into(),
        };
        let queue = api::GetQueueResponse { requests: vec![request], messages_per_second: 45.0 };
        let text = as_text(&queue);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(
            text.contains("1 min 5 s") && text.ends_with("Up to 45 messages leave in a second.")
        );
        assert_eq!(as_json(&queue)["requests"][0]["expected_wait_ms"], 65_000);
        let empty = api::GetQueueResponse { messages_per_second: 45.0, ..Default::default() };
        assert!(as_text(&empty).starts_with("Nothing waits."));
    }
}
