//! Commissions that come before the executions that they are of.

use ibouncer_proto::api::v1 as api;
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;

use super::*;
use crate::calls::Asked;

#[test]
fn a_commission_that_comes_before_its_execution_is_part_of_every_list_that_is_open() {
    let mut world = World::ready();
    let list = |symbol: &str| {
        let filter = tws::ExecutionFilter { symbol: Some(symbol.into()), ..Default::default() };
        let request = tws::ExecutionRequest { req_id: None, execution_filter: Some(filter) };
        Asked::executions(request, false)
    };
    let report = |exec_id: &str, fees| tws::CommissionAndFeesReport {
        exec_id: Some(exec_id.into()),
        commission_and_fees: Some(fees),
        ..Default::default()
    };
    // Nobody lists anything: it is nobody's.
    world.frame(id::COMMISSION_AND_FEES_REPORT, &report("e.1", 9.0));
    world.call(1, list(""));
    world.call(2, list(AAPL));
    world.frame(id::COMMISSION_AND_FEES_REPORT, &report("e.1", 1.5));
    for (call, request) in [1, 2].into_iter().zip(world.sent_of(id::REQ_EXECUTIONS)) {
        let execution = tws::Execution { exec_id: Some("e.1".into()), ..Default::default() };
        let details = tws::ExecutionDetails {
            req_id: Some(request),
            execution: Some(execution),
            ..Default::default()
        };
        world.frame(id::EXECUTION_DATA, &details);
        world.frame(id::EXECUTION_DATA_END, &tws::ExecutionDetailsEnd { req_id: Some(request) });
        let Some(Ok(Reply::Answer(answer) | Reply::Paced(answer, _))) =
            world.replies.remove(&CallId(call))
        else {
            panic!("call {call} is complete at once")
        };
        let answer = api::ListExecutionsResponse::decode(answer).unwrap();
        assert_eq!((answer.executions.len(), answer.commissions), (1, vec![report("e.1", 1.5)]));
    }
}
