//! What must hold after every step, beyond what each part checks when it is used.
//!
//! The clients' view and the hub's lines must be the same thing told twice: as many lines as
//! different requests, with the same listeners; all who share a line agree whether it is stale;
//! without a session everything is. No call waits longer than it may. Every state says why it is
//! and what comes next, and every wait has an end. READY is never said without the ids.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ibouncer_core::session::StateKind;
use ibouncer_core::status::BrokerProcess;
use ibouncer_proto::api::v1::Status;

use crate::stream::State;
use crate::wishes::Key;
use crate::world::World;

/// A broker that was told to end is gone within this: a worker may be born late, and die late.
const ENDED: Duration = Duration::from_secs(40);

impl World {
    /// Everything that can be checked now.
    pub(crate) fn check(&mut self) {
        if !self.broker.lives {
            return;
        }
        self.hub.check_invariants();
        if std::mem::take(&mut self.dirty) {
            self.check_lines();
            self.check_status();
        }
        self.check_wait();
        if let Some(told) = self.broker.told_to_end {
            assert!(self.now <= told + ENDED, "the broker does not end");
        }
        if let Some(until) = self.clients.next_answer() {
            assert!(self.now <= until, "a call is left without an answer");
        }
    }

    /// The session has become READY.
    pub(crate) fn check_ready(&self) {
        assert!(!self.hub.accounts().is_empty(), "READY without accounts");
        let socket = self.os.process.as_ref().and_then(|process| process.relay.as_ref()?.socket);
        // A connection that is closed meanwhile had its ids before.
        let served = socket.is_none_or(|socket| self.host.served == Some(socket));
        assert!(served, "READY, and Gateway did not send both ids");
    }

    /// What the hub tells of itself.
    pub(crate) fn status(&self) -> Status {
        let broker = BrokerProcess { version: "0".into(), pid: 1, since: self.instant() };
        self.hub.status(&broker, &self.clock())
    }

    /// Are requests served?
    pub(crate) fn is_up(&self) -> bool {
        self.broker.lives && matches!(self.state, StateKind::Ready | StateKind::Degraded)
    }

    fn check_status(&self) {
        let status = self.status();
        assert_eq!(status.state, i32::from(self.state.wire()));
        assert!(!status.reason.is_empty(), "{} has no reason", self.state);
        let next = status.next.expect("something is next");
        assert!(!next.action.is_empty() && !next.because.is_empty(), "{}", self.state);
        let ready = matches!(self.state, StateKind::Ready | StateKind::Degraded);
        assert!(!ready || !status.accounts.is_empty(), "READY without accounts");
    }

    /// Whoever waits knows for how long.
    fn check_wait(&self) {
        let may_last = matches!(
            self.state,
            StateKind::Ready | StateKind::Degraded | StateKind::Held | StateKind::Stopped
        );
        let waits = may_last || self.hub.poll_timeout().is_some();
        assert!(waits, "{} for ever: {}", self.state, self.status().reason);
    }

    fn check_lines(&self) {
        // It takes most of the time, and what differs goes on to differ.
        let compares = self.steps.is_multiple_of(8);
        let mut wanted: BTreeMap<&Key, (bool, BTreeSet<String>, &State)> = BTreeMap::new();
        for stream in self.clients.streams.values() {
            let lives = stream.pushed.lives();
            let waiting = stream.pushed.waiting();
            let keys = stream.keys.iter().filter(|(number, _)| !waiting.contains(number));
            let numbers = keys.clone().map(|(number, _)| number);
            assert!(lives.keys().eq(numbers), "{lives:?} for {:?}", stream.keys);
            for (subscription, key) in keys {
                let stale = lives[subscription].stale;
                assert!(stale || self.is_up(), "{key:?} is not stale without a session");
                let state = &stream.told[subscription];
                let line = wanted.entry(key).or_insert((stale, BTreeSet::new(), state));
                assert_eq!(line.0, stale, "listeners of {key:?} disagree on STALE");
                line.1.insert(stream.client.to_string());
                // Whoever came late knows what the others know.
                if compares && !stale && !std::ptr::eq(line.2, state) {
                    assert_eq!(line.2.facts(), state.facts(), "what listeners of {key:?} know");
                }
            }
        }
        let mut lines = self.hub.list_lines();
        // One that nobody listens to is kept for a while.
        lines.retain(|line| !line.clients.is_empty());
        assert_eq!(lines.len(), wanted.len(), "lines for different requests");
        let describe = |key: &Key, clients: &BTreeSet<String>| {
            let clients: Vec<_> = clients.iter().cloned().collect();
            let kind = key.kind().name.to_owned();
            (kind, key.symbol.to_owned(), key.exchange().to_owned(), clients.join(" "))
        };
        let mut expected: Vec<_> =
            wanted.iter().map(|(key, (_, clients, _))| describe(key, clients)).collect();
        let mut found: Vec<_> = lines
            .into_iter()
            .map(|line| (line.kind, line.symbol, line.exchange, line.clients.join(" ")))
            .collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "lines and their listeners");
    }
}
