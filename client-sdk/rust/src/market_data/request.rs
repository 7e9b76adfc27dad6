//! What to subscribe to: quotes, a book, tick-by-tick data or bars of one contract.

use crate::api;
use crate::api::subscribe::What;
use crate::tws::{
    Contract, MarketDataRequest, MarketDepthRequest, RealTimeBarsRequest, TickByTickRequest,
};

/// What to subscribe to. Made from a contract (its quotes), or by one of the functions here, or
/// from a request of the TWS API.
///
/// Identical requests of any number of programs share one line at Gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct LineRequest {
    subscribe: api::Subscribe,
}

/// Which ticks of tick-by-tick data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TickKind {
    /// Trades.
    Last,
    /// Trades, also those that do not count for the price.
    AllLast,
    /// Quotes.
    BidAsk,
    /// Midpoints.
    MidPoint,
}

impl TickKind {
    /// As the TWS API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Last => "Last",
            Self::AllLast => "AllLast",
            Self::BidAsk => "BidAsk",
            Self::MidPoint => "MidPoint",
        }
    }
}

impl LineRequest {
    /// Quotes of a contract, with the default ticks.
    pub fn new(contract: Contract) -> Self {
        MarketDataRequest { contract: Some(contract), ..MarketDataRequest::default() }.into()
    }

    /// A book of so many rows on each side. Of `SMART` it is empty unless it is merged, see
    /// [`smart`](Self::smart).
    pub fn depth(contract: Contract, rows: i32) -> Self {
        let contract = Some(contract);
        MarketDepthRequest { contract, num_rows: Some(rows), ..Default::default() }.into()
    }

    /// Every trade or quote.
    pub fn tick_by_tick(contract: Contract, kind: TickKind) -> Self {
        let tick_type = Some(kind.as_str().to_owned());
        TickByTickRequest { contract: Some(contract), tick_type, ..Default::default() }.into()
    }

    /// A bar every 5 s, of `"TRADES"`, `"MIDPOINT"`, `"BID"` or `"ASK"`.
    pub fn real_time_bars(contract: Contract, what_to_show: impl Into<String>) -> Self {
        RealTimeBarsRequest {
            contract: Some(contract),
            bar_size: Some(5),
            what_to_show: Some(what_to_show.into()),
            ..Default::default()
        }
        .into()
    }

    /// Adds groups of ticks to quotes, by IB's numbers, joined by commas, for example
    /// `"233,236"`.
    pub fn generic_ticks(mut self, list: impl Into<String>) -> Self {
        if let Some(What::Request(request)) = &mut self.subscribe.what {
            request.generic_tick_list = Some(list.into());
        }
        self
    }

    /// Merges the books of several exchanges into one.
    pub fn smart(mut self) -> Self {
        if let Some(What::MarketDepth(request)) = &mut self.subscribe.what {
            request.is_smart_depth = Some(true);
        }
        self
    }

    /// Which data Gateway is asked for; for quotes.
    pub fn feed(mut self, feed: api::MarketDataFeed) -> Self {
        self.subscribe.feed = feed.into();
        self
    }

    /// If all lines are taken, waits for one, told by QUEUED, instead of being refused.
    pub fn wait_for_line(mut self) -> Self {
        self.subscribe.wait_for_line = true;
        self
    }

    /// If the stream breaks, the broker keeps the line for 30 s, and the stream goes on where it
    /// broke: RESUMED then says how many events were missed.
    pub fn resumable(mut self) -> Self {
        self.subscribe.resumable = true;
        self
    }

    /// Goes on where an earlier stream of this program broke. A stream that reconnects does that
    /// by itself.
    pub fn resume(mut self, place: api::Resume) -> Self {
        self.subscribe.resume = Some(place);
        self
    }

    /// The request itself.
    pub fn into_inner(self) -> api::Subscribe {
        self.subscribe
    }

    fn of(what: What) -> Self {
        Self { subscribe: api::Subscribe { what: Some(what), ..Default::default() } }
    }
}

impl From<Contract> for LineRequest {
    fn from(contract: Contract) -> Self {
        Self::new(contract)
    }
}

impl From<MarketDataRequest> for LineRequest {
    fn from(request: MarketDataRequest) -> Self {
        Self::of(What::Request(request))
    }
}

impl From<MarketDepthRequest> for LineRequest {
    fn from(request: MarketDepthRequest) -> Self {
        Self::of(What::MarketDepth(request))
    }
}

impl From<TickByTickRequest> for LineRequest {
    fn from(request: TickByTickRequest) -> Self {
        Self::of(What::TickByTick(request))
    }
}

impl From<RealTimeBarsRequest> for LineRequest {
    fn from(request: RealTimeBarsRequest) -> Self {
        Self::of(What::RealTimeBars(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::stock;

    #[test]
    fn options_reach_the_request_that_has_them() {
        let book = LineRequest::depth(stock("AAPL"), 5).smart().wait_for_line().into_inner();
        let Some(What::MarketDepth(request)) = &book.what else { panic!("{book:?}") };
        assert_eq!((request.num_rows(), request.is_smart_depth()), (5, true));
        assert!(book.wait_for_line && !book.resumable);
        let quotes = LineRequest::new(stock("AAPL")).generic_ticks("233").smart().resumable();
        let quotes = quotes.into_inner();
        let Some(What::Request(request)) = &quotes.what else { panic!("{quotes:?}") };
        assert_eq!(request.generic_tick_list(), "233");
        assert!(quotes.resumable);
    }
}
