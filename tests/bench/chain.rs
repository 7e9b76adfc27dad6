//! The chain under test: simulator, broker with its worker, and a client in this process.

use ibouncer_client::contract::stock;
use ibouncer_client::{Client, Feed, MarketDataStream};
use ibouncer_tests::harness::{Broker, Sim};

use crate::binary;

/// Symbols that the simulator knows.
pub(crate) const SYMBOLS: [&str; 10] =
    ["AAPL", "MSFT", "SPY", "GOOGL", "AMZN", "NVDA", "META", "TSLA", "JPM", "XOM"];

/// A simulator that stamps so many ticks a second.
pub(crate) fn simulator(rate: u64) -> Sim {
    let rate = rate.to_string();
    Sim::start(binary(), &["--ticks-per-second", &rate, "--stamp"])
}

/// A broker with its defaults, but for the places.
pub(crate) fn broker(sim: &Sim) -> Broker {
    let broker = Broker::plan(binary(), sim.address()).start();
    broker.wait_ready();
    broker
}

/// A client of it.
pub(crate) async fn client(broker: &Broker) -> Client {
    Client::connect(broker.home().options()).await.unwrap()
}

/// A stream with all symbols.
pub(crate) async fn stream(client: &Client) -> MarketDataStream {
    let stream = client.market_data().await.unwrap();
    for symbol in SYMBOLS {
        stream.subscribe(stock(symbol), Feed::Live).await.unwrap();
    }
    stream
}
