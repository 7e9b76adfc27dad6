//! The calls of the read side, and the streams of one subscription.

use ibouncer_client::api::{MarkKind, account_event, history_event};
use ibouncer_client::{
    BarRequest, Client, Error, Feed, LineRequest, Origin, Retry, SubscriptionEvent as _, contract,
    tws,
};

use crate::broker::FakeBroker;

async fn client(broker: &FakeBroker) -> Client {
    Client::connect(broker.options()).await.unwrap()
}

#[tokio::test]
async fn every_service_answers_with_gateways_own_messages() {
    let broker = FakeBroker::on_socket();
    let client = client(&broker).await;

    let details = client.contracts().details(contract::stock("AAPL")).await.unwrap();
    assert_eq!((details.len(), details.notices.len()), (2, 1), "bonds come last");
    assert_eq!(details[0].contract.as_ref().unwrap().symbol(), "AAPL");
    assert_eq!(client.contracts().matching("AA").await.unwrap().len(), 1);
    assert_eq!(client.contracts().market_rule(26).await.unwrap().market_rule_id(), 26);

    let request = BarRequest::new(contract::stock("AAPL"), "1 D", "1 min").regular_hours();
    let bars = client.history().bars(request).await.unwrap();
    assert_eq!((bars.bars[1].close(), bars.start.as_str()), (2.0, "20260301"));
    let ticks = client.history().ticks(tws::HistoricalTicksRequest::default()).await.unwrap();
    assert_eq!(ticks.last.len(), 2, "two pages");

    assert_eq!(client.accounts().list().await.unwrap()[0].account, "DU0000001");
    let scope = ibouncer_client::api::OrderScope::All;
    assert_eq!(client.orders().open(scope).await.unwrap().orders.len(), 1);
    let filter = tws::ExecutionFilter::default();
    assert_eq!(client.orders().executions(filter, scope).await.unwrap().executions.len(), 1);
    assert_eq!(client.news().article("BRFG", "a1").await.unwrap().article_text(), "a1");
    let headlines = tws::HistoricalNewsRequest::default();
    assert!(client.news().headlines(headlines).await.unwrap().has_more);
    let list = client.scanners().scan(tws::ScannerSubscription::default()).await.unwrap();
    assert_eq!(list.len(), 1);

    let queue = client.session().queue(Some("me")).await.unwrap();
    assert_eq!((queue.requests[0].client.as_str(), queue.messages_per_second), ("me", 45.0));
    let time = client.session().current_time().await.unwrap();
    assert_eq!(time.current_time_in_millis(), 1_772_373_727_000);
    let call = contract::option("AAPL", "20271217", 200.0, "C");
    let computed = client.implied_volatility(call, 12.0, 190.0).await.unwrap();
    assert_eq!(computed.implied_vol(), 0.25);
}

#[tokio::test]
async fn errors_of_calls_say_all_that_is_known() {
    let broker = FakeBroker::on_socket();
    let client = client(&broker).await;
    let error = client.contracts().details(contract::stock("NOPE")).await.unwrap_err();
    assert_eq!((error.origin(), error.retry()), (Origin::Upstream, Retry::Never));
    assert_eq!(error.gateway_code(), Some(200));
    let error = client.session().gateway_configuration().await.unwrap_err();
    assert_eq!(error.code(), Error::BAD_ANSWER);
    let book = LineRequest::depth(contract::stock("AAPL"), 5);
    let error = client.snapshot(book, Feed::Live).await.unwrap_err();
    assert_eq!((error.code(), error.origin()), (Error::INVALID_ARGUMENT, Origin::Client));
}

#[tokio::test]
async fn answers_of_many_megabytes_are_read() {
    let broker = FakeBroker::on_socket();
    let parameters = client(&broker).await.scanners().parameters().await.unwrap();
    assert_eq!(parameters.xml().len(), 9_000_000);
}

#[tokio::test]
async fn a_snapshot_of_an_account_is_read_to_its_end_mark() {
    let broker = FakeBroker::on_socket();
    let accounts = client(&broker).await.accounts();
    assert_eq!(accounts.positions().await.unwrap()[0].position(), "7");
    let summary = accounts.account_summary("").await.unwrap();
    assert_eq!((summary.len(), summary.notices.len()), (1, 1));
    let updates = accounts.account_updates("").await.unwrap();
    assert_eq!((updates.values.len(), updates.portfolio.len()), (1, 1));
    assert_eq!(updates.time, "14:02");
}

#[tokio::test]
async fn a_subscription_tells_its_end_and_then_nothing() {
    let broker = FakeBroker::on_socket();
    let accounts = client(&broker).await.accounts();
    let request = tws::PositionsMultiRequest::default();
    let mut positions = accounts.stream_positions_multi(request).await.unwrap();
    assert_eq!(positions.next_batch().await.unwrap().len(), 2);
    assert_eq!(positions.next().await.unwrap(), None);
    assert!(positions.next_batch().await.unwrap().is_empty());
}

#[tokio::test]
async fn bars_that_are_kept_up_to_date_come_in_order() {
    let broker = FakeBroker::on_socket();
    let request = BarRequest::new(contract::stock("AAPL"), "1 D", "1 min");
    let mut bars = client(&broker).await.history().stream_bars(request).await.unwrap();
    let events = bars.next_batch().await.unwrap();
    let Some(history_event::Body::Update(update)) = &events[2].body else { panic!("{events:?}") };
    assert_eq!(update.historical_data_bar.as_ref().unwrap().close(), 3.0);
}

#[tokio::test]
async fn a_subscription_outlives_its_broker() {
    let broker = FakeBroker::on_socket();
    let accounts = client(&broker).await.accounts();
    let mut pnl = accounts.stream_pnl(tws::PnLRequest::default()).await.unwrap();
    let kinds = |events: &[ibouncer_client::api::AccountEvent]| {
        events.iter().map(|event| event.mark().map(|mark| mark.kind())).collect::<Vec<_>>()
    };
    let first = pnl.next_batch().await.unwrap();
    assert_eq!(kinds(&first), [Some(MarkKind::Subscribed), None]);
    let broker = broker.replaced().await;
    let stale = pnl.next().await.unwrap().unwrap();
    let mark = stale.mark().unwrap();
    assert_eq!(mark.kind(), MarkKind::Stale);
    assert!(mark.because.starts_with("the broker is away: "), "{}", mark.because);
    let back = pnl.next_batch().await.unwrap();
    assert_eq!(kinds(&back), [Some(MarkKind::Resumed), None]);
    let Some(account_event::Body::Pnl(value)) = &back[1].body else { panic!("{back:?}") };
    assert_eq!(value.daily_pnl(), 1.5);
    drop(broker);
}

#[tokio::test]
async fn without_reconnecting_a_subscription_ends_with_its_broker() {
    let broker = FakeBroker::on_socket();
    let client = Client::connect(broker.options().reconnect(false)).await.unwrap();
    let mut positions = client.accounts().stream_positions().await.unwrap();
    positions.next_batch().await.unwrap();
    broker.die().await;
    assert!(positions.next().await.unwrap_err().is_unreachable());
    assert_eq!(positions.next().await.unwrap(), None);
}
