//! The tables, and the steps that led to them.
//!
//! The body of a row is its protobuf message, whole (`ibouncer/journal/v1/journal.proto`); `sum`
//! tells whether it is what was written. The other columns repeat what people and indexes need.

use rusqlite::{Connection, TransactionBehavior};

use super::JournalError;

/// One step a version; step 0 leads to version 1. A step that was published never changes.
const STEPS: [&str; 2] = [
    "
    CREATE TABLE facts (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        body BLOB NOT NULL,
        sum INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE orders (
        order_id INTEGER PRIMARY KEY,
        owner TEXT NOT NULL,
        client_order_id TEXT NOT NULL,
        perm_id INTEGER NOT NULL,
        state INTEGER NOT NULL,
        body BLOB NOT NULL,
        sum INTEGER NOT NULL
    ) STRICT;
    -- Orders that Gateway makes of another one may have no name.
    CREATE UNIQUE INDEX orders_by_name ON orders (owner, client_order_id)
        WHERE client_order_id <> '';
    CREATE TABLE executions (
        exec_id TEXT PRIMARY KEY,
        order_id INTEGER NOT NULL,
        body BLOB NOT NULL,
        sum INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE events (
        sequence INTEGER PRIMARY KEY,
        owner TEXT NOT NULL,
        body BLOB NOT NULL,
        sum INTEGER NOT NULL
    ) STRICT;
",
    // The place of the ids that programs on the TWS port will give their orders: which order each one
    // is, and the newest that each program has used. Nothing is written here before there is that port.
    "
    CREATE TABLE downstream_ids (
        owner TEXT NOT NULL,
        client_id INTEGER NOT NULL,
        downstream_id INTEGER NOT NULL,
        order_id INTEGER NOT NULL,
        PRIMARY KEY (owner, client_id, downstream_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE downstream_floors (
        owner TEXT NOT NULL,
        client_id INTEGER NOT NULL,
        floor INTEGER NOT NULL,
        PRIMARY KEY (owner, client_id)
    ) STRICT, WITHOUT ROWID;
",
];

/// The version that this build writes.
pub(super) const VERSION: usize = STEPS.len();

/// Version of what stands there, 0 if nothing does; refused if it is not ours, or newer than we
/// know. Changes nothing.
pub(super) fn version(connection: &Connection) -> Result<usize, JournalError> {
    let look = JournalError::sqlite("look at");
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let both = number("PRAGMA user_version")
        .and_then(|version| Ok((version, number("SELECT count(*) FROM sqlite_schema")?)));
    let (version, tables) = both.map_err(look)?;
    match usize::try_from(version) {
        Ok(0) if tables > 0 => {
            Err(JournalError::Untrusted("it is a database of something else".into()))
        }
        Ok(known) if known <= VERSION => Ok(known),
        _ => Err(JournalError::Untrusted(format!(
            "it has version {version}, and this build knows versions up to {VERSION}: a newer \
             build has written it; use that one"
        ))),
    }
}

/// Takes the steps that are missing, each whole or not at all.
pub(super) fn migrate(connection: &mut Connection, from: usize) -> Result<(), JournalError> {
    for (at, step) in STEPS.iter().enumerate().skip(from) {
        let mut take = || -> rusqlite::Result<()> {
            let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            change.execute_batch(step)?;
            let version = i64::try_from(at + 1).unwrap_or(i64::MAX);
            change.pragma_update(None, "user_version", version)?;
            change.commit()
        };
        take().map_err(JournalError::sqlite("make the tables of"))?;
    }
    Ok(())
}
