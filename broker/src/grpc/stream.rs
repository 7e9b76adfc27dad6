//! A stream's queue between the driver, which fills it, and the response body, which empties it.
//!
//! No channel in between: the body pulls. A body that is awake is not woken again. Streams of one
//! client share what may wait for it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ibouncer_core::hub::Input;
use ibouncer_core::ids::StreamId;
use ibouncer_core::queue::{Chunk, Hopeless, StreamQueue, share_of};
use tonic::Status;

use super::answers::Account;
use crate::handle::{Command, Handle};

/// Most bytes of one response.
const RESPONSE: usize = 256 * 1024;

/// The queue, shared by both sides.
#[derive(Debug)]
pub struct StreamShared {
    inner: Mutex<Inner>,
    stream: StreamId,
    handle: Handle,
    /// Room for it, as long as its client has few.
    limit: usize,
    account: Arc<Account>,
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
    /// A queue that conflates above `limit` bytes, or sooner if its client has many.
    pub fn new(limit: usize, stream: StreamId, handle: Handle, account: Arc<Account>) -> Arc<Self> {
        account.streams().fetch_add(1, Ordering::Relaxed);
        let inner = Inner { queue: StreamQueue::new(limit), sleeper: None, end: None };
        Arc::new(Self { inner: Mutex::new(inner), stream, handle, limit, account })
    }

    /// Adds a delivery. Says so if there is no use in waiting for the reader, who may take
    /// nothing for `patience`.
    pub fn push(&self, chunk: Chunk, now: Instant, patience: Duration) -> Option<Hopeless> {
        let mut inner = self.lock();
        if !inner.queue.is_empty() {
            let streams = self.account.streams().load(Ordering::Relaxed);
            inner.queue.set_limit(share_of(self.limit, streams));
        }
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

    /// The next message, or the end. A reader that finds nothing has caught up: a book whose
    /// changes were left out comes whole.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<Result<Bytes, Status>> {
        let mut inner = self.lock();
        if let Some(message) = inner.queue.message(RESPONSE) {
            return Poll::Ready(Ok(message));
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

impl Drop for StreamShared {
    fn drop(&mut self) {
        self.account.streams().fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use ibouncer_core::fields::field;
    use ibouncer_core::ids::ClientId;
    use ibouncer_core::queue::Entry;
    use tokio::sync::watch;

    use super::*;
    use crate::grpc::answers::Answers;
    use crate::handle::Published;

    const LIMIT: usize = 1 << 20;

    /// One tick of a kilobyte.
    fn chunk(sequence: u64) -> Chunk {
        let entry = Entry {
            subscription: 1,
            start: 0,
            length: 1 << 10,
            field: field::TICK_PRICE,
            replayed: false,
            reset: false,
            sequence,
        };
        Chunk::new(Bytes::from(vec![0; 1 << 10]), vec![entry])
    }

    #[test]
    fn streams_of_one_client_share_what_may_wait() {
        let published = Published { status: Arc::default(), transitions: Arc::default() };
        let (handle, _inbox) = Handle::new(watch::channel(published).1);
        let account = Arc::new(Answers::default()).open(ClientId(1));
        let open = |number| {
            StreamShared::new(LIMIT, StreamId(number), handle.clone(), Arc::clone(&account))
        };
        let most_of = |stream: &StreamShared| {
            let push = |number| {
                stream.push(chunk(number), Instant::now(), Duration::MAX);
                stream.unread()
            };
            (1..2_000).map(push).max().unwrap()
        };
        let few: Vec<_> = (0..16).map(open).collect();
        assert!((LIMIT - 4_096..=LIMIT).contains(&most_of(&few[0])), "all that one alone has");
        let many: Vec<_> = (16..256).map(open).collect();
        let all: usize = many.iter().map(|stream| most_of(stream)).sum();
        assert!(all <= 16 * LIMIT, "{all}");
        drop((few, many));
        assert_eq!(account.streams().load(Ordering::Relaxed), 0);
    }
}
