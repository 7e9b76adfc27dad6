//! Account values, summaries, positions and profits.

use ibouncer_proto::tws::v1::{
    AccountDataEnd, AccountDataRequest, AccountSummary, AccountSummaryRequest, AccountUpdateMulti,
    AccountUpdatesMultiRequest, AccountValue, CancelAccountSummary, CancelPnL, FaRequest, PnL,
    PnLRequest, PnLSingle, PnLSingleRequest, PortfolioValue, Position, PositionMulti,
    PositionsMultiRequest, PositionsRequest, ReceiveFa,
};

use super::super::ids::{ask, tell};
use super::*;
use crate::limits::Limit;

const SECOND: Duration = Duration::from_secs(1);

fn two_accounts() -> GatewayConfig {
    let accounts = vec!["DU0000001".to_owned(), "DU0000002".to_owned()];
    GatewayConfig { accounts, ..GatewayConfig::default() }
}

fn subscribe(account: &str, subscribe: bool) -> AccountDataRequest {
    AccountDataRequest { subscribe: Some(subscribe), acct_code: Some(account.to_owned()) }
}

fn summary(request_id: i32, group: &str, tags: &str) -> AccountSummaryRequest {
    AccountSummaryRequest {
        req_id: Some(request_id),
        group: Some(group.to_owned()),
        tags: Some(tags.to_owned()),
    }
}

#[test]
fn account_updates_have_values_positions_a_time_and_an_end() {
    let mut world = World::new(two_accounts());
    let client = world.connect(7);
    world.request(client, ask::REQ_ACCT_DATA, &subscribe("DU0000001", true));
    let values: Vec<AccountValue> = world.messages(client, tell::ACCT_VALUE);
    assert!(
        values.iter().any(|value| value.key() == "NetLiquidation" && value.currency() == "USD")
    );
    let portfolio: Vec<PortfolioValue> = world.messages(client, tell::PORTFOLIO_VALUE);
    assert_eq!(portfolio.len(), 6);
    let first = &portfolio[0];
    let off = first.market_price() * 100.0 - first.market_value();
    assert!(off.abs() < 0.01 && first.position() == "100", "{first:?}");
    let ends: Vec<AccountDataEnd> = world.messages(client, tell::ACCT_DOWNLOAD_END);
    assert_eq!((ends.len(), ends[0].account_name()), (1, "DU0000001"));
    world.pass(400 * SECOND);
    assert_eq!(world.messages::<PortfolioValue>(client, tell::PORTFOLIO_VALUE).len(), 18);
    world.request(client, ask::REQ_ACCT_DATA, &subscribe("", false));
    let before = world.bytes(client).len();
    world.pass(400 * SECOND);
    assert_eq!(world.bytes(client).len(), before);
}

#[test]
fn only_one_account_at_a_time_has_updates() {
    for (switch, codes) in [(true, ([2100].to_vec(), vec![])), (false, (vec![], vec![2101]))] {
        let mut world =
            World::new(GatewayConfig { account_updates_switch: switch, ..two_accounts() });
        let (one, other) = (world.connect(7), world.connect(8));
        world.request(one, ask::REQ_ACCT_DATA, &subscribe("DU0000001", true));
        world.request(other, ask::REQ_ACCT_DATA, &subscribe("DU0000001", true));
        assert_eq!(world.gateway.report().limits.get(&Limit::AccountUpdates), None);
        world.request(other, ask::REQ_ACCT_DATA, &subscribe("DU0000002", true));
        let of = |client| {
            let mut codes = world.errors(client, -1);
            codes.retain(|code| [2100, 2101].contains(code));
            codes
        };
        assert_eq!((of(one), of(other)), codes);
        assert_eq!(world.gateway.report().limits[&Limit::AccountUpdates], 1);
    }
}

#[test]
fn a_summary_has_the_tags_of_all_accounts_and_only_two_are_active() {
    let mut world = World::new(two_accounts());
    let client = world.connect(7);
    let tags = "NetLiquidation,BuyingPower,$LEDGER:USD";
    for request_id in [1, 2, 3] {
        let request = summary(request_id, "All", tags);
        world.request(client, ask::REQ_ACCOUNT_SUMMARY, &request);
    }
    assert_eq!(world.errors(client, 3), [322]);
    let lines: Vec<AccountSummary> = world.messages(client, tell::ACCOUNT_SUMMARY);
    let of =
        |tag: &str| lines.iter().filter(|line| line.req_id() == 1 && line.tag() == tag).count();
    assert_eq!(
        (of("NetLiquidation"), of("BuyingPower"), of("CashBalance"), of("SMA")),
        (2, 2, 2, 0)
    );
    let cancel = CancelAccountSummary { req_id: Some(1) };
    world.request(client, ask::CANCEL_ACCOUNT_SUMMARY, &cancel);
    world.request(client, ask::REQ_ACCOUNT_SUMMARY, &summary(4, "All", "SMA"));
    assert!(world.errors(client, 4).is_empty());
    for (request_id, group, tags) in [(5, "Nobody", "SMA"), (6, "All", "Beauty"), (7, "", "SMA")] {
        world.request(client, ask::REQ_ACCOUNT_SUMMARY, &summary(request_id, group, tags));
        assert_eq!(world.errors(client, request_id), [321]);
    }
    world.pass(180 * SECOND);
    let refreshed = world.messages::<AccountSummary>(client, tell::ACCOUNT_SUMMARY);
    assert!(refreshed.iter().filter(|line| line.req_id() == 4).count() == 4);
    let ends = world.message_ids(client);
    let ends = ends.iter().filter(|one| **one == tell::ACCOUNT_SUMMARY_END).count();
    assert_eq!(ends, 3, "an end only behind the first image");
}

#[test]
fn updates_and_positions_of_many_accounts_are_answered() {
    let mut world = World::new(two_accounts());
    let client = world.connect(7);
    world.request(client, ask::REQ_POSITIONS, &PositionsRequest {});
    let positions: Vec<Position> = world.messages(client, tell::POSITION_DATA);
    assert_eq!(positions.len(), 8);
    let option = positions.iter().find(|one| one.contract.clone().unwrap().sec_type() == "OPT");
    assert_eq!(option.unwrap().contract.clone().unwrap().right(), "C");
    let request = PositionsMultiRequest {
        req_id: Some(1),
        account: Some("DU0000002".to_owned()),
        ..Default::default()
    };
    world.request(client, ask::REQ_POSITIONS_MULTI, &request);
    assert_eq!(world.messages::<PositionMulti>(client, tell::POSITION_MULTI).len(), 2);
    let request = AccountUpdatesMultiRequest {
        req_id: Some(2),
        account: Some("DU0000002".to_owned()),
        ..Default::default()
    };
    world.request(client, ask::REQ_ACCOUNT_UPDATES_MULTI, &request);
    let updates: Vec<AccountUpdateMulti> = world.messages(client, tell::ACCOUNT_UPDATE_MULTI);
    assert!(updates.len() > 20 && updates.iter().all(|one| one.account() == "DU0000002"));
    let ids = world.message_ids(client);
    for end in [tell::POSITION_END, tell::POSITION_MULTI_END, tell::ACCOUNT_UPDATE_MULTI_END] {
        assert!(ids.contains(&end));
    }
}

#[test]
fn profits_come_every_second_and_an_unknown_contract_is_silence() {
    let mut world = World::new(GatewayConfig::default());
    let client = world.connect(7);
    let account = Some("DU0000001".to_owned());
    let request = PnLRequest { req_id: Some(1), account: account.clone(), ..Default::default() };
    world.request(client, ask::REQ_PNL, &request);
    world.request(client, ask::REQ_PNL, &request);
    assert_eq!(world.errors(client, 1), [322]);
    for (request_id, con_id) in [(2, 900_000_001), (3, 77)] {
        let request = PnLSingleRequest {
            req_id: Some(request_id),
            account: account.clone(),
            con_id: Some(con_id),
            ..Default::default()
        };
        world.request(client, ask::REQ_PNL_SINGLE, &request);
    }
    world.pass(3 * SECOND);
    assert_eq!(world.messages::<PnL>(client, tell::PNL).len(), 4);
    let singles: Vec<PnLSingle> = world.messages(client, tell::PNL_SINGLE);
    assert!(singles.len() == 4 && singles.iter().all(|one| one.req_id() == 2));
    assert_eq!(singles[0].position(), "100");
    world.request(client, ask::CANCEL_PNL, &CancelPnL { req_id: Some(9) });
    assert_eq!(world.errors(client, 9), [10185]);
}

#[test]
fn advisors_have_groups_and_others_do_not() {
    let mut world = World::new(two_accounts());
    let client = world.connect(7);
    world.request(client, ask::REQ_FA, &FaRequest { fa_data_type: Some(1) });
    let groups: Vec<ReceiveFa> = world.messages(client, tell::RECEIVE_FA);
    assert!(groups[0].xml().contains("<String>DU0000002</String>"));
    let mut world = World::new(GatewayConfig::default());
    let client = world.connect(7);
    world.request(client, ask::REQ_FA, &FaRequest { fa_data_type: Some(1) });
    assert!(world.errors(client, -1).contains(&321));
}
