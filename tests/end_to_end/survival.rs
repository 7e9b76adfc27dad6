//! Programs that outlive their broker: streams of the SDK go on with the next one.

use ibouncer_client::api::MarkKind;
use ibouncer_client::api::market_data_event::Body;
use ibouncer_client::{Client, Feed, SubscriptionId, contract};
use ibouncer_tests::harness::Broker;

use super::stream::Reader;
use super::{plan, sim};

async fn connect(broker: &Broker) -> Client {
    let options = broker.home().options().client_name("survivor").reconnect(true);
    Client::connect(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_with_the_next_broker_and_says_what_happened() {
    let sim = sim(&[]);
    let mut broker = plan(&sim).set("worker.adoption_grace=40s").start();
    broker.wait_ready();
    let client = connect(&broker).await;
    let mut reader = Reader::open(&client).await;
    let mut ids = Vec::new();
    for symbol in ["AAPL", "MSFT", "SPY"] {
        ids.push(reader.stock(symbol).await);
    }
    for id in &ids {
        let mine = |event: &ibouncer_client::api::MarketDataEvent| {
            event.subscription_id == id.0 && matches!(event.body, Some(Body::TickPrice(_)))
        };
        reader.until("a tick of each", mine).await;
    }
    let mut over = Vec::new();
    for round in 0..3 {
        match round {
            0 => broker.kill(),
            1 => assert_eq!(broker.let_go(), Some(0)),
            _ => assert_eq!(broker.terminate(), Some(0)),
        }
        // What the program asks for meanwhile is asked of the next broker.
        let late = reader.stream.subscribe(contract::stock("TSLA"), Feed::Live).await.unwrap();
        broker = broker.successor().start();
        let mut stale = Vec::new();
        let mut resumed = Vec::new();
        while resumed.len() < ids.len() {
            let event = reader.next().await.expect("the stream does not end");
            if !ids.contains(&SubscriptionId(event.subscription_id)) {
                let known =
                    event.subscription_id == late.0 || over.contains(&event.subscription_id);
                assert!(known, "{event:?}");
                continue;
            }
            match &event.body {
                Some(Body::Mark(mark)) if mark.kind() == MarkKind::Stale => {
                    stale.push(event.subscription_id);
                }
                Some(Body::Mark(mark)) => {
                    assert_eq!(mark.kind(), MarkKind::Resumed, "{event:?}");
                    resumed.push(event.subscription_id);
                }
                _ => assert!(
                    resumed.contains(&event.subscription_id)
                        || !stale.contains(&event.subscription_id),
                    "data between STALE and RESUMED: {event:?}"
                ),
            }
        }
        stale.sort_unstable();
        let each: Vec<_> = ids.iter().map(|id| id.0).collect();
        assert_eq!(stale, each, "each was told once");
        reader.stream.unsubscribe(late).await.unwrap();
        over.push(late.0);
        reader.live_tick().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_the_next_brokers_token_is_found_again() {
    let sim = sim(&[]);
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    drop(held);
    let mut broker = plan(&sim)
        .set(&format!("grpc.listen=127.0.0.1:{port}"))
        .set("worker.adoption_grace=40s")
        .start();
    broker.wait_ready();
    let options = broker.home().options().reconnect(true).target(broker.tcp());
    let client = Client::connect(options).await.unwrap();
    let mut reader = Reader::open(&client).await;
    reader.stock("AAPL").await;
    reader.live_tick().await;
    broker.kill();
    reader.mark(MarkKind::Stale).await;
    let _next = broker.successor().start();
    reader.mark(MarkKind::Resumed).await;
    reader.live_tick().await;
}
