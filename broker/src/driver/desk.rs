//! What the desk wants kept: the journal of orders, the audit log, and the log of events that
//! watchers read. Decides nothing; news go back to the hub as inputs.

use std::collections::VecDeque;
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ibouncer_core::hub::Input;
use ibouncer_core::orders::journal::{Audit, EventRecord, Write};

use crate::audit::{AuditLog, AuditNews};
use crate::journal::{Journal, News};
use crate::order_log::OrderLog;

/// When the broker ends, what waits is written within this time.
const LAST_ROWS: Duration = Duration::from_secs(2);

/// All three.
#[derive(Debug)]
pub struct Desk {
    /// None while trading is off: nothing is made on disk then.
    journal: Option<Journal>,
    audit: AuditLog,
    log: Arc<OrderLog>,
    /// Batches with events that are not on disk yet: number, and newest event.
    events: VecDeque<(u64, u64)>,
    failed: bool,
}

impl Desk {
    /// With a journal that holds events up to this number, and an audit log at this place.
    pub fn new(journal: Option<Journal>, newest_event: u64, audit: PathBuf) -> Self {
        let log = OrderLog::new(newest_event, journal.as_ref().map(Journal::reader));
        let audit = AuditLog::at(audit);
        Self { journal, audit, log, events: VecDeque::new(), failed: false }
    }

    /// Before anything is taken: with trading on, the audit log must be there.
    pub(super) fn begin(&mut self) -> Option<Input> {
        self.journal.as_ref()?;
        told(self.audit.begin(Instant::now()))
    }

    /// What watchers read.
    pub fn log(&self) -> Arc<OrderLog> {
        Arc::clone(&self.log)
    }

    /// The next news of the journal. Loses none if it is not waited for to the end.
    pub(super) async fn news(&mut self) -> News {
        match &mut self.journal {
            Some(journal) => journal.news().await,
            None => pending().await,
        }
    }

    /// What the hub is told of it.
    pub(super) fn on_news(&mut self, news: News) -> Input {
        match news {
            News::Committed { through } => {
                while let Some((_, event)) =
                    self.events.pop_front_if(|(batch, _)| *batch <= through)
                {
                    self.log.on_disk(event);
                }
                if std::mem::take(&mut self.failed) {
                    tracing::info!("the journal of orders can be written again");
                }
                Input::Journaled { through }
            }
            News::Failed { error } => {
                self.failed = true;
                tracing::error!(
                    error,
                    "the journal of orders cannot be written; it is tried every second"
                );
                Input::JournalFailed { error }
            }
            News::Damaged { words } => Input::JournalDamaged { words },
        }
    }

    pub(super) fn write(&mut self, number: u64, rows: Vec<Write>) -> Option<Input> {
        let Some(journal) = &mut self.journal else {
            tracing::error!(number, "something is to be journaled while trading is off");
            let error = "trading was off when the broker started: there is no journal".into();
            return Some(Input::JournalFailed { error });
        };
        let event = rows.iter().rev().find_map(|row| match row {
            Write::Event(event) => Some(event.sequence),
            _ => None,
        });
        self.events.extend(event.map(|event| (number, event)));
        journal.write(number, rows);
        None
    }

    pub(super) fn audit(&mut self, audit: &Audit) {
        self.audit.add(audit, SystemTime::now());
    }

    /// Are there audits that were not tried to be written?
    pub(super) fn has_audits(&self) -> bool {
        self.audit.has_new()
    }

    /// Writes the audits that came; called also some times a second, for what has failed.
    pub(super) fn write_audits(&mut self) -> Option<Input> {
        told(self.audit.write(Instant::now()))
    }

    pub(super) fn show(&self, event: EventRecord) {
        self.log.push(event);
    }

    /// The broker ends: watchers are told, and what waits is written.
    pub(super) async fn finish(&mut self) {
        self.log.end();
        self.audit.finish(Instant::now());
        let Some(journal) = self.journal.take() else {
            return;
        };
        if tokio::time::timeout(LAST_ROWS, journal.close()).await.is_err() {
            tracing::error!("the newest changes of orders could not be written before the end");
        }
    }
}

fn told(news: AuditNews) -> Option<Input> {
    news.map(|error| Input::AuditFailed { error })
}

#[cfg(test)]
mod tests {
    use ibouncer_core::orders::request::View;

    use super::*;
    use crate::order_log::Kind;

    fn event(sequence: u64) -> EventRecord {
        let body = vec![7; 10].into();
        let event = Some(ibouncer_proto::api::journal::v1::event_record::Event::Order(body));
        EventRecord { sequence, event, ..EventRecord::default() }
    }

    #[tokio::test]
    async fn without_trading_nothing_is_made_on_disk_and_a_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut desk = Desk::new(None, 0, folder.path().join("audit.jsonl"));
        assert!(desk.begin().is_none());
        assert!(desk.write_audits().is_none());
        let refused = desk.write(1, vec![Write::Event(Box::new(event(1)))]);
        assert!(matches!(refused, Some(Input::JournalFailed { .. })));
        desk.finish().await;
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_is_written_is_told_and_what_waits_at_the_end_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.db");
        let (journal, _) = Journal::open(&path).unwrap();
        let mut desk = Desk::new(Some(journal), 0, folder.path().join("audit.jsonl"));
        assert!(desk.write(1, vec![Write::Event(Box::new(event(1)))]).is_none());
        let news = desk.news().await;
        assert!(matches!(desk.on_news(news), Input::Journaled { through: 1 }));
        assert!(desk.events.is_empty());
        desk.show(event(1));
        for number in 2..600 {
            desk.write(number, vec![Write::Event(Box::new(event(number)))]);
        }
        desk.finish().await;
        let log = desk.log();
        assert!(log.newest().borrow().ended);
        assert_eq!(log.after(0, &View::default(), Kind::Orders).await.unwrap().events.len(), 1);
        assert_eq!(Journal::open(&path).unwrap().1.newest_event, 599);
    }
}
