//! The journal of orders: what the desk wants written, on disk and synced before it counts.
//!
//! ```text
//!   driver ── write(number, rows) ──▶ queue ──▶ thread: one transaction, one sync for all that
//!   driver ◀── news: Committed | Failed ────────        waits (group commit)
//! ```
//!
//! SQLite on a thread of its own, because a disk may take its time. Batches are written in the
//! order in which they came; one that fails is tried again every second, with all behind it
//! waiting, until it works. Nothing is dropped while the process lives, and nothing is repaired
//! or removed by itself: a journal that cannot be trusted is left as it is, and said. Decides
//! nothing.
//!
//! Read on in `journal/store.rs` (the file and its transactions), `journal/schema.rs` (tables),
//! `journal/load.rs` (what is found at start), `journal/beside.rs` (other journals of the folder), `journal/reader.rs` (old events),
//! `journal/damage.rs` (what cannot be trusted, and what to do about it).

mod beside;
pub(crate) mod damage;
mod load;
mod reader;
mod schema;
mod store;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use ibouncer_core::orders::journal::{Loaded, Write};
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use damage::Finder;
pub use reader::JournalReader;
use store::Store;

/// Batches that may wait for the thread, and that are written in one transaction at most: those of
/// some hundred orders, each of which is written when it is taken in and when Gateway tells of it.
const GROUP: usize = 1024;

/// News that may wait for the driver.
const NEWS: usize = 64;

/// After a failure it is tried again after this time.
const AGAIN: Duration = Duration::from_secs(1);

/// Why something of the journal could not be done.
#[derive(Debug, Error)]
pub enum JournalError {
    /// An operation on its file failed.
    #[error("{action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: std::path::PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("{action} the journal of orders")]
    Sqlite {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: rusqlite::Error,
    },
    /// A row is not what was written.
    #[error("row {key} of its table {table} is not what was written")]
    Row {
        /// Where.
        table: &'static str,
        /// Its key: the event's number, the order's id.
        key: i64,
    },
    /// What holds for all of it is not known, in words.
    #[error("{0}")]
    Facts(String),
    /// What stands there cannot be trusted, in words.
    #[error("{0}")]
    Untrusted(String),
}

impl JournalError {
    fn sqlite(action: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Sqlite { action, source }
    }
}

/// Could this build go on with the journal at this place, as far as its version says? Changes
/// nothing.
pub fn look(path: &Path) -> Result<(), JournalError> {
    use rusqlite::OpenFlags;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    schema::version(&store::connect(path, flags)?).map(drop)
}

/// Rows that are one transaction, under their number.
#[derive(Debug)]
struct Batch {
    number: u64,
    rows: Vec<Write>,
}

/// What became of what was to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Everything up to this number is on disk; after a failure: again.
    Committed {
        /// The number.
        through: u64,
    },
    /// It is not, and why; said once, and tried again until it works.
    Failed {
        /// Why.
        error: String,
    },
    /// It cannot be trusted, and what to do about it; said once.
    Damaged {
        /// In words.
        words: String,
    },
}

/// The driver's end.
#[derive(Debug)]
pub struct Journal {
    queue: SyncSender<Batch>,
    /// What the queue does not take yet, in order.
    waiting: VecDeque<Batch>,
    news: mpsc::Receiver<News>,
    damage: watch::Receiver<Option<String>>,
    /// Newest number that was to be written, and newest that is on disk.
    newest: u64,
    through: u64,
    gone: bool,
    reader: JournalReader,
}

impl Journal {
    /// Opens or makes the journal at this place, whose folder must be private. Blocks while it
    /// is read. Whatever is wrong with it stands in the answer; nothing is then written to it.
    pub fn open(path: &Path) -> std::io::Result<(Self, Loaded)> {
        match Store::open(path) {
            Ok((store, mut loaded)) => {
                if loaded.facts.as_ref().is_none_or(|facts| facts.accounts.is_empty()) {
                    loaded.beside = beside::find(path);
                }
                let store = store.ok_or_else(|| loaded.damaged.clone().unwrap_or_default());
                Ok((Self::start(path, store)?, loaded))
            }
            Err(error) => {
                let damaged = damage::in_words(path, &error);
                let loaded =
                    Loaded { damaged: Some(damaged.clone()), blind: true, ..Loaded::default() };
                Ok((Self::start(path, Err(damaged))?, loaded))
            }
        }
    }

    fn start(path: &Path, store: Result<Store, String>) -> std::io::Result<Self> {
        let (queue, inbox) = sync_channel(GROUP);
        let (teller, news) = mpsc::channel(NEWS);
        let thread = std::thread::Builder::new().name("journal".into());
        let (finder, damage) = Finder::of(path);
        let reader = JournalReader::of(path, finder.clone());
        thread.spawn(move || write_all(store, &inbox, &teller, &finder))?;
        let waiting = VecDeque::new();
        Ok(Self { queue, waiting, news, damage, newest: 0, through: 0, gone: false, reader })
    }

    /// Takes what is to be written; never waits. Numbers rise.
    pub fn write(&mut self, number: u64, rows: Vec<Write>) {
        self.newest = number;
        self.waiting.push_back(Batch { number, rows });
        self.pump();
    }

    /// The next news. Loses none if it is not waited for to the end.
    pub async fn news(&mut self) -> News {
        let news = tokio::select! {
            biased;
            news = self.news.recv() => news,
            // Its other end lives in our reader.
            Ok(()) = self.damage.changed() => {
                let words = self.damage.borrow_and_update().clone().unwrap_or_default();
                return News::Damaged { words };
            }
        };
        let Some(news) = news else {
            // The thread ends only after us, or by a panic, which is told once.
            if std::mem::replace(&mut self.gone, true) {
                return std::future::pending().await;
            }
            return News::Failed { error: "the thread of the journal of orders is gone".into() };
        };
        if let News::Committed { through } = news {
            self.through = through;
            // There is room now. After a failure as well: the thread takes more only then.
            self.pump();
        }
        news
    }

    /// Is everything on disk that was to be?
    pub fn is_settled(&self) -> bool {
        self.through >= self.newest
    }

    /// Writes what waits, and closes the file: in order, without a rest in the -wal file unless
    /// somebody still reads.
    pub async fn close(mut self) {
        while !self.is_settled() {
            self.news().await;
        }
        let Self { queue, mut news, .. } = self;
        drop(queue);
        while news.recv().await.is_some() {}
    }

    /// Where old events are read.
    pub fn reader(&self) -> JournalReader {
        self.reader.clone()
    }

    fn pump(&mut self) {
        while let Some(batch) = self.waiting.pop_front() {
            if let Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) =
                self.queue.try_send(batch)
            {
                self.waiting.push_front(batch);
                return;
            }
        }
    }
}

/// The thread. Ends with the driver's end of it, after what was still to be written.
fn write_all(
    mut store: Result<Store, String>,
    inbox: &Receiver<Batch>,
    news: &mpsc::Sender<News>,
    finder: &Finder,
) {
    let mut group = Vec::new();
    while let Ok(first) = inbox.recv() {
        group.push(first);
        group.extend(inbox.try_iter().take(GROUP - 1));
        let mut told = false;
        while let Err(error) = write_group(&mut store, &group, finder) {
            if !std::mem::replace(&mut told, true) {
                let _ = news.blocking_send(News::Failed { error });
            }
            std::thread::sleep(AGAIN);
            if news.is_closed() {
                return;
            }
        }
        let through = group.last().map_or(0, |batch| batch.number);
        group.clear();
        // Whoever is gone needs no news; the rest is written all the same.
        let _ = news.blocking_send(News::Committed { through });
    }
}

fn write_group(
    store: &mut Result<Store, String>,
    group: &[Batch],
    finder: &Finder,
) -> Result<(), String> {
    let store = store.as_mut().map_err(|damaged| damaged.clone())?;
    store.write(group.iter().flat_map(|batch| &batch.rows)).map_err(|error| {
        finder.look_at(&error);
        crate::chain(&error)
    })
}
