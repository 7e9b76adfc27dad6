//! `ibouncer executions`: what was traded, and what it cost.

use ibouncer_client::api::OrderScope;
use ibouncer_client::tws::{CommissionAndFeesReport, ExecutionDetails, ExecutionFilter};
use ibouncer_client::{Client, Executions as Found};
use serde_json::{Value, json};

use super::notices;
use super::patience::patient;
use crate::args::{Executions, Whose};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::output::number::{decimal, money, price, quantity, set};
use crate::output::table::{Column, table};
use crate::symbol::{as_json as contract_json, contract_of, name_of};

pub(super) async fn run(
    client: &Client,
    wishes: &Executions,
    output: &mut Output,
) -> Result<Exit, Failure> {
    wishes.whose.check(client).await?;
    let filter = ExecutionFilter {
        symbol: wishes.symbol.as_deref().map(|symbol| contract_of(symbol).symbol().to_owned()),
        last_n_days: wishes.days,
        ..Default::default()
    };
    let mut answer = patient(client.orders().executions(filter, OrderScope::All), output).await?;
    notices::tell(&answer.notices, output);
    let whose = &wishes.whose;
    answer.executions.retain(|one| whose.shows(account_of(one)));
    if output.json() {
        output.value(&as_json(&answer, whose))?;
    } else if answer.executions.is_empty() {
        output.text("No executions.")?;
    } else {
        output.text(&as_text(&answer, whose))?;
        whose.remark(output);
    }
    Ok(Exit::Good)
}

fn account_of(details: &ExecutionDetails) -> &str {
    details.execution.as_ref().map_or("", |execution| execution.acct_number())
}

fn cost_of<'a>(found: &'a Found, exec_id: &str) -> Option<&'a CommissionAndFeesReport> {
    found.commissions.iter().find(|report| report.exec_id() == exec_id)
}

fn as_json(found: &Found, whose: &Whose) -> Value {
    let list: Vec<_> = found
        .executions
        .iter()
        .map(|details| {
            let execution = details.execution.clone().unwrap_or_default();
            let cost = cost_of(found, execution.exec_id());
            json!({
                "time": execution.time,
                "exec_id": execution.exec_id,
                "account": whose.name(execution.acct_number()),
                "contract": details.contract.as_ref().map(contract_json),
                "side": execution.side,
                "shares": decimal(execution.shares()),
                "price": set(execution.price),
                "exchange": execution.exchange,
                "order_id": execution.order_id,
                "perm_id": execution.perm_id,
                "client_id": execution.client_id,
                "order_ref": execution.order_ref.clone().filter(|text| !text.is_empty()),
                "commission": cost.and_then(|cost| set(cost.commission_and_fees)),
                "commission_currency": cost.and_then(|cost| cost.currency.clone()),
                "realized_pnl": cost.and_then(|cost| set(cost.realized_pnl)),
            })
        })
        .collect();
    json!({ "executions": list })
}

fn as_text(found: &Found, whose: &Whose) -> String {
    let rows: Vec<_> = found
        .executions
        .iter()
        .map(|details| {
            let execution = details.execution.clone().unwrap_or_default();
            let cost = cost_of(found, execution.exec_id());
            vec![
                execution.time().to_owned(),
                whose.name(execution.acct_number()),
                name_of(&details.contract.clone().unwrap_or_default()),
                execution.side().to_owned(),
                quantity(execution.shares()),
                price(execution.price),
                money(cost.and_then(|cost| cost.commission_and_fees)),
                money(cost.and_then(|cost| cost.realized_pnl)),
            ]
        })
        .collect();
    let columns = [
        Column::Flexible("TIME"),
        Column::Flexible("ACCOUNT"),
        Column::Flexible("SYMBOL"),
        Column::Text("SIDE"),
        Column::Figure("SHARES"),
        Column::Figure("PRICE"),
        Column::Figure("COST"),
        Column::Figure("REALIZED"),
    ];
    table(&columns, &rows)
}

#[cfg(test)]
mod tests {
    use ibouncer_client::contract::stock;
    use ibouncer_client::tws::Execution;

    use super::*;
    use crate::output::WIDTH;

    #[test]
    fn an_execution_stands_with_its_cost() {
        let execution = Execution {
            exec_id: Some("0001.01".into()),
            time: Some("20260301 09:31:07 US/Eastern".into()),
            acct_number: Some("DU0000001".into()),
            side: Some("BOT".into()),
            shares: Some("100".into()),
            price: Some(189.12),
            ..Default::default()
        };
        let details = ExecutionDetails {
            contract: Some(stock("AAPL")),
            execution: Some(execution),
            ..Default::default()
        };
        let report = CommissionAndFeesReport {
            exec_id: Some("0001.01".into()),
            commission_and_fees: Some(1.25),
            realized_pnl: Some(f64::MAX),
            ..Default::default()
        };
        let found = Found { executions: vec![details], commissions: vec![report] };
        let text = as_text(&found, &Whose::default());
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("1.25") && text.contains("189.12"), "{text}");
        let json = as_json(&found, &Whose::default());
        assert_eq!(json["executions"][0]["commission"], 1.25);
        assert_eq!(json["executions"][0]["realized_pnl"], Value::Null);
        assert_eq!(json["executions"][0]["account"], "DU***001");
    }
}
