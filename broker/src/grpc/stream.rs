//! A stream's queue between the driver, which fills it, and the response body, which empties it.
//!
//! No channel in between: the body pulls. A body that is awake is not woken again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::BufMut;
use ibouncer_core::hub::Input;
use ibouncer_core::ids::StreamId;
use ibouncer_core::queue::{Chunk, Hopeless, StreamQueue};
use tonic::Status;

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
}

impl StreamShared {
    /// A queue that conflates above `limit` bytes.
    pub fn new(limit: usize, stream: StreamId, handle: Handle) -> Arc<Self> {
        let inner = Inner { queue: StreamQueue::new(limit), sleeper: None, end: None };
        Arc::new(Self { inner: Mutex::new(inner), stream, handle })
    }

    /// Adds a delivery. Says so if there is no use in waiting for the reader, who may take
    /// nothing for `patience`.
    pub fn push(&self, chunk: Chunk, now: Instant, patience: Duration) -> Option<Hopeless> {
        let mut inner = self.lock();
        inner.queue.push(chunk, now);
        let hopeless = inner.queue.hopeless(now, patience);
        let sleeper = inner.sleeper.take();
        drop(inner);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
        hopeless
    }

    /// Is there no use in waiting for the reader, who may take nothing for `patience`?
    pub fn hopeless(&self, now: Instant, patience: Duration) -> Option<Hopeless> {
        self.lock().queue.hopeless(now, patience)
    }

    /// Ends the stream at once; what waits in it is forgotten.
    pub fn evict(&self, with: Status) {
        self.lock().queue.clear();
        self.end(with);
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

    /// Something to pull, or the end. A reader that finds nothing has caught up: a book whose
    /// changes were left out comes whole.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let mut inner = self.lock();
        if !inner.queue.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if let Some(end) = &inner.end {
            return Poll::Ready(Err(end.clone()));
        }
        inner.sleeper = Some(context.waker().clone());
        let lost = inner.queue.poll_lost_book();
        drop(inner);
        if let Some(subscription) = lost {
            let input = Input::BookLost { stream: self.stream, subscription };
            self.handle.tell_later(Command::Input(input));
        }
        Poll::Pending
    }

    /// Moves events into a response.
    pub(super) fn pull(&self, out: &mut impl BufMut) {
        self.lock().queue.pull(RESPONSE, out);
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
