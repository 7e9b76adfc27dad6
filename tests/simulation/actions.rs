//! What each action of the grammar does.

use std::time::Duration;

use fastrand::Rng;
use ibouncer_core::hub::Input;
use ibouncer_core::ids::{CallId, ClientId, StreamId};
use ibouncer_gateway_sim::{End, Fault};

use crate::grammar::Action;
use crate::os::Births;
use crate::wishes::{Ask, Key, What};
use crate::world::World;

const NOTICES: [(i32, &str); 9] = [
    (1100, "Connectivity between IBKR and Trader Workstation has been lost."),
    (1100, "Connectivity between IBKR and Trader Workstation has been lost."),
    (1101, "Connectivity has been restored - data lost."),
    (1101, "Connectivity has been restored - data lost."),
    (1102, "Connectivity has been restored - data maintained."),
    (1102, "Connectivity has been restored - data maintained."),
    (2110, "Connectivity between Trader Workstation and server is broken."),
    (2103, "Market data farm connection is broken:usfarm"),
    (2104, "Market data farm connection is OK:usfarm"),
];

/// How long a worker keeps a session without a broker.
pub(crate) fn grace(rng: &mut Rng) -> Duration {
    Duration::from_secs([0, 5, 300, 300][rng.usize(..4)])
}

impl Action {
    fn needs_broker(self) -> bool {
        !matches!(
            self,
            Self::SetFault
                | Self::ClearFault
                | Self::Announce
                | Self::CloseAll
                | Self::RestartGateway
                | Self::Unreachable
                | Self::Murder
                | Self::Stop
                | Self::Continue
                | Self::ForeignLock
                | Self::Births
                | Self::Partition
                | Self::StallLink
                | Self::StepClock
        )
    }
}

impl World {
    pub(crate) fn retry(&mut self) {
        self.trace("an operator retries");
        let call = self.call();
        self.attempts.allow();
        let reason = "simulated".to_owned();
        self.input(Input::Retry { call, reason });
    }

    pub(crate) fn carry_out_action(&mut self, action: Action) {
        match action {
            // Whoever wants something of a broker needs one.
            _ if !self.broker.lives && action.needs_broker() => {}
            Action::Join if self.clients.table.len() < 8 => {
                self.join();
            }
            Action::Leave => self.with_client(|world, client| world.leave(client)),
            Action::OpenStream if self.clients.streams.len() < 12 => {
                self.with_client(|world, client| {
                    world.open_stream(client);
                });
            }
            Action::CloseStream => self.with_stream(|world, stream| world.close_stream(stream)),
            Action::Subscribe => self.with_stream(|world, stream| {
                let key = Key::draw(&mut world.rng);
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
                let key = Key::draw(&mut world.rng);
                if key.what == What::Quotes {
                    world.snapshot(client, Key { generic: Vec::new(), ..key });
                }
            }),
            Action::Ask => self.with_client(|world, client| {
                let ask = Ask::draw(&mut world.rng);
                world.ask(client, ask);
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
            Action::ForeignLock => {
                // Only whoever finds it free can take it.
                self.os.foreign_lock = !self.os.foreign_lock && !self.os.is_locked();
                self.trace(&format!("foreign lock: {}", self.os.foreign_lock));
            }
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
            Action::KillBroker => self.kill_broker_soon(),
            Action::LetGo => self.tell_broker_to_end(false),
            Action::StopBroker => self.tell_broker_to_end(true),
            Action::Hold => self.hold(),
            Action::Release => self.release(),
            Action::Reload => self.reload(),
            Action::StepClock => self.step_clock(),
            Action::RestartWindow => self.restart_window(),
            Action::Join | Action::OpenStream => {}
        }
    }

    fn hold(&mut self) {
        let drop_live_session = self.rng.u8(..3) == 0;
        self.trace(&format!("an operator holds, live session dropped: {drop_live_session}"));
        let call = self.call();
        if let Some(process) = &mut self.os.process {
            process.disturbed = true;
        }
        self.input(Input::Hold { call, reason: "simulated".into(), drop_live_session });
    }

    pub(crate) fn release(&mut self) {
        self.trace("an operator releases");
        let call = self.call();
        self.input(Input::Release { call, reason: String::new() });
    }

    fn reload(&mut self) {
        self.trace("the configuration is read again");
        let settings = &mut self.settings;
        settings.pacing.lines = [6, 50, 100][self.rng.usize(..3)];
        settings.pacing.messages_per_second = [10, 30, 45][self.rng.usize(..3)];
        settings.heartbeat.idle = Duration::from_secs(self.rng.u64(5..20));
        settings.worker.adoption_grace = grace(&mut self.rng);
        settings.worker.ping = Duration::from_millis(self.rng.u64(200..1500));
        settings.deadlines.version = Duration::from_secs(self.rng.u64(6..12));
        self.input(Input::Settings(Box::new(self.settings.clone())));
    }

    fn restart_window(&mut self) {
        let time = Duration::from_secs(self.rng.u64(..600) * u64::from(self.rng.bool()));
        self.trace(&format!("a restart of Gateway is expected for {time:?}"));
        // The window of before counts on: it may be what an attempt was made in.
        let until = self.now + time;
        self.attempts.window_until = self.attempts.window_until.max(until);
        let until = (!time.is_zero()).then(|| self.instant() + time);
        self.input(Input::RestartWindow { until });
    }

    fn restart_worker(&mut self) {
        self.trace("an operator restarts the worker");
        let (call, drop_live_session) = (self.call(), self.rng.bool());
        if let Some(process) = &mut self.os.process {
            process.disturbed = true;
        }
        self.input(Input::RestartWorker { call, reason: "simulated".into(), drop_live_session });
    }

    /// Many different requests at once, so that the budget of messages is felt.
    fn storm(&mut self, stream: StreamId) {
        let count = self.rng.u32(20..90);
        for number in 0..count {
            let feed = 1 + 2 * i32::from(self.rng.u8(..8) == 0);
            let key = Key::quotes("AAPL", vec![1000 + number], feed);
            self.subscribe(stream, key);
        }
    }

    fn with_client(&mut self, act: impl FnOnce(&mut Self, ClientId)) {
        let clients: Vec<_> = self.clients.table.keys().copied().collect();
        match self.rng.choice(clients) {
            Some(client) => act(self, client),
            None => {
                self.join();
            }
        }
    }

    fn with_stream(&mut self, act: impl FnOnce(&mut Self, StreamId)) {
        let streams: Vec<_> = self.clients.streams.keys().copied().collect();
        match self.rng.choice(streams) {
            Some(stream) => act(self, stream),
            None => self.with_client(|world, client| {
                world.open_stream(client);
            }),
        }
    }
}
