//! The worker: one process, one socket to Gateway, one life.
//!
//! Started by the broker, it says Hello on the link, is told what to do, connects once, shakes
//! hands, relays frames both ways, and exits with a code that says why. It has no policy and
//! never connects to Gateway twice: whoever wants another connection starts another worker. Only
//! a link that breaks under a live session is opened again.
//!
//! - [`session`]: the decisions, pure.
//! - [`relay`]: the two sockets and what waits for each.
//! - [`process`]: what makes a child of the broker a good worker.
//! - [`log`]: its standard error, with a cap.

pub mod log;
pub mod process;
pub mod relay;
pub mod session;

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::log::Log;
use crate::session::ExitCode;

/// The hidden first argument that makes the one binary a worker.
pub const ARGUMENT: &str = "__worker";

/// Runs a worker. `arguments` are those behind [`ARGUMENT`]: path of the link, epoch.
pub fn main(arguments: impl Iterator<Item = OsString>) -> std::process::ExitCode {
    let mut log = Log::to_stderr();
    let code = match run(arguments, &mut log) {
        Ok(code) => code,
        Err(error) => {
            log.line(&format!("worker failed: {error:#}"));
            ExitCode::Internal
        }
    };
    std::process::ExitCode::from(code as u8)
}

fn run(mut arguments: impl Iterator<Item = OsString>, log: &mut Log) -> anyhow::Result<ExitCode> {
    let link: PathBuf = arguments.next().context("the link's path is missing")?.into();
    let epoch = arguments.next().context("the epoch is missing")?;
    let epoch = epoch.to_str().and_then(|text| text.parse().ok()).context("read the epoch")?;
    process::settle_in().context("settle in as a worker")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("start the runtime")?;
    runtime.block_on(relay::run(&link, epoch, log))
}
