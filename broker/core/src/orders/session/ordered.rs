//! Cancels that operators have ordered by a halt: owed, on disk, until the last of them has left.
//!
//! Each is of what was there when it was ordered, and in accounts that its operator may touch. Ids go
//! up, so what is placed later has a higher one.

use std::time::Instant;

use super::instances::PUT_OFF;
use crate::orders::journal::{OrderRecord, OrderedCancels};
use crate::orders::{Caller, Desk};

impl Desk {
    /// What an earlier broker owed.
    pub(super) fn resume_ordered(&mut self, now: Instant) {
        for (owner, before) in std::mem::take(&mut self.facts.ordered_before) {
            self.facts.ordered.push(OrderedCancels { owner, ..before });
        }
        for owner in std::mem::take(&mut self.facts.ordered_cancels) {
            self.facts.ordered.push(OrderedCancels {
                owner,
                by: "broker".into(),
                reason: "an operator has ordered it".into(),
                ..OrderedCancels::default()
            });
        }
        let owners = self.facts.ordered.iter().map(|one| one.owner.clone());
        self.owed.ordered = owners.map(|owner| (owner, now)).collect();
    }

    /// What a halt wants cancelled, and has not left yet. Whoever is limited to accounts has ordered
    /// it for these.
    pub(in crate::orders) fn owe_ordered(
        &mut self,
        owner: &str,
        caller: &Caller,
        reason: &str,
        now: Instant,
    ) {
        let accounts = self.principal_of(caller).map(|one| one.accounts.clone());
        let ordered = OrderedCancels {
            owner: owner.to_owned(),
            by: caller.shown().to_owned(),
            reason: reason.to_owned(),
            accounts: accounts.unwrap_or_default(),
            before: self.next_id,
        };
        // The same once more counts for what was placed since.
        let is_same = |one: &OrderedCancels| {
            (&one.owner, &one.by, &one.accounts) == (&ordered.owner, &ordered.by, &ordered.accounts)
        };
        self.facts.ordered.retain(|one| !is_same(one));
        self.facts.ordered.push(ordered);
        let due = if self.is_on_its_way(owner) { now + PUT_OFF } else { now };
        self.owed.ordered.insert(owner.to_owned(), due);
        self.save_facts();
    }

    pub(super) fn cancel_what_is_ordered(&mut self, now: Instant) {
        let due = self.owed.ordered.iter().filter(|(_, at)| **at <= now);
        for owner in due.map(|(owner, _)| owner.clone()).collect::<Vec<_>>() {
            let ordered = self.facts.ordered.iter().filter(|one| one.owner == owner);
            for OrderedCancels { by, reason, accounts, before, .. } in
                ordered.cloned().collect::<Vec<_>>()
            {
                let by = Caller { name: by, ..Caller::default() };
                let meant = |record: &OrderRecord| {
                    (accounts.is_empty() || accounts.contains(&record.account))
                        && (before == 0 || record.order_id < before)
                };
                self.cancel_owed(&owner, &by, &reason, meant, now);
            }
            if self.is_put_off(&owner) || self.is_on_its_way(&owner) {
                self.owed.ordered.insert(owner, now + PUT_OFF);
            } else {
                self.fulfil(&owner);
            }
        }
    }

    /// Ordered cancels of this owner's orders wait for their turn.
    pub(in crate::orders) fn is_on_its_way(&self, owner: &str) -> bool {
        self.departures.iter().any(|(_, one)| one.ordered && one.audit.owner == owner)
    }

    /// A cancel that was ordered has left. It is done once all of it has.
    pub(in crate::orders) fn on_ordered_left(&mut self, owner: &str) {
        let is_owed = self.owed.ordered.contains_key(owner);
        if is_owed && !self.is_on_its_way(owner) && !self.any_elsewhere(owner) {
            self.fulfil(owner);
        }
    }

    fn fulfil(&mut self, owner: &str) {
        self.owed.ordered.remove(owner);
        self.facts.ordered.retain(|one| one.owner != owner);
        self.save_facts();
    }
}
