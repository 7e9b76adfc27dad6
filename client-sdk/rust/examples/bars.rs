//! Prints today's bars of a symbol, then the newest one as it changes:
//! `cargo run --example bars -- AAPL`.
#![expect(clippy::print_stdout, reason = "the purpose of the example")]

use anyhow::Context as _;
use ibouncer_client::api::history_event::Body;
use ibouncer_client::tws::HistoricalDataBar;
use ibouncer_client::{BarRequest, Client, Options, SubscriptionEvent as _, contract};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let symbol = std::env::args().nth(1).unwrap_or_else(|| "AAPL".to_owned());
    let client = Client::connect(Options::new()).await.context("connect to the broker")?;
    let request = BarRequest::new(contract::stock(symbol), "1 D", "5 mins");
    let mut bars = client.history().stream_bars(request).await.context("ask for bars")?;
    while let Some(event) = bars.next().await? {
        if let Some(mark) = event.mark() {
            println!("{}: {}", mark.kind().as_str_name(), mark.because);
        }
        match event.body {
            Some(Body::Bars(bars)) => bars.historical_data_bars.iter().for_each(print),
            Some(Body::Update(update)) => update.historical_data_bar.iter().for_each(print),
            Some(Body::Error(error)) => println!("{}: {}", error.error_code(), error.error_msg()),
            _ => {}
        }
    }
    Ok(())
}

fn print(bar: &HistoricalDataBar) {
    let (open, high, low, close) = (bar.open(), bar.high(), bar.low(), bar.close());
    println!("{}  {open} {high} {low} {close}  {}", bar.date(), bar.volume());
}
