//! `ibouncer bars SYMBOL`: bars of the past, as a table, CSV, JSON or a picture.

use ibouncer_client::tws::HistoricalDataBar;
use ibouncer_client::{BarRequest, Bars as Found, Client};
use serde_json::{Value, json};

use super::notices;
use super::patience::patient;
use crate::args::Bars;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::output::number::{aligned, decimal, known, set};
use crate::output::plot::{Candle, candles};
use crate::output::screen::size;
use crate::output::table::{Column, table};
use crate::symbol::contract_of;

pub(super) async fn run(
    client: &Client,
    wishes: &Bars,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let answer = patient(client.history().bars(request(wishes)), output).await?;
    notices::tell(&answer.notices, output);
    let found = &answer.value;
    if output.json() {
        output.value(&as_json(wishes, found))?;
    } else if wishes.csv {
        output.text(&as_csv(&found.bars))?;
    } else if found.bars.is_empty() {
        output.text("No bars: nothing happened in this span.")?;
    } else if wishes.plot {
        let (width, height) = size();
        output.text(&as_picture(wishes, &found.bars, width, height))?;
    } else {
        output.text(&as_text(&found.bars))?;
    }
    Ok(Exit::Good)
}

fn request(wishes: &Bars) -> BarRequest {
    let contract = contract_of(&wishes.symbol.symbol);
    // Nobody reports trades of currencies.
    let what = if contract.sec_type() == "CASH" { "MIDPOINT" } else { "TRADES" };
    let what = wishes.what.as_deref().map_or_else(|| what.to_owned(), str::to_uppercase);
    let mut request = BarRequest::new(contract, &wishes.duration, &wishes.size).what(what);
    if wishes.rth {
        request = request.regular_hours();
    }
    match &wishes.until {
        Some(end) => request.until(end),
        None => request,
    }
}

fn as_json(wishes: &Bars, found: &Found) -> Value {
    let bars: Vec<_> = found
        .bars
        .iter()
        .map(|bar| {
            json!({
                "date": bar.date(),
                "open": set(bar.open),
                "high": set(bar.high),
                "low": set(bar.low),
                "close": set(bar.close),
                "volume": decimal(traded(bar.volume())),
                "wap": decimal(traded(bar.wap())),
                "count": count(bar),
            })
        })
        .collect();
    json!({
        "symbol": wishes.symbol.symbol,
        "size": wishes.size,
        "start": found.start,
        "end": found.end,
        "bars": bars,
    })
}

/// Where nothing is traded, as of midpoints, Gateway writes -1.
fn traded(figure: &str) -> &str {
    if figure.starts_with('-') { "" } else { known(figure) }
}

fn count(bar: &HistoricalDataBar) -> Option<i32> {
    bar.bar_count.filter(|count| (0..i32::MAX).contains(count))
}

fn as_csv(bars: &[HistoricalDataBar]) -> String {
    let mut text = String::from("date,open,high,low,close,volume,wap,count");
    let figure =
        |figure: Option<f64>| set(figure).map(|figure| figure.to_string()).unwrap_or_default();
    for bar in bars {
        let prices = [bar.open, bar.high, bar.low, bar.close].map(figure).join(",");
        let (volume, wap) = (traded(bar.volume()), traded(bar.wap()));
        let count = count(bar).map(|count| count.to_string()).unwrap_or_default();
        text.push_str(&format!("\n{},{prices},{volume},{wap},{count}", bar.date()));
    }
    text
}

fn as_text(bars: &[HistoricalDataBar]) -> String {
    let price = aligned(bars.iter().flat_map(|bar| [bar.open, bar.high, bar.low, bar.close]));
    let rows: Vec<_> = bars
        .iter()
        .map(|bar| {
            vec![
                bar.date().to_owned(),
                price(bar.open),
                price(bar.high),
                price(bar.low),
                price(bar.close),
                traded(bar.volume()).to_owned(),
            ]
        })
        .collect();
    let columns = [
        Column::Text("DATE"),
        Column::Figure("OPEN"),
        Column::Figure("HIGH"),
        Column::Figure("LOW"),
        Column::Figure("CLOSE"),
        Column::Figure("VOLUME"),
    ];
    table(&columns, &rows)
}

fn as_picture(wishes: &Bars, bars: &[HistoricalDataBar], width: usize, height: usize) -> String {
    // A bar without its prices is none to draw.
    let price = |figure: Option<f64>| set(figure).unwrap_or(f64::NAN);
    let points: Vec<_> = bars
        .iter()
        .map(|bar| Candle {
            open: price(bar.open),
            high: price(bar.high),
            low: price(bar.low),
            close: price(bar.close),
        })
        .collect();
    let ends = (bars.first(), bars.last());
    let first = ends.0.map(HistoricalDataBar::date).unwrap_or_default();
    let last = ends.1.map(HistoricalDataBar::date).unwrap_or_default();
    let mut lines = vec![format!("{}  {}", wishes.symbol.symbol, wishes.size)];
    // The title takes one row.
    lines.extend(candles(&points, first, last, width, height.saturating_sub(1)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Args, Ask, Command, Read};
    use crate::output::WIDTH;

    fn wishes(line: &str) -> Bars {
        let args = Args::try_parse_from(line.split(' ')).unwrap();
        match args.command {
            Command::Ask(Ask::Read(Read::Bars(wishes))) => wishes,
            other => panic!("{other:?}"),
        }
    }

    fn bars(count: usize) -> Vec<HistoricalDataBar> {
        let one = |index: usize| HistoricalDataBar {
            date: Some(format!("20260301 09:{index:02}:00")),
            open: Some(100.0),
            high: Some(101.5),
            low: Some(99.25),
            close: Some(100.0 + index as f64 / 100.0),
            volume: Some("1200".into()),
            wap: Some("100.1".into()),
            bar_count: Some(7),
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn a_request_is_what_the_command_line_says() {
        let request =
            request(&wishes("ibouncer bars AAPL --duration 2W --size 1h --rth")).into_inner();
        assert_eq!((request.duration(), request.bar_size_setting()), ("2 W", "1 hour"));
        assert_eq!((request.use_rth(), request.what_to_show()), (true, "TRADES"));
        let pair = super::request(&wishes("ibouncer bars EUR.USD")).into_inner();
        assert_eq!((pair.what_to_show(), pair.duration()), ("MIDPOINT", "1 D"));
        let bid = super::request(&wishes("ibouncer bars EUR.USD --what bid")).into_inner();
        assert_eq!(bid.what_to_show(), "BID");
    }

    #[test]
    fn bars_are_a_table_csv_json_and_a_picture() {
        let (asked, found) = (wishes("ibouncer bars AAPL --size 1m"), bars(30));
        let text = as_text(&found);
        assert!(text.contains("100.00  101.50  99.25  100.07    1200"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        let csv = as_csv(&found);
        assert_eq!(csv.lines().nth(1), Some("20260301 09:00:00,100,101.5,99.25,100,1200,100.1,7"));
        let json = as_json(&asked, &Found { bars: found.clone(), ..Default::default() });
        assert_eq!((&json["bars"][0]["volume"], &json["size"]), (&json!(1200), &json!("1 min")));
        let picture = as_picture(&asked, &found, 60, 15);
        assert_eq!(picture.lines().count(), 14);
        assert!(picture.starts_with("AAPL  1 min"));
    }

    #[test]
    fn figures_that_are_not_set_are_no_numbers_in_any_form() {
        let asked = wishes("ibouncer bars AAPL --size 1D");
        let unset = HistoricalDataBar {
            date: Some("20260301".into()),
            high: Some(f64::MAX),
            low: Some(f64::NAN),
            close: Some(101.5),
            volume: Some("9223372036854775807".into()),
            bar_count: Some(i32::MAX),
            ..Default::default()
        };
        let found = [unset];
        assert_eq!(as_csv(&found).lines().nth(1), Some("20260301,,,,101.5,,,"));
        let json = as_json(&asked, &Found { bars: found.to_vec(), ..Default::default() });
        for field in ["open", "high", "low", "volume", "wap", "count"] {
            assert_eq!(json["bars"][0][field], Value::Null, "{field}");
        }
        assert_eq!(json["bars"][0]["close"], 101.5);
        assert!(as_picture(&asked, &found, 60, 15).ends_with("Nothing to draw."));
    }

    #[test]
    fn one_form_at_a_time() {
        for line in ["--csv --plot", "--csv --json", "--plot --json"] {
            let line = format!("ibouncer bars AAPL {line}");
            assert!(Args::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
