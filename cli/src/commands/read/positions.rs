//! `ibouncer positions`: what is held, in all accounts.

use ibouncer_client::Client;
use ibouncer_client::tws::Position;
use serde_json::{Value, json};

use super::notices;
use super::patience::at_most;
use crate::args::{Positions, Whose};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::output::number::{decimal, price, quantity, set};
use crate::output::table::{Column, table};
use crate::symbol::{as_json as contract_json, name_of};

pub(super) async fn run(
    client: &Client,
    wishes: &Positions,
    output: &mut Output,
) -> Result<Exit, Failure> {
    wishes.whose.check(client).await?;
    let accounts = client.accounts();
    let answer = at_most(accounts.positions(), output).await?;
    notices::tell(&answer.notices, output);
    let whose = &wishes.whose;
    let found: Vec<_> = answer.value.into_iter().filter(|one| is_held(one, whose)).collect();
    if output.json() {
        output.value(&as_json(&found, whose))?;
        return Ok(Exit::Good);
    }
    output.text(&as_text(&found, whose))?;
    if !found.is_empty() {
        whose.remark(output);
    }
    Ok(Exit::Good)
}

/// One that is gone comes once with position 0.
fn is_held(position: &Position, whose: &Whose) -> bool {
    let gone = position.position().parse::<f64>().is_ok_and(|size| size == 0.0);
    !gone && whose.shows(position.account())
}

fn as_json(found: &[Position], whose: &Whose) -> Value {
    let list: Vec<_> = found
        .iter()
        .map(|one| {
            json!({
                "account": whose.name(one.account()),
                "contract": one.contract.as_ref().map(contract_json),
                "position": decimal(one.position()),
                "average_cost": set(one.avg_cost),
            })
        })
        .collect();
    json!({ "positions": list })
}

fn as_text(found: &[Position], whose: &Whose) -> String {
    if found.is_empty() {
        return "No positions.".to_owned();
    }
    let rows: Vec<_> = found
        .iter()
        .map(|one| {
            let contract = one.contract.clone().unwrap_or_default();
            vec![
                whose.name(one.account()),
                name_of(&contract),
                contract.sec_type().to_owned(),
                contract.currency().to_owned(),
                quantity(one.position()),
                price(one.avg_cost),
            ]
        })
        .collect();
    let columns = [
        Column::Text("ACCOUNT"),
        Column::Flexible("SYMBOL"),
        Column::Text("TYPE"),
        Column::Text("CURRENCY"),
        Column::Figure("POSITION"),
        Column::Figure("AVERAGE COST"),
    ];
    table(&columns, &rows)
}

#[cfg(test)]
mod tests {
    use ibouncer_client::contract::stock;

    use super::*;

    fn position(account: &str, size: &str) -> Position {
        Position {
            account: Some(account.into()),
            contract: Some(stock("AAPL")),
            position: Some(size.into()),
            avg_cost: Some(182.5),
        }
    }

    #[test]
    fn what_is_gone_or_anothers_is_not_listed() {
        let whose = Whose { account: Some("DU0000001".into()), show_accounts: false };
        assert!(is_held(&position("DU0000001", "-100"), &whose));
        assert!(!is_held(&position("DU0000001", "0"), &whose));
        assert!(!is_held(&position("DU0000002", "5"), &whose));
    }

    #[test]
    fn accounts_are_masked() {
        let found = [position("DU0000001", "-100.5")];
        let text = as_text(&found, &Whose::default());
        assert!(text.contains("DU***001  AAPL") && text.contains("-100.5"), "{text}");
        assert_eq!(as_json(&found, &Whose::default())["positions"][0]["position"], -100.5);
    }
}
