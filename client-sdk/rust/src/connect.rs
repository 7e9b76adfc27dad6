//! Finding the broker and opening the connection to it.
//!
//! [`find`] makes the list of addresses worth trying, [`open`] tries them in order. Nothing
//! here starts a broker or retries one: an established channel reconnects by itself.

mod find;
mod tls;

use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use ibouncer_proto::places::PlacesError;
use thiserror::Error;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint, Uri};

use crate::options::Options;
use find::{Candidate, Step, find};

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A Unix socket; the caller is known by its user id.
    Unix(PathBuf),
    /// `host:port`; the caller is known by its token.
    Tcp(String),
    /// `https://host:port`; the caller is known by its certificate or its token.
    Tls(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => f.write_str(address),
            Self::Tls(address) => write!(f, "https://{address}"),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Flags, variables and home do not make a place to look at.
    #[error("cannot tell where the broker's files are")]
    Places(#[from] PlacesError),
    /// The target is not one of the known forms.
    #[error(
        "{target:?} is not a target: use unix:/path, host:port, http://host:port, or \
         https://host:port for TLS"
    )]
    BadTarget {
        /// As it was given.
        target: String,
    },
    /// What TLS needs is not there, or not good.
    #[error("no TLS with {target}: {because}")]
    BadTls {
        /// Where to.
        target: Target,
        /// What is wrong, and what to do.
        because: String,
    },
    /// The token has bytes that cannot stand in a header.
    #[error("the token for {target} has characters that cannot be sent")]
    BadToken {
        /// Where it should have gone.
        target: Target,
    },
    /// Nothing answered. The message lists what was tried.
    #[error("cannot reach the broker of instance {instance:?}: {}; start it with `ibouncer serve`, or name a running one with IBOUNCER_TARGET", sentences(.tried))]
    Unreachable {
        /// The instance that was looked for.
        instance: String,
        /// What was tried, in order.
        tried: Vec<Tried>,
    },
}

/// One address, and why it did not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The address or file.
    pub what: String,
    /// What was wrong with it.
    pub because: String,
}

fn sentences(tried: &[Tried]) -> String {
    let mut text = String::new();
    for (index, one) in tried.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        write!(text, "{separator}{} ({})", one.what, one.because).expect("a String grows");
    }
    text
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) channel: Channel,
    pub(crate) target: Target,
    pub(crate) token: Option<String>,
}

/// Opens the first address that answers.
pub(crate) async fn open(options: &Options) -> Result<Connection, ConnectError> {
    let plan = find(options, |name| std::env::var_os(name))?;
    let mut tried = Vec::new();
    for step in plan.steps {
        let Candidate { target, token } = match step {
            Step::Try(candidate) => candidate,
            Step::Pass(ruled_out) => {
                tried.push(ruled_out);
                continue;
            }
        };
        let secrets = match &target {
            Target::Tls(_) => Some(tls::client(options, &target)?),
            _ => None,
        };
        // Large, and part of every call that may have to connect again.
        match Box::pin(channel(&target, options, secrets)).await {
            Ok(channel) => {
                return Ok(Connection { channel, target, token });
            }
            Err(because) => tried.push(Tried { what: target.to_string(), because }),
        }
    }
    Err(ConnectError::Unreachable { instance: plan.instance, tried })
}

async fn channel(
    target: &Target,
    options: &Options,
    tls: Option<ClientTlsConfig>,
) -> Result<Channel, String> {
    // A Unix socket has no authority; h2 refuses a path there.
    let uri = match target {
        Target::Unix(_) => "http://localhost".to_owned(),
        Target::Tcp(address) => format!("http://{address}"),
        Target::Tls(address) => format!("https://{address}"),
    };
    let mut endpoint = Endpoint::from_shared(uri)
        .map_err(|error| error.to_string())?
        .initial_stream_window_size(options.stream_window)
        .initial_connection_window_size(options.connection_window)
        .connect_timeout(options.connect_timeout)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    if let Some(tls) = tls {
        endpoint = endpoint.tls_config(tls).map_err(|error| innermost(&error))?;
    }
    let opened = match target {
        Target::Tcp(_) | Target::Tls(_) => endpoint.connect().await,
        Target::Unix(path) => {
            let path = path.clone();
            let connector = tower::service_fn(move |_: Uri| {
                let path = path.clone();
                async move {
                    let stream = tokio::net::UnixStream::connect(path).await?;
                    Ok::<_, std::io::Error>(TokioIo::new(stream))
                }
            });
            endpoint.connect_with_connector(connector).await
        }
    };
    opened.map_err(|error| innermost(&error))
}

/// "connection refused", not "transport error".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_error_names_everything_that_was_tried_and_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ibouncer.sock"), "").unwrap();
        let options =
            Options::new().runtime_dir(folder.path()).state_dir(folder.path()).instance("default");
        let error = open(&options).await.unwrap_err().to_string();
        for part in ["ibouncer.sock (", "endpoints.json (no such file)", "ibouncer serve"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
