//! What is shared of each kind of data, against what the simulator says that it was asked; and
//! that whoever comes late, or comes back, knows what the first one knows. `kinds`: each of them.

mod kinds;

use ibouncer_client::api::market_data_event::Body;
use ibouncer_client::api::{self, AccountEvent, MarkKind, MarketDataEvent, Resume, account_event};
use ibouncer_client::{
    BarRequest, Book, Feed, LineRequest, MarketDataStream, Subscription, TickKind, contract, tws,
};
use ibouncer_tests::harness::wait::{PATIENCE, until_true};

use super::stream::{Reader, connect, is_tick};
use super::{plan, ready, sim};

const ACCOUNT: &str = "DU0000001";

fn summary(group: &str, tags: &str) -> tws::AccountSummaryRequest {
    let (group, tags) = (Some(group.to_owned()), Some(tags.to_owned()));
    tws::AccountSummaryRequest { req_id: None, group, tags }
}

type Books = std::collections::BTreeMap<u64, Book>;

/// The book of one stream after each change, until a change of this number.
async fn books(mut stream: MarketDataStream, until: u64) -> Books {
    let (mut book, mut books) = (Book::new(), Books::new());
    loop {
        let batch = tokio::time::timeout(PATIENCE, stream.next_batch())
            .await
            .expect("changes in time")
            .unwrap()
            .expect("it goes on");
        for event in batch.events() {
            let event = event.unwrap();
            book.take(&event).unwrap();
            if !event.replayed && event.depth().unwrap().is_some() {
                books.insert(event.sequence, book.clone());
            }
            if event.sequence >= until {
                return books;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_calls_of_many_programs_are_one_request() {
    let (sim, broker) = ready();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let client = connect(&broker).await;
        tasks.spawn(async move {
            let bars = BarRequest::new(contract::stock("AAPL"), "1 D", "5 mins");
            let bars = client.history().bars(bars).await.unwrap();
            let details = client.contracts().details(contract::stock("AAPL")).await.unwrap();
            (bars.bars.len(), details.value[0].clone())
        });
    }
    let answers = tokio::time::timeout(PATIENCE, tasks.join_all()).await.unwrap();
    assert!(answers[0].0 > 10);
    assert!(answers.iter().all(|answer| answer == &answers[0]));
    for request in ["REQ_HISTORICAL_DATA", "REQ_CONTRACT_DATA"] {
        assert_eq!(sim.requests(request).len(), 1, "{request}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_types_of_data_of_one_contract_flow_at_once() {
    let (sim, broker) = ready();
    let client = connect(&broker).await;
    let mut reader = Reader::open(&client).await;
    let live = reader.stream.subscribe(contract::stock("AAPL"), Feed::Live).await.unwrap();
    let delayed = reader.stream.subscribe(contract::stock("AAPL"), Feed::Delayed).await.unwrap();
    for _ in 0..3 {
        for id in [live, delayed] {
            let is_its = |event: &MarketDataEvent| event.subscription_id == id.0 && is_tick(event);
            reader.until("its ticks", is_its).await;
        }
    }
    let types: Vec<_> = sim.requests("REQ_MARKET_DATA_TYPE");
    assert_eq!(types.last().map(|request| &request["market_data_type"]), Some(&3.into()));
    assert_eq!(sim.requests("REQ_MKT_DATA").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_broke_is_resumed_and_told_how_much_it_missed() {
    let (sim, broker) = ready();
    let client = connect(&broker).await;
    let mut reader = Reader::open(&client).await;
    let request = || LineRequest::new(contract::stock("AAPL")).resumable();
    reader.stream.subscribe_to(request()).await.unwrap();
    let line = reader.mark(MarkKind::Subscribed).await.line;
    let sequence = reader.live_tick().await.sequence;
    drop(reader);
    let mut other = Reader::open(&connect(&broker).await).await;
    other.stock("AAPL").await;
    until_it_has_gone_on(&mut other, sequence).await;

    let mut back = Reader::open(&client).await;
    back.stream.subscribe_to(request().resume(Resume { line, sequence })).await.unwrap();
    let resumed = back.mark(MarkKind::Resumed).await;
    let missed = resumed.missed.expect("the line went on");
    let mut told = 0;
    let live = loop {
        let event = back.next().await.unwrap();
        if is_tick(&event) && !event.replayed {
            break event;
        }
        told += u64::from(is_tick(&event) || matches!(event.body, Some(Body::MarketDataType(_))));
    };
    assert_eq!(sequence + missed + told + 1, live.sequence, "nothing is unaccounted for");
    assert_eq!(sim.requests("REQ_MKT_DATA").len(), 1);
}

async fn until_it_has_gone_on(reader: &mut Reader, sequence: u64) {
    reader.until("later ticks", |event| event.sequence > sequence + 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tick_by_tick_data_is_shared_and_its_line_is_not_given_up_within_gateways_pause() {
    let (sim, broker) = ready();
    let open = || async {
        let client = connect(&broker).await;
        let mut reader = Reader::open(&client).await;
        let request = LineRequest::tick_by_tick(contract::stock("AAPL"), TickKind::Last);
        reader.stream.subscribe_to(request).await.unwrap();
        reader.until("a trade", |event| matches!(event.body, Some(Body::TickByTick(_)))).await;
        (client, reader)
    };
    // One after the other: Gateway takes one request for an instrument in 15 s.
    for _ in 0..3 {
        drop(open().await);
    }
    assert_eq!(sim.requests("REQ_TICK_BY_TICK_DATA").len(), 1);
    assert!(sim.requests("CANCEL_TICK_BY_TICK_DATA").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_book_of_one_who_came_late_is_that_of_the_first() {
    let sim = sim(&["--depth-interval", "5ms"]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let (first, second) = (connect(&broker).await, connect(&broker).await);
    let depth = || LineRequest::depth(contract::stock("AAPL"), 10).smart();
    let early = first.market_data().await.unwrap();
    early.subscribe_to(depth()).await.unwrap();
    let early = tokio::spawn(books(early, 400));
    until_true("the book lives", PATIENCE, || {
        let lines = broker.cli(&["lines", "--json"]).json();
        lines["lines"][0]["sequence"].as_u64() > Some(60)
    });
    let late = second.market_data().await.unwrap();
    late.subscribe_to(depth()).await.unwrap();
    let (early, late) = (early.await.unwrap(), books(late, 400).await);
    let both: Vec<_> = late.keys().filter(|number| early.contains_key(number)).collect();
    assert!(both.len() > 50, "{} changes were seen by both", both.len());
    for number in both {
        let (one, other) = (&early[number], &late[number]);
        assert_eq!((one.bids(), one.asks()), (other.bids(), other.asks()), "after {number}");
        assert_eq!((one.unfit(), other.unfit()), (0, 0), "each change fits the book");
        assert!(!one.bids().is_empty() && !one.asks().is_empty());
    }
    assert_eq!(sim.requests("REQ_MKT_DEPTH").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_group_of_summaries_is_refused_with_who_holds_the_others() {
    let (sim, broker) = ready();
    let mut held = Vec::new();
    for group in ["All", "All", ACCOUNT] {
        let client = connect(&broker).await;
        let summary = client.accounts().stream_account_summary(summary(group, "")).await.unwrap();
        held.push((client, first_mark(summary).await));
    }
    let client = connect(&broker).await;
    let mut refused =
        client.accounts().stream_account_summary(summary("Income", "")).await.unwrap();
    let error = loop {
        match tokio::time::timeout(PATIENCE, refused.next()).await.unwrap() {
            Ok(Some(event)) => {
                if let Some(account_event::Body::Mark(api::StreamMark {
                    error: Some(error), ..
                })) = event.body
                {
                    break error;
                }
            }
            Ok(None) => panic!("it ended without a word"),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(error.code, "LINES_EXHAUSTED");
    assert!(
        error.message.contains("test") && error.message.contains("all 2 account summaries"),
        "{error:?}"
    );
    assert_eq!(sim.wait_requests("REQ_ACCOUNT_SUMMARY", 2).len(), 2);
}

async fn first_mark(mut subscription: Subscription<AccountEvent>) -> Subscription<AccountEvent> {
    let event = tokio::time::timeout(PATIENCE, subscription.next()).await.unwrap();
    let body = event.unwrap().unwrap().body;
    assert!(matches!(body, Some(account_event::Body::Mark(_))), "{body:?}");
    subscription
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_comes_back_after_the_session_was_lost() {
    let sim = sim(&["--depth-interval", "20ms"]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let client = connect(&broker).await;
    let mut reader = Reader::open(&client).await;
    reader.stock("AAPL").await;
    let depth = LineRequest::depth(contract::stock("MSFT"), 5);
    let book = reader.stream.subscribe_to(depth).await.unwrap();
    let bars = BarRequest::new(contract::stock("AAPL"), "1 D", "1 min");
    let mut bars = client.history().stream_bars(bars).await.unwrap();
    reader.live_tick().await;
    reader.until("the book", |event| matches!(event.body, Some(Body::MarketDepth(_)))).await;
    next_update(&mut bars).await;
    let answer = broker.cli(&["worker", "restart", "--drop-live-session", "--reason", "test"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let mut resumed = 0;
    let mut reset = false;
    while resumed < 2 || !reset {
        let event = reader.next().await.unwrap();
        if let Some(Body::Mark(mark)) = &event.body {
            resumed += u32::from(mark.kind() == MarkKind::Resumed);
            reset |= mark.kind() == MarkKind::Reset && event.subscription_id == book.0;
            assert!(mark.kind() != MarkKind::Resumed || mark.gaps == 1, "{mark:?}");
        }
    }
    next_update(&mut bars).await;
    for request in ["REQ_MKT_DATA", "REQ_MKT_DEPTH", "REQ_HISTORICAL_DATA"] {
        assert_eq!(sim.requests(request).len(), 2, "{request}");
    }
}

/// The next change of bars that are kept up to date.
async fn next_update(bars: &mut Subscription<api::HistoryEvent>) -> tws::HistoricalDataUpdate {
    loop {
        let event = tokio::time::timeout(PATIENCE, bars.next()).await.expect("bars in time");
        if let Some(api::history_event::Body::Update(update)) = event.unwrap().unwrap().body {
            return update;
        }
    }
}
