//! A book, kept by its changes: insert at, update at, delete at a position of a side.
//!
//! A change that does not fit (a position that does not exist) is dropped here, as clients must
//! do: Gateway corrects itself with the next ones.

use bytes::Bytes;
use ibouncer_proto::tws::v1::{MarketDepth, MarketDepthData, MarketDepthL2};
use prost::Message as _;

use super::Remembered;
use crate::fields::field;

/// Rows of a side beyond which nothing is kept; Gateway's largest books have some hundred.
const MOST_ROWS: usize = 5_000;

/// Operations on a row.
const INSERT: i32 = 0;
const UPDATE: i32 = 1;
const DELETE: i32 = 2;

/// Both sides; 0 is ask, 1 is bid.
#[derive(Debug, Default)]
pub(super) struct Book {
    sides: [Vec<Row>; 2],
}

#[derive(Debug, Clone)]
struct Row {
    field: u8,
    data: MarketDepthData,
}

impl Book {
    pub(super) fn apply(&mut self, field: u8, body: &[u8]) {
        let data = match field {
            field::MARKET_DEPTH => {
                MarketDepth::decode(body).ok().and_then(|depth| depth.market_depth_data)
            }
            field::MARKET_DEPTH_L2 => {
                MarketDepthL2::decode(body).ok().and_then(|depth| depth.market_depth_data)
            }
            _ => None,
        };
        let Some(data) = data else {
            return;
        };
        let (Ok(at), Some(side)) =
            (usize::try_from(data.position()), self.sides.get_mut(data.side() as usize))
        else {
            return;
        };
        match data.operation() {
            INSERT if at <= side.len() && side.len() < MOST_ROWS => {
                side.insert(at, Row { field, data });
            }
            UPDATE if at < side.len() => side[at] = Row { field, data },
            // Gateway begins some books with updates.
            UPDATE if at == side.len() && at < MOST_ROWS => side.push(Row { field, data }),
            DELETE if at < side.len() => drop(side.remove(at)),
            _ => {}
        }
    }

    /// The whole book as inserts.
    pub(super) fn rows(&self, sequence: u64) -> Vec<Remembered> {
        let rows = self.sides.iter().flat_map(|side| side.iter().enumerate());
        rows.map(|(at, row)| {
            let data = MarketDepthData {
                position: Some(at as i32),
                operation: Some(INSERT),
                ..row.data.clone()
            };
            let body = if row.field == field::MARKET_DEPTH {
                MarketDepth { req_id: None, market_depth_data: Some(data) }.encode_to_vec()
            } else {
                MarketDepthL2 { req_id: None, market_depth_data: Some(data) }.encode_to_vec()
            };
            Remembered { field: row.field, sequence, body: Bytes::from(body) }
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(operation: i32, side: i32, position: i32, price: f64) -> Vec<u8> {
        let data = MarketDepthData {
            position: Some(position),
            operation: Some(operation),
            side: Some(side),
            price: Some(price),
            size: Some("1".into()),
            ..MarketDepthData::default()
        };
        MarketDepth { req_id: Some(1), market_depth_data: Some(data) }.encode_to_vec()
    }

    fn prices(book: &Book) -> Vec<Vec<f64>> {
        let side = |side: &Vec<Row>| side.iter().map(|row| row.data.price()).collect();
        book.sides.iter().map(side).collect()
    }

    proptest! {
        #[test]
        fn a_book_that_is_told_again_is_the_same(
            changes in prop::collection::vec((0_i32..4, -1_i32..3, -1_i32..8, 0_u32..100), 0..80),
        ) {
            let mut book = Book::default();
            let mut naive: [Vec<f64>; 2] = Default::default();
            for (operation, side, position, price) in changes {
                let price = f64::from(price);
                book.apply(field::MARKET_DEPTH, &change(operation, side, position, price));
                let Some(side) = usize::try_from(side).ok().and_then(|side| naive.get_mut(side))
                else { continue };
                let Ok(at) = usize::try_from(position) else { continue };
                match operation {
                    0 if at <= side.len() => side.insert(at, price),
                    1 if at < side.len() => side[at] = price,
                    1 if at == side.len() => side.push(price),
                    2 if at < side.len() => drop(side.remove(at)),
                    _ => {}
                }
            }
            let mut late = Book::default();
            for row in book.rows(1) {
                late.apply(row.field, &row.body);
            }
            prop_assert_eq!(prices(&late), prices(&book));
            prop_assert_eq!(prices(&book), naive.to_vec());
        }
    }
}
