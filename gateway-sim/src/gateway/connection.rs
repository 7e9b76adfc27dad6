//! One connection to the simulated Gateway: its states, its bytes, its end.
//!
//! ```text
//!   Opening ─► VersionSent ─► Started ─► CloseWait
//!      │            │            │
//!      └────────────┴────────────┴─► Mute          Deaf: from the beginning, for good
//! ```
//!
//! Deaf is never read and never answers; Mute is read and not answered; CloseWait was closed by
//! the client and is not closed here. The handshake is in `opening.rs`, requests are answered in
//! `requests.rs`.

use std::collections::BTreeSet;
use std::time::Duration;

use ibouncer_proto::tws::envelope::write_message;
use ibouncer_proto::tws::frame::Deframer;
use ibouncer_proto::tws::handshake::{HandshakeError, ServerHandshake};
use prost::Message;

use super::answer::Answer;
use super::market::{Feed, FeedContext};
use super::meter::Meter;
use super::outbox::Outbox;
use super::replies::Replies;
use super::streams::{Key, Streams};
use super::subscriptions::Stream;
use super::{End, Holder, Output, Shared, millis};
use crate::events::{CloseHow, ConnectionId, Event, Stage};
use crate::fault::Fault;

/// Why and how a connection ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) how: CloseHow,
    pub(super) reason: String,
    pub(super) end: End,
}

impl Ending {
    pub(super) fn new(how: CloseHow, reason: String) -> Self {
        let end = End::Fin;
        Self { how, reason, end }
    }

    pub(super) fn fault(fault: Fault) -> Self {
        Self::new(CloseHow::Fault, fault.name().to_owned())
    }

    pub(super) fn by(self, end: End) -> Self {
        Self { end, ..self }
    }

    pub(super) fn violation(reason: &impl ToString) -> Self {
        Self::new(CloseHow::Violation, reason.to_string())
    }
}

impl From<HandshakeError> for Ending {
    fn from(error: HandshakeError) -> Self {
        Self::violation(&error)
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) fault: Option<Fault>,
    /// Nobody else is accepted before this connection has started the API.
    serial: bool,
    pub(super) state: State,
    pub(super) server_version: i32,
    pub(super) client_id: Option<i32>,
    pub(super) outbox: Outbox,
    pub(super) feed: Feed,
    pub(super) streams: Streams<Stream>,
    /// Streams that were asked for while their data stopped: the first turn of each brings what a
    /// request brings at once otherwise.
    pub(super) unbegun: BTreeSet<Key>,
    /// What the client asked for with REQ_MARKET_DATA_TYPE.
    pub(super) data_type: i32,
    pub(super) meter: Meter,
    /// It has the meta data of Wall Street Horizon.
    pub(super) knows_wsh: bool,
    /// It ends before anything else is read.
    pub(super) dies: bool,
    pub(super) received_bytes: u64,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum State {
    Opening(ServerHandshake),
    VersionSent(ServerHandshake),
    Started(Deframer),
    Mute,
    Deaf,
    CloseWait,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StateKind {
    Opening,
    VersionSent,
    Started,
    Mute,
    Deaf,
    CloseWait,
}

impl State {
    fn kind(&self) -> StateKind {
        match self {
            State::Opening(_) => StateKind::Opening,
            State::VersionSent(_) => StateKind::VersionSent,
            State::Started(_) => StateKind::Started,
            State::Mute => StateKind::Mute,
            State::Deaf => StateKind::Deaf,
            State::CloseWait => StateKind::CloseWait,
        }
    }
}

fn allowed(from: StateKind, to: StateKind) -> bool {
    match from {
        StateKind::Opening => matches!(to, StateKind::VersionSent | StateKind::Mute),
        StateKind::VersionSent => matches!(to, StateKind::Started | StateKind::Mute),
        StateKind::Started => matches!(to, StateKind::Mute | StateKind::CloseWait),
        StateKind::Mute | StateKind::Deaf | StateKind::CloseWait => false,
    }
}

impl Connection {
    pub(super) fn new(
        id: ConnectionId,
        fault: Option<Fault>,
        serial: bool,
        drip: Duration,
    ) -> Self {
        let state = match fault {
            Some(Fault::NeverAccept | Fault::AcceptAndMute) => State::Deaf,
            _ => State::Opening(ServerHandshake::new()),
        };
        Self {
            id,
            fault,
            serial,
            state,
            server_version: 0,
            client_id: None,
            outbox: Outbox::new(fault, drip),
            feed: Feed::default(),
            streams: Streams::default(),
            unbegun: BTreeSet::new(),
            data_type: 1,
            meter: Meter::default(),
            knows_wsh: false,
            dies: false,
            received_bytes: 0,
        }
    }

    /// Whether it takes one of the places of the connection limit: not while it plays a
    /// connection that was never accepted.
    pub(super) fn takes_a_place(&self) -> bool {
        self.fault != Some(Fault::NeverAccept)
    }

    /// Whether a serial listener waits for this connection.
    pub(super) fn blocks_acceptor(&self) -> bool {
        self.serial && self.client_id.is_none()
    }

    /// Not read: a deaf connection, one whose client has closed, one that has sent much too much
    /// above the rate, and one whose answers already fill twice the queue, so that requests cannot
    /// fill the memory.
    pub(super) fn reads(&self, queue_limit: usize) -> bool {
        !matches!(self.state, State::Deaf | State::CloseWait)
            && !self.meter.is_full()
            && self.outbox.queued() <= 2 * queue_limit
    }

    pub(super) fn written(&mut self, bytes: usize) {
        self.outbox.written(bytes);
    }

    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        shared: &mut Shared,
        now: Duration,
    ) -> Result<(), Ending> {
        self.received_bytes += bytes.len() as u64;
        match &mut self.state {
            State::Deaf | State::Mute | State::CloseWait => Ok(()),
            State::Opening(_) | State::VersionSent(_) => self.shake_hands(bytes, shared, now),
            State::Started(deframer) => {
                self.meter.extend(bytes.len());
                deframer.extend(bytes);
                self.take_requests(shared, now)
            }
        }
    }

    pub(super) fn on_peer_closed(
        &mut self,
        how: End,
        shared: &mut Shared,
        now: Duration,
    ) -> Result<(), Ending> {
        if matches!(self.state, State::Deaf) {
            return Ok(());
        }
        match how {
            End::Reset => {
                let reason = "the client reset the connection".to_owned();
                Err(Ending::new(CloseHow::Reset, reason).by(End::Reset))
            }
            End::Fin if matches!(self.state, State::CloseWait) => Ok(()),
            End::Fin if self.leaks_close_wait() => {
                self.stage(Stage::CloseWait, shared, now);
                self.transition(State::CloseWait, "the client closed, and the fault leaks");
                Ok(())
            }
            End::Fin => {
                let reason = "the client closed the connection".to_owned();
                Err(Ending::new(CloseHow::Fin, reason))
            }
        }
    }

    pub(super) fn handle_timeout(
        &mut self,
        shared: &mut Shared,
        now: Duration,
    ) -> Result<(), Ending> {
        if self.meter.poll_timeout().is_some_and(|due| due <= now) {
            self.take_requests(shared, now)?;
        }
        if matches!(self.state, State::Started(_)) {
            let (feed, outbox, context) = self.feed_parts(shared, now);
            feed.handle_timeout(context, outbox);
            self.step_streams(shared, now);
        }
        self.flush(shared, now);
        Ok(())
    }

    pub(super) fn poll_timeout(&self, shared: &Shared) -> Option<Duration> {
        let (feed, streams) = match self.state {
            State::Started(_) => {
                let feed = match shared.farms.quotes_flow() {
                    true => self.feed.poll_timeout(shared.config.rate, &self.outbox),
                    false => self.feed.poll_snapshots(),
                };
                (feed, self.streams.poll_timeout())
            }
            _ => (None, None),
        };
        let timeouts = [feed, streams, self.meter.poll_timeout(), self.outbox.poll_timeout()];
        timeouts.into_iter().flatten().min()
    }

    /// Hands out what may leave now.
    pub(super) fn flush(&mut self, shared: &mut Shared, now: Duration) {
        self.outbox.handle_timeout(now);
        // In stamp mode a reader counts what is missing, and ticks are bounded before they are
        // made.
        if !shared.config.stamp {
            self.outbox.bound(shared.config.output_limit);
        }
        self.hand_out(shared);
    }

    /// Hands out what the socket has room for.
    pub(super) fn hand_out(&mut self, shared: &mut Shared) {
        while let Some(bytes) = self.outbox.take(&mut shared.rng) {
            shared.outputs.push_back(Output::Send { connection: self.id, bytes });
        }
    }

    /// The last step: what is left is sent, and the client id becomes free, at once or later.
    pub(super) fn finish(&mut self, how: CloseHow, shared: &mut Shared, now: Duration) {
        self.outbox.hurry();
        self.flush(shared, now);
        let Some(client_id) = self.client_id else {
            return;
        };
        let hold = shared.config.hold_client_id;
        if how == CloseHow::Reset && hold > Duration::ZERO {
            let holder = Holder::HeldUntil(now + hold);
            shared.client_ids.insert(client_id, holder);
        } else {
            shared.client_ids.remove(&client_id);
        }
    }

    pub(super) fn announce(&mut self, code: i32, text: &str, shared: &mut Shared, now: Duration) {
        if matches!(self.state, State::Started(_)) {
            self.replies(shared, now).error(-1, code, text);
            self.flush(shared, now);
        }
    }

    /// Says one message.
    pub(super) fn say(&mut self, message_id: u32, message: &impl Message) {
        write_message(message_id, message, self.outbox.buffer());
    }

    /// Says what has a form of its own.
    pub(super) fn say_with(
        &mut self,
        shared: &Shared,
        now: Duration,
        say: impl FnOnce(&mut Replies<'_>),
    ) -> Answer {
        say(&mut self.replies(shared, now));
        Ok(())
    }

    pub(super) fn replies(&mut self, shared: &Shared, now: Duration) -> Replies<'_> {
        Replies {
            out: self.outbox.buffer(),
            server_version: self.server_version,
            unix_millis: shared.unix_millis(now),
        }
    }

    pub(super) fn feed_parts<'a>(
        &'a mut self,
        shared: &'a mut Shared,
        now: Duration,
    ) -> (&'a mut Feed, &'a mut Outbox, FeedContext<'a>) {
        let context = FeedContext {
            market: &mut shared.market,
            clock: shared.clock,
            rate: shared.config.rate,
            stamp: shared.config.stamp,
            queue_limit: shared.config.queue_limit,
            flows: shared.farms.quotes_flow(),
            now,
        };
        (&mut self.feed, &mut self.outbox, context)
    }

    /// Whether it is past the handshake and not muted.
    pub(super) fn is_served(&self) -> bool {
        matches!(self.state, State::Started(_))
    }

    /// Ticks come or do not, as farms are.
    pub(super) fn hold_feed(&mut self, shared: &mut Shared, now: Duration) {
        let (feed, _, context) = self.feed_parts(shared, now);
        feed.set_pace(&context);
    }

    fn leaks_close_wait(&self) -> bool {
        self.fault == Some(Fault::LeakCloseWait) && matches!(self.state, State::Started(_))
    }

    pub(super) fn fall_silent(&mut self, shared: &mut Shared, now: Duration) {
        self.stage(Stage::Mute, shared, now);
        self.transition(State::Mute, "by fault");
    }

    pub(super) fn stage(&self, stage: Stage, shared: &mut Shared, now: Duration) {
        shared.event(Event::Stage { connection: self.id, at_ms: millis(now), stage });
    }

    pub(super) fn transition(&mut self, next: State, because: &'static str) {
        let (from, to) = (self.state.kind(), next.kind());
        if !allowed(from, to) {
            tracing::error!(connection = %self.id, ?from, ?to, because, "refused a transition");
            return;
        }
        tracing::debug!(connection = %self.id, ?from, ?to, because, "connection moved on");
        self.state = next;
    }
}
