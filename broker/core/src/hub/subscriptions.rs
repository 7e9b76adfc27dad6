//! Subscriptions: from a client's wish to a line, and out again.

use std::time::{Duration, Instant};

use ibouncer_proto::api::v1::{MarkKind, Resume};

use super::allotment::Waiter;
use super::{Hub, Output};
use crate::error::{self, Error};
use crate::ids::{ClientId, StreamId};
use crate::lines::kind::Allowance;
use crate::lines::wanted::Wanted;
use crate::lines::{Subscriber, Upstream};
use crate::notes::{NoteKind, Severity};
use crate::queue::Hopeless;

/// Whose stream broke has so long to come back to its lines.
const LINGER: Duration = Duration::from_secs(30);

/// Gateway takes one tick-by-tick request for an instrument in 15 s, so a line is given up no
/// sooner: whoever wants it again meanwhile needs no new one.
const TICK_BY_TICK: Duration = Duration::from_secs(15);

/// Added to a subscription's number for the second line of one that needs two.
pub(super) const SECOND: u32 = 1 << 31;

/// What a client says beside its wish.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Manner {
    /// Wait for a line if all are taken.
    pub wait: bool,
    /// Keep the line for a while if the stream breaks.
    pub resumable: bool,
    /// Go on where an earlier stream broke.
    pub resume: Option<Resume>,
}

impl Hub {
    pub(super) fn open_stream(
        &mut self,
        client: ClientId,
        stream: StreamId,
        single: bool,
        now: Instant,
    ) {
        let limit = self.settings.limits.streams as usize;
        let (open, _) = self.load_of(client);
        let refusal = if open >= limit {
            Err(error::too_many("streams", limit, "limits.streams"))
        } else {
            self.clients.charge(client, &self.settings.limits, now)
        };
        match refusal {
            Ok(()) => self.streams.open(stream, client, single),
            // It never was: what is asked for on it has no line, and nothing is told before this.
            Err(error) => self.outputs.push_back(Output::EndStream(stream, error)),
        }
    }

    pub(super) fn subscribe(
        &mut self,
        stream: StreamId,
        subscription: u32,
        wanted: Result<Box<Wanted>, Error>,
        manner: Manner,
        now: Instant,
    ) {
        let Some((slot, open)) = self.streams.find(stream) else {
            return;
        };
        let client = open.client;
        let attached = open.subscriptions.contains_key(&subscription);
        if attached || self.is_waiting(stream, subscription) || subscription >= SECOND {
            let what = if subscription >= SECOND {
                too_large(subscription)
            } else {
                format!("subscription_id {subscription} is in use on this stream")
            };
            return self.refuse_id(slot, subscription, what);
        }
        match self.admit_subscription(client, wanted, now) {
            Ok(wanted) => self.attach(stream, subscription, wanted, manner, now),
            Err(error) => self.refuse(slot, subscription, error),
        }
    }

    pub(super) fn unsubscribe(&mut self, stream: StreamId, subscription: u32, now: Instant) {
        let Some((slot, open)) = self.streams.find(stream) else {
            return;
        };
        if subscription >= SECOND {
            // Not a client's, and maybe the second line of one that is.
            return self.refuse_id(slot, subscription, too_large(subscription));
        }
        let lines = [subscription, subscription | SECOND];
        let left: Vec<_> = lines
            .into_iter()
            .filter_map(|number| Some((number, open.subscriptions.remove(&number)?)))
            .collect();
        let waited =
            self.stop_waiting(|one| one.stream == stream && one.subscription == subscription);
        let Some((_, line)) = left.first() else {
            if waited {
                return self.end_mark(
                    slot,
                    subscription,
                    "unsubscribed while it waited for a line",
                );
            }
            let what = format!("subscription_id {subscription} does not exist on this stream");
            return self.refuse_id(slot, subscription, what);
        };
        self.mark(*line, slot, subscription, MarkKind::Ended, "unsubscribed".into());
        for (number, line) in left {
            self.leave_line(line, slot, number, false, now);
        }
    }

    pub(super) fn close_stream(&mut self, stream: StreamId, now: Instant) {
        self.stop_waiting(|one| one.stream == stream);
        let Some((slot, closed)) = self.streams.close(stream) else {
            return;
        };
        for (subscription, line) in closed.subscriptions {
            self.leave_line(line, slot, subscription, true, now);
        }
    }

    /// A stream that nobody reads holds lines that others may want, and memory.
    pub(super) fn evict(&mut self, stream: StreamId, why: Hopeless, now: Instant) {
        let Some((_, open)) = self.streams.find(stream) else {
            return;
        };
        let client = open.client;
        let error = error::slow_client(why);
        self.counters.evictions += 1;
        self.clients.on_evicted(client, 1);
        let text = format!("{} {}: {}", client, self.clients.name(client), error.message);
        self.note(NoteKind::Client, Severity::Warning, text);
        self.outputs.push_back(Output::EvictStream(stream, error));
        self.close_stream(stream, now);
    }

    /// Lines that nobody came back to are given up.
    pub(super) fn expire_lines(&mut self, now: Instant) {
        for slot in self.lines.overdue(now) {
            self.give_up_line(slot, now);
        }
    }

    /// A reader has caught up and needs its whole book again.
    pub(super) fn resend_book(&mut self, stream: StreamId, subscription: u32) {
        let Some((slot, open)) = self.streams.find(stream) else {
            return;
        };
        let line = open.subscriptions.get(&subscription).copied();
        // The number may be another line's by now.
        let is_book = |line: &u32| self.lines.get(*line).is_some_and(|one| one.memory.is_book());
        if let Some(line) = line.filter(is_book) {
            let because = "this client read too slowly for every change";
            self.tell_book(line, slot, subscription, because);
        }
    }

    fn admit_subscription(
        &mut self,
        client: ClientId,
        wanted: Result<Box<Wanted>, Error>,
        now: Instant,
    ) -> Result<Wanted, Error> {
        let mut wanted = *wanted?;
        self.check_known(client)?;
        let first = self.session.accounts().first().cloned();
        if let (Some(only), 1) = (&first, self.session.accounts().len()) {
            wanted = wanted.with_account(only);
        }
        let mut wanted = match self.scope_of(client) {
            Some(scope) => {
                let what = wanted.kind.tws;
                let allowed = scope.wanted(wanted, self.session.accounts());
                allowed.map_err(|error| self.audit_sight(client, what, error))?
            }
            None => wanted,
        };
        // Who is limited to accounts has to name one of several; for all others none means the
        // first, whatever else is asked for.
        if let Some(first) = &first {
            wanted = wanted.with_account(first);
        }
        self.check_account(&wanted)?;
        self.clients.charge(client, &self.settings.limits, now)?;
        let limit = self.settings.limits.subscriptions as usize;
        if self.load_of(client).1 >= limit {
            return Err(error::too_many("subscriptions", limit, "limits.subscriptions"));
        }
        Ok(wanted)
    }

    pub(super) fn attach(
        &mut self,
        stream: StreamId,
        subscription: u32,
        wanted: Wanted,
        manner: Manner,
        now: Instant,
    ) {
        let Some((slot, open)) = self.streams.find(stream) else {
            return;
        };
        let client = open.client;
        if let Some((because, [values, positions])) = self.second_account(client, &wanted, now) {
            self.attach_line(stream, subscription, values, manner.clone(), now);
            if let Some((_, open)) = self.streams.find(stream)
                && let Some(line) = open.subscriptions.get(&subscription).copied()
            {
                self.mark(line, slot, subscription, MarkKind::Subscribed, because);
                self.attach_line(stream, subscription | SECOND, positions, manner, now);
            }
            return;
        }
        self.attach_line(stream, subscription, wanted, manner, now);
    }

    pub(super) fn attach_line(
        &mut self,
        stream: StreamId,
        subscription: u32,
        wanted: Wanted,
        manner: Manner,
        now: Instant,
    ) {
        let Some((stream_slot, open)) = self.streams.find(stream) else {
            return;
        };
        let client = open.client;
        let kept = manner.resume.as_ref().and_then(|resume| {
            self.lines.kept(&wanted, |line| self.line_name(line) == resume.line)
        });
        let slot = match kept.map_or_else(|| self.line_for(client, &wanted, now), Ok) {
            Ok(slot) => slot,
            Err(obstacle) => {
                let error = self.explain(&obstacle, manner.wait);
                if manner.wait {
                    let waiter =
                        Waiter { stream, client, subscription, wanted, manner, refused: None };
                    return self.wait_for_line(stream_slot, waiter, error.message);
                }
                return self.refuse(stream_slot, subscription, error);
            }
        };
        if let Some((_, open)) = self.streams.find(stream) {
            open.subscriptions.insert(subscription, slot);
        }
        self.join_line(slot, (client, stream_slot), subscription, wanted, manner);
    }

    pub(super) fn join_line(
        &mut self,
        slot: u32,
        (client, stream): (ClientId, u32),
        subscription: u32,
        wanted: Wanted,
        manner: Manner,
    ) {
        self.lines.linger(slot, None);
        let is_up = self.session.is_up();
        let Some(line) = self.lines.get_mut(slot) else {
            return;
        };
        if line.subscribers.is_empty() {
            line.opened_by = client;
        }
        let is_new =
            line.sequence == 0 && line.upstream == Upstream::Stale && line.subscribers.is_empty();
        let has_no_session = line.upstream == Upstream::Stale && !(is_new && is_up);
        // A line that is being asked for again is stale for all who share it.
        let was_stale = line.stale || line.subscribers.iter().any(|one| one.told_stale);
        let why_not = if has_no_session {
            Some(self.session_in_words())
        } else {
            self.why_no_data(slot, was_stale)
        };
        let Some(line) = self.lines.get_mut(slot) else {
            return;
        };
        line.subscribers.push(Subscriber {
            stream,
            subscription,
            told_stale: why_not.is_some(),
            told_gap: None,
            waits: manner.wait,
            resumable: manner.resumable,
            filter: wanted.filter,
            took: wanted.took,
        });
        let label = line.label().to_owned();
        self.mark(
            slot,
            stream,
            subscription,
            MarkKind::Subscribed,
            format!("subscribed to {label}"),
        );
        self.bring_up_to_date(slot, stream, subscription, manner.resume.as_ref());
        if let Some(because) = why_not {
            self.mark(slot, stream, subscription, MarkKind::Stale, because);
        }
        if is_new {
            self.counters.lines_opened += 1;
            if is_up {
                self.request_line(slot);
            }
        }
        self.outputs.push_back(Output::StatusChanged);
    }

    pub(super) fn leave_line(
        &mut self,
        slot: u32,
        stream: u32,
        subscription: u32,
        broke: bool,
        now: Instant,
    ) {
        let Some(line) = self.lines.get_mut(slot) else {
            return;
        };
        let is_it = |one: &Subscriber| one.stream == stream && one.subscription == subscription;
        let resumable = line.subscribers.iter().any(|one| is_it(one) && one.resumable);
        line.subscribers.retain(|one| !is_it(one));
        if !line.subscribers.is_empty() {
            let mut listeners =
                line.subscribers.iter().filter_map(|one| self.streams.client(one.stream));
            // It counts for one who still listens.
            if !listeners.clone().any(|client| client == line.opened_by)
                && let Some(heir) = listeners.next()
            {
                line.opened_by = heir;
                self.serve_waiters(now);
            }
            return;
        }
        let paced = line.kind().uses.contains(&Allowance::TickByTick) && !line.wanted.private;
        let until = [
            (broke && resumable).then_some(now + LINGER),
            line.asked_at.filter(|_| paced).map(|asked| asked + TICK_BY_TICK),
        ];
        match until.into_iter().flatten().max().filter(|until| *until > now) {
            Some(until) => {
                self.lines.linger(slot, Some(until));
                self.serve_waiters(now);
            }
            None => self.give_up_line(slot, now),
        }
        self.outputs.push_back(Output::StatusChanged);
    }

    /// Takes a line back from Gateway; somebody may have waited for its place.
    pub(super) fn give_up_line(&mut self, slot: u32, now: Instant) {
        let was = self.lines.get(slot).map(|line| line.upstream);
        self.cancel_upstream(slot);
        if let Some(line) = self.lines.close(slot) {
            self.on_line_over(&line);
            self.on_line_given_back(line.kind(), was);
        }
        self.serve_waiters(now);
    }

    fn session_in_words(&self) -> String {
        format!("Gateway's session is {}", self.session.kind())
    }

    /// Streams and subscriptions of a client, those that wait for a line among them.
    pub(crate) fn load_of(&self, client: ClientId) -> (usize, usize) {
        let waiting = self.line_waiters.iter().filter(|waiter| waiter.client == client).count();
        self.streams.of(client).fold((0, waiting), |(streams, subscriptions), (_, stream)| {
            (streams + 1, subscriptions + stream.subscriptions.len())
        })
    }
}

fn too_large(subscription: u32) -> String {
    format!("subscription_id {subscription} is too large: use less than {SECOND}")
}
