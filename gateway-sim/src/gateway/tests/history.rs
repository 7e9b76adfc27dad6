//! Historical bars and ticks, and their limits.

use ibouncer_proto::tws::v1::{
    CancelHistoricalData, HeadTimestamp, HeadTimestampRequest, HistogramData, HistogramDataRequest,
    HistoricalData, HistoricalDataEnd, HistoricalDataRequest, HistoricalDataUpdate,
    HistoricalSchedule, HistoricalTicksBidAsk, HistoricalTicksLast, HistoricalTicksRequest,
};

use super::super::ids::{ask, tell};
use super::*;
use crate::limits::{Limit, Limits};

const SECOND: Duration = Duration::from_secs(1);

fn bars(request_id: i32, size: &str, duration: &str, what: &str) -> HistoricalDataRequest {
    HistoricalDataRequest {
        req_id: Some(request_id),
        contract: Some(contract("AAPL", "STK")),
        bar_size_setting: Some(size.to_owned()),
        duration: Some(duration.to_owned()),
        what_to_show: Some(what.to_owned()),
        use_rth: Some(true),
        format_date: Some(1),
        ..Default::default()
    }
}

fn asked(config: GatewayConfig, requests: &[HistoricalDataRequest]) -> (World, ConnectionId) {
    let mut world = World::new(config);
    let client = world.connect(7);
    for request in requests {
        world.request(client, ask::REQ_HISTORICAL_DATA, request);
    }
    world.pass(SECOND);
    (world, client)
}

#[test]
fn bars_and_their_end_are_answered() {
    let request = bars(1, "1 hour", "2 D", "TRADES");
    let (world, client) = asked(GatewayConfig::default(), &[request]);
    let data: Vec<HistoricalData> = world.messages(client, tell::HISTORICAL_DATA);
    let bars = &data[0].historical_data_bars;
    assert_eq!(bars.len(), 7 + 5);
    assert_eq!(bars[0].date(), "20261120 14:30:00 UTC");
    assert_eq!(bars[1].date(), "20261120 15:00:00 UTC");
    assert!(bars.iter().all(|bar| bar.high() >= bar.low() && bar.volume() != "-1"));
    let ends: Vec<HistoricalDataEnd> = world.messages(client, tell::HISTORICAL_DATA_END);
    assert_eq!(ends[0].start_date_str(), "20261120 14:30:00 UTC");
}

#[test]
fn everything_that_can_be_shown_is_and_the_rest_is_refused() {
    let what = [
        "TRADES",
        "MIDPOINT",
        "BID",
        "ASK",
        "BID_ASK",
        "ADJUSTED_LAST",
        "HISTORICAL_VOLATILITY",
        "OPTION_IMPLIED_VOLATILITY",
        "FEE_RATE",
        "YIELD_BID",
        "AGGTRADES",
    ];
    let requests: Vec<_> = what
        .iter()
        .enumerate()
        .map(|(place, what)| bars(place as i32, "1 day", "1 W", what))
        .collect();
    let (world, client) = asked(GatewayConfig::default(), &requests);
    let data: Vec<HistoricalData> = world.messages(client, tell::HISTORICAL_DATA);
    assert_eq!(data.len(), what.len());
    for (bad, code) in [
        (bars(1, "7 mins", "1 D", "TRADES"), 321),
        (bars(2, "1 min", "1 X", "TRADES"), 321),
        (bars(3, "1 min", "1 D", "RUMOURS"), 321),
        (bars(4, "1 secs", "9 Y", "TRADES"), 162),
        (
            HistoricalDataRequest {
                end_date_time: Some("noon".into()),
                ..bars(5, "1 day", "1 D", "BID")
            },
            10314,
        ),
        (
            HistoricalDataRequest {
                contract: Some(contract("EUR", "CASH")),
                ..bars(6, "1 day", "1 D", "TRADES")
            },
            162,
        ),
        (
            HistoricalDataRequest {
                contract: Some(contract("NOSUCH", "STK")),
                ..bars(7, "1 day", "1 D", "BID")
            },
            200,
        ),
    ] {
        let request_id = bad.req_id();
        let (world, client) = asked(GatewayConfig::default(), &[bad]);
        assert_eq!(world.errors(client, request_id), [code], "{request_id}");
    }
}

#[test]
fn a_schedule_has_sessions() {
    let request = bars(1, "1 day", "1 W", "SCHEDULE");
    let (world, client) = asked(GatewayConfig::default(), &[request]);
    let schedules: Vec<HistoricalSchedule> = world.messages(client, tell::HISTORICAL_SCHEDULE);
    assert_eq!(schedules[0].historical_sessions.len(), 6);
    assert_eq!(schedules[0].historical_sessions[5].start_date_time(), "20261123-14:30:00");
}

#[test]
fn bars_that_are_kept_up_to_date_go_on_until_they_are_cancelled() {
    let request =
        HistoricalDataRequest { keep_up_to_date: Some(true), ..bars(1, "1 min", "1 D", "TRADES") };
    let (mut world, client) = asked(GatewayConfig::default(), &[request]);
    world.pass(21 * SECOND);
    let updates: Vec<HistoricalDataUpdate> = world.messages(client, tell::HISTORICAL_DATA_UPDATE);
    assert_eq!(updates.len(), 4);
    let cancel = CancelHistoricalData { req_id: Some(1) };
    world.request(client, ask::CANCEL_HISTORICAL_DATA, &cancel);
    assert_eq!(world.errors(client, 1), [162]);
    world.request(client, ask::CANCEL_HISTORICAL_DATA, &cancel);
    assert_eq!(world.errors(client, 1), [162, 366]);
}

#[test]
fn identical_requests_for_small_bars_are_paced_and_others_are_not() {
    let small = bars(1, "5 secs", "600 S", "TRADES");
    let again = HistoricalDataRequest { req_id: Some(2), ..small.clone() };
    let large = [bars(3, "1 min", "1 D", "TRADES"), bars(4, "1 min", "1 D", "TRADES")];
    let (mut world, client) = asked(
        GatewayConfig::default(),
        &[small, again.clone(), large[0].clone(), large[1].clone()],
    );
    assert_eq!(world.errors(client, 2), [162]);
    assert_eq!(world.gateway.report().limits[&Limit::HistoricalIdentical], 1);
    world.pass(15 * SECOND);
    world.request(client, ask::REQ_HISTORICAL_DATA, &again);
    world.pass(SECOND);
    assert_eq!(world.messages::<HistoricalData>(client, tell::HISTORICAL_DATA).len(), 4);
}

#[test]
fn small_bars_of_one_contract_and_all_of_them_are_limited() {
    let of = |second: i32, what: &str| bars(second, "1 secs", &format!("{} S", 100 + second), what);
    let requests: Vec<_> = (1..=6).map(|second| of(second, "TRADES")).collect();
    let (mut world, client) = asked(GatewayConfig::default(), &requests);
    assert_eq!(world.errors(client, 6), [162]);
    assert_eq!(world.gateway.report().limits[&Limit::HistoricalContract], 1);
    for second in 10..37 {
        world.pass(SECOND);
        world.request(client, ask::REQ_HISTORICAL_DATA, &of(second, "BID_ASK"));
    }
    assert!(world.errors(client, 36).is_empty());
    world.pass(SECOND);
    world.request(client, ask::REQ_HISTORICAL_DATA, &of(40, "BID_ASK"));
    assert_eq!(world.errors(client, 40), [162]);
    world.pass(600 * SECOND);
    world.request(client, ask::REQ_HISTORICAL_DATA, &of(41, "BID_ASK"));
    assert!(world.errors(client, 41).is_empty());
}

#[test]
fn only_so_many_historical_requests_are_open() {
    let limits = Limits::default().with(Limit::HistoricalOpen, 2);
    let requests = [1, 2, 3].map(|number| bars(number, "1 day", "1 D", "TRADES"));
    let (mut world, client) =
        asked(GatewayConfig { limits, ..GatewayConfig::default() }, &requests);
    assert_eq!(world.errors(client, 3), [322]);
    for (request_id, codes) in [(11, &[][..]), (12, &[]), (13, &[322])] {
        let request = HeadTimestampRequest {
            req_id: Some(request_id),
            contract: Some(contract("AAPL", "STK")),
            what_to_show: Some("TRADES".to_owned()),
            ..Default::default()
        };
        world.request(client, ask::REQ_HEAD_TIMESTAMP, &request);
        assert_eq!(world.errors(client, request_id), codes);
    }
    let heads: Vec<HeadTimestamp> = world.messages(client, tell::HEAD_TIMESTAMP);
    assert_eq!(heads[0].head_timestamp(), "19801212-14:30:00");
}

#[test]
fn ticks_and_histograms_are_answered() {
    let mut world = World::new(GatewayConfig::default());
    let client = world.connect(7);
    for (request_id, what) in [(1, "TRADES"), (2, "BID_ASK"), (3, "MIDPOINT")] {
        let request = HistoricalTicksRequest {
            req_id: Some(request_id),
            contract: Some(contract("AAPL", "STK")),
            start_date_time: (request_id == 1).then(|| "20261123 14:30:00 UTC".to_owned()),
            end_date_time: (request_id != 1).then(|| "20261123 18:00:00 UTC".to_owned()),
            number_of_ticks: Some(100),
            what_to_show: Some(what.to_owned()),
            use_rth: Some(true),
            ..Default::default()
        };
        world.request(client, ask::REQ_HISTORICAL_TICKS, &request);
    }
    world.pass(SECOND);
    let trades: Vec<HistoricalTicksLast> = world.messages(client, tell::HISTORICAL_TICKS_LAST);
    assert_eq!((trades[0].historical_ticks_last.len(), trades[0].is_done()), (100, true));
    let quotes: Vec<HistoricalTicksBidAsk> = world.messages(client, tell::HISTORICAL_TICKS_BID_ASK);
    let quotes = &quotes[0].historical_ticks_bid_ask;
    assert!(quotes.iter().all(|quote| quote.price_bid() < quote.price_ask()));
    assert!(quotes.windows(2).all(|two| two[0].time() < two[1].time()));
    let request = HistogramDataRequest {
        req_id: Some(4),
        contract: Some(contract("AAPL", "STK")),
        time_period: Some("3 days".to_owned()),
        ..Default::default()
    };
    world.request(client, ask::REQ_HISTOGRAM_DATA, &request);
    let histograms: Vec<HistogramData> = world.messages(client, tell::HISTOGRAM_DATA);
    assert!(histograms[0].histogram_data_entries.len() > 10);
}
