//! Calls for operators. The broker takes them from its own user's Unix socket, or with an
//! admin token; from anyone else it answers `PERMISSION_DENIED`.

use crate::api;
use crate::client::Service;
use crate::error::Error;
use crate::stubs::admin_service_client::AdminServiceClient;

/// Who uses the session, and orders to the broker.
#[derive(Debug, Clone)]
pub struct Admin {
    stub: AdminServiceClient<Service>,
}

impl Admin {
    pub(crate) fn new(service: Service) -> Self {
        Self { stub: AdminServiceClient::new(service) }
    }

    /// Every connected client.
    pub async fn clients(&self) -> Result<Vec<api::ClientInfo>, Error> {
        let mut stub = self.stub.clone();
        let answer = stub.list_clients(api::ListClientsRequest {}).await?;
        Ok(answer.into_inner().clients)
    }

    /// Every market-data line at Gateway.
    pub async fn lines(&self) -> Result<Vec<api::LineInfo>, Error> {
        let mut stub = self.stub.clone();
        let answer = stub.list_lines(api::ListLinesRequest {}).await?;
        Ok(answer.into_inner().lines)
    }

    /// A look at Gateway's port, taken now: its sockets as the kernel's tables of the broker's
    /// host show them, without a packet, and programs that connect and close again soon.
    pub async fn connections(&self) -> Result<api::ListConnectionsResponse, Error> {
        let mut stub = self.stub.clone();
        let answer = stub.list_connections(api::ListConnectionsRequest {}).await?;
        Ok(answer.into_inner())
    }

    /// Ends the worker; the next one follows at once. Answers with the number of the session
    /// that was ended.
    ///
    /// A READY session is kept, and the call fails, unless `drop_live_session` is true.
    pub async fn restart_worker(
        &self,
        reason: impl Into<String>,
        drop_live_session: bool,
    ) -> Result<u64, Error> {
        let request = api::RestartWorkerRequest { reason: reason.into(), drop_live_session };
        let mut stub = self.stub.clone();
        let answer = stub.restart_worker(request).await?;
        Ok(answer.into_inner().epoch)
    }

    /// Ends waiting with one attempt now. `reason` may be empty; it goes to the log.
    pub async fn retry(&self, reason: impl Into<String>) -> Result<(), Error> {
        let request = api::RetryRequest { reason: reason.into() };
        let mut stub = self.stub.clone();
        stub.retry(request).await?;
        Ok(())
    }
}
