//! How much of an answer its caller sees.

use bytes::Bytes;

use super::Hub;
use crate::calls::{Asked, CallKind};
use crate::ids::ClientId;
use crate::orders::Desk;
use crate::scope::Scope;

/// How much of an answer its caller sees. Equal requests share one answer all the same.
#[derive(Debug)]
pub(super) struct Lens {
    kind: &'static CallKind,
    /// The accounts that it is limited to.
    pub(super) scope: Option<Scope>,
    /// Whose orders alone it asked for.
    own: Option<String>,
}

impl Lens {
    pub(super) fn show(&self, desk: &Desk, answer: Bytes) -> Bytes {
        let answer = match &self.scope {
            Some(scope) => scope.answer(self.kind, &answer),
            None => answer,
        };
        match (desk.shown_list(self.kind, &answer, self.own.as_deref()), &self.own) {
            (Some(shown), _) => shown,
            (None, None) => answer,
            // What cannot be read is not known to be the caller's.
            (None, Some(_)) => Bytes::new(),
        }
    }
}

impl Hub {
    pub(super) fn lens(&self, client: ClientId, asked: &Asked) -> Lens {
        let own = || self.clients.principal(client).unwrap_or_default().to_owned();
        Lens { kind: asked.kind, scope: self.scope_of(client), own: asked.callers_own.then(own) }
    }
}
