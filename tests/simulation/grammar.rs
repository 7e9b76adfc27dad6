//! What may happen next, with weights that each seed draws anew: some worlds are all about
//! clients, some about a Gateway that fails, some about processes that die.

use std::time::Duration;

use fastrand::Rng;
use ibouncer_core::hub::Input;
use ibouncer_core::ids::{CallId, ClientId, StreamId};
use ibouncer_core::session::Eyes;
use ibouncer_gateway_sim::{End, Fault};

use crate::clients::Key;
use crate::events::Event;
use crate::os::Births;
use crate::world::World;

/// One thing that may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Join,
    Leave,
    OpenStream,
    CloseStream,
    Subscribe,
    Unsubscribe,
    UnsubscribeNothing,
    Snapshot,
    DropCall,
    Storm,
    ChangePace,
    Retry,
    RestartWorker,
    SetFault,
    ClearFault,
    Announce,
    CloseAll,
    RestartGateway,
    Unreachable,
    Murder,
    Stop,
    Continue,
    ForeignLock,
    Births,
    Partition,
    CutLink,
    StallLink,
}

/// Actions with their ordinary weights, in groups that a seed makes strong, weak or silent.
const GROUPS: [&[(Action, u32)]; 6] = [
    &[
        (Action::Join, 6),
        (Action::Leave, 3),
        (Action::OpenStream, 10),
        (Action::CloseStream, 4),
        (Action::Subscribe, 40),
        (Action::Unsubscribe, 14),
        (Action::UnsubscribeNothing, 1),
        (Action::ChangePace, 3),
    ],
    &[(Action::Snapshot, 16), (Action::DropCall, 4), (Action::Storm, 3)],
    &[
        (Action::SetFault, 8),
        (Action::ClearFault, 8),
        (Action::CloseAll, 2),
        (Action::RestartGateway, 2),
        (Action::Unreachable, 1),
    ],
    &[(Action::Announce, 16)],
    &[
        (Action::Murder, 2),
        (Action::Stop, 2),
        (Action::Continue, 2),
        (Action::ForeignLock, 1),
        (Action::Births, 2),
        (Action::RestartWorker, 1),
        (Action::Retry, 2),
    ],
    &[(Action::Partition, 2), (Action::CutLink, 1), (Action::StallLink, 2)],
];

const SYMBOLS: [&str; 8] = ["AAPL", "AAPL", "MSFT", "NVDA", "TSLA", "META", "NOPERM", "NOSUCH"];

const NOTICES: [(i32, &str); 8] = [
    (1100, "Connectivity between IBKR and Trader Workstation has been lost."),
    (1100, "Connectivity between IBKR and Trader Workstation has been lost."),
    (1101, "Connectivity has been restored - data lost."),
    (1101, "Connectivity has been restored - data lost."),
    (1102, "Connectivity has been restored - data maintained."),
    (1102, "Connectivity has been restored - data maintained."),
    (2110, "Connectivity between Trader Workstation and server is broken."),
    (2103, "Market data farm connection is broken:usfarm"),
];

/// The weights of one seed.
#[derive(Debug)]
pub(crate) struct Plan {
    actions: Vec<(Action, u32)>,
    total: u32,
    pub(crate) left: u32,
    /// A slow world gives every failure time to unfold.
    pub(crate) slowness: u32,
}

impl Plan {
    /// Draws weights.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let mut actions = Vec::new();
        for (index, group) in GROUPS.iter().enumerate() {
            let strength = match (index, rng.u8(..4)) {
                (0, _) => 2,
                (_, 0) => 0,
                (_, 1) => 6,
                _ => 2,
            };
            actions.extend(group.iter().map(|(action, weight)| (*action, weight * strength)));
        }
        let total = actions.iter().map(|(_, weight)| weight).sum();
        let left = rng.u32(80..240);
        Self { actions, total, left, slowness: [1, 1, 8][rng.usize(..3)] }
    }

    fn draw(&self, rng: &mut Rng) -> Action {
        let mut place = rng.u32(..self.total);
        for (action, weight) in &self.actions {
            match place.checked_sub(*weight) {
                Some(rest) => place = rest,
                None => return *action,
            }
        }
        Action::Join
    }
}

impl World {
    /// The next random action, and when the one after it comes.
    pub(crate) fn act(&mut self) {
        if !self.chaos {
            return;
        }
        let action = self.plan.draw(&mut self.rng);
        self.carry_out_action(action);
        self.plan.left -= 1;
        if self.plan.left == 0 {
            self.chaos = false;
            return;
        }
        let gap = match self.rng.u8(..100) {
            0..=54 => self.rng.u64(..50_000),
            55..=84 => self.rng.u64(..2_000_000),
            85..=97 => self.rng.u64(..20_000_000),
            _ => self.rng.u64(..200_000_000),
        };
        let gap = Duration::from_micros(gap) * self.plan.slowness;
        self.agenda.add(self.now + gap, Event::Act);
    }

    /// What the kernel's tables say, if this world has eyes.
    pub(crate) fn look(&mut self) {
        let eyes = Eyes {
            listening: Some(self.host.listening),
            accept_queue: Some(self.host.queued()),
            listener_changed: std::mem::take(&mut self.host.restarted),
        };
        self.before_eyes(eyes);
        self.input(Input::Eyes(eyes));
        self.agenda.add(self.now + Duration::from_secs(1), Event::Look);
    }

    pub(crate) fn retry(&mut self) {
        self.trace("an operator retries");
        let call = self.call(None);
        self.attempts.allow();
        let reason = "simulated".to_owned();
        self.input(Input::Retry { call, reason });
    }

    fn carry_out_action(&mut self, action: Action) {
        match action {
            Action::Join if self.clients.table.len() < 8 => self.join(),
            Action::Leave => self.with_client(|world, client| world.leave(client)),
            Action::OpenStream if self.clients.streams.len() < 12 => {
                self.with_client(|world, client| world.open_stream(client));
            }
            Action::CloseStream => self.with_stream(|world, stream| world.close_stream(stream)),
            Action::Subscribe => self.with_stream(|world, stream| {
                let key = world.draw_key();
                world.subscribe(stream, key);
            }),
            Action::Unsubscribe => self.with_stream(|world, id| {
                let keys = world.clients.streams[&id].keys.keys();
                let subscriptions: Vec<_> = keys.copied().collect();
                if let Some(subscription) = world.rng.choice(subscriptions) {
                    world.unsubscribe(id, subscription);
                }
            }),
            Action::UnsubscribeNothing => {
                self.with_stream(|world, stream| world.unsubscribe(stream, 1_000_000));
            }
            Action::ChangePace => self.with_stream(|world, id| {
                if let Some(stream) = world.clients.streams.get_mut(&id) {
                    stream.slow = !stream.slow;
                }
            }),
            Action::Snapshot => self.with_client(|world, client| {
                let key = world.draw_key();
                world.snapshot(client, key);
            }),
            Action::DropCall => {
                let waiting: Vec<CallId> = self.clients.waiting();
                if let Some(call) = self.rng.choice(waiting) {
                    self.drop_call(call);
                }
            }
            Action::Storm => self.with_stream(World::storm),
            Action::Retry => self.retry(),
            Action::RestartWorker => self.restart_worker(),
            Action::SetFault => {
                let silent = [Fault::AcceptAndMute, Fault::NeverAccept, Fault::SerialAccept];
                let fault = match self.rng.u8(..4) {
                    0 => self.rng.choice(silent),
                    _ => self.rng.choice(Fault::ALL).copied(),
                };
                let connections = self.rng.bool().then(|| self.rng.u32(1..5));
                self.trace(&format!("fault {fault:?} for {connections:?}"));
                self.set_fault(fault, connections);
            }
            Action::ClearFault => self.set_fault(None, None),
            Action::Announce => {
                if let Some((code, text)) = self.rng.choice(NOTICES) {
                    self.trace(&format!("Gateway announces {code}"));
                    self.announce(code, text);
                }
            }
            Action::CloseAll => {
                let how = if self.rng.bool() { End::Fin } else { End::Reset };
                self.trace("Gateway closes all connections");
                self.close_all(how);
            }
            Action::RestartGateway => {
                self.trace("Gateway is restarted");
                let away = Duration::from_millis(self.rng.u64(100..60_000));
                self.restart_gateway(away);
            }
            Action::Unreachable => self.host.unreachable = !self.host.unreachable,
            Action::Murder => self.murder(),
            Action::Stop => {
                self.trace("the worker is stopped");
                self.stop_process();
            }
            Action::Continue => {
                self.trace("the worker is continued");
                self.continue_process();
            }
            Action::ForeignLock => self.os.foreign_lock = !self.os.foreign_lock,
            Action::Births => {
                let all = [
                    Births::Ordinary,
                    Births::Ordinary,
                    Births::Failing,
                    Births::Slow,
                    Births::Stillborn,
                    Births::Crashing,
                ];
                self.os.births = self.rng.choice(all).unwrap_or(Births::Ordinary);
                self.trace(&format!("births are {:?}", self.os.births));
            }
            Action::Partition => {
                let time = Duration::from_millis(self.rng.u64(10..60_000));
                self.trace(&format!("TCP is parted for {time:?}"));
                self.network.partitioned_until = self.now + time;
                self.wire.disturbed = true;
            }
            Action::CutLink => {
                if let Some(process) = &mut self.os.process {
                    process.disturbed = true;
                }
                self.cut_link();
            }
            Action::StallLink => {
                let time = Duration::from_millis(self.rng.u64(1..6000));
                self.trace(&format!("the link stalls for {time:?}"));
                self.stall_link(time);
            }
            Action::Join | Action::OpenStream => {}
        }
    }

    fn restart_worker(&mut self) {
        self.trace("an operator restarts the worker");
        let (call, drop_live_session) = (self.call(None), self.rng.bool());
        if let Some(process) = &mut self.os.process {
            process.disturbed = true;
        }
        self.input(Input::RestartWorker { call, reason: "simulated".into(), drop_live_session });
    }

    /// Many different requests at once, so that the budget of messages is felt.
    fn storm(&mut self, stream: StreamId) {
        let count = self.rng.u32(20..90);
        for number in 0..count {
            let key = Key {
                symbol: "AAPL",
                generic: vec![1000 + number],
                feed: 1 + 2 * i32::from(self.rng.u8(..8) == 0),
            };
            self.subscribe(stream, key);
        }
    }

    fn draw_key(&mut self) -> Key {
        let generic: [&[u32]; 3] = [&[], &[233], &[106, 233]];
        Key {
            symbol: self.rng.choice(SYMBOLS).unwrap_or("AAPL"),
            generic: self.rng.choice(generic).unwrap_or_default().to_vec(),
            feed: [1, 1, 1, 3][self.rng.usize(..4)],
        }
    }

    fn with_client(&mut self, act: impl FnOnce(&mut Self, ClientId)) {
        let clients: Vec<_> = self.clients.table.keys().copied().collect();
        match self.rng.choice(clients) {
            Some(client) => act(self, client),
            None => self.join(),
        }
    }

    fn with_stream(&mut self, act: impl FnOnce(&mut Self, StreamId)) {
        let streams: Vec<_> = self.clients.streams.keys().copied().collect();
        match self.rng.choice(streams) {
            Some(stream) => act(self, stream),
            None => self.with_client(Self::open_stream),
        }
    }
}
