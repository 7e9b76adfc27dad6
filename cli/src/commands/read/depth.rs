//! `ibouncer depth SYMBOL`: the order book, live in a terminal, a line for each change elsewhere.

mod page;

use std::time::{Duration, SystemTime};

use ibouncer_client::api::MarkKind;
use ibouncer_client::{Book, BookChange, Client, EventBatch, LineRequest};

use super::notices::{self, Beside};
use crate::args::Depth;
use crate::commands::quotes::unreadable;
use crate::commands::until::Until;
use crate::exit::{Complaint, Exit, Failure};
use crate::explain::Wish;
use crate::output::Output;
use crate::output::escapes::decoded;
use crate::output::screen::{Key, Screen, key_of};
use crate::symbol::contract_of;

pub(super) async fn run(
    client: &Client,
    wishes: &Depth,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let mut stream = client.market_data().await?;
    stream.subscribe_to(request(wishes)).await?;
    let mut until = Until::new(wishes.period)?;
    let mut screen = if Screen::is_wanted(output) { Some(Screen::open()?) } else { None };
    let beside = Beside::of(Wish::Book);
    let mut view = View { symbol: &wishes.symbol.symbol, beside, ..View::default() };
    let mut frames = tokio::time::interval(FRAME);
    loop {
        tokio::select! {
            batch = stream.next_batch() => {
                let Some(batch) = batch? else {
                    return Err(Complaint::broker_stopped().into());
                };
                view.take(&batch, screen.is_some(), output)?;
                if view.ended {
                    break;
                }
            }
            _ = frames.tick(), if screen.is_some() => {
                if let Some(screen) = &screen {
                    screen.draw(&page::lines(view.symbol, &view.book, &view.news))?;
                }
            }
            key = key_of(screen.as_mut()) => if key == Key::Quit {
                break;
            },
            () = until.over() => break,
        }
    }
    Ok(if view.seen { Exit::Good } else { Exit::NotReady })
}

fn request(wishes: &Depth) -> LineRequest {
    let mut contract = contract_of(&wishes.symbol.symbol);
    // SMART has no book of its own, only a merged one.
    let smart = wishes.smart || (wishes.exchange.is_none() && contract.sec_type() == "STK");
    if let Some(exchange) = &wishes.exchange {
        contract.exchange = Some(exchange.clone());
    }
    let request = LineRequest::depth(contract, wishes.rows).wait_for_line();
    if smart { request.smart() } else { request }
}

/// The book, and what was said beside it.
#[derive(Default)]
struct View<'a> {
    symbol: &'a str,
    book: Book,
    /// The newest mark or warning, for the screen.
    news: String,
    beside: Beside,
    /// The book had a row.
    seen: bool,
    ended: bool,
}

impl View<'_> {
    fn take(
        &mut self,
        batch: &EventBatch,
        on_screen: bool,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let mut changed = false;
        for event in batch.events() {
            let event = event.map_err(unreadable)?;
            let change = self.book.take(&event).map_err(unreadable)?;
            // A RESET is the beginning of something, and nothing to see.
            changed |= matches!(change, BookChange::Row(_) | BookChange::Age);
            self.seen |= matches!(change, BookChange::Row(_));
            if let Some(mark) = event.mark().map_err(unreadable)? {
                self.ended |= mark.kind() == MarkKind::Ended;
                self.news = format!("{}  {}", notices::name(mark.kind()), mark.because);
                if !on_screen || mark.error.is_some() {
                    self.beside.mark(&mark, output)?;
                }
            }
            if let Some(error) = event.gateway_error().map_err(unreadable)? {
                let message = decoded(error.error_msg());
                self.news = format!("Gateway: {message} ({})", error.error_code());
                if !on_screen {
                    self.beside.error(error, output);
                }
            }
        }
        self.beside.flush(output);
        // Before the first row there is nothing to see.
        if !changed || on_screen || !self.seen {
            return Ok(());
        }
        let now = SystemTime::now();
        if output.json() {
            output.json_line(&page::as_json(self.symbol, &self.book, now))?;
        } else {
            output.text(&page::line(self.symbol, &self.book, now))?;
        }
        Ok(())
    }
}

const FRAME: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use ibouncer_client::api::subscribe::What;

    use super::*;
    use crate::args::{Args, Ask, Command, Read};

    fn asked(line: &str) -> ibouncer_client::tws::MarketDepthRequest {
        let args = Args::try_parse_from(line.split(' ')).unwrap();
        let Command::Ask(Ask::Read(Read::Depth(wishes))) = args.command else { panic!("{line}") };
        match request(&wishes).into_inner().what {
            Some(What::MarketDepth(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_stock_without_an_exchange_has_a_merged_book() {
        let merged = asked("ibouncer depth AAPL --rows 5");
        assert_eq!((merged.num_rows(), merged.is_smart_depth()), (5, true));
        let one = asked("ibouncer depth AAPL --exchange ISLAND");
        assert_eq!(one.contract.as_ref().unwrap().exchange(), "ISLAND");
        assert!(!one.is_smart_depth());
        assert!(!asked("ibouncer depth EUR.USD").is_smart_depth());
        assert!(asked("ibouncer depth EUR.USD --smart").is_smart_depth());
    }
}
