//! Where prices meet orders: triggers, limits, parts, and what a fill changes.
//!
//! Orders are filled against the quote of the simulator, which is deep enough for all: an order
//! that is larger than one part is filled in several, four at most, one after the other. The
//! quote is not moved by it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::holdings::Trade;
use super::super::listings::Listing;
use super::super::traded::Traded;
use super::groups::on_step;
use super::{Audience, Desk, Entry, Frame, Kind, OrderBook, Quantity, Quote, Status};
use crate::ledger::OrderChange;

impl OrderBook {
    /// Contracts whose quotes matter.
    pub(in super::super) fn contracts(&self) -> BTreeSet<Listing> {
        self.watching().flat_map(|entry| entry.traded.listings()).collect()
    }

    /// Notes a quote.
    pub(in super::super) fn set_quote(&mut self, listing: Listing, quote: Quote) {
        self.quotes.insert(listing, quote);
    }

    /// Bid and ask of what an order is of.
    pub(in super::super) fn quote_of(&self, traded: &Traded) -> Option<Quote> {
        traded.quote(|listing| self.quotes.get(&listing).copied())
    }

    /// Quotes have changed.
    pub(in super::super) fn match_all(&mut self, desk: &mut Desk<'_>) {
        let mut restless = std::mem::take(&mut self.restless);
        restless.retain(|perm_id| self.entries.get(perm_id).is_some_and(|one| self.may_move(one)));
        self.restless = restless;
        let mut in_parts = std::mem::take(&mut self.in_parts);
        in_parts.retain(|one| self.entries.get(one).is_some_and(|one| one.next_part.is_some()));
        self.in_parts = in_parts;
        // Those between two parts wait for the next.
        let due = self.watching().filter(|entry| entry.next_part.is_none_or(|due| due <= desk.now));
        let due: Vec<_> = due.map(|entry| entry.perm_id).collect();
        for perm_id in due {
            self.advance(perm_id, desk);
        }
    }

    /// When the next part of an order is due.
    pub(in super::super) fn poll_timeout(&self) -> Option<Duration> {
        let in_parts = self.in_parts.iter().filter_map(|perm_id| self.entries.get(perm_id));
        in_parts.filter(|entry| is_watched(entry)).filter_map(|entry| entry.next_part).min()
    }

    /// Orders that may be filled by themselves.
    fn watching(&self) -> impl Iterator<Item = &Entry> {
        let restless = self.restless.iter().filter_map(|perm_id| self.entries.get(perm_id));
        restless.filter(|entry| is_watched(entry))
    }

    /// Whether a quote may ever change it, as it is. What only a hand fills rests where it works.
    pub(super) fn may_move(&self, entry: &Entry) -> bool {
        let at_work = matches!(entry.status(), Status::Submitted | Status::PendingCancel);
        let rests = self.is_by_hand(entry) && at_work;
        entry.is_alive() && !entry.stuck && !rests
    }

    /// Whether only a hand fills it.
    fn is_by_hand(&self, entry: &Entry) -> bool {
        let told = self.settings.manual_fills && entry.kind != Kind::Market;
        (told && !is_immediate(entry)) || entry.stuck || entry.waits_to_be_told()
    }

    /// Takes an order as far as it comes at the quote of the moment.
    pub(super) fn advance(&mut self, perm_id: i64, desk: &mut Desk<'_>) {
        let Some(entry) = self.entries.get(&perm_id).filter(|entry| entry.works()) else {
            return;
        };
        let Some(quote) = self.quote_of(&entry.traded) else {
            return;
        };
        if self.waits_for_parent(entry) || entry.kind == Kind::Exercise {
            return;
        }
        let by_hand = self.is_by_hand(entry);
        let Some(entry) = self.entries.get_mut(&perm_id) else {
            return;
        };
        if entry.kind.waits_for_trigger() && !entry.triggered {
            if by_hand || !trigger(entry, quote) {
                return;
            }
            entry.triggered = true;
        }
        match executable(entry, quote).filter(|_| !by_hand) {
            Some(price) => {
                let part = self.part_of(perm_id);
                self.fill(perm_id, part, Some(price), desk);
            }
            None => self.rest(perm_id, desk),
        }
    }

    /// It waits for a better price, or it is of those that do not wait.
    fn rest(&mut self, perm_id: i64, desk: &mut Desk<'_>) {
        let Some(entry) = self.entries.get_mut(&perm_id) else {
            return;
        };
        entry.next_part = None;
        let immediate = is_immediate(entry);
        if entry.transition(Status::Submitted, "it works") {
            self.changed(perm_id, OrderChange::Working);
            self.tell_order(perm_id);
        }
        if immediate {
            self.end_cancelled(perm_id, "", desk);
        }
    }

    fn part_of(&self, perm_id: i64) -> Quantity {
        let Some(entry) = self.entries.get(&perm_id) else {
            return Quantity::ZERO;
        };
        if is_immediate(entry) {
            return entry.remaining();
        }
        self.settings.part.max(entry.quantity.quarter()).min(entry.remaining())
    }

    /// Executes some of an order; without a price at its limit or at the quote. What is cancelled
    /// can be filled all the same: the exchange was faster.
    pub(super) fn fill(
        &mut self,
        perm_id: i64,
        quantity: Quantity,
        price: Option<f64>,
        desk: &mut Desk<'_>,
    ) {
        let quote = self.entries.get(&perm_id).and_then(|entry| self.quote_of(&entry.traded));
        let Some(entry) = self.entries.get_mut(&perm_id) else {
            return;
        };
        let before = entry.remaining();
        let part = quantity.min(before);
        let reachable = !matches!(
            entry.status(),
            Status::Untransmitted | Status::PendingSubmit | Status::Vanished
        );
        if part <= Quantity::ZERO || !reachable {
            return;
        }
        let touch = quote.map(|quote| if entry.buy { quote.ask } else { quote.bid });
        let exercise = entry.kind == Kind::Exercise;
        let price = price.or(entry.limit()).or(touch).unwrap_or_default();
        let price = if exercise { 0.0 } else { price };
        entry.filled = entry.filled + part;
        entry.paid += price * part.as_f64();
        entry.last_price = price;
        let complete = entry.remaining() == Quantity::ZERO;
        entry.next_part =
            (!complete && !entry.stuck && entry.works()).then(|| desk.now + self.settings.interval);
        if entry.next_part.is_some() {
            self.in_parts.insert(perm_id);
        }
        let alive = entry.is_alive();
        if complete && alive {
            entry.transition(Status::Filled, "it is filled");
            entry.ended = Some(desk.unix);
        } else if entry.status() == Status::PreSubmitted {
            entry.transition(Status::Submitted, "a part is filled");
        }
        let executed = self.execute(perm_id, part, price, desk);
        self.changed(perm_id, OrderChange::Filled);
        for (done, _) in &executed {
            self.tell(perm_id, Frame::Execution(done.clone()));
        }
        if alive {
            self.tell_open_order(perm_id, false);
        }
        self.tell_status(perm_id);
        if alive {
            self.tell_open_order(perm_id, true);
        }
        for (done, holding) in executed {
            self.tell(perm_id, Frame::Commission(done));
            if let Some(holding) = holding {
                self.tell_everyone(Frame::Position(holding));
            }
        }
        if exercise {
            self.deliver(perm_id, part, desk);
        }
        self.after_fill(perm_id, part, before, desk);
    }

    /// What an exercised option is on comes or goes at the strike.
    pub(super) fn deliver(&mut self, perm_id: i64, part: Quantity, desk: &mut Desk<'_>) {
        let Some(entry) = self.entries.get(&perm_id) else {
            return;
        };
        let Traded::One(listing) = entry.traded else {
            return;
        };
        let each = if listing.is_call() == Some(true) { 1.0 } else { -1.0 };
        let (holding, _) = desk.portfolio.trade(&Trade {
            account: &entry.account,
            listing: listing.underlying(),
            quantity: part.as_f64() * listing.multiplier().unwrap_or(1.0) * each,
            price: listing.strike().unwrap_or_default(),
            commission: 0.0,
        });
        self.tell_everyone(Frame::Position(holding));
    }

    /// Tells everyone, once there is a link to hear it from.
    pub(super) fn tell_everyone(&mut self, frame: Frame) {
        let news = (Audience::Everyone, frame);
        match self.linked {
            true => self.news.push_back(news),
            false => self.withheld.push(news),
        }
    }
}

fn is_watched(entry: &Entry) -> bool {
    entry.works() && !entry.stuck
}

/// Filled at once or not at all.
fn is_immediate(entry: &Entry) -> bool {
    matches!(entry.order.tif(), "IOC" | "FOK")
}

/// Whether the quote has reached the stop, after a trailing one has followed it.
fn trigger(entry: &mut Entry, quote: Quote) -> bool {
    if entry.kind.trails() {
        follow(entry, quote);
    }
    let Some(stop) = entry.stop else {
        return false;
    };
    // Those that are triggered when touched wait for a better price, stops for a worse one.
    let touched = matches!(entry.kind, Kind::Touched | Kind::LimitTouched);
    match (entry.buy, touched) {
        (true, false) => quote.ask >= stop,
        (false, false) => quote.bid <= stop,
        (true, true) => quote.ask <= stop,
        (false, true) => quote.bid >= stop,
    }
}

/// A trailing stop follows the price, and never goes back.
fn follow(entry: &mut Entry, quote: Quote) {
    let touch = if entry.buy { quote.ask } else { quote.bid };
    let percent = entry.order.trailing_percent();
    let amount = match percent > 0.0 && percent < f64::MAX {
        true => touch * percent / 100.0,
        false => entry.order.aux_price(),
    };
    let wanted = if entry.buy { touch + amount } else { touch - amount };
    let wanted = on_step(wanted, quote.step);
    let stop = match entry.stop {
        None => wanted,
        Some(stop) if entry.buy => stop.min(wanted),
        Some(stop) => stop.max(wanted),
    };
    entry.stop = Some(stop);
    entry.order.trail_stop_price = Some(stop);
    let offset = entry.order.lmt_price_offset();
    if entry.kind == Kind::TrailLimit && offset < f64::MAX {
        let limit = if entry.buy { stop + offset } else { stop - offset };
        entry.order.lmt_price = Some(on_step(limit, quote.step));
    }
}

/// The price at which it can be executed now.
fn executable(entry: &Entry, quote: Quote) -> Option<f64> {
    let touch = if entry.buy { quote.ask } else { quote.bid };
    if !entry.kind.has_limit() && entry.kind != Kind::TrailLimit {
        return Some(touch);
    }
    let limit = entry.order.lmt_price();
    let reached = if entry.buy { touch <= limit } else { touch >= limit };
    reached.then_some(touch)
}
