//! The broker's own doubts: what they are, how long they last, and how a person ends them.
//!
//! What a person has to look at is kept in the journal, in words, until that person has adopted the
//! state: what raised it may be gone by the next start, and the orders that it was about are not.

use crate::notes::{NoteKind, Severity};
use crate::orders::journal::{Doubt as Kept, Facts};
use crate::orders::{Desk, Doing};

/// Doubts by their kind: a kind is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Doubt {
    /// The journal cannot be read.
    Damaged,
    /// A restart of the machine forgets it.
    Volatile,
    /// It belongs to other accounts.
    Accounts,
    /// It holds nothing, and Gateway shows orders of API programs.
    Empty,
    /// It is new, and another one of the same client id and login lies beside it.
    Beside,
    /// Gateway shows orders of our client id that it does not know.
    Unaccounted,
    /// Ids of orders come near those of requests.
    HighId,
    /// One order has two permIds.
    TwoPermIds,
    /// An order is told with another contract or side than was placed.
    Altered,
}

impl Doubt {
    /// An order that the journal does not know may have been placed all the same.
    pub(super) fn forgets_orders(self) -> bool {
        matches!(self, Self::Empty | Self::Beside | Self::Unaccounted)
    }

    /// Its name in the journal. The others are found anew at each start and in each session.
    fn kept_as(self) -> Option<&'static str> {
        Some(match self {
            Self::Damaged | Self::Volatile | Self::Accounts => return None,
            Self::Empty => "empty",
            Self::Beside => "beside",
            Self::Unaccounted => "unaccounted",
            Self::HighId => "high-id",
            Self::TwoPermIds => "two-perm-ids",
            Self::Altered => "altered",
        })
    }

    fn named(name: &str) -> Self {
        let kept = [
            Self::Empty,
            Self::Beside,
            Self::Unaccounted,
            Self::HighId,
            Self::TwoPermIds,
            Self::Altered,
        ];
        let found = kept.into_iter().find(|doubt| doubt.kept_as() == Some(name));
        // A newer build has another one. It is a doubt all the same.
        found.unwrap_or(Self::Unaccounted)
    }
}

impl Desk {
    /// Trading halts until a person has looked; told once.
    pub(in crate::orders) fn doubt(&mut self, kind: Doubt, what: String) {
        if !self.active || self.brakes.doubts.contains_key(&kind) {
            return;
        }
        if let Some(name) = kind.kept_as() {
            self.facts.doubts.push(Kept { kind: name.to_owned(), words: what.clone() });
            self.save_facts();
        }
        self.halt_for(kind, what);
    }

    /// What nobody has looked at since the broker before.
    pub(in crate::orders) fn resume_doubts(&mut self) {
        for kept in self.facts.doubts.clone() {
            self.halt_for(Doubt::named(&kept.kind), kept.words);
        }
    }

    fn halt_for(&mut self, kind: Doubt, what: String) {
        tracing::error!(what, "trading is halted");
        let note = format!("trading is halted: {what}");
        self.doings.push_back(Doing::Note(NoteKind::Order, Severity::Error, note));
        self.doings.push_back(Doing::StatusChanged);
        self.brakes.doubts.insert(kind, what);
    }

    /// A person has looked, and takes things as they are. What it was about.
    pub(in crate::orders) fn end_doubts(&mut self) -> Vec<String> {
        self.facts.doubts.clear();
        let accepted = std::mem::take(&mut self.facts.doubtful);
        self.facts.adopted.extend(accepted);
        let accepted = std::mem::take(&mut self.facts.doubtful_ids);
        self.facts.adopted_ids.extend(accepted);
        self.accept_counter();
        self.save_facts();
        std::mem::take(&mut self.brakes.doubts).into_values().collect()
    }

    /// False if a person has accepted the order with this permId, or, if it has none, with this id.
    pub(in crate::orders) fn is_doubtful(&mut self, order_id: i32, perm_id: i64) -> bool {
        let Facts { adopted, adopted_ids, doubtful, doubtful_ids, .. } = &mut self.facts;
        let accepted = match perm_id {
            0 => adopted_ids.contains(&order_id),
            _ => adopted.contains(&perm_id),
        };
        // By hand there is neither.
        let is_new = match perm_id {
            0 => order_id != 0 && !doubtful_ids.contains(&order_id),
            _ => !doubtful.contains(&perm_id),
        };
        if self.active && !accepted && is_new {
            match perm_id {
                0 => doubtful_ids.push(order_id),
                _ => doubtful.push(perm_id),
            }
            self.save_facts();
        }
        !accepted
    }
}
