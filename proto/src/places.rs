//! Where the processes of one installation meet: names of sockets and files.
//!
//! Broker, command line and SDKs must come to the same paths by themselves, so the rule stands
//! here once. Pure: the environment is handed in, nothing is created or looked at.
//!
//! Runtime folder: flag, `IBOUNCER_RUNTIME_DIR`, `RUNTIME_DIRECTORY`, `$XDG_RUNTIME_DIR/ibouncer`,
//! `~/.local/state/ibouncer/run`. State folder: flag, `IBOUNCER_STATE_DIR`, `STATE_DIRECTORY`,
//! `$XDG_STATE_HOME/ibouncer`, `~/.local/state/ibouncer`. The default instance lives in these
//! folders themselves, any other in `instances/NAME` below each.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Name of the instance that has no folder of its own.
pub const DEFAULT_INSTANCE: &str = "default";

/// Longest socket path that is accepted; the kernel's limit is 108 with its NUL.
pub const LONGEST_SOCKET_PATH: usize = 100;

/// Why there is no place to meet.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlacesError {
    /// No flag, no variable, no home.
    #[error("no folder for {0}: set HOME, or name one with --runtime-dir and --state-dir")]
    NoHome(&'static str),
    /// The instance's name would not make a good folder.
    #[error(
        "instance name {0:?} is not allowed: use 1 to 32 of a-z, 0-9, '-' and '_', \
         beginning with a letter or digit"
    )]
    BadInstance(String),
    /// A socket could not be bound there.
    #[error(
        "socket path {} has {} bytes, the limit is {LONGEST_SOCKET_PATH}: \
         choose a shorter --runtime-dir",
        path.display(), path.as_os_str().len()
    )]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
    },
}

/// The folders of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    instance: String,
    runtime: PathBuf,
    state: PathBuf,
}

/// What the user said about places; everything may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `--runtime-dir`.
    pub runtime_dir: Option<PathBuf>,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// `--instance`.
    pub instance: Option<String>,
}

impl Places {
    /// Applies the rule. `environment` looks up a variable.
    pub fn resolve(
        wishes: &Wishes,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, PlacesError> {
        let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
        let instance = wishes
            .instance
            .clone()
            .or_else(|| variable("IBOUNCER_INSTANCE")?.into_string().ok())
            .unwrap_or_else(|| DEFAULT_INSTANCE.to_owned());
        check_instance(&instance)?;
        let home_state = || variable("HOME").map(|home| Path::new(&home).join(".local/state"));
        let runtime = wishes
            .runtime_dir
            .clone()
            .or_else(|| variable("IBOUNCER_RUNTIME_DIR").map(PathBuf::from))
            .or_else(|| variable("RUNTIME_DIRECTORY").map(PathBuf::from))
            .or_else(|| variable("XDG_RUNTIME_DIR").map(|base| Path::new(&base).join("ibouncer")))
            .or_else(|| home_state().map(|base| base.join("ibouncer/run")))
            .ok_or(PlacesError::NoHome("sockets"))?;
        let state = wishes
            .state_dir
            .clone()
            .or_else(|| variable("IBOUNCER_STATE_DIR").map(PathBuf::from))
            .or_else(|| variable("STATE_DIRECTORY").map(PathBuf::from))
            .or_else(|| variable("XDG_STATE_HOME").map(|base| Path::new(&base).join("ibouncer")))
            .or_else(|| home_state().map(|base| base.join("ibouncer")))
            .ok_or(PlacesError::NoHome("state"))?;
        let below = |base: PathBuf| match instance.as_str() {
            DEFAULT_INSTANCE => base,
            name => base.join("instances").join(name),
        };
        let places = Self { runtime: below(runtime), state: below(state), instance };
        for path in [places.socket(), places.link_socket()] {
            if path.as_os_str().len() > LONGEST_SOCKET_PATH {
                return Err(PlacesError::SocketPathTooLong { path });
            }
        }
        Ok(places)
    }

    /// Name of the instance.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// True for the instance that has the well-known ports.
    pub fn is_default(&self) -> bool {
        self.instance == DEFAULT_INSTANCE
    }

    /// Folder of sockets and of what lives as long as the broker.
    pub fn runtime(&self) -> &Path {
        &self.runtime
    }

    /// Folder of what outlives the broker.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// gRPC for clients of this user.
    pub fn socket(&self) -> PathBuf {
        self.runtime.join("ibouncer.sock")
    }

    /// The worker's link.
    pub fn link_socket(&self) -> PathBuf {
        self.runtime.join("link.sock")
    }

    /// Bearer token of the TCP listener, one line.
    pub fn token(&self) -> PathBuf {
        self.runtime.join("token")
    }

    /// Where a running broker listens: `{"schema":1,"pid":…,"unix":"…","tcp":"127.0.0.1:4010"}`.
    pub fn endpoints(&self) -> PathBuf {
        self.runtime.join("endpoints.json")
    }

    /// What happened, one JSON object a line.
    pub fn events(&self) -> PathBuf {
        self.state.join("events.jsonl")
    }

    /// Standard error of each worker, one file an epoch.
    pub fn worker_logs(&self) -> PathBuf {
        self.state.join("workers")
    }
}

fn check_instance(name: &str) -> Result<(), PlacesError> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    let fits = (1..=32).contains(&bytes.len())
        && good(bytes[0])
        && bytes.iter().all(|&byte| good(byte) || byte == b'-' || byte == b'_');
    if fits { Ok(()) } else { Err(PlacesError::BadInstance(name.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(wishes: Wishes, variables: &[(&str, &str)]) -> Result<Places, PlacesError> {
        Places::resolve(&wishes, |name| {
            let found = variables.iter().find(|(key, _)| *key == name)?;
            Some(OsString::from(found.1))
        })
    }

    #[test]
    fn flags_win_over_variables_and_variables_over_home() {
        let variables = [("HOME", "/home/a"), ("XDG_RUNTIME_DIR", "/run/user/7")];
        let places = resolve(Wishes::default(), &variables).unwrap();
        assert_eq!(places.socket(), Path::new("/run/user/7/ibouncer/ibouncer.sock"));
        assert_eq!(places.state(), Path::new("/home/a/.local/state/ibouncer"));
        let wishes = Wishes { runtime_dir: Some("/r".into()), ..Wishes::default() };
        let places = resolve(wishes, &variables).unwrap();
        assert_eq!(places.token(), Path::new("/r/token"));
        let places = resolve(Wishes::default(), &variables[..1]).unwrap();
        assert_eq!(places.runtime(), Path::new("/home/a/.local/state/ibouncer/run"));
    }

    #[test]
    fn another_instance_has_folders_of_its_own() {
        let wishes = Wishes { instance: Some("live".into()), ..Wishes::default() };
        let places = resolve(wishes, &[("HOME", "/h")]).unwrap();
        assert!(places.socket().ends_with("run/instances/live/ibouncer.sock"));
        assert!(!places.is_default());
    }

    #[test]
    fn bad_names_and_long_paths_are_refused() {
        for name in ["", "../up", "A", "-x", "a b", "x".repeat(33).as_str()] {
            let wishes = Wishes { instance: Some(name.into()), ..Wishes::default() };
            let error = resolve(wishes, &[("HOME", "/h")]).unwrap_err();
            assert_eq!(error, PlacesError::BadInstance(name.into()));
        }
        let wishes = Wishes { runtime_dir: Some("/x".repeat(60).into()), ..Wishes::default() };
        let error = resolve(wishes, &[("HOME", "/h")]).unwrap_err();
        assert!(error.to_string().contains("the limit is 100"), "{error}");
        assert_eq!(resolve(Wishes::default(), &[]).unwrap_err(), PlacesError::NoHome("sockets"));
    }
}
