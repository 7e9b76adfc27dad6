//! The body of a stream's response, which takes messages from the stream's queue.

use std::convert::Infallible;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;
use ibouncer_core::hub::Input;
use ibouncer_core::ids::StreamId;
use tokio::task::AbortHandle;
use tonic::{Response, Status};

use super::bodies::trailers;
use super::codec::Answer;
use super::connection::Caller;
use super::standing::Lost;
use super::stream::StreamShared;
use crate::handle::Command;

/// What tonic is given for a stream whose body is ours: see [`super::bodies`].
pub type Elsewhere = tokio_stream::Empty<Result<Answer, Status>>;

/// An open stream of a client. With it the stream ends, and who reads the client's half of it.
#[derive(Debug)]
pub struct Events {
    shared: Arc<StreamShared>,
    stream: StreamId,
    /// Reads what the client says meanwhile, if it may say anything.
    reader: Option<AbortHandle>,
    /// Known to the hub until it knows that the stream is gone.
    caller: Caller,
}

impl Events {
    pub(super) fn new(shared: Arc<StreamShared>, stream: StreamId, caller: Caller) -> Self {
        Self { shared, stream, reader: None, caller }
    }

    pub(super) fn stream(&self) -> StreamId {
        self.stream
    }

    pub(super) fn shared(&self) -> Arc<StreamShared> {
        Arc::clone(&self.shared)
    }

    /// This task ends with the stream.
    pub(super) fn with_reader(mut self, reader: AbortHandle) -> Self {
        self.reader = Some(reader);
        self
    }

    /// A response with this for its body.
    pub(super) fn into_response(self) -> Response<Elsewhere> {
        let mut response = Response::new(tokio_stream::empty());
        response.extensions_mut().insert(Arc::new(self));
        response
    }

    pub(super) fn body(self: Arc<Self>) -> EventsBody {
        let lost = self.caller.lost();
        EventsBody { events: self, lost, over: false }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            reader.abort();
        }
        let closed = Input::StreamClosed { stream: self.stream };
        self.caller.connection.handle().tell_later(Command::Input(closed));
    }
}

/// The body.
#[derive(Debug)]
pub(super) struct EventsBody {
    events: Arc<Events>,
    lost: Lost,
    over: bool,
}

impl http_body::Body for EventsBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.over {
            return Poll::Ready(None);
        }
        // First: what waits in the stream is not for this caller any more.
        if let Poll::Ready(status) = Pin::new(&mut self.lost).poll(context) {
            self.events.shared.evict(status);
        }
        let frame = match ready!(self.events.shared.poll(context)) {
            Ok(message) => Frame::data(message),
            Err(status) => Frame::trailers(trailers(&status)),
        };
        self.over = frame.is_trailers();
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }
}
