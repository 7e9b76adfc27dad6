//! What a session's end makes uncertain, and what its worker's numbers prove.
//!
//! What the worker did not take was never sent. That counts only in the very session in which the
//! numbers were given. Its epoch alone does not tell: epochs stand in the ledger, and begin anew where
//! that is lost. So the journal keeps the epoch and the name of the session in which it was READY last,
//! and epochs go on above all that it knows.

use std::time::Instant;

use ibouncer_proto::api::v1::{ChangeState, OrderEventKind, OrderState as State};

use super::Arrival;
use crate::orders::Desk;
use crate::orders::journal::{Sending, Session, Write};

/// Why a session that was taken over says nothing of what left in another one.
pub(super) const ELSEWHERE: &str = "it left in an earlier session, and this one has not told";

impl Desk {
    /// The newest session of which the journal knows.
    pub(crate) fn newest_epoch(&self) -> u64 {
        let of_orders = self.book.iter().filter_map(|order| order.record.sending.as_ref());
        let changes = self.book.iter().filter_map(|order| order.record.change.as_ref());
        let sendings = of_orders.chain(changes.filter_map(|change| change.sending.as_ref()));
        let session = self.facts.session.as_ref().map_or(0, |session| session.epoch);
        sendings.map(|one| one.epoch).fold(session, u64::max)
    }

    /// The broker has begun, and no session is left from before.
    pub(crate) fn on_alone(&mut self, now: Instant) {
        if self.epoch.is_none() {
            self.lose("the session before ended with the broker, and no other one has told", now);
        }
    }

    /// Is it the session in which the journal was READY last?
    pub(super) fn is_continued(&self, arrival: Arrival<'_>) -> bool {
        let known = self.facts.session.as_ref();
        known.is_some_and(|one| one.name != 0 && *one == session_of(arrival))
    }

    /// The journal is READY in this session.
    pub(super) fn enter(&mut self, arrival: Arrival<'_>) {
        let session = session_of(arrival);
        if self.facts.session.as_ref() == Some(&session) {
            return;
        }
        self.forget_numbers_of(arrival.epoch);
        self.facts.session = Some(session);
        self.save_facts();
    }

    /// A session of this number was another one: its numbers say nothing in this one.
    fn forget_numbers_of(&mut self, epoch: u64) {
        let of_it = |sending: &Option<Sending>| sending.is_some_and(|one| one.epoch == epoch);
        let ids: Vec<i32> = self.book.iter().map(|order| order.record.order_id).collect();
        for id in ids {
            let Some(order) = self.book.get_mut(id) else {
                continue;
            };
            let change = order.record.change.as_mut().map(|change| &mut change.sending);
            let mut forgotten = false;
            for sending in [Some(&mut order.record.sending), change].into_iter().flatten() {
                if of_it(sending) {
                    // It has left all the same, or may have.
                    *sending = Some(Sending::default());
                    forgotten = true;
                }
            }
            if forgotten {
                let record = Box::new(order.record.clone());
                self.telling.write(Write::Order(record));
            }
        }
    }

    /// Everything that lives is UNKNOWN until Gateway tells of it.
    pub(super) fn lose(&mut self, because: &str, now: Instant) {
        for id in self.book.live() {
            let Some(order) = self.book.get_mut(id) else {
                continue;
            };
            if !order.has_left() {
                continue;
            }
            let changed = order.move_change(ChangeState::Unknown, because, 0);
            if order.transition(State::Unknown, because) == Ok(true) {
                self.tell(id, OrderEventKind::State, now);
            } else if changed {
                self.tell(id, OrderEventKind::Change, now);
            }
        }
    }

    /// What the worker has not taken was never sent: that is proof.
    pub(super) fn prove(&mut self, epoch: u64, through: u64, now: Instant) {
        let because = "the link's numbers prove that it never left";
        for id in self.book.live() {
            let Some(order) = self.book.get_mut(id) else {
                continue;
            };
            let unsent = |sending: &Option<Sending>| {
                sending.as_ref().is_some_and(|one| one.epoch == epoch && one.number > through)
            };
            let never = unsent(&order.record.sending)
                && matches!(order.state(), State::Sent | State::Unknown);
            let change_never = order.pending().is_some_and(|change| unsent(&change.sending));
            let elsewhere =
                |sending: &Option<Sending>| sending.as_ref().is_some_and(|one| one.epoch != epoch);
            let lost = elsewhere(&order.record.sending) && order.state() == State::Sent;
            let change = order.pending().filter(|change| change.state() == ChangeState::Sent);
            let change_lost = change.is_some_and(|change| elsewhere(&change.sending));
            let overtaken = order.pending().is_none() && order.overtaken_in(epoch).is_some();
            let change_taken = change.is_some() && !change_lost && !change_never;
            if never && order.transition(State::NotSent, because) == Ok(true) {
                order.move_change(ChangeState::NotSent, because, 0);
                self.tell(id, OrderEventKind::State, now);
            } else if change_never && order.move_change(ChangeState::NotSent, because, 0) {
                self.answers_due.remove(&id);
                self.tell(id, OrderEventKind::Change, now);
            } else if lost && order.transition(State::Unknown, ELSEWHERE) == Ok(true) {
                order.move_change(ChangeState::Unknown, ELSEWHERE, 0);
                self.tell(id, OrderEventKind::State, now);
            } else if change_lost && order.move_change(ChangeState::Unknown, ELSEWHERE, 0) {
                self.tell(id, OrderEventKind::Change, now);
            } else if change_taken || overtaken {
                // The broker that awaited the answer may be gone.
                self.answers_due.entry(id).or_insert(now + self.settings.answer_deadline);
            }
        }
    }
}

fn session_of(arrival: Arrival<'_>) -> Session {
    Session { epoch: arrival.epoch, name: arrival.name }
}
