//! What is written down, and what is told of it: every change of an order is a row and a numbered
//! event, in one piece; an event is shown once it is on disk, so that its number is never another
//! event's.
//!
//! While the journal cannot be written, events are shown all the same: owners must hear of their
//! fills. Their numbers are then not on disk, so the numbers of the next process begin far above.
//!
//! Read on in `telling/view.rs` (an order as it is shown) and `telling/lists.rs` (Gateway's own lists).

pub(super) mod lists;
pub(super) mod view;

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use ibouncer_proto::api::journal::v1::event_record::Event;
use ibouncer_proto::api::v1::{
    ExecutionEvent, ExecutionEventKind, OrderEvent, OrderEventKind, TradingHalt, TradingStatus,
};

use super::body::patch::{put_part, with_parts};
use super::brakes::{Doubt, Gate};
use super::journal::{EventRecord, Write};
use super::{Desk, Doing};
use crate::clock::Clock;
use crate::error;
use crate::hub::Reply;
use crate::ids::CallId;
use crate::notes::Severity;
use crate::principals::WhenAway;

/// More events than that do not happen, so the clock is ahead of all numbers that were used.
const NUMBERS_A_MILLISECOND: u64 = 1_000;

/// Numbers that a process can have used without their being on disk, if the clock was set back.
const UNWRITTEN: u64 = 1_000_000;

/// What is on its way to the disk.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    batch: Vec<Write>,
    /// The newest batch that was handed out.
    written: u64,
    committed: u64,
    newest_event: u64,
    /// The newest that was shown.
    told_event: u64,
    untold: VecDeque<(u64, Box<EventRecord>)>,
    failing: bool,
    /// Answers that count once this is on disk.
    answers: VecDeque<(u64, CallId, Bytes)>,
    /// An event is on disk: the numbers of the next process will not be these again.
    begun: bool,
}

impl Telling {
    /// Goes on behind what is on disk, and behind what an earlier life may have shown that is not:
    /// the disk had failed, or holds a backup from before. The clock grows faster than numbers do.
    pub(crate) fn resume(&mut self, newest_event: u64, unix_millis: i64) {
        self.told_event = newest_event;
        self.begun = newest_event > 0;
        let clock = unix_millis.unsigned_abs().saturating_mul(NUMBERS_A_MILLISECOND);
        // A new journal, too: there may have been one before.
        self.newest_event = if newest_event < clock { clock } else { newest_event + UNWRITTEN };
    }

    pub(crate) fn write(&mut self, write: Write) {
        self.batch.push(write);
    }

    pub(crate) fn event(&mut self, owner: &str, account: &str, event: impl FnOnce(u64) -> Event) {
        self.newest_event += 1;
        let sequence = self.newest_event;
        let record = Box::new(EventRecord {
            sequence,
            owner: owner.to_owned(),
            account: account.to_owned(),
            event: Some(event(sequence)),
        });
        self.batch.push(Write::Event(record.clone()));
        self.untold.push_back((self.written + 1, record));
    }

    /// What depends on everything written so far waits for this number.
    pub(crate) fn wait_for(&self) -> u64 {
        if self.batch.is_empty() { self.written } else { self.written + 1 }
    }

    /// Nobody waits for this answer any more.
    pub(crate) fn drop_call(&mut self, call: CallId) {
        self.answers.retain(|(_, waits, _)| *waits != call);
    }

    pub(crate) fn poll_batch(&mut self) -> Option<(u64, Vec<Write>)> {
        if self.batch.is_empty() {
            return None;
        }
        self.written += 1;
        Some((self.written, std::mem::take(&mut self.batch)))
    }

    pub(crate) fn poll_event(&mut self) -> Option<Box<EventRecord>> {
        let (batch, _) = self.untold.front()?;
        let written = *batch <= self.committed;
        let unwritten = self.failing && self.begun && *batch <= self.written;
        if !written && !unwritten {
            return None;
        }
        self.begun |= written;
        let (_, event) = self.untold.pop_front()?;
        self.told_event = event.sequence;
        Some(event)
    }

    /// Watchers have been shown everything up to here.
    pub(crate) fn told_event(&self) -> u64 {
        self.told_event
    }

    pub(crate) fn newest_event(&self) -> u64 {
        self.newest_event
    }
}

impl Desk {
    /// Answers an operator once what it has ordered outlives this process. If the disk takes nothing,
    /// that is said at once: it holds all the same.
    pub(super) fn answer_once_written(&mut self, call: CallId, response: Vec<u8>) {
        self.telling.answers.push_back((self.telling.wait_for(), call, response.into()));
        self.release_answers();
    }

    fn release_answers(&mut self) {
        let (committed, failing) = (self.telling.committed, self.telling.failing);
        while let Some((number, call, answer)) =
            self.telling.answers.pop_front_if(|(number, ..)| failing || *number <= committed)
        {
            let missing = match number > committed {
                true => Some("the journal cannot be written"),
                false => self.brakes.audit.as_ref().map(|_| "the audit log cannot be written"),
            };
            let answer = match missing {
                Some(missing) => {
                    let what = format!(
                        "it holds now, but {missing}: if the broker ends before it can, say it \
                         again then"
                    );
                    let note = format!("an operator's word is not on disk; {what}");
                    self.note(Severity::Warning, note);
                    Err(error::not_on_disk(&what))
                }
                None => Ok(Reply::Answer(answer)),
            };
            self.reply(call, answer);
        }
    }

    /// Everything up to this number is on disk.
    pub fn on_journaled(&mut self, through: u64) {
        self.telling.committed = self.telling.committed.max(through);
        self.release_answers();
        if std::mem::take(&mut self.telling.failing) {
            self.brakes.journal = None;
            self.note(Severity::Info, "the journal of orders can be written again".into());
            self.doings.push_back(Doing::StatusChanged);
            self.waiting.try_all();
        }
    }

    /// The journal cannot be written. What waits for it does not leave.
    pub fn on_journal_failed(&mut self, error: &str) {
        if std::mem::replace(&mut self.telling.failing, true) {
            return;
        }
        tracing::error!(error, "the journal of orders cannot be written; no order is taken");
        self.release_answers();
        let what = format!(
            "the journal of orders cannot be written: {error}. No order is taken until it can; \
             cancels and data go on"
        );
        self.note(Severity::Error, what);
        self.brakes.journal = Some(error.to_owned());
        self.doings.push_back(Doing::StatusChanged);
    }

    /// Something in the journal is not what was written. Orders that are known go on, and can be
    /// cancelled; nothing new is taken until a person has repaired it.
    pub fn on_damaged(&mut self, words: String) {
        self.doubt(Doubt::Damaged, words);
    }

    /// The audit log cannot be written, and why; or it can again.
    pub fn on_audit(&mut self, error: Option<String>) {
        if let Some(error) = &error {
            tracing::error!(error, "the audit log cannot be written; no order is taken");
            let what = format!("the audit log cannot be written: {error}; no order is taken");
            self.note(Severity::Error, what);
        }
        self.brakes.audit = error;
        self.doings.push_back(Doing::StatusChanged);
        self.waiting.try_all();
    }

    /// Is everything up to this number on disk?
    pub(crate) fn is_on_disk(&self, number: u64) -> bool {
        number <= self.telling.committed
    }

    pub(crate) fn is_journal_failing(&self) -> bool {
        self.telling.failing
    }

    /// Trading as status shows it: a word, and the details; none if it is off.
    pub(crate) fn status(&self, clock: &Clock) -> (&'static str, Option<TradingStatus>) {
        if !self.active {
            return ("off", None);
        }
        let halt =
            self.facts.halts.get("").map(|halt| format!("halted by {}: {}", halt.by, halt.reason));
        let gate = match (self.brakes.gate(WhenAway::Reject), self.ids_are_used_up()) {
            (Gate::Open, Some(error)) => Gate::Closed(error),
            (gate, _) => gate,
        };
        let (word, because) = match (halt, gate) {
            _ if !self.settings.enabled => ("off", "trading.enabled is false; cancels pass".into()),
            (Some(halt), _) => ("halted", halt),
            (None, Gate::Open) => ("on", "orders are taken".to_owned()),
            (None, Gate::Wait) => ("down", String::new()),
            (None, Gate::Closed(error)) => {
                let word = match error.code.as_str() {
                    "TRADING_RECONCILING" => "reconciling",
                    "NOT_READY" | "TRADING_OFF" => "down",
                    _ => "halted",
                };
                (word, error.message)
            }
        };
        let halts = self.facts.halts.iter().map(|(client, halt)| TradingHalt {
            client: client.clone(),
            reason: halt.reason.clone(),
            by: halt.by.clone(),
            since: Some(view::timestamp(halt.since_ms)),
        });
        let doubts = self.brakes.doubts.values().map(|doubt| TradingHalt {
            reason: doubt.clone(),
            by: "broker".into(),
            ..TradingHalt::default()
        });
        let status = TradingStatus {
            because,
            halts: halts.chain(doubts).collect(),
            open_orders: self.book.counts().0 as u32,
            unknown_orders: self.book.counts().1 as u32,
            foreign_orders: self.book.foreign.len() as u32,
            journal: self.brakes.journal.clone().unwrap_or_else(|| "ok".into()),
            next_order_id: self.next_id,
            reconciled_at: self.reconciled.map(|at| clock.at(at)),
        };
        (word, Some(status))
    }

    /// What everything written so far waits for.
    pub(crate) fn written(&self) -> u64 {
        self.telling.wait_for()
    }

    pub(super) fn save_facts(&mut self) {
        let facts = Box::new(self.facts.clone());
        self.telling.write(Write::Facts(facts));
    }

    /// Something about this order changed that nobody is shown: a row alone.
    pub(super) fn save_order(&mut self, id: i32) {
        if let Some(order) = self.book.get(id).filter(|order| order.journaled) {
            self.telling.write(Write::Order(Box::new(order.record.clone())));
        }
    }

    /// Something about this order changed: a row, and an event.
    pub(super) fn tell(&mut self, id: i32, kind: OrderEventKind, now: Instant) {
        let millis = self.millis(now);
        let Some(order) = self.book.get_mut(id) else {
            return;
        };
        order.record.updated_ms = millis;
        order.record.sequence = self.telling.newest_event() + 1;
        order.journaled = true;
        let record = order.record.clone();
        self.book.note(id);
        let shown = self.shown(&record);
        self.telling.event(&record.owner, &record.account, |sequence| {
            let event = OrderEvent {
                sequence,
                at: Some(view::timestamp(millis)),
                kind: kind.into(),
                order: None,
            };
            Event::Order(with_parts(&event, view::EVENT_ORDER, [shown]).into())
        });
        self.telling.write(Write::Order(Box::new(record)));
    }

    /// Executions whose commission has come, or has not come in time.
    pub(super) fn tell_due_executions(&mut self, now: Instant) {
        for id in self.executions.due(now) {
            self.tell_execution(&id, None, now);
        }
    }

    pub(super) fn tell_execution(
        &mut self,
        id: &str,
        kind: Option<ExecutionEventKind>,
        now: Instant,
    ) {
        let millis = self.millis(now);
        let Some(record) = self.executions.get(id).cloned() else {
            return;
        };
        let kind = kind.unwrap_or(match record.corrects_exec_id.is_empty() {
            true => ExecutionEventKind::New,
            false => ExecutionEventKind::Corrected,
        });
        let execution = lists::execution(&record.execution);
        self.telling.event(&record.owner, &record.account, |sequence| {
            let event = ExecutionEvent {
                sequence,
                at: Some(view::timestamp(millis)),
                kind: kind.into(),
                owner: record.owner.clone(),
                client_order_id: record.client_order_id.clone(),
                corrects_exec_id: record.corrects_exec_id.clone(),
                ..ExecutionEvent::default()
            };
            let mut event = with_parts(&event, view::EVENT_EXECUTION, [execution]);
            if !record.commission.is_empty() {
                put_part(&mut event, view::EVENT_COMMISSION, &record.commission);
            }
            Event::Execution(event.into())
        });
        self.telling.write(Write::Execution(Box::new(record)));
    }
}
