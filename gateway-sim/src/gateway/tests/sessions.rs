//! Orders beyond the life of a connection, of the link to IB, and of a session of Gateway.

use ibouncer_proto::tws::v1::{
    CompletedOrder, CompletedOrdersRequest, ExecutionRequest, NextValidId, OpenOrdersRequest,
};

use super::*;

fn resting() -> Order {
    order("BUY", 100, "LMT", 200.0)
}

#[test]
fn what_is_filled_while_nobody_listens_is_found_by_asking() {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    world.place(client, 1, "AAPL", &resting());
    world.place(client, 2, "KO", &order("BUY", 10, "LMT", 60.0));
    world.hang_up(client, End::Reset);
    world.happen("fill=7/1:all");
    let again = world.connect(7);
    assert!(world.story(again).is_empty(), "nothing is repeated");
    let ids: Vec<NextValidId> = world.messages(again, id::NEXT_VALID_ID);
    assert_eq!(ids[0].order_id(), 3);
    world.request(again, ask::REQ_OPEN_ORDERS, &OpenOrdersRequest {});
    world.request(again, ask::REQ_EXECUTIONS, &ExecutionRequest::default());
    let story = world.story(again);
    assert_eq!(story[..3], ["open 2 Submitted", "status 2 Submitted 0/10", "end"]);
    assert!(story.contains(&"exec 1 100@200".to_owned()));
    let request = CompletedOrdersRequest { api_only: Some(true) };
    world.request(again, ask::REQ_COMPLETED_ORDERS, &request);
    let done: Vec<CompletedOrder> = world.messages(again, tell::COMPLETED_ORDER);
    let order = done[0].order.clone().unwrap();
    assert_eq!((order.perm_id(), order.filled_quantity()), (3_000_000_001, "100"));
    assert_eq!((order.order_id, order.client_id), (None, None), "it has no other name");
}

#[test]
fn a_restart_keeps_what_ib_has_and_rolls_the_ids_back() {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    for order_id in [10, 11] {
        world.place(client, order_id, "AAPL", &resting());
    }
    world.place(client, 12, "AAPL", &Order { transmit: Some(false), ..resting() });
    world.happen("restart=5");
    let again = world.connect(7);
    let ids: Vec<NextValidId> = world.messages(again, id::NEXT_VALID_ID);
    assert_eq!(ids[0].order_id(), 8);
    world.request(again, ask::REQ_OPEN_ORDERS, &OpenOrdersRequest {});
    let open: Vec<_> =
        world.story(again).into_iter().filter(|line| line.starts_with("open")).collect();
    assert_eq!(open, ["open 10 Submitted", "open 11 Submitted"]);
    assert_eq!(world.line(3_000_000_003).status, "Vanished");
    world.cancel(again, 12);
    assert_eq!(world.story(again), ["error 12 135"]);
    // An id that was given out again: new, or a modify of what has it.
    world.place(again, 8, "AAPL", &resting());
    world.place(again, 10, "AAPL", &Order { total_quantity: Some("7".into()), ..resting() });
    assert_eq!(world.story(again)[4..], ["open 10 Submitted", "status 10 Submitted 0/7"]);
    assert_eq!(world.gateway.ledger().orders.len(), 4);
    assert_eq!(world.line(3_000_000_001).places, 2);
}

#[test]
fn gateway_keeps_what_comes_while_the_link_is_lost() {
    for restored in ["1101", "1102"] {
        let mut world = World::of_orders(GatewayConfig::default());
        let client = world.connect(7);
        for order_id in [1, 2, 3] {
            world.place(client, order_id, "AAPL", &resting());
        }
        world.happen("1100");
        world.story(client);
        world.place(client, 4, "AAPL", &order("BUY", 10, "MKT", 0.0));
        assert_eq!(world.story(client), ["open 4 PendingSubmit", "status 4 PendingSubmit 0/10"]);
        world.cancel(client, 1);
        world.cancel(client, 1);
        assert_eq!(world.story(client), ["status 1 PendingCancel 0/100", "error 1 161"]);
        world.place(client, 2, "AAPL", &Order { total_quantity: Some("50".into()), ..resting() });
        world.place(client, 5, "AAPL", &order("BUY", 10, "MKT", 0.0));
        world.cancel(client, 5);
        world.happen("fill=7/3:30");
        assert_eq!(world.story(client).len(), 3, "a pending order, and its cancel");
        world.happen(restored);
        let story = world.story(client);
        assert_eq!(
            story,
            [
                "exec 3 30@200",
                "open 3 Submitted",
                "status 3 Submitted 30/70",
                "open 3 Submitted",
                "fee",
                "open 4 PreSubmitted",
                "status 4 PreSubmitted 0/10",
                "exec 4 10@231.41",
                "open 4 Filled",
                "status 4 Filled 10/0",
                "open 4 Filled",
                "fee",
                "status 1 Cancelled 0/100",
                "error 1 202",
                "open 2 Submitted",
                "status 2 Submitted 0/50",
                "status 5 Cancelled 0/10",
                "error 5 202"
            ]
        );
    }
}

#[test]
fn a_restart_while_the_link_is_lost_loses_what_waited() {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    world.place(client, 1, "AAPL", &resting());
    world.happen("1100");
    world.place(client, 2, "AAPL", &resting());
    world.cancel(client, 1);
    world.happen("restart");
    assert_eq!(world.line(3_000_000_001).status, "Submitted", "the cancel never left");
    assert_eq!(world.line(3_000_000_002).status, "Vanished", "nor did the order");
}
