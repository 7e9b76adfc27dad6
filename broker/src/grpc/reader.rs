//! What all reading services do: check the caller, hand the wish to the hub, give back Gateway's
//! bytes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ibouncer_core::calls::Asked;
use ibouncer_core::error::Error;
use ibouncer_core::hub::{Input, Manner, Reply};
use ibouncer_core::ids::StreamId;
use ibouncer_core::lines::wanted::Wanted;
use ibouncer_core::orders::request::OrderRequest;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::admin::unexpected;
use super::answers::say_waited;
use super::codec::{Answer, Pull};
use super::connection::{Caller, Doorkeeper};
use super::status::status;
use super::stream::StreamShared;
use crate::handle::{Command, Handle};

/// Serves all reading services.
#[derive(Debug, Clone)]
pub struct Reader {
    /// Checks callers.
    pub doorkeeper: Doorkeeper,
    /// The way to the driver.
    pub handle: Handle,
    /// Bytes that wait for one stream before it is conflated.
    pub stream_buffer: usize,
}

impl Reader {
    /// A one-shot request: Gateway's answer, or its error.
    pub(super) async fn answer<T>(
        &self,
        request: Request<T>,
        ask: impl FnOnce(T) -> Result<Asked, Error>,
    ) -> Result<Response<Answer>, Status> {
        let caller = self.doorkeeper.admit(&request).await?;
        caller.account.admit()?;
        let asked = ask(request.into_inner()).map(Box::new);
        let made = |call| Input::Call { client: caller.client, call, asked };
        match self.handle.call(made).await.map_err(|error| status(&error))? {
            Reply::Answer(answer) => caller.account.give(Answer(answer)),
            Reply::Paced(answer, waited) => {
                let mut response = caller.account.give(Answer(answer))?;
                say_waited(&mut response, waited);
                Ok(response)
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Something about orders.
    pub(super) async fn order<T>(
        &self,
        request: Request<T>,
        ask: impl FnOnce(T) -> OrderRequest,
    ) -> Result<Response<Answer>, Status> {
        let caller = self.doorkeeper.admit(&request).await?;
        let request = ask(request.into_inner());
        let made = |call| Input::Order { client: caller.client, call, request };
        match self.handle.call(made).await.map_err(|error| status(&error))? {
            Reply::Answer(answer) => Ok(caller.account.give_surely(Answer(answer))),
            other => Err(unexpected(&other)),
        }
    }

    /// A stream for one subscription, which ends with it.
    pub(super) async fn stream<T>(
        &self,
        request: Request<T>,
        want: impl FnOnce(T) -> Result<Wanted, Error>,
    ) -> Result<Response<Events>, Status> {
        let caller = self.doorkeeper.admit(&request).await?;
        let wanted = want(request.into_inner()).map(Box::new).map_err(|error| status(&error));
        let wanted = Ok(wanted?);
        let events = self.open(caller, true).await?;
        let subscribe = Input::Subscribe {
            stream: events.stream(),
            subscription: 0,
            wanted,
            manner: Manner::default(),
        };
        self.handle.tell(Command::Input(subscribe)).await.map_err(|error| status(&error))?;
        Ok(Response::new(events))
    }

    /// A stream without a subscription yet.
    pub(super) async fn open(&self, caller: Caller, single: bool) -> Result<Events, Status> {
        let stream = StreamId(self.handle.number());
        let shared = StreamShared::new(self.stream_buffer, stream, self.handle.clone());
        let opened = Command::OpenStream(caller.client, stream, single, Arc::clone(&shared));
        self.handle.tell(opened).await.map_err(|error| status(&error))?;
        let guard = StreamGuard { handle: self.handle.clone(), stream, _caller: caller };
        Ok(Events { shared, over: false, reader: None, guard })
    }
}

/// The response body: pulls from the stream's queue.
#[derive(Debug)]
pub struct Events {
    shared: Arc<StreamShared>,
    over: bool,
    /// Reads what the client says meanwhile, if it may say anything.
    reader: Option<tokio::task::AbortHandle>,
    guard: StreamGuard,
}

impl Events {
    pub(super) fn stream(&self) -> StreamId {
        self.guard.stream
    }

    pub(super) fn shared(&self) -> Arc<StreamShared> {
        Arc::clone(&self.shared)
    }

    /// This task ends with the stream.
    pub(super) fn with_reader(mut self, reader: tokio::task::AbortHandle) -> Self {
        self.reader = Some(reader);
        self
    }
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

/// Ends the task that reads, if there is one.
impl Drop for Events {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            reader.abort();
        }
    }
}
