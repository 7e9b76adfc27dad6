//! `ibouncer accounts`: the accounts of the login, masked unless the user asks otherwise.

use ibouncer_client::{Client, api};
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::output::mask::masked;
use crate::output::table::{Column, table};

pub(crate) async fn run(client: &Client, show: bool, output: &mut Output) -> Result<Exit, Failure> {
    let accounts = client.accounts().list().await?;
    if output.json() {
        output.value(&as_json(&accounts, show))?;
        return Ok(Exit::Good);
    }
    output.text(&as_text(&accounts, show))?;
    if !show && !accounts.is_empty() {
        output.remark("Masked; --show-accounts shows them in full.");
    }
    Ok(Exit::Good)
}

fn name(account: &api::Account, show: bool) -> String {
    if show { account.account.clone() } else { masked(&account.account) }
}

fn mode(account: &api::Account) -> &'static str {
    if account.paper { "paper" } else { "live" }
}

fn as_json(accounts: &[api::Account], show: bool) -> Value {
    let list: Vec<_> = accounts
        .iter()
        .map(|account| json!({ "account": name(account, show), "mode": mode(account) }))
        .collect();
    json!({ "accounts": list })
}

fn as_text(accounts: &[api::Account], show: bool) -> String {
    if accounts.is_empty() {
        return "No accounts: Gateway has named none yet.".to_owned();
    }
    let rows: Vec<_> = accounts
        .iter()
        .map(|account| vec![name(account, show), mode(account).to_owned()])
        .collect();
    table(&[Column::Text("ACCOUNT"), Column::Text("MODE")], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_masked_everywhere_unless_asked_for() {
        let accounts = [api::Account { account: "DU0000001".into(), paper: true }];
        assert_eq!(as_json(&accounts, false)["accounts"][0]["account"], "DU***001");
        assert!(as_text(&accounts, false).contains("DU***001  paper"));
        assert!(!as_text(&accounts, false).contains("DU0000001"));
        assert_eq!(as_json(&accounts, true)["accounts"][0]["account"], "DU0000001");
    }
}
