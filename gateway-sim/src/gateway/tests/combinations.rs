//! Orders for combinations: priced by their legs, executed with them.

use std::collections::BTreeSet;

use ibouncer_proto::tws::v1::{
    AttachedOrders, CommissionAndFeesReport, Execution, ExecutionFilter, ExecutionRequest,
    Position, PositionsRequest,
};

use super::*;

const PERM_ID: i64 = 3_000_000_001;

/// AAPL is 231.39 to 231.41, MSFT 428.14 to 428.16: the pair is -196.77 to -196.73.
fn pair() -> Contract {
    combination(&[("AAPL", 1), ("MSFT", -1)])
}

fn world() -> (World, ConnectionId) {
    let config = GatewayConfig { positions: vec![], executions: vec![], ..Default::default() };
    let mut world = World::of_orders(config);
    let client = world.connect(7);
    (world, client)
}

/// What was executed: symbol, type, side, quantity, price, cumulative quantity, average price.
fn executed(world: &World, client: ConnectionId) -> Vec<String> {
    let told: Vec<ExecutionDetails> = world.messages(client, tell::EXECUTION_DATA);
    let line = |one: ExecutionDetails| {
        let (contract, fill) = (one.contract.unwrap(), one.execution.unwrap());
        let of = format!("{} {} {}", contract.symbol(), contract.sec_type(), fill.side());
        let all = format!("{}@{}", fill.cum_qty(), fill.avg_price());
        format!("{of} {}@{} {all}", fill.shares(), fill.price())
    };
    told.into_iter().map(line).collect()
}

fn positions(world: &World) -> Vec<(&'static str, f64, f64)> {
    let all = world.gateway.shared.portfolio.positions.iter();
    all.map(|one| (one.listing.instrument().symbol, one.quantity, one.average_cost)).collect()
}

#[test]
fn a_combination_is_executed_with_each_of_its_legs() {
    let (mut world, client) = world();
    world.request(client, ask::REQ_POSITIONS, &PositionsRequest {});
    world.place_of(client, 1, pair(), &order("BUY", 10, "LMT", -190.0));
    assert_eq!(
        world.story(client)[2..],
        [
            "exec 1 10@-196.73",
            "exec 1 10@231.41",
            "exec 1 10@428.14",
            "open 1 Filled",
            "status 1 Filled 10/0",
            "open 1 Filled",
            "fee",
            "fee",
            "fee",
        ]
    );
    assert_eq!(
        executed(&world, client),
        [
            "AAPL BAG BOT 10@-196.73 10@-196.73",
            "AAPL STK BOT 10@231.41 10@231.41",
            "MSFT STK SLD 10@428.14 10@428.14",
        ]
    );
    assert_eq!(positions(&world), [("AAPL", 10.0, 231.41), ("MSFT", -10.0, 428.14)]);
    let told: Vec<Position> = world.messages(client, tell::POSITION_DATA);
    let types = told.iter().map(|one| one.contract.clone().unwrap().sec_type().to_owned());
    assert_eq!(types.collect::<Vec<_>>(), ["STK", "STK"], "none of the combination");
    let cash = world.gateway.shared.portfolio.purse("DU0000001").cash;
    assert!((cash - (1967.3 - 2.1)).abs() < 1e-6, "{cash}");
    let line = world.line(PERM_ID);
    assert_eq!((line.sec_type.as_str(), line.filled.as_str()), ("BAG", "10"));
    assert_eq!(line.average_price, -196.73);
    world.gateway.shared.book.check_invariants();
}

#[test]
fn executions_of_legs_have_ids_of_their_own_and_pay_the_commission() {
    let (mut world, client) = world();
    world.place_of(client, 1, pair(), &order("BUY", 10, "MKT", 0.0));
    let told: Vec<ExecutionDetails> = world.messages(client, tell::EXECUTION_DATA);
    let fills: Vec<Execution> = told.into_iter().map(|one| one.execution.unwrap()).collect();
    let segments: Vec<_> = fills.iter().map(|one| one.exec_id().split('.').count()).collect();
    assert_eq!(segments, [4, 5, 5]);
    let stems: BTreeSet<_> = fills.iter().map(|one| one.exec_id().rsplit_once('.')).collect();
    assert_eq!(stems.len(), 3);
    assert!(fills.iter().all(|one| (one.perm_id(), one.order_id()) == (PERM_ID, 1)));
    let fees: Vec<CommissionAndFeesReport> =
        world.messages(client, tell::COMMISSION_AND_FEES_REPORT);
    let fees: Vec<_> = fees.iter().map(|one| (one.exec_id(), one.commission_and_fees())).collect();
    let ids: Vec<_> = fills.iter().map(Execution::exec_id).collect();
    assert_eq!(fees, [(ids[0], 0.0), (ids[1], 1.05), (ids[2], 1.05)]);
    let told: Vec<OpenOrder> = world.messages(client, tell::OPEN_ORDER);
    let state = told.last().unwrap().order_state.clone().unwrap();
    assert_eq!(state.commission_and_fees(), 2.1, "all of it is the order's");
    for (sec_type, count) in [("BAG", 1), ("STK", 2)] {
        let (mut filter, before) = (ExecutionFilter::default(), executed(&world, client).len());
        filter.sec_type = Some(sec_type.to_owned());
        let request = ExecutionRequest { req_id: Some(1), execution_filter: Some(filter) };
        world.request(client, ask::REQ_EXECUTIONS, &request);
        assert_eq!(executed(&world, client).len() - before, count, "{sec_type}");
    }
}

#[test]
fn it_waits_for_its_limit_and_is_told_with_its_legs() {
    let (mut world, client) = world();
    world.place_of(client, 1, pair(), &order("BUY", 10, "LMT", -200.0));
    assert_eq!(world.story(client)[2..], ["open 1 Submitted", "status 1 Submitted 0/10"]);
    let told: Vec<OpenOrder> = world.messages(client, tell::OPEN_ORDER);
    let contract = told[0].contract.clone().unwrap();
    assert_eq!(contract.combo_legs, pair().combo_legs);
    assert_eq!((contract.sec_type(), contract.symbol()), ("BAG", "AAPL"));
    assert_eq!(
        contract.combo_legs_descrip(),
        format!("{}|1,{}|-1", con_id("AAPL"), con_id("MSFT"))
    );
    assert_eq!(told[0].order.clone().unwrap().lmt_price(), -200.0);
    world.happen("price=MSFT:430");
    assert!(world.story(client).is_empty());
    world.happen("price=MSFT:440");
    assert_eq!(
        world.story(client)[..3],
        ["exec 1 10@-208.58", "exec 1 10@231.41", "exec 1 10@439.99"]
    );
}

#[test]
fn who_sells_it_does_the_opposite_with_each_leg() {
    let (mut world, client) = world();
    let butterfly = combination(&[("AAPL", 1), ("MSFT", -2), ("KO", 3)]);
    world.place_of(client, 1, butterfly, &order("SELL", 10, "MKT", 0.0));
    // KO is 63.39 to 63.41.
    let expected = [
        "AAPL BAG SLD 10@-434.76 10@-434.76",
        "AAPL STK SLD 10@231.39 10@231.39",
        "MSFT STK BOT 20@428.16 20@428.16",
        "KO STK SLD 30@63.39 30@63.39",
    ];
    assert_eq!(executed(&world, client), expected);
}

#[test]
fn a_fill_when_told_leaves_the_difference_to_the_first_leg() {
    let (mut world, client) = world();
    world.place_of(client, 1, pair(), &order("BUY", 10, "LMT", -200.0));
    world.happen("fill=7/1:4:-199.5");
    world.happen("fill=7/1:all");
    assert_eq!(
        executed(&world, client),
        [
            "AAPL BAG BOT 4@-199.5 4@-199.5",
            "AAPL STK BOT 4@228.64 4@228.64",
            "MSFT STK SLD 4@428.14 4@428.14",
            "AAPL BAG BOT 6@-200 10@-199.8",
            "AAPL STK BOT 6@228.14 10@228.34",
            "MSFT STK SLD 6@428.14 10@428.14",
        ]
    );
    world.story(client);
    world.happen("correct=7/1:-190:5");
    assert!(world.story(client).is_empty(), "combinations are not corrected");
    world.gateway.shared.book.check_invariants();
}

#[test]
fn it_can_be_changed_cancelled_and_asked_about() {
    let (mut world, client) = world();
    world.place_of(client, 1, pair(), &order("BUY", 10, "LMT", -200.0));
    world.place_of(client, 1, pair(), &order("BUY", 20, "LMT", 0.0));
    assert_eq!(world.errors(client, 1), [321], "there is no price");
    let nothing = Order { lmt_price: Some(0.0), ..order("SELL", 20, "LMT", 0.0) };
    world.place_of(client, 2, pair(), &nothing);
    world.place_of(client, 1, pair(), &order("BUY", 20, "LMT", -201.5));
    world.story(client);
    world.place_of(
        client,
        1,
        combination(&[("AAPL", 1), ("KO", -1)]),
        &order("BUY", 20, "LMT", 1.0),
    );
    world.place(client, 1, "AAPL", &order("BUY", 20, "LMT", 1.0));
    assert_eq!(world.story(client), ["error 1 105", "error 1 105"]);
    world.cancel(client, 1);
    assert_eq!(world.story(client).last().unwrap(), "error 1 202");
    let lines = [world.line(PERM_ID), world.line(PERM_ID + 1)];
    assert_eq!(lines.map(|line| line.status), ["Cancelled", "Submitted"]);
    let question = Order { what_if: Some(true), ..order("BUY", 10, "LMT", -200.0) };
    world.place_of(client, 3, pair(), &question);
    assert_eq!(world.story(client), ["open 3 PreSubmitted"]);
    let told: Vec<OpenOrder> = world.messages(client, tell::OPEN_ORDER);
    let state = told.last().unwrap().order_state.clone().unwrap();
    assert_eq!(state.init_margin_change(), 500.0);
}

#[test]
fn attached_orders_of_a_price_below_zero_are_on_their_sides() {
    let (mut world, client) = world();
    let attached =
        AttachedOrders { sl_order_id: Some(2), pt_order_id: Some(3), ..Default::default() };
    let request = PlaceOrderRequest {
        order_id: Some(1),
        contract: Some(pair()),
        order: Some(order("BUY", 10, "LMT", -200.0)),
        attached_orders: Some(attached),
    };
    world.request(client, ask::PLACE_ORDER, &request);
    let told: Vec<OpenOrder> = world.messages(client, tell::OPEN_ORDER);
    let find = |order_id| told.iter().find(|one| one.order_id() == order_id).unwrap().clone();
    assert_eq!(find(2).order.unwrap().aux_price(), -204.0);
    assert_eq!(find(3).order.unwrap().lmt_price(), -196.0);
}

#[test]
fn what_is_no_combination_is_refused() {
    let with = |change: &dyn Fn(&mut ComboLeg)| {
        let mut wanted = pair();
        change(&mut wanted.combo_legs[1]);
        wanted
    };
    let plain = || order("BUY", 10, "LMT", -200.0);
    for (wanted, order, code) in [
        (with(&|leg| leg.con_id = Some(77)), plain(), 200),
        (with(&|leg| leg.con_id = None), plain(), 200),
        (with(&|leg| leg.ratio = Some(0)), plain(), 321),
        (with(&|leg| leg.ratio = Some(-1)), plain(), 321),
        (with(&|leg| leg.action = Some("HOLD".to_owned())), plain(), 321),
        (combination(&[("AAPL", 1)]), plain(), 321),
        (contract("AAPL", "BAG"), plain(), 321),
        (pair(), order("BUY", 10, "LMT", -200.001), 110),
        (pair(), Order { total_quantity: Some("0.5".to_owned()), ..plain() }, 10243),
    ] {
        let (mut world, client) = world();
        world.place_of(client, 1, wanted.clone(), &order);
        assert_eq!(world.errors(client, 1), [code], "{wanted:?}");
        assert!(world.gateway.ledger().orders.is_empty());
    }
    let (mut world, client) = world();
    let index = combination(&[("AAPL", 1), ("SPX", -1)]);
    world.place_of(client, 1, index, &plain());
    assert_eq!(world.errors(client, 1), [201]);
    // There are orders for it, and no data.
    let request = MarketDataRequest { contract: Some(pair()), ..market_data(9, "AAPL") };
    world.request(client, id::REQ_MKT_DATA, &request);
    assert_eq!(world.errors(client, 9), [200]);
}
