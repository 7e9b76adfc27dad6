//! Requests that are well formed and make no sense: each is answered with a typed error, and a
//! stream ends only where no answer fits into it.

use ibouncer_client::api::stream_market_data_request::Action;
use ibouncer_client::api::subscribe::What;
use ibouncer_client::api::{self, MarkKind, market_data_event::Body};
use ibouncer_client::contract;
use ibouncer_client::stubs::market_data_service_client::MarketDataServiceClient;
use ibouncer_tests::harness::wait::{PATIENCE, until_true};
use tonic::Code;

use super::bad_input::check_typed;
use super::ready;
use super::stream::connect;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_method_is_unimplemented() {
    let (_sim, broker) = ready();
    let client = connect(&broker).await;
    let mut grpc = tonic::client::Grpc::new(client.service());
    grpc.ready().await.unwrap();
    let codec: tonic_prost::ProstCodec<api::GetStatusRequest, api::GetStatusResponse> =
        tonic_prost::ProstCodec::default();
    for path in ["/ibouncer.v1.SessionService/NoSuchMethod", "/no.such.Service/Method"] {
        grpc.ready().await.unwrap();
        let request = tonic::Request::new(api::GetStatusRequest {});
        let answer = grpc.unary(request, path.parse().unwrap(), codec.clone()).await;
        assert_eq!(answer.unwrap_err().code(), Code::Unimplemented, "{path}");
    }
}

/// The first number that no subscription may have.
const TOO_LARGE: u32 = 1 << 31;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_subscriptions_end_one_by_one_and_the_stream_goes_on() {
    let (sim, broker) = ready();
    let client = connect(&broker).await;
    let mut stub = MarketDataServiceClient::new(client.service());
    let (requests, receiver) = tokio::sync::mpsc::channel(16);
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers = stub.stream_market_data(stream).await.unwrap().into_inner();
    let stock = || ibouncer_client::tws::MarketDataRequest {
        contract: Some(contract::stock("AAPL")),
        ..Default::default()
    };
    let subscribe = |subscription_id, request: Option<ibouncer_client::tws::MarketDataRequest>| {
        let what = request.map(What::Request);
        Action::Subscribe(api::Subscribe { subscription_id, what, ..Default::default() })
    };
    let regulatory =
        ibouncer_client::tws::MarketDataRequest { regulatory_snapshot: Some(true), ..stock() };
    let odd_feed = Action::Subscribe(api::Subscribe {
        subscription_id: 6,
        what: Some(What::Request(stock())),
        feed: 99,
        ..Default::default()
    });
    let cases = [
        (1, subscribe(1, None), "INVALID_ARGUMENT"),
        (2, subscribe(2, Some(Default::default())), "INVALID_ARGUMENT"),
        (3, subscribe(3, Some(regulatory)), "INVALID_ARGUMENT"),
        (5, subscribe(5, Some(stock())), ""),
        // A live subscription of that id goes on.
        (5, subscribe(5, Some(stock())), "BAD_SUBSCRIPTION_ID"),
        (6, odd_feed, "INVALID_ARGUMENT"),
        (9, Action::Unsubscribe(api::Unsubscribe { subscription_id: 9 }), "BAD_SUBSCRIPTION_ID"),
        (TOO_LARGE, subscribe(TOO_LARGE, Some(stock())), "BAD_SUBSCRIPTION_ID"),
    ];
    for (id, action, code) in cases {
        let request = api::StreamMarketDataRequest { action: Some(action) };
        requests.send(request).await.unwrap();
        let wanted = match code {
            "" => MarkKind::Subscribed,
            "BAD_SUBSCRIPTION_ID" => MarkKind::Refused,
            _ => MarkKind::Ended,
        };
        let search = async {
            loop {
                let answer = answers.message().await.unwrap().expect("the stream goes on");
                for event in answer.events {
                    if let Some(Body::Mark(mark)) = event.body
                        && event.subscription_id == id
                        && mark.kind() == wanted
                    {
                        return mark;
                    }
                }
            }
        };
        let mark = tokio::time::timeout(PATIENCE, search).await.expect("an answer");
        let error = mark.error.unwrap_or_default();
        assert_eq!(error.code, code, "{id}: {error:?}");
        if !code.is_empty() {
            assert_eq!(error.source(), api::ErrorSource::Client);
            assert_eq!(error.retry(), api::ErrorRetry::Never);
        }
    }
    until_true("the good one reached Gateway", PATIENCE, || {
        !sim.requests("REQ_MKT_DATA").is_empty()
    });
    assert_eq!(sim.requests("REQ_MKT_DATA").len(), 1, "nothing bad did");

    // What is no request at all ends the stream.
    let nothing = api::StreamMarketDataRequest { action: None };
    requests.send(nothing).await.unwrap();
    let end = async {
        loop {
            match answers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended without a word"),
                Err(status) => return status,
            }
        }
    };
    let status = tokio::time::timeout(PATIENCE, end).await.unwrap();
    check_typed(&status, Code::InvalidArgument, "INVALID_ARGUMENT", "client", "never");
    until_true("its line is gone", PATIENCE, || broker.status()["lines"]["used"] == 0);
}
