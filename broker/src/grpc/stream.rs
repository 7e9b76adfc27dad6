//! A stream's queue between the driver, which fills it, and the response body, which empties it.
//!
//! No channel in between: the body pulls. A body that is awake is not woken again. A body that
//! waits for its client to read is not asked at all, so a stream is given up here, on the side
//! that fills it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::BufMut;
use ibouncer_core::error;
use ibouncer_core::hub::Input;
use ibouncer_core::ids::StreamId;
use ibouncer_core::queue::{Chunk, StreamQueue};
use tonic::Status;

use super::status::status;
use crate::handle::{Command, Handle};

/// Most bytes of one response.
const RESPONSE: usize = 256 * 1024;

/// The queue, shared by both sides.
#[derive(Debug)]
pub struct StreamShared {
    inner: Mutex<Inner>,
    stream: StreamId,
    handle: Handle,
}

#[derive(Debug)]
struct Inner {
    queue: StreamQueue,
    /// Set while the body sleeps.
    sleeper: Option<Waker>,
    /// How the stream is to end, once the queue is empty.
    end: Option<Status>,
    /// Its reader is hopeless: nothing is kept for it any more.
    given_up: bool,
}

impl StreamShared {
    /// A queue that conflates above `limit` bytes.
    pub fn new(limit: usize, stream: StreamId, handle: Handle) -> Arc<Self> {
        let inner =
            Inner { queue: StreamQueue::new(limit), sleeper: None, end: None, given_up: false };
        Arc::new(Self { inner: Mutex::new(inner), stream, handle })
    }

    /// Adds a delivery.
    pub fn push(&self, chunk: Chunk) {
        let mut inner = self.lock();
        if inner.given_up {
            return;
        }
        inner.queue.push(chunk);
        if let Some(events) = inner.queue.hopeless() {
            inner.queue.clear();
            inner.given_up = true;
            inner.end.get_or_insert_with(|| status(&error::slow_client(events)));
            tracing::warn!(stream = self.stream.0, events, "a stream that is not read is ended");
            // Its lines are for others; the client is told as soon as it reads.
            let stream = self.stream;
            self.handle.tell_later(Command::Input(Input::StreamClosed { stream }));
        }
        let sleeper = inner.sleeper.take();
        let lost = inner.queue.poll_lost_books();
        drop(inner);
        self.ask_for_books(lost);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// Ends the stream after what waits in it.
    pub fn end(&self, with: Status) {
        let mut inner = self.lock();
        inner.end.get_or_insert(with);
        let sleeper = inner.sleeper.take();
        drop(inner);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// Something to pull, or the end.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let mut inner = self.lock();
        if !inner.queue.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if let Some(end) = &inner.end {
            return Poll::Ready(Err(end.clone()));
        }
        inner.sleeper = Some(context.waker().clone());
        Poll::Pending
    }

    /// Moves events into a response.
    pub(super) fn pull(&self, out: &mut impl BufMut) {
        let mut inner = self.lock();
        inner.queue.pull(RESPONSE, out);
        let lost = inner.queue.poll_lost_books();
        drop(inner);
        self.ask_for_books(lost);
    }

    /// The reader has caught up: books whose changes were left out come whole.
    fn ask_for_books(&self, lost: Vec<u32>) {
        for subscription in lost {
            let input = Input::BookLost { stream: self.stream, subscription };
            self.handle.tell_later(Command::Input(input));
        }
    }

    /// Bytes that wait for the reader.
    pub fn unread(&self) -> usize {
        self.lock().queue.unread()
    }

    /// Events that left, and events that were left out.
    pub fn totals(&self) -> (u64, u64) {
        self.lock().queue.totals()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The queue is plain data and no step of it can be seen half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
