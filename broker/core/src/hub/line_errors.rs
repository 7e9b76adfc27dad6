//! Gateway's errors about one line: they go to all who share it, and may end it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ibouncer_proto::tws::v1::ErrorMessage;
use prost::Message as _;

use super::allotment::takes_line;
use super::lines::listeners;
use super::marks::shown;
use super::upstream::{Located, because};
use super::{Hub, Output};
use crate::calls::open::Open;
use crate::error::{self, Error};
use crate::fields::field;
use crate::lines::{Line, Upstream, kind};
use crate::notes::{NoteKind, Severity};
use crate::queue::Entry;

/// Another program may hold what Gateway gives of it, and then waiting does not help.
pub(super) const MOST_PUT_OFF: u8 = 2;

/// Gateway's codes with a meaning of their own here. Source: protocol fact sheet, section 8.
pub(super) const RATE_EXCEEDED: i32 = 100;
/// It has no more lines of market data.
const NO_MORE_LINES: i32 = 101;
/// Gateway cannot read a request, or does not take it.
pub(super) const CANNOT_READ: i32 = 320;
pub(super) const NOT_VALID: i32 = 321;
/// It could read it, and fails all the same.
pub(super) const NOT_PROCESSED: i32 = 322;
const TICK_BY_TICK_LIMIT: i32 = 10_190;
const BOOK_HALTED: i32 = 316;
const BOOK_RESET: i32 = 317;
const BARS_LOST: i32 = 10_182;
/// Another login of this user takes the market data. No data comes, and nothing ends.
pub(super) const COMPETING_SESSION: i32 = 10_197;
const BARS_BUSTED: i32 = 10_225;

/// What Gateway does not take, it refuses at once.
const REFUSED_WITHIN: Duration = Duration::from_secs(30);

impl Hub {
    /// An error about a line goes to all who share it, and may end it.
    pub(super) fn on_line_error(&mut self, slot: u32, message: Located<'_>, now: Instant) {
        let Ok(error) = ErrorMessage::decode(message.body) else {
            self.counters.malformed_frames += 1;
            return;
        };
        self.flush(message.batch);
        let masked = self.masked(&error);
        let mut limited = Vec::new();
        if self.is_put_off(slot, &error, now) {
            // It comes later, and that is all.
            return;
        }
        if let Some(line) = self.lines.get_mut(slot) {
            if let Some(request) = line.upstream.request() {
                self.heartbeat.on_answer(request);
            }
            line.sequence += 1;
            if !ends_request(error.error_code()) && error.error_code() != BOOK_RESET {
                line.memory.remember(field::ERROR, line.sequence, message.body);
            }
            let entry = Entry {
                subscription: 0,
                start: message.start(),
                length: message.body.len() as u32,
                field: field::ERROR,
                replayed: false,
                reset: false,
                sequence: line.sequence,
            };
            for subscriber in &line.subscribers {
                if masked.is_some() && subscriber.filter.is_limited() {
                    limited.push((subscriber.stream, subscriber.subscription));
                    continue;
                }
                let entry = Entry { subscription: shown(subscriber.subscription), ..entry };
                self.streams.gather(subscriber.stream, entry);
            }
        }
        self.flush(message.batch);
        if let Some(masked) = &masked {
            let body = Bytes::from(masked.encode_to_vec());
            for (stream, subscription) in limited {
                self.deliver_one(stream, subscription, field::ERROR, body.clone(), slot);
            }
        }
        self.on_line_error_code(slot, &error, now);
    }

    /// The same for those who may not see every account, if it names one.
    fn masked(&self, error: &ErrorMessage) -> Option<ErrorMessage> {
        let text = self.mask_accounts(error.error_msg());
        (text != error.error_msg()).then(|| ErrorMessage { error_msg: Some(text), ..error.clone() })
    }

    fn on_line_error_code(&mut self, slot: u32, error: &ErrorMessage, now: Instant) {
        let (code, text) = (error.error_code(), error.error_msg());
        match code {
            RATE_EXCEEDED => {
                let request = self.lines.get(slot).and_then(|line| line.upstream.request());
                self.on_rate_exceeded(request, text, now);
            }
            BOOK_RESET => self.reset_book(slot, &because(code, text)),
            BOOK_HALTED | BARS_LOST | BARS_BUSTED => {
                self.resubscribe_in_time(slot, &because(code, text), now);
            }
            COMPETING_SESSION => self.note_competing_session(text),
            _ if ends_request(code) => self.end_line_by_error(slot, error, now),
            _ => {}
        }
    }

    pub(super) fn note_competing_session(&mut self, text: &str) {
        let text =
            format!("Gateway says 10197: {text}; another login of this user takes the market data");
        self.note(NoteKind::Gateway, Severity::Error, text);
    }

    /// Gateway takes one tick-by-tick request for an instrument in 15 s, and has rules like it for
    /// history. It also counts what a broker before this one asked for, or another program: the
    /// line is asked for again, after that time. False if that did not help, or is not the error.
    fn is_put_off(&mut self, slot: u32, error: &ErrorMessage, now: Instant) -> bool {
        if is_pacing_violation(error) {
            self.pacer.on_violated(now);
        } else if error.error_code() != TICK_BY_TICK_LIMIT {
            return false;
        }
        let Some(line) = self.lines.get_mut(slot) else {
            return false;
        };
        line.put_off += 1;
        let again = line.put_off <= MOST_PUT_OFF;
        line.wanted.gate = std::mem::take(&mut line.wanted.gate).strictly();
        if let Some(request) = line.upstream.request().filter(|_| again) {
            self.end_request(request);
            self.request_line(slot);
        }
        again
    }

    /// Gateway does not take a request that has no id. If only one such is open, or named in the text,
    /// it is that one; false if it cannot be told.
    pub(super) fn on_error_without_id(&mut self, gateway: &ErrorMessage, now: Instant) -> bool {
        let text = gateway.error_msg();
        let waits =
            |open: &Open| open.left.is_some() && open.asked.kind.unkeyed && open.is_unanswered();
        let open =
            self.calls.requests().into_iter().filter_map(|id| Some((id, self.calls.get(id)?)));
        let open: Vec<_> = open.filter(|(_, open)| waits(open)).collect();
        let lines = self.unanswered_lines(now);
        let is_only = open.len() + lines.len() == 1;
        let line = lines.iter().find(|(_, line)| is_only || names(text, line.label()));
        if let Some((slot, _)) = line {
            self.end_line_by_error(*slot, gateway, now);
            return true;
        }
        let named = open.iter().find(|(_, open)| names(text, &open.asked.label));
        let only = open.first().filter(|_| is_only);
        let Some((request, _)) = named.or(only) else {
            return false;
        };
        self.fail_call(*request, &error::gateway(gateway.error_code(), text));
        true
    }

    /// Lines without an id that Gateway was asked for and has not answered. Of one that it may have
    /// nothing to say of for hours, only if that was lately.
    fn unanswered_lines(&self, now: Instant) -> Vec<(u32, &Line)> {
        let kinds = kind::ALL.into_iter().filter(|kind| !kind.answers.is_empty());
        let lines = kinds.filter_map(|kind| self.lines.only(kind));
        let is_lately = |line: &Line| line.asked_at.is_some_and(|at| now < at + REFUSED_WITHIN);
        let waits = |(_, line): &(u32, &Line)| {
            matches!(line.upstream, Upstream::Requested(_))
                && (line.kind().load.is_some() || is_lately(line))
        };
        lines.filter(waits).collect()
    }

    /// What an error of Gateway means to those who wait for an answer.
    pub(super) fn call_error(&self, gateway: &ErrorMessage) -> Error {
        let (code, text) = (gateway.error_code(), gateway.error_msg());
        match code {
            // Of the data connection, and not of the request. 1101 may follow, or have come before.
            BARS_LOST => error::answer_lost(self.session.epoch(), &because(code, text)),
            _ => error::gateway(code, text),
        }
    }

    /// Gateway has emptied the book and fills it again.
    fn reset_book(&mut self, slot: u32, because: &str) {
        let Some(line) = self.lines.get_mut(slot) else {
            return;
        };
        line.memory.on_reset();
        for (stream, subscription) in listeners(line) {
            self.tell_book(slot, stream, subscription, because);
        }
    }

    pub(super) fn end_line_by_error(&mut self, slot: u32, gateway: &ErrorMessage, now: Instant) {
        let Some(line) = self.lines.close(slot) else {
            return;
        };
        if let Some(request) = line.upstream.request() {
            // After an error the id is dead at Gateway; a cancel would only raise another.
            self.end_request(request);
        }
        let told = |error: &ErrorMessage| {
            error::line_ended(line.id, error.error_code(), error.error_msg())
        };
        let error = told(gateway);
        let masked = self.masked(gateway).as_ref().map(told);
        for subscriber in &line.subscribers {
            if let Some(stream) = self.streams.get_mut(subscriber.stream) {
                stream.subscriptions.remove(&subscriber.subscription);
            }
            if subscriber.waits && gateway.error_code() == NO_MORE_LINES && takes_line(line.kind())
            {
                self.wait_for_gateway(&line, subscriber, gateway, now);
                continue;
            }
            let masked = masked.as_ref().filter(|_| subscriber.filter.is_limited());
            self.end_subscription(&line, subscriber, masked.unwrap_or(&error).clone());
        }
        self.on_line_over(&line);
        self.serve_waiters(now);
        self.outputs.push_back(Output::StatusChanged);
    }
}

/// Does a text have this as a word of its own?
fn names(text: &str, label: &str) -> bool {
    let mut words = text.split(|letter: char| !letter.is_alphanumeric());
    !label.is_empty() && words.any(|word| word == label)
}

/// Is it about a history that came too early? The code has other meanings.
pub(super) fn is_pacing_violation(error: &ErrorMessage) -> bool {
    const HISTORY: i32 = 162;
    error.error_code() == HISTORY
        && error.error_msg().to_ascii_lowercase().contains("pacing violation")
}

/// Does an error with this code end the request it is about? Warnings do not. Source: protocol
/// fact sheet, section 8; and of 10018, 10019 (products whose price has a factor) and 10349 (the time
/// in force was set by a preset), which newer Gateways say of orders that live on: rust-ibapi 834,
/// ib_async 191 and 217.
pub(crate) fn ends_request(code: i32) -> bool {
    !matches!(
        code,
        0 | 165
            | 317
            | 399
            | 404
            | 434
            | 492
            | 2100..=2199
            | 10_018
            | 10_019
            | 10_089..=10_091
            | 10_167
            | 10_197
            | 10_349
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_do_not_end_a_request_and_errors_do() {
        for code in [0, 2104, 2137, 10_018, 10_167, 399, 10_197, 10_349] {
            assert!(!ends_request(code), "{code}");
        }
        for code in [101, 200, 300, 321, 322, 354, 10_186, 10_190] {
            assert!(ends_request(code), "{code}");
        }
    }
}
