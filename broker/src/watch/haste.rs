//! When calm looks must be faster, because somebody comes and goes between them.
//!
//! A port check that is open for some hundred milliseconds is hardly ever caught by a look each
//! five seconds; what it leaves in the tables has no owner any more. So as soon as such a leftover
//! is counted, looks are fast for a while, and then not again for longer: one that not even fast
//! looks can catch must not cost a look four times a second for ever. Pure: `now` is an argument.

use std::time::{Duration, Instant};

/// So long looks are fast.
pub(super) const HASTE: Duration = Duration::from_secs(60);

/// From the beginning of one haste to the next.
pub(super) const AGAIN: Duration = Duration::from_secs(600);

/// What is remembered for that.
#[derive(Debug, Default)]
pub(super) struct Haste {
    /// Short connections without an owner that are known.
    unseen: u64,
    begun: Option<Instant>,
}

impl Haste {
    /// Takes note of how many there are by now; answers whether looks must be fast.
    pub(super) fn is_on(&mut self, unseen: u64, now: Instant) -> bool {
        let more = std::mem::replace(&mut self.unseen, unseen) < unseen;
        let age = self.begun.map(|begun| now.saturating_duration_since(begun));
        if more && age.is_none_or(|age| age >= AGAIN) {
            self.begun = Some(now);
            return true;
        }
        age.is_some_and(|age| age < HASTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leftover_hastens_looks_for_a_minute_and_not_again_for_ten() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut haste = Haste::default();
        assert!(!haste.is_on(0, at(0)));
        assert!(haste.is_on(1, at(5)));
        assert!(haste.is_on(1, at(64)), "as long as it lasts");
        assert!(!haste.is_on(9, at(65)), "whatever is left");
        assert!(!haste.is_on(20, at(604)));
        assert!(!haste.is_on(20, at(700)), "nothing new, nothing to catch");
        assert!(haste.is_on(21, at(701)));
    }
}
