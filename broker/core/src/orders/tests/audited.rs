//! What is in the audit log, and what is said of a refusal.

use super::*;

fn last(floor: &Floor) -> (&'static str, &'static str, &str, &str) {
    let audit = floor.audit.last().unwrap();
    (audit.what, audit.result, &audit.owner, &audit.client_order_id)
}

#[test]
fn a_call_that_is_made_again_has_a_line_of_its_own() {
    let mut floor = Floor::open();
    let first = floor.place("momentum", "a");
    floor.place("momentum", "a");
    assert_eq!(last(&floor), ("PlaceOrder", "repeated", "momentum", "a"), "it waits still");
    floor.leave();
    let sent = floor.audit.iter().find(|one| one.result == "sent").unwrap().clone();
    floor.answer::<v1::PlaceOrderResponse>(first);
    floor.place("momentum", "a");
    let again = floor.audit.last().unwrap();
    assert_eq!((again.result, again.order_id), ("repeated", sent.order_id));
    assert_eq!(again.body_sha256, sent.body_sha256);
    assert_eq!(floor.audit.len(), 3);
    assert_eq!(floor.placements().len(), 1);
}

#[test]
fn a_cancel_of_all_has_a_line_also_if_there_is_nothing_to_cancel() {
    let mut floor = Floor::open();
    let all = |owner: &str, reason: &str| {
        let (owner, reason) = (owner.to_owned(), reason.to_owned());
        OrderRequest::CancelAll(v1::CancelAllOrdersRequest { owner, reason })
    };
    floor.call("momentum", all("", ""));
    assert_eq!(last(&floor), ("CancelAllOrders", "done", "momentum", ""));
    floor.call("risk", all("momentum", "to be sure"));
    let audit = floor.audit.last().unwrap();
    assert_eq!((&audit.principal[..], &audit.reason[..]), ("risk", "to be sure"));
    floor.placed("momentum", "a");
    floor.call("momentum", all("", ""));
    floor.leave();
    assert_eq!(last(&floor), ("CancelOrder", "sent", "momentum", "a"));
}

#[test]
fn what_a_cancel_says_besides_is_hashed_whether_it_leaves_or_not() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.told(id, "Submitted");
    let details = tws::OrderCancel { ext_operator: Some("desk 5".into()), ..Default::default() };
    let hash = super::asked::place::sha256(&details.encode_to_vec());
    for (name, result) in [("none", "refused"), ("a", "sent")] {
        let order_cancel = Some(details.clone());
        let client_order_id = name.to_owned();
        let cancel = CancelOrderRequest { client_order_id, order_cancel, ..Default::default() };
        floor.call("momentum", cancel_of(&cancel));
        floor.leave();
        let audit = floor.audit.last().unwrap();
        assert_eq!((audit.result, &audit.body_sha256), (result, &hash));
    }
    floor.placed("momentum", "b");
    floor.cancel("momentum", "b");
    floor.leave();
    assert_eq!(floor.audit.last().unwrap().body_sha256, "", "nothing was said");
}

#[test]
fn what_is_for_administrators_is_refused_in_a_sentence_with_the_role_that_it_needs() {
    let mut floor = Floor::open();
    let reason = || "why not".to_owned();
    let adopt = OrderRequest::AdoptState(v1::AdoptTradingStateRequest { reason: reason() });
    let resume = v1::ResumeTradingRequest { client: String::new(), reason: reason() };
    for (request, what) in [
        (super::rules::halt("", false), "a halt is for administrators to order"),
        (OrderRequest::Resume(resume), "a halt is for administrators to end"),
        (adopt, "the journal's state is for administrators to adopt"),
    ] {
        let call = floor.call("momentum", request.clone());
        let said = format!("{what}, and clients.momentum.role is \"trade\"; the operator");
        assert!(floor.refused(call).message.starts_with(&said), "{:?}", floor.refused(call));
        let call = floor.call("nobody", request);
        let said = format!("{what}, and this client falls under no [clients.NAME];");
        assert!(floor.refused(call).message.starts_with(&said), "{:?}", floor.refused(call));
    }
}

#[test]
fn a_number_that_is_no_scope_and_no_resolution_is_not_taken_for_one() {
    let mut floor = Floor::open();
    let asked = v1::ListOrdersRequest { scope: 99, ended: true };
    let call = floor.call("momentum", OrderRequest::List(asked));
    let Err(error) = &floor.replies[&call] else { panic!("there is no such scope") };
    assert_eq!(error.code, "INVALID_ARGUMENT");
    assert!(error.message.contains("scope is 99"), "{}", error.message);
    for (number, scope) in [(0, v1::OrderScope::Unspecified), (3, v1::OrderScope::Own)] {
        assert_eq!(super::request::scope(number).unwrap(), scope);
    }
    floor.placed("momentum", "a");
    let resolve = v1::ResolveOrderRequest {
        owner: "momentum".into(),
        client_order_id: "a".into(),
        resolution: 99,
        reason: "why not".into(),
    };
    let call = floor.call("risk", OrderRequest::Resolve(resolve));
    assert_eq!(floor.refused(call).code, "INVALID_ARGUMENT");
    assert_eq!(floor.state("momentum", "a"), State::Sent);
}

#[test]
fn each_order_of_a_group_has_a_line_whether_it_leaves_or_not() {
    let lines = |floor: &Floor, result: &str| -> Vec<String> {
        let of =
            floor.audit.iter().filter(|one| one.what == "PlaceOrders" || one.what == "PlaceOrder");
        let of = of.filter(|one| one.result == result);
        of.inspect(|one| assert!(one.order_id != 0, "{one:?}"))
            .map(|one| one.client_order_id.clone())
            .collect()
    };
    let group = || {
        let orders = ["g1", "g2", "g3"].map(|name| new_order(name, limit(10.0))).to_vec();
        OrderRequest::PlaceGroup(v1::PlaceOrdersRequest { orders }.encode_to_vec().into())
    };
    let mut floor = Floor::open();
    floor.call("momentum", group());
    floor.leave();
    assert_eq!(lines(&floor, "sent"), ["g1", "g2", "g3"]);
    let hashes = floor.audit.iter().map(|one| &one.body_sha256[..]);
    assert!(hashes.clone().all(|hash| hash.len() == 64));
    let mut floor = Floor::open();
    floor.call("momentum", group());
    floor.call("risk", super::rules::halt("", false));
    assert_eq!(lines(&floor, "not-sent"), ["g1", "g2", "g3"]);
}

#[test]
fn each_order_of_a_group_that_is_refused_or_made_again_has_its_line() {
    let mut floor = Floor::open();
    let group = |second: &str| {
        let orders = vec![new_order("a", limit(10.0)), new_order(second, limit(11.0))];
        let raw = v1::PlaceOrdersRequest { orders }.encode_to_vec();
        OrderRequest::PlaceGroup(raw.into())
    };
    let lines = |floor: &Floor| -> Vec<(&'static str, String, String)> {
        let lines = floor.audit.iter().rev().take(2).rev();
        lines
            .map(|one| (one.result, one.client_order_id.clone(), one.body_sha256.clone()))
            .collect()
    };
    floor.call("observer", group("b"));
    let refused = lines(&floor);
    floor.call("momentum", group("b"));
    floor.leave();
    let sent = lines(&floor);
    floor.call("momentum", group("b"));
    let repeated = lines(&floor);
    for (lines, result) in [(refused, "refused"), (sent, "sent"), (repeated, "repeated")] {
        let told: Vec<_> = lines.iter().map(|(result, name, _)| (*result, &name[..])).collect();
        assert_eq!(told, [(result, "a"), (result, "b")]);
        assert_ne!(lines[0].2, lines[1].2, "each has the hash of its own body");
    }
}
