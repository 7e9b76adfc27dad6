//! Damage of the journal: what is wrong, and what a person can do. It is found at the start, or
//! later by the thread that writes or by who reads old events; the first finding is told once.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use tokio::sync::watch;

use super::JournalError;

/// Where findings go.
#[derive(Debug, Clone)]
pub(super) struct Finder {
    path: PathBuf,
    found: watch::Sender<Option<String>>,
}

impl Finder {
    pub(super) fn of(path: &Path) -> (Self, watch::Receiver<Option<String>>) {
        let (found, told) = watch::channel(None);
        (Self { path: path.to_owned(), found }, told)
    }

    /// An operation failed: if that is damage, it is told.
    pub(super) fn look_at(&self, error: &JournalError) {
        if is_damage(error) {
            self.found.send_if_modified(|known| {
                let new = known.is_none();
                known.get_or_insert_with(|| in_words(&self.path, error));
                new
            });
        }
    }
}

/// Trying again does not help.
pub(crate) fn is_damage(error: &JournalError) -> bool {
    match error {
        JournalError::Row { .. } | JournalError::Facts(_) => true,
        JournalError::Sqlite { source, .. } => matches!(
            source.sqlite_error_code(),
            Some(
                ErrorCode::DatabaseCorrupt
                    | ErrorCode::NotADatabase
                    | ErrorCode::ConstraintViolation
                    | ErrorCode::TypeMismatch
            )
        ),
        JournalError::File { .. } | JournalError::Untrusted(_) => false,
    }
}

/// What is wrong, with what, and what a person can do.
pub(super) fn in_words(path: &Path, error: &JournalError) -> String {
    let why = crate::chain(error);
    let shown = path.display();
    let away = "move it away together with its -wal file, start the broker, and say `ibouncer \
                trading adopt-state --reason WHY`; orders that live are nobody's then, and no halt \
                is in force";
    let advice = match error {
        JournalError::Row { table: "events", key } => format!(
            "Stop the broker and take the row out (`sqlite3 '{shown}' 'DELETE FROM events WHERE \
             sequence = {key}'`): watchers miss that event, and no order is lost with it"
        ),
        JournalError::Row { table: "executions", key } => format!(
            "Stop the broker and take the row out (`sqlite3 '{shown}' 'DELETE FROM executions \
             WHERE order_id = {key}'`): Gateway tells the order's executions of this week again, \
             and their owner hears of them a second time"
        ),
        JournalError::Row { table: "orders", key } => format!(
            "Stop the broker and put back a backup; or take the row out (`sqlite3 '{shown}' \
             'DELETE FROM orders WHERE order_id = {key}'`): the order has no owner then, and \
             the same call would place it anew, so look first whether it lives or has filled, and \
             cancel it in TWS if need be"
        ),
        JournalError::Facts(_) => format!("Stop the broker and put back a backup, or {away}"),
        _ => format!(
            "Stop the broker and put back a backup, or repair it (`sqlite3 '{shown}' .recover | \
             sqlite3 NEW`, then put NEW in its place), or {away}"
        ),
    };
    format!(
        "the journal of orders {shown} cannot be trusted: {why}. Nothing was repaired. {advice}"
    )
}
