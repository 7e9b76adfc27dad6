//! `ibouncer quotes SYMBOL…`: market data as it comes, one line an update.
//!
//! This file holds the stream and the clock; what an event means for its symbol is decided in
//! [`board`], and how it looks in [`entry`].

mod board;
mod entry;

use std::time::{Duration, SystemTime};

use ibouncer_client::{Client, EventBatch, Feed, LineRequest, Malformed};

use self::board::Board;
use crate::args::Quotes;
use crate::commands::until::Until;
use crate::exit::{Complaint, Exit, Failure};
use crate::explain::Wish;
use crate::output::Output;
use crate::output::text::wrap;
use crate::symbol::contract_of;

pub(crate) async fn run(
    client: &Client,
    wishes: &Quotes,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let mut stream = client.market_data().await?;
    let feed = Feed::from(wishes.feed);
    let mut board = Board::of(Wish::quotes(feed));
    for symbol in &wishes.symbols {
        let id = stream.subscribe(LineRequest::new(contract_of(symbol)), feed).await?;
        board.add(id, symbol.clone());
    }

    let mut until = Until::new(wishes.period)?;
    let patience = tokio::time::sleep(PATIENCE);
    tokio::pin!(patience);
    let mut patient = true;
    while board.is_live() {
        tokio::select! {
            batch = stream.next_batch() => match batch? {
                Some(batch) => show(&batch, &mut board, output)?,
                None => return Err(Complaint::broker_stopped().into()),
            },
            () = &mut patience, if patient => {
                patient = false;
                remark(&board, output);
            }
            () = until.over() => break,
        }
    }
    if patient {
        remark(&board, output);
    }
    Ok(board.exit())
}

fn show(batch: &EventBatch, board: &mut Board, output: &mut Output) -> Result<(), Failure> {
    let now = SystemTime::now();
    for event in batch.events() {
        let event = event.map_err(unreadable)?;
        for entry in board.take(&event).map_err(unreadable)? {
            match (entry.is_trouble(), output.json()) {
                (false, false) => output.text(&entry.text(now))?,
                (false, true) => output.json_line(&entry.json())?,
                (true, false) => output.remark(&wrap(&entry.text(now), 2)),
                (true, true) => output.json_remark(&entry.json()),
            }
        }
    }
    Ok(())
}

/// Says which symbols gave nothing so far.
fn remark(board: &Board, output: &mut Output) {
    for silence in board.silent() {
        if output.json() {
            output.json_remark(&silence.json());
        } else {
            output.remark(&silence.text());
        }
    }
}

pub(crate) fn unreadable(error: Malformed) -> Failure {
    Complaint::internal(ibouncer_client::Error::BAD_ANSWER, error.to_string())
        .next("broker and command line are of different versions: restart the broker with this one")
        .into()
}

/// How long a symbol may be silent before that is worth a remark.
const PATIENCE: Duration = Duration::from_secs(5);
