//! What a program can say about its connection. Everything has a default; the order in which a
//! broker is looked for stands at [`Options::target`].

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ibouncer_proto::places::Wishes;

/// How to find the broker and how to talk to it.
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) target: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) client_name: Option<String>,
    pub(crate) wishes: Wishes,
    pub(crate) stream_window: u32,
    pub(crate) connection_window: u32,
    pub(crate) connect_timeout: Duration,
    pub(crate) reconnect: bool,
    pub(crate) tls: Tls,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            target: None,
            token: None,
            client_name: None,
            wishes: Wishes::default(),
            stream_window: DEFAULT_STREAM_WINDOW,
            connection_window: DEFAULT_CONNECTION_WINDOW,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            reconnect: true,
            tls: Tls::default(),
        }
    }
}

impl Options {
    /// The defaults: the broker of this user's default instance.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the broker: `unix:/path`, `host:port` or `http://host:port`; with TLS
    /// `https://host:port`.
    ///
    /// Without it the first of these is taken: `IBOUNCER_TARGET`; the instance's Unix socket;
    /// the TCP address in the instance's `endpoints.json`; `127.0.0.1:4010`, only for the
    /// default instance and only with a token. A target that is named is the only one tried.
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// The bearer token for TCP. Without it: `IBOUNCER_TOKEN`, then the instance's token file.
    /// It is never sent over a Unix socket.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Whose certificates are believed, in PEM, for `https://` targets. Without it the file that
    /// `IBOUNCER_TLS_CA` names.
    pub fn tls_ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls.ca = Some(pem.into());
        self
    }

    /// Our certificate and its key, in PEM: a credential, if the broker asks for one. Without it
    /// the files that `IBOUNCER_TLS_CERT` and `IBOUNCER_TLS_KEY` name.
    pub fn tls_identity(mut self, cert: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.tls.identity = Some((cert.into(), key.into()));
        self
    }

    /// The name that the broker's certificate must have; that of the target without it, or
    /// `IBOUNCER_TLS_NAME`.
    pub fn tls_name(mut self, name: impl Into<String>) -> Self {
        self.tls.name = Some(name.into());
        self
    }

    /// The name shown to operators; `program@host:pid` without it. The broker makes it unique.
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.client_name = Some(name.into());
        self
    }

    /// The instance to talk to; `IBOUNCER_INSTANCE` or `default` without it.
    pub fn instance(mut self, name: impl Into<String>) -> Self {
        self.wishes.instance = Some(name.into());
        self
    }

    /// The folder of the broker's socket; see [`crate::places`] for the rule without it.
    pub fn runtime_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.wishes.runtime_dir = Some(folder.into());
        self
    }

    /// The folder of the broker's state; see [`crate::places`] for the rule without it.
    pub fn state_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.wishes.state_dir = Some(folder.into());
        self
    }

    /// HTTP/2 window of one stream in bytes, by default 256 KiB.
    ///
    /// It bounds how much a slow reader can fall behind: what waits in a window is old when it
    /// is read, and cannot be conflated any more.
    pub fn stream_window(mut self, bytes: u32) -> Self {
        self.stream_window = bytes;
        self
    }

    /// HTTP/2 window of the whole connection in bytes, by default 1 MiB.
    pub fn connection_window(mut self, bytes: u32) -> Self {
        self.connection_window = bytes;
        self
    }

    /// Whether streams outlive their broker, as they do by default: STALE when it goes away, then
    /// another one is looked for, asked for the same, and RESUMED. (Streams of the status and of
    /// events go on without a mark.)
    pub fn reconnect(mut self, reconnect: bool) -> Self {
        self.reconnect = reconnect;
        self
    }

    /// How long one address may take to connect, by default 5 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }
}

/// What was said about TLS. Keys are not shown by Debug.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) ca: Option<Vec<u8>>,
    pub(crate) identity: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) name: Option<String>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

const DEFAULT_STREAM_WINDOW: u32 = 256 * 1024;
const DEFAULT_CONNECTION_WINDOW: u32 = 1024 * 1024;
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
