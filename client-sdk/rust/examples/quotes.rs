//! Prints prices of the symbols on the command line: `cargo run --example quotes -- AAPL MSFT`.
#![expect(clippy::print_stdout, reason = "the purpose of the example")]

use std::collections::BTreeMap;

use anyhow::Context as _;
use ibouncer_client::{Client, Feed, Options, Tick, contract};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::connect(Options::new()).await.context("connect to the broker")?;
    let mut stream = client.market_data().await.context("open a stream")?;
    let mut symbols = BTreeMap::new();
    for symbol in std::env::args().skip(1) {
        let id = stream.subscribe(contract::stock(&symbol), Feed::Live).await?;
        symbols.insert(id, symbol);
    }
    while let Some(batch) = stream.next_batch().await? {
        for event in batch.events() {
            let event = event?;
            let symbol = &symbols[&event.subscription_id];
            if let Some(mark) = event.mark()? {
                println!("{symbol} {}: {}", mark.kind().as_str_name(), mark.because);
            }
            if let Some(error) = event.gateway_error()? {
                println!("{symbol} error {}: {}", error.error_code(), error.error_msg());
            }
            if let Some(tick @ Tick::Price { price, size, .. }) = event.tick()? {
                println!("{symbol} {} {price} x {size}", tick.name());
            }
        }
    }
    Ok(())
}
