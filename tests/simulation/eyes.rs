//! The kernel's tables and both clocks, as the broker gets to know them.
//!
//! Some worlds see Gateway itself, others are blind. A look that was asked for is answered after
//! a moment, sometimes late, sometimes never; worlds with eyes also tell unasked. The wall clock
//! is stepped. Checks that nothing is dialled without a look.

use std::time::{Duration, SystemTime};

use fastrand::Rng;
use ibouncer_core::clock::Clock;
use ibouncer_core::hub::Input;
use ibouncer_core::sight::{Listener, Process, Sight, Unknown, Vantage};

use crate::events::Event;
use crate::world::World;

/// A look that takes longer is not waited for.
const LOOK_DEADLINE: Duration = Duration::from_secs(2);

/// Seconds since 1970 at the begin of each world.
const WALL: i64 = 2_000_000_000;

/// What is seen, and when.
#[derive(Debug)]
pub(crate) struct Eyes {
    /// Between two looks that nobody asked for; none in a blind world.
    pub(crate) period: Option<Duration>,
    /// Looks are late now and then.
    pub(crate) fail: bool,
    /// How far the wall clock was stepped, in seconds.
    offset: i64,
    pub(crate) stepped: Option<Duration>,
    /// The newest look that the broker asked for, and when; until it is answered.
    asked: Option<(u64, Duration)>,
    looks: u64,
    /// When the broker was told last.
    told: Option<Duration>,
    /// What the broker knows counts.
    pub(crate) counts: bool,
    /// The listener that it was told of last.
    pub(crate) inode: Option<u64>,
    pub(crate) queue: u32,
    pub(crate) late: u64,
}

impl Eyes {
    /// Of a random world.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let periods = [None, None, Some(1000), Some(1000), Some(1000), Some(250)];
        Self {
            period: periods[rng.usize(..periods.len())].map(Duration::from_millis),
            fail: true,
            offset: 0,
            stepped: None,
            asked: None,
            looks: 0,
            told: None,
            counts: false,
            inode: None,
            queue: 0,
            late: 0,
        }
    }

    /// Another broker knows nothing.
    pub(crate) fn on_broker_up(&mut self) {
        self.asked = None;
        self.told = None;
        self.counts = false;
        self.inode = None;
        self.queue = 0;
    }
}

impl World {
    /// Both clocks now.
    pub(crate) fn clock(&self) -> Clock {
        let seconds = u64::try_from(WALL + self.eyes.offset).expect("after 1970");
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + self.now;
        Clock { now: self.instant(), wall }
    }

    /// Somebody sets the wall clock.
    pub(crate) fn step_clock(&mut self) {
        let far = [10, 600, 7200, 300_000][self.rng.usize(..4)];
        let step = self.rng.i64(-far..=far);
        self.trace(&format!("the wall clock is stepped by {step} s"));
        self.eyes.offset = (self.eyes.offset + step).clamp(-WALL / 2, WALL / 2);
        self.eyes.stepped = Some(self.now);
    }

    /// The broker asks for a look.
    pub(crate) fn ask_look(&mut self) {
        self.eyes.looks += 1;
        let number = self.eyes.looks;
        self.eyes.asked = Some((number, self.now));
        let delay = match self.rng.u8(..64) {
            0 if self.eyes.fail => return,
            1..=3 if self.eyes.fail => self.rng.u64(1_500_000..5_000_000),
            _ => self.rng.u64(50..30_000),
        };
        self.agenda.add(self.now + Duration::from_micros(delay), Event::Looked(number));
    }

    /// The answer to a look.
    pub(crate) fn on_looked(&mut self, number: u64) {
        if self.eyes.asked.is_some_and(|(asked, _)| asked == number) {
            self.tell_sight();
        }
    }

    /// A look that nobody asked for.
    pub(crate) fn look(&mut self) {
        if let Some(period) = self.eyes.period {
            self.agenda.add(self.now + period, Event::Look);
            self.tell_sight();
        }
    }

    /// Time passes for the broker: a look that did not come counts as eyes that see nothing.
    pub(crate) fn before_timeout(&mut self) {
        if self.eyes.asked.is_some_and(|(_, at)| at + LOOK_DEADLINE <= self.now) {
            self.eyes.counts = false;
        }
    }

    /// A worker is ordered: was there a look, or did its deadline pass?
    pub(crate) fn check_looked(&mut self) {
        let waited = |(_, at): (u64, Duration)| at + LOOK_DEADLINE <= self.now;
        let late = self.eyes.asked.take().is_some_and(waited);
        assert!(late || self.eyes.told == Some(self.now), "a dial without a look");
        self.eyes.late += u64::from(late);
    }

    fn tell_sight(&mut self) {
        if !self.broker.lives {
            return;
        }
        let sight = Box::new(self.sight());
        self.eyes.told = Some(self.now);
        self.eyes.asked = None;
        self.eyes.counts = sight.counts();
        if let Some(listener) = sight.listener() {
            let drained = listener.accept_queue == 0 && self.eyes.queue > 0;
            self.eyes.queue = listener.accept_queue;
            self.attempts.on_listener(self.eyes.inode, listener.inode);
            self.eyes.inode = Some(listener.inode);
            if drained {
                self.attempts.allow();
            }
            if listener.accept_queue == 0 {
                self.attempts.on_no_queue();
            }
        }
        let clock = self.clock();
        self.input(Input::Sight { sight, clock });
    }

    fn sight(&self) -> Sight {
        if self.eyes.period.is_none() {
            return Sight::blind("this world is blind");
        }
        let because = "a process that can be Gateway listens".to_owned();
        let host = &self.host;
        let listener = host.listening.then(|| Listener {
            address: "127.0.0.1:4002".parse().expect("an address"),
            inode: host.inode,
            accept_queue: host.queued(),
            backlog: Ok(50),
            process: Ok(Process {
                pid: 4000 + host.inode as u32,
                started: host.inode,
                // The kernel tells it as an age, so it follows the clock.
                started_unix: self.started_unix(),
                command: "java".into(),
                executable: Err(Unknown("not read".into())),
                figures: Err(Unknown("not sampled".into())),
            }),
        });
        Sight { vantage: Vantage::Local, because, listener: Ok(listener), sockets: Ok(Vec::new()) }
    }

    fn started_unix(&self) -> u64 {
        let started = self.host.started.map_or(-86_400, |at| at.as_secs() as i64);
        u64::try_from(WALL + self.eyes.offset + started).expect("after 1970")
    }
}
