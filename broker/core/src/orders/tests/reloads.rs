//! What a reload takes: what waits of callers whose credential is not their client's any more; and
//! not the orders that somebody owns.

use super::*;
use crate::principals::Imprint;

fn imprint(token: &str) -> Imprint {
    Imprint::of("token", token.as_bytes())
}

fn by(who: &str, token: &str) -> Caller {
    Caller { imprint: Some(imprint(token)), ..caller(who) }
}

impl Floor {
    /// These tokens make callers of this client from now on.
    fn tokens(&mut self, who: &str, tokens: &[&str]) {
        let mut principals = self.desk.principals.clone();
        let imprints = tokens.iter().map(|token| imprint(token)).collect();
        principals.get_mut(who).unwrap().imprints = imprints;
        self.reload(principals);
        self.settle();
    }

    fn place_by(&mut self, caller: &Caller, name: &str) -> CallId {
        self.call_by(caller, &OrderRequest::Place(place(name, limit(10.0))))
    }

    fn lost(&self, call: CallId) {
        let error = self.refused(call);
        assert_eq!((&error.code[..], error.retry()), ("RIGHTS_CHANGED", crate::error::Retry::Now));
    }
}

#[test]
fn what_waits_for_its_turn_or_its_share_goes_with_the_credential_that_placed_it() {
    let mut floor = Floor::open();
    floor.tokens("momentum", &["old", "other"]);
    let (old, other) = (by("momentum", "old"), by("momentum", "other"));
    let lost: Vec<_> = (0..12).map(|at| floor.place_by(&old, &format!("o{at}"))).collect();
    let kept = floor.place_by(&other, "kept");
    // The old one still counts: nothing is taken back.
    floor.tokens("momentum", &["new", "old", "other"]);
    assert!(floor.replies.is_empty());
    floor.tokens("momentum", &["new", "other"]);
    for call in lost {
        floor.lost(call);
    }
    let audited = floor.audit.iter().filter(|one| one.client_order_id.starts_with('o'));
    assert!(audited.clone().all(|one| one.reason.contains("changed by a reload")));
    assert_eq!(audited.count(), 12);
    floor.leave();
    floor.answer::<v1::PlaceOrderResponse>(kept);
    assert_eq!(floor.placements().len(), 1);
}

#[test]
fn what_waits_for_trading_to_open_goes_with_it_too() {
    let mut floor = Floor::closed(Loaded::default());
    floor.tokens("patient", &["old"]);
    let lost = floor.place_by(&by("patient", "old"), "lost");
    floor.tokens("patient", &["new"]);
    floor.lost(lost);
    let kept = floor.place_by(&by("patient", "new"), "kept");
    floor.session(1, Before::New);
    floor.reconcile();
    floor.leave();
    floor.answer::<v1::PlaceOrderResponse>(kept);
    assert_eq!(floor.placements().len(), 1);
}

#[test]
fn changes_and_previews_that_wait_go_with_it_and_cancels_leave() {
    let mut floor = Floor::open();
    floor.tokens("momentum", &["old"]);
    floor.tokens("risk", &["old"]);
    for name in ["a", "b", "c"] {
        let id = floor.placed("momentum", name);
        floor.opened(id, "Submitted", 10.0);
    }
    floor.left.clear();
    let (own, admin) = (by("momentum", "old"), by("risk", "old"));
    let change = floor.call_by(&own, &modify("a", 11.0));
    let by_admin = v1::ModifyOrderRequest {
        owner: "momentum".into(),
        reason: "too close".into(),
        ..change_request("b")
    };
    let by_admin = OrderRequest::Modify(by_admin.encode_to_vec().into());
    let by_admin = floor.call_by(&admin, &by_admin);
    let preview = v1::PreviewOrderRequest { request: Some(limit(10.0)) };
    let preview = floor.call_by(&own, &OrderRequest::Preview(preview.encode_to_vec().into()));
    let cancel = CancelOrderRequest { client_order_id: "c".into(), ..Default::default() };
    let cancel = floor.call_by(&own, &cancel_of(&cancel));
    // An administrator's change is its own, whoever's the order is.
    floor.tokens("momentum", &["new"]);
    floor.lost(change);
    floor.lost(preview);
    assert!(!floor.replies.contains_key(&by_admin));
    floor.tokens("risk", &["new"]);
    floor.lost(by_admin);
    floor.leave();
    floor.answer::<v1::CancelOrderResponse>(cancel);
    assert_eq!(floor.left.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [id::CANCEL_ORDER]);
}

fn change_request(name: &str) -> v1::ModifyOrderRequest {
    change(name, limit(9.0))
}

#[test]
fn what_a_client_owns_it_sees_and_cancels_also_in_an_account_that_it_has_lost() {
    let mut floor = Floor::open();
    floor.accounts.push("DU0000002".into());
    let mut request = limit(10.0);
    request.order.as_mut().unwrap().account = Some("DU0000001".into());
    for who in ["momentum", "carry"] {
        floor.call(who, OrderRequest::Place(place("a", request.clone())));
        floor.leave();
        floor.told(floor.order(who, "a").order_id, "Submitted");
    }
    let mut principals = principals();
    principals.get_mut("momentum").unwrap().accounts = vec!["DU0000002".into()];
    floor.reload(principals);
    let get = |owner: &str| {
        let (owner, client_order_id) = (owner.to_owned(), "a".to_owned());
        OrderRequest::Get(v1::GetOrderRequest { client_order_id, owner })
    };
    let own = floor.call("momentum", get(""));
    floor.answer::<v1::GetOrderResponse>(own);
    let other = floor.call("momentum", get("carry"));
    let Err(error) = &floor.replies[&other] else { panic!("it is not its own") };
    assert_eq!(error.code, "ORDER_NOT_FOUND");
    for scope in [v1::OrderScope::Own, v1::OrderScope::All] {
        let asked = v1::ListOrdersRequest { scope: scope.into(), ended: true };
        let list = floor.call("momentum", OrderRequest::List(asked));
        let orders = floor.answer::<v1::ListOrdersResponse>(list).orders;
        assert_eq!(orders.iter().map(|one| &one.owner[..]).collect::<Vec<_>>(), ["momentum"]);
    }
    let view = floor.desk.view_of(&caller("momentum"), v1::OrderScope::All);
    assert!(view.shows("momentum", "DU0000001") && !view.shows("carry", "DU0000001"));
    assert!(view.shows("carry", "DU0000002") && !view.shows("", "DU0000001"));
    // The name is taken, and the order is not changed into an account that is not its own.
    let again = floor.place("momentum", "a");
    assert_eq!(floor.refused(again).code, "ORDER_EXISTS");
    let changed = floor.call("momentum", modify("a", 9.0));
    assert_eq!(floor.refused(changed).code, "RIGHT_DENIED");
    floor.cancel("momentum", "a");
    floor.leave();
    assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER);
}

#[test]
fn what_a_client_may_not_trade_any_more_does_not_leave() {
    type Change = fn(&mut crate::principals::Principal);
    for (what, change) in [
        ("accounts", (|one| one.accounts = vec!["DU0000002".into()]) as Change),
        ("symbols", |one| one.symbols = vec!["MSFT".into()]),
        ("security_types", |one| one.security_types = vec!["FUT".into()]),
    ] {
        let mut floor = Floor::open();
        let call = floor.call("momentum", OrderRequest::Place(place("a", limit(10.0))));
        let mut principals = principals();
        change(principals.get_mut("momentum").unwrap());
        floor.reload(principals);
        floor.settle();
        floor.leave();
        let error = floor.refused(call);
        assert!(error.message.contains(&format!("clients.momentum.{what}")), "{}", error.message);
        assert!(floor.left.is_empty(), "{what}");
    }
}

#[test]
fn who_may_send_no_more_may_still_cancel_what_is_its_own() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.told(id, "Submitted");
    let mut principals = principals();
    principals.get_mut("momentum").unwrap().role = Role::Observe;
    floor.reload(principals);
    let call = floor.call("momentum", OrderRequest::Place(place("b", limit(10.0))));
    assert_eq!(floor.refused(call).code, "RIGHT_DENIED");
    floor.cancel("momentum", "a");
    floor.leave();
    assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER);
}

#[test]
fn an_exercise_that_waits_goes_with_the_right_to_exercise() {
    for keeps in [true, false] {
        let mut floor = Floor::open();
        let mut principals = principals();
        principals.get_mut("momentum").unwrap().exercise = true;
        floor.reload(principals.clone());
        let request = tws::ExerciseOptionsRequest {
            contract: limit(10.0).contract,
            exercise_action: Some(1),
            exercise_quantity: Some(1),
            ..Default::default()
        };
        let client_order_id = "x".to_owned();
        let asked = v1::ExerciseOptionsRequest { client_order_id, request: Some(request) };
        let asked = OrderRequest::Exercise(asked.encode_to_vec().into());
        let call = floor.call("momentum", asked);
        principals.get_mut("momentum").unwrap().exercise = keeps;
        floor.reload(principals);
        floor.settle();
        floor.leave();
        assert_eq!(floor.left.len(), usize::from(keeps));
        if !keeps {
            assert!(floor.refused(call).message.contains("clients.momentum.exercise"));
        }
    }
}

#[test]
fn a_preview_tells_nothing_of_what_a_reload_has_taken() {
    type Change = fn(&mut crate::principals::Principal);
    let kept: Change = |_| {};
    for (change, is_told) in [
        (kept, true),
        (|one| one.accounts = vec!["DU0000002".into()], false),
        (|one| one.symbols = vec!["MSFT".into()], false),
    ] {
        for under_way in [false, true] {
            let mut floor = Floor::open();
            let asked = v1::PreviewOrderRequest { request: Some(limit(10.0)) };
            let asked = OrderRequest::Preview(asked.encode_to_vec().into());
            let call = floor.call("momentum", asked);
            if under_way {
                floor.leave();
            }
            let mut principals = principals();
            change(principals.get_mut("momentum").unwrap());
            floor.reload(principals);
            floor.settle();
            floor.leave();
            assert_eq!(floor.left.len(), usize::from(is_told || under_way));
            assert_eq!(floor.replies.contains_key(&call), !is_told);
        }
    }
}

#[test]
fn a_change_of_anothers_order_that_waits_goes_with_the_sight_of_it() {
    let mut floor = Floor::open();
    floor.accounts.push("DU0000002".into());
    let mut request = limit(10.0);
    request.order.as_mut().unwrap().account = Some("DU0000001".into());
    floor.call("momentum", OrderRequest::Place(place("a", request.clone())));
    floor.leave();
    let id = floor.order("momentum", "a").order_id;
    floor.opened(id, "Submitted", 10.0);
    request.order.as_mut().unwrap().lmt_price = Some(9.0);
    let asked = v1::ModifyOrderRequest {
        client_order_id: "a".into(),
        request: Some(request),
        owner: "momentum".into(),
        reason: "why not".into(),
    };
    let call = floor.call("risk", OrderRequest::Modify(asked.encode_to_vec().into()));
    let mut principals = principals();
    principals.get_mut("risk").unwrap().accounts = vec!["DU0000002".into()];
    floor.reload(principals);
    floor.settle();
    floor.leave();
    assert_eq!(floor.refused(call).code, "ORDER_NOT_FOUND");
    assert_eq!(floor.left.len(), 1);
}
