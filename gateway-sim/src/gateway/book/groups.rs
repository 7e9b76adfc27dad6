//! Orders that belong together: a parent and its children, and OCA groups.
//!
//! Children are kept by IB until their parent is filled, and end with it. Gateway keeps what is not
//! to be transmitted; the last member of a family that is takes the others along. The children of
//! one parent are an OCA group of its permanent id. OCA groups are account-wide, whoever placed
//! the orders.

use std::collections::BTreeSet;

use ibouncer_proto::tws::v1::{AttachedOrders, Order};

use super::super::answer::{Answer, Refusal};
use super::{Desk, Entry, Frame, Kind, NewEntry, OrderBook, Quantity, Queued, Status, Wish};
use crate::ledger::OrderChange;
use crate::seeds::SeedOwner;

/// Cancels the others at the first fill; other types reduce them.
const CANCEL_WITH_BLOCK: i32 = 1;
const REDUCE: i32 = 3;

/// How far from its parent's price an attached order is.
const ATTACHED_DISTANCE: f64 = 0.02;

impl OrderBook {
    /// The parent that a child names.
    pub(super) fn parent_of(&self, client_id: i32, order_id: i32) -> Result<i64, Refusal> {
        let found = self.names.get(&(client_id, order_id));
        let parent = found.and_then(|perm_id| self.entries.get(perm_id));
        match parent.filter(|parent| parent.is_alive() || parent.status() == Status::Filled) {
            Some(parent) => Ok(parent.perm_id),
            None => Err(Refusal::missing_parent()),
        }
    }

    /// Refuses what is too much of one contract, side and account.
    pub(super) fn admit(&self, wish: &Wish) -> Answer {
        let active = self.alive.count(&wish.traded, wish.buy, wish.order.account());
        match active >= self.settings.most_active {
            true => Err(Refusal::too_many_orders(self.settings.most_active)),
            false => Ok(()),
        }
    }

    /// Makes an order of a wish: it has a permanent id from now on, and is not transmitted.
    /// `frames` is how many brought it: none, if it is attached to another.
    pub(super) fn enter(&mut self, mut wish: Wish, parent: Option<i64>, frames: u32) -> i64 {
        let perm_id = self.next_perm_id;
        self.next_perm_id += 1;
        // A hedge is no alternative to what closes its parent.
        if let Some(parent) = parent
            && wish.order.oca_group().is_empty()
            && wish.order.hedge_type().is_empty()
        {
            wish.order.oca_group = Some(parent.to_string());
            wish.order.oca_type = Some(REDUCE);
        }
        let attached = wish.attached.take();
        let Wish { owner, order_id, traded, contract, order, kind, buy, quantity, .. } = wish;
        let new = NewEntry {
            perm_id,
            owner,
            order_id,
            traded,
            contract,
            order,
            kind,
            buy,
            quantity,
            parent,
        };
        let mut entry = Entry::new(new, Status::Untransmitted);
        entry.places = frames;
        entry.rejection = wish.rejection;
        entry.warning = wish.warning;
        self.script.mark(&mut entry);
        if self.script.take_repeat() {
            self.script.repeats.insert(perm_id);
        }
        let copy = attached.map(|attached| (attached, entry.clone()));
        self.keep(entry);
        self.name(owner, order_id, perm_id);
        self.changed(perm_id, OrderChange::Placed);
        if let Some((attached, parent)) = copy {
            for (order_id, stop) in attached_ids(&attached) {
                let child = self.attached(&parent, order_id, stop);
                self.enter(child, Some(perm_id), 0);
            }
        }
        perm_id
    }

    /// A stop loss or a profit taker that came with its parent.
    fn attached(&self, parent: &Entry, order_id: i32, stop: bool) -> Wish {
        let quote = self.quote_of(&parent.traded);
        let touch = quote.map(|quote| if parent.buy { quote.ask } else { quote.bid });
        let base = match parent.kind.has_limit() {
            true => parent.order.lmt_price(),
            false => touch.unwrap_or_default(),
        };
        let up = parent.buy != stop;
        // The price of a combination may be below 0.
        let away = base.abs() * ATTACHED_DISTANCE;
        let step = quote.map_or(0.01, |quote| quote.step);
        let price = on_step(if up { base + away } else { base - away }, step);
        let order = Order {
            action: Some(if parent.buy { "SELL" } else { "BUY" }.to_owned()),
            order_type: Some(if stop { "STP" } else { "LMT" }.to_owned()),
            lmt_price: (!stop).then_some(price),
            aux_price: stop.then_some(price),
            parent_id: Some(parent.order_id),
            tif: parent.order.tif.clone(),
            account: Some(parent.account.clone()),
            order_ref: parent.order.order_ref.clone(),
            transmit: parent.order.transmit,
            ..Default::default()
        };
        Wish {
            owner: parent.owner,
            order_id,
            traded: parent.traded.clone(),
            contract: parent.contract.clone(),
            order,
            kind: if stop { Kind::Stop } else { Kind::Limit },
            buy: !parent.buy,
            quantity: parent.quantity,
            attached: None,
            rejection: None,
            equity: 0.0,
            warning: None,
        }
    }

    /// Sends an order to IB, and with a child all of its family that was kept.
    pub(super) fn transmit(&mut self, perm_id: i64, desk: &mut Desk<'_>) {
        let parent = self.entries.get(&perm_id).and_then(|entry| entry.parent);
        // By permanent id: the parent is older than its children.
        let mut family = BTreeSet::from([perm_id]);
        if let Some(parent) = parent {
            family.insert(parent);
            family.extend(self.children(parent));
        }
        let attached =
            |perm_id: &i64| self.entries.get(perm_id).is_some_and(|entry| entry.order.transmit());
        family.extend(self.children(perm_id).filter(attached));
        for perm_id in family {
            let entry = self.entries.get(&perm_id);
            if entry.is_some_and(|entry| entry.status() == Status::Untransmitted) {
                self.submit(perm_id, desk);
            }
        }
    }

    /// An order goes to IB, or into the queue for it.
    pub(super) fn submit(&mut self, perm_id: i64, desk: &mut Desk<'_>) {
        let linked = self.linked;
        let Some(entry) = self.entries.get_mut(&perm_id) else {
            return;
        };
        match entry.status() {
            Status::Untransmitted if !linked => {
                entry.transition(Status::PendingSubmit, "there is no link to IB");
                self.linked = true;
                self.tell_order(perm_id);
                self.linked = false;
                self.queue.push_back(Queued::Submit(perm_id));
                return;
            }
            Status::Untransmitted | Status::PendingSubmit => {
                entry.transition(Status::PreSubmitted, "it was transmitted");
            }
            // It was cancelled while it waited.
            _ => return,
        }
        self.tell_order(perm_id);
        if self.say_first_words(perm_id, desk) {
            return;
        }
        let part = self.entries.get_mut(&perm_id).and_then(|entry| {
            let part = entry.first_part.take()?;
            entry.stuck = true;
            Some(part)
        });
        self.advance(perm_id, desk);
        if let Some(part) = part.filter(|part| *part > Quantity::ZERO) {
            self.fill(perm_id, part, None, desk);
        }
    }

    /// Says the warning, and the rejection; true if that is the end of it.
    pub(super) fn say_first_words(&mut self, perm_id: i64, desk: &mut Desk<'_>) -> bool {
        let Some(entry) = self.entries.get_mut(&perm_id) else {
            return true;
        };
        let (order_id, rejection) = (entry.order_id, entry.rejection.take());
        if let Some((code, text)) = entry.warning.take() {
            self.tell(perm_id, Frame::Error(order_id, code, text));
        }
        match rejection {
            Some(refusal) => {
                self.reject(perm_id, refusal, desk);
                true
            }
            None => false,
        }
    }

    /// IB rejects an order that it has.
    pub(super) fn reject(&mut self, perm_id: i64, refusal: Refusal, desk: &mut Desk<'_>) {
        let Some(entry) = self.entries.get_mut(&perm_id) else {
            return;
        };
        if !entry.may(Status::Rejected) || !entry.transition(Status::Rejected, "IB rejects it") {
            return;
        }
        entry.ended = Some(desk.unix);
        entry.reject_code = Some(refusal.code);
        let order_id = entry.order_id;
        self.changed(perm_id, OrderChange::Rejected);
        self.tell_status(perm_id);
        self.tell(perm_id, Frame::Error(order_id, refusal.code, refusal.text));
        self.after_cancel(perm_id, desk);
    }

    /// Whether a child must wait: its parent is not filled.
    pub(super) fn waits_for_parent(&self, entry: &Entry) -> bool {
        let parent = entry.parent.and_then(|parent| self.entries.get(&parent));
        parent.is_some_and(|parent| parent.status() != Status::Filled)
    }

    /// Children end with their parent, and the parent with its child, if the child says so.
    pub(super) fn after_cancel(&mut self, perm_id: i64, desk: &mut Desk<'_>) {
        let mut with: Vec<_> = self.children(perm_id).collect();
        let parent = self.entries.get(&perm_id).filter(|entry| entry.order.auto_cancel_parent());
        with.extend(parent.and_then(|entry| entry.parent));
        for other in with {
            if self.entries.get(&other).is_some_and(Entry::is_alive) {
                self.end_cancelled(other, "", desk);
            }
        }
    }

    /// A fill reduces or ends the rest of its OCA group, and wakes the children.
    pub(super) fn after_fill(
        &mut self,
        perm_id: i64,
        part: Quantity,
        before: Quantity,
        desk: &mut Desk<'_>,
    ) {
        let Some(entry) = self.entries.get(&perm_id) else {
            return;
        };
        let (complete, group) = (part >= before, entry.order.oca_group().to_owned());
        let at_once = complete || entry.order.oca_type() == CANCEL_WITH_BLOCK;
        if !group.is_empty() {
            let other = |other: &&Entry| {
                other.perm_id != perm_id && other.works() && other.order.oca_group() == group
            };
            let others: Vec<_> = self.living().filter(other).map(|other| other.perm_id).collect();
            for other in others {
                match at_once {
                    true => self.end_cancelled(other, "", desk),
                    false => self.reduce(other, part, before, desk),
                }
            }
        }
        if complete {
            for child in self.children(perm_id).collect::<Vec<_>>() {
                self.advance(child, desk);
            }
        }
    }

    fn reduce(&mut self, perm_id: i64, part: Quantity, of: Quantity, desk: &mut Desk<'_>) {
        let Some(entry) = self.entries.get_mut(&perm_id) else {
            return;
        };
        entry.quantity = entry.quantity - entry.remaining().share(part, of);
        match entry.remaining() {
            Quantity::ZERO => self.end_cancelled(perm_id, "", desk),
            _ => self.tell_order(perm_id),
        }
    }

    /// Those of its children that are not over.
    fn children(&self, perm_id: i64) -> impl Iterator<Item = i64> {
        let all = self.children.get(&perm_id).into_iter().flatten().copied();
        all.filter(|child| self.entries.get(child).is_some_and(Entry::is_alive))
    }

    /// Manual orders are everybody's to see and nobody's to change.
    pub(super) fn named(&self, owner: SeedOwner, order_id: i32) -> Option<i64> {
        self.names.get(&(self.client_of(owner), order_id)).copied()
    }
}

/// Order ids of the attached orders, and which of them is the stop loss.
pub(super) fn attached_ids(attached: &AttachedOrders) -> impl Iterator<Item = (i32, bool)> + use<> {
    let ids = [(attached.sl_order_id(), true), (attached.pt_order_id(), false)];
    ids.into_iter().filter(|(order_id, _)| *order_id != 0)
}

/// The nearest price that is allowed.
pub(super) fn on_step(price: f64, step: f64) -> f64 {
    let steps = (1.0 / step).round();
    (price * steps).round() / steps
}
