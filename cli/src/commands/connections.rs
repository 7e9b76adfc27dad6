//! `ibouncer connections`: who holds Gateway's port, who connects to it, and what may be done.
//!
//! The broker knows most: since when, and whose. Without one, or with a flag that names what to
//! look at, the command looks itself; it never connects to the port and ends nothing.
//!
//! - `json`: the answer under stable keys.
//! - `text`: the same for people.

mod json;
mod text;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::{Instant, SystemTime};

use ibouncer_client::{Client, ConnectError, api};
use ibouncer_eyes::{Eyes, Ours, view};

use crate::args::{Connections, Global};
use crate::exit::{Complaint, Exit, Failure};
use crate::output::Output;

/// What is looked at without a word of the user, as in the broker's configuration.
const GATEWAY: &str = "127.0.0.1:4002";

/// Why this command's own look has no ages.
const NO_AGES: &str = "no broker was asked, and this command has only begun to look";

/// An answer, and who looked.
#[derive(Debug)]
struct Answer {
    /// What was looked at, if this command looked itself.
    own: Option<SocketAddr>,
    response: api::ListConnectionsResponse,
}

pub(crate) async fn run(
    global: &Global,
    wishes: &Connections,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let answer = answer(global, wishes).await?;
    if output.json() {
        output.value(&json::as_json(&answer))?;
    } else {
        output.text(&text::as_text(&answer, SystemTime::now()))?;
    }
    Ok(Exit::Good)
}

/// The whole answer, for a support bundle.
pub(crate) async fn collect(global: &Global) -> Result<serde_json::Value, Failure> {
    let answer = answer(global, &Connections::default()).await?;
    Ok(json::as_json(&answer))
}

async fn answer(global: &Global, wishes: &Connections) -> Result<Answer, Failure> {
    if wishes.gateway.is_some() || wishes.eyes.is_some() {
        return look(wishes);
    }
    match Client::connect(global.options()).await {
        Ok(client) => {
            let response = client.admin().connections().await?;
            Ok(Answer { own: None, response })
        }
        // The user named one, and it is not there.
        Err(error) if global.target.is_some() => Err(error.into()),
        Err(ConnectError::Unreachable { .. }) => look(wishes),
        Err(error) => Err(error.into()),
    }
}

/// Looks once.
fn look(wishes: &Connections) -> Result<Answer, Failure> {
    let gateway = resolve(wishes.gateway.as_deref().unwrap_or(GATEWAY))?;
    let mut eyes = Eyes::new(gateway, wishes.eyes.unwrap_or_default());
    let sight = eyes.look(&Ours::default(), Instant::now());
    let mut response = view::response(&sight, &[]);
    for connection in &mut response.connections {
        connection.age_ms = None;
    }
    for name in ["connections.age_ms", "short_connections"] {
        response.unknown.insert(name.to_owned(), NO_AGES.to_owned());
    }
    Ok(Answer { own: Some(eyes.gateway()), response })
}

/// The first address that the name has, IPv4 first: as the broker chooses it.
fn resolve(gateway: &str) -> Result<SocketAddr, Complaint> {
    let refuse = |because: String| {
        Complaint::usage(format!("--gateway {gateway}: {because}"))
            .next("use HOST:PORT, as in 127.0.0.1:4002")
    };
    let found = gateway.to_socket_addrs().map_err(|error| refuse(error.to_string()))?;
    let first = found.min_by_key(|address| !address.is_ipv4());
    first.ok_or_else(|| refuse("it resolves to nothing".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use clap::Parser as _;

    use super::*;
    use crate::args::Args;
    use crate::output::tests::on_paper;

    #[tokio::test]
    async fn without_a_broker_it_looks_itself_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let line = ["ibouncer", "connections", "--runtime-dir", path, "--state-dir", path];
        let global = Args::try_parse_from(line).unwrap().global;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gateway = listener.local_addr().unwrap().to_string();
        let wishes = Connections { gateway: Some(gateway.clone()), eyes: None };
        let (mut output, out, _) = on_paper(false);
        assert_eq!(run(&global, &wishes, &mut output).await.unwrap(), Exit::Good);
        assert!(out.text().contains("no broker was asked"), "{}", out.text());
        assert!(out.text().contains(&gateway), "{}", out.text());
    }

    #[test]
    fn a_gateway_that_is_none_is_refused_with_a_way_out() {
        for gateway in ["127.0.0.1", "127.0.0.1:port", ""] {
            let complaint = resolve(gateway).unwrap_err();
            assert_eq!(complaint.exit, Exit::Usage);
            assert!(complaint.next.unwrap().contains("HOST:PORT"));
        }
    }
}
