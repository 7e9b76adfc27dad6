//! `ibouncer place`: one order, or its preview.

use ibouncer_client::{Client, Delivery, OrderHandle, Outcome, order, tws};
use serde_json::json;

use super::{not_sent, say, sending};
use crate::args::{Action, Place, Whose};
use crate::commands::until::Until;
use crate::exit::{Complaint, Exit, Failure};
use crate::output::Output;
use crate::output::number::{money, set};
use crate::output::text::Block;
use crate::symbol::contract_of;

pub(super) async fn run(
    client: &Client,
    wishes: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let name = wishes.id.clone().unwrap_or_else(made_up);
    let mut order = order_of(wishes);
    order.account = in_full(client, wishes.account.as_deref()).await.map_err(not_sent)?;
    let named = order::named(&name, contract_of(&wishes.symbol.symbol), order);
    if wishes.preview {
        let request = named.request.unwrap_or_default();
        return preview(client, request, output).await;
    }
    let advice = || {
        format!(
            "look at {name} in `ibouncer orders --mine`, or give the same order again with \
             --id {name}: it is placed once"
        )
    };
    let (orders, mut until) = (client.orders(), Until::new(None)?);
    let mut handle = tokio::select! {
        placed = orders.place(named) => sending(placed, advice)?,
        () = until.over() => return Err(interrupted().next(advice()).into()),
    };
    if wishes.wait {
        return wait(&mut handle, &mut until, output).await;
    }
    say(handle.order(), "", output)?;
    Ok(Exit::Good)
}

/// Until its end, or the user's patience's; the order lives on without us.
async fn wait(
    handle: &mut OrderHandle,
    until: &mut Until,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let name = handle.client_order_id().to_owned();
    let outcome = tokio::select! {
        outcome = handle.outcome() => Some(outcome),
        () = until.over() => None,
    };
    let Some(outcome) = outcome else {
        say(handle.order(), "", output)?;
        return Ok(Exit::NotReady);
    };
    let outcome = outcome.map_err(|error| Complaint {
        delivery: Some(Delivery::MaybeSent),
        ..Complaint::from(error)
            .next(format!("{name} had left, and lives on: `ibouncer orders --mine` shows it"))
    })?;
    say(outcome.order(), "", output)?;
    Ok(match outcome {
        Outcome::Filled(_) | Outcome::Cancelled(_) => Exit::Good,
        Outcome::Rejected(_) | Outcome::NotSent(_) => Exit::Usage,
        Outcome::Unknown(_) => Exit::NotReady,
    })
}

fn interrupted() -> Complaint {
    Complaint {
        exit: Exit::NotReady,
        code: "INTERRUPTED".to_owned(),
        delivery: Some(Delivery::MaybeSent),
        ..Complaint::usage("the command was interrupted before the broker had answered")
    }
}

/// The account by its whole name; a masked one is looked up.
async fn in_full(client: &Client, account: Option<&str>) -> Result<Option<String>, Complaint> {
    let Some(named) = account.filter(|name| name.contains('*')) else {
        return Ok(account.map(str::to_owned));
    };
    let whose = Whose { account: Some(named.to_owned()), show_accounts: false };
    let listed = client.accounts().list().await?;
    Ok(whose.pick(listed.iter().map(|one| one.account.as_str()))?.pop())
}

fn order_of(wishes: &Place) -> tws::Order {
    let action = match wishes.action {
        Action::Buy => "BUY",
        Action::Sell => "SELL",
    };
    let quantity = wishes.quantity.clone();
    let order = match (wishes.limit, wishes.stop) {
        (None, None) => order::market(action, quantity),
        (Some(limit), None) => order::limit(action, quantity, limit),
        (None, Some(stop)) => order::stop(action, quantity, stop),
        (Some(limit), Some(stop)) => tws::Order {
            order_type: Some("STP LMT".into()),
            lmt_price: Some(limit),
            ..order::stop(action, quantity, stop)
        },
    };
    tws::Order {
        tif: Some(wishes.tif.clone()),
        outside_rth: wishes.outside_rth.then_some(true),
        ..order
    }
}

async fn preview(
    client: &Client,
    request: tws::PlaceOrderRequest,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let preview = client.orders().preview(request).await?;
    let state = preview.order_state.unwrap_or_default();
    if output.json() {
        output.value(&json!({
            "status": state.status,
            "initial_margin_change": set(state.init_margin_change),
            "initial_margin_after": set(state.init_margin_after),
            "maintenance_margin_change": set(state.maint_margin_change),
            "maintenance_margin_after": set(state.maint_margin_after),
            "equity_with_loan_after": set(state.equity_with_loan_after),
            "commission": set(state.commission_and_fees),
            "commission_min": set(state.min_commission_and_fees),
            "commission_max": set(state.max_commission_and_fees),
            "commission_currency": state.commission_and_fees_currency,
            "warning": state.warning_text,
        }))?;
        return Ok(Exit::Good);
    }
    let mut block = Block::default();
    block.line("Initial margin", &money(set(state.init_margin_after)));
    block.line("… change", &money(set(state.init_margin_change)));
    block.line("Maintenance", &money(set(state.maint_margin_after)));
    block.line("Commission", &money(set(state.commission_and_fees)));
    if let Some(warning) = state.warning_text.as_deref().filter(|text| !text.is_empty()) {
        block.line("Warning", warning);
    }
    output.text(&block.finish())?;
    output.remark("A preview: nothing was placed.");
    Ok(Exit::Good)
}

/// Unique enough for one owner, and says where it came from.
fn made_up() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!("cli-{:x}-{:x}", since.unwrap_or_default().as_millis(), std::process::id())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Args, Ask, Command, Trade};

    fn parsed(line: &str) -> tws::Order {
        let args = Args::try_parse_from(line.split(' ')).unwrap();
        match args.command {
            Command::Ask(Ask::Trade(Trade::Place(wishes))) => order_of(&wishes),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn prices_decide_the_type_of_the_order() {
        for (flags, kind) in [
            ("", "MKT"),
            (" --limit 5", "LMT"),
            (" --stop 4", "STP"),
            (" --limit 5 --stop 4", "STP LMT"),
        ] {
            let order = parsed(&format!("ibouncer place buy 10 AAPL{flags}"));
            assert_eq!((order.order_type(), order.action()), (kind, "BUY"), "{flags}");
            assert_eq!(order.tif(), "DAY");
        }
    }
}
