//! Bars, books, scanners, contracts.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{WIDTH, fields, good, is_contract, json, list, parsed, text, watch, world};

/// Prices of the past are a function of time: asked again, they are the same.
const UNTIL: &str = "20251120 16:00:00 US/Eastern";

#[test]
fn bars_are_the_same_figures_as_a_table_as_csv_as_json_and_as_a_picture() {
    let (sim, broker) = world();
    let asked = ["bars", "AAPL", "--duration", "1D", "--size", "1m", "--until", UNTIL];
    let with = |form: &[&'static str]| [&asked[..], form].concat();
    let told = json(&broker, &with(&[]));
    fields(&told, &["symbol", "size", "start", "end", "bars"]);
    assert_eq!((&told["symbol"], &told["size"]), (&json!("AAPL"), &json!("1 min")));
    let bars = list(&told, "bars");
    assert!(bars.len() > 300, "{} bars of a day", bars.len());
    fields(&bars[0], &["date", "open", "high", "low", "close", "volume", "wap", "count"]);
    let request = &sim.wait_requests("REQ_HISTORICAL_DATA", 1)[0];
    for (field, value) in [("duration", "1 D"), ("bar_size", "1 min"), ("end_date_time", UNTIL)] {
        assert_eq!(request[field], value);
    }
    assert_eq!(request["what_to_show"], "TRADES");

    let prices = |bar: &Value| -> Vec<f64> {
        let names = ["open", "high", "low", "close", "volume"];
        names.iter().map(|name| bar[name].as_f64().unwrap()).collect()
    };
    let table = text(&broker, &with(&[]));
    assert_eq!(table.lines().count(), bars.len() + 1, "a title, and a row each");
    for (row, bar) in table.lines().skip(1).zip(bars) {
        assert!(row.starts_with(bar["date"].as_str().unwrap()), "{row}");
        let words: Vec<_> = row.split_whitespace().collect();
        let figures = words[words.len() - 5..].iter().map(|word| word.parse::<f64>().unwrap());
        assert_eq!(figures.collect::<Vec<_>>(), prices(bar), "{row}");
    }
    let csv = good(&broker, &with(&["--csv"])).stdout;
    let mut rows = csv.lines();
    assert_eq!(rows.next(), Some("date,open,high,low,close,volume,wap,count"));
    for (row, bar) in rows.zip(bars) {
        let cells: Vec<_> = row.split(',').collect();
        assert_eq!(cells.len(), 8, "{row}");
        let figures = cells[1..6].iter().map(|cell| cell.parse::<f64>().unwrap());
        assert_eq!(figures.collect::<Vec<_>>(), prices(bar), "{row}");
    }
    let picture = text(&broker, &with(&["--plot"]));
    assert!(picture.starts_with("AAPL  1 min"), "{picture}");
    assert!(picture.contains('█') && picture.contains('░'), "{picture}");
    let highest = bars.iter().map(|bar| bar["high"].as_f64().unwrap()).fold(0.0, f64::max);
    let label = picture.lines().find_map(|line| line.split_whitespace().next()?.parse().ok());
    let label: f64 = label.expect("a price at the left");
    assert!(label <= highest && label > highest * 0.9, "{label} of {highest}\n{picture}");
    let last = bars.last().unwrap()["date"].as_str().unwrap();
    assert!(picture.contains(last), "{picture}");
}

#[test]
fn bars_of_a_currency_pair_are_midpoints_and_spans_that_gateway_has_not_are_explained() {
    let (sim, broker) = world();
    let told = json(&broker, &["bars", "EUR.USD", "--duration", "6h", "--size", "1h"]);
    assert!(list(&told, "bars").iter().all(|bar| bar["close"].as_f64() < Some(5.0)));
    assert_eq!(sim.wait_requests("REQ_HISTORICAL_DATA", 1)[0]["what_to_show"], "MIDPOINT");
    let answer = broker.cli(&["bars", "AAPL", "--size", "7m"]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("5m 10m"), "{answer:?}");
}

/// Both sides begin with their best price.
fn check_book(book: &Value) {
    fields(book, &["at", "symbol", "bids", "asks", "stale"]);
    let prices = |side: &str| -> Vec<f64> {
        list(book, side).iter().map(|row| row["price"].as_f64().unwrap()).collect()
    };
    let (bids, asks) = (prices("bids"), prices("asks"));
    assert!(bids.is_sorted_by(|a, b| a >= b) && asks.is_sorted(), "{book}");
    assert!(bids.len() <= 3 && asks.len() <= 3, "{book}");
    if let (Some(bid), Some(ask)) = (bids.first(), asks.first()) {
        assert!(bid < ask, "{book}");
    }
}

#[test]
fn a_book_is_a_line_for_each_change_until_somebody_ends_it() {
    let (sim, broker) = world();
    let lines = watch(&broker, &["depth", "AAPL", "--rows", "3", "--json"], 30, Signal::SIGINT);
    let books = parsed(&lines);
    books.iter().for_each(check_book);
    let last = books.last().unwrap();
    assert_eq!((&last["symbol"], &last["stale"]), (&json!("AAPL"), &json!(false)));
    fields(&last["bids"][0], &["price", "size", "market_maker"]);
    assert!(last["bids"][0]["market_maker"].is_string(), "a merged book names exchanges: {last}");
    let request = &sim.wait_requests("REQ_MKT_DEPTH", 1)[0];
    assert_eq!((&request["rows"], &request["smart_depth"]), (&json!(3), &json!(true)));
    let lines = watch(&broker, &["depth", "AAPL", "--exchange", "ISLAND"], 10, Signal::SIGTERM);
    let line = lines.last().unwrap();
    assert!(line.contains("Z  AAPL  bid ") && line.contains("  ask "), "{line}");
    assert!(line.chars().count() <= WIDTH, "{line}");
    let request = &sim.wait_requests("REQ_MKT_DEPTH", 2)[1];
    assert_eq!(request["exchange"], "ISLAND");
}

#[test]
fn a_scan_is_a_ranked_list_and_its_parameters_are_gateways_xml() {
    let (sim, broker) = world();
    let words = ["scan", "--code", "HOT_BY_VOLUME", "--rows", "7", "--above-price", "5"];
    let told = json(&broker, &words);
    fields(&told, &["code", "location", "contracts"]);
    assert_eq!(told["code"], "HOT_BY_VOLUME");
    let rows = list(&told, "contracts");
    let ranks: Vec<_> = rows.iter().map(|row| row["rank"].as_i64().unwrap()).collect();
    assert_eq!(ranks, [1, 2, 3, 4, 5, 6, 7]);
    is_contract(&rows[0]["contract"]);
    let request = &sim.wait_requests("REQ_SCANNER_SUBSCRIPTION", 1)[0];
    assert_eq!((&request["scan_code"], &request["rows"]), (&json!("HOT_BY_VOLUME"), &json!(7)));
    let table = text(&broker, &words);
    let first = table.lines().nth(1).unwrap();
    // A symbol may have a space in it.
    assert!(first.starts_with("   1  ") && first.contains("  STK  "), "{table}");
    assert_eq!(table.lines().count(), 8, "{table}");
    // Whoever looks once leaves nothing behind.
    sim.wait_requests("CANCEL_SCANNER_SUBSCRIPTION", 2);
    let xml = json(&broker, &["scan", "--parameters"]);
    assert!(xml["xml"].as_str().unwrap().contains("TOP_PERC_GAIN"));
}

#[test]
fn a_contract_says_what_it_is_and_a_search_finds_it() {
    let (_sim, broker) = world();
    let told = json(&broker, &["contract", "AAPL"]);
    let [found] = list(&told, "contracts") else { panic!("{told:#}") };
    is_contract(&found["contract"]);
    assert_eq!(found["contract"]["con_id"], 900_000_001);
    for field in ["long_name", "min_tick", "trading_hours", "liquid_hours", "time_zone"] {
        assert!(found[field].is_string(), "{field}: {found:#}");
    }
    assert!(list(found, "valid_exchanges").contains(&json!("SMART")));
    let page = text(&broker, &["contract", "AAPL"]);
    for part in ["AAPL STK SMART USD", "900000001", found["long_name"].as_str().unwrap()] {
        assert!(page.contains(part), "{part}:\n{page}");
    }
    // A class of shares, as people write it and as Gateway does.
    for symbol in ["BRK.B", "BRK B"] {
        let told = json(&broker, &["contract", symbol]);
        assert_eq!(told["contracts"][0]["contract"]["symbol"], "BRK B", "{told:#}");
    }
    let told = json(&broker, &["search", "AAP"]);
    let matches = list(&told, "matches");
    let apple = matches.iter().find(|one| one["contract"]["symbol"] == "AAPL").unwrap();
    fields(apple, &["contract", "description", "derivatives"]);
    is_contract(&apple["contract"]);
    let table = text(&broker, &["search", "AAP"]);
    assert!(table.lines().any(|line| line.starts_with("AAPL ")), "{table}");
    assert_eq!(text(&broker, &["search", "ZZZZZ"]), "Nothing matches.");
}
