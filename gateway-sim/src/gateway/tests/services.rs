//! News, scanners, Wall Street Horizon, calculations, and generic ticks.

use std::collections::BTreeSet;

use ibouncer_proto::tws::v1::{
    CalculateImpliedVolatilityRequest, CalculateOptionPriceRequest, CancelMarketData,
    CancelScannerSubscription, HistoricalNews, HistoricalNewsRequest, NewsArticle,
    NewsArticleRequest, NewsBulletinsRequest, NewsProviders, NewsProvidersRequest, ScannerData,
    ScannerParameters, ScannerParametersRequest, ScannerSubscription, ScannerSubscriptionRequest,
    TickGeneric, TickNews, TickOptionComputation, TickPrice, TickSize, TickString, WshEventData,
    WshEventDataRequest, WshMetaDataRequest,
};

use super::super::ids::{ask, tell};
use super::*;
use crate::config::Rate;
use crate::limits::Limit;

const SECOND: Duration = Duration::from_secs(1);

fn option() -> Contract {
    Contract {
        last_trade_date_or_contract_month: Some("20270115".to_owned()),
        strike: Some(230.0),
        right: Some("C".to_owned()),
        ..contract("AAPL", "OPT")
    }
}

fn scan(request_id: i32, code: &str) -> ScannerSubscriptionRequest {
    ScannerSubscriptionRequest {
        req_id: Some(request_id),
        scanner_subscription: Some(ScannerSubscription {
            scan_code: Some(code.to_owned()),
            number_of_rows: Some(10),
            above_price: Some(100.0),
            ..Default::default()
        }),
    }
}

#[test]
fn headlines_lead_to_articles() {
    let mut world = World::new(GatewayConfig::default());
    let client = world.connect(7);
    world.request(client, ask::REQ_NEWS_PROVIDERS, &NewsProvidersRequest {});
    let providers: Vec<NewsProviders> = world.messages(client, tell::NEWS_PROVIDERS);
    assert!(providers[0].news_providers.len() >= 3);
    let request = HistoricalNewsRequest {
        req_id: Some(1),
        con_id: Some(900_000_001),
        provider_codes: Some("BRFG+DJNL".to_owned()),
        start_date_time: Some("20261122 00:00:00.0".to_owned()),
        total_results: Some(5),
        ..Default::default()
    };
    world.request(client, ask::REQ_HISTORICAL_NEWS, &request);
    let news: Vec<HistoricalNews> = world.messages(client, tell::HISTORICAL_NEWS);
    assert_eq!(news.len(), 5);
    assert!(world.message_ids(client).contains(&tell::HISTORICAL_NEWS_END));
    for (request_id, article_id) in [(2, news[0].article_id()), (3, "BRFG$nonsense")] {
        let request = NewsArticleRequest {
            req_id: Some(request_id),
            provider_code: Some(news[0].provider_code().to_owned()),
            article_id: Some(article_id.to_owned()),
            ..Default::default()
        };
        world.request(client, ask::REQ_NEWS_ARTICLE, &request);
    }
    let articles: Vec<NewsArticle> = world.messages(client, tell::NEWS_ARTICLE);
    assert!(articles[0].article_text().contains("AAPL"));
    assert_eq!(world.errors(client, 3), [10172]);
    let all = NewsBulletinsRequest { all_messages: Some(true) };
    world.request(client, ask::REQ_NEWS_BULLETINS, &all);
    let ids = world.message_ids(client);
    assert_eq!(ids.iter().filter(|one| **one == tell::NEWS_BULLETINS).count(), 3);
}

#[test]
fn scanners_repeat_their_list_and_are_limited() {
    let mut world = World::new(GatewayConfig::default());
    let client = world.connect(7);
    for request_id in 1..=11 {
        let request = scan(request_id, "TOP_PERC_GAIN");
        world.request(client, ask::REQ_SCANNER_SUBSCRIPTION, &request);
    }
    assert_eq!(world.errors(client, 11), [322]);
    assert_eq!(world.gateway.report().limits[&Limit::Scanners], 1);
    world.pass(61 * SECOND);
    let lists: Vec<ScannerData> = world.messages(client, tell::SCANNER_DATA);
    assert_eq!(lists.iter().filter(|list| list.req_id() == 1).count(), 3);
    assert!(lists.iter().all(|list| list.scanner_data_element.len() == 10));
    let cancel = CancelScannerSubscription { req_id: Some(1) };
    world.request(client, ask::CANCEL_SCANNER_SUBSCRIPTION, &cancel);
    world.request(client, ask::CANCEL_SCANNER_SUBSCRIPTION, &cancel);
    assert_eq!(world.errors(client, 1), [365]);
    world.request(client, ask::REQ_SCANNER_SUBSCRIPTION, &scan(2, "MOST_ACTIVE"));
    assert_eq!(world.errors(client, 2), [385]);
    world.request(client, ask::REQ_SCANNER_PARAMETERS, &ScannerParametersRequest {});
    let parameters: Vec<ScannerParameters> = world.messages(client, tell::SCANNER_PARAMETERS);
    assert!((200_000..1_000_000).contains(&parameters[0].xml().len()));
}

#[test]
fn wall_street_horizon_wants_its_meta_data_first_and_one_at_a_time() {
    let mut world = World::new(GatewayConfig::default());
    let client = world.connect(7);
    let events = |request_id| WshEventDataRequest {
        req_id: Some(request_id),
        con_id: Some(900_000_001),
        total_limit: Some(2),
        ..Default::default()
    };
    world.request(client, ask::REQ_WSH_EVENT_DATA, &events(1));
    assert_eq!(world.errors(client, 1), [10279]);
    for request_id in [2, 3] {
        let request = WshMetaDataRequest { req_id: Some(request_id) };
        world.request(client, ask::REQ_WSH_META_DATA, &request);
    }
    assert_eq!(world.errors(client, 3), [10283]);
    world.pass(SECOND);
    world.request(client, ask::REQ_WSH_EVENT_DATA, &events(4));
    world.pass(SECOND);
    let data: Vec<WshEventData> = world.messages(client, tell::WSH_EVENT_DATA);
    assert_eq!(data[0].data_json().matches("earnings_date").count(), 2);
}

#[test]
fn a_price_and_its_volatility_lead_to_each_other() {
    let mut world = World::new(GatewayConfig::default());
    let client = world.connect(7);
    let request = CalculateOptionPriceRequest {
        req_id: Some(1),
        contract: Some(option()),
        volatility: Some(0.25),
        under_price: Some(231.0),
        ..Default::default()
    };
    world.request(client, ask::REQ_CALC_OPTION_PRICE, &request);
    let of = |world: &World| {
        world.messages::<TickOptionComputation>(client, id::TICK_OPTION_COMPUTATION)
    };
    let price = of(&world)[0].opt_price;
    let request = CalculateImpliedVolatilityRequest {
        req_id: Some(2),
        contract: Some(option()),
        option_price: price,
        under_price: Some(231.0),
        ..Default::default()
    };
    world.request(client, ask::REQ_CALC_IMPLIED_VOLAT, &request);
    let answer = &of(&world)[1];
    assert_eq!((answer.req_id(), answer.tick_type()), (2, 53));
    assert!((answer.implied_vol() - 0.25).abs() < 1e-6);
}

#[test]
fn generic_ticks_become_their_tick_types() {
    let config = GatewayConfig {
        rate: Rate::PerLine(0),
        strict_snapshots: true,
        ..GatewayConfig::default()
    };
    let mut world = World::new(config);
    let client = world.connect(7);
    let list = "100,101,104,105,106,165,221,225,236,258,292,293,294,295,318,375,411,456,586,588";
    let request =
        MarketDataRequest { generic_tick_list: Some(list.to_owned()), ..market_data(1, "AAPL") };
    world.request(client, id::REQ_MKT_DATA, &request);
    let mut kinds: BTreeSet<i32> = BTreeSet::new();
    kinds.extend(world.messages::<TickPrice>(client, id::TICK_PRICE).iter().map(|t| t.tick_type()));
    kinds.extend(world.messages::<TickSize>(client, id::TICK_SIZE).iter().map(|t| t.tick_type()));
    kinds.extend(
        world.messages::<TickGeneric>(client, id::TICK_GENERIC).iter().map(|t| t.tick_type()),
    );
    kinds.extend(
        world.messages::<TickString>(client, id::TICK_STRING).iter().map(|t| t.tick_type()),
    );
    for kind in [
        29, 30, 27, 28, 23, 87, 24, 15, 20, 21, 37, 34, 35, 36, 46, 89, 47, 54, 55, 56, 57, 77, 58,
        59, 101, 102, 86,
    ] {
        assert!(kinds.contains(&kind), "{kind}");
    }
    world.pass(10 * SECOND);
    assert_eq!(world.messages::<TickNews>(client, id::TICK_NEWS).len(), 3);
    world.request(client, id::CANCEL_MKT_DATA, &CancelMarketData { req_id: Some(1) });
    let before = world.bytes(client).len();
    world.pass(10 * SECOND);
    assert_eq!(world.bytes(client).len(), before);
    for (request_id, list, snapshot) in [(2, "gossip", false), (3, "100", true)] {
        let request = MarketDataRequest {
            generic_tick_list: Some(list.to_owned()),
            snapshot: Some(snapshot),
            ..market_data(request_id, "AAPL")
        };
        world.request(client, id::REQ_MKT_DATA, &request);
        assert_eq!(world.errors(client, request_id), [321]);
    }
}

#[test]
fn options_have_computations_and_regulatory_snapshots_are_counted() {
    let mut world = World::new(GatewayConfig::default());
    let client = world.connect(7);
    let request = MarketDataRequest { contract: Some(option()), ..market_data(1, "AAPL") };
    world.request(client, id::REQ_MKT_DATA, &request);
    let computations: Vec<TickOptionComputation> =
        world.messages(client, id::TICK_OPTION_COMPUTATION);
    let kinds: Vec<_> = computations.iter().map(|one| one.tick_type()).collect();
    assert_eq!(kinds, [10, 11, 12, 13]);
    assert!(computations.iter().all(|one| (0.0..1.0).contains(&one.delta())));
    for request_id in [2, 3] {
        let request = MarketDataRequest {
            regulatory_snapshot: Some(true),
            ..market_data(request_id, "MSFT")
        };
        world.request(client, id::REQ_MKT_DATA, &request);
    }
    assert_eq!(world.errors(client, 3), [322]);
    assert_eq!(world.gateway.report().regulatory_snapshots, 1);
    assert_eq!(world.gateway.report().limits[&Limit::RegulatorySnapshots], 1);
}
