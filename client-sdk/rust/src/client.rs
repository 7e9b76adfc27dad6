//! [`Client`]: one connection to the broker, cheap to clone, used from any number of tasks.

use std::time::Duration;

use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::admin::Admin;
use crate::api;
use crate::connect::{self, ConnectError, Target};
use crate::error::Error;
use crate::identity::Identity;
use crate::market_data::MarketDataStream;
use crate::options::Options;
use crate::reconnect::{Finder, Opener, Returning, answers};
use crate::services::{Accounts, Contracts, History, News, Orders, Scanners, Session};
use crate::status::{Readiness, StatusStream};
use crate::stubs::session_service_client::SessionServiceClient;

/// What the stubs are built over: a channel that adds name and credential to each call.
pub type Service = InterceptedService<Channel, Identity>;

/// A connection to the broker.
///
/// Calls reach a broker that came back at the same address; in between they fail with
/// [`Error::is_unreachable`]. Over TCP a new broker has a new token: connect again. Streams do
/// all of that by themselves, see [`Options::reconnect`].
///
/// A call that Gateway must answer waits for its turn and for the answer; drop it to withdraw
/// the request, for example by `tokio::time::timeout`.
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
        let answer = stub(self.service()).get_status(api::GetStatusRequest {}).await?;
        answer.into_inner().status.ok_or_else(no_status)
    }

    /// Who we are for the broker, and what we may do.
    pub async fn who_am_i(&self) -> Result<api::WhoAmIResponse, Error> {
        Ok(stub(self.service()).who_am_i(api::WhoAmIRequest {}).await?.into_inner())
    }

    /// The status now, then again at every change.
    pub async fn watch_status(&self) -> Result<StatusStream, Error> {
        let open = Opener::new(|service| async move {
            let answer = stub(service).watch_status(api::WatchStatusRequest {}).await?;
            Ok(answers(answer, |one| one))
        });
        Ok(StatusStream::new(Returning::open(self.service(), self.finder(), open).await?))
    }

    /// Waits until the session is READY, for at most `timeout` (the broker allows an hour).
    ///
    /// A timeout is not an error: the answer then says what stands in the way.
    pub async fn wait_ready(&self, timeout: Duration) -> Result<Readiness, Error> {
        let request =
            api::WaitReadyRequest { timeout: prost_types::Duration::try_from(timeout).ok() };
        let answer = stub(self.service()).wait_ready(request).await?.into_inner();
        Ok(Readiness { ready: answer.ready, status: answer.status.ok_or_else(no_status)? })
    }

    /// Opens a stream of market data; contracts are added with
    /// [`subscribe`](MarketDataStream::subscribe). Snapshots are calls of the client itself.
    pub async fn market_data(&self) -> Result<MarketDataStream, Error> {
        MarketDataStream::open(self.service(), self.finder()).await
    }

    /// What waits for its turn, Gateway's clock and settings.
    pub fn session(&self) -> Session {
        Session::new(self.service())
    }

    /// What can be traded: details, symbols, option chains, price rules.
    pub fn contracts(&self) -> Contracts {
        Contracts::new(self.service())
    }

    /// The past: bars, ticks, histograms, schedules.
    pub fn history(&self) -> History {
        History::new(self.service(), self.finder())
    }

    /// Balances, positions, profit and loss.
    pub fn accounts(&self) -> Accounts {
        Accounts::new(self.service(), self.finder())
    }

    /// Orders: placed, changed, cancelled, watched; and executions.
    pub fn orders(&self) -> Orders {
        Orders::new(self.service(), self.finder())
    }

    /// Headlines, articles, bulletins, the calendar of corporate events.
    pub fn news(&self) -> News {
        News::new(self.service(), self.finder())
    }

    /// Ranked lists of contracts.
    pub fn scanners(&self) -> Scanners {
        Scanners::new(self.service(), self.finder())
    }

    /// Calls for operators; the broker checks whether this caller may make them.
    pub fn admin(&self) -> Admin {
        Admin::new(self.service(), self.finder())
    }

    fn finder(&self) -> Option<Finder> {
        Finder::new(&self.options)
    }
}

fn stub(service: Service) -> SessionServiceClient<Service> {
    SessionServiceClient::new(service).max_decoding_message_size(LARGEST_ANSWER)
}

/// Largest answer that is read, in bytes. Long histories and the parameters of scanners are
/// megabytes.
pub(crate) const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

pub(crate) fn no_status() -> Error {
    Error::bad_answer("the broker answered without a status")
}
