//! Snapshots of which Gateway has no data, and says so by no error.

use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;

use super::*;
use crate::calls::Asked;

const COMPETING: i32 = 10_197;

impl World {
    fn ask_snapshot(&mut self, call: u64) -> i32 {
        let contract = Contract { symbol: Some(AAPL.into()), ..Contract::default() };
        let request = MarketDataRequest { contract: Some(contract), ..Default::default() };
        let (client, call, request) = (ClientId(1), CallId(call), Box::new(request));
        self.input(Input::Snapshot { client, call, request, feed: 0, accept_fee: false });
        self.line()
    }
}

#[test]
fn a_snapshot_whose_data_another_login_takes_fails_at_once_unless_data_came() {
    let mut world = World::ready();
    let request = world.ask_snapshot(1);
    world.frame(
        id::MARKET_DATA_TYPE,
        &tws::MarketDataType { req_id: Some(request), market_data_type: Some(1) },
    );
    world.about(request, COMPETING, "No market data during competing live session");
    let error = world.error(1);
    assert_eq!((error.code.as_str(), error.gateway_code), ("GATEWAY_ERROR", COMPETING));
    assert_eq!(error.retry(), crate::error::Retry::After);
    assert!(world.sent.contains(&(id::CANCEL_MKT_DATA, request)));

    let request = world.ask_snapshot(2);
    world.tick(request, 1.0);
    world.about(request, COMPETING, "No market data during competing live session");
    assert!(world.replies.is_empty(), "what came is worth waiting for the end");
    world.frame(id::TICK_SNAPSHOT_END, &tws::TickSnapshotEnd { req_id: Some(request) });
    let Some(Ok(Reply::Snapshot(snapshot))) = world.replies.remove(&CallId(2)) else {
        panic!("{:?}", world.replies)
    };
    assert_eq!(snapshot.events.len(), 2, "the price, and the warning");
}

#[test]
fn a_deadline_names_the_last_warning_about_the_request() {
    let mut world = World::ready();
    let request = world.ask_snapshot(1);
    world.about(request, 10_167, "Displaying delayed market data");
    world.call(
        2,
        Asked::matching_symbols(tws::MatchingSymbolsRequest {
            pattern: Some("AAP".into()),
            ..Default::default()
        }),
    );
    world.pass(1);
    let search = world.sent_of(id::REQ_MATCHING_SYMBOLS)[0];
    world.about(search, 2137, "a warning");
    world.pass(35);
    for (call, code) in [(1, 10_167), (2, 2137)] {
        let error = world.error(call);
        assert_eq!((error.code.as_str(), error.gateway_code), ("GATEWAY_DEADLINE", code));
        assert!(error.message.contains(&code.to_string()), "{}", error.message);
    }
}
