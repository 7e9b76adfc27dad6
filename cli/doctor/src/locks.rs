//! Who holds a lock, without taking it: taking it, if only for a moment, could make a broker that
//! starts right now give up. And who else serves the same Gateway under another client id.
//!
//! The kernel lists held locks by the file's inode. Where it does not (another system, another
//! namespace of processes) the answer is "unknown", never "nobody".

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use ibouncer_broker::places::Locks;

use crate::gate::Refusal;

/// What is known about a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// It is free.
    Nobody,
    /// Held by the one that wrote this into it.
    Held(String),
    /// It cannot be told.
    Unknown,
}

/// Who holds the lock on this file.
pub(crate) fn holder(path: &Path) -> Holder {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Holder::Nobody;
    };
    let Ok(table) = fs::read_to_string("/proc/locks") else {
        return Holder::Unknown;
    };
    if !is_listed(&table, metadata.ino()) {
        return Holder::Nobody;
    }
    let who = fs::read_to_string(path).unwrap_or_default();
    Holder::Held(who.trim().to_owned())
}

/// What of brokers that serve the same Gateway under other client ids forbids a handshake, whoever
/// asks: they have locks of their own, and the same Gateway.
pub(crate) fn neighbour(own: &Locks, client_id: i32) -> Option<Refusal> {
    let others = own.client_ids().into_iter().filter(|id| *id != client_id);
    others.map(|id| own.of_id(id)).find_map(|locks| occupant(&locks))
}

/// Who has this client id of a Gateway.
pub(crate) fn occupant(locks: &Locks) -> Option<Refusal> {
    match (holder(&locks.broker()), holder(&locks.worker())) {
        (Holder::Held(who), _) => Some(Refusal::BrokerServes { who }),
        (_, Holder::Held(_)) => Some(Refusal::WorkerLives),
        _ => None,
    }
}

/// Lines are `1: FLOCK  ADVISORY  WRITE 4711 fd:01:1234567 0 EOF`. The device is not compared:
/// what `stat` says of it differs on some file systems.
fn is_listed(table: &str, inode: u64) -> bool {
    table.lines().any(|line| {
        let mut words = line.split_whitespace();
        let held = words.clone().nth(1) == Some("FLOCK");
        let place = words.find(|word| word.matches(':').count() == 2);
        let listed = place.and_then(|place| place.rsplit(':').next()?.parse().ok());
        held && listed == Some(inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_seen_without_touching_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.lock");
        assert_eq!(holder(&path), Holder::Nobody);
        fs::write(&path, "pid 77\n").unwrap();
        assert_eq!(holder(&path), Holder::Nobody);
        let file = fs::File::open(&path).unwrap();
        file.lock().unwrap();
        assert_eq!(holder(&path), Holder::Held("pid 77".to_owned()));
        drop(file);
        assert_eq!(holder(&path), Holder::Nobody);
    }

    #[test]
    fn the_kernels_table_is_read_by_inode() {
        let table = "1: POSIX  ADVISORY  WRITE 1 08:01:42 0 EOF\n\
                     2: -> FLOCK ADVISORY WRITE 1 08:01:43 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 9 fd:01:44 0 EOF\n";
        assert!(is_listed(table, 44));
        assert!(!is_listed(table, 42) && !is_listed(table, 43) && !is_listed(table, 4));
    }
}
