//! The fake operating system: one worker process at most, signals, exits, the worker's lock.
//!
//! A spawn takes time and may fail; a process may start slowly, or never open its link; a
//! SIGKILL takes effect late; an exit is seen late, or only by whoever looks again. When a process dies its link closes, its
//! socket is reset and its lock is free. When a broker dies its worker dies with it, unless it
//! was told that it may live on. Checks that a worker is never ordered while one exists, and
//! that no broker kills a worker that is not its own.

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
    /// The worker, from the order to start it until its exit was told, or until it is gone and
    /// nobody is there to be told.
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
    pub(crate) pid: u32,
    pub(crate) life: Life,
    pub(crate) relay: Option<Relay>,
    /// The broker that started it or took it over, by its number, as long as that lives.
    pub(crate) owner: Option<u64>,
    /// Its owner did not start it.
    pub(crate) adopted: bool,
    pub(crate) holds_lock: bool,
    /// It has no parent-death signal any more.
    pub(crate) outlives: bool,
    /// The world interfered: signals, cut links and the like.
    pub(crate) disturbed: bool,
    /// When the broker killed it first, when TCP was open, when a byte came from Gateway.
    pub(crate) killed: Option<Duration>,
    /// How it ended, and nobody was told: seen by whoever kills it once more.
    pub(crate) lost: Option<ExitStatus>,
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

    /// Does anybody hold the worker's lock?
    pub(crate) fn is_locked(&self) -> bool {
        let held = |process: &Process| process.is_alive() && process.holds_lock;
        self.foreign_lock || self.process.as_ref().is_some_and(held)
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
        self.before_dial();
        self.os.process = Some(Process {
            epoch,
            pid: 0,
            life: Life::Unborn,
            relay: None,
            owner: Some(self.broker.number),
            adopted: false,
            holds_lock: false,
            outlives: false,
            disturbed: self.os.births != Births::Ordinary,
            killed: None,
            lost: None,
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
        let waited =
            |process: &&mut Process| process.epoch == epoch && process.life == Life::Unborn;
        let Some(process) = self.os.process.as_mut().filter(waited) else {
            // Its broker has died meanwhile.
            return;
        };
        let event = match born {
            Ok(pid) => {
                process.life = Life::Running;
                process.pid = pid;
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
        assert_eq!(process.owner, Some(self.broker.number), "a worker of another is killed");
        if process.killed.is_some()
            && let Some(status) = process.lost.take()
        {
            return self.agenda.add(self.now, Event::Exited(epoch, status));
        }
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
        let (epoch, owner) = (process.epoch, process.owner);
        let status = if process.adopted { ExitStatus::Unseen } else { status };
        if let Some(relay) = process.relay.take() {
            self.close_socket(relay.socket);
            if let Some(link) = relay.link {
                self.send_to_broker(link, LinkPiece::Close);
            }
        }
        if owner.is_none() {
            self.trace(&format!("{epoch} is gone, and nobody waited for it"));
            self.os.process = None;
            return;
        }
        let delay = match self.rng.u8(..16) {
            // Nobody is told, until somebody looks again.
            0 if self.rng.bool() => {
                if let Some(process) = &mut self.os.process {
                    process.lost = Some(status);
                }
                self.trace(&format!("{epoch} is gone, and its exit is lost"));
                return;
            }
            0 => within(&mut self.rng, 1000, 3_000_000),
            _ => within(&mut self.rng, 10, 3000),
        };
        self.agenda.add(self.now + delay, Event::Exited(epoch, status));
    }

    /// The broker has waited for the process, or sees that an adopted one is gone.
    pub(crate) fn on_exited(&mut self, epoch: Epoch, status: ExitStatus) {
        let dead = |process: &mut Process| process.epoch == epoch && process.life == Life::Zombie;
        let Some(process) = self.os.process.take_if(dead) else {
            // Its broker has died meanwhile.
            return;
        };
        if process.adopted && self.os.foreign_lock {
            // Its lock is not free, so it does not count as gone.
            self.os.process = Some(process);
            self.agenda.add(self.now + Duration::from_millis(200), Event::Exited(epoch, status));
            return;
        }
        self.trace(&format!("{epoch} was waited for: {status:?}"));
        self.network.link = None;
        let event = WorkerEvent::Exited(status);
        self.gone = Some((process, Some(status)));
        self.input(Input::Worker { epoch, event });
    }

    /// The broker is gone: what becomes of its worker, or of the one that it waited for.
    pub(crate) fn orphan(&mut self) {
        let Some(process) = &mut self.os.process else {
            return;
        };
        process.owner = None;
        process.disturbed = true;
        let (epoch, outlives, locks) = (process.epoch, process.outlives, process.holds_lock);
        match process.life {
            Life::Unborn | Life::Zombie => self.os.process = None,
            Life::Running | Life::Stopped => {
                if let Some(link) = process.relay.as_ref().and_then(|relay| relay.link) {
                    self.send_to_worker(link, LinkPiece::Close);
                }
                if outlives {
                    self.trace(&format!("{epoch} outlives its broker"));
                } else if locks && self.rng.u8(..4) == 0 {
                    // Even SIGKILL waits for what the kernel does for a process.
                    let delay = within(&mut self.rng, 1000, 3_000_000);
                    self.agenda.add(self.now + delay, Event::Killed(epoch));
                } else {
                    self.on_killed(epoch);
                }
            }
        }
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
