//! Events that go from the hub to streams together.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::encoding::encode;
use crate::message;

/// What an event costs in the queue besides its body.
pub(super) const OVERHEAD: usize = 24;

/// One event for one subscription; its body is a range of the chunk's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The client's number for the subscription.
    pub subscription: u32,
    /// Where the body starts in the chunk.
    pub start: u32,
    /// Its length.
    pub length: u32,
    /// Field of the event's body.
    pub field: u8,
    /// A last value from before the subscription.
    pub replayed: bool,
    /// It is the mark before a whole book.
    pub reset: bool,
    /// Number on the line.
    pub sequence: u64,
}

/// Events that share one piece of bytes, usually one read from Gateway's socket. Cheap to clone:
/// streams that get the same events share them, and the message with them.
#[derive(Debug, Clone)]
pub struct Chunk(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bytes: Bytes,
    entries: Vec<Entry>,
    /// It says the same to all readers: a book's mark says what its reader alone has missed.
    same_for_all: bool,
    /// Whoever is first makes it for all.
    message: OnceLock<Bytes>,
}

impl Chunk {
    /// These events, in order; their bodies lie in `bytes`.
    pub fn new(bytes: Bytes, entries: Vec<Entry>) -> Self {
        let same_for_all = !entries.iter().any(|entry| entry.reset);
        Self(Arc::new(Shared { bytes, entries, same_for_all, message: OnceLock::new() }))
    }

    /// The events, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.0.entries
    }

    /// The same without some events.
    pub(super) fn only(&self, mut which: impl FnMut(&Entry) -> bool) -> Self {
        let entries = self.entries().iter().copied().filter(|entry| which(entry)).collect();
        Self::new(self.0.bytes.clone(), entries)
    }

    #[cfg(test)]
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Can whoever gets these events have this chunk?
    pub(crate) fn serves(&self, entries: &[Entry]) -> bool {
        self.0.same_for_all && self.entries() == entries
    }

    /// The message with the whole chunk, if it is the same for all readers.
    pub(super) fn message(&self) -> Option<&Bytes> {
        let make = || {
            let mut out = message::begin(size(self.entries()));
            for entry in self.entries() {
                encode(entry, 0, self.body(entry), &mut out);
            }
            message::complete(out)
        };
        self.0.same_for_all.then(|| self.0.message.get_or_init(make))
    }

    /// The whole chunk, encoded, if others have it too: for one reader alone it is not worth the
    /// room.
    pub(super) fn encoded(&self) -> Option<&[u8]> {
        let message = match self.0.message.get() {
            None if Arc::strong_count(&self.0) > 1 => self.message(),
            made => made,
        };
        message.map(|message| &message[message::HEADER..])
    }

    /// The body of an event.
    pub fn body(&self, entry: &Entry) -> &[u8] {
        &self.0.bytes[entry.start as usize..][..entry.length as usize]
    }
}

/// What events cost in the queue.
pub(super) fn size(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.length as usize + OVERHEAD).sum()
}
