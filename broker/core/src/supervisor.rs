//! The life of the one worker process.
//!
//! ```text
//!                spawn                 Hello
//!  Absent ───► Spawning ───► Unlinked ───────► Linked ──end──► Ending
//!    ▲            │              │               │                │ drain passed
//!    │            └──────────────┴───── kill ────┴────────────────┤
//!    │                                                            ▼
//!    ├────────────────────────── exit seen ◄──────────────────  Killing
//!    └──── adopt ───► Linked
//! ```
//!
//! Owns: that there is never more than one worker, because nothing is spawned before the exit of
//! the one before was *seen*; that a worker is pinged and one that does not answer is killed;
//! and the account of how each ended. Does not know why the session wants a worker. Inputs of
//! an epoch that is not the current one are dropped by the hub.

mod end;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ibouncer_proto::link::v1::{Ended, Ping, Shutdown, ToWorker, to_worker};

use crate::ids::Epoch;
use crate::settings::WorkerSettings;
pub use end::{EndCause, ExitStatus, WorkerEnd, exit_code_meaning};

/// What the supervisor wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Start a worker process.
    Spawn(Epoch),
    /// SIGKILL, through the child's handle.
    Kill(Epoch),
    /// It was killed, and its end was not seen for so long: once more.
    KillAgain(Epoch, Duration),
    /// It is to be killed for so long, and has not even begun.
    StillUnborn(Epoch, Duration),
    /// Say this on the link.
    Tell(Epoch, ToWorker),
    /// The worker is gone; a next one may be spawned.
    Gone(WorkerEnd),
}

#[derive(Debug)]
enum State {
    Absent,
    Spawning { epoch: Epoch, kill: Option<Pending> },
    Unlinked { epoch: Epoch, pid: u32 },
    Linked { epoch: Epoch, pid: u32, ping_at: Instant, last_pong: Instant, cut: Option<Cut> },
    Ending { epoch: Epoch, pid: u32, kill_at: Instant, because: String },
    Killing { epoch: Epoch, pid: u32, because: String, since: Instant, again_at: Instant },
}

/// Ordered to end before it began.
#[derive(Debug, Clone)]
struct Pending {
    because: String,
    since: Instant,
    again_at: Instant,
}

/// The link is gone and the exit is not seen yet.
#[derive(Debug, Clone)]
struct Cut {
    kill_at: Instant,
    because: String,
}

/// A link breaks because its process ends: so long its exit, which says why, is waited for
/// before the worker is killed for being of no use.
const EXIT_AFTER_CUT: Duration = Duration::from_millis(200);

/// A worker with a live session comes back to the link by itself, several tries a second. One
/// that does not in this time is stuck, as one that answers no ping.
const RELINK: Duration = Duration::from_secs(4);

/// The kernel ends a process within milliseconds; one that waits for a device, or whose end was
/// not told, is killed and looked for again, and said.
const END_AGAIN: Duration = Duration::from_secs(5);

/// The machine.
#[derive(Debug)]
pub struct Supervisor {
    state: State,
    since: Option<Instant>,
    /// The worker's own last word.
    reported: Option<Ended>,
    /// It outlived the broker that started it.
    adopted: bool,
    pings: u64,
    orders: VecDeque<Order>,
    settings: WorkerSettings,
}

impl Supervisor {
    /// No worker yet.
    pub fn new(settings: WorkerSettings) -> Self {
        Self {
            state: State::Absent,
            since: None,
            reported: None,
            adopted: false,
            pings: 0,
            orders: VecDeque::new(),
            settings,
        }
    }

    /// Orders a worker. Only when there is none.
    pub fn spawn(&mut self, epoch: Epoch, now: Instant) {
        if !matches!(self.state, State::Absent) {
            tracing::error!(%epoch, state = ?self.state, "a worker was ordered while one exists");
            debug_assert!(false, "a worker was ordered while one exists");
            return;
        }
        self.reported = None;
        self.adopted = false;
        self.since = Some(now);
        self.state = State::Spawning { epoch, kill: None };
        self.orders.push_back(Order::Spawn(epoch));
    }

    /// Orders the end of the worker, by SIGKILL. Without one, nothing happens.
    pub fn kill(&mut self, because: &str, now: Instant) {
        let (epoch, pid) = match &mut self.state {
            State::Absent | State::Killing { .. } => return,
            State::Spawning { kill, .. } => {
                let because = because.to_owned();
                let again_at = now + END_AGAIN;
                kill.get_or_insert_with(|| Pending { because, since: now, again_at });
                return;
            }
            State::Unlinked { epoch, pid }
            | State::Linked { epoch, pid, .. }
            | State::Ending { epoch, pid, .. } => (*epoch, *pid),
        };
        // An order that was given before is the true reason.
        let because = match &self.state {
            State::Ending { because, .. } => because.clone(),
            _ => because.to_owned(),
        };
        self.state = State::Killing { epoch, pid, because, since: now, again_at: now + END_AGAIN };
        self.orders.push_back(Order::Kill(epoch));
    }

    /// Asks the worker to close the session in order; kills it if that takes too long.
    pub fn end(&mut self, because: &str, now: Instant) {
        let State::Linked { epoch, pid, .. } = self.state else {
            return self.kill(because, now);
        };
        let shutdown = Shutdown { because: because.to_owned() };
        self.tell(epoch, to_worker::Message::Shutdown(shutdown));
        let kill_at = now + self.settings.drain;
        self.state = State::Ending { epoch, pid, kill_at, because: because.to_owned() };
    }

    /// The process exists.
    pub fn on_spawned(&mut self, pid: u32, now: Instant) {
        let State::Spawning { epoch, kill } = &mut self.state else {
            return;
        };
        let (epoch, kill) = (*epoch, kill.take());
        self.since = Some(now);
        self.state = State::Unlinked { epoch, pid };
        if let Some(pending) = kill {
            self.kill(&pending.because, now);
        }
    }

    /// The process could not be started.
    pub fn on_spawn_failed(&mut self, error: String) {
        let State::Spawning { epoch, ref kill } = self.state else {
            return;
        };
        let ordered = kill.as_ref().map(|pending| pending.because.clone());
        let detail = format!("worker could not be started: {error}");
        self.gone(WorkerEnd { epoch, cause: EndCause::NotSpawned { error }, detail, ordered });
    }

    /// The worker said Hello: for the first time, or again after its link broke.
    pub fn on_hello(&mut self, now: Instant) {
        let (State::Unlinked { epoch, pid } | State::Linked { epoch, pid, .. }) = self.state else {
            return;
        };
        let ping_at = now + self.settings.ping;
        self.state = State::Linked { epoch, pid, ping_at, last_pong: now, cut: None };
    }

    /// A worker of the broker before is ours now, with its link.
    pub fn adopt(&mut self, epoch: Epoch, pid: u32, now: Instant) {
        if !matches!(self.state, State::Absent) {
            tracing::error!(%epoch, state = ?self.state, "a worker was adopted while one exists");
            debug_assert!(false, "a worker was adopted while one exists");
            return;
        }
        self.reported = None;
        self.since = Some(now);
        self.adopted = true;
        let ping_at = now + self.settings.ping;
        self.state = State::Linked { epoch, pid, ping_at, last_pong: now, cut: None };
    }

    /// The broker ends and leaves the worker to the next one. Nothing is ordered.
    pub fn let_go(&mut self) {
        self.state = State::Absent;
        self.since = None;
    }

    /// The worker answered a ping.
    pub fn on_pong(&mut self, now: Instant) {
        if let State::Linked { last_pong, .. } = &mut self.state {
            *last_pong = now;
        }
    }

    /// The worker said how it ends.
    pub fn on_ended(&mut self, ended: Ended) {
        self.reported = Some(ended);
    }

    /// The link is closed. A worker without one is most likely ending; one with a live session
    /// comes back.
    pub fn on_link_closed(&mut self, because: &str, live: bool, now: Instant) {
        if let State::Linked { cut, .. } = &mut self.state {
            let kill_at = now + if live { RELINK } else { EXIT_AFTER_CUT };
            cut.get_or_insert_with(|| Cut { kill_at, because: because.to_owned() });
        } else if matches!(self.state, State::Unlinked { .. }) {
            self.kill(because, now);
        }
    }

    /// The process was waited for.
    pub fn on_exited(&mut self, status: ExitStatus) {
        let (epoch, ordered) = match &self.state {
            State::Absent => return,
            State::Spawning { epoch, kill } => {
                (*epoch, kill.as_ref().map(|pending| pending.because.clone()))
            }
            State::Unlinked { epoch, .. } | State::Linked { epoch, .. } => (*epoch, None),
            State::Ending { epoch, because, .. } | State::Killing { epoch, because, .. } => {
                (*epoch, Some(because.clone()))
            }
        };
        let end = end::describe(epoch, self.reported.take(), status, ordered);
        self.gone(end);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Linked { cut: Some(cut), .. } if cut.kill_at <= now => {
                let because = cut.because.clone();
                self.kill(&because, now);
            }
            State::Linked { epoch, ping_at, last_pong, cut: None, .. } => {
                let epoch = *epoch;
                let silent = now.saturating_duration_since(*last_pong);
                if silent >= self.settings.stuck_after {
                    let because =
                        format!("worker answered no ping for {:.1} s", silent.as_secs_f64());
                    self.kill(&because, now);
                } else if *ping_at <= now {
                    *ping_at = now + self.settings.ping;
                    self.pings += 1;
                    let number = self.pings;
                    self.tell(epoch, to_worker::Message::Ping(Ping { number }));
                }
            }
            State::Ending { kill_at, .. } if *kill_at <= now => self.kill("drain passed", now),
            State::Spawning { epoch, kill: Some(pending) } if pending.again_at <= now => {
                pending.again_at = now + END_AGAIN;
                let waited = now.saturating_duration_since(pending.since);
                self.orders.push_back(Order::StillUnborn(*epoch, waited));
            }
            State::Killing { epoch, since, again_at, .. } if *again_at <= now => {
                *again_at = now + END_AGAIN;
                let waited = now.saturating_duration_since(*since);
                self.orders.push_back(Order::KillAgain(*epoch, waited));
            }
            _ => {}
        }
    }

    /// The next time that matters, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        match &self.state {
            State::Linked { cut: Some(cut), .. } => Some((cut.kill_at, "exit after link loss")),
            State::Linked { ping_at, last_pong, .. } => {
                let stuck = *last_pong + self.settings.stuck_after;
                Some(if *ping_at <= stuck { (*ping_at, "ping") } else { (stuck, "stuck worker") })
            }
            State::Ending { kill_at, .. } => Some((*kill_at, "drain")),
            State::Spawning { kill: Some(pending), .. } => {
                Some((pending.again_at, "start of a worker that is to end"))
            }
            State::Killing { again_at, .. } => Some((*again_at, "end of a killed worker")),
            _ => None,
        }
    }

    /// The next thing to do.
    pub fn poll_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// Is there no worker?
    pub fn is_absent(&self) -> bool {
        matches!(self.state, State::Absent)
    }

    /// The worker that exists, may be on its way in or out.
    pub fn epoch(&self) -> Option<Epoch> {
        match self.state {
            State::Absent => None,
            State::Spawning { epoch, .. }
            | State::Unlinked { epoch, .. }
            | State::Linked { epoch, .. }
            | State::Ending { epoch, .. }
            | State::Killing { epoch, .. } => Some(epoch),
        }
    }

    /// Process id and start of the worker that exists.
    pub fn process(&self) -> Option<(u32, Instant)> {
        let pid = match self.state {
            State::Absent | State::Spawning { .. } => return None,
            State::Unlinked { pid, .. }
            | State::Linked { pid, .. }
            | State::Ending { pid, .. }
            | State::Killing { pid, .. } => pid,
        };
        Some((pid, self.since?))
    }

    /// Did it outlive the broker that started it?
    pub fn is_adopted(&self) -> bool {
        self.adopted && !self.is_absent()
    }

    /// Other numbers to decide by, from now on.
    pub fn on_settings(&mut self, settings: WorkerSettings) {
        self.settings = settings;
    }

    fn tell(&mut self, epoch: Epoch, message: to_worker::Message) {
        self.orders.push_back(Order::Tell(epoch, ToWorker { message: Some(message) }));
    }

    fn gone(&mut self, end: WorkerEnd) {
        self.state = State::Absent;
        self.since = None;
        self.orders.push_back(Order::Gone(end));
    }
}

#[cfg(test)]
mod tests;
