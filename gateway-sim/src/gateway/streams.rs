//! What a connection is subscribed to besides market data lines, and when each has its turn.
//!
//! A stream is named by its family and its request id; families of which a connection has one
//! have id 0. Which state a stream has and what a turn does is said by its family's file; here is
//! only the order of turns: by time, then by name, so that one script is one history.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Families of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// Historical data: waiting for its answer, or kept up to date.
    History,
    /// Answered, but open until it is cancelled.
    HeadTimestamp,
    Histogram,
    HistoricalTicks,
    Depth,
    TickByTick,
    RealTimeBars,
    /// What generic ticks add to a market data line.
    Generics,
    AccountData,
    AccountSummary,
    AccountMulti,
    Positions,
    PositionsMulti,
    Pnl,
    PnlSingle,
    Scanner,
    Bulletins,
    WshMeta,
    WshEvents,
}

/// Name of a stream.
pub(super) type Key = (Family, i32);

/// The streams of one connection.
#[derive(Debug)]
pub(super) struct Streams<S> {
    running: BTreeMap<Key, (Option<Duration>, S)>,
    agenda: BTreeSet<(Duration, Key)>,
}

impl<S> Default for Streams<S> {
    fn default() -> Self {
        Self { running: BTreeMap::new(), agenda: BTreeSet::new() }
    }
}

impl<S> Streams<S> {
    /// Begins a stream, or replaces it. `due` is its next turn; without one it only has a name.
    pub(super) fn open(&mut self, key: Key, due: Option<Duration>, state: S) {
        self.close(key);
        if let Some(due) = due {
            self.agenda.insert((due, key));
        }
        self.running.insert(key, (due, state));
    }

    /// Ends a stream; its state, if there was one.
    pub(super) fn close(&mut self, key: Key) -> Option<S> {
        let (due, state) = self.running.remove(&key)?;
        if let Some(due) = due {
            self.agenda.remove(&(due, key));
        }
        Some(state)
    }

    pub(super) fn contains(&self, key: Key) -> bool {
        self.running.contains_key(&key)
    }

    /// How many there are of a family.
    pub(super) fn count(&self, family: Family) -> usize {
        self.keys(family).count()
    }

    /// Those of a family, by id.
    pub(super) fn keys(&self, family: Family) -> impl Iterator<Item = Key> {
        self.running.range((family, i32::MIN)..=(family, i32::MAX)).map(|(key, _)| *key)
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (Key, &S)> {
        self.running.iter().map(|(key, (_, state))| (*key, state))
    }

    /// The state of one.
    pub(super) fn state(&self, key: Key) -> Option<&S> {
        self.running.get(&key).map(|(_, state)| state)
    }

    /// Takes the stream whose turn it is. Whoever takes it opens it again if it goes on.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<(Key, Duration, S)> {
        let (due, key) = *self.agenda.first().filter(|(due, _)| *due <= now)?;
        let state = self.close(key)?;
        Some((key, due, state))
    }

    /// When the next turn is.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.agenda.first().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_by_time_and_a_closed_stream_has_none() {
        let mut streams = Streams::default();
        let at = Duration::from_secs;
        streams.open((Family::Pnl, 1), Some(at(2)), "pnl");
        streams.open((Family::Depth, 1), Some(at(1)), "depth");
        streams.open((Family::Scanner, 1), None, "scanner");
        assert_eq!(streams.poll_timeout(), Some(at(1)));
        assert_eq!(streams.take_due(at(2)), Some(((Family::Depth, 1), at(1), "depth")));
        assert_eq!(streams.close((Family::Pnl, 1)), Some("pnl"));
        assert_eq!(streams.take_due(at(9)), None);
        assert_eq!(streams.count(Family::Scanner), 1);
    }
}
