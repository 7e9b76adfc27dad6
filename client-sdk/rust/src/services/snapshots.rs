//! Market data in one answer: snapshots, and what Gateway computes of options.

use super::{Answer, present};
use crate::api;
use crate::api::subscribe::What;
use crate::client::{Client, LARGEST_ANSWER, Service};
use crate::error::Error;
use crate::market_data::LineRequest;
use crate::stubs::market_data_service_client::MarketDataServiceClient;
use crate::tws;

impl Client {
    /// One snapshot of quotes: the last value of each tick type. Gateway takes up to 11 s for
    /// it.
    pub async fn snapshot(
        &self,
        request: impl Into<LineRequest>,
        feed: api::MarketDataFeed,
    ) -> Result<Vec<api::MarketDataEvent>, Error> {
        let request = Some(quotes(request)?);
        self.collect(api::GetSnapshotRequest { request, feed: feed.into(), accept_fee: false })
            .await
    }

    /// A snapshot of the whole US market, for which IB takes a fee (0.01 USD) each time: refused
    /// unless `accept_fee` is true. At most one a second.
    pub async fn regulatory_snapshot(
        &self,
        request: impl Into<LineRequest>,
        accept_fee: bool,
    ) -> Result<Vec<api::MarketDataEvent>, Error> {
        let mut request = quotes(request)?;
        request.regulatory_snapshot = Some(true);
        let feed = api::MarketDataFeed::Unspecified.into();
        self.collect(api::GetSnapshotRequest { request: Some(request), feed, accept_fee }).await
    }

    /// Implied volatility of an option at a price (TWS: calculateImpliedVolatility).
    pub async fn implied_volatility(
        &self,
        option: tws::Contract,
        option_price: f64,
        underlying_price: f64,
    ) -> Result<Answer<tws::TickOptionComputation>, Error> {
        let request = tws::CalculateImpliedVolatilityRequest {
            contract: Some(option),
            option_price: Some(option_price),
            under_price: Some(underlying_price),
            ..Default::default()
        };
        let request = api::CalculateImpliedVolatilityRequest { request: Some(request) };
        let answer = stub(self.service()).calculate_implied_volatility(request).await?;
        let answer = answer.into_inner();
        let value = present(answer.option_computation, "a computation")?;
        Ok(Answer { value, notices: answer.notices })
    }

    /// Price of an option at a volatility (TWS: calculateOptionPrice).
    pub async fn option_price(
        &self,
        option: tws::Contract,
        volatility: f64,
        underlying_price: f64,
    ) -> Result<Answer<tws::TickOptionComputation>, Error> {
        let request = tws::CalculateOptionPriceRequest {
            contract: Some(option),
            volatility: Some(volatility),
            under_price: Some(underlying_price),
            ..Default::default()
        };
        let request = api::CalculateOptionPriceRequest { request: Some(request) };
        let answer = stub(self.service()).calculate_option_price(request).await?.into_inner();
        let value = present(answer.option_computation, "a computation")?;
        Ok(Answer { value, notices: answer.notices })
    }

    async fn collect(
        &self,
        request: api::GetSnapshotRequest,
    ) -> Result<Vec<api::MarketDataEvent>, Error> {
        Ok(stub(self.service()).get_snapshot(request).await?.into_inner().events)
    }
}

/// Snapshots are of quotes alone.
fn quotes(request: impl Into<LineRequest>) -> Result<tws::MarketDataRequest, Error> {
    match request.into().into_inner().what {
        Some(What::Request(request)) => Ok(request),
        _ => Err(Error::invalid("a snapshot is of quotes, not of a book, ticks or bars")),
    }
}

fn stub(service: Service) -> MarketDataServiceClient<Service> {
    MarketDataServiceClient::new(service).max_decoding_message_size(LARGEST_ANSWER)
}
