//! What the kernel's tables say about Gateway's port, without a packet.
//!
//! Data and the judgement of whether it shows Gateway itself; who reads the tables is the crate
//! `ibouncer-eyes`. Whatever could not be read is [`Unknown`] with its cause, never "none".

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::record::KnownListener;

/// Something that was looked for: known, or unknown with its cause.
pub type Seen<T> = Result<T, Unknown>;

/// Why something is not known, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown(pub String);

impl fmt::Display for Unknown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Do the tables of this host show Gateway itself?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vantage {
    /// Yes: a process that can be Gateway listens here.
    Local,
    /// A relay listens here, or an owner that cannot be read: Gateway is somewhere behind it.
    Relayed,
    /// The address is not of this host, or of another network namespace.
    Remote,
    /// Nothing can be seen.
    None,
}

impl Vantage {
    /// Name in status and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Relayed => "relayed",
            Self::Remote => "remote",
            Self::None => "none",
        }
    }
}

/// One look at the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Do they show Gateway itself?
    pub vantage: Vantage,
    /// Why, in words.
    pub because: String,
    /// What listens on the port; `None` if nothing does.
    pub listener: Seen<Option<Listener>>,
    /// Every other socket of the port.
    pub sockets: Seen<Vec<PortSocket>>,
}

/// The listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where it listens.
    pub address: SocketAddr,
    /// Tells it from a later one.
    pub inode: u64,
    /// Connections that the kernel completed and that wait to be accepted.
    pub accept_queue: u32,
    /// How many may wait, if the tables say so.
    pub backlog: Seen<u32>,
    /// Whose it is.
    pub process: Seen<Process>,
}

/// A process, as its own files tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Process id, and with [`Self::started`] a name that is never used again until the next
    /// boot.
    pub pid: u32,
    /// Start, in clock ticks since boot.
    pub started: u64,
    /// Start, in seconds since 1970.
    pub started_unix: u64,
    /// Command line, at most 200 characters.
    pub command: String,
    /// File that it runs.
    pub executable: Seen<String>,
    /// Figures of the newest sample.
    pub figures: Seen<Figures>,
}

/// Figures of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Time on a core since its start.
    pub cpu: Duration,
    /// Share of one core between the two newest samples, in tenths of a percent; `None` at the
    /// first sample.
    pub cpu_permille: Option<u32>,
    /// Resident set, bytes.
    pub resident: u64,
    /// Threads.
    pub threads: u32,
    /// Open descriptors; `None` if they cannot be counted.
    pub descriptors: Option<u32>,
}

/// State of a TCP socket, by the kernel's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names of RFC 9293 and of the kernel")]
pub enum TcpState {
    Established,
    SynSent,
    SynRecv,
    FinWait1,
    FinWait2,
    TimeWait,
    Close,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    NewSynRecv,
}

impl TcpState {
    /// Name as `ss` and `netstat` print it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN_SENT",
            Self::SynRecv | Self::NewSynRecv => "SYN_RECV",
            Self::FinWait1 => "FIN_WAIT1",
            Self::FinWait2 => "FIN_WAIT2",
            Self::TimeWait => "TIME_WAIT",
            Self::Close => "CLOSE",
            Self::CloseWait => "CLOSE_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::Listen => "LISTEN",
            Self::Closing => "CLOSING",
        }
    }
}

/// What a socket of the port is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Gateway's side of a connection that it has not accepted yet.
    Waiting,
    /// Gateway's side of a connection.
    Gateway,
    /// Our own worker's.
    Worker,
    /// Our own doctor's.
    Doctor,
    /// A relay's.
    Relay,
    /// Another program's.
    Stranger,
}

impl Role {
    /// Name in lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Gateway => "gateway",
            Self::Worker => "worker",
            Self::Doctor => "doctor",
            Self::Relay => "relay",
            Self::Stranger => "stranger",
        }
    }
}

/// One end of a connection to the port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSocket {
    /// Its own address.
    pub local: SocketAddr,
    /// The other end's.
    pub remote: SocketAddr,
    /// Its state.
    pub state: TcpState,
    /// What it is to us.
    pub role: Role,
    /// Whose it is; `None` if nobody holds it (any more, or not yet).
    pub owner: Seen<Option<Owner>>,
    /// At least so old: since it was seen first.
    pub age: Duration,
    /// Bytes that its owner has not read.
    pub unread: u32,
}

/// Who holds a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Process id.
    pub pid: u32,
    /// Start, in clock ticks since boot.
    pub started: u64,
    /// Start, in seconds since 1970.
    pub started_unix: u64,
    /// Command line, at most 200 characters.
    pub command: String,
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (pid {})", self.command, self.pid)
    }
}

/// What tells one listener from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerId {
    /// The socket.
    pub inode: u64,
    /// The process and its start, if known.
    pub process: Option<(u32, u64)>,
}

impl Sight {
    /// Nothing is known, for this reason.
    pub fn blind(because: &str) -> Self {
        let unknown = || Unknown(because.to_owned());
        Self {
            vantage: Vantage::None,
            because: because.to_owned(),
            listener: Err(unknown()),
            sockets: Err(unknown()),
        }
    }

    /// Do these eyes see Gateway itself?
    pub fn counts(&self) -> bool {
        self.vantage == Vantage::Local
    }

    /// Does something listen? `None` is "unknown".
    pub fn listening(&self) -> Option<bool> {
        self.listener.as_ref().ok().map(Option::is_some)
    }

    /// The listener, if there is one and it is known.
    pub fn listener(&self) -> Option<&Listener> {
        self.listener.as_ref().ok()?.as_ref()
    }

    /// What tells this listener from the next.
    pub fn listener_id(&self) -> Option<ListenerId> {
        let listener = self.listener()?;
        let process = listener.process.as_ref().ok().map(|one| (one.pid, one.started));
        Some(ListenerId { inode: listener.inode, process })
    }

    /// The listener, in the form that outlives a restart; only of Gateway itself.
    pub fn known_listener(&self) -> Option<KnownListener> {
        let listener = self.listener().filter(|_| self.counts())?;
        let process = listener.process.as_ref();
        let (pid, started) = process.map_or((0, 0), |one| (one.pid, one.started));
        Some(KnownListener { inode: listener.inode, pid, started })
    }

    /// Connections that wait to be accepted.
    pub fn accept_queue(&self) -> Option<u32> {
        self.listener().map(|listener| listener.accept_queue)
    }

    /// Sockets of Gateway's side in CLOSE_WAIT.
    pub fn close_wait(&self) -> Option<u32> {
        let sockets = self.sockets.as_ref().ok()?;
        let side = |socket: &&PortSocket| matches!(socket.role, Role::Gateway | Role::Waiting);
        let stuck = sockets.iter().filter(side).filter(|one| one.state == TcpState::CloseWait);
        u32::try_from(stuck.count()).ok()
    }

    /// Connections that other programs hold to the port; not what the kernel keeps for a while
    /// of those that were closed.
    pub fn strangers(&self) -> impl Iterator<Item = &PortSocket> {
        let sockets = self.sockets.as_deref().unwrap_or_default();
        let held = |socket: &&PortSocket| !matches!(socket.owner, Ok(None));
        sockets.iter().filter(|socket| socket.role == Role::Stranger).filter(held)
    }
}

/// Sights for the tests of other machines.
#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Gateway's own listener, of a process that was started at 1 000 000 s after 1970.
    pub(crate) fn listening(inode: u64, accept_queue: u32) -> Sight {
        let process = Process {
            pid: 4000 + inode as u32,
            started: inode,
            started_unix: 1_000_000,
            command: "java".into(),
            executable: Ok("/opt/java".into()),
            figures: Err(Unknown("not sampled".into())),
        };
        let listener = Listener {
            address: "127.0.0.1:4002".parse().unwrap(),
            inode,
            accept_queue,
            backlog: Ok(50),
            process: Ok(process),
        };
        Sight {
            vantage: Vantage::Local,
            because: "java listens".into(),
            listener: Ok(Some(listener)),
            sockets: Ok(Vec::new()),
        }
    }

    /// Nothing listens.
    pub(crate) fn nothing() -> Sight {
        Sight { listener: Ok(None), ..listening(0, 0) }
    }
}
