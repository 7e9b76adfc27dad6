//! Gateway's rules for history and tick-by-tick data: what they are about, and what becomes of a
//! request that Gateway finds too early all the same.

use ibouncer_proto::api::v1 as api;
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;

use super::reads::{contract, details};
use super::*;
use crate::calls::Asked;

const NUMBER: i32 = 265_598;

fn number() -> Contract {
    Contract { con_id: Some(NUMBER), ..Contract::default() }
}

fn bars(contract: Contract, minutes: u32, size: &str) -> tws::HistoricalDataRequest {
    tws::HistoricalDataRequest {
        contract: Some(contract),
        bar_size_setting: Some(size.into()),
        duration: Some(format!("{} S", minutes * 60)),
        ..Default::default()
    }
}

fn small(contract: Contract, minutes: u32) -> Result<Asked, Error> {
    Asked::historical_bars(bars(contract, minutes, "5 secs"))
}

fn ticks(contract: Contract) -> Result<Wanted, Error> {
    Wanted::tick_by_tick(tws::TickByTickRequest {
        contract: Some(contract),
        tick_type: Some("BidAsk".into()),
        ..Default::default()
    })
}

impl World {
    /// Somebody asks for its details, and Gateway tells its number.
    fn learn(&mut self) {
        self.call(900, details(AAPL));
        let request = *self.sent_of(id::REQ_CONTRACT_DATA).last().unwrap();
        let contract = Some(Contract { con_id: Some(NUMBER), ..contract(AAPL) });
        let data = tws::ContractData { req_id: Some(request), contract, ..Default::default() };
        self.frame(id::CONTRACT_DATA, &data);
        self.frame(id::CONTRACT_DATA_END, &tws::ContractDataEnd { req_id: Some(request) });
        self.replies.clear();
    }

    fn refuse(&mut self, request: i32, code: i32, text: &str) {
        let error = ErrorMessage {
            id: Some(request),
            error_code: Some(code),
            error_msg: Some(text.into()),
            ..Default::default()
        };
        self.frame(id::ERR_MSG, &error);
    }

    fn histories(&self) -> Vec<i32> {
        self.sent_of(id::REQ_HISTORICAL_DATA)
    }
}

const TOO_EARLY: &str = "Historical Market Data Service error message:Historical data request \
                         pacing violation";

#[test]
fn symbol_and_number_are_one_contract_for_the_rules_once_its_details_were_seen() {
    let mut world = World::ready();
    world.learn();
    for minutes in 1..=5 {
        world.call(u64::from(minutes), small(contract(AAPL), minutes));
    }
    world.call(6, small(number(), 6));
    world.pass(1);
    assert_eq!(world.histories().len(), 5, "the sixth of a contract in 2 s is one too many");
    world.pass(2);
    assert_eq!(world.histories().len(), 6);
    // Identical in other words.
    world.call(7, small(number(), 1));
    world.pass(5);
    assert_eq!(world.histories().len(), 6);
    world.pass(10);
    assert_eq!(world.histories().len(), 7);

    let stream = world.open(10);
    world.want(stream, 1, ticks(contract(AAPL)), Manner::default());
    world.want(stream, 2, ticks(number()), Manner::default());
    world.pass(14);
    assert_eq!(world.sent_of(id::REQ_TICK_BY_TICK_DATA).len(), 1);
    world.pass(2);
    assert_eq!(world.sent_of(id::REQ_TICK_BY_TICK_DATA).len(), 2);
}

#[test]
fn a_history_that_gateway_finds_too_early_is_asked_for_again_twice_before_its_caller_hears() {
    // Of large bars Gateway says so, too, and then they are paced like the small ones.
    for size in ["5 secs", "1 hour"] {
        let mut world = World::ready();
        world.call(1, Asked::historical_bars(bars(contract(AAPL), 60, size)));
        for turn in 1..=2 {
            let last = *world.histories().last().unwrap();
            world.refuse(last, 162, TOO_EARLY);
            world.pass(14);
            assert_eq!(world.histories().len(), turn, "it waits");
            world.pass(2);
            assert_eq!(world.histories().len(), turn + 1, "it is asked for again");
            assert!(world.replies.is_empty(), "nobody is told");
        }
        let last = *world.histories().last().unwrap();
        world.refuse(last, 162, TOO_EARLY);
        assert_eq!(world.error(1).gateway_code, 162);
    }
}

#[test]
fn after_a_violation_small_bars_of_all_wait_and_what_has_no_data_is_told_at_once() {
    let mut world = World::ready();
    world.call(1, small(contract(AAPL), 1));
    world.refuse(world.histories()[0], 162, TOO_EARLY);
    world.call(2, small(contract("MSFT"), 1));
    world.pass(14);
    assert_eq!(world.histories().len(), 1);
    world.pass(2);
    let asked = world.histories();
    assert_eq!(asked.len(), 3);
    world.refuse(asked[2], 162, "Historical Market Data Service error message:No data");
    assert_eq!(world.replies.len(), 1);
}

#[test]
fn a_line_that_gateway_finds_too_early_comes_later_and_its_client_hears_nothing_of_it() {
    let mut world = World::ready();
    let stream = world.open(1);
    let wanted = Wanted::historical_bars(bars(contract(AAPL), 60, "5 secs"));
    world.want(stream, 1, wanted, Manner::default());
    world.want(stream, 2, ticks(contract(AAPL)), Manner::default());
    world.refuse(world.histories()[0], 162, TOO_EARLY);
    world.refuse(world.sent_of(id::REQ_TICK_BY_TICK_DATA)[0], 10_190, "Max number of requests");
    world.pass(16);
    assert_eq!(world.histories().len(), 2);
    assert_eq!(world.sent_of(id::REQ_TICK_BY_TICK_DATA).len(), 2);
    assert_eq!(world.story(stream), ["Subscribed 1", "Subscribed 1"]);
}

#[test]
fn bars_that_go_on_leave_room_for_single_requests() {
    let mut world = World::ready();
    let stream = world.open(1);
    for number in 0..41 {
        let wanted = Wanted::historical_bars(bars(contract(&format!("S{number}")), 60, "1 hour"));
        world.want(stream, number, wanted, Manner::default());
    }
    world.pass(2);
    assert_eq!(world.histories().len(), 40);
    let ended = world.events(stream).into_iter().find_map(|event| match event.body {
        Some(Body::Mark(mark)) if mark.kind() == MarkKind::Ended => mark.error,
        _ => None,
    });
    let error = ended.expect("the last one is refused");
    assert_eq!(error.code, "LINES_EXHAUSTED");
    assert!(error.message.contains("test 40"), "it names who holds them: {}", error.message);
    world.call(2, Asked::historical_bars(bars(contract(AAPL), 60, "1 hour")));
    world.pass(1);
    assert_eq!(world.histories().len(), 41);
}

#[test]
fn whoever_waits_for_a_line_is_in_the_queue_behind_what_waits_to_leave() {
    let mut settings = Settings::default();
    settings.pacing.lines = 1;
    let mut world = World::ready_with(settings);
    let stream = world.open(1);
    world.subscribe(stream, 1, AAPL);
    for minutes in 1..=6 {
        world.call(minutes.into(), small(contract("MSFT"), minutes));
    }
    let wait = Manner { wait: true, ..Manner::default() };
    let request = MarketDataRequest { contract: Some(contract("NVDA")), ..Default::default() };
    world.want(stream, 2, Wanted::market_data(request, 0), wait);
    world.pass(1);
    let queue: api::GetQueueResponse = world.hub.queue(ClientId(1), "", world.now);
    let told: Vec<_> = queue.requests.iter().map(|one| (one.label.as_str(), one.place)).collect();
    assert_eq!(told, [("MSFT", 0), ("NVDA", 1)]);
    let [bars, line] = &queue.requests[..] else { panic!("{queue:?}") };
    assert!(bars.expected_wait.is_some() && bars.because.contains("in 2 s"), "{bars:?}");
    assert!(line.expected_wait.is_none() && line.because.contains("test 1"), "{line:?}");
    assert_eq!((line.client.as_str(), line.request.as_str()), ("test", "reqMktData"));
}

#[test]
fn a_line_that_nobody_listens_to_makes_room_for_one_who_waits() {
    let mut settings = Settings::default();
    settings.pacing.lines = 20;
    let mut world = World::ready_with(settings);
    let (first, second) = (world.open(1), world.open(2));
    world.want(first, 1, ticks(contract(AAPL)), Manner::default());
    let wait = Manner { wait: true, ..Manner::default() };
    world.want(second, 1, ticks(contract("MSFT")), wait);
    assert_eq!(world.story(second), ["Queued 1"]);
    // It would be kept for the rest of 15 s, in case somebody comes back.
    world.input(Input::Unsubscribe { stream: first, subscription: 1 });
    assert_eq!(world.story(second), ["Subscribed 1"]);
}

#[test]
fn only_a_book_is_told_whole_to_a_reader_that_has_caught_up() {
    let mut world = World::ready();
    let stream = world.open(1);
    world.subscribe(stream, 1, AAPL);
    world.tick(world.line(), 1.0);
    world.events(stream);
    world.input(Input::BookLost { stream, subscription: 1 });
    assert!(world.events(stream).is_empty());
}

#[test]
fn a_tape_with_the_ticks_before_it_is_nobody_elses_and_kept_for_whoever_comes_back() {
    let mut world = World::ready();
    let wanted = |symbol, number| {
        Wanted::tick_by_tick(tws::TickByTickRequest {
            contract: Some(contract(symbol)),
            tick_type: Some("Last".into()),
            number_of_ticks: Some(number),
            ..Default::default()
        })
    };
    let resumable = Manner { resumable: true, ..Manner::default() };
    let [first, second, third, other] = [1, 2, 3, 4].map(|number| world.open(number));
    world.want(first, 1, wanted(AAPL, 10), resumable.clone());
    world.pass(1);
    let line = world.sent_of(id::REQ_TICK_BY_TICK_DATA)[0];
    let tick = |world: &mut World| {
        world.frame(
            id::TICK_BY_TICK,
            &tws::TickByTickData { req_id: Some(line), ..Default::default() },
        );
    };
    tick(&mut world);
    let told = world.events(first);
    let Some(Body::Mark(mark)) = &told[0].body else { panic!("{told:?}") };
    let resume = api::Resume { line: mark.line.clone(), sequence: told[1].sequence };
    let manner = Manner { resume: Some(resume), ..resumable };
    let resumed = |world: &mut World, stream| {
        let marks = world.events(stream).into_iter().filter_map(|event| match event.body {
            Some(Body::Mark(mark)) if mark.kind() == MarkKind::Resumed => Some(mark.missed),
            _ => None,
        });
        marks.collect::<Vec<_>>()
    };
    world.want(second, 1, wanted(AAPL, 10), manner.clone());
    assert_eq!(resumed(&mut world, second), [None], "it has somebody still");
    world.input(Input::StreamClosed { stream: first });
    tick(&mut world);
    world.want(other, 1, wanted(AAPL, 20), manner.clone());
    assert_eq!(resumed(&mut world, other), [None], "another wish");
    world.want(third, 1, wanted(AAPL, 10), manner);
    assert_eq!(resumed(&mut world, third), [Some(0)], "what came meanwhile is told");
    tick(&mut world);
    assert_eq!(world.events(third).len(), 1);
    let lines = world.hub.lines.len();
    assert_eq!(lines, 3, "its own, and those of the two others");
}
