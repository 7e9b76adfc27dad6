//! Who gets a line: Gateway's allowances, each client's limit, and those who wait.

use std::time::{Duration, Instant};

use ibouncer_proto::tws::v1::ErrorMessage;

use super::Hub;
use super::subscriptions::Manner;
use super::upstream::because;
use crate::error::{self, Error};
use crate::ids::{ClientId, StreamId};
use crate::lines::kind::{self, Allowance, Kind};
use crate::lines::wanted::Wanted;
use crate::lines::{Full, Line, Subscriber, Upstream};

/// Why a line cannot be opened now.
pub(super) enum Obstacle {
    /// Gateway has no more.
    Gateway(Full),
    /// The client may not have more.
    Own(u32),
}

/// A wish that waits for a line to become free.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) stream: StreamId,
    pub(super) client: ClientId,
    pub(super) subscription: u32,
    pub(super) wanted: Wanted,
    pub(super) manner: Manner,
    /// Gateway has said that it has no more lines: until when it is not asked again, if none of ours
    /// becomes free, and what it said.
    pub(super) refused: Option<(Instant, String)>,
}

/// Other programs hold lines, too, and say nothing when they give one back.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// The same, for people.
pub(crate) struct WaitsForLine<'a> {
    pub(crate) client: ClientId,
    pub(crate) kind: &'static Kind,
    pub(crate) label: &'a str,
    pub(crate) because: String,
}

impl Hub {
    /// A line that exists, or a new one; one that nobody listens to makes room for it.
    pub(super) fn line_for(
        &mut self,
        client: ClientId,
        wanted: &Wanted,
        now: Instant,
    ) -> Result<u32, Obstacle> {
        if let Some(slot) = self.lines.find(wanted) {
            return Ok(slot);
        }
        if let Some(obstacle) = self.obstacle(client, wanted) {
            return Err(obstacle);
        }
        loop {
            match self.lines.open(client, wanted.clone()) {
                Ok(slot) => return Ok(slot),
                Err(full) => match self.lines.lingering(full.allowance) {
                    Some(idle) => self.give_up_line(idle, now),
                    None => return Err(Obstacle::Gateway(full)),
                },
            }
        }
    }

    fn own_limit_reached(&self, client: ClientId, wanted: &Wanted) -> Option<u32> {
        let counts = wanted.kind.uses.contains(&Allowance::MarketData);
        let limit = self.settings.limits.lines.filter(|_| counts)?;
        (self.lines.opened_by(client) >= limit as usize).then_some(limit)
    }

    /// In words, to one who `waits` for a line or might.
    pub(super) fn explain(&self, obstacle: &Obstacle, waits: bool) -> Error {
        let is_shared = |(_, line): (u32, &Line)| {
            *line.kind() == kind::ACCOUNT_SUMMARY && line.label() == kind::ALL_GROUPS
        };
        match obstacle {
            Obstacle::Gateway(full) => {
                let (holders, shared) =
                    (self.holders(full.allowance), self.lines.iter().any(is_shared));
                full.refusal(&holders, waits, shared)
            }
            Obstacle::Own(limit) => error::too_many_lines(*limit, waits),
        }
    }

    /// Why this client cannot have a line for this wish now, if it cannot.
    fn obstacle(&self, client: ClientId, wanted: &Wanted) -> Option<Obstacle> {
        if self.lines.find(wanted).is_some() {
            return None;
        }
        if let Some(limit) = self.own_limit_reached(client, wanted) {
            return Some(Obstacle::Own(limit));
        }
        let full = |allowance: &Allowance| {
            let limit = self.lines.limit(*allowance);
            // Those that nobody listens to make room. More than the limit are in use once it was
            // lowered: then one of them is not enough.
            let is_full = self.lines.listened_to(*allowance) >= limit;
            is_full.then_some(Obstacle::Gateway(Full { allowance: *allowance, limit }))
        };
        wanted.kind.uses.iter().find_map(full)
    }

    /// Those who wait for a line, in their order, and what for.
    pub(crate) fn waiters(&self) -> Vec<WaitsForLine<'_>> {
        let waiters = self.line_waiters.iter();
        let waits = waiters.map(|Waiter { client, wanted, refused, .. }| {
            let obstacle =
                self.obstacle(*client, wanted).map(|why| self.explain(&why, true).message);
            let refused = refused.as_ref().map(|(_, because)| because.clone());
            let because = refused.or(obstacle).unwrap_or_default();
            WaitsForLine { client: *client, kind: wanted.kind, label: &wanted.about.label, because }
        });
        waits.collect()
    }

    /// Those who wait for a line, first come first served.
    pub(super) fn serve_waiters(&mut self, now: Instant) {
        let mut rest = std::mem::take(&mut self.line_waiters);
        while let Some(mut waiter) = rest.pop_front() {
            waiter.refused.take_if(|(until, _)| *until <= now);
            if waiter.refused.is_some() || self.obstacle(waiter.client, &waiter.wanted).is_some() {
                self.line_waiters.push_back(waiter);
            } else {
                let Waiter { stream, subscription, wanted, manner, .. } = waiter;
                self.attach(stream, subscription, wanted, manner, now);
            }
        }
    }

    pub(super) fn wait_for_line(&mut self, slot: u32, waiter: Waiter, because: String) {
        let place = self.line_waiters.len() as u32;
        self.queued_mark(slot, waiter.subscription, place, because);
        self.line_waiters.push_back(waiter);
    }

    /// Gateway has no more lines (101), whatever we think that it has. Who waits for a line does so
    /// for this one, too: before those who were not tried yet.
    pub(super) fn wait_for_gateway(
        &mut self,
        line: &Line,
        one: &Subscriber,
        said: &ErrorMessage,
        now: Instant,
    ) {
        let (Some(stream), Some(client)) =
            (self.streams.id(one.stream), self.streams.client(one.stream))
        else {
            return;
        };
        let because = format!(
            "{}; it is asked again when a line of this broker becomes free, or after {} s, since other \
             programs hold lines, too",
            because(said.error_code(), said.error_msg()),
            ASK_AGAIN.as_secs()
        );
        let wanted =
            Wanted { filter: one.filter.clone(), took: one.took.clone(), ..line.wanted.clone() };
        let manner = Manner { wait: true, resumable: one.resumable, resume: None };
        let place = self.line_waiters.iter().take_while(|one| one.refused.is_some()).count();
        self.queued_mark(one.stream, one.subscription, place as u32, because.clone());
        let (subscription, refused) = (one.subscription, Some((now + ASK_AGAIN, because)));
        let waiter = Waiter { stream, client, subscription, wanted, manner, refused };
        self.line_waiters.insert(place, waiter);
    }

    /// A line is given back to Gateway, which has one for another now.
    pub(super) fn on_line_given_back(&mut self, kind: &Kind, was: Option<Upstream>) {
        let had_none = matches!(was, None | Some(Upstream::Stale | Upstream::Queued(_)));
        if had_none || !takes_line(kind) {
            return;
        }
        let refused = self.line_waiters.iter_mut().find(|one| one.refused.is_some());
        if let Some(first) = refused {
            first.refused = None;
        }
    }

    /// Gateway is asked again for what it had no line for.
    pub(super) fn expire_refusals(&mut self, now: Instant) {
        if self.refusals_timeout().is_some_and(|until| until <= now) {
            self.serve_waiters(now);
        }
    }

    pub(super) fn refusals_timeout(&self) -> Option<Instant> {
        let refused = self.line_waiters.iter().filter_map(|one| one.refused.as_ref());
        refused.map(|(until, _)| *until).min()
    }

    pub(super) fn is_waiting(&self, stream: StreamId, subscription: u32) -> bool {
        let is_it = |one: &Waiter| one.stream == stream && one.subscription == subscription;
        self.line_waiters.iter().any(is_it)
    }

    pub(super) fn stop_waiting(&mut self, which: impl Fn(&Waiter) -> bool) -> bool {
        let before = self.line_waiters.len();
        self.line_waiters.retain(|waiter| !which(waiter));
        self.line_waiters.len() < before
    }

    /// How much of an allowance each client holds.
    fn holders(&self, allowance: Allowance) -> Vec<(String, usize)> {
        let mut holders = std::collections::BTreeMap::new();
        for (_, line) in self.lines.iter().filter(|(_, one)| one.kind().uses.contains(&allowance)) {
            let name = self.clients.name(line.opened_by).to_owned();
            *holders.entry(name).or_insert(0) += 1;
        }
        let mut holders: Vec<_> = holders.into_iter().collect();
        holders.sort_by_key(|(_, lines)| std::cmp::Reverse(*lines));
        holders
    }
}

/// Is it one of those that Gateway counts (101)?
pub(super) fn takes_line(kind: &Kind) -> bool {
    kind.uses.contains(&Allowance::MarketData)
}
