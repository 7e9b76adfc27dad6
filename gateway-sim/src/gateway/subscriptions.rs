//! The streams of a connection: what each holds, whose turn is whose code, and how they end.

use std::time::Duration;

use ibouncer_proto::tws::v1::{ScannerSubscription, WshEventDataRequest};

use super::Shared;
use super::accounts::{Summary, Updates};
use super::answer::{Answer, Refusal};
use super::bars::LiveBars;
use super::connection::Connection;
use super::depth::Book;
use super::generic_ticks::Generics;
use super::history::Query;
use super::listings::Listing;
use super::past::TickQuery;
use super::streams::{Family, Key};
use super::tick_by_tick::Ticker;

/// Between two turns of a stream, whatever the settings say.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

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
    /// Of this account.
    AccountData(String),
    AccountSummary(Summary),
    AccountMulti(Updates),
    /// Account and model.
    PositionsMulti(String, String),
    /// Of this account.
    Pnl(String),
    PnlSingle(String, Listing),
    Generics(Generics),
    Scanner(Box<ScannerSubscription>),
    WshMeta,
    WshEvents(Box<WshEventDataRequest>),
}

impl Connection {
    /// Opens a stream that brings something at once; while its data stop, with its first turn after
    /// that.
    pub(super) fn begin(&mut self, key: Key, stream: Stream, shared: &Shared, now: Duration) {
        let due = if shared.farms.hold(key.0) {
            self.unbegun.insert(key);
            now
        } else {
            self.unbegun.remove(&key);
            now + self.say_first(key, &stream, shared, now).max(SHORTEST_PAUSE)
        };
        self.streams.open(key, Some(due), stream);
    }

    /// What a request brings at once, and how long its stream pauses then.
    fn say_first(&mut self, key: Key, stream: &Stream, shared: &Shared, now: Duration) -> Duration {
        let config = &shared.config;
        match stream {
            Stream::Depth(book) => {
                self.say_book(key.1, book);
                config.depth_interval
            }
            Stream::TickByTick(ticker) => {
                self.say_past_ticks(key, ticker, shared, now);
                config.tick_by_tick_interval
            }
            Stream::AccountData(account) => {
                self.say_account(account, shared, now);
                self.say_account_end(account);
                config.account_refresh
            }
            Stream::AccountSummary(summary) => {
                self.step_summary(key, summary, shared, now);
                self.say_summary_end(key);
                config.account_refresh
            }
            Stream::AccountMulti(updates) => {
                self.step_account_multi(key, updates, shared, now);
                self.say_account_multi_end(key);
                config.account_refresh
            }
            Stream::Scanner(scan) => {
                self.step_scanner(key, scan, shared, now);
                config.scanner_interval
            }
            // Everything of these comes with their turns.
            _ => SHORTEST_PAUSE,
        }
    }

    /// Gives every stream its turn that is due.
    pub(super) fn step_streams(&mut self, shared: &mut Shared, now: Duration) {
        while let Some((key, due, mut stream)) = self.streams.take_due(now) {
            if shared.farms.hold(key.0) {
                let pause = shared.config.depth_interval.max(SHORTEST_PAUSE);
                self.streams.open(key, Some(now + pause), stream);
                continue;
            }
            if self.unbegun.remove(&key) {
                self.begin(key, stream, shared, now);
                continue;
            }
            let pause = match &mut stream {
                Stream::Named | Stream::PositionsMulti(..) => continue,
                Stream::History(_) => {
                    self.step_history(key, stream, shared, due, now);
                    continue;
                }
                Stream::HistoricalTicks(query) => {
                    self.step_historical_ticks(key, query, shared);
                    continue;
                }
                Stream::WshMeta => {
                    self.step_wsh_meta(key);
                    continue;
                }
                Stream::WshEvents(body) => {
                    self.step_wsh_events(key, body, shared, now);
                    continue;
                }
                Stream::Generics(generics) => {
                    self.step_generics(key, generics, shared, now);
                    shared.config.generic_interval
                }
                Stream::Scanner(scan) => {
                    self.step_scanner(key, scan, shared, now);
                    shared.config.scanner_interval
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
                Stream::AccountData(account) => {
                    self.say_account(account, shared, now);
                    shared.config.account_refresh
                }
                Stream::AccountSummary(summary) => {
                    self.step_summary(key, summary, shared, now);
                    shared.config.account_refresh
                }
                Stream::AccountMulti(updates) => {
                    self.step_account_multi(key, updates, shared, now);
                    shared.config.account_refresh
                }
                Stream::Pnl(account) => {
                    self.step_pnl(key, account, shared, now);
                    shared.config.pnl_interval
                }
                Stream::PnlSingle(account, listing) => {
                    self.step_pnl_single(key, (account, *listing), shared, now);
                    shared.config.pnl_interval
                }
            };
            // What is late goes on from now, instead of catching up.
            let pause = pause.max(SHORTEST_PAUSE);
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
            Stream::AccountData(_) => drop(shared.account_updates.remove(&self.id)),
            Stream::AccountSummary(_) => shared.summaries -= 1,
            Stream::Scanner(_) => shared.scanners -= 1,
            _ => {}
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
