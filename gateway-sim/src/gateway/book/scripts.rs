//! What is done to orders on purpose: now to one of them, or to the next that come.
//!
//! [`Script`] holds what is armed; each use takes one off. What becomes of answers is decided in
//! `gateway/trading.rs`, and only noted here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::answer::Refusal;
use super::super::traded::Traded;
use super::{Audience, Desk, Entry, Frame, Kind, OrderBook, Quantity, Status, Wish};
use crate::happening::{DropAtOrder, OrderHappening, OrderName};
use crate::ledger::OrderChange;

/// What becomes of the next order's frame and of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum AtOrder {
    Answer,
    /// The answer is lost.
    Lose,
    /// The answer comes in the next session.
    Later,
    /// The connection ends.
    Drop(DropAtOrder),
}

/// What is armed.
#[derive(Debug, Default)]
pub(in super::super) struct Script {
    rejections: VecDeque<(i32, u32)>,
    symbols: BTreeMap<String, i32>,
    silent: u32,
    repeat: u32,
    warnings: VecDeque<(i32, u32)>,
    parts: VecDeque<(Quantity, u32)>,
    cancels: VecDeque<(i32, u32)>,
    early_ends: u32,
    foreign_ends: u32,
    short_lists: u32,
    lose: u32,
    lose_cancels: u32,
    drop_cancel: Option<DropAtOrder>,
    later: u32,
    drop: Option<DropAtOrder>,
    /// Orders whose statuses are told twice.
    pub(super) repeats: BTreeSet<i64>,
}

impl Script {
    /// The error that an order is answered with, if it is.
    pub(in super::super) fn rejection(&mut self, symbol: &str) -> Option<Refusal> {
        let code = take(&mut self.rejections).or_else(|| self.symbols.get(symbol).copied())?;
        Some(Refusal::order(code))
    }

    /// The warning that an order comes with.
    pub(in super::super) fn warning(&mut self) -> Option<(i32, String)> {
        let code = take(&mut self.warnings)?;
        Some((code, Refusal::order(code).text))
    }

    /// What becomes of an order that comes now.
    pub(in super::super) fn at_order(&mut self) -> AtOrder {
        if let Some(variant) = self.drop.take() {
            AtOrder::Drop(variant)
        } else if count_down(&mut self.lose) {
            AtOrder::Lose
        } else if count_down(&mut self.later) {
            AtOrder::Later
        } else {
            AtOrder::Answer
        }
    }

    /// What becomes of a cancel that comes now.
    pub(in super::super) fn at_cancel(&mut self) -> AtOrder {
        if let Some(variant) = self.drop_cancel.take() {
            AtOrder::Drop(variant)
        } else if count_down(&mut self.lose_cancels) {
            AtOrder::Lose
        } else {
            AtOrder::Answer
        }
    }

    /// Whether the end of a list of open orders comes before it.
    pub(in super::super) fn early_end(&mut self) -> bool {
        count_down(&mut self.early_ends)
    }

    /// Whether another's end comes before a list of open orders.
    pub(in super::super) fn foreign_end(&mut self) -> bool {
        count_down(&mut self.foreign_ends)
    }

    /// Whether a list of open orders lacks its last order.
    pub(in super::super) fn short_list(&mut self) -> bool {
        count_down(&mut self.short_lists)
    }

    pub(super) fn cancel_refusal(&mut self) -> Option<i32> {
        take(&mut self.cancels)
    }

    pub(super) fn take_repeat(&mut self) -> bool {
        count_down(&mut self.repeat)
    }

    /// Marks an order that has just come.
    pub(super) fn mark(&mut self, entry: &mut Entry) {
        entry.silent = entry.kind == Kind::Market && count_down(&mut self.silent);
        entry.first_part = take(&mut self.parts);
    }

    /// Arms what does not concern an order that exists; false if it does.
    fn arm(&mut self, what: &OrderHappening) -> bool {
        use OrderHappening as To;
        match what {
            To::RejectNext { code, count } => self.rejections.push_back((*code, *count)),
            To::RejectSymbol { symbol, code: 0 } => drop(self.symbols.remove(symbol)),
            To::RejectSymbol { symbol, code } => {
                self.symbols.insert(symbol.clone(), *code);
            }
            To::SilentFill(count) => self.silent = *count,
            To::RepeatNext(count) => self.repeat = *count,
            To::WarnNext { code, count } => self.warnings.push_back((*code, *count)),
            To::PartNext { quantity, count } => {
                let quantity = Quantity::parse(quantity).unwrap_or_default();
                self.parts.push_back((quantity, *count));
            }
            To::RefuseCancel { code, count } => self.cancels.push_back((*code, *count)),
            To::EarlyEnd(count) => self.early_ends = *count,
            To::ShortList(count) => self.short_lists = *count,
            To::ForeignEnd(count) => self.foreign_ends = *count,
            To::LoseAnswers(count) => self.lose = *count,
            To::LoseCancelAnswers(count) => self.lose_cancels = *count,
            To::AnswerLater(count) => self.later = *count,
            To::DropAtOrder(variant) => self.drop = Some(*variant),
            To::DropAtCancel(variant) => self.drop_cancel = Some(*variant),
            To::Fill { .. }
            | To::Correct { .. }
            | To::Cancel(_)
            | To::Reject { .. }
            | To::Inactive(_)
            | To::Active(_)
            | To::RepeatStatus(_)
            | To::Place { .. }
            | To::Price { .. }
            | To::EndMark
            | To::Ledger => return false,
        }
        true
    }
}

impl OrderBook {
    /// Lets something happen to an order, or to the next ones. An order that is not there is
    /// left alone; so are prices, and orders of others, which need more than the book.
    pub(in super::super) fn happen(&mut self, what: &OrderHappening, desk: &mut Desk<'_>) {
        use OrderHappening as To;
        if self.script.arm(what) {
            return;
        }
        match what {
            To::Fill { order, quantity, price } => {
                let Some(perm_id) = self.find(*order) else {
                    return;
                };
                let left = self.entries.get(&perm_id).map(Entry::remaining).unwrap_or_default();
                let quantity = quantity.as_deref().map_or(Some(left), Quantity::parse);
                self.fill_when_told(perm_id, quantity.unwrap_or_default(), *price, desk);
            }
            To::Correct { order, price, quantity } => {
                let quantity = quantity.as_deref().map(|text| Quantity::parse(text).ok_or(()));
                if let (Some(perm_id), Ok(quantity)) = (self.find(*order), quantity.transpose()) {
                    self.correct(perm_id, *price, quantity, desk);
                }
            }
            To::Cancel(order) => {
                if let Some(perm_id) = self.find(*order) {
                    self.end_cancelled(perm_id, "cancelled by the exchange", desk);
                }
            }
            To::Reject { order, code } => {
                if let Some(perm_id) = self.find(*order) {
                    self.reject(perm_id, Refusal::order(*code), desk);
                }
            }
            To::Inactive(order) => self.hold(*order, Status::Inactive),
            To::Active(order) => {
                self.hold(*order, Status::Submitted);
                self.match_all(desk);
            }
            To::RepeatStatus(order) => {
                if let Some(perm_id) = self.find(*order) {
                    self.tell_status(perm_id);
                }
            }
            To::EndMark => self.news.push_back((Audience::Everyone, Frame::End)),
            _ => {}
        }
    }

    /// Somebody else's order: no request is answered.
    pub(in super::super) fn place_foreign(&mut self, wish: Wish, desk: &mut Desk<'_>) {
        if self.named(wish.owner, wish.order_id).is_none() || wish.order_id == 0 {
            let perm_id = self.enter(wish, None, 1);
            self.transmit(perm_id, desk);
        }
    }

    /// What an order is of.
    pub(in super::super) fn traded_of(&self, name: OrderName) -> Option<Traded> {
        self.entries.get(&self.find(name)?).map(|entry| entry.traded.clone())
    }

    fn find(&self, name: OrderName) -> Option<i64> {
        match name {
            OrderName::Perm(perm_id) => Some(perm_id).filter(|one| self.entries.contains_key(one)),
            OrderName::Client(client_id, order_id) => {
                self.names.get(&(client_id, order_id)).copied()
            }
        }
    }

    /// A fill by hand leaves the rest to be filled by hand.
    fn fill_when_told(
        &mut self,
        perm_id: i64,
        quantity: Quantity,
        price: Option<f64>,
        desk: &mut Desk<'_>,
    ) {
        if let Some(entry) = self.entries.get_mut(&perm_id) {
            entry.stuck = true;
            self.fill(perm_id, quantity, price, desk);
        }
    }

    fn hold(&mut self, order: OrderName, status: Status) {
        let Some(perm_id) = self.find(order) else {
            return;
        };
        if let Some(entry) = self.entries.get_mut(&perm_id)
            && entry.may(status)
            && entry.transition(status, "IB says so")
        {
            let change = match status {
                Status::Inactive => OrderChange::Inactive,
                _ => OrderChange::Working,
            };
            self.changed(perm_id, change);
            self.tell_order(perm_id);
        }
    }
}

/// Takes one of the first that is left.
fn take<T: Copy>(armed: &mut VecDeque<(T, u32)>) -> Option<T> {
    while let Some((what, left)) = armed.front_mut() {
        if count_down(left) {
            return Some(*what);
        }
        armed.pop_front();
    }
    None
}

/// Takes one off; false if there is none.
fn count_down(left: &mut u32) -> bool {
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}
