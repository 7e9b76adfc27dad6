//! What a process is, by its own files below `/proc`, and its figures.
//!
//! A pid is used again sooner or later; together with its start it is not, until the next boot.

use std::fs::File;
use std::io::Read as _;
use std::time::{Duration, Instant};

use ibouncer_core::sight::{Figures, Owner, Process, Seen, Unknown};
use procfs::ProcError;
use procfs::process::{Process as ProcFiles, Stat};

use crate::command;

/// Between two samples of figures.
const SAMPLE: Duration = Duration::from_secs(5);

/// Read of a command line; far more than is shown.
const LONGEST: u64 = 16 << 10;

/// When the process that has this pid now was started, in ticks since boot; `None` if none has
/// it, or only one that waits to be waited for.
pub(super) fn start_of(pid: u32) -> Seen<Option<u64>> {
    match files(pid).and_then(|files| files.stat()) {
        Ok(stat) if matches!(stat.state, 'Z' | 'X') => Ok(None),
        Ok(stat) => Ok(Some(stat.starttime)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(unknown(pid, &error)),
    }
}

/// The process that has this pid now, and its parent's pid.
pub(super) fn identify(pid: u32) -> Seen<(Owner, u32)> {
    let stat = files(pid).and_then(|files| files.stat()).map_err(|error| unknown(pid, &error))?;
    // Not a reason to know nothing: the name is in the other file.
    let line = command_line(pid).unwrap_or_default();
    let text = String::from_utf8_lossy(&line);
    let owner = Owner {
        pid,
        started: stat.starttime,
        started_unix: started_unix(&stat),
        command: command::shown(text.split('\0'), &stat.comm),
    };
    Ok((owner, u32::try_from(stat.ppid).unwrap_or_default()))
}

fn files(pid: u32) -> Result<ProcFiles, ProcError> {
    let pid = i32::try_from(pid).map_err(|_| ProcError::NotFound(None))?;
    ProcFiles::new(pid)
}

fn command_line(pid: u32) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    File::open(format!("/proc/{pid}/cmdline"))?.take(LONGEST).read_to_end(&mut line)?;
    Ok(line)
}

fn started_unix(stat: &Stat) -> u64 {
    let boot = procfs::boot_time_secs().unwrap_or_default();
    boot.saturating_add(stat.starttime / procfs::ticks_per_second().max(1))
}

/// The process ended while it was looked at.
fn is_gone(error: &ProcError) -> bool {
    // ESRCH: its files are open, and it is gone.
    const GONE: i32 = 3;
    match error {
        ProcError::NotFound(_) => true,
        ProcError::Io(error, _) => error.raw_os_error() == Some(GONE),
        _ => false,
    }
}

pub(super) fn unknown(pid: u32, error: &ProcError) -> Unknown {
    Unknown(match error {
        ProcError::PermissionDenied(_) => format!("process {pid} belongs to another user"),
        error if is_gone(error) => format!("process {pid} ended while it was looked at"),
        error => format!("read about process {pid}: {error}"),
    })
}

/// The newest sample of the one process that is watched.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    newest: Option<Sample>,
}

#[derive(Debug)]
struct Sample {
    at: Instant,
    process: Process,
}

impl Sampler {
    /// The process of an owner; read anew if the newest sample is old, or of another process.
    pub(super) fn process(&mut self, owner: &Owner, now: Instant) -> Seen<Process> {
        let same = |process: &Process| (process.pid, process.started) == (owner.pid, owner.started);
        let before = self.newest.take().filter(|sample| same(&sample.process));
        if let Some(sample) = before {
            if now.saturating_duration_since(sample.at) < SAMPLE {
                return Ok(self.newest.insert(sample).process.clone());
            }
            let process = read(owner, Some(&sample), now)?;
            return Ok(self.newest.insert(Sample { at: now, process }).process.clone());
        }
        let process = read(owner, None, now)?;
        Ok(self.newest.insert(Sample { at: now, process }).process.clone())
    }
}

fn read(owner: &Owner, before: Option<&Sample>, now: Instant) -> Seen<Process> {
    let pid = owner.pid;
    let files = files(pid).map_err(|error| unknown(pid, &error))?;
    let stat = files.stat().map_err(|error| unknown(pid, &error))?;
    if stat.starttime != owner.started {
        return Err(Unknown(format!("process {pid} ended while it was looked at")));
    }
    let executable = files.exe().map_err(|error| unknown(pid, &error));
    Ok(Process {
        pid,
        started: owner.started,
        started_unix: owner.started_unix,
        command: owner.command.clone(),
        executable: executable.map(|path| path.to_string_lossy().into_owned()),
        figures: Ok(figures(&files, &stat, before, now)),
    })
}

fn figures(files: &ProcFiles, stat: &Stat, before: Option<&Sample>, now: Instant) -> Figures {
    let per_second = procfs::ticks_per_second().max(1);
    let ticks = stat.utime.saturating_add(stat.stime);
    let cpu = Duration::from_millis(ticks.saturating_mul(1000) / per_second);
    let cpu_permille = before.and_then(|sample| {
        let then = sample.process.figures.as_ref().ok()?.cpu;
        let passed = now.saturating_duration_since(sample.at).as_millis();
        let permille =
            cpu.saturating_sub(then).as_millis().checked_mul(1000)?.checked_div(passed)?;
        u32::try_from(permille).ok()
    });
    Figures {
        cpu,
        cpu_permille,
        resident: stat.rss.saturating_mul(procfs::page_size()),
        threads: u32::try_from(stat.num_threads).unwrap_or_default(),
        descriptors: files.fd_count().ok().and_then(|count| u32::try_from(count).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_is_known_with_its_figures() {
        let pid = std::process::id();
        let (owner, parent) = identify(pid).unwrap();
        assert_eq!(parent, std::os::unix::process::parent_id());
        assert!(owner.command.contains("ibouncer_eyes"), "{owner}");
        assert_eq!(start_of(pid), Ok(Some(owner.started)));
        let age = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        assert!(owner.started_unix <= age + 2 && owner.started_unix + 3_600 > age, "{owner:?}");

        let now = Instant::now();
        let mut sampler = Sampler::default();
        let first = sampler.process(&owner, now).unwrap();
        let figures = first.figures.clone().unwrap();
        assert!(figures.resident > 0 && figures.threads > 0, "{figures:?}");
        assert!(figures.descriptors.unwrap() > 2, "{figures:?}");
        assert_eq!(figures.cpu_permille, None);
        assert_eq!(sampler.process(&owner, now + SAMPLE / 2), Ok(first.clone()));
        let later = sampler.process(&owner, now + SAMPLE).unwrap().figures.unwrap();
        assert!(later.cpu_permille.is_some());

        let other = Owner { started: owner.started + 1, ..owner };
        assert!(sampler.process(&other, now).unwrap_err().0.contains("ended"));
    }

    #[test]
    fn a_process_that_is_gone_is_not_unknown() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert_eq!(start_of(pid), Ok(None));
        assert!(identify(pid).is_err());
    }
}
