//! What administrators may do to orders of others, and what of it is seen.

use super::rules::halt;
use super::*;
use crate::principals::OrderLimits;

fn change_of(owner: &str, price: f64, reason: &str) -> OrderRequest {
    let request = v1::ModifyOrderRequest {
        owner: owner.into(),
        reason: reason.into(),
        ..change("a", limit(price))
    };
    OrderRequest::Modify(request.encode_to_vec().into())
}

/// An order "a" of momentum that Gateway has told of.
fn floor() -> (Floor, i32) {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.opened(id, "Submitted", 10.0);
    (floor, id)
}

#[test]
fn an_administrator_changes_an_order_of_another_client_and_says_why() {
    let (mut floor, id) = floor();
    let call = floor.call("risk", change_of("momentum", 9.0, "too close to the market"));
    floor.leave();
    let order = floor.answer::<v1::ModifyOrderResponse>(call).order.unwrap();
    assert_eq!(order.owner, "momentum", "it stays its owner's");
    assert_eq!(floor.placements(), [id, id]);
    let audit = floor.audit.last().unwrap();
    assert_eq!((audit.what, audit.result), ("ModifyOrder", "sent"));
    assert_eq!((&audit.principal[..], &audit.owner[..]), ("risk", "momentum"));
    assert_eq!(audit.reason, "too close to the market");
    // The owner hears of it, and of who did it.
    let seen = floor.order_events().pop().unwrap().order.unwrap().change.unwrap();
    assert_eq!((&seen.by[..], &seen.reason[..]), ("risk", "too close to the market"));
    floor.opened(id, "Submitted", 9.0);
    floor.call("momentum", modify("a", 10.0));
    let own = floor.order("momentum", "a").change.clone().unwrap();
    assert_eq!((&own.by[..], &own.reason[..]), ("", ""), "what the owner does is its own");
}

#[test]
fn a_change_of_another_client_s_order_is_for_administrators_with_a_reason() {
    let (mut floor, id) = floor();
    for (who, owner, reason, code) in [
        ("carry", "momentum", "mine now", "RIGHT_DENIED"),
        ("observer", "momentum", "why not", "RIGHT_DENIED"),
        ("nobody", "momentum", "why not", "RIGHT_DENIED"),
        ("risk", "momentum", " ", "INVALID_ARGUMENT"),
        ("risk", "carry", "no such order", "ORDER_NOT_FOUND"),
        ("risk", "gone", "no such client", "INVALID_ARGUMENT"),
        ("risk", "observer", "it may not trade", "RIGHT_DENIED"),
        ("risk", "", "its own", "ORDER_NOT_FOUND"),
    ] {
        let call = floor.call(who, change_of(owner, 9.0, reason));
        assert_eq!(floor.refused(call).code, code, "{who} {owner}");
        let audit = floor.audit.last().unwrap();
        assert_eq!((audit.result, audit.what), ("refused", "ModifyOrder"), "{who}");
        assert_eq!(audit.owner, if owner.is_empty() { "risk" } else { owner }, "{who}");
    }
    assert_eq!(floor.placements(), [id]);
}

#[test]
fn a_change_by_an_administrator_keeps_the_owner_s_limits_but_for_its_pace() {
    let (mut floor, id) = floor();
    let mut principals = principals();
    let momentum = principals.get_mut("momentum").unwrap();
    momentum.limits =
        OrderLimits { notional: Some(95.0), orders_per_minute: Some(1), ..Default::default() };
    floor.reload(principals);
    let large = floor.call("risk", change_of("momentum", 9.6, "larger"));
    assert!(floor.refused(large).message.contains("max_notional"));
    let own = floor.call("momentum", modify("a", 9.0));
    assert!(floor.refused(own).message.contains("max_orders_per_minute"));
    floor.call("risk", change_of("momentum", 9.0, "smaller"));
    floor.leave();
    assert_eq!(floor.placements(), [id, id]);
}

#[test]
fn a_halt_of_the_owner_holds_for_changes_by_administrators() {
    let (mut floor, id) = floor();
    floor.call("risk", super::rules::halt("momentum", false));
    let call = floor.call("risk", change_of("momentum", 9.0, "all the same"));
    assert_eq!(floor.refused(call).code, "TRADING_HALTED");
    assert_eq!(floor.placements(), [id]);
}

#[test]
fn who_cancels_what_has_not_left_is_written_down_and_shown() {
    let mut floor = Floor::open();
    floor.place("momentum", "a");
    let cancel = cancel_of(&CancelOrderRequest {
        client_order_id: "a".into(),
        owner: "momentum".into(),
        reason: "it has gone mad".into(),
        ..Default::default()
    });
    let call = floor.call("risk", cancel);
    let order = floor.answer::<v1::CancelOrderResponse>(call).order.unwrap();
    let change = order.change.unwrap();
    assert_eq!((&change.by[..], &change.reason[..]), ("risk", "it has gone mad"));
    let audit = floor.audit.iter().find(|one| one.what == "CancelOrder").unwrap();
    assert_eq!((audit.result, &audit.principal[..]), ("done", "risk"));
}

#[test]
fn an_administrator_of_some_accounts_touches_nothing_outside_of_them() {
    let mut floor = Floor::open();
    floor.accounts.push("DU0000002".into());
    let mut principals = principals();
    principals.get_mut("risk").unwrap().accounts = vec!["DU0000002".into()];
    floor.reload(principals);
    let mut request = limit(10.0);
    request.order.as_mut().unwrap().account = Some("DU0000001".into());
    floor.call("momentum", OrderRequest::Place(place("a", request)));
    floor.leave();
    floor.told(floor.order("momentum", "a").order_id, "Submitted");
    let (owner, reason) = ("momentum".to_owned(), "why not".to_owned());
    let cancel = CancelOrderRequest {
        client_order_id: "a".into(),
        owner: owner.clone(),
        reason: reason.clone(),
        ..Default::default()
    };
    for request in [change_of("momentum", 9.0, "why not"), cancel_of(&cancel)] {
        let call = floor.call("risk", request);
        assert_eq!(floor.refused(call).code, "ORDER_NOT_FOUND");
    }
    let all = v1::CancelAllOrdersRequest { owner, reason: reason.clone() };
    let call = floor.call("risk", OrderRequest::CancelAll(all));
    assert!(floor.answer::<v1::CancelAllOrdersResponse>(call).orders.is_empty());
    let confirmation = operator::CONFIRMATION.into();
    let every = v1::CancelEveryOrderRequest { confirmation, reason };
    let call = floor.call("risk", OrderRequest::CancelEvery(every));
    assert_eq!(floor.refused(call).code, "RIGHT_DENIED");
    floor.leave();
    assert_eq!(floor.left.len(), 1, "the placement");
}

#[test]
fn an_administrator_of_some_accounts_brakes_for_all_and_lets_go_of_nothing_for_all() {
    let mut floor = Floor::open();
    let mut principals = principals();
    principals.get_mut("risk").unwrap().accounts = vec!["DU0000001".into()];
    floor.reload(principals);
    let reason = || "all is well".to_owned();
    let resume = |client: &str| {
        OrderRequest::Resume(v1::ResumeTradingRequest { client: client.into(), reason: reason() })
    };
    for client in ["", "momentum"] {
        let call = floor.call("risk", super::rules::halt(client, false));
        floor.answer::<v1::HaltTradingResponse>(call);
    }
    let adopt = OrderRequest::AdoptState(v1::AdoptTradingStateRequest { reason: reason() });
    for request in [resume(""), adopt] {
        let call = floor.call("risk", request);
        let refused = floor.refused(call);
        assert_eq!(refused.code, "RIGHT_DENIED");
        assert!(refused.message.contains("clients.risk.accounts"), "{}", refused.message);
    }
    let call = floor.call("risk", resume("momentum"));
    floor.answer::<v1::ResumeTradingResponse>(call);
}

#[test]
fn the_brokers_own_user_under_a_name_with_accounts_lets_go_for_all_and_cancels_not_everything() {
    let mut floor = Floor::open();
    let mut principals = principals();
    principals.get_mut("risk").unwrap().accounts = vec!["DU0000001".into()];
    floor.reload(principals);
    let operator = Caller { operator: true, ..caller("risk") };
    let reason = || "all is well".to_owned();
    floor.call_by(&operator, &super::rules::halt("", false));
    let resume = v1::ResumeTradingRequest { client: String::new(), reason: reason() };
    let resumed = floor.call_by(&operator, &OrderRequest::Resume(resume));
    floor.answer::<v1::ResumeTradingResponse>(resumed);
    let adopt = v1::AdoptTradingStateRequest { reason: reason() };
    let adopted = floor.call_by(&operator, &OrderRequest::AdoptState(adopt));
    floor.answer::<v1::AdoptTradingStateResponse>(adopted);
    let every = || {
        let confirmation = operator::CONFIRMATION.into();
        OrderRequest::CancelEvery(v1::CancelEveryOrderRequest { confirmation, reason: reason() })
    };
    let call = floor.call_by(&operator, &every());
    let refused = floor.refused(call);
    assert_eq!(refused.code, "RIGHT_DENIED");
    assert!(refused.message.contains("clients.risk.accounts = [DU***001]"), "{}", refused.message);
    floor.leave();
    assert!(floor.left.is_empty());
    // Without the name it is nobody's.
    let unnamed = Caller { principal: None, ..operator };
    floor.call_by(&unnamed, &every());
    floor.leave();
    assert_eq!(floor.left.last().unwrap().0, id::REQ_GLOBAL_CANCEL);
}

/// An order of momentum in this account.
fn in_account(name: &str, account: &str) -> OrderRequest {
    let mut request = limit(10.0);
    request.order.as_mut().unwrap().account = Some(account.into());
    OrderRequest::Place(place(name, request))
}

#[test]
fn what_an_administrator_of_some_accounts_orders_while_the_link_is_down_spares_the_others() {
    let mut floor = Floor::open();
    let mut principals = principals();
    principals.get_mut("risk").unwrap().accounts = vec!["DU0000001".into()];
    floor.reload(principals);
    // Of one that names no account it is not known whether it is among them.
    for (name, account) in [("here", "DU0000001"), ("there", "")] {
        floor.call("momentum", in_account(name, account));
        floor.leave();
        floor.told(floor.order("momentum", name).order_id, "Submitted");
    }
    floor.down();
    let call = floor.call("risk", super::rules::halt("momentum", true));
    assert_eq!(floor.answer::<v1::HaltTradingResponse>(call).cancels, 1);
    // It is the next broker that does it.
    let mut next = Floor::closed(floor.disk.clone());
    next.session(2, Before::TakenThrough(100));
    next.reconcile();
    next.desk.handle_timeout(next.now);
    next.settle();
    next.leave();
    let ended: Vec<_> =
        next.left.iter().filter(|(message, _)| *message == id::CANCEL_ORDER).collect();
    assert_eq!(ended.len(), 1);
    let change = next.order("momentum", "here").change.clone().unwrap();
    assert_eq!((&change.by[..], &change.reason[..]), ("risk", "too hot"));
    assert!(next.order("momentum", "there").change.is_none());
}

#[test]
fn what_waits_for_other_accounts_is_neither_withdrawn_nor_named() {
    let mut floor = Floor::closed(Loaded::default());
    let mut principals = principals();
    principals.get_mut("risk").unwrap().accounts = vec!["DU0000001".into()];
    floor.reload(principals);
    let spared = floor.call("patient", in_account("there", "DU0000002"));
    let lost = floor.call("patient", in_account("here", "DU0000001"));
    let (owner, reason) = ("patient".to_owned(), "why not".to_owned());
    let all = OrderRequest::CancelAll(v1::CancelAllOrdersRequest { owner, reason });
    let call = floor.call("risk", all);
    let names: Vec<_> = floor.answer::<v1::CancelAllOrdersResponse>(call).orders;
    assert_eq!(names.iter().map(|one| &one.client_order_id[..]).collect::<Vec<_>>(), ["here"]);
    assert_eq!(floor.refused(lost).code, "WITHDRAWN");
    assert!(!floor.replies.contains_key(&spared));
}

#[test]
fn a_halted_administrator_changes_nobodys_orders_and_does_not_end_its_halt() {
    let mut floor = Floor::open();
    let mut principals = principals();
    let risk = principals["risk"].clone();
    principals.insert("boss".into(), risk);
    floor.reload(principals);
    let id = floor.placed("momentum", "a");
    floor.opened(id, "Submitted", 10.0);
    let waits = floor.call("risk", change_of("momentum", 9.0, "why not"));
    floor.call("boss", halt("risk", false));
    assert_eq!(floor.refused(waits).code, "TRADING_HALTED");
    let call = floor.call("risk", change_of("momentum", 9.0, "why not"));
    assert_eq!(floor.refused(call).code, "TRADING_HALTED");
    let resume = |reason: &str| {
        let (client, reason) = ("risk".to_owned(), reason.to_owned());
        OrderRequest::Resume(v1::ResumeTradingRequest { client, reason })
    };
    floor.call("risk", halt("risk", false));
    let call = floor.call("risk", resume("of my own"));
    assert_eq!(floor.refused(call).code, "RIGHT_DENIED", "its own halt does not take its place");
    let call = floor.call("boss", resume("cooled"));
    floor.answer::<v1::ResumeTradingResponse>(call);
    // One that it has ordered itself is its own to end.
    floor.call("risk", halt("risk", false));
    let call = floor.call("risk", resume("back"));
    floor.answer::<v1::ResumeTradingResponse>(call);
    floor.call("risk", change_of("momentum", 9.0, "why not"));
    floor.leave();
    assert_eq!(floor.left.len(), 2, "the placement and the change");
}

#[test]
fn without_a_session_nothing_is_told_of_orders_that_an_administrator_does_not_see() {
    let mut floor = Floor::open();
    floor.accounts.push("DU0000002".into());
    let mut request = limit(10.0);
    request.order.as_mut().unwrap().account = Some("DU0000001".into());
    floor.call("momentum", OrderRequest::Place(place("a", request)));
    floor.leave();
    floor.down();
    let all = |floor: &mut Floor| {
        let (owner, reason) = ("momentum".to_owned(), "why not".to_owned());
        floor.call("risk", OrderRequest::CancelAll(v1::CancelAllOrdersRequest { owner, reason }))
    };
    let call = all(&mut floor);
    assert_eq!(floor.refused(call).code, "NOT_READY");
    let mut principals = principals();
    principals.get_mut("risk").unwrap().accounts = vec!["DU0000002".into()];
    floor.reload(principals);
    let call = all(&mut floor);
    assert!(floor.answer::<v1::CancelAllOrdersResponse>(call).orders.is_empty());
}
