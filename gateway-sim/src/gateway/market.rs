//! Market data of one connection: its lines, its pending snapshots, and when their ticks are due.
//!
//! Ticks go round the lines in turn; how many come is exact. What has no room in the queue of a
//! slow reader is dropped and counted. What a line sends is in `line.rs`, which requests are
//! allowed is decided in `requests.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use ibouncer_proto::tws::envelope::write_message;
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1::TickSnapshotEnd;

use super::line::{Line, Slice, Subscription};
use super::outbox::Outbox;
use super::pace::{Due, Pace};
use super::ticks;
use super::walk::Market;
use crate::config::{ClockBase, Rate};

/// At full speed the queue is refilled once it is shorter than this, by as many ticks.
const FULL_SPEED_QUEUE: usize = 256 * 1024;
const FULL_SPEED_BATCH: u64 = 8192;

/// Lines and snapshots of one connection.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    lines: Vec<Line>,
    places: BTreeMap<i32, usize>,
    /// Pending snapshots and when each ends.
    snapshots: BTreeMap<i32, Duration>,
    /// Line of the next tick.
    cursor: usize,
    pace: Pace,
    pub(crate) sent: u64,
    pub(crate) dropped: u64,
}

/// What a cancel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// A line of this instrument.
    Line {
        instrument: usize,
    },
    Snapshot,
    /// Nothing has this id.
    Nothing,
}

/// What a feed needs of the Gateway that it belongs to.
pub(crate) struct FeedContext<'a> {
    pub(crate) market: &'a mut Market,
    pub(crate) clock: ClockBase,
    pub(crate) rate: Rate,
    pub(crate) stamp: bool,
    pub(crate) queue_limit: usize,
    /// Whether there are quotes at all.
    pub(crate) flows: bool,
    pub(crate) now: Duration,
}

impl FeedContext<'_> {
    fn slice(&mut self) -> Slice<'_> {
        let stamp = self.clock.monotonic_nanos + self.now.as_nanos() as u64;
        Slice {
            market: self.market,
            unix_millis: self.clock.unix_millis + self.now.as_millis() as u64,
            stamp: self.stamp.then_some(stamp as f64),
            flows: self.flows,
        }
    }
}

impl Feed {
    /// Is no line served?
    pub(crate) fn is_idle(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether a line or a snapshot has this id.
    pub(crate) fn contains(&self, request_id: i32) -> bool {
        self.places.contains_key(&request_id) || self.snapshots.contains_key(&request_id)
    }

    /// Lines that are active.
    pub(crate) fn lines(&self) -> usize {
        self.lines.len()
    }

    /// Instruments of the lines, once for each line.
    pub(crate) fn instruments(&self) -> impl Iterator<Item = usize> {
        self.lines.iter().map(|line| line.subscription.instrument)
    }

    /// Begins a line, with its image.
    pub(crate) fn subscribe(
        &mut self,
        request_id: i32,
        subscription: Subscription,
        mut context: FeedContext<'_>,
        outbox: &mut Outbox,
    ) {
        let line = Line::new(request_id, subscription);
        self.sent += line.image(&mut context.slice(), outbox.buffer());
        self.places.insert(request_id, self.lines.len());
        self.lines.push(line);
        self.set_pace(&context);
    }

    /// Sends the image of a snapshot; its end follows later.
    pub(crate) fn snapshot(
        &mut self,
        request_id: i32,
        subscription: Subscription,
        ends: Duration,
        mut context: FeedContext<'_>,
        outbox: &mut Outbox,
    ) {
        let line = Line::new(request_id, subscription);
        self.sent += line.image(&mut context.slice(), outbox.buffer());
        self.snapshots.insert(request_id, ends);
    }

    /// Ends the line or the snapshot of this id.
    pub(crate) fn cancel(&mut self, request_id: i32, context: &FeedContext<'_>) -> Cancelled {
        if self.snapshots.remove(&request_id).is_some() {
            return Cancelled::Snapshot;
        }
        let Some(place) = self.places.remove(&request_id) else {
            return Cancelled::Nothing;
        };
        let line = self.lines.swap_remove(place);
        if let Some(moved) = self.lines.get(place) {
            self.places.insert(moved.request_id, place);
        }
        if self.cursor >= self.lines.len() {
            self.cursor = 0;
        }
        self.set_pace(context);
        let instrument = line.subscription.instrument;
        Cancelled::Line { instrument }
    }

    /// Makes the ticks and ends the snapshots that are due.
    pub(crate) fn handle_timeout(&mut self, mut context: FeedContext<'_>, outbox: &mut Outbox) {
        self.end_snapshots(context.now, outbox);
        if self.lines.is_empty() || !context.flows {
            return;
        }
        let Due { ticks, lost } = match context.rate {
            Rate::Max if full_speed_room(outbox) => Due { ticks: FULL_SPEED_BATCH, lost: 0 },
            Rate::Max => return,
            _ => self.pace.take(context.now),
        };
        if !outbox.takes_ticks() {
            return;
        }
        let room = context.queue_limit.saturating_sub(outbox.queued()) / ticks::LARGEST;
        let fitting = ticks.min(room as u64);
        self.make(fitting, &mut context.slice(), outbox.buffer());
        self.sent += fitting;
        self.drop_ticks(lost + ticks - fitting);
    }

    /// When [`Feed::handle_timeout`] has something to do; time zero means at once.
    pub(crate) fn poll_timeout(&self, rate: Rate, outbox: &Outbox) -> Option<Duration> {
        let snapshot = self.poll_snapshots();
        let ticks = if self.lines.is_empty() || !outbox.takes_ticks() {
            None
        } else if rate == Rate::Max {
            full_speed_room(outbox).then_some(Duration::ZERO)
        } else {
            self.pace.next()
        };
        [snapshot, ticks].into_iter().flatten().min()
    }

    /// When there is nothing but snapshots to be ended.
    pub(crate) fn poll_snapshots(&self) -> Option<Duration> {
        self.snapshots.values().min().copied()
    }

    /// Ends all lines and snapshots; the instruments of the lines.
    pub(crate) fn clear(&mut self, context: &FeedContext<'_>) -> Vec<usize> {
        let instruments = self.instruments().collect();
        self.lines.clear();
        self.places.clear();
        self.snapshots.clear();
        self.cursor = 0;
        self.set_pace(context);
        instruments
    }

    /// Ticks are due as the lines are many, and as quotes flow.
    pub(crate) fn set_pace(&mut self, context: &FeedContext<'_>) {
        let per_second = match context.rate {
            _ if self.lines.is_empty() || !context.flows => 0,
            Rate::PerLine(rate) => u64::from(rate) * self.lines.len() as u64,
            Rate::PerConnection(rate) => rate,
            Rate::Max => 0,
        };
        self.pace.set(per_second, context.now);
    }

    fn end_snapshots(&mut self, now: Duration, outbox: &mut Outbox) {
        self.snapshots.retain(|request_id, ends| {
            if *ends > now {
                return true;
            }
            let message = TickSnapshotEnd { req_id: Some(*request_id) };
            write_message(id::TICK_SNAPSHOT_END, &message, outbox.buffer());
            false
        });
    }

    fn make(&mut self, count: u64, slice: &mut Slice<'_>, out: &mut BytesMut) {
        out.reserve(count as usize * 40);
        for _ in 0..count {
            let line = &mut self.lines[self.cursor];
            if line.tick(slice, out) {
                self.cursor += 1;
                if self.cursor == self.lines.len() {
                    self.cursor = 0;
                }
            }
        }
    }

    /// Counts ticks that are not made. The counters of stamp mode go on, so that a reader sees
    /// the gap.
    fn drop_ticks(&mut self, count: u64) {
        self.dropped += count;
        let lines = self.lines.len() as u64;
        for line in &mut self.lines {
            line.counter += count / lines;
        }
        for _ in 0..count % lines {
            self.lines[self.cursor].counter += 1;
            self.cursor = (self.cursor + 1) % self.lines.len();
        }
    }
}

fn full_speed_room(outbox: &Outbox) -> bool {
    outbox.queued() < FULL_SPEED_QUEUE
}
