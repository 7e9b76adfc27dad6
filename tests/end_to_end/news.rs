//! News, the calendar of Wall Street Horizon, and scanners through the broker.

use ibouncer_client::api::{NewsEvent, ScannerEvent, news_event, scanner_event};
use ibouncer_client::{Subscription, tws};
use ibouncer_tests::harness::wait::PATIENCE;
use serde_json::Value;

use super::stream::connect;
use super::{plan, ready, sim};

const AAPL: i32 = 900_000_001;

fn headlines(count: i32) -> tws::HistoricalNewsRequest {
    tws::HistoricalNewsRequest {
        con_id: Some(AAPL),
        provider_codes: Some("BRFG+DJNL".into()),
        total_results: Some(count),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headlines_and_their_articles_are_asked_for_once_by_all() {
    let (sim, broker) = ready();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let client = connect(&broker).await;
        tasks.spawn(async move {
            let news = client.news();
            let providers = news.providers().await.unwrap();
            let found = news.headlines(headlines(7)).await.unwrap();
            let newest = &found.headlines[0];
            let article = news.article(newest.provider_code(), newest.article_id()).await.unwrap();
            (providers.len(), found.value.clone(), article.value)
        });
    }
    let answers = tokio::time::timeout(PATIENCE, tasks.join_all()).await.unwrap();
    let (providers, found, article) = &answers[0];
    assert_eq!((*providers, found.headlines.len(), found.has_more), (4, 7, true));
    let text = found.headlines[0].headline();
    assert!(text.starts_with("AAPL ") && article.article_text().contains(text), "{article:?}");
    let codes: Vec<_> = found.headlines.iter().map(tws::HistoricalNews::provider_code).collect();
    assert!(codes.iter().all(|code| ["BRFG", "DJNL"].contains(code)), "{codes:?}");
    assert!(answers.iter().all(|answer| answer == &answers[0]));
    for request in ["REQ_NEWS_PROVIDERS", "REQ_HISTORICAL_NEWS", "REQ_NEWS_ARTICLE"] {
        assert_eq!(sim.wait_requests(request, 1).len(), 1, "{request}");
    }
    let client = connect(&broker).await;
    let error = client.news().article("BRFG", "BRFG$nothing").await.unwrap_err();
    assert_eq!(error.gateway_code(), Some(10172), "{error}");
}

/// The next bulletin, and whether it is from before.
async fn bulletin(events: &mut Subscription<NewsEvent>) -> (String, bool) {
    loop {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("one in time");
        let event = event.unwrap().expect("it goes on");
        if let Some(news_event::Body::Bulletin(bulletin)) = event.body {
            return (bulletin.news_message().to_owned(), event.replayed);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_late_is_told_the_bulletins_of_before() {
    let sim = sim(&["--happen", "5s:bulletin=The floor is closed"]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let client = connect(&broker).await;
    let mut early = client.news().stream_bulletins().await.unwrap();
    let mut told = Vec::new();
    while told.last().is_none_or(|text| text != "The floor is closed") {
        told.push(bulletin(&mut early).await.0);
    }
    assert_eq!(told.len(), 4, "{told:?}");
    let late = connect(&broker).await;
    let mut late = late.news().stream_bulletins().await.unwrap();
    for text in &told {
        assert_eq!(bulletin(&mut late).await, (text.clone(), true));
    }
    assert_eq!(sim.wait_requests("REQ_NEWS_BULLETINS", 1).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_calendar_needs_no_care_about_what_is_asked_first() {
    let (sim, broker) = ready();
    let mut tasks = tokio::task::JoinSet::new();
    // Gateway answers one of each kind at a time, and events only behind the meta data.
    for con_id in AAPL..AAPL + 4 {
        let client = connect(&broker).await;
        tasks.spawn(async move {
            let request = tws::WshEventDataRequest { con_id: Some(con_id), ..Default::default() };
            let events = client.news().calendar_events(request).await.unwrap();
            serde_json::from_str::<Value>(events.data_json()).unwrap()
        });
    }
    let events = tokio::time::timeout(PATIENCE, tasks.join_all()).await.unwrap();
    assert!(events.iter().all(|one| !one.is_null()), "{events:?}");
    let client = connect(&broker).await;
    let meta = client.news().calendar_meta_data().await.unwrap();
    let meta: Value = serde_json::from_str(meta.data_json()).unwrap();
    assert!(meta["meta_data"]["event_types"].is_array(), "{meta}");
    assert_eq!(sim.wait_requests("REQ_WSH_META_DATA", 1).len(), 1);
    assert_eq!(sim.wait_requests("REQ_WSH_EVENT_DATA", 4).len(), 4);
    assert!(sim.named("limit").is_empty(), "Gateway had to refuse nothing");
}

/// The next list.
async fn ranks(events: &mut Subscription<ScannerEvent>) -> (Vec<i32>, u64) {
    loop {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("a list in time");
        let event = event.unwrap().expect("it goes on");
        if let Some(scanner_event::Body::Data(data)) = event.body {
            let ranks = data.scanner_data_element.iter().map(|row| row.rank()).collect();
            return (ranks, event.sequence);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scanner_is_shared_and_each_list_is_whole() {
    let sim = sim(&["--scanner-interval", "100ms"]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let wanted = || tws::ScannerSubscription {
        number_of_rows: Some(8),
        instrument: Some("STK".into()),
        location_code: Some("STK.US.MAJOR".into()),
        scan_code: Some("TOP_PERC_GAIN".into()),
        ..Default::default()
    };
    let (first, second) = (connect(&broker).await, connect(&broker).await);
    let mut early = first.scanners().stream(wanted()).await.unwrap();
    let mut newest = 0;
    for _ in 0..3 {
        let (ranks, sequence) = ranks(&mut early).await;
        assert_eq!(ranks, (0..8).collect::<Vec<_>>());
        assert!(sequence > newest, "again and again");
        newest = sequence;
    }
    let mut late = second.scanners().stream(wanted()).await.unwrap();
    let (ranks, sequence) = ranks(&mut late).await;
    assert_eq!(ranks.len(), 8, "who comes late has the whole list at once");
    assert!(sequence >= newest);
    assert_eq!(sim.wait_requests("REQ_SCANNER_SUBSCRIPTION", 1).len(), 1);
    drop((early, late));
    sim.wait_requests("CANCEL_SCANNER_SUBSCRIPTION", 1);
    let parameters = first.scanners().parameters().await.unwrap();
    assert!(parameters.xml().len() > 100_000);
}
