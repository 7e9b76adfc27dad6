//! Calls for operators. The broker takes them from its own user's Unix socket, or with an
//! admin token; from anyone else it answers `PERMISSION_DENIED`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::api;
use crate::client::{LARGEST_ANSWER, Service};
use crate::error::Error;
use crate::reconnect::{Finder, Opener, Returning, Step, answers};
use crate::stubs::admin_service_client::AdminServiceClient;

/// Who uses the session, and orders to the broker.
#[derive(Debug, Clone)]
pub struct Admin {
    service: Service,
    stub: AdminServiceClient<Service>,
    finder: Option<Finder>,
}

impl Admin {
    pub(crate) fn new(service: Service, finder: Option<Finder>) -> Self {
        Self { stub: stub(service.clone()), service, finder }
    }

    /// Every connected client.
    pub async fn clients(&self) -> Result<Vec<api::ClientInfo>, Error> {
        let mut stub = self.stub.clone();
        let answer = stub.list_clients(api::ListClientsRequest {}).await?;
        Ok(answer.into_inner().clients)
    }

    /// Every line at Gateway.
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

    /// Stops all attempts until [`Self::release`], over restarts of the broker.
    ///
    /// A READY session is kept, and the call fails, unless `drop_live_session` is true.
    pub async fn hold(
        &self,
        reason: impl Into<String>,
        drop_live_session: bool,
    ) -> Result<(), Error> {
        let request = api::HoldSessionRequest { reason: reason.into(), drop_live_session };
        let mut stub = self.stub.clone();
        stub.hold_session(request).await?;
        Ok(())
    }

    /// Ends what [`Self::hold`] began. `reason` may be empty; it goes to the log.
    pub async fn release(&self, reason: impl Into<String>) -> Result<(), Error> {
        let request = api::ReleaseSessionRequest { reason: reason.into() };
        let mut stub = self.stub.clone();
        stub.release_session(request).await?;
        Ok(())
    }

    /// Lets another build of the broker take over, with the same worker and the same socket.
    /// `binary` is an absolute path, or empty for the broker's own as it is on disk now.
    pub async fn hand_over(
        &self,
        binary: impl Into<String>,
    ) -> Result<api::HandOverResponse, Error> {
        let request = api::HandOverRequest { binary: binary.into() };
        let mut stub = self.stub.clone();
        let answer = stub.hand_over(request).await?;
        Ok(answer.into_inner())
    }

    /// Refuses new and changed orders of `client`, or of all if it is empty, over restarts;
    /// cancels pass. With `cancel_open` what is open is cancelled: the number of cancels, and the
    /// orders that live on.
    pub async fn halt_trading(
        &self,
        client: impl Into<String>,
        cancel_open: bool,
        reason: impl Into<String>,
    ) -> Result<api::HaltTradingResponse, Error> {
        let request =
            api::HaltTradingRequest { client: client.into(), cancel_open, reason: reason.into() };
        Ok(self.stub.clone().halt_trading(request).await?.into_inner())
    }

    /// Ends a halt.
    pub async fn resume_trading(
        &self,
        client: impl Into<String>,
        reason: impl Into<String>,
    ) -> Result<(), Error> {
        let request = api::ResumeTradingRequest { client: client.into(), reason: reason.into() };
        self.stub.clone().resume_trading(request).await?;
        Ok(())
    }

    /// Takes the journal of orders as it is for the accounts that Gateway shows. What was doubted.
    pub async fn adopt_trading_state(
        &self,
        reason: impl Into<String>,
    ) -> Result<Vec<String>, Error> {
        let request = api::AdoptTradingStateRequest { reason: reason.into() };
        Ok(self.stub.clone().adopt_trading_state(request).await?.into_inner().adopted)
    }

    /// Says what became of an order that is UNKNOWN.
    pub async fn resolve_order(
        &self,
        owner: impl Into<String>,
        client_order_id: impl Into<String>,
        resolution: api::Resolution,
        reason: impl Into<String>,
    ) -> Result<(), Error> {
        let request = api::ResolveOrderRequest {
            owner: owner.into(),
            client_order_id: client_order_id.into(),
            resolution: resolution.into(),
            reason: reason.into(),
        };
        self.stub.clone().resolve_order(request).await?;
        Ok(())
    }

    /// Cancels every order of the login, also those by hand and of other programs (TWS:
    /// reqGlobalCancel). `confirmation` is "cancel every order of every program".
    pub async fn cancel_every_order(
        &self,
        confirmation: impl Into<String>,
        reason: impl Into<String>,
    ) -> Result<(), Error> {
        let request = api::CancelEveryOrderRequest {
            confirmation: confirmation.into(),
            reason: reason.into(),
        };
        self.stub.clone().cancel_every_order(request).await?;
        Ok(())
    }

    /// What happened after the event of this number (0: all that is kept), oldest first; with
    /// `follow`, then what happens.
    pub async fn events(&self, after: u64, follow: bool) -> Result<EventStream, Error> {
        let newest = Arc::new(AtomicU64::new(after));
        let seen = Arc::clone(&newest);
        let open = Opener::new(move |service| {
            let after = seen.load(Ordering::Relaxed);
            async move {
                let request = api::WatchEventsRequest { follow, after };
                Ok(answers(stub(service).watch_events(request).await?, |one| one.events))
            }
        });
        let source = Returning::open(self.service.clone(), self.finder.clone(), open).await?;
        let source = if follow { source } else { source.that_ends() };
        Ok(EventStream { source, newest })
    }
}

fn stub(service: Service) -> AdminServiceClient<Service> {
    AdminServiceClient::new(service).max_decoding_message_size(LARGEST_ANSWER)
}

/// Events as they happen. It outlives its broker, see
/// [`Options::reconnect`](crate::Options::reconnect), and goes on behind the newest event that
/// it handed out: numbers count up over restarts of the broker.
#[derive(Debug)]
pub struct EventStream {
    source: Returning<Vec<api::Event>>,
    newest: Arc<AtomicU64>,
}

impl EventStream {
    /// The next ones, oldest first; `None` when there will be no more.
    pub async fn next(&mut self) -> Result<Option<Vec<api::Event>>, Error> {
        loop {
            match self.source.next().await? {
                Step::Answer(events) => {
                    if let Some(event) = events.last() {
                        self.newest.fetch_max(event.number, Ordering::Relaxed);
                    }
                    return Ok(Some(events));
                }
                Step::Lost(_) => {}
                Step::End => return Ok(None),
            }
        }
    }
}
