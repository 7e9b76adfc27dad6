//! The ledger's file: read, written whole, and moved aside if it is not what it should be.
//!
//! Lies beside the locks of its (Gateway, client id), because broker and doctor must find the
//! same one. Whoever writes holds the broker's lock. The record of Gateway is [`crate::turn`]'s.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ibouncer_core::ledger::{Ledger, SCHEMA};
use serde::de::DeserializeOwned;

use crate::places::{PlaceError, write_private};

/// Largest file that is looked at; a real one has some kilobytes.
const LARGEST: u64 = 1 << 20;

/// A ledger and where it lies.
#[derive(Debug)]
pub struct LedgerFile {
    path: PathBuf,
}

/// A file that was not what it should be, and where it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedAside {
    /// Where it is now.
    pub to: PathBuf,
    /// What was wrong with it.
    pub because: String,
}

impl LedgerFile {
    /// The file at this place.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is remembered; nothing if there is no file, or none that can be trusted.
    pub fn read(&self, gateway: SocketAddr) -> (Ledger, Option<MovedAside>) {
        let gateway = gateway.to_string();
        match read(&self.path, &gateway) {
            Ok(Some(ledger)) => (ledger, None),
            Ok(None) => (Ledger::new(&gateway), None),
            Err(because) => {
                let moved = move_aside(&self.path, because);
                (Ledger::new(&gateway), Some(moved))
            }
        }
    }

    /// What is remembered, for whoever does not hold the lock and so may change nothing; or why
    /// that cannot be told.
    pub fn peek(&self, gateway: SocketAddr) -> Result<Ledger, String> {
        let gateway = gateway.to_string();
        Ok(read(&self.path, &gateway)?.unwrap_or_else(|| Ledger::new(&gateway)))
    }

    /// Writes it whole.
    pub fn write(&self, ledger: &Ledger) -> Result<(), PlaceError> {
        let text = serde_json::to_string(ledger).expect("a ledger is plain data");
        write_private(&self.path, &format!("{text}\n"))
    }
}

fn read(path: &Path, gateway: &str) -> Result<Option<Ledger>, String> {
    read_about(path, gateway, SCHEMA, |ledger: &Ledger| (ledger.schema, ledger.gateway.clone()))
}

/// Reads a file of our own that is about one Gateway, in a form that we know.
pub(crate) fn read_about<T: DeserializeOwned>(
    path: &Path,
    gateway: &str,
    schema: u32,
    head: impl Fn(&T) -> (u32, String),
) -> Result<Option<T>, String> {
    let text = match read_own(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let found: T =
        serde_json::from_str(&text).map_err(|error| format!("it cannot be understood: {error}"))?;
    let (form, about) = head(&found);
    if form != schema {
        return Err(format!("it has schema {form}, this version knows {schema}"));
    }
    if about != gateway {
        return Err(format!("it is about Gateway {about}, not {gateway}"));
    }
    Ok(Some(found))
}

/// Reads a small file of our own: a regular one, of our user, that nobody else can write.
pub fn read_own(path: &Path) -> io::Result<String> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs::symlink_metadata(path)?;
    let refuse = |why: String| Err(io::Error::other(why));
    if !metadata.is_file() {
        return refuse("it is no regular file".into());
    }
    if metadata.uid() != nix::unistd::Uid::effective().as_raw() {
        return refuse(format!("it belongs to uid {}", metadata.uid()));
    }
    if metadata.mode() & 0o022 != 0 {
        return refuse(format!("others can write it (mode {:04o})", metadata.mode() & 0o7777));
    }
    if metadata.len() > LARGEST {
        return refuse(format!("it has {} bytes, more than {LARGEST}", metadata.len()));
    }
    fs::read_to_string(path)
}

/// Moves a file out of the way, to where a person can look at it. Never fatal: what cannot be
/// moved is not trusted either.
pub fn move_aside(path: &Path, because: String) -> MovedAside {
    let to = (0..100)
        .map(|number| path.with_extension(format!("bad-{number}")))
        .find(|candidate| fs::symlink_metadata(candidate).is_err())
        .unwrap_or_else(|| path.with_extension("bad"));
    let because = match fs::rename(path, &to) {
        Ok(()) => because,
        Err(error) => format!("{because}; and it could not be moved: {error}"),
    };
    tracing::error!(
        path = %path.display(), moved_to = %to.display(), because,
        "a file of ours cannot be trusted; it was moved aside and is not used"
    );
    MovedAside { to, because }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_is_read_back_and_a_bad_one_is_moved_aside() {
        let folder = tempfile::tempdir().unwrap();
        let gateway: SocketAddr = "127.0.0.1:4002".parse().unwrap();
        let file = LedgerFile::at(folder.path().join("one.attempts.json"));
        let (mut ledger, moved) = file.read(gateway);
        assert_eq!(moved, None);
        ledger.record.begin("broker", 7, std::time::Duration::ZERO);
        file.write(&ledger).unwrap();
        assert_eq!(file.read(gateway), (ledger.clone(), None));

        let other: SocketAddr = "127.0.0.1:4001".parse().unwrap();
        let (fresh, moved) = file.read(other);
        assert_eq!(fresh, Ledger::new("127.0.0.1:4001"));
        assert!(moved.unwrap().because.contains("about Gateway 127.0.0.1:4002"));

        for text in ["", "{", "{\"schema\":9}", "[]"] {
            std::fs::write(file.path(), text).unwrap();
            assert!(file.peek(gateway).is_err());
            assert!(file.path().exists(), "a peek changes nothing");
            let (fresh, moved) = file.read(gateway);
            assert_eq!(fresh, Ledger::new("127.0.0.1:4002"));
            assert!(moved.unwrap().to.exists(), "{text}");
            assert!(!file.path().exists());
        }
    }
}
