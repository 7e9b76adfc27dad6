//! Cancels that are owed: to those who left, if a principal wants its open orders cancelled once
//! its last instance has been gone for a grace; and to operators (`session/ordered.rs`).
//!
//! Both are on disk. After a restart the grace begins anew, for everybody who was not back yet: our
//! own downtime is not the client's. Who comes back is forgiven what it owes itself, and not what
//! an operator has ordered. Whether a principal wants it, and its grace, is what the configuration
//! says when the time is over, not when it left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::ids::ClientId;
use crate::notes::Severity;
use crate::orders::asked::cancel::the_broker;
use crate::orders::journal::OrderRecord;
use crate::orders::leaving::departures::Departure;
use crate::orders::{Caller, Desk};

/// Whose orders are to be cancelled, and when.
#[derive(Debug, Default)]
pub(in crate::orders) struct Owed {
    /// Because its last instance left.
    left: BTreeMap<String, Left>,
    /// Because an operator said so.
    pub(super) ordered: BTreeMap<String, Instant>,
    /// Those of them that another login was in the way of.
    put_off: BTreeSet<String>,
}

/// A principal without an instance.
#[derive(Debug, Clone, Copy)]
struct Left {
    since: Instant,
    due: Instant,
}

/// Why the broker cancels for those who left.
const LEFT: &str = "its owner has left";

/// What another login is in the way of, or what waits for its turn, is looked at again after this time,
/// and in the next session.
pub(super) const PUT_OFF: Duration = Duration::from_secs(60);

impl Owed {
    /// When the next is due.
    pub(in crate::orders) fn poll_timeout(&self) -> Option<Instant> {
        let left = self.left.values().map(|left| left.due);
        left.chain(self.ordered.values().copied()).min()
    }

    /// A session begins: perhaps it is the one in which what was put off can be done.
    pub(in crate::orders) fn try_again(&mut self, now: Instant) {
        for owner in std::mem::take(&mut self.put_off) {
            if let Some(left) = self.left.get_mut(&owner) {
                left.due = left.due.min(now);
            }
            if let Some(due) = self.ordered.get_mut(&owner) {
                *due = (*due).min(now);
            }
        }
    }
}

impl Desk {
    /// What was owed before the broker started, and to whom it may be owed now: of nobody it is
    /// known yet whether it still runs.
    pub(in crate::orders) fn resume_owed(&mut self, now: Instant) {
        self.resume_ordered(now);
        for owner in &self.facts.owed_cancels {
            self.owed.left.insert(owner.clone(), Left { since: now, due: now });
        }
        self.fit_owed(now);
    }

    /// The principals may be others than before: who does not want its orders cancelled any more is
    /// forgiven, who has another grace has it from when it left, and for those who are not there and
    /// had not wanted it before it begins now.
    pub(in crate::orders) fn fit_owed(&mut self, now: Instant) {
        for owner in self.owed.left.keys().cloned().collect::<Vec<_>>() {
            match self.grace_of(&owner) {
                Some(grace) => {
                    let fit = |left: &mut Left| left.due = left.since + grace;
                    self.owed.left.entry(owner).and_modify(fit);
                }
                None => {
                    self.forgive(&owner);
                    let text = format!(
                        "open orders of {owner}, which has left, stay open: there is no \
                         clients.{owner}.cancel_on_disconnect now"
                    );
                    self.note(Severity::Info, text);
                }
            }
        }
        let wanting = self.principals.iter().filter(|(_, one)| one.cancel_on_disconnect.is_some());
        let is_away = |owner: &&String| self.instances.get(*owner).is_none_or(BTreeSet::is_empty);
        let lives = |owner: &&String| self.book.live_count(owner) > 0;
        let owing = |owner: &&String| self.owed.left.contains_key(*owner);
        let new: Vec<String> = wanting
            .map(|(owner, _)| owner)
            .filter(|owner| is_away(owner) && lives(owner) && !owing(owner))
            .cloned()
            .collect();
        for owner in new {
            self.owe_left(&owner, now);
        }
    }

    fn grace_of(&self, owner: &str) -> Option<Duration> {
        self.principals.get(owner).and_then(|one| one.cancel_on_disconnect)
    }

    /// An instance of this principal connected.
    pub(crate) fn on_joined(&mut self, principal: &str, client: ClientId) {
        self.instances.entry(principal.to_owned()).or_default().insert(client);
        self.forgive(principal);
    }

    fn forgive(&mut self, owner: &str) {
        if self.owed.left.remove(owner).is_some() {
            self.facts.owed_cancels.retain(|one| one != owner);
            self.save_facts();
        }
    }

    /// It left.
    pub(crate) fn on_parted(&mut self, principal: &str, client: ClientId, now: Instant) {
        let Some(instances) = self.instances.get_mut(principal) else {
            return;
        };
        instances.remove(&client);
        if instances.is_empty() && self.active && self.book.live_count(principal) > 0 {
            self.owe_left(principal, now);
        }
    }

    /// A cancel that was owed has not left after all.
    pub(in crate::orders) fn owe_again(&mut self, departure: &Departure, now: Instant) {
        let (owner, audit) = (&departure.audit.owner, &departure.audit);
        if audit.reason == LEFT {
            let is_away = self.instances.get(owner).is_none_or(BTreeSet::is_empty);
            if is_away && !self.owed.left.contains_key(owner) {
                self.owe_left(owner, now);
            }
        } else if let Some(due) = self.owed.ordered.get_mut(owner) {
            *due = now;
        }
    }

    /// Of a principal that wants it.
    fn owe_left(&mut self, owner: &str, since: Instant) {
        let Some(grace) = self.grace_of(owner) else {
            return;
        };
        self.owed.left.insert(owner.to_owned(), Left { since, due: since + grace });
        if !self.facts.owed_cancels.iter().any(|one| one == owner) {
            self.facts.owed_cancels.push(owner.to_owned());
            self.save_facts();
        }
    }

    pub(in crate::orders) fn cancel_what_is_owed(&mut self, now: Instant) {
        if !self.may_cancel() {
            return;
        }
        let left = self.owed.left.iter().filter(|(_, left)| left.due <= now);
        for owner in left.map(|(who, _)| who.clone()).collect::<Vec<_>>() {
            self.cancel_owed(&owner, &the_broker(), LEFT, |_| true, now);
            if self.is_put_off(&owner) {
                self.owed.left.entry(owner).and_modify(|left| left.due = now + PUT_OFF);
                continue;
            }
            self.forgive(&owner);
        }
        self.cancel_what_is_ordered(now);
    }

    /// Another login is in the way of some of what is owed.
    pub(super) fn is_put_off(&mut self, owner: &str) -> bool {
        let put_off = self.any_elsewhere(owner);
        if put_off && self.owed.put_off.insert(owner.to_owned()) {
            let text = format!(
                "open orders of {owner} are to be cancelled, and another login answers: it is done \
                 once their own is back"
            );
            self.note(Severity::Warning, text);
        }
        put_off
    }

    /// Has this owner an order that this session's login does not have?
    pub(in crate::orders) fn any_elsewhere(&self, owner: &str) -> bool {
        self.book.live_of(owner).into_iter().any(|id| self.is_elsewhere(id))
    }

    pub(super) fn cancel_owed(
        &mut self,
        owner: &str,
        by: &Caller,
        reason: &str,
        meant: impl Fn(&OrderRecord) -> bool,
        now: Instant,
    ) {
        let all = self.cancel_each_of(owner, (None, by), reason, meant, now);
        let (count, by) = (all.orders.len(), &by.name);
        if count > 0 {
            let text = format!("{count} open orders of {owner} are cancelled by {by}: {reason}");
            self.note(Severity::Warning, text);
        }
        for (id, error) in all.spared {
            // Of those of another login it was said, and they are cancelled later.
            if !self.is_elsewhere(id) {
                let text =
                    format!("an order of {owner} is not cancelled by {by}: {}", error.message);
                self.note(Severity::Warning, text);
            }
        }
    }
}
