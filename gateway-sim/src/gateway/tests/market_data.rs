//! Lines, snapshots, rates and refusals.

use ibouncer_proto::tws::v1::{
    CancelMarketData, MarketDataType, MarketDataTypeRequest, TickPrice, TickReqParams, TickSize,
    TickSnapshotEnd, TickString,
};

use super::*;
use crate::config::Rate;

/// Frames with which a line begins.
const IMAGE: usize = 15;

const SECOND: Duration = Duration::from_secs(1);

fn with_rate(rate: Rate) -> GatewayConfig {
    GatewayConfig { rate, ..GatewayConfig::default() }
}

fn cancel(request_id: i32) -> CancelMarketData {
    CancelMarketData { req_id: Some(request_id) }
}

fn subscribed(config: GatewayConfig, symbols: &[&str]) -> (World, ConnectionId) {
    let mut world = World::new(config);
    let client = world.connect(7);
    for (place, symbol) in symbols.iter().enumerate() {
        let request = market_data(place as i32 + 1, symbol);
        world.request(client, id::REQ_MKT_DATA, &request);
    }
    (world, client)
}

#[test]
fn a_line_begins_with_parameters_type_and_image() {
    let (world, client) = subscribed(with_rate(Rate::PerLine(0)), &["AAPL"]);
    let ids = world.message_ids(client);
    assert_eq!(ids[5..7], [id::TICK_REQ_PARAMS, id::MARKET_DATA_TYPE]);
    let parameters: Vec<TickReqParams> = world.messages(client, id::TICK_REQ_PARAMS);
    assert_eq!(parameters[0].min_tick(), "0.01");
    let types: Vec<MarketDataType> = world.messages(client, id::MARKET_DATA_TYPE);
    assert_eq!(types[0].market_data_type(), 1);
    let prices: Vec<TickPrice> = world.messages(client, id::TICK_PRICE);
    let kinds: Vec<_> = prices.iter().map(|tick| tick.tick_type()).collect();
    assert_eq!(kinds, [1, 2, 4, 6, 7, 9, 14]);
    assert_eq!((prices[0].price(), prices[1].price()), (231.39, 231.41));
    assert!(ids.contains(&id::TICK_STRING) && ids.contains(&id::TICK_GENERIC));
}

#[test]
fn a_line_goes_on_until_it_is_cancelled() {
    let (mut world, client) = subscribed(with_rate(Rate::PerLine(5)), &["AAPL"]);
    let image = world.gateway.report().sent_ticks;
    world.pass(10 * SECOND);
    assert_eq!(world.gateway.report().sent_ticks, image + 50);
    world.request(client, id::CANCEL_MKT_DATA, &cancel(1));
    let before = world.bytes(client);
    world.pass(10 * SECOND);
    assert_eq!(world.bytes(client), before);
    world.request(client, id::CANCEL_MKT_DATA, &cancel(1));
    assert_eq!(world.errors(client, 1), [300]);
}

#[test]
fn ticks_come_in_the_groups_of_gateway() {
    let (mut world, client) = subscribed(with_rate(Rate::PerLine(1000)), &["AAPL", "MSFT"]);
    world.pass(SECOND);
    let mut price: Option<TickPrice> = None;
    for body in world.bodies(client).iter().skip(5 + 2 * IMAGE) {
        let envelope = Envelope::parse(body).unwrap();
        if let Some(price) = price.take() {
            let size = TickSize::decode(envelope.body).unwrap();
            let kinds = (price.tick_type(), size.tick_type());
            assert!(matches!(kinds, (1, 0) | (2, 3) | (4, 5)), "{kinds:?}");
            assert_eq!((price.req_id(), price.size()), (size.req_id(), size.size()));
        }
        if envelope.message_id == id::TICK_PRICE {
            price = Some(TickPrice::decode(envelope.body).unwrap());
        }
    }
    let mut trades = 0;
    for tick in world.messages::<TickPrice>(client, id::TICK_PRICE) {
        trades += u32::from(tick.tick_type() == 4);
        let cents = tick.price() * 100.0;
        assert!((cents - cents.round()).abs() < 1e-6, "{}", tick.price());
    }
    assert!(trades > 50);
}

#[test]
fn a_rate_per_connection_is_shared_by_its_lines_and_kept() {
    let symbols = ["AAPL", "MSFT", "NVDA"];
    let (mut world, _) = subscribed(with_rate(Rate::PerConnection(100_000)), &symbols);
    let image = world.gateway.report().sent_ticks;
    world.pass(2 * SECOND);
    let made = world.gateway.report().sent_ticks - image;
    assert!((199_800..=200_000).contains(&made), "{made}");
}

#[test]
fn real_time_volume_comes_only_with_generic_tick_233() {
    for (generic, wanted) in [("", false), ("100,233", true)] {
        let mut world = World::new(with_rate(Rate::PerLine(1000)));
        let client = world.connect(7);
        let request = MarketDataRequest {
            generic_tick_list: Some(generic.to_owned()),
            ..market_data(1, "AAPL")
        };
        world.request(client, id::REQ_MKT_DATA, &request);
        world.pass(SECOND);
        let strings: Vec<TickString> = world.messages(client, id::TICK_STRING);
        let volume = strings.iter().find(|tick| tick.tick_type() == 48);
        assert_eq!(volume.is_some(), wanted);
        if let Some(volume) = volume {
            assert_eq!(volume.value().split(';').count(), 6, "{}", volume.value());
        }
    }
}

#[test]
fn a_snapshot_ends_after_its_delay_and_takes_no_line() {
    let mut world = World::new(GatewayConfig::default());
    let client = world.connect(7);
    let request = MarketDataRequest { snapshot: Some(true), ..market_data(3, "MSFT") };
    world.request(client, id::REQ_MKT_DATA, &request);
    assert_eq!(world.gateway.report().lines, 0);
    world.pass(SECOND - Duration::from_millis(1));
    let ends = |world: &World| world.messages::<TickSnapshotEnd>(client, id::TICK_SNAPSHOT_END);
    assert_eq!(ends(&world).len(), 0);
    world.pass(Duration::from_millis(1));
    assert_eq!(ends(&world)[0].req_id(), 3);
    assert!(world.messages::<TickPrice>(client, id::TICK_PRICE).len() >= 3);
    world.request(client, id::REQ_MKT_DATA, &request);
    assert!(world.errors(client, 3).is_empty());
}

#[test]
fn refusals_carry_the_request_id_and_the_documented_code() {
    let refused = vec![("TSLA".to_owned(), 10197)];
    let config = GatewayConfig { refused, ..GatewayConfig::default() };
    let (mut world, client) = subscribed(config, &["AAPL"]);
    for (request_id, symbol, code) in
        [(1, "MSFT", 102), (8, "NOSUCH", 200), (9, "NOPERM", 354), (10, "TSLA", 10197)]
    {
        let request = market_data(request_id, symbol);
        world.request(client, id::REQ_MKT_DATA, &request);
        assert_eq!(world.errors(client, request_id), [code]);
        assert_eq!(world.gateway.report().lines, 1);
    }
}

#[test]
fn delayed_data_replaces_what_is_not_permitted_and_only_that() {
    let mut world = World::new(GatewayConfig::default());
    let client = world.connect(7);
    let delayed = MarketDataTypeRequest { market_data_type: Some(3) };
    world.request(client, id::REQ_MARKET_DATA_TYPE, &delayed);
    world.request(client, id::REQ_MKT_DATA, &market_data(1, "NOPERM"));
    world.request(client, id::REQ_MKT_DATA, &market_data(2, "AAPL"));
    assert_eq!(world.errors(client, 1), [10167]);
    let types: Vec<MarketDataType> = world.messages(client, id::MARKET_DATA_TYPE);
    let types: Vec<_> =
        types.iter().map(|message| (message.req_id(), message.market_data_type())).collect();
    assert_eq!(types, [(1, 3), (2, 1)]);
    world.pass(20 * SECOND);
    for tick in world.messages::<TickPrice>(client, id::TICK_PRICE) {
        assert_eq!(tick.req_id() == 1, tick.tick_type() >= 66);
    }
}

#[test]
fn lines_count_instruments_and_a_cancel_frees_one() {
    let config = GatewayConfig { lines: 2, ..GatewayConfig::default() };
    let (mut world, client) = subscribed(config, &["AAPL", "MSFT", "AAPL"]);
    let other = world.connect(8);
    world.request(other, id::REQ_MKT_DATA, &market_data(1, "NVDA"));
    assert_eq!(world.errors(other, 1), [101]);
    world.request(client, id::CANCEL_MKT_DATA, &cancel(2));
    world.request(other, id::REQ_MKT_DATA, &market_data(1, "NVDA"));
    assert_eq!(world.errors(other, 1), [101]);
    world.request(client, id::REQ_MKT_DATA, &market_data(5, "MSFT"));
    assert_eq!(world.errors(client, 5), [101]);
    world.hang_up(other, End::Fin);
    world.request(client, id::REQ_MKT_DATA, &market_data(6, "MSFT"));
    assert!(world.errors(client, 6).is_empty());
}

#[test]
fn stamped_ticks_carry_time_and_an_unbroken_count() {
    let config = GatewayConfig { stamp: true, ..with_rate(Rate::PerConnection(1000)) };
    let (mut world, client) = subscribed(config, &["AAPL", "MSFT"]);
    world.pass(SECOND);
    let mut counters = [0; 3];
    let mut newest = 0.0;
    for tick in world.messages::<TickPrice>(client, id::TICK_PRICE) {
        let counter = &mut counters[tick.req_id() as usize];
        *counter += 1;
        assert_eq!(tick.size(), counter.to_string());
        assert!(tick.price() >= newest);
        newest = tick.price();
    }
    assert_eq!(counters, [0, 500, 500]);
    let now = CLOCK.monotonic_nanos + world.now.as_nanos() as u64;
    assert!((now as f64 - newest) < 2e6);
}

#[test]
fn a_slow_reader_loses_ticks_that_are_counted_and_nothing_else() {
    let config = GatewayConfig {
        stamp: true,
        queue_limit: 64 * 1024,
        ..with_rate(Rate::PerConnection(10_000))
    };
    let (mut world, client) = subscribed(config, &["AAPL", "MSFT"]);
    world.reads = false;
    world.pass(10 * SECOND);
    let report = world.gateway.report();
    assert!(world.bytes(client).len() < 80 * 1024);
    let due = report.sent_ticks + report.dropped;
    assert!((99_980..=100_000).contains(&due), "{due}");
    world.request(client, id::CANCEL_MKT_DATA, &cancel(1));
    assert_eq!(world.gateway.report().lines, 1);
    world.reads = true;
    let unread = world.bytes(client).len();
    world.gateway.written(client, unread);
    world.pass(SECOND);
    let ticks: Vec<TickPrice> = world.messages(client, id::TICK_PRICE);
    let last = ticks.last().unwrap();
    let counter: u64 = last.size().parse().unwrap();
    assert!(counter > 50_000, "the counter shows the gap: {counter}");
}

#[test]
fn at_full_speed_the_reader_sets_the_pace() {
    let (mut world, client) = subscribed(with_rate(Rate::Max), &["AAPL"]);
    world.reads = false;
    for _ in 0..100 {
        world.gateway.handle_timeout(world.now);
        world.drain();
    }
    let queued = world.bytes(client).len();
    assert!((256 * 1024..1024 * 1024).contains(&queued), "{queued}");
    assert_eq!(world.gateway.poll_timeout(), None);
    world.gateway.written(client, queued);
    assert_eq!(world.gateway.poll_timeout(), Some(Duration::ZERO));
    assert_eq!(world.gateway.report().dropped, 0);
}

#[test]
fn a_client_that_does_not_read_loses_the_first_half_of_what_waits() {
    let config = GatewayConfig { output_limit: 1000, ..with_rate(Rate::PerConnection(10_000)) };
    let (mut world, client) = subscribed(config, &["AAPL"]);
    world.pass(SECOND);
    assert_eq!(world.gateway.report().output_dropped, 0);
    world.reads = false;
    world.pass(10 * SECOND);
    let dropped = world.gateway.report().output_dropped;
    assert!((80_000..100_000).contains(&dropped), "{dropped}");
    world.reads = true;
    let unread = world.bytes(client).len();
    world.gateway.written(client, unread);
    world.drain();
    // What is left is whole frames.
    assert!(world.bodies(client).len() > 1000);
    let mut deframer = Deframer::new();
    deframer.extend(&world.bytes(client));
    while let Ok(Some(_)) = deframer.next_body() {}
    world.pass(SECOND);
    assert_eq!(world.gateway.report().output_dropped, dropped);
    world.hang_up(client, End::Fin);
    assert_eq!(world.gateway.report().output_dropped, dropped);
}
