//! Streams of market data.
//!
//! One stream carries any number of subscriptions. What arrives comes in batches, each one
//! message of the broker, handed out as the bytes that came: [`events`] walks them without
//! copying or allocating, and types are decoded only where a program asks for them.

mod batch;
mod codec;
mod event;
mod tick;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::Streaming;

use crate::api;
use crate::client::Service;
use crate::error::Error;
use crate::tws::{Contract, MarketDataRequest};

pub use batch::{EventBatch, Events, events};
pub use event::{EventKind, EventRef};
pub use tick::Tick;
pub use wire::Malformed;

/// One subscription of one stream. Numbers count from 1 and are not used twice, so they can
/// index an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub u32);

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "subscription-{}", self.0)
    }
}

/// What to subscribe to: a contract, and which ticks of it.
///
/// Identical requests of any number of programs share one line at Gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct LineRequest(MarketDataRequest);

impl LineRequest {
    /// The default ticks of a contract.
    pub fn new(contract: Contract) -> Self {
        Self(MarketDataRequest { contract: Some(contract), ..MarketDataRequest::default() })
    }

    /// Adds groups of ticks by IB's numbers, joined by commas, for example `"233,236"`.
    pub fn generic_ticks(mut self, list: impl Into<String>) -> Self {
        self.0.generic_tick_list = Some(list.into());
        self
    }

    /// The message itself.
    pub fn into_inner(self) -> MarketDataRequest {
        self.0
    }
}

impl From<Contract> for LineRequest {
    fn from(contract: Contract) -> Self {
        Self::new(contract)
    }
}

impl From<MarketDataRequest> for LineRequest {
    fn from(request: MarketDataRequest) -> Self {
        Self(request)
    }
}

/// Adds and ends subscriptions of one stream; cheap to clone, for use from other tasks.
#[derive(Debug, Clone)]
pub struct Subscriptions {
    requests: mpsc::Sender<api::StreamMarketDataRequest>,
    next_id: Arc<AtomicU32>,
}

impl Subscriptions {
    /// Starts a subscription. Its first event is a SUBSCRIBED mark; if the request is refused,
    /// an ENDED mark with the error.
    pub async fn subscribe(
        &self,
        request: impl Into<LineRequest>,
        feed: api::MarketDataFeed,
    ) -> Result<SubscriptionId, Error> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let subscribe = api::Subscribe {
            subscription_id: id,
            request: Some(request.into().into_inner()),
            feed: feed.into(),
        };
        self.send(api::stream_market_data_request::Action::Subscribe(subscribe)).await?;
        Ok(SubscriptionId(id))
    }

    /// Ends a subscription. Events that are under way still arrive; the last one is an ENDED
    /// mark.
    pub async fn unsubscribe(&self, id: SubscriptionId) -> Result<(), Error> {
        let unsubscribe = api::Unsubscribe { subscription_id: id.0 };
        self.send(api::stream_market_data_request::Action::Unsubscribe(unsubscribe)).await
    }

    async fn send(&self, action: api::stream_market_data_request::Action) -> Result<(), Error> {
        let request = api::StreamMarketDataRequest { action: Some(action) };
        self.requests.send(request).await.map_err(|_| Error::stream_closed())
    }
}

/// An open stream of market data. Dropping it ends its subscriptions.
#[derive(Debug)]
pub struct MarketDataStream {
    subscriptions: Subscriptions,
    batches: Streaming<Bytes>,
}

impl MarketDataStream {
    pub(crate) async fn open(service: Service) -> Result<Self, Error> {
        let (requests, receiver) = mpsc::channel(REQUESTS_UNDER_WAY);
        let mut grpc = tonic::client::Grpc::new(service);
        grpc.ready().await.map_err(|error| tonic::Status::from_error(Box::new(error)))?;
        let answer = grpc
            .streaming(
                tonic::Request::new(ReceiverStream::new(receiver)),
                PathAndQuery::from_static(METHOD),
                codec::BatchCodec,
            )
            .await?;
        Ok(Self {
            subscriptions: Subscriptions { requests, next_id: Arc::new(AtomicU32::new(1)) },
            batches: answer.into_inner(),
        })
    }

    /// As [`Subscriptions::subscribe`].
    pub async fn subscribe(
        &self,
        request: impl Into<LineRequest>,
        feed: api::MarketDataFeed,
    ) -> Result<SubscriptionId, Error> {
        self.subscriptions.subscribe(request, feed).await
    }

    /// As [`Subscriptions::unsubscribe`].
    pub async fn unsubscribe(&self, id: SubscriptionId) -> Result<(), Error> {
        self.subscriptions.unsubscribe(id).await
    }

    /// A handle to subscribe with from other tasks.
    pub fn subscriptions(&self) -> Subscriptions {
        self.subscriptions.clone()
    }

    /// All events that were waiting, at most about 256 KiB; `None` when the broker ended the
    /// stream in good order. May be dropped while it waits: nothing is lost.
    pub async fn next_batch(&mut self) -> Result<Option<EventBatch>, Error> {
        let batch = self.batches.message().await?;
        Ok(batch.map(EventBatch::new))
    }
}

const METHOD: &str = "/ibouncer.v1.MarketDataService/StreamMarketData";

/// Requests that wait for HTTP/2; a sender beyond them waits.
const REQUESTS_UNDER_WAY: usize = 256;
