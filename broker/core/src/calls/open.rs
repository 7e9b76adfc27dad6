//! One-shot requests that are open, who waits for each, and what has come of their answers.
//!
//! Equal requests share one. An answer without an id belongs to the one open request that knows
//! its message: those are sent one at a time (`pacing/gates.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::kept::{Key, key_of};
use super::{Asked, End, NOTICES, Sharing};
use crate::ids::{CallId, ClientId, RequestId};

/// No answer is larger: clients receive at most so much.
const LARGEST: usize = 64 << 20;

/// After their end mark, commissions of executions may still be on their way.
const COMMISSIONS: Duration = Duration::from_secs(1);

/// A request without an id whose answer did not come in time keeps others of its group back for
/// so long, because a late answer would be taken for theirs.
const LATE: Duration = Duration::from_secs(300);

/// One request.
#[derive(Debug)]
pub struct Open {
    /// What was asked.
    pub asked: Asked,
    /// Who asked first.
    pub client: ClientId,
    /// Who waits for the answer.
    pub waiters: Vec<CallId>,
    /// It has left for Gateway.
    pub left: bool,
    /// How often Gateway put it off before.
    pub put_off: u8,
    answer: BytesMut,
    deadline: Option<Instant>,
    /// Its time is over; only a late answer is waited for.
    late: bool,
    /// The end mark has come; only commissions are missing.
    complete: bool,
    missing: BTreeSet<String>,
}

impl Open {
    /// Nothing of its answer has come.
    pub fn is_unanswered(&self) -> bool {
        self.answer.is_empty() && !self.complete && !self.late
    }
}

/// What a message means for its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More is to come.
    More,
    /// That was all.
    Complete,
    /// It is larger than anybody can take.
    TooLarge,
    /// It cannot be read.
    Unreadable,
}

/// What has become of a request at its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// It is complete but for some commissions.
    Complete,
    /// It was not answered in time.
    Unanswered,
    /// Its late answer is not waited for any more.
    GivenUp,
}

/// All of them.
#[derive(Debug, Default)]
pub struct OpenCalls {
    open: BTreeMap<RequestId, Open>,
    by_key: BTreeMap<Key, RequestId>,
    by_waiter: BTreeMap<CallId, RequestId>,
    /// Those without an id that have left.
    unkeyed: Vec<RequestId>,
    deadlines: BTreeSet<(Instant, RequestId)>,
    /// Executions whose commission has not come.
    executions: BTreeMap<String, RequestId>,
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
            left: false,
            put_off: 0,
            answer: BytesMut::new(),
            deadline: None,
            late: false,
            complete: false,
            missing: BTreeSet::new(),
        };
        self.open.insert(request, open);
    }

    /// One more waits for it.
    pub fn wait(&mut self, request: RequestId, call: CallId) {
        if let Some(open) = self.open.get_mut(&request) {
            open.waiters.push(call);
            self.by_waiter.insert(call, request);
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
        open.left = true;
        let deadline = now + open.asked.kind.deadline;
        open.deadline = Some(deadline);
        self.deadlines.insert((deadline, request));
        if open.asked.kind.unkeyed {
            self.unkeyed.push(request);
        }
    }

    /// The one that a message without an id belongs to.
    pub fn for_message(&self, message_id: u32, body: &[u8]) -> Option<RequestId> {
        if message_id == id::COMMISSION_AND_FEES_REPORT {
            let report = tws::CommissionAndFeesReport::decode(body).ok()?;
            return self.executions.get(report.exec_id()).copied();
        }
        self.unkeyed.iter().copied().find(|request| {
            self.open.get(request).is_some_and(|open| open.asked.kind.knows(message_id))
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
            put(NOTICES, body, &mut open.answer);
        }
    }

    /// It is over, in whichever way.
    pub fn close(&mut self, request: RequestId) -> Option<(Open, Bytes)> {
        let mut open = self.open.remove(&request)?;
        self.forget(request, &open);
        for waiter in &open.waiters {
            self.by_waiter.remove(waiter);
        }
        let answer = open.answer.split().freeze();
        Some((open, answer))
    }

    /// A caller is gone. The request, if nobody waits for it now.
    pub fn leave(&mut self, call: CallId) -> Option<RequestId> {
        let request = self.by_waiter.remove(&call)?;
        let open = self.open.get_mut(&request)?;
        open.waiters.retain(|waiter| *waiter != call);
        open.waiters.is_empty().then_some(request)
    }

    /// Nobody waits for a late answer any more, but it may come.
    pub fn await_late(&mut self, request: RequestId, now: Instant) -> Vec<CallId> {
        let Some(open) = self.open.get_mut(&request) else {
            return Vec::new();
        };
        open.late = true;
        let waiters = std::mem::take(&mut open.waiters);
        for waiter in &waiters {
            self.by_waiter.remove(waiter);
        }
        if let Some(deadline) = open.deadline.replace(now + LATE) {
            self.deadlines.remove(&(deadline, request));
        }
        self.deadlines.insert((now + LATE, request));
        // Others who want the same ask anew.
        let key = key_of(&open.asked);
        if self.by_key.get(&key) == Some(&request) {
            self.by_key.remove(&key);
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

    /// Calls of a client that wait.
    pub fn of(&self, client: ClientId) -> usize {
        let of_client = self.open.values().filter(|open| open.client == client);
        of_client.map(|open| open.waiters.len()).sum()
    }

    /// Is none open?
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Both directions agree.
    pub fn check_invariants(&self) {
        for (call, request) in &self.by_waiter {
            assert!(self.open[request].waiters.contains(call));
        }
        for request in self.by_key.values().chain(&self.unkeyed).chain(self.executions.values()) {
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
                open.missing.insert(execution.clone());
                self.executions.insert(execution, request);
            }
            id::COMMISSION_AND_FEES_REPORT => {
                if let Ok(report) = tws::CommissionAndFeesReport::decode(body) {
                    open.missing.remove(report.exec_id());
                    self.executions.remove(report.exec_id());
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
            self.executions.retain(|_, of| *of != request);
        }
    }
}

/// One field of the response.
fn put(field: u8, body: &[u8], out: &mut BytesMut) {
    encode_key(u32::from(field), WireType::LengthDelimited, out);
    encode_varint(body.len() as u64, out);
    out.put_slice(body);
}

fn is_last_page(message_id: u32, body: &[u8]) -> Option<bool> {
    match message_id {
        id::HISTORICAL_TICKS => tws::HistoricalTicks::decode(body).ok().map(|page| page.is_done()),
        id::HISTORICAL_TICKS_BID_ASK => {
            tws::HistoricalTicksBidAsk::decode(body).ok().map(|page| page.is_done())
        }
        id::HISTORICAL_TICKS_LAST => {
            tws::HistoricalTicksLast::decode(body).ok().map(|page| page.is_done())
        }
        _ => Some(false),
    }
}
