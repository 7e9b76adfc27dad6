//! `ibouncer pnl`: profit and loss of the day, once or with every change.

use std::time::{Duration, SystemTime};

use ibouncer_client::api::account_event::Body;
use ibouncer_client::api::{AccountEvent, SessionState, Status};
use ibouncer_client::tws::{PnL, PnLRequest};
use ibouncer_client::{Client, Error, Origin, Retry};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::notices::Beside;
use crate::args::Pnl;
use crate::commands::until::Until;
use crate::exit::{Complaint, Exit, Failure};
use crate::output::number::{money, set};
use crate::output::table::{Column, table};
use crate::output::{Output, time};

pub(super) async fn run(
    client: &Client,
    wishes: &Pnl,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let listed = client.accounts().list().await?;
    let names = listed.iter().map(|account| account.account.as_str());
    let accounts = wishes.whose.pick(names)?;
    if accounts.is_empty() {
        if output.json() {
            output.value(&json!({ "accounts": [] }))?;
        } else {
            output.text("No accounts: Gateway has named none yet.")?;
        }
        return Ok(Exit::NotReady);
    }
    if !wishes.watch {
        // With `--watch` marks tell of it, and it goes on.
        ready(&client.status().await?)?;
    }
    let mut events = follow(client, &accounts).await?;
    let seen = if wishes.watch {
        watch(&mut events, &accounts, wishes, output).await?
    } else {
        once(&mut events, &accounts, wishes, output).await?
    };
    Ok(if seen { Exit::Good } else { Exit::NotReady })
}

/// Without a whole session the figures would be those of before.
fn ready(status: &Status) -> Result<(), Complaint> {
    if status.state() == SessionState::Ready {
        return Ok(());
    }
    let state = status.state().as_str_name().trim_start_matches("SESSION_STATE_");
    let message =
        format!("what is known is not current: the session is {state}: {}", status.reason);
    Err(Complaint {
        exit: Exit::NotReady,
        code: Error::NOT_READY.to_owned(),
        retry: Retry::After.as_str(),
        source: Origin::Broker.as_str(),
        ..Complaint::usage(message)
    }
    .next("`ibouncer status` says what it waits for, `ibouncer wait-ready` waits with it"))
}

/// Position of the account in the list, and its news; none at the end.
type News = (usize, Result<Vec<AccountEvent>, Error>);

/// Follows all of them at once.
async fn follow(client: &Client, accounts: &[String]) -> Result<mpsc::Receiver<News>, Failure> {
    let (sender, receiver) = mpsc::channel(64);
    for (index, account) in accounts.iter().enumerate() {
        let request = PnLRequest { account: Some(account.clone()), ..Default::default() };
        let mut events = client.accounts().stream_pnl(request).await?;
        let sender = sender.clone();
        tokio::spawn(async move {
            loop {
                let batch = events.next_batch().await;
                let last = batch.as_ref().map_or(true, Vec::is_empty);
                if sender.send((index, batch)).await.is_err() || last {
                    return;
                }
            }
        });
    }
    Ok(receiver)
}

/// The first figures of each account, or what is there when patience ends.
async fn once(
    events: &mut mpsc::Receiver<News>,
    accounts: &[String],
    wishes: &Pnl,
    output: &mut Output,
) -> Result<bool, Failure> {
    let mut found: Vec<Option<PnL>> = vec![None; accounts.len()];
    let mut until = Until::new(Some(PATIENCE))?;
    while found.iter().any(Option::is_none) {
        tokio::select! {
            news = events.recv() => {
                let Some((index, batch)) = news else { break };
                if let Some(pnl) = figures(batch?, output)? {
                    found[index] = Some(pnl);
                }
            }
            () = until.over() => break,
        }
    }
    let whose = &wishes.whose;
    let rows: Vec<(String, Option<PnL>)> =
        accounts.iter().map(|account| whose.name(account)).zip(found).collect();
    if output.json() {
        let list: Vec<_> = rows.iter().map(|(account, pnl)| as_json(account, *pnl)).collect();
        output.value(&json!({ "accounts": list }))?;
    } else {
        output.text(&as_text(&rows))?;
        whose.remark(output);
    }
    Ok(rows.iter().any(|(_, pnl)| pnl.is_some()))
}

async fn watch(
    events: &mut mpsc::Receiver<News>,
    accounts: &[String],
    wishes: &Pnl,
    output: &mut Output,
) -> Result<bool, Failure> {
    let mut seen = false;
    let mut until = Until::new(wishes.period)?;
    loop {
        tokio::select! {
            news = events.recv() => {
                let Some((index, batch)) = news else { return Ok(seen) };
                let Some(pnl) = figures(batch?, output)? else { continue };
                seen = true;
                let account = wishes.whose.name(&accounts[index]);
                if output.json() {
                    output.json_line(&as_json(&account, Some(pnl)))?;
                } else {
                    output.text(&line(&account, &pnl, SystemTime::now()))?;
                }
            }
            () = until.over() => return Ok(seen),
        }
    }
}

/// The newest figures of a batch; whatever else it says is told.
fn figures(batch: Vec<AccountEvent>, output: &mut Output) -> Result<Option<PnL>, Failure> {
    if batch.is_empty() {
        return Err(Complaint::broker_stopped().into());
    }
    let (mut newest, mut beside) = (None, Beside::default());
    for event in batch {
        match event.body {
            Some(Body::Pnl(pnl)) => newest = Some(pnl),
            Some(Body::Error(error)) => beside.error(error, output),
            Some(Body::Mark(mark)) => beside.mark(&mark, output)?,
            _ => {}
        }
    }
    beside.flush(output);
    Ok(newest)
}

fn as_json(account: &str, pnl: Option<PnL>) -> Value {
    json!({
        "account": account,
        "daily": pnl.and_then(|pnl| set(pnl.daily_pnl)),
        "unrealized": pnl.and_then(|pnl| set(pnl.unrealized_pnl)),
        "realized": pnl.and_then(|pnl| set(pnl.realized_pnl)),
    })
}

fn line(account: &str, pnl: &PnL, now: SystemTime) -> String {
    let [daily, unrealized, realized] =
        [pnl.daily_pnl, pnl.unrealized_pnl, pnl.realized_pnl].map(money);
    let clock = time::clock(now);
    format!("{clock}  {account}  daily {daily}  unrealized {unrealized}  realized {realized}")
}

fn as_text(rows: &[(String, Option<PnL>)]) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|(account, pnl)| {
            let pnl = pnl.unwrap_or_default();
            let figures = [pnl.daily_pnl, pnl.unrealized_pnl, pnl.realized_pnl].map(money);
            std::iter::once(account.clone()).chain(figures).collect()
        })
        .collect();
    let columns = [
        Column::Text("ACCOUNT"),
        Column::Figure("DAILY"),
        Column::Figure("UNREALIZED"),
        Column::Figure("REALIZED"),
    ];
    table(&columns, &rows)
}

/// Gateway says it about once a second.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_are_not_set_are_not_astronomic() {
        let pnl =
            PnL { daily_pnl: Some(-12.345), unrealized_pnl: Some(f64::MAX), ..Default::default() };
        let text = as_text(&[("DU***001".into(), Some(pnl)), ("DU***002".into(), None)]);
        let rows: Vec<_> = text.lines().collect();
        assert!(rows[1].contains("-12.35") || rows[1].contains("-12.34"), "{text}");
        assert!(rows[1].ends_with('-') && rows[2].ends_with('-'), "{text}");
        let json = as_json("DU***001", Some(pnl));
        assert_eq!((&json["daily"], &json["unrealized"]), (&json!(-12.345), &Value::Null));
    }
}
