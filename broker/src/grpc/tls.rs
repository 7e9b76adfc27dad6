//! TLS for the TCP listener: its files, its handshakes, and whom a certificate names.
//!
//! A handshake takes as long as the other side likes, so each has a task and a deadline of its
//! own; nobody else waits for it. Certificates of clients are asked for if there is a `client_ca`,
//! and may be missing: a token is a credential as well. A configuration that is read again counts
//! for connections that come later.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};
use tokio_rustls::server::TlsStream;

use crate::config::TlsFiles;
use crate::subject::Subject;

/// A handshake is two round trips; who needs longer is not coming.
const DEADLINE: Duration = Duration::from_secs(10);

/// The one protocol that is spoken.
const HTTP_2: &[u8] = b"h2";

/// What is needed to answer a handshake; another reading of the files replaces it.
#[derive(Clone)]
pub struct Tls {
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Tls")
    }
}

impl Tls {
    /// With these files.
    pub fn read(files: &TlsFiles) -> anyhow::Result<Self> {
        let config = Arc::new(RwLock::new(Arc::new(read(files)?)));
        Ok(Self { config })
    }

    /// With other files, or the same ones renewed.
    pub fn replace(&self, other: &Self) {
        let other = other.config();
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = other;
    }

    /// Makes the handshake. Whom the other side's certificate names, if it has one.
    pub async fn accept(
        &self,
        socket: TcpStream,
    ) -> anyhow::Result<(TlsStream<TcpStream>, Option<Subject>)> {
        let handshake = TlsAcceptor::from(self.config()).accept(socket);
        let stream = tokio::time::timeout(DEADLINE, handshake)
            .await
            .with_context(|| format!("no handshake within {} s", DEADLINE.as_secs()))?
            .context("the TLS handshake failed")?;
        let certificates = stream.get_ref().1.peer_certificates();
        let subject = certificates
            .and_then(<[_]>::first)
            .map(|certificate| Subject::of_certificate(certificate))
            .transpose()?;
        Ok((stream, subject))
    }

    fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn read(files: &TlsFiles) -> anyhow::Result<ServerConfig> {
    let chain = certificates(&files.cert).context("grpc.tls.cert")?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("grpc.tls.key: no private key in {}", files.key.display()))?;
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .context("TLS versions")?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path).context("grpc.tls.client_ca")? {
                roots.add(certificate).context("grpc.tls.client_ca")?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .context("grpc.tls.client_ca")?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .context("grpc.tls: the certificate and the key do not go together")?;
    config.alpn_protocols = vec![HTTP_2.to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.with_context(|| format!("read certificates from {}", path.display()))?;
    ensure!(!found.is_empty(), "no certificate in {}", path.display());
    Ok(found)
}
