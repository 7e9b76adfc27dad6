//! What is told to those who come while Gateway has lost IB, or a farm.

use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;

use super::reads::contract;
use super::*;

const BROKEN: &str = "Market data farm connection is broken:usfarm";
const OK: &str = "Market data farm connection is OK:usfarm";

impl World {
    /// Marks of a stream, and why each of them.
    pub(super) fn told(&mut self, stream: StreamId) -> Vec<(MarkKind, String)> {
        let tell = |event: MarketDataEvent| match event.body {
            Some(Body::Mark(mark)) => Some((mark.kind(), mark.because)),
            _ => None,
        };
        self.events(stream).into_iter().filter_map(tell).collect()
    }

    fn kinds(&mut self, stream: StreamId) -> Vec<MarkKind> {
        self.told(stream).into_iter().map(|(kind, _)| kind).collect()
    }

    /// Who came was told STALE behind SUBSCRIBED, for this reason.
    #[track_caller]
    fn assert_stale_because(&mut self, stream: StreamId, word: &str) {
        let told = self.told(stream);
        let [(MarkKind::Subscribed, _), (MarkKind::Stale, because)] = &told[..] else {
            panic!("{told:?}");
        };
        assert!(because.contains(word), "{because}");
    }
}

fn bars() -> Result<Wanted, Error> {
    Wanted::historical_bars(tws::HistoricalDataRequest {
        contract: Some(contract(AAPL)),
        duration: Some("1 D".into()),
        bar_size_setting: Some("1 hour".into()),
        what_to_show: Some("TRADES".into()),
        ..Default::default()
    })
}

#[test]
fn who_joins_a_line_in_trouble_is_told_which() {
    let mut world = World::ready();
    let first = world.open(1);
    world.subscribe(first, 1, AAPL);
    world.tick(world.line(), 1.0);
    let mut number = 1;
    let mut join = |world: &mut World, word: &str| {
        number += 1;
        let late = world.open(number);
        world.subscribe(late, 1, AAPL);
        world.assert_stale_because(late, word);
    };
    world.about(-1, 1100, "lost");
    join(&mut world, "1100");
    world.about(-1, 1102, "back");
    join(&mut world, "IB back");
    world.tick(world.line(), 2.0);
    world.about(-1, 2103, BROKEN);
    join(&mut world, "usfarm");
    world.about(-1, 1100, "lost");
    join(&mut world, "1100");
    world.about(-1, 1102, "back");
    join(&mut world, "usfarm");
    world.about(-1, 1101, "back");
    join(&mut world, "usfarm");
    world.about(-1, 2104, OK);
    join(&mut world, "since the line was lost");
    assert_eq!(world.asked(), 2);
}

#[test]
fn a_new_line_is_stale_while_ib_is_lost_and_fresh_by_its_first_data() {
    let mut world = World::ready();
    let (quotes, history, late) = (world.open(1), world.open(2), world.open(3));
    world.about(-1, 1100, "lost");
    world.subscribe(quotes, 1, AAPL);
    world.want(history, 1, bars(), Manner::default());
    world.pass(1);
    world.parameters();
    world.subscribe(late, 1, AAPL);
    for stream in [quotes, history, late] {
        world.assert_stale_because(stream, "1100: lost");
    }
    world.about(-1, 2104, OK);
    world.about(-1, 1102, "back");
    for stream in [quotes, history, late] {
        assert!(world.told(stream).is_empty(), "as of the others, the first data is waited for");
    }
    world.tick(world.line(), 1.0);
    let req_id = Some(world.sent_of(id::REQ_HISTORICAL_DATA)[0]);
    world.frame(id::HISTORICAL_DATA, &tws::HistoricalData { req_id, ..Default::default() });
    for stream in [quotes, history, late] {
        assert_eq!(world.kinds(stream), [MarkKind::Resumed]);
    }
}

#[test]
fn a_new_line_of_what_only_changes_is_stale_until_ib_is_back_also_without_data() {
    let mut world = World::ready();
    let (before, new) = (world.open(1), world.open(2));
    world.want(before, 0, Ok(Wanted::news_bulletins()), Manner::default());
    world.about(-1, 1100, "lost");
    world.want(new, 0, Ok(Wanted::positions()), Manner::default());
    for stream in [before, new] {
        world.assert_stale_because(stream, "1100");
    }
    world.about(-1, 1102, "back");
    for stream in [before, new] {
        assert_eq!(world.kinds(stream), [MarkKind::Resumed], "no bulletin may come for days");
    }
}

#[test]
fn a_new_line_of_market_data_is_stale_while_a_farm_is_broken_and_no_other_is() {
    for comes_back_by in ["data", "2104", "2104 while IB is lost"] {
        let mut world = World::ready();
        let (quotes, positions) = (world.open(1), world.open(2));
        world.about(-1, 2103, BROKEN);
        world.subscribe(quotes, 1, AAPL);
        world.want(positions, 0, Ok(Wanted::positions()), Manner::default());
        world.parameters();
        world.assert_stale_because(quotes, "usfarm");
        assert_eq!(world.kinds(positions), [MarkKind::Subscribed]);
        match comes_back_by {
            "data" => world.tick(world.line(), 1.0),
            "2104" => world.about(-1, 2104, OK),
            _ => {
                world.about(-1, 1100, "lost");
                world.about(-1, 2104, OK);
                assert!(world.told(quotes).is_empty(), "it proves nothing");
                world.about(-1, 1102, "back");
                world.tick(world.line(), 1.0);
            }
        }
        assert_eq!(world.kinds(quotes), [MarkKind::Resumed], "{comes_back_by}");
    }
}

#[test]
fn what_was_told_before_it_was_lost_is_old_until_new_data_also_once_the_farm_is_back() {
    let mut world = World::ready();
    let stream = world.open(1);
    world.subscribe(stream, 1, AAPL);
    world.tick(world.line(), 1.0);
    world.about(-1, 2103, BROKEN);
    world.about(-1, 1101, "back");
    world.about(-1, 2104, OK);
    assert_eq!(world.story(stream), ["Subscribed 1", "new 1", "Stale 1"]);
    world.tick(world.line(), 2.0);
    assert_eq!(world.story(stream), ["Resumed 1", "new 2"]);
}

#[test]
fn all_who_share_a_line_are_told_the_same() {
    let mut world = World::ready();
    let (before, late, new) = (world.open(1), world.open(2), world.open(3));
    world.subscribe(before, 1, AAPL);
    world.about(-1, 2103, BROKEN);
    world.subscribe(late, 1, AAPL);
    for stream in [before, late] {
        world.assert_stale_because(stream, "usfarm");
    }
    world.subscribe(new, 1, "MSFT");
    world.assert_stale_because(new, "usfarm");
    world.subscribe(late, 2, "MSFT");
    world.assert_stale_because(late, "usfarm");
    world.tick(world.line(), 1.0);
    for stream in [new, late] {
        assert_eq!(world.kinds(stream), [MarkKind::Resumed]);
    }
}
