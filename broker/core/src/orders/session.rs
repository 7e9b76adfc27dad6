//! What the life of the session means for orders: what is lost with it, what is proven by the
//! link's numbers, and what has to be compared before trading opens.
//!
//! Read on in `session/reconcile.rs` (the passes over Gateway's lists) and `session/instances.rs`
//! (cancels that a client's leaving owes).

pub(super) mod instances;
pub(super) mod reconcile;

use std::time::{Duration, Instant};

use ibouncer_proto::api::v1::{ChangeKind, ChangeState, OrderEventKind, OrderState as State};
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::asked::cancel::the_broker;
use super::asked::placement::is_held;
use super::book::order::Order;
use super::brakes::Doubt;
use super::{Desk, Doing};
use crate::accounts::mask_accounts;
use crate::error;
use crate::notes::Severity;
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

/// Gateway's lists are not asked for again so soon after they were read: each is long.
const FRESH: Duration = Duration::from_secs(10);

/// Why a session that was taken over says nothing of what left in another one.
const ELSEWHERE: &str = "it left in an earlier session, and this one has not told";

impl Desk {
    /// The session is up.
    pub(crate) fn on_session_up(
        &mut self,
        epoch: u64,
        accounts: &[String],
        next_valid_id: i32,
        before: Before,
        now: Instant,
    ) {
        self.epoch = Some(epoch);
        self.accounts = accounts.to_vec();
        if !self.active {
            return;
        }
        self.on_next_valid_id(next_valid_id);
        match before {
            Before::New => self.lose("the session before ended, and this one has not told", now),
            Before::TakenThrough(through) => self.prove(epoch, through, now),
        }
        for id in std::mem::take(&mut self.unsaid) {
            self.tell(id, OrderEventKind::Change, now);
        }
        self.check_accounts(accounts);
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
        for (_, (call, _)) in std::mem::take(&mut self.previews) {
            self.reply(call, Err(error.clone()));
        }
        self.lose(&format!("the session ended: {because}"), now);
        self.answers_due.clear();
        self.book.foreign.clear();
        self.relisted.clear();
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

    /// Everything that lives is UNKNOWN until Gateway tells of it.
    fn lose(&mut self, because: &str, now: Instant) {
        for id in self.book.live() {
            let Some(order) = self.book.get_mut(id) else {
                continue;
            };
            if !order.has_left() {
                continue;
            }
            let changed = order.move_change(ChangeState::Unknown, because, 0);
            if order.transition(State::Unknown, because) == Ok(true) {
                self.tell(id, OrderEventKind::State, now);
            } else if changed {
                self.tell(id, OrderEventKind::Change, now);
            }
        }
    }

    /// What the worker has not taken was never sent: that is proof.
    fn prove(&mut self, epoch: u64, through: u64, now: Instant) {
        let because = "the link's numbers prove that it never left";
        for id in self.book.live() {
            let Some(order) = self.book.get_mut(id) else {
                continue;
            };
            let unsent = |sending: &Option<super::journal::Sending>| {
                sending.as_ref().is_some_and(|one| one.epoch == epoch && one.number > through)
            };
            let never = unsent(&order.record.sending)
                && matches!(order.state(), State::Sent | State::Unknown);
            let change_never = order.pending().is_some_and(|change| unsent(&change.sending));
            let elsewhere = |sending: &Option<super::journal::Sending>| {
                sending.as_ref().is_some_and(|one| one.epoch != epoch)
            };
            let lost = elsewhere(&order.record.sending) && order.state() == State::Sent;
            let change = order.pending().filter(|change| change.state() == ChangeState::Sent);
            let change_lost = change.is_some_and(|change| elsewhere(&change.sending));
            let change_taken = change.is_some() && !change_lost && !change_never;
            if never && order.transition(State::NotSent, because) == Ok(true) {
                order.move_change(ChangeState::NotSent, because, 0);
                self.tell(id, OrderEventKind::State, now);
            } else if change_never && order.move_change(ChangeState::NotSent, because, 0) {
                self.answers_due.remove(&id);
                self.tell(id, OrderEventKind::Change, now);
            } else if lost && order.transition(State::Unknown, ELSEWHERE) == Ok(true) {
                order.move_change(ChangeState::Unknown, ELSEWHERE, 0);
                self.tell(id, OrderEventKind::State, now);
            } else if change_lost && order.move_change(ChangeState::Unknown, ELSEWHERE, 0) {
                self.tell(id, OrderEventKind::Change, now);
            } else if change_taken {
                // The broker that awaited the answer may be gone.
                self.answers_due.entry(id).or_insert(now + self.settings.answer_deadline);
            }
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

    /// The journal belongs to these accounts.
    fn check_accounts(&mut self, accounts: &[String]) {
        let mut accounts = accounts.to_vec();
        accounts.sort();
        if self.facts.accounts == accounts {
            return;
        }
        if self.facts.accounts.is_empty() {
            self.facts.accounts = accounts;
            self.facts.client_id = self.client_id;
            self.save_facts();
            return;
        }
        let what = format!(
            "the journal of orders belongs to {}, and Gateway shows {}: another login answers on \
             this port, or the login has changed. If that is meant, `ibouncer trading adopt-state \
             --reason …`",
            mask_accounts(&self.facts.accounts),
            mask_accounts(&accounts)
        );
        self.doubt(Doubt::Accounts, what);
    }

    /// The journal has been compared with Gateway's lists: it is this login's, unless there is a
    /// doubt about just that.
    fn settle_journal(&mut self) {
        if !self.facts.settled && !self.brakes.doubts.contains_key(&Doubt::Empty) {
            self.facts.settled = true;
            self.save_facts();
        }
    }

    /// How far back executions are asked for, in days; none: today's. Gateway keeps a week.
    pub(crate) fn days_back(&self, now: Instant) -> Option<i32> {
        const TODAY_MS: i64 = 12 * 3600 * 1000;
        let live = self.book.live();
        let times = live.iter().filter_map(|id| self.book.get(*id));
        let oldest = times.map(|order| order.record.updated_ms).min()?;
        (self.millis(now) - oldest > TODAY_MS).then_some(7)
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
            if complete {
                self.book.age_foreign();
            }
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
        self.settle_journal();
        if std::mem::take(&mut self.brakes.reconciling) {
            let (_, unknown) = self.book.counts();
            let text = match unknown {
                0 => "orders agree with Gateway's lists; trading is open".to_owned(),
                _ => format!(
                    "orders were compared with Gateway's lists; {unknown} are UNKNOWN, see \
                     `ibouncer orders`"
                ),
            };
            let severity = if unknown == 0 { Severity::Info } else { Severity::Warning };
            self.note(severity, text);
        }
        self.waiting.try_all();
        self.doings.push_back(Doing::StatusChanged);
    }

    /// Of a group that was cut on its way, what Gateway holds back for the rest is cancelled. It was
    /// cut only if Gateway has never told of its last order, in whatever session: a group that has
    /// arrived is not torn by a list that lacks one of it. And Gateway has to show that it holds the
    /// others back.
    fn end_torn_groups(&mut self, now: Instant) {
        let Some(epoch) = self.epoch else {
            return;
        };
        let is_held_back = |order: &&Order| {
            order.state() == State::Inactive
                && order.is_seen_in(epoch)
                && is_held(&request_of(&order.record.request))
        };
        let is_cut = |order: &&Order| {
            let last = self.book.last_of_group(&order.record.group);
            last.is_some_and(|last| last.state() == State::Unknown && !last.has_been_told())
        };
        let torn = self.book.iter().filter(is_held_back).filter(is_cut);
        let torn: Vec<i32> = torn.map(|order| order.record.order_id).collect();
        for id in torn {
            let owner = self.book.get(id).map(|order| order.record.owner.clone());
            let owner = owner.unwrap_or_default();
            let because = "its group was cut on its way";
            let audit = self.cancel_audit(&the_broker(), &owner, id, because);
            let _ = self.cancel_one(None, id, None, audit, now);
        }
    }
}

fn request_of(request: &[u8]) -> tws::PlaceOrderRequest {
    tws::PlaceOrderRequest::decode(request).unwrap_or_default()
}
