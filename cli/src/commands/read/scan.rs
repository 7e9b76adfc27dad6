//! `ibouncer scan`: a ranked list of contracts, and what can be scanned for.

use ibouncer_client::Client;
use ibouncer_client::tws::{ScannerDataElement, ScannerSubscription};
use serde_json::{Value, json};

use super::notices;
use super::patience::{at_most, patient};
use crate::args::Scan;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::output::table::{Column, table};
use crate::symbol::{as_json as contract_json, name_of};

pub(super) async fn run(
    client: &Client,
    wishes: &Scan,
    output: &mut Output,
) -> Result<Exit, Failure> {
    if wishes.parameters {
        return parameters(client, output).await;
    }
    let scanners = client.scanners();
    let answer = at_most(scanners.scan(request(wishes)), output).await?;
    notices::tell(&answer.notices, output);
    if output.json() {
        output.value(&as_json(wishes, &answer))?;
    } else {
        output.text(&as_text(&answer))?;
    }
    Ok(Exit::Good)
}

async fn parameters(client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let answer = patient(client.scanners().parameters(), output).await?;
    notices::tell(&answer.notices, output);
    if output.json() {
        output.value(&json!({ "xml": answer.xml() }))?;
    } else {
        output.text(answer.xml())?;
    }
    Ok(Exit::Good)
}

fn request(wishes: &Scan) -> ScannerSubscription {
    ScannerSubscription {
        number_of_rows: Some(wishes.rows),
        instrument: Some(wishes.instrument.clone()),
        location_code: Some(wishes.location.clone()),
        scan_code: Some(wishes.code.clone()),
        above_price: wishes.above_price,
        below_price: wishes.below_price,
        above_volume: wishes.above_volume,
        ..Default::default()
    }
}

fn as_json(wishes: &Scan, found: &[ScannerDataElement]) -> Value {
    let list: Vec<_> = found
        .iter()
        .map(|row| {
            json!({
                "rank": rank(row),
                "contract": row.contract.as_ref().map(contract_json),
                "market_name": row.market_name,
                "distance": row.distance,
                "benchmark": row.benchmark,
                "projection": row.projection,
            })
        })
        .collect();
    json!({ "code": wishes.code, "location": wishes.location, "contracts": list })
}

/// Gateway counts from 0.
fn rank(row: &ScannerDataElement) -> i32 {
    row.rank().saturating_add(1)
}

fn as_text(found: &[ScannerDataElement]) -> String {
    if found.is_empty() {
        return "Nothing matches.".to_owned();
    }
    let rows: Vec<_> = found
        .iter()
        .map(|row| {
            let contract = row.contract.clone().unwrap_or_default();
            vec![
                rank(row).to_string(),
                name_of(&contract),
                contract.sec_type().to_owned(),
                contract.exchange().to_owned(),
                contract.currency().to_owned(),
                contract.con_id().to_string(),
                row.market_name().to_owned(),
            ]
        })
        .collect();
    let columns = [
        Column::Figure("RANK"),
        Column::Flexible("SYMBOL"),
        Column::Text("TYPE"),
        Column::Flexible("EXCHANGE"),
        Column::Text("CURRENCY"),
        Column::Figure("ID"),
        Column::Flexible("MARKET"),
    ];
    table(&columns, &rows)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use ibouncer_client::contract::stock;

    use super::*;
    use crate::args::{Args, Ask, Command, Read};

    fn wishes() -> Scan {
        let args = Args::try_parse_from(["ibouncer", "scan"]).unwrap();
        match args.command {
            Command::Ask(Ask::Read(Read::Scan(wishes))) => wishes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ranks_count_from_one_as_text_and_as_json() {
        let found = [ScannerDataElement {
            rank: Some(0),
            contract: Some(stock("AAPL")),
            ..Default::default()
        }];
        let text = as_text(&found);
        assert!(text.lines().nth(1).unwrap().trim_start().starts_with("1  AAPL"), "{text}");
        assert_eq!(as_json(&wishes(), &found)["contracts"][0]["rank"], 1);
        assert_eq!(as_text(&[]), "Nothing matches.");
    }
}
