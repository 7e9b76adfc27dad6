//! Ties the machines' clock to the wall's.
//!
//! Machines decide by moments of their own clock, which never jumps. What people read, and what
//! outlives a restart, is told in wall-clock times; the pair is taken anew at every look at the
//! kernel's tables, so that a step of the wall clock shifts nothing for long.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prost_types::Timestamp;

/// One moment on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// A moment on the machines' clock.
    pub now: Instant,
    /// The same moment on the wall.
    pub wall: SystemTime,
}

impl Clock {
    /// A moment of the machines' clock, on the wall.
    pub fn at(&self, moment: Instant) -> Timestamp {
        Timestamp::from(self.wall(moment))
    }

    /// The same, in milliseconds since 1970.
    pub fn millis(&self, moment: Instant) -> u64 {
        let since = self.wall(moment).duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// How long after `now` a wall-clock time is; zero if it has passed.
    pub fn until(&self, millis: u64, now: Instant) -> Duration {
        Duration::from_millis(millis.saturating_sub(self.millis(now)))
    }

    /// How long before `now` a wall-clock time in seconds was.
    pub fn since_seconds(&self, seconds: u64, now: Instant) -> Duration {
        Duration::from_millis(self.millis(now).saturating_sub(seconds.saturating_mul(1000)))
    }

    fn wall(&self, moment: Instant) -> SystemTime {
        if moment >= self.now {
            self.wall + (moment - self.now)
        } else {
            self.wall.checked_sub(self.now - moment).unwrap_or(UNIX_EPOCH)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_before_and_after_now_keep_their_distance_on_the_wall() {
        let clock = Clock { now: Instant::now(), wall: UNIX_EPOCH + Duration::from_secs(100) };
        assert_eq!(clock.at(clock.now + Duration::from_secs(5)).seconds, 105);
        assert_eq!(clock.at(clock.now - Duration::from_secs(5)).seconds, 95);
        assert_eq!(clock.millis(clock.now), 100_000);
        assert_eq!(clock.until(101_500, clock.now), Duration::from_millis(1500));
        assert_eq!(clock.until(99_000, clock.now), Duration::ZERO);
        assert_eq!(clock.since_seconds(40, clock.now), Duration::from_secs(60));
    }
}
