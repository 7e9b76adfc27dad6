//! The listeners, and the services on each.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ibouncer_proto::FILE_DESCRIPTOR_SET;
use ibouncer_proto::api::v1::SessionState;
use ibouncer_quiet::QuietSocket;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream, UnixListenerStream};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::layer::util::{Identity, Stack};
use tower::util::MapResponseLayer;

use super::admin::Admin;
use super::bodies::hand_out;
use super::capacity::{Capacity, Seat};
use super::complete::complete;
use super::connection::{Doorkeeper, Peer, Tracked};
use super::orders::Orders;
use super::reader::Reader;
use super::servers::account_service_server::AccountServiceServer;
use super::servers::admin_service_server::AdminServiceServer;
use super::servers::contract_service_server::ContractServiceServer;
use super::servers::history_service_server::HistoryServiceServer;
use super::servers::market_data_service_server::MarketDataServiceServer;
use super::servers::news_service_server::NewsServiceServer;
use super::servers::order_service_server::OrderServiceServer;
use super::servers::scanner_service_server::ScannerServiceServer;
use super::servers::session_service_server::SessionServiceServer;
use super::session::Session;
use super::tls::Tls;
use crate::handle::Handle;
use crate::handover::Proof;
use crate::order_log::OrderLog;

/// Largest request; a real one has some hundred bytes.
const LARGEST_REQUEST: usize = 256 * 1024;

/// Streams and calls that one connection may have open: more than `limits` gives a client, so that it
/// is told what it has too many of. What is over this waits inside the client, where nobody sees it.
const STREAMS: u32 = 4096;

/// Largest header list of a request.
const HEADERS: u32 = 16 * 1024;

/// A client that vanished from a network without a word is noticed within this and the next. On a
/// Unix socket the kernel says at once that a process is gone.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(10);

/// After a connection could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Health name that serves only while the session is READY.
const GATEWAY_HEALTH: &str = "ibouncer.v1.Gateway";

/// All services, for both listeners.
pub fn routes(
    doorkeeper: &Doorkeeper,
    handle: &Handle,
    stream_buffer: usize,
    proof: &Proof,
    log: Arc<OrderLog>,
) -> anyhow::Result<Routes> {
    let (doorkeeper, handle) = (doorkeeper.clone(), handle.clone());
    let reader = Reader { doorkeeper: doorkeeper.clone(), handle: handle.clone(), stream_buffer };
    let session = Session { reader: reader.clone() };
    let admin = Admin { doorkeeper, handle: handle.clone(), proof: proof.clone() };
    let (reporter, health) = tonic_health::server::health_reporter();
    tokio::spawn(report_health(reporter, handle));
    let mut builder = Routes::builder();
    macro_rules! add {
        ($($server:ident($service:expr)),* $(,)?) => {
            $(builder.add_service(
                $server::new($service).max_decoding_message_size(LARGEST_REQUEST),
            );)*
        };
    }
    add!(
        SessionServiceServer(session),
        ContractServiceServer(reader.clone()),
        MarketDataServiceServer(reader.clone()),
        HistoryServiceServer(reader.clone()),
        AccountServiceServer(reader.clone()),
        OrderServiceServer(Orders { reader: reader.clone(), log }),
        NewsServiceServer(reader.clone()),
        ScannerServiceServer(reader),
        AdminServiceServer(admin),
    );
    builder
        .add_service(health)
        .add_service(reflection().build_v1().context("build reflection")?)
        .add_service(reflection().build_v1alpha().context("build reflection")?);
    Ok(builder.routes())
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// "" serves as long as the broker runs; Gateway's name only while the session is READY.
async fn report_health(reporter: HealthReporter, handle: Handle) {
    let mut published = handle.published();
    loop {
        let ready = published.borrow_and_update().status.state() == SessionState::Ready;
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        reporter.set_service_status(GATEWAY_HEALTH, status).await;
        if published.changed().await.is_err() {
            return;
        }
    }
}

/// Binds the Unix socket. What is left there is dead: we hold the lock.
pub fn bind_unix(path: &Path, mode: u32) -> anyhow::Result<UnixListener> {
    let _ = std::fs::remove_file(path);
    let bind = || -> std::io::Result<UnixListener> {
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        Ok(listener)
    };
    bind().with_context(|| format!("bind {}", path.display()))
}

/// Binds the TCP listener.
pub async fn bind_tcp(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "bind {address}: is another broker running? Set grpc.listen to another port or \"off\""
        )
    })
}

/// Serves the Unix socket until `end`.
pub async fn serve_unix(
    listener: UnixListener,
    routes: Routes,
    handle: Handle,
    capacity: Arc<Capacity>,
    end: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let accepted = UnixListenerStream::new(listener).then(pause_if_out_of_descriptors);
    let incoming = accepted.filter_map(move |accepted| {
        let socket = accepted.ok()?;
        let peer = socket.peer_cred().ok()?;
        let peer = Peer::Unix { uid: peer.uid(), pid: peer.pid() };
        let socket = QuietSocket::new(socket.into_std().ok()?).ok()?;
        Some(Ok::<_, io::Error>(Tracked::new(socket, peer, capacity.enter()?, &handle)))
    });
    server(None).add_routes(routes).serve_with_incoming_shutdown(incoming, end).await?;
    Ok(())
}

/// Serves TCP until `end`.
pub async fn serve_tcp(
    listener: TcpListener,
    routes: Routes,
    handle: Handle,
    capacity: Arc<Capacity>,
    end: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let accepted = TcpListenerStream::new(listener).then(pause_if_out_of_descriptors);
    let incoming = accepted.filter_map(move |accepted| {
        let socket = accepted.ok()?;
        let peer = Peer::Tcp(socket.peer_addr().ok()?);
        socket.set_nodelay(true).ok()?;
        Some(Ok::<_, io::Error>(Tracked::new(socket, peer, capacity.enter()?, &handle)))
    });
    server(Some(KEEPALIVE)).add_routes(routes).serve_with_incoming_shutdown(incoming, end).await?;
    Ok(())
}

/// Serves TLS until `end`.
pub async fn serve_tls(
    listener: TcpListener,
    tls: Tls,
    routes: Routes,
    handle: Handle,
    capacity: Arc<Capacity>,
    end: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (ready, incoming) = mpsc::channel(1);
    // Ends with this function.
    let mut accepting = JoinSet::new();
    accepting.spawn(async move {
        let accepted = TcpListenerStream::new(listener).then(pause_if_out_of_descriptors);
        let mut accepted = std::pin::pin!(accepted);
        let mut handshakes = JoinSet::new();
        while let Some(socket) = accepted.next().await {
            while handshakes.try_join_next().is_some() {}
            // Who has no place makes no handshake.
            let (Ok(socket), Some(seat)) = (socket, capacity.enter()) else {
                continue;
            };
            handshakes.spawn(shake_hands(socket, seat, tls.clone(), handle.clone(), ready.clone()));
        }
    });
    server(Some(KEEPALIVE))
        .add_routes(routes)
        .serve_with_incoming_shutdown(ReceiverStream::new(incoming), end)
        .await?;
    Ok(())
}

async fn shake_hands(
    socket: TcpStream,
    seat: Seat,
    tls: Tls,
    handle: Handle,
    ready: mpsc::Sender<io::Result<Tracked<TlsStream<TcpStream>>>>,
) {
    let Ok(address) = socket.peer_addr() else {
        return;
    };
    // It only delays small messages.
    let _ = socket.set_nodelay(true);
    match tls.accept(socket).await {
        Ok((stream, subject)) => {
            let peer = Peer::Tls { address, subject };
            // Nobody takes it only when the broker ends.
            let _ = ready.send(Ok(Tracked::new(stream, peer, seat, &handle))).await;
        }
        Err(error) => {
            let because = format!("{error:#}");
            tracing::info!(%address, because, "a client did not get in");
        }
    }
}

/// The kernel offers the same connection again at once, so looking again at once is a busy loop.
async fn pause_if_out_of_descriptors<S>(accepted: io::Result<S>) -> io::Result<S> {
    if let Err(error) = &accepted {
        tracing::warn!(%error, "a connection of a client could not be accepted");
        tokio::time::sleep(ACCEPT_AGAIN).await;
    }
    accepted
}

/// Clients are asked so often whether they are there. It costs a look at the clock at every write.
fn server(keepalive: Option<Duration>) -> Server<Stack<MapResponseLayer<Finish>, Identity>> {
    let finish: Finish = |response| hand_out(complete(response));
    Server::builder()
        .max_concurrent_streams(STREAMS)
        .http2_max_header_list_size(HEADERS)
        .http2_keepalive_interval(keepalive)
        .http2_keepalive_timeout(Some(KEEPALIVE_ANSWER))
        .layer(MapResponseLayer::new(finish))
}

type Finish = fn(http::Response<Body>) -> http::Response<Body>;
