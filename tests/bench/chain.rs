//! The chain under test: simulator, broker with its worker, and a client in this process.

use ibouncer_client::contract::stock;
use ibouncer_client::{Client, Feed, MarketDataStream};
use ibouncer_tests::harness::{Broker, Sim};

use crate::binary;

/// Symbols that the simulator knows: as many as Gateway has lines.
pub(crate) const HUNDRED: [&str; 100] = [
    "AAPL", "MSFT", "SPY", "GOOGL", "AMZN", "NVDA", "META", "TSLA", "JPM", "XOM", "GOOG", "AVGO",
    "LLY", "V", "UNH", "MA", "COST", "HD", "PG", "JNJ", "WMT", "ABBV", "NFLX", "CRM", "BAC",
    "ORCL", "CVX", "KO", "MRK", "AMD", "PEP", "ADBE", "TMO", "LIN", "ACN", "MCD", "CSCO", "ABT",
    "GE", "IBM", "DHR", "TXN", "QCOM", "PM", "NOW", "CAT", "INTU", "WFC", "AMGN", "VZ", "DIS",
    "AMAT", "ISRG", "GS", "PFE", "SPGI", "RTX", "NEE", "T", "UBER", "CMCSA", "LOW", "PGR", "HON",
    "UNP", "BKNG", "TJX", "AXP", "MS", "BLK", "ETN", "COP", "SYK", "BSX", "BA", "MU", "PANW", "C",
    "ADP", "FI", "LMT", "SCHW", "MDT", "DE", "INTC", "SBUX", "GILD", "LRCX", "KLAC", "MMM", "NKE",
    "SHOP", "PLTR", "COIN", "SNOW", "F", "GM", "QQQ", "IWM", "DIA",
];

/// As many as one client of the other benchmarks listens to.
pub(crate) fn ten() -> &'static [&'static str] {
    &HUNDRED[..10]
}

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

/// A stream with these lines.
pub(crate) async fn stream(client: &Client, symbols: &[&str]) -> MarketDataStream {
    let stream = client.market_data().await.unwrap();
    for symbol in symbols {
        stream.subscribe(stock(*symbol), Feed::Live).await.unwrap();
    }
    stream
}
