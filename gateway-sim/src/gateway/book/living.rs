//! Which orders are not over, and what must be known of them at every order without looking at all.

use std::collections::{BTreeMap, BTreeSet};

use super::super::traded::Traded;
use super::Entry;

/// Contract, side and account: what a limit of active orders counts.
type Alike = (Traded, bool, String);

/// Orders that are not over, by permanent id.
#[derive(Debug, Default)]
pub(super) struct Living {
    all: BTreeSet<i64>,
    alike: BTreeMap<Alike, u32>,
}

impl Living {
    pub(super) fn insert(&mut self, entry: &Entry) {
        if self.all.insert(entry.perm_id) {
            *self.alike.entry(alike(entry)).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, entry: &Entry) {
        if !self.all.remove(&entry.perm_id) {
            return;
        }
        let alike = alike(entry);
        if let Some(count) = self.alike.get_mut(&alike) {
            *count -= 1;
            if *count == 0 {
                self.alike.remove(&alike);
            }
        }
    }

    /// In the order of arrival.
    pub(super) fn iter(&self) -> impl Iterator<Item = i64> {
        self.all.iter().copied()
    }

    /// Of one contract, side and account.
    pub(super) fn count(&self, traded: &Traded, buy: bool, account: &str) -> u32 {
        self.alike.get(&(traded.clone(), buy, account.to_owned())).copied().unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn contains(&self, perm_id: i64) -> bool {
        self.all.contains(&perm_id)
    }
}

fn alike(entry: &Entry) -> Alike {
    (entry.traded.clone(), entry.buy, entry.account.clone())
}
