//! The queue of one lane: clients take turns, each with its messages in order. Orders alone leave
//! in the order in which they came, whoever sent them: they have their ids already, and Gateway
//! refuses an id below one that it has seen (103).

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::time::{Duration, Instant};

use super::gates::{Gate, Gates};
use super::turns::Turns;
use super::verdict::Verdict;
use super::{LANES, Lane, Waiting};
use crate::ids::{ClientId, RequestId};

/// One message and its place among all that wait.
#[derive(Debug, Clone)]
pub struct Place {
    /// Whose.
    pub client: ClientId,
    /// Where it waits.
    pub lane: Lane,
    /// Which.
    pub request: RequestId,
    /// TWS name, and what it is about.
    pub what: (&'static str, String),
    /// Messages that leave before it.
    pub place: u32,
    /// How long that is expected to take; none where only an answer of Gateway frees it.
    pub expected_wait: Option<Duration>,
    /// The rule of Gateway that holds it; empty if none does.
    pub because: &'static str,
}

/// Messages with a rule that are played forward: each costs a look at all before it.
const MOST_PLAYED: u32 = 2_000;

#[derive(Debug, Default)]
pub(super) struct WaitingLine {
    /// By whose turn it is: everything under one, if there are no turns.
    clients: BTreeMap<ClientId, VecDeque<(ClientId, Waiting)>>,
    /// Clients take no turns.
    as_it_came: bool,
    /// Whose turn was last.
    last: Option<ClientId>,
    length: usize,
    /// Messages with a rule, and those of them for history.
    gated: usize,
    histories: usize,
}

impl WaitingLine {
    /// In which clients take no turns.
    pub(super) fn as_it_comes() -> Self {
        Self { as_it_came: true, ..Self::default() }
    }

    /// Forgets what waits, not whose turn decides.
    pub(super) fn clear(&mut self) {
        *self = Self { as_it_came: self.as_it_came, ..Self::default() };
    }

    pub(super) fn push(&mut self, client: ClientId, message: Waiting) {
        self.length += 1;
        self.gated += usize::from(message.gate != Gate::Open);
        self.histories += usize::from(is_history(&message));
        let turn = if self.as_it_came { ClientId::default() } else { client };
        self.clients.entry(turn).or_default().push_back((client, message));
    }

    pub(super) fn take_back(&mut self, request: RequestId) -> bool {
        let before = self.length;
        let (length, gated) = (&mut self.length, &mut self.gated);
        let histories = &mut self.histories;
        self.clients.retain(|_, queue| {
            queue.retain(|(_, waiting)| {
                let stays = waiting.request != request;
                if !stays {
                    *length -= 1;
                    *gated -= usize::from(waiting.gate != Gate::Open);
                    *histories -= usize::from(is_history(waiting));
                }
                stays
            });
            !queue.is_empty()
        });
        self.length < before
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn of(&self, client: ClientId) -> usize {
        if self.as_it_came {
            return self.all().filter(|(whose, _)| *whose == client).count();
        }
        self.clients.get(&client).map_or(0, VecDeque::len)
    }

    /// May something leave now?
    pub(super) fn has_ready(&self, gates: &Gates, now: Instant) -> bool {
        if self.gated < self.length {
            return true;
        }
        // Not each of many histories need be looked at to see that all wait.
        if self.histories == self.length && gates.history_is_full() {
            return false;
        }
        self.all().any(|(client, one)| gates.check(&one.gate, client, now) == Verdict::Go)
    }

    /// When the first of them may leave, as far as time alone decides.
    pub(super) fn earliest(&self, gates: &Gates, now: Instant) -> Option<Instant> {
        if self.histories == self.length && gates.history_is_full() {
            return None;
        }
        let verdicts = self.all().map(|(client, one)| gates.check(&one.gate, client, now));
        verdicts
            .filter_map(|verdict| match verdict {
                Verdict::Go => Some(now),
                Verdict::At(at, _) => Some(at),
                Verdict::Later(_) => None,
            })
            .min()
    }

    /// The first message that may leave, of the client whose turn it is.
    pub(super) fn next(&mut self, gates: &Gates, now: Instant) -> Option<(ClientId, Waiting)> {
        let (turn, at) = self.turn(gates, now)?;
        self.last = Some(turn);
        let queue = self.clients.get_mut(&turn)?;
        let (client, message) = queue.remove(at)?;
        if queue.is_empty() {
            self.clients.remove(&turn);
        }
        self.length -= 1;
        self.gated -= usize::from(message.gate != Gate::Open);
        self.histories -= usize::from(is_history(&message));
        Some((client, message))
    }

    fn all(&self) -> impl Iterator<Item = (ClientId, &Waiting)> {
        self.clients.values().flatten().map(|(client, one)| (*client, one))
    }

    fn turn(&self, gates: &Gates, now: Instant) -> Option<(ClientId, usize)> {
        let after = self.last.map_or(Unbounded, Excluded);
        let behind = self.clients.range((after, Unbounded));
        let before = self.last.map(|last| self.clients.range(..=last));
        behind.chain(before.into_iter().flatten()).find_map(|(turn, queue)| {
            let ready = |(client, one): &(ClientId, Waiting)| {
                gates.check(&one.gate, *client, now) == Verdict::Go
            };
            Some((*turn, queue.iter().position(ready)?))
        })
    }
}

fn is_history(message: &Waiting) -> bool {
    matches!(message.gate, Gate::History(_))
}

/// Who leaves when, if nothing comes in between: lanes and rules played forward without sending.
/// What a rule holds back takes no turn now; when it leaves, there will be one.
pub(super) fn places(
    lanes: &[WaitingLine; LANES],
    gates: &Gates,
    mut turns: Turns,
    (per_second, tokens): (f64, f64),
    now: Instant,
) -> Vec<Place> {
    let mut queues = lanes.each_ref().map(Forward::of);
    let mut gates = gates.clone();
    let mut places = Vec::new();
    let (mut taken, mut played) = (0, 0);
    while let Some(lane) = turns.choose(queues.each_ref().map(|queue| !queue.is_empty())) {
        let Some((client, waiting)) = queues[lane].next() else {
            break;
        };
        let missing = (f64::from(taken) + 1.0 - tokens).max(0.0);
        let turn = Duration::from_secs_f64(missing / per_second);
        played += u32::from(waiting.gate != Gate::Open);
        let (leaves, because) = if played > MOST_PLAYED && waiting.gate != Gate::Open {
            (None, "thousands of requests with rules of Gateway wait before it")
        } else {
            gates.play(&waiting.gate, waiting.request, client, now + turn)
        };
        taken += u32::from(because.is_empty());
        let expected_wait = leaves.map(|at| at.saturating_duration_since(now));
        let place = Place {
            client,
            lane: Lane::ALL[lane],
            request: waiting.request,
            what: waiting.what.clone(),
            place: 0,
            expected_wait,
            because,
        };
        places.push((expected_wait.unwrap_or(turn), place));
    }
    places.sort_by_key(|(at, _)| *at);
    let places = places.into_iter().zip(0..);
    places.map(|((_, one), place)| Place { place, ..one }).collect()
}

/// A lane, played forward.
struct Forward<'a> {
    clients: BTreeMap<ClientId, std::collections::vec_deque::Iter<'a, (ClientId, Waiting)>>,
    last: Option<ClientId>,
}

impl<'a> Forward<'a> {
    fn of(line: &'a WaitingLine) -> Self {
        let clients = line.clients.iter().map(|(client, queue)| (*client, queue.iter())).collect();
        Self { clients, last: line.last }
    }

    fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    fn next(&mut self) -> Option<(ClientId, &'a Waiting)> {
        let after = self.last.map_or(Unbounded, Excluded);
        let turn = self.clients.range((after, Unbounded)).next().or(self.clients.iter().next());
        let turn = *turn?.0;
        self.last = Some(turn);
        let queue = self.clients.get_mut(&turn)?;
        let next = queue.next();
        if queue.len() == 0 {
            self.clients.remove(&turn);
        }
        next.map(|(client, message)| (*client, message))
    }
}
