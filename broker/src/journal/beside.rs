//! Journals of the same client id that lie beside a new one.
//!
//! A journal's file is named after Gateway's address. Where that has changed, the orders of before
//! are in another file of the folder. Those are read here, and never written.

use std::path::Path;

use ibouncer_core::orders::journal::{Beside, Facts};
use rusqlite::{Connection, OpenFlags};

use super::load::message;
use super::store::connect;
use super::{JournalError, schema};

/// All with orders in them, by name, and those that cannot be read.
pub(super) fn find(new: &Path) -> Vec<Beside> {
    let mut found = Vec::new();
    let Some((folder, own)) = new.parent().zip(new.file_name().and_then(|name| name.to_str()))
    else {
        return found;
    };
    // ADDRESS_CLIENT.orders.db
    let Some((_, ending)) = own.rsplit_once('_') else {
        return found;
    };
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_alike = |name: &str| name.rsplit_once('_').is_some_and(|(_, of)| of == ending);
        if !name.to_str().is_some_and(|name| name != own && is_alike(name)) {
            continue;
        }
        let path = entry.path();
        let accounts = match look(&path) {
            Ok(Some(facts)) => facts.accounts,
            Ok(None) => continue,
            Err(error) => {
                let error = crate::chain(&error);
                tracing::warn!(path = %path.display(), error, "a journal beside cannot be read");
                Vec::new()
            }
        };
        let (path, new) = (path.display().to_string(), new.display().to_string());
        found.push(Beside { path, new, accounts });
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// Its facts, if it holds orders.
fn look(path: &Path) -> Result<Option<Facts>, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = connect(path, flags)?;
    if schema::version(&connection)? == 0 {
        return Ok(None);
    }
    let orders = |connection: &Connection| {
        connection.query_row("SELECT EXISTS (SELECT 1 FROM orders)", [], |row| row.get(0))
    };
    if !orders(&connection).map_err(JournalError::sqlite("read"))? {
        return Ok(None);
    }
    let facts = connection.query_row("SELECT body, sum FROM facts", [], message::<Facts>);
    let facts = facts.map_err(JournalError::sqlite("read"))?;
    facts.map(Some).ok_or(JournalError::Row { table: "facts", key: 1 })
}
