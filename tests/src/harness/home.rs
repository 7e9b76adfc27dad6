//! Private folders, and the command line in them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ibouncer_client::Options;
use serde_json::Value;
use tempfile::TempDir;

use super::program::Program;
use super::wait::PATIENCE;

/// Private folders, and commands that know no others.
#[derive(Debug)]
pub struct Home {
    binary: PathBuf,
    folder: TempDir,
    /// Folder of the locks, if it is another one's.
    locks: Option<PathBuf>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Answer {
    /// Exit code; -1 after a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Answer {
    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// The `error` object that `--json` writes to standard error.
    #[track_caller]
    pub fn error(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stderr)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"));
        value["error"].clone()
    }
}

impl Home {
    /// Makes the folders.
    pub fn new(binary: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("ib-e2e-").tempdir().unwrap();
        Self { binary: binary.to_owned(), folder, locks: None }
    }

    /// Of the same user as another one, as far as locks go; that one must outlive it.
    pub fn beside(other: &Self) -> Self {
        Self { locks: Some(other.locks()), ..Self::new(&other.binary) }
    }

    /// Folder of the sockets.
    pub fn runtime(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// Folder of what is kept.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Folder of the locks.
    pub fn locks(&self) -> PathBuf {
        self.locks.clone().unwrap_or_else(|| self.folder.path().join("locks"))
    }

    /// Where everything lies.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The binary with these arguments, in these folders.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments);
        self.settle(&mut command);
        command
    }

    /// Any program, in the environment that leads to these folders and to no others.
    pub fn settle(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("IBOUNCER_") || text.starts_with("XDG_") {
                command.env_remove(&name);
            }
        }
        command
            .env_remove("RUNTIME_DIRECTORY")
            .env_remove("STATE_DIRECTORY")
            .env("HOME", self.folder.path())
            .env("IBOUNCER_RUNTIME_DIR", self.runtime())
            .env("IBOUNCER_STATE_DIR", self.state())
            .env("IBOUNCER_LOCK_DIR", self.locks());
    }

    /// Runs a command to its end.
    #[track_caller]
    pub fn cli(&self, arguments: &[&str]) -> Answer {
        self.cli_within(arguments, PATIENCE)
    }

    /// The same with another limit.
    #[track_caller]
    pub fn cli_within(&self, arguments: &[&str], within: Duration) -> Answer {
        let mut program = Program::start(&arguments.join(" "), self.command(arguments));
        program.close_stdin();
        let status = program.exit(within);
        Answer {
            code: status.code().unwrap_or(-1),
            stdout: program.stdout.all().join("\n"),
            stderr: program.stderr.all().join("\n"),
        }
    }

    /// Starts a command that goes on.
    #[track_caller]
    pub fn spawn(&self, arguments: &[&str]) -> Program {
        Program::start(&arguments.join(" "), self.command(arguments))
    }

    /// How the SDK finds the broker of these folders.
    pub fn options(&self) -> Options {
        Options::new().runtime_dir(self.runtime()).state_dir(self.state()).reconnect(false)
    }
}
