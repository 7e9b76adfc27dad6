//! The past: bars, ticks, histograms, schedules. The broker keeps Gateway's pacing rules and
//! lets requests wait; [`Session::queue`](crate::Session::queue) tells their place.

use super::{Answer, present, subscribe};
use crate::api;
use crate::client::{LARGEST_ANSWER, Service};
use crate::error::Error;
use crate::reconnect::Finder;
use crate::stubs::history_service_client::HistoryServiceClient;
use crate::subscription::Subscription;
use crate::tws::{self, Contract, HistoricalDataRequest};

/// Historical data.
#[derive(Debug, Clone)]
pub struct History {
    service: Service,
    finder: Option<Finder>,
}

/// A request for bars. Made by [`BarRequest::new`], or from a request of the TWS API.
#[derive(Debug, Clone, PartialEq)]
pub struct BarRequest(HistoricalDataRequest);

impl BarRequest {
    /// Trades of all hours up to now: `duration` such as `"1 D"` or `"2 W"`, `size` such as
    /// `"1 min"` or `"1 day"`, as the TWS API writes them.
    pub fn new(contract: Contract, duration: impl Into<String>, size: impl Into<String>) -> Self {
        Self(HistoricalDataRequest {
            contract: Some(contract),
            duration: Some(duration.into()),
            bar_size_setting: Some(size.into()),
            what_to_show: Some("TRADES".to_owned()),
            use_rth: Some(false),
            format_date: Some(DATES_AS_TEXT),
            ..Default::default()
        })
    }

    /// `"TRADES"`, `"MIDPOINT"`, `"BID"`, `"ASK"` and others.
    pub fn what(mut self, what_to_show: impl Into<String>) -> Self {
        self.0.what_to_show = Some(what_to_show.into());
        self
    }

    /// Only regular trading hours.
    pub fn regular_hours(mut self) -> Self {
        self.0.use_rth = Some(true);
        self
    }

    /// Bars up to this time, `YYYYMMDD HH:MM:SS` with a zone, instead of now.
    pub fn until(mut self, end: impl Into<String>) -> Self {
        self.0.end_date_time = Some(end.into());
        self
    }

    /// Times of bars as Unix seconds in text, instead of the date and clock of the exchange.
    pub fn unix_times(mut self) -> Self {
        self.0.format_date = Some(DATES_AS_SECONDS);
        self
    }

    /// The message itself.
    pub fn into_inner(self) -> HistoricalDataRequest {
        self.0
    }
}

impl From<HistoricalDataRequest> for BarRequest {
    fn from(request: HistoricalDataRequest) -> Self {
        Self(request)
    }
}

/// Bars, oldest first, and what they span.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bars {
    /// The bars.
    pub bars: Vec<tws::HistoricalDataBar>,
    /// Start of the span, as Gateway writes it.
    pub start: String,
    /// End of the span.
    pub end: String,
}

/// Past ticks; which of the three holds them depends on what was asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PastTicks {
    /// With MIDPOINT.
    pub midpoint: Vec<tws::HistoricalTick>,
    /// With BID_ASK.
    pub bid_ask: Vec<tws::HistoricalTickBidAsk>,
    /// With TRADES.
    pub last: Vec<tws::HistoricalTickLast>,
}

impl History {
    pub(crate) fn new(service: Service, finder: Option<Finder>) -> Self {
        Self { service, finder }
    }

    /// Bars (TWS: reqHistoricalData).
    pub async fn bars(&self, request: impl Into<BarRequest>) -> Result<Answer<Bars>, Error> {
        let request = api::GetHistoricalBarsRequest { request: Some(request.into().0) };
        let answer = self.stub().get_historical_bars(request).await?.into_inner();
        let end = answer.end.unwrap_or_default();
        let value = Bars {
            bars: answer.bars.unwrap_or_default().historical_data_bars,
            start: end.start_date_str.unwrap_or_default(),
            end: end.end_date_str.unwrap_or_default(),
        };
        Ok(Answer { value, notices: answer.notices })
    }

    /// Bars up to now, then the newest bar as it changes (TWS: keepUpToDate). After RESUMED the
    /// bars come anew.
    pub async fn stream_bars(
        &self,
        request: impl Into<BarRequest>,
    ) -> Result<Subscription<api::HistoryEvent>, Error> {
        let request = api::StreamHistoricalBarsRequest { request: Some(request.into().0) };
        subscribe!(self, stub, stream_historical_bars, request).await
    }

    /// Trading sessions; what to show need not be said.
    pub async fn schedule(
        &self,
        request: impl Into<BarRequest>,
    ) -> Result<Answer<tws::HistoricalSchedule>, Error> {
        let request = api::GetHistoricalScheduleRequest { request: Some(request.into().0) };
        let answer = self.stub().get_historical_schedule(request).await?.into_inner();
        let value = present(answer.schedule, "a schedule")?;
        Ok(Answer { value, notices: answer.notices })
    }

    /// Up to 1000 ticks (TWS: reqHistoricalTicks).
    pub async fn ticks(
        &self,
        request: tws::HistoricalTicksRequest,
    ) -> Result<Answer<PastTicks>, Error> {
        let request = api::GetHistoricalTicksRequest { request: Some(request) };
        let answer = self.stub().get_historical_ticks(request).await?.into_inner();
        let quotes = answer.bid_ask.into_iter();
        let value = PastTicks {
            midpoint: answer.midpoint.into_iter().flat_map(|page| page.historical_ticks).collect(),
            bid_ask: quotes.flat_map(|page| page.historical_ticks_bid_ask).collect(),
            last: answer.last.into_iter().flat_map(|page| page.historical_ticks_last).collect(),
        };
        Ok(Answer { value, notices: answer.notices })
    }

    /// When history begins, in the form that the request chose (TWS: reqHeadTimeStamp).
    pub async fn head_timestamp(
        &self,
        request: tws::HeadTimestampRequest,
    ) -> Result<Answer<tws::HeadTimestamp>, Error> {
        let request = api::GetHeadTimestampRequest { request: Some(request) };
        let answer = self.stub().get_head_timestamp(request).await?.into_inner();
        let value = present(answer.head_timestamp, "a time")?;
        Ok(Answer { value, notices: answer.notices })
    }

    /// Volume by price (TWS: reqHistogramData).
    pub async fn histogram(
        &self,
        request: tws::HistogramDataRequest,
    ) -> Result<Answer<Vec<tws::HistogramDataEntry>>, Error> {
        let request = api::GetHistogramRequest { request: Some(request) };
        let answer = self.stub().get_histogram(request).await?.into_inner();
        let histogram = answer.histogram.unwrap_or_default();
        Ok(Answer { value: histogram.histogram_data_entries, notices: answer.notices })
    }

    fn stub(&self) -> HistoryServiceClient<Service> {
        stub(self.service.clone())
    }
}

fn stub(service: Service) -> HistoryServiceClient<Service> {
    HistoryServiceClient::new(service).max_decoding_message_size(LARGEST_ANSWER)
}

const DATES_AS_TEXT: i32 = 1;
const DATES_AS_SECONDS: i32 = 2;
