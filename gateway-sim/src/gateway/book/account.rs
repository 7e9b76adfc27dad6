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
            if !entry.is_alive() {
                self.alive.remove(&perm_id);
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
