//! Orders that were placed elsewhere: what they say of the journal, and how long they are shown.

use super::*;

pub(super) fn stranger(client_id: i32, order_id: i32, perm_id: i64) -> tws::OpenOrder {
    tws::OpenOrder {
        order_id: Some(order_id),
        order: Some(tws::Order {
            client_id: Some(client_id),
            perm_id: Some(perm_id),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn shown(floor: &mut Floor) -> Vec<v1::Order> {
    let request = v1::ListOrdersRequest { scope: v1::OrderScope::All.into(), ended: false };
    let call = floor.call("observer", OrderRequest::List(request));
    floor.answer::<v1::ListOrdersResponse>(call).orders
}

pub(super) fn adopt() -> OrderRequest {
    let reason = "other programs' orders".into();
    OrderRequest::AdoptState(v1::AdoptTradingStateRequest { reason })
}

/// A broker whose first lists show these.
pub(super) fn first_lists_show(loaded: Loaded, all: &[tws::OpenOrder]) -> Floor {
    let mut floor = Floor::closed(loaded);
    floor.session(1, Before::New);
    for one in all {
        floor.hear(id::OPEN_ORDER, one);
    }
    floor.reconcile();
    floor
}

#[test]
fn an_empty_journal_beside_orders_of_api_programs_halts_until_a_person_has_looked() {
    let mut floor = first_lists_show(Loaded::default(), &[stranger(77, 5, 900)]);
    let call = floor.place("momentum", "a");
    let refused = floor.refused_in_doubt(call);
    assert_eq!(refused.code, "TRADING_HALTED");
    assert!(refused.message.contains("is empty") && refused.message.contains("API client 77"));
    // It is as empty after a restart.
    let mut again = first_lists_show(floor.disk.clone(), &[stranger(77, 5, 900)]);
    let call = again.place("momentum", "a");
    assert_eq!(again.refused_in_doubt(call).code, "TRADING_HALTED");
    again.call("risk", adopt());
    again.placed("momentum", "a");
    // What was accepted stays so, and so does what comes later.
    let all = [stranger(77, 5, 900), stranger(78, 6, 901)];
    let mut last = first_lists_show(again.disk.clone(), &all);
    last.placed("momentum", "b");
}

#[test]
fn an_empty_journal_is_the_right_one_where_gateway_shows_no_order_of_an_api_program() {
    let by_hand = [stranger(0, 0, 7), stranger(0, -3, 8)];
    let mut floor = first_lists_show(Loaded::default(), &by_hand);
    assert!(floor.desk.brakes.doubts.is_empty());
    floor.hear(id::OPEN_ORDER, &stranger(77, 5, 900));
    assert!(floor.desk.brakes.doubts.is_empty(), "it came later");
    // And it is known to be the right one from then on, though it holds no order.
    let mut again = first_lists_show(floor.disk.clone(), &[stranger(77, 5, 900)]);
    again.placed("momentum", "a");
}

#[test]
fn an_order_without_a_perm_id_is_adopted_by_its_number() {
    let mut floor = Floor::open();
    floor.placed("momentum", "a");
    let unknown = stranger(CLIENT_ID, 500, 0);
    floor.hear(id::OPEN_ORDER, &unknown);
    let call = floor.place("momentum", "b");
    assert_eq!(floor.refused_in_doubt(call).code, "TRADING_HALTED");
    floor.call("risk", adopt());
    floor.hear(id::OPEN_ORDER, &unknown);
    floor.placed("momentum", "b");
    let mut again = first_lists_show(floor.disk.clone(), &[unknown]);
    again.placed("momentum", "c");
    again.hear(id::OPEN_ORDER, &stranger(CLIENT_ID, 501, 0));
    let call = again.place("momentum", "d");
    assert_eq!(again.refused_in_doubt(call).code, "TRADING_HALTED", "another one is another doubt");
}

#[test]
fn a_journal_of_before_with_orders_is_the_right_one() {
    let mut floor = Floor::open();
    floor.placed("momentum", "a");
    let mut loaded = floor.disk.clone();
    loaded.facts.as_mut().unwrap().settled = false;
    let mut again = first_lists_show(loaded, &[stranger(77, 50, 900)]);
    again.placed("momentum", "b");
}

#[test]
fn whoever_looks_at_all_orders_has_gateway_asked_also_while_none_is_known() {
    let mut floor = Floor::open();
    assert!(shown(&mut floor).is_empty());
    assert_eq!(floor.desk.poll_listing(), None, "it was asked a moment ago");
    floor.now += Duration::from_secs(11);
    shown(&mut floor);
    assert_eq!(floor.desk.poll_listing(), Some(Listing::OpenOrders));
}

#[test]
fn an_order_of_another_program_is_gone_when_two_lists_have_not_shown_it() {
    let mut floor = Floor::open();
    floor.hear(id::OPEN_ORDER, &stranger(77, 5, 900));
    floor.hear(id::OPEN_ORDER, &stranger(77, 6, 901));
    let all = shown(&mut floor);
    assert_eq!(all.len(), 2);
    assert!(all[0].updated_at.is_some(), "as of when");
    let mut counts = Vec::new();
    for _ in 0..3 {
        floor.now += Duration::from_secs(11);
        // Whoever looks has Gateway asked anew.
        counts.push(shown(&mut floor).len());
        floor.hear(id::OPEN_ORDER, &stranger(77, 6, 901));
        floor.reconcile();
    }
    counts.push(shown(&mut floor).len());
    assert_eq!(counts, [2, 2, 2, 1]);
}

#[test]
fn orders_of_others_without_a_perm_id_are_told_apart_and_hide_none_of_ours() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    for order_id in [5, 6] {
        floor.hear(id::OPEN_ORDER, &stranger(77, order_id, 0));
    }
    let theirs = |floor: &mut Floor| {
        let shown = shown(floor).into_iter().filter(|order| order.owner.is_empty());
        shown.map(|order| order.order_id).collect::<Vec<_>>()
    };
    assert_eq!(theirs(&mut floor), [5, 6]);
    for (word, state) in [("PreSubmitted", State::Working), ("ApiCancelled", State::Cancelled)] {
        let status = tws::OrderStatus {
            order_id: Some(id),
            client_id: Some(CLIENT_ID),
            status: Some(word.into()),
            ..Default::default()
        };
        floor.hear(id::ORDER_STATUS, &status);
        assert_eq!(floor.state("momentum", "a"), state);
    }
    assert_eq!(theirs(&mut floor), [5, 6]);
    floor.hear(id::OPEN_ORDER, &stranger(77, 5, 900));
    assert_eq!(theirs(&mut floor), [6, 5], "it has a permId now");
}
