//! A bracket and what becomes of it: an entry at the market, a target and a stop.
//!
//! ```sh
//! cargo run -p ibouncer-client --example bracket -- entry-1 AAPL 10 180 210
//! ```
//!
//! The first word is the order's name: run it again with the same words, and it takes up the same
//! orders. The client must be one that may trade; see `ibouncer whoami`.

#![expect(clippy::print_stdout, reason = "the purpose of the example")]

use ibouncer_client::{Client, Delivery, Options, OrderHandle, Outcome, contract, order};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [name, symbol, quantity, stop, target] = &words[..] else {
        return Err("usage: bracket NAME SYMBOL QUANTITY STOP TARGET".into());
    };
    let client = Client::connect(Options::new()).await?;
    let entry = order::market("BUY", quantity.as_str());
    let (stop, target) = (stop.parse()?, target.parse()?);
    let orders = order::bracket(name, contract::stock(symbol.as_str()), entry, stop, target);
    let handles = match client.orders().place_group(orders).await {
        Ok(handles) => handles,
        Err(error) if error.delivery() == Some(Delivery::MaybeSent) => {
            return Err(format!("{error}: run it again with the same name").into());
        }
        Err(error) => return Err(error.into()),
    };
    for handle in handles {
        tell(handle).await?;
    }
    Ok(())
}

async fn tell(mut handle: OrderHandle) -> Result<(), ibouncer_client::Error> {
    let name = handle.client_order_id().to_owned();
    match handle.outcome().await? {
        Outcome::Filled(order) => println!("{name} filled at {}", order.avg_fill_price),
        Outcome::Cancelled(order) => println!("{name} cancelled; filled {}", order.filled),
        Outcome::Rejected(order) | Outcome::NotSent(order) => println!("{name}: {}", order.because),
        Outcome::Unknown(order) => {
            println!("{name} is not known ({}); waiting, and placing nothing anew", order.because);
            println!("{name}: {:?}", handle.resolved().await?);
        }
    }
    Ok(())
}
