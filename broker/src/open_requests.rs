//! Which requests are open at Gateway, on disk: what a broker must cancel that takes a live
//! session over from one that died.
//!
//! A line is added before a request leaves, another when it is over; if a cancel ends it, with the
//! number of the cancel's frame: a broker can die between this and the frame's leaving, and the
//! worker tells the next one which frames it has. Answers without an id that come in pieces are there
//! too, until their end: the rest of them must not be taken for what a next broker asks for.
//!
//! Nothing is synced, because the file must outlive a process and not the machine. It is begun anew
//! with each connection, and written short when it has grown long. It is trusted with no more than
//! cancels and waits: a line that cannot be understood is left out, and said.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ibouncer_core::ids::RequestId;
use ibouncer_core::pacing::gates::Group;
use ibouncer_proto::tws::messages::id;
use nix::fcntl::OFlag;

use crate::ledger::{move_aside, read_own};

/// Lines after which the file is written short.
const LONG: usize = 20_000;

/// Cancels that are kept in mind: many more than can be on their way to a worker.
const CANCELS: usize = 1_000;

/// The file.
#[derive(Debug)]
pub struct OpenRequests {
    path: PathBuf,
    file: Option<File>,
    requests: Requests,
    lines: usize,
    failed: bool,
}

impl OpenRequests {
    /// At this place; what stands there is kept until [`Self::clear`].
    pub fn at(path: PathBuf) -> Self {
        let requests = read(&path);
        Self { path, file: None, requests, lines: LONG, failed: false }
    }

    /// Those that are open at Gateway, with the codes of their cancels, if the worker has taken the
    /// frames up to this number.
    pub fn taken_over(&mut self, taken_through: u64) -> Vec<(RequestId, u32)> {
        for cancel in std::mem::take(&mut self.requests.cancels) {
            if cancel.number > taken_through {
                self.opened(RequestId(cancel.request), cancel.code);
            }
        }
        let open = self.requests.open.iter();
        open.map(|(request, cancel)| (RequestId(*request), *cancel)).collect()
    }

    /// Answers without an id that may be under way, if the worker has taken the frames up to this
    /// number.
    pub fn owed(&self, taken_through: u64) -> Vec<Group> {
        let asked = self.requests.answers.iter().filter(|(_, number)| **number <= taken_through);
        asked.filter_map(|(end, _)| Group::of_piece(*end)).collect()
    }

    /// Such an answer is under way, to what leaves in the frame of this number; or it has ended.
    pub fn answer(&mut self, group: Group, number: Option<u64>) {
        let Some(end) = group.end() else {
            return;
        };
        if self.requests.answer(end, number) {
            self.line(&answering(end, number));
        }
    }

    /// This one is about to leave; `cancel` is the code of what takes it back.
    pub fn opened(&mut self, request: RequestId, cancel: u32) {
        if self.requests.open.insert(request.0, cancel).is_none() {
            self.line(&format!("+{} {cancel}\n", request.0));
        }
    }

    /// This one is over, by the cancel in the frame of this number, or by itself.
    pub fn closed(&mut self, request: RequestId, by: Option<u64>) {
        if self.requests.close(request.0, by) {
            self.line(&closing(request.0, by));
        }
    }

    /// None is open.
    pub fn clear(&mut self) {
        self.requests = Requests::default();
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
        let Requests { open, cancels, answers } = &self.requests;
        let begun = |request: i32, code: u32| format!("+{request} {code}\n");
        let mut text: String = open.iter().map(|(request, code)| begun(*request, *code)).collect();
        for cancel in cancels {
            text += &begun(cancel.request, cancel.code);
            text += &closing(cancel.request, Some(cancel.number));
        }
        text.extend(answers.iter().map(|(end, number)| answering(*end, Some(*number))));
        file.write_all(text.as_bytes())?;
        std::fs::rename(&staged, &self.path)?;
        self.lines = text.lines().count();
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

/// What the file says.
#[derive(Debug, Default)]
struct Requests {
    /// Each with the code of its cancel.
    open: BTreeMap<i32, u32>,
    /// The newest that were sent, in their order.
    cancels: VecDeque<Cancel>,
    /// Answers that have not ended, by the message that ends them, with the frame that asked.
    answers: BTreeMap<u32, u64>,
}

/// A request that is over once the worker has its cancel.
#[derive(Debug)]
struct Cancel {
    request: i32,
    code: u32,
    number: u64,
}

impl Requests {
    /// True if that is news.
    fn answer(&mut self, end: u32, number: Option<u64>) -> bool {
        match number {
            Some(number) => self.answers.insert(end, number) != Some(number),
            None => self.answers.remove(&end).is_some(),
        }
    }

    /// True if it was open.
    fn close(&mut self, request: i32, by: Option<u64>) -> bool {
        let Some(code) = self.open.remove(&request) else {
            return false;
        };
        if let Some(number) = by {
            if self.cancels.len() == CANCELS {
                self.cancels.pop_front();
            }
            self.cancels.push_back(Cancel { request, code, number });
        }
        true
    }
}

fn closing(request: i32, by: Option<u64>) -> String {
    match by {
        Some(number) => format!("-{request} {number}\n"),
        None => format!("-{request}\n"),
    }
}

fn answering(end: u32, number: Option<u64>) -> String {
    match number {
        Some(number) => format!("?{end} {number}\n"),
        None => format!("!{end}\n"),
    }
}

fn read(path: &Path) -> Requests {
    let mut requests = Requests::default();
    let text = match read_own(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return requests,
        Err(error) => {
            move_aside(path, error.to_string());
            return requests;
        }
    };
    let bad = text.lines().filter(|line| understand(line, &mut requests).is_none()).count();
    if bad > 0 {
        // The last line of a process that died can be half a line.
        tracing::warn!(path = %path.display(), bad, "lines about open requests make no sense");
    }
    requests
}

fn understand(line: &str, requests: &mut Requests) -> Option<()> {
    let mut numbers = line.get(1..)?.split(' ');
    let request = numbers.next()?.parse().ok()?;
    let second = numbers.next();
    match line.chars().next()? {
        '+' => {
            // Builds that knew quotes alone wrote no code.
            let code = second.map_or(Some(id::CANCEL_MKT_DATA), |code| code.parse().ok())?;
            requests.open.insert(request, code);
        }
        '-' => {
            let by = second.map(str::parse).transpose().ok()?;
            requests.close(request, by);
        }
        '?' => drop(requests.answer(u32::try_from(request).ok()?, Some(second?.parse().ok()?))),
        '!' => drop(requests.answer(u32::try_from(request).ok()?, None)),
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(requests: &mut OpenRequests) -> Vec<i32> {
        requests.taken_over(u64::MAX).into_iter().map(|(request, _)| request.0).collect()
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
        requests.closed(RequestId(2), Some(6));
        drop(requests);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"+").unwrap();
        let mut next = OpenRequests::at(path.clone());
        assert_eq!(ids(&mut next), [1, 3, 4, 5]);
        next.closed(RequestId(1), None);
        next.opened(RequestId(9), 202);
        assert_eq!(ids(&mut OpenRequests::at(path.clone())), [3, 4, 5, 9]);
        next.clear();
        assert!(ids(&mut OpenRequests::at(path)).is_empty());
    }

    #[test]
    fn a_request_whose_cancel_was_lost_with_its_broker_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests");
        let mut requests = OpenRequests::at(path.clone());
        requests.clear();
        for id in 1..=3 {
            requests.opened(RequestId(id), 202);
        }
        requests.closed(RequestId(1), Some(7));
        requests.closed(RequestId(2), Some(8));
        requests.closed(RequestId(3), None);
        drop(requests);
        let mut next = OpenRequests::at(path.clone());
        assert_eq!(next.taken_over(7), [(RequestId(2), 202)]);
        // It is open until a cancel of the next broker ends it, or the one after that.
        assert_eq!(ids(&mut OpenRequests::at(path.clone())), [2]);
        next.closed(RequestId(2), Some(9));
        assert!(OpenRequests::at(path.clone()).taken_over(9).is_empty());
        assert_eq!(OpenRequests::at(path).taken_over(8), [(RequestId(2), 202)]);
    }

    #[test]
    fn answers_without_an_id_that_have_not_ended_are_known_to_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests");
        let mut requests = OpenRequests::at(path.clone());
        requests.clear();
        requests.answer(Group::OpenOrders, Some(3));
        requests.answer(Group::Positions, Some(4));
        requests.answer(Group::CompletedOrders, Some(5));
        requests.answer(Group::Positions, None);
        // Those of one message have no rest.
        requests.answer(Group::FamilyCodes, Some(6));
        drop(requests);
        let mut next = OpenRequests::at(path.clone());
        assert_eq!(next.owed(5), [Group::OpenOrders, Group::CompletedOrders]);
        assert_eq!(next.owed(4), [Group::OpenOrders], "the other never reached the worker");
        next.answer(Group::OpenOrders, None);
        assert_eq!(OpenRequests::at(path.clone()).owed(5), [Group::CompletedOrders]);
        next.clear();
        assert!(OpenRequests::at(path).owed(9).is_empty());
    }

    #[test]
    fn the_file_stays_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests");
        let mut requests = OpenRequests::at(path.clone());
        requests.clear();
        for id in 0..30_000 {
            requests.opened(RequestId(id), 202);
            requests.closed(RequestId(id), Some(9));
        }
        requests.opened(RequestId(7), 225);
        assert!(std::fs::metadata(&path).unwrap().len() < 400_000);
        assert_eq!(OpenRequests::at(path).taken_over(9), [(RequestId(7), 225)]);
    }

    #[test]
    fn a_file_of_the_build_before_is_understood() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests");
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        file.write_all(b"+5\n+6 225\n-5\n+7\n").unwrap();
        let all = OpenRequests::at(path).taken_over(9);
        assert_eq!(all, [(RequestId(6), 225), (RequestId(7), 202)]);
    }
}
