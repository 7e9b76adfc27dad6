//! The commands. Each is a file of its own; those that ask the broker get a connected client.

mod accounts;
mod clients;
mod completions;
mod config;
mod connections;
mod demo;
mod doctor;
mod events;
mod handover;
mod lines;
mod quotes;
mod read;
mod retry;
mod schema;
mod serve;
mod session;
mod sim;
mod status;
mod support_bundle;
mod trade;
mod until;
mod wait_ready;
mod worker;

use ibouncer_client::Client;

use crate::args::{Args, Ask, Command, Global};
use crate::exit::{Complaint, Exit, Failure};
use crate::output::Output;

/// Runs the command of the command line.
pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, Failure> {
    match &args.command {
        Command::Ask(ask) => runtime()?.block_on(ask_broker(ask, &args.global, output)),
        Command::SupportBundle { output: file, settings } => runtime()?
            .block_on(support_bundle::run(file.as_deref(), settings, &args.global, output)),
        Command::Demo(order) => demo::run(order, output),
        Command::Serve(order) => serve::run(order, &args.global, output),
        Command::Sim(order) => sim::run(order),
        Command::Doctor(order) => doctor::run(order, &args.global, output),
        Command::Config(order) => config::run(order, &args.global, output),
        Command::Schema(order) => schema::run(order, output),
        Command::Completions { shell } => completions::run(*shell, output),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let failed = |error| Complaint::internal("START", format!("cannot start: {error}")).into();
    built.map_err(failed)
}

async fn ask_broker(ask: &Ask, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let client = Client::connect(global.options());
    match ask {
        // It waits for the broker too.
        Ask::WaitReady { timeout } => wait_ready::run(global, *timeout, output).await,
        Ask::Status { watch: false } => status::once(&client.await?, output).await,
        Ask::Status { watch: true } => status::watch(&client.await?, output).await,
        Ask::Accounts { show_accounts } => {
            accounts::run(&client.await?, *show_accounts, output).await
        }
        Ask::Quotes(wishes) => quotes::run(&client.await?, wishes, output).await,
        Ask::Read(read) => read::run(&client.await?, read, output).await,
        Ask::Trade(order) => match client.await {
            Ok(client) => trade::run(&client, order, output).await,
            Err(error) => Err(trade::unconnected(order, error)),
        },
        Ask::Clients => clients::run(&client.await?, output).await,
        Ask::Lines { show_accounts } => lines::run(&client.await?, *show_accounts, output).await,
        // It needs no broker.
        Ask::Connections(wishes) => connections::run(global, wishes, output).await,
        Ask::Worker(order) => worker::run(&client.await?, order, output).await,
        Ask::Session(order) => session::run(&client.await?, order, output).await,
        Ask::Handover { binary } => {
            handover::run(&client.await?, binary.as_deref(), global, output).await
        }
        Ask::Events { follow, after } => events::run(&client.await?, *follow, *after, output).await,
        Ask::Retry { reason } => retry::run(&client.await?, reason, output).await,
    }
}
