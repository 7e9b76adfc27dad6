//! `ibouncer retry`: one attempt now, for a session that waits.

use ibouncer_client::Client;
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::output::Output;

pub(crate) async fn run(
    client: &Client,
    reason: &str,
    output: &mut Output,
) -> Result<Exit, Failure> {
    client.admin().retry(reason).await?;
    if output.json() {
        output.value(&json!({ "retry": true }))?;
    } else {
        output.text("An attempt begins now. Watch it: ibouncer status --watch")?;
    }
    Ok(Exit::Good)
}
