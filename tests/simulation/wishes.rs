//! What clients of the simulated world want: lines of all kinds, and answers to single requests.
//!
//! Owns the different ways in which the same wish can be written, and what may come of it.

use std::time::Duration;

use fastrand::Rng;
use ibouncer_core::calls::Asked;
use ibouncer_core::error::Error;
use ibouncer_core::lines::kind::{self, Kind};
use ibouncer_core::lines::wanted::Wanted;
use ibouncer_proto::api::v1::GetContractDetailsResponse;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use crate::wire::exchange_of;

const QUOTED: [&str; 8] = ["AAPL", "AAPL", "MSFT", "NVDA", "TSLA", "META", "NOPERM", "NOSUCH"];

const ACCOUNT: &str = "DU0000001";

const SCANNED: &str = "STK.US.MAJOR";

/// A kind of line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Quotes,
    Depth,
    TickByTick,
    Bars,
    Positions,
    Updates,
    Summary,
    Pnl,
    Values,
    Held,
    Scanner,
}

/// What makes two subscriptions the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) what: What,
    /// Of accounts, the group or the account.
    pub(crate) symbol: &'static str,
    /// Generic ticks, sorted.
    pub(crate) generic: Vec<u32>,
    pub(crate) feed: i32,
}

impl Key {
    /// Quotes.
    pub(crate) fn quotes(symbol: &'static str, generic: Vec<u32>, feed: i32) -> Self {
        Self { what: What::Quotes, symbol, generic, feed }
    }

    /// Anything.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let one = |rng: &mut Rng, all: &[&'static str]| all[rng.usize(..all.len())];
        let plain = |what, symbol| Self { what, symbol, generic: Vec::new(), feed: 1 };
        match rng.u8(..16) {
            0 | 1 => plain(What::Depth, one(rng, &["AAPL", "MSFT", "NVDA", "TSLA"])),
            2 => plain(What::TickByTick, one(rng, &["AAPL", "MSFT"])),
            3 => plain(What::Bars, one(rng, &["AAPL", "MSFT"])),
            4 => plain(What::Positions, "all accounts"),
            5 => plain(What::Updates, ACCOUNT),
            6 => plain(What::Summary, one(rng, &["All", ACCOUNT])),
            7 => plain(What::Pnl, ACCOUNT),
            8 => match rng.u8(..3) {
                0 => plain(What::Values, ACCOUNT),
                1 => plain(What::Held, ACCOUNT),
                _ => plain(What::Scanner, "TOP_PERC_GAIN"),
            },
            _ => {
                let generic: [&[u32]; 3] = [&[], &[233], &[106, 233]];
                let generic = generic[rng.usize(..3)].to_vec();
                Self::quotes(one(rng, &QUOTED), generic, [1, 1, 1, 3][rng.usize(..4)])
            }
        }
    }

    /// Does Gateway refuse it?
    pub(crate) fn is_doomed(&self) -> bool {
        match self.symbol {
            "NOSUCH" => true,
            "NOPERM" => self.feed < 3,
            _ => false,
        }
    }

    /// Its kind in the hub.
    pub(crate) fn kind(&self) -> &'static Kind {
        match self.what {
            What::Quotes => &kind::MARKET_DATA,
            What::Depth => &kind::MARKET_DEPTH,
            What::TickByTick => &kind::TICK_BY_TICK,
            What::Bars => &kind::REAL_TIME_BARS,
            What::Positions => &kind::POSITIONS,
            What::Updates => &kind::ACCOUNT_UPDATES,
            What::Summary => &kind::ACCOUNT_SUMMARY,
            What::Pnl => &kind::PNL,
            What::Values => &kind::ACCOUNT_UPDATES_MULTI,
            What::Held => &kind::POSITIONS_MULTI,
            What::Scanner => &kind::SCANNER,
        }
    }

    /// The exchange that stands for the type of data.
    pub(crate) fn exchange(&self) -> &'static str {
        match self.what {
            What::Quotes => exchange_of(self.feed),
            What::Depth | What::TickByTick | What::Bars => "SMART",
            What::Scanner => SCANNED,
            _ => "",
        }
    }

    /// One of the ways to write it.
    pub(crate) fn wanted(&self, way: u8) -> Result<Wanted, Error> {
        let contract = || {
            let none = || (way & 16 == 16).then(String::new);
            let (right, issuer_id, last_trade_date) = (none(), none(), none());
            let plain = contract(self.symbol, self.exchange());
            Some(tws::Contract { right, issuer_id, last_trade_date, ..plain })
        };
        let req_id = (way & 4 == 4).then_some(7);
        match self.what {
            What::Quotes => {
                let feed = if self.feed == 1 && way & 8 == 8 { 0 } else { self.feed };
                Wanted::market_data(self.request(way), feed)
            }
            What::Depth => Wanted::market_depth(tws::MarketDepthRequest {
                req_id,
                contract: contract(),
                num_rows: (way & 2 == 2).then_some(5),
                is_smart_depth: (way & 1 == 1).then_some(false),
                ..Default::default()
            }),
            What::TickByTick => Wanted::tick_by_tick(tws::TickByTickRequest {
                req_id,
                contract: contract(),
                tick_type: Some("BidAsk".into()),
                number_of_ticks: (way & 2 == 2).then_some(0),
                ignore_size: (way & 1 == 1).then_some(false),
            }),
            What::Bars => Wanted::real_time_bars(tws::RealTimeBarsRequest {
                req_id,
                contract: contract(),
                what_to_show: (way & 2 == 2).then(|| "TRADES".into()),
                use_rth: (way & 1 == 1).then_some(false),
                ..Default::default()
            }),
            What::Positions => Ok(Wanted::positions()),
            What::Updates => Wanted::account_updates(self.symbol),
            What::Summary => Wanted::account_summary(tws::AccountSummaryRequest {
                req_id,
                group: Some(self.symbol.into()),
                tags: (way & 2 == 2).then(String::new),
            }),
            What::Pnl => Wanted::pnl(tws::PnLRequest {
                req_id,
                account: Some(self.symbol.into()),
                model_code: (way & 2 == 2).then(String::new),
            }),
            What::Values => Wanted::account_updates_multi(tws::AccountUpdatesMultiRequest {
                req_id,
                account: Some(self.symbol.into()),
                model_code: (way & 2 == 2).then(String::new),
                ledger_and_nlv: (way & 1 == 1).then_some(false),
            }),
            What::Held => Wanted::positions_multi(tws::PositionsMultiRequest {
                req_id,
                account: Some(self.symbol.into()),
                model_code: (way & 2 == 2).then(String::new),
            }),
            What::Scanner => Wanted::scanner(tws::ScannerSubscriptionRequest {
                req_id,
                scanner_subscription: Some(tws::ScannerSubscription {
                    number_of_rows: (way & 1 == 1).then_some(-1),
                    instrument: Some("STK".into()),
                    location_code: Some(SCANNED.into()),
                    scan_code: Some(self.symbol.into()),
                    exclude_convertible: (way & 2 == 2).then_some(false),
                    stock_type_filter: (way & 8 == 8).then(String::new),
                    ..Default::default()
                }),
            }),
        }
    }

    /// Quotes, in one of the ways to write them.
    pub(crate) fn request(&self, way: u8) -> tws::MarketDataRequest {
        let mut generic: Vec<_> = self.generic.iter().map(u32::to_string).collect();
        if way & 1 == 1 {
            generic.reverse();
        }
        tws::MarketDataRequest {
            req_id: (way & 4 == 4).then_some(7),
            contract: Some(tws::Contract {
                con_id: (way & 2 == 2).then_some(0),
                local_symbol: (way & 2 == 2).then(String::new),
                ..contract(self.symbol, self.exchange())
            }),
            generic_tick_list: Some(generic.join(if way & 1 == 1 { ", " } else { "," })),
            ..Default::default()
        }
    }
}

/// A single request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Details(&'static str),
    /// Bars of an hour, of so many days.
    Bars(&'static str, u8),
    /// Bars of 5 s, which Gateway paces, of so many minutes.
    SmallBars(&'static str, u8),
    HeadTimestamp(&'static str),
    OpenOrders,
    OwnOrders,
    CompletedOrders,
    Executions,
    MarketRule,
    CurrentTime,
}

impl Ask {
    /// Longest time to an answer: those for small bars wait for ten minutes' room, lists without
    /// an id for those before them, whose late answers are awaited for five minutes each.
    pub(crate) const ANSWERED: Duration = Duration::from_secs(2_400);

    /// Any of them.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let symbol = ["AAPL", "MSFT", "NVDA", "NOSUCH"][rng.usize(..4)];
        match rng.u8(..14) {
            0..=2 => Self::Details(symbol),
            3 | 4 => Self::Bars(symbol, rng.u8(1..9)),
            5..=7 => Self::SmallBars(symbol, rng.u8(1..30)),
            8 => Self::HeadTimestamp(symbol),
            9 => Self::OpenOrders,
            10 => Self::OwnOrders,
            11 => Self::CompletedOrders,
            12 => Self::Executions,
            _ => [Self::MarketRule, Self::CurrentTime][rng.usize(..2)],
        }
    }

    /// Does Gateway refuse it?
    pub(crate) fn is_doomed(self) -> bool {
        match self {
            Self::Details(symbol)
            | Self::Bars(symbol, _)
            | Self::SmallBars(symbol, _)
            | Self::HeadTimestamp(symbol) => symbol == "NOSUCH",
            _ => false,
        }
    }

    /// Is it paced by what Gateway saw in the last ten minutes, also of brokers before?
    pub(crate) fn is_paced(self) -> bool {
        matches!(self, Self::SmallBars(..))
    }

    /// What the hub is asked.
    pub(crate) fn asked(self) -> Result<Asked, Error> {
        let bars = |symbol, duration: String, size: &str| {
            Asked::historical_bars(tws::HistoricalDataRequest {
                contract: Some(contract(symbol, "SMART")),
                duration: Some(duration),
                bar_size_setting: Some(size.into()),
                what_to_show: Some("TRADES".into()),
                ..Default::default()
            })
        };
        match self {
            Self::Details(symbol) => Asked::contract_details(tws::ContractDataRequest {
                contract: Some(contract(symbol, "SMART")),
                ..Default::default()
            }),
            Self::Bars(symbol, days) => bars(symbol, format!("{days} D"), "1 hour"),
            Self::SmallBars(symbol, minutes) => {
                bars(symbol, format!("{} S", u32::from(minutes) * 60), "5 secs")
            }
            Self::HeadTimestamp(symbol) => Asked::head_timestamp(tws::HeadTimestampRequest {
                contract: Some(contract(symbol, "SMART")),
                what_to_show: Some("TRADES".into()),
                ..Default::default()
            }),
            Self::OpenOrders => Ok(Asked::open_orders(false)),
            Self::OwnOrders => Ok(Asked::open_orders(true)),
            Self::CompletedOrders => Ok(Asked::completed_orders(Default::default())),
            Self::Executions => Asked::executions(Default::default(), false),
            Self::MarketRule => {
                Asked::market_rule(tws::MarketRuleRequest { market_rule_id: Some(26) })
            }
            Self::CurrentTime => Ok(Asked::current_time()),
        }
    }

    /// Is this what was asked for?
    pub(crate) fn check_answer(self, answer: &[u8]) {
        assert!(!self.is_doomed(), "{self:?} has an answer");
        if let Self::Details(symbol) = self {
            let details = GetContractDetailsResponse::decode(answer).expect("it can be read");
            let contracts = details.contract_data.iter().map(|data| data.contract.as_ref());
            let symbols: Vec<_> = contracts.flatten().map(tws::Contract::symbol).collect();
            assert!(!symbols.is_empty() && symbols.iter().all(|one| *one == symbol), "{symbols:?}");
        }
        if matches!(self, Self::Bars(..) | Self::SmallBars(..) | Self::OpenOrders) {
            assert!(!answer.is_empty(), "{self:?} has an empty answer");
        }
    }
}

fn contract(symbol: &str, exchange: &str) -> tws::Contract {
    tws::Contract {
        symbol: Some(symbol.to_owned()),
        sec_type: Some("STK".to_owned()),
        currency: Some("USD".to_owned()),
        exchange: Some(exchange.to_owned()),
        ..Default::default()
    }
}
