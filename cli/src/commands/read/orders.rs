//! `ibouncer orders`: open orders, or those that are over. For reading.
//!
//! Gateway tells of changes also while it lists the open orders. So an order may come several times,
//! and end meanwhile; here it is one row, told as it was told last, and none once it has ended.

use std::collections::HashMap;

use ibouncer_client::api::OrderScope;
use ibouncer_client::tws::{Contract, Order, OrderState};
use ibouncer_client::{Client, OpenOrders, tws};
use serde_json::{Value, json};

use super::notices;
use super::patience::patient;
use crate::args::{Orders, Whose};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::output::number::{decimal, price, quantity, set};
use crate::output::table::{Column, table};
use crate::symbol::{as_json as contract_json, name_of};

pub(super) async fn run(
    client: &Client,
    wishes: &Orders,
    output: &mut Output,
) -> Result<Exit, Failure> {
    wishes.whose.check(client).await?;
    let (rows, told) = if wishes.completed {
        let answer = patient(client.orders().completed(false), output).await?;
        (answer.value.into_iter().map(Row::completed).collect(), answer.notices)
    } else {
        let answer = patient(client.orders().open(OrderScope::All), output).await?;
        (Row::open(answer.value), answer.notices)
    };
    notices::tell(&told, output);
    let whose = &wishes.whose;
    let rows: Vec<Row> = rows;
    let rows: Vec<_> = rows.into_iter().filter(|row| whose.shows(row.order.account())).collect();
    if output.json() {
        let list: Vec<_> = rows.iter().map(|row| as_json(row, whose)).collect();
        output.value(&json!({ "orders": list }))?;
    } else if rows.is_empty() {
        let which = if wishes.completed { "completed" } else { "open" };
        output.text(&format!("No {which} orders."))?;
    } else {
        output.text(&as_text(&rows, whose))?;
        whose.remark(output);
    }
    Ok(Exit::Good)
}

/// One order, open or over.
#[derive(Debug, Default)]
struct Row {
    contract: Contract,
    order: Order,
    state: OrderState,
    /// Its newest state, if Gateway sent one.
    status: Option<tws::OrderStatus>,
}

impl Row {
    fn open(found: OpenOrders) -> Vec<Self> {
        let mut statuses: HashMap<Id, tws::OrderStatus> = HashMap::new();
        for status in found.statuses {
            if let Some(id) = Id::of(status.perm_id(), status.client_id(), status.order_id()) {
                statuses.insert(id, status);
            }
        }
        let status_of = |id: Option<Id>| id.and_then(|id| statuses.get(&id));
        let row = |open: tws::OpenOrder| {
            let order = open.order.unwrap_or_default();
            Self {
                contract: open.contract.unwrap_or_default(),
                status: None,
                state: open.order_state.unwrap_or_default(),
                order: Order { order_id: open.order_id.or(order.order_id), ..order },
            }
        };
        let mut rows = newest(found.orders.into_iter().map(row));
        for row in &mut rows {
            let status = status_of(Id::of_order(&row.order));
            row.status = status.or_else(|| status_of(Id::placed(&row.order))).cloned();
        }
        rows.retain(|row| !row.has_ended());
        rows
    }

    fn completed(done: tws::CompletedOrder) -> Self {
        Self {
            contract: done.contract.unwrap_or_default(),
            order: done.order.unwrap_or_default(),
            state: done.order_state.unwrap_or_default(),
            status: None,
        }
    }

    /// Of the two that say how it stands nobody knows which is the newer; an end is final.
    fn has_ended(&self) -> bool {
        [self.state.status(), self.status()].iter().any(|status| ENDED.contains(status))
    }

    fn status(&self) -> &str {
        self.status.as_ref().map_or(self.state.status(), tws::OrderStatus::status)
    }

    fn filled(&self) -> String {
        let filled = self.status.as_ref().map(|status| status.filled().to_owned());
        filled.or_else(|| self.order.filled_quantity.clone()).unwrap_or_default()
    }

    /// The price that decides: a limit, or else a stop.
    fn price(&self) -> String {
        let limit = set(self.order.lmt_price).filter(|price| *price != 0.0);
        let stop = set(self.order.aux_price).filter(|price| *price != 0.0);
        match (limit, stop) {
            (Some(limit), Some(stop)) => format!("{} / {}", price(Some(limit)), price(Some(stop))),
            (limit, stop) => price(limit.or(stop)),
        }
    }
}

/// What tells one order from all others: Gateway's permanent id, as soon as it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Id {
    Permanent(i64),
    /// Client id and order id.
    Placed(i32, i32),
}

impl Id {
    /// `None` where Gateway named neither.
    fn of(perm_id: i64, client_id: i32, order_id: i32) -> Option<Self> {
        match (perm_id, order_id) {
            (0, 0) => None,
            (0, _) => Some(Self::Placed(client_id, order_id)),
            _ => Some(Self::Permanent(perm_id)),
        }
    }

    fn of_order(order: &Order) -> Option<Self> {
        Self::of(order.perm_id(), order.client_id(), order.order_id())
    }

    /// As it was called before it had a permanent id.
    fn placed(order: &Order) -> Option<Self> {
        Self::of(0, order.client_id(), order.order_id())
    }
}

/// One row for each order, the last one, in the place of its first.
fn newest(told: impl Iterator<Item = Row>) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut places: HashMap<Id, usize> = HashMap::new();
    for row in told {
        let id = Id::of_order(&row.order);
        let place_of = |id: Option<Id>| id.and_then(|id| places.get(&id)).copied();
        // It may have had no permanent id when it was told first.
        let unnamed = |place: &usize| rows[*place].order.perm_id() == 0;
        let known = place_of(id).or_else(|| place_of(Id::placed(&row.order)).filter(unnamed));
        let place = match known {
            Some(place) => {
                rows[place] = row;
                place
            }
            None => {
                rows.push(row);
                rows.len() - 1
            }
        };
        if let Some(id) = id {
            places.insert(id, place);
        }
    }
    rows
}

fn as_json(row: &Row, whose: &Whose) -> Value {
    let (order, state) = (&row.order, &row.state);
    json!({
        "order_id": order.order_id,
        "perm_id": order.perm_id,
        "client_id": order.client_id,
        "account": whose.name(order.account()),
        "contract": contract_json(&row.contract),
        "action": order.action,
        "quantity": decimal(order.total_quantity()),
        "filled": decimal(&row.filled()),
        "type": order.order_type,
        "limit_price": set(order.lmt_price),
        "aux_price": set(order.aux_price),
        "tif": order.tif,
        "status": row.status(),
        "average_fill_price": row.status.as_ref().and_then(|status| set(status.avg_fill_price)),
        "order_ref": order.order_ref.clone().filter(|text| !text.is_empty()),
        "completed_time": state.completed_time.clone().filter(|text| !text.is_empty()),
        "completed_status": state.completed_status.clone().filter(|text| !text.is_empty()),
        "why_held": row.status.as_ref().map(|status| status.why_held().to_owned())
            .filter(|text| !text.is_empty()),
    })
}

fn as_text(rows: &[Row], whose: &Whose) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let order = &row.order;
            vec![
                order.perm_id().to_string(),
                whose.name(order.account()),
                name_of(&row.contract),
                order.action().to_owned(),
                quantity(order.total_quantity()),
                quantity(&row.filled()),
                order.order_type().to_owned(),
                row.price(),
                order.tif().to_owned(),
                row.status().to_owned(),
            ]
        })
        .collect();
    let columns = [
        Column::Figure("ID"),
        Column::Flexible("ACCOUNT"),
        Column::Flexible("SYMBOL"),
        Column::Text("SIDE"),
        Column::Figure("SIZE"),
        Column::Figure("FILLED"),
        Column::Text("TYPE"),
        Column::Figure("PRICE"),
        Column::Text("TIF"),
        Column::Flexible("STATUS"),
    ];
    table(&columns, &rows)
}

/// Statuses of orders that are not open any more. An INACTIVE one may work again.
const ENDED: [&str; 3] = ["Filled", "Cancelled", "ApiCancelled"];

#[cfg(test)]
mod tests {
    use ibouncer_client::contract::stock;

    use super::*;
    use crate::output::WIDTH;

    fn open() -> OpenOrders {
        let order = Order {
            perm_id: Some(1_234_567_890),
            action: Some("BUY".into()),
            total_quantity: Some("100".into()),
            order_type: Some("LMT".into()),
            lmt_price: Some(180.5),
            aux_price: Some(f64::MAX),
            tif: Some("DAY".into()),
            account: Some("DU0000001".into()),
            ..Default::default()
        };
        let status = |name: &str, filled: &str| tws::OrderStatus {
            perm_id: Some(1_234_567_890),
            status: Some(name.into()),
            filled: Some(filled.into()),
            ..Default::default()
        };
        OpenOrders {
            orders: vec![tws::OpenOrder {
                order_id: Some(7),
                contract: Some(stock("AAPL")),
                order: Some(order),
                order_state: None,
            }],
            statuses: vec![status("PreSubmitted", "0"), status("Submitted", "40")],
        }
    }

    #[test]
    fn an_order_shows_its_newest_status() {
        let rows = Row::open(open());
        let text = as_text(&rows, &Whose::default());
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("Submitted") && text.contains("180.5") && text.contains("40"));
        let json = as_json(&rows[0], &Whose::default());
        assert_eq!((&json["order_id"], &json["filled"]), (&json!(7), &json!(40)));
        assert_eq!((&json["aux_price"], &json["account"]), (&Value::Null, &json!("DU***001")));
    }

    fn told(perm_id: i64, order_id: i32, status: &str) -> tws::OpenOrder {
        tws::OpenOrder {
            order_id: Some(order_id),
            contract: Some(stock("AAPL")),
            order: Some(Order {
                perm_id: Some(perm_id),
                client_id: Some(410),
                ..Default::default()
            }),
            order_state: Some(OrderState { status: Some(status.into()), ..Default::default() }),
        }
    }

    fn listed(orders: impl Into<Vec<tws::OpenOrder>>) -> Vec<(i32, String)> {
        let rows = Row::open(OpenOrders { orders: orders.into(), ..Default::default() });
        rows.iter().map(|row| (row.order.order_id(), row.status().to_owned())).collect()
    }

    #[test]
    fn an_order_that_changes_while_it_is_listed_is_one_row_told_as_it_was_last() {
        let rows = listed([
            told(55, 5, "PreSubmitted"),
            told(66, 6, "Submitted"),
            told(0, 7, "PendingSubmit"),
            told(0, 8, "PendingSubmit"),
            told(55, 5, "Submitted"),
            told(77, 7, "PreSubmitted"),
        ]);
        let expected =
            [(5, "Submitted"), (6, "Submitted"), (7, "PreSubmitted"), (8, "PendingSubmit")];
        assert_eq!(rows, expected.map(|(id, status)| (id, status.to_owned())));
    }

    #[test]
    fn what_has_ended_meanwhile_is_not_open() {
        let rows = listed([
            told(55, 5, "Submitted"),
            told(66, 6, "Inactive"),
            told(55, 5, "Filled"),
            told(77, 7, "Cancelled"),
        ]);
        assert_eq!(rows, [(6, "Inactive".to_owned())]);
        assert_eq!(listed([told(0, 0, "Submitted"), told(0, 0, "Submitted")]).len(), 2);
        let mut ended = open();
        ended.statuses[1].status = Some("Filled".into());
        assert!(Row::open(ended).is_empty(), "its status alone says so");
    }
}
