//! When how many ticks are due, exactly: whole ticks since a fixed point, never a sum of rounded
//! steps.

use std::time::Duration;

/// Ticks come in slices of this length, however high the rate is.
const SLICE: Duration = Duration::from_millis(1);

/// Ticks that are made at a time: a long slice is made in parts, so that its first ticks are
/// under way, and its later ones stamped, while the rest is still being made.
const PART: u64 = 2048;

/// What is later than this is given up, not caught up with.
const LATEST: Duration = Duration::from_secs(1);

/// A steady rate.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    per_second: u64,
    since: Duration,
    /// Ticks taken since `since`.
    taken: u64,
    /// When everything that was due had been taken, last.
    last_slice: Option<Duration>,
}

/// Ticks that have become due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// To be made now.
    pub(crate) ticks: u64,
    /// Too late to be made.
    pub(crate) lost: u64,
}

impl Pace {
    /// From now on this rate.
    pub(crate) fn set(&mut self, per_second: u64, now: Duration) {
        if per_second != self.per_second {
            *self = Self { per_second, since: now, taken: 0, last_slice: self.last_slice };
        }
    }

    /// Takes what is due, or a part of it.
    pub(crate) fn take(&mut self, now: Duration) -> Due {
        let owed = self.through(now).saturating_sub(self.taken);
        let most = u128::from(self.per_second) * LATEST.as_nanos() / 1_000_000_000;
        let lost = owed.saturating_sub(most.max(1) as u64);
        let ticks = (owed - lost).min(PART);
        self.taken += lost + ticks;
        if lost + ticks == owed {
            self.last_slice = Some(now);
        }
        Due { ticks, lost }
    }

    /// When the next slice is due.
    pub(crate) fn next(&self) -> Option<Duration> {
        if self.per_second == 0 {
            return None;
        }
        let nanos = (u128::from(self.taken + 1) * 1_000_000_000)
            .div_ceil(u128::from(self.per_second)) as u64;
        let tick = self.since + Duration::from_nanos(nanos);
        Some(match self.last_slice {
            Some(last) => tick.max(last + SLICE),
            None => tick,
        })
    }

    fn through(&self, now: Duration) -> u64 {
        let elapsed = now.saturating_sub(self.since).as_nanos();
        (elapsed * u128::from(self.per_second) / 1_000_000_000) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_slices_is_exactly_the_rate() {
        for rate in [1, 3, 7, 999, 1_500_000] {
            let mut pace = Pace::default();
            let mut now = Duration::from_secs(5);
            pace.set(rate, now);
            let end = now + Duration::from_secs(1);
            let mut ticks = 0;
            while let Some(next) = pace.next().filter(|next| *next <= end) {
                now = next;
                ticks += pace.take(now).ticks;
            }
            while let more @ 1.. = pace.take(end).ticks {
                ticks += more;
            }
            assert_eq!(ticks, rate);
        }
    }

    #[test]
    fn what_is_over_a_second_late_is_lost() {
        let mut pace = Pace::default();
        pace.set(1000, Duration::ZERO);
        let due = pace.take(Duration::from_secs(3));
        assert_eq!((due.ticks, due.lost), (1000, 2000));
    }

    #[test]
    fn no_rate_is_never_due() {
        assert_eq!(Pace::default().next(), None);
    }
}
