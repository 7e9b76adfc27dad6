//! `ibouncer cancel`: one order, all of one owner, or everything of everybody.

use ibouncer_client::{Client, api};
use serde_json::json;

use super::{MASKED, rows};
use crate::args::Cancel;
use crate::exit::{Exit, Failure};
use crate::output::Output;

pub(super) async fn run(
    client: &Client,
    wishes: &Cancel,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let owner = wishes.owner.clone().unwrap_or_default();
    let reason = wishes.reason.clone().unwrap_or_default();
    if let Some(words) = &wishes.every_order {
        client.admin().cancel_every_order(words, reason).await?;
        if output.json() {
            output.value(&json!({ "cancelling": "every order" }))?;
        } else {
            output.text("A cancel of every order of the login is on its way.")?;
        }
        return Ok(Exit::Good);
    }
    let orders = match &wishes.id {
        Some(id) => {
            let request = api::CancelOrderRequest {
                client_order_id: id.clone(),
                owner,
                reason,
                ..Default::default()
            };
            vec![client.orders().cancel_with(request).await?]
        }
        None => client.orders().cancel_all(owner, reason).await?,
    };
    if output.json() {
        let list: Vec<_> = orders.iter().map(|one| rows::as_json(one, &MASKED)).collect();
        output.value(&json!({ "orders": list }))?;
    } else if orders.is_empty() {
        output.text("No order was open.")?;
    } else {
        for order in &orders {
            let line = format!(
                "{}  {}  {}",
                order.client_order_id,
                rows::state(order),
                rows::change(order)
            );
            output.text(line.trim_end())?;
        }
    }
    Ok(Exit::Good)
}
