//! Executions and commissions: whose they are, and what they say of their orders.

use std::time::Instant;

use ibouncer_proto::api::v1::{
    ChangeState, ExecutionEventKind, OrderEventKind, OrderState as State,
};
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::ids::NO_ORDER_ID;
use super::matching::Description;
use super::whose::Whose;
use super::{is_more, number};
use crate::notes::Severity;
use crate::orders::Desk;
use crate::orders::book::executions::News;
use crate::orders::book::order::{decimal, follows, is_live};
use crate::orders::journal::{Change, ExecutionRecord, OrderRecord};

impl Desk {
    pub(in crate::orders) fn on_execution(
        &mut self,
        told: &tws::ExecutionDetails,
        message: &[u8],
        now: Instant,
    ) {
        let execution = told.execution.clone().unwrap_or_default();
        let order_id = execution.order_id();
        let perm_id = execution.perm_id();
        self.see_id(order_id, execution.client_id(), perm_id);
        let description = Description::of_fill(&execution, told.contract.as_ref());
        let by_perm_id = self.book.by_perm_id(perm_id).filter(|_| perm_id != 0);
        // Lists tell fills without the ids of their order, too.
        let by_tag = || {
            let order_ref = execution.order_ref();
            let nameless = order_id <= 0 || order_id == NO_ORDER_ID;
            let id = self.tagged(order_ref, execution.client_id(), &description);
            id.filter(|_| nameless)
        };
        let whose = match self.whose(order_id, execution.client_id(), &description) {
            Whose::Missing | Whose::Foreign => {
                by_perm_id.or_else(by_tag).map(|id| (id, self.is_it(id, &description)))
            }
            whose => Some((order_id, whose)),
        };
        let found = match whose {
            Some((id, Whose::Ours)) => Some(id),
            Some((id, Whose::Another(unlike))) => {
                self.on_another(id, perm_id, unlike);
                None
            }
            Some(_) => None,
            None => {
                if self.is_of_our_client_id(order_id, execution.client_id()) {
                    self.on_unaccounted(order_id, perm_id);
                }
                None
            }
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
            self.telling.write(crate::orders::journal::Write::Execution(Box::new(record)));
        }
        if let Some(id) = found {
            let less = match &news {
                News::Corrects(before) => Some(self.executions.less(before, &record.exec_id)),
                _ => None,
            };
            let is_first = self.book.get(id).is_some_and(|order| order.record.perm_id == 0);
            self.on_filled(id, told, &execution, less, now);
            if is_first {
                self.claim_executions(id, now);
            }
        }
    }

    /// The order's permId is known now: what came with it before, under no id of ours, is the order's,
    /// and is told to its owner.
    pub(in crate::orders) fn claim_executions(&mut self, id: i32, now: Instant) {
        let Some(record) = self.book.get(id).map(|order| order.record.clone()) else {
            return;
        };
        let mut claimed = Vec::new();
        for exec_id in self.executions.take_unclaimed(record.perm_id) {
            let Some(kept) = self.executions.get(&exec_id) else {
                continue;
            };
            let told = tws::ExecutionDetails::decode(&kept.execution[..]).unwrap_or_default();
            let before = kept.corrects_exec_id.clone();
            let fill = told.execution.clone().unwrap_or_default();
            match self.is_it(id, &Description::of_fill(&fill, told.contract.as_ref())) {
                Whose::Ours => claimed.push((exec_id, before, told, fill)),
                Whose::Another(unlike) => self.on_another(id, record.perm_id, unlike),
                Whose::Unproven | Whose::Missing | Whose::Foreign => {}
            }
        }
        for (exec_id, ..) in &claimed {
            self.executions.claim(exec_id, &record, now);
            if let Some(kept) = self.executions.get(exec_id).cloned() {
                self.telling.write(crate::orders::journal::Write::Execution(Box::new(kept)));
            }
        }
        for (exec_id, before, told, fill) in claimed {
            let less = (!before.is_empty()).then(|| self.executions.less(&before, &exec_id));
            self.on_filled(id, &told, &fill, less, now);
        }
        self.tell_due_executions(now);
    }

    /// What an execution says of its order: a market order can fill without any status. `less` is by
    /// how much it is less than the one that it corrects, if it corrects one.
    fn on_filled(
        &mut self,
        id: i32,
        told: &tws::ExecutionDetails,
        execution: &tws::Execution,
        less: Option<f64>,
        now: Instant,
    ) {
        let epoch = self.epoch.unwrap_or_default();
        let Some(order) = self.book.get_mut(id) else {
            return;
        };
        // A list tells what was; that it still works, only what comes as it happens.
        let is_listed = told.req_id() >= 0;
        if !is_listed {
            order.seen_in = epoch;
        }
        if order.record.perm_id == 0 {
            order.record.perm_id = execution.perm_id();
        }
        let request = tws::PlaceOrderRequest::decode(&order.record.request[..]).unwrap_or_default();
        let of_a_leg =
            request.contract.as_ref().is_some_and(|contract| contract.sec_type() == "BAG")
                && told.contract.as_ref().is_some_and(|contract| contract.sec_type() != "BAG");
        if of_a_leg {
            return;
        }
        if let Some(less) = less.filter(|less| *less > 0.0) {
            return self.on_corrected(id, less, execution.avg_price(), now);
        }
        // What it was at the time of a correction of an earlier one is less than all of them.
        let filled = match less.map(|_| self.executions.sum_of(id)) {
            Some(sum) if is_more(&decimal(sum), execution.cum_qty()) => decimal(sum),
            _ => execution.cum_qty().to_owned(),
        };
        if !is_more(&order.record.filled, &filled) {
            // As much again is a correction of the newest one.
            order.fill_to(&filled);
            order.filled_in = self.reconciler.passes_begun();
            order.record.avg_fill_price = execution.avg_price();
        }
        let total = largest_total(&request, &order.record);
        let concluded = order.state();
        let next = match (number(&filled), total) {
            // More than that: a change is in force that this journal does not know (a backup).
            (Some(filled), Some(total)) if filled == total && total > 0.0 => Some(State::Filled),
            _ if concluded == State::Cancelled => Some(State::Cancelled),
            // It has arrived, and what has become of the rest is not said.
            _ if is_listed && matches!(concluded, State::NotSent | State::Rejected) => {
                Some(State::Unknown)
            }
            _ if is_listed && order.state_for_gateway() == State::Unknown => None,
            _ => Some(State::Working),
        };
        let moved = next.is_some_and(|next| {
            follows(order.state_for_gateway(), next)
                && order.transition(next, "its executions say so") == Ok(true)
        });
        if moved && !order.is_live() {
            order.ended_in = self.reconciler.passes_begun();
        }
        if moved && !is_live(concluded) {
            let text =
                format!("order {id} was taken for {concluded:?}; its executions say otherwise");
            self.note(Severity::Warning, text);
        }
        let changed = self.settle_change(id, next, false, now);
        if moved || !changed {
            let kind = if moved { OrderEventKind::State } else { OrderEventKind::Update };
            self.tell(id, kind, now);
        }
    }

    pub(in crate::orders) fn on_commission(
        &mut self,
        told: &tws::CommissionAndFeesReport,
        message: &[u8],
        now: Instant,
    ) {
        let Some(id) = self.executions.commission(told.exec_id(), message, now) else {
            return;
        };
        if self.executions.get(&id).is_some_and(|record| record.told) {
            self.tell_execution(&id, Some(ExecutionEventKind::Commission), now);
        } else {
            self.tell_due_executions(now);
        }
    }
}

/// The most that the order can want: FILLED is for good, and a change may be in force that
/// Gateway has not answered, or one whose answer was lost. One that Gateway itself has refused, or
/// that never left, is not.
pub(in crate::orders) fn largest_total(
    request: &tws::PlaceOrderRequest,
    record: &OrderRecord,
) -> Option<f64> {
    let asked = |request: &tws::PlaceOrderRequest| {
        request.order.as_ref().and_then(|order| number(order.total_quantity()))
    };
    let change = record.change.as_ref();
    let overtaken = change.and_then(|change| change.overtaken.as_deref());
    let may_be_in_force = |change: &&Change| match change.state() {
        ChangeState::Failed => change.gateway_code == 0,
        state => state != ChangeState::NotSent,
    };
    let wanted = |change: &Change| {
        let request = tws::PlaceOrderRequest::decode(&change.request[..]).ok();
        request.and_then(|request| asked(&request))
    };
    let changes = [change, overtaken].into_iter().flatten().filter(may_be_in_force);
    let changed = changes.filter_map(wanted).reduce(f64::max);
    let told = Some(&record.told_order).filter(|told| !told.is_empty());
    let told = told
        .and_then(|told| tws::Order::decode(&told[..]).ok())
        .and_then(|order| number(order.total_quantity()));
    [asked(request), changed, told].into_iter().flatten().reduce(f64::max)
}
