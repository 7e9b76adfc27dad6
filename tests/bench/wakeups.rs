//! One hundred lines to 1, 8, 64 and 256 clients at 1 000 ticks/s: what the broker spends on each
//! wake-up of a client.
//!
//! Several rounds of all numbers in turn, since machines differ from minute to minute; all of it
//! once with the cores as they are, and once with cores that are kept awake. A batch costs the same
//! once, however many get it; so there is also what each client more costs.

use std::collections::BTreeMap;

use crate::Lengths;
use crate::awake::Awake;
use crate::fanout::{CLIENTS, Spent, measure};

const RATE: u64 = 1_000;

pub(crate) async fn run(lengths: Lengths) {
    rounds("", lengths).await;
    if let Some(_awake) = Awake::keep() {
        rounds(", cores kept awake", lengths).await;
    }
}

async fn rounds(how: &str, lengths: Lengths) {
    let Lengths { pairs: rounds, fan, .. } = lengths;
    println!("\n100 lines at {RATE} ticks/s{how}, {rounds} rounds of {fan:?} each");
    println!(
        "{:>8} {:>13} {:>12} {:>12} {:>13} {:>12}",
        "clients", "delivered/s", "broker core", "worker core", "wake-ups/s", "us/wake-up"
    );
    let mut seen = BTreeMap::<u64, Vec<Spent>>::new();
    for _ in 0..rounds {
        for clients in CLIENTS {
            let spent = measure(RATE, clients, fan).await;
            println!(
                "{clients:>8} {:>13.0} {:>10.2} % {:>10.2} % {:>13.0} {:>12.2}",
                spent.delivered,
                spent.core * 100.0,
                spent.worker * 100.0,
                spent.batches,
                each(&spent)
            );
            seen.entry(clients).or_default().push(spent);
        }
    }
    let mut fewer = None;
    for (clients, spent) in seen {
        let [least, median, most] = spread(spent.iter().map(each).collect());
        print!("{clients:>8} clients: {median:.2} us/wake-up (least {least:.2}, most {most:.2})");
        // All of them together, for one batch.
        let batch = median * clients as f64;
        if let Some((fewer, its)) = fewer.replace((clients, batch)) {
            print!("; each client more {:.2}", (batch - its) / (clients - fewer) as f64);
        }
        println!();
    }
}

/// Microseconds of the broker for each wake-up.
fn each(spent: &Spent) -> f64 {
    spent.core * 1e6 / spent.batches
}

/// The least, the median and the most.
fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}
