//! Runs seeds: one, or many on all cores. A seed that fails is told with the check that failed,
//! the end of its trace, and how to run it again.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::orders::Tally;
use crate::world::World;

/// Each of these seeds runs twice, and both runs must be the same.
const TWICE: u64 = 50;

/// Failures after which no more seeds are tried.
const ENOUGH: usize = 3;

thread_local! {
    /// Where the newest panic of this thread was.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Failures are told with their trace; until the end, panics only leave their place.
pub(crate) fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string);
        PLACE.set(place.unwrap_or_default());
    }));
    let result = work();
    std::panic::set_hook(hook);
    result
}

/// One seed.
pub(crate) struct Run {
    pub(crate) failure: Option<String>,
    pub(crate) summary: String,
    pub(crate) trace: String,
    hash: u64,
    sums: Sums,
}

/// Sums over all seeds.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub(crate) steps: u64,
    pub(crate) virtual_time: Duration,
    pub(crate) workers: u64,
    pub(crate) sessions: u64,
    pub(crate) ticks: u64,
    pub(crate) skipped: u64,
    pub(crate) wedged: u64,
    /// Brokers that were killed, and those that found no worker.
    pub(crate) broker_deaths: u64,
    pub(crate) cold_starts: u64,
    pub(crate) adoptions: u64,
    /// Links that came back to the same broker.
    pub(crate) relinks: u64,
    pub(crate) gaps: u64,
    /// Data frames that came again.
    pub(crate) resent: u64,
    /// Workers that no broker came for.
    pub(crate) gave_up: u64,
    pub(crate) late_looks: u64,
    /// Claims while somebody else made a handshake.
    pub(crate) turns_waited: u64,
    /// Single requests that Gateway answered.
    pub(crate) answers: u64,
    /// Books that a slow reader lost and was told whole.
    pub(crate) books: u64,
    /// Wishes that waited for a line.
    pub(crate) queued: u64,
    pub(crate) orders: Tally,
    pub(crate) failures: Vec<String>,
}

/// A number from the environment.
pub(crate) fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("SIM_SEED and SIM_SEEDS are numbers"))
}

/// One seed; its whole trace is kept if it is wanted.
pub(crate) fn run(seed: u64, traced: bool) -> Run {
    run_world(World::new(seed, traced), "whatever", seed, traced, World::run)
}

/// The world of a seed, from start to end; `test` is the word by which its test is found.
pub(crate) fn run_world(
    mut world: World,
    test: &str,
    seed: u64,
    traced: bool,
    live: impl FnOnce(&mut World),
) -> Run {
    let result = catch_unwind(AssertUnwindSafe(|| live(&mut world)));
    let place = PLACE.take();
    let failure = result.err().map(|payload| {
        format!(
            "seed {seed} failed at {place}: {}\n{}\nreplay: SIM_SEED={seed} cargo test -p ibouncer-tests \
             --test simulation {test} -- --nocapture",
            sentence(payload.as_ref()),
            world.trace.tail()
        )
    });
    let summary = match &failure {
        Some(failure) => failure.clone(),
        None => format!("seed {seed} holds, {} steps, hash {:x}", world.steps, world.trace.hash()),
    };
    Run {
        failure,
        summary,
        trace: if traced { world.trace.all() } else { String::new() },
        hash: world.trace.hash(),
        sums: Sums {
            steps: world.steps,
            virtual_time: world.now,
            workers: world.os.spawned,
            sessions: world.sessions,
            ticks: world.clients.read,
            skipped: world.clients.skipped,
            wedged: world.attempts.wedged,
            broker_deaths: world.broker.deaths,
            cold_starts: world.cold_starts,
            adoptions: world.adoptions,
            relinks: world.relinks,
            gaps: world.frames.gaps,
            resent: world.frames.resent,
            gave_up: world.gave_up,
            late_looks: world.eyes.late,
            turns_waited: world.others.refused,
            answers: world.clients.answers,
            books: world.clients.books,
            queued: world.clients.queued,
            orders: world.orders.tally(),
            failures: Vec::new(),
        },
    }
}

/// Seeds from 0, on all cores.
pub(crate) fn run_all(seeds: u64) -> Sums {
    run_seeds(seeds, run)
}

/// The same, each run like this.
pub(crate) fn run_seeds(seeds: u64, run: impl Fn(u64, bool) -> Run + Sync) -> Sums {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(0);
    let total = Mutex::new(Sums::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            let mut one = run(seed, false);
            if seed.is_multiple_of(TWICE)
                && one.failure.is_none()
                && run(seed, false).hash != one.hash
            {
                one.failure = Some(format!("seed {seed}: two runs of it differ"));
            }
            let mut total = total.lock().expect("no thread panics here");
            total.add(&one.sums);
            total.failures.extend(one.failure);
            if total.failures.len() >= ENOUGH {
                next.store(seeds, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    total.into_inner().expect("no thread panics here")
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.virtual_time += other.virtual_time;
        self.workers += other.workers;
        self.sessions += other.sessions;
        self.ticks += other.ticks;
        self.skipped += other.skipped;
        self.wedged += other.wedged;
        self.broker_deaths += other.broker_deaths;
        self.cold_starts += other.cold_starts;
        self.adoptions += other.adoptions;
        self.relinks += other.relinks;
        self.gaps += other.gaps;
        self.resent += other.resent;
        self.gave_up += other.gave_up;
        self.late_looks += other.late_looks;
        self.turns_waited += other.turns_waited;
        self.answers += other.answers;
        self.books += other.books;
        self.queued += other.queued;
        self.orders.add(other.orders);
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} steps, {} h of virtual time, {} workers, {} sessions, {} ticks read, {} left \
             out, {} wedged, {} brokers killed, {} found no worker, {} adoptions, {} relinks, {} \
             gaps, {} frames came again, {} workers gave up, {} looks came too late, {} turns were others', {} single \
             requests answered, {} books told again, {} waits for a line",
            self.steps,
            self.virtual_time.as_secs() / 3600,
            self.workers,
            self.sessions,
            self.ticks,
            self.skipped,
            self.wedged,
            self.broker_deaths,
            self.cold_starts,
            self.adoptions,
            self.relinks,
            self.gaps,
            self.resent,
            self.gave_up,
            self.late_looks,
            self.turns_waited,
            self.answers,
            self.books,
            self.queued,
        )
    }
}

fn sentence(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words")
}
