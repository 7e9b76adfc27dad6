//! What one client may have: each meets its limit with a word about it, and others go on.

use super::reads::{contract, details};
use super::*;
use crate::lines::Upstream;
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
