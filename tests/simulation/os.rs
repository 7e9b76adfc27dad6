//! The fake operating system: one child process at most, signals, exits, the worker's lock.
//!
//! A spawn takes time and may fail; a process may start slowly, or never open its link; a
//! SIGKILL takes effect late; an exit is seen late. When a process dies its link closes, its
//! socket is reset and its lock is free. Checks that a worker is never ordered while one exists.

use std::time::Duration;

use fastrand::Rng;
use ibouncer_core::hub::{Input, WorkerEvent};
use ibouncer_core::ids::Epoch;
use ibouncer_core::supervisor::ExitStatus;
use ibouncer_worker::session::ExitCode;

use crate::events::{Event, LinkPiece};
use crate::relay::Relay;
use crate::world::World;

const SIGKILL: i32 = 9;

/// How processes come to life at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Births {
    Ordinary,
    /// Nothing can be started.
    Failing,
    /// Takes seconds.
    Slow,
    /// The process exists and never opens its link.
    Stillborn,
    /// It exits at once.
    Crashing,
}

/// The system.
#[derive(Debug)]
pub(crate) struct Os {
    /// The child, from the order to start it until its exit was told to the broker.
    pub(crate) process: Option<Process>,
    pub(crate) births: Births,
    /// Another program holds the worker's lock.
    pub(crate) foreign_lock: bool,
    pub(crate) spawned: u64,
    pid: u32,
}

/// One process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) epoch: Epoch,
    pub(crate) life: Life,
    pub(crate) relay: Option<Relay>,
    /// The world interfered: signals, cut links and the like.
    pub(crate) disturbed: bool,
    /// When the broker killed it first, when TCP was open, when a byte came from Gateway.
    pub(crate) killed: Option<Duration>,
    pub(crate) connected: Option<Duration>,
    pub(crate) heard: Option<Duration>,
}

/// Where a process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Unborn,
    Running,
    Stopped,
    /// Dead, and the broker does not know yet.
    Zombie,
}

impl Os {
    /// No process.
    pub(crate) fn new() -> Self {
        Self { process: None, births: Births::Ordinary, foreign_lock: false, spawned: 0, pid: 1000 }
    }

    /// The process of this epoch, if it can do anything.
    pub(crate) fn alive(&mut self, epoch: Epoch) -> Option<&mut Process> {
        let process = self.process.as_mut()?;
        (process.epoch == epoch && process.is_alive()).then_some(process)
    }
}

impl Process {
    /// Does it exist and is it not dead?
    pub(crate) fn is_alive(&self) -> bool {
        matches!(self.life, Life::Running | Life::Stopped)
    }
}

fn within(rng: &mut Rng, least: u64, most: u64) -> Duration {
    Duration::from_micros(rng.u64(least..most))
}

impl World {
    /// The broker orders a worker.
    pub(crate) fn spawn(&mut self, epoch: Epoch) {
        assert!(
            self.os.process.is_none(),
            "{epoch} was ordered while {:?} exists",
            self.os.process.as_ref().map(|process| (process.epoch, process.life))
        );
        self.os.spawned += 1;
        self.attempts.on_spawn(self.now, self.slow_probe());
        self.os.process = Some(Process {
            epoch,
            life: Life::Unborn,
            relay: None,
            disturbed: self.os.births != Births::Ordinary,
            killed: None,
            connected: None,
            heard: None,
        });
        let delay = match self.os.births {
            Births::Slow => within(&mut self.rng, 500_000, 12_000_000),
            _ => within(&mut self.rng, 100, 30_000),
        };
        let born = match self.os.births {
            Births::Failing => Err("no memory"),
            _ => {
                self.os.pid += 1;
                Ok(self.os.pid)
            }
        };
        self.agenda.add(self.now + delay, Event::Born(epoch, born));
    }

    /// The process exists, or does not.
    pub(crate) fn on_born(&mut self, epoch: Epoch, born: Result<u32, &'static str>) {
        let event = match born {
            Ok(pid) => {
                let process = self.os.process.as_mut().expect("it was ordered");
                process.life = Life::Running;
                match self.os.births {
                    Births::Stillborn => process.disturbed = true,
                    Births::Crashing => {
                        process.disturbed = true;
                        self.die(ExitStatus::Code(ExitCode::Internal as i32));
                    }
                    _ => {
                        let start = within(&mut self.rng, 200, 40_000);
                        self.agenda.add(self.now + start, Event::LinkUp(epoch));
                    }
                }
                WorkerEvent::Spawned { pid }
            }
            Err(error) => {
                self.gone = self.os.process.take().map(|process| (process, None));
                let error = error.to_owned();
                WorkerEvent::NotSpawned { error }
            }
        };
        self.trace(&format!("{epoch} born: {born:?}"));
        self.input(Input::Worker { epoch, event });
    }

    /// The broker kills the worker.
    pub(crate) fn kill(&mut self, epoch: Epoch) {
        let process = self.os.process.as_mut().expect("what is killed exists");
        assert_eq!(process.epoch, epoch, "another worker is killed");
        assert_ne!(process.life, Life::Unborn, "an unborn worker is killed");
        process.killed.get_or_insert(self.now);
        let delay = match self.rng.u8(..16) {
            0 => within(&mut self.rng, 1000, 5_000_000),
            _ => within(&mut self.rng, 10, 2000),
        };
        self.agenda.add(self.now + delay, Event::Killed(epoch));
    }

    /// A SIGKILL takes effect, ours or the world's.
    pub(crate) fn on_killed(&mut self, epoch: Epoch) {
        if self.os.alive(epoch).is_some() {
            self.trace(&format!("{epoch} dies by SIGKILL"));
            self.die(ExitStatus::Signal(SIGKILL));
        }
    }

    /// The process ends: the kernel closes what it had.
    pub(crate) fn die(&mut self, status: ExitStatus) {
        let Some(process) = &mut self.os.process else {
            return;
        };
        process.life = Life::Zombie;
        let epoch = process.epoch;
        if let Some(relay) = process.relay.take() {
            self.close_socket(relay.socket);
            self.send_to_broker(epoch, LinkPiece::Close);
        }
        let delay = match self.rng.u8(..16) {
            0 => within(&mut self.rng, 1000, 3_000_000),
            _ => within(&mut self.rng, 10, 3000),
        };
        self.agenda.add(self.now + delay, Event::Exited(epoch, status));
    }

    /// The broker has waited for the process.
    pub(crate) fn on_exited(&mut self, epoch: Epoch, status: ExitStatus) {
        let process = self.os.process.take().expect("it existed");
        assert_eq!(process.epoch, epoch);
        self.trace(&format!("{epoch} was waited for: {status:?}"));
        self.network.link = None;
        let event = WorkerEvent::Exited(status);
        self.gone = Some((process, Some(status)));
        self.input(Input::Worker { epoch, event });
    }

    /// SIGSTOP and SIGCONT, by somebody else.
    pub(crate) fn stop_process(&mut self) {
        if let Some(process) = &mut self.os.process
            && process.life == Life::Running
        {
            process.life = Life::Stopped;
            process.disturbed = true;
            self.wire.disturbed = true;
        }
    }

    pub(crate) fn continue_process(&mut self) {
        if let Some(process) = &mut self.os.process
            && process.life == Life::Stopped
        {
            process.life = Life::Running;
            let epoch = process.epoch;
            self.agenda.add(self.now, Event::WakeWorker(epoch));
        }
    }

    /// SIGKILL by somebody else.
    pub(crate) fn murder(&mut self) {
        if let Some(process) = &mut self.os.process
            && process.is_alive()
        {
            process.disturbed = true;
            let epoch = process.epoch;
            self.on_killed(epoch);
        }
    }
}
