//! `ibouncer top`: who uses the session and how much, live. Rates are differences of counters
//! between two looks.

mod page;
mod rates;

use std::time::{Duration, SystemTime};

use ibouncer_client::{Client, api};
use tokio::time::Instant;

use crate::args::Top;
use crate::commands::lines;
use crate::commands::until::Until;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::output::screen::{Key, Screen, key_of, size};

use self::rates::Rates;

/// Everything that was asked for at one moment.
#[derive(Debug)]
struct Look {
    status: api::Status,
    clients: Vec<api::ClientInfo>,
    lines: Vec<api::LineInfo>,
    queue: api::GetQueueResponse,
    /// How long the broker took to answer all of it.
    took: Duration,
}

pub(super) async fn run(
    client: &Client,
    wishes: &Top,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let mut until = Until::new(wishes.period)?;
    let mut screen = if Screen::is_wanted(output) { Some(Screen::open()?) } else { None };
    let mut ticker = tokio::time::interval(EACH);
    let mut rates = Rates::default();
    loop {
        tokio::select! {
            _ = ticker.tick() => {
                let look = look(client, wishes.show_accounts).await?;
                rates.take(&look.clients, &look.lines, Instant::now());
                show(&look, &rates, screen.as_ref(), output)?;
            }
            key = key_of(screen.as_mut()) => if key == Key::Quit {
                break;
            },
            () = until.over() => break,
        }
    }
    Ok(Exit::Good)
}

async fn look(client: &Client, show_accounts: bool) -> Result<Look, Failure> {
    let (admin, session) = (client.admin(), client.session());
    let begun = Instant::now();
    let (status, clients, lines, queue) =
        tokio::try_join!(client.status(), admin.clients(), admin.lines(), session.queue(None))?;
    let mut look = Look { status, clients, lines, queue, took: begun.elapsed() };
    // Of the queue the broker masks them.
    if !show_accounts {
        lines::mask(&mut look.lines);
    }
    Ok(look)
}

fn show(
    look: &Look,
    rates: &Rates,
    screen: Option<&Screen>,
    output: &mut Output,
) -> Result<(), Failure> {
    let now = SystemTime::now();
    match screen {
        Some(screen) => {
            let (_, height) = size();
            let mut lines = page::lines(look, rates, now, height.saturating_sub(1));
            lines.push("[q] quit".to_owned());
            screen.draw(&lines)?;
        }
        None if output.json() => output.json_line(&page::as_json(look, rates, now))?,
        None => output.text(&page::line(look, rates, now))?,
    }
    Ok(())
}

const EACH: Duration = Duration::from_secs(1);
