//! Gateway says that messages come too fast (error 100), and has not taken what it says that of.
//!
//! If it names the request, that one is made again; if not, any that left lately and has no
//! answer yet may be the one, and so may any cancel. Asking again costs a few messages, at half
//! the rate; not asking would leave a line silent, or open, for good. Source: protocol fact
//! sheet, sections 8 and 9.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1::ErrorMessage;
use prost::Message as _;

use super::adoption::FEED_UNKNOWN;
use super::line_errors::RATE_EXCEEDED;
use super::upstream::Located;
use super::{Hub, Output};
use crate::error;
use crate::ids::{ClientId, RequestId};
use crate::lines::{Line, Upstream, kind};
use crate::notes::{NoteKind, Severity};
use crate::pacing::{Lane, Waiting};
use crate::routes::Route;

/// Gateway counts the messages of a second; another for the way there and back.
const LATELY: Duration = Duration::from_secs(2);

/// Nobody's turn is used up by what is sent again.
const NOBODY: ClientId = ClientId(0);

/// What left lately, and cancels that may not have arrived.
#[derive(Debug, Default)]
pub(super) struct LeftLately {
    recent: VecDeque<(Instant, Left)>,
    /// With the numbers under which they left, from the oldest that the worker may not have taken.
    untaken: VecDeque<(u64, Waiting)>,
}

#[derive(Debug)]
enum Left {
    Request(RequestId),
    Cancel(Waiting),
    /// A market data type, for what left behind it.
    Feed,
}

impl LeftLately {
    pub(super) fn request(&mut self, request: RequestId, now: Instant) {
        self.add(Left::Request(request), now);
    }

    pub(super) fn feed(&mut self, now: Instant) {
        self.add(Left::Feed, now);
    }

    /// It left in the link's frame of this number.
    pub(super) fn cancel(&mut self, cancel: Waiting, number: u64, now: Instant) {
        self.untaken.push_back((number, cancel.clone()));
        self.add(Left::Cancel(cancel), now);
    }

    /// The worker has taken all frames of the link up to this one.
    pub(super) fn on_taken(&mut self, through: u64) {
        while self.untaken.front().is_some_and(|(number, _)| *number <= through) {
            self.untaken.pop_front();
        }
    }

    /// The link broke, and nothing above this number arrived: the cancels among it. They are what
    /// nobody asks for again.
    pub(super) fn lost_cancels(&mut self, taken_through: u64) -> Vec<Waiting> {
        self.on_taken(taken_through);
        self.untaken.drain(..).map(|(_, cancel)| cancel).collect()
    }

    fn add(&mut self, left: Left, now: Instant) {
        while self.recent.front().is_some_and(|(at, _)| now >= *at + LATELY) {
            self.recent.pop_front();
        }
        self.recent.push_back((now, left));
    }

    /// The cancel of this request, if one left.
    fn take_cancel(&mut self, request: RequestId) -> Option<Waiting> {
        let is_it = |left: &Left| matches!(left, Left::Cancel(cancel) if cancel.request == request);
        let at = self.recent.iter().position(|(_, left)| is_it(left))?;
        match self.recent.remove(at)? {
            (_, Left::Cancel(cancel)) => Some(cancel),
            (_, Left::Request(_) | Left::Feed) => None,
        }
    }

    fn take(&mut self, now: Instant) -> impl Iterator<Item = Left> + use<> {
        let all = std::mem::take(&mut self.recent);
        all.into_iter().filter(move |(at, _)| now < *at + LATELY).map(|(_, left)| left)
    }
}

impl Hub {
    /// Our budget is too large for this Gateway: half of it from now on, and once more what was
    /// rejected. `named` is the request that Gateway said it of.
    pub(super) fn on_rate_exceeded(&mut self, named: Option<RequestId>, text: &str, now: Instant) {
        let rate = self.pacer.on_complaint(now);
        tracing::error!(text, rate, "Gateway says that messages come too fast; the rate is halved");
        let text = format!(
            "Gateway says 100: {text}; at most {rate} messages a second leave for the next 10 minutes. \
             Lower pacing.messages_per_second if this comes again"
        );
        self.note(NoteKind::Gateway, Severity::Error, text);
        match named {
            Some(request) => match self.left_lately.take_cancel(request) {
                Some(cancel) => self.pacer.push(Lane::DataCancel, NOBODY, cancel),
                None => self.ask_again(request, true, now),
            },
            None => {
                let mut feed_in_doubt = false;
                for left in self.left_lately.take(now) {
                    match left {
                        Left::Feed => {
                            feed_in_doubt = true;
                            self.feed_in_force = FEED_UNKNOWN;
                        }
                        Left::Request(request) if feed_in_doubt => {
                            self.ask_under_its_feed(request, now)
                        }
                        Left::Request(request) => self.ask_again(request, false, now),
                        Left::Cancel(cancel) if self.is_taken_back_by(&cancel) => {}
                        Left::Cancel(cancel) => self.pacer.push(Lane::DataCancel, NOBODY, cancel),
                    }
                }
            }
        }
    }

    /// It counts whatever became of its request, and also if it is about a cancel.
    pub(super) fn hear_complaint(
        &mut self,
        request: Option<i32>,
        message: &Located<'_>,
        now: Instant,
    ) {
        if message.message_id == id::ERR_MSG
            && let Ok(error) = ErrorMessage::decode(message.body)
            && error.error_code() == RATE_EXCEEDED
        {
            self.on_rate_exceeded(request.map(RequestId), error.error_msg(), now);
        }
    }

    /// Would this cancel, which names no id, end a line that was asked for behind it?
    fn is_taken_back_by(&self, cancel: &Waiting) -> bool {
        kind::ALL.into_iter().filter(|kind| !kind.answers.is_empty()).any(|kind| {
            let left = |line: &Line| {
                matches!(
                    line.upstream,
                    Upstream::Requested(_)
                        | Upstream::Answered(_)
                        | Upstream::Live(_)
                        | Upstream::Doubted(..)
                )
            };
            cancel.frame == kind.cancel.frame(cancel.request)
                && self.lines.only(kind).is_some_and(|(_, line)| left(line))
        })
    }

    /// Gateway may not have taken the market data type that this request left under, and serves it
    /// under another: what has come of it may be delayed where live was meant.
    fn ask_under_its_feed(&mut self, request: RequestId, now: Instant) {
        let because = "Gateway may not have taken the market data type of this line (100)";
        match self.routes.get(request.0) {
            Some(Route::Line(slot)) => match self.lines.get(slot) {
                Some(line)
                    if line.wanted.feed.is_some()
                        && line.upstream != Upstream::Requested(request)
                        && line.upstream.request() == Some(request) =>
                {
                    self.resubscribe(slot, because);
                }
                _ => self.ask_again(request, false, now),
            },
            Some(Route::Snapshot(call)) => {
                self.drop_snapshot(call);
                let error = error::gateway(RATE_EXCEEDED, because);
                self.outputs.push_back(Output::Reply(call, Err(error)));
            }
            _ => self.ask_again(request, false, now),
        }
    }

    /// A request is made again under another id, if nothing came of it yet. Unless it was surely
    /// `rejected`, Gateway may have taken it all the same.
    fn ask_again(&mut self, request: RequestId, rejected: bool, now: Instant) {
        match self.routes.get(request.0) {
            Some(Route::Line(slot)) => {
                let upstream = self.lines.get(slot).map(|line| line.upstream);
                if upstream == Some(Upstream::Requested(request)) {
                    if rejected {
                        self.end_request(request);
                    } else {
                        // Nothing came: if it was taken all the same, the whole of it is still to come.
                        self.pacer.on_late(request, now);
                        self.cancel_upstream(slot);
                    }
                    self.request_line(slot);
                }
            }
            Some(Route::Call) => self.call_again(request, rejected, now),
            // A snapshot has its deadline, and its caller may ask again.
            Some(Route::Snapshot(_) | Route::Ended) | None => {}
        }
    }
}
