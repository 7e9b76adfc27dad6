//! The account that the book gives of itself: exposure by permanent id, for whoever checks a
//! client against it.

use super::{Entry, OrderBook};
use crate::ledger::{Ledger, LedgerEntry, OrderChange};
use crate::seeds::SeedOwner;

impl OrderBook {
    /// Every order that ever was, and every request that made none.
    pub(in super::super) fn ledger(&self) -> Ledger {
        Ledger {
            orders: self.entries.values().map(|entry| self.line(entry)).collect(),
            refused: self.refused.clone(),
        }
    }

    /// The next change of an order that was not told yet.
    pub(in super::super) fn take_change(&mut self) -> Option<(OrderChange, LedgerEntry)> {
        self.changes.pop_front()
    }

    /// Notes a change of an order.
    pub(super) fn changed(&mut self, perm_id: i64, what: OrderChange) {
        if let Some(entry) = self.entries.get(&perm_id) {
            match entry.is_alive() {
                true => self.restless.insert(perm_id),
                false => self.restless.remove(&perm_id),
            };
            if !entry.is_alive() {
                self.alive.remove(entry);
            }
            let line = self.line(entry);
            self.changes.push_back((what, line));
        }
    }

    fn line(&self, entry: &Entry) -> LedgerEntry {
        LedgerEntry {
            perm_id: entry.perm_id,
            client_id: self.client_of(entry.owner),
            order_id: entry.order_id,
            by_hand: entry.owner == SeedOwner::Manual,
            seeded: entry.seeded,
            order_ref: entry.order.order_ref().to_owned(),
            account: entry.account.clone(),
            symbol: entry.contract.symbol().to_owned(),
            sec_type: entry.contract.sec_type().to_owned(),
            side: if entry.buy { "BUY" } else { "SELL" },
            quantity: entry.quantity.to_string(),
            filled: entry.filled.to_string(),
            average_price: entry.average(),
            status: entry.status().ledger_name(),
            code: entry.reject_code,
            parent_perm_id: entry.parent,
            oca_group: entry.order.oca_group.clone().filter(|group| !group.is_empty()),
            places: entry.places,
            cancels: entry.cancels,
        }
    }
}

#[cfg(test)]
impl OrderBook {
    /// What holds after every step, whatever was done.
    pub(in super::super) fn check_invariants(&self) {
        use super::{Done, Quantity, Status};

        for entry in self.entries.values() {
            let perm_id = entry.perm_id;
            assert!(entry.filled <= entry.quantity, "{perm_id} has more than it wants");
            assert_eq!(entry.is_alive(), self.alive.contains(perm_id), "{perm_id}");
            assert!(!self.may_move(entry) || self.restless.contains(&perm_id), "{perm_id}");
            let complete = entry.remaining() == Quantity::ZERO;
            assert!(!complete || !entry.is_alive(), "{perm_id} wants nothing and lives");
            let is_whole = |done: &&Done| done.perm_id == perm_id && done.leg == 0;
            let executions = self.executions.iter().filter(is_whole);
            let sum = executions.fold(Quantity::ZERO, |sum, done| sum + done.quantity);
            assert!(entry.seeded || sum == entry.filled, "{perm_id}: {sum}");
            if let Some(parent) = entry.parent.and_then(|parent| self.entries.get(&parent)) {
                let orphan = matches!(parent.status(), Status::Cancelled | Status::Rejected);
                assert!(!orphan || !entry.is_alive(), "{perm_id} outlives its parent");
                assert!(parent.is_alive() || parent.status() != Status::Untransmitted);
            }
            if entry.order_id > 0 && self.own_client_id.is_some() {
                let name = (self.client_of(entry.owner), entry.order_id);
                assert_eq!(self.names.get(&name), Some(&perm_id), "{name:?}");
            }
            // What was filled may have been busted since.
            let mut executed = self.executions.iter().map(|done| done.perm_id);
            assert!(entry.next_part.is_none() || executed.any(|one| one == perm_id));
            assert!(entry.next_part.is_none() || self.in_parts.contains(&perm_id));
        }
        assert!(!self.linked || (self.queue.is_empty() && self.withheld.is_empty()));
    }
}
