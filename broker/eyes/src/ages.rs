//! Since when a socket is known, and whose it was.
//!
//! A socket is known by its two addresses. Its inode appears when it is accepted and goes when
//! it is closed; only another inode is another socket. Ages are lower bounds: nothing is known
//! of the time before the first look.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ibouncer_core::sight::Owner;

use crate::table::Row;

#[derive(Debug)]
struct Known {
    inode: u64,
    first: Instant,
    last: u64,
    owner: Option<Owner>,
}

/// What is known of the sockets of the newest look.
#[derive(Debug, Default)]
pub(crate) struct Ages {
    look: u64,
    known: BTreeMap<(SocketAddr, SocketAddr), Known>,
}

impl Ages {
    /// Takes note of one look: what is not in it is forgotten.
    pub(crate) fn take_note<'a>(&mut self, rows: impl IntoIterator<Item = &'a Row>, now: Instant) {
        self.look += 1;
        let look = self.look;
        for row in rows {
            let fresh = || Known { inode: row.inode, first: now, last: look, owner: None };
            let known = self.known.entry((row.local, row.remote)).or_insert_with(fresh);
            let other = known.inode != 0 && row.inode != 0 && known.inode != row.inode;
            if other {
                *known = fresh();
            }
            if row.inode != 0 {
                known.inode = row.inode;
            }
            known.last = look;
        }
        self.known.retain(|_, known| known.last == look);
    }

    /// At least so old.
    pub(crate) fn age(&self, row: &Row, now: Instant) -> Duration {
        let known = self.known.get(&(row.local, row.remote));
        known.map_or(Duration::ZERO, |known| now.saturating_duration_since(known.first))
    }

    /// Remembers whose it is, for the time when nobody holds it any more.
    pub(crate) fn remember_owner(&mut self, row: &Row, owner: &Owner) {
        if let Some(known) = self.known.get_mut(&(row.local, row.remote)) {
            known.owner = Some(owner.clone());
        }
    }

    /// Whose it was when it was seen last.
    pub(crate) fn owner(&self, row: &Row) -> Option<&Owner> {
        self.known.get(&(row.local, row.remote))?.owner.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use ibouncer_core::sight::TcpState;

    use super::*;

    fn row(port: u16, inode: u64) -> Row {
        Row {
            local: ([127, 0, 0, 1], port).into(),
            remote: ([127, 0, 0, 1], 4002).into(),
            state: TcpState::Established,
            receive_queue: 0,
            uid: 0,
            inode,
        }
    }

    #[test]
    fn a_socket_ages_through_accept_and_close_and_another_one_is_young() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut ages = Ages::default();
        for (second, inode, age) in [(0, 0, 0), (2, 7, 2), (5, 0, 5), (6, 7, 6), (8, 9, 0)] {
            let row = row(50_000, inode);
            ages.take_note([&row], at(second));
            assert_eq!(ages.age(&row, at(second)), Duration::from_secs(age), "{second}");
        }
        ages.take_note([], at(9));
        ages.take_note([&row(50_000, 9)], at(10));
        assert_eq!(ages.age(&row(50_000, 9), at(10)), Duration::ZERO);
    }

    #[test]
    fn an_owner_is_remembered_for_as_long_as_its_socket() {
        let now = Instant::now();
        let owner = Owner { pid: 7, started: 1, started_unix: 1, command: "python".into() };
        let mut ages = Ages::default();
        ages.take_note([&row(1, 7)], now);
        ages.remember_owner(&row(1, 7), &owner);
        ages.take_note([&row(1, 0)], now);
        assert_eq!(ages.owner(&row(1, 0)), Some(&owner));
        ages.take_note([&row(1, 8)], now);
        assert_eq!(ages.owner(&row(1, 8)), None);
    }
}
