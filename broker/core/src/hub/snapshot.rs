//! Snapshots: one request of its own each, collected until Gateway says that it is complete.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ibouncer_proto::api::v1::{
    GetSnapshotResponse, MarketDataEvent, UnknownMessage, market_data_event::Body,
};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::line_errors::{COMPETING_SESSION, ends_request};
use super::upstream::Located;
use super::{Hub, Output, Reply};
use crate::checks;
use crate::error::{self, Error};
use crate::fields::{Loss, field, field_of, is_data, loss_of, tick_type};
use crate::ids::{CallId, ClientId, RequestId};
use crate::lines::kind::Cancel;
use crate::lines::wanted::checked_feed;
use crate::pacing::gates::{Gate, Group};
use crate::pacing::{Lane, Waiting};
use crate::routes::Route;
use crate::wire::message;

/// Gateway collects a snapshot for about 11 s; twice that is not coming any more.
const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(22);

/// What takes one back.
pub(super) const CANCEL: Cancel = Cancel::ById(id::CANCEL_MKT_DATA);

/// A snapshot on its way.
#[derive(Debug)]
pub(super) struct Snapshot {
    client: ClientId,
    pub(super) request: RequestId,
    /// None before it has left.
    pub(super) deadline: Option<Instant>,
    /// The last value of each kind, with its arrival.
    events: Vec<(u8, u32, MarketDataEvent)>,
    arrivals: u64,
    /// Gateway's newest warning about it.
    notice: Option<tws::ErrorMessage>,
}

impl Hub {
    pub(super) fn snapshot(
        &mut self,
        client: ClientId,
        call: CallId,
        request: tws::MarketDataRequest,
        feed: i32,
        accept_fee: bool,
        now: Instant,
    ) {
        let feed = match self.admit_snapshot(client, &request, feed, accept_fee, now) {
            Ok(feed) => feed,
            Err(error) => return self.outputs.push_back(Output::Reply(call, Err(error))),
        };
        let regulatory = request.regulatory_snapshot();
        let label = request.contract.as_ref().map(checks::label).unwrap_or_default();
        let request_id = self.routes.open(Route::Snapshot(call));
        let request = tws::MarketDataRequest {
            req_id: Some(request_id.0),
            snapshot: Some(!regulatory),
            ..request
        };
        let frame = message(id::REQ_MKT_DATA, &request);
        // Each regulatory snapshot costs a fee, and one leaves a second.
        let gate =
            if regulatory { Gate::OneASecond(Group::RegulatorySnapshot) } else { Gate::Open };
        let what = ("reqMktData", label);
        let waiting = Waiting { frame, request: request_id, feed: Some(feed), gate, what };
        self.pacer.push(Lane::Data, client, waiting);
        let snapshot = Snapshot {
            client,
            request: request_id,
            deadline: None,
            events: Vec::new(),
            arrivals: 0,
            notice: None,
        };
        self.snapshots.insert(call, snapshot);
    }

    /// Gateway collects it from now on.
    pub(super) fn on_snapshot_left(&mut self, call: CallId, now: Instant) {
        if let Some(snapshot) = self.snapshots.get_mut(&call) {
            snapshot.deadline = Some(now + SNAPSHOT_DEADLINE);
        }
    }

    pub(super) fn on_snapshot_event(&mut self, call: CallId, message: Located<'_>) {
        let Some(snapshot) = self.snapshots.get_mut(&call) else {
            return;
        };
        self.heartbeat.on_answer(snapshot.request);
        let Some(body) = typed_body(message) else {
            self.counters.malformed_frames += 1;
            return;
        };
        if let Body::Error(error) = &body {
            let (code, text) = (error.error_code(), error.error_msg());
            if ends_request(code) {
                return self.answer_snapshot(call, Err(error::gateway(code, text)));
            }
            // Another login has the data, and Gateway sends no end of what it does not collect.
            if code == COMPETING_SESSION && !snapshot.events.iter().any(|(of, ..)| is_data(*of)) {
                self.note_competing_session(text);
                self.drop_snapshot(call);
                let failed = Err(error::gateway(code, text));
                return self.outputs.push_back(Output::Reply(call, failed));
            }
            snapshot.notice = Some(error.clone());
        }
        if matches!(body, Body::SnapshotEnd(_)) {
            let mut events = std::mem::take(&mut snapshot.events);
            events.sort_by_key(|(_, _, event)| event.sequence);
            let events = events.into_iter().map(|(_, _, event)| event).collect();
            let reply = Reply::Snapshot(GetSnapshotResponse { events });
            return self.answer_snapshot(call, Ok(reply));
        }
        let field = field_of(message.message_id);
        let is_value = loss_of(field) == Loss::OldTicks || field == field::TICK_STRING;
        let kind = if is_value { tick_type(message.body) } else { 0 };
        snapshot.arrivals += 1;
        let event = MarketDataEvent {
            sequence: snapshot.arrivals,
            body: Some(body),
            ..MarketDataEvent::default()
        };
        let same = |(one, other, _): &(u8, u32, _)| *one == field && *other == kind;
        if is_value {
            snapshot.events.retain(|kept| !same(kept));
        }
        snapshot.events.push((field, kind, event));
    }

    /// Snapshots that this client waits for.
    pub(super) fn snapshots_of(&self, client: ClientId) -> usize {
        self.snapshots.values().filter(|snapshot| snapshot.client == client).count()
    }

    /// The caller is gone.
    pub(super) fn drop_snapshot(&mut self, call: CallId) {
        if let Some(snapshot) = self.snapshots.remove(&call) {
            self.cancel_request(snapshot.request, Some(CANCEL), ClientId(0));
        }
    }

    /// What came of them may not be all.
    pub(super) fn fail_snapshots(&mut self, error: &Error) {
        for (call, snapshot) in std::mem::take(&mut self.snapshots) {
            // What still waits here must not leave for nobody.
            self.cancel_request(snapshot.request, Some(CANCEL), ClientId(0));
            self.outputs.push_back(Output::Reply(call, Err(error.clone())));
        }
    }

    fn admit_snapshot(
        &mut self,
        client: ClientId,
        request: &tws::MarketDataRequest,
        feed: i32,
        accept_fee: bool,
        now: Instant,
    ) -> Result<i32, Error> {
        checks::contract(request.contract.as_ref())?;
        if !request.generic_tick_list().is_empty() {
            return Err(error::invalid(
                "request.generic_tick_list: Gateway has no generic ticks in snapshots; subscribe to \
                 them, or leave it empty",
            ));
        }
        let feed = checked_feed(feed)?;
        if request.regulatory_snapshot() && !accept_fee {
            return Err(error::invalid(
                "request.regulatory_snapshot costs a fee at each call: set accept_fee to pay it",
            ));
        }
        self.charge_call(client, now)?;
        if !self.session.is_up() {
            return Err(error::not_ready(self.session.kind().name(), &self.session.reason(now)));
        }
        Ok(feed)
    }

    pub(super) fn expire_snapshots(&mut self, now: Instant) {
        let due: Vec<_> = self
            .snapshots
            .iter()
            .filter(|(_, snapshot)| snapshot.deadline.is_some_and(|deadline| deadline <= now))
            .map(|(call, _)| *call)
            .collect();
        for call in due {
            let notice = self.snapshots.get_mut(&call).and_then(|snapshot| snapshot.notice.take());
            self.drop_snapshot(call);
            let error = error::deadline("the snapshot", SNAPSHOT_DEADLINE.as_secs_f64());
            let error = error::with_notice(error, notice.as_ref());
            self.outputs.push_back(Output::Reply(call, Err(error)));
        }
    }

    fn answer_snapshot(&mut self, call: CallId, result: Result<Reply, Error>) {
        if let Some(snapshot) = self.snapshots.remove(&call) {
            self.end_request(snapshot.request);
            self.outputs.push_back(Output::Reply(call, result));
        }
    }
}

fn typed_body(message: Located<'_>) -> Option<Body> {
    let body = message.body;
    Some(match message.message_id {
        id::TICK_PRICE => Body::TickPrice(tws::TickPrice::decode(body).ok()?),
        id::TICK_SIZE => Body::TickSize(tws::TickSize::decode(body).ok()?),
        id::TICK_STRING => Body::TickString(tws::TickString::decode(body).ok()?),
        id::TICK_GENERIC => Body::TickGeneric(tws::TickGeneric::decode(body).ok()?),
        id::TICK_OPTION_COMPUTATION => {
            Body::TickOptionComputation(tws::TickOptionComputation::decode(body).ok()?)
        }
        id::MARKET_DATA_TYPE => Body::MarketDataType(tws::MarketDataType::decode(body).ok()?),
        id::TICK_REQ_PARAMS => Body::TickReqParams(tws::TickReqParams::decode(body).ok()?),
        id::TICK_NEWS => Body::TickNews(tws::TickNews::decode(body).ok()?),
        id::REROUTE_MKT_DATA_REQ => {
            Body::Reroute(tws::RerouteMarketDataRequest::decode(body).ok()?)
        }
        id::TICK_SNAPSHOT_END => Body::SnapshotEnd(tws::TickSnapshotEnd::decode(body).ok()?),
        id::ERR_MSG => Body::Error(tws::ErrorMessage::decode(body).ok()?),
        other => {
            Body::Unknown(UnknownMessage { message_id: other, body: Bytes::copy_from_slice(body) })
        }
    })
}
