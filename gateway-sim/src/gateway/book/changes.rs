//! What clients ask of orders: to be placed, modified, cancelled.
//!
//! A request of an id that is known modifies that order, whatever the client believed: so it is with
//! an id that a rolled-back counter gave out again.

use super::super::answer::{Answer, Refusal};
use super::groups::attached_ids;
use super::{Audience, Desk, Frame, Kind, OrderBook, Queued, Status, Wish, wire};
use crate::ledger::OrderChange;
use crate::seeds::SeedOwner;

/// What the error of a cancelled order begins with.
const CANCELLED: &str = "Order Canceled - reason:";

impl OrderBook {
    /// Places an order, or modifies the one that has the id.
    pub(in super::super) fn place(&mut self, wish: Wish, desk: &mut Desk<'_>) -> Answer {
        let (client_id, order_id) = (self.client_of(wish.owner), wish.order_id);
        match self.names.get(&(client_id, order_id)).copied().filter(|_| order_id > 0) {
            // What a change would do is asked and answered, and nothing is changed.
            Some(_) if wish.order.what_if() => {
                self.answer_what_if(wish);
                Ok(())
            }
            Some(perm_id) => self.modify(perm_id, wish, desk),
            None => self.place_new(wish, desk),
        }
    }

    fn answer_what_if(&mut self, wish: Wish) {
        let price = match wish.kind.has_limit() {
            true => wish.order.lmt_price(),
            false => self.quote_of(&wish.traded).map_or(0.0, |quote| quote.ask),
        };
        let answer = wire::what_if(&wish, self.client_of(wish.owner), price);
        self.news.push_back((Audience::Owner(wish.owner), Frame::WhatIf(Box::new(answer))));
    }

    pub(super) fn place_new(&mut self, wish: Wish, desk: &mut Desk<'_>) -> Answer {
        let client_id = self.client_of(wish.owner);
        if wish.owner != SeedOwner::Manual && wish.order_id < self.next_order_id(client_id) {
            return Err(Refusal::duplicate_order());
        }
        let parent = match wish.order.parent_id() {
            0 => None,
            parent => Some(self.parent_of(client_id, parent)?),
        };
        if wish.order.what_if() {
            self.use_id(client_id, wish.order_id);
            self.answer_what_if(wish);
            return Ok(());
        }
        self.admit(&wish)?;
        if let Some(attached) = &wish.attached {
            let next = self.next_order_id(client_id).max(wish.order_id + 1);
            let ids: Vec<_> = attached_ids(attached).map(|(order_id, _)| order_id).collect();
            let valid = next..i32::MAX;
            if ids.iter().any(|order_id| !valid.contains(order_id))
                || (ids.len() == 2 && ids[0] == ids[1])
            {
                return Err(Refusal::duplicate_order());
            }
        }
        let transmit = wish.order.transmit();
        let perm_id = self.enter(wish, parent, 1);
        if transmit {
            self.transmit(perm_id, desk);
        }
        Ok(())
    }

    pub(super) fn modify(&mut self, perm_id: i64, wish: Wish, desk: &mut Desk<'_>) -> Answer {
        let Some(entry) = self.entries.get_mut(&perm_id) else {
            return Err(Refusal::lost_order(wish.order_id));
        };
        entry.places += 1;
        if entry.status() == Status::Filled {
            return Err(Refusal::filled_order());
        }
        match entry.status() {
            Status::Vanished => return Err(Refusal::lost_order(wish.order_id)),
            status if !status.is_alive() => return Err(Refusal::ended_order()),
            Status::PendingCancel => return Err(Refusal::busy_order()),
            _ => {}
        }
        let same = entry.traded == wish.traded
            && entry.buy == wish.buy
            && entry.account == wish.order.account();
        if !same || entry.kind == Kind::Exercise {
            return Err(Refusal::other_order());
        }
        if wish.quantity <= entry.filled {
            return Err(Refusal::invalid("The new quantity is not more than what is filled"));
        }
        if entry.status() == Status::Untransmitted || self.linked {
            self.apply(perm_id, wish, desk);
        } else {
            self.queue.push_back(Queued::Modify(perm_id, Box::new(wish)));
        }
        Ok(())
    }

    /// Does what a modify asks for.
    pub(super) fn apply(&mut self, perm_id: i64, wish: Wish, desk: &mut Desk<'_>) {
        let Some(entry) = self.entries.get_mut(&perm_id).filter(|entry| entry.is_alive()) else {
            return;
        };
        let kept = entry.status() == Status::Untransmitted;
        if let Some(refusal) = wish.rejection.clone().filter(|_| !kept) {
            // IB says no to the change: the order stays as it was.
            let order_id = entry.order_id;
            self.tell(perm_id, Frame::Error(order_id, refusal.code, refusal.text));
            return;
        }
        if wish.quantity <= entry.filled {
            // It was filled while the change waited for the link.
            let (order_id, refusal) = (entry.order_id, Refusal::filled_order());
            self.tell(perm_id, Frame::Error(order_id, refusal.code, refusal.text));
            return;
        }
        entry.stuck &= !entry.seeded;
        let group = std::mem::take(&mut entry.order.oca_group);
        let transmit = wish.order.transmit();
        entry.change(wish.order, wish.kind, wish.quantity);
        (entry.rejection, entry.warning) = (wish.rejection, wish.warning);
        if entry.order.oca_group().is_empty() {
            entry.order.oca_group = group;
        }
        self.changed(perm_id, OrderChange::Modified);
        if kept {
            if transmit {
                self.transmit(perm_id, desk);
            }
            return;
        }
        self.tell_order(perm_id);
        if self.say_first_words(perm_id, desk) {
            return;
        }
        self.advance(perm_id, desk);
    }

    /// A client cancels an order of its own.
    pub(in super::super) fn cancel(
        &mut self,
        owner: SeedOwner,
        order_id: i32,
        desk: &mut Desk<'_>,
    ) -> Answer {
        let found = self.names.get(&(self.client_of(owner), order_id)).copied();
        let Some(entry) = found.and_then(|perm_id| self.entries.get_mut(&perm_id)) else {
            return Err(Refusal::no_such_order(order_id));
        };
        entry.cancels += 1;
        let perm_id = entry.perm_id;
        match entry.status() {
            Status::Vanished => return Err(Refusal::lost_order(order_id)),
            status if !status.is_alive() => {
                return Err(Refusal::not_cancellable(order_id, status.name()));
            }
            Status::PendingCancel => return Err(Refusal::cannot_cancel_now(perm_id)),
            _ => {}
        }
        if let Some(code) = self.script.cancel_refusal() {
            return Err(match code {
                10147 => Refusal::no_such_order(order_id),
                10148 => Refusal::not_cancellable(order_id, "Submitted"),
                161 => Refusal::cannot_cancel_now(perm_id),
                code => Refusal::new(code, "The cancel is refused"),
            });
        }
        self.ask_to_cancel(perm_id, desk);
        Ok(())
    }

    /// Cancels everything, whose ever it is.
    pub(in super::super) fn cancel_all(&mut self, desk: &mut Desk<'_>) {
        for perm_id in self.alive.iter().collect::<Vec<_>>() {
            if let Some(entry) = self.entries.get_mut(&perm_id).filter(|entry| entry.is_alive()) {
                entry.cancels += 1;
                self.ask_to_cancel(perm_id, desk);
            }
        }
    }

    pub(super) fn ask_to_cancel(&mut self, perm_id: i64, desk: &mut Desk<'_>) {
        let Some(entry) = self.entries.get_mut(&perm_id) else {
            return;
        };
        if entry.status() == Status::Untransmitted {
            self.end_cancelled(perm_id, "", desk);
            return;
        }
        if entry.transition(Status::PendingCancel, "a cancel came") {
            self.tell_local_status(perm_id);
        }
        match self.linked {
            true => self.end_cancelled(perm_id, "", desk),
            false => self.queue.push_back(Queued::Cancel(perm_id)),
        }
    }

    /// IB ends an order, and with it those that depend on it.
    pub(super) fn end_cancelled(&mut self, perm_id: i64, reason: &str, desk: &mut Desk<'_>) {
        let Some(entry) = self.entries.get_mut(&perm_id) else {
            return;
        };
        if !entry.may(Status::Cancelled) || !entry.transition(Status::Cancelled, "it is cancelled")
        {
            return;
        }
        entry.ended = Some(desk.unix);
        entry.next_part = None;
        let order_id = entry.order_id;
        self.changed(perm_id, OrderChange::Cancelled);
        self.tell_status(perm_id);
        let text = format!("{CANCELLED}{reason}");
        self.tell(perm_id, Frame::Error(order_id, 202, text));
        self.after_cancel(perm_id, desk);
    }
}
