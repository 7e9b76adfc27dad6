//! An order of a request, read and checked by itself; and the row that becomes of it.

use std::collections::BTreeSet;
use std::time::Instant;

use bytes::Bytes;
use ibouncer_proto::api::v1::{self, OrderEventKind, OrderState as State};
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::error::{self, Error};
use crate::orders::Desk;
use crate::orders::body::patch::{part, parts};
use crate::orders::body::{self, UpstreamIds};
use crate::orders::journal::OrderRecord;

/// Most orders of a group: they leave at once, and Gateway takes 50 messages a second.
pub(super) const LARGEST_GROUP: usize = 10;

/// Longest name of an order.
const LONGEST_NAME: usize = 64;

/// An order of a request, read and checked by itself.
pub(in crate::orders) struct Placement {
    pub(in crate::orders) name: String,
    /// As it came.
    pub(in crate::orders) body: Vec<u8>,
    pub(in crate::orders) request: tws::PlaceOrderRequest,
    pub(in crate::orders) parent: String,
    pub(in crate::orders) attached: Vec<Attached>,
    pub(in crate::orders) fingerprint: Vec<u8>,
}

/// An order that Gateway is to make of another one.
pub(in crate::orders) struct Attached {
    pub(in crate::orders) role: Role,
    pub(in crate::orders) name: String,
    /// Its order type.
    pub(in crate::orders) wanted: String,
}

/// What an attached order is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::orders) enum Role {
    StopLoss,
    ProfitTaker,
}

impl Placement {
    /// Names of all orders that come of it.
    pub(in crate::orders) fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name[..]).chain(self.attached.iter().map(|one| &one.name[..]))
    }
}

impl Desk {
    /// The order that had this name never left, and makes room. One of which only a person says so
    /// is kept, under a name that no client can give: if it lives after all, it has an owner.
    pub(in crate::orders) fn free_name(&mut self, owner: &str, name: &str, now: Instant) {
        let before = self.book.named(owner, name).and_then(|id| self.book.get(id));
        match before.map(|order| (order.record.order_id, order.record.by_person)) {
            Some((id, true)) => {
                self.book.rename(id, format!("{name}#{id}"));
                self.tell(id, OrderEventKind::State, now);
            }
            _ => self.book.forget_named(owner, name),
        }
    }

    pub(in crate::orders) fn record(
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
    pub(in crate::orders) fn attached_record(
        &self,
        owner: &str,
        placement: &Placement,
        (order_id, parent_id): (i32, i32),
        attached: &Attached,
        now: Instant,
    ) -> OrderRecord {
        let parent = placement.request.order.clone().unwrap_or_default();
        let action = if parent.action() == "BUY" { "SELL" } else { "BUY" };
        let request = tws::PlaceOrderRequest {
            contract: placement.request.contract.clone(),
            order: Some(tws::Order {
                action: Some(action.into()),
                order_type: Some(attached.wanted.clone()),
                total_quantity: parent.total_quantity.clone(),
                account: parent.account.clone(),
                ..tws::Order::default()
            }),
            ..Default::default()
        };
        OrderRecord {
            order_id,
            owner: owner.to_owned(),
            client_order_id: attached.name.clone(),
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

pub(in crate::orders) fn read(raw: &Bytes, group: bool) -> Result<Vec<Placement>, Error> {
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
        let body = part(order, 2).map_err(unreadable)?.unwrap_or_default();
        let request = body::checked(&body)?;
        placements.push(Placement {
            attached: attached(&name, &request, &new)?,
            name,
            body,
            request,
            parent: new.parent_client_order_id,
            fingerprint: Sha256::digest(order).to_vec(),
        });
    }
    let mut names = BTreeSet::new();
    if let Some(twice) =
        placements.iter().flat_map(Placement::names).find(|one| !names.insert(*one))
    {
        return Err(error::invalid(format!(
            "client_order_id {twice:?} is there twice: each order of a request, and each that \
             Gateway attaches to one, needs a name of its own"
        )));
    }
    Ok(placements)
}

/// The orders that Gateway is to attach, with their names: given, or made of the order's.
fn attached(
    name: &str,
    request: &tws::PlaceOrderRequest,
    new: &v1::NewOrder,
) -> Result<Vec<Attached>, Error> {
    let wanted = request.attached_orders.clone().unwrap_or_default();
    let mut all = Vec::new();
    for (role, field, given, wanted, suffix) in [
        (
            Role::StopLoss,
            "stop_loss_client_order_id",
            &new.stop_loss_client_order_id,
            wanted.sl_order_type(),
            "sl",
        ),
        (
            Role::ProfitTaker,
            "profit_taker_client_order_id",
            &new.profit_taker_client_order_id,
            wanted.pt_order_type(),
            "pt",
        ),
    ] {
        let name = match (wanted, &given[..]) {
            ("", "") => continue,
            ("", _) => {
                let what = format!(
                    "{field} is {given:?}, and request.attached_orders has no {suffix}_order_type"
                );
                return Err(error::invalid(what));
            }
            (_, "") if name.len() + suffix.len() + 1 > LONGEST_NAME => {
                let what = format!(
                    "client_order_id has {} letters, so that the order that Gateway attaches has \
                     no room for its name, {name}.{suffix}: give it one ({field}), or the order a \
                     shorter one; names have at most {LONGEST_NAME}",
                    name.len()
                );
                return Err(error::invalid(what));
            }
            (_, "") => format!("{name}.{suffix}"),
            (_, given) => given.to_owned(),
        };
        let name = checked_name(field, &name)?;
        all.push(Attached { role, name, wanted: wanted.to_owned() });
    }
    Ok(all)
}

/// Gateway is to hold it back until another one of its group comes, or a change.
pub(in crate::orders) fn is_held(request: &tws::PlaceOrderRequest) -> bool {
    request.order.as_ref().is_some_and(|order| order.transmit == Some(false))
}

pub(in crate::orders) fn checked_name(field: &str, name: &str) -> Result<String, Error> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/".contains(&byte);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(good) {
        let shown: String = name.chars().take(LONGEST_NAME).collect();
        let cut = if shown.len() < name.len() { " …" } else { "" };
        return Err(error::invalid(format!(
            "{field} {shown:?}{cut} ({} letters) is not allowed: use 1 to {LONGEST_NAME} of \
             letters, digits and . _ - : /",
            name.chars().count()
        )));
    }
    Ok(name.to_owned())
}

pub(in crate::orders) fn unreadable(error: prost::DecodeError) -> Error {
    error::invalid(format!("the request could not be read: {error}"))
}
