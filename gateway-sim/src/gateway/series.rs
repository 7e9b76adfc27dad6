//! Prices of the past: a function of the seed, the contract and the time, and of nothing else.
//!
//! So two requests that overlap agree, whatever their bars are, and nothing needs to be kept. A
//! price is the instrument's price with waves of several lengths and a little noise on it.

use std::f64::consts::TAU;

use super::listings::Listing;

/// Length in seconds and height of each wave.
const WAVES: &[(f64, f64)] = &[
    (86_400.0 * 211.0, 0.07),
    (86_400.0 * 29.0, 0.03),
    (86_400.0 * 5.3, 0.012),
    (21_600.0, 0.004),
    (1_700.0, 0.0012),
    (97.0, 0.0004),
];

/// The past of one contract.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Series {
    key: u64,
    price: f64,
    steps: f64,
    size_unit: u64,
}

/// One bar of trades.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bar {
    pub(crate) open: f64,
    pub(crate) high: f64,
    pub(crate) low: f64,
    pub(crate) close: f64,
    pub(crate) volume: u64,
    pub(crate) average: f64,
    pub(crate) count: i32,
}

impl Series {
    /// Of a contract whose price is around `price`.
    pub(crate) fn new(seed: u64, listing: Listing, price: f64) -> Self {
        let instrument = listing.as_instrument(price);
        Self {
            key: mix(seed ^ mix(listing.con_id() as u64)),
            price,
            steps: f64::from(instrument.steps),
            size_unit: u64::from(instrument.sizes.unit),
        }
    }

    /// The price at a Unix time in seconds, on the price step.
    pub(crate) fn price(&self, unix: i64) -> f64 {
        let waves = WAVES.iter().enumerate().map(|(place, (length, height))| {
            let phase = unit(mix(self.key ^ place as u64));
            (TAU * (unix as f64 / length + phase)).sin() * height
        });
        let noise = (unit(mix(self.key ^ unix as u64)) - 0.5) * 0.0006;
        self.on_step(self.price * (1.0 + waves.sum::<f64>() + noise))
    }

    /// A random number that belongs to a time and a purpose.
    pub(crate) fn random(&self, unix: i64, purpose: u64) -> u64 {
        mix(self.key ^ mix(unix as u64) ^ purpose.rotate_left(32))
    }

    /// A size at a time.
    pub(crate) fn size(&self, unix: i64, purpose: u64) -> u64 {
        self.size_unit * (1 + self.random(unix, purpose) % 20)
    }

    /// The smallest step.
    pub(crate) fn step(&self) -> f64 {
        1.0 / self.steps
    }

    /// A price as a multiple of the step.
    pub(crate) fn on_step(&self, price: f64) -> f64 {
        (price * self.steps).round().max(1.0) / self.steps
    }

    /// The bar from one Unix time in seconds to another.
    pub(crate) fn bar(&self, from: i64, to: i64) -> Bar {
        let length = (to - from).max(1);
        let parts = length.min(8);
        let prices = (0..=parts).map(|part| {
            // The last sample is the second before the end.
            self.price(from + part * (length - 1) / parts)
        });
        let prices: Vec<_> = prices.collect();
        let count = (length / 4).clamp(1, 50_000) as i32 + (self.random(from, 1) % 7) as i32;
        Bar {
            open: prices[0],
            high: prices.iter().copied().fold(f64::MIN, f64::max),
            low: prices.iter().copied().fold(f64::MAX, f64::min),
            close: prices[prices.len() - 1],
            volume: self.size_unit * (length as u64 * 3 / 4 + 1 + self.random(from, 2) % 40),
            average: prices.iter().sum::<f64>() / prices.len() as f64,
            count,
        }
    }
}

/// A number from 0 to 1 of random bits.
pub(crate) fn unit(random: u64) -> f64 {
    (random >> 11) as f64 / (1u64 << 53) as f64
}

/// The finaliser of splitmix64.
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::super::listings::Term;
    use super::*;

    const AAPL: Listing = Listing { place: 0, term: Term::Itself };

    #[test]
    fn one_seed_is_one_past_and_bars_hold_together() {
        let series = Series::new(1, AAPL, 231.40);
        assert_eq!(series.bar(0, 300), Series::new(1, AAPL, 231.40).bar(0, 300));
        assert_ne!(series.bar(0, 300), Series::new(2, AAPL, 231.40).bar(0, 300));
        for start in (1_700_000_000..1_700_100_000).step_by(300) {
            let bar = series.bar(start, start + 300);
            assert!(bar.low <= bar.open && bar.open <= bar.high);
            assert!(bar.low <= bar.close && bar.close <= bar.high);
            assert!((150.0..320.0).contains(&bar.low), "{bar:?}");
            let cents = bar.close * 100.0;
            assert!((cents - cents.round()).abs() < 1e-6);
        }
    }
}
