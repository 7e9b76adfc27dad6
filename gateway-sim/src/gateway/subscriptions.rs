//! The streams of a connection: what each holds, whose turn is whose code, and how they end.

use std::time::Duration;

use super::Shared;
use super::answer::{Answer, Refusal};
use super::bars::LiveBars;
use super::connection::Connection;
use super::depth::Book;
use super::history::Query;
use super::past::TickQuery;
use super::streams::{Family, Key};
use super::tick_by_tick::Ticker;

/// What a stream holds until its turn.
#[derive(Debug)]
pub(super) enum Stream {
    /// Nothing but its name.
    Named,
    History(Box<Query>),
    HistoricalTicks(TickQuery),
    Depth(Box<Book>),
    TickByTick(Ticker),
    RealTimeBars(LiveBars),
}

impl Connection {
    /// Gives every stream its turn that is due.
    pub(super) fn step_streams(&mut self, shared: &mut Shared, now: Duration) {
        while let Some((key, due, mut stream)) = self.streams.take_due(now) {
            if is_live(key.0) && !shared.farms.market {
                let pause = shared.config.depth_interval;
                self.streams.open(key, Some(now + pause), stream);
                continue;
            }
            let pause = match &mut stream {
                Stream::Named => continue,
                Stream::History(_) => {
                    self.step_history(key, stream, shared, due, now);
                    continue;
                }
                Stream::HistoricalTicks(query) => {
                    self.step_historical_ticks(key, query, shared);
                    continue;
                }
                Stream::Depth(book) => {
                    self.step_depth(key, book);
                    shared.config.depth_interval
                }
                Stream::TickByTick(ticker) => {
                    self.step_tick_by_tick(key, ticker, shared, now);
                    shared.config.tick_by_tick_interval
                }
                Stream::RealTimeBars(bars) => {
                    self.step_real_time_bars(key, bars, shared);
                    shared.config.bar_interval
                }
            };
            // What is late goes on from now, instead of catching up.
            let next = due + pause;
            let next = if next <= now { now + pause } else { next };
            self.streams.open(key, Some(next), stream);
        }
    }

    /// Ends a stream; its id is free again.
    pub(super) fn cancel(
        &mut self,
        family: Family,
        request_id: Option<i32>,
        code: i32,
        shared: &mut Shared,
    ) -> Answer {
        let key: Key = (family, request_id.unwrap_or_default());
        match self.streams.close(key) {
            Some(stream) => {
                self.on_stream_closed(&stream, shared);
                Ok(())
            }
            None => Err(Refusal::nothing_to_cancel(code, key.1)),
        }
    }

    /// Gives back what a stream took of what is shared.
    pub(super) fn on_stream_closed(&self, stream: &Stream, shared: &mut Shared) {
        match stream {
            Stream::Depth(book) => shared.close_book(book.listing),
            Stream::TickByTick(ticker) => {
                shared.tickers -= 1;
                shared.release(ticker.instrument);
            }
            Stream::RealTimeBars(bars) => shared.release(bars.instrument),
            Stream::Named | Stream::History(_) | Stream::HistoricalTicks(_) => {}
        }
    }

    /// Gives back everything, at the end of the connection.
    pub(super) fn close_streams(&mut self, shared: &mut Shared) {
        let streams = std::mem::take(&mut self.streams);
        for (_, stream) in streams.all() {
            self.on_stream_closed(stream, shared);
        }
    }
}

/// Whether a family's data come from the market data farm.
pub(super) fn is_live(family: Family) -> bool {
    use Family::{Depth, Generics, RealTimeBars, TickByTick};
    matches!(family, Depth | TickByTick | RealTimeBars | Generics)
}
