//! What an order is of: one contract, or a combination of several (BAG).
//!
//! A combination is quoted by its legs: what is bought of them at their ask, what is sold at their
//! bid, each as often as its ratio says. So its price can be negative. Positions are those of the
//! legs; of the combination itself there is none. What becomes of it when it is executed is in
//! `book/trades.rs`.

use ibouncer_proto::tws::v1::{ComboLeg, Contract};

use super::answer::Refusal;
use super::book::Quote;
use super::listings::{Directory, Listing};

/// Contract id that every combination in USD has.
const COMBINATION: i32 = 28_812_380;

/// What an order is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Traded {
    One(Listing),
    Combination(Vec<Leg>),
}

/// A part of a combination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Leg {
    pub(super) listing: Listing,
    /// So many of it are in one combination.
    pub(super) ratio: u32,
    /// Whether it is bought by who buys the combination.
    pub(super) buy: bool,
}

impl Leg {
    /// What one combination has of it, negative if it is sold.
    pub(super) fn weight(&self) -> f64 {
        let ratio = f64::from(self.ratio);
        if self.buy { ratio } else { -ratio }
    }
}

impl Traded {
    /// What a request names, and its contract as Gateway writes it.
    pub(super) fn read(
        wanted: Contract,
        directory: &Directory,
    ) -> Result<(Self, Contract), Refusal> {
        if wanted.sec_type() == "BAG" {
            return combination(wanted, directory);
        }
        let listing = directory.one(Some(&wanted))?;
        let exchange = match wanted.exchange() {
            "" => listing.exchange(),
            exchange => exchange,
        };
        Ok((Self::One(listing), directory.contract(listing, exchange)))
    }

    pub(super) fn is_combination(&self) -> bool {
        matches!(self, Self::Combination(_))
    }

    /// The contracts that change hands.
    pub(super) fn listings(&self) -> impl Iterator<Item = Listing> {
        let (one, legs) = match self {
            Self::One(listing) => (Some(*listing), &[][..]),
            Self::Combination(legs) => (None, &legs[..]),
        };
        one.into_iter().chain(legs.iter().map(|leg| leg.listing))
    }

    /// Whether all of it is of this type.
    pub(super) fn is_only(&self, sec_type: &str) -> bool {
        self.listings().all(|listing| listing.sec_type() == sec_type)
    }

    /// Whether some of it is of this type.
    pub(super) fn has(&self, sec_type: &str) -> bool {
        self.listings().any(|listing| listing.sec_type() == sec_type)
    }

    /// What one unit of it is worth at a price of 1; of a combination as of its first leg.
    pub(super) fn value_factor(&self) -> f64 {
        self.listings().next().map_or(1.0, Listing::value_factor)
    }

    /// Bid and ask, as its contracts are quoted; none if one of them is not.
    pub(super) fn quote(&self, of: impl Fn(Listing) -> Option<Quote>) -> Option<Quote> {
        let legs = match self {
            Self::One(listing) => return of(*listing),
            Self::Combination(legs) => legs,
        };
        let mut sum = Quote { bid: 0.0, ask: 0.0, step: f64::MAX };
        for leg in legs {
            let (quote, weight) = (of(leg.listing)?, leg.weight());
            let (low, high) = if leg.buy { (quote.bid, quote.ask) } else { (quote.ask, quote.bid) };
            sum.bid += weight * low;
            sum.ask += weight * high;
            sum.step = sum.step.min(quote.step);
        }
        let tidy = |price: f64| (price * 1e8).round() / 1e8;
        Some(Quote { bid: tidy(sum.bid), ask: tidy(sum.ask), ..sum })
    }
}

fn combination(wanted: Contract, directory: &Directory) -> Result<(Traded, Contract), Refusal> {
    if wanted.combo_legs.len() < 2 {
        return Err(Refusal::invalid("A combination needs two legs or more"));
    }
    let legs = wanted.combo_legs.iter().map(|leg| read_leg(leg, directory));
    let legs = legs.collect::<Result<Vec<_>, _>>()?;
    let described = legs.iter().map(|leg| format!("{}|{}", leg.listing.con_id(), leg.weight()));
    let described = described.collect::<Vec<_>>().join(",");
    let instrument = legs[0].listing.instrument();
    let or = |given: &Option<String>, usual: &str| {
        given.clone().filter(|given| !given.is_empty()).or_else(|| Some(usual.to_owned()))
    };
    let contract = Contract {
        con_id: Some(COMBINATION),
        symbol: or(&wanted.symbol, instrument.symbol),
        exchange: or(&wanted.exchange, "SMART"),
        currency: or(&wanted.currency, instrument.currency),
        trading_class: Some("COMB".to_owned()),
        combo_legs_descrip: Some(described),
        ..wanted
    };
    Ok((Traded::Combination(legs), contract))
}

fn read_leg(leg: &ComboLeg, directory: &Directory) -> Result<Leg, Refusal> {
    let buy = match leg.action() {
        "BUY" => true,
        "SELL" | "SSHORT" => false,
        _ => return Err(Refusal::invalid("Invalid side of a leg")),
    };
    let ratio = u32::try_from(leg.ratio()).ok().filter(|ratio| *ratio > 0);
    let ratio = ratio.ok_or_else(|| Refusal::invalid("Invalid ratio of a leg"))?;
    let listing = directory.by_con_id(leg.con_id()).ok_or_else(Refusal::unknown_contract)?;
    Ok(Leg { listing, ratio, buy })
}
