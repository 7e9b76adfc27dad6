//! All orders, found by id, by their owner's name for them, and by permId; and those that others
//! placed, as far as Gateway tells of them.
//!
//! Read on in `book/order.rs` (the machines of an order and of its change) and `book/executions.rs`.

pub(super) mod executions;
pub(super) mod order;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ibouncer_proto::api::v1::OrderState as State;
use ibouncer_proto::tws::v1 as tws;

use super::journal::OrderRecord;
use order::Order;

/// An open order that was not placed through this broker.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Foreign {
    pub(crate) told: tws::OpenOrder,
    pub(crate) status: tws::OrderStatus,
    /// The same, as they came.
    pub(crate) open_order: Bytes,
    pub(crate) order_status: Bytes,
    /// When Gateway told of it last.
    pub(crate) told_ms: i64,
    /// Lists that ended since, with the one that told.
    lists: u8,
}

/// What tells orders of others apart: the permId, or client and order id before there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ForeignId(i64, i32, i32);

impl ForeignId {
    pub(crate) fn new(perm_id: i64, client_id: i32, order_id: i32) -> Self {
        if perm_id == 0 { Self(0, client_id, order_id) } else { Self(perm_id, 0, 0) }
    }
}

/// A list comes late, and may share its end with another: an order that is missing from two of
/// them is gone.
const MOST_LISTS: u8 = 3;

impl Foreign {
    /// Gateway tells of it.
    pub(crate) fn on_told(&mut self, now_ms: i64) {
        self.told_ms = now_ms;
        self.lists = 0;
    }
}

/// The orders.
#[derive(Debug, Default)]
pub(crate) struct Book {
    orders: BTreeMap<i32, Order>,
    names: BTreeMap<String, BTreeMap<String, i32>>,
    perm_ids: BTreeMap<i64, i32>,
    live: BTreeMap<String, BTreeSet<i32>>,
    unknown: BTreeSet<i32>,
    pub(crate) foreign: BTreeMap<ForeignId, Foreign>,
}

impl Book {
    pub(crate) fn load(mut records: Vec<OrderRecord>) -> Self {
        records.sort_by_key(|record| record.order_id);
        let mut book = Self::default();
        for record in records {
            let mut order = Order::new(record);
            order.journaled = true;
            // One that never left gave its name to a later one.
            book.forget_named(&order.record.owner, &order.record.client_order_id);
            book.add(order);
        }
        book
    }

    pub(crate) fn add(&mut self, order: Order) {
        let id = order.record.order_id;
        let names = self.names.entry(order.record.owner.clone()).or_default();
        names.insert(order.record.client_order_id.clone(), id);
        self.orders.insert(id, order);
        self.note(id);
    }

    /// Forgets an order of which nothing is on disk and nothing has left.
    pub(crate) fn forget(&mut self, id: i32) -> Option<Order> {
        let order = self.orders.remove(&id)?;
        if let Some(names) = self.names.get_mut(&order.record.owner) {
            names.remove(&order.record.client_order_id);
        }
        if let Some(live) = self.live.get_mut(&order.record.owner) {
            live.remove(&id);
        }
        self.unknown.remove(&id);
        Some(order)
    }

    /// Its name is another order's from now on.
    pub(crate) fn forget_named(&mut self, owner: &str, client_order_id: &str) {
        if let Some(before) = self.named(owner, client_order_id) {
            self.forget(before);
        }
    }

    /// It lives on under another name.
    pub(crate) fn rename(&mut self, id: i32, client_order_id: String) {
        let Some(order) = self.orders.get_mut(&id) else {
            return;
        };
        let names = self.names.entry(order.record.owner.clone()).or_default();
        names.remove(&order.record.client_order_id);
        names.insert(client_order_id.clone(), id);
        order.record.client_order_id = client_order_id;
    }

    pub(crate) fn get(&self, id: i32) -> Option<&Order> {
        self.orders.get(&id)
    }

    /// To be followed by [`Self::note`].
    pub(crate) fn get_mut(&mut self, id: i32) -> Option<&mut Order> {
        self.orders.get_mut(&id)
    }

    /// After a change of this order: what it is found by.
    pub(crate) fn note(&mut self, id: i32) {
        let Some(order) = self.orders.get(&id) else {
            return;
        };
        if order.record.perm_id != 0 {
            self.perm_ids.insert(order.record.perm_id, id);
        }
        if order.state() == State::Unknown {
            self.unknown.insert(id);
        } else {
            self.unknown.remove(&id);
        }
        let live = self.live.entry(order.record.owner.clone()).or_default();
        if order.is_live() {
            live.insert(id);
        } else {
            live.remove(&id);
        }
    }

    pub(crate) fn named(&self, owner: &str, client_order_id: &str) -> Option<i32> {
        self.names.get(owner)?.get(client_order_id).copied()
    }

    pub(crate) fn by_perm_id(&self, perm_id: i64) -> Option<i32> {
        self.perm_ids.get(&perm_id).copied()
    }

    pub(crate) fn live_of(&self, owner: &str) -> Vec<i32> {
        self.live.get(owner).map(|live| live.iter().copied().collect()).unwrap_or_default()
    }

    pub(crate) fn live_count(&self, owner: &str) -> usize {
        self.live.get(owner).map_or(0, BTreeSet::len)
    }

    /// Orders that have not ended, and those of them that are UNKNOWN.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.live.values().map(BTreeSet::len).sum(), self.unknown.len())
    }

    pub(crate) fn live(&self) -> Vec<i32> {
        let mut all: Vec<i32> = self.live.values().flatten().copied().collect();
        all.sort_unstable();
        all
    }

    /// The last order of a group in the frame in which it left; those that Gateway attaches are in none.
    pub(crate) fn last_of_group(&self, group: &str) -> Option<&Order> {
        let is_in = |one: &&Order| one.record.group == group && one.record.attached_to == 0;
        self.orders.values().rev().filter(|_| !group.is_empty()).find(is_in)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Order> {
        self.orders.values()
    }

    /// Gateway's list of open orders has come.
    pub(crate) fn age_foreign(&mut self) {
        self.foreign.retain(|_, one| {
            one.lists += 1;
            one.lists < MOST_LISTS
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    pub(crate) fn highest_id(&self) -> i32 {
        self.orders.keys().next_back().copied().unwrap_or(0)
    }

    pub(crate) fn check_invariants(&self) {
        for (id, order) in &self.orders {
            assert_eq!(*id, order.record.order_id);
            let named = self.named(&order.record.owner, &order.record.client_order_id);
            assert_eq!(named, Some(*id), "a name is one order's");
            let listed = self.live.get(&order.record.owner).is_some_and(|live| live.contains(id));
            assert_eq!(listed, order.is_live(), "order {id}");
            assert_eq!(self.unknown.contains(id), order.state() == State::Unknown, "order {id}");
        }
    }
}
