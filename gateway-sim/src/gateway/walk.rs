//! Prices that move: one seeded random walk per instrument, shared by all connections.
//!
//! A price is a whole number of steps, so that it is always a multiple of the smallest step and
//! never carries the dust of added fractions. The walk stays within a fifth of its start. Later
//! futures and options get a walk when somebody first asks for one. It knows nothing of ticks,
//! lines or time.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::listings::{Listing, Term};
use super::symbols::{INSTRUMENTS, Instrument};

/// State of one instrument.
#[derive(Debug, Clone)]
pub(crate) struct Walk {
    pub(crate) instrument: Instrument,
    pub(crate) bid: i64,
    pub(crate) ask: i64,
    pub(crate) last: i64,
    pub(crate) bid_size: u64,
    pub(crate) ask_size: u64,
    pub(crate) last_size: u64,
    pub(crate) volume: u64,
    pub(crate) open: i64,
    pub(crate) high: i64,
    pub(crate) low: i64,
    pub(crate) close: i64,
    floor: i64,
    ceiling: i64,
}

impl Walk {
    fn new(instrument: Instrument, rng: &mut Rng) -> Self {
        let start = (instrument.price * f64::from(instrument.steps)).round().max(2.0) as i64;
        let mut walk = Self {
            instrument,
            bid: start - 1,
            ask: start + 1,
            last: start,
            bid_size: 0,
            ask_size: 0,
            last_size: 0,
            volume: 0,
            open: (start - rng.i64(-20..=20)).max(1),
            high: start + rng.i64(20..=60),
            low: (start - rng.i64(20..=60)).max(1),
            close: (start - rng.i64(-50..=50)).max(1),
            floor: (start - start / 5).max(1),
            ceiling: start + start / 5,
        };
        walk.bid_size = walk.size(rng);
        walk.ask_size = walk.size(rng);
        walk.last_size = walk.size(rng);
        walk.volume = walk.size(rng) * 1000;
        walk
    }

    /// A price of so many steps.
    #[inline]
    pub(crate) fn price(&self, steps: i64) -> f64 {
        steps as f64 / f64::from(self.instrument.steps)
    }

    /// Jumps to a price: bid and ask are a step below and above. The walk goes on around it.
    pub(crate) fn set(&mut self, price: f64) {
        let last = ((price * f64::from(self.instrument.steps)).round() as i64).max(2);
        (self.bid, self.ask, self.last) = (last - 1, last + 1, last);
        (self.high, self.low) = (self.high.max(last), self.low.min(last));
        (self.floor, self.ceiling) = ((last - last / 5).max(1), last + last / 5);
    }

    /// Moves bid and ask together, by one step at most.
    #[inline]
    pub(crate) fn quote(&mut self, rng: &mut Rng) {
        let random = rng.u32(..);
        let mut change = i64::from(random % 3) - 1;
        if self.bid + change < self.floor || self.ask + change > self.ceiling {
            change = -change;
        }
        self.bid += change;
        self.ask = self.bid + 1 + i64::from((random >> 8) % 3);
        self.resize(random >> 16);
    }

    /// Changes the quoted sizes, and nothing else.
    #[inline]
    pub(crate) fn resize(&mut self, random: u32) {
        let sizes = self.instrument.sizes;
        self.bid_size = u64::from(sizes.unit) * u64::from(1 + random % sizes.most);
        self.ask_size = u64::from(sizes.unit) * u64::from(1 + (random >> 7) % sizes.most);
    }

    /// A trade at bid or ask.
    #[inline]
    pub(crate) fn trade(&mut self, rng: &mut Rng) {
        let random = rng.u32(..);
        self.last = if random & 1 == 0 { self.bid } else { self.ask };
        let sizes = self.instrument.sizes;
        self.last_size = u64::from(sizes.unit) * u64::from(1 + (random >> 1) % sizes.most);
        self.volume += self.last_size;
        self.high = self.high.max(self.last);
        self.low = self.low.min(self.last);
    }

    fn size(&self, rng: &mut Rng) -> u64 {
        let sizes = self.instrument.sizes;
        u64::from(sizes.unit) * u64::from(rng.u32(1..=sizes.most))
    }
}

/// All instruments by their place in the table, and behind them those that were asked for.
#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) walks: Vec<Walk>,
    pub(crate) rng: Rng,
    derived: BTreeMap<Listing, usize>,
}

impl Market {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let walks = INSTRUMENTS.iter().map(|instrument| Walk::new(*instrument, &mut rng)).collect();
        Self { walks, rng, derived: BTreeMap::new() }
    }

    /// The walk of a contract; a derived one begins at `price` when it is first asked for.
    pub(crate) fn place(&mut self, listing: Listing, price: f64) -> usize {
        if listing.term == Term::Itself {
            return listing.place;
        }
        *self.derived.entry(listing).or_insert_with(|| {
            // Its own numbers, so that the others do not depend on who asks for what.
            let mut rng = Rng::with_seed(listing.con_id() as u64);
            self.walks.push(Walk::new(listing.as_instrument(price), &mut rng));
            self.walks.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_stay_plausible_and_on_the_step() {
        let mut market = Market::new(7);
        for walk in &mut market.walks {
            for _ in 0..20_000 {
                walk.quote(&mut market.rng);
                walk.trade(&mut market.rng);
                assert!(walk.bid < walk.ask && walk.bid > 0);
                assert!(walk.low <= walk.last && walk.last <= walk.high);
            }
            let ratio = walk.price(walk.last) / walk.instrument.price;
            assert!((0.75..=1.25).contains(&ratio), "{ratio}");
        }
    }

    #[test]
    fn one_seed_is_one_walk() {
        let run = |seed| {
            let mut market = Market::new(seed);
            let Market { walks, rng, .. } = &mut market;
            (0..100).for_each(|_| walks[0].quote(rng));
            (walks[0].bid, walks[0].bid_size)
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }

    #[test]
    fn a_price_has_no_dust() {
        let market = Market::new(1);
        assert_eq!(market.walks[0].price(23_412).to_string(), "234.12");
    }
}
