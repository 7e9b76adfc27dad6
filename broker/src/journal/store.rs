//! The journal's file, and one transaction on it.
//!
//! WAL with synchronous=FULL: a commit is on disk when it returns. The file is ours alone (0600),
//! is opened through no link, and must still be there, under its name, with its log, whenever it is
//! written: SQLite would go on writing into a file that was removed.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ibouncer_core::orders::journal::{Loaded, Write};
use ibouncer_proto::api::journal::v1::OrderRecord;
use ibouncer_proto::api::v1::OrderState;
use nix::fcntl::OFlag;
use nix::unistd::Uid;
use prost::Message;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};

use super::{JournalError, damage, load, schema};
use crate::places::fnv;

/// A person may look into the file with `sqlite3` meanwhile.
const BUSY: Duration = Duration::from_millis(500);

/// An open journal.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    /// The journal and its log (`-wal`), where the newest rows stand, and which files they are.
    files: [(PathBuf, Identity); 2],
}

/// Device and inode.
type Identity = (u64, u64);

impl Store {
    /// Opens or makes it, checks it, and reads what stands there. Without a store it must not be
    /// written to; what is damaged stands in what was read.
    pub(super) fn open(path: &Path) -> Result<(Option<Self>, Loaded), JournalError> {
        let identity = identity_of(&own_file(path)?, path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = connect(path, flags)?;
        // What cannot be trusted is not changed, not even by closing it.
        leave_untouched(&connection, true)?;
        let version = schema::version(&connection)?;
        load::check(&connection)?;
        let durable = "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;
                       PRAGMA checkpoint_fullfsync = ON; PRAGMA foreign_keys = OFF;";
        // A checkpoint writes each page once, however often it changed; more seldom is less work,
        // and less often does an order wait for it. In pages of 4 KiB, and in KiB.
        let roomy = "PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -16000;";
        let mode = connection
            .query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0))
            .and_then(|mode| connection.execute_batch(durable).map(|()| mode))
            .and_then(|mode| connection.execute_batch(roomy).map(|()| mode))
            .map_err(JournalError::sqlite("set up"))?;
        if mode != "wal" {
            let why = format!("its file system offers journal_mode {mode} and not wal");
            return Err(JournalError::Untrusted(why));
        }
        schema::migrate(&mut connection, version)?;
        let (mut loaded, damaged) = load::all(&connection)?;
        // The other orders are known all the same: their owners may cancel them.
        let damaged = match damaged {
            None => load::damaged_event(&connection)?,
            some => some,
        };
        let without_facts = matches!(damaged, Some(JournalError::Facts(_)));
        loaded.damaged = damaged.map(|error| damage::in_words(path, &error));
        if without_facts {
            // New facts would be in the place of those that a backup has.
            return Ok((None, loaded));
        }
        leave_untouched(&connection, false)?;
        // It is there from the first read on, and as long as the connection.
        let mut wal = path.as_os_str().to_owned();
        wal.push("-wal");
        let wal = PathBuf::from(wal);
        let of_wal = look_at(&wal)?;
        let files = [(path.to_owned(), identity), (wal, of_wal)];
        Ok((Some(Self { connection, files }), loaded))
    }

    /// All rows or none; on disk when it returns.
    pub(super) fn write<'a>(
        &mut self,
        rows: impl Iterator<Item = &'a Write>,
    ) -> Result<(), JournalError> {
        self.check_place()?;
        let rows: Vec<&Write> = rows.into_iter().collect();
        let written = self.transact(&rows);
        if written.is_err() && !self.connection.is_autocommit() {
            // SQLite has undone it by itself if this says that there is nothing to undo.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        written.map_err(JournalError::sqlite("write to"))
    }

    /// With statements that are kept: an order waits for this, and reading "COMMIT" anew takes
    /// as long as a row.
    fn transact(&self, rows: &[&Write]) -> rusqlite::Result<()> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        match rows {
            [] | [_] | [_, _] => rows.iter().try_for_each(|row| put(&self.connection, row))?,
            _ => newest(rows).try_for_each(|row| put(&self.connection, row))?,
        }
        self.connection.prepare_cached("COMMIT")?.execute([]).map(drop)
    }

    fn check_place(&self) -> Result<(), JournalError> {
        for (path, identity) in &self.files {
            if look_at(path)? != *identity {
                let path = path.display();
                let why =
                    format!("{path} was moved or replaced while the broker runs; put it back");
                return Err(JournalError::Untrusted(why));
            }
        }
        Ok(())
    }

    /// A full disk, for tests: the file takes no more pages.
    #[cfg(test)]
    pub(super) fn allow_no_more_pages(&self) {
        let pages: i64 =
            self.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        let set = format!("PRAGMA max_page_count = {pages}");
        self.connection.query_row(&set, [], |row| row.get::<_, i64>(0)).unwrap();
    }
}

/// Opens it through no link; the folder may be reached through one.
pub(super) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, JournalError> {
    let file = |source| JournalError::File { action: "open", path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new(".")).canonicalize().map_err(file)?;
    let real = folder.join(path.file_name().unwrap_or_default());
    let open = || {
        let connection =
            Connection::open_with_flags(real, flags | OpenFlags::SQLITE_OPEN_NOFOLLOW)?;
        connection.busy_timeout(BUSY)?;
        Ok(connection)
    };
    open().map_err(JournalError::sqlite("open"))
}

/// Checksum of a body.
pub(super) fn sum(body: &[u8]) -> i64 {
    fnv(body).cast_signed()
}

fn leave_untouched(connection: &Connection, on: bool) -> Result<(), JournalError> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, on)
        .map(drop)
        .map_err(JournalError::sqlite("set up"))
}

/// The file itself, made private, or refused.
fn own_file(path: &Path) -> Result<File, JournalError> {
    // One that was begun has a page at least, whatever happened then.
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.len() == 0) {
        let why = "the file is there and empty: it was cut, or what should have repaired it wrote \
                   nothing. If it is meant to be a new journal, remove it";
        return Err(JournalError::Untrusted(why.into()));
    }
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path);
    opened.map_err(|source| JournalError::File { action: "open", path: path.to_owned(), source })
}

/// Which file has this name now.
fn look_at(path: &Path) -> Result<Identity, JournalError> {
    let looked = std::fs::symlink_metadata(path);
    let file = |source| JournalError::File { action: "look at", path: path.to_owned(), source };
    looked.map(|metadata| (metadata.dev(), metadata.ino())).map_err(file)
}

fn identity_of(file: &File, path: &Path) -> Result<Identity, JournalError> {
    let looked = file.metadata();
    let metadata = looked.map_err(|source| JournalError::File {
        action: "look at",
        path: path.to_owned(),
        source,
    })?;
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if !metadata.is_file() || owner != Uid::effective().as_raw() || mode & 0o077 != 0 {
        let why = format!("it is not private: owner uid {owner}, mode {mode:04o}, not 0600");
        return Err(JournalError::Untrusted(why));
    }
    Ok((metadata.dev(), metadata.ino()))
}

/// The rows without orders that later rows of the same transaction write again. What has never
/// left is kept: the row behind it may be that of another order, which takes its name.
fn newest<'a>(rows: &[&'a Write]) -> impl Iterator<Item = &'a Write> {
    let mut last = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        if let Write::Order(order) = row {
            last.insert(order.order_id, at);
        }
    }
    rows.iter().enumerate().filter_map(move |(at, row)| match row {
        Write::Order(order)
            if last[&order.order_id] > at && order.state() != OrderState::NotSent =>
        {
            None
        }
        _ => Some(*row),
    })
}

fn put(change: &Connection, row: &Write) -> rusqlite::Result<()> {
    match row {
        Write::Facts(facts) => {
            let body = facts.encode_to_vec();
            let sql = "INSERT OR REPLACE INTO facts (one, body, sum) VALUES (1, ?1, ?2)";
            change.prepare_cached(sql)?.execute(params![body, sum(&body)])
        }
        Write::Order(order) => {
            return put_order(change, order);
        }
        Write::Execution(execution) => {
            let body = execution.encode_to_vec();
            let sql = "INSERT OR REPLACE INTO executions (exec_id, order_id, body, sum)
                       VALUES (?1, ?2, ?3, ?4)";
            change.prepare_cached(sql)?.execute(params![
                execution.exec_id,
                execution.order_id,
                body,
                sum(&body)
            ])
        }
        Write::Event(event) => {
            let body = event.encode_to_vec();
            let sql = "INSERT OR REPLACE INTO events (sequence, owner, body, sum)
                       VALUES (?1, ?2, ?3, ?4)";
            let sequence = event.sequence.cast_signed();
            change.prepare_cached(sql)?.execute(params![sequence, event.owner, body, sum(&body)])
        }
    }
    .map(drop)
}

fn put_order(change: &Connection, order: &OrderRecord) -> rusqlite::Result<()> {
    let body = order.encode_to_vec();
    let sum = sum(&body);
    let columns = params![
        order.order_id,
        order.owner,
        order.client_order_id,
        order.perm_id,
        order.state,
        body,
        sum
    ];
    // The first row of an order; if there is one already, or its name is taken, see below.
    if order.state() == OrderState::Intent {
        let sql = "INSERT INTO orders (order_id, owner, client_order_id, perm_id, state, body, sum)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        match change.prepare_cached(sql)?.execute(columns) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {}
            done => return done.map(drop),
        }
    }
    // An order's next state. Its name stands in an index, which is then let alone.
    let sql = "UPDATE orders SET perm_id = ?4, state = ?5, body = ?6, sum = ?7
               WHERE order_id = ?1 AND owner = ?2 AND client_order_id = ?3";
    if change.prepare_cached(sql)?.execute(columns)? > 0 {
        return Ok(());
    }
    // An order that never left gives its name to the next one.
    let sql = "DELETE FROM orders
               WHERE owner = ?1 AND client_order_id = ?2 AND client_order_id <> ''
               AND order_id <> ?3 AND state = ?4";
    let never_left = OrderState::NotSent as i32;
    let names = (&order.owner, &order.client_order_id, order.order_id, never_left);
    change.prepare_cached(sql)?.execute(names)?;
    // Not OR REPLACE, which would remove another order of the same name.
    let sql = "INSERT INTO orders (order_id, owner, client_order_id, perm_id, state, body, sum)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
               ON CONFLICT (order_id) DO UPDATE SET
                   owner = excluded.owner, client_order_id = excluded.client_order_id,
                   perm_id = excluded.perm_id, state = excluded.state,
                   body = excluded.body, sum = excluded.sum";
    change.prepare_cached(sql)?.execute(columns).map(drop)
}
