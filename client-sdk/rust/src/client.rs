//! [`Client`]: one connection to the broker, cheap to clone, used from any number of tasks.

use std::time::Duration;

use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::admin::Admin;
use crate::api;
use crate::connect::{self, ConnectError, Target};
use crate::error::Error;
use crate::identity::Identity;
use crate::market_data::{Finder, LineRequest, MarketDataStream};
use crate::options::Options;
use crate::status::{Readiness, StatusStream};
use crate::stubs::account_service_client::AccountServiceClient;
use crate::stubs::market_data_service_client::MarketDataServiceClient;
use crate::stubs::session_service_client::SessionServiceClient;

/// What the stubs are built over: a channel that adds name and credential to each call.
pub type Service = InterceptedService<Channel, Identity>;

/// A connection to the broker.
///
/// Calls reach a broker that came back at the same address; in between they fail with
/// [`Error::is_unreachable`]. Over TCP a new broker has a new token: connect again. Streams of
/// market data do all of that by themselves, see [`Options::reconnect`].
#[derive(Debug, Clone)]
pub struct Client {
    service: Service,
    target: Target,
    options: Options,
}

impl Client {
    /// Finds the broker and connects to it. Fails at once if there is none.
    pub async fn connect(options: Options) -> Result<Self, ConnectError> {
        let connection = connect::open(&options).await?;
        let name = options.client_name.as_deref();
        let identity = Identity::new(name, connection.token.as_deref())
            .ok_or_else(|| ConnectError::BadToken { target: connection.target.clone() })?;
        Ok(Self {
            service: InterceptedService::new(connection.channel, identity),
            target: connection.target,
            options,
        })
    }

    /// The address that answered.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What [`crate::stubs`] are built over.
    pub fn service(&self) -> Service {
        self.service.clone()
    }

    /// The session's status as it is now.
    pub async fn status(&self) -> Result<api::Status, Error> {
        let answer = self.session().get_status(api::GetStatusRequest {}).await?;
        answer.into_inner().status.ok_or_else(no_status)
    }

    /// The status now, then again at every change.
    pub async fn watch_status(&self) -> Result<StatusStream, Error> {
        let stream = self.session().watch_status(api::WatchStatusRequest {}).await?;
        Ok(StatusStream::new(stream.into_inner()))
    }

    /// Waits until the session is READY, for at most `timeout` (the broker allows an hour).
    ///
    /// A timeout is not an error: the answer then says what stands in the way.
    pub async fn wait_ready(&self, timeout: Duration) -> Result<Readiness, Error> {
        let request =
            api::WaitReadyRequest { timeout: prost_types::Duration::try_from(timeout).ok() };
        let answer = self.session().wait_ready(request).await?.into_inner();
        Ok(Readiness { ready: answer.ready, status: answer.status.ok_or_else(no_status)? })
    }

    /// The accounts of the login, in full.
    pub async fn accounts(&self) -> Result<Vec<api::Account>, Error> {
        let mut accounts = AccountServiceClient::new(self.service.clone());
        let answer = accounts.list_accounts(api::ListAccountsRequest {}).await?;
        Ok(answer.into_inner().accounts)
    }

    /// One snapshot: the last value of each tick type. Gateway takes up to 11 s for it.
    pub async fn snapshot(
        &self,
        request: impl Into<LineRequest>,
        feed: api::MarketDataFeed,
    ) -> Result<Vec<api::MarketDataEvent>, Error> {
        let request = api::GetSnapshotRequest {
            request: Some(request.into().into_inner()),
            feed: feed.into(),
        };
        let mut market_data = MarketDataServiceClient::new(self.service.clone());
        let answer = market_data.get_snapshot(request).await?;
        Ok(answer.into_inner().events)
    }

    /// Opens a stream of market data; contracts are added with
    /// [`subscribe`](MarketDataStream::subscribe).
    pub async fn market_data(&self) -> Result<MarketDataStream, Error> {
        let finder = self.options.reconnect.then(|| Finder { options: self.options.clone() });
        MarketDataStream::open(self.service.clone(), finder).await
    }

    /// Calls for operators; the broker checks whether this caller may make them.
    pub fn admin(&self) -> Admin {
        Admin::new(self.service.clone())
    }

    fn session(&self) -> SessionServiceClient<Service> {
        SessionServiceClient::new(self.service.clone())
    }
}

fn no_status() -> Error {
    Error::bad_answer("the broker answered without a status")
}
