//! The journal of orders and its disk: rows that are durable after a while, in order, each batch
//! whole or not at all.
//!
//! A broker that is killed loses what was not durable, but for what the disk took without having
//! said so. A full disk takes nothing until it is emptied. A backup is an older copy of all rows.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ibouncer_core::hub::Input;
use ibouncer_core::orders::journal::{
    EventRecord, ExecutionRecord, Facts, Loaded, OrderRecord, Write,
};
use ibouncer_proto::api::v1::OrderState;

use crate::events::Event;
use crate::world::World;

/// What is durable.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    pub(crate) facts: Option<Facts>,
    pub(crate) orders: BTreeMap<i32, OrderRecord>,
    pub(crate) executions: BTreeMap<String, ExecutionRecord>,
    pub(crate) events: BTreeMap<u64, EventRecord>,
}

/// The journal.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) rows: Rows,
    pending: VecDeque<(u64, Vec<Write>)>,
    /// The disk is at work.
    busy: bool,
    pub(crate) full: bool,
    pub(crate) slow: bool,
    backup: Option<Rows>,
    /// The next broker finds the backup.
    restore: bool,
    pub(crate) restored: u64,
    pub(crate) failures: u64,
}

impl Rows {
    fn write(&mut self, write: Write) {
        match write {
            Write::Facts(facts) => self.facts = Some(*facts),
            Write::Order(record) => {
                // As the table has it: a name is one row's, and one that never left gives it away.
                self.orders.retain(|id, one| {
                    let gone = same_name(one, &record) && one.state() == OrderState::NotSent;
                    *id == record.order_id || !gone
                });
                let twice = |(id, one): (&i32, &OrderRecord)| {
                    *id != record.order_id && same_name(one, &record)
                };
                assert!(!self.orders.iter().any(twice), "two rows of one name: {record:?}");
                drop(self.orders.insert(record.order_id, *record));
            }
            Write::Execution(record) => {
                drop(self.executions.insert(record.exec_id.clone(), *record));
            }
            Write::Event(event) => drop(self.events.insert(event.sequence, *event)),
        }
    }
}

fn same_name(one: &OrderRecord, other: &OrderRecord) -> bool {
    one.owner == other.owner && one.client_order_id == other.client_order_id
}

impl Journal {
    /// What a broker finds at its start.
    pub(crate) fn load(&mut self) -> Loaded {
        if std::mem::take(&mut self.restore)
            && let Some(backup) = &self.backup
        {
            self.rows = backup.clone();
            self.restored += 1;
        }
        let rows = &self.rows;
        Loaded {
            facts: rows.facts.clone(),
            orders: rows.orders.values().cloned().collect(),
            executions: rows.executions.values().cloned().collect(),
            newest_event: rows.events.keys().next_back().copied().unwrap_or(0),
            ..Loaded::default()
        }
    }

    /// A copy is put aside, or the next broker will find it.
    pub(crate) fn back_up(&mut self) {
        match self.backup {
            Some(_) => self.restore = true,
            // A new journal counts its events from the beginning.
            None if self.rows.events.is_empty() => {}
            None => self.backup = Some(self.rows.clone()),
        }
    }

    /// The broker is gone: of what was on its way, the first so many batches have arrived.
    pub(crate) fn on_broker_gone(&mut self, arrived: usize) {
        let arrived = if self.full { 0 } else { arrived };
        for (_, writes) in std::mem::take(&mut self.pending).into_iter().take(arrived) {
            writes.into_iter().for_each(|write| self.rows.write(write));
        }
        self.busy = false;
    }

    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }
}

impl World {
    /// The hub wants this written.
    pub(crate) fn on_journal(&mut self, number: u64, writes: Vec<Write>) {
        let journal = &mut self.orders.journal;
        journal.pending.push_back((number, writes));
        if !std::mem::replace(&mut journal.busy, true) {
            self.disk_works_on();
        }
    }

    fn disk_works_on(&mut self) {
        let micros = match self.rng.u8(..64) {
            _ if self.orders.journal.slow => self.rng.u64(..3_000_000),
            0 => self.rng.u64(..200_000),
            _ => self.rng.u64(50..8000),
        };
        let at = self.now + Duration::from_micros(micros);
        self.agenda.add(at, Event::Disk(self.broker.number));
    }

    /// The disk has an answer for this broker.
    pub(crate) fn on_disk(&mut self, broker: u64) {
        if !self.broker.lives || self.broker.number != broker {
            return;
        }
        let journal = &mut self.orders.journal;
        if journal.full {
            journal.failures += 1;
            self.agenda.add(self.now + Duration::from_secs(1), Event::Disk(broker));
            return self.input(Input::JournalFailed { error: "no space left".into() });
        }
        let count = self.rng.usize(1..=journal.pending.len().max(1));
        let mut through = 0;
        for (number, writes) in journal.pending.drain(..count.min(journal.pending.len())) {
            through = number;
            writes.into_iter().for_each(|write| journal.rows.write(write));
        }
        journal.busy = !journal.pending.is_empty();
        if journal.busy {
            self.disk_works_on();
        }
        self.input(Input::Journaled { through });
    }
}
