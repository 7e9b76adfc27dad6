//! Old events, read beside the thread that writes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ibouncer_core::orders::journal::EventRecord;
use rusqlite::{Connection, OpenFlags, params};

use super::JournalError;
use super::damage::Finder;
use super::load::message;
use super::store::connect;

/// Reads events. Cheap to clone; readers take turns.
#[derive(Debug, Clone)]
pub struct JournalReader {
    path: PathBuf,
    /// Opened when it is needed first.
    connection: Arc<Mutex<Option<Connection>>>,
    finder: Finder,
}

impl JournalReader {
    pub(super) fn of(path: &Path, finder: Finder) -> Self {
        Self { path: path.to_owned(), connection: Arc::default(), finder }
    }

    /// Events behind this number that are on disk, at most so many, oldest first.
    pub async fn events_after(
        &self,
        sequence: u64,
        limit: usize,
    ) -> Result<Vec<EventRecord>, JournalError> {
        self.beside(move |connection| events(connection, sequence, limit)).await
    }

    /// Is there an event of this number on disk?
    pub async fn has_event(&self, sequence: u64) -> Result<bool, JournalError> {
        self.beside(move |connection| {
            let sql = "SELECT 1 FROM events WHERE sequence = ?1";
            let found = connection
                .prepare_cached(sql)
                .and_then(|mut query| query.exists(params![sequence.cast_signed()]));
            found.map_err(JournalError::sqlite("read events of"))
        })
        .await
    }

    /// On a thread of its own.
    async fn beside<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let reader = self.clone();
        let read = tokio::task::spawn_blocking(move || reader.read(read)).await;
        read.unwrap_or_else(|_| Err(JournalError::Untrusted("reading events panicked".into())))
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let mut slot = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match slot.take() {
            Some(open) => open,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                connect(&self.path, flags)?
            }
        };
        // One that failed is not used again.
        let connection = slot.insert(connection);
        let found = read(connection);
        if let Err(error) = &found {
            *slot = None;
            self.finder.look_at(error);
        }
        found
    }
}

fn events(
    connection: &Connection,
    sequence: u64,
    limit: usize,
) -> Result<Vec<EventRecord>, JournalError> {
    let read = || -> rusqlite::Result<Vec<Result<EventRecord, i64>>> {
        let sql = "SELECT body, sum, sequence FROM events WHERE sequence > ?1
                   ORDER BY sequence LIMIT ?2";
        let mut query = connection.prepare(sql)?;
        let (after, limit) = (sequence.cast_signed(), i64::try_from(limit).unwrap_or(i64::MAX));
        let found = query.query_map(params![after, limit], |row| {
            let key = row.get::<_, i64>(2)?;
            let good = |event: &EventRecord| event.sequence == key.cast_unsigned();
            Ok(message::<EventRecord>(row)?.filter(good).ok_or(key))
        })?;
        found.collect()
    };
    let found = read().map_err(JournalError::sqlite("read events of"))?;
    let found = found.into_iter().collect::<Result<_, i64>>();
    found.map_err(|key| JournalError::Row { table: "events", key })
}
