//! What is done to orders on purpose, and faults of answers.

use ibouncer_proto::tws::v1::{AutoOpenOrdersRequest, OpenOrdersRequest, PositionsRequest};

use super::*;

fn resting() -> Order {
    order("BUY", 100, "LMT", 200.0)
}

fn with_order(what: &str) -> (World, ConnectionId) {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    if !what.is_empty() {
        world.happen(what);
    }
    world.place(client, 1, "AAPL", &resting());
    (world, client)
}

#[test]
fn things_happen_to_an_order_when_told() {
    for (what, story) in [
        (
            &["fill=7/1:40:199.5"][..],
            &[
                "exec 1 40@199.5",
                "open 1 Submitted",
                "status 1 Submitted 40/60",
                "open 1 Submitted",
                "fee",
            ][..],
        ),
        (&["cancel=7/1"], &["status 1 Cancelled 0/100", "error 1 202"]),
        (
            &["cancel=perm/3000000001", "fill=7/1:100"],
            &[
                "status 1 Cancelled 0/100",
                "error 1 202",
                "exec 1 100@200",
                "status 1 Cancelled 100/0",
                "fee",
            ],
        ),
        (&["reject=7/1:201"], &["status 1 Inactive 0/100", "error 1 201"]),
        (
            &["inactive=7/1", "active=7/1"],
            &[
                "open 1 Inactive",
                "status 1 Inactive 0/100",
                "open 1 Submitted",
                "status 1 Submitted 0/100",
            ],
        ),
        (&["repeat-status=7/1"], &["status 1 Submitted 0/100"]),
        (&["fill=7/2:1", "cancel=8/1"], &[]),
    ] {
        let (mut world, client) = with_order("");
        world.story(client);
        what.iter().for_each(|what| world.happen(what));
        assert_eq!(world.story(client), story, "{what:?}");
    }
}

#[test]
fn things_happen_to_the_next_order() {
    let told = [
        "open 1 PreSubmitted",
        "status 1 PreSubmitted 0/100",
        "open 1 Submitted",
        "status 1 Submitted 0/100",
    ];
    for (what, story) in [
        (
            "reject-next=201",
            &[
                "open 1 PreSubmitted",
                "status 1 PreSubmitted 0/100",
                "status 1 Inactive 0/100",
                "error 1 201",
            ][..],
        ),
        ("reject-next=110", &["error 1 110"]),
        ("reject-symbol=AAPL:103", &["error 1 103"]),
        ("reject-symbol=MSFT:103", &told),
        (
            "repeat-next=1",
            &[
                "open 1 PreSubmitted",
                "status 1 PreSubmitted 0/100",
                "status 1 PreSubmitted 0/100",
                "open 1 Submitted",
                "status 1 Submitted 0/100",
                "status 1 Submitted 0/100",
            ],
        ),
        ("part-next=0", &told),
        ("lose-answers=1", &[]),
        ("answer-later=1", &[]),
        ("drop-at-order=accepted", &[]),
        ("drop-at-order=refused", &[]),
    ] {
        let (mut world, client) = with_order(what);
        assert_eq!(world.story(client), story, "{what}");
        let dropped = what.starts_with("drop").then_some(CloseHow::Fault);
        assert_eq!(world.closed_how(client), dropped, "{what}");
        let none = what.ends_with(":103") && story.len() == 1
            || what.ends_with("110")
            || what.ends_with("=refused");
        assert_eq!(world.gateway.ledger().orders.is_empty(), none, "{what}");
        assert_eq!(world.gateway.ledger().refused.len(), usize::from(none), "{what}");
        // The next one is as usual.
        let client = if dropped.is_some() { world.connect(7) } else { client };
        world.story(client);
        world.place(client, 2, "KO", &order("BUY", 10, "LMT", 60.0));
        assert_eq!(world.story(client).len(), 4, "{what}");
    }
}

#[test]
fn an_answer_comes_in_the_next_session() {
    for what in ["drop-at-order=later", "answer-later=1"] {
        let (mut world, client) = with_order(what);
        if what.starts_with("answer") {
            world.hang_up(client, End::Fin);
        }
        let other = world.connect(8);
        let again = world.connect(7);
        assert_eq!(world.story(again).len(), 4, "{what}");
        assert!(world.story(other).is_empty());
    }
}

#[test]
fn the_answer_to_a_cancel_can_be_lost() {
    let (mut world, client) = with_order("lose-cancel-answers");
    world.story(client);
    world.cancel(client, 1);
    assert!(world.story(client).is_empty());
    assert_eq!(world.line(3_000_000_001).status, "Cancelled");
}

#[test]
fn a_connection_can_end_at_a_cancel() {
    for (what, status, later) in
        [("refused", "Submitted", 0), ("accepted", "Cancelled", 0), ("later", "Cancelled", 3)]
    {
        let (mut world, client) = with_order(&format!("drop-at-cancel={what}"));
        world.story(client);
        world.cancel(client, 1);
        assert!(world.story(client).is_empty(), "{what}");
        assert_eq!(world.closed_how(client), Some(CloseHow::Fault), "{what}");
        assert_eq!(world.line(3_000_000_001).status, status, "{what}");
        let again = world.connect(7);
        assert_eq!(world.story(again).len(), later, "{what}");
    }
}

#[test]
fn a_market_order_can_be_told_by_its_execution_alone() {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    world.happen("silent-fill");
    world.place(client, 1, "AAPL", &order("BUY", 100, "MKT", 0.0));
    assert_eq!(world.story(client), ["exec 1 100@231.41", "fee"]);
}

#[test]
fn a_part_is_filled_and_the_rest_waits_to_be_told() {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    world.happen("part-next=40");
    world.place(client, 1, "AAPL", &order("BUY", 100, "MKT", 0.0));
    world.pass(Duration::from_secs(60));
    assert_eq!(world.line(3_000_000_001).filled, "40");
    world.happen("fill=7/1:all");
    assert_eq!(world.line(3_000_000_001).status, "Filled");
}

#[test]
fn limit_orders_wait_to_be_told_if_fills_are_by_hand() {
    let mut world =
        World::of_orders(GatewayConfig { manual_fills: true, ..GatewayConfig::default() });
    let client = world.connect(7);
    world.place(client, 1, "AAPL", &order("BUY", 100, "LMT", 240.0));
    world.place(client, 2, "AAPL", &order("BUY", 100, "MKT", 0.0));
    assert_eq!(world.line(3_000_000_001).filled, "0");
    assert_eq!(world.line(3_000_000_002).filled, "100");
    world.happen("fill=7/1:100:231.5");
    assert_eq!(world.line(3_000_000_001).average_price, 231.5);
}

#[test]
fn others_trade_too_by_hand_and_with_large_ids() {
    let mut world = World::of_orders(GatewayConfig::default());
    let (client, zero, other) = (world.connect(7), world.connect(0), world.connect(55));
    world.request(client, ask::REQ_POSITIONS, &PositionsRequest {});
    world.happen("order=manual:AAPL:10");
    let execution = ["exec 2147483647 10@231.41", "fee"];
    assert_eq!(world.story(zero), execution, "not bound: only what was executed");
    let bind = AutoOpenOrdersRequest { auto_bind: Some(true) };
    world.request(zero, ask::REQ_AUTO_OPEN_ORDERS, &bind);
    world.happen("order=manual:AAPL:-10:300");
    assert_eq!(world.story(zero).len(), 4);
    world.happen("order=55/1700000000:KO:5:60");
    assert_eq!(world.story(other)[0], "open 1700000000 PreSubmitted");
    assert!(world.story(client).is_empty());
    world.place(other, 1_700_000_001, "KO", &order("BUY", 5, "LMT", 60.0));
    assert_eq!(world.story(other).len(), 4);
    let lines = world.gateway.ledger().orders;
    assert!(lines[0].by_hand && lines[0].order_id == 0 && lines[2].client_id == 55);
}

#[test]
fn ends_of_lists_come_early_and_from_elsewhere() {
    let list = ["open 1 Submitted", "status 1 Submitted 0/100"];
    for (what, before, after) in
        [("early-end", 1, 0), ("foreign-end", 1, 1), ("end-mark", 1, 1), ("ledger", 0, 1)]
    {
        let (mut world, client) = with_order("");
        world.story(client);
        world.happen(what);
        world.request(client, ask::REQ_OPEN_ORDERS, &OpenOrdersRequest {});
        let expected = [vec!["end"; before], list.to_vec(), vec!["end"; after]].concat();
        assert_eq!(world.story(client), expected, "{what}");
    }
}

#[test]
fn every_change_is_an_event_and_the_ledger_is_one() {
    let (mut world, _) = with_order("");
    world.happen("fill=7/1:all");
    world.happen("ledger");
    let lines: Vec<_> = world
        .events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap())
        .filter(|line| line.contains("\"order\"") || line.contains("\"ledger\""))
        .filter(|line| !line.contains("happened"))
        .collect();
    let at = world.now.as_millis();
    let order = |what: &str, filled: &str, price: &str, status: &str| {
        format!(
            "{what}\"perm_id\":3000000001,\"client_id\":7,\"order_id\":1,\"order_ref\":\"\",\
             \"account\":\"DU0000001\",\"symbol\":\"AAPL\",\"sec_type\":\"STK\",\"side\":\"BUY\",\
             \"quantity\":\"100\",\"filled\":\"{filled}\",\"average_price\":{price},\
             \"status\":\"{status}\",\"places\":1,\"cancels\":0}}"
        )
    };
    let event = |what: &str| format!("{{\"event\":\"order\",\"at_ms\":{at},\"what\":\"{what}\",");
    assert_eq!(
        lines,
        [
            order(&event("placed"), "0", "0.0", "Untransmitted"),
            order(&event("working"), "0", "0.0", "Submitted"),
            order(&event("filled"), "100", "200.0", "Filled"),
            format!(
                "{{\"event\":\"ledger\",\"at_ms\":{at},\"orders\":[{}],\"refused\":[]}}",
                order("{", "100", "200.0", "Filled")
            ),
        ]
    );
}
