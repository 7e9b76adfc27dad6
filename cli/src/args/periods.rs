//! How long, and how fine: spans and sizes of bars, as people write them and as Gateway does.

/// `1D`, `2W`, `30m`, `6h` or Gateway's own `1 D`, as Gateway writes it. Capital letters are
/// Gateway's: `M` is a month, `m` a minute.
pub(super) fn span(text: &str) -> Result<String, String> {
    let (count, unit) = split(text).ok_or_else(|| SPANS.to_owned())?;
    let seconds = |each: u32| {
        let seconds = count.checked_mul(each).filter(|seconds| *seconds <= A_DAY);
        seconds.map(|seconds| format!("{seconds} S")).ok_or_else(|| {
            "a span in hours, minutes or seconds is a day at most: say days, as in 2D".to_owned()
        })
    };
    match unit {
        "S" | "s" | "sec" | "secs" => seconds(1),
        "m" | "min" | "mins" => seconds(60),
        "h" | "H" | "hour" | "hours" => seconds(3_600),
        "D" | "d" | "day" | "days" => Ok(format!("{count} D")),
        "W" | "w" | "week" | "weeks" => Ok(format!("{count} W")),
        "M" | "mo" | "month" | "months" => Ok(format!("{count} M")),
        "Y" | "y" | "year" | "years" => Ok(format!("{count} Y")),
        _ => Err(SPANS.to_owned()),
    }
}

/// `30s`, `1m`, `5m`, `1h`, `1D` or Gateway's own `5 mins`, as Gateway writes it.
pub(super) fn size(text: &str) -> Result<String, String> {
    let (count, unit) = split(text).ok_or_else(|| sizes(text))?;
    let (unit, counts): (_, &[u32]) = match unit {
        "s" | "S" | "sec" | "secs" => ("sec", &[1, 5, 10, 15, 30]),
        "m" | "min" | "mins" => ("min", &[1, 2, 3, 5, 10, 15, 20, 30]),
        "h" | "H" | "hour" | "hours" => ("hour", &[1, 2, 3, 4, 8]),
        "d" | "D" | "day" | "days" => ("day", &[1]),
        "w" | "W" | "week" | "weeks" => ("week", &[1]),
        "M" | "mo" | "month" | "months" => ("month", &[1]),
        _ => return Err(sizes(text)),
    };
    if !counts.contains(&count) {
        return Err(sizes(text));
    }
    // Gateway says "1 secs", but "1 min".
    let plural = if count > 1 || unit == "sec" { "s" } else { "" };
    Ok(format!("{count} {unit}{plural}"))
}

fn split(text: &str) -> Option<(u32, &str)> {
    let text = text.trim();
    let end = text.find(|letter: char| !letter.is_ascii_digit())?;
    let count = text[..end].parse().ok().filter(|count| *count > 0)?;
    Some((count, text[end..].trim()))
}

fn sizes(text: &str) -> String {
    format!(
        "Gateway has no bars of {text:?}, but of 1s 5s 10s 15s 30s, 1m 2m 3m 5m 10m 15m 20m 30m, \
         1h 2h 3h 4h 8h, 1D, 1W, 1M"
    )
}

const SPANS: &str = "expected a number and a unit, as in 30m, 6h, 1D, 2W, 3M (months), 1Y";
const A_DAY: u32 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_gateway_does() {
        for (text, expected) in [
            ("1D", "1 D"),
            ("1 D", "1 D"),
            ("2w", "2 W"),
            ("30m", "1800 S"),
            ("6h", "21600 S"),
            ("3600 S", "3600 S"),
            ("3M", "3 M"),
            ("1Y", "1 Y"),
        ] {
            assert_eq!(span(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "D", "0D", "1 fortnight", "25h", "4294967295h", "-1D", "1"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_those_that_gateway_has() {
        for (text, expected) in [
            ("1s", "1 secs"),
            ("30s", "30 secs"),
            ("1m", "1 min"),
            ("5 mins", "5 mins"),
            ("1h", "1 hour"),
            ("8h", "8 hours"),
            ("1D", "1 day"),
            ("1W", "1 week"),
            ("1M", "1 month"),
        ] {
            assert_eq!(size(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["7m", "2D", "1", "m", "1 fortnight"] {
            assert!(size(text).unwrap_err().contains("15s"), "{text}");
        }
    }
}
