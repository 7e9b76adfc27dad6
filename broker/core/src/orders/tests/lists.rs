//! Gateway's own lists, as clients see them.

use super::*;
use crate::calls;
use crate::calls::CallKind;

fn shown<T: prost::Message + Default>(
    floor: &Floor,
    kind: &CallKind,
    answer: &impl prost::Message,
    own: Option<&str>,
) -> T {
    let answer = Bytes::from(answer.encode_to_vec());
    T::decode(floor.desk.shown_list(kind, &answer, own).unwrap()).unwrap()
}

/// Orders of momentum and of carry, and one of nobody here.
fn floor() -> (Floor, [i32; 3]) {
    let mut floor = Floor::open();
    let (a, b) = (floor.placed("momentum", "a"), floor.placed("carry", "b"));
    floor.told(a, "Submitted");
    floor.told(b, "Submitted");
    (floor, [a, b, 900])
}

fn open_orders(floor: &Floor, ids: [i32; 3]) -> v1::ListOpenOrdersResponse {
    let open = |order_id: i32| tws::OpenOrder {
        order_id: Some(order_id),
        order: Some(tws::Order {
            client_id: Some(if order_id == 900 { 7 } else { CLIENT_ID }),
            perm_id: Some(i64::from(order_id) + 1_000_000),
            order_ref: Some(match order_id {
                900 => "by hand".into(),
                _ => body::tag(&floor.desk.facts.journal_id, order_id),
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let status = |order_id: i32| tws::OrderStatus {
        order_id: Some(order_id),
        perm_id: Some(i64::from(order_id) + 1_000_000),
        ..Default::default()
    };
    v1::ListOpenOrdersResponse {
        open_orders: ids.map(open).to_vec(),
        order_statuses: ids.map(status).to_vec(),
        notices: vec![tws::ErrorMessage::default()],
    }
}

#[test]
fn our_tag_is_in_no_list_and_what_others_wrote_is() {
    let (floor, ids) = floor();
    let all = open_orders(&floor, ids);
    let seen: v1::ListOpenOrdersResponse = shown(&floor, &calls::ALL_OPEN_ORDERS, &all, None);
    let refs: Vec<_> =
        seen.open_orders.iter().map(|one| one.order.as_ref().unwrap().order_ref()).collect();
    assert_eq!(refs, ["", "", "by hand"]);
    assert_eq!((seen.order_statuses.len(), seen.notices.len()), (3, 1));
    let mut untagged = all;
    for one in &mut untagged.open_orders {
        one.order.as_mut().unwrap().order_ref.take_if(|text| body::is_tag(text));
    }
    assert_eq!(seen, untagged, "nothing else has changed");
}

#[test]
fn the_mark_of_an_owner_is_in_no_list_whoever_reads_it() {
    let (floor, ids) = floor();
    let mut all = open_orders(&floor, ids);
    for (one, group) in all.open_orders.iter_mut().zip(["momentum~G", "carry~G", "momentum~G"]) {
        one.order.as_mut().unwrap().oca_group = Some(group.into());
    }
    for own in [None, Some("momentum")] {
        let seen: v1::ListOpenOrdersResponse = shown(&floor, &calls::ALL_OPEN_ORDERS, &all, own);
        let groups: Vec<_> =
            seen.open_orders.iter().map(|one| one.order.as_ref().unwrap().oca_group()).collect();
        // What another program calls so is its own name for it.
        let expected = ["G", "G", "momentum~G"];
        assert_eq!(groups, expected[..groups.len()], "{own:?}");
    }
}

#[test]
fn whoever_asks_for_its_own_gets_its_own() {
    let (mut floor, ids) = floor();
    let all = open_orders(&floor, ids);
    let own: v1::ListOpenOrdersResponse =
        shown(&floor, &calls::OPEN_ORDERS, &all, Some("momentum"));
    assert_eq!(own.open_orders.len(), 1);
    assert_eq!((own.open_orders[0].order_id(), own.order_statuses.len()), (ids[0], 1));
    let nobody: v1::ListOpenOrdersResponse = shown(&floor, &calls::OPEN_ORDERS, &all, Some(""));
    assert!(nobody.open_orders.is_empty());

    let execution = |exec_id: &str, order_id: i32, client_id| tws::ExecutionDetails {
        execution: Some(tws::Execution {
            exec_id: Some(exec_id.into()),
            order_id: Some(order_id),
            client_id: Some(client_id),
            order_ref: Some(body::tag(&floor.desk.facts.journal_id, order_id)),
            ..Default::default()
        }),
        ..Default::default()
    };
    let commission = |exec_id: &str| tws::CommissionAndFeesReport {
        exec_id: Some(exec_id.into()),
        ..Default::default()
    };
    let all = v1::ListExecutionsResponse {
        executions: vec![
            execution("x1", ids[0], CLIENT_ID),
            execution("x2", ids[1], CLIENT_ID),
            // The same id, of another client id.
            execution("x3", ids[0], 7),
        ],
        commissions: ["x1", "x2", "x3"].map(commission).to_vec(),
        notices: vec![],
    };
    let own: v1::ListExecutionsResponse = shown(&floor, &calls::EXECUTIONS, &all, Some("momentum"));
    assert_eq!((own.executions.len(), own.commissions.len()), (1, 1));
    let told = own.executions[0].execution.clone().unwrap();
    assert_eq!((told.exec_id(), told.order_ref()), ("x1", ""));

    floor.hear(id::EXECUTION_DATA, &execution("x1", ids[0], CLIENT_ID));
    floor.now += Duration::from_secs(6);
    floor.desk.handle_timeout(floor.now);
    floor.settle();
    let event = floor.execution_events().pop().unwrap();
    assert_eq!(event.execution.unwrap().execution.unwrap().order_ref(), "");
}

#[test]
fn what_this_build_does_not_know_of_an_order_is_shown_all_the_same() {
    const MARK: &[u8] = b"from the future";
    let (mut floor, [id, _, by_hand]) = floor();
    let told = |order_id: i32, client_id: i32| {
        let order = tws::Order {
            client_id: Some(client_id),
            perm_id: Some(i64::from(order_id) + 1_000_000),
            ..Default::default()
        };
        let order = crate::orders::body::patch::with_parts(&order, 9_999, [MARK]);
        let open = tws::OpenOrder { order_id: Some(order_id), ..Default::default() };
        crate::orders::body::patch::with_parts(&open, 3, [order])
    };
    assert!(floor.desk.on_message(id::OPEN_ORDER, &told(id, CLIENT_ID), floor.now));
    assert!(floor.desk.on_message(id::OPEN_ORDER, &told(by_hand, 7), floor.now));
    floor.settle();
    let has_mark = |bytes: &[u8]| bytes.windows(MARK.len()).filter(|part| *part == MARK).count();
    let get = v1::GetOrderRequest { client_order_id: "a".into(), ..Default::default() };
    let list = v1::ListOrdersRequest { scope: v1::OrderScope::All.into(), ..Default::default() };
    for (request, count) in [(OrderRequest::Get(get), 1), (OrderRequest::List(list), 2)] {
        let call = floor.call("momentum", request);
        let Ok(Reply::Answer(answer)) = &floor.replies[&call] else { panic!("it is answered") };
        assert_eq!(has_mark(answer), count);
    }
    let Some(Event::Order(event)) = &floor.events.last().unwrap().event else {
        panic!("an event of the order")
    };
    assert_eq!(has_mark(event), 1);
}

#[test]
fn a_list_that_gateway_does_not_answer_is_named_as_what_is_waited_for() {
    let mut floor = Floor::closed(Loaded::default());
    floor.session(1, Before::New);
    floor.desk.on_listed(true, floor.now);
    floor.desk.on_listed(false, floor.now);
    let place = floor.place("momentum", "a");
    let refused = floor.refused(place);
    assert_eq!(refused.code, "TRADING_RECONCILING");
    assert!(refused.message.contains("reqExecutions"), "{refused:?}");
    floor.now += Duration::from_secs(5);
    floor.desk.handle_timeout(floor.now);
    floor.reconcile();
    let (word, _) = floor.desk.status(&Clock { now: floor.now, wall: SystemTime::UNIX_EPOCH });
    assert_eq!(word, "on");
}

#[test]
fn ids_that_are_used_up_are_said_in_the_status() {
    let mut floor = Floor::open();
    floor.desk.next_id = HIGHEST_ORDER_ID;
    let (word, status) = floor.desk.status(&Clock { now: floor.now, wall: SystemTime::UNIX_EPOCH });
    assert_eq!(word, "halted");
    assert!(status.unwrap().because.contains("used up"));
    let place = floor.place("momentum", "a");
    assert_eq!(floor.refused(place).code, "TRADING_HALTED");
}
