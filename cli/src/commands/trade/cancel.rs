//! `ibouncer cancel`: one order, all of one owner, or everything of everybody.

use ibouncer_client::{Client, api};
use serde_json::json;

use super::{MASKED, rows, sending, spared};
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
        let answer = client.admin().cancel_every_order(words, reason).await;
        sending(answer, again)?;
        if output.json() {
            output.value(&json!({ "cancelling": "every order" }))?;
        } else {
            output.text("A cancel of every order of the login is on its way.")?;
        }
        return Ok(Exit::Good);
    }
    let (orders, spared) = match &wishes.id {
        Some(id) => {
            let request = api::CancelOrderRequest {
                client_order_id: id.clone(),
                owner,
                reason,
                ..Default::default()
            };
            (vec![sending(client.orders().cancel_with(request).await, again)?], Vec::new())
        }
        None => {
            let answer = sending(client.orders().cancel_all(owner, reason).await, again)?;
            (answer.orders, answer.spared)
        }
    };
    if output.json() {
        let list: Vec<_> = orders.iter().map(|one| rows::as_json(one, &MASKED)).collect();
        output.value(&json!({ "orders": list, "spared": spared::as_json(&spared) }))?;
    } else if orders.is_empty() && spared.is_empty() {
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
        spared::tell(&spared, output);
    }
    Ok(spared::exit(&spared))
}

fn again() -> String {
    "give the same cancel again, that is safe; `ibouncer orders --mine` shows what became of it"
        .to_owned()
}
