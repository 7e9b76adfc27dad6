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
mod depth;
mod event;
mod request;
mod single_tick;
mod tick;
mod wanted;
mod wire;

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::Streaming;

use crate::api;
use crate::api::stream_market_data_request::Action;
use crate::client::{LARGEST_ANSWER, Service};
use crate::error::Error;
use crate::reconnect::{ENDED, Finder, Pause, is_away, is_final, why_stale};

use wanted::Wanted;

pub use batch::{EventBatch, Events, events};
pub use depth::{DepthChange, Operation, Side};
pub use event::{EventKind, EventRef};
pub use request::{LineRequest, TickKind};
pub use single_tick::SingleTick;
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
    /// Starts a subscription to quotes. Its first event is a SUBSCRIBED mark, or QUEUED if it
    /// waits for a line; if the request is refused, an ENDED mark with the error.
    pub async fn subscribe(
        &self,
        request: impl Into<LineRequest>,
        feed: api::MarketDataFeed,
    ) -> Result<SubscriptionId, Error> {
        self.subscribe_to(request.into().feed(feed)).await
    }

    /// As [`subscribe`](Self::subscribe), to anything: a book, tick-by-tick data, bars.
    pub async fn subscribe_to(
        &self,
        request: impl Into<LineRequest>,
    ) -> Result<SubscriptionId, Error> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let request = request.into().into_inner();
        let subscribe = api::Subscribe { subscription_id: id, ..request };
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
        // One that is gone is noticed by whoever reads, and asked for anew.
        let _ = way.send(request(action)).await;
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

impl MarketDataStream {
    pub(crate) async fn open(service: Service, finder: Option<Finder>) -> Result<Self, Error> {
        let (requests, receiver) = mpsc::channel(REQUESTS_UNDER_WAY);
        let batches = open(service, Vec::new(), receiver).await?;
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

    /// As [`Subscriptions::subscribe_to`].
    pub async fn subscribe_to(
        &self,
        request: impl Into<LineRequest>,
    ) -> Result<SubscriptionId, Error> {
        self.subscriptions.subscribe_to(request).await
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
                if self.finder.is_none() {
                    return Ok(None);
                }
                self.come_back().await?;
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
                Ok(None) => ENDED.to_owned(),
                Err(status) => {
                    let error = Error::from(status);
                    if self.finder.is_none() || !is_away(&error) {
                        return Err(error);
                    }
                    why_stale(&error)
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
    async fn come_back(&mut self) -> Result<(), Error> {
        let Some(finder) = &self.finder else {
            return Err(Error::stream_closed());
        };
        self.pause.wait().await;
        let Some(service) = finder.look().await else {
            return Ok(());
        };
        // From here on others add to them through the channel.
        let (requests, receiver) = mpsc::channel(REQUESTS_UNDER_WAY);
        let wanted = {
            let mut shared = self.subscriptions.lock();
            shared.requests = Some(requests);
            shared.wanted.requests()
        };
        match open(service, wanted, receiver).await {
            Ok(batches) => self.batches = Some(batches),
            Err(error) => {
                self.subscriptions.lock().requests = None;
                if is_final(&error) {
                    self.finder = None;
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

impl Drop for MarketDataStream {
    fn drop(&mut self) {
        let mut shared = self.subscriptions.lock();
        shared.closed = true;
        shared.requests = None;
    }
}

/// Opens a stream that asks for `wanted` at first.
async fn open(
    service: Service,
    wanted: Vec<api::Subscribe>,
    requests: mpsc::Receiver<api::StreamMarketDataRequest>,
) -> Result<Streaming<Bytes>, Error> {
    let wanted = wanted.into_iter().map(|subscribe| request(Action::Subscribe(subscribe)));
    let requests = tokio_stream::iter(wanted).chain(ReceiverStream::new(requests));
    let mut grpc = tonic::client::Grpc::new(service).max_decoding_message_size(LARGEST_ANSWER);
    grpc.ready().await.map_err(|error| tonic::Status::from_error(Box::new(error)))?;
    let answer = grpc
        .streaming(
            tonic::Request::new(requests),
            PathAndQuery::from_static(METHOD),
            codec::BatchCodec,
        )
        .await?;
    Ok(answer.into_inner())
}

fn request(action: Action) -> api::StreamMarketDataRequest {
    api::StreamMarketDataRequest { action: Some(action) }
}

const METHOD: &str = "/ibouncer.v1.MarketDataService/StreamMarketData";

/// Requests that wait for HTTP/2; a sender beyond them waits.
const REQUESTS_UNDER_WAY: usize = 256;
