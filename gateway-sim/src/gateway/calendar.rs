//! The wall clock as Gateway writes it, from Unix time and nothing else. UTC only.

/// `YYYYMMDD HH:MM:SS UTC`.
pub(crate) fn connection_time(unix_millis: u64) -> String {
    let seconds = unix_millis / 1000;
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Year, month and day of a day since 1970-01-01. Years run from March, so that the leap day is
/// their last.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_gateway_does() {
        for (unix, text) in [
            (0, "19700101 00:00:00 UTC"),
            (951_827_696, "20000229 12:34:56 UTC"),
            (1_735_689_599, "20241231 23:59:59 UTC"),
            (1_795_457_715, "20261123 18:15:15 UTC"),
        ] {
            assert_eq!(connection_time(unix * 1000 + 999), text);
        }
    }
}
