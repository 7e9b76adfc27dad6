//! What happens while a Gateway runs, and the rate of messages.

use ibouncer_proto::tws::v1::{
    AccountDataRequest, AccountSummaryRequest, AccountUpdatesMultiRequest, CommissionAndFeesReport,
    ContractDataRequest, CurrentTimeRequest, ExecutionDetails, HistoricalDataRequest,
    MarketDepthRequest, NextValidId, PortfolioValue, Position, PositionsRequest,
    RealTimeBarsRequest, ScannerSubscription, ScannerSubscriptionRequest, TickByTickRequest,
};

use super::super::ids::{ask, tell};
use super::*;
use crate::config::Rate;
use crate::limits::{Limit, Limits};

const SECOND: Duration = Duration::from_secs(1);

fn happen(world: &mut World, what: &str) {
    let now = world.now;
    world.gateway.happen(&what.parse().unwrap(), now);
    world.drain();
}

fn bars(request_id: i32) -> RealTimeBarsRequest {
    RealTimeBarsRequest {
        req_id: Some(request_id),
        contract: Some(contract("AAPL", "STK")),
        what_to_show: Some("TRADES".to_owned()),
        ..Default::default()
    }
}

fn day(request_id: i32) -> HistoricalDataRequest {
    HistoricalDataRequest {
        req_id: Some(request_id),
        contract: Some(contract("AAPL", "STK")),
        bar_size_setting: Some("1 day".to_owned()),
        duration: Some("1 W".to_owned()),
        what_to_show: Some("TRADES".to_owned()),
        keep_up_to_date: Some(request_id == 9),
        ..Default::default()
    }
}

#[test]
fn data_stop_while_their_farm_is_down_and_nothing_else_does() {
    for rate in [Rate::PerLine(5), Rate::Max] {
        let mut world = World::new(GatewayConfig { rate, ..GatewayConfig::default() });
        let client = world.connect(7);
        world.request(client, id::REQ_MKT_DATA, &market_data(1, "AAPL"));
        world.request(client, ask::REQ_REAL_TIME_BARS, &bars(2));
        happen(&mut world, "farm-down=market");
        assert_eq!(world.errors(client, -1).last(), Some(&2103));
        let before = world.bytes(client).len();
        world.pass(20 * SECOND);
        assert_eq!(world.bytes(client).len(), before);
        world.request(client, ask::REQ_HISTORICAL_DATA, &day(3));
        world.pass(SECOND);
        assert!(world.message_ids(client).contains(&tell::HISTORICAL_DATA));
        let late = world.connect(8);
        assert_eq!(world.errors(late, -1), [2103, 2106, 2158]);
        if rate == Rate::Max {
            continue;
        }
        happen(&mut world, "farm-up=market");
        let sent = world.gateway.report();
        world.pass(10 * SECOND);
        let report = world.gateway.report();
        assert_eq!((report.sent_ticks - sent.sent_ticks, report.dropped), (50, 0));
        assert!(world.message_ids(client).contains(&tell::REAL_TIME_BARS));
    }
}

#[test]
fn history_is_refused_and_definitions_are_silent_while_their_farms_are_down() {
    let mut world = World::new(GatewayConfig::default());
    let client = world.connect(7);
    happen(&mut world, "farm-down=historical");
    happen(&mut world, "farm-down=security-definitions");
    world.request(client, ask::REQ_HISTORICAL_DATA, &day(1));
    let request = ContractDataRequest { req_id: Some(2), contract: Some(contract("AAPL", "STK")) };
    world.request(client, ask::REQ_CONTRACT_DATA, &request);
    world.pass(SECOND);
    assert_eq!(world.errors(client, 1), [162]);
    assert_eq!(world.errors(client, -1)[3..], [2105, 2157]);
    assert!(!world.message_ids(client).contains(&tell::CONTRACT_DATA));
}

#[test]
fn a_lost_link_takes_subscriptions_with_1101_and_leaves_them_with_1102() {
    for (restored, lost) in [("1101", true), ("1102", false)] {
        let mut world = World::new(GatewayConfig::default());
        let client = world.connect(7);
        world.request(client, id::REQ_MKT_DATA, &market_data(1, "AAPL"));
        world.request(client, ask::REQ_REAL_TIME_BARS, &bars(2));
        world.request(client, ask::REQ_HISTORICAL_DATA, &day(9));
        world.pass(SECOND);
        happen(&mut world, "1100");
        let before = world.bytes(client).len();
        world.pass(20 * SECOND);
        assert_eq!(world.bytes(client).len(), before);
        world.request(client, ask::REQ_HISTORICAL_DATA, &day(3));
        happen(&mut world, restored);
        let codes = world.errors(client, -1);
        assert_eq!(codes[3..], [1100, restored.parse().unwrap()]);
        assert_eq!(world.gateway.report().lines, usize::from(!lost));
        assert_eq!(world.errors(client, 9).contains(&10182), lost);
        assert!(world.errors(client, 3).is_empty(), "only bars that go on are said to be lost");
        let before = world.bytes(client).len();
        world.pass(20 * SECOND);
        assert_eq!(world.bytes(client).len() == before, lost);
        world.request(client, id::REQ_MKT_DATA, &market_data(1, "AAPL"));
        assert_eq!(world.errors(client, 1), if lost { vec![] } else { vec![102] });
    }
}

#[test]
fn a_restart_closes_everyone_and_rolls_the_next_id_back() {
    let mut world = World::new(GatewayConfig {
        next_order_id: 500,
        happenings: vec!["90s:restart=100".parse().unwrap()],
        ..GatewayConfig::default()
    });
    let client = world.connect(7);
    world.pass(60 * SECOND);
    assert_eq!(world.closed_how(client), Some(CloseHow::Asked));
    let again = world.connect(7);
    let ids: Vec<NextValidId> = world.messages(again, id::NEXT_VALID_ID);
    assert_eq!(ids[0].order_id(), 400);
    let happened =
        |event: &Event| matches!(event, Event::Happened { what, .. } if what == "restart=100");
    assert!(world.events.iter().any(happened));
}

#[test]
fn positions_vanish_and_executions_appear_for_whoever_follows() {
    let mut world = World::new(GatewayConfig::default());
    let (client, other) = (world.connect(7), world.connect(8));
    world.request(client, ask::REQ_POSITIONS, &PositionsRequest {});
    let subscribe = AccountDataRequest { subscribe: Some(true), acct_code: None };
    world.request(client, ask::REQ_ACCT_DATA, &subscribe);
    happen(&mut world, "position-vanishes=TSLA");
    happen(&mut world, "execution=MSFT:-20:own");
    happen(&mut world, "execution=KO:5:manual");
    let last = |position: Option<&Position>| position.unwrap().position().to_owned();
    let positions: Vec<Position> = world.messages(client, tell::POSITION_DATA);
    let of = |symbol: &str| {
        let fits = |one: &&Position| one.contract.clone().unwrap().symbol() == symbol;
        last(positions.iter().rev().find(fits))
    };
    assert_eq!((of("TSLA"), of("MSFT"), of("KO")), ("0".into(), "30".into(), "5".into()));
    let portfolio: Vec<PortfolioValue> = world.messages(client, tell::PORTFOLIO_VALUE);
    assert!(portfolio.iter().any(|one| one.position() == "0"));
    let live: Vec<ExecutionDetails> = world.messages(client, tell::EXECUTION_DATA);
    let execution = live[0].execution.clone().unwrap();
    assert_eq!((live.len(), live[0].req_id(), execution.side()), (1, -1, "SLD"));
    let commissions: Vec<CommissionAndFeesReport> =
        world.messages(client, tell::COMMISSION_AND_FEES_REPORT);
    assert_eq!(commissions[0].exec_id(), execution.exec_id());
    assert!(!world.message_ids(other).contains(&tell::EXECUTION_DATA));
}

#[test]
fn whoever_asks_for_account_updates_later_hears_of_positions_that_were_closed() {
    let mut world = World::new(GatewayConfig::default());
    happen(&mut world, "execution=MSFT:-50:manual");
    let client = world.connect(7);
    let subscribe = AccountDataRequest { subscribe: Some(true), acct_code: None };
    let closed = |world: &mut World| {
        let told: Vec<PortfolioValue> = world.messages(client, tell::PORTFOLIO_VALUE);
        let mut told = told.into_iter().rev();
        told.find(|one| one.contract.clone().unwrap().symbol() == "MSFT").unwrap()
    };
    world.request(client, ask::REQ_ACCT_DATA, &subscribe);
    let realized = closed(&mut world).realized_pnl();
    assert_eq!(closed(&mut world).position(), "0");
    assert_ne!(realized, 0.0);
    // Opened again, it goes on with what was realized.
    happen(&mut world, "execution=MSFT:5:manual");
    assert_eq!((closed(&mut world).position(), closed(&mut world).realized_pnl()), ("5", realized));
    let positions = PositionsRequest {};
    world.request(client, ask::REQ_POSITIONS, &positions);
    let told: Vec<Position> = world.messages(client, tell::POSITION_DATA);
    let msft = |one: &&Position| one.contract.clone().unwrap().symbol() == "MSFT";
    assert_eq!(told.iter().filter(msft).count(), 1);
}

#[test]
fn a_depth_reset_comes_with_a_new_book() {
    let mut world = World::new(GatewayConfig::default());
    let client = world.connect(7);
    let request = MarketDepthRequest {
        req_id: Some(1),
        contract: Some(contract("AAPL", "STK")),
        num_rows: Some(3),
        ..Default::default()
    };
    world.request(client, ask::REQ_MKT_DEPTH, &request);
    happen(&mut world, "depth-reset");
    let ids = world.message_ids(client);
    assert_eq!(world.errors(client, 1), [317]);
    assert_eq!(ids.iter().filter(|one| **one == tell::MARKET_DEPTH).count(), 12);
}

#[test]
fn messages_above_the_rate_wait_their_turn() {
    let mut world = World::new(GatewayConfig::default());
    let client = world.connect(7);
    world.pass(SECOND);
    for _ in 0..120 {
        world.request(client, id::REQ_CURRENT_TIME, &CurrentTimeRequest {});
    }
    let answers = |world: &World| {
        world.message_ids(client).iter().filter(|one| **one == id::CURRENT_TIME).count()
    };
    assert_eq!(answers(&world), 50);
    world.pass(SECOND);
    assert_eq!(answers(&world), 100);
    world.pass(SECOND);
    assert_eq!(answers(&world), 120);
    assert!(world.gateway.report().limits[&Limit::MessageRate] >= 2);
}

#[test]
fn messages_above_the_rate_are_refused_if_that_is_set_and_thrice_is_the_end() {
    let limits = Limits::default().with(Limit::MessageRate, 10);
    let config = GatewayConfig { limits, reject_above_rate: true, ..GatewayConfig::default() };
    let mut world = World::new(config);
    let client = world.connect(7);
    for breach in 1..=3 {
        world.pass(2 * SECOND);
        for _ in 0..12 {
            world.request(client, id::REQ_CURRENT_TIME, &CurrentTimeRequest {});
        }
        let codes = world.errors(client, -1);
        let refused = codes.iter().filter(|code| **code == 100).count();
        assert_eq!(refused, if breach < 3 { 2 * breach } else { 5 });
        assert_eq!(world.closed_how(client).is_some(), breach == 3);
    }
    assert_eq!(world.closed_how(client), Some(CloseHow::Refused));
}

#[test]
fn one_seed_and_one_script_are_the_same_bytes() {
    let run = |seed| {
        let happenings = ["3s:farm-down=market", "5s:farm-up=market", "7s:execution=AAPL:10:own"];
        let happenings = happenings.iter().map(|text| text.parse().unwrap()).collect();
        let mut world = World::new(GatewayConfig { seed, happenings, ..GatewayConfig::default() });
        let client = world.connect(7);
        world.request(client, id::REQ_MKT_DATA, &market_data(1, "AAPL"));
        world.request(client, ask::REQ_REAL_TIME_BARS, &bars(2));
        world.request(client, ask::REQ_HISTORICAL_DATA, &day(9));
        world.request(client, ask::REQ_POSITIONS, &PositionsRequest {});
        let subscribe = AccountDataRequest { subscribe: Some(true), acct_code: None };
        world.request(client, ask::REQ_ACCT_DATA, &subscribe);
        let depth = MarketDepthRequest {
            req_id: Some(4),
            contract: Some(contract("MSFT", "STK")),
            ..Default::default()
        };
        world.request(client, ask::REQ_MKT_DEPTH, &depth);
        world.pass(300 * SECOND);
        world.bytes(client)
    };
    let bytes = run(5);
    assert_eq!(bytes, run(5));
    assert_ne!(bytes, run(6));
}

#[test]
fn what_is_asked_for_while_data_stop_begins_once_they_come_and_is_whole() {
    for (lost, back) in [("farm-down=market", "farm-up=market"), ("1100", "1102")] {
        let mut world = World::new(GatewayConfig::default());
        let client = world.connect(7);
        happen(&mut world, lost);
        let aapl = || Some(contract("AAPL", "STK"));
        let depth = MarketDepthRequest { req_id: Some(1), contract: aapl(), ..Default::default() };
        let tape = TickByTickRequest {
            req_id: Some(2),
            contract: aapl(),
            tick_type: Some("Last".into()),
            number_of_ticks: Some(5),
            ..Default::default()
        };
        let mut whole = vec![(tell::MARKET_DEPTH, 10), (tell::HISTORICAL_TICKS_LAST, 1)];
        let before = world.bytes(client).len();
        world.request(client, ask::REQ_MKT_DEPTH, &depth);
        world.request(client, ask::REQ_TICK_BY_TICK_DATA, &tape);
        if lost == "1100" {
            let subscription =
                ScannerSubscription { scan_code: Some("MOST_ACTIVE".into()), ..Default::default() };
            let scan = ScannerSubscriptionRequest {
                req_id: Some(3),
                scanner_subscription: Some(subscription),
            };
            let summary = AccountSummaryRequest {
                req_id: Some(4),
                group: Some("All".into()),
                tags: Some("NetLiquidation".into()),
            };
            let multi = AccountUpdatesMultiRequest { req_id: Some(5), ..Default::default() };
            let updates = AccountDataRequest { subscribe: Some(true), acct_code: None };
            world.request(client, ask::REQ_SCANNER_SUBSCRIPTION, &scan);
            world.request(client, ask::REQ_ACCOUNT_SUMMARY, &summary);
            world.request(client, ask::REQ_ACCOUNT_UPDATES_MULTI, &multi);
            world.request(client, ask::REQ_ACCT_DATA, &updates);
            whole.extend([
                (tell::SCANNER_DATA, 1),
                (tell::ACCOUNT_SUMMARY_END, 1),
                (tell::ACCOUNT_UPDATE_MULTI_END, 1),
                (tell::ACCT_DOWNLOAD_END, 1),
            ]);
        }
        world.pass(20 * SECOND);
        happen(&mut world, "position-vanishes=AAPL");
        assert_eq!(world.bytes(client).len(), before, "{lost}");
        happen(&mut world, back);
        world.pass(SECOND / 4);
        let told = world.message_ids(client);
        for (message, count) in whole {
            let times = told.iter().filter(|one| **one == message).count();
            assert!(times >= count && times < count + 4, "{message}: {times}");
        }
        world.pass(10 * SECOND);
        assert!(world.message_ids(client).contains(&tell::TICK_BY_TICK), "it goes on");
    }
}
