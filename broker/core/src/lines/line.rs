//! One line: the wish behind it, where it stands upstream, what is remembered for late joiners, and
//! who listens.

use std::sync::Arc;
use std::time::Instant;

use super::Key;
use super::again::Again;
use super::kind::Kind;
use super::wanted::{Filter, Wanted};
use crate::ids::{ClientId, LineId, RequestId};
use crate::memory::Memory;

/// Where a line stands at Gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upstream {
    /// No session, or not asked for in this one yet.
    Stale,
    /// The request waits for its turn to leave.
    Queued(RequestId),
    /// It left; nothing came yet.
    Requested(RequestId),
    /// Gateway has answered, so it need not be asked again; no data came yet.
    Answered(RequestId),
    /// Data came.
    Live(RequestId),
    /// Data came, and Gateway has said since that no more may come. Whatever comes is the first
    /// that is new.
    Doubted(RequestId, Doubt),
}

/// Why Gateway may have no data for a line that it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// It has lost IB (1100, 2110).
    Ib,
    /// A farm of market data is broken (2103), and it may be the one that serves this line.
    Farm,
}

impl Upstream {
    /// The request id, if there is one.
    pub const fn request(self) -> Option<RequestId> {
        match self {
            Self::Stale => None,
            Self::Queued(id)
            | Self::Requested(id)
            | Self::Answered(id)
            | Self::Live(id)
            | Self::Doubted(id, _) => Some(id),
        }
    }

    /// Name in ListLines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stale | Self::Doubted(..) => "stale",
            Self::Queued(_) => "queued",
            Self::Requested(_) | Self::Answered(_) => "requested",
            Self::Live(_) => "live",
        }
    }
}

/// One subscription that listens to a line.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscriber {
    /// Slot of its stream.
    pub stream: u32,
    /// The client's number for it.
    pub subscription: u32,
    /// It was told STALE and not yet RESUMED.
    pub told_stale: bool,
    /// The newest event before the GAP that it was told last.
    pub told_gap: Option<u64>,
    /// It waits if there is no line for it.
    pub waits: bool,
    /// Keep the line for a while if its stream breaks.
    pub resumable: bool,
    /// What it wants of the line.
    pub filter: Filter,
    /// The account that the line is about, if this one named none.
    pub took: Option<Arc<str>>,
}

/// One line.
#[derive(Debug)]
pub struct Line {
    /// Its name.
    pub id: LineId,
    /// What was wished, first.
    pub wanted: Wanted,
    /// The client whose turn it takes in the queue to Gateway, and whose limit it counts for.
    pub opened_by: ClientId,
    /// Where it stands.
    pub upstream: Upstream,
    /// Events so far.
    pub sequence: u64,
    /// How often it was stale, or lost frames.
    pub gaps: u64,
    /// The newest event before the newest of those times.
    pub gap_at: Option<u64>,
    /// What is remembered of it may be old: it is asked for anew, or Gateway may have no data.
    pub stale: bool,
    /// It has had data, in whatever session: there is something that can be old.
    pub served: bool,
    /// Who listens.
    pub subscribers: Vec<Subscriber>,
    /// For late joiners.
    pub memory: Memory,
    /// Nobody listens any more; until then somebody may come back.
    pub lingers_until: Option<Instant>,
    /// When its request left last.
    pub asked_at: Option<Instant>,
    /// How often Gateway put it off since data came.
    pub put_off: u8,
    /// How often it was asked for again because of trouble of its own.
    pub again: Again,
    pub(super) key: Key,
}

impl Line {
    /// Its kind.
    pub const fn kind(&self) -> &'static Kind {
        self.wanted.kind
    }

    /// Does it take more than handing bodies on? An image has an end; a filter chooses.
    #[inline]
    pub fn is_special(&self) -> bool {
        self.memory.is_image()
    }

    /// From now on something is missing. Those who are to be told that it is stale: slot of the
    /// stream, and subscription.
    pub fn become_stale(&mut self) -> Vec<(u32, u32)> {
        // One that was lost twice before anything came of it has one gap.
        if !std::mem::replace(&mut self.stale, true) {
            self.gaps += 1;
            self.gap_at = Some(self.sequence);
        }
        let fresh = self.subscribers.iter_mut().filter(|one| !one.told_stale);
        let told = fresh.map(|one| {
            one.told_stale = true;
            (one.stream, one.subscription)
        });
        told.collect()
    }

    /// Frames were lost, perhaps of this line. Those who are to be told, which are those that have had
    /// anything since they were told last.
    pub fn lose_frames(&mut self) -> Vec<(u32, u32)> {
        let at = Some(self.sequence);
        let unaware = self.subscribers.iter_mut().filter(|one| one.told_gap != at);
        let told: Vec<_> = unaware
            .map(|one| {
                one.told_gap = at;
                (one.stream, one.subscription)
            })
            .collect();
        if !told.is_empty() || self.subscribers.is_empty() {
            self.gaps += 1;
            self.gap_at = at;
        }
        told
    }

    /// This one is told of a gap that was before it came.
    pub fn gap_is_told(&mut self, stream: u32, subscription: u32) {
        let is_it =
            |one: &&mut Subscriber| one.stream == stream && one.subscription == subscription;
        if let Some(one) = self.subscribers.iter_mut().find(is_it) {
            one.told_gap = Some(self.sequence);
        }
    }

    /// Gateway may have no data for it, and nothing is asked for anew. Those who are to be told.
    pub fn doubt(&mut self, doubt: Doubt) -> Vec<(u32, u32)> {
        match (self.upstream, doubt) {
            (Upstream::Live(request), _) | (Upstream::Doubted(request, _), Doubt::Ib) => {
                self.upstream = Upstream::Doubted(request, doubt);
            }
            // One that is not served yet stays what it is: its first data ends the doubt.
            _ => {}
        }
        self.become_stale()
    }

    /// Data flows. Those who are to be told.
    pub fn become_fresh(&mut self) -> Vec<(u32, u32)> {
        self.stale = false;
        let stale = self.subscribers.iter_mut().filter(|one| one.told_stale);
        let told = stale.map(|one| {
            one.told_stale = false;
            (one.stream, one.subscription)
        });
        told.collect()
    }

    /// Symbol, or what stands for it.
    pub fn label(&self) -> &str {
        &self.wanted.about.label
    }
}
