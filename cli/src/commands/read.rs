//! The commands that read from Gateway: history, books, accounts, orders, news. One file each.
//!
//! They ask through the SDK and print what came. Gateway's own warnings go to stderr, each with
//! a next step where there is one ([`notices`]); accounts are masked unless asked for
//! ([`whose`]).

mod account;
mod bars;
mod contract;
mod depth;
mod executions;
mod news;
mod notices;
mod orders;
mod patience;
mod pnl;
mod positions;
mod queue;
mod scan;
mod search;
mod top;
mod whose;

use ibouncer_client::Client;

use crate::args::{Orders, Read};
use crate::exit::{Exit, Failure};
use crate::output::Output;

pub(crate) async fn run(
    client: &Client,
    read: &Read,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match read {
        Read::Bars(wishes) => bars::run(client, wishes, output).await,
        Read::Depth(wishes) => depth::run(client, wishes, output).await,
        Read::Scan(wishes) => scan::run(client, wishes, output).await,
        Read::Contract { symbol } => contract::run(client, &symbol.symbol, output).await,
        Read::Search { text } => search::run(client, text, output).await,
        Read::Account(wishes) => account::run(client, wishes, output).await,
        Read::Positions(wishes) => positions::run(client, wishes, output).await,
        Read::Pnl(wishes) => pnl::run(client, wishes, output).await,
        Read::Executions(wishes) => executions::run(client, wishes, output).await,
        Read::News(wishes) => news::run(client, wishes, output).await,
        Read::Queue(wishes) => queue::run(client, wishes.client.as_deref(), output).await,
        Read::Top(wishes) => top::run(client, wishes, output).await,
    }
}

/// Open or completed orders, as Gateway lists them.
pub(crate) async fn orders(
    client: &Client,
    wishes: &Orders,
    output: &mut Output,
) -> Result<Exit, Failure> {
    orders::run(client, wishes, output).await
}
