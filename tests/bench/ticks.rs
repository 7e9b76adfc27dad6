//! Age and loss of stamped ticks, whichever way they came.

use std::time::Duration;

use hdrhistogram::Histogram;
use ibouncer_client::{EventRef, SubscriptionId, Tick};

/// Not measured: whatever is new has found its pace by then.
pub(crate) const WARM_UP: Duration = Duration::from_secs(1);

/// Field of a price in `MarketDataEvent.body`.
pub(crate) const TICK_PRICE: u32 = 5;

/// What was seen of one run.
pub(crate) struct Seen {
    /// Microseconds.
    pub(crate) ages: Histogram<u64>,
    pub(crate) ticks: u64,
    /// Ticks whose counter is missing.
    pub(crate) lost: u64,
    counters: Vec<u64>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            ages: Histogram::new_with_bounds(1, 60_000_000, 3).unwrap(),
            ticks: 0,
            lost: 0,
            counters: Vec::new(),
        }
    }
}

impl Seen {
    /// One tick of a line. `sample` says whether its age is of interest: at high rates one of
    /// many is enough.
    #[inline]
    pub(crate) fn take(&mut self, line: usize, body: &[u8], sample: Option<u64>) {
        let (price, size) = stamp(body);
        self.ticks += 1;
        if self.counters.len() <= line {
            self.counters.resize(line + 1, 0);
        }
        let before = std::mem::replace(&mut self.counters[line], size);
        if before != 0 && size > before + 1 {
            self.lost += size - before - 1;
        }
        if let Some(now) = sample {
            let age = now.saturating_sub(price as u64) / 1000;
            self.ages.saturating_record(age.max(1));
        }
    }

    /// Forgets ages and counts, keeps the counters: the measured part begins.
    pub(crate) fn begin(&mut self) {
        self.ages.reset();
        self.ticks = 0;
        self.lost = 0;
    }
}

/// Price and size of a tick, read the way the SDK reads it, whichever way it came.
#[inline]
fn stamp(body: &[u8]) -> (f64, u64) {
    let event = EventRef {
        subscription_id: SubscriptionId(0),
        sequence: 0,
        skipped: 0,
        replayed: false,
        field: TICK_PRICE,
        body,
    };
    match event.tick().unwrap() {
        Some(Tick::Price { price, size, .. }) => (price, size.parse().unwrap_or(0)),
        _ => (0.0, 0),
    }
}

/// CLOCK_MONOTONIC in nanoseconds, the clock of the stamps.
pub(crate) fn monotonic_nanos() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
