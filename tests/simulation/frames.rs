//! Is every frame from Gateway seen by a broker, or counted in a gap?
//!
//! Follows one session from the worker's read to the hub, over as many links and brokers as it
//! takes. Frames of the reserved ids must all come; of the others as many may be missing as gaps
//! were told; what comes again comes under its old number, and is what came before, or less.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use ibouncer_core::ids::Epoch;
use ibouncer_proto::link::v1::{Configure, Gap};
use ibouncer_proto::tws::envelope::Envelope;
use ibouncer_proto::tws::frame;

/// The account of one session.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    epoch: u64,
    reserved: BTreeSet<u32>,
    /// Read by the worker and seen by no broker yet: what it is, and whether it must come.
    read: VecDeque<(u64, bool)>,
    /// The newest number of the link that a broker saw.
    newest: u64,
    /// What was seen under the numbers that the worker may say again, the oldest first.
    again: VecDeque<Vec<u64>>,
    missing: u64,
    told: u64,
    /// Sums over all sessions.
    pub(crate) gaps: u64,
    pub(crate) resent: u64,
}

impl Frames {
    /// A worker goes to Gateway.
    pub(crate) fn begin(&mut self, epoch: Epoch, configure: &Configure) {
        let reserved = configure.reserved_ids.iter().copied().collect();
        let (gaps, resent) = (self.gaps, self.resent);
        *self = Self { epoch: epoch.0, reserved, gaps, resent, ..Self::default() };
    }

    /// The worker has read these frames.
    pub(crate) fn on_read(&mut self, frames: &[u8]) {
        for body in frame::bodies(frames) {
            let id = Envelope::parse(body).map(|envelope| envelope.message_id);
            let must = id.is_ok_and(|id| self.reserved.contains(&id));
            self.read.push_back((mark(body), must));
        }
    }

    /// The worker need not keep what came up to this number.
    pub(crate) fn on_forgotten(&mut self, through: u64) {
        assert!(through <= self.newest, "frame {through} was acknowledged and never seen");
        while self.newest - (self.again.len() as u64) < through {
            self.again.pop_front();
        }
    }

    /// A broker heard of a gap.
    pub(crate) fn on_gap(&mut self, epoch: Epoch, gap: &Gap) {
        assert_eq!(epoch.0, self.epoch);
        self.told += gap.frames;
        self.gaps += 1;
    }

    /// A broker sees a data frame.
    pub(crate) fn on_seen(&mut self, epoch: Epoch, number: u64, frames: &[u8]) {
        assert_eq!(epoch.0, self.epoch, "frames of a worker that has no connection");
        let marks: Vec<_> = frame::bodies(frames).map(mark).collect();
        if number <= self.newest {
            self.resent += 1;
            return self.on_again(number, &marks);
        }
        assert_eq!(number, self.newest + 1, "frames between were never seen");
        self.newest = number;
        for seen in &marks {
            loop {
                let next = self.read.pop_front();
                let (read, must) = next.unwrap_or_else(|| panic!("{number} was never read"));
                if read == *seen {
                    break;
                }
                assert!(!must, "a frame that must never be dropped is missing before {number}");
                self.missing += 1;
            }
        }
        assert!(
            self.missing <= self.told,
            "{} frames are missing before {number}, gaps tell of {}",
            self.missing,
            self.told
        );
        self.again.push_back(marks);
    }

    fn on_again(&self, number: u64, marks: &[u64]) {
        let back = (self.newest - number) as usize + 1;
        let index = self.again.len().checked_sub(back);
        let index = index.unwrap_or_else(|| panic!("{number} comes again, but was acknowledged"));
        let mut before = self.again[index].iter();
        for mark in marks {
            assert!(before.any(|other| other == mark), "{number} comes again as something else");
        }
    }
}

fn mark(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}
