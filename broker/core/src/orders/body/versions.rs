//! Fields of orders that only newer Gateways know. An older one would leave them out without a word,
//! and place another order than was asked for: one without its stop, one that takes liquidity.
//!
//! Source: protocol fact sheet, section 3 (server versions), and what the official client refuses.

use ibouncer_proto::tws::v1 as tws;

use crate::error::{self, Error};

const ADDITIONAL_ORDER_PARAMS_1: i32 = 216;
const ADDITIONAL_ORDER_PARAMS_2: i32 = 217;
const ATTACHED_ORDERS: i32 = 218;
const HEDGE_MAX_SIZE: i32 = 223;
const CONDITIONS_INCLUDE_OVERNIGHT: i32 = 226;

/// Does a Gateway of this version know all of it? Without a session that is not asked yet.
pub(in crate::orders) fn check(
    request: &tws::PlaceOrderRequest,
    server_version: Option<i32>,
) -> Result<(), Error> {
    let Some((version, order)) = server_version.zip(request.order.as_ref()) else {
        return Ok(());
    };
    let unknown =
        fields(request, order).into_iter().find(|(since, _, is_set)| *is_set && version < *since);
    match unknown {
        None => Ok(()),
        Some((since, field, _)) => Err(error::invalid(format!(
            "request.{field} is known to Gateways of server version {since} and above, and this one \
             has {version}: it would leave it out. Update Gateway, or leave the field unset"
        ))),
    }
}

fn fields(request: &tws::PlaceOrderRequest, order: &tws::Order) -> [(i32, &'static str, bool); 10] {
    [
        (ADDITIONAL_ORDER_PARAMS_1, "order.deactivate", order.deactivate.is_some()),
        (ADDITIONAL_ORDER_PARAMS_1, "order.post_only", order.post_only.is_some()),
        (ADDITIONAL_ORDER_PARAMS_1, "order.allow_pre_open", order.allow_pre_open.is_some()),
        (
            ADDITIONAL_ORDER_PARAMS_1,
            "order.ignore_open_auction",
            order.ignore_open_auction.is_some(),
        ),
        (
            ADDITIONAL_ORDER_PARAMS_2,
            "order.route_marketable_to_bbo",
            order.route_marketable_to_bbo.is_some(),
        ),
        (
            ADDITIONAL_ORDER_PARAMS_2,
            "order.seek_price_improvement",
            order.seek_price_improvement.is_some(),
        ),
        (ADDITIONAL_ORDER_PARAMS_2, "order.what_if_type", order.what_if_type.is_some()),
        (ATTACHED_ORDERS, "attached_orders", request.attached_orders.is_some()),
        (HEDGE_MAX_SIZE, "order.hedge_max_size", order.hedge_max_size.is_some()),
        (
            CONDITIONS_INCLUDE_OVERNIGHT,
            "order.conditions_include_overnight",
            order.conditions_include_overnight.is_some(),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_gets_what_it_knows_and_the_rest_is_refused_by_name() {
        type Change = fn(&mut tws::PlaceOrderRequest, &mut tws::Order);
        for (since, field, change) in [
            (216, "order.post_only", (|_, order| order.post_only = Some(true)) as Change),
            (217, "order.what_if_type", |_, order| order.what_if_type = Some(1)),
            (218, "attached_orders", |request, _| {
                request.attached_orders = Some(tws::AttachedOrders::default());
            }),
            (223, "order.hedge_max_size", |_, order| order.hedge_max_size = Some(1)),
        ] {
            let mut request = tws::PlaceOrderRequest::default();
            let mut order = tws::Order::default();
            change(&mut request, &mut order);
            request.order = Some(order);
            assert_eq!(check(&request, Some(since)), Ok(()), "{field}");
            assert_eq!(check(&request, None), Ok(()), "{field}");
            let refused = check(&request, Some(since - 1)).unwrap_err().message;
            assert!(refused.contains(field) && refused.contains(&since.to_string()), "{refused}");
        }
        let plain = tws::Order { total_quantity: Some("1".into()), ..Default::default() };
        let plain = tws::PlaceOrderRequest { order: Some(plain), ..Default::default() };
        assert_eq!(check(&plain, Some(213)), Ok(()));
    }
}
