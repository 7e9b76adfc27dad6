//! One-shot requests: from a client's call to Gateway and back.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::lens::Lens;
use super::line_errors::{MOST_PUT_OFF, RATE_EXCEEDED, ends_request, is_pacing_violation};
use super::trading::LISTING;
use super::upstream::Located;
use super::{Hub, Output, Reply};
use crate::calls::open::{Open, Overdue, Progress, Waiter};
use crate::calls::{self, Asked, CallKind};
use crate::error::{self, Error};
use crate::ids::{CallId, ClientId, RequestId};
use crate::lines::kind::Cancel;
use crate::notes::{NoteKind, Severity};
use crate::pacing::gates::REST;
use crate::pacing::{Lane, Waiting};
use crate::routes::Route;
use crate::wire;

/// A request that waited less than this did not wait.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

impl Hub {
    pub(super) fn call(
        &mut self,
        client: ClientId,
        call: CallId,
        asked: Result<Box<Asked>, Error>,
        now: Instant,
    ) {
        match self.admit_call(client, asked, now) {
            Ok(Admitted::Known(answer, lens)) => {
                let answer = lens.show(&self.desk, answer);
                self.reply(call, Ok(Reply::Answer(answer)));
            }
            Ok(Admitted::Open(request, lens)) => {
                self.lenses.insert(call, lens);
                self.calls.wait(request, Waiter { call, client, since: now });
            }
            Err(error) => self.reply(call, Err(error)),
        }
    }

    /// The caller is gone.
    pub(super) fn drop_call(&mut self, call: CallId) {
        self.lenses.remove(&call);
        if let Some(request) = self.calls.leave(call) {
            self.abandon(request);
        }
    }

    /// A message of an answer.
    pub(super) fn on_call_message(
        &mut self,
        request: RequestId,
        message: Located<'_>,
        now: Instant,
    ) {
        self.heartbeat.on_answer(request);
        if message.message_id == id::ERR_MSG {
            return self.on_call_error(request, message, now);
        }
        if matches!(message.message_id, id::CONTRACT_DATA | id::BOND_CONTRACT_DATA)
            && let Ok(tws::ContractData { contract: Some(contract), .. }) =
                tws::ContractData::decode(message.body)
        {
            self.contracts.learn(&contract);
        }
        match self.calls.on_message(request, message.message_id, message.body, now) {
            Progress::More if self.calls.is_late(request) => self.await_rest(request, now),
            Progress::More => {}
            Progress::Complete => self.complete_call(request, now),
            Progress::TooLarge => {
                self.fail_call(request, &error::too_large());
            }
            Progress::Unreadable => {
                self.counters.malformed_frames += 1;
                self.fail_call(request, &error::unreadable(message.message_id));
            }
        }
    }

    /// Answers that a client did not take.
    pub(super) fn on_answers_evicted(&mut self, client: ClientId, count: usize, left: Duration) {
        self.counters.evictions += count as u64;
        self.clients.on_evicted(client, count);
        let text = format!(
            "{client} {}: {count} answers were let go of, of which nothing was taken for {:.0} s",
            self.clients.name(client),
            left.as_secs_f64()
        );
        tracing::warn!(%client, count, "answers were not taken, and let go of");
        self.note(NoteKind::Client, Severity::Warning, text);
    }

    pub(super) fn expire_calls(&mut self, now: Instant) {
        for (request, what) in self.calls.overdue(now) {
            match what {
                Overdue::Complete => self.complete_call(request, now),
                Overdue::GivenUp => self.on_given_up(request, now),
                Overdue::Unanswered => self.on_unanswered(request, now),
            }
        }
    }

    /// What was asked for is lost; whoever waits may ask again.
    pub(super) fn fail_calls(&mut self, error: &Error) {
        for request in self.calls.requests() {
            self.fail_call(request, error);
        }
    }

    fn admit_call(
        &mut self,
        client: ClientId,
        asked: Result<Box<Asked>, Error>,
        now: Instant,
    ) -> Result<Admitted, Error> {
        let mut asked = *asked?;
        self.check_known(client)?;
        let lens = self.lens(client, &asked);
        if let Some(scope) = &lens.scope {
            let allowed = scope.call(asked.kind, &asked.body);
            allowed.map_err(|error| self.audit_sight(client, asked.kind.tws, error))?;
        }
        self.charge_call(client, now)?;
        if !self.session.is_up() {
            return Err(error::not_ready(self.session.kind().name(), &self.session.reason(now)));
        }
        let version = self.session.server_version().unwrap_or_default();
        if version < asked.kind.since {
            let (tws, since) = (asked.kind.tws, asked.kind.since);
            return Err(error::invalid(format!(
                "{tws} needs a Gateway of server version {since}, and this one has {version}: it \
                 would not answer"
            )));
        }
        if asked.own_only {
            self.only_ours(&mut asked);
        }
        if let Some(answer) = self.kept.find(&asked, now) {
            return Ok(Admitted::Known(answer, lens));
        }
        if let Some(request) = self.calls.find(&asked) {
            return Ok(Admitted::Open(request, lens));
        }
        if *asked.kind == calls::WSH_EVENT_DATA {
            self.ask_for_meta_data(client, now);
        }
        Ok(Admitted::Open(self.open_call(client, asked, None), lens))
    }

    /// May this client ask for one answer more? It is charged for a request.
    pub(super) fn charge_call(&mut self, client: ClientId, now: Instant) -> Result<(), Error> {
        self.clients.charge(client, &self.settings.limits, now)?;
        let limit = self.settings.limits.calls as usize;
        if self.calls_of(client) >= limit {
            return Err(error::too_many("calls that wait for an answer", limit, "limits.calls"));
        }
        Ok(())
    }

    /// Answers that this client waits for, snapshots among them.
    pub(crate) fn calls_of(&self, client: ClientId) -> usize {
        self.calls.of(client) + self.snapshots_of(client)
    }

    /// A list that the desk wants; others that want the same share it.
    pub(super) fn admit_for_us(&mut self, asked: Asked, now: Instant) -> Result<(), Error> {
        let request = match self.calls.find(&asked) {
            Some(request) => request,
            None => self.open_call(ClientId(0), asked, Some(Lane::Control)),
        };
        self.calls.wait(request, Waiter { call: LISTING, client: ClientId(0), since: now });
        Ok(())
    }

    /// Gateway answers the calendar only to those who have asked for its metadata.
    fn ask_for_meta_data(&mut self, client: ClientId, now: Instant) {
        let meta = Asked::wsh_meta_data();
        if self.kept.find(&meta, now).is_none() && self.calls.find(&meta).is_none() {
            self.open_call(client, meta, None);
        }
    }

    fn only_ours(&self, asked: &mut Asked) {
        if let Ok(mut request) = tws::ExecutionRequest::decode(&asked.body[..]) {
            let filter = request.execution_filter.get_or_insert_default();
            filter.client_id = Some(self.session.client_id());
            asked.body = request.encode_to_vec().into();
        }
    }

    fn open_call(&mut self, client: ClientId, asked: Asked, lane: Option<Lane>) -> RequestId {
        let request = self.routes.open(Route::Call);
        let frame = if asked.kind.unkeyed {
            wire::unkeyed(asked.kind.request, &asked.body)
        } else {
            wire::keyed(asked.kind.request, request, &asked.body)
        };
        let waiting = Waiting {
            frame,
            request,
            feed: None,
            gate: asked.gate.clone().known_by(&self.contracts),
            what: (asked.kind.tws, asked.label.clone()),
        };
        self.pacer.push(lane.unwrap_or(asked.kind.lane), client, waiting);
        self.calls.open(request, client, asked);
        request
    }

    fn on_call_error(&mut self, request: RequestId, message: Located<'_>, now: Instant) {
        let Ok(gateway) = tws::ErrorMessage::decode(message.body) else {
            self.counters.malformed_frames += 1;
            return;
        };
        if gateway.error_code() == RATE_EXCEEDED {
            return self.on_rate_exceeded(Some(request), gateway.error_msg(), now);
        }
        if is_pacing_violation(&gateway) && self.put_off_call(request, now) {
            return;
        }
        if ends_request(gateway.error_code()) {
            self.fail_call(request, &self.call_error(&gateway));
        } else {
            self.calls.on_notice(request, message.body);
        }
    }

    /// Makes a request again under another id, for the same callers, if it has no answer yet.
    /// One without an id may be answered all the same, and its answer could not be told from the next
    /// one's: that is waited for.
    pub(super) fn call_again(&mut self, request: RequestId, rejected: bool, now: Instant) {
        let waits = |open: &&Open| open.left.is_some() && open.is_unanswered();
        let Some(open) = self.calls.get(request).filter(waits) else {
            return;
        };
        if open.asked.kind.is_anonymous() && !rejected {
            return self.calls.doubt(request, now + REST);
        }
        let Some((open, _)) = self.calls.close(request) else {
            return;
        };
        if rejected {
            self.end_request(request);
        } else {
            self.cancel_request(request, self.cancel_of(open.asked.kind), open.client);
        }
        self.open_again(open);
    }

    /// Gateway says that a history came too early, by what it knows and we do not: asked for in
    /// other words, or by another program. It is asked for again, by the strictest rules. False if
    /// that was done often enough.
    fn put_off_call(&mut self, request: RequestId, now: Instant) -> bool {
        self.pacer.on_violated(now);
        let again = |open: &Open| open.put_off < MOST_PUT_OFF && open.is_unanswered();
        if !self.calls.get(request).is_some_and(again) {
            return false;
        }
        let Some((mut open, _)) = self.calls.close(request) else {
            return false;
        };
        self.end_request(request);
        open.put_off += 1;
        open.asked.gate = open.asked.gate.strictly();
        self.open_again(open);
        true
    }

    /// The same under another id, for the same callers.
    pub(super) fn open_again(&mut self, before: Open) {
        let next = self.open_call(before.client, before.asked, None);
        self.calls.set_put_off(next, before.put_off);
        for waiter in before.waiters {
            self.calls.wait(next, waiter);
        }
    }

    fn complete_call(&mut self, request: RequestId, now: Instant) {
        let Some((open, answer)) = self.calls.close(request) else {
            return;
        };
        self.kept.keep(&open.asked, &answer, now);
        self.end_request(request);
        if let Some(group) = open.asked.gate.group() {
            self.note_end(group);
        }
        if *open.asked.kind == calls::HEAD_TIMESTAMP
            && let Some(cancel) = open.asked.kind.cancel
        {
            // It counts as open at Gateway until it is cancelled.
            self.push_cancel(request, cancel, open.client);
        }
        for waiter in &open.waiters {
            let waited = open.waited(waiter);
            let answer = answer.clone();
            let reply = match waited < SHORTEST_WAIT {
                true => Reply::Answer(answer),
                false => Reply::Paced(answer, waited),
            };
            self.reply(waiter.call, Ok(reply));
        }
    }

    pub(super) fn fail_call(&mut self, request: RequestId, error: &Error) {
        let Some((open, _)) = self.calls.close(request) else {
            return;
        };
        if open.left.is_some() {
            self.end_request(request);
        } else {
            // What still waits here must not leave for nobody.
            self.cancel_request(request, None, open.client);
        }
        for waiter in open.waiters {
            self.reply(waiter.call, Err(error.clone()));
        }
    }

    /// What takes such a request back at this Gateway.
    pub(super) fn cancel_of(&self, kind: &CallKind) -> Option<Cancel> {
        kind.cancel_at(self.session.server_version().unwrap_or_default())
    }

    pub(super) fn reply(&mut self, call: CallId, result: Result<Reply, Error>) {
        if call == LISTING {
            return self.on_listing(result.is_ok());
        }
        let result = match (self.lenses.remove(&call), result) {
            (Some(lens), Ok(Reply::Answer(answer))) => {
                Ok(Reply::Answer(lens.show(&self.desk, answer)))
            }
            (Some(lens), Ok(Reply::Paced(answer, waited))) => {
                Ok(Reply::Paced(lens.show(&self.desk, answer), waited))
            }
            (_, result) => result,
        };
        self.outputs.push_back(Output::Reply(call, result));
    }
}

enum Admitted {
    Known(Bytes, Lens),
    Open(RequestId, Lens),
}
