//! `ibouncer pnl`: profit and loss of the day, once or with every change.

use std::time::{Duration, SystemTime};

use ibouncer_client::api::account_event::Body;
use ibouncer_client::api::{AccountEvent, MarkKind, SessionState, Status, StreamMark};
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
    let seen = if wishes.watch {
        let mut until = Until::new(wishes.period)?;
        // Without a session nobody knows the accounts. What comes behind them marks tell.
        let Some(accounts) = accounts_in_time(client, wishes, &mut until, output).await? else {
            return Ok(Exit::NotReady);
        };
        if accounts.is_empty() {
            return nobody(output);
        }
        let mut events = follow(client, &accounts).await?;
        watch(&mut events, &accounts, wishes, &mut until, output).await?
    } else {
        let accounts = accounts(client, wishes).await?;
        if accounts.is_empty() {
            return nobody(output);
        }
        ready(&client.status().await?)?;
        let mut events = follow(client, &accounts).await?;
        once(&mut events, &accounts, wishes, output).await?
    };
    Ok(if seen { Exit::Good } else { Exit::NotReady })
}

fn nobody(output: &mut Output) -> Result<Exit, Failure> {
    if output.json() {
        output.value(&json!({ "accounts": [] }))?;
    } else {
        output.text("No accounts: Gateway has named none yet.")?;
    }
    Ok(Exit::NotReady)
}

async fn accounts(client: &Client, wishes: &Pnl) -> Result<Vec<String>, Failure> {
    let listed = client.accounts().list().await?;
    Ok(wishes.whose.pick(listed.iter().map(|account| account.account.as_str()))?)
}

/// The same once there is a session, which is told by marks; `None` if that is over before.
async fn accounts_in_time(
    client: &Client,
    wishes: &Pnl,
    until: &mut Until,
    output: &mut Output,
) -> Result<Option<Vec<String>>, Failure> {
    let mut waited = false;
    loop {
        let missing = match accounts(client, wishes).await {
            Err(Failure::Told(complaint)) if complaint.code == Error::NOT_READY => complaint,
            answer => {
                if waited && answer.is_ok() {
                    mark(MarkKind::Resumed, "the session is READY", output)?;
                }
                return answer.map(Some);
            }
        };
        if !waited {
            waited = true;
            let because = why_not(&client.status().await?).unwrap_or(missing.message);
            mark(MarkKind::Stale, &because, output)?;
        }
        tokio::select! {
            readiness = client.wait_ready(A_WHILE) => {
                readiness?;
            }
            () = until.over() => return Ok(None),
        }
    }
}

/// As a stream tells it.
fn mark(kind: MarkKind, because: &str, output: &mut Output) -> Result<(), Failure> {
    let mark = StreamMark { kind: kind.into(), because: because.to_owned(), ..Default::default() };
    Beside::default().mark(&mark, output)
}

/// Why figures would be those of before; `None` with a whole session.
fn why_not(status: &Status) -> Option<String> {
    if status.state() == SessionState::Ready {
        return None;
    }
    let state = status.state().as_str_name().trim_start_matches("SESSION_STATE_");
    Some(format!("the session is {state}: {}", status.reason))
}

fn ready(status: &Status) -> Result<(), Complaint> {
    let Some(why_not) = why_not(status) else {
        return Ok(());
    };
    let message = format!("what is known is not current: {why_not}");
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
    until: &mut Until,
    output: &mut Output,
) -> Result<bool, Failure> {
    let mut seen = false;
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

/// The broker is asked again after that.
const A_WHILE: Duration = Duration::from_secs(600);

/// Gateway says it about once a second.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tests::on_paper;

    #[test]
    fn without_a_session_one_look_fails_and_a_watch_is_told_in_the_same_words() {
        let state = SessionState::GatewayAbsent.into();
        let status = Status { state, reason: "nobody listens".into(), ..Default::default() };
        let why = why_not(&status).unwrap();
        let complaint = ready(&status).unwrap_err();
        assert_eq!((complaint.exit, complaint.code.as_str()), (Exit::NotReady, Error::NOT_READY));
        assert!(complaint.message.ends_with(&why), "{complaint:?}");
        let (mut output, out, err) = on_paper(false);
        mark(MarkKind::Stale, &why, &mut output).unwrap();
        assert_eq!(err.text(), "STALE the session is GATEWAY_ABSENT: nobody listens\n");
        assert_eq!(out.text(), "");
        let there = Status { state: SessionState::Ready.into(), ..Default::default() };
        assert!(ready(&there).is_ok());
    }

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
