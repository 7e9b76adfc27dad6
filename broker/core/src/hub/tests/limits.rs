//! What one client may have: each meets its limit with a word about it, and others go on.

use super::reads::{contract, details};
use super::*;
use crate::lines::Upstream;
use crate::principals::Credential;
use crate::queue::Hopeless;

fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    change(&mut settings);
    settings
}

fn wish(symbol: &str) -> Result<Wanted, Error> {
    let request = MarketDataRequest { contract: Some(contract(symbol)), ..Default::default() };
    Wanted::market_data(request, 0)
}

#[test]
fn a_flood_of_one_client_is_refused_and_others_go_on() {
    let mut settings = Settings::default();
    settings.limits.calls = 3;
    settings.limits.subscriptions = 2;
    let mut world = World::ready_with(settings);
    for call in [1, 4, 7, 10] {
        world.call(call, details(&format!("A{call}")));
    }
    assert_eq!(world.error(10).code, "TOO_MANY");
    world.call(2, details("B"));
    assert!(world.replies.is_empty(), "another client waits as usual");
    let stream = world.open(5);
    for (subscription, symbol) in ["A", "B", "C"].iter().enumerate() {
        world.subscribe(stream, subscription as u32, symbol);
    }
    assert_eq!(world.story(stream), ["Subscribed 1", "Subscribed 1", "Ended 1"]);
}

#[test]
fn a_snapshot_counts_as_a_call_that_waits() {
    let mut world = World::ready_with(settings(|settings| settings.limits.calls = 2));
    let client = ClientId(1);
    let snapshot = |call| {
        let request = MarketDataRequest { contract: Some(contract("A")), ..Default::default() };
        let (call, request) = (CallId(call), Box::new(request));
        Input::Snapshot { client, call, request, feed: 0, accept_fee: false }
    };
    world.input(snapshot(1));
    world.call(4, details("B"));
    world.input(snapshot(7));
    assert_eq!(world.error(7).code, "TOO_MANY");
    world.call(10, details("C"));
    assert_eq!(world.error(10).code, "TOO_MANY");
    world.input(Input::CallDropped { call: CallId(1) });
    world.call(13, details("C"));
    assert!(world.replies.is_empty(), "one that gave up does not count");
}

#[test]
fn a_call_that_many_wait_for_counts_for_each_of_them() {
    let mut world = World::ready_with(settings(|settings| settings.limits.calls = 3));
    // Client 1 asks first; client 2 asks for the same again and again.
    for call in [1, 2, 5, 8, 11] {
        world.call(call, details("AAPL"));
    }
    let error = world.error(11);
    assert_eq!((error.code.as_str(), world.replies.len()), ("TOO_MANY", 0), "{}", error.message);
    world.hub.clients.join(ClientId(1), "a", String::new(), Credential::default(), world.now);
    world.hub.clients.join(ClientId(2), "b", String::new(), Credential::default(), world.now);
    let shown = |world: &World| -> Vec<u32> {
        let clients = world.hub.list_clients(&memory(world.now).clock);
        clients.iter().map(|(_, info)| info.calls).collect()
    };
    assert_eq!(shown(&world), [1, 3]);
    // Who asked first is not kept from asking on, and one that gave up does not count.
    world.call(4, details("MSFT"));
    world.input(Input::CallDropped { call: CallId(5) });
    assert_eq!(shown(&world), [2, 2]);
    world.hub.handle_timeout(world.now + Duration::from_secs(1_000));
    assert_eq!(shown(&world), [0, 0]);
}

#[test]
fn a_client_whose_answers_were_let_go_of_is_shown_so() {
    let mut world = World::ready();
    world.hub.clients.join(ClientId(1), "asleep", String::new(), Credential::default(), world.now);
    let left = Duration::from_secs(301);
    world.input(Input::AnswersEvicted { client: ClientId(1), count: 3, left });
    let shown = world.hub.list_clients(&memory(world.now).clock);
    assert_eq!(shown[0].1.evicted, 3);
    assert_eq!(world.hub.counters.evictions, 3);
}

#[test]
fn whoever_waits_for_a_line_gets_the_first_that_is_free() {
    let mut settings = Settings::default();
    settings.pacing.lines = 1;
    let mut world = World::ready_with(settings);
    let (first, second) = (world.open(1), world.open(2));
    let request =
        |symbol| MarketDataRequest { contract: Some(contract(symbol)), ..Default::default() };
    world.want(first, 1, Wanted::market_data(request("AAPL"), 0), Manner::default());
    world.want(second, 1, Wanted::market_data(request("MSFT"), 0), Manner::default());
    assert_eq!(world.story(second), ["Ended 1"]);
    let wait = Manner { wait: true, ..Manner::default() };
    world.want(second, 2, Wanted::market_data(request("MSFT"), 0), wait);
    assert_eq!(world.story(second), ["Queued 1"]);
    world.input(Input::Unsubscribe { stream: first, subscription: 1 });
    assert_eq!(world.story(second), ["Subscribed 1"]);
    world.pass(1);
    assert_eq!(world.asked(), 2);
}

#[test]
fn whoever_waits_while_more_lines_are_in_use_than_there_may_be_is_told_so_once() {
    let lines = |count| settings(|settings| settings.pacing.lines = count);
    let mut world = World::ready_with(lines(3));
    let (first, second, third) = (world.open(1), world.open(2), world.open(3));
    let resumable = || Manner { resumable: true, ..Manner::default() };
    world.want(first, 1, wish("AAPL"), resumable());
    world.want(first, 2, wish("MSFT"), resumable());
    world.want(second, 1, wish("NVDA"), resumable());
    let wait = Manner { wait: true, ..Manner::default() };
    world.want(third, 1, wish("TSLA"), wait);
    assert_eq!(world.story(third), ["Queued 1"]);
    world.input(Input::Settings(Box::new(lines(2))));
    // One line that nobody listens to is not enough, so it stays, for whoever comes back to it.
    world.input(Input::StreamClosed { stream: second });
    assert!(world.story(third).is_empty(), "it waits already");
    assert_eq!(world.hub.lines.len(), 3);
    // Two are.
    world.input(Input::StreamClosed { stream: first });
    assert_eq!(world.story(third), ["Subscribed 1"]);
    assert_eq!(world.hub.lines.used(crate::lines::kind::Allowance::MarketData), 2);
}

#[test]
fn a_client_holds_as_many_lines_as_one_may_and_a_shared_one_counts_for_who_still_listens() {
    let mut world = World::ready_with(settings(|settings| settings.limits.lines = Some(2)));
    let (greedy, modest) = (world.open(1), world.open(2));
    for (subscription, symbol) in ["AAPL", "MSFT", "NVDA"].iter().enumerate() {
        world.subscribe(greedy, subscription as u32, symbol);
    }
    assert_eq!(world.story(greedy), ["Subscribed 1", "Subscribed 1", "Ended 1"]);
    let wait = Manner { wait: true, ..Manner::default() };
    world.want(greedy, 3, wish("NVDA"), wait);
    assert_eq!(world.story(greedy), ["Queued 1"]);
    // What others opened costs nothing, until they leave it to who listens.
    world.subscribe(modest, 1, "AAPL");
    world.subscribe(modest, 2, "TSLA");
    world.subscribe(modest, 3, "META");
    assert_eq!(world.story(modest).len(), 3);
    world.subscribe(modest, 4, "LLY");
    assert_eq!(world.story(modest), ["Ended 1"]);
    world.input(Input::Unsubscribe { stream: greedy, subscription: 0 });
    assert_eq!(world.story(greedy), ["Ended 1", "Subscribed 1"], "the one that waited came");
    let lines: Vec<_> = [1, 2].map(|client| world.hub.lines.opened_by(ClientId(client))).into();
    assert_eq!(lines, [2, 3], "AAPL is the modest one's now");
}

#[test]
fn whoever_does_not_read_loses_the_stream_and_its_lines_are_free() {
    let mut world = World::ready();
    let (asleep, awake) = (world.open(1), world.open(2));
    world.subscribe(asleep, 1, "MSFT");
    let own = world.line();
    world.subscribe(asleep, 2, AAPL);
    world.subscribe(awake, 1, AAPL);
    let why = Hopeless::Stalled(Duration::from_secs(301));
    world.input(Input::StreamHopeless { stream: asleep, why });
    assert_eq!(world.ended, [asleep]);
    assert_eq!(world.sent.last(), Some(&(202, own)));
    world.tick(world.line(), 1.0);
    assert_eq!(world.story(awake), ["Subscribed 1", "new 1"]);
    let evicted = world.hub.list_clients(&memory(world.now).clock);
    assert_eq!(evicted.iter().map(|(_, info)| info.evicted).collect::<Vec<_>>(), [1, 0]);
    let up = |line: &crate::lines::Line| line.upstream != Upstream::Stale;
    assert_eq!(world.hub.lines.iter().filter(|(_, line)| up(line)).count(), 1);
    // Its body is dropped later; that is nothing new.
    world.input(Input::StreamClosed { stream: asleep });
}

#[test]
fn a_refusal_names_who_holds_most_and_counts_the_others() {
    for (holders, said) in [(5, "c4 1)"), (10, "c4 1, and 5 more)")] {
        let mut world =
            World::ready_with(settings(|settings| settings.pacing.lines = holders as u32));
        for number in 0..=holders {
            let stream = world.open(number);
            let (client, name) = (ClientId(number), format!("c{number}"));
            let (peer, credential) = ("here".into(), Credential::default());
            world.input(Input::ClientJoined { client, name, peer, credential });
            world.want(stream, 0, wish(&format!("A{number}")), Manner::default());
        }
        let refused = world.events(StreamId(holders)).pop().unwrap();
        let Some(Body::Mark(mark)) = refused.body else { panic!("{refused:?}") };
        assert_eq!(mark.error.unwrap().code, "LINES_EXHAUSTED");
        assert!(mark.because.contains("(c0 1, c1 1, c2 1, c3 1, "), "{}", mark.because);
        assert!(mark.because.contains(said), "{}", mark.because);
    }
}

#[test]
fn whoever_waits_for_a_line_waits_also_if_gateway_says_that_it_has_none() {
    let mut world = World::ready();
    let (holder, waits, other) = (world.open(1), world.open(2), world.open(3));
    let quotes = |symbol: &str| {
        let contract = Contract { symbol: Some(symbol.into()), ..Contract::default() };
        let request = MarketDataRequest { contract: Some(contract), ..Default::default() };
        Wanted::market_data(request, 0)
    };
    world.subscribe(holder, 1, "IBM");
    world.tick(world.line(), 1.0);
    world.want(waits, 1, quotes(AAPL), Manner { wait: true, ..Manner::default() });
    world.want(other, 1, quotes(AAPL), Manner::default());
    let full = |world: &mut World| world.about(world.line(), 101, "Max number of tickers");
    full(&mut world);
    assert_eq!(world.story(waits), ["Subscribed 1", "error 101", "Queued 1"]);
    assert_eq!(world.story(other), ["Subscribed 1", "error 101", "Ended 1"]);
    let queue = world.hub.queue(ClientId(1), "", world.now);
    assert!(queue.requests[0].because.contains("Gateway says 101"), "{queue:?}");
    world.pass(59);
    assert_eq!(world.asked(), 2, "it is not asked in a loop");
    world.pass(2);
    assert_eq!(world.asked(), 3);
    full(&mut world);
    assert_eq!(world.story(waits), ["Subscribed 1", "error 101", "Queued 1"]);
    world.pass(1);
    world.input(Input::Unsubscribe { stream: holder, subscription: 1 });
    world.pass(1);
    assert_eq!(world.asked(), 4, "one of ours has become free");
    world.tick(world.line(), 2.0);
    assert_eq!(world.story(waits), ["Subscribed 1", "new 2"]);
    assert!(world.hub.refusals_timeout().is_none());
}

#[test]
fn a_stream_beyond_the_limit_is_told_nothing_but_that() {
    let mut world = World::ready_with(settings(|settings| settings.limits.streams = 1));
    world.open(1);
    let (client, stream) = (ClientId(1), StreamId(9));
    world.queues.insert(stream, StreamQueue::new(1 << 20));
    world.input(Input::StreamOpened { client, stream, single: true });
    world.want(stream, 0, Ok(Wanted::positions()), Manner::default());
    assert_eq!(world.ended, [stream]);
    assert!(world.story(stream).is_empty(), "no SUBSCRIBED of what has no line");
    world.input(Input::StreamClosed { stream });
    assert!(world.hub.lines.is_empty());
}

#[test]
fn advice_is_told_to_those_who_can_follow_it() {
    let mut world = World::ready_with(settings(|settings| settings.pacing.lines = 1));
    let stream = world.open(1);
    world.want(stream, 1, wish("A"), Manner::default());
    let told = |world: &mut World| -> String {
        let mark = |event: ibouncer_proto::api::v1::MarketDataEvent| match event.body {
            Some(Body::Mark(mark)) => Some(mark.because),
            _ => None,
        };
        world.events(stream).into_iter().filter_map(mark).next_back().unwrap()
    };
    world.want(stream, 2, wish("B"), Manner::default());
    assert!(told(&mut world).contains("wait_for_line"));
    world.want(stream, 2, wish("B"), Manner { wait: true, ..Manner::default() });
    let queued = told(&mut world);
    assert!(queued.contains("in use") && !queued.contains("wait_for_line"), "{queued}");
    let summary = |group: &str| {
        Wanted::account_summary(ibouncer_proto::tws::v1::AccountSummaryRequest {
            group: Some(group.into()),
            ..Default::default()
        })
    };
    for (subscription, group) in [(3, "X"), (4, "Y"), (5, "Z")] {
        world.want(stream, subscription, summary(group), Manner::default());
    }
    let refused = told(&mut world);
    assert!(refused.contains("account summaries") && !refused.contains("group All"), "{refused}");
}
