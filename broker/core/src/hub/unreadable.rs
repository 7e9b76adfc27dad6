//! Messages of Gateway that not every client could read: mended if only a text is wrong, else left
//! out, and said so.
//!
//! A body goes to many, and stays as a last value; one that a reader refuses would end the streams
//! of all who get it. What such a body is: [`ibouncer_proto::tws::readable`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ibouncer_proto::api::v1::MarkKind;
use ibouncer_proto::tws::envelope::{Direction, Envelope};
use ibouncer_proto::tws::readable::{self, Fault};

use super::upstream::Located;
use super::{Hub, Output};
use crate::calls::End;
use crate::calls::open::LATE;
use crate::error;
use crate::ids::{CallId, RequestId};
use crate::routes::Route;

/// The log has one line of a message and whom it was for in so long.
const QUIET: Duration = Duration::from_secs(60);

/// Beyond so many at a time nothing more is said, but counted.
const MOST_SAID: usize = 1_000;

/// What the log has lately: message id, and whom it was for.
#[derive(Debug, Default)]
pub(super) struct Said(BTreeMap<(u32, Option<i32>), Instant>);

impl Said {
    /// Is it time to say this (again)?
    fn is_due(&mut self, message_id: u32, correlation: Option<i32>, now: Instant) -> bool {
        self.0.retain(|_, at| now.saturating_duration_since(*at) < QUIET);
        let is_new = !self.0.contains_key(&(message_id, correlation));
        if is_new && self.0.len() < MOST_SAID {
            self.0.insert((message_id, correlation), now);
            return true;
        }
        false
    }
}

impl Hub {
    /// A message whose body not every reader takes.
    #[cold]
    pub(super) fn on_unreadable(&mut self, message: Located<'_>, fault: Fault, now: Instant) {
        let Located { batch, message_id, body } = message;
        let envelope = Envelope { message_id, body };
        let correlation = envelope.correlation_id(Direction::FromGateway).ok().flatten();
        let due = self.said.is_due(message_id, correlation, now);
        let mended = if fault == Fault::Text { readable::mend(message_id, body) } else { None };
        if let Some(mended) = mended.map(Bytes::from) {
            if due {
                tracing::warn!(message_id, id = correlation, "text from Gateway was no UTF-8");
            }
            // What was before it lies in another buffer.
            self.flush(batch);
            self.on_message(Located { batch: &mended, message_id, body: &mended }, now);
            return self.flush(&mended);
        }
        self.counters.malformed_frames += 1;
        if due {
            let length = body.len();
            tracing::warn!(
                message_id,
                id = correlation,
                length,
                %fault,
                "message of Gateway was left out"
            );
        }
        match correlation.and_then(|request| self.routes.get(request)) {
            Some(Route::Line(slot)) => self.leave_out(slot, message, now),
            Some(Route::Snapshot(call)) => self.fail_unreadable_snapshot(call, message_id),
            Some(Route::Call) => {
                let request = RequestId(correlation.unwrap_or_default());
                self.fail_call(request, &error::unreadable(message_id));
            }
            Some(Route::Ended) => self.counters.unrouted_frames += 1,
            None => {
                if let Some(slot) = self.lines.for_message(message_id) {
                    self.leave_out(slot, message, now);
                } else if let Some(request) = self.calls.for_message(message_id, body) {
                    self.fail_unreadable_unkeyed(request, message_id, now);
                }
            }
        }
    }

    /// Those who share the line know that something is missing. A book without one of its changes is
    /// wrong: it is asked for anew, but not again and again without a pause if nothing of it can be
    /// read. A state that lacks a thing is not whole, and of what is not in it nothing is known.
    fn leave_out(&mut self, slot: u32, message: Located<'_>, now: Instant) {
        self.flush(message.batch);
        let because = format!(
            "message {} of Gateway could not be read and was left out; see the broker's log",
            message.message_id
        );
        let Some(line) = self.lines.get_mut(slot) else {
            return;
        };
        if line.memory.is_book() {
            return self.resubscribe_in_time(slot, &because, now);
        }
        line.memory.on_left_out();
        for (stream, subscription) in line.lose_frames() {
            self.mark(slot, stream, subscription, MarkKind::Gap, because.clone());
        }
    }

    /// Is the state that follows not whole? Said before it, because nobody reads on behind its end.
    pub(super) fn tell_gap(&mut self, slot: u32, stream: u32, subscription: u32) {
        let Some(line) = self.lines.get_mut(slot).filter(|line| line.memory.has_gap()) else {
            return;
        };
        line.gap_is_told(stream, subscription);
        let because = "a part of this state could not be read (see the broker's log); what is told of it is \
                       not whole until it is asked for anew";
        self.mark(slot, stream, subscription, MarkKind::Gap, because.to_owned());
    }

    fn fail_unreadable_snapshot(&mut self, call: CallId, message_id: u32) {
        self.drop_snapshot(call);
        self.outputs.push_back(Output::Reply(call, Err(error::unreadable(message_id))));
    }

    /// Without an id the rest of the answer would be taken for the next one's: it is waited for.
    fn fail_unreadable_unkeyed(&mut self, request: RequestId, message_id: u32, now: Instant) {
        let Some(open) = self.calls.get(request) else {
            return;
        };
        let error = error::unreadable(message_id);
        let is_over = match open.asked.kind.end {
            End::First => true,
            End::At(end) | End::Commissions(end) => end == message_id,
            End::LastPage => false,
        };
        if is_over {
            return self.fail_call(request, &error);
        }
        for waiter in self.calls.await_late(request, now + LATE) {
            self.reply(waiter.call, Err(error.clone()));
        }
    }
}
