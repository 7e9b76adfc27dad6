//! What is old is called old, and what must be known to understand data is told late.

use ibouncer_proto::api::v1::Resume;
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;

use super::reads::contract;
use super::*;

impl World {
    fn notice(&mut self, code: i32) {
        self.about(-1, code, "");
    }

    pub(super) fn about(&mut self, request: i32, code: i32, text: &str) {
        let error = ErrorMessage {
            id: Some(request),
            error_code: Some(code),
            error_msg: Some(text.into()),
            ..Default::default()
        };
        self.frame(id::ERR_MSG, &error);
    }
}

#[test]
fn while_gateway_has_lost_ib_all_is_stale_and_what_comes_by_change_is_fresh_once_it_is_back() {
    for code in [1100, 2110] {
        let mut world = World::ready();
        let (quotes, positions, late) = (world.open(1), world.open(2), world.open(3));
        world.subscribe(quotes, 1, AAPL);
        world.tick(world.line(), 1.0);
        world.want(positions, 1, Ok(Wanted::positions()), Manner::default());
        world.frame(id::POSITION_END, &tws::PositionEnd {});
        world.notice(code);
        world.notice(code);
        assert_eq!(world.story(quotes), ["Subscribed 1", "new 1", "Stale 1"], "once");
        assert_eq!(world.events(positions).len(), 3);
        world.subscribe(late, 1, AAPL);
        assert_eq!(world.story(late), ["Subscribed 1", "old 1", "Stale 1"]);
        world.notice(1102);
        assert_eq!(world.positions(positions), ["Resumed", "end"], "nothing may come for hours");
        assert!(world.story(quotes).is_empty(), "whether the old price still holds is not known");
        world.tick(world.line(), 2.0);
        for stream in [quotes, late] {
            assert_eq!(world.story(stream), ["Resumed 1", "new 2"]);
        }
        assert_eq!(world.asked(), 1, "nothing was asked for anew");
    }
}

#[test]
fn a_state_that_goes_on_is_told_whole_behind_resumed_to_those_who_were_there_and_who_came() {
    for comes_back_by in ["1102", "a change"] {
        let mut world = World::ready();
        let (first, late) = (world.open(1), world.open(2));
        world.want(first, 0, Ok(Wanted::positions()), Manner::default());
        world.position("AAPL", "5");
        world.position("MSFT", "7");
        world.frame(id::POSITION_END, &tws::PositionEnd {});
        world.positions(first);
        world.notice(1100);
        world.want(late, 0, Ok(Wanted::positions()), Manner::default());
        assert_eq!(world.positions(first), ["Stale"]);
        assert_eq!(world.positions(late), ["Subscribed", "AAPL 5", "MSFT 7", "end", "Stale"]);
        let state = ["Resumed", "AAPL 5", "MSFT 7", "end"];
        let mut told = state.to_vec();
        match comes_back_by {
            "1102" => world.notice(1102),
            _ => {
                world.position("AAPL", "6");
                told.push("AAPL 6");
            }
        }
        for stream in [first, late] {
            assert_eq!(world.positions(stream), told, "{comes_back_by}");
        }
        world.notice(1102);
        assert!(world.positions(first).is_empty(), "once");
        assert_eq!(world.sent_of(id::REQ_POSITIONS).len(), 1);
    }
}

#[test]
fn a_state_that_was_being_told_when_ib_was_lost_is_complete_once_its_end_comes() {
    let mut world = World::ready();
    let stream = world.open(1);
    world.want(stream, 0, Ok(Wanted::positions()), Manner::default());
    world.position("AAPL", "5");
    world.notice(1100);
    world.notice(1102);
    world.position("MSFT", "7");
    world.frame(id::POSITION_END, &tws::PositionEnd {});
    let told = ["Subscribed", "AAPL 5", "Stale", "Resumed", "AAPL 5", "MSFT 7", "end"];
    assert_eq!(world.positions(stream), told);
}

#[test]
fn a_history_in_flight_when_data_are_lost_may_be_asked_for_again_whatever_gateway_says_of_it() {
    let bars = || {
        let request = tws::HistoricalDataRequest {
            contract: Some(contract(AAPL)),
            duration: Some("1 D".into()),
            bar_size_setting: Some("1 hour".into()),
            what_to_show: Some("TRADES".into()),
            ..Default::default()
        };
        crate::calls::Asked::historical_bars(request)
    };
    for says_so in [true, false] {
        let mut world = World::ready();
        world.call(1, bars());
        let request = world.sent_of(id::REQ_HISTORICAL_DATA)[0];
        if says_so {
            world.about(request, 10_182, "Failed to request live updates (disconnected).");
        }
        world.notice(1101);
        let error = world.error(1);
        assert_eq!(
            (error.code.as_str(), error.retry()),
            ("WORKER_ENDED", crate::error::Retry::After)
        );
        let word = if says_so { "10182" } else { "1101" };
        assert!(error.message.contains(word), "{}", error.message);
    }
}

#[test]
fn a_line_that_nobody_listened_to_when_it_became_stale_is_told_so_to_whoever_comes() {
    let mut world = World::ready();
    let first = world.open(1);
    let resumable = || Manner { resumable: true, ..Manner::default() };
    let request = || MarketDataRequest { contract: Some(contract(AAPL)), ..Default::default() };
    world.want(first, 1, Wanted::market_data(request(), 0), resumable());
    world.tick(world.line(), 1.0);
    world.input(Input::StreamClosed { stream: first });
    world.notice(1100);
    let second = world.open(2);
    world.want(second, 1, Wanted::market_data(request(), 0), resumable());
    assert_eq!(world.story(second), ["Subscribed 1", "old 1", "Stale 1"]);
}

#[test]
fn whoever_comes_late_knows_that_data_are_delayed_and_where_to_ask_instead() {
    let mut world = World::ready();
    let (first, second, third) = (world.open(1), world.open(2), world.open(3));
    world.subscribe(first, 1, AAPL);
    let line = world.line();
    world.about(line, 10_167, "Delayed market data is shown");
    world.tick(line, 1.0);
    world.subscribe(second, 1, AAPL);
    let events = world.events(second);
    assert!(events[1].replayed && matches!(&events[1].body, Some(Body::Error(_))), "{events:?}");
    assert_eq!(events.len(), 3);

    let depth = || {
        let contract = Some(contract("CFD"));
        Wanted::market_depth(tws::MarketDepthRequest { contract, ..Default::default() })
    };
    world.want(first, 2, depth(), Manner::default());
    let request = world.sent_of(id::REQ_MKT_DEPTH)[0];
    let reroute = tws::RerouteMarketDepthRequest {
        req_id: Some(request),
        con_id: Some(7),
        ..Default::default()
    };
    world.frame(id::REROUTE_MKT_DEPTH_REQ, &reroute);
    world.want(third, 1, depth(), Manner::default());
    let told = world.events(third);
    let reroutes = |body: &Option<Body>| matches!(body, Some(Body::RerouteMarketDepth(one)) if one.con_id() == 7);
    assert!(told.iter().any(|event| event.replayed && reroutes(&event.body)), "{told:?}");
}

#[test]
fn who_comes_back_after_a_session_was_lost_is_told_that_something_may_be_missing() {
    let mut world = World::ready();
    let request = || MarketDataRequest { contract: Some(contract(AAPL)), ..Default::default() };
    let manner = |resume| Manner { resumable: true, resume, ..Manner::default() };
    let first = world.open(1);
    world.want(first, 1, Wanted::market_data(request(), 0), manner(None));
    world.tick(world.line(), 1.0);
    let events = world.events(first);
    let Some(Body::Mark(mark)) = &events[0].body else { panic!("{events:?}") };
    let resume = Resume { line: mark.line.clone(), sequence: events[1].sequence };
    world.input(Input::StreamClosed { stream: first });
    world.worker(WorkerEvent::Exited(ExitStatus::Signal(9)));
    world.look();
    world.pass(1);
    world.handshake();
    world.tick(world.line(), 2.0);
    let second = world.open(2);
    world.want(second, 1, Wanted::market_data(request(), 0), manner(Some(resume)));
    let events = world.events(second);
    let Some(Body::Mark(resumed)) = &events[1].body else { panic!("{events:?}") };
    assert_eq!((resumed.kind(), resumed.missed), (MarkKind::Resumed, Some(0)));
    assert!(resumed.because.contains("no session"), "{}", resumed.because);
}

#[test]
fn of_frames_that_were_lost_a_quiet_line_is_told_once_until_it_has_had_something() {
    use ibouncer_proto::link::v1::Gap;

    let mut world = World::ready();
    let (first, late) = (world.open(1), world.open(2));
    world.subscribe(first, 1, AAPL);
    world.tick(world.line(), 1.0);
    let lose = |world: &mut World| {
        for from in 1..=3 {
            world.worker(WorkerEvent::Gap(Gap { from, to: from + 1, frames: 1 }));
        }
    };
    lose(&mut world);
    assert_eq!(world.story(first), ["Subscribed 1", "new 1", "Gap 1"]);
    world.subscribe(late, 1, AAPL);
    lose(&mut world);
    assert!(world.story(first).is_empty(), "nothing of it can be missing but what was said");
    assert_eq!(world.story(late), ["Subscribed 1", "old 1", "Gap 1"]);
    world.tick(world.line(), 2.0);
    lose(&mut world);
    for stream in [first, late] {
        assert_eq!(world.story(stream), ["new 2", "Gap 1"]);
    }
}

#[test]
fn who_resumes_what_cannot_be_is_told_what_is_true() {
    let mut world = World::ready();
    let (first, other) = (world.open(1), world.open(2));
    world.subscribe(first, 1, AAPL);
    world.tick(world.line(), 1.0);
    world.subscribe(other, 1, "MSFT");
    let mut line_of = |stream| match world.events(stream).remove(0).body {
        Some(Body::Mark(mark)) => mark.line,
        other => panic!("{other:?}"),
    };
    let (aapl, msft) = (line_of(first), line_of(other));
    let never = "0000000000000001-99".to_owned();
    for (number, line, sequence, word) in [
        (3, aapl, 99, "99 is beyond the newest event of this line, 1"),
        (4, msft, 0, "is another line than this one"),
        (5, never, 1, "has ended meanwhile"),
    ] {
        let stream = world.open(number);
        let request = MarketDataRequest { contract: Some(contract(AAPL)), ..Default::default() };
        let resume = Some(Resume { line, sequence });
        let manner = Manner { resume, ..Manner::default() };
        world.want(stream, 1, Wanted::market_data(request, 0), manner);
        let told = world.told(stream);
        assert_eq!(told[1].0, MarkKind::Resumed, "{told:?}");
        assert!(told[1].1.contains(word), "{told:?}");
    }
}
