//! Orders as the public API shows them.

use ibouncer_proto::api::v1;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;
use prost_types::Timestamp;

use super::body;
use super::book::Foreign;
use super::journal::OrderRecord;
use super::order::meaning;

/// An order of this broker, in its owner's terms.
pub(crate) fn order(record: &OrderRecord, client_id: i32) -> v1::Order {
    let request = tws::PlaceOrderRequest::decode(&record.request[..]).unwrap_or_default();
    let told = match record.told_order.is_empty() {
        true => None,
        false => tws::Order::decode(&record.told_order[..]).ok(),
    };
    let told = told.map(|order| body::downstream(order, &record.owner));
    v1::Order {
        client_order_id: record.client_order_id.clone(),
        owner: record.owner.clone(),
        state: record.state,
        because: record.because.clone(),
        change: record.change.as_ref().map(|change| v1::OrderChange {
            kind: change.kind,
            state: change.state,
            because: change.because.clone(),
            gateway_code: change.gateway_code,
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
        notice: decoded(&record.notice),
        // Of the session, not of the order: see Desk::shown.
        unreachable: false,
        contract: decoded(&record.told_contract).or(request.contract),
        order: told.or(request.order),
        order_state: decoded(&record.order_state),
        order_status: decoded(&record.order_status),
    }
}

/// An order that somebody else placed.
pub(crate) fn foreign(foreign: &Foreign) -> v1::Order {
    let (told, status) = (&foreign.told, &foreign.status);
    let order = told.order.clone().unwrap_or_default();
    let state = told.order_state.clone().unwrap_or_default();
    let word = if status.status.is_some() { status.status() } else { state.status() };
    v1::Order {
        state: meaning(word).unwrap_or(v1::OrderState::Working).into(),
        order_id: told.order_id(),
        client_id: order.client_id(),
        perm_id: order.perm_id(),
        status: word.to_owned(),
        filled: status.filled().to_owned(),
        remaining: status.remaining().to_owned(),
        avg_fill_price: status.avg_fill_price(),
        contract: told.contract.clone(),
        order: Some(order),
        order_state: Some(state),
        order_status: Some(status.clone()).filter(|status| status.status.is_some()),
        ..v1::Order::default()
    }
}

/// An execution without our tag.
pub(crate) fn execution(told: &[u8]) -> Option<tws::ExecutionDetails> {
    let mut told = tws::ExecutionDetails::decode(told).ok()?;
    if let Some(execution) = &mut told.execution {
        execution.order_ref.take_if(|text| body::is_tag(text));
    }
    Some(told)
}

pub(crate) fn timestamp(millis: i64) -> Timestamp {
    Timestamp {
        seconds: millis.div_euclid(1000),
        nanos: i32::try_from(millis.rem_euclid(1000)).unwrap_or(0) * 1_000_000,
    }
}

fn decoded<T: prost::Message + Default>(bytes: &[u8]) -> Option<T> {
    if bytes.is_empty() { None } else { T::decode(bytes).ok() }
}
