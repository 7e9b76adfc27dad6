//! `ibouncer lines`: what is open at Gateway, and who shares it. Lines of accounts are named after
//! them, so accounts are masked unless the user asks otherwise.

use ibouncer_client::{Client, api};
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::output::mask::masked_in;
use crate::output::table::{Column, table};

pub(crate) async fn run(client: &Client, show: bool, output: &mut Output) -> Result<Exit, Failure> {
    let mut lines = client.admin().lines().await?;
    let masked = !show && mask(&mut lines);
    if output.json() {
        output.value(&as_json(&lines))?;
        return Ok(Exit::Good);
    }
    output.text(&as_text(&lines))?;
    if masked {
        output.remark("Accounts are masked; --show-accounts shows them in full.");
    }
    Ok(Exit::Good)
}

/// Masks the accounts in the names of lines; true if there were any. Also for `ibouncer top`.
pub(crate) fn mask(lines: &mut [api::LineInfo]) -> bool {
    let mut any = false;
    for line in lines {
        let masked = masked_in(&line.symbol);
        any |= masked != line.symbol;
        line.symbol = masked;
    }
    any
}

fn as_json(lines: &[api::LineInfo]) -> Value {
    let list: Vec<_> = lines
        .iter()
        .map(|line| {
            json!({
                "id": line.id,
                "kind": line.kind,
                "symbol": line.symbol,
                "sec_type": line.sec_type,
                "exchange": line.exchange,
                "currency": line.currency,
                "generic_ticks": line.generic_ticks,
                "clients": line.clients,
                "state": line.state,
                "sequence": line.sequence,
                "upstream_id": (line.upstream_id != 0).then_some(line.upstream_id),
            })
        })
        .collect();
    json!({ "lines": list })
}

fn as_text(lines: &[api::LineInfo]) -> String {
    if lines.is_empty() {
        return "No lines: no client has asked for anything that goes on.".to_owned();
    }
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            vec![
                line.id.clone(),
                line.kind.clone(),
                line.symbol.clone(),
                format!("{} {} {}", line.sec_type, line.exchange, line.currency),
                line.generic_ticks.clone(),
                line.state.clone(),
                line.sequence.to_string(),
                line.clients.join(" "),
            ]
        })
        .collect();
    let columns = [
        Column::Text("ID"),
        Column::Flexible("KIND"),
        Column::Flexible("SYMBOL"),
        Column::Flexible("CONTRACT"),
        Column::Flexible("TICKS"),
        Column::Text("STATE"),
        Column::Figure("EVENTS"),
        Column::Flexible("CLIENTS"),
    ];
    table(&columns, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::WIDTH;

    #[test]
    fn lines_fit_80_columns_and_json_has_all_clients() {
        let line = api::LineInfo {
            id: "line-100".into(),
            kind: "market data".into(),
            symbol: "AAPL".into(),
            sec_type: "STK".into(),
            exchange: "SMART".into(),
            currency: "USD".into(),
            generic_ticks: "100,101,104,106,165,221,225,233,236,258".into(),
            clients: (0..20).map(|number| format!("strategy-{number}@host")).collect(),
            state: "requested".into(),
            sequence: 123_456_789,
            upstream_id: 0,
        };
        let text = as_text(std::slice::from_ref(&line));
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("AAPL") && text.contains("requested"));
        let json = as_json(&[line]);
        assert_eq!(json["lines"][0]["clients"].as_array().unwrap().len(), 20);
        assert_eq!(json["lines"][0]["upstream_id"], Value::Null);
    }

    #[test]
    fn accounts_in_the_names_of_lines_are_masked() {
        let line = |symbol: &str| api::LineInfo { symbol: symbol.into(), ..Default::default() };
        let mut lines = vec![line("DU0000001"), line("DU0000001 conId 265598"), line("AAPL")];
        assert!(mask(&mut lines));
        for shown in [as_text(&lines), as_json(&lines).to_string()] {
            assert!(!shown.contains("DU0000001"), "{shown}");
            assert!(shown.contains("DU***001 conId 265598") && shown.contains("AAPL"), "{shown}");
        }
        assert!(!mask(&mut lines[2..]), "no account, nothing to say");
    }
}
