//! Answers that nobody waits for any more and that may come all the same: those without an id, which
//! would be taken for the next one's. It waits meanwhile (`pacing/gates.rs`), also behind what the
//! broker before had asked for: such requests are written down until their answers end.

use std::time::Instant;

use super::{Hub, Output};
use crate::calls::open::{LATE, Waiter};
use crate::error::{self, Error};
use crate::ids::RequestId;
use crate::pacing::gates::{Group, REST};

impl Hub {
    /// What was asked for is lost in a session that goes on; whoever waits may ask again. The rest of an
    /// answer without an id may come all the same.
    pub(super) fn fail_lost_calls(&mut self, error: &Error, now: Instant) {
        for request in self.calls.requests() {
            if self.is_anonymous(request) && !self.calls.is_late(request) {
                for waiter in self.await_late(request, now + REST) {
                    self.reply(waiter.call, Err(error.clone()));
                }
            } else if !self.calls.is_late(request) {
                self.fail_call(request, error);
            }
        }
    }

    pub(super) fn on_unanswered(&mut self, request: RequestId, now: Instant) {
        if self.calls.is_doubted(request) {
            return self.settle_doubt(request);
        }
        let Some(open) = self.calls.get(request) else {
            return;
        };
        let kind = open.asked.kind;
        let error = error::deadline(kind.tws, kind.deadline.as_secs_f64());
        let error = error::with_notice(error, open.notice.as_ref());
        if kind.is_anonymous() {
            for waiter in self.await_late(request, now + LATE) {
                self.reply(waiter.call, Err(error.clone()));
            }
        } else if let Some((open, _)) = self.calls.close(request) {
            self.cancel_request(request, self.cancel_of(kind), open.client);
            for waiter in open.waiters {
                self.reply(waiter.call, Err(error.clone()));
            }
        }
    }

    /// Gateway may not have taken it, and if nothing has come of it by now, it has not.
    fn settle_doubt(&mut self, request: RequestId) {
        if !self.calls.end_doubt(request) {
            return;
        }
        if let Some((open, _)) = self.calls.close(request) {
            self.end_request(request);
            self.open_again(open);
        }
    }

    /// Nobody waits any more: for good, or for the first time.
    pub(super) fn on_given_up(&mut self, request: RequestId, now: Instant) {
        let is_over = self.calls.is_late(request)
            || (self.calls.is_doubted(request) && self.calls.end_doubt(request));
        if is_over {
            self.give_up(request);
        } else {
            self.await_late(request, now + LATE);
        }
    }

    /// What comes of it must not be taken for an answer to the next one, which waits.
    fn await_late(&mut self, request: RequestId, until: Instant) -> Vec<Waiter> {
        self.pacer.on_late(request, until);
        self.calls.await_late(request, until)
    }

    /// It has left without an id, and what comes of it does not say that it does.
    fn is_anonymous(&self, request: RequestId) -> bool {
        let open = self.calls.get(request);
        open.is_some_and(|open| open.left.is_some() && open.asked.kind.is_anonymous())
    }

    /// A piece of an answer that nobody waits for any more: the next may take as long.
    pub(super) fn await_rest(&mut self, request: RequestId, now: Instant) {
        let before = self.calls.get(request).and_then(|open| open.deadline());
        if before.is_some_and(|until| until < now + REST) {
            self.await_late(request, now + REST);
        }
    }

    /// The last who waited for it is gone.
    pub(super) fn abandon(&mut self, request: RequestId) {
        // Without an id its answer comes all the same, and must not be taken for another's.
        if !self.is_anonymous(request) {
            self.give_up(request);
        }
    }

    /// A request of this group left in the newest frame.
    pub(super) fn note_asked(&mut self, group: Group) {
        if group.end().is_some() {
            self.outputs.push_back(Output::NoteAnswer(group, Some(self.sent)));
        }
    }

    /// Its answer has come to its end.
    pub(super) fn note_end(&mut self, group: Group) {
        if group.end().is_some() {
            self.outputs.push_back(Output::NoteAnswer(group, None));
        }
    }

    fn give_up(&mut self, request: RequestId) {
        if let Some((open, _)) = self.calls.close(request) {
            self.cancel_request(request, self.cancel_of(open.asked.kind), open.client);
        }
    }
}
