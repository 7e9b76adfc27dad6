//! What was refused, or asked for again, goes to the audit log as well: a line for each order.

use ibouncer_proto::api::v1;
use prost::Message as _;

use super::cancel;
use super::place::sha256;
use super::placement::LARGEST_GROUP;
use super::request::OrderRequest;
use crate::error::Error;
use crate::orders::body::patch::{part, parts};
use crate::orders::journal::Audit;
use crate::orders::{Caller, Desk, Doing};

impl Desk {
    /// Writes down that something was asked for and refused.
    pub(in crate::orders) fn refuse(
        &mut self,
        caller: &Caller,
        request: &OrderRequest,
        error: &Error,
    ) {
        for Named { what, owner, name, body } in named(request) {
            let own = caller.principal.as_deref().unwrap_or_default();
            let owner = if owner.is_empty() && !body.is_empty() { own.to_owned() } else { owner };
            let whose = if owner.is_empty() { own } else { &owner };
            let known = self.book.named(whose, &name).and_then(|id| self.book.get(id));
            self.doings.push_back(Doing::Audit(Box::new(Audit {
                what,
                result: "refused",
                reason: format!("{}: {}", error.code, error.message),
                order_id: known.map_or(0, |order| order.record.order_id),
                perm_id: known.map_or(0, |order| order.record.perm_id),
                client_order_id: name,
                owner,
                body_sha256: sha256(&body),
                ..Audit::by(caller)
            })));
        }
    }

    /// Writes down that a call was made again.
    pub(super) fn repeated(&mut self, audit: Audit) {
        let audit = Audit { result: "repeated", ..audit };
        self.doings.push_back(Doing::Audit(Box::new(audit)));
    }
}

/// What a request is about.
struct Named {
    what: &'static str,
    owner: String,
    name: String,
    /// What would have left.
    body: Vec<u8>,
}

/// Nothing for what only looks. Of a request that cannot be read, as much as can be.
fn named(request: &OrderRequest) -> Vec<Named> {
    let inside = |raw: &[u8], tag| part(raw, tag).ok().flatten().unwrap_or_default();
    let placed = |order: &[u8]| {
        let name = v1::NewOrder::decode(order).unwrap_or_default().client_order_id;
        Named { what: "PlaceOrder", owner: String::new(), name, body: inside(order, 2) }
    };
    let about = |what, owner: &str, name: &str| Named {
        what,
        owner: owner.to_owned(),
        name: name.to_owned(),
        body: Vec::new(),
    };
    let one = match request {
        OrderRequest::Place(raw) => placed(&inside(raw, 1)),
        OrderRequest::PlaceGroup(raw) => {
            let orders = parts(raw, 1).unwrap_or_default();
            // One that is too large is refused as a whole, and fills no disk.
            if (1..=LARGEST_GROUP).contains(&orders.len()) {
                return orders.into_iter().map(placed).collect();
            }
            placed(orders.first().copied().unwrap_or_default())
        }
        OrderRequest::Modify(raw) => {
            let asked = v1::ModifyOrderRequest::decode(&raw[..]).unwrap_or_default();
            let body = inside(raw, 2);
            Named { body, ..about("ModifyOrder", &asked.owner, &asked.client_order_id) }
        }
        OrderRequest::Preview(raw) => {
            Named { body: inside(raw, 1), ..about("PreviewOrder", "", "") }
        }
        OrderRequest::Exercise(raw) => {
            let asked = v1::ExerciseOptionsRequest::decode(&raw[..]).unwrap_or_default();
            let body = inside(raw, 2);
            Named { body, ..about("ExerciseOptions", "", &asked.client_order_id) }
        }
        OrderRequest::Cancel(raw) => {
            let asked = v1::CancelOrderRequest::decode(&raw[..]).unwrap_or_default();
            let body = inside(raw, cancel::DETAILS);
            Named { body, ..about("CancelOrder", &asked.owner, &asked.client_order_id) }
        }
        OrderRequest::CancelAll(asked) => about("CancelAllOrders", &asked.owner, ""),
        OrderRequest::Halt(asked) => about("HaltTrading", &asked.client, ""),
        OrderRequest::Resume(asked) => about("ResumeTrading", &asked.client, ""),
        OrderRequest::AdoptState(_) => about("AdoptTradingState", "", ""),
        OrderRequest::Resolve(asked) => about("ResolveOrder", &asked.owner, &asked.client_order_id),
        OrderRequest::CancelEvery(_) => about("CancelEveryOrder", "", ""),
        OrderRequest::Get(asked) => about("GetOrder", &asked.owner, &asked.client_order_id),
        OrderRequest::List(_) | OrderRequest::Watch { .. } | OrderRequest::WhoAmI => {
            return Vec::new();
        }
    };
    vec![one]
}
