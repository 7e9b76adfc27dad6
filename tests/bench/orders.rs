//! What an order costs: from the call to Gateway's socket, with the journal synced, beside one
//! synced commit of SQLite and a call that sends nothing, in turns; and how many leave in a second.
//!
//! Pacing is lifted on both sides for this, and so is the limit of requests: a real Gateway takes 50
//! messages a second. The simulator fills nothing here (`--manual-fills`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use ibouncer_client::api::{OrderEvent, OrderScope, OrderState};

use ibouncer_client::{Client, OrderStream, contract, order};
use ibouncer_tests::harness::{Broker, BrokerPlan, Sim};
use rusqlite::Connection;

use crate::awake::Awake;
use crate::tap::Tap;
use crate::{Lengths, binary};

const WARM_UP: usize = 50;

/// Calls under way at once, in the second part.
const AT_ONCE: usize = 256;

pub(crate) async fn run(lengths: Lengths) {
    {
        let sim = sim();
        let mut tap = Tap::start(sim.address());
        let (broker, client) = trading(&tap.address.to_string()).await;
        let disk = Disk::beside(&broker);
        one_by_one("", &client, &disk, &mut tap, lengths.pairs * 100).await;
        if let Some(_awake) = Awake::keep() {
            let awake = ", cores kept awake";
            one_by_one(awake, &client, &disk, &mut tap, lengths.pairs * 100).await;
        }
        halts(&client, lengths.pairs * 10).await;
    }
    let sim = sim();
    let (_broker, client) = trading(sim.address()).await;
    many(&client, lengths.peer).await;
}

fn sim() -> Sim {
    let arguments = [
        "--manual-fills",
        "--limit",
        "message_rate=off",
        "--limit",
        "active_orders=off",
        // A new journal beside one of another program would halt trading.
        "--no-orders",
    ];
    Sim::start(binary(), &arguments)
}

/// A broker in front of this, and a client that may trade.
async fn trading(gateway: &str) -> (Broker, Client) {
    let broker = plan(gateway).start();
    broker.wait_ready();
    broker.wait_status("trading is open", |status| status["trading"] == "on");
    let options = broker.home().options().client_name("bench");
    let client = Client::connect(options).await.unwrap();
    (broker, client)
}

fn plan(gateway: &str) -> BrokerPlan {
    let uid = nix::unistd::Uid::effective();
    Broker::plan(binary(), gateway)
        .set("trading.enabled=true")
        .set("trading.volatile_state=allow")
        .set("pacing.messages_per_second=0")
        .set("limits.requests_per_second=1000000")
        .set("limits.calls=100000")
        .set("clients.bench.role=trade")
        .set(&format!("clients.bench.uid={uid}"))
}

/// Order, look and commit in turns. Each begins when Gateway's word on the order is on disk, so
/// that none of them waits for work that another one left behind.
async fn one_by_one(how: &str, client: &Client, disk: &Disk, tap: &mut Tap, rounds: usize) {
    let orders = client.orders();
    let mut watch = orders.watch(None, OrderScope::Own).await.unwrap();
    let none = Histogram::<u64>::new(3).unwrap();
    let [mut left, mut placed, mut looked, mut committed] = [(); 4].map(|()| none.clone());
    for round in 0..rounds + WARM_UP {
        let name = format!("one-{}-{round}", how.len());
        let named =
            order::named(name.as_str(), contract::stock("AAPL"), order::limit("BUY", "1", 1.0));
        let begin = Instant::now();
        orders.place(named).await.unwrap();
        let placing = begin.elapsed();
        let leaving = tap.orders.recv().await.unwrap() - begin;
        until_working(&mut watch, &name).await;
        let begin = Instant::now();
        orders.get("", name).await.unwrap();
        let looking = begin.elapsed();
        let committing = disk.commit(round);
        if round >= WARM_UP {
            for (times, took) in [
                (&mut left, leaving),
                (&mut placed, placing),
                (&mut looked, looking),
                (&mut committed, committing),
            ] {
                times.record(took.as_micros() as u64).unwrap();
            }
        }
    }
    println!("\nOne order after another, {rounds} of each, in turns{how}");
    println!("{:<34} {:>8} {:>8} {:>8}", "us", "p50", "p90", "p99");
    for (what, times) in [
        ("PlaceOrder: call to Gateway", &left),
        ("PlaceOrder: call to answer", &placed),
        ("GetOrder: call to answer", &looked),
        ("one FULL commit of SQLite", &committed),
    ] {
        let at = |part: f64| times.value_at_quantile(part);
        println!("{what:<34} {:>8} {:>8} {:>8}", at(0.5), at(0.9), at(0.99));
    }
    let median = |times: &Histogram<u64>| times.value_at_quantile(0.5) as i64;
    let commit = median(&committed);
    println!(
        "order to wire, by medians: call to Gateway is {} us more than one commit of {commit} us, \
         and {} us more without what a call costs in any case (less GetOrder)",
        median(&left) - commit,
        median(&left) - median(&looked) - commit
    );
}

/// Gateway has told of this order, and that is on disk.
async fn until_working(watch: &mut OrderStream, name: &str) {
    loop {
        let events = watch.next().await.unwrap().unwrap();
        let told = |event: &OrderEvent| {
            let order = event.order.as_ref().filter(|order| order.client_order_id == name);
            order.is_some_and(|order| order.state() == OrderState::Working)
        };
        if events.iter().any(told) {
            return;
        }
    }
}

/// From an operator's word until an order is refused because of it.
async fn halts(client: &Client, rounds: usize) {
    let mut took = Histogram::<u64>::new(3).unwrap();
    for round in 0..rounds {
        let begin = Instant::now();
        client.admin().halt_trading("bench", false, "a benchmark").await.unwrap();
        let order = order::limit("BUY", "1", 1.0);
        let named = order::named(format!("halted-{round}"), contract::stock("AAPL"), order);
        let refused = client.orders().place(named).await.unwrap_err();
        took.record(begin.elapsed().as_micros() as u64).unwrap();
        assert_eq!(refused.code(), "TRADING_HALTED");
        client.admin().resume_trading("bench", "a benchmark").await.unwrap();
    }
    println!(
        "halt, until an order is refused, {rounds} times: p50 {} us, p99 {} us",
        took.value_at_quantile(0.5),
        took.value_at_quantile(0.99)
    );
}

/// As many as can.
async fn many(client: &Client, length: Duration) {
    let left = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|task| {
            let (orders, left) = (client.orders(), Arc::clone(&left));
            tokio::spawn(async move {
                for number in 0.. {
                    if begin.elapsed() >= length {
                        break;
                    }
                    let name = format!("many-{task}-{number}");
                    let order = order::limit("BUY", "1", 1.0);
                    orders.place(order::named(name, contract::stock("AAPL"), order)).await.unwrap();
                    left.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let took = begin.elapsed().as_secs_f64();
    let left = left.load(Ordering::Relaxed);
    println!(
        "{AT_ONCE} calls at once for {:.1} s: {left} orders, {:.0} orders/s (pacing lifted on both \
         sides)",
        took,
        left as f64 / took
    );
}

/// A database of its own, on the same disk as the journal.
struct Disk(Connection);

impl Disk {
    fn beside(broker: &Broker) -> Self {
        let connection = Connection::open(broker.home().path().join("beside.db")).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.pragma_update(None, "synchronous", "FULL").unwrap();
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB)", []).unwrap();
        Self(connection)
    }

    /// A row as large as an order's with its event.
    fn commit(&self, round: usize) -> Duration {
        let body = vec![round as u8; 700];
        let begin = Instant::now();
        self.0.execute("INSERT INTO rows (body) VALUES (?1)", [body]).unwrap();
        begin.elapsed()
    }
}
