//! When a contract trades, in UTC and without holidays: all that history, schedules and contract
//! details know of it.

use super::calendar::{self, DAY};
use super::listings::Listing;

/// Trading hours of one kind of contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hours {
    /// Seconds of the day at which a session begins and ends.
    from: i64,
    to: i64,
    /// Also on Saturdays and Sundays.
    weekends: bool,
}

impl Hours {
    /// Those of a contract, regular or all.
    pub(crate) fn of(listing: Listing, regular: bool) -> Self {
        match (listing.instrument().sec_type, regular) {
            ("CRYPTO", _) => Self { from: 0, to: DAY, weekends: true },
            ("CASH" | "FUT", false) => Self { from: 0, to: DAY, weekends: false },
            ("FUT", true) => Self { from: 51_600, to: 76_500, weekends: false },
            ("CASH", true) => Self { from: 0, to: DAY, weekends: false },
            // 14:30 to 21:00, and 09:00 to 24:00.
            (_, true) => Self { from: 52_200, to: 75_600, weekends: false },
            (_, false) => Self { from: 32_400, to: DAY, weekends: false },
        }
    }

    /// Beginning and end of a day's session in Unix seconds; none if nothing trades on it.
    pub(crate) fn session(&self, day: i64) -> Option<(i64, i64)> {
        let open = self.weekends || (1..=5).contains(&calendar::weekday(day));
        open.then_some((day * DAY + self.from, day * DAY + self.to))
    }

    /// The day of the latest session that began before a Unix time in seconds.
    pub(crate) fn day_before(&self, unix: i64) -> i64 {
        let mut day = unix.div_euclid(DAY);
        while self.session(day).is_none_or(|(from, _)| from >= unix) {
            day -= 1;
        }
        day
    }
}

#[cfg(test)]
mod tests {
    use super::super::listings::Term;
    use super::*;

    #[test]
    fn a_stock_trades_on_weekdays() {
        let hours = Hours::of(Listing { place: 0, term: Term::Itself }, true);
        let monday = calendar::day_of(2026, 11, 23);
        assert_eq!(hours.session(monday - 1), None);
        let (from, to) = hours.session(monday).unwrap();
        assert_eq!(calendar::date_time(from), "20261123 14:30:00 UTC");
        assert_eq!(to - from, 23_400);
        assert_eq!(hours.day_before(from), monday - 3);
        assert_eq!(hours.day_before(from + 1), monday);
    }
}
