//! What Gateway says of orders: taken as it comes, whether it was asked for or not.
//!
//! Every openOrder, orderStatus, execution, commission, completed order and error about an order
//! passes here, before it goes to whoever asked. What is one of our orders (`orders/evidence/matching.rs`)
//! moves that order; what names our client id and none of our orders makes the journal doubtful;
//! everything else is somebody else's order, shown and never touched.
//!
//! Read on in `evidence/whose.rs` and `evidence/matching.rs` (which order it is about),
//! `evidence/ids.rs` (what their ids mean), `evidence/answered.rs` and `evidence/modified.rs` (changes), `evidence/fills.rs`,
//! `evidence/completed.rs`, `evidence/complaints.rs` (errors), `evidence/rivals.rs` (another order under
//! one of our numbers) and `evidence/revival.rs` (ends that are
//! taken back).

pub(super) mod answered;
mod complaints;
mod completed;
mod fills;
mod ids;
mod matching;
mod modified;
mod reduced;
mod revival;
mod rivals;
mod whose;

use std::time::Instant;

use bytes::Bytes;
use ibouncer_proto::api::v1::{OrderEventKind, OrderState as State, PreviewOrderResponse};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::body;
use super::body::patch::{part, with_parts};
use super::book::ForeignId;
use super::book::order::{follows, is_live, meaning};
use super::journal::OrderRecord;
use super::telling::lists;
use super::{Desk, Doing};
use crate::hub::Reply;
use crate::notes::Severity;
use matching::Description;
use whose::Whose;

/// What Gateway told of an order, from whichever message.
#[derive(Default)]
pub(super) struct Told<'a> {
    pub(super) status: &'a str,
    pub(super) perm_id: i64,
    pub(super) filled: Option<&'a str>,
    pub(super) remaining: Option<&'a str>,
    pub(super) avg_fill_price: Option<f64>,
    pub(super) open: Option<&'a tws::OpenOrder>,
    /// What is kept of it as it came.
    pub(super) raw: Raw,
    /// From the list of orders that have ended.
    pub(super) over: bool,
}

/// Bodies of Gateway; empty where the message has none.
#[derive(Default)]
pub(super) struct Raw {
    contract: Bytes,
    order: Bytes,
    order_state: Bytes,
    order_status: Bytes,
}

impl Raw {
    /// The parts of a message that stand under these numbers.
    pub(super) fn of(message: &[u8], contract: u32, order: Option<u32>, order_state: u32) -> Self {
        let part = |tag| part(message, tag).ok().flatten().unwrap_or_default().into();
        let order = order.map(part).unwrap_or_default();
        Self { contract: part(contract), order, order_state: part(order_state), ..Self::default() }
    }
}

impl<'a> Told<'a> {
    pub(super) fn new(status: &'a str, perm_id: i64) -> Self {
        Self { status, perm_id, ..Self::default() }
    }

    /// What it says of the state. Inactive can come back, but not from among those that ended.
    pub(super) fn state(&self) -> Option<State> {
        match meaning(self.status) {
            Some(State::Inactive) if self.over => Some(State::Rejected),
            state => state,
        }
    }
}

impl Desk {
    /// Is this message about orders?
    pub(crate) fn wants(message_id: u32) -> bool {
        matches!(
            message_id,
            id::OPEN_ORDER
                | id::ORDER_STATUS
                | id::EXECUTION_DATA
                | id::COMMISSION_AND_FEES_REPORT
                | id::COMPLETED_ORDER
        )
    }

    /// A message about orders. False if it could not be read.
    pub(crate) fn on_message(&mut self, message_id: u32, message: &[u8], now: Instant) -> bool {
        let read = match message_id {
            id::OPEN_ORDER => {
                tws::OpenOrder::decode(message).map(|told| self.on_open_order(&told, message, now))
            }
            id::ORDER_STATUS => tws::OrderStatus::decode(message)
                .map(|told| self.on_order_status(&told, message, now)),
            id::EXECUTION_DATA => tws::ExecutionDetails::decode(message)
                .map(|told| self.on_execution(&told, message, now)),
            id::COMMISSION_AND_FEES_REPORT => tws::CommissionAndFeesReport::decode(message)
                .map(|told| self.on_commission(&told, message, now)),
            id::COMPLETED_ORDER => tws::CompletedOrder::decode(message)
                .map(|told| self.on_completed(&told, message, now)),
            _ => Ok(()),
        };
        read.is_ok()
    }

    fn on_open_order(&mut self, told: &tws::OpenOrder, message: &[u8], now: Instant) {
        let order = told.order.clone().unwrap_or_default();
        let order_id = told.order_id();
        self.see_id(order_id, order.client_id(), order.perm_id());
        if let Some(contract) = told.contract.clone() {
            self.doings.push_back(Doing::Learn(Box::new(contract)));
        }
        // Order ids are those of one client; another one's list can have the same.
        let is_answer = order.what_if() && order.client_id() == self.client_id;
        if is_answer && let Some(preview) = self.previews.remove(&order_id) {
            // It went out with its owner's mark, and is told to nobody else.
            let owner =
                order.oca_group().split_once(body::OWNER_MARK).map_or("", |(owner, _)| owner);
            let shown = lists::open_order(owner, message);
            let answer = with_parts(&PreviewOrderResponse::default(), 1, [&shown[..]]);
            return self.reply(preview.call, Ok(Reply::Answer(answer.into())));
        }
        if order.what_if() {
            return;
        }
        let state = told.order_state.clone().unwrap_or_default();
        let told_of = Told {
            open: Some(told),
            raw: Raw::of(message, 2, Some(3), 4),
            ..Told::new(state.status(), order.perm_id())
        };
        let description = Description::of_order(&order, told.contract.as_ref());
        match self.whose(order_id, order.client_id(), &description) {
            Whose::Ours => {
                self.keep_relisted(order_id, &told_of, message);
                self.on_told(order_id, &told_of, now);
            }
            Whose::Another(unlike) => self.on_another_order(told, message, unlike, now),
            Whose::Unproven => {}
            Whose::Missing => self.on_unaccounted_order(told, message, now),
            Whose::Foreign => self.on_foreign_order(told, message, now),
        }
    }

    fn on_order_status(&mut self, told: &tws::OrderStatus, message: &[u8], now: Instant) {
        let (order_id, now_ms) = (told.order_id(), self.millis(now));
        self.see_id(order_id, told.client_id(), told.perm_id());
        let told_of = Told {
            filled: told.filled.as_deref(),
            remaining: told.remaining.as_deref(),
            avg_fill_price: told.avg_fill_price,
            raw: Raw { order_status: Bytes::copy_from_slice(message), ..Raw::default() },
            ..Told::new(told.status(), told.perm_id())
        };
        let ended = meaning(told.status())
            .is_some_and(|state| matches!(state, State::Filled | State::Cancelled));
        match self.whose(order_id, told.client_id(), &Description::bare(told.perm_id())) {
            Whose::Ours => {
                self.keep_reduced(order_id, told, message);
                self.on_told(order_id, &told_of, now);
            }
            Whose::Another(unlike) if ended => self.on_another(order_id, told.perm_id(), unlike),
            Whose::Another(unlike) => self.on_another_status(told, message, unlike, now),
            Whose::Missing | Whose::Unproven => {}
            Whose::Foreign => {
                let foreign = ForeignId::new(told.perm_id(), told.client_id(), order_id);
                if ended {
                    self.book.foreign.remove(&foreign);
                } else if let Some(foreign) = self.book.foreign.get_mut(&foreign) {
                    foreign.on_told(now_ms);
                    foreign.status = told.clone();
                    foreign.order_status = Bytes::copy_from_slice(message);
                }
            }
        }
    }

    /// Gateway told of one of our orders.
    pub(super) fn on_told(&mut self, id: i32, told: &Told<'_>, now: Instant) {
        let epoch = self.epoch.unwrap_or_default();
        let mut next = told.state();
        if next.is_some_and(|next| !is_live(next)) {
            self.relisted.remove(&id);
        }
        let lowered = self.is_lowered(id, told);
        let is_short = self.is_short(id, told, lowered);
        let Some(order) = self.book.get_mut(id) else {
            return;
        };
        if !told.over {
            order.seen_in = epoch;
        }
        if told.perm_id != 0 {
            order.altered_in = None;
        }
        order.overruled |= is_short;
        let from = order.state_for_gateway();
        order.overruled = false;
        let refused = order.is_refused_now(next);
        if refused.is_some() {
            next = Some(State::Rejected);
        }
        let concluded = order.state();
        let is_older = |next| next != concluded && !follows(from, next);
        if !order.is_live() && next.is_some_and(is_older) {
            // It was said before the order ended.
            return;
        }
        let before = order.record.clone();
        let is_first = before.perm_id == 0 && told.perm_id != 0;
        // What Gateway confirms is its own word from now on.
        order.record.by_person &= next != Some(concluded);
        if told.perm_id != 0 {
            order.record.taken_by = None;
            order.record.perm_id = told.perm_id;
        }
        if !told.status.is_empty() {
            told.status.clone_into(&mut order.record.status);
        }
        let counts = |filled: &&str| lowered || is_more(filled, &order.record.filled);
        if let Some(filled) = told.filled.filter(counts) {
            filled.clone_into(&mut order.record.filled);
            order.filled_in = self.reconciler.passes_begun();
        }
        // One that comes late tells what remained of less.
        let is_same = |filled: &str| number(filled) == number(&order.record.filled);
        if let Some(remaining) = told.remaining.filter(|_| told.filled.is_none_or(is_same)) {
            remaining.clone_into(&mut order.record.remaining);
        }
        if let Some(price) = told.avg_fill_price.filter(|price| *price != 0.0) {
            order.record.avg_fill_price = price;
        }
        if let Some(told_order) = told.open.and_then(|open| open.order.as_ref())
            && order.record.account.is_empty()
        {
            told_order.account().clone_into(&mut order.record.account);
        }
        for (kept, came) in [
            (&mut order.record.told_contract, &told.raw.contract),
            (&mut order.record.told_order, &told.raw.order),
            (&mut order.record.order_state, &told.raw.order_state),
            (&mut order.record.order_status, &told.raw.order_status),
        ] {
            if !came.is_empty() {
                kept.clone_from(came);
            }
        }
        let mut moved = false;
        if let Some(next) = next.filter(|next| follows(from, *next)) {
            let because = refused.unwrap_or_else(|| format!("Gateway says {}", told.status));
            order.overruled = from != concluded;
            moved = order.transition(next, &because) == Ok(true);
            order.overruled = false;
            if moved && !order.is_live() {
                order.ended_in = self.reconciler.passes_begun();
            }
        }
        let changed = self.settle_change(id, next, told.open.is_some(), now);
        self.keep_unchanged(id, told);
        if moved && (matches!(from, State::Rejected | State::NotSent) || from != concluded) {
            let text = format!("order {id} was taken for {concluded:?}; {}", says(next));
            self.note(Severity::Warning, text);
        }
        if moved {
            self.tell(id, OrderEventKind::State, now);
            if matches!(next, Some(State::Rejected | State::Cancelled)) {
                self.doubt_attached(id, now);
            }
        } else if !changed && let Some(order) = self.book.get_mut(id) {
            if is_news(&before, &order.record) {
                self.tell(id, OrderEventKind::Update, now);
            } else {
                // What is shown is what was told last.
                order.record = before;
            }
        }
        if is_first {
            self.claim_executions(id, now);
        }
    }
}

/// What Gateway says against what was concluded.
fn says(next: Option<State>) -> String {
    match next {
        Some(end @ (State::Filled | State::Cancelled | State::Rejected)) => {
            format!("Gateway says {end:?}")
        }
        _ => "Gateway says it lives".into(),
    }
}

/// Is there more to tell than that Gateway has said something again?
fn is_news(before: &OrderRecord, after: &OrderRecord) -> bool {
    let held = |record: &OrderRecord| {
        let status = tws::OrderStatus::decode(&record.order_status[..]).unwrap_or_default();
        (status.why_held().to_owned(), status.mkt_cap_price())
    };
    let rest = |record: &OrderRecord| OrderRecord {
        order_status: Bytes::new(),
        told_contract: Bytes::new(),
        ..record.clone()
    };
    held(before) != held(after) || rest(before) != rest(after)
}

pub(super) fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

pub(super) fn is_more(new: &str, old: &str) -> bool {
    match (number(new), number(old)) {
        (Some(new), Some(old)) => new > old,
        (Some(_), None) => true,
        _ => false,
    }
}
