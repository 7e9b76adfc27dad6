//! A process of this program beside the measured ones: a relay, or the text feeder.
//!
//! It prints its address first, and ends with its handle.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// The process.
pub(crate) struct Beside {
    child: Child,
    pub(crate) address: String,
}

impl Beside {
    /// Starts this program with these arguments, of which the first says what it is to be.
    pub(crate) fn start(arguments: [&str; 2]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut address).unwrap();
        Self { child, address: address.trim().to_owned() }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
