//! The world: the hub in the middle, everything around it, and the time.
//!
//! One step takes what is due next, hands it to whom it concerns, carries out what the hub
//! wants, and checks everything. Virtual time jumps from one due time to the next; the only
//! clock that is read is the base, once. The same seed makes the same history.

use std::time::{Duration, Instant, SystemTime};

use fastrand::Rng;
use ibouncer_core::clock::Clock;
use ibouncer_core::hub::{Hub, Input, Output};
use ibouncer_core::ledger::Ledger;
use ibouncer_core::session::{Memory, StateKind};
use ibouncer_core::settings::Settings;
use ibouncer_core::supervisor::ExitStatus;
use ibouncer_gateway_sim::{Fault, GatewayConfig, Rate};
use ibouncer_proto::link::write_data_header;

use crate::actions::grace;
use crate::attempts::{Attempts, BUDGET};
use crate::broker::{Broker, Disk};
use crate::clients::Clients;
use crate::events::{Agenda, Event};
use crate::eyes::Eyes;
use crate::frames::Frames;
use crate::grammar::Plan;
use crate::host::Host;
use crate::network::Network;
use crate::orders::Orders;
use crate::os::{Os, Process};
use crate::others::Others;
use crate::trace::Trace;
use crate::wire::Wire;

/// Steps at one moment after which time counts as standing still.
const STANDSTILL: u64 = 20_000;

/// Everything.
pub(crate) struct World {
    pub(crate) now: Duration,
    base: Instant,
    pub(crate) rng: Rng,
    pub(crate) trace: Trace,
    pub(crate) agenda: Agenda,
    pub(crate) settings: Settings,
    /// That of the broker that lives, or that lived last.
    pub(crate) hub: Hub,
    pub(crate) broker: Broker,
    pub(crate) disk: Disk,
    pub(crate) eyes: Eyes,
    pub(crate) frames: Frames,
    pub(crate) os: Os,
    pub(crate) network: Network,
    pub(crate) host: Host,
    pub(crate) clients: Clients,
    pub(crate) wire: Wire,
    pub(crate) attempts: Attempts,
    pub(crate) plan: Plan,
    pub(crate) orders: Orders,
    pub(crate) others: Others,
    /// Random actions still come.
    pub(crate) chaos: bool,
    pub(crate) state: StateKind,
    /// The worker whose exit is being told to the hub.
    pub(crate) gone: Option<(Process, Option<ExitStatus>)>,
    /// What clients want, or were told, has changed since it was compared.
    pub(crate) dirty: bool,
    pub(crate) ends: bool,
    pub(crate) stopped: bool,
    pub(crate) steps: u64,
    pub(crate) sessions: u64,
    pub(crate) adoptions: u64,
    pub(crate) relinks: u64,
    /// Workers that waited for a broker in vain.
    pub(crate) gave_up: u64,
    /// Brokers that found no worker.
    pub(crate) cold_starts: u64,
    at_this_moment: u64,
}

impl World {
    /// The world of a seed.
    pub(crate) fn new(seed: u64, traced: bool) -> Self {
        let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let base = Instant::now();
        let settings = settings(&mut rng);
        let plan = Plan::new(&mut rng);
        // A slow world is a long one.
        let rate = rng.choice([1, 3, 10, 40]).unwrap_or(1) / u64::from(plan.slowness);
        let config = GatewayConfig {
            seed: rng.u64(..),
            rate: Rate::PerConnection(rate.max(1)),
            hold_client_id: Duration::from_secs(20) * u32::from(rng.u8(..4) == 0),
            snapshot_delay: Duration::from_secs([1, 11][rng.usize(..2)]),
            // What flows by itself flows slowly: the world lives for hours.
            depth_interval: Duration::from_secs(7),
            tick_by_tick_interval: Duration::from_secs(5),
            bar_interval: Duration::from_secs(20),
            pnl_interval: Duration::from_secs(11),
            account_refresh: Duration::from_secs(45),
            ..GatewayConfig::default()
        };
        // Nobody asks it anything: the first broker brings its own.
        let memory = Memory {
            ledger: Ledger::new(&settings.gateway),
            clock: Clock { now: base, wall: SystemTime::UNIX_EPOCH },
        };
        Self {
            now: Duration::ZERO,
            base,
            trace: Trace::new(traced),
            agenda: Agenda::default(),
            hub: Hub::new(settings.clone(), memory, 0, base),
            broker: Broker::none(),
            disk: Disk::new(&settings.gateway),
            eyes: Eyes::new(&mut rng),
            frames: Frames::default(),
            settings,
            os: Os::new(),
            network: Network::new(&mut rng),
            host: Host::new(config),
            clients: Clients::default(),
            wire: Wire::default(),
            attempts: Attempts::default(),
            plan,
            orders: Orders::default(),
            others: Others::new(seed),
            chaos: true,
            state: StateKind::Stopped,
            gone: None,
            dirty: false,
            ends: false,
            stopped: false,
            steps: 0,
            sessions: 0,
            adoptions: 0,
            relinks: 0,
            gave_up: 0,
            cold_starts: 0,
            at_this_moment: 0,
            rng,
        }
    }

    /// A world of ordinary settings in which nothing happens by itself.
    pub(crate) fn quiet(seed: u64) -> Self {
        let mut world = Self::new(seed, false);
        world.settings = Settings::default();
        world.settings.worker.lock_path = "lock".into();
        world.settings.attempts.startup_grace = Duration::ZERO;
        let rate = Rate::PerConnection(2);
        world.host = Host::new(GatewayConfig { seed, rate, ..GatewayConfig::default() });
        world.eyes.period = None;
        world.eyes.fail = false;
        world.wire.endless = true;
        world.chaos = false;
        world
    }

    /// From start to stop.
    pub(crate) fn run(&mut self) {
        self.agenda.add(self.now, Event::Act);
        self.agenda.add(self.now, Event::Look);
        if self.plan.siege {
            let fault = [Fault::AcceptAndMute, Fault::NeverAccept][self.rng.usize(..2)];
            self.set_fault(Some(fault), None);
        }
        self.start_broker();
        while self.chaos {
            self.step();
        }
        self.heal();
        self.recover();
    }

    /// What is due next. False if nothing ever is.
    pub(crate) fn step(&mut self) -> bool {
        let hub = self.hub.poll_timeout().filter(|_| self.broker.lives);
        let hub = hub.map(|(at, _)| at.saturating_duration_since(self.base));
        let gateway = self.host.gateway.poll_timeout();
        let due = [self.agenda.next(), gateway, hub];
        let Some(next) = due.into_iter().flatten().min() else {
            return false;
        };
        self.steps += 1;
        if next > self.now {
            self.now = next;
            self.at_this_moment = 0;
        }
        self.at_this_moment += 1;
        assert!(self.at_this_moment < STANDSTILL, "time stands still");
        if let Some(event) = self.agenda.take(self.now) {
            self.on_event(event);
        } else if gateway.is_some_and(|at| at <= self.now) {
            self.on_gateway_timeout();
        } else {
            self.before_timeout();
            self.hub.handle_timeout(self.instant());
            self.carry_out();
        }
        self.check();
        true
    }

    /// The moment on the machines' clock.
    pub(crate) fn instant(&self) -> Instant {
        self.base + self.now
    }

    /// A line of the trace.
    pub(crate) fn trace(&mut self, text: &str) {
        self.trace.line(self.now, text);
    }

    /// Something happened to the hub, if there is one.
    pub(crate) fn input(&mut self, input: Input) {
        if !self.broker.lives {
            return;
        }
        self.hub.handle_input(input, self.instant());
        if let Some((process, status)) = self.gone.take() {
            self.after_gone(&process, status);
        }
        self.carry_out();
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Act => self.act(),
            Event::BrokerUp(number) => self.on_broker_up(number),
            Event::LockLook(number) => self.look_at_lock(number),
            Event::Rejoin => self.rejoin(),
            Event::Born(epoch, born) => self.on_born(epoch, born),
            Event::LinkUp(epoch) => self.on_link_up(epoch),
            Event::ToBroker(link, piece) => self.on_link_piece(link, piece),
            Event::ToWorker(link, piece) => self.on_worker_link(link, piece),
            Event::Killed(epoch) => self.on_killed(epoch),
            Event::Exited(epoch, status) => self.on_exited(epoch, status),
            Event::WakeWorker(epoch) => self.run_worker(epoch),
            Event::Syn(socket) => self.on_syn(socket),
            Event::SynAnswered(socket, accepted) => self.on_syn_answered(socket, accepted),
            Event::ToGateway(socket, piece) => self.on_host_piece(socket, piece),
            Event::FromGateway(socket, piece) => self.on_tcp_piece(socket, piece),
            Event::Pull(stream) => self.on_pull(stream),
            Event::BookLost(stream, subscription) => {
                self.input(Input::BookLost { stream, subscription });
            }
            Event::Look => self.look(),
            Event::Looked(number) => self.on_looked(number),
            Event::Listen => self.on_listen(),
            Event::Trade => self.trade(),
            Event::Disk(broker) => self.on_disk(broker),
            Event::OrderAct => self.order_act(),
            Event::Torn => self.gateway_begins_anew(),
            Event::OwnerBack(owner) => self.owner_joins(owner),
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            match &mut self.broker.doom {
                Some(0) => return self.kill_broker(),
                Some(left) => *left -= 1,
                None => {}
            }
            match output {
                Output::Journal(number, writes) => self.on_journal(number, writes),
                Output::OrderEvent(event) => self.on_order_event(*event),
                Output::Audit(audit) => self.check_audit(&audit),
                Output::Remember(ledger) => self.remember(*ledger),
                Output::Claim => self.claim(),
                Output::Yield => self.let_others(),
                Output::Look => self.ask_look(),
                Output::NoteOpen(request, cancel) => {
                    self.wire.noted.insert(request.0);
                    self.disk.on_open(request, cancel);
                }
                Output::NoteClosed(request, by) => self.disk.on_closed(request, by),
                Output::NoteAnswer(group, asked) => self.disk.on_answer(group, asked),
                Output::NoteNone => self.disk.on_none(),
                Output::Note(_) => {}
                Output::EndStream(stream, error) | Output::EvictStream(stream, error) => {
                    panic!("{stream} ends with {error:?}")
                }
                Output::LetGo(epoch) => self.let_go(epoch),
                Output::Spawn(epoch) => {
                    self.trace(&format!("hub: spawn {epoch}"));
                    self.wire.on_spawn();
                    self.spawn(epoch);
                }
                Output::Kill(epoch) => {
                    self.trace(&format!("hub: kill {epoch}"));
                    self.kill(epoch);
                }
                Output::Tell(epoch, message) => self.tell(epoch, &message),
                Output::Send { epoch, number, frames } => {
                    self.wire.on_left(&frames, self.now);
                    self.orders.on_left(&frames, self.hub.client_id());
                    let mut out = bytes::BytesMut::new();
                    write_data_header(number, frames.len(), &mut out);
                    out.extend_from_slice(&frames);
                    self.link_to_worker(epoch, out.freeze());
                }
                Output::Deliver(stream, chunk) => self.on_delivery(stream, chunk),
                Output::Reply(call, result) => {
                    let how = result.as_ref().map(|_| ()).map_err(|error| &error.code);
                    self.trace.line(self.now, &format!("{call} is answered: {how:?}"));
                    if !self.on_order_reply(call, &result) {
                        self.on_reply(call, &result);
                    }
                }
                Output::Transitioned(change) => {
                    self.trace(&format!(
                        "hub: {} to {}: {}",
                        change.from, change.to, change.because
                    ));
                    assert_eq!(change.from, self.state);
                    self.state = change.to;
                    self.dirty = true;
                    if change.to == StateKind::Ready && change.from != StateKind::Degraded {
                        self.sessions += 1;
                        self.attempts.on_ready();
                        self.check_ready();
                    }
                }
                Output::StatusChanged => {}
                Output::Stopped => {
                    self.stopped = true;
                    if !self.ends {
                        self.trace("the broker has ended");
                        return self.end_broker();
                    }
                }
            }
        }
    }
}

/// Ordinary settings, and some that are not.
pub(crate) fn settings(rng: &mut Rng) -> Settings {
    let mut settings = Settings::default();
    settings.worker.lock_path = "lock".into();
    settings.attempts.silent_budget = BUDGET;
    settings.attempts.startup_grace = Duration::from_secs([0, 180][rng.usize(..2)]);
    settings.pacing.lines = [6, 100, 100][rng.usize(..3)];
    settings.pacing.messages_per_second = [10, 45, 45][rng.usize(..3)];
    settings.worker.adoption_grace = grace(rng);
    settings.worker.buffer = [64 << 20, 64 << 20, 60_000, 8_000][rng.usize(..4)];
    settings
}
