//! Who is at the other end of a connection, and under which names it is known to the hub.
//!
//! Rights hang on the credential: the kernel's word for a Unix peer, the token for TCP. The name
//! that a client gives is for people. A client is one name on one connection; it leaves when the
//! connection and all its streams are gone.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use ibouncer_core::hub::Input;
use ibouncer_core::ids::ClientId;
use ibouncer_core::principals::Credential;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::metadata::MetadataMap;
use tonic::transport::server::Connected;
use tonic::{Request, Status};

use super::capacity::Seat;
use super::status::{permission_denied, status, unauthenticated};
use crate::handle::{Command, Handle};

/// Longest name of a client.
const LONGEST_NAME: usize = 128;

/// Names that one connection may use.
const MOST_NAMES: usize = 16;

/// Where a connection comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A process of this host.
    Unix {
        /// Its user.
        uid: u32,
        /// Its process, if the kernel says.
        pid: Option<i32>,
    },
    /// Loopback.
    Tcp(SocketAddr),
}

impl std::fmt::Display for Peer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix { uid, pid: Some(pid) } => write!(formatter, "unix uid={uid} pid={pid}"),
            Self::Unix { uid, pid: None } => write!(formatter, "unix uid={uid}"),
            Self::Tcp(address) => write!(formatter, "tcp {address}"),
        }
    }
}

/// What a credential allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Everything.
    Admin,
    /// Everything but AdminService.
    Observe,
}

/// One connection; kept by its socket and by everything that runs on it.
#[derive(Debug)]
pub struct Connection {
    peer: Peer,
    handle: Handle,
    seat: Seat,
    clients: Mutex<BTreeMap<String, ClientId>>,
}

impl Connection {
    fn new(peer: Peer, handle: Handle, seat: Seat) -> Arc<Self> {
        Arc::new(Self { peer, handle, seat, clients: Mutex::new(BTreeMap::new()) })
    }

    fn default_name(&self) -> String {
        match &self.peer {
            Peer::Unix { uid, pid: Some(pid) } => format!("uid{uid}:{pid}"),
            Peer::Unix { uid, pid: None } => format!("uid{uid}"),
            Peer::Tcp(address) => format!("{address}"),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let clients = self.clients.get_mut().unwrap_or_else(PoisonError::into_inner);
        for client in std::mem::take(clients).into_values() {
            self.handle.tell_later(Command::Input(Input::ClientLeft { client }));
        }
    }
}

/// A request's client.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its id in the hub.
    pub client: ClientId,
    /// What it may do.
    pub rights: Rights,
    /// Keeps the client known as long as something of it runs.
    pub connection: Arc<Connection>,
}

/// Checks credentials and names.
#[derive(Debug, Clone)]
pub struct Doorkeeper {
    token: Arc<str>,
    own_uid: u32,
    handle: Handle,
}

impl Doorkeeper {
    /// For a broker of this user, with this token.
    pub fn new(token: &str, own_uid: u32, handle: Handle) -> Self {
        Self { token: token.into(), own_uid, handle }
    }

    /// Who calls, if it may.
    pub async fn admit<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let connection = request
            .extensions()
            .get::<Arc<Connection>>()
            .cloned()
            .ok_or_else(|| unauthenticated("the connection has no credential"))?;
        let rights = self.rights(&connection.peer, request.metadata())?;
        connection.seat.check()?;
        let name = match request.metadata().get("x-client-name") {
            Some(name) => checked_name(name.to_str().unwrap_or_default())?,
            None => connection.default_name(),
        };
        let client = self.client(&connection, name).await?;
        Ok(Caller { client, rights, connection })
    }

    /// As [`Self::admit`], for operators.
    pub async fn admit_admin<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let caller = self.admit(request).await?;
        match caller.rights {
            Rights::Admin => Ok(caller),
            Rights::Observe => Err(permission_denied(
                "AdminService is for the broker's own user on its Unix socket, or for its token",
            )),
        }
    }

    fn rights(&self, peer: &Peer, metadata: &MetadataMap) -> Result<Rights, Status> {
        match peer {
            Peer::Unix { uid, .. } if *uid == self.own_uid || *uid == 0 => Ok(Rights::Admin),
            // The socket's mode has let it in.
            Peer::Unix { .. } => Ok(Rights::Observe),
            Peer::Tcp(_) => {
                let given = metadata.get("authorization").ok_or_else(|| {
                    unauthenticated(
                        "no token: send \"authorization: Bearer TOKEN\" with the content of the \
                         file \"token\" in the broker's runtime folder",
                    )
                })?;
                let given = given.to_str().unwrap_or_default();
                match given.strip_prefix("Bearer ") {
                    Some(token) if same(token.trim().as_bytes(), self.token.as_bytes()) => {
                        Ok(Rights::Admin)
                    }
                    Some(_) => Err(unauthenticated(
                        "wrong token: it changes with every start of the broker, read it again",
                    )),
                    None => Err(unauthenticated("authorization must be \"Bearer TOKEN\"")),
                }
            }
        }
    }

    /// The client of this name on this connection; a new one joins.
    async fn client(&self, connection: &Arc<Connection>, name: String) -> Result<ClientId, Status> {
        let client = {
            let mut clients = connection.clients.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(client) = clients.get(&name) {
                return Ok(*client);
            }
            if clients.len() == MOST_NAMES {
                return Err(permission_denied(
                    "one connection may use 16 names in x-client-name; open another connection",
                ));
            }
            let client = ClientId(self.handle.number());
            clients.insert(name.clone(), client);
            client
        };
        let peer = connection.peer.to_string();
        let joined = Command::Input(Input::ClientJoined {
            client,
            name,
            peer,
            credential: Credential::default(),
        });
        self.handle.tell(joined).await.map_err(|error| status(&error))?;
        Ok(client)
    }
}

/// A name that people can read and that cannot pass for another client's.
fn checked_name(name: &str) -> Result<String, Status> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@:/+=".contains(&byte);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(good) {
        let shown: String = name.chars().take(LONGEST_NAME).collect();
        return Err(permission_denied(&format!(
            "x-client-name {shown:?} is not allowed: use 1 to {LONGEST_NAME} of letters, digits \
             and . _ - @ : / + ="
        )));
    }
    Ok(name.to_owned())
}

/// Comparison whose time does not tell where the difference is.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// A socket that knows its connection.
#[derive(Debug)]
pub struct Tracked<S> {
    socket: S,
    connection: Arc<Connection>,
}

impl<S> Tracked<S> {
    /// A new connection.
    pub fn new(socket: S, peer: Peer, seat: Seat, handle: &Handle) -> Self {
        Self { socket, connection: Connection::new(peer, handle.clone(), seat) }
    }
}

impl<S> Connected for Tracked<S> {
    type ConnectInfo = Arc<Connection>;

    fn connect_info(&self) -> Self::ConnectInfo {
        Arc::clone(&self.connection)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tracked<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tracked<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_deceive_are_refused() {
        for good in ["quotes.py@host:4711", "a", "risk/eu+1=x"] {
            assert_eq!(checked_name(good).unwrap(), good);
        }
        for bad in ["", "a b", "name#2", "naïve", "x\n", &"y".repeat(129)] {
            let error = checked_name(bad).unwrap_err();
            assert_eq!(error.code(), tonic::Code::PermissionDenied, "{bad:?}");
        }
    }

    #[test]
    fn tokens_are_compared_whole() {
        assert!(same(b"abc", b"abc"));
        for other in [&b"abd"[..], b"ab", b"abcd", b""] {
            assert!(!same(b"abc", other));
        }
    }
}
