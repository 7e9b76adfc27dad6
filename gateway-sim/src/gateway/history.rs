//! Historical bars: from the request to the answer, and on while it is kept up to date.
//!
//! An answer takes `history_delay`, and until then the request is open. Pacing is in
//! `pacing.rs`, what the bars are made of in `series.rs` and `periods.rs`.

use std::time::Duration;

use ibouncer_proto::tws::v1::{
    CancelHistoricalData, HistoricalData, HistoricalDataBar, HistoricalDataEnd,
    HistoricalDataRequest, HistoricalDataUpdate, HistoricalSchedule, HistoricalSession,
};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::calendar::{self, DAY};
use super::connection::Connection;
use super::ids::tell;
use super::listings::Listing;
use super::periods::{self, BarSize};
use super::series::{Bar, Series};
use super::sessions::Hours;
use super::streams::{Family, Key};
use super::subscriptions::Stream;

/// Pause between updates of bars that are kept up to date.
const UPDATE_PAUSE: Duration = Duration::from_secs(5);

const WHAT_TO_SHOW: &[&str] = &[
    "TRADES",
    "MIDPOINT",
    "BID",
    "ASK",
    "BID_ASK",
    "ADJUSTED_LAST",
    "HISTORICAL_VOLATILITY",
    "OPTION_IMPLIED_VOLATILITY",
    "REBATE_RATE",
    "FEE_RATE",
    "YIELD_BID",
    "YIELD_ASK",
    "YIELD_BID_ASK",
    "YIELD_LAST",
    "SCHEDULE",
    "AGGTRADES",
];

/// A request that was found to be in order.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) listing: Listing,
    pub(super) exchange: String,
    pub(super) what: String,
    pub(super) size: BarSize,
    duration: periods::Duration,
    /// Unix time in seconds; none: until now.
    end: Option<i64>,
    regular: bool,
    unix_dates: bool,
    /// It goes on: kept up to date.
    pub(super) keep: bool,
    /// The request without its id: what makes it identical to another.
    pub(super) text: String,
}

impl Connection {
    pub(super) fn on_historical_data(
        &mut self,
        body: HistoricalDataRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let request_id = body.req_id();
        let query = read(body, shared)?;
        self.open_history((Family::History, request_id), shared)?;
        shared.pacing.take(&query, &shared.config.limits, now)?;
        let due = now + shared.config.history_delay;
        let stream = Stream::History(Box::new(query));
        self.streams.open((Family::History, request_id), Some(due), stream);
        Ok(())
    }

    pub(super) fn on_cancel_historical_data(
        &mut self,
        body: CancelHistoricalData,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let request_id = body.req_id();
        if self.streams.close((Family::History, request_id)).is_none() {
            return Err(Refusal::nothing_to_cancel(366, request_id));
        }
        let cause = format!("API historical data query cancelled: {request_id}");
        let Refusal { code, text, .. } = Refusal::history(&cause);
        self.replies(shared, now).error(request_id, code, &text);
        Ok(())
    }

    /// The turn of a query: its answer, or an update of its last bar.
    pub(super) fn step_history(
        &mut self,
        (family, request_id): Key,
        stream: Stream,
        shared: &mut Shared,
        due: Duration,
        now: Duration,
    ) {
        let Stream::History(mut query) = stream else {
            return;
        };
        if !shared.farms.history_flows() {
            if query.keep {
                return self.streams.open(
                    (family, request_id),
                    Some(due + UPDATE_PAUSE),
                    Stream::History(query),
                );
            }
            let refusal = Refusal::history("HMDS server disconnect occurred");
            return self.refuse(Some(request_id), refusal, shared, now);
        }
        let updates = query.text.is_empty();
        let end = query.end.unwrap_or_else(|| shared.unix_seconds(now));
        if !updates && let Err(refusal) = self.say_bars(request_id, &query, end, shared) {
            return self.refuse(Some(request_id), refusal, shared, now);
        }
        if !query.keep {
            return;
        }
        if updates {
            self.update_bar(request_id, &query, end, shared);
        }
        query.text.clear();
        let due = Some(due.max(now) + UPDATE_PAUSE);
        self.streams.open((family, request_id), due, Stream::History(query));
    }

    fn say_bars(&mut self, request_id: i32, query: &Query, end: i64, shared: &Shared) -> Answer {
        let hours = Hours::of(query.listing, query.regular);
        let bars = periods::bars(query.size, query.duration, hours, end)
            .ok_or_else(|| Refusal::history("Time length exceed max."))?;
        let start = bars.first().map_or(end, |(from, _)| *from);
        if query.what == "SCHEDULE" {
            self.say_schedule(request_id, &bars, hours);
            return Ok(());
        }
        let series = shared.series(query.listing);
        let bars = bars.iter().map(|(from, to)| query.bar(&series, *from, *to));
        let message =
            HistoricalData { req_id: Some(request_id), historical_data_bars: bars.collect() };
        self.say(tell::HISTORICAL_DATA, &message);
        let message = HistoricalDataEnd {
            req_id: Some(request_id),
            start_date_str: Some(calendar::date_time(start)),
            end_date_str: Some(calendar::date_time(end)),
        };
        self.say(tell::HISTORICAL_DATA_END, &message);
        Ok(())
    }

    fn say_schedule(&mut self, request_id: i32, bars: &[(i64, i64)], hours: Hours) {
        let sessions = bars.iter().filter_map(|(from, _)| {
            let (from, to) = hours.session(from / DAY)?;
            Some(HistoricalSession {
                start_date_time: Some(calendar::dashed(from)),
                end_date_time: Some(calendar::dashed(to)),
                ref_date: Some(calendar::date(from / DAY)),
            })
        });
        let sessions: Vec<_> = sessions.collect();
        let message = HistoricalSchedule {
            req_id: Some(request_id),
            start_date_time: sessions.first().and_then(|first| first.start_date_time.clone()),
            end_date_time: sessions.last().and_then(|last| last.end_date_time.clone()),
            time_zone: Some("UTC".to_owned()),
            historical_sessions: sessions,
        };
        self.say(tell::HISTORICAL_SCHEDULE, &message);
    }

    fn update_bar(&mut self, request_id: i32, query: &Query, end: i64, shared: &Shared) {
        let length = match query.size {
            BarSize::Seconds(length) => length,
            _ => DAY,
        };
        let start = (end - 1).div_euclid(length) * length;
        let message = HistoricalDataUpdate {
            req_id: Some(request_id),
            historical_data_bar: Some(query.bar(&shared.series(query.listing), start, end)),
        };
        self.say(tell::HISTORICAL_DATA_UPDATE, &message);
    }
}

fn read(body: HistoricalDataRequest, shared: &Shared) -> Result<Query, Refusal> {
    // The id is not what makes two requests different.
    let text = format!("{:?}", HistoricalDataRequest { req_id: None, ..body.clone() });
    let listing = shared.directory.one(body.contract.as_ref())?;
    let what = body.what_to_show().to_owned();
    let invalid = |cause: &str| Err(Refusal::invalid(cause));
    if !WHAT_TO_SHOW.contains(&what.as_str()) {
        return invalid("whatToShow is not known");
    }
    let Some(size) = BarSize::read(body.bar_size_setting()) else {
        return invalid("Historical data bar size setting is invalid");
    };
    let Some(duration) = periods::Duration::read(body.duration()) else {
        return invalid("Historical data duration is invalid");
    };
    let end = match body.end_date_time() {
        "" => None,
        text => {
            let text = calendar::parse(text);
            Some(text.ok_or_else(|| Refusal::new(10314, "End Date/Time is not valid"))?)
        }
    };
    if end.is_some() && (body.keep_up_to_date() || what == "ADJUSTED_LAST") {
        return invalid("endDateTime must be empty for ADJUSTED_LAST and for keepUpToDate");
    }
    if body.keep_up_to_date() && matches!(size, BarSize::Seconds(..5)) {
        return invalid("bars that are kept up to date must be of 5 seconds or more");
    }
    if what == "SCHEDULE" && size != BarSize::Day {
        return invalid("only bars of 1 day are supported for SCHEDULE");
    }
    let trades = ["TRADES", "AGGTRADES", "ADJUSTED_LAST"].contains(&what.as_str());
    if listing.sec_type() == "CASH" && trades {
        let symbol = listing.instrument().symbol;
        return Err(Refusal::history(&format!(
            "No historical market data for {symbol}/CASH@{what}"
        )));
    }
    if shared.forbids(listing) {
        return Err(Refusal::history("No market data permissions"));
    }
    Ok(Query {
        listing,
        exchange: body
            .contract
            .map(|contract| contract.exchange.unwrap_or_default())
            .unwrap_or_default(),
        what,
        size,
        duration,
        end,
        regular: body.use_rth.unwrap_or_default(),
        unix_dates: body.format_date == Some(2),
        keep: body.keep_up_to_date.unwrap_or_default(),
        text,
    })
}

impl Query {
    fn bar(&self, series: &Series, from: i64, to: i64) -> HistoricalDataBar {
        let date = match self.size {
            BarSize::Seconds(_) if self.unix_dates => from.to_string(),
            BarSize::Seconds(_) => calendar::date_time(from),
            BarSize::Day => calendar::date(from / DAY),
            BarSize::Week | BarSize::Month => calendar::date((to - 1) / DAY),
        };
        let Bar { open, high, low, close, volume, average, count } = series.bar(from, to);
        let step = series.step();
        let traded = ["TRADES", "AGGTRADES", "ADJUSTED_LAST"].contains(&self.what.as_str());
        let prices = match self.what.as_str() {
            "BID" | "BID_ASK" => [open - step, high - step, low - step, close - step],
            "ASK" => [open + step, high + step, low + step, close + step],
            "HISTORICAL_VOLATILITY" | "OPTION_IMPLIED_VOLATILITY" => {
                [open, high, low, close].map(|price| 0.18 + (price * 7.0).fract().abs() / 20.0)
            }
            "REBATE_RATE" | "FEE_RATE" | "YIELD_BID" | "YIELD_ASK" | "YIELD_BID_ASK"
            | "YIELD_LAST" => {
                [open, high, low, close].map(|price| 4.0 + (price * 3.0).fract().abs() / 10.0)
            }
            _ => [open, high, low, close],
        };
        let [open, mut high, mut low, close] = prices;
        if self.what == "BID_ASK" {
            // Averages of both sides, the highest ask and the lowest bid.
            high += 2.0 * step;
        } else {
            high = prices.into_iter().fold(f64::MIN, f64::max);
            low = prices.into_iter().fold(f64::MAX, f64::min);
        }
        let rounded = |price: f64| (price * 1e6).round() / 1e6;
        let of_trades = |text: String| Some(if traded { text } else { "-1".to_owned() });
        HistoricalDataBar {
            date: Some(date),
            open: Some(rounded(open)),
            high: Some(rounded(high)),
            low: Some(rounded(low)),
            close: Some(rounded(close)),
            volume: of_trades(volume.to_string()),
            wap: of_trades(format!("{average:.3}")),
            bar_count: Some(if traded { count } else { -1 }),
        }
    }
}

impl Shared {
    /// The past of a contract. It is around the price at which the simulator began, so that it
    /// stays the same while prices move.
    pub(super) fn series(&self, listing: Listing) -> Series {
        let base = listing.instrument().price;
        let price = match listing.term {
            super::listings::Term::Option { .. } => {
                self.option(listing, base, Duration::ZERO).value(super::volatility(listing)).price
            }
            super::listings::Term::Month(month) => base * (1.0 + 0.004 * f64::from(month)),
            super::listings::Term::Itself => base,
        };
        Series::new(self.config.seed, listing, price.max(0.05))
    }
}
