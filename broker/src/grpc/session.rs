//! `SessionService`: status now, status as it changes, waiting for READY, and what concerns the
//! session as a whole.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use ibouncer_core::calls::Asked;
use ibouncer_core::orders::request::OrderRequest;
use ibouncer_proto::api::v1::{
    GetCurrentTimeRequest, GetGatewayConfigurationRequest, GetQueueRequest, GetStatusRequest,
    GetStatusResponse, SessionState, Status as SessionStatus, Transition, WaitReadyRequest,
    WaitReadyResponse, WatchStatusRequest, WatchStatusResponse, WhoAmIRequest,
};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::codec::Answer;
use super::reader::Reader;
use super::servers::session_service_server::SessionService;
use super::standing::WhileItStands;
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
    ) -> Result<Response<Answer>, Status> {
        let caller = self.reader.doorkeeper.admit(&request).await?;
        caller.account.give(Answer::of(&GetStatusResponse { status: Some(self.now().await?) }))
    }

    type WatchStatusStream = Pin<Box<dyn Stream<Item = Result<Answer, Status>> + Send>>;

    async fn watch_status(
        &self,
        request: Request<WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        let caller = self.reader.doorkeeper.admit(&request).await?;
        let lost = caller.lost();
        let mut published = self.reader.handle.published();
        let mut seen = newest(&published.borrow_and_update().transitions);
        let first = WatchStatusResponse { status: Some(self.now().await?), transitions: vec![] };
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        tokio::spawn(async move {
            // The client is known as long as it watches.
            let _caller = caller;
            if sender.send(Ok(Answer::of(&first))).await.is_err() {
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
                if sender.send(Ok(Answer::of(&response))).await.is_err() {
                    return;
                }
            }
        });
        let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
        Ok(Response::new(Box::pin(WhileItStands::new(stream, lost))))
    }

    async fn wait_ready(
        &self,
        request: Request<WaitReadyRequest>,
    ) -> Result<Response<Answer>, Status> {
        let caller = self.reader.doorkeeper.admit(&request).await?;
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
        caller.account.give(Answer::of(&WaitReadyResponse { ready, status: Some(current) }))
    }

    async fn get_queue(
        &self,
        request: Request<GetQueueRequest>,
    ) -> Result<Response<Answer>, Status> {
        let caller = self.reader.doorkeeper.admit(&request).await?;
        caller.account.admit()?;
        let client = request.into_inner().client;
        let asked = |answer| Command::Queue(caller.client, client, answer);
        let queue = self.reader.handle.ask(asked).await;
        caller.account.give(Answer::of(&queue.map_err(|error| status(&error))?))
    }

    async fn get_current_time(
        &self,
        request: Request<GetCurrentTimeRequest>,
    ) -> Result<Response<Answer>, Status> {
        self.reader.answer(request, |_| Ok(Asked::current_time())).await
    }

    async fn get_gateway_configuration(
        &self,
        request: Request<GetGatewayConfigurationRequest>,
    ) -> Result<Response<Answer>, Status> {
        self.reader.answer(request, |_| Ok(Asked::configuration())).await
    }

    async fn who_am_i(&self, request: Request<WhoAmIRequest>) -> Result<Response<Answer>, Status> {
        self.reader.order(request, |_| OrderRequest::WhoAmI).await
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
