//! What is kept for a reader that is too slow: the newest of each kind, in the order of arrival.
//!
//! Ticks and states are replaced by newer ones of their kind. But a reader takes what it
//! got up to the end mark of a state as the whole: what stands before that mark stays until the mark has
//! left, or a newer one has come. Of tapes (trades, bars, news, texts)
//! the oldest go when they take more room than the queue has; the newest text of each tick type
//! stays. Everything else is kept.

use std::collections::{BTreeMap, VecDeque};

use bytes::BufMut;

use super::{Entry, OVERHEAD, encode};
use crate::fields::{Loss, end_of, field, loss_of, tick_type};
use crate::memory::{Identity, identity_of};

/// Two events of one kind: the newer one replaces the older.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Tick(u32, u8, u32),
    State(u32, Identity),
}

#[derive(Debug)]
struct Kept {
    entry: Entry,
    /// A copy, so that one tick does not hold on to a whole read.
    body: Box<[u8]>,
    skipped: u32,
    on_tape: bool,
}

/// The events.
#[derive(Debug)]
pub(super) struct Conflated {
    /// Room for tapes, in bytes.
    room: usize,
    order: BTreeMap<u64, Kept>,
    newest: BTreeMap<Kind, u64>,
    /// The end mark of a state, by subscription and field.
    ends: BTreeMap<(u32, u8), u64>,
    /// What stands before its end mark beside a newer one behind it: one of each kind.
    before_end: BTreeMap<Kind, u64>,
    arrivals: u64,
    /// Arrivals of what is on tapes; some may have left.
    tape: VecDeque<u64>,
    tape_bytes: usize,
    /// By subscription, what was cut since the newest event on a tape left.
    cut: BTreeMap<u32, u32>,
    bytes: usize,
    /// Events that nothing replaces and nobody cuts.
    kept: usize,
}

impl Conflated {
    /// `cut`: what was cut before and is not told yet.
    pub(super) fn new(room: usize, cut: BTreeMap<u32, u32>) -> Self {
        Self {
            room,
            order: BTreeMap::new(),
            newest: BTreeMap::new(),
            ends: BTreeMap::new(),
            before_end: BTreeMap::new(),
            arrivals: 0,
            tape: VecDeque::new(),
            tape_bytes: 0,
            cut,
            bytes: 0,
            kept: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// What was cut and is not told yet.
    pub(super) fn cut(&mut self) -> BTreeMap<u32, u32> {
        std::mem::take(&mut self.cut)
    }

    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an event; returns how many older ones were left out for it.
    pub(super) fn add(&mut self, entry: &Entry, body: &[u8]) -> u64 {
        let arrival = self.arrivals;
        self.arrivals += 1;
        let mut kept = Kept { entry: *entry, body: body.into(), skipped: 0, on_tape: false };
        let mut left_out = 0;
        match (loss_of(entry.field), kind_of(entry, body)) {
            (Loss::Oldest, kind) => {
                let older = kind.and_then(|kind| self.newest.insert(kind, arrival));
                left_out += older.map_or(0, |older| self.replace_text(older, entry.subscription));
                kept.on_tape = true;
                self.tape.push_back(arrival);
                self.tape_bytes += cost(body);
            }
            (_, Some(kind)) => {
                let older = self.newest.insert(kind.clone(), arrival);
                let outdated = match older {
                    Some(older) if self.is_before_end(entry, older) => {
                        self.before_end.insert(kind, older)
                    }
                    older => older,
                };
                left_out += outdated.map_or(0, |one| self.replace(one, &mut kept));
            }
            (_, None) => {
                self.kept += 1;
                if identity_of(entry.field, body) == Some(Identity::End) {
                    let older = self.ends.insert((entry.subscription, entry.field), arrival);
                    left_out += older.map_or(0, |older| self.replace(older, &mut kept));
                    self.kept -= usize::from(older.is_some());
                }
            }
        }
        self.bytes += cost(body);
        self.order.insert(arrival, kept);
        while self.tape_bytes > self.room && self.tape.len() > 1 {
            left_out += self.cut_oldest();
        }
        left_out
    }

    /// How many events were taken, in how many bytes.
    pub(super) fn take(&mut self, most: usize, out: &mut impl BufMut) -> (u64, usize) {
        let (mut events, mut bytes) = (0, 0);
        while bytes < most {
            let Some((arrival, mut kept)) = self.order.pop_first() else {
                break;
            };
            self.bytes -= cost(&kept.body);
            let kind = kind_of(&kept.entry, &kept.body);
            if loss_of(kept.entry.field) == Loss::Oldest {
                let cut = self.cut.remove(&kept.entry.subscription).unwrap_or_default();
                kept.skipped = kept.skipped.saturating_add(cut);
            } else if kind.is_none() {
                self.kept -= 1;
                let end = (kept.entry.subscription, kept.entry.field);
                if self.ends.get(&end) == Some(&arrival) {
                    self.ends.remove(&end);
                }
            }
            if kept.on_tape {
                self.tape_bytes -= cost(&kept.body);
                while self.tape.front().is_some_and(|oldest| *oldest <= arrival) {
                    self.tape.pop_front();
                }
            }
            if let Some(kind) = kind {
                for of_its_kind in [&mut self.newest, &mut self.before_end] {
                    if of_its_kind.get(&kind) == Some(&arrival) {
                        of_its_kind.remove(&kind);
                    }
                }
            }
            bytes += encode(&kept.entry, kept.skipped, &kept.body, out);
            events += 1;
        }
        (events, bytes)
    }

    /// An event goes for a newer one, which counts it.
    fn replace(&mut self, older: u64, newer: &mut Kept) -> u64 {
        let Some(old) = self.order.remove(&older) else {
            return 0;
        };
        self.bytes -= cost(&old.body);
        newer.skipped = newer.skipped.saturating_add(old.skipped).saturating_add(1);
        1
    }

    /// Does an older event of this kind stand before the end mark of its state?
    fn is_before_end(&self, newer: &Entry, older: u64) -> bool {
        let end = end_of(newer.field).and_then(|end| self.ends.get(&(newer.subscription, end)));
        end.is_some_and(|end| older < *end)
    }

    /// A text that has left the tape goes when a newer one of its type has come.
    fn replace_text(&mut self, older: u64, subscription: u32) -> u64 {
        match self.order.get(&older) {
            Some(kept) if !kept.on_tape => {
                let skipped = kept.skipped;
                self.bytes -= cost(&kept.body);
                self.order.remove(&older);
                let cut = self.cut.entry(subscription).or_default();
                *cut = cut.saturating_add(1).saturating_add(skipped);
                1
            }
            _ => 0,
        }
    }

    fn cut_oldest(&mut self) -> u64 {
        let Some(oldest) = self.tape.pop_front() else {
            return 0;
        };
        let Some(kept) = self.order.get_mut(&oldest) else {
            return 0;
        };
        self.tape_bytes -= cost(&kept.body);
        let kind = kind_of(&kept.entry, &kept.body);
        if kind.is_some_and(|kind| self.newest.get(&kind) == Some(&oldest)) {
            // The newest text of its type is part of the state; it leaves the tape and stays.
            kept.on_tape = false;
            return 0;
        }
        let Some(kept) = self.order.remove(&oldest) else {
            return 0;
        };
        self.bytes -= cost(&kept.body);
        let cut = self.cut.entry(kept.entry.subscription).or_default();
        *cut = cut.saturating_add(1).saturating_add(kept.skipped);
        1
    }
}

fn cost(body: &[u8]) -> usize {
    body.len() + OVERHEAD
}

fn kind_of(entry: &Entry, body: &[u8]) -> Option<Kind> {
    match loss_of(entry.field) {
        Loss::OldTicks => Some(Kind::Tick(entry.subscription, entry.field, tick_type(body))),
        Loss::Oldest if entry.field == field::TICK_STRING => {
            Some(Kind::Tick(entry.subscription, entry.field, tick_type(body)))
        }
        Loss::OldState => {
            identity_of(entry.field, body).map(|identity| Kind::State(entry.subscription, identity))
        }
        _ => None,
    }
}
