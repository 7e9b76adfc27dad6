//! Market depth: one book for each subscription, and the operations that change it.
//!
//! A book begins with an insert for each row and stays one that a reader of the operations can
//! follow: rows are dense, sorted, and bid and ask never cross. How many different contracts may
//! have depth is a limit of the Gateway as a whole.

use std::time::Duration;

use fastrand::Rng;
use ibouncer_proto::tws::v1::{
    CancelMarketDepth, MarketDepth, MarketDepthData, MarketDepthL2, MarketDepthRequest,
    RerouteMarketDepthRequest,
};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::connection::Connection;
use super::ids::tell;
use super::listings::Listing;
use super::streams::{Family, Key};
use super::subscriptions::Stream;
use crate::limits::Limit;

/// Rows of a book on each side.
const USUAL_ROWS: i32 = 5;
const MOST_ROWS: i32 = 20;

/// Venues of smart depth, which stand where market makers do.
const VENUES: &[&str] = &["NASDAQ", "ARCA", "BATS", "IEX", "NYSE"];

/// A book, as far as its reader knows it.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) listing: Listing,
    smart: bool,
    rows: usize,
    /// Ask and bid, best first.
    sides: [Vec<Row>; 2],
    /// Price of one step, and of the middle in steps.
    step: f64,
    middle: i64,
    rng: Rng,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    price: i64,
    size: u64,
    venue: usize,
}

/// Sides and operations, as they are numbered on the wire.
const ASK: usize = 0;
const BID: usize = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Insert = 0,
    Update = 1,
    Delete = 2,
}

impl Connection {
    pub(super) fn on_depth(
        &mut self,
        body: MarketDepthRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let key = (Family::Depth, body.req_id());
        if self.streams.contains(key) {
            return Err(Refusal::duplicate_ticker());
        }
        let listing = shared.directory.one(body.contract.as_ref())?;
        if listing.sec_type() == "IND" || listing.sec_type() == "BOND" {
            return Err(Refusal::new(10092, "Deep market data is not supported for this contract"));
        }
        if shared.forbids(listing) {
            return Err(Refusal::no_permission());
        }
        if let Some(stock) = listing.rerouted() {
            let message = RerouteMarketDepthRequest {
                req_id: body.req_id,
                con_id: Some(stock.con_id()),
                exchange: Some(stock.exchange().to_owned()),
            };
            self.say(tell::REROUTE_MKT_DEPTH_REQ, &message);
            self.streams.open(key, None, Stream::Named);
            return Ok(());
        }
        let most = shared.config.limits.of(Limit::MarketDepth) as usize;
        if !shared.books.contains_key(&listing) && shared.books.len() >= most {
            let text = "Max number of market depth requests has been reached";
            return Err(Refusal::limit(Limit::MarketDepth, 309, text));
        }
        *shared.books.entry(listing).or_default() += 1;
        if body.is_smart_depth() {
            let text = "Exchanges - Depth: NASDAQ; ARCA; BATS; IEX; Top: NYSE; ";
            self.replies(shared, now).error(key.1, 2152, text);
        }
        let rows = match body.num_rows() {
            1..=MOST_ROWS => body.num_rows(),
            rows if rows > MOST_ROWS => MOST_ROWS,
            _ => USUAL_ROWS,
        };
        let book = shared.book(listing, key.1, rows as usize, body.is_smart_depth(), now);
        self.begin(key, Stream::Depth(Box::new(book)), shared, now);
        Ok(())
    }

    pub(super) fn on_cancel_depth(
        &mut self,
        body: CancelMarketDepth,
        shared: &mut Shared,
        _: Duration,
    ) -> Answer {
        self.cancel(Family::Depth, body.req_id, 310, shared)
    }

    /// The turn of a book: one change.
    pub(super) fn step_depth(&mut self, (_, request_id): Key, book: &mut Book) {
        let mut changes = Vec::new();
        book.change(&mut changes);
        for change in changes {
            self.say_row(request_id, book.smart, change);
        }
    }

    /// Error 317: the reader must forget the book, and gets a new one.
    pub(super) fn reset_depth(&mut self, shared: &mut Shared, now: Duration) {
        let keys: Vec<_> = self.streams.keys(Family::Depth).collect();
        for key in keys {
            let Some(Stream::Depth(old)) = self.streams.close(key) else {
                continue;
            };
            let text = "Market depth data has been RESET. Please empty deep book contents before \
                        applying any new entries.";
            self.replies(shared, now).error(key.1, 317, text);
            let book = shared.book(old.listing, key.1, old.rows, old.smart, now);
            self.begin(key, Stream::Depth(Box::new(book)), shared, now);
        }
    }

    pub(super) fn say_book(&mut self, request_id: i32, book: &Book) {
        for position in 0..book.rows {
            for side in [BID, ASK] {
                let data = book.data(side, position, Operation::Insert);
                self.say_row(request_id, book.smart, data);
            }
        }
    }

    fn say_row(&mut self, request_id: i32, smart: bool, data: MarketDepthData) {
        let (req_id, market_depth_data) = (Some(request_id), Some(data));
        if smart {
            self.say(tell::MARKET_DEPTH_L2, &MarketDepthL2 { req_id, market_depth_data });
        } else {
            self.say(tell::MARKET_DEPTH, &MarketDepth { req_id, market_depth_data });
        }
    }
}

impl Shared {
    /// One depth subscription to a contract has ended.
    pub(super) fn close_book(&mut self, listing: Listing) {
        if let Some(books) = self.books.get_mut(&listing) {
            *books -= 1;
            if *books == 0 {
                self.books.remove(&listing);
            }
        }
    }

    fn book(
        &mut self,
        listing: Listing,
        request_id: i32,
        rows: usize,
        smart: bool,
        now: Duration,
    ) -> Book {
        let place = self.place(listing, now);
        let walk = &self.market.walks[place];
        let seed = self.config.seed ^ (listing.con_id() as u64) << 32 ^ request_id as u64;
        let mut book = Book {
            listing,
            smart,
            rows,
            sides: [Vec::new(), Vec::new()],
            step: walk.price(1),
            middle: walk.bid.max(MOST_ROWS as i64 + 2),
            rng: Rng::with_seed(seed),
        };
        for away in 0..rows as i64 {
            let ask = book.row(book.middle + 1 + away);
            book.sides[ASK].push(ask);
            let bid = book.row(book.middle - away);
            book.sides[BID].push(bid);
        }
        book
    }
}

impl Book {
    fn row(&mut self, price: i64) -> Row {
        let sizes = self.listing.instrument().sizes;
        let size = u64::from(sizes.unit) * u64::from(self.rng.u32(1..=sizes.most));
        Row { price, size, venue: self.rng.usize(..VENUES.len()) }
    }

    /// Changes a random row and says how, in the order in which it must be applied.
    fn change(&mut self, changes: &mut Vec<MarketDepthData>) {
        let side = self.rng.usize(..2);
        let position = self.rng.usize(..self.rows);
        let worse = if side == ASK { 1 } else { -1 };
        let last = self.sides[side][self.rows - 1].price;
        match self.rng.u8(..8) {
            // The best row is taken away, and a new worst one appears.
            0 if last + worse > 0 => {
                changes.push(self.data(side, 0, Operation::Delete));
                self.sides[side].remove(0);
                let row = self.row(last + worse);
                self.sides[side].push(row);
                changes.push(self.data(side, self.rows - 1, Operation::Insert));
            }
            // A better one comes, if there is room for it, and the worst goes.
            1 if self.sides[ASK][0].price - self.sides[BID][0].price > 1 => {
                changes.push(self.data(side, self.rows - 1, Operation::Delete));
                self.sides[side].pop();
                let best = self.sides[side].first().map_or(last, |row| row.price);
                let best = if self.rows == 1 { last } else { best };
                let row = self.row(best - worse);
                self.sides[side].insert(0, row);
                changes.push(self.data(side, 0, Operation::Insert));
            }
            _ => {
                let price = self.sides[side][position].price;
                self.sides[side][position] = self.row(price);
                changes.push(self.data(side, position, Operation::Update));
            }
        }
    }

    fn data(&self, side: usize, position: usize, operation: Operation) -> MarketDepthData {
        let Row { price, size, venue } = self.sides[side][position];
        let deleted = operation == Operation::Delete;
        let price = (price as f64 * self.step * 1e9).round() / 1e9;
        MarketDepthData {
            position: Some(position as i32),
            operation: Some(operation as i32),
            side: Some(side as i32),
            price: Some(if deleted { 0.0 } else { price }),
            size: Some(if deleted { 0 } else { size }.to_string()),
            market_maker: self.smart.then(|| VENUES[venue].to_owned()),
            is_smart_depth: self.smart.then_some(true),
        }
    }
}
