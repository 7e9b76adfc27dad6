//! The desk: orders of all clients on one session, owned, durable, sent at most once.
//!
//! ```text
//!   client ──► rights, brakes ──► book ──► pacer ──► journal ──► link ──► Gateway
//!                                  ▲                                         │
//!              events ◄── journal ─┴──────────── evidence ◄──────────────────┘
//! ```
//!
//! An order is taken in, waits for its turn, gets the number of its link frame, is written to the
//! journal, and leaves once that is on disk. Nothing that may have left is ever sent again. What
//! Gateway says is evidence; silence is none. Whatever happens to an order is a numbered event.
//!
//! Owns: the book, the order ids, who may do what to which order, whether trading is open. Never
//! decides when a message leaves (the pacer does), and never sees a socket or a file. Read on, along
//! the way of an order:
//!
//! - `orders/asked.rs`: what clients and operators ask for, what is taken in, and what waits before that;
//! - `orders/rights.rs`, `orders/brakes.rs`: whether they may, and whether trading is open;
//! - `orders/body.rs`: what of a body is rewritten, and how;
//! - `orders/book.rs`: the orders, the machine of each (`book/order.rs`), their executions;
//! - `orders/leaving.rs`: from the queue to the link;
//! - `orders/evidence.rs`: what Gateway says, of which order it says it, and what that moves;
//! - `orders/session.rs`: what a session's life means for orders, the comparison with Gateway's lists;
//! - `orders/telling.rs`: the journal's rows, events, and how an order is shown.
//!
//! `hub/trading.rs` is the way in and out.

mod asked;
mod body;
mod book;
pub mod brakes;
mod evidence;
pub mod journal;
mod leaving;
mod rights;
pub mod session;
mod telling;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use ibouncer_proto::tws::v1 as tws;

use crate::clock::Clock;
use crate::contracts::Contracts;
use crate::error::Error;
use crate::hub::Reply;
use crate::ids::{CallId, ClientId};
use crate::notes::{NoteKind, Severity};
use crate::pacing::Lane;
use crate::principals::{Imprint, Principals, TradingSettings, stands};
use asked::preview::Previewing;
pub use asked::request;
use asked::request::OrderRequest;
use asked::waiting::WaitingRoom;
use book::Book;
use book::executions::Executions;
use brakes::{Brakes, Doubt, Road};
use journal::{Audit, Beside, EventRecord, Facts, Loaded, Write};
use leaving::departures::Departures;
use leaving::pace::Pace;
use session::instances;
pub use session::reconcile::Listing;
use session::reconcile::Reconciler;

/// Who asks.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// Its id in the hub.
    pub client: ClientId,
    /// Its name there.
    pub name: String,
    /// The configured client that it is.
    pub principal: Option<String>,
    /// It may give operators' orders.
    pub operator: bool,
    /// What it is, in words.
    pub credential: String,
    /// What that is compared with after a reload.
    pub imprint: Option<Imprint>,
}

impl Caller {
    /// Is it still what it was when it called?
    pub(crate) fn stands(&self, principals: &Principals) -> bool {
        stands(principals, self.principal.as_deref(), self.imprint)
    }

    /// Who it is for people: a name that is proven, or else the one that it chose.
    pub(crate) fn shown(&self) -> &str {
        self.principal.as_deref().unwrap_or(&self.name)
    }
}

/// What the hub knows besides.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Accounts of the session.
    pub accounts: &'a [String],
    /// Gateway's version, once it has said it.
    pub server_version: Option<i32>,
    /// Price of the newest quote of a contract, if one is known.
    pub quote: &'a dyn Fn(&tws::Contract) -> Option<f64>,
    /// What Gateway has said of contracts.
    pub contracts: &'a Contracts,
    /// Now.
    pub now: Instant,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Doing {
    /// Put this into the queue for Gateway.
    Push { lane: Lane, client: ClientId, key: i32, frames: Bytes, what: (&'static str, String) },
    /// Take it out again.
    TakeBack(i32),
    /// Answer a call.
    Reply(CallId, Result<Reply, Error>),
    /// Keep this.
    Audit(Box<Audit>),
    /// Tell operators.
    Note(NoteKind, Severity, String),
    /// What Gateway said of an order's contract.
    Learn(Box<tws::Contract>),
    /// Status would read differently now.
    StatusChanged,
}

/// The desk.
#[derive(Debug)]
pub struct Desk {
    /// Trading was on at the start, so that there is a journal.
    active: bool,
    settings: TradingSettings,
    principals: Principals,
    client_id: i32,
    clock: Clock,
    book: Book,
    executions: Executions,
    facts: Facts,
    /// Journals of the same client id, if this one is new.
    beside: Vec<Beside>,
    /// Gateway's own counter of order ids, as of this session.
    counter: Option<i32>,
    /// When the newest list of executions was asked for.
    executions_asked_ms: i64,
    brakes: Brakes,
    /// Why it is not known which orders there are, if it is not.
    blind: Option<String>,
    reconciler: Reconciler,
    /// The session, if there is one.
    epoch: Option<u64>,
    /// Accounts that it has.
    accounts: Vec<String>,
    /// Orders that have ended and are open in the list that comes now, as it shows them.
    relisted: BTreeMap<i32, Bytes>,
    /// And statuses of such a list that say that less has filled.
    reduced: BTreeMap<i32, Bytes>,
    reconciled: Option<Instant>,
    /// What waits in the queue or for the disk, by the number under which it waits.
    departures: Departures,
    /// What-ifs under way: who waits for the answer, and until when.
    previews: BTreeMap<i32, Previewing>,
    /// What is not taken in yet.
    waiting: WaitingRoom,
    pace: Pace,
    /// Changes that Gateway should answer by then.
    answers_due: BTreeMap<i32, Instant>,
    /// Instances of each principal that are connected.
    instances: BTreeMap<String, BTreeSet<ClientId>>,
    /// Whose orders are to be cancelled without anybody asking now.
    owed: instances::Owed,
    /// Orders whose change ended with the broker before, which watchers do not know yet.
    unsaid: Vec<i32>,
    next_id: i32,
    next_key: i32,
    telling: telling::Telling,
    doings: VecDeque<Doing>,
}

/// Ids from here on belong to requests, with room in between.
const HIGHEST_ORDER_ID: i32 = 1_400_000_000;

impl Desk {
    /// A desk that takes no orders until [`Self::open`].
    pub fn new(
        settings: TradingSettings,
        principals: Principals,
        client_id: i32,
        clock: Clock,
    ) -> Self {
        Self {
            active: settings.enabled,
            settings,
            principals,
            client_id,
            clock,
            book: Book::default(),
            executions: Executions::default(),
            facts: Facts::default(),
            beside: Vec::new(),
            counter: None,
            executions_asked_ms: 0,
            brakes: Brakes::default(),
            blind: None,
            reconciler: Reconciler::new(),
            epoch: None,
            accounts: Vec::new(),
            relisted: BTreeMap::new(),
            reduced: BTreeMap::new(),
            reconciled: None,
            departures: Departures::default(),
            previews: BTreeMap::new(),
            waiting: WaitingRoom::default(),
            pace: Pace::default(),
            answers_due: BTreeMap::new(),
            instances: BTreeMap::new(),
            owed: instances::Owed::default(),
            unsaid: Vec::new(),
            next_id: 1,
            next_key: 0,
            telling: telling::Telling::default(),
            doings: VecDeque::new(),
        }
    }

    /// Goes on from what the journal holds. `name` is for a journal that is new.
    pub fn open(&mut self, loaded: Loaded, name: u64, clock: Clock) {
        self.clock = clock;
        if let Some(damage) = loaded.damaged {
            self.blind = loaded.blind.then(|| damage.clone());
            self.doubt(Doubt::Damaged, damage);
        }
        if let Some(place) = self.settings.volatile.clone() {
            let what = format!(
                "{place}, and the journal of orders with it. Put the state folder on a disk or a \
                 mounted volume, or `ibouncer trading adopt-state --reason …`"
            );
            self.doubt(Doubt::Volatile, what);
        }
        self.beside = loaded.beside;
        let millis = self.millis(clock.now);
        self.facts = loaded.facts.unwrap_or_else(|| Facts {
            journal_id: format!("{:08x}", name as u32),
            client_id: self.client_id,
            created_ms: millis,
            ..Facts::default()
        });
        self.book = Book::load(loaded.orders);
        // Journals of before did not keep this.
        self.facts.settled |= !self.book.is_empty();
        self.executions = Executions::load(loaded.executions, clock.now);
        self.telling.resume(loaded.newest_event, millis);
        self.pace = Pace::resume(&self.book, clock.now, millis);
        self.next_id = self.facts.floor.max(self.highest_used()) + 1;
        self.resume_doubts();
        self.forget_intents();
        self.resume_owed(clock.now);
    }

    /// Does it keep orders? Whether new ones are taken is another matter.
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// Other numbers to decide by, from now on.
    pub(crate) fn on_settings(
        &mut self,
        settings: TradingSettings,
        principals: Principals,
        contracts: &Contracts,
        now: Instant,
    ) {
        // Off is at once; on needs a journal, which is made at the start.
        let enabled = self.active && settings.enabled;
        self.settings = TradingSettings { enabled, ..settings };
        self.principals = principals;
        self.take_back_of_those_without_rights(contracts, now);
        self.fit_owed(now);
        self.waiting.try_all();
        self.doings.push_back(Doing::StatusChanged);
    }

    /// What the session can do for orders now.
    pub fn on_road(&mut self, road: Road) {
        if self.brakes.road != road {
            self.brakes.road = road;
            self.doings.push_back(Doing::StatusChanged);
            self.waiting.try_all();
        }
    }

    /// A request that waited, and may try again.
    pub(crate) fn poll_waiting(&mut self) -> Option<(CallId, Caller, OrderRequest)> {
        let (departures, share) = (&self.departures, self.settings.share);
        // Between the end of a session and the word that the road is closed, nobody has a turn.
        let settled = self.epoch.is_some() || self.brakes.road == Road::Down;
        let has_room = |owner: &str| settled && departures.count_of(owner) < share;
        let waiting = self.waiting.poll(has_room)?;
        Some((waiting.call, waiting.caller, waiting.request))
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.reconciler.handle_timeout(now);
        self.tell_due_executions(now);
        self.expire_previews(now);
        let late: Vec<i32> =
            self.answers_due.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
        for id in late {
            self.answers_due.remove(&id);
            self.on_unanswered(id, now);
        }
        self.cancel_what_is_owed(now);
    }

    /// The next time that matters.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let previews = self.previews.values().map(|one| one.deadline);
        let due = self.answers_due.values().copied();
        let owed = self.owed.poll_timeout().filter(|_| self.may_cancel());
        [self.reconciler.poll_timeout(), self.executions.poll_timeout()]
            .into_iter()
            .flatten()
            .chain(previews)
            .chain(due)
            .chain(owed)
            .min()
    }

    /// The next thing to do.
    pub(crate) fn poll_doing(&mut self) -> Option<Doing> {
        self.doings.pop_front()
    }

    /// The list to ask Gateway for now.
    pub(crate) fn poll_listing(&mut self) -> Option<Listing> {
        self.reconciler.poll_listing()
    }

    /// What is to be written since the last call, in one piece.
    pub(crate) fn poll_journal(&mut self) -> Option<(u64, Vec<Write>)> {
        self.telling.poll_batch()
    }

    /// Events whose numbers are on disk.
    pub(crate) fn poll_event(&mut self) -> Option<Box<EventRecord>> {
        self.telling.poll_event()
    }

    /// What must hold after every step.
    pub(crate) fn check_invariants(&self) {
        self.book.check_invariants();
        for order in self.book.iter() {
            let waits = self.departures.iter().any(|(_, one)| one.holds(order.record.order_id));
            if order.state() == ibouncer_proto::api::v1::OrderState::Intent {
                assert!(waits, "an order that has not left waits to");
            }
        }
    }

    fn millis(&self, now: Instant) -> i64 {
        i64::try_from(self.clock.millis(now)).unwrap_or(i64::MAX)
    }

    fn note(&mut self, severity: Severity, text: String) {
        self.doings.push_back(Doing::Note(NoteKind::Order, severity, text));
    }

    fn reply(&mut self, call: CallId, result: Result<Reply, Error>) {
        self.doings.push_back(Doing::Reply(call, result));
    }

    fn answer(&mut self, call: CallId, response: &impl prost::Message) {
        let answer = Bytes::from(response.encode_to_vec());
        self.reply(call, Ok(Reply::Answer(answer)));
    }
}
