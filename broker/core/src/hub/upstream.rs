//! Frames from Gateway: to whom each belongs. The hot path of the broker.
//!
//! Reads a message id and a correlation id and passes the body on untouched. What is not known
//! is passed on or counted, never an error: a newer Gateway may say more than we know.

use std::time::Instant;

use bytes::Bytes;
use ibouncer_proto::tws::envelope::{Direction, Envelope, first_id};
use ibouncer_proto::tws::frame;
use ibouncer_proto::tws::messages::{id, incoming};
use ibouncer_proto::tws::readable;
use ibouncer_proto::tws::v1::{CurrentTimeRequest, ErrorMessage, MarketDataTypeRequest};
use prost::Message as _;

use super::line_errors::{CANNOT_READ, NOT_PROCESSED, NOT_VALID, RATE_EXCEEDED};
use super::marks::shown;
use super::{Hub, Output};
use crate::fields::{field, field_of, is_data};
use crate::ids::RequestId;
use crate::lines::wanted::account_of;
use crate::lines::{Upstream, kind};
use crate::memory::{Identity, identity_of};
use crate::notes::{NoteKind, Severity};
use crate::orders::Desk;
use crate::pacing::gates::Group;
use crate::queue::Entry;
use crate::routes::{Route, Routes};
use crate::wire::message;

/// A message and where it lies in the batch.
#[derive(Clone, Copy)]
pub(super) struct Located<'a> {
    pub(super) batch: &'a Bytes,
    pub(super) message_id: u32,
    pub(super) body: &'a [u8],
}

impl Located<'_> {
    pub(super) fn start(&self) -> u32 {
        (self.body.as_ptr() as usize - self.batch.as_ptr() as usize) as u32
    }
}

impl Hub {
    pub(super) fn on_frames(&mut self, batch: &Bytes, now: Instant) {
        self.heartbeat.on_frames(now);
        self.on_proven();
        self.counters.bytes_received += batch.len() as u64;
        for frame_body in frame::bodies(batch) {
            self.counters.frames_received += 1;
            let Ok(Envelope { message_id, body }) = Envelope::parse(frame_body) else {
                self.counters.malformed_frames += 1;
                continue;
            };
            let message = Located { batch, message_id, body };
            match readable::check(message_id, body) {
                Ok(()) => self.on_message(message, now),
                Err(fault) => self.on_unreadable(message, fault, now),
            }
        }
        self.flush(batch);
    }

    #[inline]
    pub(super) fn on_message(&mut self, message: Located<'_>, now: Instant) {
        let envelope = Envelope { message_id: message.message_id, body: message.body };
        let correlation = match envelope.correlation_id(Direction::FromGateway) {
            Ok(correlation) => correlation,
            Err(error) => {
                self.counters.malformed_frames += 1;
                tracing::warn!(%error, "frame from Gateway was dropped");
                return;
            }
        };
        if Desk::wants(message.message_id)
            && self.desk.is_active()
            && !self.desk.on_message(message.message_id, message.body, now)
        {
            self.counters.malformed_frames += 1;
            tracing::warn!(message_id = message.message_id, "an order's message was unreadable");
        }
        match correlation.and_then(|request| self.routes.get(request)) {
            Some(Route::Line(slot)) if message.message_id != id::ERR_MSG => {
                self.on_line_event(slot, message);
            }
            Some(Route::Line(slot)) => self.on_line_error(slot, message, now),
            Some(Route::Snapshot(call)) => {
                self.hear_complaint(correlation, &message, now);
                self.on_snapshot_event(call, message);
            }
            Some(Route::Call) => {
                let request = RequestId(correlation.unwrap_or_default());
                self.on_call_message(request, message, now);
            }
            Some(Route::Ended) => {
                self.hear_complaint(correlation, &message, now);
                self.counters.unrouted_frames += 1;
            }
            None => self.on_unrouted(message, correlation, now),
        }
    }

    #[inline]
    fn on_line_event(&mut self, slot: u32, message: Located<'_>) {
        let Some(line) = self.lines.get_mut(slot) else {
            return;
        };
        let field = line.kind().field_of(message.message_id);
        if !matches!(line.upstream, Upstream::Live(_)) {
            if is_data(field) {
                self.on_first_data(slot, message.batch);
            } else {
                self.on_answered(slot, message.batch);
            }
        }
        let Some(line) = self.lines.get_mut(slot) else {
            return;
        };
        if line.is_special() && identity_of(field, message.body) == Some(Identity::End) {
            // The next of its kind need not wait for it.
            if let Some(request) = line.upstream.request() {
                self.pacer.on_done(request);
            }
            if let Some(group) = line.kind().load {
                self.note_end(group);
            }
            self.tell_vanished(slot, message.batch);
        }
        let Some(line) = self.lines.get_mut(slot) else {
            return;
        };
        line.sequence += 1;
        if field == field::UNKNOWN {
            return self.deliver_unknown(slot, message);
        }
        line.memory.remember(field, line.sequence, message.body);
        let entry = Entry {
            subscription: 0,
            start: message.start(),
            length: message.body.len() as u32,
            field,
            replayed: false,
            reset: false,
            sequence: line.sequence,
        };
        self.counters.events_delivered += line.subscribers.len() as u64;
        let chosen = line.is_special();
        for subscriber in &line.subscribers {
            if chosen && !subscriber.filter.passes(field, message.body) {
                continue;
            }
            let entry = Entry { subscription: shown(subscriber.subscription), ..entry };
            self.streams.gather(subscriber.stream, entry);
        }
    }

    /// Hands out what has gathered; before anything that must come after it.
    pub(super) fn flush(&mut self, batch: &Bytes) {
        let outputs = &mut self.outputs;
        self.streams.flush(batch, |stream, chunk| {
            outputs.push_back(Output::Deliver(stream, chunk));
        });
    }

    fn on_unrouted(&mut self, message: Located<'_>, correlation: Option<i32>, now: Instant) {
        if let Some(slot) = self.lines.for_message(message.message_id) {
            if self.is_of_a_request_before(slot) {
                return self.on_rest(message, now);
            }
            if self.is_of_another_account(slot, &message) {
                self.counters.unrouted_frames += 1;
                return;
            }
            return self.on_line_event(slot, message);
        }
        if let Some(request) = self.calls.for_message(message.message_id, message.body) {
            return self.on_call_message(request, message, now);
        }
        match message.message_id {
            id::ERR_MSG => {
                // What it says of lines comes behind what came before it.
                self.flush(message.batch);
                self.on_notice(message.body, correlation, now);
            }
            id::CURRENT_TIME => self.heartbeat.on_current_time(now),
            // Read by the worker already.
            id::NEXT_VALID_ID | id::MANAGED_ACCTS => {}
            known if incoming(known).is_some() => self.on_rest(message, now),
            unknown => {
                let request = first_id(message.body);
                if let Some(Route::Line(slot)) = request.and_then(|id| self.routes.get(id)) {
                    return self.on_line_event(slot, message);
                }
                self.counters.unknown_messages += 1;
                tracing::debug!(message_id = unknown, "Gateway sent a message of an unknown id");
            }
        }
    }

    /// Nobody gets it any more. If it is of a first load that was cancelled in its middle, or of what the
    /// broker before had asked for, the next request of its kind waits for the end of that.
    fn on_rest(&mut self, message: Located<'_>, now: Instant) {
        self.counters.unrouted_frames += 1;
        if let Some(group) = Group::of_piece(message.message_id) {
            let is_end = group.end() == Some(message.message_id);
            self.pacer.on_rest(group, is_end, now);
            if is_end {
                self.note_end(group);
            }
        }
    }

    /// Without an id, what comes while the line's own request has not left yet is of the one before,
    /// which is being cancelled. It begins nothing, and its end is no end; the request brings the whole
    /// state.
    fn is_of_a_request_before(&self, slot: u32) -> bool {
        let upstream = self.lines.get(slot).map(|line| line.upstream);
        matches!(upstream, Some(Upstream::Stale | Upstream::Queued(_)))
    }

    /// Account updates carry no id. What still comes of the account before belongs to nobody. Only
    /// accounts of the login are told apart: an advisor's line may have another name than its values.
    fn is_of_another_account(&self, slot: u32, message: &Located<'_>) -> bool {
        let accounts = self.session.accounts();
        let Some(line) = self.lines.get(slot).filter(|_| accounts.len() > 1) else {
            return false;
        };
        let is_known = |account: &str| accounts.iter().any(|one| one == account);
        *line.kind() == kind::ACCOUNT_UPDATES
            && is_known(line.label())
            && account_of(field_of(message.message_id), message.body)
                .is_some_and(|of| of != line.label() && is_known(&of))
    }

    /// A message of Gateway about the connection as a whole.
    fn on_notice(&mut self, body: &[u8], correlation: Option<i32>, now: Instant) {
        let Ok(notice) = ErrorMessage::decode(body) else {
            self.counters.malformed_frames += 1;
            return;
        };
        let (code, text) = (notice.error_code(), notice.error_msg());
        if let Some(order) = correlation.filter(|id| *id > 0)
            && self.desk.is_active()
            && self.desk.on_error(order, &notice, now)
        {
            if code == RATE_EXCEEDED {
                self.on_rate_exceeded(None, text, now);
            }
            return;
        }
        if correlation.is_none_or(|id| id < 0) {
            self.desk.on_connection_error(code, now);
        }
        if correlation.is_some_and(Routes::is_ours) {
            if code == RATE_EXCEEDED {
                self.on_rate_exceeded(correlation.map(RequestId), text, now);
            }
            // About a request that is over; nobody waits for it.
            self.counters.unrouted_frames += 1;
            tracing::debug!(code, text, id = correlation, "late error");
            return;
        }
        if let Some(word) = self.farms.on_notice(code, text, now) {
            tracing::debug!(code, text, "farm notice");
            self.outputs.push_back(Output::StatusChanged);
            return self.on_farm(word, code, text);
        }
        match code {
            1100 | 2110 => {
                self.session.on_upstream_lost(&because(code, text), now);
                // Before READY nothing was asked for yet.
                if self.session.is_up() {
                    self.hold_lines(&because(code, text));
                }
            }
            1102 => {
                self.session.on_upstream_restored(&because(code, text), now);
                self.release_lines(&because(code, text));
                self.desk.on_gap(&because(code, text), false, now);
            }
            1101 => {
                self.desk.on_gap(&because(code, text), false, now);
                self.session.on_upstream_restored(&because(code, text), now);
                // Before READY nothing was asked for yet.
                if self.session.is_up() {
                    self.resubscribe_all(&because(code, text), now);
                }
            }
            RATE_EXCEEDED => self.on_rate_exceeded(None, text, now),
            2100 | 2101 => self.on_account_updates_taken(&notice, now),
            1300 => {
                tracing::error!(
                    text,
                    "Gateway moves its API to another port and drops this connection; \
                     set gateway.address to it"
                );
                self.session.on_port_moved(text);
                let text = format!("Gateway says 1300: {text}; set gateway.address to that port");
                self.note(NoteKind::Gateway, Severity::Error, text);
            }
            CANNOT_READ | NOT_VALID | NOT_PROCESSED if self.on_error_without_id(&notice, now) => {}
            _ => tracing::info!(code, text, "notice from Gateway"),
        }
    }
}

pub(super) fn because(code: i32, text: &str) -> String {
    format!("Gateway says {code}: {text}")
}

pub(super) fn current_time_request() -> Bytes {
    message(id::REQ_CURRENT_TIME, &CurrentTimeRequest {})
}

pub(super) fn market_data_type_request(feed: i32) -> Bytes {
    message(id::REQ_MARKET_DATA_TYPE, &MarketDataTypeRequest { market_data_type: Some(feed) })
}
