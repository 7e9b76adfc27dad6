//! `ibouncer session hold|release`: no attempts until a person says so.

use ibouncer_client::Client;
use serde_json::json;

use crate::args::Session;
use crate::exit::{Complaint, Exit, Failure};
use crate::output::Output;

pub(crate) async fn run(
    client: &Client,
    order: &Session,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match order {
        Session::Hold { reason, drop_live_session } => {
            if reason.trim().is_empty() {
                let what = "--reason is empty; say why, it is shown in status";
                return Err(Complaint::usage(what).into());
            }
            client.admin().hold(reason, *drop_live_session).await?;
            if output.json() {
                output.value(&json!({ "held": true, "reason": reason }))?;
            } else {
                output.text(
                    "The session is held: no attempt is made, also after a restart of the broker.\n\
                     End it: ibouncer session release",
                )?;
            }
        }
        Session::Release { reason } => {
            client.admin().release(reason).await?;
            if output.json() {
                output.value(&json!({ "held": false }))?;
            } else {
                output.text("The hold is over. Watch it: ibouncer status --watch")?;
            }
        }
    }
    Ok(Exit::Good)
}
