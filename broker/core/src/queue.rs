//! What waits for one client's stream, and what a slow reader may miss.
//!
//! The hub's deliveries go in, encoded responses come out, pulled by the response body itself.
//! As long as the reader keeps up, events leave in order and nothing is left out. When the
//! queue is full, it conflates (`queue/conflated.rs`): what is newer replaces what is older, tapes
//! are cut, books are dropped whole and asked for again once the reader has caught up. All that is
//! left out is counted. Marks, errors and ends are kept all. A reader past whose limit these pile
//! up, or that takes nothing for long, is hopeless: its stream is to be ended. What may be left out
//! is in [`crate::fields`].

mod chunk;
mod conflated;
mod encoding;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes};

use crate::fields::{Loss, loss_of};
use crate::message;
pub use chunk::{Chunk, Entry};
use chunk::{OVERHEAD, size};
use conflated::Conflated;
use encoding::encode;

/// Events that cannot be left out, beyond which a reader is hopeless.
const MOST_KEPT: usize = 10_000;

/// Why a stream is to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hopeless {
    /// So many events wait that cannot be left out.
    PiledUp(usize),
    /// Something waited all this time, and nothing was taken.
    Stalled(Duration),
}

/// Streams of one client that may wait with a full queue each; more of them share as much.
const FULL: usize = 16;

/// Least room for a stream, however many its client has.
const LEAST: usize = 64 << 10;

/// Room for each of so many streams of one client, if one alone has `limit`.
pub fn share_of(limit: usize, streams: usize) -> usize {
    let share = limit.saturating_mul(FULL) / streams.max(FULL);
    share.max(LEAST.min(limit))
}

/// The queue of one stream.
#[derive(Debug)]
pub struct StreamQueue {
    limit: usize,
    /// In order, complete. Empty while conflating.
    waiting: VecDeque<Chunk>,
    /// Entries of the first chunk that have left.
    taken: usize,
    queued: usize,
    conflated: Option<Conflated>,
    /// By subscription, what was cut and is told with its next event.
    cut: BTreeMap<u32, u32>,
    books: LostBooks,
    /// Since when something waits and nothing was taken.
    untaken_since: Option<Instant>,
    delivered: u64,
    skipped: u64,
}

/// Books of which changes were left out: of no use until the whole book comes again.
#[derive(Debug, Default)]
struct LostBooks {
    /// By subscription, those that wait for their reset.
    lost: BTreeMap<u32, Lost>,
    /// Changes that were left out before a reset that is on its way.
    before_reset: BTreeMap<u32, u32>,
}

#[derive(Debug, Default)]
struct Lost {
    skipped: u32,
    asked: bool,
}

impl StreamQueue {
    /// A queue that conflates above `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            waiting: VecDeque::new(),
            taken: 0,
            queued: 0,
            conflated: None,
            cut: BTreeMap::new(),
            books: LostBooks::default(),
            untaken_since: None,
            delivered: 0,
            skipped: 0,
        }
    }

    /// Conflates above so many bytes from now on.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Adds what the hub delivers.
    pub fn push(&mut self, chunk: Chunk, now: Instant) {
        self.add(chunk);
        if !self.is_empty() {
            self.untaken_since.get_or_insert(now);
        }
    }

    /// What waits, as a message with a response of about `most` bytes.
    pub fn message(&mut self, most: usize) -> Option<Bytes> {
        if self.is_empty() {
            return None;
        }
        if let Some(shared) = self.the_only_chunk(most) {
            return Some(shared);
        }
        let mut out = message::begin(self.unread().min(most));
        self.pull(most, &mut out).then(|| message::complete(out))
    }

    /// If only one chunk waits: its message, which others get too.
    fn the_only_chunk(&mut self, most: usize) -> Option<Bytes> {
        let chunk = self.waiting.front().filter(|_| self.waiting.len() == 1)?;
        if self.taken > 0 || !self.cut.is_empty() {
            return None;
        }
        let message = chunk.message().filter(|message| message.len() <= most)?.clone();
        self.untaken_since = None;
        self.delivered += chunk.entries().len() as u64;
        self.queued = 0;
        self.waiting.clear();
        Some(message)
    }

    /// Appends events to `out` as an encoded response, until it holds about `most` bytes. True
    /// if anything was appended.
    pub fn pull(&mut self, most: usize, out: &mut impl BufMut) -> bool {
        self.untaken_since = None;
        let mut pulled = 0;
        if let Some(conflated) = &mut self.conflated {
            let (events, bytes) = conflated.take(most, out);
            self.delivered += events;
            if conflated.is_empty() {
                self.cut = conflated.cut();
                self.conflated = None;
            }
            return bytes > 0;
        }
        while let Some(chunk) = self.waiting.front() {
            if self.taken == 0
                && self.cut.is_empty()
                && let Some(encoded) = chunk.encoded().filter(|encoded| encoded.len() <= most)
            {
                if pulled + encoded.len() > most {
                    return true;
                }
                out.put_slice(encoded);
                pulled += encoded.len();
                self.delivered += chunk.entries().len() as u64;
                self.queued -= size(chunk.entries());
                self.waiting.pop_front();
                continue;
            }
            for entry in &chunk.entries()[self.taken..] {
                if pulled >= most {
                    return true;
                }
                let skipped = if entry.reset {
                    self.books.skipped_before(entry)
                } else if self.cut.is_empty() || loss_of(entry.field) != Loss::Oldest {
                    0
                } else {
                    self.cut.remove(&entry.subscription).unwrap_or_default()
                };
                pulled += encode(entry, skipped, chunk.body(entry), out);
                self.taken += 1;
                self.delivered += 1;
                self.queued -= entry.length as usize + OVERHEAD;
            }
            self.waiting.pop_front();
            self.taken = 0;
        }
        pulled > 0
    }

    /// Is there nothing to pull?
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.conflated.is_none()
    }

    /// A subscription whose whole book is to be sent again, now that the reader has caught up and
    /// asks for more. One at a time: two books that are larger than the queue would push each
    /// other out of it, and be asked for again and again.
    pub fn poll_lost_book(&mut self) -> Option<u32> {
        if !self.is_empty() {
            return None;
        }
        let (subscription, lost) = self.books.lost.iter_mut().find(|(_, lost)| !lost.asked)?;
        lost.asked = true;
        Some(*subscription)
    }

    /// Was something of this subscription left out, and its reader not told yet?
    pub fn owes(&self, subscription: u32) -> bool {
        self.books.lost.contains_key(&subscription) || self.cut.contains_key(&subscription)
    }

    /// Is there no use in waiting for the reader? It may take nothing for `patience`.
    pub fn hopeless(&self, now: Instant, patience: Duration) -> Option<Hopeless> {
        let kept = self.conflated.as_ref().map_or(0, Conflated::kept);
        if kept > MOST_KEPT {
            return Some(Hopeless::PiledUp(kept));
        }
        let untaken = now.saturating_duration_since(self.untaken_since?);
        (untaken > patience).then_some(Hopeless::Stalled(untaken))
    }

    /// Nobody will read what waits.
    pub fn clear(&mut self) {
        self.waiting = VecDeque::new();
        self.taken = 0;
        self.queued = 0;
        self.conflated = None;
        self.cut = BTreeMap::new();
        self.books = LostBooks::default();
        self.untaken_since = None;
    }

    /// Events that left, and events that were left out.
    pub fn totals(&self) -> (u64, u64) {
        (self.delivered, self.skipped)
    }

    /// Bytes that wait.
    pub fn unread(&self) -> usize {
        self.queued + self.conflated.as_ref().map_or(0, Conflated::bytes)
    }

    fn add(&mut self, mut chunk: Chunk) {
        if self.conflated.is_some() {
            return self.conflate_more(&chunk, 0);
        }
        if !self.books.lost.is_empty() {
            let before = chunk.entries().len();
            chunk = chunk.only(|entry| self.books.takes(entry));
            self.skipped += (before - chunk.entries().len()) as u64;
            if chunk.entries().is_empty() {
                return;
            }
        }
        self.queued += size(chunk.entries());
        self.waiting.push_back(chunk);
        // One delivery alone stays whole, so that a book larger than the queue gets through.
        if self.queued > self.limit && self.waiting.len() > 1 {
            self.conflate();
        }
    }

    fn conflate(&mut self) {
        self.conflated = Some(Conflated::new(self.limit, std::mem::take(&mut self.cut)));
        for (index, chunk) in std::mem::take(&mut self.waiting).iter().enumerate() {
            let from = if index == 0 { self.taken } else { 0 };
            self.conflate_more(chunk, from);
        }
        self.taken = 0;
        self.queued = 0;
        if self.conflated.as_ref().is_some_and(Conflated::is_empty) {
            // Nothing but books waited.
            self.cut =
                self.conflated.take().map(|mut conflated| conflated.cut()).unwrap_or_default();
        }
    }

    fn conflate_more(&mut self, chunk: &Chunk, from: usize) {
        let Some(conflated) = &mut self.conflated else {
            return;
        };
        for entry in &chunk.entries()[from..] {
            if entry.reset || loss_of(entry.field) == Loss::Book {
                self.books.lose(entry);
                self.skipped += u64::from(!entry.reset);
            } else {
                self.skipped += conflated.add(entry, chunk.body(entry));
            }
        }
    }
}

impl LostBooks {
    /// Does this event make sense to the reader?
    fn takes(&mut self, entry: &Entry) -> bool {
        if entry.reset {
            if let Some(lost) = self.lost.remove(&entry.subscription) {
                *self.before_reset.entry(entry.subscription).or_default() += lost.skipped;
            }
            return true;
        }
        if loss_of(entry.field) != Loss::Book {
            return true;
        }
        match self.lost.get_mut(&entry.subscription) {
            Some(lost) => {
                lost.skipped = lost.skipped.saturating_add(1);
                false
            }
            None => true,
        }
    }

    /// A change, or a whole book that was on its way, is left out.
    fn lose(&mut self, entry: &Entry) {
        let before = self.before_reset.remove(&entry.subscription).unwrap_or_default();
        let lost = self.lost.entry(entry.subscription).or_default();
        lost.skipped = lost.skipped.saturating_add(before + u32::from(!entry.reset));
        // What was asked for may be what was just lost.
        lost.asked &= !entry.reset;
    }

    fn skipped_before(&mut self, entry: &Entry) -> u32 {
        self.before_reset.remove(&entry.subscription).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
