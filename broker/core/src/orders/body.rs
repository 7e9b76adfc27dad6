//! Bodies of orders between the client's terms and Gateway's: ids, names that all of the account
//! share, our tag. Everything else passes as it is.
//!
//! In the client's terms an order has no ids of Gateway, its `ocaGroup` is its own, and its
//! `orderRef` is what the client wrote. Source of the fields: protocol fact sheet, section 4.1.
//!
//! Read on in `body/patch.rs` (fields of an encoded message), `body/figures.rs` (its numbers) and
//! `body/versions.rs` (what older Gateways do not know).

pub(super) mod figures;
pub(super) mod patch;
pub(super) mod versions;

use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use crate::error::{self, Error};
use patch::{Field, Put, fields, part, patched};

/// Fields of `PlaceOrderRequest`.
const ORDER_ID: u32 = 1;
const ORDER: u32 = 3;
const ATTACHED: u32 = 4;

/// Fields of `Order`.
mod order {
    pub(super) const CLIENT_ID: u32 = 1;
    pub(super) const ORDER_ID: u32 = 2;
    pub(super) const PERM_ID: u32 = 3;
    pub(super) const PARENT_ID: u32 = 4;
    pub(super) const ACCOUNT: u32 = 12;
    pub(super) const OCA_GROUP: u32 = 27;
    pub(super) const ORDER_REF: u32 = 28;
    pub(super) const WHAT_IF: u32 = 65;
    pub(super) const TRANSMIT: u32 = 66;
    pub(super) const PARENT_PERM_ID: u32 = 121;
}

/// Fields of `AttachedOrders`.
mod attached {
    pub(super) const STOP_LOSS_ID: u32 = 1;
    pub(super) const PROFIT_TAKER_ID: u32 = 3;
}

/// Ids that an order has at Gateway; 0 is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct UpstreamIds {
    pub(crate) order: i32,
    pub(crate) parent: i32,
    pub(crate) stop_loss: i32,
    pub(crate) profit_taker: i32,
}

/// Whether an order is meant, or only asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose<'a> {
    Place,
    /// A change of an order that Gateway has put into this group: it makes one of the exits of a
    /// bracket by itself, and its name comes back as it was told.
    Change {
        group: &'a str,
    },
    WhatIf,
}

/// A new order of a client, checked for what it may not say.
pub(crate) fn checked(body: &[u8]) -> Result<tws::PlaceOrderRequest, Error> {
    let request = checked_change(body)?;
    let order = request.order.as_ref();
    let parent = order.map_or(0, tws::Order::parent_perm_id);
    for (what, id) in [
        ("request.order_id", i64::from(request.order_id())),
        ("request.order.order_id", order.map_or(0, tws::Order::order_id).into()),
        ("request.order.parent_id", order.map_or(0, tws::Order::parent_id).into()),
        // What some clients write where there is none.
        ("request.order.parent_perm_id", if parent == i64::MAX { 0 } else { parent }),
    ] {
        if id != 0 {
            return Err(error::invalid(format!(
                "{what} is {id}: the broker gives the ids, leave it empty; a parent is named by \
                 parent_client_order_id"
            )));
        }
    }
    Ok(request)
}

/// A change: an order as it was told may come back, with ids that mean nothing here.
pub(crate) fn checked_change(body: &[u8]) -> Result<tws::PlaceOrderRequest, Error> {
    let request = tws::PlaceOrderRequest::decode(body)
        .map_err(|error| error::invalid(format!("request could not be read: {error}")))?;
    let Some(order) = &request.order else {
        return Err(error::invalid("request.order is missing"));
    };
    crate::checks::contract(request.contract.as_ref())?;
    crate::checks::one_of("order.action", order.action(), &["BUY", "SELL", "SSHORT", "SLONG"])?;
    crate::checks::needed("order.order_type", order.order_type(), "LMT")?;
    figures::check(request.contract.as_ref().unwrap_or(&tws::Contract::default()), order)?;
    let legs = request.contract.iter().flat_map(|contract| &contract.combo_legs);
    let by_legs = legs.into_iter().any(|leg| figures::set(leg.per_leg_price).is_some());
    if order.order_type() == "LMT" && figures::set(order.lmt_price).is_none() && !by_legs {
        return Err(error::invalid("request.order.lmt_price is missing: a LMT order needs it"));
    }
    if is_tag(order.order_ref()) {
        return Err(error::invalid(format!(
            "request.order.order_ref begins with {TAG:?}, which is how the broker finds its orders \
             again: choose another one"
        )));
    }
    if order.what_if() {
        return Err(error::invalid(
            "request.order.what_if is set: PreviewOrder asks without placing; PlaceOrder places",
        ));
    }
    Ok(request)
}

/// The body for Gateway. `tag` is written where the client left `orderRef` empty.
pub(crate) fn upstream(
    body: &[u8],
    ids: UpstreamIds,
    owner: &str,
    tag: &str,
    purpose: Purpose<'_>,
) -> Result<Vec<u8>, prost::DecodeError> {
    let order_body = part(body, ORDER)?.unwrap_or_default();
    let order = tws::Order::decode(&order_body[..])?;
    let mut puts = vec![
        (order::CLIENT_ID, Put::Nothing),
        (order::ORDER_ID, Put::id(ids.order)),
        (order::PERM_ID, Put::Nothing),
        (order::PARENT_ID, if ids.parent == 0 { Put::Nothing } else { Put::id(ids.parent) }),
        (order::PARENT_PERM_ID, Put::Nothing),
        (order::WHAT_IF, Put::Number(u64::from(purpose == Purpose::WhatIf))),
    ];
    let gateways = matches!(purpose, Purpose::Change { group } if group == order.oca_group());
    if !order.oca_group().is_empty() && !gateways {
        let group = format!("{owner}{OWNER_MARK}{}", order.oca_group());
        puts.push((order::OCA_GROUP, Put::text(&group)));
    }
    if order.order_ref().is_empty() {
        puts.push((order::ORDER_REF, Put::text(tag)));
    }
    if order.transmit.is_none() {
        // Absent means false on the wire, and true in every client library.
        puts.push((order::TRANSMIT, Put::Number(1)));
    }
    let order_body = patched(&order_body, &puts)?;
    let mut puts = vec![(ORDER_ID, Put::id(ids.order)), (ORDER, Put::Bytes(order_body))];
    if let Some(attached_body) = part(body, ATTACHED)? {
        let given = |id| if id == 0 { Put::Nothing } else { Put::id(id) };
        let ids = [
            (attached::STOP_LOSS_ID, given(ids.stop_loss)),
            (attached::PROFIT_TAKER_ID, given(ids.profit_taker)),
        ];
        puts.push((ATTACHED, Put::Bytes(patched(&attached_body, &ids)?)));
    }
    patched(body, &puts)
}

/// The same with the account of the request before, unless it names one itself.
pub(crate) fn with_account_of(body: &[u8], before: &[u8]) -> Result<Vec<u8>, prost::DecodeError> {
    let account = |body: &[u8]| -> Result<String, prost::DecodeError> {
        let request = tws::PlaceOrderRequest::decode(body)?;
        Ok(request.order.and_then(|order| order.account).unwrap_or_default())
    };
    let (named, known) = (account(body)?, account(before)?);
    if !named.is_empty() || known.is_empty() {
        return Ok(body.to_vec());
    }
    let order_body = part(body, ORDER)?.unwrap_or_default();
    let order_body = patched(&order_body, &[(order::ACCOUNT, Put::text(&known))])?;
    patched(body, &[(ORDER, Put::Bytes(order_body))])
}

/// The same with the order's fields of the request before that this build does not know, unless it
/// has them itself: a client of an older build reads such an order and writes it without them.
pub(crate) fn with_unknown_of(body: &[u8], before: &[u8]) -> Result<Vec<u8>, prost::DecodeError> {
    let before = part(before, ORDER)?.unwrap_or_default();
    let known = tws::Order::decode(&before[..])?.encode_to_vec();
    let mut order_body = part(body, ORDER)?.unwrap_or_default();
    let has = |fields: &[Field<'_>], wanted: u32| fields.iter().any(|(tag, ..)| *tag == wanted);
    let (known, asked) = (fields(&known)?, fields(&order_body)?);
    let missing: Vec<&[u8]> = fields(&before)?
        .into_iter()
        .filter(|(tag, ..)| !has(&known, *tag) && !has(&asked, *tag))
        .map(|(_, whole, _)| whole)
        .collect();
    let missing = missing.concat();
    order_body.extend_from_slice(&missing);
    patched(body, &[(ORDER, Put::Bytes(order_body))])
}

/// An order of Gateway in its owner's terms, byte for byte but for what only we have put there.
pub(crate) fn downstream(body: &[u8], owner: &str) -> Vec<u8> {
    let Ok(order) = tws::Order::decode(body) else {
        return body.to_vec();
    };
    let mut puts = Vec::new();
    if let Some(own) = own_group(order.oca_group(), owner) {
        puts.push((order::OCA_GROUP, Put::text(own)));
    }
    if is_tag(order.order_ref()) {
        puts.push((order::ORDER_REF, Put::Nothing));
    }
    patched(body, &puts).unwrap_or_else(|_| body.to_vec())
}

/// Between an owner and the name of its group. Names of clients have no such sign.
pub(super) const OWNER_MARK: &str = "~";

pub(super) fn own_group<'a>(group: &'a str, owner: &str) -> Option<&'a str> {
    group.strip_prefix(owner)?.strip_prefix(OWNER_MARK)
}

/// Our tag in `orderRef`: it finds an order again whose id Gateway does not tell.
pub(crate) fn tag(journal_id: &str, order_id: i32) -> String {
    format!("{TAG}{journal_id}:{order_id}")
}

const TAG: &str = "ibouncer:";

/// Did we write this?
pub(crate) fn is_tag(order_ref: &str) -> bool {
    order_ref.starts_with(TAG)
}

/// The order id in a tag of this journal.
pub(crate) fn tagged(order_ref: &str, journal_id: &str) -> Option<i32> {
    order_ref.strip_prefix(TAG)?.strip_prefix(journal_id)?.strip_prefix(':')?.parse().ok()
}

/// Does a frame that is about to leave ask only? The last look before it does.
pub(crate) fn asks_only(frame_body: &[u8]) -> bool {
    tws::PlaceOrderRequest::decode(frame_body)
        .is_ok_and(|request| request.order.is_some_and(|order| order.what_if()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> tws::PlaceOrderRequest {
        tws::PlaceOrderRequest {
            contract: Some(tws::Contract {
                symbol: Some("AAPL".into()),
                sec_type: Some("STK".into()),
                exchange: Some("SMART".into()),
                currency: Some("USD".into()),
                ..Default::default()
            }),
            order: Some(tws::Order {
                action: Some("BUY".into()),
                order_type: Some("LMT".into()),
                total_quantity: Some("10".into()),
                lmt_price: Some(1.5),
                oca_group: Some("exit".into()),
                ..Default::default()
            }),
            attached_orders: Some(tws::AttachedOrders {
                sl_order_type: Some("PRESET".into()),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn what_an_older_build_cannot_write_stays_in_a_changed_order() {
        let field_9998 = [0xf2, 0xf0, 0x04, 2];
        let order = |price: f64, unknown: &[u8]| {
            let mut order = request().order.unwrap();
            order.lmt_price = Some(price);
            let order = Put::Bytes([&order.encode_to_vec()[..], unknown].concat());
            patched(&request().encode_to_vec(), &[(ORDER, order)]).unwrap()
        };
        let before = order(1.5, &[&field_9998[..], &[1, 2]].concat());
        let unknown = |body: &[u8]| {
            let order = part(body, ORDER).unwrap().unwrap();
            patch::parts(&order, 9998).unwrap().concat()
        };
        let changed = with_unknown_of(&order(2.5, &[]), &before).unwrap();
        assert_eq!(unknown(&changed), [1, 2]);
        let read = tws::PlaceOrderRequest::decode(&changed[..]).unwrap().order.unwrap();
        assert_eq!(read.lmt_price(), 2.5);
        let named = order(2.5, &[&field_9998[..], &[3, 4]].concat());
        assert_eq!(unknown(&with_unknown_of(&named, &before).unwrap()), [3, 4]);
    }

    #[test]
    fn ids_and_shared_names_are_rewritten_both_ways() {
        let body = request().encode_to_vec();
        let ids = UpstreamIds { order: 17, parent: 16, stop_loss: 18, profit_taker: 0 };
        let up = upstream(&body, ids, "momentum", "ibouncer:j1:17", Purpose::Place).unwrap();
        let up = tws::PlaceOrderRequest::decode(&up[..]).unwrap();
        let order = up.order.clone().unwrap();
        assert_eq!((up.order_id(), order.order_id(), order.parent_id()), (17, 17, 16));
        assert_eq!(order.oca_group(), "momentum~exit");
        assert_eq!(order.order_ref(), "ibouncer:j1:17");
        assert!(order.transmit() && !order.what_if());
        assert_eq!(up.attached_orders.unwrap().sl_order_id(), 18);
        let down = downstream(&order.encode_to_vec(), "momentum");
        let down = tws::Order::decode(&down[..]).unwrap();
        assert_eq!((down.oca_group(), down.order_ref()), ("exit", ""));
        assert_eq!(tagged("ibouncer:j1:17", "j1"), Some(17));
        assert_eq!(tagged("ibouncer:j2:17", "j1"), None);
    }

    #[test]
    fn the_group_that_gateway_has_made_comes_back_as_it_was_told() {
        let told = |group: &str| {
            let mut request = request();
            let order = request.order.as_mut().unwrap();
            order.oca_group = Some(group.into());
            // Told of a child; whose it is goes by the order id.
            order.parent_perm_id = Some(3_000_000_001);
            request.encode_to_vec()
        };
        let ids = UpstreamIds { order: 1, ..UpstreamIds::default() };
        let purpose = Purpose::Change { group: "3000000004" };
        for (asked, left) in [("3000000004", "3000000004"), ("exit", "m~exit"), ("", "")] {
            let up = upstream(&told(asked), ids, "m", "t", purpose).unwrap();
            let order = tws::PlaceOrderRequest::decode(&up[..]).unwrap().order.unwrap();
            assert_eq!((order.oca_group(), order.parent_perm_id()), (left, 0), "{asked}");
        }
    }

    #[test]
    fn a_ref_of_the_client_and_a_held_order_stay_as_they_are() {
        let mut request = request();
        let order = request.order.as_mut().unwrap();
        order.order_ref = Some("mine".into());
        order.transmit = Some(false);
        let ids = UpstreamIds { order: 1, ..UpstreamIds::default() };
        let up = upstream(&request.encode_to_vec(), ids, "m", "t", Purpose::Place).unwrap();
        let order = tws::PlaceOrderRequest::decode(&up[..]).unwrap().order.unwrap();
        assert_eq!((order.order_ref(), order.transmit()), ("mine", false));
    }

    #[test]
    fn a_preview_asks_only_and_a_placement_never() {
        let body = request().encode_to_vec();
        let ids = UpstreamIds { order: 1, ..UpstreamIds::default() };
        for (purpose, asks) in [(Purpose::WhatIf, true), (Purpose::Place, false)] {
            assert_eq!(asks_only(&upstream(&body, ids, "m", "t", purpose).unwrap()), asks);
        }
    }

    #[test]
    fn what_an_order_may_not_say_is_refused_with_its_field() {
        let refused = |change: &dyn Fn(&mut tws::PlaceOrderRequest)| {
            let mut request = request();
            change(&mut request);
            checked(&request.encode_to_vec()).unwrap_err().message
        };
        let order = |change: fn(&mut tws::Order)| {
            refused(&|request| change(request.order.as_mut().unwrap()))
        };
        assert!(order(|order| order.what_if = Some(true)).contains("PreviewOrder"));
        assert!(order(|order| order.order_ref = Some("ibouncer:x:1".into())).contains("order_ref"));
        assert!(order(|order| order.action = Some("HOLD".into())).contains("action"));
        assert!(order(|order| order.total_quantity = Some("0".into())).contains("quantity"));
        assert!(order(|order| order.lmt_price = None).contains("lmt_price"));
        assert!(order(|order| order.parent_id = Some(4)).contains("parent_client_order_id"));
        let by_perm_id = order(|order| order.parent_perm_id = Some(3_000_000_001));
        assert!(by_perm_id.contains("parent_perm_id is 3000000001"), "{by_perm_id}");
        assert!(order(|order| order.lmt_price = Some(f64::MAX)).contains("lmt_price is missing"));
        assert!(refused(&|request| request.order_id = Some(4)).contains("order_id"));
        assert!(refused(&|request| request.contract = None).contains("contract"));
    }
}
