//! Market data with fixed answers: a quote, or a book of three rows.

use std::sync::Arc;

use ibouncer_client::api::market_data_event::Body;
use ibouncer_client::api::stream_market_data_request::Action;
use ibouncer_client::api::subscribe::What;
use ibouncer_client::{api, tws};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::stubs::market_data_service_server;
use super::{Answer, Answers, Calls, explained};

#[tonic::async_trait]
impl market_data_service_server::MarketDataService for Calls {
    type StreamMarketDataStream = Answers<api::StreamMarketDataResponse>;

    async fn stream_market_data(
        &self,
        request: Request<Streaming<api::StreamMarketDataRequest>>,
    ) -> Answer<Self::StreamMarketDataStream> {
        let mut requests = request.into_inner();
        let (answers, receiver) = mpsc::channel(8);
        let seen = Arc::clone(&self.1);
        tokio::spawn(async move {
            while let Some(Ok(request)) = requests.next().await {
                if let Some(Action::Subscribe(subscribe)) = &request.action {
                    seen.lock().unwrap().push(subscribe.clone());
                }
                if answers.send(Ok(answer(request))).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn get_snapshot(
        &self,
        _: Request<api::GetSnapshotRequest>,
    ) -> Answer<api::GetSnapshotResponse> {
        Err(no_such_security())
    }

    async fn calculate_implied_volatility(
        &self,
        _: Request<api::CalculateImpliedVolatilityRequest>,
    ) -> Answer<api::CalculateImpliedVolatilityResponse> {
        let computed = tws::TickOptionComputation { implied_vol: Some(0.25), ..Default::default() };
        let answer = api::CalculateImpliedVolatilityResponse {
            option_computation: Some(computed),
            ..Default::default()
        };
        Ok(Response::new(answer))
    }

    async fn calculate_option_price(
        &self,
        _: Request<api::CalculateOptionPriceRequest>,
    ) -> Answer<api::CalculateOptionPriceResponse> {
        Ok(Response::new(api::CalculateOptionPriceResponse::default()))
    }
}

pub(super) fn no_such_security() -> Status {
    explained(
        Code::NotFound,
        "No security definition has been found for the request",
        &[
            ("ibouncer-code", "GATEWAY_ERROR"),
            ("ibouncer-source", "upstream"),
            ("ibouncer-retry", "never"),
            ("ibouncer-gateway-code", "200"),
        ],
    )
}

fn answer(request: api::StreamMarketDataRequest) -> api::StreamMarketDataResponse {
    let event = |subscription_id, body| api::MarketDataEvent {
        subscription_id,
        sequence: 7,
        replayed: true,
        body: Some(body),
        ..Default::default()
    };
    let mark = |kind: api::MarkKind| {
        let line = "b1-line-1".to_owned();
        Body::Mark(api::StreamMark { kind: kind.into(), line, ..Default::default() })
    };
    let events = match request.action.unwrap() {
        Action::Subscribe(api::Subscribe {
            subscription_id,
            what: Some(What::MarketDepth(_)),
            ..
        }) => {
            let row = |position, side, price| {
                let data = tws::MarketDepthData {
                    position: Some(position),
                    operation: Some(0),
                    side: Some(side),
                    price: Some(price),
                    size: Some("10".into()),
                    ..Default::default()
                };
                let depth = tws::MarketDepth { market_depth_data: Some(data), req_id: None };
                event(subscription_id, Body::MarketDepth(depth))
            };
            vec![
                event(subscription_id, mark(api::MarkKind::Subscribed)),
                event(subscription_id, mark(api::MarkKind::Reset)),
                row(0, 1, 99.0),
                row(1, 1, 98.0),
                row(0, 0, 101.0),
            ]
        }
        Action::Subscribe(subscribe) => {
            let price = tws::TickPrice {
                req_id: Some(1_500_000_000),
                tick_type: Some(1),
                price: Some(189.12),
                size: Some("300".into()),
                attr_mask: Some(0),
            };
            vec![
                event(subscribe.subscription_id, mark(api::MarkKind::Subscribed)),
                event(subscribe.subscription_id, Body::TickPrice(price)),
            ]
        }
        Action::Unsubscribe(unsubscribe) => {
            vec![event(unsubscribe.subscription_id, mark(api::MarkKind::Ended))]
        }
    };
    api::StreamMarketDataResponse { events }
}
