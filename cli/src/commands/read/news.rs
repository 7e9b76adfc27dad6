//! `ibouncer news`: headlines about a symbol, one article, providers, bulletins.

mod plain;

use std::time::SystemTime;

use ibouncer_client::api::NewsEvent;
use ibouncer_client::api::news_event::Body;
use ibouncer_client::tws::{
    Contract, HistoricalNews, HistoricalNewsRequest, NewsBulletin, NewsProvider,
};
use ibouncer_client::{Client, Headlines};
use serde_json::{Value, json};

use super::notices::{self, Beside};
use super::patience::patient;
use crate::args::{News, NewsCommand};
use crate::commands::until::Until;
use crate::exit::{Complaint, Exit, Failure};
use crate::output::table::{Column, table};
use crate::output::text::{wrap, wrap_behind};
use crate::output::{Output, time};
use crate::symbol::contract_of;

pub(super) async fn run(
    client: &Client,
    wishes: &News,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match (&wishes.command, &wishes.symbol) {
        (Some(NewsCommand::Article { provider, id }), _) => {
            article(client, provider, id, output).await
        }
        (None, Some(symbol)) => headlines(client, symbol, wishes.count, output).await,
        (None, None) if wishes.bulletins => bulletins(client, wishes, output).await,
        (None, None) => providers(client, output).await,
    }
}

async fn providers(client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let answer = patient(client.news().providers(), output).await?;
    notices::tell(&answer.notices, output);
    if output.json() {
        let list: Vec<_> = answer
            .iter()
            .map(|one| json!({ "code": one.provider_code, "name": one.provider_name }))
            .collect();
        output.value(&json!({ "providers": list }))?;
    } else if answer.is_empty() {
        output.text("No providers: the login subscribes to no news.")?;
    } else {
        output.text(&providers_text(&answer))?;
    }
    Ok(Exit::Good)
}

async fn headlines(
    client: &Client,
    symbol: &str,
    count: i32,
    output: &mut Output,
) -> Result<Exit, Failure> {
    // Gateway wants the contract's id, and the providers by name.
    let details = patient(client.contracts().details(contract_of(symbol)), output).await?;
    let contracts: Vec<_> = details.iter().filter_map(|found| found.contract.as_ref()).collect();
    let Some(con_id) = contracts.first().and_then(|contract| contract.con_id) else {
        return Err(Complaint::usage(format!("Gateway gave no id for {symbol}")).into());
    };
    if let Some(text) = ambiguity(symbol, &contracts) {
        if output.json() {
            output.json_remark(&json!({ "symbol": symbol, "remark": text }));
        } else {
            output.remark(&wrap(&text, 2));
        }
    }
    let providers = patient(client.news().providers(), output).await?;
    let codes: Vec<_> = providers.iter().map(NewsProvider::provider_code).collect();
    if codes.is_empty() {
        let complaint = Complaint::usage("the login subscribes to no news");
        return Err(complaint.next("subscribe to a provider in IB's Client Portal").into());
    }
    let request = HistoricalNewsRequest {
        con_id: Some(con_id),
        provider_codes: Some(codes.join("+")),
        total_results: Some(count),
        ..Default::default()
    };
    let answer = patient(client.news().headlines(request), output).await?;
    notices::tell(&answer.notices, output);
    if output.json() {
        output.value(&headlines_json(symbol, &answer))?;
    } else if answer.headlines.is_empty() {
        output.text("No headlines.")?;
    } else {
        for one in &answer.headlines {
            output.text(&headline_text(one))?;
        }
        output.remark("`ibouncer news article PROVIDER ID` prints one of them.");
    }
    Ok(Exit::Good)
}

/// Says of which one the headlines are, where the symbol is that of several contracts.
fn ambiguity(symbol: &str, contracts: &[&Contract]) -> Option<String> {
    let (first, others) = contracts.split_first()?;
    let others = others.iter().filter(|other| other.con_id() != first.con_id()).count();
    if others == 0 {
        return None;
    }
    let listed = match first.primary_exch() {
        "" => String::new(),
        exchange => format!(", listed at {exchange}"),
    };
    Some(format!(
        "{symbol} is ambiguous: {} contracts. The headlines are of the first, {}{listed}; `ibouncer \
         contract {symbol}` shows them all.",
        others + 1,
        first.con_id(),
    ))
}

async fn article(
    client: &Client,
    provider: &str,
    id: &str,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let answer = patient(client.news().article(provider, id), output).await?;
    notices::tell(&answer.notices, output);
    let is_binary = answer.article_type() == BINARY;
    if output.json() {
        output.value(&json!({
            "provider": provider,
            "id": id,
            "binary": is_binary,
            "text": answer.article_text(),
        }))?;
    } else if is_binary {
        output.text("This article is a file and not a text; --json has it, in Base64.")?;
    } else {
        output.text(&plain::text_of(answer.article_text()))?;
    }
    Ok(Exit::Good)
}

async fn bulletins(client: &Client, wishes: &News, output: &mut Output) -> Result<Exit, Failure> {
    let mut events = client.news().stream_bulletins().await?;
    let mut until = Until::new(wishes.period)?;
    let mut beside = Beside::default();
    loop {
        tokio::select! {
            batch = events.next_batch() => {
                let batch = batch?;
                if batch.is_empty() {
                    return Err(Complaint::broker_stopped().into());
                }
                for event in batch {
                    show(event, &mut beside, output)?;
                }
                beside.flush(output);
            }
            () = until.over() => return Ok(Exit::Good),
        }
    }
}

fn show(event: NewsEvent, beside: &mut Beside, output: &mut Output) -> Result<(), Failure> {
    match event.body {
        Some(Body::Bulletin(bulletin)) if output.json() => {
            output.json_line(&bulletin_json(&bulletin))?;
        }
        Some(Body::Bulletin(bulletin)) => {
            output.text(&bulletin_text(&bulletin, SystemTime::now()))?;
        }
        Some(Body::Error(error)) => beside.error(error, output),
        Some(Body::Mark(mark)) => beside.mark(&mark, output)?,
        _ => {}
    }
    Ok(())
}

fn providers_text(providers: &[NewsProvider]) -> String {
    let rows: Vec<_> = providers
        .iter()
        .map(|one| vec![one.provider_code().to_owned(), one.provider_name().to_owned()])
        .collect();
    table(&[Column::Text("CODE"), Column::Flexible("NAME")], &rows)
}

fn headlines_json(symbol: &str, found: &Headlines) -> Value {
    let list: Vec<_> = found
        .headlines
        .iter()
        .map(|one| {
            json!({
                "time": one.time,
                "provider": one.provider_code,
                "article": one.article_id,
                "headline": plain::headline(one.headline()),
            })
        })
        .collect();
    json!({ "symbol": symbol, "headlines": list, "has_more": found.has_more })
}

/// The headline, and below it what `news article` wants to know.
fn headline_text(one: &HistoricalNews) -> String {
    // Gateway adds a tenth of a second that is always 0.
    let time = one.time().strip_suffix(".0").unwrap_or(one.time());
    let start = time.chars().count() + 2;
    let headline = wrap_behind(&plain::headline(one.headline()), start, INDENT);
    let indent = " ".repeat(INDENT);
    format!("{time}  {headline}\n{indent}{} {}", one.provider_code(), one.article_id())
}

fn bulletin_json(bulletin: &NewsBulletin) -> Value {
    json!({
        "id": bulletin.news_msg_id,
        "kind": kind_of(bulletin),
        "exchange": bulletin.originating_exch.clone().filter(|text| !text.is_empty()),
        "text": bulletin.news_message,
    })
}

fn bulletin_text(bulletin: &NewsBulletin, now: SystemTime) -> String {
    let (kind, exchange) = (kind_of(bulletin), bulletin.originating_exch());
    let clock = time::clock(now);
    wrap(&format!("{clock}  {kind}  {exchange}  {}", bulletin.news_message()), 10)
}

fn kind_of(bulletin: &NewsBulletin) -> &'static str {
    match bulletin.news_msg_type() {
        2 => "exchange-unavailable",
        3 => "exchange-available",
        _ => "general",
    }
}

const INDENT: usize = 4;

/// `NewsArticle.article_type` of files.
const BINARY: i32 = 1;

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Args;
    use crate::output::WIDTH;

    #[test]
    fn one_thing_at_a_time_is_asked_for() {
        let parse = |line: &str| Args::try_parse_from(line.split(' '));
        for line in [
            "ibouncer news AAPL",
            "ibouncer news AAPL --count 5",
            "ibouncer news --providers",
            "ibouncer news --bulletins --for 5s",
            "ibouncer news article BRFG BRFG$12345",
        ] {
            assert!(parse(line).is_ok(), "{line}: {:?}", parse(line).err());
        }
        for line in [
            "ibouncer news",
            "ibouncer news AAPL --providers",
            "ibouncer news --for 5s",
            "ibouncer news article BRFG",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_headline_fits_80_columns_and_says_how_to_read_on() {
        let one = HistoricalNews {
            time: Some("2026-03-01 14:02:07.0".into()),
            provider_code: Some("BRFG".into()),
            article_id: Some("BRFG$04fb9da2".into()),
            headline: Some("{A:800015:L:en}Something happened, and it took many words ".repeat(2)),
            ..Default::default()
        };
        let text = headline_text(&one);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.starts_with("2026-03-01 14:02:07  Something"), "{text}");
        assert!(text.ends_with("\n    BRFG BRFG$04fb9da2"), "{text}");
    }

    #[test]
    fn a_symbol_of_several_contracts_is_told_with_the_one_that_was_taken() {
        let contract = |con_id: i32| Contract {
            con_id: Some(con_id),
            primary_exch: Some(format!("X{con_id}")),
            ..Default::default()
        };
        let (one, other) = (contract(11), contract(12));
        let told = ambiguity("TWO", &[&one, &other]).unwrap();
        assert!(told.contains("2 contracts") && told.contains("11, listed at X11;"), "{told}");
        assert_eq!(ambiguity("TWO", &[&one]), None);
        assert_eq!(ambiguity("TWO", &[&one, &one]), None, "the same one twice");
    }

    #[test]
    fn bulletins_say_their_kind() {
        let bulletin = NewsBulletin {
            news_msg_type: Some(2),
            originating_exch: Some("NYSE".into()),
            news_message: Some("Trading is halted".into()),
            ..Default::default()
        };
        assert_eq!(bulletin_json(&bulletin)["kind"], "exchange-unavailable");
        assert!(bulletin_text(&bulletin, SystemTime::now()).ends_with("NYSE Trading is halted"));
    }
}
