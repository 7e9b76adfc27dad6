//! `ibouncer wait-ready`: for scripts that need a session. Waits for the broker too, so that it
//! can stand right behind the command that starts one.

use std::time::{Duration, Instant, SystemTime};

use ibouncer_client::{Client, ConnectError, Readiness};

use super::status::{as_json, summary};
use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::output::text::wrap;

pub(crate) async fn run(
    global: &Global,
    timeout: Duration,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let deadline = Instant::now() + timeout;
    let readiness = wait(global, deadline, output).await?;
    if output.json() {
        output.value(&as_json(&readiness.status))?;
    } else {
        output.text(&summary(&readiness.status, SystemTime::now()))?;
    }
    if readiness.ready {
        return Ok(Exit::Good);
    }
    let exit = Exit::of_state(readiness.status.state());
    // READY a moment after the timeout is still a timeout.
    Ok(if exit == Exit::Good { Exit::NotReady } else { exit })
}

/// Ends at the deadline with what is known then.
async fn wait(
    global: &Global,
    deadline: Instant,
    output: &mut Output,
) -> Result<Readiness, Failure> {
    let mut remarked = false;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let failure = match attempt(global, left).await {
            Ok(readiness) if readiness.ready || Instant::now() >= deadline => {
                return Ok(readiness);
            }
            // The broker lowers long timeouts.
            Ok(_) => continue,
            Err(Unanswered::NoBroker(failure)) if Instant::now() < deadline => failure,
            Err(Unanswered::NoBroker(failure) | Unanswered::Final(failure)) => return Err(failure),
        };
        if let (Failure::Told(complaint), false, false) = (&failure, remarked, output.json()) {
            output.remark(&wrap(&format!("Waiting: {}", complaint.message), 2));
            remarked = true;
        }
        tokio::time::sleep(BETWEEN_ATTEMPTS.min(left)).await;
    }
}

enum Unanswered {
    /// It may come.
    NoBroker(Failure),
    /// It will not get better.
    Final(Failure),
}

async fn attempt(global: &Global, left: Duration) -> Result<Readiness, Unanswered> {
    let client = Client::connect(global.options()).await.map_err(|error| match error {
        ConnectError::Unreachable { .. } => Unanswered::NoBroker(error.into()),
        other => Unanswered::Final(other.into()),
    })?;
    client.wait_ready(left).await.map_err(|error| {
        if error.is_unreachable() {
            Unanswered::NoBroker(error.into())
        } else {
            Unanswered::Final(error.into())
        }
    })
}

const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Args;
    use crate::output::tests::on_paper;

    #[tokio::test]
    async fn without_a_broker_it_waits_and_then_says_where_it_looked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let line = ["ibouncer", "wait-ready", "--runtime-dir", path, "--state-dir", path];
        let global = Args::try_parse_from(line).unwrap().global;
        let (mut output, out, err) = on_paper(false);
        let failure = run(&global, Duration::from_millis(50), &mut output).await;
        let Err(Failure::Told(complaint)) = failure else { panic!("{failure:?}") };
        assert_eq!(complaint.exit, Exit::Unreachable);
        assert!(complaint.message.contains("ibouncer.sock"), "{complaint:?}");
        assert_eq!(err.text().matches("Waiting:").count(), 1, "{}", err.text());
        assert_eq!(out.text(), "");
    }
}
