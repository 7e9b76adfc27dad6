//! Waiting for conditions, never for time; and a measure of how late this machine is.

use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// What every wait that has no reason for another limit gets. Generous: it is only ever used up
/// by a failure.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Looks until there is something.
///
/// # Panics
/// At the deadline, saying what was waited for.
#[track_caller]
pub fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "after {within:?} still not: {what}");
        std::thread::sleep(LOOK);
    }
}

/// Waits until it is true.
#[track_caller]
pub fn until_true(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    until(what, within, || holds().then_some(()));
}

/// How late this machine woke a sleeping thread, at worst, since a moment: a bound on a time
/// that another process kept is fair only plus this.
pub fn lateness_since(moment: Instant) -> Duration {
    let seen = LATENESS.lock().unwrap_or_else(PoisonError::into_inner);
    seen.iter().filter(|(at, _)| *at >= moment).map(|(_, late)| *late).max().unwrap_or_default()
}

static LATENESS: LazyLock<Mutex<Vec<(Instant, Duration)>>> = LazyLock::new(|| {
    std::thread::spawn(|| {
        let nap = Duration::from_millis(10);
        loop {
            let begun = Instant::now();
            std::thread::sleep(nap);
            let late = begun.elapsed().saturating_sub(nap);
            if late > Duration::from_millis(5) {
                let mut seen = LATENESS.lock().unwrap_or_else(PoisonError::into_inner);
                seen.push((Instant::now(), late));
            }
        }
    });
    Mutex::default()
});

/// Begins to measure lateness; what came before is not known.
pub fn watch_lateness() {
    LazyLock::force(&LATENESS);
}
