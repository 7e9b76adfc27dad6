//! A broker without a Gateway: fixed answers, and a memory of who called.

mod market_data;
mod read_side;

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use ibouncer_client::{Options, api, tws};
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixListener};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tokio_stream::{Stream, StreamExt as _};
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic::{Code, Request, Response, Status};

#[allow(unreachable_pub, clippy::all)]
mod stubs {
    include!(concat!(env!("OUT_DIR"), "/server/ibouncer.v1.rs"));
}

type Answer<T> = Result<Response<T>, Status>;
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What a call said about its caller.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    pub(crate) client_name: Option<String>,
    pub(crate) authorization: Option<String>,
}

/// A running broker; its folder goes with it.
pub(crate) struct FakeBroker {
    folder: TempDir,
    calls: Calls,
    runtime: Background,
}

impl FakeBroker {
    /// Listens on the instance's Unix socket only.
    pub(crate) fn on_socket() -> Self {
        Self::on_socket_in(tempfile::tempdir().unwrap())
    }

    fn on_socket_in(folder: TempDir) -> Self {
        Self::start(folder, |folder, calls| {
            let listener = UnixListener::bind(folder.path().join("ibouncer.sock")).unwrap();
            tokio::spawn(router(calls).serve_with_incoming(UnixListenerStream::new(listener)));
        })
    }

    /// Listens on a TCP port only, named in the instance's files.
    pub(crate) fn on_port() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        Self::start(tempfile::tempdir().unwrap(), move |folder, calls| {
            let endpoints = format!(r#"{{"schema":1,"pid":1,"tcp":"{address}"}}"#);
            std::fs::write(folder.path().join("endpoints.json"), endpoints).unwrap();
            std::fs::write(folder.path().join("token"), "secret\n").unwrap();
            let listener = TcpListener::from_std(listener).unwrap();
            tokio::spawn(router(calls).serve_with_incoming(TcpListenerStream::new(listener)));
        })
    }

    fn start(folder: TempDir, listen: impl FnOnce(&TempDir, Calls)) -> Self {
        let calls = Calls::default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        {
            let _inside = runtime.enter();
            listen(&folder, calls.clone());
        }
        Self { folder, calls, runtime: Background(Some(runtime)) }
    }

    pub(crate) fn options(&self) -> Options {
        Options::new()
            .instance("default")
            .runtime_dir(self.folder.path())
            .state_dir(self.folder.path())
    }

    pub(crate) fn last_call(&self) -> Call {
        self.calls.0.lock().unwrap().clone()
    }

    /// What was subscribed to, in order.
    pub(crate) fn subscribed(&self) -> Vec<api::Subscribe> {
        self.calls.1.lock().unwrap().clone()
    }

    /// Drops every task and socket, as a killed process would.
    pub(crate) async fn die(self) {
        self.end().await;
    }

    /// Another one at the same place.
    pub(crate) async fn replaced(self) -> Self {
        let folder = self.end().await;
        std::fs::remove_file(folder.path().join("ibouncer.sock")).unwrap();
        Self::on_socket_in(folder)
    }

    async fn end(mut self) -> TempDir {
        let runtime = self.runtime.0.take().unwrap();
        tokio::task::spawn_blocking(move || drop(runtime)).await.unwrap();
        self.folder
    }
}

/// Its end is not waited for when it is dropped, which a test may do anywhere.
struct Background(Option<tokio::runtime::Runtime>);

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn router(calls: Calls) -> Router {
    Server::builder()
        .add_service(stubs::session_service_server::SessionServiceServer::new(calls.clone()))
        .add_service(stubs::market_data_service_server::MarketDataServiceServer::new(calls.clone()))
        .add_service(stubs::contract_service_server::ContractServiceServer::new(calls.clone()))
        .add_service(stubs::history_service_server::HistoryServiceServer::new(calls.clone()))
        .add_service(stubs::account_service_server::AccountServiceServer::new(calls.clone()))
        .add_service(stubs::order_service_server::OrderServiceServer::new(calls.clone()))
        .add_service(stubs::news_service_server::NewsServiceServer::new(calls.clone()))
        .add_service(stubs::scanner_service_server::ScannerServiceServer::new(calls.clone()))
        .add_service(stubs::admin_service_server::AdminServiceServer::new(calls))
}

/// Serves everything and remembers the newest call, and all subscriptions.
#[derive(Debug, Clone, Default)]
struct Calls(Arc<Mutex<Call>>, Arc<Mutex<Vec<api::Subscribe>>>);

impl Calls {
    fn remember<T>(&self, request: &Request<T>) {
        let text = |name: &str| Some(request.metadata().get(name)?.to_str().ok()?.to_owned());
        *self.0.lock().unwrap() =
            Call { client_name: text("x-client-name"), authorization: text("authorization") };
    }
}

fn status(state: api::SessionState) -> api::Status {
    api::Status { state: state.into(), ..Default::default() }
}

fn explained(code: Code, message: &str, trailers: &[(&'static str, &str)]) -> Status {
    let mut metadata = MetadataMap::new();
    for (name, value) in trailers {
        metadata.insert(*name, value.parse().unwrap());
    }
    Status::with_metadata(code, message, metadata)
}

#[tonic::async_trait]
impl stubs::session_service_server::SessionService for Calls {
    type WatchStatusStream = Answers<api::WatchStatusResponse>;

    async fn get_status(
        &self,
        request: Request<api::GetStatusRequest>,
    ) -> Answer<api::GetStatusResponse> {
        self.remember(&request);
        let status = Some(status(api::SessionState::Ready));
        Ok(Response::new(api::GetStatusResponse { status }))
    }

    async fn watch_status(
        &self,
        _: Request<api::WatchStatusRequest>,
    ) -> Answer<Self::WatchStatusStream> {
        let first = api::WatchStatusResponse {
            status: Some(status(api::SessionState::Ready)),
            transitions: vec![],
        };
        let second = api::WatchStatusResponse {
            status: Some(status(api::SessionState::Backoff)),
            transitions: vec![api::Transition {
                because: "worker ended".into(),
                ..Default::default()
            }],
        };
        Ok(Response::new(Box::pin(tokio_stream::iter([Ok(first), Ok(second)]))))
    }

    async fn get_queue(
        &self,
        request: Request<api::GetQueueRequest>,
    ) -> Answer<api::GetQueueResponse> {
        let client = request.into_inner().client;
        let waiting = api::QueuedRequest { client, place: 3, ..Default::default() };
        let messages_per_second = 45.0;
        Ok(Response::new(api::GetQueueResponse { requests: vec![waiting], messages_per_second }))
    }

    async fn get_current_time(
        &self,
        _: Request<api::GetCurrentTimeRequest>,
    ) -> Answer<api::GetCurrentTimeResponse> {
        let time = tws::CurrentTimeInMillis { current_time_in_millis: Some(1_772_373_727_000) };
        let answer = api::GetCurrentTimeResponse { current_time: Some(time), ..Default::default() };
        Ok(Response::new(answer))
    }

    async fn get_gateway_configuration(
        &self,
        _: Request<api::GetGatewayConfigurationRequest>,
    ) -> Answer<api::GetGatewayConfigurationResponse> {
        Ok(Response::new(api::GetGatewayConfigurationResponse::default()))
    }

    async fn who_am_i(&self, _: Request<api::WhoAmIRequest>) -> Answer<api::WhoAmIResponse> {
        let answer = api::WhoAmIResponse { principal: "momentum".into(), ..Default::default() };
        Ok(Response::new(answer))
    }

    async fn wait_ready(
        &self,
        request: Request<api::WaitReadyRequest>,
    ) -> Answer<api::WaitReadyResponse> {
        let ready = request.into_inner().timeout.unwrap_or_default().seconds > 0;
        let status = Some(status(api::SessionState::Backoff));
        Ok(Response::new(api::WaitReadyResponse { ready, status }))
    }
}

#[tonic::async_trait]
impl stubs::admin_service_server::AdminService for Calls {
    async fn list_clients(
        &self,
        _: Request<api::ListClientsRequest>,
    ) -> Answer<api::ListClientsResponse> {
        let client = api::ClientInfo { name: "quotes@test".into(), ..Default::default() };
        Ok(Response::new(api::ListClientsResponse { clients: vec![client] }))
    }

    async fn list_lines(
        &self,
        _: Request<api::ListLinesRequest>,
    ) -> Answer<api::ListLinesResponse> {
        let line = api::LineInfo { symbol: "AAPL".into(), ..Default::default() };
        Ok(Response::new(api::ListLinesResponse { lines: vec![line] }))
    }

    async fn restart_worker(
        &self,
        request: Request<api::RestartWorkerRequest>,
    ) -> Answer<api::RestartWorkerResponse> {
        if request.into_inner().drop_live_session {
            return Ok(Response::new(api::RestartWorkerResponse { epoch: 7 }));
        }
        let trailers = [("ibouncer-code", "SESSION_IS_LIVE"), ("ibouncer-retry", "never")];
        Err(explained(Code::FailedPrecondition, "the session is READY", &trailers))
    }

    async fn retry(&self, _: Request<api::RetryRequest>) -> Answer<api::RetryResponse> {
        Ok(Response::new(api::RetryResponse {}))
    }

    async fn hold_session(
        &self,
        _: Request<api::HoldSessionRequest>,
    ) -> Answer<api::HoldSessionResponse> {
        Ok(Response::new(api::HoldSessionResponse {}))
    }

    async fn release_session(
        &self,
        _: Request<api::ReleaseSessionRequest>,
    ) -> Answer<api::ReleaseSessionResponse> {
        Ok(Response::new(api::ReleaseSessionResponse {}))
    }

    async fn hand_over(&self, _: Request<api::HandOverRequest>) -> Answer<api::HandOverResponse> {
        Ok(Response::new(api::HandOverResponse::default()))
    }

    async fn list_connections(
        &self,
        _: Request<api::ListConnectionsRequest>,
    ) -> Answer<api::ListConnectionsResponse> {
        let answer = api::ListConnectionsResponse { path: "local".into(), ..Default::default() };
        Ok(Response::new(answer))
    }

    async fn halt_trading(
        &self,
        request: Request<api::HaltTradingRequest>,
    ) -> Answer<api::HaltTradingResponse> {
        let cancels = u32::from(request.into_inner().cancel_open);
        Ok(Response::new(api::HaltTradingResponse { cancels, spared: Vec::new() }))
    }

    async fn resume_trading(
        &self,
        _: Request<api::ResumeTradingRequest>,
    ) -> Answer<api::ResumeTradingResponse> {
        Ok(Response::new(api::ResumeTradingResponse {}))
    }

    async fn adopt_trading_state(
        &self,
        request: Request<api::AdoptTradingStateRequest>,
    ) -> Answer<api::AdoptTradingStateResponse> {
        let adopted = vec![request.into_inner().reason];
        Ok(Response::new(api::AdoptTradingStateResponse { adopted }))
    }

    async fn resolve_order(
        &self,
        request: Request<api::ResolveOrderRequest>,
    ) -> Answer<api::ResolveOrderResponse> {
        match request.into_inner().resolution() {
            api::Resolution::Filled => Ok(Response::new(api::ResolveOrderResponse {})),
            _ => Err(Status::invalid_argument("not UNKNOWN")),
        }
    }

    async fn cancel_every_order(
        &self,
        request: Request<api::CancelEveryOrderRequest>,
    ) -> Answer<api::CancelEveryOrderResponse> {
        match request.into_inner().confirmation.as_str() {
            "" => Err(Status::invalid_argument("no confirmation")),
            _ => Ok(Response::new(api::CancelEveryOrderResponse {})),
        }
    }

    type WatchEventsStream = Answers<api::WatchEventsResponse>;

    async fn watch_events(
        &self,
        request: Request<api::WatchEventsRequest>,
    ) -> Answer<Self::WatchEventsStream> {
        let request = request.into_inner();
        let event = api::Event { number: request.after + 1, ..Default::default() };
        let events = tokio_stream::once(Ok(api::WatchEventsResponse { events: vec![event] }));
        if request.follow {
            return Ok(Response::new(Box::pin(events.chain(tokio_stream::pending()))));
        }
        Ok(Response::new(Box::pin(events)))
    }
}
