//! What happened to the listener between two looks, in words.
//!
//! A look that could not see the listener changes nothing: the next one is compared with the
//! one before.

use std::time::{Duration, SystemTime};

use ibouncer_core::sight::{Listener, Process, Vantage};

/// Changes that are kept for whoever asks; more come only if nobody does.
const KEPT: usize = 64;

/// The listener as it was seen last, and what happened since somebody asked.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    seen: Option<Option<Listener>>,
    /// Were these tables those of Gateway's own host when something listened?
    local: bool,
    told: Vec<String>,
}

impl Changes {
    /// The listener as it was seen last.
    pub(crate) fn newest(&self) -> Option<&Listener> {
        self.seen.as_ref()?.as_ref()
    }

    /// Takes note of a look that saw whether something listens. `ended` says whether the process
    /// of the listener before is known to be gone.
    pub(crate) fn take_note(&mut self, listener: Option<&Listener>, vantage: Vantage, ended: bool) {
        if let Some(before) = &self.seen {
            let who = if self.local { "Gateway" } else { "the listener" };
            let told = compare(before.as_ref(), listener, who, ended);
            self.told.extend(told);
            let surplus = self.told.len().saturating_sub(KEPT);
            self.told.drain(..surplus);
        }
        if listener.is_some() {
            self.local = vantage == Vantage::Local;
        }
        self.seen = Some(listener.cloned());
    }

    /// What happened since the last call.
    pub(crate) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }
}

fn compare(
    before: Option<&Listener>,
    after: Option<&Listener>,
    who: &str,
    ended: bool,
) -> Vec<String> {
    let process = |listener: Option<&Listener>| -> Option<Process> {
        listener.and_then(|one| one.process.as_ref().ok()).cloned()
    };
    let (old, new) = (process(before), process(after));
    let mut told = Vec::new();
    let same = match (&old, &new) {
        (Some(old), Some(new)) => (old.pid, old.started) == (new.pid, new.started),
        (Some(_), None) | (None, Some(_)) | (None, None) => false,
    };
    if let (Some(old), true) = (&old, ended && !same) {
        told.push(format!("{who}'s process ended (pid {})", old.pid));
    }
    match (before, after) {
        (None, None) => {}
        (None, Some(after)) => told.push(format!("{} listens", named(after))),
        (Some(before), None) if !ended => {
            told.push(format!("nothing listens on {} any more; {}", before.address, idle(&old)));
        }
        (Some(before), None) => {
            told.push(format!("nothing listens on {} any more", before.address));
        }
        (Some(before), Some(after)) if before.inode != after.inode => told.push(match same {
            true => format!("{who} closed its port and listens again: {}", named(after)),
            false => format!("another process listens: {}", named(after)),
        }),
        (Some(_), Some(after)) => match (&old, &new) {
            (Some(old), Some(new)) if same => match (&old.executable, &new.executable) {
                (Ok(old), Ok(new)) if old != new => {
                    told.push(format!("{who} runs another file: {new}, before {old}"));
                }
                _ => {}
            },
            (Some(_), Some(_)) => {
                told.push(format!("another process holds the listener: {}", named(after)));
            }
            _ => {}
        },
    }
    told
}

fn idle(process: &Option<Process>) -> String {
    match process {
        Some(process) => format!("{} (pid {}) still runs", process.command, process.pid),
        None => "whose it was is not known".to_owned(),
    }
}

/// "java … (pid 7), started 2026-03-01T14:02:07Z".
fn named(listener: &Listener) -> String {
    match &listener.process {
        Ok(process) => {
            let started = SystemTime::UNIX_EPOCH + Duration::from_secs(process.started_unix);
            let started = humantime::format_rfc3339_seconds(started);
            format!("{} (pid {}), started {started},", process.command, process.pid)
        }
        Err(unknown) => format!("an unknown process ({unknown})"),
    }
}

#[cfg(test)]
mod tests {
    use ibouncer_core::sight::Unknown;

    use super::*;

    fn listener(inode: u64, pid: u32, executable: &str) -> Listener {
        let unknown = || Unknown("not told".into());
        Listener {
            address: "127.0.0.1:4002".parse().unwrap(),
            inode,
            accept_queue: 0,
            backlog: Err(unknown()),
            process: Ok(Process {
                pid,
                started: 100,
                started_unix: 1_772_373_727,
                command: "java Main".into(),
                executable: Ok(executable.into()),
                figures: Err(unknown()),
            }),
        }
    }

    #[test]
    fn changes_of_the_listener_are_told_once() {
        let (one, two) = (listener(1, 7, "/a/java"), listener(2, 8, "/a/java"));
        let again = listener(3, 8, "/a/java");
        let replaced = listener(3, 8, "/b/java");
        let mut changes = Changes::default();
        for (seen, ended, expected) in [
            (Some(&one), false, vec![]),
            (Some(&one), false, vec![]),
            (
                None,
                true,
                vec!["Gateway's process ended (pid 7)", "nothing listens on 127.0.0.1:4002"],
            ),
            (None, false, vec![]),
            (Some(&two), false, vec!["java Main (pid 8), started 2026-03-01T14:02:07Z, listens"]),
            (Some(&again), false, vec!["closed its port and listens again"]),
            (Some(&replaced), false, vec!["runs another file: /b/java, before /a/java"]),
            (None, false, vec!["any more; java Main (pid 8) still runs"]),
        ] {
            changes.take_note(seen, Vantage::Local, ended);
            let told = changes.take();
            assert_eq!(told.len(), expected.len(), "{told:?}");
            for (told, expected) in told.iter().zip(expected) {
                assert!(told.contains(expected), "{told}");
            }
        }
        assert_eq!(changes.newest(), None);
    }

    #[test]
    fn a_replaced_process_is_both_gone_and_followed() {
        let mut changes = Changes::default();
        changes.take_note(Some(&listener(1, 7, "/a")), Vantage::Local, false);
        changes.take_note(Some(&listener(2, 8, "/a")), Vantage::Local, true);
        let told = changes.take();
        assert_eq!(told[0], "Gateway's process ended (pid 7)");
        assert!(told[1].starts_with("another process listens: java Main (pid 8)"), "{told:?}");
    }

    #[test]
    fn changes_that_nobody_asks_for_do_not_pile_up() {
        let mut changes = Changes::default();
        for inode in 1..1000 {
            changes.take_note(Some(&listener(inode, 7, "/a")), Vantage::Relayed, false);
        }
        assert_eq!(changes.take().len(), KEPT);
    }
}
