//! What every call says about its caller: a name, and over TCP a credential.

use std::path::Path;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// Adds `x-client-name`, and `authorization` where there is a token, to each call.
#[derive(Debug, Clone)]
pub struct Identity {
    name: MetadataValue<Ascii>,
    authorization: Option<MetadataValue<Ascii>>,
}

impl Identity {
    /// `None` if the token cannot stand in a header.
    pub(crate) fn new(name: Option<&str>, token: Option<&str>) -> Option<Self> {
        let name = printable(name.unwrap_or(&default_name()));
        let authorization = match token {
            None => None,
            Some(token) => {
                let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().ok()?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Some(Self { name: name.parse().expect("printable ASCII is a legal value"), authorization })
    }
}

impl Interceptor for Identity {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        metadata.insert("x-client-name", self.name.clone());
        if let Some(authorization) = &self.authorization {
            metadata.insert("authorization", authorization.clone());
        }
        Ok(request)
    }
}

/// `program@host:pid`.
fn default_name() -> String {
    let argument = std::env::args_os().next().unwrap_or_default();
    let program = Path::new(&argument).file_name().unwrap_or_default().to_string_lossy();
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    format!("{program}@{host}:{}", std::process::id())
}

fn printable(name: &str) -> String {
    let name = name.trim();
    let printable = |letter: char| {
        // What the broker takes in a name.
        if letter.is_ascii_alphanumeric() || "._-@:/+=".contains(letter) { letter } else { '_' }
    };
    name.chars().map(printable).take(LONGEST_NAME).collect()
}

const LONGEST_NAME: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_name_says_program_host_and_process() {
        let name = default_name();
        let (program, rest) = name.split_once('@').unwrap();
        assert!(program.starts_with("ibouncer_client"), "{name}");
        assert!(rest.ends_with(&format!(":{}", std::process::id())), "{name}");
    }

    #[test]
    fn a_name_that_is_not_ascii_still_makes_a_header() {
        assert_eq!(printable(" Börse\n1 "), "B_rse_1");
        assert_eq!(printable(&"x".repeat(500)).len(), LONGEST_NAME);
    }

    #[test]
    fn a_token_goes_out_only_where_there_is_one() {
        let mut plain = Identity::new(Some("a"), None).unwrap();
        let request = plain.call(Request::new(())).unwrap();
        assert_eq!(request.metadata().get("x-client-name").unwrap(), "a");
        assert!(request.metadata().get("authorization").is_none());
        let mut proven = Identity::new(None, Some("secret")).unwrap();
        let request = proven.call(Request::new(())).unwrap();
        assert_eq!(request.metadata().get("authorization").unwrap(), "Bearer secret");
        assert!(Identity::new(None, Some("two\nlines")).is_none());
    }
}
