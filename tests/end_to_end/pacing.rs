//! What leaves for Gateway, and when: a crowd that asks for everything at once never makes it
//! refuse anything. The simulator keeps the rules as Gateway does, and says when one was broken.

use std::time::Duration;

use ibouncer_client::api::market_data_event::Body;
use ibouncer_client::api::{MarkKind, MarketDataEvent};
use ibouncer_client::{
    BarRequest, Client, LineRequest, SubscriptionId, TickKind, contract, order, tws,
};
use ibouncer_tests::harness::machine::Whole;
use ibouncer_tests::harness::wait::PATIENCE;
use ibouncer_tests::harness::{Principal, Sim, machine};
use serde_json::Value;

use super::stream::{Reader, connect, is_tick};
use super::{binary, plan, sim};

const CLIENTS: u32 = 40;

/// Every fifth of the histories is one that another client asks for too.
const HISTORIES: u32 = 500;

/// Each client subscribes to so many, and leaves each.
const SUBSCRIPTIONS: u32 = 5;

const SYMBOLS: [&str; 10] =
    ["AAPL", "MSFT", "NVDA", "AMZN", "GOOGL", "META", "TSLA", "AVGO", "JPM", "LLY"];

/// All of it leaves at 40 a second.
const ALL: Duration = Duration::from_secs(90);

/// No rule of Gateway was in the way of a request.
fn check_unbroken(report: &Value) {
    let limits = report["limits"].as_object().expect("the report counts limits");
    assert!(limits.values().all(|count| *count == 0), "Gateway had to refuse: {limits:?}");
}

/// Bars like nobody else's, but every fifth; all of them at once. Few bars each: a simulator that
/// computes thousands reads late, and then counts in heaps what came evenly.
async fn histories(client: Client, number: u32) -> u32 {
    let mut calls = tokio::task::JoinSet::new();
    for turn in 0..HISTORIES / CLIENTS + u32::from(number < HISTORIES % CLIENTS) {
        let days = if turn % 5 == 0 { 1 } else { 1 + turn };
        let symbol = SYMBOLS[(number % 10) as usize];
        let end = if turn % 5 == 0 {
            String::new()
        } else {
            format!("202511{:02} {}:00:00 US/Eastern", 1 + number % 20, 15 + number / 20)
        };
        let request =
            BarRequest::new(contract::stock(symbol), format!("{days} D"), "1 hour").until(end);
        let client = client.clone();
        calls.spawn(async move { client.history().bars(request).await.unwrap().bars.len() });
    }
    let answers = calls.join_all().await;
    assert!(answers.iter().all(|bars| *bars > 0));
    answers.len() as u32
}

/// Subscribes to all at once, waits for data of each, and leaves each.
async fn changes(client: Client, number: u32) -> u32 {
    let mut reader = Reader::open(&client).await;
    for turn in 0..SUBSCRIPTIONS {
        let symbol = SYMBOLS[((number + turn) % 10) as usize];
        // 200 lines that nobody shares, of 100 that there are.
        let generic = format!("{},{}", 100 + number, 200 + turn);
        let wanted = LineRequest::new(contract::stock(symbol)).generic_ticks(generic);
        reader.stream.subscribe_to(wanted.wait_for_line()).await.unwrap();
    }
    let mut left = std::collections::BTreeSet::new();
    let mut ended = 0;
    while ended < SUBSCRIPTIONS {
        let event = reader.next().await.expect("the stream goes on");
        match &event.body {
            Some(Body::Mark(mark)) if mark.kind() == MarkKind::Ended => {
                assert_eq!(mark.error, None, "nothing is refused");
                ended += 1;
            }
            _ if is_tick(&event) && left.insert(event.subscription_id) => {
                let id = SubscriptionId(event.subscription_id);
                reader.stream.unsubscribe(id).await.unwrap();
            }
            _ => {}
        }
    }
    ended
}

/// Orders that are cancelled while everything else waits.
const ORDERS: usize = 5;

/// Messages that the broker sent, by its own count.
async fn sent(client: &Client) -> u64 {
    client.status().await.unwrap().counters["ibouncer_upstream_messages_sent_total"]
}

/// Places orders that rest; answers with their names, and how many messages Gateway saw that the
/// broker does not count.
async fn resting_orders(sim: &Sim, trader: &Client) -> (Vec<String>, i64) {
    let mut names = Vec::new();
    for number in 0..ORDERS {
        let name = format!("rests-{number}");
        let order = order::limit("BUY", "1", 1.0);
        trader.orders().place(order::named(&name, contract::stock("AAPL"), order)).await.unwrap();
        names.push(name);
    }
    let seen = sim.wait_requests("PLACE_ORDER", ORDERS);
    assert_eq!(seen.len(), ORDERS);
    // Nothing else is asked for yet, so both counts stand still.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let before = sent(trader).await;
        let seen = sim.named("request").len();
        if sent(trader).await == before && sim.named("request").len() == seen {
            return (names, seen as i64 - before as i64);
        }
        assert!(tokio::time::Instant::now() < deadline, "it never stands still");
    }
}

/// Cancels them one by one; answers with what was sent when each cancel came.
async fn cancel(trader: &Client, names: Vec<String>) -> Vec<u64> {
    let mut before = Vec::new();
    for name in names {
        let orders = trader.orders();
        // One behind the other on one connection.
        let (cancelled, sent) = tokio::join!(orders.cancel(name), sent(trader));
        cancelled.unwrap();
        before.push(sent);
    }
    before
}

/// Other messages that left between each cancel's coming and its leaving.
fn passed(sim: &Sim, sent: &[u64], uncounted: i64) -> Vec<i64> {
    sim.wait_requests("CANCEL_ORDER", sent.len());
    let requests = sim.named("request");
    let places = requests.iter().enumerate();
    let cancels = places.filter(|(_, request)| request["name"] == "CANCEL_ORDER");
    let passed =
        |((place, _), sent): ((usize, &Value), &u64)| place as i64 - uncounted - *sent as i64;
    cancels.zip(sent).map(passed).collect()
}

/// 40 clients ask for 500 histories and change 400 subscriptions, all at once, while Gateway's
/// pulse is taken and orders are cancelled.
async fn ask_for_everything_at_once(whole: &Whole, flags: &[&str]) {
    let sim = Sim::start_alone(whole, binary(), &[&["--no-orders"], flags].concat());
    // One question is never answered, so that Gateway's pulse is taken in the middle of it all.
    let trader = Principal::named("trader", "role = \"trade\"");
    let broker = plan(&sim).set("heartbeat.overdue=1s").trading(&[trader]).start();
    broker.wait_trading();
    let trader = broker.client("trader").await;
    let (orders, uncounted) = resting_orders(&sim, &trader).await;
    let asker = connect(&broker).await;
    let unknown = tws::PnLSingleRequest {
        account: Some("DU0000001".into()),
        con_id: Some(999_999),
        ..Default::default()
    };
    let _silent = asker.accounts().stream_pnl_single(unknown).await.unwrap();
    sim.wait_requests("REQ_PNL_SINGLE", 1);
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(connect(&broker).await);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for (client, number) in clients.iter().zip(0..) {
        tasks.spawn(histories(client.clone(), number));
        tasks.spawn(changes(client.clone(), number));
    }
    let mut waiting = 0;
    let queue = loop {
        let shown = broker.cli(&["clients", "--json"]).json();
        let calls = |client: &Value| client["calls"].as_u64().unwrap_or_default();
        let open = shown["clients"].as_array().map_or(0, |all| all.iter().map(calls).sum());
        waiting = waiting.max(open);
        if waiting > u64::from(HISTORIES / 2) {
            break asker.session().queue(None).await.unwrap();
        }
    };
    assert!(!queue.requests.is_empty(), "the queue can be seen");
    let places: Vec<_> = queue.requests.iter().map(|request| request.place).collect();
    assert!(places.is_sorted());
    let sent = cancel(&trader, orders).await;
    let pulse = sim.wait_requests("REQ_CURRENT_TIME", 1);
    let done = tokio::time::timeout(ALL, tasks.join_all()).await.expect("all of it in time");
    assert_eq!(done.iter().sum::<u32>(), HISTORIES + CLIENTS * SUBSCRIPTIONS);
    let last = sim.requests("REQ_HISTORICAL_DATA").pop().unwrap();
    assert!(pulse[0]["at_ms"].as_u64() < last["at_ms"].as_u64(), "it passed what waited");
    assert_eq!(broker.status()["state"], "READY", "one session carried it all");
    let last = |name| sim.requests(name).pop().unwrap()["at_ms"].as_u64();
    assert!(last("CANCEL_ORDER") < last("REQ_HISTORICAL_DATA"), "others were still waiting");
    let passed = passed(&sim, &sent, uncounted);
    assert!(passed.iter().all(|passed| *passed <= 2), "left before the cancels: {passed:?}");
    drop(broker);
    let report = sim.stop();
    check_unbroken(&report);
    assert_eq!(report["output_dropped"], 0, "the worker has read all that was sent");
    // 202 is how Gateway tells that an order was cancelled.
    let refused = |errors: &serde_json::Map<String, Value>| errors.keys().any(|code| code != "202");
    assert!(!report["errors"].as_object().is_some_and(refused), "{report}");
}

/// A Gateway makes wait what comes too fast, or rejects it and closes the connection the third
/// time. Neither has to: it counts what it sees within a second, so nothing else may run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_clients_ask_for_everything_at_once_and_gateway_refuses_nothing() {
    let whole = machine::take_all();
    ask_for_everything_at_once(&whole, &[]).await;
    ask_for_everything_at_once(&whole, &["--reject-above-rate"]).await;
}

/// A Gateway that takes less than others: an account with fewer lines.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_gateway_complains_the_rate_is_halved_and_nothing_is_lost() {
    let sim = sim(&["--reject-above-rate", "--limit", "message_rate=8"]);
    let broker = plan(&sim)
        .set("pacing.messages_per_second=10")
        .announce_error("messages come too fast")
        .start();
    broker.wait_ready();
    let client = connect(&broker).await;
    let mut reader = Reader::open(&client).await;
    for symbol in SYMBOLS {
        reader.stock(symbol).await;
    }
    let mut missing: Vec<u32> = (1..=SYMBOLS.len() as u32).collect();
    while !missing.is_empty() {
        let event = reader.live_tick().await;
        missing.retain(|id| *id != event.subscription_id);
    }
    let told = broker.cli(&["events", "--json"]).stdout;
    assert!(told.contains("5 messages a second"), "{told}");
    drop(broker);
    let report = sim.stop();
    assert_eq!(report["became_ready"], 1, "one session: {report}");
    assert!(report["limits"]["message_rate"].as_u64() > Some(0), "{report}");
}

/// The simulator's number of AAPL.
const NUMBER: i32 = 900_000_001;

fn by_number() -> tws::Contract {
    contract::by_id(NUMBER, "SMART")
}

/// Six histories within two seconds, of which Gateway takes five, and two tick-by-tick lines
/// within 15 s, of which it takes one: some by symbol, and some by number.
async fn ask_in_two_ways(one: &ibouncer_client::Client, other: &ibouncer_client::Client) {
    let mut calls = tokio::task::JoinSet::new();
    for minutes in 1..=6 {
        let (client, contract) = match minutes {
            1..=3 => (one.clone(), contract::stock("AAPL")),
            _ => (other.clone(), by_number()),
        };
        calls.spawn(async move {
            let request = BarRequest::new(contract, format!("{} S", minutes * 60), "5 secs");
            client.history().bars(request).await.unwrap().bars.len()
        });
    }
    let mut readers = Vec::new();
    for (client, contract) in [(one, contract::stock("AAPL")), (other, by_number())] {
        let reader = Reader::open(client).await;
        let wanted = LineRequest::tick_by_tick(contract, TickKind::BidAsk);
        reader.stream.subscribe_to(wanted).await.unwrap();
        readers.push(reader);
    }
    let all = async {
        for reader in &mut readers {
            let ticks = |event: &MarketDataEvent| {
                assert!(!matches!(event.body, Some(Body::Error(_))), "{event:?}");
                matches!(event.body, Some(Body::TickByTick(_)))
            };
            while !ticks(&reader.next().await.expect("it goes on")) {}
        }
        calls.join_all().await
    };
    let bars = tokio::time::timeout(ALL, all).await.expect("all of it in time");
    assert!(bars.iter().all(|bars| *bars > 0), "{bars:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_symbol_and_a_number_that_were_seen_to_be_one_contract_share_gateways_rules() {
    let sim = sim(&[]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let (one, other) = (connect(&broker).await, connect(&broker).await);
    let details = one.contracts().details(contract::stock("AAPL")).await.unwrap();
    assert_eq!(details.len(), 1);
    ask_in_two_ways(&one, &other).await;
    drop(broker);
    check_unbroken(&sim.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_breaks_a_rule_of_gateway_that_could_not_be_known_waits_and_sees_no_error() {
    let sim = sim(&[]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let (one, other) = (connect(&broker).await, connect(&broker).await);
    ask_in_two_ways(&one, &other).await;
    drop(broker);
    let report = sim.stop();
    assert_eq!(report["limits"]["historical_contract"], 1, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_bars_wait_for_gateways_rules_and_the_queue_says_which() {
    let sim = sim(&[]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let client = connect(&broker).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=7 {
        let client = client.clone();
        tasks.spawn(async move {
            let request =
                BarRequest::new(contract::stock("AAPL"), format!("{} S", number * 60), "5 secs");
            client.history().bars(request).await.unwrap().bars.len()
        });
    }
    // The sixth of one contract within two seconds is one too many.
    sim.wait_requests("REQ_HISTORICAL_DATA", 5);
    let queue = client.session().queue(None).await.unwrap();
    let held =
        queue.requests.iter().find(|request| request.because.contains("of a contract in 2 s"));
    let held = held.unwrap_or_else(|| panic!("{queue:?}"));
    assert_eq!((held.request.as_str(), held.label.as_str()), ("reqHistoricalData", "AAPL"));
    let done = tokio::time::timeout(PATIENCE, tasks.join_all()).await.unwrap();
    assert!(done.iter().all(|bars| *bars > 0));

    // The same again, by another program: the answers are here.
    let other = connect(&broker).await;
    let request = BarRequest::new(contract::stock("AAPL"), "60 S", "5 secs");
    assert!(!other.history().bars(request).await.unwrap().bars.is_empty());
    assert_eq!(sim.requests("REQ_HISTORICAL_DATA").len(), 7);
    drop(broker);
    check_unbroken(&sim.stop());
}
