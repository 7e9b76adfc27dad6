//! The world: the hub in the middle, everything around it, and the time.
//!
//! One step takes what is due next, hands it to whom it concerns, carries out what the hub
//! wants, and checks everything. Virtual time jumps from one due time to the next; the only
//! clock that is read is the base, once. The same seed makes the same history.

use std::time::{Duration, Instant};

use fastrand::Rng;
use ibouncer_core::hub::{Hub, Input, Output};
use ibouncer_core::session::{Eyes, StateKind};
use ibouncer_core::settings::Settings;
use ibouncer_core::supervisor::ExitStatus;
use ibouncer_gateway_sim::{GatewayConfig, Rate};
use ibouncer_proto::link::write_data_header;

use crate::attempts::{Attempts, BUDGET};
use crate::clients::Clients;
use crate::events::{Agenda, Event};
use crate::grammar::Plan;
use crate::host::Host;
use crate::network::Network;
use crate::os::{Os, Process};
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
    pub(crate) hub: Hub,
    pub(crate) os: Os,
    pub(crate) network: Network,
    pub(crate) host: Host,
    pub(crate) clients: Clients,
    pub(crate) wire: Wire,
    pub(crate) attempts: Attempts,
    pub(crate) plan: Plan,
    /// Random actions still come.
    pub(crate) chaos: bool,
    pub(crate) state: StateKind,
    /// The worker whose exit is being told to the hub.
    pub(crate) gone: Option<(Process, Option<ExitStatus>)>,
    /// What clients want, or were told, has changed since it was compared.
    pub(crate) dirty: bool,
    queue_seen: u32,
    pub(crate) ends: bool,
    pub(crate) stopped: bool,
    pub(crate) steps: u64,
    pub(crate) sessions: u64,
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
            ..GatewayConfig::default()
        };
        Self {
            now: Duration::ZERO,
            base,
            trace: Trace::new(traced),
            agenda: Agenda::default(),
            hub: Hub::new(settings.clone(), rng.u64(..), base),
            settings,
            os: Os::new(),
            network: Network::new(&mut rng),
            host: Host::new(config),
            clients: Clients::default(),
            wire: Wire::default(),
            attempts: Attempts::default(),
            plan,
            chaos: true,
            state: StateKind::Stopped,
            gone: None,
            dirty: false,
            queue_seen: 0,
            ends: false,
            stopped: false,
            steps: 0,
            sessions: 0,
            at_this_moment: 0,
            rng,
        }
    }

    /// From start to stop.
    pub(crate) fn run(&mut self) {
        self.agenda.add(self.now, Event::Act);
        if self.rng.bool() {
            self.agenda.add(self.now, Event::Look);
        }
        self.input(Input::Start);
        while self.chaos {
            self.step();
        }
        self.heal();
        self.recover();
    }

    /// What is due next. False if nothing ever is.
    pub(crate) fn step(&mut self) -> bool {
        let hub = self.hub.poll_timeout();
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

    /// Something happened to the hub.
    pub(crate) fn input(&mut self, input: Input) {
        self.hub.handle_input(input, self.instant());
        if let Some((process, status)) = self.gone.take() {
            self.after_gone(&process, status);
        }
        self.carry_out();
    }

    /// The period of slow probes; they may come a hair early.
    pub(crate) fn slow_probe(&self) -> Duration {
        let settings = &self.settings.attempts;
        if self.settings.gateway_is_local {
            settings.slow_probe_local
        } else {
            settings.slow_probe_remote
        }
    }

    /// What the kernel's tables say may allow an attempt.
    pub(crate) fn before_eyes(&mut self, eyes: Eyes) {
        let queue = eyes.accept_queue.unwrap_or_default();
        let drained = queue == 0 && self.queue_seen > 0;
        self.queue_seen = queue;
        if self.state != StateKind::Wedged {
            return;
        }
        if eyes.listener_changed {
            let grace = self.settings.attempts.startup_grace;
            self.attempts.on_new_listener(self.now, grace);
        } else if drained {
            self.attempts.allow();
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Act => self.act(),
            Event::Born(epoch, born) => self.on_born(epoch, born),
            Event::LinkUp(epoch) => self.on_link_up(epoch),
            Event::ToBroker(epoch, piece) => self.on_link_piece(epoch, piece),
            Event::ToWorker(epoch, piece) => self.on_worker_link(epoch, piece),
            Event::Killed(epoch) => self.on_killed(epoch),
            Event::Exited(epoch, status) => self.on_exited(epoch, status),
            Event::WakeWorker(epoch) => self.run_worker(epoch),
            Event::Syn(socket) => self.on_syn(socket),
            Event::SynAnswered(socket, accepted) => self.on_syn_answered(socket, accepted),
            Event::ToGateway(socket, piece) => self.on_host_piece(socket, piece),
            Event::FromGateway(socket, piece) => self.on_tcp_piece(socket, piece),
            Event::Pull(stream) => self.on_pull(stream),
            Event::Look => self.look(),
            Event::Listen => self.host.listening = true,
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Spawn(epoch) => {
                    self.trace(&format!("hub: spawn {epoch}"));
                    self.spawn(epoch);
                }
                Output::Kill(epoch) => {
                    self.trace(&format!("hub: kill {epoch}"));
                    self.kill(epoch);
                }
                Output::Tell(epoch, message) => self.tell(epoch, &message),
                Output::Send { epoch, number, frames } => {
                    self.wire.on_left(&frames, self.now);
                    let mut out = bytes::BytesMut::new();
                    write_data_header(number, frames.len(), &mut out);
                    out.extend_from_slice(&frames);
                    self.link_to_worker(epoch, out.freeze());
                }
                Output::Deliver(stream, chunk) => self.on_delivery(stream, chunk),
                Output::Reply(call, result) => {
                    let how = result.as_ref().map(|_| ()).map_err(|error| &error.code);
                    self.trace.line(self.now, &format!("{call} is answered: {how:?}"));
                    self.on_reply(call, &result);
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
                    }
                }
                Output::StatusChanged => {}
                Output::Stopped => self.stopped = true,
            }
        }
    }
}

fn settings(rng: &mut Rng) -> Settings {
    let mut settings = Settings { gateway_is_local: rng.bool(), ..Settings::default() };
    settings.worker.lock_path = "lock".into();
    settings.attempts.silent_budget = BUDGET;
    settings.attempts.startup_grace = Duration::from_secs([0, 180][rng.usize(..2)]);
    settings.pacing.lines = [6, 100, 100][rng.usize(..3)];
    settings.pacing.messages_per_second = [10, 45, 45][rng.usize(..3)];
    settings
}
