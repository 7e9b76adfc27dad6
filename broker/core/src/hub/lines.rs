//! Lines at Gateway: asked for, asked for again, lost, given back.

use std::time::Instant;

use bytes::Bytes;
use ibouncer_proto::api::v1::{MarkKind, UnknownMessage};
use prost::Message as _;

use super::complaint::LeftLately;
use super::upstream::Located;
use super::{Hub, Output};
use crate::error;
use crate::fields::field;
use crate::ids::{ClientId, Epoch, RequestId};
use crate::lines::kind::Cancel;
use crate::lines::wanted::{LIVE, account_of};
use crate::lines::{Line, Upstream};
use crate::memory::identity;
use crate::pacing::gates::Gate;
use crate::pacing::{Lane, Waiting};
use crate::routes::Route;
use crate::wire;

impl Hub {
    /// All lines are asked for: a session began.
    pub(super) fn on_session_up(&mut self, epoch: Epoch, now: Instant) {
        tracing::info!(%epoch, lines = self.lines.len(), "session is up");
        let first = self.session.accounts().first().cloned();
        if let Some(first) = &first {
            for slot in self.lines.slots() {
                self.lines.name_account(slot, first);
            }
            self.join_updates(now);
        }
        for slot in self.lines.slots() {
            self.request_line(slot);
        }
        self.end_those_of_another_login(now);
        self.ask_for_updates_again();
    }

    /// Nothing flows any more: all who listen are told, all who wait are answered.
    pub(super) fn on_session_down(&mut self, epoch: Epoch, because: &str) {
        let error = error::worker_ended(epoch, because);
        self.fail_calls(&error);
        self.fail_snapshots(&error);
        self.kept.clear();
        self.pacer.clear();
        self.left_lately = LeftLately::default();
        self.routes.clear();
        self.feed_in_force = LIVE;
        for slot in self.lines.slots() {
            self.make_stale(slot, epoch, because);
        }
    }

    /// Gateway has lost all subscriptions (1101), or it is not known what arrived: what was asked
    /// for is asked again, under new ids, and one-shots may be. The old ids are cancelled all the same:
    /// one that reached Gateway after its loss lives there.
    pub(super) fn resubscribe_all(&mut self, because: &str, now: Instant) {
        let error = error::answer_lost(self.session.epoch(), because);
        self.fail_lost_calls(&error, now);
        self.fail_snapshots(&error);
        for slot in self.lines.slots() {
            self.resubscribe(slot, because);
        }
    }

    /// One line is asked for again, under a new id.
    pub(super) fn resubscribe(&mut self, slot: u32, because: &str) {
        self.cancel_upstream(slot);
        self.make_stale(slot, self.session.epoch(), because);
        self.request_line(slot);
    }

    /// The same, because Gateway does not serve this line well. If it was asked for again lately, there
    /// is a pause first.
    pub(super) fn resubscribe_in_time(&mut self, slot: u32, because: &str, now: Instant) {
        self.cancel_upstream(slot);
        self.make_stale(slot, self.session.epoch(), because);
        let at = self.lines.get_mut(slot).map(|line| line.again.at(now));
        self.request_line_at(slot, at.filter(|at| *at > now));
    }

    /// Frames of Gateway were lost between worker and broker. A book without one of its changes
    /// is wrong, a snapshot may lack its last value; the others are told.
    pub(super) fn on_frames_lost(&mut self, because: &str) {
        let error = error::answer_lost(self.session.epoch(), because);
        self.fail_snapshots(&error);
        for slot in self.lines.slots() {
            let Some(line) = self.lines.get_mut(slot) else {
                continue;
            };
            if line.memory.is_book() {
                self.resubscribe(slot, because);
                continue;
            }
            for (stream, subscription) in line.lose_frames() {
                self.mark(slot, stream, subscription, MarkKind::Gap, because.to_owned());
            }
        }
    }

    /// Gateway has answered a request with something that is no data. What was told of the line before
    /// is as old as it was; of one that never had anything nothing is.
    pub(super) fn on_answered(&mut self, slot: u32, batch: &Bytes) {
        let Some(line) = self.lines.get_mut(slot) else {
            return;
        };
        if let Upstream::Requested(request) = line.upstream {
            line.upstream = Upstream::Answered(request);
            self.heartbeat.on_answer(request);
        }
        let kind = line.kind();
        if line.served || self.trouble_of(kind).is_some() {
            return;
        }
        self.flush(batch);
        let waiting = self.lines.get_mut(slot).map(Line::become_fresh).unwrap_or_default();
        for (stream, subscription) in waiting {
            let epoch = self.session.epoch().0;
            let because = format!("Gateway serves it in session {epoch}; it has had no data yet");
            self.mark(slot, stream, subscription, MarkKind::Resumed, because);
        }
    }

    /// The first data under a new request id, or of a line that was doubted.
    pub(super) fn on_first_data(&mut self, slot: u32, batch: &Bytes) {
        self.flush(batch);
        let Some(line) = self.lines.get_mut(slot) else {
            return;
        };
        // A book that was doubted goes on with its next change, and a state with its next news.
        let goes_on = matches!(line.upstream, Upstream::Doubted(..));
        let begins = line.memory.is_book() && !goes_on;
        if let Some(request) = line.upstream.request() {
            line.upstream = Upstream::Live(request);
            line.put_off = 0;
            self.heartbeat.on_answer(request);
        }
        line.served = true;
        let waiting = line.become_fresh();
        for (stream, subscription) in waiting {
            let because = format!("data flows again in session {}", self.session.epoch().0);
            if goes_on {
                self.resume_as_it_was(slot, stream, subscription, because);
                continue;
            }
            self.mark(slot, stream, subscription, MarkKind::Resumed, because);
            if begins {
                self.tell_book(slot, stream, subscription, "the book begins anew");
            }
        }
    }

    /// A message has left for Gateway. The cancel that would take it back; none if it ends one.
    pub(super) fn on_left(&mut self, request: RequestId, now: Instant) -> Option<Cancel> {
        let cancel = match self.routes.get(request.0) {
            Some(Route::Line(slot)) => {
                let line = self.lines.get_mut(slot)?;
                if line.upstream == Upstream::Queued(request) {
                    line.upstream = Upstream::Requested(request);
                    line.asked_at = Some(now);
                }
                line.kind().cancel
            }
            Some(Route::Snapshot(call)) => {
                self.on_snapshot_left(call, now);
                super::snapshot::CANCEL
            }
            Some(Route::Call) => {
                self.calls.on_left(request, now);
                let kind = self.calls.get(request)?.asked.kind;
                self.heartbeat.on_request(request, now);
                return self.cancel_of(kind);
            }
            Some(Route::Ended) | None => return None,
        };
        self.heartbeat.on_request(request, now);
        Some(cancel)
    }

    pub(super) fn deliver_unknown(&mut self, slot: u32, message: Located<'_>) {
        self.flush(message.batch);
        self.counters.unknown_messages += 1;
        let Some(line) = self.lines.get(slot) else {
            return;
        };
        let unknown = UnknownMessage {
            message_id: message.message_id,
            body: Bytes::copy_from_slice(message.body),
        };
        let body = Bytes::from(unknown.encode_to_vec());
        for (stream, subscription) in listeners_of(line, field::UNKNOWN, &body) {
            self.deliver_one(stream, subscription, field::UNKNOWN, body.clone(), slot);
        }
    }

    /// The first load is complete: what was there before and did not come again is told once as
    /// gone. Of an account that the login does not have any more Gateway says nothing, and nor do we.
    pub(super) fn tell_vanished(&mut self, slot: u32, batch: &Bytes) {
        let Some(line) = self.lines.get_mut(slot) else {
            return;
        };
        let vanished = line.memory.vanished();
        if vanished.is_empty() {
            return;
        }
        self.flush(batch);
        for old in vanished {
            let is_of_login =
                account_of(old.field, &old.body).is_none_or(|account| self.login_has(&account));
            let Some(body) = identity::gone(old.field, &old.body).filter(|_| is_of_login) else {
                continue;
            };
            let Some(line) = self.lines.get_mut(slot) else {
                return;
            };
            line.sequence += 1;
            let body = Bytes::from(body);
            for (stream, subscription) in listeners_of(line, old.field, &body) {
                self.deliver_one(stream, subscription, old.field, body.clone(), slot);
            }
        }
    }

    pub(super) fn request_line(&mut self, slot: u32) {
        self.request_line_at(slot, None);
    }

    fn request_line_at(&mut self, slot: u32, at: Option<Instant>) {
        let request = self.routes.open(Route::Line(slot));
        let Some(line) = self.lines.get_mut(slot) else {
            return;
        };
        line.upstream = Upstream::Queued(request);
        line.memory.on_asked();
        let kind = line.kind();
        let frame = if kind.answers.is_empty() {
            wire::keyed(kind.request, request, &line.wanted.body)
        } else {
            wire::unkeyed(kind.request, &line.wanted.body)
        };
        let gate = line.wanted.gate.clone().known_by(&self.contracts);
        let gate = match at {
            Some(at) => Gate::NotBefore(at, Box::new(gate)),
            None => gate,
        };
        let waiting = Waiting {
            frame,
            request,
            feed: line.wanted.feed,
            gate,
            what: (kind.tws, line.label().to_owned()),
        };
        self.pacer.push(kind.lane, line.opened_by, waiting);
    }

    /// Takes a line back from Gateway; if the request still waits here, nothing ever leaves.
    pub(super) fn cancel_upstream(&mut self, slot: u32) {
        let Some(line) = self.lines.get_mut(slot) else {
            return;
        };
        let (upstream, client, cancel) = (line.upstream, line.opened_by, line.kind().cancel);
        line.upstream = Upstream::Stale;
        if let Some(request) = upstream.request() {
            self.cancel_request(request, Some(cancel), client);
        }
    }

    pub(super) fn cancel_request(
        &mut self,
        request: RequestId,
        cancel: Option<Cancel>,
        client: ClientId,
    ) {
        let waited = self.pacer.take_back(request);
        self.routes.end(request);
        self.heartbeat.on_answer(request);
        if waited || !self.session.is_up() {
            return;
        }
        match cancel {
            Some(cancel) => self.push_cancel(request, cancel, client),
            None => self.outputs.push_back(Output::NoteClosed(request, None)),
        }
    }

    /// The cancel of a request waits for its turn.
    pub(super) fn push_cancel(&mut self, request: RequestId, cancel: Cancel, client: ClientId) {
        let waiting = Waiting {
            frame: cancel.frame(request),
            request,
            feed: None,
            gate: Gate::Open,
            what: ("cancel", String::new()),
        };
        self.pacer.push(Lane::DataCancel, client, waiting);
    }

    /// Gateway has ended a request; nothing of it is left there.
    pub(super) fn end_request(&mut self, request: RequestId) {
        self.routes.end(request);
        self.pacer.on_done(request);
        self.heartbeat.on_answer(request);
        self.outputs.push_back(Output::NoteClosed(request, None));
    }

    fn make_stale(&mut self, slot: u32, epoch: Epoch, because: &str) {
        let Some(line) = self.lines.get_mut(slot) else {
            return;
        };
        line.upstream = Upstream::Stale;
        let told = line.become_stale();
        for (stream, subscription) in told {
            self.mark_of(epoch, slot, stream, subscription, MarkKind::Stale, because.to_owned());
        }
    }

    /// Clients that share a line, by name.
    pub(crate) fn listeners(&self, line: &Line) -> Vec<String> {
        let mut names: Vec<_> = line
            .subscribers
            .iter()
            .filter_map(|one| self.streams.client(one.stream))
            .map(|client| self.clients.name(client).to_owned())
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Who listens: slot of the stream, and subscription.
pub(super) fn listeners(line: &Line) -> Vec<(u32, u32)> {
    line.subscribers.iter().map(|one| (one.stream, one.subscription)).collect()
}

/// Those of them who get this body.
fn listeners_of(line: &Line, field: u8, body: &[u8]) -> Vec<(u32, u32)> {
    let get = line.subscribers.iter().filter(|one| one.filter.passes(field, body));
    get.map(|one| (one.stream, one.subscription)).collect()
}
