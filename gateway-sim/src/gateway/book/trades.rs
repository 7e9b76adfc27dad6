//! What a fill is to an account: executions, money, positions.
//!
//! Of one contract there is one execution. A combination has one of its own, which costs nothing
//! and moves nothing, and one for each leg, with the leg's contract, commission and position. The
//! legs share the price of the combination: each is at its quote, and the first makes up what is
//! missing.

use super::super::executions::{Done, commission};
use super::super::holdings::{Holding, Trade};
use super::super::listings::Listing;
use super::super::traded::{Leg, Traded};
use super::{Desk, OrderBook, Quantity};

/// An execution, and the position that it left; a combination leaves none.
pub(super) type Executed = (Box<Done>, Option<Holding>);

impl OrderBook {
    /// Enters what has just been filled of an order, which counts it already.
    pub(super) fn execute(
        &mut self,
        perm_id: i64,
        part: Quantity,
        price: f64,
        desk: &mut Desk<'_>,
    ) -> Vec<Executed> {
        let Some(entry) = self.entries.get(&perm_id) else {
            return Vec::new();
        };
        let traded = entry.traded.clone();
        let done = Done::of(entry, part, price, self.executions.len() + 1, desk.unix);
        let executed = match traded {
            Traded::One(listing) => vec![self.enter_trade(done, listing, desk)],
            Traded::Combination(legs) => self.execute_legs(done, &legs, desk),
        };
        if let Some(entry) = self.entries.get_mut(&perm_id) {
            entry.commission += executed.iter().map(|(done, _)| done.commission).sum::<f64>();
        }
        executed
    }

    fn enter_trade(&mut self, mut done: Done, listing: Listing, desk: &mut Desk<'_>) -> Executed {
        let quantity = done.quantity.as_f64();
        let (holding, realized) = desk.portfolio.trade(&Trade {
            account: &done.account,
            listing,
            quantity: if done.bought { quantity } else { -quantity },
            price: done.price,
            commission: done.commission,
        });
        done.realized = realized;
        self.executions.push(done.clone());
        (Box::new(done), Some(holding))
    }

    fn execute_legs(
        &mut self,
        mut whole: Done,
        legs: &[Leg],
        desk: &mut Desk<'_>,
    ) -> Vec<Executed> {
        whole.commission = 0.0;
        let prices = self.leg_prices(&whole, legs);
        self.executions.push(whole.clone());
        let mut executed = vec![(Box::new(whole.clone()), None)];
        for ((number, leg), price) in (1..).zip(legs).zip(prices) {
            let quantity = whole.quantity.times(leg.ratio);
            let filled = whole.filled.times(leg.ratio);
            let is_before = |done: &&Done| done.perm_id == whole.perm_id && done.leg == number;
            let before = self.executions.iter().rev().find(is_before);
            let paid = before.map_or(0.0, |done| done.average * done.filled.as_f64());
            let done = Done {
                contract: desk.directory.contract(leg.listing, leg.listing.exchange()),
                bought: whole.bought == leg.buy,
                quantity,
                price,
                filled,
                average: tidy((paid + price * quantity.as_f64()) / filled.as_f64()),
                commission: commission(quantity),
                number: self.executions.len() + 1,
                leg: number,
                ..whole.clone()
            };
            executed.push(self.enter_trade(done, leg.listing, desk));
        }
        executed
    }

    fn leg_prices(&self, whole: &Done, legs: &[Leg]) -> Vec<f64> {
        let touch = |leg: &Leg| {
            let quote = self.quotes.get(&leg.listing);
            quote.map_or(0.0, |quote| if leg.buy == whole.bought { quote.ask } else { quote.bid })
        };
        let mut prices: Vec<_> = legs.iter().map(touch).collect();
        let others = legs.iter().zip(&prices).skip(1).map(|(leg, price)| leg.weight() * price);
        let left = whole.price - others.sum::<f64>();
        if let (Some(leg), Some(first)) = (legs.first(), prices.first_mut()) {
            *first = tidy(left / leg.weight());
        }
        prices
    }
}

/// Without the dust of fractions.
fn tidy(price: f64) -> f64 {
    (price * 1e8).round() / 1e8
}
