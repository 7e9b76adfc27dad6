//! Orders that Gateway takes and the simulator executes only when told, and what orders carry that
//! it does not act on.

use std::collections::HashMap;

use ibouncer_proto::tws::v1::OrderCondition;

use super::*;

const WORKS: [&str; 4] = [
    "open 1 PreSubmitted",
    "status 1 PreSubmitted 0/100",
    "open 1 Submitted",
    "status 1 Submitted 0/100",
];

/// The order as it was told last, without what Gateway fills in where a client said nothing.
fn told(world: &World, client: ConnectionId, sent: &Order) -> Order {
    let told: Vec<OpenOrder> = world.messages(client, tell::OPEN_ORDER);
    let told = told.last().unwrap().order.clone().unwrap();
    Order {
        client_id: None,
        order_id: None,
        perm_id: None,
        clearing_intent: None,
        exempt_code: None,
        account: None,
        parent_id: told.parent_id.filter(|parent| *parent != 0),
        lmt_price: told.lmt_price.filter(|price| *price != 0.0),
        aux_price: told.aux_price.filter(|price| *price != 0.0),
        tif: told.tif.clone().filter(|_| sent.tif.is_some()),
        oca_type: told.oca_type.filter(|_| sent.oca_type.is_some()),
        delta_neutral_order_type: told
            .delta_neutral_order_type
            .clone()
            .filter(|_| sent.delta_neutral_order_type.is_some()),
        adjusted_order_type: None,
        ..told
    }
}

#[test]
fn types_that_are_not_simulated_rest_until_told() {
    let plain = |kind: &str| order("BUY", 100, kind, 0.0);
    let opening =
        |kind: &str, limit| Order { tif: Some("OPG".to_owned()), ..order("BUY", 100, kind, limit) };
    for (order, price) in [
        (plain("MOC"), "231.41"),
        (order("BUY", 100, "LOC", 240.0), "240"),
        (plain("MOO"), "231.41"),
        (order("BUY", 100, "LOO", 240.0), "240"),
        (opening("MKT", 0.0), "231.41"),
        (opening("LMT", 240.0), "240"),
        (Order { tif: Some("AUC".to_owned()), ..order("BUY", 100, "MTL", 240.0) }, "240"),
        (Order { percent_offset: Some(0.02), ..order("BUY", 100, "REL", 240.0) }, "240"),
        (Order { aux_price: Some(0.013), ..plain("PASSV REL") }, "231.41"),
        (Order { aux_price: Some(0.05), ..plain("PEG MKT") }, "231.41"),
        (plain("PEG MID"), "231.41"),
        (Order { delta: Some(0.5), starting_price: Some(3.1), ..plain("PEG STK") }, "231.41"),
        (plain("PEG PRIM"), "231.41"),
        (
            Order {
                reference_contract_id: Some(900_000_002),
                pegged_change_amount: Some(0.1),
                is_pegged_change_amount_decrease: Some(true),
                reference_change_amount: Some(1.0),
                ..plain("PEG BENCH")
            },
            "231.41",
        ),
        (Order { compete_against_best_offset: Some(0.01), ..plain("PEG BEST") }, "231.41"),
        (
            Order {
                volatility: Some(0.4),
                volatility_type: Some(2),
                delta_neutral_order_type: Some("MKT".to_owned()),
                ..plain("VOL")
            },
            "231.41",
        ),
        (plain("SNAP MKT"), "231.41"),
        (plain("SNAP MID"), "231.41"),
        (plain("SNAP PRIM"), "231.41"),
        (order("BUY", 100, "MIDPRICE", 240.0), "240"),
        (plain("MKT PRT"), "231.41"),
        (Order { aux_price: Some(220.0), ..plain("STP PRT") }, "231.41"),
        (Order { aux_price: Some(220.0), ..plain("TRAIL MIT") }, "231.41"),
        (Order { aux_price: Some(220.0), ..order("BUY", 100, "TRAIL LIT", 240.0) }, "240"),
        (plain("BOX TOP"), "231.41"),
        (order("BUY", 100, "REL + LMT", 240.0), "240"),
    ] {
        let mut world = World::of_orders(GatewayConfig::default());
        let client = world.connect(7);
        world.place(client, 1, "AAPL", &order);
        assert_eq!(world.story(client), WORKS, "{order:?}");
        assert_eq!(told(&world, client, &order), order);
        world.happen("price=AAPL:200");
        world.happen("price=AAPL:260");
        world.pass(Duration::from_secs(60));
        assert!(world.story(client).is_empty(), "{order:?}");
        world.happen("price=AAPL:231.40");
        world.happen("fill=7/1:40");
        let first = format!("exec 1 40@{price}");
        assert_eq!(world.story(client)[..1], [first], "{order:?}");
        world.happen("fill=7/1:all:230");
        assert_eq!(world.line(3_000_000_001).status, "Filled", "{order:?}");
        world.gateway.shared.book.check_invariants();
    }
}

#[test]
fn they_can_be_cancelled_changed_and_asked_about() {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    world.place(client, 1, "AAPL", &order("BUY", 100, "MOC", 0.0));
    world.cancel(client, 1);
    let story = world.story(client);
    assert_eq!(
        story[4..],
        ["status 1 PendingCancel 0/100", "status 1 Cancelled 0/100", "error 1 202"]
    );
    // At once or not at all: not at all.
    let now = Order { tif: Some("IOC".to_owned()), ..order("BUY", 100, "SNAP MKT", 0.0) };
    world.place(client, 2, "AAPL", &now);
    assert_eq!(world.story(client)[4..], ["status 2 Cancelled 0/100", "error 2 202"]);
    // It becomes one that is executed, and back.
    world.place(client, 3, "AAPL", &order("BUY", 100, "REL", 0.0));
    world.place(client, 3, "AAPL", &order("BUY", 100, "LMT", 200.0));
    world.place(client, 3, "AAPL", &order("BUY", 100, "PEG MID", 0.0));
    world.happen("price=AAPL:190");
    assert_eq!(world.line(3_000_000_003).filled, "0");
    world.place(client, 3, "AAPL", &order("BUY", 100, "LMT", 200.0));
    assert_eq!(world.line(3_000_000_003).filled, "100");
    let question = Order { what_if: Some(true), ..order("BUY", 100, "PEG MKT", 0.0) };
    world.story(client);
    world.place(client, 4, "AAPL", &question);
    assert_eq!(world.story(client), ["open 4 PreSubmitted"]);
    let told: Vec<OpenOrder> = world.messages(client, tell::OPEN_ORDER);
    assert!(told.last().unwrap().order_state.clone().unwrap().init_margin_change() > 0.0);
}

#[test]
fn algorithms_conditions_and_scales_are_told_as_they_came() {
    let condition = OrderCondition {
        r#type: Some(1),
        con_id: Some(900_000_002),
        exchange: Some("SMART".to_owned()),
        is_more: Some(true),
        price: Some(500.0),
        is_conjunction_connection: Some(true),
        ..Default::default()
    };
    let sent = Order {
        algo_strategy: Some("Adaptive".to_owned()),
        algo_params: HashMap::from([("adaptivePriority".to_owned(), "Normal".to_owned())])
            .into_iter()
            .collect(),
        conditions: vec![condition],
        conditions_cancel_order: Some(true),
        conditions_ignore_rth: Some(true),
        scale_init_level_size: Some(10),
        scale_price_increment: Some(0.1),
        good_after_time: Some("20261201-09:30:00".to_owned()),
        soft_dollar_tier: None,
        discretionary_amt: Some(0.1),
        ..order("BUY", 100, "LMT", 200.0)
    };
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    world.place(client, 1, "AAPL", &sent);
    assert_eq!(world.story(client), WORKS);
    assert_eq!(told(&world, client, &sent), sent);
}

#[test]
fn a_hedge_without_a_quantity_is_as_large_as_its_parent_and_follows_it() {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    let hedge = |parent| Order {
        parent_id: Some(parent),
        hedge_type: Some("P".to_owned()),
        hedge_param: Some("1".to_owned()),
        ..order("SELL", 0, "MKT", 0.0)
    };
    world.place(client, 1, "AAPL", &hedge(9));
    assert_eq!(world.story(client), ["error 1 10006"]);
    world.place(client, 1, "AAPL", &order("BUY", 100, "LMT", 200.0));
    let taker = Order { parent_id: Some(1), ..order("SELL", 100, "LMT", 300.0) };
    world.place(client, 2, "AAPL", &taker);
    world.place(client, 3, "MSFT", &hedge(1));
    let story = world.story(client);
    assert_eq!(story[6..], ["open 3 PreSubmitted", "status 3 PreSubmitted 0/100"]);
    let expected = Order { total_quantity: Some("100".to_owned()), ..hedge(1) };
    assert_eq!(told(&world, client, &expected), expected);
    world.happen("fill=7/1:all");
    assert_eq!(world.line(3_000_000_003).status, "Filled");
    assert_eq!(world.line(3_000_000_002).status, "Submitted", "it is not its alternative");
}
