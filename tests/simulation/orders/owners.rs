//! The programs that own orders, and what each was told: replies to its calls, and events behind
//! the number that it has seen last. Nothing else is known to them, and the oracle compares that
//! with Gateway's ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ibouncer_core::error::{Delivery, Error};
use ibouncer_core::hub::{Input, Reply};
use ibouncer_core::ids::{CallId, ClientId};
use ibouncer_core::orders::journal::EventRecord;
use ibouncer_core::orders::request::{OrderRequest, View};
use ibouncer_core::principals::{Credential, Principal, Principals, Role, WhenAway};
use ibouncer_proto::api::journal::v1::event_record::Event as Body;
use ibouncer_proto::api::v1::{
    self, ExecutionEvent, ExecutionEventKind, OrderEvent, OrderScope, OrderState,
};
use prost::Message as _;

use crate::events::Event;
use crate::world::World;

/// Names of the configured clients; the last may not trade.
pub(crate) const OWNERS: [&str; 5] = ["momentum", "leaver", "patient", "risk", "observer"];

/// The administrator's place among them.
pub(crate) const ADMIN: usize = 3;

/// One program.
#[derive(Debug, Default)]
pub(crate) struct Owner {
    pub(crate) client: Option<ClientId>,
    /// Number of the newest event that it has seen.
    through: u64,
    watches: bool,
    pub(crate) known: BTreeMap<String, Known>,
    /// Executions that reached it, with the numbers of their events.
    pub(crate) executions: BTreeMap<String, Vec<u64>>,
    /// Those of them that came as corrections.
    pub(crate) corrections: BTreeSet<String>,
    /// Counts its names; a restart can set it back.
    pub(crate) next: u32,
}

/// What it knows of one of its names.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) request: v1::NewOrder,
    /// A call is not answered, or not with "it was not sent".
    pub(crate) may_have_left: bool,
    /// A call was answered well.
    pub(crate) taken: bool,
    pub(crate) modifies: u32,
    pub(crate) told: Option<v1::Order>,
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) owner: usize,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    Place(Vec<String>),
    Watch,
    List,
    Other,
}

impl Asked {
    fn places(&self, owner: usize, name: &str) -> bool {
        let has = |names: &Vec<String>| names.iter().any(|one| one == name);
        self.owner == owner && matches!(&self.what, What::Place(names) if has(names))
    }
}

/// Who there is.
pub(crate) fn principals() -> Principals {
    let trader = Principal { role: Role::Trade, ..Principal::default() };
    let grace = Some(Duration::from_secs(5));
    let leaver = Principal { cancel_on_disconnect: grace, ..trader.clone() };
    let patient = Principal { when_away: WhenAway::Queue, ..trader.clone() };
    let risk = Principal { role: Role::Admin, ..Principal::default() };
    let all = [trader, leaver, patient, risk, Principal::default()];
    OWNERS.iter().map(|name| (*name).to_owned()).zip(all).collect()
}

/// What an execution and its corrections have in common.
pub(super) fn stem(id: &str) -> &str {
    id.rsplit_once('.').map_or(id, |(stem, _)| stem)
}

impl Owner {
    /// An event of the log, live or read later.
    fn on_event(&mut self, name: &str, record: &EventRecord, restored: bool) {
        if record.sequence <= self.through {
            return;
        }
        self.through = record.sequence;
        let view = View { owner: Some(name.to_owned()), ..View::default() };
        if !view.shows(&record.owner, &record.account) {
            return;
        }
        match &record.event {
            Some(Body::Order(body)) => {
                let event = OrderEvent::decode(body.clone()).expect("it is one");
                assert_eq!(event.sequence, record.sequence);
                self.on_order(name, event.order.expect("an event has its order"), restored);
            }
            Some(Body::Execution(body)) => {
                let event = ExecutionEvent::decode(body.clone()).expect("it is one");
                assert_eq!(event.owner, name, "an execution of somebody else");
                if event.kind() != ExecutionEventKind::Commission {
                    let details = event.execution.clone().expect("an event has its execution");
                    let id = details.execution.unwrap_or_default().exec_id().to_owned();
                    let corrects = &event.corrects_exec_id;
                    assert_eq!(
                        event.kind() == ExecutionEventKind::Corrected,
                        !corrects.is_empty(),
                        "{name}: what a correction corrects, and nothing else: {id}"
                    );
                    if !corrects.is_empty() {
                        assert!(stem(corrects) == stem(&id) && *corrects < id, "{corrects}, {id}");
                        self.corrections.insert(id.clone());
                    }
                    self.executions.entry(id).or_default().push(event.sequence);
                }
            }
            None => panic!("an event without a body"),
        }
    }

    /// The order as an event or a reply shows it. A restored backup can give an id again.
    fn on_order(&mut self, name: &str, order: v1::Order, restored: bool) {
        assert_eq!(order.owner, name, "an order of somebody else");
        let known = self.known.get_mut(&order.client_order_id);
        let known = known.unwrap_or_else(|| panic!("nobody asked for {order:?}"));
        if let Some(told) = known.told.as_ref().filter(|told| told.order_id == order.order_id) {
            if told.sequence > order.sequence {
                return;
            }
            let left_unknown =
                told.state() == OrderState::Unknown && order.state() != OrderState::Unknown;
            let evidence = ["Gateway says", "its executions say so", "the link's numbers prove"];
            let because = &order.because;
            assert!(
                !left_unknown
                    || restored
                    || evidence.iter().any(|one| because.starts_with(one))
                    || because.contains(" says so: "),
                "{} leaves UNKNOWN because {because:?}",
                order.client_order_id
            );
        }
        known.told = Some(order);
    }

    /// Its broker is gone.
    fn on_broker_gone(&mut self) {
        self.client = None;
        self.watches = false;
    }
}

impl World {
    /// A program connects and watches behind what it has seen.
    pub(crate) fn owner_joins(&mut self, index: usize) {
        if !self.broker.lives || self.orders.owners[index].client.is_some() {
            return;
        }
        let client = ClientId(self.clients.next());
        self.orders.owners[index].client = Some(client);
        let name = OWNERS[index].to_owned();
        self.trace(&format!("{name} joins as {client}"));
        let credential = Credential { principal: Some(name.clone()), ..Credential::default() };
        self.input(Input::ClientJoined { client, name, peer: "unix uid=1".into(), credential });
        let scope = OrderScope::Own;
        self.order_call(index, What::Watch, OrderRequest::Watch { scope, snapshot: false });
    }

    /// It goes, and drops what it waits for.
    pub(crate) fn owner_leaves(&mut self, index: usize) {
        let Some(client) = self.orders.owners[index].client.take() else {
            return;
        };
        self.trace(&format!("{} leaves", OWNERS[index]));
        self.orders.owners[index].watches = false;
        let calls = self.orders.calls.iter().filter(|(_, asked)| asked.owner == index);
        let calls: Vec<CallId> = calls.map(|(call, _)| *call).collect();
        for call in calls {
            self.drop_order_call(call);
        }
        self.input(Input::ClientLeft { client });
    }

    /// Nobody waits for this call any more: what it asked for may have left.
    pub(crate) fn drop_order_call(&mut self, call: CallId) {
        if self.orders.calls.remove(&call).is_some() {
            self.trace(&format!("{call} is dropped"));
            self.input(Input::CallDropped { call });
        }
    }

    /// A call about orders.
    pub(crate) fn order_call(&mut self, index: usize, what: What, request: OrderRequest) {
        let Some(client) = self.orders.owners[index].client.filter(|_| self.broker.lives) else {
            return;
        };
        let call = CallId(self.clients.next());
        self.orders.asked += 1;
        self.orders.calls.insert(call, Asked { owner: index, what });
        self.input(Input::Order { client, call, request });
    }

    /// The hub answers one of those calls. False if it is another's.
    pub(crate) fn on_order_reply(&mut self, call: CallId, result: &Result<Reply, Error>) -> bool {
        let Some(asked) = self.orders.calls.remove(&call) else {
            return false;
        };
        let restored = self.orders.journal.restored > 0;
        let owner = &mut self.orders.owners[asked.owner];
        let name = OWNERS[asked.owner];
        match (asked.what, result) {
            (What::Place(names), Err(error)) => {
                let not_sent = error.delivery() == Delivery::NotSent;
                self.orders.refused += u64::from(not_sent);
                for one in names {
                    // Another call of the same name may have done better.
                    let known = owner.known.entry(one.clone()).or_default();
                    let others =
                        self.orders.calls.values().any(|other| other.places(asked.owner, &one));
                    let told =
                        known.told.as_ref().is_some_and(|told| told.state() != OrderState::NotSent);
                    known.may_have_left = others || told || known.taken || !not_sent;
                }
            }
            (What::Place(names), Ok(Reply::Answer(bytes))) => {
                let first = v1::PlaceOrdersResponse::decode(bytes.clone());
                let orders = first.map(|one| one.orders).unwrap_or_default();
                for one in names {
                    owner.known.entry(one).or_default().taken = true;
                }
                orders.into_iter().for_each(|order| owner.on_order(name, order, restored));
            }
            (What::Watch, Ok(Reply::Watch(_, through, _))) => {
                let rows = self.orders.journal.rows.events.range(owner.through + 1..);
                let shown = self.orders.shown.range(owner.through + 1..);
                let log: BTreeMap<_, _> = rows.chain(shown).collect();
                log.into_values().for_each(|event| owner.on_event(name, event, restored));
                owner.through = owner.through.max(*through);
                owner.watches = true;
            }
            (What::List, Ok(Reply::Answer(bytes))) => {
                let listed = v1::ListOrdersResponse::decode(bytes.clone()).expect("a list");
                self.orders.listed = listed.orders;
            }
            (What::Watch | What::List, other) => panic!("{name}: {other:?}"),
            _ => {}
        }
        true
    }

    /// An event is shown.
    pub(crate) fn on_order_event(&mut self, event: EventRecord) {
        self.orders.events += 1;
        let restored = self.orders.journal.restored > 0;
        for (owner, name) in self.orders.owners.iter_mut().zip(OWNERS) {
            if owner.watches {
                owner.on_event(name, &event, restored);
            }
        }
        self.orders.shown.insert(event.sequence, event);
    }

    /// The broker is gone: all calls with it; programs come back.
    pub(crate) fn orders_lose_broker(&mut self) {
        if !self.orders.on {
            return;
        }
        let arrived = self.rng.usize(..=self.orders.journal.pending());
        let ordered = self.broker.told_to_end.is_some();
        self.orders.journal.on_broker_gone(if ordered { usize::MAX } else { arrived });
        if std::mem::take(&mut self.orders.ledger_lost) {
            self.disk.ledger.epoch = 0;
        }
        self.orders.calls.clear();
        self.orders.shown.clear();
        self.orders.owners.iter_mut().for_each(Owner::on_broker_gone);
    }

    /// A broker found these rows: events that were shown and are not in them count for nothing.
    pub(crate) fn owners_forget_unwritten(&mut self) {
        let rows = &self.orders.journal.rows;
        for owner in &mut self.orders.owners {
            for seen in owner.executions.values_mut() {
                seen.retain(|sequence| rows.events.contains_key(sequence));
            }
            owner.executions.retain(|_, seen| !seen.is_empty());
        }
    }

    /// Programs come back to a broker that has begun.
    pub(crate) fn owners_return(&mut self) {
        for index in 0..self.orders.owners.len() {
            let at = self.now + Duration::from_micros(self.rng.u64(..3_000_000));
            self.agenda.add(at, Event::OwnerBack(index));
        }
    }
}
