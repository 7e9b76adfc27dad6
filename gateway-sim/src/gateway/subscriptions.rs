//! The streams of a connection: what each holds, whose turn is whose code, and how they end.

use std::time::Duration;

use super::Shared;
use super::answer::{Answer, Refusal};
use super::connection::Connection;
use super::history::Query;
use super::past::TickQuery;
use super::streams::{Family, Key};

/// What a stream holds until its turn.
#[derive(Debug)]
pub(super) enum Stream {
    /// Nothing but its name.
    Named,
    History(Box<Query>),
    HistoricalTicks(TickQuery),
}

impl Connection {
    /// Gives every stream its turn that is due.
    pub(super) fn step_streams(&mut self, shared: &mut Shared, now: Duration) {
        while let Some((key, due, stream)) = self.streams.take_due(now) {
            match stream {
                Stream::Named => {}
                Stream::History(query) => self.step_history(key, query, shared, due, now),
                Stream::HistoricalTicks(query) => self.step_historical_ticks(key, &query, shared),
            }
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
                self.on_stream_closed(key, &stream, shared);
                Ok(())
            }
            None => Err(Refusal::nothing_to_cancel(code, key.1)),
        }
    }

    /// Gives back what a stream took of what is shared.
    pub(super) fn on_stream_closed(&mut self, _: Key, stream: &Stream, _: &mut Shared) {
        match stream {
            Stream::Named | Stream::History(_) | Stream::HistoricalTicks(_) => {}
        }
    }
}
