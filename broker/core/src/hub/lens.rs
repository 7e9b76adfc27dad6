//! How much a caller sees: of an answer, and of what it asks for.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::{Hub, Output};
use crate::calls::{Asked, CallKind};
use crate::error::{self, Error};
use crate::ids::ClientId;
use crate::orders::Desk;
use crate::orders::journal::Audit;
use crate::principals::stands;
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

    /// What this client is limited to, if it is.
    pub(crate) fn scope_of(&self, client: ClientId) -> Option<Scope> {
        let name = self.clients.principal(client)?;
        let accounts = &self.settings.principals.get(name)?.accounts;
        (!accounts.is_empty()).then(|| Scope {
            key: format!("clients.{name}.accounts"),
            accounts: Arc::new(accounts.clone()),
        })
    }

    /// A client that a reload has removed has no limits any more, and no rights either; nor has a
    /// caller whose credential is not that client's any more: what it asked for just before is
    /// refused.
    pub(super) fn check_known(&self, client: ClientId) -> Result<(), Error> {
        let Some(credential) = self.clients.credential(client) else {
            return Ok(());
        };
        let name = credential.principal.as_deref();
        match stands(&self.settings.principals, name, credential.imprint) {
            true => Ok(()),
            false => Err(error::rights_changed(name)),
        }
    }

    /// A client has asked for what is for operators. Where nobody trades, nothing hangs on it; and of
    /// a flood as much is written as is read.
    pub(super) fn audit_denied(
        &mut self,
        client: ClientId,
        what: &'static str,
        reason: String,
        now: Instant,
    ) {
        let charged = self.clients.charge(client, &self.settings.limits, now);
        if self.desk.is_active() && charged.is_ok() {
            self.outputs.push_back(Output::Audit(Box::new(Audit {
                what,
                result: "refused",
                reason,
                ..Audit::by(&self.clients.caller(client))
            })));
        }
    }

    /// A client has asked to see what is not its own.
    pub(super) fn audit_sight(
        &mut self,
        client: ClientId,
        what: &'static str,
        error: Error,
    ) -> Error {
        self.outputs.push_back(Output::Audit(Box::new(Audit {
            what,
            result: "refused",
            reason: format!("{}: {}", error.code, error.message),
            ..Audit::by(&self.clients.caller(client))
        })));
        error
    }
}
