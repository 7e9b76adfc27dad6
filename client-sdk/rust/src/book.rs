//! An order book, kept from the changes of one subscription to market depth.
//!
//! [`Book::take`] is given every event of the subscription. A RESET mark empties the book, the
//! whole of it follows; STALE keeps what was known and says so. Pure.

use crate::api::MarkKind;
use crate::market_data::{DepthChange, EventKind, EventRef, Malformed, Operation, Side};

/// One row of one side.
#[derive(Debug, Clone, PartialEq)]
pub struct BookRow {
    /// The price.
    pub price: f64,
    /// The size, as a number; the text of the event is exact.
    pub size: f64,
    /// Market maker, or exchange in a merged book; empty in a book without them.
    pub market_maker: String,
}

/// Bids and asks, the best first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Book {
    bids: Vec<BookRow>,
    asks: Vec<BookRow>,
    stale: bool,
    unfit: u64,
}

/// What an event did to a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookChange {
    /// A row of this side changed.
    Row(Side),
    /// The book is empty; all of it follows.
    Reset,
    /// What is known is old from here on, or no longer.
    Age,
    /// Nothing: the event is about something else, or does not fit.
    None,
}

impl Book {
    /// An empty book.
    pub fn new() -> Self {
        Self::default()
    }

    /// Who buys, the best price first.
    pub fn bids(&self) -> &[BookRow] {
        &self.bids
    }

    /// Who sells, the best price first.
    pub fn asks(&self) -> &[BookRow] {
        &self.asks
    }

    /// One of the two.
    pub fn side(&self, side: Side) -> &[BookRow] {
        match side {
            Side::Bid => &self.bids,
            Side::Ask => &self.asks,
        }
    }

    /// True between STALE and RESUMED, and behind ENDED.
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// Changes since the newest RESET that named a row that is not there. Above 0 the book
    /// cannot be trusted; the broker sends a RESET when it notices.
    pub fn unfit(&self) -> u64 {
        self.unfit
    }

    /// Takes the next event of the subscription.
    pub fn take(&mut self, event: &EventRef<'_>) -> Result<BookChange, Malformed> {
        if let Some(change) = event.depth()? {
            return Ok(self.apply(&change));
        }
        if event.kind() != EventKind::Mark {
            return Ok(BookChange::None);
        }
        let kind = event.mark()?.map(|mark| mark.kind());
        Ok(kind.map_or(BookChange::None, |kind| self.mark(kind)))
    }

    /// Takes a mark of the subscription.
    pub fn mark(&mut self, kind: MarkKind) -> BookChange {
        match kind {
            MarkKind::Reset => {
                self.bids.clear();
                self.asks.clear();
                self.unfit = 0;
                BookChange::Reset
            }
            MarkKind::Stale | MarkKind::Ended => self.set_stale(true),
            MarkKind::Resumed => self.set_stale(false),
            MarkKind::Unspecified
            | MarkKind::Subscribed
            | MarkKind::Refused
            | MarkKind::Queued
            | MarkKind::Gap => BookChange::None,
        }
    }

    /// Makes one change. A row that is not there cannot be updated or deleted, and none can be
    /// inserted beyond the end; an update right behind the last row adds one, as Gateway does.
    pub fn apply(&mut self, change: &DepthChange<'_>) -> BookChange {
        let rows = match change.side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        };
        let position = change.position;
        let fits = match change.operation {
            Operation::Insert | Operation::Update => position <= rows.len(),
            Operation::Delete => position < rows.len(),
        };
        if !fits || position >= MOST_ROWS {
            self.unfit += 1;
            return BookChange::None;
        }
        match change.operation {
            Operation::Delete => drop(rows.remove(position)),
            Operation::Update if position < rows.len() => {
                let row = &mut rows[position];
                row.price = change.price;
                row.size = number(change.size);
                row.market_maker.clear();
                row.market_maker.push_str(change.market_maker);
            }
            Operation::Insert | Operation::Update => {
                rows.truncate(MOST_ROWS - 1);
                rows.insert(position, row(change));
            }
        }
        BookChange::Row(change.side)
    }

    fn set_stale(&mut self, stale: bool) -> BookChange {
        if std::mem::replace(&mut self.stale, stale) == stale {
            return BookChange::None;
        }
        BookChange::Age
    }
}

fn row(change: &DepthChange<'_>) -> BookRow {
    BookRow {
        price: change.price,
        size: number(change.size),
        market_maker: change.market_maker.to_owned(),
    }
}

/// NaN for a text that is no number.
fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

/// No side has more; a book of so many would be a mistake of somebody.
const MOST_ROWS: usize = 10_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(operation: Operation, position: usize, side: Side) -> DepthChange<'static> {
        DepthChange {
            position,
            operation,
            side,
            price: 100.0,
            size: "300",
            market_maker: "NSDQ",
            is_smart: true,
        }
    }

    /// A side as a map from position to price, rebuilt for each change.
    fn naive(rows: &[f64], change: &DepthChange<'_>) -> Option<Vec<f64>> {
        let at = change.position;
        let (before, after) = (rows.get(..at)?, rows.get(at..)?);
        let mut out = before.to_vec();
        match (change.operation, after) {
            (Operation::Insert, after) => {
                out.push(change.price);
                out.extend(after);
            }
            (Operation::Update, after) => {
                out.push(change.price);
                out.extend(after.iter().skip(1));
            }
            (Operation::Delete, [_, rest @ ..]) => out.extend(rest),
            (Operation::Delete, []) => return None,
        }
        Some(out)
    }

    fn changes() -> impl Strategy<Value = Vec<(usize, usize, bool, f64, bool)>> {
        let one = (0..3_usize, 0..7_usize, any::<bool>(), 1.0..9.0_f64, prop::bool::weighted(0.02));
        prop::collection::vec(one, 0..200)
    }

    proptest! {
        #[test]
        fn a_book_is_what_a_naive_model_of_it_is(changes in changes()) {
            let operations = [Operation::Insert, Operation::Update, Operation::Delete];
            let mut book = Book::new();
            let (mut bids, mut asks, mut unfit) = (Vec::new(), Vec::new(), 0);
            for (operation, position, is_bid, price, reset) in changes {
                if reset {
                    prop_assert_eq!(book.mark(MarkKind::Reset), BookChange::Reset);
                    (bids, asks, unfit) = (Vec::new(), Vec::new(), 0);
                }
                let side = if is_bid { Side::Bid } else { Side::Ask };
                let change = DepthChange { price, ..change(operations[operation], position, side) };
                let model = if is_bid { &mut bids } else { &mut asks };
                match naive(model, &change) {
                    Some(rows) => {
                        *model = rows;
                        prop_assert_eq!(book.apply(&change), BookChange::Row(side));
                    }
                    None => {
                        unfit += 1;
                        prop_assert_eq!(book.apply(&change), BookChange::None);
                    }
                }
                let prices = |rows: &[BookRow]| rows.iter().map(|row| row.price).collect::<Vec<_>>();
                prop_assert_eq!(prices(book.bids()), bids.clone());
                prop_assert_eq!(prices(book.asks()), asks.clone());
                prop_assert_eq!(book.unfit(), unfit);
            }
        }
    }

    #[test]
    fn a_stale_book_keeps_what_was_known_and_a_reset_forgets_it() {
        let mut book = Book::new();
        book.apply(&change(Operation::Insert, 0, Side::Bid));
        assert_eq!(book.bids()[0].market_maker, "NSDQ");
        assert_eq!(book.bids()[0].size, 300.0);
        assert_eq!(book.mark(MarkKind::Stale), BookChange::Age);
        assert_eq!(book.mark(MarkKind::Stale), BookChange::None);
        assert!(book.is_stale() && book.bids().len() == 1);
        book.mark(MarkKind::Resumed);
        book.mark(MarkKind::Reset);
        assert!(!book.is_stale() && book.bids().is_empty());
    }

    #[test]
    fn a_row_far_beyond_the_end_is_not_made() {
        let mut book = Book::new();
        book.apply(&change(Operation::Insert, usize::MAX, Side::Ask));
        book.apply(&change(Operation::Update, 1, Side::Ask));
        assert_eq!((book.asks().len(), book.unfit()), (0, 2));
    }
}
