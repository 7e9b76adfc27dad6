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

/// Events that share one piece of bytes, usually one read from Gateway's socket.
#[derive(Debug, Clone, Default)]
pub struct Chunk {
    /// The piece.
    pub bytes: Bytes,
    /// The events, in order.
    pub entries: Vec<Entry>,
    /// Others got the same events under the same numbers: whoever is first makes the message for
    /// all.
    pub shared: Option<Arc<OnceLock<Bytes>>>,
}

impl Chunk {
    /// These events, for this reader alone.
    pub fn new(bytes: Bytes, entries: Vec<Entry>) -> Self {
        Self { bytes, entries, shared: None }
    }

    /// The message with the whole chunk, if others read the same.
    pub(super) fn message(&self) -> Option<&Bytes> {
        let cell = self.shared.as_ref()?;
        Some(cell.get_or_init(|| {
            let mut out = message::begin(size(&self.entries));
            for entry in &self.entries {
                encode(entry, 0, self.body(entry), &mut out);
            }
            message::complete(out)
        }))
    }

    /// The whole chunk, encoded, if others read the same.
    pub(super) fn encoded(&self) -> Option<&[u8]> {
        self.message().map(|message| &message[message::HEADER..])
    }

    pub(super) fn body(&self, entry: &Entry) -> &[u8] {
        &self.bytes[entry.start as usize..][..entry.length as usize]
    }
}

/// What events cost in the queue.
pub(super) fn size(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.length as usize + OVERHEAD).sum()
}
