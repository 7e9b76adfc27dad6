//! Executions that come again, and were otherwise.

use ibouncer_proto::tws::v1::{
    CommissionAndFeesReport, CompletedOrder, CompletedOrdersRequest, ExecutionRequest, Position,
    PositionsRequest,
};

use super::super::holdings::Holding;
use super::*;

const PERM_ID: i64 = 3_000_000_001;

/// A client with an order that rests, of 100 KO, which nobody holds.
fn with_order() -> (World, ConnectionId) {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    world.place(client, 1, "KO", &order("BUY", 100, "LMT", 60.0));
    world.story(client);
    (world, client)
}

/// Position, average cost and what was realized of what the tests trade in, and the cash that has
/// come or gone.
fn held(world: &World, symbol: &str) -> (f64, f64, f64, f64) {
    let portfolio = &world.gateway.shared.portfolio;
    let mut all = portfolio.positions.iter().chain(portfolio.closed("DU0000001"));
    let is_it = |one: &&Holding| {
        one.listing.instrument().symbol == symbol && one.listing.sec_type() == "STK"
    };
    let found = all.find(is_it).unwrap();
    let purse = portfolio.purse("DU0000001");
    assert!((purse.realized - found.realized).abs() < 1e-6);
    let cents = |value: f64| (value * 100.0).round() / 100.0;
    let average = (found.average_cost * 1e6).round() / 1e6;
    (found.quantity, average, cents(found.realized), cents(purse.cash))
}

fn executions(world: &World, client: ConnectionId) -> Vec<(String, String, String, f64)> {
    let told: Vec<ExecutionDetails> = world.messages(client, tell::EXECUTION_DATA);
    let told = told.into_iter().map(|one| one.execution.unwrap());
    told.map(|one| {
        let (id, average) = (one.exec_id().to_owned(), one.avg_price());
        (id, one.shares().to_owned(), one.cum_qty().to_owned(), average)
    })
    .collect()
}

#[test]
fn a_correction_differs_behind_the_last_dot() {
    let (mut world, client) = with_order();
    world.happen("fill=7/1:100:59");
    world.happen("correct=7/1:58");
    let ids: Vec<_> = executions(&world, client).into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids[0].rsplit_once('.').unwrap(), (ids[1].rsplit_once('.').unwrap().0, "01"));
    assert!(ids[1].ends_with(".02"));
    assert_eq!(world.line(PERM_ID).average_price, 58.0);
    assert_eq!(held(&world, "KO"), (100.0, 58.0, 0.0, -5801.5));
    world.request(client, ask::REQ_EXECUTIONS, &ExecutionRequest::default());
    let told: Vec<ExecutionDetails> = world.messages(client, tell::EXECUTION_DATA);
    assert_eq!(told.last().unwrap().execution.clone().unwrap().price(), 58.0);
}

#[test]
fn order_and_money_follow_a_quantity_that_is_corrected() {
    for (what, story, filled, average, status, held_now) in [
        // Less: what is left works on.
        (
            "correct=7/1:58:10",
            &["exec 1 10@58", "status 1 Submitted 30/70", "fee"][..],
            "30",
            59.333_333_33,
            "Submitted",
            (30.0, 59.333_333, 0.0, -1782.15),
        ),
        // None at all.
        (
            "correct=7/1:58:0",
            &["exec 1 0@58", "status 1 Submitted 20/80", "fee"],
            "20",
            60.0,
            "Submitted",
            (20.0, 60.0, 0.0, -1201.1),
        ),
        // More than there is room for is what there is room for, and fills it.
        (
            "correct=7/1:58:500",
            &["exec 1 80@58", "status 1 Filled 100/0", "fee"],
            "100",
            58.4,
            "Filled",
            (100.0, 58.4, 0.0, -5842.5),
        ),
        // Only the price: nothing new to be told of the order.
        (
            "correct=7/1:58:40",
            &["exec 1 40@58", "fee"],
            "60",
            58.666_666_67,
            "Submitted",
            (60.0, 58.666_667, 0.0, -3522.3),
        ),
    ] {
        let (mut world, client) = with_order();
        world.happen("fill=7/1:20");
        world.happen("fill=7/1:40:59");
        world.story(client);
        world.happen(what);
        assert_eq!(world.story(client), story, "{what}");
        let line = world.line(PERM_ID);
        let found = (line.filled.as_str(), line.average_price, line.status);
        assert_eq!(found, (filled, average, status), "{what}");
        assert_eq!(held(&world, "KO"), held_now, "{what}");
        let told = executions(&world, client).pop().unwrap();
        assert_eq!((told.2.as_str(), told.3), (filled, average), "{what}: cumulative");
        world.gateway.shared.book.check_invariants();
    }
}

#[test]
fn a_busted_execution_costs_nothing_and_leaves_no_position() {
    let (mut world, client) = with_order();
    world.request(client, ask::REQ_POSITIONS, &PositionsRequest {});
    world.happen("fill=7/1:40:59");
    world.happen("correct=7/1:59:0");
    assert_eq!(held(&world, "KO"), (0.0, 0.0, 0.0, 0.0));
    let fees: Vec<CommissionAndFeesReport> =
        world.messages(client, tell::COMMISSION_AND_FEES_REPORT);
    let paid: Vec<_> = fees.iter().map(CommissionAndFeesReport::commission_and_fees).collect();
    assert_eq!(paid, [1.2, 0.0]);
    let positions: Vec<Position> = world.messages(client, tell::POSITION_DATA);
    assert_eq!(positions.last().unwrap().position(), "0");
    // It can be corrected again, and then it was one after all.
    world.happen("correct=7/1:59:40");
    assert_eq!(world.line(PERM_ID).filled, "40");
    assert_eq!(held(&world, "KO"), (40.0, 59.0, 0.0, -2361.2));
    assert!(executions(&world, client).pop().unwrap().0.ends_with(".03"));
}

#[test]
fn what_has_ended_is_not_reopened() {
    let (mut world, client) = with_order();
    world.happen("fill=7/1:100");
    world.story(client);
    world.happen("correct=7/1:60:70");
    assert_eq!(world.story(client), ["exec 1 70@60", "status 1 Filled 70/30", "fee"]);
    world.happen("price=KO:50");
    world.pass(Duration::from_secs(60));
    assert!(world.story(client).is_empty(), "nothing works any more");
    world.place(client, 1, "KO", &order("BUY", 100, "LMT", 61.0));
    assert_eq!(world.story(client), ["error 1 104"]);
    let request = CompletedOrdersRequest { api_only: Some(true) };
    world.request(client, ask::REQ_COMPLETED_ORDERS, &request);
    let told: Vec<CompletedOrder> = world.messages(client, tell::COMPLETED_ORDER);
    assert_eq!(told[0].order.clone().unwrap().filled_quantity(), "70");
    assert_eq!(told[0].order_state.clone().unwrap().completed_status(), "Filled Size: 70");
    // Nor is one that was cancelled, whatever it had.
    world.place(client, 2, "KO", &order("BUY", 10, "LMT", 40.0));
    world.happen("fill=7/2:5");
    world.cancel(client, 2);
    world.story(client);
    world.happen("correct=7/2:40:10");
    assert_eq!(world.story(client), ["exec 2 10@40", "status 2 Cancelled 10/0", "fee"]);
}

#[test]
fn what_a_sale_had_earned_is_put_right() {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    // 100 are held at 198.42.
    world.place(client, 1, "AAPL", &order("SELL", 100, "LMT", 300.0));
    world.happen("fill=7/1:100:300");
    assert_eq!(held(&world, "AAPL"), (0.0, 0.0, 10156.5, 29998.5));
    world.happen("correct=7/1:300:40");
    // 40 of those that cost 198.42, less what the sale cost.
    let earned = 4062.0;
    assert_eq!(held(&world, "AAPL"), (60.0, 198.42, earned, 11998.8));
    let fees: Vec<CommissionAndFeesReport> =
        world.messages(client, tell::COMMISSION_AND_FEES_REPORT);
    assert!((fees[1].realized_pnl() - earned).abs() < 1e-6, "{fees:?}");
}

#[test]
fn what_others_have_sold_since_is_realized_when_it_is_all_that_is_left() {
    let (mut world, client) = with_order();
    world.place(client, 2, "KO", &order("BUY", 100, "LMT", 60.0));
    world.place(client, 3, "KO", &order("SELL", 100, "LMT", 70.0));
    for what in ["fill=7/1:100:59", "fill=7/2:100:61", "fill=7/3:100:60", "correct=7/2:61:0"] {
        world.happen(what);
    }
    // 100 were bought at 59 and sold at 60, for two commissions, one of them of the sale.
    assert_eq!(held(&world, "KO"), (0.0, 0.0, 98.5, 97.0));
}

#[test]
fn an_order_in_parts_goes_on_after_its_first_was_none() {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    world.place(client, 1, "F", &order("BUY", 400, "MKT", 0.0));
    world.happen("correct=7/1:11.06:0");
    world.gateway.shared.book.check_invariants();
    world.pass(Duration::from_secs(1));
    let line = world.line(PERM_ID);
    assert_eq!((line.filled.as_str(), line.status), ("400", "Filled"));
}

#[test]
fn a_correction_that_fills_ends_the_group_and_wakes_the_children() {
    let (mut world, client) = with_order();
    let grouped = |order: Order| Order { oca_group: Some("a".into()), ..order };
    world.place(client, 2, "KO", &grouped(order("BUY", 100, "LMT", 50.0)));
    world.place(client, 3, "KO", &grouped(order("BUY", 100, "LMT", 51.0)));
    let child = Order { parent_id: Some(2), ..order("SELL", 100, "LMT", 90.0) };
    world.place(client, 4, "KO", &child);
    world.happen("fill=7/2:60");
    world.story(client);
    world.happen("correct=7/2:50:100");
    assert_eq!(
        world.story(client),
        [
            "exec 2 100@50",
            "status 2 Filled 100/0",
            "fee",
            "status 3 Cancelled 0/40",
            "error 3 202",
            "open 4 Submitted",
            "status 4 Submitted 0/100",
        ]
    );
}
