//! The audit log: who asked for what about orders, and what came of it. One JSON object a line,
//! appended, for ever: it is never rotated or shortened by the broker. Whoever keeps archives moves
//! it away; the next line begins a new file, and that is said.
//!
//! Names no account and no order's content, only the hash of what was asked. What cannot be
//! written waits in memory, in order, and is tried again; the hub is told when that begins and
//! when it ends.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use ibouncer_core::orders::journal::Audit;
use nix::fcntl::OFlag;

/// After a failure it is tried again after this time.
const AGAIN: Duration = Duration::from_secs(1);

/// Lines that wait for a disk; what is beyond is counted in a line behind them. Orders do not
/// leave meanwhile, so these are refusals.
const WAITING: usize = 10_000;

/// The file. Made by [`Self::begin`], or with the first entry.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    file: Option<File>,
    waiting: VecDeque<String>,
    /// Some of them have not been tried.
    new: bool,
    /// Entries that were too many to wait.
    lost: u64,
    /// When it failed last; none while it works.
    failed: Option<Instant>,
}

/// What the hub is to be told: why it cannot be written, or that it can again.
pub type AuditNews = Option<Option<String>>;

impl AuditLog {
    /// At this place.
    pub fn at(path: PathBuf) -> Self {
        Self { path, file: None, waiting: VecDeque::new(), new: false, lost: 0, failed: None }
    }

    /// Makes or opens the file, before anybody relies on it.
    pub fn begin(&mut self, now: Instant) -> AuditNews {
        self.try_to_write(now)
    }

    /// Adds an entry, as of this moment; [`Self::write`] takes it to the file.
    pub fn add(&mut self, audit: &Audit, wall: SystemTime) {
        self.new = true;
        if self.waiting.len() == WAITING {
            self.lost += 1;
        } else {
            self.waiting.push_back(line(audit, wall));
        }
    }

    /// Are there entries since the last [`Self::write`]?
    pub fn has_new(&self) -> bool {
        self.new
    }

    /// Writes what waits, all at once; what could not be written is tried again once a second.
    pub fn write(&mut self, now: Instant) -> AuditNews {
        self.new = false;
        let waits = self.failed.is_some_and(|at| now.duration_since(at) < AGAIN);
        if waits || (self.waiting.is_empty() && self.failed.is_none()) {
            return None;
        }
        self.try_to_write(now)
    }

    /// The last attempt, without a wait. What the file still does not take goes to the log, whole:
    /// it names no account and nothing of an order but the hash.
    pub fn finish(&mut self, now: Instant) {
        if self.waiting.is_empty() && self.lost == 0 {
            return;
        }
        self.try_to_write(now);
        for line in self.waiting.drain(..) {
            tracing::error!(line = line.trim_end(), "the audit log did not take this line");
        }
        if self.lost > 0 {
            tracing::error!(lost = self.lost, "so many more were too many to wait");
        }
    }

    fn try_to_write(&mut self, now: Instant) -> AuditNews {
        match self.append_all() {
            Ok(()) => self.failed.take().map(|_| {
                tracing::info!("the audit log can be written again");
                None
            }),
            Err(error) => {
                self.file = None;
                if self.failed.replace(now).is_some() {
                    return None;
                }
                tracing::error!(
                    path = %self.path.display(), %error,
                    "the audit log cannot be written: no order leaves until it can"
                );
                Some(Some(format!("write {}: {error}", self.path.display())))
            }
        }
    }

    fn append_all(&mut self) -> io::Result<()> {
        if self.file.as_ref().is_some_and(|file| !is_at(file, &self.path)) {
            self.file = None;
            tracing::warn!(
                path = %self.path.display(),
                "the audit log was moved away or removed: a new one is begun"
            );
        }
        if self.file.is_none() {
            self.file = Some(open(&self.path)?);
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let mut text: String = self.waiting.iter().map(String::as_str).collect();
        if self.lost > 0 {
            text += &format!("{{\"lost\":{}}}\n", self.lost);
        }
        append(file, text.as_bytes())?;
        self.waiting.clear();
        self.lost = 0;
        Ok(())
    }
}

/// Is this still the file of that name? What is written to one without a name is lost.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(there)) = (file.metadata(), std::fs::symlink_metadata(path)) else {
        return false;
    };
    (open.dev(), open.ino()) == (there.dev(), there.ino())
}

/// The whole text, or none of it: half a line would make two entries unreadable.
fn append(file: &mut File, text: &[u8]) -> io::Result<()> {
    let before = file.metadata()?.len();
    let written = file.write_all(text);
    if written.is_err() {
        // What cannot even be cut stays half; a reader skips it.
        let _ = file.set_len(before);
    }
    written
}

fn open(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)?;
    let metadata = file.metadata()?;
    let own = metadata.uid() == nix::unistd::Uid::effective().as_raw();
    if !metadata.is_file() || !own || metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o7777;
        return Err(io::Error::other(format!("it is not ours alone (mode {mode:04o})")));
    }
    if metadata.len() > 0 && last_byte(&file, metadata.len())? != b'\n' {
        // Of a machine that went down: half a line stays alone, and spoils no other.
        file.write_all(b"\n")?;
    }
    Ok(file)
}

fn last_byte(file: &File, len: u64) -> io::Result<u8> {
    let mut last = [0];
    file.read_exact_at(&mut last, len - 1)?;
    Ok(last[0])
}

fn line(audit: &Audit, wall: SystemTime) -> String {
    let object = serde_json::json!({
        "at": humantime::format_rfc3339_millis(wall).to_string(),
        "client": audit.client,
        "principal": audit.principal,
        "credential": audit.credential,
        "what": audit.what,
        "result": audit.result,
        "reason": audit.reason,
        "owner": audit.owner,
        "client_order_id": audit.client_order_id,
        "order_id": audit.order_id,
        "perm_id": audit.perm_id,
        "body_sha256": audit.body_sha256,
    });
    format!("{object}\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn audit(reason: &str) -> Audit {
        Audit {
            client: "momentum-1".into(),
            what: "PlaceOrder",
            result: "done",
            reason: reason.into(),
            order_id: 5,
            ..Audit::default()
        }
    }

    fn written(log: &mut AuditLog, reason: &str, now: Instant) -> AuditNews {
        let wall = humantime::parse_rfc3339("2026-03-01T12:00:00.250Z").unwrap();
        log.add(&audit(reason), wall);
        log.write(now)
    }

    #[test]
    fn an_entry_is_a_line_with_all_its_fields_and_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let mut log = AuditLog::at(path.clone());
        assert!(!path.exists(), "made with the first entry");
        assert_eq!(written(&mut log, "two\nlines", Instant::now()), None);
        assert_eq!(written(&mut AuditLog::at(path.clone()), "", Instant::now()), None);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["at"], "2026-03-01T12:00:00.250Z");
        assert_eq!(lines[0]["reason"], "two\nlines");
        assert_eq!(lines[0].as_object().unwrap().len(), 12);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_cannot_be_written_is_said_once_and_written_later_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/audit.jsonl");
        let mut log = AuditLog::at(path.clone());
        let now = Instant::now();
        let said = written(&mut log, "one", now).unwrap().unwrap();
        assert!(said.contains("audit.jsonl"), "{said}");
        assert_eq!(written(&mut log, "two", now), None);
        assert_eq!(log.write(now + AGAIN), None, "said once");
        std::fs::create_dir(folder.path().join("state")).unwrap();
        assert_eq!(log.write(now + AGAIN + AGAIN / 2), None, "tried once a second");
        assert_eq!(log.write(now + AGAIN * 2), Some(None));
        assert_eq!(log.write(now + AGAIN * 3), None);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.find("one").unwrap() < text.find("two").unwrap());
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn a_place_that_takes_nothing_is_known_before_the_first_entry() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/audit.jsonl");
        let mut log = AuditLog::at(path.clone());
        let now = Instant::now();
        assert!(log.begin(now).unwrap().is_some());
        std::fs::create_dir(folder.path().join("state")).unwrap();
        assert_eq!(log.write(now + AGAIN), Some(None));
        assert!(path.exists());
        assert_eq!(AuditLog::at(path).begin(now), None);
    }

    #[test]
    fn a_file_that_was_moved_away_or_removed_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, archive) = (folder.path().join("audit.jsonl"), folder.path().join("archive"));
        let mut log = AuditLog::at(path.clone());
        let now = Instant::now();
        let lines = |path: &Path| std::fs::read_to_string(path).unwrap().lines().count();
        written(&mut log, "one", now);
        std::fs::rename(&path, &archive).unwrap();
        assert_eq!(written(&mut log, "two", now), None);
        assert_eq!((lines(&archive), lines(&path)), (1, 1));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(written(&mut log, "three", now), None);
        assert_eq!(lines(&path), 1);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(written(&mut log, "four", now).unwrap().is_some(), "no order leaves then");
    }

    #[test]
    fn half_a_line_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        written(&mut AuditLog::at(path.clone()), "one", Instant::now());
        let mut half = OpenOptions::new().append(true).open(&path).unwrap();
        half.write_all(b"{\"at\":\"2026").unwrap();
        written(&mut AuditLog::at(path.clone()), "two", Instant::now());
        let text = std::fs::read_to_string(&path).unwrap();
        let whole = |line: &&str| serde_json::from_str::<serde_json::Value>(line).is_ok();
        assert_eq!((text.lines().count(), text.lines().filter(whole).count()), (3, 2));
    }

    #[test]
    fn the_end_is_one_more_attempt_however_short_after_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/audit.jsonl");
        let mut log = AuditLog::at(path.clone());
        let now = Instant::now();
        assert!(written(&mut log, "one", now).is_some());
        std::fs::create_dir(folder.path().join("state")).unwrap();
        log.finish(now);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
        std::fs::remove_dir_all(folder.path().join("state")).unwrap();
        let mut log = AuditLog::at(path);
        assert!(written(&mut log, "two", now).is_some());
        log.finish(now);
        assert!(log.waiting.is_empty(), "said in the broker's log");
    }

    #[test]
    fn more_than_may_wait_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/audit.jsonl");
        let mut log = AuditLog::at(path.clone());
        let now = Instant::now();
        for _ in 0..WAITING + 5 {
            written(&mut log, "one", now);
        }
        std::fs::create_dir(folder.path().join("state")).unwrap();
        assert_eq!(log.write(now + AGAIN), Some(None));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), WAITING + 1);
        assert_eq!(text.lines().last(), Some("{\"lost\":5}"));
    }

    #[test]
    fn a_link_and_a_file_that_others_can_read_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("audit.jsonl"), folder.path().join("link"));
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for place in [path, link] {
            let said = written(&mut AuditLog::at(place), "", Instant::now());
            assert!(said.unwrap().is_some());
        }
    }
}
