//! Prints the best five rows of a book whenever it changed: `cargo run --example depth -- AAPL`.
#![expect(clippy::print_stdout, reason = "the purpose of the example")]

use anyhow::Context as _;
use ibouncer_client::{Book, Client, LineRequest, Options, contract};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let symbol = std::env::args().nth(1).unwrap_or_else(|| "AAPL".to_owned());
    let client = Client::connect(Options::new()).await.context("connect to the broker")?;
    let mut stream = client.market_data().await.context("open a stream")?;
    // Without a line to spare this waits for one; after a break it goes on where it was.
    let request = LineRequest::depth(contract::stock(symbol), 5).smart();
    stream.subscribe_to(request.wait_for_line().resumable()).await?;
    let mut book = Book::new();
    while let Some(batch) = stream.next_batch().await? {
        for event in batch.events() {
            let event = event?;
            book.take(&event)?;
            if let Some(mark) = event.mark()? {
                println!("{}: {}", mark.kind().as_str_name(), mark.because);
            }
            if let Some(error) = event.gateway_error()? {
                println!("error {}: {}", error.error_code(), error.error_msg());
            }
        }
        println!("{}", if book.is_stale() { "book (old)" } else { "book" });
        for row in 0..book.bids().len().max(book.asks().len()) {
            let side = |rows: &[ibouncer_client::BookRow]| match rows.get(row) {
                Some(row) => format!("{:>10} x {:<8} {:<8}", row.price, row.size, row.market_maker),
                None => format!("{:>30}", ""),
            };
            println!("{}  {}", side(book.bids()), side(book.asks()));
        }
    }
    Ok(())
}
