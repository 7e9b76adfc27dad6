//! How many orders and changes each client has sent within the last minute, over restarts of the
//! broker: whoever restarts it wins nothing.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use ibouncer_proto::api::v1::ChangeKind;

use crate::orders::book::Book;

/// What limits of a minute count.
const MINUTE: Duration = Duration::from_secs(60);

/// Of all clients.
#[derive(Debug, Default)]
pub(in crate::orders) struct Pace {
    /// When each sent something, the oldest first.
    sent: BTreeMap<String, VecDeque<Instant>>,
}

impl Pace {
    /// As far as the journal tells: orders, and the newest change of each. Previews and earlier
    /// changes are not in it; a change counts from the newest event of its order.
    pub(in crate::orders) fn resume(book: &Book, now: Instant, now_ms: i64) -> Self {
        let mut found: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
        let mut note = |owner: &str, at_ms: i64| {
            // A clock that was set back makes nothing older than it is.
            let age = Duration::from_millis(u64::try_from(now_ms - at_ms).unwrap_or(0));
            if age < MINUTE
                && let Some(at) = now.checked_sub(age)
            {
                found.entry(owner.to_owned()).or_default().push(at);
            }
        };
        for order in book.iter() {
            let record = &order.record;
            // What Gateway attaches was not counted either.
            if record.attached_to == 0 {
                note(&record.owner, record.created_ms);
            }
            let own = |change: &&crate::orders::journal::Change| {
                change.kind() == ChangeKind::Modify && change.by.is_empty()
            };
            if record.change.as_ref().filter(own).is_some() {
                note(&record.owner, record.updated_ms);
            }
        }
        let sent = found.into_iter().map(|(owner, mut sent)| {
            sent.sort_unstable();
            (owner, sent.into())
        });
        Self { sent: sent.collect() }
    }

    /// So many leave now.
    pub(in crate::orders) fn count(&mut self, owner: &str, count: usize, now: Instant) {
        let lately = self.sent.entry(owner.to_owned()).or_default();
        while lately.front().is_some_and(|at| now.saturating_duration_since(*at) >= MINUTE) {
            lately.pop_front();
        }
        lately.extend(std::iter::repeat_n(now, count));
    }

    pub(in crate::orders) fn of_last_minute(&self, owner: &str, now: Instant) -> usize {
        let old = |at: &Instant| now.saturating_duration_since(*at) >= MINUTE;
        self.sent.get(owner).map_or(0, |sent| sent.len() - sent.partition_point(old))
    }
}
