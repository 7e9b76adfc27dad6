//! `ibouncer trading`: whether orders are taken; halt, resume, adopt.

use ibouncer_client::{Client, api};
use serde_json::{Value, json};

use super::spared;
use crate::args::Trading;
use crate::exit::{Exit, Failure};
use crate::output::text::Block;
use crate::output::{Output, time};

pub(super) async fn run(
    client: &Client,
    order: &Trading,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let admin = client.admin();
    match order {
        Trading::Status => {
            let status = client.status().await?;
            if output.json() {
                output.value(&as_json(&status))?;
            } else {
                output.text(&as_text(&status))?;
            }
            return Ok(if status.trading == "on" { Exit::Good } else { Exit::NotReady });
        }
        Trading::Halt { client: name, cancel_open, reason } => {
            let halted = admin.halt_trading(name, *cancel_open, reason).await?;
            let (cancels, spared) = (halted.cancels, halted.spared);
            if output.json() {
                output.value(&json!({
                    "halted": who(name),
                    "cancels": cancels,
                    "spared": spared::as_json(&spared),
                }))?;
            } else {
                output.text(&format!(
                    "Trading of {} is halted: new and changed orders are refused, also after a \
                     restart. Cancels on their way: {cancels}.\nEnd it: {}",
                    who(name),
                    end_of_halt(name)
                ))?;
                spared::tell(&spared, output);
            }
            return Ok(spared::exit(&spared));
        }
        Trading::Resume { client: name, reason } => {
            admin.resume_trading(name, reason).await?;
            if output.json() {
                output.value(&json!({ "resumed": who(name) }))?;
            } else {
                output.text(&format!("The halt of {} is over.", who(name)))?;
            }
        }
        Trading::AdoptState { reason } => {
            let adopted = admin.adopt_trading_state(reason).await?;
            if output.json() {
                output.value(&json!({ "adopted": adopted }))?;
            } else if adopted.is_empty() {
                output.text("Nothing was doubted; the journal holds for the present accounts.")?;
            } else {
                output.text("Adopted. What had halted trading:")?;
                for doubt in &adopted {
                    output.text(&format!("- {doubt}"))?;
                }
            }
        }
    }
    Ok(Exit::Good)
}

fn who(name: &str) -> &str {
    if name.is_empty() { "all clients" } else { name }
}

/// The command that ends this halt: one client's and that of all are two.
fn end_of_halt(name: &str) -> String {
    let client = if name.is_empty() { String::new() } else { format!(" --client {name}") };
    format!("ibouncer trading resume{client} --reason \"…\"")
}

fn as_json(status: &api::Status) -> Value {
    let details = status.trading_status.clone().unwrap_or_default();
    json!({
        "trading": status.trading,
        "because": details.because,
        "halts": details.halts.iter().map(|halt| json!({
            "client": Some(&halt.client).filter(|name| !name.is_empty()),
            "by": halt.by,
            "reason": halt.reason,
            "since": halt.since.as_ref().and_then(time::of).map(time::rfc3339),
        })).collect::<Vec<_>>(),
        "open_orders": details.open_orders,
        "unknown_orders": details.unknown_orders,
        "foreign_orders": details.foreign_orders,
        "journal": Some(details.journal).filter(|word| !word.is_empty()),
        "next_order_id": details.next_order_id,
        "reconciled_at": details.reconciled_at.as_ref().and_then(time::of).map(time::rfc3339),
    })
}

fn as_text(status: &api::Status) -> String {
    let Some(details) = &status.trading_status else {
        return "Trading is off. To allow it: trading.enabled = true, and a [clients.NAME] with \
                role = \"trade\".\n`ibouncer config init` writes a configuration to start from."
            .to_owned();
    };
    let mut block = Block::default();
    block.line("Trading", &status.trading);
    block.line("Because", &details.because);
    for halt in &details.halts {
        block.line("Halt", &format!("of {} by {}: {}", who(&halt.client), halt.by, halt.reason));
    }
    let orders = format!(
        "{} open, {} of them UNKNOWN; {} of others",
        details.open_orders, details.unknown_orders, details.foreign_orders
    );
    block.line("Orders", &orders);
    block.line("Journal", &details.journal);
    block.finish()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Args, Ask, Command, Trade};

    #[test]
    fn what_ends_a_halt_is_a_command_for_the_same_client() {
        for halted in ["", "mom"] {
            let args = Args::try_parse_from(end_of_halt(halted).split(' ')).unwrap();
            match args.command {
                Command::Ask(Ask::Trade(Trade::Trading(Trading::Resume { client, .. }))) => {
                    assert_eq!(client, halted);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(end_of_halt("mom"), "ibouncer trading resume --client mom --reason \"…\"");
    }

    #[test]
    fn status_says_what_is_closed_and_by_whom() {
        assert!(as_text(&api::Status::default()).contains("trading.enabled"));
        let status = api::Status {
            trading: "halted".into(),
            trading_status: Some(api::TradingStatus {
                because: "halted by risk: too hot".into(),
                halts: vec![api::TradingHalt {
                    client: "momentum".into(),
                    reason: "too hot".into(),
                    by: "risk".into(),
                    since: None,
                }],
                ..Default::default()
            }),
            ..Default::default()
        };
        let text = as_text(&status);
        assert!(text.contains("of momentum by risk: too hot"), "{text}");
        assert_eq!(as_json(&status)["halts"][0]["client"], "momentum");
    }
}
