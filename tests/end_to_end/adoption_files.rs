//! Files that a broker left, lost or broken: the live session is taken over all the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::adoption::{check_same, lock_of, ready};
use super::sim;
use super::stream::{Reader, connect};

#[test]
fn files_that_are_lost_or_broken_are_moved_aside_and_start_no_second_worker() {
    type Wreck = (&'static str, fn(&Path));
    let wreck: [Wreck; 5] = [
        ("worker.json", |path| fs::remove_file(path).unwrap()),
        ("worker.json", |path| fs::write(path, "{\"schema\":1,").unwrap()),
        ("worker.json", |path| {
            let text = fs::read_to_string(path).unwrap().replace("\"schema\":1", "\"schema\":99");
            fs::write(path, text).unwrap();
        }),
        ("attempts.json", |path| fs::write(path, "no ledger").unwrap()),
        ("requests", |path| fs::write(path, "+1\n?\n\n+x\n").unwrap()),
    ];
    for (name, wreck) in wreck {
        let sim = sim(&[]);
        let (mut broker, worker) = ready(&sim);
        broker.kill();
        wreck(&lock_of(&broker, &sim, name));
        let next = broker.successor().announce_error("cannot be trusted").start();
        check_same(&next, &sim, worker, 1);
        let moved = fs::read_dir(next.home().locks())
            .unwrap()
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().contains("bad-"));
        let readable = ["requests"].contains(&name) || !lock_of(&next, &sim, name).exists();
        assert!(moved || readable || name == "worker.json", "{name} is kept for a look");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_ledger_does_not_bring_the_numbers_of_old_requests_back() {
    let wrecks: [fn(&Path); 2] =
        [|path| fs::write(path, "no ledger").unwrap(), |path| fs::remove_file(path).unwrap()];
    for wreck in wrecks {
        let sim = sim(&["--rate", "5000"]);
        let (mut broker, worker) = ready(&sim);
        {
            let client = connect(&broker).await;
            let mut reader = Reader::open(&client).await;
            for symbol in ["AAPL", "MSFT", "SPY"] {
                reader.stock(symbol).await;
            }
            reader.live_tick().await;
            sim.wait_requests("REQ_MKT_DATA", 3);
            broker.kill();
        }
        wreck(&lock_of(&broker, &sim, "attempts.json"));
        let next = broker.successor().announce_error("cannot be trusted").start();
        check_same(&next, &sim, worker, 1);
        let client = connect(&next).await;
        let mut reader = Reader::open(&client).await;
        for symbol in ["GOOGL", "AMZN", "NVDA"] {
            reader.stock(symbol).await;
        }
        reader.live_tick().await;
        let asked = sim.wait_requests("REQ_MKT_DATA", 6);
        let number = |request: &serde_json::Value| request["request_id"].as_i64().unwrap();
        let numbers: BTreeSet<i64> = asked.iter().map(number).collect();
        assert_eq!(numbers.len(), 6, "none is used twice: {asked:?}");
        let first = asked[..3].iter().map(number).max().unwrap();
        assert!(asked[3..].iter().all(|one| (number(one) - first).abs() > 900_000), "{asked:?}");
    }
}
