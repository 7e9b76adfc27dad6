//! A new journal beside others.

use super::*;

#[tokio::test]
async fn a_new_journal_says_which_others_of_its_client_id_hold_orders() {
    let (folder, path) = place();
    let at = |name: &str| folder.path().join(name);
    filled(&at("127.0.0.1_4001_410.orders.db")).await;
    filled(&at("127.0.0.1_4001_411.orders.db")).await;
    // Somebody serves another Gateway just now.
    let (mut busy, _) = opened(&at("__1_4001_410.orders.db"));
    busy.write(1, vec![facts(1), order(5, "a")]);
    settle(&mut busy).await;
    let (mut without, _) = opened(&at("127.0.0.1_4003_410.orders.db"));
    without.write(1, vec![facts(1)]);
    settle(&mut without).await;
    std::fs::write(at("127.0.0.1_4004_410.orders.db"), "no database").unwrap();

    let (mut journal, loaded) = opened(&path);
    let names = |loaded: &Loaded| -> Vec<(String, Vec<String>)> {
        let name = |path: &str| Path::new(path).file_name().unwrap().to_str().unwrap().to_owned();
        loaded.beside.iter().map(|one| (name(&one.path), one.accounts.clone())).collect()
    };
    let ours = || vec!["DU0000001".to_owned()];
    let expected = [
        ("127.0.0.1_4001_410.orders.db".to_owned(), ours()),
        ("127.0.0.1_4004_410.orders.db".to_owned(), Vec::new()),
        ("__1_4001_410.orders.db".to_owned(), ours()),
    ];
    assert_eq!(names(&loaded), expected);
    assert!(loaded.beside.iter().all(|one| Path::new(&one.new) == path));
    let untouched = std::fs::read(at("127.0.0.1_4004_410.orders.db")).unwrap();
    assert_eq!(untouched, b"no database");

    // Once it belongs to a login it is not new any more.
    journal.write(1, vec![facts(1)]);
    settle(&mut journal).await;
    journal.close().await;
    assert!(opened(&path).1.beside.is_empty());
}
