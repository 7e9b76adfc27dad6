//! Which addresses are worth trying, and in which order: from options, environment and the
//! files of the instance. The rule stands at [`Options::target`]. Opens no connection.

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use ibouncer_proto::places::Places;

use super::{ConnectError, Target, Tried};
use crate::options::Options;

/// One address worth trying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) target: Target,
    pub(super) token: Option<String>,
}

/// One step of the search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// To be tried.
    Try(Candidate),
    /// Ruled out by looking.
    Pass(Tried),
}

/// The search, in order.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) instance: String,
    pub(super) steps: Vec<Step>,
}

/// Looks at options, environment and the instance's files.
pub(super) fn find(
    options: &Options,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Plan, ConnectError> {
    let variable = |name: &str| {
        let value = environment(name)?.into_string().ok()?;
        Some(value).filter(|value| !value.is_empty())
    };
    let places = Places::resolve(&options.wishes, &environment)?;
    let given_token = options.token.clone().or_else(|| variable("IBOUNCER_TOKEN"));
    let token = given_token.clone().or_else(|| read_token(&places.token()));
    let mut plan = Plan { instance: places.instance().to_owned(), ..Plan::default() };

    if let Some(target) = options.target.clone().or_else(|| variable("IBOUNCER_TARGET")) {
        let target = parse(&target)?;
        // A token that was found, and not given, is for the broker of this host alone.
        // Nor is it for whoever shows a certificate, and means to be known by that.
        let certified = matches!(target, Target::Tls(_))
            && (options.tls.identity.is_some() || variable("IBOUNCER_TLS_CERT").is_some());
        let token = if is_loopback(&target) && !certified { token } else { given_token };
        plan.add(with_token(target, &token));
        return Ok(plan);
    }

    let socket = places.socket();
    if socket.exists() {
        plan.add(with_token(Target::Unix(socket), &token));
    } else {
        plan.rule_out(&socket.display(), "no such socket");
    }

    let endpoints = places.endpoints();
    match tcp_endpoint(&endpoints) {
        Ok(Some(address)) => plan.add(with_token(Target::Tcp(address), &token)),
        // The broker that wrote this listens on its socket alone.
        Ok(None) => return Ok(plan),
        Err(because) => plan.rule_out(&endpoints.display(), because),
    }

    // The well-known port belongs to the default instance, and nobody gets in without a token.
    let well_known = Target::Tcp(WELL_KNOWN.to_owned());
    let known = plan.candidates().any(|candidate| candidate.target == well_known);
    if places.is_default() && !known {
        if token.is_some() {
            plan.add(with_token(well_known, &token));
        } else {
            plan.rule_out(&well_known, format!("no token in {}", places.token().display()));
        }
    }
    Ok(plan)
}

impl Plan {
    /// The addresses among the steps.
    fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.steps.iter().filter_map(|step| match step {
            Step::Try(candidate) => Some(candidate),
            Step::Pass(_) => None,
        })
    }

    fn add(&mut self, candidate: Candidate) {
        self.steps.push(Step::Try(candidate));
    }

    fn rule_out(&mut self, what: &dyn fmt::Display, because: impl Into<String>) {
        self.steps.push(Step::Pass(Tried { what: what.to_string(), because: because.into() }));
    }
}

fn is_loopback(target: &Target) -> bool {
    let (Target::Tcp(address) | Target::Tls(address)) = target else {
        return true;
    };
    let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The token leaves only over TCP.
fn with_token(target: Target, token: &Option<String>) -> Candidate {
    let token = match target {
        Target::Unix(_) => None,
        Target::Tcp(_) | Target::Tls(_) => token.clone(),
    };
    Candidate { target, token }
}

fn parse(text: &str) -> Result<Target, ConnectError> {
    let bad = || ConnectError::BadTarget { target: text.to_owned() };
    if let Some(path) = text.strip_prefix("unix:") {
        // unix:///path has an empty authority.
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') {
            return Err(bad());
        }
        return Ok(Target::Unix(path.into()));
    }
    let (make, address): (fn(String) -> Target, _) = match text.strip_prefix("https://") {
        Some(address) => (Target::Tls, address),
        None => (Target::Tcp, text.strip_prefix("http://").unwrap_or(text)),
    };
    let address = address.trim_end_matches('/');
    let authority: http::uri::Authority = address.parse().map_err(|_| bad())?;
    let plain = !address.contains('@') && !authority.host().is_empty();
    if plain && authority.port_u16().is_some() { Ok(make(address.to_owned())) } else { Err(bad()) }
}

fn read_token(path: &Path) -> Option<String> {
    let token = std::fs::read_to_string(path).ok()?.trim().to_owned();
    Some(token).filter(|token| !token.is_empty())
}

fn tcp_endpoint(path: &Path) -> Result<Option<String>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        _ => error.to_string(),
    })?;
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("not JSON: {error}"))?;
    let address = value.get("tcp").and_then(serde_json::Value::as_str);
    Ok(address.filter(|address| !address.is_empty()).map(str::to_owned))
}

const WELL_KNOWN: &str = "127.0.0.1:4010";

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(options: &Options, variables: &[(&str, &str)]) -> Result<Plan, ConnectError> {
        find(options, |name| {
            let found = variables.iter().find(|(key, _)| *key == name)?;
            Some(OsString::from(found.1))
        })
    }

    fn targets(plan: &Plan) -> Vec<String> {
        plan.candidates().map(|one| one.target.to_string()).collect()
    }

    #[test]
    fn a_named_target_is_the_only_one_tried() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ibouncer.sock"), "").unwrap();
        let options = Options::new().runtime_dir(folder.path()).state_dir(folder.path());
        let variables = [("IBOUNCER_TARGET", "http://gateway:4010/"), ("IBOUNCER_TOKEN", "t")];
        let from_variable = plan(&options, &variables).unwrap();
        assert_eq!(targets(&from_variable), ["gateway:4010"]);
        assert_eq!(from_variable.candidates().next().unwrap().token.as_deref(), Some("t"));
        let options = options.target("unix:/run/other.sock").token("mine");
        let explicit = plan(&options, &variables).unwrap();
        assert_eq!(targets(&explicit), ["unix:/run/other.sock"]);
        assert_eq!(
            explicit.candidates().next().unwrap().token,
            None,
            "a token never goes to a Unix socket"
        );
    }

    #[test]
    fn the_socket_comes_first_then_the_endpoints_file_then_the_well_known_port() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("ibouncer.sock", "");
        write("token", "secret\n");
        write("endpoints.json", r#"{"schema":1,"pid":1,"unix":"x","tcp":"127.0.0.1:9"}"#);
        let options = Options::new().runtime_dir(folder.path()).state_dir(folder.path());
        let plan = plan(&options, &[]).unwrap();
        let socket = format!("unix:{}", folder.path().join("ibouncer.sock").display());
        assert_eq!(targets(&plan), [socket.as_str(), "127.0.0.1:9", WELL_KNOWN]);
        let tokens: Vec<_> = plan.candidates().map(|one| one.token.as_deref()).collect();
        assert_eq!(tokens, [None, Some("secret"), Some("secret")]);
    }

    #[test]
    fn a_found_token_is_for_this_host_alone() {
        for (target, local) in [
            ("127.0.0.1:4010", true),
            ("[::1]:4010", true),
            ("localhost:4010", true),
            ("192.0.2.7:4010", false),
            ("example.test:4010", false),
        ] {
            assert_eq!(is_loopback(&parse(target).unwrap()), local, "{target}");
        }
    }

    #[test]
    fn the_well_known_port_is_left_alone_without_a_token_and_by_other_instances() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::new().runtime_dir(folder.path()).state_dir(folder.path());
        assert!(targets(&plan(&options, &[]).unwrap()).is_empty());
        let with_token = [("IBOUNCER_TOKEN", "t")];
        assert_eq!(targets(&plan(&options, &with_token).unwrap()), [WELL_KNOWN]);
        let other = options.instance("live");
        assert!(targets(&plan(&other, &with_token).unwrap()).is_empty());
    }

    #[test]
    fn a_found_token_is_not_sent_beside_a_certificate() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "secret").unwrap();
        let options = Options::new().runtime_dir(folder.path()).state_dir(folder.path());
        let options = options.target("https://localhost:4010");
        let token = |options: &Options, variables: &[(&str, &str)]| {
            let plan = plan(options, variables).unwrap();
            plan.candidates().next().unwrap().token.clone()
        };
        assert_eq!(token(&options, &[]).as_deref(), Some("secret"));
        assert_eq!(token(&options, &[("IBOUNCER_TLS_CERT", "mine.pem")]), None);
        let certified = options.tls_identity("cert", "key");
        assert_eq!(token(&certified, &[]), None);
        assert_eq!(token(&certified.token("given"), &[]).as_deref(), Some("given"));
    }

    #[test]
    fn targets_have_four_forms() {
        assert_eq!(parse("unix:///a/b").unwrap(), Target::Unix("/a/b".into()));
        assert_eq!(parse("unix:/a/b").unwrap(), Target::Unix("/a/b".into()));
        assert_eq!(parse("localhost:1").unwrap(), Target::Tcp("localhost:1".into()));
        assert_eq!(parse("https://host:1/").unwrap(), Target::Tls("host:1".into()));
        assert_eq!(parse("http://[::1]:4010").unwrap(), Target::Tcp("[::1]:4010".into()));
        for bad in
            ["", "unix:relative", "https://host", "host", "http://host", "me@host:1", "h:99999"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
