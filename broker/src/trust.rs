//! Whose worker is it? What must agree before a process is taken for a worker of ours.
//!
//! A worker that outlived its broker comes to the link by itself. It is ours if the kernel says
//! that it runs as our user, holds the worker's lock of this (Gateway, client id), and is still
//! the process that it says it is, which is looked at again once we hold a handle on it: start and
//! lock. The worker file of the broker before must agree where there is one; a file that is lost
//! or broken is moved aside, and the kernel's word on who holds the lock counts alone. Without
//! either nothing is taken over, and the worker is left alone until its grace ends.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ledger::{MovedAside, move_aside, read_own};
use crate::places::{PlaceError, is_locked, write_private};

/// What a broker writes about its newest worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerFile {
    /// Form of the file.
    pub schema: u32,
    /// Process id.
    pub pid: u32,
    /// Its start, in clock ticks since boot.
    pub started: u64,
    /// Tells one boot from the next.
    pub boot: String,
    /// Its number.
    pub epoch: u64,
    /// Version and build.
    pub build: String,
    /// Where it looks for a broker.
    pub link: PathBuf,
}

const SCHEMA: u32 = 1;

/// Why a process is not taken for a worker of ours.
#[derive(Debug, Error)]
pub enum Distrust {
    /// It runs as somebody else.
    #[error("it runs as uid {0}, not as ours")]
    OtherUser(u32),
    /// It is gone, or was replaced while we looked.
    #[error("process {0} is gone, or another one has its pid by now")]
    Gone(u32),
    /// Nobody holds the lock.
    #[error("nobody holds the worker's lock")]
    NoLock,
    /// Another process holds the lock.
    #[error("process {0} holds the worker's lock, not process {1}")]
    OtherHolder(u32, u32),
    /// The file speaks of another process.
    #[error(
        "the worker file names worker {} (pid {}), not worker {epoch} (pid {pid}), and this \
         system does not say who holds the lock", file.epoch, file.pid
    )]
    OtherFile {
        /// What the file says.
        file: Box<WorkerFile>,
        /// What came.
        pid: u32,
        /// What it says of itself.
        epoch: u64,
    },
    /// There is nothing to check it by.
    #[error("there is no worker file, and this system does not say who holds the lock")]
    NoWitness,
    /// The kernel gives no handle on it.
    #[error("no handle on process {0}")]
    NoHandle(u32, #[source] io::Error),
}

impl WorkerFile {
    /// Of a worker that was just started.
    pub fn of(pid: u32, epoch: u64, link: &Path) -> io::Result<Self> {
        Ok(Self {
            schema: SCHEMA,
            pid,
            started: start_of(pid).ok_or(io::ErrorKind::NotFound)?,
            boot: boot_id(),
            epoch,
            build: concat!("ibouncer ", env!("CARGO_PKG_VERSION")).into(),
            link: link.to_owned(),
        })
    }

    /// Writes it whole.
    pub fn write(&self, path: &Path) -> Result<(), PlaceError> {
        let text = serde_json::to_string(self).expect("a worker file is plain data");
        write_private(path, &format!("{text}\n"))
    }

    /// What the broker before wrote; nothing if there is no file, or none that can be trusted.
    pub fn read(path: &Path) -> (Option<Self>, Option<MovedAside>) {
        let text = match read_own(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (None, None),
            Err(error) => return (None, Some(move_aside(path, error.to_string()))),
        };
        let understood = serde_json::from_str::<Self>(&text)
            .map_err(|error| format!("it cannot be understood: {error}"))
            .and_then(|file| match file.schema {
                SCHEMA => Ok(file),
                other => Err(format!("it has schema {other}, this version knows {SCHEMA}")),
            });
        match understood {
            Ok(file) => (Some(file), None),
            Err(because) => (None, Some(move_aside(path, because))),
        }
    }
}

/// Checks a process that came to the link, and answers with a handle on it.
pub fn check(
    pid: u32,
    uid: u32,
    epoch: u64,
    file: Option<&WorkerFile>,
    lock: &Path,
) -> Result<OwnedFd, Distrust> {
    if uid != Uid::effective().as_raw() {
        return Err(Distrust::OtherUser(uid));
    }
    let started = start_of(pid).ok_or(Distrust::Gone(pid))?;
    let named = holds(lock, pid)?;
    match file {
        Some(file) => {
            let same = (file.pid, file.started, file.epoch) == (pid, started, epoch);
            if !same || file.boot != boot_id() {
                return Err(Distrust::OtherFile { file: Box::new(file.clone()), pid, epoch });
            }
        }
        None if named => {}
        None => return Err(Distrust::NoWitness),
    }
    let handle = rustix::process::Pid::from_raw(pid.cast_signed())
        .ok_or(Distrust::Gone(pid))
        .and_then(|raw| {
            rustix::process::pidfd_open(raw, rustix::process::PidfdFlags::NONBLOCK)
                .map_err(|error| Distrust::NoHandle(pid, error.into()))
        })?;
    // The handle is on whoever had the pid when it was opened: is that still the same one?
    if start_of(pid) != Some(started) {
        return Err(Distrust::Gone(pid));
    }
    holds(lock, pid)?;
    Ok(handle)
}

/// The lock is held, and not by somebody else; true if the kernel names this process.
fn holds(lock: &Path, pid: u32) -> Result<bool, Distrust> {
    if !is_locked(lock).unwrap_or(true) {
        return Err(Distrust::NoLock);
    }
    match holder_of(lock) {
        Some(holder) if holder != pid => Err(Distrust::OtherHolder(holder, pid)),
        Some(_) => Ok(true),
        None => Ok(false),
    }
}

/// Start of a process, in clock ticks since boot. None also for one that only waits to be
/// waited for.
pub fn start_of(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, even parentheses.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    (!matches!(state, "Z" | "X")).then_some(())?;
    fields.nth(18)?.parse().ok()
}

fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

/// Who holds the lock, by the kernel's table; `None` if it does not say.
pub fn holder_of(lock: &Path) -> Option<u32> {
    let metadata = fs::metadata(lock).ok()?;
    let table = fs::read_to_string("/proc/locks").ok()?;
    let (major, minor) =
        (nix::sys::stat::major(metadata.dev()), nix::sys::stat::minor(metadata.dev()));
    holder_in(&table, (major, minor), metadata.ino())
}

/// `1: FLOCK  ADVISORY  WRITE 5262 fe:00:10010773 0 EOF`; a waiting one begins with `1: ->`.
fn holder_in(table: &str, device: (u64, u64), inode: u64) -> Option<u32> {
    let wanted = format!("{:02x}:{:02x}:{inode}", device.0, device.1);
    table.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, file, ..] = fields[..] else {
            return None;
        };
        // A holder of another pid namespace has no number here.
        (file == wanted).then(|| pid.parse().ok()).flatten().filter(|pid| *pid > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_names_the_holder_and_not_who_waits() {
        let table = "1: -> FLOCK  ADVISORY  WRITE 9 fe:00:7 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 8 fe:00:7 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 5262 fe:00:7 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 0 fe:00:8 0 EOF\n";
        assert_eq!(holder_in(table, (0xfe, 0), 7), Some(5262));
        assert_eq!(holder_in(table, (0xfe, 0), 8), None);
        assert_eq!(holder_in(table, (0xfe, 1), 7), None);
    }

    #[test]
    fn a_process_is_trusted_only_if_everything_agrees() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("worker.lock");
        let me = std::process::id();
        let uid = Uid::effective().as_raw();
        let file = WorkerFile::of(me, 7, folder.path()).unwrap();
        let held = fs::File::create(&lock).unwrap();
        assert!(matches!(check(me, uid, 7, Some(&file), &lock), Err(Distrust::NoLock)));
        held.lock().unwrap();
        check(me, uid, 7, Some(&file), &lock).unwrap();
        check(me, uid, 7, None, &lock).unwrap();
        assert!(matches!(check(me, uid + 1, 7, None, &lock), Err(Distrust::OtherUser(_))));
        for changed in [
            WorkerFile { pid: me + 1, ..file.clone() },
            WorkerFile { started: file.started + 1, ..file.clone() },
            WorkerFile { epoch: 8, ..file.clone() },
            WorkerFile { boot: "another".into(), ..file.clone() },
        ] {
            let refused = check(me, uid, 7, Some(&changed), &lock);
            assert!(matches!(refused, Err(Distrust::OtherFile { .. })), "{changed:?}");
        }
        let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let refused = check(other.id(), uid, 7, None, &lock);
        assert!(matches!(refused, Err(Distrust::OtherHolder(holder, _)) if holder == me));
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(matches!(check(other.id(), uid, 7, None, &lock), Err(Distrust::Gone(_))));
    }

    #[test]
    fn a_worker_file_is_read_back_and_a_bad_one_is_moved_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.json");
        assert_eq!(WorkerFile::read(&path), (None, None));
        let file = WorkerFile::of(std::process::id(), 7, folder.path()).unwrap();
        file.write(&path).unwrap();
        assert_eq!(WorkerFile::read(&path), (Some(file), None));
        for text in ["", "{", "{\"schema\":1}", "null"] {
            fs::write(&path, text).unwrap();
            let (read, moved) = WorkerFile::read(&path);
            assert!(read.is_none() && moved.unwrap().to.exists(), "{text}");
        }
    }
}
