//! `AdminService`: who uses the session, and orders to the broker.

use std::path::PathBuf;
use std::pin::Pin;

use bytes::Bytes;
use ibouncer_core::error;
use ibouncer_core::hub::{Input, Reply};
use ibouncer_core::orders::request::OrderRequest;
use ibouncer_eyes::view;
use ibouncer_proto::api::v1::{
    AdoptTradingStateRequest, AdoptTradingStateResponse, CancelEveryOrderRequest,
    CancelEveryOrderResponse, HaltTradingRequest, HaltTradingResponse, HandOverRequest,
    HandOverResponse, HoldSessionRequest, HoldSessionResponse, ListClientsRequest,
    ListClientsResponse, ListConnectionsRequest, ListConnectionsResponse, ListLinesRequest,
    ListLinesResponse, ReleaseSessionRequest, ReleaseSessionResponse, ResolveOrderRequest,
    ResolveOrderResponse, RestartWorkerRequest, RestartWorkerResponse, ResumeTradingRequest,
    ResumeTradingResponse, RetryRequest, RetryResponse, WatchEventsRequest, WatchEventsResponse,
};
use prost::Message;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::connection::{Doorkeeper, Rights};
use super::servers::admin_service_server::AdminService;
use super::standing::WhileItStands;
use super::status::status;
use crate::handle::{Command, Handle};
use crate::handover::{Proof, own_path, prove};

/// Longest reason that is kept.
const LONGEST_REASON: usize = 500;

/// The service.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Checks callers.
    pub doorkeeper: Doorkeeper,
    /// The way to the driver.
    pub handle: Handle,
    /// What a binary must prove that takes over from us.
    pub proof: Proof,
}

impl Admin {
    /// An operator's word about orders; the desk checks the reason, and audits it.
    async fn order<T, R: Message + Default>(
        &self,
        request: Request<T>,
        made: impl FnOnce(T) -> OrderRequest,
    ) -> Result<Response<R>, Status> {
        // Who may is the desk's to say, so that a refusal is audited.
        let caller = self.doorkeeper.admit(&request).await?;
        let request = made(request.into_inner());
        let input = |call| Input::Order { client: caller.client, call, request };
        match self.handle.call(input).await.map_err(|error| status(&error))? {
            Reply::Answer(answer) => Ok(Response::new(typed(answer)?)),
            other => Err(unexpected(&other)),
        }
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn list_clients(
        &self,
        request: Request<ListClientsRequest>,
    ) -> Result<Response<ListClientsResponse>, Status> {
        self.doorkeeper.admit_admin(&request, "ListClients").await?;
        let clients = self.handle.ask(Command::Clients).await.map_err(|error| status(&error))?;
        Ok(Response::new(ListClientsResponse { clients }))
    }

    async fn list_lines(
        &self,
        request: Request<ListLinesRequest>,
    ) -> Result<Response<ListLinesResponse>, Status> {
        let caller = self.doorkeeper.admit_admin(&request, "ListLines").await?;
        let lines = self.handle.ask(|answer| Command::Lines(caller.client, answer)).await;
        let lines = lines.map_err(|error| status(&error))?;
        Ok(Response::new(ListLinesResponse { lines }))
    }

    async fn restart_worker(
        &self,
        request: Request<RestartWorkerRequest>,
    ) -> Result<Response<RestartWorkerResponse>, Status> {
        self.doorkeeper.admit_admin(&request, "RestartWorker").await?;
        let RestartWorkerRequest { reason, drop_live_session } = request.into_inner();
        let reason = checked_reason(&reason)?;
        if reason.is_empty() {
            return Err(status(&error::invalid("reason is empty: say why the worker is ended")));
        }
        let reply = self
            .handle
            .call(|call| Input::RestartWorker { call, reason, drop_live_session })
            .await
            .map_err(|error| status(&error))?;
        match reply {
            Reply::Restarting(epoch) => Ok(Response::new(RestartWorkerResponse { epoch: epoch.0 })),
            other => Err(unexpected(&other)),
        }
    }

    async fn retry(
        &self,
        request: Request<RetryRequest>,
    ) -> Result<Response<RetryResponse>, Status> {
        self.doorkeeper.admit_admin(&request, "Retry").await?;
        let reason = checked_reason(&request.get_ref().reason)?;
        let reply = self
            .handle
            .call(|call| Input::Retry { call, reason })
            .await
            .map_err(|error| status(&error))?;
        match reply {
            Reply::Retrying => Ok(Response::new(RetryResponse {})),
            other => Err(unexpected(&other)),
        }
    }

    async fn hold_session(
        &self,
        request: Request<HoldSessionRequest>,
    ) -> Result<Response<HoldSessionResponse>, Status> {
        self.doorkeeper.admit_admin(&request, "HoldSession").await?;
        let HoldSessionRequest { reason, drop_live_session } = request.into_inner();
        let reason = checked_reason(&reason)?;
        if reason.is_empty() {
            return Err(status(&error::invalid("reason is empty: say why the session is held")));
        }
        let reply = self
            .handle
            .call(|call| Input::Hold { call, reason, drop_live_session })
            .await
            .map_err(|error| status(&error))?;
        match reply {
            Reply::Held => Ok(Response::new(HoldSessionResponse {})),
            other => Err(unexpected(&other)),
        }
    }

    async fn release_session(
        &self,
        request: Request<ReleaseSessionRequest>,
    ) -> Result<Response<ReleaseSessionResponse>, Status> {
        self.doorkeeper.admit_admin(&request, "ReleaseSession").await?;
        let reason = checked_reason(&request.get_ref().reason)?;
        let reply = self
            .handle
            .call(|call| Input::Release { call, reason })
            .await
            .map_err(|error| status(&error))?;
        match reply {
            Reply::Released => Ok(Response::new(ReleaseSessionResponse {})),
            other => Err(unexpected(&other)),
        }
    }

    async fn hand_over(
        &self,
        request: Request<HandOverRequest>,
    ) -> Result<Response<HandOverResponse>, Status> {
        let caller = self.doorkeeper.admit_admin(&request, "HandOver").await?;
        if !request.get_ref().binary.is_empty() && caller.rights != Rights::Operator {
            // It runs as the broker's user, with all that this one may.
            let why = "another binary is for the broker's own user on its Unix socket, and for its \
                       token, to name";
            return Err(self.doorkeeper.deny(&caller, "HandOver", why).await?);
        }
        let refuse = |what: String| status(&error::invalid(what));
        let binary = match request.get_ref().binary.as_str() {
            "" => {
                own_path().map_err(|error| refuse(format!("find the broker's binary: {error}")))?
            }
            path if path.starts_with('/') => PathBuf::from(path),
            path => return Err(refuse(format!("binary {path:?}: use an absolute path"))),
        };
        let (ours, candidate) = (self.proof.clone(), binary.clone());
        let proven = tokio::task::spawn_blocking(move || prove(&candidate, &ours)).await;
        let proof = proven
            .map_err(|error| Status::internal(error.to_string()))?
            .map_err(|error| status(&error::cannot_hand_over(&crate::chain(&error))))?;
        let epoch = self
            .handle
            .ask(|answer| Command::HandOver(binary, answer))
            .await
            .map_err(|error| status(&error))?;
        Ok(Response::new(HandOverResponse { build: proof.build, epoch }))
    }

    async fn list_connections(
        &self,
        request: Request<ListConnectionsRequest>,
    ) -> Result<Response<ListConnectionsResponse>, Status> {
        self.doorkeeper.admit_admin(&request, "ListConnections").await?;
        let observed =
            self.handle.ask(Command::Connections).await.map_err(|error| status(&error))?;
        Ok(Response::new(view::response(&observed.sight, &observed.short)))
    }

    type WatchEventsStream =
        Pin<Box<dyn Stream<Item = Result<WatchEventsResponse, Status>> + Send>>;

    async fn watch_events(
        &self,
        request: Request<WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let caller = self.doorkeeper.admit_admin(&request, "WatchEvents").await?;
        let lost = caller.lost();
        let WatchEventsRequest { follow, mut after } = request.into_inner();
        let handle = self.handle.clone();
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        tokio::spawn(async move {
            // The client is known as long as it watches.
            let _caller = caller;
            loop {
                let answer = handle.ask(|answer| Command::Events(after, answer)).await;
                let (events, mut newest) = match answer {
                    Ok(answer) => answer,
                    Err(error) => {
                        let _ = sender.send(Err(status(&error))).await;
                        return;
                    }
                };
                after = events.last().map_or(after, |event| event.number);
                let told = sender.send(Ok(WatchEventsResponse { events })).await;
                if told.is_err() || !follow {
                    return;
                }
                tokio::select! {
                    // An error means that the broker ends, which the next question says.
                    _ = newest.wait_for(|newest| *newest > after) => {}
                    () = sender.closed() => return,
                }
            }
        });
        let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
        Ok(Response::new(Box::pin(WhileItStands::new(stream, lost))))
    }

    async fn halt_trading(
        &self,
        request: Request<HaltTradingRequest>,
    ) -> Result<Response<HaltTradingResponse>, Status> {
        self.order(request, OrderRequest::Halt).await
    }

    async fn resume_trading(
        &self,
        request: Request<ResumeTradingRequest>,
    ) -> Result<Response<ResumeTradingResponse>, Status> {
        self.order(request, OrderRequest::Resume).await
    }

    async fn adopt_trading_state(
        &self,
        request: Request<AdoptTradingStateRequest>,
    ) -> Result<Response<AdoptTradingStateResponse>, Status> {
        self.order(request, OrderRequest::AdoptState).await
    }

    async fn resolve_order(
        &self,
        request: Request<ResolveOrderRequest>,
    ) -> Result<Response<ResolveOrderResponse>, Status> {
        self.order(request, OrderRequest::Resolve).await
    }

    async fn cancel_every_order(
        &self,
        request: Request<CancelEveryOrderRequest>,
    ) -> Result<Response<CancelEveryOrderResponse>, Status> {
        self.order(request, OrderRequest::CancelEvery).await
    }
}

/// One line of text for the log.
fn checked_reason(reason: &str) -> Result<String, Status> {
    let reason = reason.trim();
    if reason.len() > LONGEST_REASON || reason.chars().any(char::is_control) {
        let what = format!("reason: use one line of at most {LONGEST_REASON} bytes");
        return Err(status(&error::invalid(what)));
    }
    Ok(reason.to_owned())
}

/// The desk's answer as a message, for what does not hand it on as it is.
pub(super) fn typed<T: Message + Default>(answer: Bytes) -> Result<T, Status> {
    T::decode(answer).map_err(|_| status(&error::unreadable_answer()))
}

pub(super) fn unexpected(reply: &Reply) -> Status {
    tracing::error!(?reply, "the hub gave the answer of another call");
    Status::internal("the broker gave the answer of another call; please report this")
}
