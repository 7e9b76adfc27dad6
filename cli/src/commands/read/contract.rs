//! `ibouncer contract SYMBOL`: what a symbol is.

use ibouncer_client::Client;
use ibouncer_client::tws::{Contract, ContractData, ContractDetails};
use serde_json::{Map, Value, json};

use super::notices;
use super::patience::patient;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::output::escapes::decoded;
use crate::output::number::known;
use crate::output::text::Block;
use crate::symbol::{as_json as contract_json, contract_of, name_of};

pub(super) async fn run(
    client: &Client,
    symbol: &str,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let answer = patient(client.contracts().details(contract_of(symbol)), output).await?;
    notices::tell(&answer.notices, output);
    if output.json() {
        let list: Vec<_> = answer.iter().map(as_json).collect();
        output.value(&json!({ "contracts": list }))?;
    } else {
        let blocks: Vec<_> = answer.iter().map(as_text).collect();
        output.text(&blocks.join("\n"))?;
    }
    Ok(Exit::Good)
}

fn as_json(found: &ContractData) -> Value {
    let details = found.contract_details.clone().unwrap_or_default();
    let texts = |text: &str| -> Vec<String> {
        text.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect()
    };
    let ids: Map<String, Value> =
        details.sec_id_list.iter().map(|(kind, id)| (kind.clone(), json!(id))).collect();
    json!({
        "contract": found.contract.as_ref().map(contract_json),
        "long_name": details.long_name.as_deref().map(decoded),
        "market_name": details.market_name,
        "industry": details.industry,
        "category": details.category,
        "subcategory": details.subcategory,
        "min_tick": details.min_tick.as_deref().map(known).filter(|text| !text.is_empty()),
        "min_size": details.min_size.as_deref().map(known).filter(|text| !text.is_empty()),
        "valid_exchanges": texts(details.valid_exchanges()),
        "order_types": texts(details.order_types()),
        "market_rule_ids": texts(details.market_rule_ids()),
        "time_zone": details.time_zone_id,
        "trading_hours": details.trading_hours,
        "liquid_hours": details.liquid_hours,
        "stock_type": details.stock_type,
        "under_con_id": details.under_con_id,
        "ids": ids,
    })
}

fn as_text(found: &ContractData) -> String {
    let contract = found.contract.clone().unwrap_or_default();
    let details = found.contract_details.clone().unwrap_or_default();
    let mut block = Block::default();
    block.line("Symbol", &kind(&contract));
    block.line("Name", &decoded(details.long_name()));
    block.line("Id", &contract.con_id().to_string());
    block.line("Listed at", contract.primary_exch());
    block.line("Industry", &industry(&details));
    block.line("Tick", known(details.min_tick()));
    block.line("Hours", &hours(&details));
    block.line("Regular", &first_sessions(details.liquid_hours()));
    block.line("Exchanges", &details.valid_exchanges().replace(',', " "));
    let ids: Vec<_> = {
        let mut ids: Vec<_> = details.sec_id_list.iter().collect();
        ids.sort();
        ids.into_iter().map(|(kind, id)| format!("{kind} {id}")).collect()
    };
    block.line("Ids", &ids.join(", "));
    block.finish()
}

fn kind(contract: &Contract) -> String {
    let (name, kind) = (name_of(contract), contract.sec_type());
    format!("{name}  {kind} {} {}", contract.exchange(), contract.currency())
}

fn industry(details: &ContractDetails) -> String {
    let parts = [details.industry(), details.category(), details.subcategory()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" / ")
}

fn hours(details: &ContractDetails) -> String {
    let sessions = first_sessions(details.trading_hours());
    match (sessions.as_str(), details.time_zone_id()) {
        ("", zone) | (zone, "") => zone.to_owned(),
        (sessions, zone) => format!("{sessions} ({zone})"),
    }
}

/// The next two sessions, of a list that goes on for days.
fn first_sessions(list: &str) -> String {
    list.split(';').filter(|session| !session.is_empty()).take(2).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use ibouncer_client::contract::stock;

    use super::*;
    use crate::output::WIDTH;

    #[test]
    fn details_fit_80_columns() {
        let found = ContractData {
            contract: Some(Contract { con_id: Some(265_598), ..stock("AAPL") }),
            contract_details: Some(ContractDetails {
                long_name: Some(r"SOCI\u00e9T\u00e9 APPLE".into()),
                min_tick: Some("1.7976931348623157E308".into()),
                valid_exchanges: Some("SMART,AMEX,NYSE,CBOE,PHLX,ISE,CHX,ARCA,ISLAND".into()),
                trading_hours: Some("20260301:0400-20260301:2000;20260302:CLOSED;x".into()),
                time_zone_id: Some("US/Eastern".into()),
                industry: Some("Technology".into()),
                category: Some("Computers".into()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let text = as_text(&found);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("20260302:CLOSED (US/Eastern)") && text.contains("265598"), "{text}");
        assert!(text.contains("Technology / Computers"));
        assert!(text.contains("SOCIéTé APPLE") && !text.contains("Tick"), "{text}");
        let json = as_json(&found);
        assert_eq!(json["valid_exchanges"].as_array().unwrap().len(), 9);
        assert_eq!(
            (&json["long_name"], &json["min_tick"]),
            (&json!("SOCIéTé APPLE"), &Value::Null)
        );
    }
}
