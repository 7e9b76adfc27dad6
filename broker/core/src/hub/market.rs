//! Subscriptions: from a client's request to a line at Gateway, and what becomes of the line.

use std::time::Instant;

use bytes::Bytes;
use ibouncer_proto::api::v1::{MarkKind, UnknownMessage};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::upstream::{Located, message};
use super::{Hub, Output};
use crate::error::{self, Error};
use crate::ids::{ClientId, Epoch, RequestId, StreamId};
use crate::lines::{self, Line, Subscriber, Upstream};
use crate::pacing::{Lane, Waiting};
use crate::queue::field;
use crate::routes::Route;

/// Market data type 1.
pub(super) const LIVE: i32 = 1;

impl Hub {
    pub(super) fn subscribe(
        &mut self,
        stream: StreamId,
        subscription: u32,
        mut request: tws::MarketDataRequest,
        feed: i32,
    ) {
        let Some((slot, open)) = self.streams.find(stream) else {
            return;
        };
        let client = open.client;
        if open.subscriptions.contains_key(&subscription) {
            let what = format!("subscription_id {subscription} is in use on this stream");
            return self.refuse_id(slot, subscription, what);
        }
        let feed = match checked_feed(&request, feed) {
            Ok(feed) => feed,
            Err(error) => return self.refuse(slot, subscription, error),
        };
        request.req_id = None;
        request.snapshot = None;
        let line_slot = match self.lines.open(client, request, feed) {
            Ok(line_slot) => line_slot,
            Err(lines::LinesFull) => {
                let error = error::lines_exhausted(self.lines.limit(), &self.holders());
                return self.refuse(slot, subscription, error);
            }
        };
        if let Some((_, open)) = self.streams.find(stream) {
            open.subscriptions.insert(subscription, line_slot);
        }
        let Some(line) = self.lines.get_mut(line_slot) else {
            return;
        };
        let is_new = line.subscribers.is_empty();
        let has_no_session = line.upstream == Upstream::Stale && !(is_new && self.session.is_up());
        // A line that is being asked for again is stale for all who share it.
        let is_stale = has_no_session || line.subscribers.iter().any(|one| one.told_stale);
        let subscriber = Subscriber { stream: slot, subscription, told_stale: is_stale };
        line.subscribers.push(subscriber);
        let label = line.label();
        self.mark(line_slot, subscriber, MarkKind::Subscribed, format!("subscribed to {label}"));
        self.replay(line_slot, subscriber);
        if is_stale {
            let because = if has_no_session {
                self.session_in_words()
            } else {
                "the line is being asked for again".into()
            };
            self.mark(line_slot, subscriber, MarkKind::Stale, because);
        }
        if is_new {
            self.counters.lines_opened += 1;
            if self.session.is_up() {
                self.request_line(line_slot);
            }
            self.outputs.push_back(Output::StatusChanged);
        }
    }

    pub(super) fn unsubscribe(&mut self, stream: StreamId, subscription: u32) {
        let Some((slot, open)) = self.streams.find(stream) else {
            return;
        };
        let Some(line_slot) = open.subscriptions.remove(&subscription) else {
            let what = format!("subscription_id {subscription} does not exist on this stream");
            return self.refuse_id(slot, subscription, what);
        };
        let subscriber = Subscriber { stream: slot, subscription, told_stale: false };
        self.mark(line_slot, subscriber, MarkKind::Ended, "unsubscribed".into());
        self.leave_line(line_slot, slot, subscription);
    }

    pub(super) fn close_stream(&mut self, stream: StreamId) {
        let Some((slot, closed)) = self.streams.close(stream) else {
            return;
        };
        for (subscription, line_slot) in closed.subscriptions {
            self.leave_line(line_slot, slot, subscription);
        }
    }

    /// All lines are asked for: a session began.
    pub(super) fn on_session_up(&mut self, epoch: Epoch) {
        tracing::info!(%epoch, lines = self.lines.used(), "session is up");
        for slot in self.lines.slots() {
            self.request_line(slot);
        }
    }

    /// Nothing flows any more: all who listen are told, all who wait are answered.
    pub(super) fn on_session_down(&mut self, epoch: Epoch, because: &str) {
        self.pacer.clear();
        self.routes.clear();
        self.feed_in_force = LIVE;
        for slot in self.lines.slots() {
            self.make_stale(slot, epoch, because);
        }
        for (call, _) in std::mem::take(&mut self.snapshots) {
            let error = error::worker_ended(epoch, because);
            self.outputs.push_back(Output::Reply(call, Err(error)));
        }
    }

    /// Gateway has lost all subscriptions (1101): ask for each again, under a new id.
    pub(super) fn resubscribe_all(&mut self, because: &str) {
        for slot in self.lines.slots() {
            self.cancel_upstream(slot);
            self.make_stale(slot, self.session.epoch(), because);
            self.request_line(slot);
        }
    }

    /// The first data under a new request id.
    pub(super) fn on_first_data(&mut self, slot: u32, batch: &Bytes) {
        self.flush(batch);
        let Some(line) = self.lines.get_mut(slot) else {
            return;
        };
        if let Some(request) = line.upstream.request() {
            line.upstream = Upstream::Live(request);
            self.heartbeat.on_answer(request);
        }
        let waiting: Vec<_> =
            line.subscribers.iter().copied().filter(|subscriber| subscriber.told_stale).collect();
        for subscriber in &mut line.subscribers {
            subscriber.told_stale = false;
        }
        for subscriber in waiting {
            let because = format!("data flows again in session {}", self.session.epoch().0);
            self.mark(slot, subscriber, MarkKind::Resumed, because);
        }
    }

    /// A message has left for Gateway. True if it opens a request there, false if it ends one.
    pub(super) fn on_left(&mut self, request: RequestId, now: Instant) -> bool {
        match self.routes.get(request.0) {
            Some(Route::Line(slot)) => {
                if let Some(line) = self.lines.get_mut(slot)
                    && line.upstream == Upstream::Queued(request)
                {
                    line.upstream = Upstream::Requested(request);
                }
            }
            Some(Route::Snapshot(_)) => {}
            Some(Route::Ended) | None => return false,
        }
        self.heartbeat.on_request(request, now);
        true
    }

    pub(super) fn end_line_by_error(&mut self, slot: u32, gateway: &tws::ErrorMessage) {
        let Some(line) = self.lines.close(slot) else {
            return;
        };
        if let Some(request) = line.upstream.request() {
            // After an error the id is dead at Gateway; a cancel would only raise another.
            self.routes.end(request);
            self.heartbeat.on_answer(request);
            self.outputs.push_back(Output::NoteClosed(request));
        }
        let error = error::line_ended(line.id, gateway.error_code(), gateway.error_msg());
        for subscriber in &line.subscribers {
            if let Some(stream) = self.streams.get_mut(subscriber.stream) {
                stream.subscriptions.remove(&subscriber.subscription);
            }
            self.end_subscription(&line, *subscriber, error.clone());
        }
        self.outputs.push_back(Output::StatusChanged);
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
        for subscriber in line.subscribers.clone() {
            self.deliver_one(subscriber, field::UNKNOWN, body.clone(), false, slot);
        }
    }

    fn leave_line(&mut self, line_slot: u32, stream: u32, subscription: u32) {
        let Some(line) = self.lines.get_mut(line_slot) else {
            return;
        };
        line.subscribers.retain(|one| !(one.stream == stream && one.subscription == subscription));
        if line.subscribers.is_empty() {
            self.cancel_upstream(line_slot);
            self.lines.close(line_slot);
            self.outputs.push_back(Output::StatusChanged);
        }
    }

    fn request_line(&mut self, slot: u32) {
        let request_id = self.routes.open(Route::Line(slot));
        let Some(line) = self.lines.get_mut(slot) else {
            return;
        };
        line.upstream = Upstream::Queued(request_id);
        let request = tws::MarketDataRequest { req_id: Some(request_id.0), ..line.request.clone() };
        let waiting = Waiting {
            frame: message(id::REQ_MKT_DATA, &request),
            request: request_id,
            feed: Some(line.feed),
        };
        self.pacer.push(Lane::Data, line.opened_by, waiting);
    }

    /// Takes a line back from Gateway; if the request still waits here, nothing ever leaves.
    fn cancel_upstream(&mut self, slot: u32) {
        let Some(line) = self.lines.get_mut(slot) else {
            return;
        };
        let (upstream, client) = (line.upstream, line.opened_by);
        line.upstream = Upstream::Stale;
        if let Some(request) = upstream.request() {
            self.cancel_request(request, client);
        }
    }

    pub(super) fn cancel_request(&mut self, request: RequestId, client: ClientId) {
        let waited = self.pacer.take_back(request);
        self.routes.end(request);
        self.heartbeat.on_answer(request);
        if !waited && self.session.is_up() {
            let waiting = Waiting { frame: cancel(request), request, feed: None };
            self.pacer.push(Lane::DataCancel, client, waiting);
        }
    }

    fn make_stale(&mut self, slot: u32, epoch: Epoch, because: &str) {
        let Some(line) = self.lines.get_mut(slot) else {
            return;
        };
        line.upstream = Upstream::Stale;
        let told: Vec<_> = line.subscribers.iter().copied().filter(|one| !one.told_stale).collect();
        for subscriber in &mut line.subscribers {
            subscriber.told_stale = true;
        }
        for subscriber in told {
            self.mark_of(epoch, slot, subscriber, MarkKind::Stale, because.to_owned());
        }
    }

    /// How many lines each client holds.
    fn holders(&self) -> Vec<(String, usize)> {
        let mut holders = std::collections::BTreeMap::new();
        for (_, line) in self.lines.iter() {
            let name = self.clients.name(line.opened_by).to_owned();
            *holders.entry(name).or_insert(0) += 1;
        }
        let mut holders: Vec<_> = holders.into_iter().collect();
        holders.sort_by_key(|(_, lines)| std::cmp::Reverse(*lines));
        holders.truncate(5);
        holders
    }

    fn session_in_words(&self) -> String {
        format!("Gateway's session is {}", self.session.kind())
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

    /// Streams and subscriptions of a client.
    pub(crate) fn load_of(&self, client: ClientId) -> (usize, usize) {
        self.streams.of(client).fold((0, 0), |(streams, subscriptions), (_, stream)| {
            (streams + 1, subscriptions + stream.subscriptions.len())
        })
    }
}

/// The frame that takes a request for market data back.
pub(super) fn cancel(request: RequestId) -> Bytes {
    message(id::CANCEL_MKT_DATA, &tws::CancelMarketData { req_id: Some(request.0) })
}

pub(super) fn checked_feed(request: &tws::MarketDataRequest, feed: i32) -> Result<i32, Error> {
    lines::validate(request)?;
    if request.snapshot() {
        return Err(error::invalid("request.snapshot: use GetSnapshot for snapshots"));
    }
    match feed {
        0 => Ok(LIVE),
        1..=4 => Ok(feed),
        other => Err(error::invalid(format!("feed {other} does not exist: use 1 to 4"))),
    }
}
