//! What else there is of the past: where it begins, how prices were distributed, single ticks.

use std::time::Duration;

use ibouncer_proto::tws::v1::{
    HeadTimestamp, HeadTimestampRequest, HistogramData, HistogramDataEntry, HistogramDataRequest,
    HistoricalTick, HistoricalTickBidAsk, HistoricalTickLast, HistoricalTicks,
    HistoricalTicksBidAsk, HistoricalTicksLast, HistoricalTicksRequest, TickAttribBidAsk,
    TickAttribLast,
};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::calendar::{self, DAY};
use super::connection::Connection;
use super::ids::tell;
use super::listings::Listing;
use super::periods::Duration as Period;
use super::series::Series;
use super::sessions::Hours;
use super::streams::{Family, Key};
use super::subscriptions::Stream;
use crate::limits::Limit;

/// Ticks in one answer.
const MOST_TICKS: i32 = 1000;

/// Entries of a histogram.
const ENTRIES: i64 = 40;

/// Where trades take place, for ticks of trades.
pub(super) const VENUES: &[&str] = &["ARCA", "NASDAQ", "NYSE", "IEX", "BATS"];

/// A request for ticks that was found to be in order.
#[derive(Debug, Clone)]
pub(super) struct TickQuery {
    pub(super) listing: Listing,
    pub(super) kind: TickKind,
    pub(super) start: Option<i64>,
    pub(super) end: i64,
    pub(super) count: i32,
    pub(super) regular: bool,
}

/// What a tick is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TickKind {
    Trades,
    BidAsk,
    Midpoint,
}

impl Connection {
    pub(super) fn on_head_timestamp(
        &mut self,
        body: HeadTimestampRequest,
        shared: &mut Shared,
        _: Duration,
    ) -> Answer {
        let listing = shared.directory.one(body.contract.as_ref())?;
        let key = (Family::HeadTimestamp, body.req_id());
        self.open_history(key, shared)?;
        if listing.sec_type() == "CASH" && body.what_to_show() == "TRADES" {
            return Err(Refusal::history("No head time stamp"));
        }
        let day = calendar::day_of(1980 + (listing.place % 30) as i64, 12, 12);
        let head = day * DAY + 52_200;
        let text = match body.format_date() {
            2 => head.to_string(),
            _ => calendar::dashed(head),
        };
        let message = HeadTimestamp { req_id: body.req_id, head_timestamp: Some(text) };
        self.say(tell::HEAD_TIMESTAMP, &message);
        // It stays open until it is cancelled, as at a real Gateway.
        self.streams.open(key, None, Stream::Named);
        Ok(())
    }

    pub(super) fn on_histogram(
        &mut self,
        body: HistogramDataRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let listing = shared.directory.one(body.contract.as_ref())?;
        let period = body.time_period().replace("days", "D").replace("day", "D");
        let period = period.replace("weeks", "W").replace("week", "W");
        let period = period.replace("months", "M").replace("month", "M").to_uppercase();
        let days = match Period::read(&period) {
            Some(Period::Days(days) | Period::Calendar(days)) => days,
            Some(Period::Seconds(_)) => 1,
            None => return Err(Refusal::invalid("the period of the histogram is not known")),
        };
        let series = shared.series(listing);
        let end = shared.unix_seconds(now);
        let mut entries = std::collections::BTreeMap::new();
        for part in 0..ENTRIES {
            let unix = end - days * DAY * part / ENTRIES;
            let price = series.price(unix);
            let steps = (price / series.step()).round() as i64;
            let entry = entries.entry(steps).or_insert((price, 0));
            entry.1 += series.size(unix, 3) * 10;
        }
        let entries = entries.into_values().map(|(price, size)| HistogramDataEntry {
            price: Some(price),
            size: Some(size.to_string()),
        });
        let message =
            HistogramData { req_id: body.req_id, histogram_data_entries: entries.collect() };
        self.say(tell::HISTOGRAM_DATA, &message);
        Ok(())
    }

    pub(super) fn on_historical_ticks(
        &mut self,
        body: HistoricalTicksRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let listing = shared.directory.one(body.contract.as_ref())?;
        let kind = match body.what_to_show() {
            "TRADES" => TickKind::Trades,
            "BID_ASK" => TickKind::BidAsk,
            "MIDPOINT" => TickKind::Midpoint,
            _ => return Err(Refusal::invalid("whatToShow is not known for ticks")),
        };
        let time = |text: &str| match text {
            "" => Ok(None),
            text => match calendar::parse(text) {
                Some(unix) => Ok(Some(unix)),
                None => Err(Refusal::new(10314, "Date/Time is not valid")),
            },
        };
        let (start, end) = (time(body.start_date_time())?, time(body.end_date_time())?);
        if start.is_some() == end.is_some() {
            return Err(Refusal::invalid("one of startDateTime and endDateTime must be given"));
        }
        let count = body.number_of_ticks();
        if !(1..=MOST_TICKS).contains(&count) {
            return Err(Refusal::invalid("the number of ticks must be 1 to 1000"));
        }
        if shared.forbids(listing) {
            return Err(Refusal::new(10187, "Failed to request historical ticks: no permission"));
        }
        let key = (Family::HistoricalTicks, body.req_id());
        self.open_history(key, shared)?;
        let end = end.unwrap_or_else(|| shared.unix_seconds(now));
        let query = TickQuery { listing, kind, start, end, count, regular: body.use_rth() };
        let due = now + shared.config.history_delay;
        self.streams.open(key, Some(due), Stream::HistoricalTicks(query));
        Ok(())
    }

    /// The turn of a request for ticks: its answer.
    pub(super) fn step_historical_ticks(
        &mut self,
        (_, request_id): Key,
        query: &TickQuery,
        shared: &Shared,
    ) {
        let series = shared.series(query.listing);
        self.say_ticks(request_id, query.kind, &series, &query.times());
    }

    /// One page of ticks.
    pub(super) fn say_ticks(
        &mut self,
        request_id: i32,
        kind: TickKind,
        series: &Series,
        times: &[i64],
    ) {
        let times = times.iter().copied();
        let (req_id, is_done) = (Some(request_id), Some(true));
        match kind {
            TickKind::Trades => {
                let historical_ticks_last = times.map(|unix| trade(series, unix)).collect();
                let message = HistoricalTicksLast { req_id, historical_ticks_last, is_done };
                self.say(tell::HISTORICAL_TICKS_LAST, &message);
            }
            TickKind::BidAsk => {
                let historical_ticks_bid_ask = times.map(|unix| quote(series, unix)).collect();
                let message = HistoricalTicksBidAsk { req_id, historical_ticks_bid_ask, is_done };
                self.say(tell::HISTORICAL_TICKS_BID_ASK, &message);
            }
            TickKind::Midpoint => {
                let historical_ticks = times.map(|unix| midpoint(series, unix)).collect();
                let message = HistoricalTicks { req_id, historical_ticks, is_done };
                self.say(tell::HISTORICAL_TICKS, &message);
            }
        }
    }

    /// Whether a historical request may be opened.
    pub(super) fn open_history(&self, key: Key, shared: &Shared) -> Answer {
        const FAMILIES: [Family; 3] =
            [Family::History, Family::HeadTimestamp, Family::HistoricalTicks];
        if FAMILIES.iter().any(|family| self.streams.contains((*family, key.1))) {
            return Err(Refusal::new(386, "Duplicate ticker id for API historical data query"));
        }
        let open: usize = FAMILIES.iter().map(|family| self.streams.count(*family)).sum();
        if open >= shared.config.limits.of(Limit::HistoricalOpen) as usize {
            let text = "Error processing request: the limit of simultaneous API historical data \
                        requests has been reached";
            return Err(Refusal::limit(Limit::HistoricalOpen, 322, text));
        }
        Ok(())
    }
}

impl TickQuery {
    /// A tick for every second of trade, as many as were asked for: from the start on, or up to
    /// the end.
    fn times(&self) -> Vec<i64> {
        let hours = Hours::of(self.listing, self.regular);
        let mut times = Vec::new();
        match self.start {
            Some(start) => {
                let mut unix = start;
                while times.len() < self.count as usize && unix < self.end {
                    match hours.session(unix.div_euclid(DAY)) {
                        Some((from, _)) if unix < from => unix = from,
                        Some((_, to)) if unix < to => {
                            times.push(unix);
                            unix += 1;
                        }
                        _ => unix = (unix.div_euclid(DAY) + 1) * DAY,
                    }
                }
            }
            None => {
                let mut unix = self.end;
                while times.len() < self.count as usize {
                    let (from, to) =
                        hours.session(hours.day_before(unix)).unwrap_or((unix - 1, unix));
                    unix = unix.min(to) - 1;
                    times.push(unix.max(from));
                }
                times.reverse();
            }
        }
        times
    }
}

pub(super) fn trade(series: &Series, unix: i64) -> HistoricalTickLast {
    let venue = VENUES[(series.random(unix, 4) % VENUES.len() as u64) as usize];
    HistoricalTickLast {
        time: Some(unix),
        tick_attrib_last: Some(TickAttribLast { past_limit: Some(false), unreported: Some(false) }),
        price: Some(series.price(unix)),
        size: Some(series.size(unix, 5).to_string()),
        exchange: Some(venue.to_owned()),
        special_conditions: Some(String::new()),
    }
}

pub(super) fn quote(series: &Series, unix: i64) -> HistoricalTickBidAsk {
    let (price, step) = (series.price(unix), series.step());
    let attributes = TickAttribBidAsk { bid_past_low: Some(false), ask_past_high: Some(false) };
    HistoricalTickBidAsk {
        time: Some(unix),
        tick_attrib_bid_ask: Some(attributes),
        price_bid: Some(series.on_step(price - step)),
        price_ask: Some(series.on_step(price + step)),
        size_bid: Some(series.size(unix, 6).to_string()),
        size_ask: Some(series.size(unix, 7).to_string()),
    }
}

pub(super) fn midpoint(series: &Series, unix: i64) -> HistoricalTick {
    let size = Some("0".to_owned());
    HistoricalTick { time: Some(unix), price: Some(series.price(unix)), size }
}
