//! The kinds of lines: which request opens one, what ends it, what is remembered of it, and of
//! which of Gateway's allowances it takes a part.
//!
//! Source: protocol fact sheet, sections 4, 5 and 10.

use bytes::Bytes;
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;

use crate::fields::{self, field};
use crate::ids::RequestId;
use crate::memory::Memory;
use crate::pacing::Lane;
use crate::pacing::gates::Group;
use crate::wire::message;

/// A kind.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// For people.
    pub name: &'static str,
    /// TWS name of the request.
    pub tws: &'static str,
    /// Wire id of the request.
    pub request: u32,
    /// What takes it back.
    pub cancel: Cancel,
    /// For requests without an id: the messages that are its answers.
    pub answers: &'static [u32],
    /// Of those without an id: its first load, which ends with a mark.
    pub load: Option<Group>,
    /// The allowances that it uses.
    pub uses: &'static [Allowance],
    /// Where its request waits.
    pub lane: Lane,
    pub(super) remembers: Remembers,
    /// Fields of its events, as bits.
    carries: u64,
}

/// What is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remembers {
    Nothing,
    LastValues,
    Book,
    Image,
    Tape,
}

/// What Gateway allows of a kind at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allowance {
    /// Market-data lines (error 101 beyond).
    MarketData,
    /// Books (309).
    Depth,
    /// Tick-by-tick (10190).
    TickByTick,
    /// Account summaries (322).
    Summaries,
    /// Scanners.
    Scanners,
    /// Historical bars that go on. Each stays one of the 50 requests for history that may be
    /// open (322), and others need some of them.
    Histories,
}

/// What takes a request back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// A message with the request's id.
    ById(u32),
    /// The same, with the word that it was a smart book.
    SmartDepth,
    /// A message without an id.
    Plain(u32),
    /// The same request with "no".
    AccountUpdates,
}

/// Added to the wire id to tell the cancel of a smart book in one number.
const SMART: u32 = 1_000;

impl Cancel {
    /// One number that means this cancel, for the file of open requests.
    pub const fn code(self) -> u32 {
        match self {
            Self::ById(message) | Self::Plain(message) => message,
            Self::SmartDepth => id::CANCEL_MKT_DEPTH + SMART,
            Self::AccountUpdates => id::REQ_ACCT_DATA,
        }
    }

    /// The cancel that a number means.
    pub const fn from_code(code: u32) -> Self {
        match code {
            id::REQ_ACCT_DATA => Self::AccountUpdates,
            id::CANCEL_POSITIONS | id::CANCEL_NEWS_BULLETINS => Self::Plain(code),
            _ if code == id::CANCEL_MKT_DEPTH + SMART => Self::SmartDepth,
            _ => Self::ById(code),
        }
    }

    /// The frame.
    pub fn frame(self, request: RequestId) -> Bytes {
        match self {
            // All cancels by id have the id as field 1 and nothing else.
            Self::ById(cancel) => {
                message(cancel, &tws::CancelMarketData { req_id: Some(request.0) })
            }
            Self::SmartDepth => {
                let body =
                    tws::CancelMarketDepth { req_id: Some(request.0), is_smart_depth: Some(true) };
                message(id::CANCEL_MKT_DEPTH, &body)
            }
            Self::Plain(cancel) => message(cancel, &tws::CancelPositions {}),
            Self::AccountUpdates => {
                let body = tws::AccountDataRequest { subscribe: Some(false), acct_code: None };
                message(id::REQ_ACCT_DATA, &body)
            }
        }
    }
}

impl Kind {
    /// Does a farm of market data serve it? So it is with all that takes a line or a book.
    /// Historical bars that go on belong to the farm of history.
    pub fn is_market_data(&self) -> bool {
        let is = |one: &Allowance| matches!(one, Allowance::MarketData | Allowance::Depth);
        self.uses.iter().any(is)
    }

    /// The field of its events that carries a message from Gateway. What has none there, though other
    /// events have one, is a message that the line does not know.
    #[inline]
    pub fn field_of(&self, message_id: u32) -> u8 {
        let field = fields::field_of(message_id);
        if self.carries >> field & 1 == 1 { field } else { field::UNKNOWN }
    }

    /// An empty memory for a line of this kind.
    pub fn memory(&self) -> Memory {
        match self.remembers {
            Remembers::Nothing => Memory::nothing(),
            Remembers::LastValues => Memory::last_values(),
            Remembers::Book => Memory::book(),
            Remembers::Image => Memory::image(),
            Remembers::Tape => Memory::tape(),
        }
    }
}

const fn kind(
    name: &'static str,
    tws: &'static str,
    request: u32,
    cancel: Cancel,
    remembers: Remembers,
) -> Kind {
    let carries = carries(request);
    let (answers, load, uses, lane) = (&[], None, &[], Lane::Data);
    Kind { name, tws, request, cancel, answers, load, uses, lane, remembers, carries }
}

/// Which event the answers to a request become, by its fields.
const fn carries(request: u32) -> u64 {
    match request {
        id::REQ_MKT_DATA
        | id::REQ_MKT_DEPTH
        | id::REQ_TICK_BY_TICK_DATA
        | id::REQ_REAL_TIME_BARS => fields::MARKET_DATA_EVENT,
        id::REQ_HISTORICAL_DATA => fields::HISTORY_EVENT,
        id::REQ_NEWS_BULLETINS => fields::NEWS_EVENT,
        id::REQ_SCANNER_SUBSCRIPTION => fields::SCANNER_EVENT,
        _ => fields::ACCOUNT_EVENT,
    }
}

/// Quotes.
pub static MARKET_DATA: Kind = Kind {
    uses: &[Allowance::MarketData],
    ..kind(
        "market data",
        "reqMktData",
        id::REQ_MKT_DATA,
        Cancel::ById(id::CANCEL_MKT_DATA),
        Remembers::LastValues,
    )
};
/// A book.
pub static MARKET_DEPTH: Kind = Kind {
    uses: &[Allowance::Depth],
    ..kind(
        "market depth",
        "reqMktDepth",
        id::REQ_MKT_DEPTH,
        Cancel::ById(id::CANCEL_MKT_DEPTH),
        Remembers::Book,
    )
};
/// A book over all exchanges.
pub static SMART_DEPTH: Kind = Kind {
    uses: &[Allowance::Depth],
    ..kind("market depth", "reqMktDepth", id::REQ_MKT_DEPTH, Cancel::SmartDepth, Remembers::Book)
};
/// Every trade or quote.
pub static TICK_BY_TICK: Kind = Kind {
    uses: &[Allowance::MarketData, Allowance::TickByTick],
    ..kind(
        "tick-by-tick",
        "reqTickByTickData",
        id::REQ_TICK_BY_TICK_DATA,
        Cancel::ById(id::CANCEL_TICK_BY_TICK_DATA),
        Remembers::Tape,
    )
};
/// A bar every 5 s.
pub static REAL_TIME_BARS: Kind = Kind {
    uses: &[Allowance::MarketData],
    ..kind(
        "real-time bars",
        "reqRealTimeBars",
        id::REQ_REAL_TIME_BARS,
        Cancel::ById(id::CANCEL_REAL_TIME_BARS),
        Remembers::Tape,
    )
};
/// Historical bars that go on.
pub static HISTORICAL_BARS: Kind = Kind {
    uses: &[Allowance::Histories],
    lane: Lane::History,
    ..kind(
        "historical bars",
        "reqHistoricalData",
        id::REQ_HISTORICAL_DATA,
        Cancel::ById(id::CANCEL_HISTORICAL_DATA),
        Remembers::Nothing,
    )
};
/// The group of an account summary that holds all accounts.
pub const ALL_GROUPS: &str = "All";

/// Tags of all accounts.
pub static ACCOUNT_SUMMARY: Kind = Kind {
    uses: &[Allowance::Summaries],
    ..kind(
        "account summary",
        "reqAccountSummary",
        id::REQ_ACCOUNT_SUMMARY,
        Cancel::ById(id::CANCEL_ACCOUNT_SUMMARY),
        Remembers::Image,
    )
};
/// Values and portfolio of one account.
pub static ACCOUNT_UPDATES: Kind = Kind {
    answers: &[id::ACCT_VALUE, id::PORTFOLIO_VALUE, id::ACCT_UPDATE_TIME, id::ACCT_DOWNLOAD_END],
    load: Some(Group::AccountUpdates),
    ..kind(
        "account updates",
        "reqAccountUpdates",
        id::REQ_ACCT_DATA,
        Cancel::AccountUpdates,
        Remembers::Image,
    )
};
/// Values of one account or model.
pub static ACCOUNT_UPDATES_MULTI: Kind = kind(
    "account updates multi",
    "reqAccountUpdatesMulti",
    id::REQ_ACCOUNT_UPDATES_MULTI,
    Cancel::ById(id::CANCEL_ACCOUNT_UPDATES_MULTI),
    Remembers::Image,
);
/// Positions of all accounts.
pub static POSITIONS: Kind = Kind {
    answers: &[id::POSITION_DATA, id::POSITION_END],
    load: Some(Group::Positions),
    ..kind(
        "positions",
        "reqPositions",
        id::REQ_POSITIONS,
        Cancel::Plain(id::CANCEL_POSITIONS),
        Remembers::Image,
    )
};
/// Positions of one account or model.
pub static POSITIONS_MULTI: Kind = kind(
    "positions multi",
    "reqPositionsMulti",
    id::REQ_POSITIONS_MULTI,
    Cancel::ById(id::CANCEL_POSITIONS_MULTI),
    Remembers::Image,
);
/// Profit and loss.
pub static PNL: Kind =
    kind("PnL", "reqPnL", id::REQ_PNL, Cancel::ById(id::CANCEL_PNL), Remembers::Image);
/// Profit and loss of one position.
pub static PNL_SINGLE: Kind = kind(
    "PnL single",
    "reqPnLSingle",
    id::REQ_PNL_SINGLE,
    Cancel::ById(id::CANCEL_PNL_SINGLE),
    Remembers::Image,
);
/// Bulletins.
pub static NEWS_BULLETINS: Kind = Kind {
    answers: &[id::NEWS_BULLETINS],
    ..kind(
        "news bulletins",
        "reqNewsBulletins",
        id::REQ_NEWS_BULLETINS,
        Cancel::Plain(id::CANCEL_NEWS_BULLETINS),
        Remembers::Image,
    )
};
/// A scanner.
pub static SCANNER: Kind = Kind {
    uses: &[Allowance::Scanners],
    ..kind(
        "scanner",
        "reqScannerSubscription",
        id::REQ_SCANNER_SUBSCRIPTION,
        Cancel::ById(id::CANCEL_SCANNER_SUBSCRIPTION),
        Remembers::Image,
    )
};

/// All of them.
pub static ALL: [&Kind; 15] = [
    &MARKET_DATA,
    &MARKET_DEPTH,
    &SMART_DEPTH,
    &TICK_BY_TICK,
    &REAL_TIME_BARS,
    &HISTORICAL_BARS,
    &ACCOUNT_SUMMARY,
    &ACCOUNT_UPDATES,
    &ACCOUNT_UPDATES_MULTI,
    &POSITIONS,
    &POSITIONS_MULTI,
    &PNL,
    &PNL_SINGLE,
    &NEWS_BULLETINS,
    &SCANNER,
];

#[cfg(test)]
mod tests {
    use ibouncer_proto::tws::messages::{self, Key};

    use super::*;

    #[test]
    fn kinds_agree_with_the_message_table() {
        for kind in ALL {
            let row = messages::outgoing(kind.request).unwrap();
            assert_eq!(row.key == Key::None, !kind.answers.is_empty(), "{}", kind.name);
            if let Some(cancel) = row.cancelled_by {
                assert_eq!(kind.cancel.code() % SMART, u32::from(cancel) + 200, "{}", kind.name);
            }
            assert_eq!(Cancel::from_code(kind.cancel.code()), kind.cancel, "{}", kind.name);
            let mut pieces = kind.answers.iter().map(|piece| Group::of_piece(*piece));
            assert!(pieces.all(|of| of == kind.load), "{}", kind.name);
        }
    }

    #[test]
    fn a_cancel_names_its_request() {
        let frame = Cancel::ById(id::CANCEL_PNL).frame(RequestId(5));
        assert_eq!(&frame[..], &[0, 0, 0, 6, 0, 0, 1, 37, 8, 5]);
        let frame = Cancel::from_code(id::CANCEL_POSITIONS).frame(RequestId(5));
        assert_eq!(&frame[..], &[0, 0, 0, 4, 0, 0, 1, 8]);
    }
}
