//! What an openOrder shows of a modification.

use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::*;
use crate::orders::body::patch::with_parts;

fn order(price: f64) -> tws::Order {
    tws::Order {
        order_type: Some("LMT".into()),
        total_quantity: Some("10".into()),
        lmt_price: Some(price),
        ..Default::default()
    }
}

fn trailing(stop: f64, limit: f64) -> tws::Order {
    tws::Order {
        order_type: Some("TRAIL LIMIT".into()),
        aux_price: Some(1.0),
        trail_stop_price: Some(stop),
        ..order(limit)
    }
}

fn of(order: &tws::Order) -> Bytes {
    let order = Some(order.clone());
    tws::PlaceOrderRequest { order, ..Default::default() }.encode_to_vec().into()
}

/// Placed so, shown so, asked for so, and then shown so.
fn compared(
    placed: &tws::Order,
    before: &tws::Order,
    asked: &tws::Order,
    told: &tws::Order,
) -> Shows {
    let change =
        Change { request: of(asked), before: before.encode_to_vec().into(), ..Default::default() };
    let told_order = told.encode_to_vec().into();
    let (request, owner) = (of(placed), "m".to_owned());
    let status = if *told == held() { "Inactive" } else { "Submitted" }.to_owned();
    let record = OrderRecord { request, told_order, owner, status, ..Default::default() };
    shows(&record, &change)
}

/// It waits for the rest of its group.
fn held() -> tws::Order {
    tws::Order { transmit: Some(false), ..order(10.0) }
}

fn flags(outside_rth: bool, hidden: bool) -> tws::Order {
    let outside_rth = Some(outside_rth);
    tws::Order { outside_rth, hidden: Some(hidden), ..order(10.0) }
}

#[test]
fn each_field_that_is_changed_has_to_be_shown() {
    let (old, new) = (order(10.0), flags(true, true));
    assert_eq!(compared(&old, &old, &new, &old), Shows::Before, "it crossed");
    assert_eq!(compared(&old, &old, &new, &flags(true, false)), Shows::Otherwise);
    assert_eq!(compared(&old, &old, &new, &new), Shows::Wanted);
    assert_eq!(compared(&new, &new, &old, &new), Shows::Before, "what is left out now, too");
    assert_eq!(compared(&new, &new, &old, &flags(false, false)), Shows::Wanted);
}

#[test]
fn a_price_may_be_rounded_and_not_be_another_one() {
    let old = order(10.0);
    for (told, shown) in [
        (10.0, Shows::Before),
        (11.0, Shows::Wanted),
        (11.01, Shows::Wanted),
        (12.0, Shows::Otherwise),
        (9.0, Shows::Otherwise),
    ] {
        assert_eq!(compared(&old, &old, &order(11.004), &order(told)), shown, "{told}");
    }
    // Rounded before, and larger now.
    let placed = order(101.004);
    let larger = |price| tws::Order { total_quantity: Some("12".into()), ..order(price) };
    let told = larger(101.0);
    assert_eq!(compared(&placed, &order(101.0), &larger(101.004), &told), Shows::Wanted);
}

#[test]
fn what_trails_by_itself_tells_only_of_its_own_change() {
    let placed = trailing(99.0, 98.9);
    let larger = tws::Order { total_quantity: Some("12".into()), ..placed.clone() };
    let on = trailing(99.2, 99.1);
    let both = tws::Order { total_quantity: Some("12".into()), ..on.clone() };
    assert_eq!(compared(&placed, &placed, &larger, &both), Shows::Wanted);
    assert_eq!(compared(&placed, &placed, &larger, &on), Shows::Before);
    let stop = trailing(95.0, 98.9);
    let before = trailing(90.0, 98.9);
    assert_eq!(compared(&before, &before, &stop, &before), Shows::Before);
    assert_eq!(compared(&before, &before, &stop, &trailing(90.02, 98.9)), Shows::Otherwise);
    assert_eq!(compared(&before, &before, &stop, &trailing(95.5, 99.4)), Shows::Wanted);
    assert_eq!(compared(&before, &before, &stop, &trailing(99.5, 103.4)), Shows::Wanted);
}

#[test]
fn what_is_asked_for_again_and_was_changed_by_hand_tells_where_nothing_else_does() {
    let (placed, by_hand) = (order(10.0), order(11.0));
    assert_eq!(compared(&placed, &by_hand, &placed, &by_hand), Shows::Before);
    assert_eq!(compared(&placed, &by_hand, &placed, &placed), Shows::Wanted);
    assert_eq!(compared(&placed, &placed, &placed, &placed), Shows::Wanted, "nothing to do");
}

#[test]
fn what_gateway_fills_in_and_says_in_its_own_form_is_no_change() {
    let till = |text: &str| tws::Order { good_till_date: Some(text.into()), ..order(10.0) };
    let filled_in =
        tws::Order { tif: Some("DAY".into()), volatility: Some(f64::MAX), ..order(10.0) };
    let after = tws::Order { lmt_price: Some(11.0), ..filled_in.clone() };
    assert_eq!(compared(&order(10.0), &filled_in, &order(11.0), &after), Shows::Wanted);
    let (old, new) = (till("20261201 16:00:00 US/Eastern"), till("20261202 16:00:00 US/Eastern"));
    let (shown, later) = (till("20261201 16:00:00 EST"), till("20261202 16:00:00 EST"));
    assert_eq!(compared(&old, &shown, &new, &shown), Shows::Before);
    assert_eq!(compared(&old, &shown, &new, &later), Shows::Wanted);
}

#[test]
fn a_group_and_a_reference_are_shown_in_gateway_s_terms_and_tell_where_nothing_else_does() {
    let group = |group: &str| tws::Order { oca_group: Some(group.into()), ..order(10.0) };
    let (asked, placed) = (group("g2"), group("g1"));
    assert_eq!(compared(&placed, &group("m~g1"), &asked, &group("m~g1")), Shows::Before);
    assert_eq!(compared(&placed, &group("m~g1"), &asked, &group("m~g2")), Shows::Wanted);
    // Gateway's own group of exits stays.
    let dearer = tws::Order { lmt_price: Some(11.0), ..group("g2") };
    let shown = tws::Order { lmt_price: Some(11.0), ..group("3000000004") };
    assert_eq!(compared(&order(10.0), &group("3000000004"), &dearer, &shown), Shows::Wanted);
    let reference = |text: &str| tws::Order { order_ref: Some(text.into()), ..order(10.0) };
    let (tag, mine) = (reference("ibouncer:j:1"), reference("mine"));
    assert_eq!(compared(&order(10.0), &tag, &mine, &tag), Shows::Before);
    assert_eq!(compared(&order(10.0), &tag, &mine, &mine), Shows::Wanted);
    assert_eq!(compared(&mine, &mine, &order(10.0), &tag), Shows::Wanted);
}

#[test]
fn that_an_order_was_let_go_shows_in_its_state() {
    let go = tws::Order { transmit: Some(true), ..order(10.0) };
    for asked in [go.clone(), order(10.0)] {
        assert_eq!(compared(&held(), &held(), &asked, &held()), Shows::Before, "it crossed");
        assert_eq!(compared(&held(), &held(), &asked, &order(10.0)), Shows::Wanted);
    }
    assert_eq!(compared(&go, &go, &order(10.0), &go), Shows::Wanted, "nothing to do");
}

#[test]
fn what_gateway_does_not_show_is_shown_by_nothing() {
    let asked = tws::Order { ext_operator: Some("desk".into()), ..order(10.0) };
    assert_eq!(compared(&order(10.0), &order(10.0), &asked, &order(10.0)), Shows::Nothing);
    assert_eq!(compared(&order(10.0), &order(10.0), &asked, &asked), Shows::Wanted, "or is it?");
    let dearer = tws::Order { lmt_price: Some(11.0), ..asked };
    assert_eq!(compared(&order(10.0), &order(10.0), &dearer, &order(11.0)), Shows::Wanted);
}

#[test]
fn the_entries_of_a_map_come_in_any_order() {
    let entries = |pairs: [[&str; 2]; 2]| {
        let entry = |[key, value]: [&str; 2]| {
            let text =
                |tag: u8, text: &str| [&[tag << 3 | 2, text.len() as u8], text.as_bytes()].concat();
            [text(1, key), text(2, value)].concat()
        };
        with_parts(&order(10.0), 62, pairs.map(entry))
    };
    let one = entries([["maxPct", "0.1"], ["start", "09:30"]]);
    let other = entries([["start", "09:30"], ["maxPct", "0.1"]]);
    assert_ne!(one, other);
    assert_eq!(fields_of(&one), fields_of(&other));
}
