//! The value of a happening, part by part, as they stand between colons.
//!
//! What is not as it must be is none. Some parts may be left out, but only at the end.

use std::str::{FromStr, Split};

/// What is left to be read.
pub(super) struct Parts<'a>(Split<'a, char>);

impl<'a> Parts<'a> {
    pub(super) fn of(value: &'a str) -> Self {
        Self(value.split(':'))
    }

    pub(super) fn word(&mut self) -> Option<String> {
        self.0.next().filter(|word| !word.is_empty()).map(str::to_owned)
    }

    pub(super) fn next<T: FromStr>(&mut self) -> Option<T> {
        self.0.next()?.parse().ok()
    }

    pub(super) fn decimal(&mut self) -> Option<String> {
        self.word().filter(|word| word.parse::<f64>().is_ok_and(|number| number >= 0.0))
    }

    /// A decimal, or none at all.
    pub(super) fn decimal_if_any(&mut self) -> Option<Option<String>> {
        match self.0.clone().next() {
            None => Some(None),
            Some(_) => self.decimal().map(Some),
        }
    }

    /// A price, or none at all.
    pub(super) fn price(&mut self) -> Option<Option<f64>> {
        match self.0.next() {
            None => Some(None),
            Some(text) => text.parse().ok().filter(|price: &f64| price.is_finite()).map(Some),
        }
    }

    /// How many; one, if that is not said.
    pub(super) fn count(&mut self) -> Option<u32> {
        match self.0.next() {
            None | Some("") => Some(1),
            Some(text) => text.parse().ok(),
        }
    }

    /// Is nothing left? What is, was not understood.
    pub(super) fn is_over(&self) -> bool {
        self.0.clone().next().is_none_or(str::is_empty)
    }
}
