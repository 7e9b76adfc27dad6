//! `ibouncer place`: one order, or its preview.

use ibouncer_client::{Client, Outcome, order, tws};
use serde_json::json;

use super::say;
use crate::args::{Action, Place};
use crate::exit::{Exit, Failure};
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
    let named = order::named(name, contract_of(&wishes.symbol.symbol), order_of(wishes));
    if wishes.preview {
        let request = named.request.unwrap_or_default();
        return preview(client, request, output).await;
    }
    let mut handle = client.orders().place(named).await?;
    if wishes.wait {
        let outcome = handle.outcome().await?;
        say(outcome.order(), "", output)?;
        return Ok(match outcome {
            Outcome::Filled(_) | Outcome::Cancelled(_) => Exit::Good,
            Outcome::Rejected(_) | Outcome::NotSent(_) => Exit::Usage,
            Outcome::Unknown(_) => Exit::NotReady,
        });
    }
    say(handle.order(), "", output)?;
    Ok(Exit::Good)
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
        account: wishes.account.clone(),
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
