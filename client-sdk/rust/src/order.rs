//! Short ways to write the usual orders. Any field can still be set afterwards:
//!
//! ```
//! use ibouncer_client::{order, tws::Order};
//!
//! let gtc = Order { tif: Some("GTC".into()), ..order::limit("BUY", "100", 187.5) };
//! ```

use crate::api::NewOrder;
use crate::tws::{Contract, Order, PlaceOrderRequest};

/// At the market. `action` is `"BUY"` or `"SELL"`; quantities are decimal strings.
pub fn market(action: impl Into<String>, quantity: impl Into<String>) -> Order {
    order("MKT", action, quantity)
}

/// At this price or better.
pub fn limit(action: impl Into<String>, quantity: impl Into<String>, price: f64) -> Order {
    Order { lmt_price: Some(price), ..order("LMT", action, quantity) }
}

/// At the market once this price is touched.
pub fn stop(action: impl Into<String>, quantity: impl Into<String>, price: f64) -> Order {
    Order { aux_price: Some(price), ..order("STP", action, quantity) }
}

/// An order under a name of its own, for [`Orders::place`](crate::Orders::place).
///
/// The name is the order's for ever: choose it before the call, so that the call can be made again
/// when it is not known whether it arrived.
pub fn named(client_order_id: impl Into<String>, contract: Contract, order: Order) -> NewOrder {
    let request =
        PlaceOrderRequest { contract: Some(contract), order: Some(order), ..Default::default() };
    NewOrder {
        client_order_id: client_order_id.into(),
        request: Some(request),
        ..NewOrder::default()
    }
}

/// An entry with a stop and a target, of which one cancels the other: one unit for
/// [`Orders::place_group`](crate::Orders::place_group). The names are `NAME`, `NAME.stop` and
/// `NAME.target`.
pub fn bracket(
    name: &str,
    contract: Contract,
    entry: Order,
    stop_price: f64,
    target_price: f64,
) -> Vec<NewOrder> {
    let exit = if entry.action() == "BUY" { "SELL" } else { "BUY" };
    let quantity = entry.total_quantity().to_owned();
    let account = entry.account.clone();
    let held = |order: Order, transmit| Order {
        transmit: Some(transmit),
        account: account.clone(),
        ..order
    };
    let child = |suffix: &str, order| NewOrder {
        parent_client_order_id: name.to_owned(),
        ..named(format!("{name}.{suffix}"), contract.clone(), order)
    };
    vec![
        named(name, contract.clone(), held(entry, false)),
        child("target", held(limit(exit, quantity.clone(), target_price), false)),
        child("stop", held(stop(exit, quantity, stop_price), true)),
    ]
}

fn order(kind: &str, action: impl Into<String>, quantity: impl Into<String>) -> Order {
    Order {
        order_type: Some(kind.into()),
        action: Some(action.into()),
        total_quantity: Some(quantity.into()),
        ..Order::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bracket_is_held_back_until_its_last_order() {
        let orders = bracket("a", Contract::default(), limit("BUY", "10", 5.0), 4.0, 6.0);
        let parts: Vec<_> = orders
            .iter()
            .map(|one| {
                let order = one.request.as_ref().unwrap().order.as_ref().unwrap();
                (one.client_order_id.as_str(), order.action(), order.transmit())
            })
            .collect();
        let expected = [("a", "BUY", false), ("a.target", "SELL", false), ("a.stop", "SELL", true)];
        assert_eq!(parts, expected);
        assert!(orders[1..].iter().all(|one| one.parent_client_order_id == "a"));
    }
}
