//! Gateway's handshake lock, and the record that is read and written under it.
//!
//! Both lie beside the locks of the client ids and are shared by all of them: whoever makes a
//! handshake at this Gateway, broker or doctor, holds the lock as long as that lasts. The kernel
//! takes it from a process that dies. Without the lock nothing is written. Decides nothing: what
//! the record means is [`ibouncer_core::record`]'s.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;

use ibouncer_core::record::{Claim, Record, SCHEMA};

use crate::ledger::{LedgerFile, move_aside, read_about};
use crate::places::{Lock, Locks, PlaceError, write_private};

/// The lock and the record of one Gateway.
#[derive(Debug)]
pub struct Turn {
    locks: Locks,
    gateway: SocketAddr,
    who: String,
    held: Option<Lock>,
    /// What could not be written is newer than the file, unless somebody else changed that since.
    unwritten: Option<Record>,
    /// The file as it was seen last: inode, and seconds and nanoseconds of its newest change.
    seen: Option<(u64, i64, i64)>,
}

impl Turn {
    /// Of this Gateway; `who` is what others are told of us.
    pub fn new(locks: &Locks, gateway: SocketAddr, who: &str) -> Self {
        let (locks, who) = (locks.clone(), who.to_owned());
        Self { locks, gateway, who, held: None, unwritten: None, seen: None }
    }

    /// Takes the lock, and reads what is remembered under it.
    pub fn claim(&mut self) -> Claim {
        match self.locks.take_handshake(&self.who) {
            Ok(Ok(lock)) => self.held = Some(lock),
            Ok(Err(holder)) => return Claim::Taken { holder },
            Err(error) => return Claim::Unusable { because: crate::chain(&error) },
        }
        let untouched = self.look() == self.seen;
        if let Some(newer) = self.unwritten.take().filter(|_| untouched) {
            return Claim::Ours(Box::new(newer));
        }
        let record = self.read().unwrap_or_else(|because| {
            move_aside(&self.locks.record(), because);
            self.gather()
        });
        Claim::Ours(Box::new(record))
    }

    /// Writes the record, if the lock is ours.
    pub fn enter(&mut self, record: &Record) -> Result<(), PlaceError> {
        if self.held.is_none() {
            return Ok(());
        }
        let text = serde_json::to_string(record).expect("a record is plain data");
        let written = write_private(&self.locks.record(), &format!("{text}\n"));
        self.seen = self.look();
        self.unwritten = written.is_err().then(|| record.clone());
        written
    }

    /// Gives the lock back.
    pub fn let_others(&mut self) {
        self.held = None;
    }

    /// What is remembered, for whoever does not hold the lock and so may change nothing; or why
    /// that cannot be told.
    pub fn peek(&self) -> Result<Record, String> {
        self.read()
    }

    /// What somebody else has written since the last look, if that can be told.
    pub fn news(&mut self) -> Option<Record> {
        let now = self.look();
        if self.held.is_some() || now == self.seen {
            return None;
        }
        self.seen = now;
        self.read().ok()
    }

    fn read(&self) -> Result<Record, String> {
        let gateway = self.gateway.to_string();
        let head = |record: &Record| (record.schema, record.gateway.clone());
        let found = read_about(&self.locks.record(), &gateway, SCHEMA, head)?;
        Ok(found.unwrap_or_else(|| self.gather()))
    }

    /// What the ledgers of all client ids know: versions before had nothing else.
    fn gather(&self) -> Record {
        let ids = self.locks.client_ids().into_iter();
        let records = ids.filter_map(|id| {
            let ledger = LedgerFile::at(self.locks.of_id(id).ledger());
            ledger.peek(self.gateway).ok().map(|ledger| ledger.record)
        });
        Record::gather(&self.gateway.to_string(), records)
    }

    fn look(&self) -> Option<(u64, i64, i64)> {
        let metadata = fs::symlink_metadata(self.locks.record()).ok()?;
        Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ibouncer_core::attempts::FailureClass;
    use ibouncer_core::ledger::Ledger;

    use super::*;

    fn gateway() -> SocketAddr {
        "127.0.0.1:4002".parse().unwrap()
    }

    fn turn(folder: &Path, client_id: i32) -> Turn {
        let locks = Locks::new(folder.join("locks"), gateway(), client_id).unwrap();
        Turn::new(&locks, gateway(), &format!("client id {client_id}"))
    }

    fn ours(turn: &mut Turn) -> Record {
        match turn.claim() {
            Claim::Ours(record) => *record,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_at_a_time_and_each_finds_what_the_one_before_met() {
        let folder = tempfile::tempdir().unwrap();
        let (mut one, mut two) = (turn(folder.path(), 410), turn(folder.path(), 500));
        let mut record = ours(&mut one);
        assert_eq!(two.claim(), Claim::Taken { holder: "client id 410".into() });
        record.begin("broker, client id 410", 7, std::time::Duration::ZERO);
        one.enter(&record).unwrap();
        assert_eq!(two.news(), Some(record.clone()));
        record.end(FailureClass::Silent, false, None);
        one.enter(&record).unwrap();
        assert_eq!(one.news(), None, "its own words are none");
        one.let_others();
        assert_eq!(ours(&mut two), record);
        // Whoever does not hold the lock changes nothing.
        one.enter(&Record::new("127.0.0.1:4002")).unwrap();
        assert_eq!(one.peek().unwrap(), record);
        // Nor does anybody who died.
        drop(two);
        assert_eq!(ours(&mut one).silent_in_row, 1);
    }

    #[test]
    fn without_a_record_the_ledgers_of_all_client_ids_are_asked() {
        let folder = tempfile::tempdir().unwrap();
        let mut one = turn(folder.path(), 410);
        for (id, silent) in [(410, 1), (500, 2)] {
            let mut ledger = Ledger::new("127.0.0.1:4002");
            ledger.record.silent_in_row = silent;
            LedgerFile::at(one.locks.of_id(id).ledger()).write(&ledger).unwrap();
        }
        assert_eq!(one.peek().unwrap().silent_in_row, 2);
        for text in ["", "{", "{\"schema\":9}"] {
            fs::write(one.locks.record(), text).unwrap();
            assert!(one.peek().is_err());
            assert_eq!(ours(&mut one).silent_in_row, 2, "{text}");
            assert!(!one.locks.record().exists(), "it was moved aside");
            one.let_others();
        }
    }

    #[test]
    fn what_cannot_be_written_is_not_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mut one = turn(folder.path(), 410);
        let mut record = ours(&mut one);
        record.silent_in_row = 2;
        // In its way lies a folder that is not empty.
        let place = one.locks.record();
        fs::create_dir_all(place.join("full")).unwrap();
        assert!(one.enter(&record).is_err());
        one.let_others();
        assert_eq!(ours(&mut one), record);
        fs::remove_dir_all(&place).unwrap();
        one.enter(&record).unwrap();
        assert_eq!(one.peek().unwrap(), record);
    }
}
