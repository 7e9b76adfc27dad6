//! `MarketDataService`: one stream for many contracts, snapshots, option calculations.

use std::sync::Arc;

use ibouncer_core::calls::Asked;
use ibouncer_core::error::{self, Error};
use ibouncer_core::hub::{Input, Manner, Reply};
use ibouncer_core::ids::StreamId;
use ibouncer_core::lines::wanted::Wanted;
use ibouncer_proto::api::v1::stream_market_data_request::Action;
use ibouncer_proto::api::v1::subscribe::What;
use ibouncer_proto::api::v1::{self as api, StreamMarketDataRequest, Subscribe};
use tokio_stream::StreamExt as _;
use tonic::{Request, Response, Status, Streaming};

use super::admin::unexpected;
use super::codec::Answer;
use super::events::Elsewhere;
use super::reader::Reader;
use super::servers::market_data_service_server::MarketDataService;
use super::status::{status, unreadable};
use super::stream::StreamShared;
use crate::handle::{Command, Handle};

#[tonic::async_trait]
impl MarketDataService for Reader {
    type StreamMarketDataStream = Elsewhere;

    async fn stream_market_data(
        &self,
        request: Request<Streaming<StreamMarketDataRequest>>,
    ) -> Result<Response<Elsewhere>, Status> {
        let caller = self.doorkeeper.admit(&request).await?;
        let events = self.open(caller, false).await?;
        let requests = request.into_inner();
        let (stream, shared) = (events.stream(), events.shared());
        let reader = tokio::spawn(read_requests(requests, stream, self.handle.clone(), shared));
        Ok(events.with_reader(reader.abort_handle()).into_response())
    }

    async fn get_snapshot(
        &self,
        request: Request<api::GetSnapshotRequest>,
    ) -> Result<Response<Answer>, Status> {
        let caller = self.doorkeeper.admit(&request).await?;
        caller.account.admit()?;
        let request = request.into_inner();
        let (feed, accept_fee) = (request.feed, request.accept_fee);
        let body = Box::new(request.request.unwrap_or_default());
        let client = caller.client;
        let made = |call| Input::Snapshot { client, call, request: body, feed, accept_fee };
        match self.handle.call(made).await.map_err(|error| status(&error))? {
            Reply::Snapshot(snapshot) => caller.account.give(Answer::of(&snapshot)),
            other => Err(unexpected(&other)),
        }
    }

    async fn calculate_implied_volatility(
        &self,
        request: Request<api::CalculateImpliedVolatilityRequest>,
    ) -> Result<Response<Answer>, Status> {
        let ask = |asked: api::CalculateImpliedVolatilityRequest| {
            Asked::implied_volatility(asked.request.unwrap_or_default())
        };
        self.answer(request, ask).await
    }

    async fn calculate_option_price(
        &self,
        request: Request<api::CalculateOptionPriceRequest>,
    ) -> Result<Response<Answer>, Status> {
        let ask = |asked: api::CalculateOptionPriceRequest| {
            Asked::option_price(asked.request.unwrap_or_default())
        };
        self.answer(request, ask).await
    }
}

/// The client's half: closing it keeps the subscriptions; nonsense in it ends the stream.
async fn read_requests(
    mut requests: Streaming<StreamMarketDataRequest>,
    stream: StreamId,
    handle: Handle,
    shared: Arc<StreamShared>,
) {
    while let Some(request) = requests.next().await {
        let input = match request {
            Ok(StreamMarketDataRequest { action: Some(Action::Subscribe(subscribe)) }) => {
                let manner = Manner {
                    wait: subscribe.wait_for_line,
                    resumable: subscribe.resumable,
                    resume: subscribe.resume.clone(),
                };
                let subscription = subscribe.subscription_id;
                let wanted = wanted(subscribe).map(Box::new);
                Input::Subscribe { stream, subscription, wanted, manner }
            }
            Ok(StreamMarketDataRequest { action: Some(Action::Unsubscribe(unsubscribe)) }) => {
                Input::Unsubscribe { stream, subscription: unsubscribe.subscription_id }
            }
            Ok(StreamMarketDataRequest { action: None }) => {
                let what = "a request without an action: set subscribe or unsubscribe";
                return shared.end(status(&error::invalid(what)));
            }
            Err(broken) => return shared.end(unreadable(broken)),
        };
        if handle.tell(Command::Input(input)).await.is_err() {
            return shared.end(status(&error::stopping()));
        }
    }
}

fn wanted(subscribe: Subscribe) -> Result<Wanted, Error> {
    match subscribe.what {
        Some(What::Request(request)) => Wanted::market_data(request, subscribe.feed),
        Some(What::MarketDepth(request)) => Wanted::market_depth(request),
        Some(What::TickByTick(request)) => Wanted::tick_by_tick(request),
        Some(What::RealTimeBars(request)) => Wanted::real_time_bars(request),
        None => Err(error::invalid(
            "subscribe names nothing: set request, market_depth, tick_by_tick or real_time_bars",
        )),
    }
}
