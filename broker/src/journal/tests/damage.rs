//! Rows that are not what was written: found, said with what helps, and mended by just that.

use super::*;

/// Changes one bit of the body of the row where this holds.
fn flip(path: &Path, table: &str, which: &str) {
    let connection = Connection::open(path).unwrap();
    let mut body: Vec<u8> = connection
        .query_row(&format!("SELECT body FROM {table} WHERE {which}"), [], |row| row.get(0))
        .unwrap();
    *body.last_mut().unwrap() ^= 1;
    let sql = format!("UPDATE {table} SET body = ?1 WHERE {which}");
    assert_eq!(connection.execute(&sql, [body]).unwrap(), 1);
}

/// The statement that the words tell a person to run.
fn statement(words: &str) -> &str {
    let (_, behind) = words.split_once("'DELETE").expect("a statement");
    let (statement, _) = behind.split_once('\'').unwrap();
    &words[words.len() - behind.len() - "DELETE".len()..][..statement.len() + "DELETE".len()]
}

#[tokio::test]
async fn a_damaged_row_is_found_at_the_start_and_what_is_said_mends_it() {
    for (table, which) in
        [("orders", "order_id = 7"), ("executions", "order_id = 5"), ("events", "sequence = 9")]
    {
        let (_folder, path) = place();
        filled(&path).await;
        let (mut journal, _) = opened(&path);
        journal.write(2, vec![execution("e1")]);
        journal.close().await;
        flip(&path, table, which);
        let loaded = opened(&path).1;
        let words = loaded.damaged.unwrap();
        assert!(words.contains(&format!("of its table {table}")), "{words}");
        assert_eq!(loaded.orders.len(), 300, "all can be cancelled by their owners");
        if table == "orders" {
            let outline = loaded.orders.iter().find(|order| order.order_id == 7).unwrap();
            assert_eq!(outline.client_order_id, "o7");
            assert_eq!(outline.state(), OrderState::Unknown);
        }
        let said = statement(&words);
        assert!(said.ends_with(which), "{said}");
        let connection = Connection::open(&path).unwrap();
        assert_eq!(connection.execute(said, []).unwrap(), 1);
        drop(connection);
        assert_eq!(opened(&path).1.damaged, None, "{table}");
    }
}

#[tokio::test]
async fn an_event_that_is_damaged_while_the_broker_runs_is_told_once() {
    let (_folder, path) = place();
    filled(&path).await;
    let (mut journal, loaded) = opened(&path);
    assert_eq!(loaded.damaged, None);
    flip(&path, "events", "sequence = 9");
    for _ in 0..2 {
        let error = journal.reader().events_after(0, 100).await.unwrap_err();
        assert!(matches!(error, JournalError::Row { table: "events", key: 9 }), "{error:?}");
    }
    let News::Damaged { words } = next(&mut journal).await else { panic!("no damage") };
    assert!(words.contains("sequence = 9"), "{words}");
    journal.write(2, vec![event(1_000)]);
    assert_eq!(next(&mut journal).await, News::Committed { through: 2 }, "it is written on");
}

#[tokio::test]
async fn a_row_that_the_tables_do_not_take_is_damage_and_no_full_disk() {
    let (_folder, path) = place();
    let (mut journal, _) = opened(&path);
    let connection = Connection::open(&path).unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON events
                  BEGIN SELECT RAISE(ABORT, 'no event'); END";
    connection.execute_batch(refuse).unwrap();
    journal.write(1, vec![event(1)]);
    let told = [next(&mut journal).await, next(&mut journal).await];
    let damaged = |one: &News| matches!(one, News::Damaged { words } if words.contains("no event"));
    assert!(told.iter().any(damaged), "{told:?}");
    assert!(told.iter().any(|one| matches!(one, News::Failed { .. })), "{told:?}");
    connection.execute_batch("DROP TRIGGER refuse").unwrap();
    assert_eq!(next(&mut journal).await, News::Committed { through: 1 }, "nothing was dropped");
}

#[tokio::test]
async fn without_its_facts_nothing_is_written_and_orders_are_known() {
    for harm in ["DELETE FROM facts", "UPDATE facts SET sum = sum + 1"] {
        let (_folder, path) = place();
        filled(&path).await;
        let (mut journal, _) = opened(&path);
        journal.write(2, vec![facts(1)]);
        journal.close().await;
        Connection::open(&path).unwrap().execute_batch(harm).unwrap();
        let (mut journal, loaded) = opened(&path);
        assert_eq!((loaded.orders.len(), loaded.facts, loaded.blind), (300, None, false), "{harm}");
        let words = loaded.damaged.unwrap();
        assert!(words.contains("facts") && words.contains("backup"), "{words}");
        journal.write(3, vec![facts(2)]);
        assert!(matches!(next(&mut journal).await, News::Failed { .. }), "halts would be lost");
    }
}

#[tokio::test]
async fn an_empty_file_in_the_place_of_a_journal_is_no_new_journal() {
    let (_folder, path) = place();
    filled(&path).await;
    std::fs::write(&path, "").unwrap();
    let loaded = opened(&path).1;
    assert!(loaded.damaged.unwrap().contains("empty"));
    assert!(loaded.blind);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
}
