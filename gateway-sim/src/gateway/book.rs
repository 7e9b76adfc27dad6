//! The order book: every order of the account, of whichever client, and what becomes of it.
//!
//! Pure: wishes, quotes and time go in, frames for clients come out. An order is named by client id
//! and order id, and for good by its permanent id, which it gets when it arrives. Here is what the
//! book holds. What an order is, is in `book/entry.rs`, its types are in `kinds.rs`; requests
//! change it in `changes.rs`, prices meet it in `matching.rs`, and what is filled goes into the
//! account in `trades.rs`; families and OCA groups are in `groups.rs`, the link to IB and Gateway's
//! sessions in `sessions.rs`, what is done to orders on purpose in `scripts.rs`, executions that
//! come again in `corrections.rs`. What is told leaves through `news.rs`, as frames of `wire.rs`;
//! `account.rs` is the account of exposure. Requests are checked before they come here, in
//! `gateway/trading.rs`. Rules: protocol fact sheet, sections 5.3 and 7.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ibouncer_proto::tws::v1::{AttachedOrders, Contract, OpenOrder, Order};

use super::answer::Refusal;
use super::executions::Done;
use super::holdings::{Holding, Portfolio};
use super::listings::{Directory, Listing};
use super::traded::Traded;
use crate::ledger::{LedgerEntry, LedgerRefusal, OrderChange};
use crate::seeds::SeedOwner;
pub(super) use entry::{Entry, NewEntry, Status};
pub(super) use kinds::Kind;
use living::Living;
pub(super) use quantity::Quantity;
pub(super) use scripts::{AtOrder, Script};

mod account;
mod changes;
mod corrections;
mod entry;
mod groups;
mod kinds;
mod living;
mod matching;
mod news;
mod quantity;
mod scripts;
mod sessions;
mod trades;
pub(super) mod wire;

/// Permanent ids of orders that arrive count from here: beyond what fits into 32 bits.
const FIRST_PERM_ID: i64 = 3_000_000_001;

/// How the book behaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// Only market orders are filled by themselves.
    pub(super) manual_fills: bool,
    /// An order of more than this is filled in parts, four at most.
    pub(super) part: Quantity,
    /// Between two parts.
    pub(super) interval: Duration,
    /// Active orders of one contract, side and account.
    pub(super) most_active: u32,
    /// Next valid order id of a client that has used none.
    pub(super) first_order_id: i32,
}

/// What the book needs of its surroundings.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    pub(super) portfolio: &'a mut Portfolio,
    pub(super) directory: &'a Directory,
    pub(super) now: Duration,
    /// Unix time in seconds.
    pub(super) unix: i64,
}

/// Bid, ask, and the smallest step between prices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Quote {
    pub(super) bid: f64,
    pub(super) ask: f64,
    pub(super) step: f64,
}

/// A request to place or to modify, checked as far as that goes without the book.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) owner: SeedOwner,
    pub(super) order_id: i32,
    pub(super) traded: Traded,
    pub(super) contract: Contract,
    pub(super) order: Order,
    pub(super) kind: Kind,
    pub(super) buy: bool,
    pub(super) quantity: Quantity,
    pub(super) attached: Option<AttachedOrders>,
    /// What IB will say to it, once it is there.
    pub(super) rejection: Option<Refusal>,
    /// Equity of its account, with which a question what it would do is answered.
    pub(super) equity: f64,
    /// A notice that comes with it.
    pub(super) warning: Option<(i32, String)>,
}

/// What is told, once, to whom it concerns.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Frame {
    /// As the order is now; with its commission.
    OpenOrder(Box<Entry>, bool),
    /// And why it does not work yet.
    Status(Box<Entry>, Option<&'static str>),
    WhatIf(Box<OpenOrder>),
    Execution(Box<Done>),
    Commission(Box<Done>),
    Error(i32, i32, String),
    Position(Holding),
    /// The end of a list of open orders.
    End,
}

/// Whom a frame concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    Owner(SeedOwner),
    Everyone,
}

/// What waits for the link to IB.
#[derive(Debug)]
enum Queued {
    Submit(i64),
    Modify(i64, Box<Wish>),
    Cancel(i64),
}

/// All orders.
#[derive(Debug)]
pub(super) struct OrderBook {
    settings: Settings,
    /// By permanent id, in the order of arrival.
    entries: BTreeMap<i64, Entry>,
    /// Those of them that are not over.
    alive: Living,
    /// Those that came with a parent, by their parent; over or not.
    children: BTreeMap<i64, Vec<i64>>,
    /// All that a quote may change, and perhaps some that it may not any more.
    restless: BTreeSet<i64>,
    /// Those of which a part was filled and the next may be due.
    in_parts: BTreeSet<i64>,
    /// Client id and order id, of those that have one.
    names: BTreeMap<(i32, i32), i64>,
    /// Highest order id that each client has used.
    highest: BTreeMap<i32, i32>,
    next_perm_id: i64,
    own_client_id: Option<i32>,
    /// Of single contracts: combinations are quoted by their legs.
    quotes: BTreeMap<Listing, Quote>,
    pub(super) executions: Vec<Done>,
    pub(super) script: Script,
    /// Whether the link to IB holds, what waits for it, and what IB has to tell meanwhile.
    linked: bool,
    queue: VecDeque<Queued>,
    withheld: Vec<(Audience, Frame)>,
    news: VecDeque<(Audience, Frame)>,
    /// Answers that come in the next session of a client.
    later: BTreeMap<i32, Vec<Frame>>,
    refused: Vec<LedgerRefusal>,
    changes: VecDeque<(OrderChange, LedgerEntry)>,
}

impl OrderBook {
    pub(super) fn new(settings: Settings, own_client_id: Option<i32>) -> Self {
        Self {
            settings,
            entries: BTreeMap::new(),
            alive: Living::default(),
            children: BTreeMap::new(),
            restless: BTreeSet::new(),
            in_parts: BTreeSet::new(),
            names: BTreeMap::new(),
            highest: BTreeMap::new(),
            next_perm_id: FIRST_PERM_ID,
            own_client_id,
            quotes: BTreeMap::new(),
            executions: Vec::new(),
            script: Script::default(),
            linked: true,
            queue: VecDeque::new(),
            withheld: Vec::new(),
            news: VecDeque::new(),
            later: BTreeMap::new(),
            refused: Vec::new(),
            changes: VecDeque::new(),
        }
    }

    /// Puts an order in that was there before the start.
    pub(super) fn seed(&mut self, new: NewEntry, status: (Status, i64), filled: Quantity) {
        let (perm_id, owner, order_id) = (new.perm_id, new.owner, new.order_id);
        let (status, unix) = status;
        let mut entry = Entry::new(new, status);
        entry.filled = filled;
        entry.paid = filled.as_f64() * entry.order.lmt_price();
        entry.ended = (!status.is_alive()).then_some(unix);
        (entry.seeded, entry.stuck) = (true, true);
        self.keep(entry);
        if owner != SeedOwner::Own || self.own_client_id.is_some() {
            self.name(owner, order_id, perm_id);
        }
    }

    /// The orders that are "ours" are those of this client, unless that is known already.
    pub(super) fn adopt(&mut self, client_id: i32) {
        if self.own_client_id.is_some() {
            return;
        }
        self.own_client_id = Some(client_id);
        let own = self.entries.values().filter(|entry| entry.owner == SeedOwner::Own);
        let own: Vec<_> = own.map(|entry| (entry.order_id, entry.perm_id)).collect();
        for (order_id, perm_id) in own {
            self.name(SeedOwner::Own, order_id, perm_id);
        }
    }

    /// The client id on the orders of an owner. Manual ones have that of the client that binds
    /// them.
    pub(super) fn client_of(&self, owner: SeedOwner) -> i32 {
        match owner {
            SeedOwner::Own => self.own_client_id.unwrap_or_default(),
            SeedOwner::Client(client_id) => client_id,
            SeedOwner::Manual => 0,
        }
    }

    /// The next valid order id of a client.
    pub(super) fn next_order_id(&self, client_id: i32) -> i32 {
        let highest = self.highest.get(&client_id).copied().unwrap_or_default();
        self.settings.first_order_id.max(highest.saturating_add(1))
    }

    /// How much an order wants.
    pub(super) fn quantity_of(&self, owner: SeedOwner, order_id: i32) -> Option<Quantity> {
        self.entries.get(&self.named(owner, order_id)?).map(|entry| entry.quantity)
    }

    /// Every order, in the order of arrival.
    pub(super) fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.values()
    }

    /// Orders that are not over.
    pub(super) fn living(&self) -> impl Iterator<Item = &Entry> {
        self.alive.iter().filter_map(|perm_id| self.entries.get(&perm_id))
    }

    /// Notes a request that made no order and changed none.
    pub(super) fn note_refused(
        &mut self,
        client_id: i32,
        order_id: i32,
        order_ref: String,
        code: i32,
    ) {
        self.refused.push(LedgerRefusal { client_id, order_id, order_ref, code });
    }

    fn keep(&mut self, entry: Entry) {
        let perm_id = entry.perm_id;
        if entry.is_alive() {
            self.alive.insert(&entry);
            self.restless.insert(perm_id);
        }
        if let Some(parent) = entry.parent {
            self.children.entry(parent).or_default().push(perm_id);
        }
        self.entries.insert(perm_id, entry);
    }

    fn name(&mut self, owner: SeedOwner, order_id: i32, perm_id: i64) {
        if owner == SeedOwner::Manual {
            return;
        }
        let client_id = self.client_of(owner);
        self.names.insert((client_id, order_id), perm_id);
        self.use_id(client_id, order_id);
    }

    fn use_id(&mut self, client_id: i32, order_id: i32) {
        let highest = self.highest.entry(client_id).or_default();
        *highest = (*highest).max(order_id);
    }
}
