//! The one binary of IBouncer, as a library with a single entry.
//!
//! [`main`] first looks whether this process was started as a worker, before anything else is
//! set up; then it reads the command line ([`args`]) and runs one command ([`commands`]), which
//! talks to a running broker only through the SDK.
//!
//! - [`exit`]: exit codes, and errors as users meet them.
//! - [`explain`]: what Gateway's errors mean.
//! - [`symbol`]: symbols as people write them.
//! - [`output`]: the only place that writes to stdout and stderr.

mod args;
mod commands;
mod exit;
mod explain;
mod output;
mod symbol;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Args;
use crate::exit::Failure;
use crate::output::Output;

/// Batches of ticks and rows of the journal are made by one thread and freed by another, for which
/// the C library's allocator takes a lock.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs the program with this process's arguments.
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == ibouncer_worker::ARGUMENT) {
        return ibouncer_worker::main(arguments.into_iter().skip(2));
    }
    let json = arguments.iter().any(|argument| argument == "--json");
    let args = match Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(error) => return refuse(&error, json),
    };
    let mut output = Output::standard(args.global.json);
    match commands::run(&args, &mut output) {
        Ok(exit) => exit.into(),
        Err(Failure::StdoutClosed) => exit::Exit::Good.into(),
        Err(Failure::Told(complaint)) => {
            output.complain(&complaint);
            complaint.exit.into()
        }
    }
}

/// Usage errors, and `--help` and `--version`, which clap reports the same way.
fn refuse(error: &clap::Error, json: bool) -> ExitCode {
    if json && error.use_stderr() {
        let text = error.to_string();
        let message = text.trim().trim_start_matches("error: ");
        let complaint = exit::Complaint::usage(message);
        Output::standard(true).complain(&complaint);
        return complaint.exit.into();
    }
    // Nobody is left to be told if this fails.
    let _ = error.print();
    if error.use_stderr() { exit::Exit::Usage.into() } else { exit::Exit::Good.into() }
}
