//! Gateway's rules for single requests, beside the one budget for all: one at a time, one a
//! second, and those for history (`pacing/history_rules.rs`). A request that its rule holds back
//! waits; others pass it.
//!
//! Source of the numbers: protocol fact sheet, section 9. Windows are a little longer here than
//! there, because Gateway measures arrivals and we measure departures.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use ibouncer_proto::tws::messages::id;

use super::history_rules::HistoryRules;
use super::verdict::{Verdict, after};
use crate::contracts::{Contracts, Instrument};
use crate::ids::{ClientId, RequestId};

pub use super::history_rules::History;

/// New real-time bars within [`BARS_WINDOW`].
const REAL_TIME_BARS: usize = 60;
const BARS_WINDOW: Duration = Duration::from_secs(602);

/// One tick-by-tick request for an instrument within this.
const TICK_BY_TICK: Duration = Duration::from_millis(15_200);

/// Regulatory snapshots and symbol searches: one a second.
const ONE_A_SECOND: Duration = Duration::from_millis(1_050);

/// Why a request waits behind one that was not answered in time.
const LATE_ANSWER: &str =
    "one such request was not answered in time, and a late answer would be taken for this one's";

/// Why one waits behind a load that was cancelled in its middle.
const REST_OF_A_LOAD: &str = "the first load of another such request was cancelled in its middle, and what still comes of it \
     would be taken for this one's";

/// What is cancelled or lost, and has no id, may come all the same. So long, and so long after each
/// piece of it, its end is waited for: a Gateway that takes the cancel sends none.
pub const REST: Duration = Duration::from_secs(10);

/// The request of a broker before has no id here.
const NOBODYS: RequestId = RequestId(0);

/// Why one waits that was asked for before.
const TROUBLE: &str =
    "Gateway did not serve it the last times, and it is asked again after a pause";

/// What a request must pass besides the budget.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Gate {
    /// Nothing.
    #[default]
    Open,
    /// The rules for historical data.
    History(History),
    /// No other of this group is open.
    Alone(Group),
    /// New real-time bars.
    RealTimeBars,
    /// Tick-by-tick data of this instrument.
    TickByTick(Instrument),
    /// One a second of this group.
    OneASecond(Group),
    /// Not before then, whatever else it must pass.
    NotBefore(Instant, Box<Self>),
}

impl Gate {
    /// The same, by what is known of contracts now.
    #[must_use]
    pub fn known_by(self, contracts: &Contracts) -> Self {
        match self {
            Self::History(history) => {
                let instrument = history.instrument.known_by(contracts);
                Self::History(History { instrument, ..history })
            }
            Self::TickByTick(instrument) => Self::TickByTick(instrument.known_by(contracts)),
            Self::NotBefore(at, gate) => Self::NotBefore(at, Box::new(gate.known_by(contracts))),
            other => other,
        }
    }

    /// The group of which no other may be open.
    pub fn group(&self) -> Option<Group> {
        match self {
            Self::Alone(group) => Some(*group),
            Self::NotBefore(_, gate) => gate.group(),
            _ => None,
        }
    }

    /// The same, for history that Gateway paces more strictly than was thought.
    #[must_use]
    pub fn strictly(self) -> Self {
        match self {
            Self::History(history) => Self::History(History { small: true, ..history }),
            other => other,
        }
    }
}

/// Requests of which one is open at a time, or one leaves a second. Those that are answered
/// without an id and share an end mark are in one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "named as the requests")]
pub enum Group {
    OpenOrders,
    CompletedOrders,
    ScannerParameters,
    NewsProviders,
    FamilyCodes,
    MarketDepthExchanges,
    CurrentTime,
    Wsh,
    RegulatorySnapshot,
    MatchingSymbols,
    Positions,
    AccountUpdates,
}

impl Group {
    /// Is it a stream that begins with a load to an end mark? A cancel frees no other of its group
    /// then: without an id the rest of the load could not be told from the next one.
    const fn is_load(self) -> bool {
        matches!(self, Self::Positions | Self::AccountUpdates)
    }

    /// The message that ends an answer without an id that comes in pieces.
    pub const fn end(self) -> Option<u32> {
        match self {
            Self::OpenOrders => Some(id::OPEN_ORDER_END),
            Self::CompletedOrders => Some(id::COMPLETED_ORDERS_END),
            Self::Positions => Some(id::POSITION_END),
            Self::AccountUpdates => Some(id::ACCT_DOWNLOAD_END),
            _ => None,
        }
    }

    /// Of which such answer a message is a piece.
    pub const fn of_piece(message_id: u32) -> Option<Self> {
        match message_id {
            id::OPEN_ORDER | id::OPEN_ORDER_END => Some(Self::OpenOrders),
            id::COMPLETED_ORDER | id::COMPLETED_ORDERS_END => Some(Self::CompletedOrders),
            id::POSITION_DATA | id::POSITION_END => Some(Self::Positions),
            id::ACCT_VALUE | id::PORTFOLIO_VALUE | id::ACCT_UPDATE_TIME | id::ACCT_DOWNLOAD_END => {
                Some(Self::AccountUpdates)
            }
            _ => None,
        }
    }
}

/// The rules, and what they have seen.
#[derive(Debug, Clone, Default)]
pub struct Gates {
    history: HistoryRules,
    bars: VecDeque<Instant>,
    instruments: BTreeMap<String, Instant>,
    /// What is open; with the time when it is given up, once only its late answer is waited for.
    alone: BTreeMap<Group, (RequestId, Option<Instant>)>,
    seconds: BTreeMap<Group, Instant>,
}

impl Gates {
    /// Of what Gateway allows of history, one client may use so many percent.
    pub fn set_history_share(&mut self, percent: u32) {
        self.history.set_share(percent);
    }

    /// Must every request for history wait for the answer to another?
    pub fn history_is_full(&self) -> bool {
        self.history.is_full()
    }

    /// May it leave now?
    pub fn check(&self, gate: &Gate, client: ClientId, now: Instant) -> Verdict {
        match gate {
            Gate::Open => Verdict::Go,
            Gate::History(history) => self.history.check(history, client, now),
            Gate::Alone(group) => match self.alone.get(group) {
                Some((_, Some(until))) if now < *until => {
                    let why = if group.is_load() { REST_OF_A_LOAD } else { LATE_ANSWER };
                    Verdict::At(*until, why)
                }
                Some((_, None)) => Verdict::Later("Gateway answers one such request at a time"),
                _ => Verdict::Go,
            },
            Gate::RealTimeBars => {
                let recent = |at: &&Instant| now < **at + BARS_WINDOW;
                if self.bars.iter().filter(recent).count() < REAL_TIME_BARS {
                    return Verdict::Go;
                }
                let oldest = self.bars[self.bars.len() - REAL_TIME_BARS];
                Verdict::At(oldest + BARS_WINDOW, "60 new real-time bars in 10 minutes")
            }
            Gate::TickByTick(instrument) => {
                let last = self.instruments.get(instrument.name()).copied();
                after(last, TICK_BY_TICK, now, "one tick-by-tick request an instrument in 15 s")
            }
            Gate::OneASecond(group) => {
                after(self.seconds.get(group).copied(), ONE_A_SECOND, now, "one a second")
            }
            Gate::NotBefore(at, _) if now < *at => Verdict::At(*at, TROUBLE),
            Gate::NotBefore(_, gate) => self.check(gate, client, now),
        }
    }

    /// It leaves.
    pub fn on_left(&mut self, gate: &Gate, request: RequestId, client: ClientId, now: Instant) {
        self.record(gate, request, client, now);
        self.history.forget(now);
        self.bars.retain(|at| now < *at + BARS_WINDOW);
        self.instruments.retain(|_, at| now < *at + TICK_BY_TICK);
    }

    fn record(&mut self, gate: &Gate, request: RequestId, client: ClientId, now: Instant) {
        match gate {
            Gate::Open => {}
            Gate::History(history) => self.history.on_left(history, request, client, now),
            Gate::Alone(group) => drop(self.alone.insert(*group, (request, None))),
            Gate::RealTimeBars => self.bars.push_back(now),
            Gate::TickByTick(instrument) => {
                self.instruments.insert(instrument.name().to_owned(), now);
            }
            Gate::OneASecond(group) => drop(self.seconds.insert(*group, now)),
            Gate::NotBefore(_, gate) => self.record(gate, request, client, now),
        }
    }

    /// When a message leaves whose turn comes at `turn`, as far as rules decide, and the rule that
    /// holds it; none if only an answer frees it. What is still to leave is taken to be answered
    /// before the rules for history let more go.
    pub(super) fn play(
        &mut self,
        gate: &Gate,
        request: RequestId,
        client: ClientId,
        turn: Instant,
    ) -> (Option<Instant>, &'static str) {
        let (mut at, mut because) = (turn, "");
        loop {
            match self.check(gate, client, at) {
                Verdict::At(later, why) if later > at => (at, because) = (later, why),
                Verdict::Go | Verdict::At(..) => break,
                Verdict::Later(why) => return (None, why),
            }
        }
        // Nothing is forgotten: what is looked at next may leave sooner.
        self.record(gate, request, client, at);
        self.history.on_done(request);
        (Some(at), because)
    }

    /// Gateway says that a history came too early (162).
    pub fn on_violated(&mut self, now: Instant) {
        self.history.on_violated(now);
    }

    /// It was not answered in time; until then its late answer holds others of its group back.
    pub fn on_late(&mut self, request: RequestId, until: Instant) {
        let its = self.alone.values_mut().filter(|(open, _)| *open == request);
        its.for_each(|(_, late)| *late = Some(until));
    }

    /// The cancel of a request has left. What Gateway had probably not taken at all owes nothing.
    pub fn on_cancel_left(&mut self, request: RequestId, now: Instant) {
        let its = self.alone.values_mut().filter(|(open, late)| *open == request && late.is_none());
        its.for_each(|(_, late)| *late = Some(now + REST));
    }

    /// When what holds the next of this group back is given up, if its answer is only waited for.
    pub fn held_until(&self, group: Group) -> Option<Instant> {
        self.alone.get(&group)?.1
    }

    /// The broker before may have asked for it, and its answer has not come to its end.
    pub fn owe(&mut self, group: Group, now: Instant) {
        self.alone.insert(group, (NOBODYS, Some(now + REST)));
    }

    /// A piece has come of what nobody waits for: of a load whose cancel has left, or waits for its
    /// turn, or of an answer that the broker before had asked for. Open orders also come unasked.
    pub fn on_rest(&mut self, group: Group, is_end: bool, now: Instant) {
        match self.alone.get_mut(&group) {
            Some(_) if is_end => drop(self.alone.remove(&group)),
            Some((_, Some(until))) if group.is_load() || now < *until => *until = now + REST,
            Some(_) | None => {}
        }
    }

    /// It is cancelled.
    pub fn on_cancelled(&mut self, request: RequestId) {
        self.history.on_done(request);
        self.alone.retain(|group, (open, _)| *open != request || group.is_load());
    }

    /// It is answered, and if it has a load, to its end; or Gateway does not serve it.
    pub fn on_done(&mut self, request: RequestId) {
        self.history.on_done(request);
        self.alone.retain(|_, (open, _)| *open != request);
    }

    /// The session is gone, and all that was open. Gateway remembers when requests came.
    pub fn clear_open(&mut self) {
        self.history.clear_open();
        self.alone.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: ClientId = ClientId(1);

    #[test]
    fn groups_are_alone_and_seconds_are_waited_for() {
        let mut gates = Gates::default();
        let now = Instant::now();
        let orders = Gate::Alone(Group::OpenOrders);
        gates.on_left(&orders, RequestId(1), ME, now);
        assert!(matches!(gates.check(&orders, ME, now), Verdict::Later(_)));
        gates.on_done(RequestId(1));
        assert_eq!(gates.check(&orders, ME, now), Verdict::Go);
        let instrument = Instrument::new(&Default::default());
        for gate in [Gate::OneASecond(Group::MatchingSymbols), Gate::TickByTick(instrument)] {
            gates.on_left(&gate, RequestId(2), ME, now);
            let Verdict::At(at, _) = gates.check(&gate, ME, now) else { panic!("it waits") };
            assert_eq!(gates.check(&gate, ME, at), Verdict::Go);
        }
        for _ in 0..60 {
            assert_eq!(gates.check(&Gate::RealTimeBars, ME, now), Verdict::Go);
            gates.on_left(&Gate::RealTimeBars, RequestId(3), ME, now);
        }
        let Verdict::At(at, _) = gates.check(&Gate::RealTimeBars, ME, now) else {
            panic!("it waits")
        };
        assert!(at - now > Duration::from_secs(600));
    }
}
