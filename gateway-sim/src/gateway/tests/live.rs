//! Depth, tick-by-tick data and real-time bars, and their limits.

use ibouncer_proto::tws::v1::tick_by_tick_data::Tick;
use ibouncer_proto::tws::v1::{
    CancelMarketDepth, CancelRealTimeBars, CancelTickByTick, HistoricalTicksLast, MarketDepth,
    MarketDepthData, MarketDepthL2, MarketDepthRequest, RealTimeBarTick, RealTimeBarsRequest,
    TickByTickData, TickByTickRequest,
};

use super::super::ids::{ask, tell};
use super::*;
use crate::limits::{Limit, Limits};

const SECOND: Duration = Duration::from_secs(1);

fn depth(request_id: i32, symbol: &str, smart: bool) -> MarketDepthRequest {
    MarketDepthRequest {
        req_id: Some(request_id),
        contract: Some(contract(symbol, "STK")),
        num_rows: Some(5),
        is_smart_depth: Some(smart),
        ..Default::default()
    }
}

fn ticks(request_id: i32, symbol: &str, kind: &str) -> TickByTickRequest {
    TickByTickRequest {
        req_id: Some(request_id),
        contract: Some(contract(symbol, "STK")),
        tick_type: Some(kind.to_owned()),
        ..Default::default()
    }
}

fn bars(request_id: i32, symbol: &str) -> RealTimeBarsRequest {
    RealTimeBarsRequest {
        req_id: Some(request_id),
        contract: Some(contract(symbol, "STK")),
        bar_size: Some(5),
        what_to_show: Some("TRADES".to_owned()),
        ..Default::default()
    }
}

/// Applies operations as a client does; panics where they do not fit.
fn follow(changes: &[MarketDepthData]) {
    let mut sides: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for change in changes {
        let rows = &mut sides[change.side() as usize];
        let position = change.position() as usize;
        match change.operation() {
            0 => rows.insert(position, change.price()),
            1 => rows[position] = change.price(),
            _ => drop(rows.remove(position)),
        }
        let [asks, bids] = &sides;
        assert!(asks.is_sorted() && bids.iter().rev().is_sorted(), "{sides:?}");
        if let (Some(ask), Some(bid)) = (asks.first(), bids.first()) {
            assert!(bid < ask, "{sides:?}");
        }
    }
    assert_eq!((sides[0].len(), sides[1].len()), (5, 5));
}

#[test]
fn a_book_can_be_followed_by_its_operations() {
    let mut world = World::new(GatewayConfig::default());
    let client = world.connect(7);
    world.request(client, ask::REQ_MKT_DEPTH, &depth(1, "AAPL", false));
    world.request(client, ask::REQ_MKT_DEPTH, &depth(2, "AAPL", true));
    world.pass(300 * SECOND);
    let plain: Vec<MarketDepth> = world.messages(client, tell::MARKET_DEPTH);
    let smart: Vec<MarketDepthL2> = world.messages(client, tell::MARKET_DEPTH_L2);
    let plain: Vec<_> = plain.into_iter().filter_map(|one| one.market_depth_data).collect();
    let smart: Vec<_> = smart.into_iter().filter_map(|one| one.market_depth_data).collect();
    assert!(plain.iter().all(|change| change.market_maker.is_none()));
    assert!(smart.iter().all(|change| change.is_smart_depth()));
    assert!([0, 1, 2].iter().all(|kind| plain.iter().any(|one| one.operation() == *kind)));
    follow(&plain);
    follow(&smart);
    let cancel = CancelMarketDepth { req_id: Some(1), ..Default::default() };
    world.request(client, ask::CANCEL_MKT_DEPTH, &cancel);
    world.request(client, ask::CANCEL_MKT_DEPTH, &cancel);
    assert_eq!(world.errors(client, 1), [310]);
}

#[test]
fn depth_is_limited_by_contracts_and_freed_by_the_end_of_a_connection() {
    let mut world = World::new(GatewayConfig::default());
    let (one, other) = (world.connect(7), world.connect(8));
    for (request_id, symbol) in [(1, "AAPL"), (2, "MSFT"), (3, "NVDA"), (4, "AAPL")] {
        world.request(one, ask::REQ_MKT_DEPTH, &depth(request_id, symbol, false));
        assert!(world.errors(one, request_id).is_empty());
    }
    world.request(other, ask::REQ_MKT_DEPTH, &depth(1, "TSLA", false));
    assert_eq!(world.errors(other, 1), [309]);
    assert_eq!(world.gateway.report().limits[&Limit::MarketDepth], 1);
    world.hang_up(one, End::Fin);
    world.request(other, ask::REQ_MKT_DEPTH, &depth(2, "TSLA", false));
    assert!(world.errors(other, 2).is_empty());
}

#[test]
fn all_kinds_of_ticks_come_and_a_page_of_the_past_before_them() {
    let limits = Limits::default().with(Limit::TickByTickPause, u32::MAX);
    let mut world = World::new(GatewayConfig { limits, ..GatewayConfig::default() });
    let client = world.connect(7);
    for (place, kind) in ["Last", "AllLast", "BidAsk", "MidPoint"].iter().enumerate() {
        let request = TickByTickRequest {
            number_of_ticks: Some(10),
            ..ticks(place as i32 + 1, "AAPL", kind)
        };
        world.request(client, ask::REQ_TICK_BY_TICK_DATA, &request);
    }
    let pages: Vec<HistoricalTicksLast> = world.messages(client, tell::HISTORICAL_TICKS_LAST);
    assert_eq!((pages.len(), pages[0].historical_ticks_last.len()), (2, 10));
    world.pass(2 * SECOND);
    for tick in world.messages::<TickByTickData>(client, tell::TICK_BY_TICK) {
        assert_eq!(tick.tick_type(), tick.req_id());
        match tick.tick.unwrap() {
            Tick::HistoricalTickLast(last) => assert!(last.price() > 0.0),
            Tick::HistoricalTickBidAsk(quote) => assert!(quote.price_bid() < quote.price_ask()),
            Tick::HistoricalTickMidPoint(middle) => assert!(middle.price() > 0.0),
        }
    }
    let cancel = CancelTickByTick { req_id: Some(1) };
    world.request(client, ask::CANCEL_TICK_BY_TICK_DATA, &cancel);
    world.request(client, ask::CANCEL_TICK_BY_TICK_DATA, &cancel);
    assert_eq!(world.errors(client, 1), [300]);
}

#[test]
fn tick_by_tick_is_limited_by_lines_and_by_a_pause_for_each_instrument() {
    let mut world = World::new(GatewayConfig { lines: 40, ..GatewayConfig::default() });
    let client = world.connect(7);
    world.request(client, ask::REQ_TICK_BY_TICK_DATA, &ticks(1, "AAPL", "Last"));
    world.request(client, ask::REQ_TICK_BY_TICK_DATA, &ticks(2, "AAPL", "BidAsk"));
    assert_eq!(world.errors(client, 2), [10190]);
    world.pass(15 * SECOND);
    world.request(client, ask::REQ_TICK_BY_TICK_DATA, &ticks(3, "AAPL", "BidAsk"));
    assert!(world.errors(client, 3).is_empty());
    world.request(client, ask::REQ_TICK_BY_TICK_DATA, &ticks(4, "MSFT", "BidAsk"));
    assert_eq!(world.errors(client, 4), [10190]);
    let limits = world.gateway.report().limits;
    assert_eq!((limits[&Limit::TickByTick], limits[&Limit::TickByTickPause]), (1, 1));
}

#[test]
fn real_time_bars_come_every_five_seconds_and_use_lines() {
    let limits = Limits::default().with(Limit::RealTimeBars, 2);
    let mut world = World::new(GatewayConfig { lines: 1, limits, ..GatewayConfig::default() });
    let client = world.connect(7);
    world.request(client, ask::REQ_REAL_TIME_BARS, &bars(1, "AAPL"));
    world.request(client, ask::REQ_REAL_TIME_BARS, &bars(1, "AAPL"));
    assert_eq!(world.errors(client, 1), [102]);
    world.request(client, ask::REQ_REAL_TIME_BARS, &bars(2, "MSFT"));
    assert_eq!(world.errors(client, 2), [101]);
    world.request(client, ask::REQ_REAL_TIME_BARS, &bars(3, "AAPL"));
    world.request(client, ask::REQ_REAL_TIME_BARS, &bars(4, "AAPL"));
    assert_eq!(world.errors(client, 4), [420]);
    world.pass(15 * SECOND);
    let bars: Vec<RealTimeBarTick> = world.messages(client, tell::REAL_TIME_BARS);
    let times: Vec<_> = bars.iter().filter(|bar| bar.req_id() == 1).map(|bar| bar.time()).collect();
    assert_eq!(times.len(), 3);
    assert!(times.iter().all(|time| time % 5 == 0) && times[1] - times[0] == 5);
    for request_id in [1, 3] {
        let cancel = CancelRealTimeBars { req_id: Some(request_id) };
        world.request(client, ask::CANCEL_REAL_TIME_BARS, &cancel);
    }
    world.request(client, id::REQ_MKT_DATA, &market_data(9, "MSFT"));
    assert!(world.errors(client, 9).is_empty(), "the line is free again");
}
