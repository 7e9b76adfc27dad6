//! What the life of the session means for orders: what is lost with it, what is proven by the
//! link's numbers, and what has to be compared before trading opens.
//!
//! Read on in `session/proof.rs` (what is lost, and what is proven), `session/reconcile.rs` (the
//! passes over Gateway's lists), `session/login.rs` (whether the journal is this login's),
//! `session/reach.rs` (how far back executions are asked for), `session/instances.rs` (cancels that
//! a client's leaving owes) and `session/ordered.rs` (those that operators have ordered).

pub(super) mod instances;
mod login;
mod ordered;
mod proof;
pub(super) mod reach;
pub(super) mod reconcile;

use std::time::{Duration, Instant};

use ibouncer_proto::api::v1::{ChangeKind, ChangeState, OrderEventKind, OrderState as State};
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::asked::cancel::the_broker;
use super::asked::placement::is_held;
use super::book::order::Order;
use super::journal::OrderRecord;
use super::{Desk, Doing};
use crate::error;
use crate::notes::Severity;
use proof::ELSEWHERE;
use reconcile::{Listing, Progress};

/// What is known of what left before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// A new session: what left in earlier ones may be anywhere.
    New,
    /// The same session, under another broker or on another link: its worker took what left
    /// through this number, and nothing above it.
    TakenThrough(u64),
}

/// A session that is up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'a> {
    pub(crate) epoch: u64,
    /// What its worker calls it, 0 if it does not.
    pub(crate) name: u64,
    pub(crate) accounts: &'a [String],
    /// Gateway's own counter of order ids.
    pub(crate) next_valid_id: i32,
    pub(crate) before: Before,
}

/// Gateway's lists are not asked for again so soon after they were read: each is long.
const FRESH: Duration = Duration::from_secs(10);

impl Desk {
    /// The session is up.
    pub(crate) fn on_session_up(&mut self, arrival: Arrival<'_>, now: Instant) {
        let Arrival { epoch, accounts, next_valid_id, before, .. } = arrival;
        self.epoch = Some(epoch);
        self.accounts = accounts.to_vec();
        if !self.active {
            return;
        }
        match before {
            Before::New => self.lose("the session before ended, and this one has not told", now),
            Before::TakenThrough(through) if self.is_continued(arrival) => {
                self.prove(epoch, through, now);
            }
            // Between the two there was another one, or this one's number is used twice.
            Before::TakenThrough(_) => self.lose(ELSEWHERE, now),
        }
        self.enter(arrival);
        for id in std::mem::take(&mut self.unsaid) {
            self.tell(id, OrderEventKind::Change, now);
        }
        self.check_login();
        self.on_counter(next_valid_id);
        self.owed.try_again(now);
        self.brakes.reconciling = true;
        self.brakes.unlisted = None;
        self.reconciler.on_session();
        self.doings.push_back(Doing::StatusChanged);
    }

    /// The link of the same session is back.
    pub(crate) fn on_relinked(&mut self, through: u64, now: Instant) {
        if let (Some(epoch), true) = (self.epoch, self.active) {
            self.prove(epoch, through, now);
            self.reconciler.begin();
        }
    }

    /// The session is gone.
    pub(crate) fn on_session_down(&mut self, because: &str, now: Instant) {
        self.epoch = None;
        let error = error::not_ready("down", because);
        self.withdraw_all(&error, now);
        for (_, preview) in std::mem::take(&mut self.previews) {
            self.reply(preview.call, Err(error.clone()));
        }
        self.lose(&format!("the session ended: {because}"), now);
        self.answers_due.clear();
        self.book.foreign.clear();
        self.relisted.clear();
        self.reduced.clear();
        self.reconciler.on_session_down();
        self.brakes.reconciling = false;
        self.reconciled = None;
    }

    /// Frames from Gateway were lost on the way, or Gateway may not have told all.
    pub(crate) fn on_gap(&mut self, because: &str, lost: bool, now: Instant) {
        if self.epoch.is_some() && self.active {
            if lost {
                self.lose(because, now);
            }
            self.reconciler.begin();
        }
    }

    /// Orders that a journal holds as intents have not left: nothing leaves before it is there.
    pub(super) fn forget_intents(&mut self) {
        let now = self.clock.now;
        for id in self.book.live() {
            if let Some(order) = self.book.get_mut(id)
                && order.state() == State::Intent
                && order.transition(State::NotSent, "the broker ended before it left") == Ok(true)
            {
                self.tell(id, OrderEventKind::State, now);
            }
        }
        self.forget_waiting_changes();
    }

    /// Changes that waited to leave, and nothing waits any more. A modification was not let go
    /// before its row said so; a cancel may have been. Told with the next session: the rows may be
    /// older than what watchers were shown while the disk failed.
    fn forget_waiting_changes(&mut self) {
        for id in self.book.live() {
            let Some(order) = self.book.get_mut(id) else {
                continue;
            };
            let waiting = order.pending().filter(|change| change.state() == ChangeState::Waiting);
            let (next, because) = match waiting.map(super::journal::Change::kind) {
                Some(ChangeKind::Cancel) => {
                    (ChangeState::Unknown, "the broker ended while it was leaving")
                }
                Some(_) => (ChangeState::NotSent, "the broker ended before it left"),
                None => continue,
            };
            if order.move_change(next, because, 0) {
                self.unsaid.push(id);
            }
        }
    }

    /// Somebody asks for what Gateway's lists may tell: it is asked anew, unless it just was.
    pub(super) fn look_again(&mut self, now: Instant) {
        if self.reconciled.is_some_and(|at| now.saturating_duration_since(at) > FRESH) {
            self.reconciler.begin();
        }
    }

    /// A list is complete, or will never be.
    pub(crate) fn on_listed(&mut self, complete: bool, now: Instant) {
        let listing = self.reconciler.listing();
        if listing == Some(Listing::OpenOrders) {
            self.revive_relisted(complete, now);
            self.lower_reduced(complete, now);
            if complete {
                self.book.age_foreign();
            }
        }
        if listing == Some(Listing::Executions) && complete {
            self.on_executions_listed();
        }
        let unlisted = listing.filter(|_| !complete);
        if std::mem::replace(&mut self.brakes.unlisted, unlisted) != unlisted {
            if let Some(list) = unlisted {
                let text = format!("Gateway has not answered {}; it is asked again", list.name());
                self.note(Severity::Warning, text);
            }
            self.doings.push_back(Doing::StatusChanged);
        }
        let next = now + self.settings.reconcile_every;
        if self.reconciler.on_listed(complete, next, now) == Progress::Done {
            self.on_reconciled(now);
        }
    }

    /// An error about the connection as a whole may have ended the list that is asked for.
    pub(crate) fn on_connection_error(&mut self, code: i32, now: Instant) {
        if self.reconciler.is_listing() && crate::hub::ends_request(code) && code < 1100 {
            self.on_listed(false, now);
        }
    }

    fn on_reconciled(&mut self, now: Instant) {
        self.reconciled = Some(now);
        self.resolve_changes(now);
        self.end_torn_groups(now);
        self.check_counter();
        self.settle_journal();
        if std::mem::take(&mut self.brakes.reconciling) {
            let (_, unknown) = self.book.counts();
            let trading = match self.status(&self.clock).0 {
                "on" => "open",
                word => word,
            };
            let text = match unknown {
                0 => format!("orders agree with Gateway's lists; trading is {trading}"),
                _ => format!(
                    "orders were compared with Gateway's lists; {unknown} are UNKNOWN, see \
                     `ibouncer orders`; trading is {trading}"
                ),
            };
            let severity = if unknown == 0 { Severity::Info } else { Severity::Warning };
            self.note(severity, text);
        }
        self.waiting.try_all();
        self.doings.push_back(Doing::StatusChanged);
    }

    /// Of a group that was cut on its way, what Gateway holds back for the rest is cancelled. It was
    /// cut only if Gateway has never told of its last order, in whatever session, or has refused that
    /// one: a group that has arrived is not torn by a list that lacks one of it. And Gateway has to
    /// show that it holds the others back, which a later order of the same parent may have let go, or
    /// a change that is under way. Behind a refusal it has to show it once more after a while: what
    /// seemed to be one can have been a notice, and lists come late.
    fn end_torn_groups(&mut self, now: Instant) {
        let Some(epoch) = self.epoch else {
            return;
        };
        let now_ms = self.millis(now);
        let is_cut = |order: &&Order| {
            let last = self.book.last_of_group(&order.record.group);
            last.is_some_and(|last| {
                matches!(last.state(), State::Unknown | State::Rejected) && !last.has_been_told()
            })
        };
        let is_let_go = |order: &Order| {
            let OrderRecord { order_id, parent_id, group, .. } = &order.record;
            self.book.iter().map(|one| &one.record).any(|one| {
                let parents = [*order_id, *parent_id];
                one.parent_id != 0 && parents.contains(&one.parent_id) && one.group != *group
            })
        };
        let patience = self.settings.answer_deadline;
        let is_news = |order: &Order| {
            let last = self.book.last_of_group(&order.record.group);
            last.filter(|last| last.state() == State::Rejected)
                .is_some_and(|last| now_ms - last.record.updated_ms < patience.as_millis() as i64)
        };
        let torn = self.book.iter().filter(|order| is_held_back(order, epoch)).filter(is_cut);
        let torn = torn.filter(|order| !is_let_go(order));
        let torn: Vec<_> = torn.map(|order| (order.record.order_id, is_news(order))).collect();
        for (id, is_news) in torn {
            if is_news {
                self.answers_due.entry(id).or_insert(now + patience);
                continue;
            }
            let owner = self.book.get(id).map(|order| order.record.owner.clone());
            let owner = owner.unwrap_or_default();
            let because = "its group was cut on its way";
            let audit = self.cancel_audit(&the_broker(), &owner, id, because);
            let _ = self.cancel_one(None, id, None, audit, now);
        }
    }
}

/// Gateway keeps it for the rest of its group.
pub(super) fn is_held_back(order: &Order, epoch: u64) -> bool {
    order.state() == State::Inactive
        && order.is_seen_in(epoch)
        && is_held(&request_of(&order.record.request))
        && order.pending().is_none()
}

fn request_of(request: &[u8]) -> tws::PlaceOrderRequest {
    tws::PlaceOrderRequest::decode(request).unwrap_or_default()
}
