//! What waits for one client's stream, and what a slow reader may miss.
//!
//! The hub's deliveries go in, encoded responses come out, pulled by the response body itself.
//! As long as the reader keeps up, events leave in order and nothing is left out. When the
//! queue is full, it conflates: of each tick type of each subscription only the newest is kept,
//! with a count of those that it replaced. Marks, errors and news are kept all, up to a limit
//! past which the reader is hopeless and its stream is to be ended.
//!
//! The encoding is done by hand because a body is Gateway's own bytes; a test holds it against
//! the typed schema.

use std::collections::{BTreeMap, VecDeque};

use bytes::{BufMut, Bytes};
use ibouncer_proto::tws::messages::id;

/// Events that cannot be left out, beyond which a reader is hopeless.
const MOST_KEPT: usize = 10_000;

/// What an event costs in the queue besides its body.
const OVERHEAD: usize = 24;

/// Fields of `MarketDataEvent.body`.
#[allow(missing_docs, reason = "named as in the schema")]
pub mod field {
    pub const TICK_PRICE: u8 = 5;
    pub const TICK_SIZE: u8 = 6;
    pub const TICK_STRING: u8 = 7;
    pub const TICK_GENERIC: u8 = 8;
    pub const TICK_OPTION_COMPUTATION: u8 = 9;
    pub const MARKET_DATA_TYPE: u8 = 10;
    pub const TICK_REQ_PARAMS: u8 = 11;
    pub const TICK_NEWS: u8 = 12;
    pub const REROUTE: u8 = 13;
    pub const SNAPSHOT_END: u8 = 14;
    pub const ERROR: u8 = 15;
    pub const MARK: u8 = 16;
    pub const UNKNOWN: u8 = 17;
}

/// The field that carries a message from Gateway.
#[inline]
pub fn field_of(message_id: u32) -> u8 {
    match message_id {
        id::TICK_PRICE => field::TICK_PRICE,
        id::TICK_SIZE => field::TICK_SIZE,
        id::TICK_STRING => field::TICK_STRING,
        id::TICK_GENERIC => field::TICK_GENERIC,
        id::TICK_OPTION_COMPUTATION => field::TICK_OPTION_COMPUTATION,
        id::MARKET_DATA_TYPE => field::MARKET_DATA_TYPE,
        id::TICK_REQ_PARAMS => field::TICK_REQ_PARAMS,
        id::TICK_NEWS => field::TICK_NEWS,
        id::REROUTE_MKT_DATA_REQ => field::REROUTE,
        id::TICK_SNAPSHOT_END => field::SNAPSHOT_END,
        id::ERR_MSG => field::ERROR,
        _ => field::UNKNOWN,
    }
}

/// Does a newer event of this field and tick type make an older one worthless?
#[inline]
pub fn is_replaceable(field: u8) -> bool {
    (field::TICK_PRICE..=field::TICK_REQ_PARAMS).contains(&field)
}

/// Field 2 of a tick: its type. 0 for a body without one.
#[inline]
pub fn tick_type(body: &[u8]) -> u32 {
    // Request id, then tick type: each a varint, in this order from every known encoder.
    if body.first() != Some(&0x08) {
        return 0;
    }
    let Some(end) = body.iter().skip(1).take(10).position(|byte| byte & 0x80 == 0) else {
        return 0;
    };
    match body.get(2 + end..) {
        Some([0x10, kind, ..]) if kind & 0x80 == 0 => u32::from(*kind),
        Some([0x10, low, high, ..]) => u32::from(*low & 0x7f) | u32::from(*high & 0x7f) << 7,
        _ => 0,
    }
}

/// One event for one subscription; its body is a range of the chunk's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The client's number for the subscription.
    pub subscription: u32,
    /// Where the body starts in the chunk.
    pub start: u32,
    /// Its length.
    pub length: u32,
    /// Field of `MarketDataEvent.body`.
    pub field: u8,
    /// A last value from before the subscription.
    pub replayed: bool,
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
}

impl Chunk {
    fn body(&self, entry: &Entry) -> &[u8] {
        &self.bytes[entry.start as usize..][..entry.length as usize]
    }
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
    delivered: u64,
    skipped: u64,
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
            delivered: 0,
            skipped: 0,
        }
    }

    /// Adds what the hub delivers.
    pub fn push(&mut self, chunk: Chunk) {
        if let Some(conflated) = &mut self.conflated {
            self.skipped += conflated.add(&chunk, 0);
            return;
        }
        self.queued += size(&chunk.entries);
        self.waiting.push_back(chunk);
        if self.queued > self.limit {
            self.conflate();
        }
    }

    /// Appends events to `out` as an encoded `StreamMarketDataResponse`, until it holds about
    /// `most` bytes. True if anything was appended.
    pub fn pull(&mut self, most: usize, out: &mut impl BufMut) -> bool {
        let mut pulled = 0;
        if let Some(conflated) = &mut self.conflated {
            let (events, bytes) = conflated.take(most, out);
            self.delivered += events;
            if conflated.order.is_empty() {
                self.conflated = None;
            }
            return bytes > 0;
        }
        while let Some(chunk) = self.waiting.front() {
            for entry in &chunk.entries[self.taken..] {
                if pulled >= most {
                    return true;
                }
                pulled += encode(entry, 0, chunk.body(entry), out);
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

    /// Events that cannot be left out, if there are too many of them.
    pub fn hopeless(&self) -> Option<usize> {
        self.conflated.as_ref().map(|conflated| conflated.kept).filter(|kept| *kept > MOST_KEPT)
    }

    /// Events that left, and events that were left out.
    pub fn totals(&self) -> (u64, u64) {
        (self.delivered, self.skipped)
    }

    fn conflate(&mut self) {
        let mut conflated = Conflated::default();
        for (index, chunk) in std::mem::take(&mut self.waiting).iter().enumerate() {
            let from = if index == 0 { self.taken } else { 0 };
            self.skipped += conflated.add(chunk, from);
        }
        self.taken = 0;
        self.queued = 0;
        self.conflated = Some(conflated);
    }
}

fn size(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.length as usize + OVERHEAD).sum()
}

/// The newest of each kind, in the order of their arrival.
#[derive(Debug, Default)]
struct Conflated {
    order: BTreeMap<u64, Kept>,
    newest: BTreeMap<(u32, u8, u32), u64>,
    arrivals: u64,
    /// Events in `order` that nothing replaces.
    kept: usize,
}

#[derive(Debug)]
struct Kept {
    entry: Entry,
    /// A copy, so that one tick does not hold on to a whole read.
    body: Box<[u8]>,
    skipped: u32,
}

impl Conflated {
    /// Adds entries; returns how many older ones they replaced.
    fn add(&mut self, chunk: &Chunk, from: usize) -> u64 {
        let mut replaced = 0;
        for entry in &chunk.entries[from..] {
            let body = chunk.body(entry);
            let arrival = self.arrivals;
            self.arrivals += 1;
            let mut kept = Kept { entry: *entry, body: body.into(), skipped: 0 };
            if is_replaceable(entry.field) {
                let key = (entry.subscription, entry.field, tick_type(body));
                let older = self.newest.insert(key, arrival);
                if let Some(old) = older.and_then(|older| self.order.remove(&older)) {
                    kept.skipped = old.skipped.saturating_add(1);
                    replaced += 1;
                }
            } else {
                self.kept += 1;
            }
            self.order.insert(arrival, kept);
        }
        replaced
    }

    /// How many events were taken, in how many bytes.
    fn take(&mut self, most: usize, out: &mut impl BufMut) -> (u64, usize) {
        let (mut events, mut bytes) = (0, 0);
        while bytes < most {
            let Some((_, kept)) = self.order.pop_first() else {
                break;
            };
            if is_replaceable(kept.entry.field) {
                let key = (kept.entry.subscription, kept.entry.field, tick_type(&kept.body));
                self.newest.remove(&key);
            } else {
                self.kept -= 1;
            }
            bytes += encode(&kept.entry, kept.skipped, &kept.body, out);
            events += 1;
        }
        (events, bytes)
    }
}

/// Appends one element of `StreamMarketDataResponse.events`; returns its length.
#[inline]
fn encode(entry: &Entry, skipped: u32, body: &[u8], out: &mut impl BufMut) -> usize {
    const EVENTS: u8 = 1 << 3 | 2;
    const SUBSCRIPTION_ID: u8 = 1 << 3;
    const SEQUENCE: u8 = 2 << 3;
    const SKIPPED: u8 = 3 << 3;
    const REPLAYED: u8 = 4 << 3;
    // The fields before the body are gathered here: at most 7 varints with their tags.
    let mut fields = Header::default();
    fields.put_field(SUBSCRIPTION_ID, u64::from(entry.subscription));
    fields.put_field(SEQUENCE, entry.sequence);
    fields.put_field(SKIPPED, u64::from(skipped));
    fields.put_field(REPLAYED, u64::from(entry.replayed));
    fields.put_varint(u64::from(entry.field) << 3 | 2);
    fields.put_varint(body.len() as u64);
    let mut start = Header::default();
    start.put_byte(EVENTS);
    start.put_varint((fields.length + body.len()) as u64);
    start.put_all(&fields);
    out.put_slice(start.as_slice());
    out.put_slice(body);
    start.length + body.len()
}

/// A few bytes on the stack, so that each event is two copies into the output and no more.
struct Header {
    bytes: [u8; 64],
    length: usize,
}

impl Default for Header {
    fn default() -> Self {
        Self { bytes: [0; 64], length: 0 }
    }
}

impl Header {
    #[inline]
    fn put_byte(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    #[inline]
    fn put_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put_byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.put_byte(value as u8);
    }

    /// A field with the value 0 is not on the wire.
    #[inline]
    fn put_field(&mut self, tag: u8, value: u64) {
        if value != 0 {
            self.put_byte(tag);
            self.put_varint(value);
        }
    }

    #[inline]
    fn put_all(&mut self, other: &Self) {
        self.bytes[self.length..self.length + other.length].copy_from_slice(other.as_slice());
        self.length += other.length;
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests;
