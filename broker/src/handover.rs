//! Another build of the broker takes over, with the same worker and the same socket.
//!
//! First the new binary proves that it can: started with our own arguments and `--prove`, it reads
//! the configuration and what is kept, and says which worker's link it understands. Only then the
//! old one lets the worker go and becomes the new one by `execve`, so that the pid stays and no
//! supervisor notices. A proof that fails changes nothing.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ibouncer_proto::link::{LINK_VERSION, OLDEST_LINK_VERSION};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Reading a configuration takes milliseconds; a binary that needs longer is none of ours.
const PROOF_DEADLINE: Duration = Duration::from_secs(10);

/// What a binary says of itself with `serve --prove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Version and build.
    pub build: String,
    /// Oldest link version that it understands.
    pub oldest_link: u32,
    /// Newest one.
    pub newest_link: u32,
    /// Schema of the ledger.
    pub ledger_schema: u32,
    /// Gateway's resolved address, by its reading of the configuration.
    pub gateway: String,
    /// The client id.
    pub client_id: i32,
}

impl Proof {
    /// What this build says.
    pub fn of_this_build(gateway: String, client_id: i32) -> Self {
        Self {
            build: concat!("ibouncer ", env!("CARGO_PKG_VERSION")).into(),
            oldest_link: OLDEST_LINK_VERSION,
            newest_link: LINK_VERSION,
            ledger_schema: ibouncer_core::ledger::SCHEMA,
            gateway,
            client_id,
        }
    }
}

/// Why a binary cannot take over.
#[derive(Debug, Error)]
pub enum Unproven {
    /// It cannot be started.
    #[error("{} cannot be started", .0.display())]
    Start(PathBuf, #[source] std::io::Error),
    /// It did not answer.
    #[error("{} said nothing within {} s", .0.display(), PROOF_DEADLINE.as_secs())]
    Late(PathBuf),
    /// It refused, or failed.
    #[error("{} cannot take over: {because}", binary.display())]
    Refused {
        /// The binary.
        binary: PathBuf,
        /// What it says.
        because: String,
    },
    /// It would serve something else.
    #[error(
        "{} would serve Gateway {theirs}, this broker serves {ours}: the configuration was \
         changed; end this broker in order instead", binary.display()
    )]
    OtherGateway {
        /// The binary.
        binary: PathBuf,
        /// What it says.
        theirs: String,
        /// What we serve.
        ours: String,
    },
    /// It does not understand our worker.
    #[error("{} understands link versions {from} to {to}, the worker speaks {LINK_VERSION}", binary.display())]
    OtherLink {
        /// The binary.
        binary: PathBuf,
        /// Oldest that it understands.
        from: u32,
        /// Newest.
        to: u32,
    },
}

/// Lets a binary prove that it can take over. Blocks, for at most some seconds.
pub fn prove(binary: &Path, ours: &Proof) -> Result<Proof, Unproven> {
    let mut child = Command::new(binary)
        .args(own_arguments())
        .arg("--prove")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Unproven::Start(binary.to_owned(), error))?;
    let begun = std::time::Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begun.elapsed() < PROOF_DEADLINE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(None) => {
                // Our own child, that has not been waited for.
                let _ = child.kill();
                let _ = child.wait();
                return Err(Unproven::Late(binary.to_owned()));
            }
            Err(error) => return Err(Unproven::Start(binary.to_owned(), error)),
        }
    };
    let output =
        child.wait_with_output().map_err(|error| Unproven::Start(binary.to_owned(), error))?;
    if !status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said: String = said.trim().chars().take(500).collect();
        return Err(Unproven::Refused { binary: binary.to_owned(), because: said });
    }
    let proof: Proof = serde_json::from_slice(&output.stdout).map_err(|error| {
        Unproven::Refused { binary: binary.to_owned(), because: format!("no proof: {error}") }
    })?;
    compare(binary, ours, proof)
}

fn compare(binary: &Path, ours: &Proof, theirs: Proof) -> Result<Proof, Unproven> {
    let binary = binary.to_owned();
    if (&theirs.gateway, theirs.client_id) != (&ours.gateway, ours.client_id) {
        let name = |one: &Proof| format!("{} with client id {}", one.gateway, one.client_id);
        return Err(Unproven::OtherGateway { binary, theirs: name(&theirs), ours: name(ours) });
    }
    if !(theirs.oldest_link..=theirs.newest_link).contains(&LINK_VERSION) {
        let (from, to) = (theirs.oldest_link, theirs.newest_link);
        return Err(Unproven::OtherLink { binary, from, to });
    }
    if theirs.ledger_schema != ours.ledger_schema {
        let because = format!("it keeps attempts in schema {}", theirs.ledger_schema);
        return Err(Unproven::Refused { binary, because });
    }
    Ok(theirs)
}

/// Becomes another binary, with our arguments and our pid. Returns only if that fails.
pub fn become_binary(binary: &Path) -> std::io::Error {
    Command::new(binary).args(own_arguments()).exec()
}

/// Our binary as it is on disk by now: an upgrade puts another file at the same path.
pub fn own_path() -> std::io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    let text = path.to_string_lossy();
    Ok(text.strip_suffix(" (deleted)").map_or(path.clone(), PathBuf::from))
}

fn own_arguments() -> impl Iterator<Item = OsString> {
    std::env::args_os().skip(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof() -> Proof {
        Proof::of_this_build("127.0.0.1:4002".into(), 410)
    }

    #[test]
    fn another_gateway_or_another_link_is_refused() {
        let binary = Path::new("/new/ibouncer");
        assert_eq!(compare(binary, &proof(), proof()).unwrap(), proof());
        let other = Proof { client_id: 411, ..proof() };
        let refused = compare(binary, &proof(), other).unwrap_err().to_string();
        assert!(refused.contains("client id 411"), "{refused}");
        let other = Proof { oldest_link: 9, newest_link: 10, ..proof() };
        let refused = compare(binary, &proof(), other).unwrap_err().to_string();
        assert!(refused.contains("link versions 9 to 10"), "{refused}");
        let other = Proof { ledger_schema: 9, ..proof() };
        assert!(compare(binary, &proof(), other).is_err());
    }

    #[test]
    fn what_is_no_broker_proves_nothing() {
        for binary in ["/bin/false", "/bin/true", "/no/such/binary"] {
            assert!(prove(Path::new(binary), &proof()).is_err(), "{binary}");
        }
    }
}
