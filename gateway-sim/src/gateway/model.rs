//! What an option is worth: Black and Scholes without dividends, and its reverse.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Interest rate of the model.
const RATE: f64 = 0.04;

/// The terms of an option and the state of its underlying.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Option {
    pub(crate) call: bool,
    pub(crate) strike: f64,
    pub(crate) years: f64,
    pub(crate) underlying: f64,
}

/// Price and sensitivities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Value {
    pub(crate) price: f64,
    pub(crate) delta: f64,
    pub(crate) gamma: f64,
    /// For one percent of volatility.
    pub(crate) vega: f64,
    /// For one day.
    pub(crate) theta: f64,
}

impl Option {
    /// Its value at a volatility.
    pub(crate) fn value(&self, volatility: f64) -> Value {
        let root = volatility * self.years.sqrt();
        let ratio = (self.underlying / self.strike).ln();
        let d1 = (ratio + (RATE + volatility * volatility / 2.0) * self.years) / root;
        let d2 = d1 - root;
        let discount = (-RATE * self.years).exp();
        let density = (-d1 * d1 / 2.0).exp() / (2.0 * PI).sqrt();
        let call = self.underlying * normal(d1) - self.strike * discount * normal(d2);
        let decay = -self.underlying * density * volatility / (2.0 * self.years.sqrt());
        let carry = RATE * self.strike * discount;
        let (price, delta, theta) = if self.call {
            (call, normal(d1), decay - carry * normal(d2))
        } else {
            let put = call - self.underlying + self.strike * discount;
            (put, normal(d1) - 1.0, decay + carry * normal(-d2))
        };
        Value {
            price: price.max(0.0),
            delta,
            gamma: density / (self.underlying * root),
            vega: self.underlying * density * self.years.sqrt() / 100.0,
            theta: theta / 365.0,
        }
    }

    /// The volatility at which it has this price; none if there is none.
    pub(crate) fn implied_volatility(&self, price: f64) -> std::option::Option<f64> {
        let (mut low, mut high) = (0.001, 5.0);
        if !(self.value(low).price..=self.value(high).price).contains(&price) {
            return None;
        }
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if self.value(middle).price < price {
                low = middle;
            } else {
                high = middle;
            }
        }
        Some((low + high) / 2.0)
    }
}

/// The normal distribution, by the series of Abramowitz and Stegun 7.1.26.
fn normal(x: f64) -> f64 {
    let z = x.abs() * FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let series = t
        * (0.254_829_592
            + t * (-0.284_496_736
                + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let erf = 1.0 - series * (-z * z).exp();
    if x < 0.0 { (1.0 - erf) / 2.0 } else { (1.0 + erf) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_textbook() {
        let call = Option { call: true, strike: 100.0, years: 1.0, underlying: 100.0 };
        let value = call.value(0.2);
        assert!((value.price - 9.925).abs() < 0.01, "{value:?}");
        assert!((value.delta - 0.6179).abs() < 0.001, "{value:?}");
        let put = Option { call: false, ..call }.value(0.2);
        let parity = value.price - put.price - 100.0 + 100.0 * (-0.04f64).exp();
        assert!(parity.abs() < 1e-6);
        let back = call.implied_volatility(value.price).unwrap();
        assert!((back - 0.2).abs() < 1e-6);
        assert_eq!(call.implied_volatility(200.0), None);
    }
}
