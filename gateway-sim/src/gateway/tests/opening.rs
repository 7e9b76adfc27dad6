//! Handshake, client ids, limits, and requests other than market data.

use ibouncer_proto::tws::v1::{
    CurrentTime, CurrentTimeInMillis, CurrentTimeRequest, IdsRequest, ManagedAccounts,
    ManagedAccountsRequest, NextValidId, PlaceOrderRequest, QueryDisplayGroupsRequest,
};

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        opening in prop::collection::vec(any::<u8>(), 0..64),
        message_id in 200_u32..320,
        body in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut world = World::new(GatewayConfig::default());
        let stranger = world.accept();
        world.send(stranger, &opening);
        let client = world.connect(7);
        let mut frame = (4 + body.len() as u32).to_be_bytes().to_vec();
        frame.extend_from_slice(&message_id.to_be_bytes());
        frame.extend_from_slice(&body);
        world.send(client, &frame);
        prop_assert!(world.message_ids(client).len() >= 5);
        world.send(client, &opening);
    }
}

#[test]
fn a_client_becomes_ready_with_accounts_id_and_notices_in_this_order() {
    let mut world = World::new(GatewayConfig {
        accounts: vec!["DU0000001".to_owned(), "DU0000002".to_owned()],
        next_order_id: 120,
        ..GatewayConfig::default()
    });
    let id = world.connect(7);
    assert_eq!(world.message_ids(id), [215, 209, 204, 204, 204]);
    let accounts: Vec<ManagedAccounts> = world.messages(id, id::MANAGED_ACCTS);
    assert_eq!(accounts[0].accounts_list(), "DU0000001,DU0000002");
    let ids: Vec<NextValidId> = world.messages(id, id::NEXT_VALID_ID);
    assert_eq!(ids[0].order_id(), 120);
    assert_eq!(world.errors(id, -1), [2104, 2106, 2158]);
    let stages = [
        Stage::Opening { offer_low: 100, offer_high: 226, options: String::new() },
        Stage::VersionSent { server_version: 226 },
        Stage::ApiStarted { client_id: 7 },
        Stage::Ready,
    ];
    assert_eq!(world.stages(id), stages);
}

#[test]
fn nothing_is_sent_between_version_reply_and_start_api() {
    let mut world = World::new(GatewayConfig::default());
    let id = world.accept();
    world.send(id, &ClientHandshake::new(213..=226).opening());
    let reply = world.bytes(id);
    world.pass(Duration::from_secs(60));
    assert_eq!(world.bytes(id), reply);
}

#[test]
fn the_lower_of_both_highest_versions_is_chosen() {
    for (ours, offer, chosen) in [
        (226, 100..=226, Some(226)),
        (226, 213..=220, Some(220)),
        (213, 100..=226, Some(213)),
        (187, 100..=226, Some(187)),
        (187, 213..=226, None),
    ] {
        let mut world =
            World::new(GatewayConfig { server_version: ours, ..GatewayConfig::default() });
        let id = world.accept();
        world.send(id, &ClientHandshake::new(offer).opening());
        assert_eq!(world.version(id), chosen);
        let refused = chosen.is_none().then_some(CloseHow::Refused);
        assert_eq!(world.closed_how(id), refused);
    }
}

#[test]
fn an_old_gateway_makes_a_text_client_ready() {
    // The client has used 102.
    for (version, accounts, next_id) in [
        (187, &b"15\x001\0DU0000001\0"[..], &b"9\x001\x00103\0"[..]),
        (205, b"\0\0\0\x0f1\0DU0000001\0", b"\0\0\0\x091\x00103\0"),
    ] {
        let mut world =
            World::new(GatewayConfig { server_version: version, ..GatewayConfig::default() });
        let id = world.connect(7);
        assert_eq!(world.bodies(id), [accounts, next_id]);
        assert!(world.stages(id).contains(&Stage::Ready));
    }
}

#[test]
fn bytes_of_another_protocol_end_the_connection() {
    let mut world = World::new(GatewayConfig::default());
    let id = world.accept();
    world.send(id, b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(world.closed_how(id), Some(CloseHow::Violation));
}

#[test]
fn a_client_id_in_use_is_refused_with_326_and_fin() {
    let mut world = World::new(GatewayConfig::default());
    let first = world.connect(7);
    let second = world.connect(7);
    assert_eq!(world.errors(second, -1), [326]);
    assert_eq!(world.closed.get(&second), Some(&End::Fin));
    assert_eq!(world.closed_how(second), Some(CloseHow::Refused));
    world.hang_up(first, End::Fin);
    let third = world.connect(7);
    assert!(world.stages(third).contains(&Stage::Ready));
}

#[test]
fn a_client_id_is_held_after_a_reset_only() {
    for (how, held) in [(End::Fin, false), (End::Reset, true)] {
        let mut world = World::new(GatewayConfig {
            hold_client_id: Duration::from_secs(100),
            ..GatewayConfig::default()
        });
        let first = world.connect(7);
        world.hang_up(first, how);
        let second = world.connect(7);
        assert_eq!(!world.stages(second).contains(&Stage::Ready), held);
        world.hang_up(second, End::Fin);
        world.pass(Duration::from_secs(100));
        let third = world.connect(7);
        assert!(world.stages(third).contains(&Stage::Ready));
    }
}

#[test]
fn the_thirty_third_connection_is_closed_at_once() {
    let mut world = World::new(GatewayConfig::default());
    let ids: Vec<_> = (0..33).map(|_| world.accept()).collect();
    assert_eq!(world.closed.get(&ids[32]), Some(&End::Fin));
    assert_eq!(world.closed.len(), 1);
}

#[test]
fn times_ids_and_accounts_are_answered() {
    let mut world = World::new(GatewayConfig::default());
    let client = world.connect(7);
    world.request(client, id::REQ_CURRENT_TIME, &CurrentTimeRequest {});
    world.request(client, id::REQ_CURRENT_TIME_IN_MILLIS, &CurrentTimeRequest {});
    world.request(client, id::REQ_IDS, &IdsRequest { num_ids: Some(1) });
    world.request(client, id::REQ_MANAGED_ACCTS, &ManagedAccountsRequest {});
    let seconds: Vec<CurrentTime> = world.messages(client, id::CURRENT_TIME);
    let millis: Vec<CurrentTimeInMillis> = world.messages(client, id::CURRENT_TIME_IN_MILLIS);
    let now = CLOCK.unix_millis as i64 + world.now.as_millis() as i64;
    assert_eq!(seconds[0].current_time(), now / 1000);
    assert_eq!(millis[0].current_time_in_millis(), now);
    let ids = world.message_ids(client);
    let count = |wanted| ids.iter().filter(|id| **id == wanted).count();
    assert_eq!((count(id::NEXT_VALID_ID), count(id::MANAGED_ACCTS)), (2, 2));
}

#[test]
fn orders_in_read_only_mode_and_what_is_not_simulated_are_refused_by_id() {
    let mut world = World::new(GatewayConfig { read_only: true, ..GatewayConfig::default() });
    let client = world.connect(7);
    let order = PlaceOrderRequest { order_id: Some(31), ..Default::default() };
    world.request(client, 203, &order);
    assert_eq!(world.errors(client, 31), [321]);
    let groups = QueryDisplayGroupsRequest { req_id: Some(4) };
    world.request(client, 267, &groups);
    assert_eq!(world.errors(client, 4), [321]);
    let unknown = IdsRequest { num_ids: Some(5) };
    world.request(client, 777, &unknown);
    let names = world.events.iter().filter_map(|event| match event {
        Event::Request { request, .. } => Some(request.name),
        _ => None,
    });
    assert_eq!(names.collect::<Vec<_>>(), ["PLACE_ORDER", "QUERY_DISPLAY_GROUPS", "UNKNOWN"]);
}

#[test]
fn an_announcement_reaches_whoever_started_the_api() {
    let mut world = World::new(GatewayConfig::default());
    let ready = world.connect(7);
    let waiting = world.accept();
    world.gateway.announce(1100, "Connectivity is lost", world.now);
    world.drain();
    assert_eq!(world.errors(ready, -1).last(), Some(&1100));
    assert!(world.bytes(waiting).is_empty());
}

#[test]
fn a_stop_closes_everything_and_tells_the_sums() {
    let mut world = World::new(GatewayConfig::default());
    let client = world.connect(7);
    world.gateway.stop(world.now);
    world.drain();
    assert_eq!(world.closed_how(client), Some(CloseHow::Shutdown));
    let Some(Event::Stopped { report, .. }) = world.events.last() else {
        panic!("{:?}", world.events.last())
    };
    assert_eq!((report.accepted, report.became_ready, report.open), (1, 1, 0));
}

#[test]
fn one_seed_is_one_history() {
    let run = |seed| {
        let mut world = World::new(GatewayConfig { seed, ..GatewayConfig::default() });
        let client = world.connect(7);
        world.request(client, id::REQ_MKT_DATA, &market_data(1, "AAPL"));
        world.pass(Duration::from_secs(20));
        (world.bytes(client), world.events)
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5).0, run(6).0);
}
