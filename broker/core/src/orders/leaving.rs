//! From the queue to the link: what waits for its turn, is written down, and leaves; or does not.
//!
//! The number of the link frame and the intent are one row, on disk before the frame leaves. A
//! frame whose row cannot be written is withheld. Cancels do not wait for a disk that fails.
//!
//! Read on in `leaving/departures.rs` (what waits) and `leaving/pace.rs` (how much a client has sent).

pub(super) mod departures;
pub(super) mod pace;

use std::time::{Duration, Instant};

use ibouncer_proto::api::v1::{
    CancelOrderResponse, ChangeKind, ChangeState, ExerciseOptionsResponse, ModifyOrderResponse,
    OrderEventKind, OrderState as State, PlaceOrderResponse, PlaceOrdersResponse,
};

use super::asked::place::sha256;
use super::journal::{Audit, Sending};
use super::{Desk, Doing};
use crate::error::{self, Error};
use crate::ids::CallId;
use departures::{Ask, Departure, What};

/// How long Gateway may take over a preview.
pub(in crate::orders) const PREVIEW: Duration = Duration::from_secs(20);

/// A frame that got its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbered {
    /// It may leave once this is on disk.
    pub(crate) wait_for: u64,
    /// It leaves also if that fails.
    pub(crate) regardless: bool,
    /// TWS messages in it.
    pub(crate) messages: usize,
}

impl Desk {
    /// A frame of ours has its turn, and will leave with this number.
    pub(crate) fn on_numbered(&mut self, key: i32, number: u64, now: Instant) -> Option<Numbered> {
        let sending = Sending { epoch: self.epoch?, number };
        let departure = self.departures.get_mut(key)?;
        departure.numbered = true;
        let messages = departure.messages;
        let (what, orders) = (departure.what, departure.orders.clone());
        for id in &orders {
            match what {
                What::Place | What::Exercise => self.place_leaves(*id, sending, now),
                What::Modify | What::Cancel => self.change_leaves(*id, sending, now),
                What::Preview => {
                    if let Some(preview) = self.previews.get_mut(id) {
                        preview.deadline = now + PREVIEW;
                    }
                    // Gateway counts it, and no order remains that would say so.
                    self.note_used(*id);
                }
                What::CancelEvery => {}
            }
        }
        Some(Numbered {
            wait_for: self.telling.wait_for(),
            regardless: matches!(what, What::Cancel | What::CancelEvery),
            messages,
        })
    }

    fn place_leaves(&mut self, id: i32, sending: Sending, now: Instant) {
        let Some(order) = self.book.get_mut(id) else {
            return;
        };
        order.on_leaving(sending);
        if order.transition(State::Sent, "it leaves for Gateway") == Ok(true) {
            self.tell(id, OrderEventKind::State, now);
        }
    }

    fn change_leaves(&mut self, id: i32, sending: Sending, now: Instant) {
        let due = now + self.settings.answer_deadline;
        let Some(order) = self.book.get_mut(id) else {
            return;
        };
        if let Some(change) = order.record.change.as_mut() {
            change.sending = Some(sending);
            if change.kind() == ChangeKind::Modify {
                change.before.clone_from(&order.record.told_order);
            }
        }
        if order.move_change(ChangeState::Sent, "", 0) {
            self.answers_due.insert(id, due);
            self.tell(id, OrderEventKind::Change, now);
        }
    }

    /// It has left.
    pub(crate) fn on_left(&mut self, key: i32) {
        let Some(departure) = self.departures.remove(key) else {
            return;
        };
        for (call, ask) in &departure.waiters {
            self.answer_left(*call, *ask, &departure.orders);
        }
        if departure.held {
            // Only a list shows it; before, it could not be changed.
            self.reconciler.begin();
        }
        let audit = Audit { result: "sent", ..departure.audit };
        self.write_down(self.lines_of(&audit, &departure.orders));
        if departure.ordered {
            self.on_ordered_left(&audit.owner);
        }
    }

    /// It has its number and does not leave after all: never.
    pub(crate) fn on_withheld(&mut self, key: i32, error: &Error, now: Instant) {
        let Some(departure) = self.departures.remove(key) else {
            return;
        };
        self.not_sent(departure, error, now);
    }

    /// Nothing of what waits leaves: the session is gone.
    pub(super) fn withdraw_all(&mut self, error: &Error, now: Instant) {
        while let Some(departure) = self.departures.pop_first() {
            self.not_sent(departure, error, now);
        }
    }

    /// The broker is ending: what has not had its turn by now never leaves, cancels included, and the
    /// callers hear that. They are better made again at the next broker than lost with this one.
    pub(crate) fn on_stopping(&mut self, now: Instant) {
        self.brakes.stopping = true;
        let error = error::not_sent(error::stopping());
        let waiting = self.departures.iter().filter(|(_, one)| !one.numbered);
        for key in waiting.map(|(key, _)| key).collect::<Vec<_>>() {
            self.take_back(key, &error, now);
        }
        for one in self.waiting.take_out(|_| true) {
            self.refuse(&one.caller, &one.request, &error);
            self.reply(one.call, Err(error.clone()));
        }
    }

    /// Takes a frame out of the queue. Only what has no number can be.
    pub(super) fn take_back(&mut self, key: i32, error: &Error, now: Instant) -> bool {
        match self.departures.remove(key) {
            Some(departure) if !departure.numbered => {
                self.doings.push_back(Doing::TakeBack(key));
                self.not_sent(departure, error, now);
                true
            }
            Some(departure) => {
                self.departures.insert(key, departure);
                false
            }
            None => false,
        }
    }

    fn not_sent(&mut self, departure: Departure, error: &Error, now: Instant) {
        let error = error::not_sent(error.clone());
        // Of what was not written down nothing remains after this.
        let reason = error.message.clone();
        let audit = Audit { result: "not-sent", reason, ..departure.audit.clone() };
        let lines = self.lines_of(&audit, &departure.orders);
        for id in &departure.orders {
            match departure.what {
                What::Place | What::Exercise => self.place_not_sent(*id, &error.message, now),
                What::Modify | What::Cancel => {
                    self.answers_due.remove(id);
                    if let Some(order) = self.book.get_mut(*id)
                        && order.move_change(ChangeState::NotSent, &error.message, 0)
                    {
                        self.tell(*id, OrderEventKind::Change, now);
                    }
                }
                What::Preview => {
                    if let Some(preview) = self.previews.remove(id) {
                        self.reply(preview.call, Err(error.clone()));
                    }
                }
                What::CancelEvery => {}
            }
        }
        if departure.ordered {
            self.owe_again(&departure, now);
        }
        for (call, _) in departure.waiters {
            self.reply(call, Err(error.clone()));
        }
        self.write_down(lines);
    }

    /// What is written down of a frame: of a group each order has a line, and so has what Gateway
    /// attaches to one.
    fn lines_of(&self, audit: &Audit, orders: &[i32]) -> Vec<Audit> {
        let others = orders.iter().skip(1).filter_map(|id| self.book.get(*id));
        let others = others.map(|order| Audit {
            client_order_id: order.record.client_order_id.clone(),
            order_id: order.record.order_id,
            perm_id: order.record.perm_id,
            body_sha256: sha256(&order.record.request),
            ..audit.clone()
        });
        std::iter::once(audit.clone()).chain(others).collect()
    }

    fn write_down(&mut self, lines: Vec<Audit>) {
        self.doings.extend(lines.into_iter().map(|line| Doing::Audit(Box::new(line))));
    }

    fn place_not_sent(&mut self, id: i32, because: &str, now: Instant) {
        let Some(order) = self.book.get_mut(id) else {
            return;
        };
        // Of what nobody wrote down and nobody cancelled, nothing remains: it may be placed anew.
        if !order.journaled && order.record.change.is_none() {
            self.book.forget(id);
            return;
        }
        order.move_change(ChangeState::Done, "the order has not left", 0);
        if order.transition(State::NotSent, because) == Ok(true) {
            self.tell(id, OrderEventKind::State, now);
        }
    }

    /// Nobody waits for this call any more: what waits for its turn on its behalf is taken back,
    /// but for cancels.
    pub(crate) fn on_call_dropped(&mut self, call: CallId, now: Instant) {
        self.waiting.take_out(|one| one.call == call);
        self.telling.drop_call(call);
        self.previews.retain(|_, preview| preview.call != call);
        let found = self.departures.iter_mut().find_map(|(key, departure)| {
            let before = departure.waiters.len();
            departure.waiters.retain(|(waits, _)| *waits != call);
            let alone = before > departure.waiters.len() && departure.waiters.is_empty();
            (alone && departure.what != What::Cancel).then_some(key)
        });
        if let Some(key) = found {
            let error = error::order_later("WITHDRAWN", "the caller went away before it left");
            self.take_back(key, &error, now);
        }
    }

    pub(super) fn answer_left(&mut self, call: CallId, ask: Ask, orders: &[i32]) {
        let shown = orders.iter().filter_map(|id| self.book.get(*id));
        let shown: Vec<_> = shown.map(|order| self.shown(&order.record)).collect();
        let first = shown.first().cloned();
        match ask {
            Ask::Place { again: already_placed } => {
                let response = PlaceOrderResponse { already_placed, ..Default::default() };
                self.answer_orders(call, &response, first);
            }
            Ask::Group { again: already_placed } => {
                let response = PlaceOrdersResponse { already_placed, ..Default::default() };
                self.answer_orders(call, &response, shown);
            }
            Ask::Exercise { again: already_placed } => {
                let response = ExerciseOptionsResponse { already_placed, ..Default::default() };
                self.answer_orders(call, &response, first);
            }
            Ask::Modify => self.answer_orders(call, &ModifyOrderResponse::default(), first),
            Ask::Cancel => self.answer_orders(call, &CancelOrderResponse::default(), first),
        }
    }
}
