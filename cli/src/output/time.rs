//! Times and durations as text. All times are UTC, and say so: server, log and status page agree.

use std::time::{Duration, SystemTime};

use prost_types::Timestamp;

/// The time of a timestamp; `None` before 1970, which no clock here shows.
pub(crate) fn of(timestamp: &Timestamp) -> Option<SystemTime> {
    let time = SystemTime::try_from(*timestamp).ok()?;
    (time >= SystemTime::UNIX_EPOCH).then_some(time)
}

/// `2026-03-01T14:02:07.123Z`.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// `14:02:07.123Z`.
pub(crate) fn clock_millis(time: SystemTime) -> String {
    rfc3339(time)[11..].to_owned()
}

/// `14:02:07Z`.
pub(crate) fn clock(time: SystemTime) -> String {
    format!("{}Z", &rfc3339(time)[11..19])
}

/// `2026-03-01 14:02:07 UTC`.
pub(crate) fn date_and_clock(time: SystemTime) -> String {
    let text = rfc3339(time);
    format!("{} {} UTC", &text[..10], &text[11..19])
}

/// Two units at most: `6.2 s`, `3 min 5 s`, `2 h 4 min`, `9 d 1 h`.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        small => format!("{large} {large_unit} {small} {small_unit}"),
    };
    match seconds {
        0..10 if duration.subsec_millis() >= 100 => {
            format!("{seconds}.{} s", duration.subsec_millis() / 100)
        }
        0 if !duration.is_zero() => format!("{} ms", duration.as_millis().max(1)),
        0..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds / 60 % 60, "min"),
        _ => two(seconds / 86_400, "d", seconds / 3_600 % 24, "h"),
    }
}

/// How long ago; zero for what lies ahead.
pub(crate) fn age(time: SystemTime, now: SystemTime) -> String {
    span(now.duration_since(time).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_milliseconds() {
        let timestamp = Timestamp { seconds: 1_772_373_727, nanos: 123_999_999 };
        let time = of(&timestamp).unwrap();
        assert_eq!(rfc3339(time), "2026-03-01T14:02:07.123Z");
        assert_eq!(clock_millis(time), "14:02:07.123Z");
        assert_eq!(clock(time), "14:02:07Z");
        assert_eq!(date_and_clock(time), "2026-03-01 14:02:07 UTC");
        assert_eq!(of(&Timestamp { seconds: -1, nanos: 0 }), None);
    }

    #[test]
    fn spans_have_two_units_at_most() {
        for (millis, text) in [
            (0, "0 s"),
            (42, "42 ms"),
            (250, "0.2 s"),
            (6_230, "6.2 s"),
            (6_030, "6 s"),
            (42_900, "42 s"),
            (185_000, "3 min 5 s"),
            (7_440_000, "2 h 4 min"),
            (7_200_000, "2 h"),
            (781_200_000, "9 d 1 h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }
}
