//! What is found at start: all orders, executions and facts, or why none of it can be trusted.

use std::collections::BTreeSet;

use ibouncer_core::orders::journal::{ExecutionRecord, Facts, Loaded, OrderRecord, Sending};
use ibouncer_proto::api::v1::OrderState::{Cancelled, Filled, NotSent, Rejected, Unknown};
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

/// Everything but the events, of which there are many. Rows that are not what was written are left
/// out, and the first of them is said.
pub(super) fn all(connection: &Connection) -> Result<(Loaded, Option<JournalError>), JournalError> {
    let (facts, bad_facts): (Vec<Facts>, _) =
        rows(connection, "facts", "SELECT body, sum, one FROM facts", |_, one| one == 1)?;
    let (mut orders, bad_order) = rows(
        connection,
        "orders",
        "SELECT body, sum, order_id FROM orders ORDER BY order_id",
        |order: &OrderRecord, id| i64::from(order.order_id) == id,
    )?;
    if bad_order.is_some() {
        let known = orders.iter().map(|order| order.order_id).collect();
        orders.extend(outlines(connection, &known)?);
    }
    let (executions, bad_execution) = rows(
        connection,
        "executions",
        "SELECT body, sum, order_id FROM executions ORDER BY exec_id",
        |execution: &ExecutionRecord, id| i64::from(execution.order_id) == id,
    )?;
    let newest: i64 = connection
        .query_row("SELECT coalesce(max(sequence), 0) FROM events", [], |row| row.get(0))
        .map_err(JournalError::sqlite("read"))?;
    // Whose journal it is, and what is halted, is written before anything else.
    let is_lost = facts.is_empty() && (!orders.is_empty() || newest > 0);
    let no_facts = (is_lost && bad_facts.is_none())
        .then(|| JournalError::Facts("its row of facts is gone, and it holds orders".into()));
    let bad_facts = bad_facts.map(|bad| JournalError::Facts(crate::chain(&bad)));
    let damaged = bad_facts.or(no_facts).or(bad_order).or(bad_execution);
    let newest_event = newest.cast_unsigned();
    let facts = facts.into_iter().next();
    let loaded = Loaded { facts, orders, executions, newest_event, ..Loaded::default() };
    Ok((loaded, damaged))
}

/// The message of a row whose first columns are its body and sum.
pub(super) fn message<T: Message + Default>(row: &Row<'_>) -> rusqlite::Result<Option<T>> {
    let body = row.get_ref(0)?.as_blob()?;
    let good = sum(body) == row.get::<_, i64>(1)?;
    Ok(good.then(|| T::decode(body).ok()).flatten())
}

/// What the other columns say of orders whose bodies are damaged: enough for their owners to find and
/// to cancel them. What Gateway tells of them fills the rest.
fn outlines(
    connection: &Connection,
    known: &BTreeSet<i32>,
) -> Result<Vec<OrderRecord>, JournalError> {
    let read = || -> rusqlite::Result<Vec<OrderRecord>> {
        let sql = "SELECT order_id, owner, client_order_id, perm_id, state FROM orders";
        let mut query = connection.prepare(sql)?;
        let found = query.query_map([], |row| {
            let mut order = OrderRecord {
                order_id: row.get(0)?,
                owner: row.get(1)?,
                client_order_id: row.get(2)?,
                perm_id: row.get(3)?,
                state: row.get(4)?,
                because: "the rest of its row in the journal is damaged".into(),
                // It may have left.
                sending: Some(Sending::default()),
                ..OrderRecord::default()
            };
            let state = order.state();
            if !matches!(state, Filled | Cancelled | Rejected | NotSent) {
                order.set_known_state(state);
                order.set_state(Unknown);
            }
            Ok(order)
        })?;
        found.collect()
    };
    let mut found = read().map_err(JournalError::sqlite("read"))?;
    found.retain(|order| !known.contains(&order.order_id));
    Ok(found)
}

/// All messages of a table that are what was written, and the first row that is not; `fits`
/// compares each with the row's key.
fn rows<T: Message + Default>(
    connection: &Connection,
    table: &'static str,
    sql: &str,
    fits: impl Fn(&T, i64) -> bool,
) -> Result<(Vec<T>, Option<JournalError>), JournalError> {
    let read = || -> rusqlite::Result<Vec<Result<T, i64>>> {
        let mut query = connection.prepare(sql)?;
        let found = query.query_map([], |row| {
            let key = row.get::<_, i64>(2)?;
            Ok(message::<T>(row)?.filter(|message| fits(message, key)).ok_or(key))
        })?;
        found.collect()
    };
    let found = read().map_err(JournalError::sqlite("read"))?;
    let mut good = Vec::with_capacity(found.len());
    let mut bad = None;
    for row in found {
        match row {
            Ok(message) => good.push(message),
            Err(key) => bad = bad.or(Some(JournalError::Row { table, key })),
        }
    }
    Ok((good, bad))
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
