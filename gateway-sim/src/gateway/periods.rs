//! Bar sizes and durations as requests spell them, and the bars that they make.

use super::calendar::{self, DAY};
use super::sessions::Hours;

/// Bars in one answer: what comes to more is refused, as one frame could not hold it.
const MOST_BARS: usize = 100_000;

/// The size of a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BarSize {
    Seconds(i64),
    Day,
    Week,
    Month,
}

/// How far a request reaches back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duration {
    /// Seconds in which there is trade.
    Seconds(i64),
    /// Days on which there is trade.
    Days(i64),
    /// Days of the calendar.
    Calendar(i64),
}

const SIZES: &[(&str, i64)] = &[
    ("1 secs", 1),
    ("5 secs", 5),
    ("10 secs", 10),
    ("15 secs", 15),
    ("30 secs", 30),
    ("1 min", 60),
    ("2 mins", 120),
    ("3 mins", 180),
    ("5 mins", 300),
    ("10 mins", 600),
    ("15 mins", 900),
    ("20 mins", 1200),
    ("30 mins", 1800),
    ("1 hour", 3600),
    ("2 hours", 7200),
    ("3 hours", 10_800),
    ("4 hours", 14_400),
    ("8 hours", 28_800),
];

impl BarSize {
    pub(crate) fn read(text: &str) -> Option<Self> {
        match text.trim() {
            "1 sec" => Some(Self::Seconds(1)),
            "1 day" | "1D" => Some(Self::Day),
            "1 week" | "1W" => Some(Self::Week),
            "1 month" | "1M" => Some(Self::Month),
            text => {
                let known = SIZES.iter().find(|(name, _)| *name == text);
                known.map(|(_, seconds)| Self::Seconds(*seconds))
            }
        }
    }

    /// Whether the strict pacing holds for it.
    pub(crate) fn is_small(self) -> bool {
        matches!(self, Self::Seconds(..=30))
    }
}

impl Duration {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (number, unit) = text.trim().split_once(' ')?;
        let number: i64 = number.parse().ok().filter(|number| (1..=100_000).contains(number))?;
        match unit.trim() {
            "S" => Some(Self::Seconds(number)),
            "D" => Some(Self::Days(number)),
            "W" => Some(Self::Calendar(number * 7)),
            "M" => Some(Self::Calendar(number * 30)),
            "Y" => Some(Self::Calendar(number * 365)),
            _ => None,
        }
        .filter(|duration| match duration {
            Self::Seconds(seconds) => *seconds <= DAY,
            Self::Days(days) | Self::Calendar(days) => *days <= 60 * 366,
        })
    }
}

/// Beginning and end of every bar, oldest first, none later than `end`; `None` if there are too
/// many of them.
pub(crate) fn bars(
    size: BarSize,
    duration: Duration,
    hours: Hours,
    end: i64,
) -> Option<Vec<(i64, i64)>> {
    let (mut bars, mut day) = (Vec::new(), hours.day_before(end));
    let first = match duration {
        Duration::Calendar(days) => end.div_euclid(DAY) - days,
        _ => i64::MIN / DAY / 2,
    };
    let mut days = 0;
    let mut seconds = 0;
    let enough = |days: i64, seconds: i64| match duration {
        Duration::Seconds(wanted) => seconds >= wanted,
        Duration::Days(wanted) => days >= wanted,
        Duration::Calendar(_) => false,
    };
    while day >= first && !enough(days, seconds) {
        let (from, to) = hours.session(day)?;
        let to = to.min(end);
        match size {
            BarSize::Seconds(length) => {
                // Bars begin at multiples of their size, the first of a session with it.
                let mut start = from.max((to - 1).div_euclid(length) * length);
                loop {
                    bars.push((start, (start.div_euclid(length) * length + length).min(to)));
                    seconds += length;
                    if start <= from || enough(days, seconds) || bars.len() > MOST_BARS {
                        break;
                    }
                    start = from.max(start.div_euclid(length) * length - length);
                }
            }
            BarSize::Day | BarSize::Week | BarSize::Month => {
                let same = bars.last().is_some_and(|(later, _)| same(size, later / DAY, day));
                match bars.last_mut() {
                    Some((start, _)) if same => *start = from,
                    _ => bars.push((from, to)),
                }
                seconds += DAY;
            }
        }
        if bars.len() > MOST_BARS {
            return None;
        }
        days += 1;
        day = hours.day_before(from);
    }
    bars.reverse();
    Some(bars)
}

/// Whether two days are in one bar.
fn same(size: BarSize, one: i64, other: i64) -> bool {
    match size {
        BarSize::Week => (one + 3).div_euclid(7) == (other + 3).div_euclid(7),
        BarSize::Month => {
            let month = |day| {
                let (year, month, _) = calendar::civil(day);
                (year, month)
            };
            month(one) == month(other)
        }
        BarSize::Seconds(_) | BarSize::Day => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::listings::{Listing, Term};
    use super::*;

    const AAPL: Listing = Listing { place: 0, term: Term::Itself };

    /// Monday, 18:15:15 UTC.
    const NOW: i64 = 1_795_457_715;

    fn count(size: &str, duration: &str) -> usize {
        let (size, duration) = (BarSize::read(size).unwrap(), Duration::read(duration).unwrap());
        bars(size, duration, Hours::of(AAPL, true), NOW).unwrap().len()
    }

    #[test]
    fn counts_are_those_of_the_trading_hours() {
        assert_eq!(count("1 min", "1 D"), 226);
        assert_eq!(count("1 min", "2 D"), 226 + 390);
        assert_eq!(count("5 secs", "1800 S"), 360);
        assert_eq!(count("1 hour", "1 D"), 5);
        assert_eq!(count("1 day", "5 D"), 5);
        assert_eq!(count("1 day", "1 W"), 6);
        assert_eq!(count("1 week", "1 M"), 5);
        assert_eq!(count("1 month", "1 Y"), 13);
        assert!((250..=262).contains(&count("1 day", "1 Y")));
    }

    #[test]
    fn every_size_goes_with_every_duration_or_is_refused() {
        let names = SIZES.iter().map(|(name, _)| *name);
        for size in names.chain(["1 day", "1 week", "1 month"]) {
            for duration in ["60 S", "1 D", "3 W", "6 M", "2 Y"] {
                let (size, duration) = (BarSize::read(size), Duration::read(duration));
                let hours = Hours::of(AAPL, false);
                let Some(bars) = bars(size.unwrap(), duration.unwrap(), hours, NOW) else {
                    continue;
                };
                assert!(!bars.is_empty());
                assert!(bars.iter().all(|(from, to)| from < to && *to <= NOW), "{bars:?}");
                assert!(bars.windows(2).all(|two| two[0].1 <= two[1].0));
            }
        }
    }

    #[test]
    fn nonsense_is_neither_size_nor_duration() {
        for text in ["", "7 mins", "1 minute", "1 fortnight"] {
            assert_eq!(BarSize::read(text), None);
        }
        for text in ["", "1", "D", "0 D", "-1 D", "1 H", "90000 S", "9999999999 D"] {
            assert_eq!(Duration::read(text), None, "{text}");
        }
    }
}
