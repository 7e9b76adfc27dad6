//! A relay in front of the Gateway, as socat or docker-proxy would be one.
//!
//! It accepts at once, whatever the Gateway behind it does, and forwards bytes both ways. An end
//! is passed on as FIN, also where it came as a reset: the reset stops here. It knows nothing of
//! the protocol.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

const PIECE: usize = 256 * 1024;

/// Pause after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn run(listener: TcpListener, gateway: SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                tokio::spawn(relay(client, gateway));
            }
            Err(error) => {
                tracing::warn!(%error, "the relay cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn relay(client: TcpStream, gateway: SocketAddr) {
    let gateway = match TcpStream::connect(gateway).await {
        Ok(gateway) => gateway,
        Err(error) => {
            tracing::debug!(%error, "the relay cannot reach its Gateway");
            return;
        }
    };
    for stream in [&client, &gateway] {
        // It forwards either way.
        let _ = stream.set_nodelay(true);
    }
    let (from_client, to_client) = client.into_split();
    let (from_gateway, to_gateway) = gateway.into_split();
    tokio::join!(forward(from_client, to_gateway), forward(from_gateway, to_client));
}

/// One direction. Once the receiver is gone, the rest is read and thrown away: closing over
/// unread bytes would pass the end on as a reset.
async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut piece = vec![0; PIECE];
    let mut broken = false;
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        broken = broken || to.write_all(&piece[..length]).await.is_err();
    }
    // It fails where the other end has been lost already.
    let _ = to.shutdown().await;
}
