//! Cancelling for those who left: if a principal wants it, its open orders are cancelled once its
//! last instance has been gone for a grace.
//!
//! What is owed is on disk. After a restart the grace begins anew: our own downtime is not the
//! client's.

use std::time::Instant;

use super::Desk;
use crate::ids::ClientId;
use crate::notes::Severity;

impl Desk {
    /// An instance of this principal connected.
    pub(crate) fn on_joined(&mut self, principal: &str, client: ClientId) {
        self.instances.entry(principal.to_owned()).or_default().insert(client);
        // What a halt wants cancelled is not the client's to forgive.
        let halted = self.facts.halts.contains_key(principal) || self.facts.halts.contains_key("");
        if !halted && self.leaving.remove(principal).is_some() {
            self.forgive(principal);
        }
    }

    /// It left.
    pub(crate) fn on_parted(&mut self, principal: &str, client: ClientId, now: Instant) {
        let Some(instances) = self.instances.get_mut(principal) else {
            return;
        };
        instances.remove(&client);
        let grace = self.principals.get(principal).and_then(|one| one.cancel_on_disconnect);
        if let (true, Some(grace)) = (instances.is_empty(), grace)
            && self.active
            && self.book.live_count(principal) > 0
        {
            self.owe(principal, now + grace);
        }
    }

    /// What a halt wants cancelled, and cannot be now.
    pub(super) fn owe_cancels(&mut self, owner: &str, now: Instant) {
        self.owe(owner, now);
    }

    fn owe(&mut self, owner: &str, at: Instant) {
        self.leaving.insert(owner.to_owned(), at);
        if !self.facts.owed_cancels.iter().any(|one| one == owner) {
            self.facts.owed_cancels.push(owner.to_owned());
            self.save_facts();
        }
    }

    fn forgive(&mut self, owner: &str) {
        let before = self.facts.owed_cancels.len();
        self.facts.owed_cancels.retain(|one| one != owner);
        if self.facts.owed_cancels.len() != before {
            self.save_facts();
        }
    }

    pub(super) fn cancel_for_those_who_left(&mut self, now: Instant) {
        if !self.may_cancel() {
            return;
        }
        let due: Vec<String> =
            self.leaving.iter().filter(|(_, at)| **at <= now).map(|(who, _)| who.clone()).collect();
        for owner in due {
            self.leaving.remove(&owner);
            self.forgive(&owner);
            let orders = self.cancel_all_of(&owner, None, "its owner has left, or was halted", now);
            if !orders.is_empty() {
                let text = format!(
                    "{} open orders of {owner} are cancelled: it has left, or was halted",
                    orders.len()
                );
                self.note(Severity::Warning, text);
            }
        }
    }
}
