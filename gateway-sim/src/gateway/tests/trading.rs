//! Orders from their arrival to their end: what is told, what is refused, what money and positions
//! make of it.

use ibouncer_proto::tws::v1::{
    CommissionAndFeesReport, ExerciseOptionsRequest, GlobalCancelRequest, OpenOrdersRequest,
    Position, PositionsRequest,
};

use super::*;
use crate::limits::{Limit, LimitSpec, Limits};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn each_kind_of_order_is_told_as_gateway_tells_it() {
    let stop = |action: &str, kind: &str, stop: f64, limit: f64| Order {
        aux_price: Some(stop),
        ..order(action, 100, kind, limit)
    };
    let now = |tif: &str, limit: f64| Order {
        tif: Some(tif.to_owned()),
        ..order("BUY", 100, "LMT", limit)
    };
    let new = ["open 1 PreSubmitted", "status 1 PreSubmitted 0/100"];
    let works = ["open 1 Submitted", "status 1 Submitted 0/100"];
    let end = ["open 1 Filled", "status 1 Filled 100/0", "open 1 Filled", "fee"];
    let filled = |price: &str| {
        [vec![format!("exec 1 100@{price}")], end.map(str::to_owned).to_vec()].concat()
    };
    let none: [&str; 0] = [];
    let cancelled = ["status 1 Cancelled 0/100", "error 1 202"];
    for (order, first, then, price) in [
        (order("BUY", 100, "MKT", 0.0), &none[..], Some("231.41"), None),
        (order("SELL", 100, "MKT", 0.0), &none, Some("231.39"), None),
        (order("BUY", 100, "LMT", 240.0), &none, Some("231.41"), None),
        (order("BUY", 100, "LMT", 230.0), &works, Some("229.91"), Some("229.90")),
        (order("SELL", 100, "LMT", 240.0), &works, Some("240"), Some("240.01")),
        (stop("BUY", "STP", 235.0, 0.0), &none, Some("235.11"), Some("235.10")),
        (stop("SELL", "STP", 230.0, 0.0), &none, Some("229.89"), Some("229.90")),
        (stop("SELL", "STP LMT", 230.0, 229.0), &none, Some("229.89"), Some("229.90")),
        (stop("BUY", "MIT", 230.0, 0.0), &none, Some("229.91"), Some("229.90")),
        (stop("SELL", "TRAIL", 1.0, 0.0), &none, Some("230.29"), Some("230.30")),
        (now("IOC", 240.0), &none, Some("231.41"), None),
    ] {
        let mut world = World::of_orders(GatewayConfig::default());
        let client = world.connect(7);
        world.place(client, 1, "AAPL", &order);
        let mut story = world.story(client);
        if let Some(price) = price {
            assert_eq!(story, [&new[..], first].concat(), "{order:?}");
            world.happen(&format!("price=AAPL:{price}"));
            story = world.story(client);
            // What was triggered works first.
            story.retain(|line| !works.contains(&line.as_str()));
        } else {
            assert_eq!(story.drain(..2).collect::<Vec<_>>(), new, "{order:?}");
        }
        assert_eq!(story, then.map(filled).unwrap_or_default(), "{order:?}");
    }
    for order in [now("IOC", 230.0), now("FOK", 230.0)] {
        let mut world = World::of_orders(GatewayConfig::default());
        let client = world.connect(7);
        world.place(client, 1, "AAPL", &order);
        assert_eq!(world.story(client), [&new[..], &works, &cancelled].concat(), "{order:?}");
    }
}

#[test]
fn a_trailing_stop_follows_and_never_goes_back() {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    let trail = Order { aux_price: Some(2.0), ..order("SELL", 10, "TRAIL", 0.0) };
    world.place(client, 1, "AAPL", &trail);
    for (price, filled) in [("240", false), ("238.50", false), ("237.90", true)] {
        world.happen(&format!("price=AAPL:{price}"));
        let story = world.story(client);
        assert_eq!(story.contains(&"exec 1 10@237.89".to_owned()), filled, "{price}: {story:?}");
    }
}

#[test]
fn a_large_order_is_filled_in_parts() {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    world.place(client, 1, "F", &order("BUY", 1000, "MKT", 0.0));
    assert_eq!(
        world.story(client)[2..],
        [
            "exec 1 250@11.06",
            "open 1 Submitted",
            "status 1 Submitted 250/750",
            "open 1 Submitted",
            "fee"
        ]
    );
    world.pass(SECOND);
    let story = world.story(client);
    assert_eq!(story.iter().filter(|line| line.starts_with("exec")).count(), 3);
    assert_eq!(story[12], "status 1 Filled 1000/0");
    let line = world.line(3_000_000_001);
    assert_eq!((line.filled.as_str(), line.status, line.average_price), ("1000", "Filled", 11.06));
    world.place(client, 2, "F", &order("SELL", 150, "MKT", 0.0));
    world.cancel(client, 2);
    assert_eq!(
        world.story(client)[7..],
        ["status 2 PendingCancel 100/50", "status 2 Cancelled 100/50", "error 2 202"]
    );
}

#[test]
fn what_cannot_be_is_refused_and_leaves_no_order() {
    let plain = || order("BUY", 10, "LMT", 230.0);
    let aapl = || contract("AAPL", "STK");
    for (wanted, order, code) in [
        (contract("NOSUCH", "STK"), plain(), 200),
        (contract("AMBIG", "STK"), plain(), 200),
        (aapl(), Order { action: Some("HOLD".into()), ..plain() }, 321),
        (aapl(), Order { total_quantity: Some("0".into()), ..plain() }, 434),
        (aapl(), Order { total_quantity: None, ..plain() }, 434),
        (aapl(), Order { total_quantity: Some("-5".into()), ..plain() }, 321),
        (aapl(), Order { total_quantity: Some("1.5".into()), ..plain() }, 10243),
        (aapl(), Order { order_type: Some("NOSUCH".into()), ..plain() }, 387),
        (aapl(), Order { tif: Some("SOON".into()), ..plain() }, 321),
        (aapl(), Order { lmt_price: None, ..plain() }, 321),
        (aapl(), Order { lmt_price: Some(230.001), ..plain() }, 110),
        (contract("ES", "FUT"), Order { lmt_price: Some(5900.10), ..plain() }, 110),
        (aapl(), Order { account: Some("DU0000009".into()), ..plain() }, 321),
        (aapl(), Order { parent_id: Some(77), ..plain() }, 10006),
    ] {
        let mut world = World::of_orders(GatewayConfig::default());
        let client = world.connect(7);
        let request = PlaceOrderRequest {
            order_id: Some(5),
            contract: Some(wanted),
            order: Some(order.clone()),
            ..Default::default()
        };
        world.request(client, ask::PLACE_ORDER, &request);
        assert_eq!(world.errors(client, 5), [code], "{order:?}");
        let ledger = world.gateway.ledger();
        assert_eq!((ledger.orders.len(), ledger.refused[0].code), (0, code));
        // The id is still free.
        world.place(client, 5, "AAPL", &plain());
        assert_eq!(world.errors(client, 5), [code]);
        assert_eq!(world.gateway.ledger().orders.len(), 1);
    }
    let mut world = World::of_orders(GatewayConfig {
        accounts: vec!["DU0000001".to_owned(), "DU0000002".to_owned()],
        ..GatewayConfig::default()
    });
    let client = world.connect(7);
    world.place(client, 1, "AAPL", &plain());
    assert_eq!(world.errors(client, 1), [435], "which account?");
}

#[test]
fn what_ib_rejects_is_an_order_that_ends_inactive() {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    world.place(client, 1, "AAPL", &order("BUY", 1_000_000, "MKT", 0.0));
    assert_eq!(
        world.story(client),
        [
            "open 1 PreSubmitted",
            "status 1 PreSubmitted 0/1000000",
            "status 1 Inactive 0/1000000",
            "error 1 201"
        ]
    );
    let line = world.line(3_000_000_001);
    assert_eq!((line.status, line.code), ("Rejected", Some(201)));
}

#[test]
fn modifies_are_applied_or_refused_by_state() {
    let mut world = World::of_orders(GatewayConfig::default());
    let (client, other) = (world.connect(7), world.connect(8));
    let plain = order("BUY", 100, "LMT", 200.0);
    world.place(client, 3, "AAPL", &plain);
    world.story(client);
    world.place(client, 3, "AAPL", &Order { total_quantity: Some("50".into()), ..plain.clone() });
    assert_eq!(world.story(client), ["open 3 Submitted", "status 3 Submitted 0/50"]);
    world.place(client, 3, "MSFT", &plain);
    world.place(client, 3, "AAPL", &order("SELL", 100, "LMT", 200.0));
    assert_eq!(world.story(client), ["error 3 105", "error 3 105"]);
    // Another client's 3 is another order.
    world.place(other, 3, "AAPL", &plain);
    assert_eq!(world.story(other).len(), 4);
    // What IB says no to stays as it was.
    world.happen("reject-next=201");
    world.place(client, 3, "AAPL", &plain);
    assert_eq!(world.story(client), ["error 3 201"]);
    assert_eq!(world.line(3_000_000_001).quantity, "50");
    // A modify can be what fills it.
    world.place(client, 3, "AAPL", &Order { lmt_price: Some(240.0), ..plain.clone() });
    assert!(world.story(client).contains(&"exec 3 100@231.41".to_owned()));
    world.place(client, 3, "AAPL", &plain);
    world.place(client, 2, "AAPL", &plain);
    assert_eq!(world.story(client), ["error 3 104", "error 2 103"]);
    world.place(client, 4, "AAPL", &plain);
    world.cancel(client, 4);
    world.story(client);
    world.place(client, 4, "AAPL", &plain);
    assert_eq!(world.story(client), ["error 4 104"]);
    let line = world.line(3_000_000_001);
    assert_eq!((line.client_id, line.order_id, line.places), (7, 3, 7));
}

#[test]
fn cancels_are_answered_by_what_there_is() {
    let mut world = World::of_orders(GatewayConfig::default());
    let (client, other) = (world.connect(7), world.connect(8));
    let resting = order("BUY", 100, "LMT", 200.0);
    world.place(client, 1, "AAPL", &resting);
    world.place(client, 2, "AAPL", &order("BUY", 100, "MKT", 0.0));
    world.story(client);
    world.cancel(other, 1);
    assert_eq!(world.story(other), ["error 1 10147"], "another's order is not found");
    for (order_id, story) in [
        (9, &["error 9 10147"][..]),
        (2, &["error 2 10148"]),
        (1, &["status 1 PendingCancel 0/100", "status 1 Cancelled 0/100", "error 1 202"]),
        (1, &["error 1 10148"]),
    ] {
        world.cancel(client, order_id);
        assert_eq!(world.story(client), story);
    }
    world.happen("refuse-cancel=161");
    world.place(client, 3, "AAPL", &resting);
    world.story(client);
    world.cancel(client, 3);
    assert_eq!(world.story(client), ["error 3 161"]);
    assert_eq!(world.line(3_000_000_003).cancels, 1);
}

#[test]
fn orders_that_were_there_before_can_be_changed_and_ids_go_on_behind_them() {
    let mut world = World::new(GatewayConfig::default());
    let client = world.connect(7);
    world.place(client, 99, "AAPL", &order("BUY", 1, "MKT", 0.0));
    world.place(client, 100, "AAPL", &order("BUY", 1, "MKT", 0.0));
    assert_eq!(world.story(client), ["error 99 104", "error 100 103"]);
    world.cancel(client, 101);
    assert_eq!(world.story(client).last().unwrap(), "error 101 202");
    world.place(client, 102, "MSFT", &order("SELL", 5, "LMT", 400.0));
    let story = world.story(client);
    assert_eq!(story[..2], ["open 102 Submitted", "status 102 Submitted 0/5"]);
    assert_eq!(story[2], "exec 102 5@428.14", "it is like any other now");
}

#[test]
fn a_global_cancel_spares_nobody() {
    let mut world = World::new(GatewayConfig::default());
    let (client, other) = (world.connect(7), world.connect(55));
    world.place(client, 103, "AAPL", &order("BUY", 10, "LMT", 200.0));
    world.story(client);
    world.request(client, ask::REQ_GLOBAL_CANCEL, &GlobalCancelRequest::default());
    assert_eq!(world.story(client).iter().filter(|line| line.ends_with(" 202")).count(), 3);
    assert_eq!(
        world.story(other),
        ["status 3 PendingCancel 0/20", "status 3 Cancelled 0/20", "error 3 202"]
    );
    let alive = world.gateway.ledger().orders.into_iter();
    assert_eq!(alive.filter(|line| line.status == "Submitted").count(), 0, "also by hand");
}

#[test]
fn fills_change_positions_money_and_what_was_earned() {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    world.request(client, ask::REQ_POSITIONS, &PositionsRequest {});
    // 100 are held at 198.42.
    world.place(client, 1, "AAPL", &order("SELL", 40, "MKT", 0.0));
    world.place(client, 2, "KO", &order("BUY", 10, "MKT", 0.0));
    world.place(client, 3, "KO", &order("SELL", 10, "MKT", 0.0));
    let positions: Vec<Position> = world.messages(client, tell::POSITION_DATA);
    let last: Vec<_> = positions[6..]
        .iter()
        .map(|one| (one.contract.clone().unwrap().symbol().to_owned(), one.position().to_owned()))
        .collect();
    let expected = [("AAPL", "60"), ("KO", "10"), ("KO", "0")];
    assert_eq!(last, expected.map(|(symbol, held)| (symbol.to_owned(), held.to_owned())));
    let fees: Vec<CommissionAndFeesReport> =
        world.messages(client, tell::COMMISSION_AND_FEES_REPORT);
    let earned = 40.0 * (231.39 - 198.42) - 1.2;
    assert!((fees[0].realized_pnl() - earned).abs() < 1e-6, "{fees:?}");
    assert_eq!(fees[1].realized_pnl, None);
    assert!(fees[2].realized_pnl() < 0.0);
}

#[test]
fn a_question_what_an_order_would_do_leaves_nothing_but_a_used_id() {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    let question = Order { what_if: Some(true), ..order("BUY", 100, "MKT", 0.0) };
    world.place(client, 1, "AAPL", &question);
    let told: Vec<OpenOrder> = world.messages(client, tell::OPEN_ORDER);
    let state = told[0].order_state.clone().unwrap();
    assert!((state.init_margin_change() - 5785.25).abs() < 1e-6, "{state:?}");
    assert!(state.commission_and_fees() > 0.0);
    world.request(client, ask::REQ_OPEN_ORDERS, &OpenOrdersRequest {});
    assert_eq!(world.story(client), ["open 1 PreSubmitted", "end"]);
    world.place(client, 1, "AAPL", &order("BUY", 100, "MKT", 0.0));
    assert_eq!(world.story(client), ["error 1 103"]);
    assert!(world.gateway.ledger().orders.is_empty());
    // Of an order that lives, it changes nothing.
    world.place(client, 2, "AAPL", &order("BUY", 100, "LMT", 200.0));
    world.story(client);
    world.place(client, 2, "AAPL", &question);
    assert_eq!(world.story(client), ["open 2 PreSubmitted"]);
    assert_eq!(
        (world.line(3_000_000_001).status, world.line(3_000_000_001).places),
        ("Submitted", 1)
    );
}

#[test]
fn an_exercise_is_an_order_and_can_be_taken_back() {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    world.request(client, ask::REQ_POSITIONS, &PositionsRequest {});
    let positions: Vec<Position> = world.messages(client, tell::POSITION_DATA);
    let option =
        positions.iter().find_map(|one| one.contract.clone().filter(|one| one.sec_type() == "OPT"));
    let request = |order_id, quantity| ExerciseOptionsRequest {
        order_id: Some(order_id),
        contract: option.clone(),
        exercise_action: Some(1),
        exercise_quantity: Some(quantity),
        ..Default::default()
    };
    world.request(client, ask::EXERCISE_OPTIONS, &request(1, 3));
    assert_eq!(world.story(client), ["error 1 322"], "two are held");
    world.request(client, ask::EXERCISE_OPTIONS, &request(1, 1));
    world.cancel(client, 1);
    world.request(client, ask::EXERCISE_OPTIONS, &request(2, 1));
    assert!(world.story(client).contains(&"error 1 202".to_owned()));
    world.happen("fill=7/2:all");
    let positions: Vec<Position> = world.messages(client, tell::POSITION_DATA);
    let held: Vec<_> = positions[6..].iter().map(Position::position).collect();
    assert_eq!(held, ["1", "200"], "an option less, a hundred shares more");
}

#[test]
fn only_so_many_orders_of_one_contract_and_side_are_active() {
    let limits = Limits::default().with(Limit::MessageRate, LimitSpec::OFF);
    let mut world = World::of_orders(GatewayConfig { limits, ..GatewayConfig::default() });
    let client = world.connect(7);
    for order_id in 1..=21 {
        world.place(client, order_id, "AAPL", &order("BUY", 1, "LMT", 200.0));
    }
    assert!(world.errors(client, 20).is_empty());
    assert_eq!(world.errors(client, 21), [201]);
    world.place(client, 21, "AAPL", &order("SELL", 1, "LMT", 300.0));
    assert_eq!(world.errors(client, 21), [201], "the other side has room");
}

#[test]
fn a_warning_is_no_rejection() {
    let mut world = World::of_orders(GatewayConfig::default());
    let client = world.connect(7);
    let outside = Order { outside_rth: Some(true), ..order("BUY", 10, "MKT", 0.0) };
    world.place(client, 1, "AAPL", &outside);
    world.happen("warn-next=399");
    world.place(client, 2, "AAPL", &order("BUY", 10, "LMT", 200.0));
    let story = world.story(client);
    assert_eq!((story[2].as_str(), story[3].as_str()), ("error 1 2109", "exec 1 10@231.41"));
    assert_eq!(story[10..], ["error 2 399", "open 2 Submitted", "status 2 Submitted 0/10"]);
}
