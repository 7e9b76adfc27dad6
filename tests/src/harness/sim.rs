//! The simulated Gateway as a process, and what it says that it saw.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::machine::{self, Part, Whole};
use super::program::Program;
use super::wait::{PATIENCE, until};

/// A running `sim`.
#[derive(Debug)]
pub struct Sim {
    program: Program,
    address: String,
    _part: Part,
}

impl Sim {
    /// Starts it on a free port.
    #[track_caller]
    pub fn start(binary: &Path, flags: &[&str]) -> Self {
        Self::start_on(machine::share(), binary, flags)
    }

    /// The same for a test that has the whole machine.
    #[track_caller]
    pub fn start_alone(whole: &Whole, binary: &Path, flags: &[&str]) -> Self {
        Self::start_on(whole.share(), binary, flags)
    }

    #[track_caller]
    fn start_on(part: Part, binary: &Path, flags: &[&str]) -> Self {
        let mut command = Command::new(binary);
        command.args(["sim"]);
        if !flags.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(flags);
        let program = Program::start("sim", command);
        let address = program.stdout.find("listening event", PATIENCE, |line| {
            let event: Value = serde_json::from_str(line).ok()?;
            Some(event["address"].as_str()?.to_owned())
        });
        Self { program, address, _part: part }
    }

    /// HOST:PORT.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The port alone.
    pub fn port(&self) -> u16 {
        let (_, port) = self.address.rsplit_once(':').unwrap();
        port.parse().unwrap()
    }

    /// Everything that it said so far.
    pub fn events(&self) -> Vec<Value> {
        self.program.stdout.json()
    }

    /// All events of this name.
    pub fn named(&self, name: &str) -> Vec<Value> {
        let mut events = self.events();
        events.retain(|event| event["event"] == name);
        events
    }

    /// Requests of this name, such as `REQ_MKT_DATA`.
    pub fn requests(&self, name: &str) -> Vec<Value> {
        let mut events = self.named("request");
        events.retain(|event| event["name"] == name);
        events
    }

    /// Requests of this name, once there are so many of them: what a client sees can be here
    /// before the line that tells of its cause.
    #[track_caller]
    pub fn wait_requests(&self, name: &str, count: usize) -> Vec<Value> {
        until(&format!("{count} requests {name}"), PATIENCE, || {
            Some(self.requests(name)).filter(|requests| requests.len() >= count)
        })
    }

    /// Waits for an event.
    #[track_caller]
    pub fn wait(&self, what: &str, mut fits: impl FnMut(&Value) -> bool) -> Value {
        self.program.stdout.find(what, PATIENCE, |line| {
            serde_json::from_str(line).ok().filter(|event| fits(event))
        })
    }

    /// Waits for so many events of a name.
    #[track_caller]
    pub fn wait_count(&self, name: &str, count: usize) -> Vec<Value> {
        until(&format!("{count} events {name}"), PATIENCE, || {
            Some(self.named(name)).filter(|events| events.len() >= count)
        })
    }

    /// Waits for the close of a connection; answers with how.
    #[track_caller]
    pub fn close_of(&self, connection: u64) -> String {
        let event = self.wait(&format!("close of connection {connection}"), |event| {
            event["event"] == "closed" && event["connection"] == connection
        });
        event["how"].as_str().unwrap().to_owned()
    }

    /// Lets something happen, as `--happen` spells it; the simulator needs `--control`.
    #[track_caller]
    pub fn happen(&mut self, what: &str) {
        let before = self.named("happened").len();
        self.program.say(what);
        self.wait_count("happened", before + 1);
    }

    /// Ends it; answers with its ledger of orders, which is there if one was placed.
    #[track_caller]
    pub fn ledger(mut self) -> Value {
        self.program.signal(Signal::SIGTERM);
        self.program.exit(PATIENCE);
        self.named("ledger").pop().expect("a ledger")
    }

    /// Ends it; answers with its report.
    #[track_caller]
    pub fn stop(mut self) -> Value {
        self.program.signal(Signal::SIGTERM);
        self.program.exit(PATIENCE);
        let stopped = self.named("stopped");
        stopped.into_iter().next().expect("a last event")
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.program.signal(Signal::SIGTERM);
        let deadline = std::time::Instant::now() + Duration::from_secs(2);
        while self.program.poll_exit().is_none() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
