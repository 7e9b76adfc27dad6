//! Brokers come and go: killed, let go, stopped, and started again; what they leave on disk, and
//! what the next one finds.
//!
//! A kill takes everything at once, also in the middle of what the hub wanted done. The ledger
//! and the file of open requests stay as they were written last. Programs come back by
//! themselves, and ask for what they had.

use std::collections::BTreeMap;
use std::time::Duration;

use ibouncer_core::hub::{Hub, Input};
use ibouncer_core::ids::{Epoch, RequestId};
use ibouncer_core::ledger::Ledger;
use ibouncer_core::pacing::gates::Group;
use ibouncer_core::record::Record;
use ibouncer_core::session::{Memory, StateKind};

use crate::events::Event;
use crate::wishes::Key;
use crate::world::World;

/// Between two looks at the lock of a worker from before.
const TICK: Duration = Duration::from_millis(200);

/// A program comes back within this.
const BACK_WITHIN: u64 = 3_000_000;

/// The broker's process.
#[derive(Debug)]
pub(crate) struct Broker {
    /// Counts them; of the one that lives, or that lived last.
    pub(crate) number: u64,
    pub(crate) lives: bool,
    /// It dies when it has carried out so many more of the hub's wishes.
    pub(crate) doom: Option<u32>,
    /// It was told to end, at this time.
    pub(crate) told_to_end: Option<Duration>,
    pub(crate) deaths: u64,
}

impl Broker {
    /// None has lived yet.
    pub(crate) fn none() -> Self {
        Self { number: 0, lives: false, doom: None, told_to_end: None, deaths: 0 }
    }
}

/// What outlives a broker.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) ledger: Ledger,
    /// What everybody knows of Gateway.
    pub(crate) record: Record,
    /// Requests that are open at Gateway.
    pub(crate) open: BTreeMap<i32, u32>,
    /// Their cancels were sent, in frames of these numbers.
    cancels: BTreeMap<i32, (u32, u64)>,
    /// Answers without an id that have not ended, with the frames that asked for them.
    answers: BTreeMap<Group, u64>,
}

impl Disk {
    /// Of a host on which none has run.
    pub(crate) fn new(gateway: &str) -> Self {
        Self {
            ledger: Ledger::new(gateway),
            record: Record::new(gateway),
            open: BTreeMap::new(),
            cancels: BTreeMap::new(),
            answers: BTreeMap::new(),
        }
    }

    pub(crate) fn on_open(&mut self, request: RequestId, cancel: u32) {
        self.open.insert(request.0, cancel);
    }

    pub(crate) fn on_closed(&mut self, request: RequestId, by: Option<u64>) {
        if let Some((code, number)) = self.open.remove(&request.0).zip(by) {
            self.cancels.insert(request.0, (code, number));
        }
    }

    pub(crate) fn on_answer(&mut self, group: Group, asked: Option<u64>) {
        match asked {
            Some(number) => drop(self.answers.insert(group, number)),
            None => drop(self.answers.remove(&group)),
        }
    }

    /// Answers that may be under way from a Gateway whose worker has taken the frames up to this number.
    pub(crate) fn owed(&self, taken_through: u64) -> Vec<Group> {
        let taken = self.answers.iter().filter(|(_, number)| **number <= taken_through);
        taken.map(|(group, _)| *group).collect()
    }

    pub(crate) fn on_none(&mut self) {
        self.answers.clear();
        self.open.clear();
        self.cancels.clear();
    }

    /// What is open at a Gateway whose worker has taken the frames up to this number.
    pub(crate) fn taken_over(&mut self, taken_through: u64) -> Vec<(RequestId, u32)> {
        let lost = std::mem::take(&mut self.cancels).into_iter();
        let lost = lost.filter(|(_, (_, number))| *number > taken_through);
        self.open.extend(lost.map(|(request, (code, _))| (request, code)));
        self.open.iter().map(|(request, code)| (RequestId(*request), *code)).collect()
    }
}

impl World {
    /// A broker starts.
    pub(crate) fn start_broker(&mut self) {
        self.broker.number += 1;
        self.broker.lives = true;
        self.broker.told_to_end = None;
        self.stopped = false;
        self.state = StateKind::Stopped;
        self.dirty = true;
        self.eyes.on_broker_up();
        if self.os.process.is_none() {
            self.wire.on_no_worker();
        }
        let memory = Memory { ledger: self.disk.ledger.clone(), clock: self.clock() };
        let (seed, now) = (self.rng.u64(..), self.instant());
        self.hub = Hub::new(self.settings.clone(), memory, seed, now);
        self.open_journal();
        for _ in 0..self.clients.returning.len() {
            let pause = Duration::from_micros(self.rng.u64(..BACK_WITHIN));
            self.agenda.add(self.now + pause, Event::Rejoin);
        }
        let number = self.broker.number;
        self.trace(&format!("broker {number} starts, lock held: {}", self.os.is_locked()));
        if self.os.is_locked() {
            self.agenda.add(self.now + TICK, Event::LockLook(number));
            self.input(Input::StartAdopting { who: "a worker".into(), pid: None });
        } else {
            self.cold_starts += u64::from(number > 1);
            self.input(Input::Start);
        }
    }

    /// Is the worker from before gone?
    pub(crate) fn look_at_lock(&mut self, number: u64) {
        if !self.broker.lives || self.broker.number != number || !self.hub.is_adopting() {
            return;
        }
        self.agenda.add(self.now + TICK, Event::LockLook(number));
        if self.network.greeting.is_none() && !self.os.is_locked() {
            self.wire.on_no_worker();
            self.input(Input::OrphanGone);
        }
    }

    /// SIGKILL for the broker, now or between two of the hub's next wishes.
    pub(crate) fn kill_broker_soon(&mut self) {
        if self.rng.u8(..3) == 0 {
            self.broker.doom = Some(self.rng.u32(..12));
        } else {
            self.kill_broker();
        }
    }

    /// SIGKILL for the broker.
    pub(crate) fn kill_broker(&mut self) {
        self.trace("the broker is killed");
        self.broker.deaths += 1;
        self.lose_what_was_said();
        self.end_broker();
    }

    /// It is told to end, and to leave a live session to the next one, or to end that too.
    pub(crate) fn tell_broker_to_end(&mut self, with_session: bool) {
        if self.broker.told_to_end.is_some() {
            return;
        }
        self.trace(&format!("the broker is told to end, with session: {with_session}"));
        self.broker.told_to_end = Some(self.now);
        if let Some(process) = &mut self.os.process {
            process.disturbed = true;
        }
        let because = "simulated".to_owned();
        self.input(match with_session {
            true => Input::Stop { because },
            false => Input::LetGo { because },
        });
    }

    /// The link goes, behind what was said on it; the worker keeps its session.
    pub(crate) fn let_go(&mut self, epoch: Epoch) {
        if let Some(process) = self.os.alive(epoch) {
            assert!(process.outlives, "a worker is let go that dies with its broker");
        }
        self.trace(&format!("{epoch} is let go"));
    }

    /// The process of the broker is gone, and the next one comes after a while.
    pub(crate) fn end_broker(&mut self) {
        self.broker.lives = false;
        self.broker.doom = None;
        self.dirty = false;
        self.network.link = None;
        self.network.greeting = None;
        self.wire.lossy = true;
        self.agenda.drop_for_broker();
        self.attempts.on_broker_gone();
        self.lose_turn();
        self.vanish();
        self.orders_lose_broker();
        self.orphan();
        if self.ends {
            return;
        }
        let grace = self.settings.worker.adoption_grace;
        let pause = match self.rng.u8(..12) {
            0 => grace + Duration::from_micros(self.rng.u64(..30_000_000)),
            1..=4 => Duration::from_micros(self.rng.u64(..500_000)),
            _ => Duration::from_micros(self.rng.u64(..20_000_000)),
        };
        self.agenda.add(self.now + pause, Event::BrokerUp(self.broker.number + 1));
    }

    /// A broker that is to come starts, unless another one has.
    pub(crate) fn on_broker_up(&mut self, number: u64) {
        if !self.broker.lives && self.broker.number + 1 == number {
            self.start_broker();
        }
    }

    /// All programs lose their connection.
    fn vanish(&mut self) {
        let clients = &mut self.clients;
        let mut returning: Vec<Vec<Wanted>> = Vec::new();
        for client in std::mem::take(&mut clients.table).into_keys() {
            let streams = clients.streams.values().filter(|stream| stream.client == client);
            let wanted = |stream: &crate::stream::Stream| {
                let keys = stream.keys.values().cloned().collect();
                Wanted { keys, slow: stream.slow }
            };
            returning.push(streams.map(wanted).collect());
        }
        clients.streams.clear();
        clients.drop_all_calls();
        clients.returning.extend(returning);
    }

    /// One of them is back.
    pub(crate) fn rejoin(&mut self) {
        if !self.broker.lives || self.broker.told_to_end.is_some() {
            return;
        }
        let Some(streams) = self.clients.returning.pop() else {
            return;
        };
        let client = self.join();
        for Wanted { keys, slow } in streams {
            if !self.broker.lives {
                return;
            }
            let stream = self.open_stream(client);
            if let Some(stream) = self.clients.streams.get_mut(&stream) {
                stream.slow = slow && self.chaos;
            }
            for (number, key) in (1..).zip(keys) {
                self.subscribe_as(stream, number, key);
            }
        }
    }
}

/// What a program had open on one stream.
#[derive(Debug)]
pub(crate) struct Wanted {
    keys: Vec<Key>,
    slow: bool,
}
