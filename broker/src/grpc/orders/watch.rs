//! The response body of a watch: a cursor in the log of events, which is read when the client
//! reads.
//!
//! The transport asks for the next response only when the last one is on its way, so a client that
//! does not read makes nobody wait and fills nothing.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use ibouncer_core::error;
use ibouncer_core::orders::request::View;
use ibouncer_proto::api::journal::v1::event_record::Event;
use ibouncer_proto::api::v1::{Error, ErrorRetry, ErrorSource};
use prost::encoding::{WireType, encode_key, encode_varint};
use tokio::time::{Instant, sleep_until};
use tokio_stream::Stream;
use tonic::Status;

use crate::grpc::codec::Answer;
use crate::grpc::connection::Caller;
use crate::grpc::status::status;
use crate::journal::JournalError;
use crate::journal::damage::is_damage;
use crate::order_log::{Kind, OrderLog, Page};

/// A client that is shown nothing is told at most so often how far it has been looked at.
const QUIET: Duration = Duration::from_secs(60);

/// What is shown to one client.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) log: Arc<OrderLog>,
    pub(super) view: View,
    pub(super) kind: Kind,
    /// The newest event that was looked at.
    pub(super) at: u64,
    /// The newest that the client knows of.
    told: u64,
    told_at: Instant,
    /// Keeps the client known as long as it watches; none in tests.
    _caller: Option<Caller>,
}

impl Cursor {
    pub(super) fn new(
        log: Arc<OrderLog>,
        view: View,
        kind: Kind,
        at: u64,
        caller: Option<Caller>,
    ) -> Self {
        Self { log, view, kind, at, told: at, told_at: Instant::now(), _caller: caller }
    }

    /// Waits for the next response.
    async fn next(&mut self) -> Result<Answer, Status> {
        let mut newest = self.log.newest();
        loop {
            let known = *newest.borrow_and_update();
            let page = self.log.after(self.at, &self.view, self.kind).await;
            let page = page.map_err(|error| unreadable(&error))?;
            let moved = page.through > self.at;
            self.at = page.through;
            let quiet_until = self.told_at + QUIET;
            let due = self.at > self.told && Instant::now() >= quiet_until;
            if !page.events.is_empty() || due {
                (self.told, self.told_at) = (self.at, Instant::now());
                return Ok(Answer(response(&page).freeze()));
            }
            if moved || self.at < known.sequence {
                continue;
            }
            if known.ended {
                return Err(status(&error::stopping()));
            }
            let untold = self.at > self.told;
            tokio::select! {
                // Both ends of the channel live as long as the log.
                _ = newest.changed() => {}
                () = sleep_until(quiet_until), if untold => {}
            }
        }
    }
}

/// `WatchOrdersResponse` and `WatchExecutionsResponse` have the same shape: events as they lie in
/// the log in field 1, the number of the newest in field 2.
fn response(page: &Page) -> BytesMut {
    let mut out = BytesMut::new();
    for event in &page.events {
        let Some(Event::Order(body) | Event::Execution(body)) = &event.event else {
            continue;
        };
        encode_key(1, WireType::LengthDelimited, &mut out);
        encode_varint(body.len() as u64, &mut out);
        out.put_slice(body);
    }
    encode_key(2, WireType::Varint, &mut out);
    encode_varint(page.through, &mut out);
    out
}

pub(super) fn unreadable(error: &JournalError) -> Status {
    let why = crate::chain(error);
    tracing::error!(why, "old events about orders cannot be read");
    // The same row is as bad the next time; a disk may come back.
    let (code, retry) = match is_damage(error) {
        true => ("JOURNAL_DAMAGED", ErrorRetry::Never),
        false => ("JOURNAL_UNREADABLE", ErrorRetry::After),
    };
    status(&Error {
        code: code.into(),
        message: format!("old events cannot be read: {why}; `ibouncer trading status` says more"),
        source: ErrorSource::Broker.into(),
        retry: retry.into(),
        ..Error::default()
    })
}

type Turn = Pin<Box<dyn Future<Output = (Cursor, Result<Answer, Status>)> + Send>>;

/// The body.
pub(super) struct Watch {
    /// The first response, if the watch begins with one.
    first: Option<Answer>,
    cursor: Option<Cursor>,
    turn: Option<Turn>,
}

impl Watch {
    pub(super) fn new(first: Option<Answer>, cursor: Cursor) -> Self {
        Self { first, cursor: Some(cursor), turn: None }
    }
}

impl Stream for Watch {
    type Item = Result<Answer, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if let Some(mut cursor) = self.cursor.take() {
            self.turn = Some(Box::pin(async move {
                let next = cursor.next().await;
                (cursor, next)
            }));
        }
        // Neither: it has ended with an error.
        let Some(turn) = &mut self.turn else {
            return Poll::Ready(None);
        };
        let Poll::Ready((cursor, next)) = turn.as_mut().poll(context) else {
            return Poll::Pending;
        };
        self.turn = None;
        if next.is_ok() {
            self.cursor = Some(cursor);
        }
        Poll::Ready(Some(next))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ibouncer_core::orders::journal::EventRecord;
    use ibouncer_proto::api::v1::{ExecutionEvent, OrderEvent, WatchOrdersResponse};
    use prost::Message as _;
    use tokio_stream::StreamExt as _;

    use super::*;

    fn push(log: &OrderLog, sequence: u64, owner: &str) {
        let event = OrderEvent { sequence, ..OrderEvent::default() };
        let event = Some(Event::Order(event.encode_to_vec().into()));
        log.push(EventRecord { sequence, owner: owner.into(), event, ..EventRecord::default() });
    }

    fn watch(log: &Arc<OrderLog>, owner: &str, at: u64, first: Option<Answer>) -> Watch {
        let view = View { owner: Some(owner.into()), ..View::default() };
        Watch::new(first, Cursor::new(Arc::clone(log), view, Kind::Orders, at, None))
    }

    async fn next(watch: &mut Watch) -> WatchOrdersResponse {
        WatchOrdersResponse::decode(watch.next().await.unwrap().unwrap().0).unwrap()
    }

    fn numbers(response: &WatchOrdersResponse) -> Vec<u64> {
        response.events.iter().map(|event| event.sequence).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_is_told_everything_once_and_then_what_happens() {
        let log = OrderLog::new(0, None);
        let first = WatchOrdersResponse { through_sequence: 2, ..Default::default() };
        (1..=4).for_each(|at| push(&log, at, "momentum"));
        let mut slow = watch(&log, "momentum", 2, Some(Answer::of(&first)));
        assert_eq!(next(&mut slow).await, first);
        (5..=3000).for_each(|at| push(&log, at, "momentum"));
        let mut seen = Vec::new();
        while seen.len() < 2998 {
            let response = next(&mut slow).await;
            assert_eq!(response.events.last().unwrap().sequence, response.through_sequence);
            seen.extend(numbers(&response));
        }
        assert!(seen.iter().copied().eq(3..=3000));
        let waits = tokio::spawn(async move { next(&mut slow).await });
        tokio::task::yield_now().await;
        push(&log, 3001, "momentum");
        assert_eq!(numbers(&waits.await.unwrap()), [3001]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_shown_nothing_is_told_how_far_once_a_minute() {
        let log = OrderLog::new(0, None);
        let mut quiet = watch(&log, "momentum", 0, None);
        let begun = Instant::now();
        (1..=50).for_each(|at| push(&log, at, "other"));
        let response = next(&mut quiet).await;
        assert_eq!((response.events.len(), response.through_sequence), (0, 50));
        assert_eq!(begun.elapsed(), QUIET);
        let silent = tokio::time::timeout(QUIET * 3, quiet.next()).await;
        assert!(silent.is_err(), "nothing new is nothing to tell");
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_the_broker_after_what_happened() {
        let log = OrderLog::new(0, None);
        push(&log, 1, "momentum");
        log.end();
        let mut ends = watch(&log, "momentum", 0, None);
        assert_eq!(numbers(&next(&mut ends).await), [1]);
        let end = ends.next().await.unwrap().unwrap_err();
        assert_eq!(end.code(), tonic::Code::Unavailable);
        assert!(ends.next().await.is_none());
    }

    #[test]
    fn a_response_is_what_the_schema_says() {
        let event = ExecutionEvent { sequence: 7, owner: "a".into(), ..Default::default() };
        let record = EventRecord {
            sequence: 7,
            event: Some(Event::Execution(event.encode_to_vec().into())),
            ..EventRecord::default()
        };
        let page = Page { events: vec![Arc::new(record)], through: 9 };
        let bytes: Bytes = response(&page).freeze();
        let typed = ibouncer_proto::api::v1::WatchExecutionsResponse::decode(bytes).unwrap();
        assert_eq!((typed.events, typed.through_sequence), (vec![event], 9));
    }
}
