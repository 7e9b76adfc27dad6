//! What TLS with a broker needs: from options, or from files that the environment names.

use std::path::PathBuf;

use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::{ConnectError, Target};
use crate::options::Options;

/// How this target is spoken to.
pub(super) fn client(options: &Options, target: &Target) -> Result<ClientTlsConfig, ConnectError> {
    let bad = |because: String| ConnectError::BadTls { target: target.clone(), because };
    let given = &options.tls;
    let ca = match &given.ca {
        Some(pem) => Some(pem.clone()),
        None => file("IBOUNCER_TLS_CA").map_err(bad)?,
    };
    let ca = ca.ok_or_else(|| {
        bad("nobody says whose certificates are believed: set IBOUNCER_TLS_CA to a file in PEM, or \
             use Options::tls_ca"
            .into())
    })?;
    let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
    let identity = match &given.identity {
        Some(identity) => Some(identity.clone()),
        None => {
            let files =
                (file("IBOUNCER_TLS_CERT").map_err(bad)?, file("IBOUNCER_TLS_KEY").map_err(bad)?);
            match files {
                (Some(cert), Some(key)) => Some((cert, key)),
                (None, None) => None,
                _ => {
                    return Err(bad("IBOUNCER_TLS_CERT and IBOUNCER_TLS_KEY go together".into()));
                }
            }
        }
    };
    if let Some((cert, key)) = identity {
        config = config.identity(Identity::from_pem(cert, key));
    }
    let name = given.name.clone().or_else(|| std::env::var("IBOUNCER_TLS_NAME").ok());
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        config = config.domain_name(name);
    }
    Ok(config)
}

/// What stands in the file that this variable names.
fn file(variable: &str) -> Result<Option<Vec<u8>>, String> {
    let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let path = PathBuf::from(path);
    let read = std::fs::read(&path);
    read.map(Some).map_err(|error| format!("{variable}: {}: {error}", path.display()))
}
