//! How much: a decimal with eight places, so that parts add up to the whole exactly.

use std::fmt;
use std::ops::{Add, Sub};

/// Units of the smallest part in 1.
const SCALE: i64 = 100_000_000;
const PLACES: usize = 8;

/// A quantity of shares, contracts or coins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quantity(i64);

impl Quantity {
    pub(crate) const ZERO: Self = Self(0);

    /// So many whole ones.
    pub(crate) fn whole(number: u32) -> Self {
        Self(i64::from(number) * SCALE)
    }

    /// Reads a decimal string, as it is on the wire.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() && part.is_empty() || !numeric(whole) || !numeric(part) {
            return None;
        }
        let part = part.trim_end_matches('0');
        if part.len() > PLACES {
            return None;
        }
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let part: i64 = format!("{part:0<PLACES$}").parse().ok()?;
        Some(Self(sign * whole.checked_mul(SCALE)?.checked_add(part)?))
    }

    pub(crate) fn is_whole(self) -> bool {
        self.0 % SCALE == 0
    }

    /// As a number to calculate prices with.
    pub(crate) fn as_f64(self) -> f64 {
        self.0 as f64 / SCALE as f64
    }

    /// So much of it as `part` is of `of`; of a whole one a whole one, rounded up.
    pub(crate) fn share(self, part: Self, of: Self) -> Self {
        let step = if self.is_whole() { i128::from(SCALE) } else { 1 };
        let divisor = i128::from(of.0.max(1)) * step;
        let share = (i128::from(self.0) * i128::from(part.0) + divisor - 1) / divisor * step;
        Self(share as i64).min(self)
    }

    /// So many times as much.
    pub(crate) fn times(self, number: u32) -> Self {
        Self(self.0.saturating_mul(i64::from(number)))
    }

    /// A quarter of it, rounded up to a whole one if it is whole itself.
    pub(crate) fn quarter(self) -> Self {
        let step = if self.is_whole() { SCALE } else { 1 };
        Self((self.0 / 4 + step - 1) / step * step)
    }
}

impl Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = ((self.0 / SCALE).abs(), (self.0 % SCALE).abs());
        let sign = if self.0 < 0 { "-" } else { "" };
        if part == 0 {
            return write!(formatter, "{sign}{whole}");
        }
        let part = format!("{part:0PLACES$}");
        write!(formatter, "{sign}{whole}.{}", part.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_and_written_back() {
        for (text, written) in [
            ("100", "100"),
            ("0", "0"),
            ("0.5", "0.5"),
            (".25", "0.25"),
            ("7.", "7"),
            ("1.10", "1.1"),
            ("-3.00000001", "-3.00000001"),
        ] {
            assert_eq!(Quantity::parse(text).unwrap().to_string(), written, "{text}");
        }
        for text in ["", ".", "-", "1e5", "0.000000001", "99999999999999999999", "ten"] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }

    #[test]
    fn quarters_of_whole_ones_are_whole() {
        let quarter = |text: &str| Quantity::parse(text).unwrap().quarter().to_string();
        assert_eq!(
            (quarter("1000"), quarter("201"), quarter("0.5")),
            ("250".into(), "51".into(), "0.125".into())
        );
    }
}
