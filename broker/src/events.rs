//! What operators want to know afterwards: the newest events in memory, all of some weeks on disk.
//!
//! One JSON object a line, in a file of ours that is renamed once when it has grown long. Numbers
//! count up over restarts. A file that cannot be read or written ends nothing.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ibouncer_core::ids::Epoch;
use ibouncer_core::notes::{Note, NoteKind, Severity};
use ibouncer_proto::api::v1::Event;
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::ledger::{move_aside, read_own};

/// Events that can be asked for.
const KEPT: usize = 1000;

/// Bytes after which the file is renamed and a new one begun.
const LONG: u64 = 512 * 1024;

/// The events.
#[derive(Debug)]
pub struct Events {
    path: PathBuf,
    file: Option<File>,
    written: u64,
    kept: VecDeque<Line>,
    newest: watch::Sender<u64>,
    failed: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    number: u64,
    at_ms: u64,
    kind: String,
    severity: String,
    text: String,
    epoch: u64,
}

impl Events {
    /// At this place, with what stands there.
    pub fn at(path: PathBuf) -> Self {
        let mut kept: VecDeque<Line> = read(&path).into();
        if kept.len() > KEPT {
            kept.drain(..kept.len() - KEPT);
        }
        let newest = kept.back().map_or(0, |line| line.number);
        let written = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        let (newest, _) = watch::channel(newest);
        let mut events = Self { path, file: None, written, kept, newest, failed: false };
        if let Err(error) = events.open() {
            events.fail(&error);
        }
        events
    }

    /// Tells when there is a newer one.
    pub fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Adds one.
    pub fn add(&mut self, note: Note) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = Line {
            number: *self.newest.borrow() + 1,
            at_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            kind: note.kind.name().into(),
            severity: note.severity.name().into(),
            text: note.text,
            epoch: note.epoch.0,
        };
        if let Err(error) = self.write(&line) {
            self.fail(&error);
        }
        let number = line.number;
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(line);
        self.newest.send_replace(number);
    }

    /// Adds one that is no hub's.
    pub fn say(&mut self, kind: NoteKind, severity: Severity, text: String, epoch: Epoch) {
        self.add(Note { kind, severity, text, epoch });
    }

    /// Those behind a number, oldest first.
    pub fn after(&self, number: u64) -> Vec<Event> {
        self.kept.iter().filter(|line| line.number > number).map(view).collect()
    }

    fn open(&mut self) -> io::Result<()> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&self.path)?;
        self.file = Some(file);
        Ok(())
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        if self.written > LONG {
            std::fs::rename(&self.path, self.path.with_extension("jsonl.1"))?;
            self.written = 0;
            self.open()?;
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let text = format!("{}\n", serde_json::to_string(line).expect("an event is plain data"));
        self.written += text.len() as u64;
        file.write_all(text.as_bytes())
    }

    fn fail(&mut self, error: &io::Error) {
        self.file = None;
        if !std::mem::replace(&mut self.failed, true) {
            tracing::error!(
                path = %self.path.display(), %error,
                "events cannot be written down; they are kept in memory only"
            );
        }
    }
}

fn view(line: &Line) -> Event {
    let at = UNIX_EPOCH + Duration::from_millis(line.at_ms.min(u64::from(u32::MAX) * 100_000));
    Event {
        number: line.number,
        at: Some(at.into()),
        kind: line.kind.clone(),
        severity: line.severity.clone(),
        text: line.text.clone(),
        epoch: line.epoch,
    }
}

/// The lines that make sense; of a file that makes none, nothing.
fn read(path: &Path) -> Vec<Line> {
    let text = match read_own(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            move_aside(path, error.to_string());
            return Vec::new();
        }
    };
    let all = text.lines().count();
    let lines: Vec<Line> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    // The last line of a process that died can be half a line.
    if all - lines.len() > 1 {
        move_aside(path, format!("{} of {all} lines make no sense", all - lines.len()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(events: &mut Events, text: &str) {
        events.say(NoteKind::Broker, Severity::Info, text.into(), Epoch(3));
    }

    #[test]
    fn numbers_count_up_over_restarts_and_the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut events = Events::at(path.clone());
        add(&mut events, "one");
        add(&mut events, "two");
        let mut again = Events::at(path.clone());
        add(&mut again, "three");
        let texts: Vec<_> = again.after(1).into_iter().map(|event| event.text).collect();
        assert_eq!(texts, ["two", "three"]);
        assert_eq!(*again.newest().borrow(), 3);
        for _ in 0..6000 {
            add(&mut again, "a sentence of some length, so that the file grows long enough");
        }
        assert_eq!(again.after(0).len(), KEPT);
        assert!(path.with_extension("jsonl.1").exists());
        assert!(std::fs::metadata(&path).unwrap().len() < LONG + 1000);
    }

    #[test]
    fn half_a_line_is_left_out_and_nonsense_is_moved_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        add(&mut Events::at(path.clone()), "one");
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"number\":").unwrap();
        assert_eq!(Events::at(path.clone()).after(0).len(), 1);
        std::fs::write(&path, "no\nsense\n").unwrap();
        assert!(Events::at(path.clone()).after(0).is_empty());
        assert!(path.with_extension("bad-0").exists());
    }
}
