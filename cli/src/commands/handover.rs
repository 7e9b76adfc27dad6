//! `ibouncer handover`: another build takes over, and the session goes on.

use std::path::Path;
use std::time::{Duration, Instant};

use ibouncer_client::Client;
use serde_json::json;

use crate::args::Global;
use crate::exit::{Complaint, Exit, Failure};
use crate::output::Output;

/// The new broker reads its configuration and binds its sockets; that takes milliseconds.
const BACK_WITHIN: Duration = Duration::from_secs(15);

/// Between two looks for it.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) async fn run(
    client: &Client,
    binary: Option<&Path>,
    global: &Global,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let binary = match binary {
        None => String::new(),
        Some(path) => {
            let absolute = std::path::absolute(path)
                .map_err(|error| Complaint::usage(format!("{}: {error}", path.display())))?;
            let text = absolute.to_str().map(str::to_owned);
            text.ok_or_else(|| Complaint::usage("--binary: the path is not UTF-8"))?
        }
    };
    let before = client.status().await?;
    let since = before.broker.as_ref().and_then(|broker| broker.since);
    let taken = client.admin().hand_over(binary).await?;
    let status = wait_for_next(global, since).await?;
    let pid = status.broker.as_ref().map_or(0, |broker| broker.pid);
    let same = taken.epoch > 0 && status.epoch == taken.epoch;
    if output.json() {
        output.value(&json!({
            "handover": { "build": taken.build, "epoch": taken.epoch, "broker_pid": pid },
        }))?;
    } else {
        let session = match (taken.epoch, same) {
            (0, _) => "There was no live session to keep.".to_owned(),
            (epoch, true) => format!("Session number {epoch} goes on."),
            (epoch, false) => format!("Session number {epoch} is being taken over."),
        };
        output.text(&format!("{} runs now, pid {pid}. {session}", taken.build))?;
    }
    Ok(Exit::Good)
}

/// The broker that answers next is another one: it has another start.
async fn wait_for_next(
    global: &Global,
    before: Option<prost_types::Timestamp>,
) -> Result<ibouncer_client::api::Status, Failure> {
    let deadline = Instant::now() + BACK_WITHIN;
    loop {
        if let Ok(client) = Client::connect(global.options()).await
            && let Ok(status) = client.status().await
            && status.broker.as_ref().and_then(|broker| broker.since) != before
            && (status.worker.is_none() || status.state() == ready())
        {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            let what = format!("no new broker answered within {} s", BACK_WITHIN.as_secs());
            return Err(Complaint::internal("HANDOVER", what)
                .next("look at the broker's log; the worker keeps the session meanwhile")
                .into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn ready() -> ibouncer_client::api::SessionState {
    ibouncer_client::api::SessionState::Ready
}
