//! Which requests are open at Gateway, on disk: what a broker must cancel that takes a live
//! session over from one that died.
//!
//! A line is added before a request leaves, another when it is over; nothing is synced, because
//! the file must outlive a process and not the machine. It is begun anew with each connection,
//! and written short when it has grown long. It is never trusted with more than cancels: a line
//! that cannot be understood is left out, and said.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ibouncer_core::ids::RequestId;
use ibouncer_proto::tws::messages::id;
use nix::fcntl::OFlag;

use crate::ledger::{move_aside, read_own};

/// Lines after which the file is written short.
const LONG: usize = 20_000;

/// The file.
#[derive(Debug)]
pub struct OpenRequests {
    path: PathBuf,
    file: Option<File>,
    /// Each with the code of its cancel.
    open: BTreeMap<i32, u32>,
    lines: usize,
    failed: bool,
}

impl OpenRequests {
    /// At this place; what stands there is kept until [`Self::clear`].
    pub fn at(path: PathBuf) -> Self {
        let open = read(&path);
        Self { path, file: None, open, lines: LONG, failed: false }
    }

    /// Those that are open.
    pub fn all(&self) -> Vec<(RequestId, u32)> {
        self.open.iter().map(|(request, cancel)| (RequestId(*request), *cancel)).collect()
    }

    /// This one is about to leave; `cancel` is the code of what takes it back.
    pub fn opened(&mut self, request: RequestId, cancel: u32) {
        if self.open.insert(request.0, cancel).is_none() {
            self.line(&format!("+{} {cancel}\n", request.0));
        }
    }

    /// This one is over.
    pub fn closed(&mut self, request: RequestId) {
        if self.open.remove(&request.0).is_some() {
            self.line(&format!("-{}\n", request.0));
        }
    }

    /// None is open.
    pub fn clear(&mut self) {
        self.open.clear();
        self.lines = LONG;
        if let Err(error) = self.write_short() {
            self.fail(&error);
        }
    }

    fn line(&mut self, line: &str) {
        let written = if self.lines >= LONG {
            self.write_short()
        } else {
            self.lines += 1;
            match &mut self.file {
                Some(file) => file.write_all(line.as_bytes()),
                None => Ok(()),
            }
        };
        if let Err(error) = written {
            self.fail(&error);
        }
    }

    /// What is open, and nothing else, in a new file.
    fn write_short(&mut self) -> io::Result<()> {
        let staged = self.path.with_extension("new");
        let _ = std::fs::remove_file(&staged);
        let mut file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&staged)?;
        let text: String =
            self.open.iter().map(|(request, cancel)| format!("+{request} {cancel}\n")).collect();
        file.write_all(text.as_bytes())?;
        std::fs::rename(&staged, &self.path)?;
        self.lines = self.open.len();
        self.file = Some(file);
        Ok(())
    }

    fn fail(&mut self, error: &io::Error) {
        self.file = None;
        if !std::mem::replace(&mut self.failed, true) {
            tracing::error!(
                path = %self.path.display(), %error,
                "open requests cannot be written down: a broker that takes this session over \
                 could not cancel them, and they would use market-data lines until it ends"
            );
        }
    }
}

fn read(path: &Path) -> BTreeMap<i32, u32> {
    let mut open = BTreeMap::new();
    let text = match read_own(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return open,
        Err(error) => {
            move_aside(path, error.to_string());
            return open;
        }
    };
    let mut bad = 0;
    for line in text.lines() {
        let mut numbers = line.get(1..).unwrap_or_default().split(' ');
        let request = numbers.next().and_then(|number| number.parse().ok());
        // Builds that knew quotes alone wrote no code.
        let cancel = numbers.next().map_or(Ok(id::CANCEL_MKT_DATA), str::parse);
        match (line.chars().next(), request, cancel) {
            (Some('+'), Some(request), Ok(cancel)) => drop(open.insert(request, cancel)),
            (Some('-'), Some(request), _) => drop(open.remove(&request)),
            _ => bad += 1,
        }
    }
    if bad > 0 {
        // The last line of a process that died can be half a line.
        tracing::warn!(path = %path.display(), bad, "lines about open requests make no sense");
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(requests: &OpenRequests) -> Vec<i32> {
        requests.all().into_iter().map(|(request, _)| request.0).collect()
    }

    #[test]
    fn what_is_open_is_known_to_the_next_one_whatever_the_end_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests");
        let mut requests = OpenRequests::at(path.clone());
        requests.clear();
        for id in 1..=5 {
            requests.opened(RequestId(id), 202);
        }
        requests.closed(RequestId(2));
        drop(requests);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"+").unwrap();
        let mut next = OpenRequests::at(path.clone());
        assert_eq!(ids(&next), [1, 3, 4, 5]);
        next.closed(RequestId(1));
        next.opened(RequestId(9), 202);
        assert_eq!(ids(&OpenRequests::at(path.clone())), [3, 4, 5, 9]);
        next.clear();
        assert!(ids(&OpenRequests::at(path)).is_empty());
    }

    #[test]
    fn the_file_stays_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests");
        let mut requests = OpenRequests::at(path.clone());
        requests.clear();
        for id in 0..30_000 {
            requests.opened(RequestId(id), 202);
            requests.closed(RequestId(id));
        }
        requests.opened(RequestId(7), 225);
        assert!(std::fs::metadata(&path).unwrap().len() < 400_000);
        assert_eq!(OpenRequests::at(path).all(), [(RequestId(7), 225)]);
    }

    #[test]
    fn a_file_of_the_build_before_is_understood() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests");
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        file.write_all(b"+5\n+6 225\n-5\n+7\n").unwrap();
        let all = OpenRequests::at(path).all();
        assert_eq!(all, [(RequestId(6), 225), (RequestId(7), 202)]);
    }
}
