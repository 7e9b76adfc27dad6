//! `ibouncer search TEXT`: symbols by their beginning, or by the company's name.

use ibouncer_client::Client;
use ibouncer_client::tws::ContractDescription;
use serde_json::{Value, json};

use super::notices;
use super::patience::patient;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::output::table::{Column, table};
use crate::symbol::{as_json as contract_json, name_of};

pub(super) async fn run(client: &Client, text: &str, output: &mut Output) -> Result<Exit, Failure> {
    let answer = patient(client.contracts().matching(text), output).await?;
    notices::tell(&answer.notices, output);
    if output.json() {
        output.value(&as_json(&answer))?;
    } else {
        output.text(&as_text(&answer))?;
    }
    Ok(Exit::Good)
}

fn as_json(found: &[ContractDescription]) -> Value {
    let list: Vec<_> = found
        .iter()
        .map(|one| {
            let contract = one.contract.clone().unwrap_or_default();
            json!({
                "contract": contract_json(&contract),
                "description": contract.description,
                "derivatives": one.derivative_sec_types,
            })
        })
        .collect();
    json!({ "matches": list })
}

fn as_text(found: &[ContractDescription]) -> String {
    if found.is_empty() {
        return "Nothing matches.".to_owned();
    }
    let rows: Vec<_> = found
        .iter()
        .map(|one| {
            let contract = one.contract.clone().unwrap_or_default();
            vec![
                name_of(&contract),
                contract.sec_type().to_owned(),
                contract.primary_exch().to_owned(),
                contract.currency().to_owned(),
                contract.con_id().to_string(),
                contract.description().to_owned(),
                one.derivative_sec_types.join(" "),
            ]
        })
        .collect();
    let columns = [
        Column::Flexible("SYMBOL"),
        Column::Text("TYPE"),
        Column::Flexible("LISTED AT"),
        Column::Text("CURRENCY"),
        Column::Figure("ID"),
        Column::Flexible("NAME"),
        Column::Flexible("DERIVATIVES"),
    ];
    table(&columns, &rows)
}

#[cfg(test)]
mod tests {
    use ibouncer_client::contract::stock;
    use ibouncer_client::tws::Contract;

    use super::*;
    use crate::output::WIDTH;

    #[test]
    fn matches_fit_80_columns() {
        let contract = Contract {
            primary_exch: Some("NASDAQ.NMS".into()),
            con_id: Some(265_598),
            description: Some("A COMPANY WITH A REALLY LONG NAME INCORPORATED".into()),
            ..stock("AAPL")
        };
        let kinds = ["CFD", "OPT", "IOPT", "WAR", "BAG"].map(str::to_owned).to_vec();
        let found = [ContractDescription { contract: Some(contract), derivative_sec_types: kinds }];
        let text = as_text(&found);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert_eq!(as_json(&found)["matches"][0]["derivatives"][1], "OPT");
    }
}
