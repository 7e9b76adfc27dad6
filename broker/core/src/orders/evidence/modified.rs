//! Does what Gateway shows of an order show a modification of it?
//!
//! A modification is carried out as a whole, and what crosses it on the wire still shows the order
//! of before. So only what it changes tells: each field that is asked for otherwise than before,
//! and otherwise than Gateway showed when it left. A price counts once it is near the new one
//! (Gateway rounds to the tick), or beyond it where it trails; a text once it is another one
//! (Gateway writes dates and the like in its own form).
//!
//! What is asked for as before and shown otherwise (rounded, preset, changed by hand), and what is
//! left out now, may be Gateway's to choose: it tells only where nothing else does. So do the group,
//! the reference and `transmit`, which are compared in the owner's terms. Never decides when to look:
//! that is `evidence/answered.rs`.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;
use ibouncer_proto::api::v1::OrderState as State;
use prost::encoding::WireType;

use crate::orders::body::downstream;
use crate::orders::body::patch::{fields, part};
use crate::orders::book::order::meaning;
use crate::orders::journal::{Change, OrderRecord};

/// Field of `PlaceOrderRequest`.
const ORDER: u32 = 3;
const TOTAL_QUANTITY: u32 = 6;
const ORDER_TYPE: u32 = 8;
const LIMIT: u32 = 9;
const TRAIL_STOP: u32 = 23;

const OCA_GROUP: u32 = 27;
const ORDER_REF: u32 = 28;
const TRANSMIT: u32 = 66;

/// Fields of `tws.v1.Order` that no modification changes: ids (1 to 4, 121), action, account,
/// what-if, what has filled (115).
const FIXED: [u32; 9] = [1, 2, 3, 4, 5, 12, 65, 115, 121];
/// Fields that Gateway need not show: overrides (67, 125), operator (104), what is said of orders by
/// hand (126, 136) and of the submitter.
const UNSHOWN: [u32; 6] = [67, 104, 125, 126, 136, 137];
/// Fields that tell only where nothing else does: Gateway groups exits by itself.
const QUIET: [u32; 3] = [OCA_GROUP, ORDER_REF, TRANSMIT];
/// Maps: their entries come in any order (algo, routing and other parameters).
const MAPS: [u32; 3] = [62, 64, 84];

/// How an order is shown, against what a modification of it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    /// As it wants it.
    Wanted,
    /// As it was when the modification left.
    Before,
    /// Neither.
    Otherwise,
    /// It wants only what Gateway does not show.
    Nothing,
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
        false => fields_as_told(&change.before, &record.owner, placed.contains_key(&TRANSMIT)),
    };
    // What is held back for the rest of its group is Inactive.
    let transmitted = match meaning(&record.status) {
        None | Some(State::Inactive) => placed.contains_key(&TRANSMIT),
        Some(_) => true,
    };
    let told = fields_as_told(&record.told_order, &record.owner, transmitted);
    let trails = [&asked, &before].into_iter().any(trails);
    let is_changed = |tag: &u32| !FIXED.contains(tag) && asked.get(tag) != before.get(tag);
    let tags = asked.keys().chain(before.keys()).copied().filter(is_changed);
    let (hidden, open): (Vec<u32>, Vec<u32>) = tags
        .filter(|tag| asked.contains_key(tag) || placed.contains_key(tag))
        .partition(|tag| UNSHOWN.contains(tag));
    let (firm, loose): (Vec<u32>, Vec<u32>) = open
        .into_iter()
        .partition(|tag| asked.contains_key(tag) && asked.get(tag) != placed.get(tag));
    let moves_alone = |tag: &u32| trails && matches!(*tag, LIMIT | TRAIL_STOP);
    let is_shown = |tag: &u32| {
        let (asked, before, told) = (asked.get(tag), before.get(tag), told.get(tag));
        is_there(asked, before, told, moves_alone(tag))
    };
    let firm = loudest(firm, moves_alone);
    let loose: Vec<u32> = loose.into_iter().filter(|tag| !moves_alone(tag)).collect();
    let (is_wanted, telling) = match (firm.is_empty(), loose.is_empty()) {
        (false, _) => (firm.iter().all(is_shown), firm),
        (true, false) => (loose.iter().any(is_shown), loose),
        (true, true) if hidden.iter().any(|tag| asked.get(tag) != placed.get(tag)) => {
            match hidden.iter().all(|tag| told.contains_key(tag) && is_shown(tag)) {
                true => (true, Vec::new()),
                false => return Shows::Nothing,
            }
        }
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

/// Of what is asked for anew, that which tells most: what trails moves by itself, and a group is
/// Gateway's to choose, so they count only if there is nothing else.
fn loudest(firm: Vec<u32>, moves_alone: impl Fn(&u32) -> bool) -> Vec<u32> {
    let loudness = |tag: &u32| match () {
        () if QUIET.contains(tag) => 0,
        () if moves_alone(tag) => 1,
        () => 2,
    };
    let most = firm.iter().map(loudness).max();
    firm.into_iter().filter(|tag| Some(loudness(tag)) == most).collect()
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
            told == asked || near || (moves_alone && done * way > way * way / 2.0)
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
    let order = part(request, ORDER).ok().flatten().unwrap_or_default();
    let mut found = fields_of(&order);
    // Left out, it is true.
    if !fields(&order).unwrap_or_default().iter().any(|(tag, ..)| *tag == TRANSMIT) {
        found.insert(TRANSMIT, Value::Whole(1));
    }
    found
}

/// An order of Gateway in its owner's terms. That it is transmitted shows in its state only.
fn fields_as_told(order: &[u8], owner: &str, transmitted: bool) -> Fields {
    let mut found = fields_of(&downstream(order, owner));
    found.remove(&TRANSMIT);
    if transmitted {
        found.insert(TRANSMIT, Value::Whole(1));
    }
    found
}

/// The fields of an order. Pieces of one that comes more than once are put together.
fn fields_of(order: &[u8]) -> Fields {
    let mut found = Fields::new();
    let mut pieces = fields(order).unwrap_or_default();
    pieces.sort_by_key(|(tag, whole, _)| (*tag, MAPS.contains(tag).then(|| whole.to_vec())));
    for (tag, whole, inside) in pieces {
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
