//! Does what Gateway shows of an order show a modification of it?
//!
//! A modification is carried out as a whole, and what crosses it on the wire still shows the order
//! of before. So only what it changes tells: each field that is asked for otherwise than before,
//! and otherwise than Gateway showed when it left. A price counts once it is near the new one
//! (Gateway rounds to the tick), or on its way there where it trails; a text once it is another one
//! (Gateway writes dates and the like in its own form).
//!
//! What is asked for as before and shown otherwise (rounded, preset, changed by hand), and what is
//! left out now, may be Gateway's to choose: it tells only where nothing else does. Never decides
//! when to look: that is `evidence/answered.rs`.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::encoding::WireType;

use crate::orders::body::patch::{fields, part};
use crate::orders::journal::{Change, OrderRecord};

/// Field of `PlaceOrderRequest`.
const ORDER: u32 = 3;
const TOTAL_QUANTITY: u32 = 6;
const ORDER_TYPE: u32 = 8;
const LIMIT: u32 = 9;
const TRAIL_STOP: u32 = 23;

/// Fields of `tws.v1.Order` that no modification changes, or that Gateway does not show: ids (1 to
/// 4, 121), action, account, group, mark, what-if, transmit, overrides (67, 125), operator (104), what
/// has filled (115), and what is said of orders by hand (126, 136) and of the submitter.
const SILENT: [u32; 18] =
    [1, 2, 3, 4, 5, 12, 27, 28, 65, 66, 67, 104, 115, 121, 125, 126, 136, 137];

/// How an order is shown, against what a modification of it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    /// As it wants it.
    Wanted,
    /// As it was when the modification left.
    Before,
    /// Neither.
    Otherwise,
}

/// Fields by their numbers; those that say nothing but "not set" are left out.
type Fields = BTreeMap<u32, Value>;

#[derive(Debug, Clone, PartialEq)]
enum Value {
    /// Whole numbers and flags.
    Whole(u64),
    Price(f64),
    Quantity(f64),
    /// Texts, and messages as they were encoded.
    Text(Vec<u8>),
}

/// How the order of this record, as Gateway told it last, stands to this modification of it.
pub(super) fn shows(record: &OrderRecord, change: &Change) -> Shows {
    let asked = fields_of_request(&change.request);
    let placed = fields_of_request(&record.request);
    let before = match change.before.is_empty() {
        true => placed.clone(),
        false => fields_of(&change.before),
    };
    let told = fields_of(&record.told_order);
    let trails = [&asked, &before].into_iter().any(trails);
    let of_interest = |tag: &u32| !SILENT.contains(tag) && asked.get(tag) != before.get(tag);
    let tags = asked.keys().chain(before.keys()).copied().filter(of_interest);
    let (firm, loose): (Vec<u32>, Vec<u32>) = tags
        .filter(|tag| asked.contains_key(tag) || placed.contains_key(tag))
        .partition(|tag| asked.contains_key(tag) && asked.get(tag) != placed.get(tag));
    let moves_alone = |tag: &u32| trails && matches!(*tag, LIMIT | TRAIL_STOP);
    let is_shown = |tag: &u32| {
        let (asked, before, told) = (asked.get(tag), before.get(tag), told.get(tag));
        is_there(asked, before, told, moves_alone(tag))
    };
    // What trails moves by itself: it tells only if there is nothing else that does.
    let still: Vec<u32> = firm.iter().copied().filter(|tag| !moves_alone(tag)).collect();
    let firm = if still.is_empty() { firm } else { still };
    let loose: Vec<u32> = loose.into_iter().filter(|tag| !moves_alone(tag)).collect();
    let (is_wanted, telling) = match (firm.is_empty(), loose.is_empty()) {
        (false, _) => (firm.iter().all(is_shown), firm),
        (true, false) => (loose.iter().any(is_shown), loose),
        (true, true) => (true, Vec::new()),
    };
    if is_wanted {
        Shows::Wanted
    } else if telling.iter().all(|tag| told.get(tag) == before.get(tag)) {
        Shows::Before
    } else {
        Shows::Otherwise
    }
}

fn is_there(
    asked: Option<&Value>,
    before: Option<&Value>,
    told: Option<&Value>,
    moves_alone: bool,
) -> bool {
    match (asked, told) {
        (Some(Value::Price(asked)), Some(Value::Price(told))) => {
            let before = match before {
                Some(Value::Price(before)) => *before,
                _ => 0.0,
            };
            let (way, done) = (asked - before, told - before);
            let near = (told - asked).abs() < way.abs() / 2.0;
            told == asked || near || (moves_alone && done * way > 0.0)
        }
        // It is taken away, or in Gateway's own form.
        (None, _) | (Some(Value::Text(_)), Some(_)) => told == asked || told != before,
        _ => told == asked,
    }
}

fn trails(fields: &Fields) -> bool {
    let order_type = fields.get(&ORDER_TYPE);
    matches!(order_type, Some(Value::Text(text)) if text.starts_with(b"TRAIL"))
}

fn fields_of_request(request: &Bytes) -> Fields {
    fields_of(&part(request, ORDER).ok().flatten().unwrap_or_default())
}

/// The fields of an order. Pieces of one that comes more than once are put together.
fn fields_of(order: &[u8]) -> Fields {
    let mut found = Fields::new();
    for (tag, whole, inside) in fields(order).unwrap_or_default() {
        let Some(value) = value(tag, whole, inside) else {
            continue;
        };
        match (found.get_mut(&tag), value) {
            (Some(Value::Text(text)), Value::Text(more)) => text.extend(more),
            (_, value) => {
                found.insert(tag, value);
            }
        }
    }
    found
}

/// The value of a field, unless it is Gateway's or protobuf's word for "not set".
fn value(tag: u32, whole: &[u8], inside: &[u8]) -> Option<Value> {
    let mut rest = whole;
    let (_, wire_type) = prost::encoding::decode_key(&mut rest).ok()?;
    match wire_type {
        WireType::Varint => {
            let number = prost::encoding::decode_varint(&mut rest).ok()?;
            let is_set = number != 0 && number != u64::from(i32::MAX.unsigned_abs());
            is_set.then_some(Value::Whole(number))
        }
        WireType::SixtyFourBit => {
            let price = f64::from_le_bytes(rest.try_into().ok()?);
            (price != 0.0 && price < 1e300).then_some(Value::Price(price))
        }
        _ if tag == TOTAL_QUANTITY => {
            let number = std::str::from_utf8(inside).ok()?.parse().ok()?;
            (number != 0.0).then_some(Value::Quantity(number))
        }
        _ => (!inside.is_empty()).then(|| Value::Text(inside.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use ibouncer_proto::tws::v1 as tws;
    use prost::Message as _;

    use super::*;

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
        let change = Change {
            request: of(asked),
            before: before.encode_to_vec().into(),
            ..Default::default()
        };
        let told_order = told.encode_to_vec().into();
        let record = OrderRecord { request: of(placed), told_order, ..Default::default() };
        shows(&record, &change)
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
        assert_eq!(compared(&before, &before, &stop, &trailing(95.5, 99.4)), Shows::Wanted);
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
        let (old, new) =
            (till("20261201 16:00:00 US/Eastern"), till("20261202 16:00:00 US/Eastern"));
        let (shown, later) = (till("20261201 16:00:00 EST"), till("20261202 16:00:00 EST"));
        assert_eq!(compared(&old, &shown, &new, &shown), Shows::Before);
        assert_eq!(compared(&old, &shown, &new, &later), Shows::Wanted);
    }
}
