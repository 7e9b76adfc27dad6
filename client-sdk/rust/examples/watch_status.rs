//! Prints the state of the session, and every change of it.
#![expect(clippy::print_stdout, reason = "the purpose of the example")]

use anyhow::Context as _;
use ibouncer_client::{Client, Options};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::connect(Options::new()).await.context("connect to the broker")?;
    let mut changes = client.watch_status().await.context("watch the status")?;
    while let Some(update) = changes.next().await? {
        for step in &update.transitions {
            let (from, to) = (step.from(), step.to());
            println!("{} -> {}: {}", from.as_str_name(), to.as_str_name(), step.because);
        }
        println!("{}: {}", update.status.state().as_str_name(), update.status.reason);
    }
    Ok(())
}
