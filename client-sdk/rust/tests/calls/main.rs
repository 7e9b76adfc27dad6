//! The client against a broker in the same process that speaks the real protocol over real
//! sockets. What the broker decides is not tested here, only that the client says and hears
//! what the schema says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod broker;
mod read_side;
mod trading;

use std::time::Duration;

use ibouncer_client::api::{self, MarkKind, market_data_event::Body};
use ibouncer_client::{
    Book, Client, EventKind, Feed, LineRequest, Origin, Retry, SubscriptionId, Tick, contract,
};

use broker::FakeBroker;

#[tokio::test]
async fn a_client_finds_the_socket_and_names_itself_without_a_token() {
    let broker = FakeBroker::on_socket();
    let client = Client::connect(broker.options().client_name("quotes@test")).await.unwrap();
    let status = client.status().await.unwrap();
    assert_eq!(status.state(), api::SessionState::Ready);
    let call = broker.last_call();
    assert_eq!(call.client_name.as_deref(), Some("quotes@test"));
    assert_eq!(call.authorization, None);
    assert!(client.target().to_string().starts_with("unix:/"));
}

#[tokio::test]
async fn a_client_finds_the_tcp_port_and_shows_its_token() {
    let broker = FakeBroker::on_port();
    let client = Client::connect(broker.options()).await.unwrap();
    client.status().await.unwrap();
    let call = broker.last_call();
    assert_eq!(call.authorization.as_deref(), Some("Bearer secret"));
    let name = call.client_name.unwrap();
    assert!(name.contains('@') && name.ends_with(&format!(":{}", std::process::id())), "{name}");
}

#[tokio::test]
async fn status_changes_come_with_their_transitions() {
    let broker = FakeBroker::on_socket();
    let client = Client::connect(broker.options().reconnect(false)).await.unwrap();
    let mut changes = client.watch_status().await.unwrap();
    let first = changes.next().await.unwrap().unwrap();
    assert!(first.transitions.is_empty());
    let second = changes.next().await.unwrap().unwrap();
    assert_eq!(second.transitions[0].because, "worker ended");
    assert_eq!(changes.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_wait_that_times_out_is_an_answer_and_not_an_error() {
    let broker = FakeBroker::on_socket();
    let client = Client::connect(broker.options()).await.unwrap();
    let readiness = client.wait_ready(Duration::from_millis(1)).await.unwrap();
    assert!(!readiness.ready);
    let readiness = client.wait_ready(Duration::from_secs(60)).await.unwrap();
    assert!(readiness.ready);
}

#[tokio::test]
async fn an_error_of_gateway_arrives_with_everything_that_is_known_about_it() {
    let broker = FakeBroker::on_socket();
    let client = Client::connect(broker.options()).await.unwrap();
    let error = client.snapshot(contract::stock("NOPE"), Feed::Live).await.unwrap_err();
    assert_eq!(error.code(), "GATEWAY_ERROR");
    assert_eq!((error.origin(), error.retry()), (Origin::Upstream, Retry::Never));
    assert_eq!(error.gateway_code(), Some(200));
    assert!(error.message().contains("No security definition"), "{error}");
}

#[tokio::test]
async fn operators_see_clients_and_lines_and_are_told_what_is_refused() {
    let broker = FakeBroker::on_socket();
    let admin = Client::connect(broker.options()).await.unwrap().admin();
    assert_eq!(admin.clients().await.unwrap()[0].name, "quotes@test");
    assert_eq!(admin.lines().await.unwrap()[0].symbol, "AAPL");
    assert_eq!(admin.connections().await.unwrap().path, "local");
    assert_eq!(admin.restart_worker("test", true).await.unwrap(), 7);
    let error = admin.restart_worker("test", false).await.unwrap_err();
    assert_eq!((error.code(), error.retry()), ("SESSION_IS_LIVE", Retry::Never));
    admin.retry("").await.unwrap();
}

#[tokio::test]
async fn one_stream_carries_many_subscriptions() {
    let broker = FakeBroker::on_socket();
    let client = Client::connect(broker.options()).await.unwrap();
    let mut stream = client.market_data().await.unwrap();
    let other_task = stream.subscriptions();
    let apple = stream.subscribe(contract::stock("AAPL"), Feed::Live).await.unwrap();
    let euro = other_task.subscribe(contract::forex("EUR", "USD"), Feed::Delayed).await.unwrap();
    assert_eq!((apple, euro), (SubscriptionId(1), SubscriptionId(2)));

    for expected in [apple, euro] {
        let batch = stream.next_batch().await.unwrap().unwrap();
        let events: Vec<_> = batch.events().collect::<Result<_, _>>().unwrap();
        assert_eq!(events[0].kind(), EventKind::Mark);
        assert!(events.iter().all(|event| event.subscription_id == expected));
        let price = events[1].tick().unwrap().unwrap();
        let Tick::Price { price, size, .. } = price else { panic!("{price:?}") };
        assert_eq!((price, size), (189.12, "300"));
        assert!(events[1].replayed);
        // A body can be kept without copying it.
        let kept = batch.bytes().slice_ref(events[1].body);
        assert_eq!(kept.as_ptr(), events[1].body.as_ptr());
    }

    stream.unsubscribe(apple).await.unwrap();
    let batch = stream.next_batch().await.unwrap().unwrap();
    let ended = batch.to_typed().unwrap().remove(0);
    let Some(Body::Mark(mark)) = ended.body else { panic!("{ended:?}") };
    assert_eq!(mark.kind(), MarkKind::Ended);
}

#[tokio::test]
async fn a_broker_that_dies_ends_streams_that_do_not_reconnect_as_unreachable() {
    let broker = FakeBroker::on_socket();
    let options = broker.options().reconnect(false);
    let client = Client::connect(options.clone()).await.unwrap();
    let mut stream = client.market_data().await.unwrap();
    stream.subscribe(contract::stock("AAPL"), Feed::Live).await.unwrap();
    stream.next_batch().await.unwrap().unwrap();
    broker.die().await;
    let error = stream.next_batch().await.unwrap_err();
    assert!(error.is_unreachable(), "{error:?}");
    assert!(client.status().await.unwrap_err().is_unreachable());
    let error = Client::connect(options).await.unwrap_err().to_string();
    assert!(error.contains("ibouncer serve"), "{error}");
}

#[tokio::test]
async fn streams_of_status_and_events_outlive_their_broker() {
    let broker = FakeBroker::on_socket();
    let client = Client::connect(broker.options()).await.unwrap();
    let mut changes = client.watch_status().await.unwrap();
    let mut events = client.admin().events(4, true).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap()[0].number, 5);
    for _ in 0..2 {
        changes.next().await.unwrap().unwrap();
    }
    let broker = broker.replaced().await;
    let update = changes.next().await.unwrap().unwrap();
    assert!(update.transitions.is_empty(), "the whole status of the next one");
    assert_eq!(events.next().await.unwrap().unwrap()[0].number, 6, "behind the newest");

    let mut kept = client.admin().events(0, false).await.unwrap();
    assert_eq!(kept.next().await.unwrap().unwrap().len(), 1);
    assert_eq!(kept.next().await.unwrap(), None, "that is all there is");
    drop(broker);
}

#[tokio::test]
async fn a_book_is_kept_from_the_events_of_a_stream() {
    let broker = FakeBroker::on_socket();
    let client = Client::connect(broker.options()).await.unwrap();
    let mut stream = client.market_data().await.unwrap();
    let request = LineRequest::depth(contract::stock("AAPL"), 5).wait_for_line();
    stream.subscribe_to(request).await.unwrap();
    let mut book = Book::new();
    for event in stream.next_batch().await.unwrap().unwrap().events() {
        book.take(&event.unwrap()).unwrap();
    }
    let prices: Vec<_> = book.bids().iter().map(|row| row.price).collect();
    assert_eq!((prices, book.asks()[0].price), (vec![99.0, 98.0], 101.0));
    assert!(broker.subscribed()[0].wait_for_line);
}

#[tokio::test]
async fn a_resumable_subscription_tells_the_next_broker_where_it_broke() {
    let broker = FakeBroker::on_socket();
    let client = Client::connect(broker.options()).await.unwrap();
    let mut stream = client.market_data().await.unwrap();
    let request = LineRequest::new(contract::stock("AAPL")).resumable();
    stream.subscribe(request, Feed::Live).await.unwrap();
    stream.subscribe(contract::stock("MSFT"), Feed::Live).await.unwrap();
    for _ in 0..2 {
        stream.next_batch().await.unwrap().unwrap();
    }
    let broker = broker.replaced().await;
    let stale = stream.next_batch().await.unwrap().unwrap().to_typed().unwrap();
    assert_eq!(stale.len(), 2);
    for _ in 0..2 {
        stream.next_batch().await.unwrap().unwrap();
    }
    let resumes: Vec<_> = broker.subscribed().into_iter().map(|one| one.resume).collect();
    let place = api::Resume { line: "b1-line-1".into(), sequence: 7 };
    assert_eq!(resumes, [Some(place), None]);
}
