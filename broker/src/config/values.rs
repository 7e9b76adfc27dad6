//! Values that people write with a unit: "250ms", "64MiB".

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration, written as in "10s", "1m 30s", "250ms".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", humantime::format_duration(self.0))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let fraction = text.strip_suffix('s').and_then(|seconds| seconds.parse::<f64>().ok());
        let parsed = match fraction {
            // humantime knows no fractions; people write 0.25s.
            Some(seconds) => {
                Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
            }
            None => humantime::parse_duration(&text).map_err(|error| error.to_string()),
        };
        parsed.map(Self).map_err(|error| {
            de::Error::custom(format!("duration {text:?}: {error}; write 10s, 250ms or 1m 30s"))
        })
    }
}

/// A number of bytes, written as in "64MiB" or as a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |unit: u64| self.0 != 0 && self.0.is_multiple_of(unit);
        let unit = UNITS.iter().filter(|(_, unit)| whole(*unit)).max_by_key(|(_, unit)| *unit);
        let (name, unit) = unit.copied().unwrap_or(("B", 1));
        write!(formatter, "{}{name}", self.0 / unit)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Number(bytes) => return Ok(Self(bytes)),
            Written::Text(text) => text,
        };
        UNITS
            .iter()
            .find_map(|(name, unit)| {
                let number = text.strip_suffix(name)?.trim().parse::<u64>().ok()?;
                number.checked_mul(*unit).map(Self)
            })
            .ok_or_else(|| {
                de::Error::custom(format!("size {text:?}: write 64MiB, 512KiB or a plain number"))
            })
    }
}
