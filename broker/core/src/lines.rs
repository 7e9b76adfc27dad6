//! Lines: subscriptions at Gateway, of which equal ones of any number of clients share one.
//!
//! Owns all lines and how they are found, and which of Gateway's allowances are used up. Does not
//! send: the hub does, through [`crate::pacing`]. Lines outlive workers; their upstream ids do
//! not. Read on in `lines/line.rs` (what one line is), `lines/kind.rs` (what kinds there are) and
//! `lines/wanted.rs` (what may be wished).

mod again;
mod full;
pub mod kind;
mod line;
pub mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use bytes::Bytes;

use crate::ids::{ClientId, LineId};
use crate::settings::PacingSettings;
use again::Again;
pub use full::Full;
use kind::{Allowance, Kind};
pub use line::{Doubt, Line, Subscriber, Upstream};
use wanted::Wanted;

/// What makes two wishes the same. A private one is the same as no other.
type Key = (u32, Bytes, Option<i32>, u64);

/// All lines.
#[derive(Debug)]
pub struct Lines {
    slots: Vec<Option<Line>>,
    by_key: BTreeMap<Key, u32>,
    /// Messages without an id, and the line that they are for.
    by_message: BTreeMap<u32, u32>,
    used: BTreeMap<Allowance, u32>,
    limits: BTreeMap<Allowance, u32>,
    /// Lines that nobody listens to, by the time when they are given up.
    lingering: BTreeSet<(Instant, u32)>,
    opened: u64,
}

impl Lines {
    /// None, and as many as allowed.
    pub fn new(settings: &PacingSettings) -> Self {
        Self {
            slots: Vec::new(),
            by_key: BTreeMap::new(),
            by_message: BTreeMap::new(),
            used: BTreeMap::new(),
            limits: limits(settings),
            lingering: BTreeSet::new(),
            opened: 0,
        }
    }

    /// The slot of the line for this wish, if there is one.
    pub fn find(&self, wanted: &Wanted) -> Option<u32> {
        (!wanted.private).then(|| self.by_key.get(&key_of(wanted, 0)).copied())?
    }

    /// A line that nobody else may have, kept for whoever comes back to it and wishes the same.
    pub fn kept(&self, wanted: &Wanted, is_named: impl Fn(LineId) -> bool) -> Option<u32> {
        let is_it = |line: &Line| line.key == key_of(wanted, line.id.0) && is_named(line.id);
        let mut kept = self.lingering.iter().map(|(_, slot)| *slot).filter(|_| wanted.private);
        kept.find(|slot| self.get(*slot).is_some_and(is_it))
    }

    /// A new line for this wish.
    pub fn open(&mut self, client: ClientId, wanted: Wanted) -> Result<u32, Full> {
        for allowance in wanted.kind.uses {
            let (used, limit) = (self.used(*allowance), self.limit(*allowance));
            if used >= limit {
                return Err(Full { allowance: *allowance, limit });
            }
        }
        self.opened += 1;
        for allowance in wanted.kind.uses {
            *self.used.entry(*allowance).or_default() += 1;
        }
        let key = key_of(&wanted, self.opened);
        let line = Line {
            id: LineId(self.opened),
            memory: wanted.kind.memory(),
            opened_by: client,
            upstream: Upstream::Stale,
            sequence: 0,
            gaps: 0,
            gap_at: None,
            stale: false,
            served: false,
            subscribers: Vec::new(),
            lingers_until: None,
            asked_at: None,
            put_off: 0,
            again: Again::default(),
            key: key.clone(),
            wanted,
        };
        let slot = match self.slots.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        for message in line.kind().answers {
            self.by_message.insert(*message, slot as u32);
        }
        self.slots[slot] = Some(line);
        self.by_key.insert(key, slot as u32);
        Ok(slot as u32)
    }

    /// The first account of the login is known: the line is about that one, if it named none.
    pub fn name_account(&mut self, slot: u32, account: &str) {
        let Some(line) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else {
            return;
        };
        if line.wanted.unnamed {
            line.wanted = line.wanted.clone().with_account(account);
            // Whoever named one has another line.
            for subscriber in &mut line.subscribers {
                subscriber.took.clone_from(&line.wanted.took);
            }
            let key = key_of(&line.wanted, line.id.0);
            self.by_key.remove(&std::mem::replace(&mut line.key, key.clone()));
            self.by_key.insert(key, slot);
        }
    }

    /// The line in a slot.
    #[inline]
    pub fn get(&self, slot: u32) -> Option<&Line> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// The line in a slot.
    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Line> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// The line that a message without an id is for.
    pub fn for_message(&self, message_id: u32) -> Option<u32> {
        self.by_message.get(&message_id).copied()
    }

    /// The line of a kind of which there is one at most.
    pub fn only(&self, kind: &Kind) -> Option<(u32, &Line)> {
        let slot = self.for_message(*kind.answers.first()?)?;
        Some((slot, self.get(slot)?))
    }

    /// Frees a slot.
    pub fn close(&mut self, slot: u32) -> Option<Line> {
        let line = self.slots.get_mut(slot as usize)?.take()?;
        if let Some(until) = line.lingers_until {
            self.lingering.remove(&(until, slot));
        }
        self.by_key.remove(&line.key);
        self.by_message.retain(|_, of| *of != slot);
        for allowance in line.kind().uses {
            if let Some(used) = self.used.get_mut(allowance) {
                *used -= 1;
            }
        }
        Some(line)
    }

    /// All lines with their slots.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Line)> {
        self.slots.iter().enumerate().filter_map(|(slot, line)| Some((slot as u32, line.as_ref()?)))
    }

    /// Slots of all lines.
    pub fn slots(&self) -> Vec<u32> {
        self.iter().map(|(slot, _)| slot).collect()
    }

    /// Lines that are open, of all kinds.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Market-data lines that count as a client's: it listens, and was there first.
    pub fn opened_by(&self, client: ClientId) -> usize {
        let its = |line: &&Line| {
            line.opened_by == client
                && line.lingers_until.is_none()
                && line.kind().uses.contains(&Allowance::MarketData)
        };
        self.slots.iter().flatten().filter(its).count()
    }

    /// Is none open?
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Nobody listens to a line any more, and it is kept until then; or somebody does again.
    pub fn linger(&mut self, slot: u32, until: Option<Instant>) {
        let Some(line) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else {
            return;
        };
        if let Some(old) = std::mem::replace(&mut line.lingers_until, until) {
            self.lingering.remove(&(old, slot));
        }
        self.lingering.extend(until.map(|until| (until, slot)));
    }

    /// A line that nobody listens to, and whose end would free this allowance.
    pub fn lingering(&self, allowance: Allowance) -> Option<u32> {
        let frees =
            |slot: &u32| self.get(*slot).is_some_and(|line| line.kind().uses.contains(&allowance));
        self.lingering.iter().map(|(_, slot)| *slot).find(frees)
    }

    /// How much of an allowance is used by lines that somebody listens to.
    pub fn listened_to(&self, allowance: Allowance) -> u32 {
        let frees =
            |slot: &u32| self.get(*slot).is_some_and(|line| line.kind().uses.contains(&allowance));
        let idle = self.lingering.iter().filter(|(_, slot)| frees(slot)).count() as u32;
        self.used(allowance).saturating_sub(idle)
    }

    /// Lines that are to be given up now.
    pub fn overdue(&self, now: Instant) -> Vec<u32> {
        self.lingering
            .iter()
            .take_while(|(until, _)| *until <= now)
            .map(|(_, slot)| *slot)
            .collect()
    }

    /// When the first of those that nobody listens to is given up.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.lingering.first().map(|(until, _)| *until)
    }

    /// How much of an allowance is used.
    pub fn used(&self, allowance: Allowance) -> u32 {
        self.used.get(&allowance).copied().unwrap_or_default()
    }

    /// How much there is.
    pub fn limit(&self, allowance: Allowance) -> u32 {
        self.limits.get(&allowance).copied().unwrap_or_default()
    }

    /// Other allowances from now on; lines above them stay.
    pub fn on_settings(&mut self, settings: &PacingSettings) {
        self.limits = limits(settings);
    }

    /// Every line is found by its key, and nothing else is.
    pub fn check_invariants(&self) {
        assert_eq!(self.by_key.len(), self.iter().count());
        let mut used = BTreeMap::new();
        for (key, slot) in &self.by_key {
            let line = self.get(*slot).expect("a key leads to a line");
            assert_eq!(&line.key, key);
            let lingers = line.lingers_until.is_some();
            assert_eq!(line.subscribers.is_empty(), lingers, "{}: who listens", line.id);
            for allowance in line.kind().uses {
                *used.entry(*allowance).or_insert(0) += 1;
            }
        }
        for (allowance, count) in &self.used {
            assert_eq!(used.get(allowance).copied().unwrap_or_default(), *count, "{allowance:?}");
        }
        for (message, slot) in &self.by_message {
            let line = self.get(*slot).expect("a message leads to a line");
            assert!(line.kind().answers.contains(message));
        }
    }
}

/// Gateway's allowances follow from the number of market-data lines. Source: protocol fact
/// sheet, section 9.
fn limits(settings: &PacingSettings) -> BTreeMap<Allowance, u32> {
    let lines = settings.lines;
    BTreeMap::from([
        (Allowance::MarketData, lines),
        (Allowance::Depth, (lines / 100).clamp(3, 60)),
        (Allowance::TickByTick, (lines / 20).max(1)),
        (Allowance::Summaries, 2),
        (Allowance::Scanners, 10),
        (Allowance::Histories, 40),
    ])
}

fn key_of(wanted: &Wanted, number: u64) -> Key {
    let private = if wanted.private { number } else { 0 };
    (wanted.kind.request, wanted.body.clone(), wanted.feed, private)
}

#[cfg(test)]
mod tests;
