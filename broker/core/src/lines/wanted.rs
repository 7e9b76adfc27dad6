//! What a client wants to subscribe to, checked, and in the one form in which equal wishes are
//! equal bytes. Wishes about accounts are in `wanted/accounts.rs`, who gets which part of a line
//! in `wanted/filter.rs`.

mod accounts;
mod filter;

use std::sync::Arc;

use bytes::Bytes;
use ibouncer_proto::tws::v1 as tws;

use super::kind::{self, Kind};
use crate::checks;
use crate::contracts::Instrument;
use crate::error::{self, Error};
use crate::history;
use crate::pacing::gates::Gate;
pub use filter::{Filter, account_of};

/// A wish.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Of what kind.
    pub kind: &'static Kind,
    /// The request, encoded, without a request id.
    pub body: Bytes,
    /// Nobody else may share it.
    pub private: bool,
    /// Market data type, 1 to 4, where it matters.
    pub feed: Option<i32>,
    /// Gateway's rule for it.
    pub gate: Gate,
    /// What it is about, for people.
    pub about: About,
    /// What this client wants of a line that says more.
    pub filter: Filter,
    /// It is about one account and names none, and which one that is, is not known yet.
    pub unnamed: bool,
    /// It named none, and has this name from the login.
    pub took: Option<Arc<str>>,
}

/// What a line is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "fields of a contract")]
pub struct About {
    /// Symbol, account, or what else.
    pub label: String,
    pub sec_type: String,
    pub exchange: String,
    pub currency: String,
    pub generic_ticks: String,
}

/// Market data type 1.
pub const LIVE: i32 = 1;

impl Wanted {
    fn new(kind: &'static Kind, body: &impl prost::Message, about: About) -> Self {
        Self {
            kind,
            body: body.encode_to_vec().into(),
            private: false,
            feed: None,
            gate: kind.load.map_or(Gate::Open, Gate::Alone),
            about,
            filter: Filter::All,
            unnamed: false,
            took: None,
        }
    }

    /// Quotes.
    pub fn market_data(request: tws::MarketDataRequest, feed: i32) -> Result<Self, Error> {
        let contract = checks::contract(request.contract.as_ref())?;
        if request.snapshot() || request.regulatory_snapshot() {
            return Err(error::invalid("request.snapshot: use GetSnapshot for snapshots"));
        }
        let feed = checked_feed(feed)?;
        checks::list("generic_tick_list", request.generic_tick_list())?;
        let generic_ticks = generic_ticks(request.generic_tick_list())?;
        let about = About { generic_ticks: generic_ticks.clone(), ..About::of(contract) };
        let body = tws::MarketDataRequest {
            req_id: None,
            contract: Some(checks::plain(contract)),
            generic_tick_list: (!generic_ticks.is_empty()).then_some(generic_ticks),
            snapshot: None,
            regulatory_snapshot: None,
            market_data_options: request.market_data_options,
        };
        Ok(Self { feed: Some(feed), ..Self::new(&kind::MARKET_DATA, &body, about) })
    }

    /// A book.
    pub fn market_depth(request: tws::MarketDepthRequest) -> Result<Self, Error> {
        let contract = checks::contract(request.contract.as_ref())?;
        let rows = request.num_rows.unwrap_or(5);
        if !(1..=1_000).contains(&rows) {
            return Err(error::invalid(format!("request.num_rows is {rows}: use 1 to 1000")));
        }
        let smart = request.is_smart_depth();
        let about = About::of(contract);
        let body = tws::MarketDepthRequest {
            req_id: None,
            contract: Some(checks::plain(contract)),
            num_rows: Some(rows),
            is_smart_depth: smart.then_some(true),
            market_depth_options: request.market_depth_options,
        };
        let kind = if smart { &kind::SMART_DEPTH } else { &kind::MARKET_DEPTH };
        Ok(Self::new(kind, &body, about))
    }

    /// Every trade or quote.
    pub fn tick_by_tick(request: tws::TickByTickRequest) -> Result<Self, Error> {
        let contract = checks::contract(request.contract.as_ref())?;
        let kinds = ["Last", "AllLast", "BidAsk", "MidPoint"];
        checks::one_of("tick_type", request.tick_type(), &kinds)?;
        let pages = request.number_of_ticks();
        if !(0..=1_000).contains(&pages) {
            return Err(error::invalid(format!(
                "request.number_of_ticks is {pages}: use 0 to 1000"
            )));
        }
        let about = About { generic_ticks: request.tick_type().into(), ..About::of(contract) };
        let contract = checks::plain(contract);
        let gate = Gate::TickByTick(Instrument::new(&contract));
        let private = pages > 0;
        let body = tws::TickByTickRequest {
            req_id: None,
            contract: Some(contract),
            tick_type: request.tick_type.clone(),
            number_of_ticks: private.then_some(pages),
            ignore_size: request.ignore_size().then_some(true),
        };
        Ok(Self { gate, private, ..Self::new(&kind::TICK_BY_TICK, &body, about) })
    }

    /// A bar every 5 s.
    pub fn real_time_bars(request: tws::RealTimeBarsRequest) -> Result<Self, Error> {
        let contract = checks::contract(request.contract.as_ref())?;
        let what = request.what_to_show.as_deref().unwrap_or("TRADES");
        checks::one_of("what_to_show", what, &["TRADES", "MIDPOINT", "BID", "ASK"])?;
        let about = About { generic_ticks: what.into(), ..About::of(contract) };
        let body = tws::RealTimeBarsRequest {
            req_id: None,
            contract: Some(checks::plain(contract)),
            bar_size: Some(5),
            what_to_show: Some(what.into()),
            use_rth: Some(request.use_rth()),
            real_time_bars_options: request.real_time_bars_options.clone(),
        };
        let gate = Gate::RealTimeBars;
        Ok(Self { gate, ..Self::new(&kind::REAL_TIME_BARS, &body, about) })
    }

    /// Historical bars that go on.
    pub fn historical_bars(request: tws::HistoricalDataRequest) -> Result<Self, Error> {
        if !request.end_date_time().is_empty() {
            return Err(error::invalid(
                "request.end_date_time must be empty for bars that go on; for the past alone use \
                 GetHistoricalBars",
            ));
        }
        let request = tws::HistoricalDataRequest { keep_up_to_date: Some(true), ..request };
        let (body, contract, gate) = history::bars(request)?;
        let about = About::of(&contract);
        let wanted = Self::new(&kind::HISTORICAL_BARS, &body, about);
        Ok(Self { gate, private: true, ..wanted })
    }

    /// Bulletins, those of the day first.
    pub fn news_bulletins() -> Self {
        let body = tws::NewsBulletinsRequest { all_messages: Some(true) };
        Self::new(&kind::NEWS_BULLETINS, &body, About::default())
    }

    /// A scanner.
    pub fn scanner(request: tws::ScannerSubscriptionRequest) -> Result<Self, Error> {
        let Some(scanner) = &request.scanner_subscription else {
            return Err(error::invalid("request.scanner_subscription is missing"));
        };
        checks::needed("scanner_subscription.instrument", scanner.instrument(), "STK")?;
        checks::needed(
            "scanner_subscription.location_code",
            scanner.location_code(),
            "STK.US.MAJOR",
        )?;
        checks::needed("scanner_subscription.scan_code", scanner.scan_code(), "TOP_PERC_GAIN")?;
        for (field, value) in [
            ("above_price", scanner.above_price),
            ("below_price", scanner.below_price),
            ("market_cap_above", scanner.market_cap_above),
            ("market_cap_below", scanner.market_cap_below),
            ("coupon_rate_above", scanner.coupon_rate_above),
            ("coupon_rate_below", scanner.coupon_rate_below),
        ] {
            checks::number(&format!("scanner_subscription.{field}"), value)?;
        }
        let about = About {
            label: scanner.scan_code().into(),
            sec_type: scanner.instrument().into(),
            exchange: scanner.location_code().into(),
            ..About::default()
        };
        let scanner = plain_scanner(scanner.clone());
        let body =
            tws::ScannerSubscriptionRequest { req_id: None, scanner_subscription: Some(scanner) };
        Ok(Self::new(&kind::SCANNER, &body, about))
    }
}

/// The same scanner in one form: absent and empty mean the same. A limit of 0 is a limit.
fn plain_scanner(mut scanner: tws::ScannerSubscription) -> tws::ScannerSubscription {
    for text in [
        &mut scanner.moody_rating_above,
        &mut scanner.moody_rating_below,
        &mut scanner.sp_rating_above,
        &mut scanner.sp_rating_below,
        &mut scanner.maturity_date_above,
        &mut scanner.maturity_date_below,
        &mut scanner.scanner_setting_pairs,
        &mut scanner.stock_type_filter,
    ] {
        text.take_if(|text| text.is_empty());
    }
    scanner.exclude_convertible.take_if(|exclude| !*exclude);
    // As many as there are: how the official clients write that nothing was said.
    scanner.number_of_rows.take_if(|rows| *rows <= 0);
    scanner
}

impl About {
    fn of(contract: &tws::Contract) -> Self {
        Self {
            label: checks::label(contract),
            sec_type: contract.sec_type().into(),
            exchange: contract.exchange().into(),
            currency: contract.currency().into(),
            generic_ticks: String::new(),
        }
    }

    fn account(account: &str) -> Self {
        let label = if account.is_empty() { "all accounts" } else { account };
        Self { label: label.into(), ..Self::default() }
    }
}

/// A market data type; 0 means live.
pub fn checked_feed(feed: i32) -> Result<i32, Error> {
    match feed {
        0 => Ok(LIVE),
        1..=4 => Ok(feed),
        other => Err(error::invalid(format!("feed {other} does not exist: use 1 to 4"))),
    }
}

/// Sorted, each once: the order means nothing to Gateway.
fn generic_ticks(list: &str) -> Result<String, Error> {
    let is_tick = |tick: &str| {
        // "mdoff" switches the usual ticks off; a news tick can name its provider: "292:BRFG".
        tick.len() <= 40
            && tick.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_+".contains(&byte))
    };
    let mut ticks: Vec<&str> =
        list.split(',').map(str::trim).filter(|tick| !tick.is_empty()).collect();
    if let Some(bad) = ticks.iter().find(|tick| !is_tick(tick)) {
        return Err(error::invalid(format!(
            "request.generic_tick_list holds {bad:?}: use numbers and commas"
        )));
    }
    ticks.sort_unstable();
    ticks.dedup();
    Ok(ticks.join(","))
}

#[cfg(test)]
mod tests;
