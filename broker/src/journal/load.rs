//! What is found at start: all orders, executions and facts, or why none of it can be trusted.

use ibouncer_core::orders::journal::{ExecutionRecord, Facts, Loaded, OrderRecord};
use prost::Message;
use rusqlite::{Connection, Row};

use super::JournalError;
use super::store::sum;

/// SQLite's own check of pages, tables and indexes.
pub(super) fn check(connection: &Connection) -> Result<(), JournalError> {
    let said = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
        .map_err(JournalError::sqlite("check"))?;
    if said != "ok" {
        return Err(JournalError::Untrusted(format!("SQLite's check says: {}", said.trim())));
    }
    Ok(())
}

/// Everything but the events, of which there are many.
pub(super) fn all(connection: &Connection) -> Result<Loaded, JournalError> {
    let facts: Vec<Facts> =
        rows(connection, "facts", "SELECT body, sum, one FROM facts", |_, one| one == 1)?;
    let orders = rows(
        connection,
        "orders",
        "SELECT body, sum, order_id FROM orders ORDER BY order_id",
        |order: &OrderRecord, id| i64::from(order.order_id) == id,
    )?;
    let executions = rows(
        connection,
        "executions",
        "SELECT body, sum, order_id FROM executions ORDER BY exec_id",
        |execution: &ExecutionRecord, id| i64::from(execution.order_id) == id,
    )?;
    let newest: i64 = connection
        .query_row("SELECT coalesce(max(sequence), 0) FROM events", [], |row| row.get(0))
        .map_err(JournalError::sqlite("read"))?;
    Ok(Loaded {
        facts: facts.into_iter().next(),
        orders,
        executions,
        newest_event: newest.cast_unsigned(),
        damaged: None,
    })
}

/// The message of a row whose first columns are its body and sum.
pub(super) fn message<T: Message + Default>(row: &Row<'_>) -> rusqlite::Result<Option<T>> {
    let body = row.get_ref(0)?.as_blob()?;
    let good = sum(body) == row.get::<_, i64>(1)?;
    Ok(good.then(|| T::decode(body).ok()).flatten())
}

/// All messages of a table; `fits` compares each with the row's key.
fn rows<T: Message + Default>(
    connection: &Connection,
    table: &'static str,
    sql: &str,
    fits: impl Fn(&T, i64) -> bool,
) -> Result<Vec<T>, JournalError> {
    let read = || -> rusqlite::Result<Vec<Result<T, i64>>> {
        let mut query = connection.prepare(sql)?;
        let found = query.query_map([], |row| {
            let key = row.get::<_, i64>(2)?;
            Ok(message::<T>(row)?.filter(|message| fits(message, key)).ok_or(key))
        })?;
        found.collect()
    };
    let found = read().map_err(JournalError::sqlite("read"))?;
    let found = found.into_iter().collect::<Result<_, i64>>();
    found.map_err(|key| JournalError::Row { table, key })
}

/// The first event that is not what was written. Their bodies are let alone: there are many.
pub(super) fn damaged_event(connection: &Connection) -> Result<Option<JournalError>, JournalError> {
    let look = || -> rusqlite::Result<Option<i64>> {
        let mut query = connection.prepare("SELECT body, sum, sequence FROM events")?;
        let mut found = query.query([])?;
        while let Some(row) = found.next()? {
            if sum(row.get_ref(0)?.as_blob()?) != row.get::<_, i64>(1)? {
                return row.get(2).map(Some);
            }
        }
        Ok(None)
    };
    let found = look().map_err(JournalError::sqlite("read events of"))?;
    Ok(found.map(|key| JournalError::Row { table: "events", key }))
}
