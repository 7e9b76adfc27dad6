//! One-shot requests that are open, who waits for each, and what has come of their answers.
//!
//! Equal requests share one. An answer without an id belongs to the one open request that knows
//! its message, those are sent one at a time (`pacing/gates.rs`); or to that which it names
//! (`calls/answer_key.rs`).

mod doubt;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::answer::{is_last_page, put};
use super::commissions::Commissions;
use super::kept::{Key, key_of};
pub use super::progress::{Overdue, Progress};
use super::{Asked, End, NOTICES, Sharing};
use crate::ids::{CallId, ClientId, RequestId};

/// No answer is larger: clients receive at most so much.
const LARGEST: usize = 64 << 20;

/// After their end mark, commissions of executions may still be on their way.
const COMMISSIONS: Duration = Duration::from_secs(1);

/// A request without an id whose answer did not come in time keeps others of its group back for
/// so long, because a late answer would be taken for theirs.
pub const LATE: Duration = Duration::from_secs(300);

/// One request.
#[derive(Debug)]
pub struct Open {
    /// What was asked.
    pub asked: Asked,
    /// Who asked first.
    pub client: ClientId,
    /// Who waits for the answer.
    pub waiters: Vec<Waiter>,
    /// When it left for Gateway, if it has.
    pub left: Option<Instant>,
    /// How often Gateway put it off before.
    pub put_off: u8,
    /// Gateway's newest warning about it.
    pub notice: Option<tws::ErrorMessage>,
    answer: BytesMut,
    deadline: Option<Instant>,
    /// Its time is over; only a late answer is waited for.
    late: bool,
    /// Gateway may not have taken it: the deadline is that of this doubt.
    doubted: bool,
    /// The end mark has come; only commissions are missing.
    complete: bool,
    missing: BTreeSet<String>,
}

/// A call that waits for the answer.
#[derive(Debug, Clone, Copy)]
pub struct Waiter {
    /// Which one.
    pub call: CallId,
    /// Whose.
    pub client: ClientId,
    /// Since when.
    pub since: Instant,
}

impl Open {
    /// How long this one waited for the request's turn to leave.
    pub fn waited(&self, waiter: &Waiter) -> Duration {
        self.left.map_or(Duration::ZERO, |left| left.saturating_duration_since(waiter.since))
    }

    /// When it is given up, if it has left.
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Nothing of its answer has come.
    pub fn is_unanswered(&self) -> bool {
        self.answer.is_empty() && !self.complete && !self.late
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct OpenCalls {
    open: BTreeMap<RequestId, Open>,
    by_key: BTreeMap<Key, RequestId>,
    by_waiter: BTreeMap<CallId, (RequestId, ClientId)>,
    /// Calls that wait, of each client that has any.
    waiting: BTreeMap<ClientId, usize>,
    /// Those without an id that have left.
    unkeyed: Vec<RequestId>,
    deadlines: BTreeSet<(Instant, RequestId)>,
    commissions: Commissions,
}

impl OpenCalls {
    /// An equal request that is open, and may be shared.
    pub fn find(&self, asked: &Asked) -> Option<RequestId> {
        if asked.kind.sharing == Sharing::Private {
            return None;
        }
        self.by_key.get(&key_of(asked)).copied()
    }

    /// A new one.
    pub fn open(&mut self, request: RequestId, client: ClientId, asked: Asked) {
        self.by_key.insert(key_of(&asked), request);
        let open = Open {
            asked,
            client,
            waiters: Vec::new(),
            left: None,
            put_off: 0,
            notice: None,
            answer: BytesMut::new(),
            deadline: None,
            late: false,
            doubted: false,
            complete: false,
            missing: BTreeSet::new(),
        };
        self.open.insert(request, open);
    }

    /// One more waits for it.
    pub fn wait(&mut self, request: RequestId, waiter: Waiter) {
        let Some(open) = self.open.get_mut(&request) else {
            return;
        };
        let Waiter { call, client, .. } = waiter;
        open.waiters.push(waiter);
        *self.waiting.entry(client).or_default() += 1;
        if let Some((_, before)) = self.by_waiter.insert(call, (request, client)) {
            self.count_out(before);
        }
    }

    /// It is asked again, after Gateway put it off so often.
    pub fn set_put_off(&mut self, request: RequestId, times: u8) {
        if let Some(open) = self.open.get_mut(&request) {
            open.put_off = times;
        }
    }

    /// It left for Gateway.
    pub fn on_left(&mut self, request: RequestId, now: Instant) {
        let Some(open) = self.open.get_mut(&request) else {
            return;
        };
        open.left = Some(now);
        let deadline = now + open.asked.kind.deadline;
        open.deadline = Some(deadline);
        self.deadlines.insert((deadline, request));
        if open.asked.kind.unkeyed {
            self.unkeyed.push(request);
        }
    }

    /// The one that a message without an id belongs to.
    pub fn for_message(&mut self, message_id: u32, body: &[u8]) -> Option<RequestId> {
        if message_id == id::COMMISSION_AND_FEES_REPORT {
            return self.commissions.call_for(body, self.lists_executions());
        }
        self.unkeyed.iter().copied().find(|request| {
            self.open.get(request).is_some_and(|open| open.asked.is_answered_by(message_id, body))
        })
    }

    /// A message of its answer.
    pub fn on_message(
        &mut self,
        request: RequestId,
        message_id: u32,
        body: &[u8],
        now: Instant,
    ) -> Progress {
        let Some(open) = self.open.get_mut(&request) else {
            return Progress::More;
        };
        let kind = open.asked.kind;
        if let Some(field) = kind.field_of(message_id) {
            if open.answer.len() + body.len() > LARGEST {
                return Progress::TooLarge;
            }
            put(field, body, &mut open.answer);
        }
        match kind.end {
            End::First if kind.field_of(message_id).is_some() => Progress::Complete,
            End::At(end) if end == message_id => Progress::Complete,
            End::LastPage => match is_last_page(message_id, body) {
                Some(true) => Progress::Complete,
                Some(false) => Progress::More,
                None => Progress::Unreadable,
            },
            End::Commissions(end) => self.on_execution(request, message_id, body, end, now),
            End::First | End::At(_) => Progress::More,
        }
    }

    /// A warning about it, kept with the answer.
    pub fn on_notice(&mut self, request: RequestId, body: &[u8]) {
        if let Some(open) = self.open.get_mut(&request)
            && open.answer.len() + body.len() <= LARGEST
        {
            open.notice = tws::ErrorMessage::decode(body).ok();
            put(NOTICES, body, &mut open.answer);
        }
    }

    /// It is over, in whichever way.
    pub fn close(&mut self, request: RequestId) -> Option<(Open, Bytes)> {
        let mut open = self.open.remove(&request)?;
        self.forget(request, &open);
        for waiter in &open.waiters {
            self.remove_waiter(waiter.call);
        }
        let answer = open.answer.split().freeze();
        Some((open, answer))
    }

    /// A caller is gone. The request, if nobody waits for it now.
    pub fn leave(&mut self, call: CallId) -> Option<RequestId> {
        let request = self.remove_waiter(call)?;
        let open = self.open.get_mut(&request)?;
        open.waiters.retain(|waiter| waiter.call != call);
        open.waiters.is_empty().then_some(request)
    }

    /// Nobody waits for a late answer any more, but it may come `until` then.
    pub fn await_late(&mut self, request: RequestId, until: Instant) -> Vec<Waiter> {
        let Some(open) = self.open.get_mut(&request) else {
            return Vec::new();
        };
        open.late = true;
        let waiters = std::mem::take(&mut open.waiters);
        // Others who want the same ask anew.
        let key = key_of(&open.asked);
        self.set_deadline(request, until);
        if self.by_key.get(&key) == Some(&request) {
            self.by_key.remove(&key);
        }
        for waiter in &waiters {
            self.remove_waiter(waiter.call);
        }
        waiters
    }

    /// Those whose time is over, and what that means.
    pub fn overdue(&self, now: Instant) -> Vec<(RequestId, Overdue)> {
        let due = self.deadlines.iter().take_while(|(at, _)| *at <= now);
        due.filter_map(|(_, request)| {
            let open = self.open.get(request)?;
            let what = match (open.complete, open.waiters.is_empty()) {
                (true, _) => Overdue::Complete,
                (false, true) => Overdue::GivenUp,
                (false, false) => Overdue::Unanswered,
            };
            Some((*request, what))
        })
        .collect()
    }

    /// The earliest deadline.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Was its time over before?
    pub fn is_late(&self, request: RequestId) -> bool {
        self.open.get(&request).is_some_and(|open| open.late)
    }

    /// One of them.
    pub fn get(&self, request: RequestId) -> Option<&Open> {
        self.open.get(&request)
    }

    /// All of them.
    pub fn requests(&self) -> Vec<RequestId> {
        self.open.keys().copied().collect()
    }

    /// Calls of a client that wait, whoever else waits for the same.
    pub fn of(&self, client: ClientId) -> usize {
        self.waiting.get(&client).copied().unwrap_or_default()
    }

    /// Is none open?
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Both directions agree.
    pub fn check_invariants(&self) {
        let mut waiting = BTreeMap::new();
        for (call, (request, client)) in &self.by_waiter {
            assert!(self.open[request].waiters.iter().any(|waiter| waiter.call == *call));
            *waiting.entry(*client).or_default() += 1;
        }
        assert_eq!(self.waiting, waiting);
        for request in self.by_key.values().chain(&self.unkeyed).chain(self.commissions.calls()) {
            assert!(self.open.contains_key(request), "{request} is open");
        }
        for (at, request) in &self.deadlines {
            assert_eq!(self.open[request].deadline, Some(*at));
        }
    }

    fn on_execution(
        &mut self,
        request: RequestId,
        message_id: u32,
        body: &[u8],
        end: u32,
        now: Instant,
    ) -> Progress {
        let Some(open) = self.open.get_mut(&request) else {
            return Progress::More;
        };
        match message_id {
            id::EXECUTION_DATA => {
                let Ok(details) = tws::ExecutionDetails::decode(body) else {
                    return Progress::Unreadable;
                };
                let execution = details.execution.unwrap_or_default().exec_id().to_owned();
                match self.commissions.report_of(&execution, request) {
                    Some(report) => put(super::COMMISSION, &report, &mut open.answer),
                    None => drop(open.missing.insert(execution)),
                }
            }
            id::COMMISSION_AND_FEES_REPORT => {
                if let Ok(report) = tws::CommissionAndFeesReport::decode(body) {
                    open.missing.remove(report.exec_id());
                    self.commissions.on_report(report.exec_id());
                }
            }
            _ if message_id == end => {
                open.complete = true;
                if let Some(deadline) = open.deadline.replace(now + COMMISSIONS) {
                    self.deadlines.remove(&(deadline, request));
                }
                self.deadlines.insert((now + COMMISSIONS, request));
            }
            _ => {}
        }
        if open.complete && open.missing.is_empty() { Progress::Complete } else { Progress::More }
    }

    /// Is a list of executions on its way?
    fn lists_executions(&self) -> bool {
        let lists = |open: &Open| *open.asked.kind == super::EXECUTIONS && !open.complete;
        self.open.values().any(lists)
    }

    fn set_deadline(&mut self, request: RequestId, at: Instant) {
        if let Some(open) = self.open.get_mut(&request) {
            if let Some(before) = open.deadline.replace(at) {
                self.deadlines.remove(&(before, request));
            }
            self.deadlines.insert((at, request));
        }
    }

    fn remove_waiter(&mut self, call: CallId) -> Option<RequestId> {
        let (request, client) = self.by_waiter.remove(&call)?;
        self.count_out(client);
        Some(request)
    }

    fn count_out(&mut self, client: ClientId) {
        if let Some(waiting) = self.waiting.get_mut(&client) {
            *waiting -= 1;
            if *waiting == 0 {
                self.waiting.remove(&client);
            }
        }
    }

    fn forget(&mut self, request: RequestId, open: &Open) {
        let key = key_of(&open.asked);
        if self.by_key.get(&key) == Some(&request) {
            self.by_key.remove(&key);
        }
        if let Some(deadline) = open.deadline {
            self.deadlines.remove(&(deadline, request));
        }
        self.unkeyed.retain(|other| *other != request);
        if matches!(open.asked.kind.end, End::Commissions(_)) {
            self.commissions.forget(request, self.lists_executions());
        }
    }
}
