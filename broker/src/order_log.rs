//! What happened to orders, for those who watch: the newest events in memory, older ones from the
//! journal.
//!
//! ```text
//!   driver ── push ──▶ memory: the newest 65 536      watcher: a cursor, and nothing else
//!                      journal: all of them     ◀──── page after the cursor
//! ```
//!
//! Watchers pull by the number of the newest event that they have looked at. There is no queue for
//! any of them: a slow one costs nothing and loses nothing. Read on in `grpc/orders/watch.rs`.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use ibouncer_core::orders::journal::EventRecord;
use ibouncer_core::orders::request::View;
use ibouncer_proto::api::journal::v1::event_record::Event;
use tokio::sync::watch;

use crate::journal::{JournalError, JournalReader};

/// Events in memory.
const KEPT: usize = 65_536;

/// Events that are looked at in one go, so that the driver does not wait for a watcher.
const LOOKED_AT: usize = 4096;

/// Most of one page.
const PAGE_EVENTS: usize = 1000;
const PAGE_BYTES: usize = 256 * 1024;

/// Which events a watch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of `WatchOrders`.
    Orders,
    /// Of `WatchExecutions`.
    Executions,
}

/// A part of what happened.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Page {
    /// What is shown of it, in order.
    pub events: Vec<Arc<EventRecord>>,
    /// The newest event that was looked at.
    pub through: u64,
}

/// How far it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Newest {
    /// Number of the newest event.
    pub sequence: u64,
    /// The broker ends: there will be no more.
    pub ended: bool,
}

/// The log. One end is the driver's, the other everybody's.
#[derive(Debug)]
pub struct OrderLog {
    memory: RwLock<Memory>,
    newest: watch::Sender<Newest>,
    journal: Option<JournalReader>,
}

#[derive(Debug)]
struct Memory {
    events: VecDeque<Arc<EventRecord>>,
    /// Events up to this one are in the journal only.
    floor: u64,
    /// Events up to this one are on disk, and may leave memory.
    on_disk: u64,
}

impl OrderLog {
    /// After what the journal holds: events up to this number.
    pub fn new(newest: u64, journal: Option<JournalReader>) -> Arc<Self> {
        let memory = Memory { events: VecDeque::new(), floor: newest, on_disk: newest };
        let (newest, _) = watch::channel(Newest { sequence: newest, ended: false });
        Arc::new(Self { memory: RwLock::new(memory), newest, journal })
    }

    /// Adds one. Numbers rise.
    pub fn push(&self, event: EventRecord) {
        let sequence = event.sequence;
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        let last = memory.events.back().map_or(memory.floor, |last| last.sequence);
        if sequence <= last {
            drop(memory);
            tracing::error!(sequence, last, "an event about orders came out of turn; not shown");
            return;
        }
        memory.events.push_back(Arc::new(event));
        memory.trim();
        drop(memory);
        self.newest.send_modify(|newest| newest.sequence = sequence);
    }

    /// Events up to this one are on disk.
    pub fn on_disk(&self, through: u64) {
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        memory.on_disk = memory.on_disk.max(through);
        memory.trim();
    }

    /// The broker ends.
    pub fn end(&self) {
        self.newest.send_modify(|newest| newest.ended = true);
    }

    /// How far it goes, and a way to wait for more.
    pub fn newest(&self) -> watch::Receiver<Newest> {
        self.newest.subscribe()
    }

    /// What comes behind this number: a page, which may show nothing and still have looked at
    /// much. Nothing more is there when its `through` is the number itself.
    pub async fn after(
        &self,
        sequence: u64,
        view: &View,
        kind: Kind,
    ) -> Result<Page, JournalError> {
        if let Some(page) = self.remembered(sequence, view, kind) {
            return Ok(page);
        }
        let floor = self.memory.read().unwrap_or_else(PoisonError::into_inner).floor;
        let Some(journal) = &self.journal else {
            return Ok(Page { events: Vec::new(), through: floor });
        };
        let found = journal.events_after(sequence, PAGE_EVENTS).await?;
        let complete = found.len() < PAGE_EVENTS;
        let mut page = collect(sequence, found.into_iter().map(Arc::new), view, kind);
        // Whatever has left memory was on disk before, so there is nothing between.
        if complete && !page.1 {
            page.0.through = page.0.through.max(floor);
        }
        Ok(page.0)
    }

    /// Is there an event of this number, or is it the beginning?
    pub async fn knows(&self, sequence: u64) -> Result<bool, JournalError> {
        if sequence == 0 || self.is_remembered(sequence) {
            return Ok(true);
        }
        match &self.journal {
            Some(journal) => journal.has_event(sequence).await,
            None => Ok(false),
        }
    }

    fn is_remembered(&self, sequence: u64) -> bool {
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        memory.events.binary_search_by_key(&sequence, |event| event.sequence).is_ok()
    }

    /// None if it is older than memory.
    fn remembered(&self, sequence: u64, view: &View, kind: Kind) -> Option<Page> {
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        if sequence < memory.floor {
            return None;
        }
        let start = memory.events.partition_point(|event| event.sequence <= sequence);
        let next = memory.events.range(start..).take(LOOKED_AT).map(Arc::clone);
        Some(collect(sequence, next, view, kind).0)
    }
}

impl Memory {
    fn trim(&mut self) {
        while self.events.len() > KEPT
            && self.events.front().is_some_and(|first| first.sequence <= self.on_disk)
        {
            self.floor = self.events.pop_front().map_or(self.floor, |first| first.sequence);
        }
    }
}

/// The page, and whether it is full before all of these were looked at.
fn collect(
    after: u64,
    events: impl Iterator<Item = Arc<EventRecord>>,
    view: &View,
    kind: Kind,
) -> (Page, bool) {
    let mut page = Page { events: Vec::new(), through: after };
    let mut bytes = 0;
    for event in events {
        let body = match (&event.event, kind) {
            (Some(Event::Order(body)), Kind::Orders)
            | (Some(Event::Execution(body)), Kind::Executions)
                if view.shows(&event.owner, &event.account) =>
            {
                body.len()
            }
            _ => {
                page.through = event.sequence;
                continue;
            }
        };
        let full = page.events.len() == PAGE_EVENTS || bytes + body > PAGE_BYTES;
        if full && !page.events.is_empty() {
            return (page, true);
        }
        bytes += body;
        page.through = event.sequence;
        page.events.push(event);
    }
    (page, false)
}

#[cfg(test)]
mod tests {
    use ibouncer_core::orders::journal::Write;

    use super::*;
    use crate::journal::Journal;

    fn event(sequence: u64, owner: &str) -> EventRecord {
        let body = vec![7; 40].into();
        let event =
            if sequence.is_multiple_of(10) { Event::Execution(body) } else { Event::Order(body) };
        let account = "DU0000001".into();
        EventRecord { sequence, owner: owner.into(), account, event: Some(event) }
    }

    async fn all(log: &OrderLog, mut after: u64, view: &View, kind: Kind) -> Vec<u64> {
        let mut seen = Vec::new();
        loop {
            let page = log.after(after, view, kind).await.unwrap();
            assert!(page.events.len() <= PAGE_EVENTS);
            seen.extend(page.events.iter().map(|event| event.sequence));
            if page.through == after {
                return seen;
            }
            assert!(page.through > after);
            after = page.through;
        }
    }

    #[tokio::test]
    async fn memory_and_journal_are_one_log_without_gap_or_duplicate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.db");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let total = KEPT as u64 + 5000;
        let log = OrderLog::new(2500, Some(journal.reader()));
        for from in (1..=total).step_by(500) {
            let rows = (from..from + 500).map(|at| Write::Event(Box::new(event(at, "momentum"))));
            journal.write(from, rows.collect());
        }
        while !journal.is_settled() {
            journal.news().await;
        }
        for sequence in 2501..=total {
            log.push(event(sequence, "momentum"));
        }
        assert_eq!(log.memory.read().unwrap().events.len() as u64, total - 2500, "not on disk yet");
        log.on_disk(total);
        assert_eq!(log.memory.read().unwrap().events.len(), KEPT);
        let view = View::default();
        let orders = all(&log, 0, &view, Kind::Orders).await;
        assert!(orders.iter().copied().eq((1..=total).filter(|at| at % 10 != 0)));
        for (sequence, known) in [(0, true), (7, true), (total, true), (10 * total, false)] {
            assert_eq!(log.knows(sequence).await.unwrap(), known, "{sequence}");
        }
        let executions = all(&log, 7, &view, Kind::Executions).await;
        assert!(executions.iter().copied().eq((10..=total).step_by(10)));
        assert_eq!(log.newest().borrow().sequence, total);
    }

    #[tokio::test]
    async fn what_is_filtered_away_was_looked_at() {
        let log = OrderLog::new(0, None);
        for sequence in 1..=30 {
            log.push(event(sequence, if sequence < 20 { "other" } else { "momentum" }));
        }
        let owner = Some("momentum".into());
        let own = View { owner, accounts: vec!["DU0000001".into()], ..View::default() };
        assert_eq!(all(&log, 0, &own, Kind::Executions).await, [20, 30]);
        let page =
            log.after(0, &View { owner: Some("x".into()), ..own }, Kind::Orders).await.unwrap();
        assert_eq!(page, Page { events: Vec::new(), through: 30 });
        log.push(event(30, "momentum"));
        assert_eq!(log.after(30, &View::default(), Kind::Executions).await.unwrap().through, 30);
    }

    #[tokio::test]
    async fn a_page_has_an_end_and_a_large_event_still_leaves() {
        let log = OrderLog::new(0, None);
        for sequence in 1..=3 {
            let event =
                Event::Order(vec![1; 200 * 1024 * usize::try_from(sequence).unwrap()].into());
            log.push(EventRecord { sequence, event: Some(event), ..EventRecord::default() });
        }
        let view = View::default();
        for after in 0..3 {
            let page = log.after(after, &view, Kind::Orders).await.unwrap();
            assert_eq!((page.events.len(), page.through), (1, after + 1));
        }
    }
}
