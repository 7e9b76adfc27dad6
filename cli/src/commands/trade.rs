//! Commands that send orders, and those that say who may.

mod cancel;
mod modify;
mod place;
mod rows;
mod spared;
mod trading;
mod watch;
mod whoami;

use ibouncer_client::{Client, ConnectError, Delivery, Error, api};

use crate::args::{Orders, OrdersCommand, Trade, Whose};
use crate::exit::{Complaint, Exit, Failure};
use crate::output::Output;
use crate::output::escapes::decoded;

/// Of what was just sent, nobody asks whose account it is.
const MASKED: Whose = Whose { account: None, show_accounts: false };

pub(crate) async fn run(
    client: &Client,
    order: &Trade,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match order {
        Trade::Place(wishes) => place::run(client, wishes, output).await,
        Trade::Modify(wishes) => modify::run(client, wishes, output).await,
        Trade::Cancel(wishes) => cancel::run(client, wishes, output).await,
        Trade::Orders(wishes) => orders(client, wishes, output).await,
        Trade::Trading(order) => trading::run(client, order, output).await,
        Trade::Whoami => whoami::run(client, output).await,
    }
}

/// No connection came about, so nothing has left.
pub(crate) fn unconnected(order: &Trade, error: ConnectError) -> Failure {
    let sends = match order {
        Trade::Place(wishes) => !wishes.preview,
        Trade::Modify(_) | Trade::Cancel(_) => true,
        Trade::Orders(_) | Trade::Trading(_) | Trade::Whoami => false,
    };
    if sends { not_sent(error) } else { error.into() }
}

/// What was to be sent was not reached.
fn not_sent(error: impl Into<Complaint>) -> Failure {
    Complaint { delivery: Some(Delivery::NotSent), ..error.into() }.into()
}

/// Of a call that sends; `advice` says how to go on if it is not known whether it has left.
fn sending<T>(answer: Result<T, Error>, advice: impl FnOnce() -> String) -> Result<T, Failure> {
    answer.map_err(|error| {
        let complaint = Complaint::from(error);
        match complaint.delivery {
            Some(Delivery::MaybeSent) => complaint.next(advice()).into(),
            _ => complaint.into(),
        }
    })
}

async fn orders(client: &Client, wishes: &Orders, output: &mut Output) -> Result<Exit, Failure> {
    if let Some(OrdersCommand::Resolve { id, owner, as_what, reason }) = &wishes.order {
        let resolution = (*as_what).into();
        client.admin().resolve_order(owner, id, resolution, reason).await?;
        if output.json() {
            output.value(&serde_json::json!({ "resolved": id, "owner": owner }))?;
        } else {
            output
                .text(&format!("Order {id} of {owner} is resolved; the audit log says by whom."))?;
        }
        return Ok(Exit::Good);
    }
    if wishes.watch {
        return watch::run(client, wishes, output).await;
    }
    if wishes.mine || wishes.broker || wishes.ended {
        return rows::run(client, wishes, output).await;
    }
    super::read::orders(client, wishes, output).await
}

/// How an order stands after it was sent or changed.
fn say(order: &api::Order, change: &str, output: &mut Output) -> Result<(), Failure> {
    if output.json() {
        output.value(&rows::as_json(order, &MASKED))?;
        return Ok(());
    }
    let because = match order.because.as_str() {
        "" => String::new(),
        because => format!(": {}", decoded(because)),
    };
    let text = format!("{}  {}{because}  {change}", order.client_order_id, rows::state(order));
    output.text(text.trim_end())?;
    output.remark("Follow it: ibouncer orders --mine --watch. Cancel it: ibouncer cancel ID.");
    Ok(())
}
