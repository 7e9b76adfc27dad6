//! Orders as the public API shows them: what the broker knows, and Gateway's own bytes.

use ibouncer_proto::api::v1;
use prost::Message as _;
use prost_types::Timestamp;

use crate::orders::body;
use crate::orders::body::patch::{part, put_part};
use crate::orders::book::Foreign;
use crate::orders::book::order::meaning;
use crate::orders::journal::OrderRecord;

/// Fields of the public `Order` whose bytes are Gateway's, or the client's.
mod field {
    pub(in crate::orders) const NOTICE: u32 = 18;
    pub(in crate::orders) const CONTRACT: u32 = 20;
    pub(in crate::orders) const ORDER: u32 = 21;
    pub(in crate::orders) const ORDER_STATE: u32 = 22;
    pub(in crate::orders) const ORDER_STATUS: u32 = 23;
}

/// Fields of `OrderEvent` and `ExecutionEvent` whose bytes are Gateway's.
pub(in crate::orders) const EVENT_ORDER: u32 = 4;
pub(in crate::orders) const EVENT_EXECUTION: u32 = 7;
pub(in crate::orders) const EVENT_COMMISSION: u32 = 8;

/// Fields of `PlaceOrderRequest`.
const REQUEST_CONTRACT: u32 = 2;
const REQUEST_ORDER: u32 = 3;

/// Fields of `OpenOrder`.
const OPEN_CONTRACT: u32 = 2;
const OPEN_ORDER: u32 = 3;
const OPEN_ORDER_STATE: u32 = 4;

/// An order of this broker, in its owner's terms, encoded. `unreachable` is of the session.
pub(crate) fn order(record: &OrderRecord, client_id: i32, unreachable: bool) -> Vec<u8> {
    let ours = v1::Order {
        client_order_id: record.client_order_id.clone(),
        owner: record.owner.clone(),
        state: record.state,
        because: record.because.clone(),
        change: record.change.as_ref().map(|change| v1::OrderChange {
            kind: change.kind,
            state: change.state,
            because: change.because.clone(),
            gateway_code: change.gateway_code,
            by: change.by.clone(),
            reason: change.reason.clone(),
        }),
        order_id: record.order_id,
        client_id,
        perm_id: record.perm_id,
        status: record.status.clone(),
        filled: record.filled.clone(),
        remaining: record.remaining.clone(),
        avg_fill_price: record.avg_fill_price,
        parent_client_order_id: record.parent_client_order_id.clone(),
        group: record.group.clone(),
        sequence: record.sequence,
        created_at: Some(timestamp(record.created_ms)),
        updated_at: Some(timestamp(record.updated_ms)),
        unreachable,
        ..v1::Order::default()
    };
    let asked = |tag| part(&record.request, tag).ok().flatten().unwrap_or_default();
    let contract = match record.told_contract.is_empty() {
        true => asked(REQUEST_CONTRACT),
        false => record.told_contract.to_vec(),
    };
    let order = match record.told_order.is_empty() {
        true => asked(REQUEST_ORDER),
        false => body::downstream(&record.told_order, &record.owner),
    };
    let parts = [
        (field::NOTICE, &record.notice[..]),
        (field::CONTRACT, &contract),
        (field::ORDER, &order),
        (field::ORDER_STATE, &record.order_state),
        (field::ORDER_STATUS, &record.order_status),
    ];
    with(&ours, &parts)
}

/// An order that somebody else placed, encoded.
pub(crate) fn foreign(foreign: &Foreign) -> Vec<u8> {
    let (told, status) = (&foreign.told, &foreign.status);
    let order = told.order.clone().unwrap_or_default();
    let state = told.order_state.clone().unwrap_or_default();
    let word = if status.status.is_some() { status.status() } else { state.status() };
    let theirs = v1::Order {
        state: meaning(word).unwrap_or(v1::OrderState::Working).into(),
        order_id: told.order_id(),
        client_id: order.client_id(),
        perm_id: order.perm_id(),
        status: word.to_owned(),
        filled: status.filled().to_owned(),
        remaining: status.remaining().to_owned(),
        avg_fill_price: status.avg_fill_price(),
        updated_at: Some(timestamp(foreign.told_ms)),
        ..v1::Order::default()
    };
    let of = |tag| part(&foreign.open_order, tag).ok().flatten().unwrap_or_default();
    let (contract, order, state) = (of(OPEN_CONTRACT), of(OPEN_ORDER), of(OPEN_ORDER_STATE));
    let parts = [
        (field::CONTRACT, &contract[..]),
        (field::ORDER, &order),
        (field::ORDER_STATE, &state),
        (field::ORDER_STATUS, &foreign.order_status),
    ];
    with(&theirs, &parts)
}

/// What is empty was never told.
fn with(order: &v1::Order, parts: &[(u32, &[u8])]) -> Vec<u8> {
    let mut out = order.encode_to_vec();
    for (tag, part) in parts.iter().filter(|(_, part)| !part.is_empty()) {
        put_part(&mut out, *tag, part);
    }
    out
}

pub(crate) fn timestamp(millis: i64) -> Timestamp {
    Timestamp {
        seconds: millis.div_euclid(1000),
        nanos: i32::try_from(millis.rem_euclid(1000)).unwrap_or(0) * 1_000_000,
    }
}
