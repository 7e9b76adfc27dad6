//! Orders and executions: who sees which.

use ibouncer_proto::tws::v1::{
    AllOpenOrdersRequest, AutoOpenOrdersRequest, CommissionAndFeesReport, CompletedOrder,
    CompletedOrdersRequest, ExecutionDetails, ExecutionFilter, ExecutionRequest, OpenOrder,
    OpenOrdersRequest, OrderStatus,
};

use super::super::ids::{ask, tell};
use super::*;

fn open_orders(world: &World, client: ConnectionId) -> Vec<(i32, i32)> {
    let orders: Vec<OpenOrder> = world.messages(client, tell::OPEN_ORDER);
    let order = |one: &OpenOrder| (one.order.clone().unwrap().client_id(), one.order_id());
    orders.iter().map(order).collect()
}

#[test]
fn a_client_sees_its_own_orders_and_client_zero_those_by_hand() {
    let mut world = World::new(GatewayConfig::default());
    let (own, other, zero) = (world.connect(7), world.connect(55), world.connect(0));
    for client in [own, other, zero] {
        world.request(client, ask::REQ_OPEN_ORDERS, &OpenOrdersRequest {});
        assert!(world.message_ids(client).contains(&tell::OPEN_ORDER_END));
    }
    assert_eq!(open_orders(&world, own), [(7, 101), (7, 102)]);
    assert_eq!(open_orders(&world, other), [(55, 3)]);
    assert_eq!(open_orders(&world, zero), [(0, 0)]);
    let statuses: Vec<OrderStatus> = world.messages(own, tell::ORDER_STATUS);
    assert_eq!((statuses[0].perm_id(), statuses[0].remaining()), (700_000_101, "10"));
    world.request(other, ask::REQ_ALL_OPEN_ORDERS, &AllOpenOrdersRequest {});
    assert_eq!(open_orders(&world, other)[1..], [(7, 101), (7, 102), (55, 3), (0, 0)]);
}

#[test]
fn only_client_zero_binds_and_completed_orders_are_those_of_all() {
    let mut world = World::new(GatewayConfig::default());
    let (own, zero) = (world.connect(7), world.connect(0));
    let bind = AutoOpenOrdersRequest { auto_bind: Some(true) };
    world.request(own, ask::REQ_AUTO_OPEN_ORDERS, &bind);
    world.request(zero, ask::REQ_AUTO_OPEN_ORDERS, &bind);
    assert!(world.errors(own, -1).contains(&327));
    assert!(!world.errors(zero, -1).contains(&327));
    for (api_only, count) in [(false, 3), (true, 5)] {
        let request = CompletedOrdersRequest { api_only: Some(api_only) };
        world.request(own, ask::REQ_COMPLETED_ORDERS, &request);
        let orders: Vec<CompletedOrder> = world.messages(own, tell::COMPLETED_ORDER);
        assert_eq!(orders.len(), count, "{api_only}");
    }
}

#[test]
fn executions_pass_the_filter_and_each_has_its_commission() {
    for (filter, count) in [
        (ExecutionFilter::default(), 4),
        (ExecutionFilter { client_id: Some(7), ..Default::default() }, 2),
        (ExecutionFilter { symbol: Some("TSLA".to_owned()), ..Default::default() }, 1),
        (ExecutionFilter { side: Some("SELL".to_owned()), ..Default::default() }, 1),
        (ExecutionFilter { acct_code: Some("DU9".to_owned()), ..Default::default() }, 0),
        (ExecutionFilter { last_n_days: Some(1), ..Default::default() }, 4),
        (ExecutionFilter { specific_dates: vec![20261122], ..Default::default() }, 0),
        (ExecutionFilter { time: Some("20261123 17:31:00".into()), ..Default::default() }, 2),
    ] {
        let mut world = World::new(GatewayConfig::default());
        let client = world.connect(7);
        let request = ExecutionRequest { req_id: Some(1), execution_filter: Some(filter.clone()) };
        world.request(client, ask::REQ_EXECUTIONS, &request);
        let executions: Vec<ExecutionDetails> = world.messages(client, tell::EXECUTION_DATA);
        assert_eq!(executions.len(), count, "{filter:?}");
        let commissions: Vec<CommissionAndFeesReport> =
            world.messages(client, tell::COMMISSION_AND_FEES_REPORT);
        for (execution, commission) in executions.iter().zip(&commissions) {
            assert_eq!(execution.execution.clone().unwrap().exec_id(), commission.exec_id());
        }
        assert_eq!(commissions.len(), count);
        assert_eq!(world.message_ids(client).last(), Some(&tell::EXECUTION_DATA_END));
    }
}
