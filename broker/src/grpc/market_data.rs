//! `MarketDataService`: one stream for many contracts, and snapshots.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ibouncer_core::error;
use ibouncer_core::hub::{Input, Reply};
use ibouncer_core::ids::StreamId;
use ibouncer_proto::api::v1::stream_market_data_request::Action;
use ibouncer_proto::api::v1::{GetSnapshotRequest, GetSnapshotResponse, StreamMarketDataRequest};
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

use super::admin::unexpected;
use super::codec::Pull;
use super::connection::{Caller, Doorkeeper};
use super::servers::market_data_service_server::MarketDataService;
use super::status::{status, unreadable};
use super::stream::StreamShared;
use crate::handle::{Command, Handle};

/// The service.
#[derive(Debug, Clone)]
pub struct MarketData {
    /// Checks callers.
    pub doorkeeper: Doorkeeper,
    /// The way to the driver.
    pub handle: Handle,
    /// Bytes that wait for one stream before it is conflated.
    pub stream_buffer: usize,
}

#[tonic::async_trait]
impl MarketDataService for MarketData {
    type StreamMarketDataStream = Events;

    async fn stream_market_data(
        &self,
        request: Request<Streaming<StreamMarketDataRequest>>,
    ) -> Result<Response<Events>, Status> {
        let caller = self.doorkeeper.admit(&request).await?;
        let stream = StreamId(self.handle.number());
        let shared = StreamShared::new(self.stream_buffer);
        let opened = Command::OpenStream(caller.client, stream, Arc::clone(&shared));
        self.handle.tell(opened).await.map_err(|error| status(&error))?;
        let guard = StreamGuard { handle: self.handle.clone(), stream, _caller: caller };
        let requests = request.into_inner();
        let reader =
            tokio::spawn(read_requests(requests, stream, self.handle.clone(), shared.clone()));
        Ok(Response::new(Events {
            shared,
            over: false,
            reader: reader.abort_handle(),
            _guard: guard,
        }))
    }

    async fn get_snapshot(
        &self,
        request: Request<GetSnapshotRequest>,
    ) -> Result<Response<GetSnapshotResponse>, Status> {
        let caller = self.doorkeeper.admit(&request).await?;
        let request = request.into_inner();
        let feed = request.feed;
        let body = request.request.unwrap_or_default();
        let reply = self
            .handle
            .call(|call| Input::Snapshot {
                client: caller.client,
                call,
                request: Box::new(body),
                feed,
            })
            .await
            .map_err(|error| status(&error))?;
        match reply {
            Reply::Snapshot(snapshot) => Ok(Response::new(snapshot)),
            other => Err(unexpected(&other)),
        }
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
                Input::Subscribe {
                    stream,
                    subscription: subscribe.subscription_id,
                    request: Box::new(subscribe.request.unwrap_or_default()),
                    feed: subscribe.feed,
                }
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

/// The response body: pulls from the stream's queue.
#[derive(Debug)]
pub struct Events {
    shared: Arc<StreamShared>,
    over: bool,
    reader: tokio::task::AbortHandle,
    _guard: StreamGuard,
}

impl Stream for Events {
    type Item = Result<Pull, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let next = self.shared.poll(context);
        if let Poll::Ready(Err(_)) = &next {
            self.over = true;
        }
        next.map(|next| Some(next.map(|()| Pull(Arc::clone(&self.shared)))))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Tells the hub when the stream is gone, before its client may be.
#[derive(Debug)]
struct StreamGuard {
    handle: Handle,
    stream: StreamId,
    _caller: Caller,
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        let stream = self.stream;
        self.handle.tell_later(Command::Input(Input::StreamClosed { stream }));
    }
}
