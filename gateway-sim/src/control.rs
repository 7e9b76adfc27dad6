//! Lines on standard input that let things happen, for tests that run the simulator as a process.
//!
//! Each line is a WHAT of `--happen`; empty lines are skipped. Lines are read on a thread of their
//! own, because a read of standard input cannot be given up; the end of input ends nothing else.

use std::io::BufRead as _;

use tokio::sync::mpsc;

use crate::events::Event;
use crate::happening::Happening;
use crate::shell::{Observer, SimHandle};

/// Lines that may wait.
const LINES: usize = 64;

/// Starts to read lines.
pub(crate) fn start() -> std::io::Result<mpsc::Receiver<String>> {
    let (lines, receiver) = mpsc::channel(LINES);
    std::thread::Builder::new().name("sim-control".to_owned()).spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// Does what a line says, and tells when it says nothing that can happen.
pub(crate) async fn obey(line: &str, sim: &SimHandle, observer: &mut Observer) {
    match line.trim() {
        "" => {}
        line => match line.parse::<Happening>() {
            Ok(what) => sim.happen(what).await,
            Err(error) => {
                let (line, error) = (line.to_owned(), error.to_string());
                observer(&Event::RefusedCommand { line, error });
            }
        },
    }
}
