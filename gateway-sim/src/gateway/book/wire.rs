//! Orders as clients are told of them: `openOrder`, `orderStatus`, `completedOrder`.
//!
//! What Gateway fills in where a client said nothing is as it was recorded: protocol fact sheet,
//! section 5.3.

use ibouncer_proto::tws::v1::{CompletedOrder, OpenOrder, Order, OrderState, OrderStatus};

use super::super::calendar;
use super::{Entry, Kind, OrderBook, Status, Wish};
use crate::seeds::SeedOwner;

/// An order as it is, for the client of this id.
pub(in super::super) fn open_order(entry: &Entry, client_id: i32, commission: bool) -> OpenOrder {
    let commission = (commission && entry.commission > 0.0).then_some(entry.commission);
    OpenOrder {
        order_id: Some(entry.order_id),
        contract: Some(entry.contract.clone()),
        order: Some(Order { order_id: Some(entry.order_id), ..order(entry, client_id) }),
        order_state: Some(OrderState {
            status: Some(entry.status().name().to_owned()),
            commission_and_fees_currency: commission.map(|_| "USD".to_owned()),
            commission_and_fees: commission,
            ..Default::default()
        }),
    }
}

/// How far an order is.
pub(in super::super) fn status(entry: &Entry, client_id: i32, held: Option<&str>) -> OrderStatus {
    OrderStatus {
        order_id: Some(entry.order_id),
        status: Some(entry.status().name().to_owned()),
        filled: Some(entry.filled.to_string()),
        remaining: Some(entry.remaining().to_string()),
        avg_fill_price: Some(entry.average()),
        perm_id: Some(entry.perm_id),
        parent_id: Some(entry.order.parent_id()),
        last_fill_price: Some(entry.last_price),
        client_id: Some(client_id),
        why_held: held.map(str::to_owned),
        mkt_cap_price: Some(0.0),
    }
}

/// An order that is over. It is known by its permanent id alone.
pub(in super::super) fn completed(entry: &Entry, unix: i64) -> CompletedOrder {
    let status = entry.status().name();
    let order = order(entry, 0);
    CompletedOrder {
        contract: Some(entry.contract.clone()),
        order: Some(Order {
            client_id: None,
            parent_id: None,
            filled_quantity: Some(entry.filled.to_string()),
            parent_perm_id: entry.parent,
            ..order
        }),
        order_state: Some(OrderState {
            status: Some(status.to_owned()),
            completed_time: Some(calendar::date_time(entry.ended.unwrap_or(unix))),
            completed_status: Some(format!("{status} Size: {}", entry.filled)),
            reject_reason: entry.reject_code.map(|code| format!("Error {code}")),
            ..Default::default()
        }),
    }
}

/// The answer to a question what an order would do.
pub(super) fn what_if(wish: &Wish, client_id: i32, price: f64) -> OpenOrder {
    let equity = wish.equity;
    let value = (price * wish.quantity.as_f64() * wish.traded.value_factor()).abs();
    let (margin, commission) = (value * 0.25, 1.0 + wish.quantity.as_f64() * 0.005);
    OpenOrder {
        order_id: Some(wish.order_id),
        contract: Some(wish.contract.clone()),
        order: Some(Order {
            client_id: Some(client_id),
            order_id: Some(wish.order_id),
            perm_id: Some(0),
            what_if: Some(true),
            ..with_defaults(&wish.order)
        }),
        order_state: Some(OrderState {
            status: Some(Status::PreSubmitted.name().to_owned()),
            init_margin_before: Some(0.0),
            maint_margin_before: Some(0.0),
            equity_with_loan_before: Some(equity),
            init_margin_change: Some(margin),
            maint_margin_change: Some(margin * 0.9),
            equity_with_loan_change: Some(-commission),
            init_margin_after: Some(margin),
            maint_margin_after: Some(margin * 0.9),
            equity_with_loan_after: Some(equity - commission),
            commission_and_fees: Some(commission),
            min_commission_and_fees: Some(1.0),
            max_commission_and_fees: Some(commission),
            commission_and_fees_currency: Some("USD".to_owned()),
            margin_currency: Some("USD".to_owned()),
            ..Default::default()
        }),
    }
}

impl OrderBook {
    /// Why an order does not work yet.
    pub(in super::super) fn why_held(&self, entry: &Entry) -> Option<&'static str> {
        if entry.status() != Status::PreSubmitted {
            return None;
        }
        match self.waits_for_parent(entry) {
            true => Some("child"),
            false if entry.kind.waits_for_trigger() && !entry.triggered => Some("trigger"),
            false => None,
        }
    }
}

fn order(entry: &Entry, client_id: i32) -> Order {
    let manual = entry.owner == SeedOwner::Manual;
    Order {
        client_id: Some(client_id),
        perm_id: Some(entry.perm_id),
        parent_id: Some(entry.order.parent_id()),
        total_quantity: Some(entry.quantity.to_string()),
        order_type: match entry.kind {
            Kind::Exercise => None,
            _ => entry.order.order_type.clone(),
        },
        order_ref: entry.order.order_ref.clone().filter(|_| !manual),
        ..with_defaults(&entry.order)
    }
}

fn with_defaults(order: &Order) -> Order {
    let text = |value: &Option<String>, usual: &str| {
        value.clone().filter(|value| !value.is_empty()).or_else(|| Some(usual.to_owned()))
    };
    Order {
        lmt_price: Some(order.lmt_price.filter(|price| *price < f64::MAX).unwrap_or_default()),
        aux_price: Some(order.aux_price.filter(|price| *price < f64::MAX).unwrap_or_default()),
        tif: text(&order.tif, "DAY"),
        clearing_intent: text(&order.clearing_intent, "IB"),
        oca_type: order.oca_type.filter(|oca| *oca != 0).or(Some(3)),
        exempt_code: order.exempt_code.or(Some(-1)),
        delta_neutral_order_type: text(&order.delta_neutral_order_type, "None"),
        adjusted_order_type: text(&order.adjusted_order_type, "None"),
        transmit: Some(order.transmit()),
        ..order.clone()
    }
}
