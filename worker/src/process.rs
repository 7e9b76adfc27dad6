//! What makes a child of the broker a good worker.
//!
//! Only what concerns the process itself: no socket, no link. Standard streams, the environment
//! and the arguments are the broker's doing.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::fd::RawFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, Signal};

/// Leaves the broker's session and folder, deafens itself to the terminal's signals, closes what
/// it inherited, and asks to die with its parent, until [`outlive_parent`].
pub fn settle_in() -> anyhow::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).context("ask to die with the parent")?;
    // Fails only for a process group leader, which is then separate already.
    let _ = nix::unistd::setsid();
    std::env::set_current_dir("/").context("leave the broker's folder")?;
    // Blocked, not handled: they stay pending for ever, which is to ignore them.
    let mut deaf = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGPIPE] {
        deaf.add(signal);
    }
    deaf.thread_block().context("block the terminal's signals")?;
    close_inherited();
    Ok(())
}

/// The session is live: from now on the worker is of use to the next broker as well.
pub fn outlive_parent() -> anyhow::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(None).context("clear the parent-death signal")?;
    Ok(())
}

/// Takes the lock of this (Gateway, client id). `None` if another worker holds it. The lock is
/// held as long as the file is open and never unlinked.
pub fn take_lock(path: &Path) -> anyhow::Result<Option<File>> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)
        .with_context(|| format!("open the lock {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("take the lock {}", path.display()))
        }
    }
}

/// Descriptors that the broker's own parent left open and that nobody marked to be closed.
fn close_inherited() {
    let Ok(folder) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let open: Vec<RawFd> = folder
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|descriptor| *descriptor > 2)
        .collect();
    for descriptor in open {
        // The listing's own descriptor is among them and is gone already.
        let _ = nix::unistd::close(descriptor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_and_never_through_a_symlink() {
        let folder = std::env::temp_dir().join(format!("ibouncer-lock-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("one.lock");
        let held = take_lock(&path).unwrap();
        assert!(held.is_some());
        assert!(take_lock(&path).unwrap().is_none());
        drop(held);
        assert!(take_lock(&path).unwrap().is_some());
        let link = folder.join("link.lock");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(take_lock(&link).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
