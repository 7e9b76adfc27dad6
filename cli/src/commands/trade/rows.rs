//! Orders of the broker, as rows.

use ibouncer_client::api::{Order, OrderScope};
use ibouncer_client::{Client, api};
use serde_json::{Value, json};

use crate::args::{Orders, Whose};
use crate::exit::{Exit, Failure};
use crate::output::escapes::decoded;
use crate::output::number::{decimal, price, quantity, set};
use crate::output::table::{Column, table};
use crate::output::{Output, time};
use crate::symbol::{as_json as contract_json, name_of};

pub(super) async fn run(
    client: &Client,
    wishes: &Orders,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let scope = if wishes.mine { OrderScope::Own } else { OrderScope::All };
    let (orders, _) = client.orders().list(scope, wishes.ended).await?;
    let whose = &wishes.whose;
    let orders: Vec<_> = orders.into_iter().filter(|one| whose.shows(account(one))).collect();
    if output.json() {
        let list: Vec<_> = orders.iter().map(|one| as_json(one, whose)).collect();
        output.value(&json!({ "orders": list }))?;
    } else if orders.is_empty() {
        output.text("No orders.")?;
    } else {
        output.text(&as_text(&orders))?;
        for order in orders.iter().filter(|one| one.state() == api::OrderState::Unknown) {
            output.remark(&format!(
                "{} is UNKNOWN: {}. It is looked for; `ibouncer orders resolve` if you know.",
                order.client_order_id,
                decoded(&order.because)
            ));
        }
    }
    Ok(Exit::Good)
}

pub(super) fn state(order: &Order) -> &'static str {
    order.state().as_str_name().trim_start_matches("ORDER_STATE_")
}

/// The state, and whether it can be relied on.
fn shown_state(order: &Order) -> String {
    match order.unreachable {
        true => format!("UNREACHABLE ({})", state(order)),
        false => state(order).to_owned(),
    }
}

/// What is being changed, and how far that is; empty if nothing is.
pub(super) fn change(order: &Order) -> String {
    let Some(change) = &order.change else {
        return String::new();
    };
    let kind = change.kind().as_str_name().trim_start_matches("CHANGE_KIND_").to_lowercase();
    let state = change.state().as_str_name().trim_start_matches("CHANGE_STATE_").to_lowercase();
    let by = if change.by.is_empty() { String::new() } else { format!(" by {}", change.by) };
    format!("{kind} {state}{by}")
}

fn account(order: &Order) -> &str {
    order.order.as_ref().map_or("", |order| order.account())
}

pub(super) fn as_json(order: &Order, whose: &Whose) -> Value {
    let asked = order.order.clone().unwrap_or_default();
    json!({
        "client_order_id": order.client_order_id,
        "owner": Some(&order.owner).filter(|owner| !owner.is_empty()),
        "state": state(order),
        "because": decoded(&order.because),
        "unreachable": order.unreachable,
        "change": order.change.as_ref().map(|one| json!({
            "kind": one.kind().as_str_name().trim_start_matches("CHANGE_KIND_"),
            "state": one.state().as_str_name().trim_start_matches("CHANGE_STATE_"),
            "because": decoded(&one.because),
            "gateway_code": Some(one.gateway_code).filter(|code| *code != 0),
            "by": Some(&one.by).filter(|by| !by.is_empty()),
            "reason": Some(&one.reason).filter(|reason| !reason.is_empty()),
        })),
        "order_id": order.order_id,
        "client_id": order.client_id,
        "perm_id": order.perm_id,
        "status": order.status,
        "account": whose.name(account(order)),
        "contract": order.contract.as_ref().map(contract_json),
        "action": asked.action,
        "quantity": decimal(asked.total_quantity()),
        "filled": decimal(&order.filled),
        "average_price": set(Some(order.avg_fill_price)).filter(|price| *price != 0.0),
        "type": asked.order_type,
        "limit_price": set(asked.lmt_price),
        "aux_price": set(asked.aux_price),
        "parent": Some(&order.parent_client_order_id).filter(|name| !name.is_empty()),
        "group": Some(&order.group).filter(|name| !name.is_empty()),
        "sequence": order.sequence,
        "updated_at": order.updated_at.as_ref().and_then(time::of).map(time::rfc3339),
    })
}

fn as_text(orders: &[Order]) -> String {
    let rows: Vec<_> = orders
        .iter()
        .map(|order| {
            let asked = order.order.clone().unwrap_or_default();
            let limit = set(asked.lmt_price).filter(|price| *price != 0.0);
            let stop = set(asked.aux_price).filter(|price| *price != 0.0);
            let name = match order.client_order_id.as_str() {
                "" => format!("(client {} order {})", order.client_id, order.order_id),
                name => name.to_owned(),
            };
            vec![
                name,
                order.owner.clone(),
                order.contract.as_ref().map(name_of).unwrap_or_default(),
                asked.action().to_owned(),
                quantity(asked.total_quantity()),
                price(limit.or(stop)),
                order.filled.clone(),
                shown_state(order),
                change(order),
            ]
        })
        .collect();
    let columns = [
        Column::Flexible("ID"),
        Column::Text("OWNER"),
        Column::Text("SYMBOL"),
        Column::Text("SIDE"),
        Column::Figure("QUANTITY"),
        Column::Figure("PRICE"),
        Column::Figure("FILLED"),
        Column::Text("STATE"),
        Column::Text("CHANGE"),
    ];
    table(&columns, &rows)
}

#[cfg(test)]
mod tests {
    use ibouncer_client::{contract, order};

    use super::*;

    fn shown() -> Order {
        Order {
            client_order_id: "a".into(),
            owner: "momentum".into(),
            state: api::OrderState::Working.into(),
            contract: Some(contract::stock("AAPL")),
            order: Some(api_order()),
            filled: "4".into(),
            change: Some(api::OrderChange {
                kind: api::ChangeKind::Cancel.into(),
                state: api::ChangeState::Sent.into(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn api_order() -> ibouncer_client::tws::Order {
        order::limit("BUY", "10", 187.5)
    }

    #[test]
    fn a_row_says_whose_it_is_and_how_it_stands() {
        let text = as_text(&[shown()]);
        for word in ["momentum", "AAPL", "BUY", "187.5", "WORKING", "cancel sent"] {
            assert!(text.contains(word), "{word} in {text}");
        }
        let whose = Whose { account: None, show_accounts: false };
        let value = as_json(&shown(), &whose);
        assert_eq!((value["state"].as_str(), value["filled"].as_i64()), (Some("WORKING"), Some(4)));
        assert_eq!(value["change"]["kind"], "CANCEL");
    }
}
