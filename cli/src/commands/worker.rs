//! `ibouncer worker restart`: ends the process that holds the session.

use ibouncer_client::Client;
use serde_json::json;

use crate::args::Worker;
use crate::exit::{Complaint, Exit, Failure};
use crate::output::Output;

pub(crate) async fn run(
    client: &Client,
    order: &Worker,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let Worker::Restart { reason, drop_live_session } = order;
    if reason.trim().is_empty() {
        return Err(Complaint::usage("--reason is empty; say why, it goes to the log").into());
    }
    let ended = client
        .admin()
        .restart_worker(reason, *drop_live_session)
        .await
        .map_err(|error| advise(error.into()))?;
    if output.json() {
        output.value(&json!({ "ended": { "epoch": ended } }))?;
    } else {
        output.text(&format!(
            "Session number {ended} is ended; the next one follows at once. \
             Watch it: ibouncer status --watch"
        ))?;
    }
    Ok(Exit::Good)
}

/// The broker keeps a live session unless told otherwise; say how.
fn advise(complaint: Complaint) -> Complaint {
    if complaint.next.is_none() && complaint.code != "PERMISSION_DENIED" {
        return complaint.next("--drop-live-session ends a session even if it is READY");
    }
    complaint
}
