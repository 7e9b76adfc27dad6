//! Who is at the other end of a connection, and under which names it is known to the hub.
//!
//! Rights hang on the credential: the kernel's word for a Unix peer, the token for TCP, a
//! certificate or a token for TLS; read on in
//! `credentials.rs`. A client is one name with one credential on one connection; it leaves when
//! the connection and all its streams are gone.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use ibouncer_core::hub::Input;
use ibouncer_core::ids::ClientId;
use ibouncer_core::principals::{Credential, Imprint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tonic::transport::server::Connected;
use tonic::{Request, Status};

use super::answers::Account;
use super::capacity::Seat;
use super::credentials::Roster;
use super::standing::{Lost, Proof};
use super::status::{permission_denied, status, unauthenticated};
use crate::handle::{Command, Handle};
use crate::subject::Subject;

/// Longest name of a client.
const LONGEST_NAME: usize = 128;

/// Names that one connection may use.
const MOST_NAMES: usize = 16;

/// Refusals of one connection that are written down; whoever goes on guessing is known by then.
const MOST_REFUSALS: u32 = 8;

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
    /// From anywhere, encrypted.
    Tls {
        /// Where from.
        address: SocketAddr,
        /// Whom its certificate names, which one of the configured authorities has signed.
        subject: Option<Subject>,
    },
}

impl std::fmt::Display for Peer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix { uid, pid: Some(pid) } => write!(formatter, "unix uid={uid} pid={pid}"),
            Self::Unix { uid, pid: None } => write!(formatter, "unix uid={uid}"),
            Self::Tcp(address) => write!(formatter, "tcp {address}"),
            Self::Tls { address, subject: None } => write!(formatter, "tls {address}"),
            Self::Tls { address, subject: Some(subject) } => {
                write!(formatter, "tls {address} ({subject})")
            }
        }
    }
}

/// What a credential allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Everything, as the broker's own user.
    Operator,
    /// Everything but what that user alone may do.
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
    clients: Mutex<BTreeMap<Identity, Arc<Account>>>,
    /// Refusals so far.
    refusals: AtomicU32,
}

/// What makes a client. One connection can carry requests with several tokens, so the name alone
/// does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    name: String,
    principal: Option<String>,
    operator: bool,
    imprint: Option<Imprint>,
}

impl Connection {
    fn new(peer: Peer, handle: Handle, seat: Seat) -> Arc<Self> {
        let (clients, refusals) = (Mutex::default(), AtomicU32::new(0));
        Arc::new(Self { peer, handle, seat, clients, refusals })
    }

    /// The way to the driver.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Somebody has claimed to be what it could not prove.
    fn note_refusal(&self, name: Option<&str>, refused: &Status) {
        if self.refusals.fetch_add(1, Ordering::Relaxed) < MOST_REFUSALS {
            let name = name.map_or_else(|| self.default_name(), str::to_owned);
            let (peer, because) = (self.peer.to_string(), refused.message().to_owned());
            self.handle.tell_later(Command::Input(Input::Unproven { name, peer, because }));
        }
    }

    fn default_name(&self) -> String {
        match &self.peer {
            Peer::Unix { uid, pid: Some(pid) } => format!("uid{uid}:{pid}"),
            Peer::Unix { uid, pid: None } => format!("uid{uid}"),
            Peer::Tcp(address) | Peer::Tls { address, .. } => format!("{address}"),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let clients = self.clients.get_mut().unwrap_or_else(PoisonError::into_inner);
        for account in std::mem::take(clients).into_values() {
            let client = account.client();
            self.handle.tell_later(Command::Input(Input::ClientLeft { client }));
        }
    }
}

/// A request's client.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its id in the hub.
    pub client: ClientId,
    /// Its answers that it has not taken.
    pub account: Arc<Account>,
    /// What it may do.
    pub rights: Rights,
    /// Keeps the client known as long as something of it runs.
    pub connection: Arc<Connection>,
    proof: Arc<Proof>,
}

impl Caller {
    /// Is it what it was when it called, whatever was configured since?
    pub(super) fn check(&self) -> Result<(), Status> {
        self.proof.check()
    }

    /// Waits until it is not.
    pub(super) fn lost(&self) -> Lost {
        self.proof.lost()
    }
}

/// Checks credentials and names.
#[derive(Debug, Clone)]
pub struct Doorkeeper {
    rosters: Arc<watch::Sender<Arc<Roster>>>,
    handle: Handle,
}

impl Doorkeeper {
    /// With these credentials.
    pub fn new(roster: Roster, handle: Handle) -> Self {
        Self { rosters: Arc::new(watch::channel(Arc::new(roster)).0), handle }
    }

    /// Other credentials count from now on, for calls that come and for streams that are open.
    pub fn replace(&self, roster: Roster) {
        self.rosters.send_replace(Arc::new(roster));
    }

    /// Who calls, if it may.
    pub async fn admit<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let connection = request
            .extensions()
            .get::<Arc<Connection>>()
            .cloned()
            .ok_or_else(|| unauthenticated("the connection has no credential"))?;
        let header = |key| request.metadata().get(key);
        let name = match header("x-client-name") {
            Some(name) => Some(checked_name(name.to_str().unwrap_or_default())?),
            None => None,
        };
        let authorization = header("authorization").map(|text| text.to_str().unwrap_or_default());
        let rosters = self.rosters.subscribe();
        let proof = Proof::of(&connection.peer, authorization, name.as_deref(), rosters);
        let proof = proof.inspect_err(|refused| {
            connection.note_refusal(name.as_deref(), refused);
        })?;
        connection.seat.check()?;
        let name = name.unwrap_or_else(|| connection.default_name());
        let credential = proof.standing.credential.clone();
        let account = self.client(&connection, name, credential).await?;
        let (client, rights) = (account.client(), proof.standing.rights);
        Ok(Caller { client, account, rights, connection, proof: Arc::new(proof) })
    }

    /// As [`Self::admit`], for operators; `what` is asked for.
    pub async fn admit_admin<T>(
        &self,
        request: &Request<T>,
        what: &'static str,
    ) -> Result<Caller, Status> {
        const FOR: &str = "AdminService is for the broker's own user on its Unix socket, for its \
                           token, and for clients with role = \"admin\"";
        let caller = self.admit(request).await?;
        match caller.rights {
            Rights::Operator | Rights::Admin => Ok(caller),
            Rights::Observe => Err(self.deny(&caller, what, FOR).await?),
        }
    }

    /// A refusal, which is audited.
    pub async fn deny(
        &self,
        caller: &Caller,
        what: &'static str,
        why: &str,
    ) -> Result<Status, Status> {
        let because = format!("PERMISSION_DENIED: {why}");
        let denied = Input::Denied { client: caller.client, what, because };
        // Whoever is answered can be read of: in the order in which it was asked.
        let told = self.handle.tell(Command::Input(denied)).await;
        told.map_err(|error| status(&error))?;
        Ok(permission_denied(why))
    }

    /// The client of this name and credential on this connection; a new one joins.
    async fn client(
        &self,
        connection: &Arc<Connection>,
        name: String,
        credential: Credential,
    ) -> Result<Arc<Account>, Status> {
        let identity = Identity {
            name,
            principal: credential.principal.clone(),
            operator: credential.operator,
            imprint: credential.imprint,
        };
        let name = identity.name.clone();
        let account = {
            let mut clients = connection.clients.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(account) = clients.get(&identity) {
                return Ok(Arc::clone(account));
            }
            if clients.len() == MOST_NAMES {
                return Err(permission_denied(
                    "one connection may use 16 names in x-client-name; open another connection",
                ));
            }
            let account = self.handle.answers().open(ClientId(self.handle.number()));
            clients.insert(identity, Arc::clone(&account));
            account
        };
        let peer = connection.peer.to_string();
        let client = account.client();
        let joined = Command::Input(Input::ClientJoined { client, name, peer, credential });
        self.handle.tell(joined).await.map_err(|error| status(&error))?;
        Ok(account)
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
}
