mod beside;
mod damage;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use bytes::Bytes;
use ibouncer_core::orders::journal::{
    EventRecord, ExecutionRecord, Facts, Halt, OrderRecord, Sending,
};
use ibouncer_proto::api::journal::v1::event_record::Event;
use ibouncer_proto::api::v1::OrderState;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("127.0.0.1_4002_410.orders.db");
    (folder, path)
}

fn facts(floor: i32) -> Write {
    let halt = Halt { reason: "lunch".into(), by: "risk".into(), since_ms: 7 };
    Write::Facts(Box::new(Facts {
        journal_id: "j1".into(),
        accounts: vec!["DU0000001".into()],
        floor,
        halts: [("momentum".to_owned(), halt)].into(),
        ..Facts::default()
    }))
}

fn order(order_id: i32, name: &str) -> Write {
    Write::Order(Box::new(OrderRecord {
        order_id,
        owner: "momentum".into(),
        client_order_id: name.into(),
        perm_id: 9_000_000_000,
        request: Bytes::from_static(&[1, 2, 0, 255]),
        sending: Some(Sending { epoch: 3, number: 9 }),
        ..OrderRecord::default()
    }))
}

fn execution(exec_id: &str) -> Write {
    Write::Execution(Box::new(ExecutionRecord {
        exec_id: exec_id.into(),
        order_id: 5,
        told: true,
        ..ExecutionRecord::default()
    }))
}

fn event(sequence: u64) -> Write {
    Write::Event(Box::new(EventRecord {
        sequence,
        owner: "momentum".into(),
        account: "DU0000001".into(),
        event: Some(Event::Order(vec![7; 900].into())),
    }))
}

async fn next(journal: &mut Journal) -> News {
    let soon = std::time::Duration::from_secs(30);
    tokio::time::timeout(soon, journal.news()).await.expect("news within 30 s")
}

async fn settle(journal: &mut Journal) -> Vec<News> {
    let mut all = Vec::new();
    while !journal.is_settled() {
        all.push(next(journal).await);
    }
    all
}

fn opened(path: &Path) -> (Journal, Loaded) {
    Journal::open(path).unwrap()
}

fn damage_of(path: &Path) -> String {
    let damaged = opened(path).1.damaged.unwrap();
    assert!(damaged.contains(&path.display().to_string()), "{damaged}");
    assert!(damaged.contains("Stop the broker"), "{damaged}");
    damaged
}

/// A journal with some hundred rows, closed, in one file.
async fn filled(path: &Path) {
    let (mut journal, _) = opened(path);
    let rows =
        (1..=300).flat_map(|id| [order(id, &format!("o{id}")), event(id.unsigned_abs().into())]);
    journal.write(1, std::iter::once(facts(1)).chain(rows).collect());
    journal.close().await;
    assert!(!path.with_extension("db-wal").exists(), "closed in order");
}

#[tokio::test]
async fn all_kinds_of_rows_come_back_as_they_were_written() {
    let (_folder, path) = place();
    let (mut journal, loaded) = opened(&path);
    assert_eq!(loaded, Loaded::default());
    journal.write(4, vec![facts(1), order(5, "a"), execution("e1"), event(1)]);
    journal.write(5, vec![facts(9), order(6, ""), order(7, ""), event(2)]);
    let later = OrderRecord { order_id: 5, owner: "momentum".into(), ..OrderRecord::default() };
    journal.write(6, vec![Write::Order(Box::new(later.clone()))]);
    let news = settle(&mut journal).await;
    assert_eq!(news.last(), Some(&News::Committed { through: 6 }));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(journal);

    let (journal, loaded) = opened(&path);
    assert_eq!(loaded.damaged, None);
    assert_eq!(loaded.newest_event, 2);
    assert_eq!(loaded.facts.map(|facts| Write::Facts(Box::new(facts))), Some(facts(9)));
    let orders: Vec<_> =
        loaded.orders.into_iter().map(|order| Write::Order(Box::new(order))).collect();
    assert_eq!(orders, [Write::Order(Box::new(later)), order(6, ""), order(7, "")]);
    let executions: Vec<_> =
        loaded.executions.into_iter().map(|one| Write::Execution(Box::new(one))).collect();
    assert_eq!(executions, [execution("e1")]);
    let events = journal.reader().events_after(1, 10).await.unwrap();
    assert_eq!(
        events.into_iter().map(|one| Write::Event(Box::new(one))).collect::<Vec<_>>(),
        [event(2)]
    );
    assert_eq!(journal.reader().events_after(0, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_waits_is_written_together_in_order_and_more_than_the_queue_takes_is_kept() {
    let (_folder, path) = place();
    let (mut journal, _) = opened(&path);
    // Somebody else's transaction keeps the thread busy while thousands of batches come.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for number in 1..=3000_u64 {
        let id = i32::try_from(number % 7).unwrap() + 1;
        journal.write(number, vec![event(number), order(id, &format!("o{id}"))]);
    }
    assert!(!journal.waiting.is_empty(), "more than the queue takes");
    other.execute_batch("COMMIT").unwrap();
    let news = settle(&mut journal).await;
    let committed: Vec<u64> = news
        .iter()
        .filter_map(|one| match one {
            News::Committed { through } => Some(*through),
            News::Failed { .. } | News::Damaged { .. } => None,
        })
        .collect();
    assert!(committed.is_sorted() && committed.last() == Some(&3000), "{committed:?}");
    assert!(committed.len() < 100, "{} transactions for 3000 batches", committed.len());
    let mut after = 0;
    for sequence in 1..=3000 {
        if sequence > after {
            let page = journal.reader().events_after(after, 1000).await.unwrap();
            assert!(page.iter().map(|one| one.sequence).eq(after + 1..=after + 1000));
            after += 1000;
        }
    }
}

#[tokio::test]
async fn a_full_disk_is_said_once_and_everything_is_written_when_there_is_room() {
    let (_folder, path) = place();
    let mut store = Store::open(&path).unwrap().0.unwrap();
    let rows: Vec<Write> = (1..=1000).map(event).collect();
    store.write(rows.iter()).unwrap();
    store.allow_no_more_pages();
    let mut journal = Journal::start(&path, Ok(store)).unwrap();
    for number in 1..=100 {
        journal.write(number, vec![event(1000 + number)]);
    }
    let mut news = next(&mut journal).await;
    while let News::Committed { through } = news {
        assert!(through < 100, "the disk is full");
        news = next(&mut journal).await;
    }
    let News::Failed { error } = news else { unreachable!() };
    assert!(error.contains("full"), "{error}");

    let other = Connection::open(&path).unwrap();
    other.execute_batch("DELETE FROM events WHERE sequence <= 1000").unwrap();
    assert!(matches!(settle(&mut journal).await.last(), Some(News::Committed { through: 100 })));
    let events = journal.reader().events_after(0, 1000).await.unwrap();
    assert!(events.iter().map(|one| one.sequence).eq(1001..=1100));
}

#[tokio::test]
async fn a_journal_that_is_not_what_was_written_is_left_alone_and_said() {
    let (_folder, path) = place();
    filled(&path).await;
    let good = std::fs::read(&path).unwrap();

    std::fs::write(&path, &good[..good.len() / 2]).unwrap();
    damage_of(&path);
    assert_eq!(std::fs::read(&path).unwrap(), good[..good.len() / 2], "it is left alone");

    std::fs::write(&path, [&[0x5a; 100], &good[100..]].concat()).unwrap();
    damage_of(&path);

    for page in 1..good.len() / 4096 {
        let mut torn = good.clone();
        torn[page * 4096..(page + 1) * 4096].fill(0xff);
        std::fs::write(&path, &torn).unwrap();
        assert!(opened(&path).1.damaged.is_some(), "page {page}");
    }

    // One bit of each order's body: SQLite does not notice, the checksum does.
    let mut flipped = good.clone();
    for at in 0..good.len() - 4 {
        // A page can hold old copies beside those that count.
        if good[at..at + 4] == [1, 2, 0, 255] {
            flipped[at] ^= 4;
        }
    }
    std::fs::write(&path, &flipped).unwrap();
    let damaged = damage_of(&path);
    assert!(damaged.contains("of its table orders"), "{damaged}");

    std::fs::write(&path, &good).unwrap();
    assert_eq!(opened(&path).1.orders.len(), 300);
}

#[tokio::test]
async fn a_journal_of_version_1_is_brought_to_this_one_with_all_that_it_holds() {
    let (_folder, path) = place();
    filled(&path).await;
    let before = opened(&path).1.orders;
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("DROP TABLE downstream_ids; DROP TABLE downstream_floors;").unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    drop(connection);
    look(&path).unwrap();
    assert_eq!(opened(&path).1.orders, before);
    let connection = Connection::open(&path).unwrap();
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    let places = connection.query_row("SELECT count(*) FROM downstream_ids", [], |row| row.get(0));
    assert_eq!((version.unwrap(), places.unwrap()), (2, 0_i64));
}

#[tokio::test]
async fn a_newer_version_and_a_foreign_database_are_refused_and_never_written() {
    let (_folder, path) = place();
    filled(&path).await;
    let connection = Connection::open(&path).unwrap();
    look(&path).unwrap();
    connection.pragma_update(None, "user_version", 9).unwrap();
    drop(connection);
    let damaged = damage_of(&path);
    assert!(damaged.contains("version 9") && damaged.contains("newer"), "{damaged}");
    assert!(look(&path).is_err());
    let (mut journal, _) = opened(&path);
    journal.write(1, vec![event(900)]);
    assert!(matches!(next(&mut journal).await, News::Failed { .. }));

    let (_folder, path) = place();
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE mine (x)").unwrap();
    drop(connection);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(damage_of(&path).contains("something else"));
}

#[tokio::test]
async fn a_file_that_is_not_ours_alone_or_is_a_link_is_refused() {
    let (folder, path) = place();
    filled(&path).await;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(damage_of(&path).contains("mode 0640"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let link = folder.path().join("link.orders.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    damage_of(&link);
    damage_of(&folder.path().join("no/such/folder.db"));
}

#[tokio::test]
async fn a_file_that_is_moved_away_under_us_is_not_written_on() {
    let (folder, path) = place();
    let (mut journal, _) = opened(&path);
    // The newest rows stand in the second of them only.
    let name = path.file_name().unwrap().to_str().unwrap();
    for (number, name) in [(1, name.to_owned()), (2, format!("{name}-wal"))] {
        let (path, away) = (folder.path().join(&name), folder.path().join("away.db"));
        std::fs::rename(&path, &away).unwrap();
        journal.write(number, vec![event(number)]);
        let News::Failed { error } = next(&mut journal).await else { panic!("written") };
        assert!(error.contains(&name), "{error}");
        std::fs::rename(&away, &path).unwrap();
        assert_eq!(next(&mut journal).await, News::Committed { through: number });
    }
}

/// A person was wrong about the first of them, perhaps.
#[tokio::test]
async fn an_order_keeps_its_row_when_its_name_goes_to_another_one() {
    let (_folder, path) = place();
    let row = |order_id: i32, name: &str, state: OrderState| {
        let record = OrderRecord {
            order_id,
            owner: "momentum".into(),
            client_order_id: name.into(),
            state: state.into(),
            ..OrderRecord::default()
        };
        Write::Order(Box::new(record))
    };
    let (mut journal, _) = opened(&path);
    journal.write(1, vec![row(5, "a", OrderState::NotSent)]);
    journal.write(2, vec![row(5, "a#5", OrderState::NotSent), row(6, "a", OrderState::Intent)]);
    while next(&mut journal).await != (News::Committed { through: 2 }) {}
    journal.close().await;
    let (_, loaded) = opened(&path);
    let names: Vec<_> =
        loaded.orders.iter().map(|one| (one.order_id, one.client_order_id.as_str())).collect();
    assert_eq!(names, [(5, "a#5"), (6, "a")]);
}

/// Two orders of one name, of which the first never left, and each with several states.
#[tokio::test]
async fn rows_that_are_written_together_leave_what_they_leave_when_written_apart() {
    let row = |order_id: i32, name: &str, state: OrderState, perm_id: i64| {
        let record = OrderRecord {
            order_id,
            owner: "momentum".into(),
            client_order_id: name.into(),
            state: state.into(),
            perm_id,
            ..OrderRecord::default()
        };
        Write::Order(Box::new(record))
    };
    let rows = [
        row(5, "a", OrderState::Intent, 0),
        row(6, "b", OrderState::Intent, 0),
        row(5, "a", OrderState::NotSent, 0),
        row(7, "a", OrderState::Intent, 0),
        row(6, "b", OrderState::Sent, 0),
        row(7, "a", OrderState::Sent, 0),
        row(6, "b", OrderState::Working, 3_000_000_001),
        row(6, "renamed", OrderState::Working, 3_000_000_001),
    ];
    let apart = rows.iter().map(|row| vec![row.clone()]).collect();
    let mut found = Vec::new();
    for batches in [vec![rows.to_vec()], apart] {
        let (_folder, path) = place();
        let mut store = Store::open(&path).unwrap().0.unwrap();
        for batch in &batches {
            store.write(batch.iter()).unwrap();
        }
        drop(store);
        found.push(opened(&path).1.orders);
    }
    assert_eq!(found[0], found[1]);
    let told: Vec<_> =
        found[0].iter().map(|one| (one.order_id, &*one.client_order_id, one.state())).collect();
    assert_eq!(told, [(6, "renamed", OrderState::Working), (7, "a", OrderState::Sent)]);
}
