//! Who uses the machine: many tests at a time, or one that needs it alone.
//!
//! Most tests wait for conditions and do not care how slow things are. One that holds Gateway to
//! what it sees within a second does: on a machine where a dozen of brokers starve each other,
//! what left evenly arrives in heaps. Such a test waits until no simulator runs, and lets none
//! begin. Nobody waits for a test that only waits, so two simulators in one test cannot block
//! each other.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
struct Machine {
    simulators: usize,
    taken: bool,
}

static MACHINE: Mutex<Machine> = Mutex::new(Machine { simulators: 0, taken: false });
static FREED: Condvar = Condvar::new();

/// A part of it, for one simulator.
#[derive(Debug)]
pub struct Part(());

/// All of it.
#[derive(Debug)]
pub struct Whole(());

/// Waits as long as somebody needs all of it.
pub fn share() -> Part {
    let mut machine = lock();
    while machine.taken {
        machine = FREED.wait(machine).unwrap_or_else(PoisonError::into_inner);
    }
    machine.simulators += 1;
    Part(())
}

/// Waits until no simulator runs. Whoever has it starts simulators by [`Whole::share`].
pub fn take_all() -> Whole {
    let mut machine = lock();
    while machine.taken || machine.simulators > 0 {
        machine = FREED.wait(machine).unwrap_or_else(PoisonError::into_inner);
    }
    machine.taken = true;
    Whole(())
}

impl Whole {
    /// A part for a simulator of its own.
    pub fn share(&self) -> Part {
        lock().simulators += 1;
        Part(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        lock().simulators -= 1;
        FREED.notify_all();
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        lock().taken = false;
        FREED.notify_all();
    }
}

fn lock() -> MutexGuard<'static, Machine> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}
