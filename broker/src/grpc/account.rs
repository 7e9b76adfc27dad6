//! `AccountService`: the accounts of the session.

use ibouncer_core::status::is_paper;
use ibouncer_proto::api::v1::{Account, ListAccountsRequest, ListAccountsResponse};
use tonic::{Request, Response, Status};

use super::connection::Doorkeeper;
use super::servers::account_service_server::AccountService;
use super::status::status;
use crate::handle::{Command, Handle};

/// The service.
#[derive(Debug, Clone)]
pub struct Accounts {
    /// Checks callers.
    pub doorkeeper: Doorkeeper,
    /// The way to the driver.
    pub handle: Handle,
}

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn list_accounts(
        &self,
        request: Request<ListAccountsRequest>,
    ) -> Result<Response<ListAccountsResponse>, Status> {
        self.doorkeeper.admit(&request).await?;
        let accounts = self.handle.ask(Command::Accounts).await;
        let accounts = accounts.and_then(|accounts| accounts).map_err(|error| status(&error))?;
        let accounts = accounts
            .into_iter()
            .map(|account| Account { paper: is_paper(&account), account })
            .collect();
        Ok(Response::new(ListAccountsResponse { accounts }))
    }
}
