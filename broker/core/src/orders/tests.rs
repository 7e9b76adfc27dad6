//! The desk by hand: a queue, a link, a disk and a Gateway that do what the test says.

mod administrators;
mod answers;
mod audited;
mod books;
mod changes;
mod doubts;
mod gateway;
mod groups;
mod listed;
mod lists;
mod logins;
mod losses;
mod matches;
mod names;
mod outcome;
mod overtaken;
mod owed;
mod pace;
mod reach;
mod refusals;
mod reloads;
mod requests;
mod revivals;
mod rivals;
mod rules;
mod sessions;
mod strangers;
mod turns;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use ibouncer_proto::api::journal::v1::event_record::Event;
use ibouncer_proto::api::v1::{
    self, CancelOrderRequest, ExecutionEvent, OrderEvent, OrderState as State,
};
use ibouncer_proto::tws::envelope::Envelope;
use ibouncer_proto::tws::frame::bodies;
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::asked::operator;
use super::journal::{EventRecord, OrderRecord};
use super::session::{Arrival, Before};
use super::*;
use crate::principals::{Principal, Role, WhenAway};
use requests::*;

const CLIENT_ID: i32 = 410;

/// The world around a desk.
struct Floor {
    desk: Desk,
    now: Instant,
    queue: VecDeque<(i32, Bytes)>,
    /// The newest number on the link.
    number: u64,
    /// What left: message id and body.
    left: Vec<(u32, Bytes)>,
    replies: BTreeMap<CallId, Result<Reply, Error>>,
    events: Vec<EventRecord>,
    audit: Vec<Audit>,
    notes: Vec<String>,
    /// The rows on disk.
    disk: Loaded,
    /// The disk takes what it is given.
    disk_works: bool,
    calls: u64,
    /// Of how many days executions were asked for.
    days: Vec<i32>,
    accounts: Vec<String>,
}

/// When all of these tests begin.
fn start() -> Instant {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    *START
}

fn principals() -> Principals {
    let trader = Principal { role: Role::Trade, ..Principal::default() };
    let patient = Principal { when_away: WhenAway::Queue, ..trader.clone() };
    let leaver =
        Principal { cancel_on_disconnect: Some(Duration::from_secs(30)), ..trader.clone() };
    let admin = Principal { role: Role::Admin, ..Principal::default() };
    [
        ("momentum", trader.clone()),
        ("carry", trader),
        ("patient", patient),
        ("leaver", leaver),
        ("observer", Principal::default()),
        ("risk", admin),
    ]
    .into_iter()
    .map(|(name, principal)| (name.to_owned(), principal))
    .collect()
}

impl Floor {
    /// The configuration has these clients from now on.
    fn reload(&mut self, principals: Principals) {
        let settings = self.desk.settings.clone();
        self.desk.on_settings(settings, principals, &Contracts::default(), self.now);
    }
}

impl Floor {
    /// Trading is open.
    fn open() -> Self {
        let mut floor = Self::closed(Loaded::default());
        floor.session(1, Before::New);
        floor.reconcile();
        floor
    }

    /// There is no session.
    fn closed(loaded: Loaded) -> Self {
        Self::closed_at(loaded, start())
    }

    /// At this time, which both clocks show.
    fn closed_at(loaded: Loaded, now: Instant) -> Self {
        Self::closed_for(loaded, principals(), now)
    }

    /// Of these clients.
    fn closed_for(loaded: Loaded, principals: Principals, now: Instant) -> Self {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000) + (now - start());
        let clock = Clock { now, wall };
        let settings = TradingSettings { enabled: true, ..TradingSettings::default() };
        let mut desk = Desk::new(settings, principals, CLIENT_ID, clock);
        let disk = loaded.clone();
        desk.open(loaded, 7, clock);
        let mut floor = Self {
            desk,
            now,
            queue: VecDeque::new(),
            number: 0,
            left: Vec::new(),
            replies: BTreeMap::new(),
            events: Vec::new(),
            audit: Vec::new(),
            notes: Vec::new(),
            disk,
            disk_works: true,
            calls: 0,
            days: Vec::new(),
            accounts: vec!["DU0000001".into()],
        };
        floor.settle();
        floor
    }

    fn session(&mut self, epoch: u64, before: Before) {
        self.session_of(epoch, epoch, 1, before);
    }

    /// Its worker calls it so, and Gateway gives this as the next order id.
    fn session_of(&mut self, epoch: u64, name: u64, next_valid_id: i32, before: Before) {
        self.desk.on_road(Road::Open);
        let accounts = &self.accounts.clone();
        let arrival = Arrival { epoch, name, accounts, next_valid_id, before };
        self.desk.on_session_up(arrival, self.now);
        self.settle();
    }

    fn down(&mut self) {
        self.desk.on_session_down("test", self.now);
        self.desk.on_road(Road::Down);
        self.queue.clear();
        self.number = 0;
        self.settle();
    }

    /// All lists come, empty unless the test told something in between.
    fn reconcile(&mut self) {
        while let Some(listing) = self.desk.poll_listing() {
            if listing == Listing::Executions {
                self.days.push(self.desk.ask_for_executions(self.now));
            }
            self.desk.on_listed(true, self.now);
            self.settle();
        }
    }

    /// All lists come; this is in those of open orders.
    fn reconcile_with(&mut self, mut tell: impl FnMut(&mut Self)) {
        while let Some(listing) = self.desk.poll_listing() {
            if listing == Listing::OpenOrders {
                tell(self);
            }
            self.desk.on_listed(true, self.now);
            self.settle();
        }
    }

    fn settle(&mut self) {
        loop {
            if let Some(doing) = self.desk.poll_doing() {
                match doing {
                    Doing::Push { key, frames, .. } => self.queue.push_back((key, frames)),
                    Doing::TakeBack(key) => self.queue.retain(|(one, _)| *one != key),
                    Doing::Reply(call, result) => {
                        assert!(self.replies.insert(call, result).is_none(), "{call} twice");
                    }
                    Doing::Audit(audit) => self.audit.push(*audit),
                    Doing::Note(_, _, text) => self.notes.push(text),
                    Doing::StatusChanged | Doing::Learn(_) => {}
                }
            } else if let Some((call, caller, request)) = self.desk.poll_waiting() {
                self.ask(&caller, call, &request);
            } else if let Some((number, writes)) = self.desk.poll_journal() {
                if self.disk_works {
                    self.write(writes);
                    self.desk.on_journaled(number);
                } else {
                    self.desk.on_journal_failed("disk full");
                }
            } else if let Some(event) = self.desk.poll_event() {
                self.events.push(*event);
            } else {
                break;
            }
        }
        self.desk.check_invariants();
    }

    fn write(&mut self, writes: Vec<Write>) {
        for write in writes {
            match write {
                Write::Facts(facts) => self.disk.facts = Some(*facts),
                Write::Order(record) => {
                    // As the table has it: one that never left gives its name away.
                    let same_name = |one: &OrderRecord| {
                        one.owner == record.owner && one.client_order_id == record.client_order_id
                    };
                    self.disk.orders.retain(|one| {
                        let gone = same_name(one) && one.state() == State::NotSent;
                        one.order_id != record.order_id && !gone
                    });
                    assert!(!self.disk.orders.iter().any(same_name), "a name is one row's");
                    self.disk.orders.push(*record);
                }
                Write::Execution(record) => {
                    self.disk.executions.retain(|one| one.exec_id != record.exec_id);
                    self.disk.executions.push(*record);
                }
                Write::Event(event) => self.disk.newest_event = event.sequence,
            }
        }
    }

    /// Everything that waits has its turn.
    fn leave(&mut self) {
        while let Some((key, frames)) = self.queue.pop_front() {
            self.number += 1;
            let numbered = self.desk.on_numbered(key, self.number, self.now).expect("a departure");
            self.settle();
            if self.desk.is_on_disk(numbered.wait_for) || numbered.regardless {
                for body in bodies(&frames) {
                    let envelope = Envelope::parse(body).unwrap();
                    let body = Bytes::copy_from_slice(envelope.body);
                    self.left.push((envelope.message_id, body));
                }
                self.desk.on_left(key);
            } else {
                let error = crate::error::order_later("JOURNAL_FAILED", "disk full");
                self.desk.on_withheld(key, &error, self.now);
            }
            self.settle();
        }
    }

    fn ask(&mut self, caller: &Caller, call: CallId, request: &OrderRequest) {
        let accounts = self.accounts.clone();
        let around = Surroundings {
            server_version: Some(226),
            accounts: &accounts,
            quote: &|_: &tws::Contract| None,
            contracts: &Contracts::default(),
            now: self.now,
        };
        self.desk.handle(caller, call, request, around);
    }

    fn call(&mut self, who: &str, request: OrderRequest) -> CallId {
        self.call_by(&caller(who), &request)
    }

    fn call_by(&mut self, caller: &Caller, request: &OrderRequest) -> CallId {
        self.calls += 1;
        let call = CallId(self.calls);
        self.ask(caller, call, request);
        self.settle();
        call
    }

    fn place(&mut self, who: &str, name: &str) -> CallId {
        self.call(who, OrderRequest::Place(place(name, limit(10.0))))
    }

    /// Places and lets it leave; its id at Gateway.
    fn placed(&mut self, who: &str, name: &str) -> i32 {
        let call = self.place(who, name);
        self.leave();
        self.answer::<v1::PlaceOrderResponse>(call).order.unwrap().order_id
    }

    fn cancel(&mut self, who: &str, name: &str) -> CallId {
        let client_order_id = name.to_owned();
        self.call(who, cancel_of(&CancelOrderRequest { client_order_id, ..Default::default() }))
    }

    fn answer<T: prost::Message + Default>(&self, call: CallId) -> T {
        match &self.replies[&call] {
            Ok(Reply::Answer(bytes)) => T::decode(bytes.clone()).unwrap(),
            other => panic!("{call}: {other:?}"),
        }
    }

    fn refused(&self, call: CallId) -> &Error {
        let error = self.replies[&call].as_ref().unwrap_err();
        assert_eq!(error.delivery(), crate::error::Delivery::NotSent, "{error:?}");
        error
    }

    /// By a journal that may have lost orders: an earlier call may have placed it.
    fn refused_in_doubt(&self, call: CallId) -> &Error {
        let error = self.replies[&call].as_ref().unwrap_err();
        assert_eq!(error.delivery(), crate::error::Delivery::MaybeSent, "{error:?}");
        assert!(error.message.contains("this one may be among them"), "{error:?}");
        error
    }

    fn order(&self, who: &str, name: &str) -> &OrderRecord {
        let id = self.desk.book.named(who, name).expect("an order of this name");
        &self.desk.book.get(id).unwrap().record
    }

    fn state(&self, who: &str, name: &str) -> State {
        self.order(who, name).state()
    }
}
