//! Times of day at which an operator has Gateway restarted.

use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, civil};

use super::BadValue;

/// The windows, in their time zone.
#[derive(Debug, Clone)]
pub struct RestartWindows {
    windows: Vec<(civil::Time, civil::Time)>,
    zone: TimeZone,
}

impl RestartWindows {
    /// `"23:45-00:30, 06:00-06:15"` and an IANA name; an empty one is this host's zone.
    pub fn parse(windows: &str, zone: &str) -> Result<Self, BadValue> {
        let bad =
            |key: &'static str, value: &str, problem: &str| BadValue::new(key, &value, problem);
        let zone = match zone.trim() {
            "" => TimeZone::system(),
            name => TimeZone::get(name).map_err(|_| {
                let problem = "use an IANA time zone that this host knows, as in America/New_York";
                bad("gateway.time_zone", name, problem)
            })?,
        };
        let windows = windows
            .split(',')
            .map(str::trim)
            .filter(|window| !window.is_empty())
            .map(|window| {
                let ends = window.split_once('-').and_then(|(from, to)| {
                    Some((time(from)?, time(to)?)).filter(|(from, to)| from != to)
                });
                let problem = "use HH:MM-HH:MM, as in 23:45-00:30";
                ends.ok_or_else(|| bad("gateway.restart_window", window, problem))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { windows, zone })
    }

    /// How long the window that is open at this moment still lasts.
    pub fn left(&self, wall: SystemTime) -> Option<Duration> {
        let now = Timestamp::try_from(wall).ok()?.to_zoned_datetime(self.zone.clone());
        let time = now.time();
        let open = |(from, to): &&(civil::Time, civil::Time)| {
            if from < to { *from <= time && time < *to } else { *from <= time || time < *to }
        };
        let (_, to) = self.windows.iter().find(open)?;
        let mut end = now.with().time(*to).build().ok()?;
        if end <= now {
            end = end.checked_add(1.day()).ok()?;
        }
        Duration::try_from(end.timestamp() - now.timestamp()).ok()
    }
}

fn time(text: &str) -> Option<civil::Time> {
    let (hour, minute) = text.trim().split_once(':')?;
    civil::Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SystemTime {
        humantime::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn windows_cross_midnight_and_know_their_zone() {
        let windows = RestartWindows::parse("23:45-00:30, 06:00-06:15", "UTC").unwrap();
        let left = |text| windows.left(at(text)).map(|left| left.as_secs());
        assert_eq!(left("2026-03-01T23:44:59Z"), None);
        assert_eq!(left("2026-03-01T23:45:00Z"), Some(45 * 60));
        assert_eq!(left("2026-03-02T00:29:59Z"), Some(1));
        assert_eq!(left("2026-03-02T00:30:00Z"), None);
        assert_eq!(left("2026-03-02T06:10:00Z"), Some(5 * 60));
        assert_eq!(RestartWindows::parse("", "").unwrap().left(SystemTime::now()), None);
    }

    #[test]
    fn what_is_no_window_or_no_zone_is_named() {
        for (windows, zone, key) in [
            ("noon", "", "gateway.restart_window"),
            ("12:00-12:00", "", "gateway.restart_window"),
            ("24:00-25:00", "", "gateway.restart_window"),
            ("12:00-13:00", "Mars/Olympus", "gateway.time_zone"),
        ] {
            assert_eq!(RestartWindows::parse(windows, zone).unwrap_err().key, key, "{windows}");
        }
    }
}
