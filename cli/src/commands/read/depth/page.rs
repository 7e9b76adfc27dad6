//! How a book looks: as a picture, as one line, as JSON. Pure.

use std::time::SystemTime;

use ibouncer_client::{Book, BookRow};
use serde_json::{Value, json};

use crate::output::number::{price, set};
use crate::output::time;

/// The whole book, bids at the left.
pub(super) fn lines(symbol: &str, book: &Book, news: &str) -> Vec<String> {
    let age = if book.is_stale() { "   old: no session behind it" } else { "" };
    let mut lines = vec![format!("{symbol}   order book{age}"), String::new()];
    lines.push(format!(
        "{:>8} {:>12} {:>12}   {:<12} {:<12} {}",
        "MAKER", "SIZE", "BID", "ASK", "SIZE", "MAKER"
    ));
    for row in 0..book.bids().len().max(book.asks().len()) {
        let bid = cells(book.bids().get(row));
        let ask = cells(book.asks().get(row));
        lines.push(
            format!(
                "{:>8} {:>12} {:>12}   {:<12} {:<12} {}",
                bid[2], bid[1], bid[0], ask[0], ask[1], ask[2]
            )
            .trim_end()
            .to_owned(),
        );
    }
    if book.bids().is_empty() && book.asks().is_empty() {
        lines.push("  no row yet".to_owned());
    }
    lines.push(String::new());
    lines.push(news.trim().to_owned());
    lines.push("[q] quit".to_owned());
    lines
}

/// The best of both sides.
pub(super) fn line(symbol: &str, book: &Book, now: SystemTime) -> String {
    let best = |rows: &[BookRow]| match rows.first() {
        Some(row) => format!("{} x {}", price(Some(row.price)), price(Some(row.size))),
        None => "none".to_owned(),
    };
    let (bids, asks) = (book.bids(), book.asks());
    let age = if book.is_stale() { "  old" } else { "" };
    format!(
        "{}  {symbol}  bid {}  ask {}  ({} + {} rows){age}",
        time::clock_millis(now),
        best(bids),
        best(asks),
        bids.len(),
        asks.len()
    )
}

/// The whole book.
pub(super) fn as_json(symbol: &str, book: &Book, now: SystemTime) -> Value {
    let side = |rows: &[BookRow]| -> Vec<Value> {
        rows.iter()
            .map(|row| {
                json!({
                    "price": set(Some(row.price)),
                    "size": set(Some(row.size)),
                    "market_maker": Some(&row.market_maker).filter(|name| !name.is_empty()),
                })
            })
            .collect()
    };
    json!({
        "at": time::rfc3339(now),
        "symbol": symbol,
        "bids": side(book.bids()),
        "asks": side(book.asks()),
        "stale": book.is_stale(),
    })
}

fn cells(row: Option<&BookRow>) -> [String; 3] {
    row.map_or_else(Default::default, |row| {
        [price(Some(row.price)), price(Some(row.size)), row.market_maker.clone()]
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ibouncer_client::{DepthChange, Operation, Side};

    use super::*;

    fn book() -> Book {
        let mut book = Book::new();
        for (position, side, price) in
            [(0, Side::Bid, 189.1), (1, Side::Bid, 189.0), (0, Side::Ask, 189.2)]
        {
            book.apply(&DepthChange {
                position,
                operation: Operation::Insert,
                side,
                price,
                size: "300",
                market_maker: "NSDQ",
                is_smart: true,
            });
        }
        book
    }

    #[test]
    fn a_book_is_a_picture_a_line_and_json() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_772_373_727_123);
        let lines = lines("AAPL", &book(), "");
        assert!(lines[3].contains("189.1   189.2"), "{lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80));
        assert_eq!(
            line("AAPL", &book(), now),
            "14:02:07.123Z  AAPL  bid 189.1 x 300  ask 189.2 x 300  (2 + 1 rows)"
        );
        let json = as_json("AAPL", &book(), now);
        assert_eq!((&json["bids"][1]["price"], &json["stale"]), (&json!(189.0), &json!(false)));
        assert_eq!(json["asks"][0]["market_maker"], "NSDQ");
        assert!(line("AAPL", &Book::new(), now).contains("bid none"));
    }
}
