//! Brackets, OCA groups, and orders that came attached to others.

use ibouncer_proto::tws::v1::{AllOpenOrdersRequest, AttachedOrders, OpenOrdersRequest};

use super::*;

/// A parent, a profit taker, and a stop loss that transmits all of them.
fn bracket(world: &mut World, client: ConnectionId, kind: &str, limit: f64) {
    let kept = |order| Order { transmit: Some(false), ..order };
    world.place(client, 1, "AAPL", &kept(order("BUY", 100, kind, limit)));
    let child = |order| Order { parent_id: Some(1), ..order };
    world.place(client, 2, "AAPL", &kept(child(order("SELL", 100, "LMT", 250.0))));
    let stop = Order { aux_price: Some(200.0), ..order("SELL", 100, "STP", 0.0) };
    world.place(client, 3, "AAPL", &child(stop));
}

#[test]
fn a_bracket_is_kept_until_its_last_member_transmits_it() {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    let parent = Order { transmit: Some(false), ..order("BUY", 100, "LMT", 200.0) };
    world.place(client, 1, "AAPL", &parent);
    assert!(world.story(client).is_empty());
    world.request(client, ask::REQ_OPEN_ORDERS, &OpenOrdersRequest {});
    assert_eq!(world.story(client), ["open 1 Inactive", "status 1 Inactive 0/100", "end"]);
    let child = Order { parent_id: Some(1), ..order("SELL", 100, "LMT", 250.0) };
    world.place(client, 2, "AAPL", &child);
    assert_eq!(
        world.story(client),
        [
            "open 1 PreSubmitted",
            "status 1 PreSubmitted 0/100",
            "open 1 Submitted",
            "status 1 Submitted 0/100",
            "open 2 PreSubmitted",
            "status 2 PreSubmitted 0/100"
        ]
    );
    let statuses: Vec<OrderStatus> = world.messages(client, tell::ORDER_STATUS);
    let held = statuses.last().unwrap();
    assert_eq!((held.why_held(), held.parent_id()), ("child", 1));
}

#[test]
fn children_wake_with_their_parent_and_the_first_ends_the_other() {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    bracket(&mut world, client, "LMT", 230.0);
    world.story(client);
    world.happen("price=AAPL:229");
    let story = world.story(client);
    assert_eq!(story[1..3], ["open 1 Filled", "status 1 Filled 100/0"]);
    assert_eq!(story[5..], ["open 2 Submitted", "status 2 Submitted 0/100"], "the stop waits");
    world.happen("price=AAPL:251");
    let story = world.story(client);
    assert_eq!(story[2], "status 2 Filled 100/0");
    assert_eq!(story[5..], ["status 3 Cancelled 0/100", "error 3 202"]);
}

#[test]
fn children_end_with_their_parent() {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    bracket(&mut world, client, "LMT", 200.0);
    world.story(client);
    world.cancel(client, 1);
    let ends: Vec<_> =
        world.story(client).into_iter().filter(|line| line.starts_with("error")).collect();
    assert_eq!(ends, ["error 1 202", "error 2 202", "error 3 202"]);
}

#[test]
fn a_group_is_one_whoever_placed_its_members() {
    for (kind, ended) in [(1, true), (3, false)] {
        let mut world = World::of_orders(GatewayConfig::default());
        let (client, other) = (world.connect(7), world.connect(8));
        let member =
            |order| Order { oca_group: Some("either".to_owned()), oca_type: Some(kind), ..order };
        world.place(client, 1, "AAPL", &member(order("BUY", 100, "LMT", 200.0)));
        world.place(other, 1, "MSFT", &member(order("BUY", 50, "LMT", 400.0)));
        world.place(other, 2, "KO", &order("BUY", 50, "LMT", 60.0));
        world.story(other);
        world.happen("fill=7/1:40");
        let story = world.story(other);
        match ended {
            true => assert_eq!(story, ["status 1 Cancelled 0/50", "error 1 202"]),
            false => assert_eq!(story, ["open 1 Submitted", "status 1 Submitted 0/30"]),
        }
        world.happen("fill=7/1:all");
        assert_eq!(world.line(3_000_000_002).status, "Cancelled");
        assert_eq!(world.line(3_000_000_003).status, "Submitted", "it is in no group");
    }
}

#[test]
fn attached_orders_are_children_with_the_ids_that_were_kept_for_them() {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    let request = PlaceOrderRequest {
        order_id: Some(1),
        contract: Some(contract("AAPL", "STK")),
        order: Some(order("BUY", 100, "LMT", 200.0)),
        attached_orders: Some(AttachedOrders {
            sl_order_id: Some(2),
            pt_order_id: Some(3),
            ..Default::default()
        }),
    };
    let twice = AttachedOrders { sl_order_id: Some(3), pt_order_id: Some(3), ..Default::default() };
    let wrong = PlaceOrderRequest { attached_orders: Some(twice), ..request.clone() };
    world.request(client, ask::PLACE_ORDER, &wrong);
    assert_eq!(world.errors(client, 1), [103]);
    world.request(client, ask::PLACE_ORDER, &request);
    world.request(client, ask::REQ_ALL_OPEN_ORDERS, &AllOpenOrdersRequest {});
    let orders: Vec<OpenOrder> = world.messages(client, tell::OPEN_ORDER);
    let listed: Vec<_> = orders[orders.len() - 2..]
        .iter()
        .map(|one| (one.order_id(), one.order.clone().unwrap()))
        .map(|(id, one)| {
            (id, one.parent_id(), one.order_type().to_owned(), one.aux_price(), one.lmt_price())
        })
        .collect();
    assert_eq!(
        listed,
        [(2, 1, "STP".to_owned(), 196.0, 0.0), (3, 1, "LMT".to_owned(), 0.0, 204.0)]
    );
}
