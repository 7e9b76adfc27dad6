//! The desk's way in and out: requests to it, its frames into the queue and onto the link, what
//! Gateway says to it, and what it wants written and told.
//!
//! Frames leave in the order of their numbers. One that waits for the disk holds back those
//! behind it, for milliseconds; a disk that takes longer than a deadline loses the frame and not
//! the session: an empty frame takes its number.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use ibouncer_proto::tws::v1 as tws;

use super::quotes::quote;
use super::{Hub, Output};
use crate::calls::Asked;
use crate::clock::Clock;
use crate::error;
use crate::ids::{CallId, ClientId, Epoch, RequestId};
use crate::orders::brakes::Road;
use crate::orders::journal::Loaded;
use crate::orders::request::OrderRequest;
use crate::orders::session::{Arrival, Before};
use crate::orders::{Caller, Doing, Listing, Surroundings};
use crate::pacing::gates::Gate;
use crate::pacing::{Lane, Waiting};
use crate::routes::Routes;
use crate::session::StateKind;

/// The call by which the desk asks for a list.
pub(super) const LISTING: CallId = CallId(u64::MAX);

/// What goes on between desk and link.
#[derive(Debug, Default)]
pub(super) struct Trading {
    outbox: VecDeque<Held>,
    /// Orders that wait until Gateway has said something.
    unproven: Vec<Unproven>,
    /// Up to this frame of Gateway everything is on disk, once that number is.
    barriers: VecDeque<(u64, u64)>,
    /// The answer to the desk's list.
    listed: Option<bool>,
    /// Gateway's own counter of order ids, as of READY.
    pub(super) next_valid_id: i32,
    /// What the worker calls its session.
    pub(super) session_name: u64,
}

/// A frame that has its number.
#[derive(Debug)]
struct Held {
    number: u64,
    frames: Bytes,
    /// It leaves once this is on disk.
    wait_for: u64,
    regardless: bool,
    key: Option<i32>,
    since: Instant,
}

#[derive(Debug)]
struct Unproven {
    client: ClientId,
    key: i32,
    lane: Lane,
    waiting: Waiting,
    until: Instant,
}

impl Trading {
    /// Frames of Gateway are counted anew.
    pub(super) fn forget_frames(&mut self) {
        self.barriers.clear();
    }
}

impl Hub {
    /// Goes on from what the journal of orders holds.
    pub fn open_trading(&mut self, loaded: Loaded, clock: Clock) {
        self.desk.open(loaded, self.seed, clock);
        self.session.on_used(self.desk.newest_epoch());
        self.drive_desk(clock.now);
    }

    pub(super) fn on_order(
        &mut self,
        client: ClientId,
        call: CallId,
        request: &OrderRequest,
        now: Instant,
    ) {
        if let Err(error) = self.clients.charge(client, &self.settings.limits, now) {
            return self.reply(call, Err(error::not_sent(error)));
        }
        let caller = self.clients.caller(client);
        self.update_road(now);
        self.ask_desk(&caller, call, request, now);
    }

    fn ask_desk(&mut self, caller: &Caller, call: CallId, request: &OrderRequest, now: Instant) {
        let (lines, session, contracts) = (&self.lines, &self.session, &self.contracts);
        let quote = |contract: &tws::Contract| quote(lines, contracts, contract);
        let (accounts, server_version) = (session.accounts(), session.server_version());
        let around = Surroundings { accounts, server_version, quote: &quote, contracts, now };
        self.desk.handle(caller, call, request, around);
    }

    /// Carries out what the desk wants, until it wants nothing.
    pub(super) fn drive_desk(&mut self, now: Instant) {
        self.update_road(now);
        loop {
            if let Some(complete) = self.trading.listed.take() {
                self.desk.on_listed(complete, now);
            } else if let Some(doing) = self.desk.poll_doing() {
                self.do_for_desk(doing, now);
            } else if let Some((call, caller, request)) = self.desk.poll_waiting() {
                self.ask_desk(&caller, call, &request, now);
            } else if let Some(listing) = self.desk.poll_listing() {
                self.ask_for_list(listing, now);
            } else {
                break;
            }
        }
        if let Some((number, writes)) = self.desk.poll_journal() {
            self.outputs.push_back(Output::Journal(number, writes));
        }
        while let Some(event) = self.desk.poll_event() {
            self.outputs.push_back(Output::OrderEvent(event));
        }
    }

    fn do_for_desk(&mut self, doing: Doing, now: Instant) {
        match doing {
            Doing::Push { lane, client, key, frames, what } => {
                let request = RequestId(key);
                let waiting =
                    Waiting { frame: frames, request, feed: None, gate: Gate::Open, what };
                if lane == Lane::Order && self.is_idle(now) {
                    return self.prove_alive(client, key, lane, waiting, now);
                }
                self.pacer.push(lane, client, waiting);
            }
            Doing::TakeBack(key) => {
                self.trading.unproven.retain(|one| one.key != key);
                self.pacer.take_back(RequestId(key));
            }
            Doing::Reply(call, result) => self.reply(call, result),
            Doing::Audit(audit) => self.outputs.push_back(Output::Audit(audit)),
            Doing::Note(kind, severity, text) => self.note(kind, severity, text),
            Doing::Learn(contract) => self.contracts.learn_of_order(&contract),
            Doing::StatusChanged => self.outputs.push_back(Output::StatusChanged),
        }
    }

    /// Has Gateway said nothing for long?
    fn is_idle(&self, now: Instant) -> bool {
        self.heartbeat.age(now).is_none_or(|age| age > self.settings.trading.idle)
    }

    /// An order after a long silence leaves once Gateway has shown that it lives.
    fn prove_alive(
        &mut self,
        client: ClientId,
        key: i32,
        lane: Lane,
        waiting: Waiting,
        now: Instant,
    ) {
        let until = now + self.settings.heartbeat.answer;
        if self.trading.unproven.is_empty() {
            self.pacer.charge(now);
            self.send(super::upstream::current_time_request(), now);
        }
        self.trading.unproven.push(Unproven { client, key, lane, waiting, until });
    }

    /// Gateway has said something.
    pub(super) fn on_proven(&mut self) {
        for one in std::mem::take(&mut self.trading.unproven) {
            self.pacer.push(one.lane, one.client, one.waiting);
        }
    }

    fn ask_for_list(&mut self, listing: Listing, now: Instant) {
        if !self.session.is_up() {
            self.trading.listed = Some(false);
            return;
        }
        let asked = match listing {
            Listing::OpenOrders => Ok(Asked::open_orders(false)),
            Listing::Executions => {
                let last_n_days = Some(self.desk.ask_for_executions(now));
                let filter = tws::ExecutionFilter { last_n_days, ..Default::default() };
                let request =
                    tws::ExecutionRequest { execution_filter: Some(filter), req_id: None };
                Asked::executions(request, false)
            }
            Listing::CompletedOrders => {
                Ok(Asked::completed_orders(tws::CompletedOrdersRequest::default()))
            }
        };
        match asked.and_then(|asked| self.admit_for_us(asked, now)) {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(because = error.message, "a list of orders could not be asked for");
                self.trading.listed = Some(false);
            }
        }
    }

    /// The desk's list has come, or never will.
    pub(super) fn on_listing(&mut self, complete: bool) {
        self.trading.listed = Some(complete);
    }

    /// A frame of the desk has its turn: it gets its number, and leaves once that is on disk.
    pub(super) fn send_order(&mut self, key: i32, frames: Bytes, now: Instant) {
        let number = self.sent + 1;
        let Some(numbered) = self.desk.on_numbered(key, number, now) else {
            return;
        };
        self.sent = number;
        self.counters.messages_sent += numbered.messages as u64;
        for _ in 1..numbered.messages {
            self.pacer.charge(now);
        }
        self.trading.outbox.push_back(Held {
            number,
            frames,
            wait_for: numbered.wait_for,
            regardless: numbered.regardless,
            key: Some(key),
            since: now,
        });
    }

    /// One frame to Gateway, behind those that wait for the disk.
    pub(super) fn send(&mut self, frames: Bytes, now: Instant) {
        self.sent += 1;
        self.counters.messages_sent += 1;
        let number = self.sent;
        if self.trading.outbox.is_empty() {
            return self.put_out(number, frames);
        }
        self.trading.outbox.push_back(Held {
            number,
            frames,
            wait_for: 0,
            regardless: true,
            key: None,
            since: now,
        });
    }

    fn put_out(&mut self, number: u64, frames: Bytes) {
        if let Some(epoch) = self.supervisor.epoch() {
            self.outputs.push_back(Output::Send { epoch, number, frames });
        }
    }

    /// Lets go what is on disk; withholds what the disk does not take.
    pub(super) fn release_outbox(&mut self, now: Instant) {
        let patience = self.settings.trading.journal_deadline;
        while let Some(front) = self.trading.outbox.front() {
            let on_disk = self.desk.is_on_disk(front.wait_for);
            let late = self.desk.is_journal_failing() || now >= front.since + patience;
            if !on_disk && !late {
                break;
            }
            let Some(held) = self.trading.outbox.pop_front() else {
                break;
            };
            if on_disk || held.regardless {
                self.put_out(held.number, held.frames);
                if let Some(key) = held.key {
                    self.desk.on_left(key);
                }
            } else {
                if !self.desk.is_journal_failing() {
                    self.desk.on_journal_failed("the disk did not take an order in time");
                }
                self.put_out(held.number, Bytes::new());
                self.withhold(held.key, "the journal of orders could not be written", now);
            }
        }
    }

    fn withhold(&mut self, key: Option<i32>, because: &str, now: Instant) {
        if let Some(key) = key {
            let error = error::trading_closed("JOURNAL_FAILED", error::Retry::After, because);
            self.desk.on_withheld(key, &error, now);
        }
    }

    /// The broker is ending. What waits for the disk does not leave any more, but for cancels: behind
    /// the word to end, the worker takes nothing.
    pub(super) fn end_trading(&mut self, now: Instant) {
        self.desk.on_stopping(now);
        for held in std::mem::take(&mut self.trading.outbox) {
            let Some(key) = held.key.filter(|_| !held.regardless) else {
                self.put_out(held.number, held.frames);
                held.key.into_iter().for_each(|key| self.desk.on_left(key));
                continue;
            };
            self.put_out(held.number, Bytes::new());
            self.desk.on_withheld(key, &error::stopping(), now);
        }
    }

    /// The link broke: what has not left never will.
    pub(super) fn clear_outbox(&mut self, now: Instant) {
        for held in std::mem::take(&mut self.trading.outbox) {
            if let Some(key) = held.key {
                let error = error::order_later("NOT_READY", "the link to the worker broke");
                self.desk.on_withheld(key, &error, now);
            }
        }
    }

    pub(super) fn expire_trading(&mut self, now: Instant) {
        self.desk.handle_timeout(now);
        let (late, rest) = std::mem::take(&mut self.trading.unproven)
            .into_iter()
            .partition::<Vec<_>, _>(|one| one.until <= now);
        self.trading.unproven = rest;
        for one in late {
            let error = error::order_later("NOT_READY", "Gateway does not answer");
            self.desk.on_withheld(one.key, &error, now);
        }
    }

    pub(super) fn trading_timeout(&self) -> Option<Instant> {
        let patience = self.settings.trading.journal_deadline;
        let held = self.trading.outbox.front().map(|held| held.since + patience);
        let unproven = self.trading.unproven.iter().map(|one| one.until).min();
        [self.desk.poll_timeout(), held, unproven].into_iter().flatten().min()
    }

    pub(super) fn on_trading_up(&mut self, epoch: Epoch, before: Before, now: Instant) {
        self.update_road(now);
        let (accounts, next_valid_id) = (self.session.accounts(), self.trading.next_valid_id);
        let name = self.trading.session_name;
        self.desk
            .on_session_up(Arrival { epoch: epoch.0, name, accounts, next_valid_id, before }, now);
    }

    pub(super) fn on_trading_down(&mut self, because: &str, now: Instant) {
        self.trading.outbox.clear();
        self.trading.unproven.clear();
        self.trading.barriers.clear();
        self.desk.on_session_down(because, now);
        self.update_road(now);
    }

    fn update_road(&mut self, now: Instant) {
        let session = &self.session;
        let road = if !session.is_up() {
            Road::Down
        } else if session.client_id() != self.settings.client_id {
            Road::Alternate
        } else if session.kind() == StateKind::Degraded {
            Road::UpstreamLost
        } else if session.in_restart_window(now) {
            Road::RestartWindow
        } else {
            Road::Open
        };
        self.desk.on_road(road);
    }

    /// Upward frames through this one have been handed on; what they changed may not be on disk.
    pub(super) fn raise_barrier(&mut self, number: u64) {
        let wait_for = self.desk.written();
        if !self.desk.is_on_disk(wait_for)
            && self.trading.barriers.back().is_none_or(|(_, last)| *last < wait_for)
        {
            self.trading.barriers.push_back((number, wait_for));
        }
    }

    /// Frames of Gateway that the worker may forget, and whether that is against the rule.
    pub(super) fn acknowledgeable(&mut self) -> (u64, bool) {
        while let Some((_, wait_for)) = self.trading.barriers.front() {
            if !self.desk.is_on_disk(*wait_for) {
                break;
            }
            self.trading.barriers.pop_front();
        }
        match self.trading.barriers.front() {
            None => (self.received, false),
            Some(_) if self.desk.is_journal_failing() => (self.received, true),
            Some((number, _)) => (number - 1, false),
        }
    }
}

/// Ids that wait in the queue for the desk are far below those of requests.
pub(super) fn is_desk(request: RequestId) -> bool {
    !Routes::is_ours(request.0)
}
