//! An execution that was otherwise: it comes again, and order, money and position follow.
//!
//! The last execution of an order is told again under the next number behind the last dot, and so
//! is its commission. An execution that was none at all (busted) comes again with a quantity of 0.
//! IB does not reopen what has ended: a filled order that has less now stays `Filled`.
//! Combinations are left as they are. Source: protocol fact sheet, section 7.

use super::super::executions::commission;
use super::super::holdings::Trade;
use super::super::traded::Traded;
use super::{Desk, Frame, Kind, OrderBook, Quantity, Status};
use crate::ledger::OrderChange;

impl OrderBook {
    /// Corrects the last execution of an order; without a quantity only its price.
    pub(super) fn correct(
        &mut self,
        perm_id: i64,
        price: f64,
        quantity: Option<Quantity>,
        desk: &mut Desk<'_>,
    ) {
        let found = self.executions.iter_mut().rev().find(|done| done.perm_id == perm_id);
        let (Some(done), Some(entry)) = (found, self.entries.get_mut(&perm_id)) else {
            return;
        };
        let Traded::One(listing) = entry.traded else {
            return;
        };
        // An order never has more than it wants.
        let others = (entry.filled - done.quantity).max(Quantity::ZERO);
        let wanted = quantity.unwrap_or(done.quantity).max(Quantity::ZERO);
        let wanted = wanted.min(entry.quantity - others);
        let (before, remaining) = (done.clone(), entry.remaining());
        let fee = match wanted {
            Quantity::ZERO => 0.0,
            wanted => commission(wanted),
        };
        entry.filled = others + wanted;
        entry.paid += price * wanted.as_f64() - before.price * before.quantity.as_f64();
        entry.last_price = price;
        entry.commission += fee - before.commission;
        (done.price, done.quantity, done.commission) = (price, wanted, fee);
        (done.filled, done.average) = (entry.filled, entry.average());
        done.revision += 1;
        let side = if done.bought { 1.0 } else { -1.0 };
        let old = Trade {
            account: &entry.account,
            listing,
            quantity: before.quantity.as_f64() * side,
            price: before.price,
            commission: before.commission,
        };
        let mut holding = desk.portfolio.take_back(&old, before.realized);
        done.realized = None;
        if wanted > Quantity::ZERO {
            let (quantity, commission) = (wanted.as_f64() * side, fee);
            let new = Trade { quantity, price, commission, ..old };
            (holding, done.realized) = desk.portfolio.trade(&new);
        }
        let done = Box::new(done.clone());
        let complete = entry.remaining() == Quantity::ZERO;
        if complete && entry.is_alive() {
            entry.transition(Status::Filled, "a correction fills it");
            entry.ended = Some(desk.unix);
            entry.next_part = None;
        }
        let exercise = entry.kind == Kind::Exercise;
        self.changed(perm_id, OrderChange::Corrected);
        self.tell(perm_id, Frame::Execution(done.clone()));
        if wanted != before.quantity {
            self.tell_status(perm_id);
        }
        self.tell(perm_id, Frame::Commission(done));
        self.tell_everyone(Frame::Position(holding));
        if exercise {
            self.deliver(perm_id, wanted - before.quantity, desk);
        }
        if wanted > before.quantity {
            self.after_fill(perm_id, wanted - before.quantity, remaining, desk);
        }
    }
}
