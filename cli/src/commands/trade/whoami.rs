//! `ibouncer whoami`: who the caller is for the broker, and what it may do.

use ibouncer_client::{Client, api};
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::output::mask::masked;
use crate::output::text::Block;

pub(super) async fn run(client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let me = client.who_am_i().await?;
    if output.json() {
        output.value(&as_json(&me))?;
    } else {
        output.text(&as_text(&me))?;
    }
    Ok(Exit::Good)
}

fn as_json(me: &api::WhoAmIResponse) -> Value {
    json!({
        "client": me.client,
        "principal": Some(&me.principal).filter(|name| !name.is_empty()),
        "role": me.role,
        "credential": me.credential,
        "may_trade": me.may_trade,
        "because": Some(&me.because).filter(|text| !text.is_empty()),
        "accounts": me.accounts.iter().map(|account| masked(account)).collect::<Vec<_>>(),
        "security_types": me.security_types,
        "symbols": me.symbols,
        "limits": me.limits,
    })
}

fn as_text(me: &api::WhoAmIResponse) -> String {
    let all = |list: &[String]| if list.is_empty() { "all".to_owned() } else { list.join(", ") };
    let mut block = Block::default();
    block.line("Client", &me.client);
    let principal = match me.principal.as_str() {
        "" => "none of the configured ones",
        name => name,
    };
    block.line("Principal", principal);
    block.line("Role", &me.role);
    block.line("Credential", &me.credential);
    match me.because.as_str() {
        "" => block.line("Orders", "may send them"),
        because => block.line("Orders", &format!("may not send them: {because}")),
    }
    let accounts: Vec<_> = me.accounts.iter().map(|account| masked(account)).collect();
    block.line("Accounts", &all(&accounts));
    block.line("Types", &all(&me.security_types));
    block.line("Symbols", &all(&me.symbols));
    for (rule, value) in &me.limits {
        block.line("Limit", &format!("{rule} = {value}"));
    }
    block.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_trade_reads_why() {
        let me = api::WhoAmIResponse {
            client: "quotes".into(),
            role: "observe".into(),
            because: "trading is off".into(),
            accounts: vec!["DU0000001".into()],
            ..Default::default()
        };
        let text = as_text(&me);
        assert!(text.contains("may not send them: trading is off"), "{text}");
        assert!(text.contains("DU***001") && !text.contains("DU0000001"), "{text}");
        assert_eq!(as_json(&me)["principal"], Value::Null);
    }
}
