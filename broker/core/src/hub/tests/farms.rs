//! A farm of market data that is broken: what is told of lines that it may serve.

use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;

use super::reads::contract;
use super::*;
use crate::lines::kind;

const BROKEN: &str = "Market data farm connection is broken:usfarm";
const OK: &str = "Market data farm connection is OK:usfarm";

/// A client with a line of market data of each kind, all of which live, and one with positions and
/// bars that go on.
fn everything(world: &mut World) -> (StreamId, StreamId) {
    let (market, rest) = (world.open(1), world.open(2));
    world.subscribe(market, 1, AAPL);
    let contract = || Some(contract(AAPL));
    let depth = tws::MarketDepthRequest { contract: contract(), ..Default::default() };
    let tick_type = Some("Last".to_owned());
    let tape = tws::TickByTickRequest { contract: contract(), tick_type, ..Default::default() };
    let bars = tws::RealTimeBarsRequest { contract: contract(), ..Default::default() };
    let history = tws::HistoricalDataRequest {
        contract: contract(),
        duration: Some("1 D".into()),
        bar_size_setting: Some("1 hour".into()),
        what_to_show: Some("TRADES".into()),
        ..Default::default()
    };
    for (subscription, wanted) in [
        (2, Wanted::market_depth(depth)),
        (3, Wanted::tick_by_tick(tape)),
        (4, Wanted::real_time_bars(bars)),
    ] {
        world.want(market, subscription, wanted, Manner::default());
    }
    world.want(rest, 1, Ok(Wanted::positions()), Manner::default());
    world.want(rest, 2, Wanted::historical_bars(history), Manner::default());
    world.pass(1);
    world.tick(world.line(), 1.0);
    row(world);
    let req_id = |request| Some(world.sent_of(request)[0]);
    let trade =
        tws::TickByTickData { req_id: req_id(id::REQ_TICK_BY_TICK_DATA), ..Default::default() };
    let bar = tws::RealTimeBarTick { req_id: req_id(id::REQ_REAL_TIME_BARS), ..Default::default() };
    let past =
        tws::HistoricalDataEnd { req_id: req_id(id::REQ_HISTORICAL_DATA), ..Default::default() };
    world.frame(id::TICK_BY_TICK, &trade);
    world.frame(id::REAL_TIME_BARS, &bar);
    world.frame(id::HISTORICAL_DATA_END, &past);
    world.frame(id::POSITION_END, &tws::PositionEnd {});
    assert!(world.hub.lines.iter().all(|(_, line)| line.upstream.name() == "live"));
    for stream in [market, rest] {
        world.events(stream);
    }
    (market, rest)
}

/// A row of the book.
fn row(world: &mut World) {
    let row = tws::MarketDepthData { operation: Some(0), side: Some(1), ..Default::default() };
    let req_id = Some(world.sent_of(id::REQ_MKT_DEPTH)[0]);
    world.frame(id::MARKET_DEPTH, &tws::MarketDepth { req_id, market_depth_data: Some(row) });
}

/// Marks of a stream: kind and subscription. Nothing else came.
fn marks(world: &mut World, stream: StreamId) -> Vec<(MarkKind, u32)> {
    let tell = |event: MarketDataEvent| match event.body {
        Some(Body::Mark(mark)) => (mark.kind(), event.subscription_id),
        other => panic!("{other:?}"),
    };
    world.events(stream).into_iter().map(tell).collect()
}

fn of_each(kind: MarkKind) -> Vec<(MarkKind, u32)> {
    (1..=4).map(|subscription| (kind, subscription)).collect()
}

#[test]
fn a_broken_market_farm_makes_every_live_line_of_market_data_stale_and_asks_for_nothing() {
    let mut world = World::ready();
    let (market, rest) = everything(&mut world);
    let asked = world.sent.len();
    world.about(-1, 2103, BROKEN);
    world.about(-1, 2103, BROKEN);
    let told = world.events(market);
    for event in &told {
        let Some(Body::Mark(mark)) = &event.body else { panic!("{event:?}") };
        assert!(mark.because.contains("2103") && mark.because.contains("usfarm"), "{mark:?}");
        assert_eq!((mark.gaps, event.sequence), (1, 1));
    }
    assert_eq!(told.len(), 4, "once");
    assert!(world.events(rest).is_empty(), "positions and history do not come from it");
    world.about(-1, 2104, OK);
    assert_eq!(marks(&mut world, market), of_each(MarkKind::Resumed));
    world.about(-1, 2104, OK);
    for stream in [market, rest] {
        assert!(world.events(stream).is_empty());
    }
    world.pass(20);
    assert_eq!(world.sent.len(), asked + 1, "a heartbeat, and nothing else");
    let live = |(_, line): (u32, &crate::lines::Line)| line.upstream.name() == "live";
    assert!(world.hub.lines.iter().all(live));
}

#[test]
fn a_message_proves_that_its_line_lives_and_the_rest_waits_for_the_last_broken_farm() {
    let mut world = World::ready();
    let (market, _) = everything(&mut world);
    world.about(-1, 2103, BROKEN);
    world.about(-1, 2103, "Market data farm connection is broken:eufarm");
    assert_eq!(marks(&mut world, market), of_each(MarkKind::Stale));
    world.tick(world.line(), 2.0);
    world.tick(world.line(), 3.0);
    assert_eq!(world.story(market), ["Resumed 1", "new 2", "new 3"]);
    row(&mut world);
    let book: Vec<_> = world.events(market).into_iter().filter_map(|event| event.body).collect();
    assert!(
        matches!(&book[..], [Body::Mark(mark), Body::MarketDepth(_)] if mark.kind() == MarkKind::Resumed),
        "a book goes on, and does not begin anew: {book:?}"
    );
    world.about(-1, 2104, OK);
    assert!(world.events(market).is_empty(), "the other one is still broken");
    // Idle is not broken.
    world.about(-1, 2108, "inactive but should be available upon demand.eufarm");
    assert_eq!(marks(&mut world, market), [(MarkKind::Resumed, 3), (MarkKind::Resumed, 4)]);
    for code in [2108, 2105, 2107, 2119, 2157] {
        world.about(-1, code, "…:another");
    }
    assert!(world.events(market).is_empty(), "none of these is a broken farm of market data");
}

#[test]
fn who_joins_a_line_that_is_doubted_is_told_so_behind_its_last_values() {
    let mut world = World::ready();
    let (first, late) = (world.open(1), world.open(2));
    world.subscribe(first, 1, AAPL);
    world.subscribe(first, 2, "MSFT");
    world.tick(world.sent_of(id::REQ_MKT_DATA)[0], 1.0);
    world.about(-1, 2103, BROKEN);
    assert_eq!(
        world.story(first),
        ["Subscribed 1", "Subscribed 1", "new 1", "Stale 1", "Stale 1"],
        "what waits for its first data is told as well"
    );
    world.subscribe(late, 1, AAPL);
    let told = world.events(late);
    assert_eq!(told.len(), 3);
    let Some(Body::Mark(stale)) = &told[2].body else { panic!("{told:?}") };
    assert_eq!(stale.kind(), MarkKind::Stale);
    assert!(stale.because.contains("2103") && stale.because.contains("usfarm"), "{stale:?}");
    world.tick(world.sent_of(id::REQ_MKT_DATA)[0], 2.0);
    for stream in [first, late] {
        assert_eq!(world.story(stream), ["Resumed 1", "new 2"]);
    }
}

#[test]
fn a_farm_that_comes_back_while_ib_is_lost_proves_nothing() {
    let mut world = World::ready();
    let stream = world.open(1);
    world.subscribe(stream, 1, AAPL);
    world.tick(world.line(), 1.0);
    world.about(-1, 2103, BROKEN);
    world.about(-1, 1100, "lost");
    world.about(-1, 2104, OK);
    world.about(-1, 1102, "restored");
    assert_eq!(world.story(stream), ["Subscribed 1", "new 1", "Stale 1"]);
    world.tick(world.line(), 2.0);
    assert_eq!(world.story(stream), ["Resumed 1", "new 2"]);
}

#[test]
fn a_farm_that_was_broken_in_another_session_makes_nothing_stale_in_this_one() {
    let mut world = World::ready();
    let stream = world.open(1);
    world.subscribe(stream, 1, AAPL);
    world.tick(world.line(), 1.0);
    world.about(-1, 2103, BROKEN);
    world.worker(WorkerEvent::Exited(ExitStatus::Signal(9)));
    world.look();
    world.pass(1);
    world.handshake();
    world.tick(world.line(), 2.0);
    world.events(stream);
    world.about(-1, 2103, BROKEN);
    assert_eq!(world.story(stream), ["Stale 2"], "it is news again");
}

#[test]
fn what_gateway_says_of_lines_is_told_behind_the_data_before_it() {
    for (code, text) in [(2103, BROKEN), (1100, "lost")] {
        let mut world = World::ready();
        let stream = world.open(1);
        world.subscribe(stream, 1, AAPL);
        world.tick(world.line(), 1.0);
        let mut frames = BytesMut::new();
        let tick = |price| TickPrice {
            req_id: Some(world.line()),
            tick_type: Some(1),
            price: Some(price),
            ..TickPrice::default()
        };
        let notice = ErrorMessage {
            id: Some(-1),
            error_code: Some(code),
            error_msg: Some(text.into()),
            ..ErrorMessage::default()
        };
        write_message(id::TICK_PRICE, &tick(2.0), &mut frames);
        write_message(id::ERR_MSG, &notice, &mut frames);
        write_message(id::TICK_PRICE, &tick(3.0), &mut frames);
        world.worker(WorkerEvent::Frames { number: 2, frames: frames.freeze() });
        assert_eq!(
            world.story(stream),
            ["Subscribed 1", "new 1", "new 2", "Stale 1", "Resumed 1", "new 3"]
        );
    }
}

#[test]
fn a_doubted_line_is_not_asked_for_again_because_messages_came_too_fast() {
    let mut world = World::ready();
    let stream = world.open(1);
    world.subscribe(stream, 1, AAPL);
    world.tick(world.line(), 1.0);
    world.about(-1, 2103, BROKEN);
    world.about(-1, 100, "Max rate of messages per second has been exceeded");
    world.pass(2);
    assert_eq!(world.asked(), 1);
}

#[test]
fn kinds_that_a_market_farm_serves_are_those_that_take_a_line_or_a_book() {
    let served: Vec<_> =
        kind::ALL.iter().filter(|kind| kind.is_market_data()).map(|kind| kind.tws).collect();
    let books = ["reqMktDepth", "reqMktDepth"];
    assert_eq!(served, ["reqMktData", books[0], books[1], "reqTickByTickData", "reqRealTimeBars"]);
}
