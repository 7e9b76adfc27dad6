//! An order of a request, read and checked by itself; and the row that becomes of it.

use std::time::Instant;

use bytes::Bytes;
use ibouncer_proto::api::v1::{self, OrderState as State};
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::Desk;
use super::body::{self, UpstreamIds};
use super::journal::OrderRecord;
use super::patch::{part, parts};
use crate::error::{self, Error};

/// Most orders of a group: they leave at once, and Gateway takes 50 messages a second.
const LARGEST_GROUP: usize = 10;

/// Longest name of an order.
const LONGEST_NAME: usize = 64;

/// An order of a request, read and checked by itself.
pub(super) struct Placement {
    pub(super) name: String,
    /// As it came.
    pub(super) body: Vec<u8>,
    pub(super) request: tws::PlaceOrderRequest,
    pub(super) parent: String,
    pub(super) stop_loss: String,
    pub(super) profit_taker: String,
    pub(super) fingerprint: Vec<u8>,
}

impl Desk {
    pub(super) fn record(
        &self,
        owner: &str,
        placement: &Placement,
        ids: UpstreamIds,
        now: Instant,
    ) -> OrderRecord {
        let order = placement.request.order.clone().unwrap_or_default();
        OrderRecord {
            order_id: ids.order,
            owner: owner.to_owned(),
            client_order_id: placement.name.clone(),
            fingerprint: placement.fingerprint.clone().into(),
            request: placement.body.clone().into(),
            state: State::Intent.into(),
            parent_id: ids.parent,
            parent_client_order_id: placement.parent.clone(),
            created_ms: self.millis(now),
            account: order.account().to_owned(),
            ..OrderRecord::default()
        }
    }

    /// An order that Gateway makes of another one, under an id that we reserve.
    pub(super) fn attached_record(
        &self,
        owner: &str,
        placement: &Placement,
        (order_id, parent_id): (i32, i32),
        name: &str,
        order_type: &str,
        now: Instant,
    ) -> OrderRecord {
        let parent = placement.request.order.clone().unwrap_or_default();
        let action = if parent.action() == "BUY" { "SELL" } else { "BUY" };
        let request = tws::PlaceOrderRequest {
            contract: placement.request.contract.clone(),
            order: Some(tws::Order {
                action: Some(action.into()),
                order_type: Some(order_type.into()),
                total_quantity: parent.total_quantity.clone(),
                account: parent.account.clone(),
                ..tws::Order::default()
            }),
            ..Default::default()
        };
        OrderRecord {
            order_id,
            owner: owner.to_owned(),
            client_order_id: name.to_owned(),
            fingerprint: placement.fingerprint.clone().into(),
            request: request.encode_to_vec().into(),
            state: State::Intent.into(),
            parent_id,
            parent_client_order_id: placement.name.clone(),
            attached_to: parent_id,
            created_ms: self.millis(now),
            account: parent.account().to_owned(),
            ..OrderRecord::default()
        }
    }
}

pub(super) fn read(raw: &Bytes, group: bool) -> Result<Vec<Placement>, Error> {
    let orders = parts(raw, 1).map_err(unreadable)?;
    if orders.is_empty() {
        return Err(error::invalid("the request has no order"));
    }
    if group && orders.len() > LARGEST_GROUP {
        return Err(error::invalid(format!(
            "a group has {} orders; at most {LARGEST_GROUP} leave in one piece",
            orders.len()
        )));
    }
    let mut placements: Vec<Placement> = Vec::new();
    let orders = if group { orders } else { vec![orders[orders.len() - 1]] };
    for order in orders {
        let new = v1::NewOrder::decode(order).map_err(unreadable)?;
        let name = checked_name("client_order_id", &new.client_order_id)?;
        if placements.iter().any(|one| one.name == name) {
            return Err(error::invalid(format!("client_order_id {name:?} is there twice")));
        }
        for (field, value) in [
            ("stop_loss_client_order_id", &new.stop_loss_client_order_id),
            ("profit_taker_client_order_id", &new.profit_taker_client_order_id),
        ] {
            if !value.is_empty() {
                checked_name(field, value)?;
            }
        }
        let body = part(order, 2).map_err(unreadable)?.unwrap_or_default();
        let request = body::checked(&body)?;
        placements.push(Placement {
            name,
            body,
            request,
            parent: new.parent_client_order_id,
            stop_loss: new.stop_loss_client_order_id,
            profit_taker: new.profit_taker_client_order_id,
            fingerprint: Sha256::digest(order).to_vec(),
        });
    }
    Ok(placements)
}

pub(super) fn checked_name(field: &str, name: &str) -> Result<String, Error> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/".contains(&byte);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(good) {
        let shown: String = name.chars().take(LONGEST_NAME).collect();
        return Err(error::invalid(format!(
            "{field} {shown:?} is not allowed: use 1 to {LONGEST_NAME} of letters, digits and \
             . _ - : /"
        )));
    }
    Ok(name.to_owned())
}

pub(super) fn unreadable(error: prost::DecodeError) -> Error {
    error::invalid(format!("the request could not be read: {error}"))
}
