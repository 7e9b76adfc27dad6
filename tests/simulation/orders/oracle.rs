//! What must hold once nothing breaks any more and Gateway's lists have been read: the ledger's
//! exposure against what each owner was told.
//!
//! After a restored backup Gateway may show what the rows do not know. Then trading must be
//! halted until a person adopts that, and those orders are nobody's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ibouncer_core::orders::journal::Audit;
use ibouncer_core::orders::request::OrderRequest;
use ibouncer_gateway_sim::{Gateway, LedgerEntry};
use ibouncer_proto::api::journal::v1::event_record::Event as Body;
use ibouncer_proto::api::v1::{self, ChangeState, OrderScope, OrderState};
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::faults::OTHER_ACCOUNT;
use super::owners::{ADMIN, OWNERS, What, stem};
use crate::world::World;

/// READY, with all that can stand in the way.
const READY_WITHIN: Duration = Duration::from_secs(30 * 60);

/// Lists are read every minute; a commission is waited for, and a change has a deadline.
const SETTLED: Duration = Duration::from_secs(200);

/// Gateway's code for an order id below one that it has seen.
const DUPLICATE_ID: i32 = 103;

/// Groups of which Gateway has a part.
fn torn(orders: &BTreeMap<i32, &v1::Order>, at_gateway: &BTreeSet<i32>) -> u64 {
    let mut groups: BTreeMap<&str, BTreeSet<bool>> = BTreeMap::new();
    for order in orders.values().filter(|order| !order.group.is_empty()) {
        groups.entry(&order.group).or_default().insert(at_gateway.contains(&order.order_id));
    }
    groups.values().filter(|arrived| arrived.len() == 2).count() as u64
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or(0.0)
}

impl World {
    /// Another login never saw an order of ours, unless the journal is that login's.
    pub(crate) fn check_other_login(&mut self, gateway: &Gateway) {
        let facts = self.orders.journal.rows.facts.as_ref();
        let adopted = facts.is_some_and(|facts| facts.accounts == [OTHER_ACCOUNT]);
        let ours = self.settings.client_id;
        let count = gateway.ledger().orders.iter().filter(|one| one.client_id == ours).count();
        assert!(adopted || count == 0, "{count} orders went to another login");
        let went = gateway.ledger().orders.into_iter().filter(|one| one.client_id == ours);
        self.orders.elsewhere.extend(went.map(|one| one.order_id));
    }

    /// By itself the broker cancels only what Gateway holds back for an order that never came.
    pub(crate) fn check_audit(&mut self, audit: &Audit) {
        let torn = audit.result == "sent" && audit.reason == "its group was cut on its way";
        if !torn || self.orders.away.is_some() || self.orders.journal.restored > 0 {
            return;
        }
        let rows = &self.orders.journal.rows.orders;
        let group = &rows[&audit.order_id].group;
        let last = rows.values().filter(|row| row.group == *group).map(|row| row.order_id).max();
        let arrived = self.ours().iter().any(|one| Some(one.order_id) == last);
        assert!(!arrived, "{group} has arrived, and is cancelled: {audit:?}");
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end && self.step() {}
    }

    fn trading_word(&self) -> String {
        self.status().trading
    }

    fn ask_admin(&mut self, request: OrderRequest) {
        self.owner_joins(ADMIN);
        self.order_call(ADMIN, What::Other, request);
    }

    /// The journal is new, and Gateway shows another program's order: a person looks.
    pub(crate) fn adopt_at_first(&mut self) {
        self.run_until(Duration::from_secs(60), "a halt", |world| world.trading_word() == "halted");
        self.adopt();
    }

    fn adopt(&mut self) {
        let reason = "simulated".to_owned();
        self.trace("the state is adopted");
        self.ask_admin(OrderRequest::AdoptState(v1::AdoptTradingStateRequest { reason }));
    }

    /// Everything, at the end.
    pub(crate) fn check_orders(&mut self) {
        self.run_for(Duration::from_secs(60));
        self.run_until(READY_WITHIN, "READY", Self::is_ready);
        self.run_for(SETTLED);
        self.run_until(READY_WITHIN, "READY again", Self::is_ready);
        for _ in 0..5 {
            if self.hub.client_id() == self.settings.client_id {
                break;
            }
            self.give_main_id_back();
            self.run_for(SETTLED);
            self.run_until(READY_WITHIN, "READY under its own id", Self::is_ready);
        }
        for index in 0..OWNERS.len() {
            self.owner_joins(index);
        }
        let reason = "simulated".to_owned();
        for client in ["", OWNERS[0], OWNERS[1], OWNERS[2]] {
            let (client, reason) = (client.to_owned(), reason.clone());
            self.ask_admin(OrderRequest::Resume(v1::ResumeTradingRequest { client, reason }));
        }
        self.check_doubt();
        if self.trading_word() == "halted" {
            self.adopt();
        }
        self.run_for(SETTLED);
        let word = self.trading_word();
        assert_eq!(word, "on", "trading goes on: {:?}", self.status().trading_status);
        self.check_ledger();
    }

    fn ours(&self) -> Vec<LedgerEntry> {
        let ours = self.settings.client_id;
        let ledger = self.host.gateway.ledger();
        ledger.orders.into_iter().filter(|one| one.client_id == ours && !one.seeded).collect()
    }

    /// Orders that the rows do not know halt trading.
    fn check_doubt(&mut self) {
        let doubts = self.status().trading_status.unwrap_or_default().halts;
        let counted = doubts.iter().any(|doubt| doubt.reason.contains("next order id of our"));
        let restored = self.orders.journal.restored > 0;
        assert!(!counted || restored, "the journal knows all ids that Gateway has counted");
        let rows = &self.orders.journal.rows.orders;
        // What is over without a fill, Gateway lists without any id of ours, but for our tag.
        let shown = |one: &LedgerEntry| {
            !one.is_over() || number(&one.filled) > 0.0 || one.order_ref.starts_with("ibouncer:")
        };
        let lost = |one: &&LedgerEntry| {
            !rows.contains_key(&one.order_id) && one.status != "Vanished" && shown(one)
        };
        let entries = self.ours();
        let lost: Vec<_> = entries.iter().filter(lost).collect();
        if lost.is_empty() {
            return;
        }
        assert!(restored, "the journal does not know {lost:?}");
        assert_eq!(self.trading_word(), "halted", "nobody knows of {lost:?}");
    }

    fn check_ledger(&mut self) {
        let list = v1::ListOrdersRequest { scope: OrderScope::All.into(), ended: true };
        self.order_call(ADMIN, What::List, OrderRequest::List(list));
        let listed = std::mem::take(&mut self.orders.listed);
        let orders: BTreeMap<i32, &v1::Order> = listed
            .iter()
            .filter(|one| !one.client_order_id.is_empty())
            .map(|one| (one.order_id, one))
            .collect();
        assert!(self.orders.calls.is_empty(), "unanswered: {:?}", self.orders.calls);
        let restored = self.orders.journal.restored > 0;
        let entries = self.ours();
        self.orders.at_gateway = entries.len() as u64;
        let mut references = BTreeSet::new();
        for entry in &entries {
            let own = entry.order_ref.contains('/');
            let first = !own || references.insert(&entry.order_ref);
            assert!(first || restored, "two orders where one was meant: {entry:?}");
            match orders.get(&entry.order_id) {
                Some(order) => self.check_order(entry, order),
                None => assert!(restored, "nobody knows of {entry:?}"),
            }
        }
        let at_gateway: BTreeSet<i32> = entries.iter().map(|entry| entry.order_id).collect();
        for order in orders.values() {
            self.check_told(order);
            if !at_gateway.contains(&order.order_id) {
                use OrderState::{NotSent, Rejected, Sent, Unknown};
                let never = matches!(order.state(), NotSent | Rejected | Sent | Unknown);
                let elsewhere = self.orders.elsewhere.contains(&order.order_id);
                assert!(never || elsewhere, "Gateway does not have {order:?}");
            }
            self.orders.unknown_at_end += u64::from(order.state() == OrderState::Unknown);
        }
        self.orders.torn += torn(&orders, &at_gateway);
        for refusal in self.host.gateway.ledger().refused {
            let ours = refusal.client_id == self.settings.client_id;
            let needless = ours && refusal.code == DUPLICATE_ID && !restored;
            assert!(!needless, "ids left in the wrong order: {refusal:?}");
            self.check_may_have_left(&refusal.order_ref, &format!("{refusal:?}"));
        }
        self.check_executions(&orders);
    }

    /// What a call was told not to have been sent has not been seen at Gateway.
    fn check_may_have_left(&self, order_ref: &str, what: &str) {
        let Some((owner, name)) = order_ref.split_once('/') else {
            return;
        };
        let index = OWNERS.iter().position(|one| *one == owner).expect("an owner");
        let known = &self.orders.owners[index].known[name];
        assert!(known.may_have_left, "it was told not to have been sent: {what}");
    }

    /// What its owner was told is what the broker knows.
    fn check_told(&self, order: &v1::Order) {
        let index = OWNERS.iter().position(|one| *one == order.owner).expect("an owner");
        let told = self.orders.owners[index].known.get(&order.client_order_id);
        let told = told.unwrap_or_else(|| panic!("nobody asked for {order:?}")).told.as_ref();
        let shown = |order: &v1::Order| (order.order_id, order.state(), order.filled.clone());
        // That it never left may have been said again, by events that no disk took.
        let never = |told: &v1::Order| told.state() == OrderState::NotSent;
        let never = never(order) && told.is_none_or(never);
        // What it was told last is on no disk, or was in rows that a backup has replaced.
        let events = &self.orders.journal.rows.events;
        let older = told.is_some_and(|told| !events.contains_key(&told.sequence));
        let same = told.map(shown) == Some(shown(order));
        assert!(never || older || same, "told {told:?} of {order:?}");
    }

    fn check_order(&self, entry: &LedgerEntry, order: &v1::Order) {
        let index = OWNERS.iter().position(|one| *one == order.owner).expect("an owner");
        let known = &self.orders.owners[index].known[&order.client_order_id];
        let both = format!("{entry:?}\n{order:?}");
        // A backup can give an id again that never arrived, and has forgotten what has left.
        let restored = self.orders.journal.restored > 0;
        let own = format!("{}/{}", order.owner, order.client_order_id);
        if entry.order_ref.contains('/') && entry.order_ref != own {
            // Of one that had ended no list tells; Gateway does not take its id again.
            let refused = restored && entry.is_over() && order.state() == OrderState::Rejected;
            assert!(refused, "another order's id: {both}");
            return;
        }
        assert!(known.may_have_left, "it was told not to have been sent: {both}");
        let modified = self.modifications_that_left(entry.order_id);
        assert!(entry.places <= 1 + modified || restored, "placed too often: {both}");
        let placed = self.orders.placed.get(&entry.order_id).copied().unwrap_or_default();
        assert!(placed <= 1 + modified || restored, "{placed} frames left: {both}");
        assert!(placed > 0, "no frame left: {both}");
        if let Some(group) = &entry.oca_group
            && group.contains("exit")
        {
            assert!(group.starts_with(&order.owner), "a group of two owners: {both}");
        }
        self.check_failed(entry);
        let state = order.state();
        let fits = match entry.status {
            "Filled" => state == OrderState::Filled,
            // What filled behind a cancel can be all of it.
            "Cancelled" | "Rejected" if number(&entry.filled) >= number(&entry.quantity) => {
                matches!(state, OrderState::Filled | OrderState::Cancelled | OrderState::Rejected)
            }
            "Cancelled" => state == OrderState::Cancelled,
            "Rejected" => state == OrderState::Rejected,
            "Vanished" => matches!(state, OrderState::Unknown | OrderState::Cancelled),
            _ => matches!(
                state,
                OrderState::Acknowledged | OrderState::Working | OrderState::Inactive
            ),
        };
        // Lists of completed orders name neither client nor order id.
        let nameless = order.perm_id == 0
            && entry.order_ref.contains('/')
            && matches!(entry.status, "Cancelled" | "Rejected")
            && matches!(state, OrderState::Unknown | OrderState::Sent);
        assert!(fits || nameless, "the exposure differs: {both}");
        if !nameless {
            assert_eq!(number(&entry.filled), number(&order.filled), "filled differs: {both}");
        }
        let change = order.change.as_ref().map(v1::OrderChange::state);
        let pending =
            matches!(change, Some(ChangeState::Waiting | ChangeState::Sent | ChangeState::Unknown));
        if fits && !matches!(entry.status, "Vanished" | "Filled" | "Cancelled" | "Rejected") {
            assert!(!pending, "a change without an end: {both}");
            let quantity = order.order.as_ref().map(|one| number(one.total_quantity()));
            assert_eq!(quantity, Some(number(&entry.quantity)), "quantity differs: {both}");
        }
    }

    /// A modification that Gateway is said not to have made is not in force; unless it was kept back
    /// by a Gateway that had lost IB before the session began, and has told nobody.
    fn check_failed(&self, entry: &LedgerEntry) {
        if self.orders.was_unlinked {
            return;
        }
        let row = self.orders.journal.rows.orders.get(&entry.order_id);
        let change = row.and_then(|row| row.change.as_ref());
        let (Some(row), Some(change)) = (row, change) else {
            return;
        };
        let concluded = change.state() == ChangeState::Failed
            && change.kind() == v1::ChangeKind::Modify
            && change.because.starts_with("Gateway shows the order");
        let quantity = |request: &[u8]| {
            let request = tws::PlaceOrderRequest::decode(request).expect("it was sent");
            number(request.order.unwrap_or_default().total_quantity())
        };
        let wanted = quantity(&change.request);
        let made = wanted == number(&entry.quantity) && wanted != quantity(&row.request);
        let restored = self.orders.journal.restored > 0;
        assert!(!concluded || !made || restored, "it is in force: {change:?}\n{entry:?}");
    }

    /// Each is written down before it leaves.
    fn modifications_that_left(&self, order_id: i32) -> u32 {
        let events = self.orders.journal.rows.events.values();
        let left = events.filter_map(|record| match &record.event {
            Some(Body::Order(body)) => v1::OrderEvent::decode(body.clone()).ok(),
            _ => None,
        });
        let left = left.filter(|event| {
            let order = event.order.as_ref().filter(|order| order.order_id == order_id);
            let change = order.and_then(|order| order.change.as_ref());
            event.kind() == v1::OrderEventKind::Change
                && change.is_some_and(|change| {
                    change.kind() == v1::ChangeKind::Modify && change.state() == ChangeState::Sent
                })
        });
        left.count() as u32
    }

    /// Each fill reached its owner once, and nobody else.
    fn check_executions(&mut self, orders: &BTreeMap<i32, &v1::Order>) {
        let ours = self.settings.client_id;
        let mut newest: BTreeMap<&str, &str> = BTreeMap::new();
        let mut owned: BTreeMap<&str, Option<&str>> = BTreeMap::new();
        let mut corrected = 0;
        for told in &self.orders.executions {
            let id = told.exec_id();
            let newer = newest.entry(stem(id)).or_insert(id);
            *newer = (*newer).max(id);
            let order = orders.get(&told.order_id()).filter(|_| told.client_id() == ours);
            owned.insert(id, order.map(|order| order.owner.as_str()));
        }
        for (owner, name) in self.orders.owners.iter().zip(OWNERS) {
            for (id, seen) in &owner.executions {
                assert_eq!(seen.len(), 1, "{name} was told {id} by events {seen:?}");
                let whose = owned.get(id.as_str()).copied().flatten();
                let restored = self.orders.journal.restored > 0;
                assert!(whose == Some(name) || restored, "{id} is {whose:?}'s, {name} saw it");
            }
        }
        for id in newest.values() {
            let Some(whose) = owned[id] else {
                continue;
            };
            let index = OWNERS.iter().position(|one| *one == whose).expect("an owner");
            let seen = self.orders.owners[index].executions.contains_key(*id);
            assert!(seen, "{id} did not reach {whose}");
            let owner = &self.orders.owners[index];
            let first = |one: &str| owner.executions.get(one).and_then(|seen| seen.first());
            let of_it = owner.executions.keys().filter(|one| stem(one) == stem(id));
            let earlier = of_it.filter(|one| first(one) < first(id)).count();
            let told_so = owner.corrections.contains(*id);
            assert!(earlier == 0 || told_so, "{id} corrects another, and {whose} does not know");
            corrected += u64::from(told_so);
        }
        self.orders.corrected += corrected;
    }
}
