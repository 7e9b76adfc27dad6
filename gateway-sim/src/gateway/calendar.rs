//! The wall clock as Gateway writes and reads it, from Unix time and nothing else. UTC only: a
//! time zone in a request is read and taken for UTC.

/// Seconds in a day.
pub(crate) const DAY: i64 = 86_400;

/// `YYYYMMDD HH:MM:SS UTC`.
pub(crate) fn connection_time(unix_millis: u64) -> String {
    date_time((unix_millis / 1000) as i64)
}

/// `YYYYMMDD HH:MM:SS UTC` of a Unix time in seconds.
pub(crate) fn date_time(seconds: i64) -> String {
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{} {hour:02}:{minute:02}:{second:02} UTC", date(seconds / DAY))
}

/// `YYYYMMDD-HH:MM:SS` of a Unix time in seconds.
pub(crate) fn dashed(seconds: i64) -> String {
    date_time(seconds).replacen(' ', "-", 1).replace(" UTC", "")
}

/// `YYYYMMDD` of a day since 1970-01-01.
pub(crate) fn date(day: i64) -> String {
    let (year, month, day) = civil(day);
    format!("{year:04}{month:02}{day:02}")
}

/// Day of the week, Sunday is 0.
pub(crate) fn weekday(day: i64) -> i64 {
    (day + 4).rem_euclid(7)
}

/// Year, month and day of a day since 1970-01-01. Years run from March, so that the leap day is
/// their last.
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_IN_400_YEARS: i64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(DAYS_IN_400_YEARS), days.rem_euclid(DAYS_IN_400_YEARS));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

/// The day since 1970-01-01 of a date; the reverse of [`civil`].
pub(crate) fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The third Friday of a month, on which options and futures end.
pub(crate) fn third_friday(year: i64, month: i64) -> i64 {
    let first = day_of(year, month, 1);
    first + (5 - weekday(first)).rem_euclid(7) + 14
}

/// Reads `YYYYMMDD`, `YYYYMMDD HH:MM:SS`, `YYYYMMDD-HH:MM:SS`, each with or without a zone behind
/// it, as Unix time in seconds.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    let (digits, rest) = text.split_at_checked(8)?;
    let number = |range: std::ops::Range<usize>| digits.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1900 {
        return None;
    }
    let midnight = day_of(year, month, day) * DAY;
    let rest = rest.trim_start_matches(['-', ' ']);
    if rest.is_empty() {
        return Some(midnight);
    }
    let time = rest.split_whitespace().next()?;
    let mut parts = time.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    let sensible =
        (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
    sensible.then_some(midnight + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_gateway_does_and_read_back() {
        for (unix, text) in [
            (0, "19700101 00:00:00 UTC"),
            (951_827_696, "20000229 12:34:56 UTC"),
            (1_735_689_599, "20241231 23:59:59 UTC"),
            (1_795_457_715, "20261123 18:15:15 UTC"),
        ] {
            assert_eq!(connection_time(unix as u64 * 1000 + 999), text);
            assert_eq!(parse(text), Some(unix));
            assert_eq!(parse(&dashed(unix)), Some(unix));
        }
        assert_eq!(parse("20261123"), Some(1_795_392_000));
        assert_eq!(parse("2026-11-23"), None);
        assert_eq!(parse("20261123 25:00:00"), None);
    }

    #[test]
    fn third_fridays_are_fridays() {
        assert_eq!(date(third_friday(2026, 11)), "20261120");
        assert_eq!(date(third_friday(2027, 1)), "20270115");
        assert_eq!(weekday(third_friday(2027, 1)), 5);
    }
}
