//! `ibouncer sim`: runs a simulator until it is told to stop, and writes its events to stdout.

use std::future::pending;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::SimArgs;
use crate::control;
use crate::shell::start_observed;
use crate::shell::stdout::EventWriter;

/// Runs a simulator with these flags; returns on SIGINT, on SIGTERM, or after `--for`.
pub fn run(args: SimArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start a runtime")?;
    let writer = EventWriter::start().context("start the thread that writes events")?;
    runtime.block_on(until_told(&args, &writer))?;
    writer.finish();
    Ok(())
}

async fn until_told(args: &SimArgs, writer: &EventWriter) -> anyhow::Result<()> {
    let mut interrupted = signal(SignalKind::interrupt()).context("listen to SIGINT")?;
    let mut terminated = signal(SignalKind::terminate()).context("listen to SIGTERM")?;
    let sim = start_observed(args.config(), writer.observer()).await?;
    let time_is_up = async {
        match args.run_for {
            Some(duration) => tokio::time::sleep(duration).await,
            None => pending().await,
        }
    };
    let commands = async {
        if args.control {
            let mut observer = writer.observer();
            let mut lines = control::start().context("read standard input")?;
            while let Some(line) = lines.recv().await {
                control::obey(&line, &sim, &mut observer).await;
            }
        }
        pending::<anyhow::Result<()>>().await
    };
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
        () = time_is_up => {}
        failed = commands => failed?,
    }
    sim.shutdown().await;
    Ok(())
}
