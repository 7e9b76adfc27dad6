//! `ibouncer orders --watch`: what happens to orders, and what fills.

use ibouncer_client::Client;
use ibouncer_client::api::{OrderEvent, OrderEventKind, OrderScope};
use serde_json::{Value, json};

use super::rows;
use crate::args::{Orders, Whose};
use crate::commands::until::Until;
use crate::exit::{Complaint, Exit, Failure};
use crate::output::escapes::decoded;
use crate::output::text::wrap;
use crate::output::{Output, time};
use crate::symbol::name_of;

pub(super) async fn run(
    client: &Client,
    wishes: &Orders,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let scope = if wishes.mine { OrderScope::Own } else { OrderScope::All };
    let mut events = client.orders().watch(None, scope).await?;
    let mut until = Until::new(None)?;
    loop {
        let batch = tokio::select! {
            batch = events.next() => batch?,
            () = until.over() => return Ok(Exit::Good),
        };
        let Some(batch) = batch else {
            return Err(Complaint::broker_stopped().into());
        };
        for event in &batch {
            if output.json() {
                output.json_line(&as_json(event, &wishes.whose))?;
            } else {
                output.text(&as_text(event))?;
            }
        }
    }
}

fn as_json(event: &OrderEvent, whose: &Whose) -> Value {
    json!({
        "sequence": event.sequence,
        "at": event.at.as_ref().and_then(time::of).map(time::rfc3339),
        "kind": event.kind().as_str_name().trim_start_matches("ORDER_EVENT_KIND_"),
        "order": event.order.as_ref().map(|order| rows::as_json(order, whose)),
    })
}

fn as_text(event: &OrderEvent) -> String {
    let order = event.order.clone().unwrap_or_default();
    let at = event.at.as_ref().and_then(time::of);
    let at = at.map_or_else(|| "?".to_owned(), time::clock_millis);
    let asked = order.order.clone().unwrap_or_default();
    let about = format!(
        "{} {} {}",
        asked.action(),
        asked.total_quantity(),
        order.contract.as_ref().map(name_of).unwrap_or_default()
    );
    let more = match event.kind() {
        OrderEventKind::Change => {
            let because = order.change.as_ref().map(|one| one.because.clone()).unwrap_or_default();
            format!("{} {because}", rows::change(&order))
        }
        OrderEventKind::Notice => {
            let notice = order.notice.clone().unwrap_or_default();
            format!("Gateway says {}: {}", notice.error_code(), notice.error_msg())
        }
        _ => match order.filled.as_str() {
            "" | "0" => order.because.clone(),
            filled => format!("filled {filled}; {}", order.because),
        },
    };
    let more = decoded(&more);
    let owner = if order.owner.is_empty() { "-" } else { &order.owner };
    let line =
        format!("{at}  {owner}/{} {about} {} {more}", order.client_order_id, rows::state(&order));
    wrap(line.trim_end(), 14)
}

#[cfg(test)]
mod tests {
    use ibouncer_client::{api, contract, order};

    use super::*;
    use crate::output::WIDTH;

    #[test]
    fn an_event_is_told_in_words_that_fit() {
        let event = OrderEvent {
            kind: OrderEventKind::State.into(),
            order: Some(api::Order {
                client_order_id: "entry-1".into(),
                owner: "momentum".into(),
                state: api::OrderState::Unknown.into(),
                because: "the session ended: worker answered no ping for 4.0 s".into(),
                contract: Some(contract::stock("AAPL")),
                order: Some(order::market("BUY", "10")),
                filled: "4".into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let text = as_text(&event);
        assert!(text.contains("momentum/entry-1 BUY 10 AAPL UNKNOWN filled 4"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }
}
