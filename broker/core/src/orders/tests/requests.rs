//! What clients ask for in these tests.

use super::*;

pub(super) fn caller(who: &str) -> Caller {
    let principal = Some(who.to_owned()).filter(|who| who != "nobody");
    Caller { client: ClientId(1), name: who.into(), principal, ..Caller::default() }
}

pub(super) fn stock() -> tws::Contract {
    tws::Contract {
        symbol: Some("AAPL".into()),
        sec_type: Some("STK".into()),
        exchange: Some("SMART".into()),
        currency: Some("USD".into()),
        ..Default::default()
    }
}

pub(super) fn limit(price: f64) -> tws::PlaceOrderRequest {
    tws::PlaceOrderRequest {
        contract: Some(stock()),
        order: Some(tws::Order {
            action: Some("BUY".into()),
            order_type: Some("LMT".into()),
            total_quantity: Some("10".into()),
            lmt_price: Some(price),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(super) fn new_order(name: &str, request: tws::PlaceOrderRequest) -> v1::NewOrder {
    v1::NewOrder { client_order_id: name.into(), request: Some(request), ..Default::default() }
}

pub(super) fn place(name: &str, request: tws::PlaceOrderRequest) -> Bytes {
    v1::PlaceOrderRequest { order: Some(new_order(name, request)) }.encode_to_vec().into()
}

pub(super) fn change(name: &str, request: tws::PlaceOrderRequest) -> v1::ModifyOrderRequest {
    v1::ModifyOrderRequest {
        client_order_id: name.into(),
        request: Some(request),
        ..Default::default()
    }
}

pub(super) fn change_to(name: &str, request: tws::PlaceOrderRequest) -> OrderRequest {
    OrderRequest::Modify(change(name, request).encode_to_vec().into())
}

pub(super) fn cancel_of(request: &CancelOrderRequest) -> OrderRequest {
    OrderRequest::Cancel(request.encode_to_vec().into())
}

pub(super) fn modify(name: &str, price: f64) -> OrderRequest {
    change_to(name, limit(price))
}
