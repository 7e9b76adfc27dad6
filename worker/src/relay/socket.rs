//! The one socket to Gateway: how it is opened, and the two ways in which it ends.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};

use crate::log::Log;

/// Opens TCP. The close policy is set before the connection exists: whatever ends this process
/// resets the connection, so that nothing of it is left at Gateway.
pub(super) async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    let options = SockRef::from(&socket);
    options.set_linger(Some(Duration::ZERO))?;
    options.set_tcp_nodelay(true)?;
    // A host that vanished is noticed within half a minute, also while nothing is sent.
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(10))
        .with_interval(Duration::from_secs(5))
        .with_retries(4);
    options.set_tcp_keepalive(&keepalive)?;
    socket.connect(address).await
}

/// The one end that is not a reset: asked for by the broker.
pub(super) fn close_in_order(stream: &TcpStream, log: &mut Log) {
    let options = SockRef::from(stream);
    let closed =
        options.set_linger(None).and_then(|()| options.shutdown(std::net::Shutdown::Write));
    if let Err(error) = closed {
        log.line(&format!("close in order: {error}"));
    }
}
