//! A lock on a file, which the kernel takes from a process that dies. The file is never unlinked.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::OFlag;

use super::{PlaceError, io};

/// A lock that is held as long as this lives.
///
/// It is given back in so many words: a child that another thread has forked and that has not yet
/// begun its program has a copy of the descriptor, which would hold the lock on.
#[derive(Debug)]
pub struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Else the kernel does so when the last copy of the descriptor is closed.
        let _ = self.0.unlock();
    }
}

/// The lock, or what its holder wrote into it.
pub(super) fn take_lock(path: &Path, who: &str) -> Result<Result<Lock, String>, PlaceError> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path);
    let mut file = io(opened, "open lock", path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let read = (&mut file).take(4096).read_to_string(&mut holder);
            let unknown = read.is_err() || holder.trim().is_empty();
            let silent = "it did not say who it is";
            return Ok(Err(if unknown { silent.into() } else { holder.trim().into() }));
        }
        Err(TryLockError::Error(error)) => return io(Err(error), "take lock", path),
    }
    // On a full disk it holds all the same; only who holds it is not told.
    if let Err(error) = file.set_len(0).and_then(|()| file.write_all(who.as_bytes())) {
        tracing::warn!(path = %path.display(), %error, "a lock does not say who holds it");
    }
    Ok(Ok(Lock(file)))
}

/// Does anybody hold this lock? It is not created by looking.
pub fn is_locked(path: &Path) -> Result<bool, Error> {
    let opened = OpenOptions::new().read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    // A shared lock, given back at once: a worker that starts meanwhile would be refused by an
    // exclusive one, and none starts while we look.
    match file.try_lock_shared() {
        Ok(()) => {
            drop(Lock(file));
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_descriptor_does_not_hold_it_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = take_lock(&path, "pid 77").unwrap().unwrap();
        // As a child has it until it begins its program.
        let copy = held.0.try_clone().unwrap();
        assert_eq!(take_lock(&path, "me").unwrap().unwrap_err(), "pid 77");
        assert!(is_locked(&path).unwrap());
        drop(held);
        assert!(!is_locked(&path).unwrap());
        take_lock(&path, "me").unwrap().unwrap();
        drop(copy);
    }
}
