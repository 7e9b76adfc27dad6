//! Another order under the number of one of ours: it is not taken for it, and nothing reaches it.

use super::rules::halt;
use super::*;

/// An order that left and was never answered, in a later session.
pub(super) fn lost(floor: &mut Floor, request: tws::PlaceOrderRequest) -> i32 {
    let call = floor.call("momentum", OrderRequest::Place(place("a", request)));
    floor.leave();
    floor.down();
    floor.session(2, Before::New);
    floor.answer::<v1::PlaceOrderResponse>(call).order.unwrap().order_id
}

/// What another program has at Gateway under this id.
pub(super) fn theirs(order_id: i32) -> tws::OpenOrder {
    tws::OpenOrder {
        order_id: Some(order_id),
        contract: Some(tws::Contract { symbol: Some("MSFT".into()), ..stock() }),
        order: Some(tws::Order {
            client_id: Some(CLIENT_ID),
            order_id: Some(order_id),
            perm_id: Some(55_555),
            action: Some("SELL".into()),
            total_quantity: Some("77".into()),
            ..Default::default()
        }),
        order_state: Some(tws::OrderState {
            status: Some("Submitted".into()),
            ..Default::default()
        }),
    }
}

pub(super) fn status(order_id: i32, perm_id: i64, word: &str) -> tws::OrderStatus {
    tws::OrderStatus {
        order_id: Some(order_id),
        status: Some(word.into()),
        perm_id: Some(perm_id),
        client_id: Some(CLIENT_ID),
        ..Default::default()
    }
}

fn halted(floor: &Floor) -> String {
    let (word, status) = floor.desk.status(&floor.desk.clock);
    assert_eq!(word, "halted");
    status.unwrap().because
}

#[test]
fn another_programs_order_under_the_number_of_one_that_was_never_answered_is_not_that_order() {
    let mut floor = Floor::open();
    let id = lost(&mut floor, limit(10.0));
    floor.hear(id::OPEN_ORDER, &theirs(id));
    floor.hear(id::ORDER_STATUS, &status(id, 55_555, "Submitted"));
    floor.reconcile();
    let order = floor.order("momentum", "a");
    assert_eq!((order.state(), order.perm_id), (State::Unknown, 0));
    assert!(order.told_contract.is_empty());
    let because = halted(&floor);
    assert!(because.contains("orderRef, contract and side"), "{because}");
    let list = v1::ListOrdersRequest { scope: v1::OrderScope::All.into(), ended: false };
    let call = floor.call("observer", OrderRequest::List(list));
    let shown = floor.answer::<v1::ListOrdersResponse>(call).orders;
    let foreign: Vec<_> = shown.iter().filter(|one| one.owner.is_empty()).collect();
    assert_eq!((shown.len(), foreign.len(), foreign[0].perm_id), (2, 1, 55_555));
    // Nothing leaves for it, also once a person has accepted what is there.
    let reason = "seen".to_owned();
    let adopt = v1::AdoptTradingStateRequest { reason };
    floor.call("risk", OrderRequest::AdoptState(adopt));
    let call = floor.call("momentum", modify("a", 11.0));
    assert_eq!(floor.refused(call).code, "ORDER_UNKNOWN");
    let call = floor.cancel("momentum", "a");
    assert!(floor.refused(call).message.contains("another order (permId 55555)"));
    let fill = tws::ExecutionDetails {
        req_id: Some(-1),
        contract: theirs(id).contract,
        execution: Some(tws::Execution {
            order_id: Some(id),
            client_id: Some(CLIENT_ID),
            perm_id: Some(55_555),
            exec_id: Some("x.1.01".into()),
            side: Some("SLD".into()),
            cum_qty: Some("77".into()),
            ..Default::default()
        }),
    };
    floor.hear(id::EXECUTION_DATA, &fill);
    floor.hear(id::ORDER_STATUS, &status(id, 55_555, "Filled"));
    floor.now += Duration::from_secs(6);
    floor.desk.handle_timeout(floor.now);
    floor.settle();
    assert_eq!(floor.execution_events()[0].owner, "", "it is nobody's here");
    assert_eq!(floor.state("momentum", "a"), State::Unknown);
    assert_eq!(floor.left.len(), 1, "the placement, and nothing since");
    // Also once the other one is gone; what comes with our tag is ours.
    let call = floor.cancel("momentum", "a");
    assert_eq!(floor.refused(call).code, "ORDER_UNKNOWN");
    floor.opened(id, "Submitted", 10.0);
    assert_eq!(floor.state("momentum", "a"), State::Working);
    floor.cancel("momentum", "a");
    floor.leave();
    assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER);
}

#[test]
fn a_completed_order_with_our_number_and_nothing_else_of_ours_ends_nothing() {
    let mut floor = Floor::open();
    let id = lost(&mut floor, limit(10.0));
    let open = theirs(id);
    let state = tws::OrderState { status: Some("Filled".into()), ..Default::default() };
    let completed = tws::CompletedOrder {
        contract: open.contract,
        order: open.order,
        order_state: Some(state),
    };
    floor.hear(id::COMPLETED_ORDER, &completed);
    assert_eq!(floor.state("momentum", "a"), State::Unknown);
    assert!(halted(&floor).contains("permId 55555"));
}

#[test]
fn an_order_is_known_again_by_our_tag_or_its_owners_reference_and_what_was_asked_for() {
    type Change = fn(&mut tws::OpenOrder);
    let cases: [(&str, Change, State); 7] = [
        ("as placed", |_| {}, State::Working),
        (
            "filled in",
            |open| {
                let contract = open.contract.as_mut().unwrap();
                contract.exchange = Some("NASDAQ".into());
                contract.primary_exch = Some("NASDAQ".into());
                contract.local_symbol = Some("AAPL".into());
                contract.right = Some("?".into());
                open.order.as_mut().unwrap().account = Some("DU0000001".into());
            },
            State::Working,
        ),
        ("no reference", |open| open.order.as_mut().unwrap().order_ref = None, State::Unknown),
        (
            "another's reference",
            |open| open.order.as_mut().unwrap().order_ref = Some("theirs".into()),
            State::Unknown,
        ),
        (
            "another contract",
            |open| open.contract.as_mut().unwrap().symbol = Some("MSFT".into()),
            State::Unknown,
        ),
        (
            "another side",
            |open| open.order.as_mut().unwrap().action = Some("SELL".into()),
            State::Unknown,
        ),
        (
            "another account",
            |open| open.order.as_mut().unwrap().account = Some("DU0000002".into()),
            State::Unknown,
        ),
    ];
    for own in [false, true] {
        for (what, change, state) in &cases {
            let mut floor = Floor::open();
            let mut request = limit(10.0);
            if own {
                request.order.as_mut().unwrap().order_ref = Some("mine".into());
            }
            let id = lost(&mut floor, request);
            let mut open = floor.open_order(id, "Submitted", 10.0);
            if own {
                open.order.as_mut().unwrap().order_ref = Some("mine".into());
            }
            change(&mut open);
            floor.hear(id::OPEN_ORDER, &open);
            floor.reconcile();
            assert_eq!(floor.state("momentum", "a"), *state, "{what}, own reference: {own}");
            let word = floor.desk.status(&floor.desk.clock).0;
            assert_eq!(word, if *state == State::Working { "on" } else { "halted" }, "{what}");
        }
    }
}

#[test]
fn a_status_alone_is_of_our_order_only_in_the_session_in_which_it_was_placed() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "b");
    floor.told(id, "Submitted");
    assert_eq!(floor.state("momentum", "b"), State::Working);
    let id = lost(&mut floor, limit(10.0));
    floor.told(id, "Submitted");
    assert_eq!(floor.state("momentum", "a"), State::Unknown, "that may be anybody's");
    assert!(floor.desk.brakes.doubts.is_empty());
    floor.opened(id, "Submitted", 10.0);
    floor.told(id, "Filled");
    assert_eq!(floor.state("momentum", "a"), State::Filled);
}

#[test]
fn a_known_order_that_is_told_with_another_contract_or_side_is_not_changed() {
    let symbol: fn(&mut tws::OpenOrder) = |open| {
        let msft = tws::Contract { con_id: Some(272_093), symbol: Some("MSFT".into()), ..stock() };
        open.contract = Some(msft);
    };
    let side: fn(&mut tws::OpenOrder) =
        |open| open.order.as_mut().unwrap().action = Some("SELL".into());
    for change in [symbol, side] {
        let mut floor = Floor::open();
        let id = floor.placed("momentum", "a");
        floor.opened(id, "Submitted", 10.0);
        let waits = floor.call("momentum", modify("a", 11.0));
        let mut open = floor.open_order(id, "Submitted", 10.0);
        change(&mut open);
        floor.hear(id::OPEN_ORDER, &open);
        assert_eq!(floor.refused(waits).code, "ORDER_UNKNOWN", "what waits is taken back");
        assert!(halted(&floor).contains("than was placed"));
        floor.down();
        floor.session(2, Before::New);
        floor.hear(id::OPEN_ORDER, &open);
        floor.told(id, "Submitted");
        floor.reconcile();
        assert_eq!(floor.state("momentum", "a"), State::Unknown);
        let reason = "seen".to_owned();
        let adopt = v1::AdoptTradingStateRequest { reason };
        floor.call("risk", OrderRequest::AdoptState(adopt));
        let call = floor.call("momentum", modify("a", 11.0));
        assert_eq!(floor.refused(call).code, "ORDER_UNKNOWN");
        assert_eq!(floor.placements(), [id]);
        floor.opened(id, "Submitted", 10.0);
        floor.call("momentum", modify("a", 11.0));
        floor.leave();
        assert_eq!(floor.placements(), [id, id], "it is as it was placed");
    }
}

#[test]
fn a_fill_of_another_contract_side_or_perm_id_is_not_ours_and_halts_trading() {
    type Change = fn(&mut tws::ExecutionDetails);
    let cases: [Change; 3] = [
        |told| told.contract.as_mut().unwrap().symbol = Some("MSFT".into()),
        |told| told.execution.as_mut().unwrap().side = Some("SLD".into()),
        |told| told.execution.as_mut().unwrap().perm_id = Some(77_777),
    ];
    for change in cases {
        let mut floor = Floor::open();
        let id = floor.placed("momentum", "a");
        floor.opened(id, "Submitted", 10.0);
        let mut told = floor.execution(id, "x.1.01", "10");
        change(&mut told);
        floor.hear(id::EXECUTION_DATA, &told);
        let order = floor.order("momentum", "a");
        assert_eq!((order.state(), &order.filled[..]), (State::Working, ""));
        halted(&floor);
    }
}

#[test]
fn of_two_orders_in_a_list_of_executions_one_is_ours_and_both_are_said() {
    let mut floor = Floor::open();
    let id = lost(&mut floor, limit(10.0));
    let listed = |floor: &Floor, exec_id: &str, perm_id: i64| {
        let mut told = floor.execution(id, exec_id, "3");
        told.req_id = Some(9);
        told.execution.as_mut().unwrap().perm_id = Some(perm_id);
        told
    };
    let (first, second) = (listed(&floor, "x.1.01", 7), listed(&floor, "x.2.01", 8));
    floor.hear(id::EXECUTION_DATA, &first);
    floor.hear(id::EXECUTION_DATA, &second);
    let order = floor.order("momentum", "a");
    assert_eq!((order.perm_id, &order.filled[..]), (7, "3"));
    assert!(halted(&floor).contains("permId 8"), "{}", halted(&floor));
}

#[test]
fn a_completed_order_with_our_tag_and_another_perm_id_halts_trading() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.opened(id, "Submitted", 10.0);
    let open = floor.open_order(id, "Filled", 10.0);
    let order = tws::Order { order_id: None, client_id: None, ..open.order.unwrap() };
    let completed = tws::CompletedOrder {
        contract: open.contract,
        order: Some(tws::Order { perm_id: Some(77_777), ..order }),
        order_state: open.order_state,
    };
    floor.hear(id::COMPLETED_ORDER, &completed);
    assert_eq!(floor.state("momentum", "a"), State::Working);
    assert!(halted(&floor).contains("77777"));
}

#[test]
fn a_cancel_does_not_leave_while_another_order_stands_under_the_number() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.opened(id, "Submitted", 10.0);
    let waits = floor.cancel("momentum", "a");
    floor.hear(id::OPEN_ORDER, &theirs(id));
    assert!(floor.refused(waits).message.contains("another order"), "it had not left yet");
    floor.leave();
    let all = OrderRequest::CancelAll(v1::CancelAllOrdersRequest::default());
    let all = floor.call("momentum", all);
    assert!(floor.refused(all).message.contains("another order"));
    assert_eq!(floor.left.len(), 1);
    assert!(halted(&floor).contains("permId 55555"));
    floor.told(id, "Submitted");
    floor.cancel("momentum", "a");
    floor.leave();
    assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER, "Gateway shows ours there");
}

#[test]
fn a_status_with_another_perm_id_holds_cancels_back_as_well() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.opened(id, "Submitted", 10.0);
    floor.hear(id::ORDER_STATUS, &status(id, 55_555, "Submitted"));
    let call = floor.cancel("momentum", "a");
    assert_eq!(floor.refused(call).code, "ORDER_UNKNOWN");
    floor.hear(id::ORDER_STATUS, &status(id, 55_555, "Cancelled"));
    let call = floor.cancel("momentum", "a");
    assert!(floor.refused(call).message.contains("has shown another order (permId 55555)"));
    floor.told(id, "Submitted");
    floor.cancel("momentum", "a");
    floor.leave();
    assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER, "Gateway shows ours there");
}

#[test]
fn what_is_owed_waits_for_its_own_login() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.opened(id, "Submitted", 10.0);
    floor.down();
    floor.call("risk", halt("", true));
    floor.accounts = vec!["DU0000002".into()];
    floor.session(2, Before::New);
    floor.reconcile();
    for _ in 0..3 {
        floor.desk.handle_timeout(floor.now);
        floor.settle();
        floor.leave();
        assert!(floor.desk.poll_timeout().is_none_or(|at| at > floor.now), "no busy wait");
        floor.now += Duration::from_secs(61);
    }
    let call = floor.cancel("momentum", "a");
    assert!(floor.refused(call).message.contains("another login"));
    let all = OrderRequest::CancelAll(v1::CancelAllOrdersRequest::default());
    let all = floor.call("momentum", all);
    assert!(floor.refused(all).message.contains("another login"));
    assert_eq!(floor.left.len(), 1, "the placement alone");
    floor.call("risk", halt("", true));
    floor.down();
    floor.accounts = vec!["DU0000001".into()];
    floor.session(3, Before::New);
    floor.opened(id, "Submitted", 10.0);
    floor.reconcile();
    floor.desk.handle_timeout(floor.now);
    floor.settle();
    floor.leave();
    let cancels = floor.left.iter().filter(|(message, _)| *message == id::CANCEL_ORDER).count();
    assert_eq!(cancels, 1);
}

#[test]
fn what_gateway_attaches_carries_its_parents_reference_or_none() {
    for (reference, state) in
        [(None, State::Working), (Some("mine"), State::Working), (Some("theirs"), State::Unknown)]
    {
        let mut floor = Floor::open();
        let mut request = limit(10.0);
        request.order.as_mut().unwrap().order_ref = Some("mine".into());
        request.attached_orders = Some(tws::AttachedOrders {
            sl_order_type: Some("PRESET".into()),
            ..Default::default()
        });
        let id = lost(&mut floor, request) + 1;
        let mut open = floor.open_order(id, "Submitted", 9.0);
        let order = open.order.as_mut().unwrap();
        order.action = Some("SELL".into());
        order.order_ref = reference.map(str::to_owned);
        floor.hear(id::OPEN_ORDER, &open);
        assert_eq!(floor.state("momentum", "a.sl"), state, "{reference:?}");
    }
}
