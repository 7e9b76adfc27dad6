//! Which configured client a caller is, and what it may do: by its credential, and among the
//! clients of one Unix user by the name that it gives.
//!
//! Pure but for reading token files. Another configuration is another [`Roster`], which is asked
//! anew at every call; what it means for streams that are open is in `standing.rs`.

use std::collections::BTreeMap;

use anyhow::ensure;
use ibouncer_core::principals::{Credential, Mark, Principals};
use tonic::Status;

use super::connection::{Peer, Rights};
use super::status::{permission_denied, unauthenticated};
use crate::config::{Config, RoleConfig};
use crate::subject::Subject;
use crate::tokens;

/// What stands between a client's name and that of an instance.
const SEPARATORS: &[u8] = b"-./@:#";

/// All credentials that count.
#[derive(Debug)]
pub struct Roster {
    own_uid: u32,
    own_token: Secret,
    clients: BTreeMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    uid: Option<u32>,
    token: Option<Secret>,
    subject: Option<Subject>,
    role: RoleConfig,
    accounts: Vec<String>,
}

impl Known {
    fn marks(&self) -> Vec<Mark> {
        let uid = self.uid.map(mark_of_uid);
        let token = self.token.as_ref().map(|token| mark_of_token(token.shown().as_bytes()));
        let subject = self.subject.as_ref().map(mark_of_subject);
        [uid, token, subject].into_iter().flatten().collect()
    }
}

fn mark_of_uid(uid: u32) -> Mark {
    Mark::of("uid", &uid.to_be_bytes())
}

fn mark_of_token(token: &[u8]) -> Mark {
    Mark::of("token", token)
}

fn mark_of_subject(subject: &Subject) -> Mark {
    Mark::of("subject", subject.to_string().as_bytes())
}

/// What a caller is, and what it may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) credential: Credential,
    pub(super) rights: Rights,
    role: RoleConfig,
    accounts: Vec<String>,
}

/// Not shown by Debug.
pub(super) struct Secret(Box<str>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret")
    }
}

impl Secret {
    pub(super) fn of(text: &str) -> Self {
        Self(text.into())
    }

    pub(super) fn shown(&self) -> &str {
        &self.0
    }

    /// Comparison whose time does not tell where the difference is.
    fn is(&self, other: &[u8]) -> bool {
        self.0.len() == other.len()
            && self.0.bytes().zip(other).fold(0, |difference, (a, b)| difference | (a ^ *b)) == 0
    }
}

impl Roster {
    /// A broker of this user, with this token, and no configured clients.
    pub fn new(own_uid: u32, own_token: &str) -> Self {
        Self { own_uid, own_token: Secret::of(own_token), clients: BTreeMap::new() }
    }

    /// With the configured clients. Reads their tokens, and makes those that are missing.
    pub fn with_clients(mut self, config: &Config) -> anyhow::Result<Self> {
        for (name, client) in &config.clients {
            let token = client.token_file.as_deref();
            let token = token.map(|path| tokens::of_client(name, path)).transpose()?;
            let token = token.as_deref().map(Secret::of);
            if let Some(token) = &token {
                let same = |known: &Known| {
                    known.token.as_ref().is_some_and(|one| one.is(token.0.as_bytes()))
                };
                let other = self.clients.iter().find(|(_, known)| same(known));
                let other = other.map(|(other, _)| other.as_str());
                let other =
                    other.or_else(|| self.own_token.is(token.0.as_bytes()).then_some("the broker"));
                ensure!(other.is_none(), "clients.{name} has the token of {}", other.unwrap_or(""));
            }
            let subject = client.subject()?;
            let (role, accounts) = (client.role, client.accounts.clone());
            let known = Known { uid: client.uid, token, subject, role, accounts };
            self.clients.insert(name.clone(), known);
        }
        Ok(self)
    }

    /// Tells the core by which credentials callers are these clients now.
    pub(crate) fn mark(&self, principals: &mut Principals) {
        for (name, principal) in principals {
            principal.marks = self.clients.get(name).map(Known::marks).unwrap_or_default();
        }
    }

    /// What a caller is, and what it may see, as [`Self::prove`].
    pub(super) fn standing(
        &self,
        peer: &Peer,
        authorization: Option<&str>,
        name: Option<&str>,
    ) -> Result<Standing, Status> {
        let (credential, rights) = self.prove(peer, authorization, name)?;
        let known = credential.principal.as_ref().and_then(|name| self.clients.get(name));
        let seen = known.map(|known| (known.role, known.accounts.clone()));
        let (role, accounts) = seen.unwrap_or_default();
        Ok(Standing { credential, rights, role, accounts })
    }

    /// What a caller is proven to be. `authorization` is its header, `name` the one that it asks
    /// for.
    pub fn prove(
        &self,
        peer: &Peer,
        authorization: Option<&str>,
        name: Option<&str>,
    ) -> Result<(Credential, Rights), Status> {
        let credential = match peer {
            Peer::Unix { uid, .. } => self.by_uid(*uid, name)?,
            Peer::Tcp(_) => self.by_token(authorization)?,
            Peer::Tls { subject: Some(subject), .. } if authorization.is_none() => {
                self.by_subject(subject)?
            }
            Peer::Tls { .. } => self.by_token(authorization)?,
        };
        if let Some(name) = name
            && self.clients.contains_key(name)
            && credential.principal.as_deref() != Some(name)
        {
            return Err(permission_denied(&format!(
                "x-client-name {name:?} is the name of a configured client that this caller is \
                 not ({}): leave the name out, choose another one, or use that client's credential",
                credential.shown
            )));
        }
        let known = credential.principal.as_ref().and_then(|name| self.clients.get(name));
        let admin =
            credential.operator || known.is_some_and(|known| known.role == RoleConfig::Admin);
        Ok((credential, if admin { Rights::Admin } else { Rights::Observe }))
    }

    /// Whoever the socket's mode has let in.
    fn by_uid(&self, uid: u32, name: Option<&str>) -> Result<Credential, Status> {
        let operator = uid == self.own_uid || uid == 0;
        let mine = || {
            let of_user = |(_, known): &(&String, &Known)| known.uid == Some(uid);
            self.clients.iter().filter(of_user).map(|(name, _)| name)
        };
        let named = name.and_then(|name| {
            mine().filter(|client| is_instance(name, client)).max_by_key(|client| client.len())
        });
        // An operator's tools are no instances of a client that happens to be of the same user.
        let only = || (!operator && mine().count() == 1).then(|| mine().next()).flatten();
        let principal = named.or_else(only).cloned();
        // Whoever could choose the client with the fewest limits by naming none would have none.
        let borrowed = name.is_some_and(|name| self.clients.contains_key(name));
        if principal.is_none() && !operator && !borrowed && mine().next().is_some() {
            let names: Vec<_> = mine().map(String::as_str).collect();
            return Err(permission_denied(&format!(
                "unix user {uid} has several clients ({}): say in x-client-name which of them this \
                 is, for example {:?} or \"{}/1\"",
                names.join(", "),
                names[0],
                names[0]
            )));
        }
        let shown = match operator {
            true if uid == self.own_uid => format!("the broker's own user, uid {uid}"),
            true => "root".into(),
            false => format!("unix user {uid}"),
        };
        let mark = principal.is_some().then(|| mark_of_uid(uid));
        Ok(Credential { principal, operator, shown, mark })
    }

    /// Who has a certificate and no token.
    fn by_subject(&self, subject: &Subject) -> Result<Credential, Status> {
        let named = |(_, known): &(&String, &Known)| known.subject.as_ref() == Some(subject);
        let (name, _) = self.clients.iter().find(named).ok_or_else(|| {
            unauthenticated(&format!(
                "the certificate is good, and its subject {subject} is no client's: name it as \
                 tls_subject of one (clients.NAME), or send a token"
            ))
        })?;
        let shown = format!("the certificate of {subject}");
        let mark = Some(mark_of_subject(subject));
        Ok(Credential { principal: Some(name.clone()), operator: false, shown, mark })
    }

    fn by_token(&self, authorization: Option<&str>) -> Result<Credential, Status> {
        let given = authorization.ok_or_else(|| {
            unauthenticated(
                "no token: send \"authorization: Bearer TOKEN\" with the content of the file \
                 \"token\" in the broker's runtime folder, or with the token of your client",
            )
        })?;
        let given = given
            .strip_prefix("Bearer ")
            .ok_or_else(|| unauthenticated("authorization must be \"Bearer TOKEN\""))?;
        let given = given.trim().as_bytes();
        // All are compared, so that the time does not tell which one it was.
        let own = self.own_token.is(given);
        let mut found = None;
        for (name, known) in &self.clients {
            if known.token.as_ref().is_some_and(|token| token.is(given)) {
                found = Some(name);
            }
        }
        match found {
            _ if own => {
                let shown = "the broker's own token".into();
                Ok(Credential { principal: None, operator: true, shown, mark: None })
            }
            Some(name) => {
                let shown = format!("the token of clients.{name}");
                let mark = Some(mark_of_token(given));
                Ok(Credential { principal: Some(name.clone()), operator: false, shown, mark })
            }
            None => Err(unauthenticated(
                "wrong token: the broker's own changes with every start, read it again; that of a \
                 client stands in its token_file",
            )),
        }
    }
}

/// NAME itself, or NAME and more behind a separator.
fn is_instance(given: &str, name: &str) -> bool {
    given.strip_prefix(name).is_some_and(|rest| {
        rest.is_empty() || rest.bytes().next().is_some_and(|byte| SEPARATORS.contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u32 = 1000;

    fn roster() -> Roster {
        let mut roster = Roster::new(OWN, "own-token");
        for (name, uid, token, admin) in [
            ("momentum", Some(2000), None, false),
            ("momentum-eu", Some(2000), None, false),
            ("risk", Some(3000), Some("risk-token"), true),
            ("house", Some(OWN), None, false),
            ("remote", None, Some("remote-token"), false),
        ] {
            let token = token.map(Secret::of);
            let subject = (name == "remote").then(|| "CN=remote,O=Desk".parse().unwrap());
            let role = if admin { RoleConfig::Admin } else { RoleConfig::Observe };
            let known = Known { uid, token, subject, role, accounts: Vec::new() };
            roster.clients.insert(name.into(), known);
        }
        roster
    }

    fn unix(uid: u32, name: Option<&str>) -> Result<(Option<String>, bool, Rights), String> {
        let proven = roster().prove(&Peer::Unix { uid, pid: Some(7) }, None, name);
        let proven = proven.map_err(|status| status.message().to_owned());
        proven.map(|(proven, rights)| (proven.principal, proven.operator, rights))
    }

    fn tcp(token: &str, name: Option<&str>) -> Result<(Option<String>, bool, Rights), String> {
        let peer = Peer::Tcp("127.0.0.1:5000".parse().unwrap());
        let header = format!("Bearer {token}");
        let proven = roster().prove(&peer, Some(&header), name);
        let proven = proven.map_err(|status| status.message().to_owned());
        proven.map(|(proven, rights)| (proven.principal, proven.operator, rights))
    }

    #[test]
    fn a_user_chooses_by_name_among_its_own_clients_only() {
        let observes = |name: &str| Ok((Some(name.to_owned()), false, Rights::Observe));
        assert_eq!(unix(2000, Some("momentum")), observes("momentum"));
        assert_eq!(unix(2000, Some("momentum/2")), observes("momentum"));
        assert_eq!(unix(2000, Some("momentum.py@host:17")), observes("momentum"));
        assert_eq!(unix(2000, Some("momentum-eu")), observes("momentum-eu"));
        assert_eq!(unix(2000, Some("momentum-eu:3")), observes("momentum-eu"));
        for unnamed in [Some("momentums"), None] {
            let error = unix(2000, unnamed).unwrap_err();
            assert!(error.contains("(momentum, momentum-eu)"), "{unnamed:?}: {error}");
        }
        let nobody = Ok((None, false, Rights::Observe));
        assert_eq!(unix(4000, Some("quotes")), nobody);
        let risk = Ok((Some("risk".to_owned()), false, Rights::Admin));
        assert_eq!(unix(3000, Some("anything")), risk, "the only client of that user");
        assert_eq!(unix(3000, None), risk);
    }

    #[test]
    fn the_own_user_and_root_are_operators_and_a_client_only_by_name() {
        for (uid, name, principal) in [
            (OWN, Some("house@host"), Some("house")),
            (OWN, Some("ibouncer@host:5"), None),
            (OWN, None, None),
            (0, Some("quotes"), None),
        ] {
            let proven = (principal.map(str::to_owned), true, Rights::Admin);
            assert_eq!(unix(uid, name), Ok(proven), "{uid} {name:?}");
        }
    }

    #[test]
    fn nobody_takes_the_name_of_a_client_that_it_is_not() {
        for refused in [
            unix(2000, Some("risk")),
            unix(OWN, Some("momentum")),
            unix(0, Some("house")),
            unix(3000, Some("momentum-eu")),
            tcp("own-token", Some("risk")),
            tcp("risk-token", Some("remote")),
        ] {
            let error = refused.unwrap_err();
            assert!(error.contains("is the name of a configured client"), "{error}");
            assert!(!error.contains("uid = ") && !error.contains("3000,"), "{error}");
        }
    }

    #[test]
    fn a_token_is_one_client_and_an_unknown_one_is_nobody() {
        assert_eq!(tcp("own-token", Some("cli")), Ok((None, true, Rights::Admin)));
        let remote = Ok((Some("remote".to_owned()), false, Rights::Observe));
        assert_eq!(tcp("remote-token", None), remote);
        assert_eq!(tcp("remote-token", Some("remote-7")), remote);
        assert_eq!(tcp("risk-token", None).unwrap().2, Rights::Admin);
        for wrong in ["remote-toke", "remote-token2", "", "remote-tokem"] {
            assert!(tcp(wrong, None).unwrap_err().contains("wrong token"), "{wrong}");
        }
        let peer = Peer::Tcp("127.0.0.1:5000".parse().unwrap());
        for header in [None, Some("Basic own-token")] {
            assert!(roster().prove(&peer, header, None).is_err());
        }
    }

    #[test]
    fn a_certificate_is_one_client_and_a_token_counts_beside_it() {
        let prove = |subject: Option<&str>, token: Option<&str>, name: Option<&str>| {
            let address = "192.0.2.7:5000".parse().unwrap();
            let subject = subject.map(|text| text.parse().unwrap());
            let header = token.map(|token| format!("Bearer {token}"));
            let peer = Peer::Tls { address, subject };
            let proven = roster().prove(&peer, header.as_deref(), name);
            proven.map(|(one, _)| one.principal).map_err(|status| status.message().to_owned())
        };
        let remote = Some("CN=remote,O=Desk");
        assert_eq!(prove(remote, None, Some("remote-7")), Ok(Some("remote".into())));
        assert_eq!(prove(remote, Some("risk-token"), None), Ok(Some("risk".into())));
        assert_eq!(prove(None, Some("remote-token"), None), Ok(Some("remote".into())));
        for (refused, why) in [
            (prove(Some("CN=remote"), None, None), "is no client's"),
            (prove(None, None, None), "no token"),
            (prove(remote, Some("wrong"), None), "wrong token"),
            (prove(remote, None, Some("risk")), "the certificate of CN=remote,O=Desk"),
        ] {
            let error = refused.unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn who_is_a_client_bears_a_mark_of_it_and_who_is_none_does_not() {
        let mut clients = Principals::default();
        for name in ["momentum", "risk", "house", "remote", "gone"] {
            clients.insert(name.into(), Default::default());
        }
        roster().mark(&mut clients);
        assert!(clients["gone"].marks.is_empty());
        assert_eq!((clients["risk"].marks.len(), clients["remote"].marks.len()), (2, 2));
        let tcp = Peer::Tcp("127.0.0.1:5000".parse().unwrap());
        let unix = |uid| Peer::Unix { uid, pid: None };
        let subject = Some("CN=remote,O=Desk".parse().unwrap());
        let tls = Peer::Tls { address: "192.0.2.7:5000".parse().unwrap(), subject };
        for (peer, token, name) in [
            (unix(2000), None, Some("momentum")),
            (unix(3000), None, None),
            (unix(OWN), None, Some("house")),
            (tcp.clone(), Some("Bearer risk-token"), None),
            (tcp.clone(), Some("Bearer  remote-token "), None),
            (tls, None, None),
        ] {
            let (proven, _) = roster().prove(&peer, token, name).unwrap();
            let principal = &clients[proven.principal.as_deref().unwrap()];
            assert!(principal.marks.contains(&proven.mark.unwrap()), "{peer}");
            assert!(!format!("{principal:?}").contains("token"), "{principal:?}");
        }
        for (peer, token) in
            [(unix(OWN), None), (unix(4000), None), (tcp, Some("Bearer own-token"))]
        {
            let (proven, _) = roster().prove(&peer, token, None).unwrap();
            assert_eq!((proven.principal, proven.mark), (None, None));
        }
    }

    #[test]
    fn clients_with_one_token_are_refused_and_tokens_are_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let config = |other: &str| {
            let path = |name: &str| folder.path().join(name).display().to_string();
            let text = format!(
                "[clients.a]\ntoken_file = {:?}\n[clients.b]\ntoken_file = {:?}\n",
                path("a.token"),
                path(other)
            );
            toml::from_str::<Config>(&text).unwrap()
        };
        let roster = Roster::new(OWN, "own").with_clients(&config("b.token")).unwrap();
        let token = std::fs::read_to_string(folder.path().join("a.token")).unwrap();
        assert!(!format!("{roster:?}").contains(token.trim()));
        std::fs::copy(folder.path().join("a.token"), folder.path().join("c.token")).unwrap();
        let error = Roster::new(OWN, "own").with_clients(&config("c.token")).unwrap_err();
        assert!(error.to_string().contains("the token of a"), "{error}");
    }
}
