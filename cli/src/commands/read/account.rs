//! `ibouncer account`: balances and margins, as Gateway sums them up.

use ibouncer_client::Client;
use ibouncer_client::tws::AccountSummary;
use serde_json::{Value, json};

use super::notices;
use super::patience::at_most;
use crate::args::{Account, Whose};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::output::number::{decimal, money_text};
use crate::output::table::{Column, table};

pub(super) async fn run(
    client: &Client,
    wishes: &Account,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let tags = if wishes.all { String::new() } else { USUAL.join(",") };
    let accounts = client.accounts();
    let answer = at_most(accounts.account_summary(tags), output).await?;
    notices::tell(&answer.notices, output);
    let whose = &wishes.whose;
    whose.pick(answer.iter().map(AccountSummary::account))?;
    let mut found: Vec<_> =
        answer.value.into_iter().filter(|value| whose.shows(value.account())).collect();
    // Gateway's own order of tags is none.
    let place = |tag: &str| USUAL.iter().position(|usual| *usual == tag).unwrap_or(USUAL.len());
    found.sort_by(|a, b| {
        let key = |one: &AccountSummary| {
            (one.account().to_owned(), place(one.tag()), one.tag().to_owned())
        };
        (key(a), a.currency()).cmp(&(key(b), b.currency()))
    });
    if output.json() {
        output.value(&as_json(&found, whose))?;
        return Ok(Exit::Good);
    }
    output.text(&as_text(&found, whose))?;
    whose.remark(output);
    Ok(Exit::Good)
}

fn as_json(found: &[AccountSummary], whose: &Whose) -> Value {
    let list: Vec<_> = found
        .iter()
        .map(|value| {
            json!({
                "account": whose.name(value.account()),
                "tag": value.tag(),
                "value": decimal(&shown(value, whose)),
                "currency": value.currency.clone().filter(|currency| !currency.is_empty()),
            })
        })
        .collect();
    json!({ "values": list })
}

fn as_text(found: &[AccountSummary], whose: &Whose) -> String {
    if found.is_empty() {
        return "Gateway says nothing about accounts.".to_owned();
    }
    let rows: Vec<_> = found
        .iter()
        .map(|value| {
            vec![
                whose.name(value.account()),
                value.tag().to_owned(),
                money_text(&shown(value, whose)),
                value.currency().to_owned(),
            ]
        })
        .collect();
    let columns = [
        Column::Text("ACCOUNT"),
        Column::Flexible("TAG"),
        Column::Figure("VALUE"),
        Column::Text("CURRENCY"),
    ];
    table(&columns, &rows)
}

/// Some values are the account's own name.
fn shown(value: &AccountSummary, whose: &Whose) -> String {
    let is_name = value.value() == value.account() || value.tag() == "AccountOrGroup";
    if is_name { whose.name(value.value()) } else { value.value().to_owned() }
}

/// What people look for first, in this order.
const USUAL: [&str; 11] = [
    "NetLiquidation",
    "TotalCashValue",
    "SettledCash",
    "GrossPositionValue",
    "BuyingPower",
    "AvailableFunds",
    "ExcessLiquidity",
    "Cushion",
    "InitMarginReq",
    "MaintMarginReq",
    "Leverage",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn value(tag: &str, value: &str) -> AccountSummary {
        AccountSummary {
            account: Some("DU0000001".into()),
            tag: Some(tag.into()),
            value: Some(value.into()),
            currency: Some("USD".into()),
            ..Default::default()
        }
    }

    #[test]
    fn values_are_money_and_accounts_are_masked() {
        let found = [
            value("NetLiquidation", "1000000.5"),
            value("AccountType", "INDIVIDUAL"),
            value("AccountOrGroup", "DU0000001"),
        ];
        let text = as_text(&found, &Whose::default());
        assert!(text.contains("1,000,000.50  USD") && text.contains("INDIVIDUAL"), "{text}");
        assert!(text.contains("DU***001") && !text.contains("DU0000001"));
        let json = as_json(&found, &Whose::default());
        assert_eq!(json["values"][0]["value"], 1_000_000.5);
        assert_eq!(json["values"][0]["account"], "DU***001");
        assert_eq!(json["values"][2]["value"], "DU***001", "a name among the values too");
    }

    #[test]
    fn a_value_that_is_not_set_is_null_and_a_dash() {
        let found = [value("Cushion", "1.7976931348623157E308")];
        assert_eq!(as_json(&found, &Whose::default())["values"][0]["value"], Value::Null);
        let text = as_text(&found, &Whose::default());
        assert!(text.lines().nth(1).unwrap().ends_with("-  USD"), "{text}");
    }
}
