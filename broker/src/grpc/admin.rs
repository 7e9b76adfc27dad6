//! `AdminService`: who uses the session, and orders to the broker.

use ibouncer_core::error;
use ibouncer_core::hub::{Input, Reply};
use ibouncer_eyes::view;
use ibouncer_proto::api::v1::{
    HandOverRequest, HandOverResponse, HoldSessionRequest, HoldSessionResponse, ListClientsRequest,
    ListClientsResponse, ListConnectionsRequest, ListConnectionsResponse, ListLinesRequest,
    ListLinesResponse, ReleaseSessionRequest, ReleaseSessionResponse, RestartWorkerRequest,
    RestartWorkerResponse, RetryRequest, RetryResponse, WatchEventsRequest, WatchEventsResponse,
};
use tonic::{Request, Response, Status};

use super::connection::Doorkeeper;
use super::servers::admin_service_server::AdminService;
use super::status::status;
use crate::handle::{Command, Handle};

/// Longest reason that is kept.
const LONGEST_REASON: usize = 500;

/// The service.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Checks callers.
    pub doorkeeper: Doorkeeper,
    /// The way to the driver.
    pub handle: Handle,
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn list_clients(
        &self,
        request: Request<ListClientsRequest>,
    ) -> Result<Response<ListClientsResponse>, Status> {
        self.doorkeeper.admit_admin(&request).await?;
        let clients = self.handle.ask(Command::Clients).await.map_err(|error| status(&error))?;
        Ok(Response::new(ListClientsResponse { clients }))
    }

    async fn list_lines(
        &self,
        request: Request<ListLinesRequest>,
    ) -> Result<Response<ListLinesResponse>, Status> {
        self.doorkeeper.admit_admin(&request).await?;
        let lines = self.handle.ask(Command::Lines).await.map_err(|error| status(&error))?;
        Ok(Response::new(ListLinesResponse { lines }))
    }

    async fn restart_worker(
        &self,
        request: Request<RestartWorkerRequest>,
    ) -> Result<Response<RestartWorkerResponse>, Status> {
        self.doorkeeper.admit_admin(&request).await?;
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
        self.doorkeeper.admit_admin(&request).await?;
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
        _request: Request<HoldSessionRequest>,
    ) -> Result<Response<HoldSessionResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn release_session(
        &self,
        _request: Request<ReleaseSessionRequest>,
    ) -> Result<Response<ReleaseSessionResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn hand_over(
        &self,
        _request: Request<HandOverRequest>,
    ) -> Result<Response<HandOverResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn list_connections(
        &self,
        request: Request<ListConnectionsRequest>,
    ) -> Result<Response<ListConnectionsResponse>, Status> {
        self.doorkeeper.admit_admin(&request).await?;
        let observed =
            self.handle.ask(Command::Connections).await.map_err(|error| status(&error))?;
        Ok(Response::new(view::response(&observed.sight, &observed.short)))
    }

    type WatchEventsStream = std::pin::Pin<
        Box<dyn tokio_stream::Stream<Item = Result<WatchEventsResponse, Status>> + Send>,
    >;

    async fn watch_events(
        &self,
        _request: Request<WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        Err(Status::unimplemented("not yet"))
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

pub(super) fn unexpected(reply: &Reply) -> Status {
    tracing::error!(?reply, "the hub gave the answer of another call");
    Status::internal("the broker gave the answer of another call; please report this")
}
