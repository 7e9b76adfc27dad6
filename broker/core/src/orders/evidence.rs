//! What Gateway says of orders: taken as it comes, whether it was asked for or not.
//!
//! Every openOrder, orderStatus, execution, commission, completed order and error about an order
//! passes here, before it goes to whoever asked. What names our client id and an order of the
//! book moves that order; what names our client id and an order that the book does not have makes
//! the journal doubtful; everything else is somebody else's order, shown and never touched.

use std::time::Instant;

use ibouncer_proto::api::v1::{
    ChangeKind, ChangeState, ExecutionEventKind, OrderEventKind, OrderState as State,
    PreviewOrderResponse,
};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::body;
use super::book::Foreign;
use super::brakes::Doubt;
use super::executions::News;
use super::journal::ExecutionRecord;
use super::leaving::What;
use super::order::meaning;
use super::{Desk, HIGHEST_ORDER_ID};
use crate::error;
use crate::hub::ends_request;
use crate::notes::Severity;

/// Gateway's codes with a meaning of their own for orders. Source: protocol fact sheet, section 8.
const DUPLICATE_ID: i32 = 103;
const CANCELLED: i32 = 202;

/// After a duplicate id it is not known how far Gateway has counted.
const SKIPPED_IDS: i32 = 1_000;

/// Gateway writes this where there is no order id.
const NO_ORDER_ID: i32 = i32::MAX;

/// What Gateway told of an order, from whichever message.
struct Told<'a> {
    status: &'a str,
    perm_id: i64,
    filled: Option<&'a str>,
    remaining: Option<&'a str>,
    avg_fill_price: Option<f64>,
    open: Option<&'a tws::OpenOrder>,
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
                tws::OpenOrder::decode(message).map(|told| self.on_open_order(&told, now))
            }
            id::ORDER_STATUS => {
                tws::OrderStatus::decode(message).map(|told| self.on_order_status(&told, now))
            }
            id::EXECUTION_DATA => tws::ExecutionDetails::decode(message)
                .map(|told| self.on_execution(&told, message, now)),
            id::COMMISSION_AND_FEES_REPORT => tws::CommissionAndFeesReport::decode(message)
                .map(|told| self.on_commission(&told, message, now)),
            id::COMPLETED_ORDER => {
                tws::CompletedOrder::decode(message).map(|told| self.on_completed(&told, now))
            }
            _ => Ok(()),
        };
        read.is_ok()
    }

    fn on_open_order(&mut self, told: &tws::OpenOrder, now: Instant) {
        let order = told.order.clone().unwrap_or_default();
        let order_id = told.order_id();
        self.see_id(order_id, order.client_id(), now);
        if let Some((call, _)) = self.previews.remove(&order_id) {
            return self.answer(call, &PreviewOrderResponse { preview: Some(told.clone()) });
        }
        if order.what_if() {
            return;
        }
        let state = told.order_state.clone().unwrap_or_default();
        let told_of = Told {
            status: state.status(),
            perm_id: order.perm_id(),
            filled: None,
            remaining: None,
            avg_fill_price: None,
            open: Some(told),
        };
        match self.ours(order_id, order.client_id()) {
            Whose::Ours => self.on_told(order_id, &told_of, now),
            Whose::Missing => self.on_unaccounted(order_id, &order),
            Whose::Foreign => {
                let foreign = self.book.foreign.entry(order.perm_id()).or_default();
                foreign.told = told.clone();
            }
        }
    }

    fn on_order_status(&mut self, told: &tws::OrderStatus, now: Instant) {
        let order_id = told.order_id();
        self.see_id(order_id, told.client_id(), now);
        let told_of = Told {
            status: told.status(),
            perm_id: told.perm_id(),
            filled: told.filled.as_deref(),
            remaining: told.remaining.as_deref(),
            avg_fill_price: told.avg_fill_price,
            open: None,
        };
        match self.ours(order_id, told.client_id()) {
            Whose::Ours => self.on_told(order_id, &told_of, now),
            Whose::Missing => {}
            Whose::Foreign => {
                let ended = meaning(told.status())
                    .is_some_and(|state| matches!(state, State::Filled | State::Cancelled));
                if ended {
                    self.book.foreign.remove(&told.perm_id());
                } else if let Some(foreign) = self.book.foreign.get_mut(&told.perm_id()) {
                    foreign.status = told.clone();
                }
            }
        }
    }

    fn on_completed(&mut self, told: &tws::CompletedOrder, now: Instant) {
        let order = told.order.clone().unwrap_or_default();
        let state = told.order_state.clone().unwrap_or_default();
        self.book.foreign.remove(&order.perm_id());
        // Text Gateways tell neither id; permId, and our tag, find it all the same.
        let by_id = Some(order.order_id())
            .filter(|id| order.client_id() == self.client_id && self.book.get(*id).is_some());
        let found = self
            .book
            .by_perm_id(order.perm_id())
            .or_else(|| body::tagged(order.order_ref(), &self.facts.journal_id))
            .or(by_id);
        let Some(order_id) = found else {
            return;
        };
        let told_of = Told {
            status: state.status(),
            perm_id: order.perm_id(),
            filled: order.filled_quantity.as_deref(),
            remaining: None,
            avg_fill_price: None,
            open: None,
        };
        self.on_told(order_id, &told_of, now);
    }

    /// Gateway told of one of our orders.
    fn on_told(&mut self, id: i32, told: &Told<'_>, now: Instant) {
        let epoch = self.epoch.unwrap_or_default();
        let Some(order) = self.book.get_mut(id) else {
            return;
        };
        order.seen_in = epoch;
        let known = order.record.perm_id;
        if told.perm_id != 0 && known != 0 && known != told.perm_id {
            let what = format!(
                "Gateway tells permId {} for order {id}, which has permId {known}: there may be \
                 two orders where one was placed; look at both, then `ibouncer trading adopt-state`",
                told.perm_id
            );
            return self.doubt(Doubt::TwoPermIds, what);
        }
        let (from, next) = (order.state(), meaning(told.status));
        if !order.is_live() && next.is_some_and(|next| !follows(from, next)) {
            // Gateway repeats itself.
            return;
        }
        let before = order.record.clone();
        if told.perm_id != 0 {
            order.record.perm_id = told.perm_id;
        }
        if !told.status.is_empty() {
            told.status.clone_into(&mut order.record.status);
        }
        if let Some(filled) = told.filled.filter(|filled| is_more(filled, &order.record.filled)) {
            filled.clone_into(&mut order.record.filled);
        }
        if let Some(remaining) = told.remaining {
            remaining.clone_into(&mut order.record.remaining);
        }
        if let Some(price) = told.avg_fill_price.filter(|price| *price != 0.0) {
            order.record.avg_fill_price = price;
        }
        if let Some(open) = told.open {
            if let Some(told_order) = &open.order {
                order.record.told_order = told_order.encode_to_vec().into();
                if order.record.account.is_empty() {
                    told_order.account().clone_into(&mut order.record.account);
                }
            }
            if let Some(state) = &open.order_state {
                order.record.order_state = state.encode_to_vec().into();
            }
        }
        let mut moved = false;
        if let Some(next) = next.filter(|next| follows(from, *next)) {
            let because = format!("Gateway says {}", told.status);
            moved = order.transition(next, &because) == Ok(true);
        }
        let changed = self.settle_change(id, next, told.open, now);
        if moved && matches!(from, State::Rejected | State::NotSent) {
            let text = format!("order {id} was taken for {from:?}, and Gateway says it lives");
            self.note(Severity::Warning, text);
        }
        if moved {
            self.tell(id, OrderEventKind::State, now);
        } else if !changed && self.book.get(id).is_some_and(|order| order.record != before) {
            self.tell(id, OrderEventKind::Update, now);
        }
    }

    /// What Gateway told may answer the change that is under way. True if it was told of.
    fn settle_change(
        &mut self,
        id: i32,
        state: Option<State>,
        open: Option<&tws::OpenOrder>,
        now: Instant,
    ) -> bool {
        let Some(order) = self.book.get_mut(id) else {
            return false;
        };
        let Some(change) = order.pending() else {
            return false;
        };
        let answer = match (change.kind(), state) {
            (ChangeKind::Cancel, Some(State::Cancelled)) => Some((ChangeState::Done, "")),
            (ChangeKind::Cancel, Some(State::Filled)) => {
                Some((ChangeState::Failed, "the order filled first"))
            }
            (ChangeKind::Modify, Some(State::Filled | State::Cancelled)) => {
                Some((ChangeState::Failed, "the order ended first"))
            }
            (ChangeKind::Modify, _) if change.state() != ChangeState::Waiting => {
                let wanted = tws::PlaceOrderRequest::decode(&change.request[..]).ok();
                let wanted = wanted.and_then(|request| request.order);
                let told = open.and_then(|open| open.order.as_ref());
                let is_it = wanted.zip(told).is_some_and(|(wanted, told)| is_as(&wanted, told));
                is_it.then_some((ChangeState::Done, ""))
            }
            _ => None,
        };
        let Some((next, because)) = answer else {
            return false;
        };
        if !order.move_change(next, because, 0) {
            return false;
        }
        self.answers_due.remove(&id);
        self.tell(id, OrderEventKind::Change, now);
        true
    }

    /// An error or a warning about an order id. False if it is none of ours.
    pub(crate) fn on_error(&mut self, id: i32, told: &tws::ErrorMessage, now: Instant) -> bool {
        let (code, text) = (told.error_code(), told.error_msg());
        let ends = ends_request(code) && code != CANCELLED;
        if code == DUPLICATE_ID {
            self.next_id = self.next_id.max(id.saturating_add(SKIPPED_IDS));
            let what =
                format!("Gateway says 103 of order id {id}; ids go on from {}", self.next_id);
            self.note(Severity::Warning, what);
        }
        if self.previews.contains_key(&id) {
            if ends && let Some((call, _)) = self.previews.remove(&id) {
                self.reply(call, Err(error::gateway(code, text)));
            }
            return true;
        }
        let Some(order) = self.book.get_mut(id) else {
            return false;
        };
        let because = format!("Gateway says {code}: {text}");
        order.record.notice = told.encode_to_vec().into();
        let mut kind = OrderEventKind::Notice;
        if ends && order.pending().is_some_and(|change| change.state() != ChangeState::Waiting) {
            if order.move_change(ChangeState::Failed, &because, code) {
                kind = OrderEventKind::Change;
                self.answers_due.remove(&id);
            }
        } else if ends
            && order.state() == State::Sent
            && order.transition(State::Rejected, &because) == Ok(true)
        {
            kind = OrderEventKind::State;
        }
        self.tell(id, kind, now);
        true
    }

    fn on_execution(&mut self, told: &tws::ExecutionDetails, message: &[u8], now: Instant) {
        let execution = told.execution.clone().unwrap_or_default();
        let order_id = execution.order_id();
        self.see_id(order_id, execution.client_id(), now);
        let found = match self.ours(order_id, execution.client_id()) {
            Whose::Ours => Some(order_id),
            _ => self.book.by_perm_id(execution.perm_id()).filter(|_| execution.perm_id() != 0),
        };
        let order = found.and_then(|id| self.book.get(id));
        let record = ExecutionRecord {
            exec_id: execution.exec_id().to_owned(),
            owner: order.map(|order| order.record.owner.clone()).unwrap_or_default(),
            client_order_id: order
                .map(|order| order.record.client_order_id.clone())
                .unwrap_or_default(),
            order_id: found.unwrap_or_default(),
            execution: message.to_vec().into(),
            at_ms: self.millis(now),
            account: execution.acct_number().to_owned(),
            ..ExecutionRecord::default()
        };
        let news = self.executions.add(record.clone(), now);
        if news == News::Known {
            return;
        }
        if let Some(record) = self.executions.get(&record.exec_id).cloned() {
            self.telling.write(super::journal::Write::Execution(Box::new(record)));
        }
        if let Some(id) = found {
            self.on_filled(id, told, &execution, now);
        }
    }

    /// What an execution says of its order: a market order can fill without any status.
    fn on_filled(
        &mut self,
        id: i32,
        told: &tws::ExecutionDetails,
        execution: &tws::Execution,
        now: Instant,
    ) {
        let epoch = self.epoch.unwrap_or_default();
        let Some(order) = self.book.get_mut(id) else {
            return;
        };
        order.seen_in = epoch;
        if order.record.perm_id == 0 {
            order.record.perm_id = execution.perm_id();
        }
        let request = tws::PlaceOrderRequest::decode(&order.record.request[..]).unwrap_or_default();
        let of_a_leg = request.contract.is_some_and(|contract| contract.sec_type() == "BAG")
            && told.contract.as_ref().is_some_and(|contract| contract.sec_type() != "BAG");
        if of_a_leg {
            return;
        }
        if is_more(execution.cum_qty(), &order.record.filled) {
            execution.cum_qty().clone_into(&mut order.record.filled);
            order.record.avg_fill_price = execution.avg_price();
        }
        let total = request.order.as_ref().map_or("", |order| order.total_quantity());
        let next = match (number(execution.cum_qty()), number(total)) {
            (Some(filled), Some(total)) if filled >= total && total > 0.0 => State::Filled,
            _ if order.state() == State::Cancelled => State::Cancelled,
            _ => State::Working,
        };
        let moved = follows(order.state(), next)
            && order.transition(next, "its executions say so") == Ok(true);
        let changed = self.settle_change(id, Some(next), None, now);
        if moved || !changed {
            let kind = if moved { OrderEventKind::State } else { OrderEventKind::Update };
            self.tell(id, kind, now);
        }
    }

    fn on_commission(&mut self, told: &tws::CommissionAndFeesReport, message: &[u8], now: Instant) {
        let Some(id) = self.executions.commission(told.exec_id(), message, now) else {
            return;
        };
        if self.executions.get(&id).is_some_and(|record| record.told) {
            self.tell_execution(&id, Some(ExecutionEventKind::Commission), now);
        } else {
            self.tell_due_executions(now);
        }
    }

    /// Ids that Gateway has seen are not used again; those near the ids of requests end trading.
    fn see_id(&mut self, order_id: i32, client_id: i32, _now: Instant) {
        if order_id <= 0 || order_id == NO_ORDER_ID {
            return;
        }
        if order_id >= HIGHEST_ORDER_ID {
            let what = format!(
                "API client {client_id} has an order with id {order_id}, and ids above \
                 {HIGHEST_ORDER_ID} are for requests: new ids would have to be higher still. Let \
                 it use lower ids, and reset the ids in Gateway while no API order is open"
            );
            return self.doubt(Doubt::HighId, what);
        }
        self.next_id = self.next_id.max(order_id + 1);
    }

    /// Gateway's own counter: at READY, and after a duplicate.
    pub(crate) fn on_next_valid_id(&mut self, order_id: i32) {
        if (1..HIGHEST_ORDER_ID).contains(&order_id) {
            self.next_id = self.next_id.max(order_id);
        }
    }

    fn ours(&self, order_id: i32, client_id: i32) -> Whose {
        if client_id != self.client_id || order_id <= 0 || order_id == NO_ORDER_ID {
            Whose::Foreign
        } else if self.book.get(order_id).is_some() {
            Whose::Ours
        } else {
            Whose::Missing
        }
    }

    /// Gateway shows an order of our client id that we do not know.
    fn on_unaccounted(&mut self, order_id: i32, order: &tws::Order) {
        if self.departures.values().any(|one| one.what == What::Preview && one.holds(order_id)) {
            return;
        }
        self.book.foreign.insert(
            order.perm_id(),
            Foreign {
                told: tws::OpenOrder {
                    order_id: Some(order_id),
                    order: Some(order.clone()),
                    ..Default::default()
                },
                ..Foreign::default()
            },
        );
        let what = format!(
            "Gateway shows order {order_id} (permId {}) of our client id {}, and the journal does \
             not know it: the journal is older than that order, or another program used this \
             client id. Look at it, then `ibouncer trading adopt-state --reason …`",
            order.perm_id(),
            self.client_id
        );
        self.doubt(Doubt::Unaccounted, what);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    /// Of our client id, and not in the book.
    Missing,
    Foreign,
}

/// Does what Gateway says move an order from here? An end is not taken back by a message that
/// says less.
fn follows(from: State, next: State) -> bool {
    match from {
        State::Filled => false,
        // Gateway repeats itself; only a fill is news.
        State::Cancelled => next == State::Filled,
        State::Working | State::Inactive => next != State::Acknowledged,
        // Gateway says Inactive of what it has rejected.
        State::Rejected => !matches!(next, State::Inactive | State::Acknowledged),
        _ => true,
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

fn is_more(new: &str, old: &str) -> bool {
    match (number(new), number(old)) {
        (Some(new), Some(old)) => new > old,
        (Some(_), None) => true,
        _ => false,
    }
}

/// Does Gateway show the order as this change wants it?
fn is_as(wanted: &tws::Order, told: &tws::Order) -> bool {
    let same = |wanted: Option<f64>, told: Option<f64>| {
        let unset = |price: Option<f64>| price.filter(|price| *price != 0.0 && *price < 1e300);
        unset(wanted).is_none_or(|price| unset(told) == Some(price))
    };
    number(wanted.total_quantity()) == number(told.total_quantity())
        && same(wanted.lmt_price, told.lmt_price)
        && same(wanted.aux_price, told.aux_price)
        && (wanted.tif().is_empty() || wanted.tif() == told.tif())
}
