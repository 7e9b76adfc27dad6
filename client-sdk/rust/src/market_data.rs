//! Streams of market data.
//!
//! One stream carries any number of subscriptions. What arrives comes in batches, each one
//! message of the broker, handed out as the bytes that came: [`events`] walks them without
//! copying or allocating, and types are decoded only where a program asks for them.
//!
//! A stream outlives its broker: when that goes away every subscription is told STALE, another
//! broker is looked for, asked for the same, and RESUMED is told once data flows.

mod batch;
mod codec;
mod event;
mod tick;
mod wanted;
mod wire;

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::Streaming;

use crate::api;
use crate::api::stream_market_data_request::Action;
use crate::client::{Client, Service};
use crate::error::Error;
use crate::options::Options;
use crate::tws::{Contract, MarketDataRequest};

use wanted::Wanted;

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
    shared: Arc<Mutex<Shared>>,
    next_id: Arc<AtomicU32>,
}

/// What the stream and its handles share. Never locked across a wait.
#[derive(Debug)]
struct Shared {
    wanted: Wanted,
    /// The way to the broker; `None` while it is away, when what is wanted is only noted.
    requests: Option<mpsc::Sender<api::StreamMarketDataRequest>>,
    /// The stream is gone for good.
    closed: bool,
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
        let way = self.note(|wanted| wanted.add(&subscribe))?;
        send(way, Action::Subscribe(subscribe)).await?;
        Ok(SubscriptionId(id))
    }

    /// Ends a subscription. Events that are under way still arrive; the last one is an ENDED
    /// mark.
    pub async fn unsubscribe(&self, id: SubscriptionId) -> Result<(), Error> {
        let way = self.note(|wanted| wanted.remove(id))?;
        send(way, Action::Unsubscribe(api::Unsubscribe { subscription_id: id.0 })).await
    }

    fn note(&self, note: impl FnOnce(&mut Wanted)) -> Result<Option<Way>, Error> {
        let mut shared = self.lock();
        if shared.closed {
            return Err(Error::stream_closed());
        }
        note(&mut shared.wanted);
        Ok(shared.requests.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Way = mpsc::Sender<api::StreamMarketDataRequest>;

async fn send(way: Option<Way>, action: Action) -> Result<(), Error> {
    // Without a way the next broker is asked.
    if let Some(way) = way {
        let request = api::StreamMarketDataRequest { action: Some(action) };
        // One that is gone is noticed by whoever reads, and asked for anew.
        let _ = way.send(request).await;
    }
    Ok(())
}

/// An open stream of market data. Dropping it ends its subscriptions.
#[derive(Debug)]
pub struct MarketDataStream {
    subscriptions: Subscriptions,
    batches: Option<Streaming<Bytes>>,
    /// How to find another broker; without, the stream ends with its broker.
    finder: Option<Finder>,
    pause: Pause,
}

/// How to find a broker, again and again.
#[derive(Debug, Clone)]
pub(crate) struct Finder {
    pub(crate) options: Options,
}

impl MarketDataStream {
    pub(crate) async fn open(service: Service, finder: Option<Finder>) -> Result<Self, Error> {
        let (requests, batches) = open(service).await?;
        let shared = Shared { wanted: Wanted::default(), requests: Some(requests), closed: false };
        let subscriptions = Subscriptions {
            shared: Arc::new(Mutex::new(shared)),
            next_id: Arc::new(AtomicU32::new(1)),
        };
        Ok(Self { subscriptions, batches: Some(batches), finder, pause: Pause::default() })
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

    /// All events that were waiting, at most about 256 KiB. If the broker goes away, that is a
    /// STALE mark for each subscription, and this waits until another one is there; see
    /// [`Options::reconnect`]. Without reconnecting, `None` when the broker ended the stream in
    /// good order. May be dropped while it waits: nothing is lost.
    pub async fn next_batch(&mut self) -> Result<Option<EventBatch>, Error> {
        loop {
            let Some(batches) = &mut self.batches else {
                self.come_back().await;
                continue;
            };
            let because = match batches.message().await {
                Ok(Some(bytes)) if self.finder.is_none() => {
                    return Ok(Some(EventBatch::new(bytes)));
                }
                Ok(Some(bytes)) => {
                    let sifted = self.subscriptions.lock().wanted.take(bytes);
                    match sifted {
                        Some(batch) => return Ok(Some(batch)),
                        None => continue,
                    }
                }
                Ok(None) if self.finder.is_none() => return Ok(None),
                Ok(None) => "it ended the stream".to_owned(),
                Err(status) => {
                    let error = Error::from(status);
                    let away = error.is_unreachable() || error.code() == Error::STOPPING;
                    if self.finder.is_none() || !away {
                        return Err(error);
                    }
                    error.to_string()
                }
            };
            self.batches = None;
            self.pause = Pause::default();
            let told = {
                let mut shared = self.subscriptions.lock();
                shared.requests = None;
                shared.wanted.lose(&because)
            };
            if told.is_some() {
                return Ok(told);
            }
        }
    }

    /// One try to find another broker, after a pause.
    async fn come_back(&mut self) {
        let Some(finder) = &self.finder else {
            return;
        };
        self.pause.wait().await;
        let Ok(client) = Client::connect(finder.options.clone()).await else {
            return;
        };
        let Ok((requests, batches)) = open(client.service()).await else {
            return;
        };
        let wanted = {
            let mut shared = self.subscriptions.lock();
            shared.requests = Some(requests.clone());
            shared.wanted.requests()
        };
        self.batches = Some(batches);
        for subscribe in wanted {
            // A broker that is gone again is noticed by the next read.
            let _ = send(Some(requests.clone()), Action::Subscribe(subscribe)).await;
        }
    }
}

impl Drop for MarketDataStream {
    fn drop(&mut self) {
        let mut shared = self.subscriptions.lock();
        shared.closed = true;
        shared.requests = None;
    }
}

async fn open(service: Service) -> Result<(Way, Streaming<Bytes>), Error> {
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
    Ok((requests, answer.into_inner()))
}

/// Pauses between tries, from 0.1 to 5 s; each program of a crowd waits another time.
#[derive(Debug, Default)]
struct Pause {
    tries: u32,
    until: Option<tokio::time::Instant>,
}

impl Pause {
    /// Can be dropped and called again.
    async fn wait(&mut self) {
        let until = *self.until.get_or_insert_with(|| {
            let longest = Duration::from_millis(100 << self.tries.min(6)).min(LONGEST_PAUSE);
            tokio::time::Instant::now() + longest.mul_f64(0.5 + 0.5 * fastrand::f64())
        });
        tokio::time::sleep_until(until).await;
        self.tries += 1;
        self.until = None;
    }
}

const LONGEST_PAUSE: Duration = Duration::from_secs(5);

const METHOD: &str = "/ibouncer.v1.MarketDataService/StreamMarketData";

/// Requests that wait for HTTP/2; a sender beyond them waits.
const REQUESTS_UNDER_WAY: usize = 256;
