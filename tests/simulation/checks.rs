//! What must hold after every step, beyond what each part checks when it is used.
//!
//! The clients' view and the hub's lines must be the same thing told twice: as many lines as
//! different requests, with the same listeners; all who share a line agree whether it is stale;
//! without a session everything is. No call waits longer than it may.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ibouncer_core::session::StateKind;

use crate::clients::Key;
use crate::world::World;

/// A snapshot is answered within this.
const ANSWERED: Duration = Duration::from_secs(23);

impl World {
    /// Everything that can be checked now.
    pub(crate) fn check(&mut self) {
        self.hub.check_invariants();
        if std::mem::take(&mut self.dirty) {
            self.check_lines();
        }
        if let Some(oldest) = self.clients.oldest_call() {
            assert!(self.now <= oldest + ANSWERED, "a call is left without an answer");
        }
    }

    /// Are requests served?
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, StateKind::Ready | StateKind::Degraded)
    }

    fn check_lines(&self) {
        let mut wanted: BTreeMap<&Key, (bool, BTreeSet<String>)> = BTreeMap::new();
        for stream in self.clients.streams.values() {
            let lives = stream.pushed.lives();
            assert!(lives.keys().eq(stream.keys.keys()), "{lives:?} for {:?}", stream.keys);
            for (subscription, key) in &stream.keys {
                let stale = lives[subscription].stale;
                assert!(stale || self.is_up(), "{key:?} is not stale without a session");
                let line = wanted.entry(key).or_insert((stale, BTreeSet::new()));
                assert_eq!(line.0, stale, "listeners of {key:?} disagree on STALE");
                line.1.insert(stream.client.to_string());
            }
        }
        let lines = self.hub.list_lines();
        assert_eq!(lines.len(), wanted.len(), "lines for different requests");
        let describe = |key: &Key, clients: &BTreeSet<String>| {
            let clients: Vec<_> = clients.iter().cloned().collect();
            (key.symbol.to_owned(), key.exchange().to_owned(), clients.join(" "))
        };
        let mut expected: Vec<_> =
            wanted.iter().map(|(key, (_, clients))| describe(key, clients)).collect();
        let mut found: Vec<_> = lines
            .into_iter()
            .map(|line| (line.symbol, line.exchange, line.clients.join(" ")))
            .collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "lines and their listeners");
    }
}
