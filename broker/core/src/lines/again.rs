//! When a line is asked for again that Gateway does not serve well: at once, and later each time if
//! that does not help.

use std::time::{Duration, Instant};

/// The pause before the second time, and the longest.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Without trouble for so long, the next is a new one.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// How often that was, in a row.
#[derive(Debug, Default)]
pub struct Again {
    /// When it was asked for again last, and the pause before.
    last: Option<(Instant, Duration)>,
}

impl Again {
    /// There is trouble: it is to be asked for again then.
    pub fn at(&mut self, now: Instant) -> Instant {
        let pause = match self.last {
            Some((at, pause)) if now < at + FORGOTTEN => (pause * 2).clamp(SHORTEST, LONGEST),
            _ => Duration::ZERO,
        };
        self.last = Some((now + pause, pause));
        now + pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_in_a_row_is_later_and_peace_makes_it_new() {
        let mut again = Again::default();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let at = again.at(now);
            pauses.push((at - now).as_secs());
            now = at + Duration::from_millis(100);
        }
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(again.at(now + FORGOTTEN), now + FORGOTTEN);
    }
}
