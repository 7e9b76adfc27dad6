//! Standard error of a worker: a file of its own, with a cap.
//!
//! Never a pipe, so that an orphan cannot die of writing to it; never more than the cap, so that
//! a worker that complains without end fills no disk.

use std::io::Write as _;

/// Most bytes that one worker writes.
const CAP: usize = 256 * 1024;

/// The log.
#[derive(Debug)]
pub struct Log {
    left: usize,
}

impl Log {
    /// To standard error.
    pub fn to_stderr() -> Self {
        Self { left: CAP }
    }

    /// One line. Past the cap, nothing.
    pub fn line(&mut self, text: &str) {
        if let Some(left) = self.left.checked_sub(text.len() + 1) {
            self.left = left;
            // There is nowhere to report that reporting failed.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }
}
