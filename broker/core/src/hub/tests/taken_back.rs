//! Snapshots, and what is taken back once nobody waits for it.

use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;

use super::reads::{contract, details};
use super::*;
use crate::calls::Asked;

#[test]
fn a_snapshot_has_its_time_from_when_it_left() {
    let mut settings = Settings::default();
    settings.pacing.messages_per_second = 1;
    let mut world = World::ready_with(settings);
    world.open(1);
    for call in 0..25 {
        let request = MarketDataRequest {
            contract: Some(contract(&format!("S{call}"))),
            ..Default::default()
        };
        let (client, call, request) = (ClientId(1), CallId(call), Box::new(request));
        world.input(Input::Snapshot { client, call, request, feed: 0, accept_fee: false });
    }
    world.pass(30);
    assert!(world.replies.contains_key(&CallId(0)));
    // The cancels of those that got no answer go first.
    world.pass(20);
    let request = world.line();
    assert_eq!(world.asked(), 25);
    assert!(!world.replies.contains_key(&CallId(24)), "it is on its way");
    world.frame(id::TICK_SNAPSHOT_END, &tws::TickSnapshotEnd { req_id: Some(request) });
    assert!(world.replies[&CallId(24)].is_ok());
}

#[test]
fn generic_ticks_in_a_snapshot_are_refused_by_the_name_of_their_field() {
    let mut world = World::ready();
    world.open(1);
    let request = MarketDataRequest {
        contract: Some(contract(AAPL)),
        generic_tick_list: Some("233".into()),
        ..Default::default()
    };
    let (client, call, request) = (ClientId(1), CallId(1), Box::new(request));
    world.input(Input::Snapshot { client, call, request, feed: 0, accept_fee: false });
    assert!(world.error(1).message.contains("generic_tick_list"));
}

#[test]
fn contract_details_and_ticks_are_cancelled_where_gateway_knows_how() {
    let ticks = || {
        Asked::historical_ticks(tws::HistoricalTicksRequest {
            contract: Some(contract(AAPL)),
            end_date_time: Some("20251128 12:00:00 UTC".into()),
            number_of_ticks: Some(10),
            what_to_show: Some("TRADES".into()),
            ..Default::default()
        })
    };
    for (version, cancels) in [(214, 0), (215, 1)] {
        let mut world = World::at(Settings::default(), version, &[]);
        world.call(1, details(AAPL));
        world.call(2, ticks());
        world.pass(1);
        for call in [1, 2] {
            world.input(Input::CallDropped { call: CallId(call) });
        }
        world.pass(1);
        assert_eq!(world.sent_of(id::CANCEL_CONTRACT_DATA).len(), cancels, "{version}");
        assert_eq!(world.sent_of(id::CANCEL_HISTORICAL_TICKS).len(), cancels, "{version}");
    }
}

#[test]
fn a_snapshot_that_waits_when_the_link_breaks_never_leaves() {
    let mut world = World::ready();
    world.open(1);
    for number in 0..20 {
        let contract = Contract { symbol: Some(format!("A{number}")), ..Contract::default() };
        let request = MarketDataRequest { contract: Some(contract), ..Default::default() };
        let (client, call) = (ClientId(1), CallId(number));
        world.input(Input::Snapshot {
            client,
            call,
            request: Box::new(request),
            feed: 0,
            accept_fee: false,
        });
    }
    let left = world.asked();
    assert!(left > 0 && left < 20);
    world.worker(WorkerEvent::LinkClosed { because: "test".into() });
    world.worker(WorkerEvent::Hello(Hello { epoch: 1, ..Hello::default() }));
    for _ in 0..200 {
        world.now += Duration::from_millis(50);
        world.worker(WorkerEvent::Pong(Pong::default()));
    }
    assert_eq!(world.asked(), left, "nobody waits for them any more");
    let cancels = world.sent.iter().filter(|(message, _)| *message == 202).count();
    assert_eq!(cancels, left, "what may be open at Gateway is cancelled");
}

#[test]
fn a_cancel_that_left_into_a_broken_link_leaves_again_on_the_next_one() {
    let mut world = World::ready();
    let stream = world.open(1);
    for (subscription, symbol) in [(1, AAPL), (2, "MSFT")] {
        world.subscribe(stream, subscription, symbol);
    }
    world.pass(1);
    let lines = world.sent_of(id::REQ_MKT_DATA);
    for line in &lines {
        world.tick(*line, 1.0);
    }
    world.input(Input::Unsubscribe { stream, subscription: 1 });
    world.pass(1);
    let taken_through = world.number;
    world.worker(WorkerEvent::Pong(Pong { taken_through, ..Pong::default() }));
    world.worker(WorkerEvent::LinkClosed { because: "test".into() });
    world.input(Input::Unsubscribe { stream, subscription: 2 });
    world.pass(1);
    world.worker(WorkerEvent::Hello(Hello { epoch: 1, taken_through, ..Hello::default() }));
    world.pass(1);
    let cancelled = world.sent_of(id::CANCEL_MKT_DATA);
    assert_eq!(cancelled, [lines[0], lines[1], lines[1]], "what arrived is not sent again");
}
