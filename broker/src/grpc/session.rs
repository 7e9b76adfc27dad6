//! `SessionService`: status now, status as it changes, waiting for READY, and what concerns the
//! session as a whole.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use ibouncer_core::calls::Asked;
use ibouncer_core::orders::request::OrderRequest;
use ibouncer_proto::api::v1::{
    GetCurrentTimeRequest, GetCurrentTimeResponse, GetGatewayConfigurationRequest,
    GetGatewayConfigurationResponse, GetQueueRequest, GetQueueResponse, GetStatusRequest,
    GetStatusResponse, SessionState, Status as SessionStatus, Transition, WaitReadyRequest,
    WaitReadyResponse, WatchStatusRequest, WatchStatusResponse, WhoAmIRequest, WhoAmIResponse,
};
use prost::Message;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::codec::Answer;
use super::reader::Reader;
use super::servers::session_service_server::SessionService;
use super::status::status;
use crate::handle::Command;

/// Wait of a WaitReady without a timeout, and the longest there is.
const DEFAULT_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// The service.
#[derive(Debug, Clone)]
pub struct Session {
    /// Checks callers, and knows the way to the driver.
    pub reader: Reader,
}

impl Session {
    async fn now(&self) -> Result<SessionStatus, Status> {
        let current =
            self.reader.handle.ask(Command::Status).await.map_err(|error| status(&error))?;
        Ok(SessionStatus::clone(&current))
    }
}

#[tonic::async_trait]
impl SessionService for Session {
    async fn get_status(
        &self,
        request: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        self.reader.doorkeeper.admit(&request).await?;
        Ok(Response::new(GetStatusResponse { status: Some(self.now().await?) }))
    }

    type WatchStatusStream =
        Pin<Box<dyn Stream<Item = Result<WatchStatusResponse, Status>> + Send>>;

    async fn watch_status(
        &self,
        request: Request<WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        let caller = self.reader.doorkeeper.admit(&request).await?;
        let mut published = self.reader.handle.published();
        let mut seen = newest(&published.borrow_and_update().transitions);
        let first = WatchStatusResponse { status: Some(self.now().await?), transitions: vec![] };
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        tokio::spawn(async move {
            // The client is known as long as it watches.
            let _caller = caller;
            if sender.send(Ok(first)).await.is_err() {
                return;
            }
            loop {
                let changed = tokio::select! {
                    changed = published.changed() => changed,
                    () = sender.closed() => return,
                };
                if changed.is_err() {
                    let error = ibouncer_core::error::stopping();
                    let _ = sender.send(Err(status(&error))).await;
                    return;
                }
                let response = {
                    let current = published.borrow_and_update();
                    let transitions = since(&current.transitions, seen);
                    seen = newest(&current.transitions);
                    let current = SessionStatus::clone(&current.status);
                    WatchStatusResponse { status: Some(current), transitions }
                };
                if sender.send(Ok(response)).await.is_err() {
                    return;
                }
            }
        });
        let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
        Ok(Response::new(Box::pin(stream)))
    }

    async fn wait_ready(
        &self,
        request: Request<WaitReadyRequest>,
    ) -> Result<Response<WaitReadyResponse>, Status> {
        let _caller = self.reader.doorkeeper.admit(&request).await?;
        let timeout = match request.get_ref().timeout {
            None => DEFAULT_WAIT,
            Some(timeout) => Duration::try_from(timeout).map_err(|_| {
                let what = "timeout is negative: use 0 s or more";
                status(&ibouncer_core::error::invalid(what))
            })?,
        };
        let mut published = self.reader.handle.published();
        let ready = published.wait_for(|current| is_ready(&current.status));
        // A timeout is an answer; only a broker that goes away is an error.
        if let Ok(Err(_)) = tokio::time::timeout(timeout.min(LONGEST_WAIT), ready).await {
            return Err(status(&ibouncer_core::error::stopping()));
        }
        let current = self.now().await?;
        let ready = is_ready(&current);
        Ok(Response::new(WaitReadyResponse { ready, status: Some(current) }))
    }

    async fn get_queue(
        &self,
        request: Request<GetQueueRequest>,
    ) -> Result<Response<GetQueueResponse>, Status> {
        self.reader.doorkeeper.admit(&request).await?;
        let client = request.into_inner().client;
        let queue = self.reader.handle.ask(|answer| Command::Queue(client, answer)).await;
        Ok(Response::new(queue.map_err(|error| status(&error))?))
    }

    async fn get_current_time(
        &self,
        request: Request<GetCurrentTimeRequest>,
    ) -> Result<Response<GetCurrentTimeResponse>, Status> {
        typed(self.reader.answer(request, |_| Ok(Asked::current_time())).await?)
    }

    async fn get_gateway_configuration(
        &self,
        request: Request<GetGatewayConfigurationRequest>,
    ) -> Result<Response<GetGatewayConfigurationResponse>, Status> {
        typed(self.reader.answer(request, |_| Ok(Asked::configuration())).await?)
    }

    async fn who_am_i(
        &self,
        request: Request<WhoAmIRequest>,
    ) -> Result<Response<WhoAmIResponse>, Status> {
        typed(self.reader.order(request, |_| OrderRequest::WhoAmI).await?)
    }
}

/// An answer for a service with ordinary codecs.
pub(super) fn typed<T: Message + Default>(answer: Response<Answer>) -> Result<Response<T>, Status> {
    match T::decode(answer.into_inner().0) {
        Ok(answer) => Ok(Response::new(answer)),
        Err(_) => Err(status(&ibouncer_core::error::unreadable_answer())),
    }
}

fn is_ready(status: &SessionStatus) -> bool {
    status.state() == SessionState::Ready
}

fn newest(transitions: &VecDeque<(u64, Transition)>) -> u64 {
    transitions.back().map_or(0, |(number, _)| *number)
}

fn since(transitions: &VecDeque<(u64, Transition)>, seen: u64) -> Vec<Transition> {
    let unseen = transitions.iter().filter(|(number, _)| *number > seen);
    unseen.map(|(_, transition)| transition.clone()).collect()
}
