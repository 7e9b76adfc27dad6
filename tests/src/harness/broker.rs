//! A broker as a process in private folders, and the command line that asks it.
//!
//! When it goes out of scope it is told to end, waited for, and its log is read: a line of level
//! ERROR that the test did not announce fails the test.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::home::{Answer, Home};
use super::procfs::{self, Process};
use super::program::Program;
use super::wait::{self, PATIENCE, until};
use super::watch::{Step, Watch};

/// How a broker is to be started.
#[derive(Debug)]
pub struct BrokerPlan {
    home: Arc<Home>,
    flags: Vec<String>,
    announced: Vec<String>,
}

impl BrokerPlan {
    /// A cap on the whole handshake, and so on each step.
    pub fn handshake_timeout(self, time: &str) -> Self {
        self.flag("--handshake-timeout").flag(time)
    }

    /// `--set KEY=VALUE`.
    pub fn set(self, setting: &str) -> Self {
        self.flag("--set").flag(setting)
    }

    /// In the folder of locks of another one, which must outlive it.
    pub fn beside(mut self, other: &Home) -> Self {
        self.home = Arc::new(Home::beside(other));
        self
    }

    /// Its folders and commands.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// One more argument of `serve`.
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// A log line of level ERROR that holds this text is expected.
    pub fn announce_error(mut self, text: &str) -> Self {
        self.announced.push(text.to_owned());
        self
    }

    /// Starts it, and waits until it listens.
    #[track_caller]
    pub fn start(self) -> Broker {
        wait::watch_lateness();
        let mut arguments = vec!["serve", "--json"];
        arguments.extend(self.flags.iter().map(String::as_str));
        let command = self.home.command(&arguments);
        let program = Program::start(&arguments.join(" "), command);
        let serving = program.stdout.find("serving event", PATIENCE, |line| {
            let event: Value = serde_json::from_str(line).ok()?;
            (event["event"] == "serving").then_some(event)
        });
        Broker {
            home: self.home,
            flags: self.flags,
            program,
            serving,
            announced: self.announced,
            over: false,
        }
    }
}

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    home: Arc<Home>,
    flags: Vec<String>,
    program: Program,
    serving: Value,
    announced: Vec<String>,
    over: bool,
}

impl Broker {
    /// For a Gateway at this address, with quick repetitions and no TCP listener.
    pub fn plan(binary: &Path, gateway: &str) -> BrokerPlan {
        let home = Arc::new(Home::new(binary));
        let plan = BrokerPlan { home, flags: Vec::new(), announced: Vec::new() };
        plan.flag("--gateway")
            .flag(gateway)
            .set("log.format=json")
            .set("grpc.listen=off")
            .set(r#"attempts.backoff=["50ms"]"#)
            // The simulator is no Java program, and young.
            .set("gateway.eyes=local")
            .set("gateway.startup_grace=0s")
            // No worker outlives its test.
            .set("worker.adoption_grace=0s")
    }

    /// The next broker in the same folders, with the same flags; this one must have ended.
    #[track_caller]
    pub fn successor(&self) -> BrokerPlan {
        assert!(self.over, "two brokers in the same folders");
        BrokerPlan {
            home: Arc::clone(&self.home),
            flags: self.flags.clone(),
            announced: self.announced.clone(),
        }
    }

    /// Its folders and commands.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// HOST:PORT of the TCP listener.
    #[track_caller]
    pub fn tcp(&self) -> String {
        let address = self.serving["tcp"].as_str();
        address.expect("a TCP listener").to_owned()
    }

    /// Path of the Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.home.runtime().join("ibouncer.sock")
    }

    /// Runs a command to its end.
    #[track_caller]
    pub fn cli(&self, arguments: &[&str]) -> Answer {
        self.home.cli(arguments)
    }

    /// `status --json`.
    #[track_caller]
    pub fn status(&self) -> Value {
        let answer = self.cli(&["status", "--json"]);
        answer.json()
    }

    /// Waits until a status fits.
    #[track_caller]
    pub fn wait_status(&self, what: &str, mut fits: impl FnMut(&Value) -> bool) -> Value {
        until(what, PATIENCE, || Some(self.status()).filter(|status| fits(status)))
    }

    /// Waits for READY.
    #[track_caller]
    pub fn wait_ready(&self) -> Value {
        let answer = self.cli(&["wait-ready", "--timeout", "25s", "--json"]);
        assert_eq!(answer.code, 0, "not READY: {answer:?}");
        answer.json()
    }

    /// The worker that exists now.
    #[track_caller]
    pub fn worker(&self) -> Process {
        until("a worker", PATIENCE, || {
            let pid = self.status()["worker"]["pid"].as_u64()?;
            procfs::process(pid as u32)
        })
    }

    /// Every transition since its start, from its log.
    pub fn steps(&self) -> Vec<Step> {
        self.log().iter().filter_map(Step::from_log).collect()
    }

    /// Waits until it enters a state in an epoch; answers with the steps so far.
    #[track_caller]
    pub fn wait_step(&self, state: &str, epoch: u64) -> Vec<Step> {
        until(&format!("{state} in epoch {epoch}"), PATIENCE, || {
            let steps = self.steps();
            let there = |step: &Step| step.to == state && step.epoch == epoch;
            steps.iter().any(there).then_some(steps)
        })
    }

    /// Waits until it has entered a state, in whichever epoch.
    #[track_caller]
    pub fn wait_state(&self, state: &str) {
        until(&format!("{state} in any epoch"), PATIENCE, || {
            self.steps().iter().any(|step| step.to == state).then_some(())
        })
    }

    /// The attempt of an epoch, once it is over or READY.
    #[track_caller]
    pub fn attempt(&self, epoch: u64) -> Value {
        until(&format!("attempt {epoch} is over"), PATIENCE, || {
            let status = self.status();
            let attempts = status["attempts"].as_array()?;
            let attempt = attempts.iter().find(|one| one["epoch"] == epoch)?;
            (attempt["outcome"] != "in_progress").then(|| attempt.clone())
        })
    }

    /// Follows its states.
    #[track_caller]
    pub fn watch(&self) -> Watch {
        Watch::start(self.home.spawn(&["status", "--watch", "--json"]))
    }

    /// Its log so far.
    pub fn log(&self) -> Vec<Value> {
        self.program.stderr.json()
    }

    /// SIGKILL, as the machine's own killer would do it.
    pub fn kill(&mut self) {
        self.over = true;
        self.program.signal(Signal::SIGKILL);
        self.program.exit(PATIENCE);
    }

    /// SIGTERM; answers with its exit code.
    #[track_caller]
    pub fn terminate(&mut self) -> Option<i32> {
        self.end(Signal::SIGTERM)
    }

    /// SIGUSR2: the worker is left to the next broker; answers with the exit code.
    #[track_caller]
    pub fn let_go(&mut self) -> Option<i32> {
        self.end(Signal::SIGUSR2)
    }

    /// A signal that does not end it.
    pub fn signal(&mut self, signal: Signal) {
        self.program.signal(signal);
    }

    #[track_caller]
    fn end(&mut self, signal: Signal) -> Option<i32> {
        self.over = true;
        self.program.signal(signal);
        let status = self.program.exit(PATIENCE);
        self.check_log();
        status.code()
    }

    #[track_caller]
    fn check_log(&self) {
        let unexpected: Vec<_> = self
            .program
            .stderr
            .all()
            .into_iter()
            .filter(|line| is_error(line))
            .filter(|line| !self.announced.iter().any(|text| line.contains(text)))
            .collect();
        assert!(unexpected.is_empty(), "unexpected: {}", unexpected.join("\n"));
    }
}

/// Errors, and everything that is no log line at all, such as a panic.
fn is_error(line: &str) -> bool {
    match serde_json::from_str::<Value>(line) {
        Ok(value) => value["level"] == "ERROR",
        Err(_) => !line.is_empty(),
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.program.stderr.all();
            let newest = &log[log.len().saturating_sub(25)..];
            eprintln!("the broker's newest log lines:\n{}", newest.join("\n"));
        } else if !self.over {
            let code = self.terminate();
            assert_eq!(code, Some(0), "a broker ends well");
        }
    }
}
