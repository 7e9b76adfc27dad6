//! Which configured client a caller is, and what it may do: by its credential, and among the
//! clients of one Unix user by the name that it gives.
//!
//! Pure but for reading token files. Another configuration is another [`Roster`], which is asked
//! anew at every call; what it means for streams that are open is in `standing.rs`.

use std::collections::BTreeMap;

use anyhow::ensure;
use ibouncer_core::principals::{Credential, Imprint, Principals};
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
    fn imprints(&self) -> Vec<Imprint> {
        let uid = self.uid.map(imprint_of_uid);
        let token = self.token.as_ref().map(|token| imprint_of_token(token.shown().as_bytes()));
        let subject = self.subject.as_ref().map(imprint_of_subject);
        [uid, token, subject].into_iter().flatten().collect()
    }
}

fn imprint_of_uid(uid: u32) -> Imprint {
    Imprint::of("uid", &uid.to_be_bytes())
}

fn imprint_of_token(token: &[u8]) -> Imprint {
    Imprint::of("token", token)
}

fn imprint_of_subject(subject: &Subject) -> Imprint {
    Imprint::of("subject", subject.to_string().as_bytes())
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
    pub(crate) fn imprint(&self, principals: &mut Principals) {
        for (name, principal) in principals {
            principal.imprints = self.clients.get(name).map(Known::imprints).unwrap_or_default();
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
        let rights = match known.map(|known| known.role) {
            _ if credential.operator => Rights::Operator,
            Some(RoleConfig::Admin) => Rights::Admin,
            _ => Rights::Observe,
        };
        Ok((credential, rights))
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
        let imprint = principal.is_some().then(|| imprint_of_uid(uid));
        Ok(Credential { principal, operator, shown, imprint })
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
        let imprint = Some(imprint_of_subject(subject));
        Ok(Credential { principal: Some(name.clone()), operator: false, shown, imprint })
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
                Ok(Credential { principal: None, operator: true, shown, imprint: None })
            }
            Some(name) => {
                let shown = format!("the token of clients.{name}");
                let imprint = Some(imprint_of_token(given));
                Ok(Credential { principal: Some(name.clone()), operator: false, shown, imprint })
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
mod tests;
