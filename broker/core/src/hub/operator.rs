//! Orders of operators, and what they are answered; each one is noted.

use std::time::Instant;

use super::{Hub, Output, Reply};
use crate::clock::Clock;
use crate::error::Error;
use crate::ids::{CallId, ClientId};
use crate::notes::{Note, NoteKind, Severity};
use crate::settings::Settings;
use crate::sight::{Sight, Vantage};

impl Hub {
    pub(super) fn restart_worker(&mut self, call: CallId, reason: &str, drop_live: bool) {
        let result = self.session.restart_worker(reason, drop_live);
        self.answer(call, result.map(Reply::Restarting), "restarted the worker", reason);
    }

    pub(super) fn retry(&mut self, call: CallId, reason: &str, now: Instant) {
        let result = self.session.retry(reason, now);
        self.answer(call, result.map(|()| Reply::Retrying), "asked for a retry", reason);
    }

    pub(super) fn hold(&mut self, call: CallId, reason: &str, drop_live: bool, now: Instant) {
        let result = self.session.hold(reason, drop_live, now);
        self.answer(call, result.map(|()| Reply::Held), "holds the session", reason);
    }

    pub(super) fn release(&mut self, call: CallId, reason: &str, now: Instant) {
        let result = self.session.release(reason, now);
        self.answer(call, result.map(|()| Reply::Released), "released the session", reason);
    }

    pub(super) fn on_settings(&mut self, settings: Settings, now: Instant) {
        self.pacer.on_settings(&settings.pacing);
        self.pacer.set_history_share(settings.limits.history_share);
        self.lines.on_settings(&settings.pacing);
        self.heartbeat.on_settings(settings.heartbeat.clone());
        self.supervisor.on_settings(settings.worker.clone());
        self.session.on_settings(settings.clone());
        let (trading, principals) = (settings.trading.clone(), settings.principals.clone());
        self.desk.on_settings(trading, principals, &self.contracts, now);
        self.settings = settings;
        self.part_with_strangers(now);
        if self.session.is_up() {
            self.hold_an_unexpected_login(now);
        }
        self.serve_waiters(now);
        self.note(NoteKind::Operator, Severity::Info, "the configuration was read again".into());
        self.outputs.push_back(Output::StatusChanged);
    }

    /// A client is no instance of its principal any more.
    pub(super) fn part(&mut self, client: ClientId, now: Instant) {
        if let Some(principal) = self.clients.principal(client) {
            self.desk.on_parted(principal, client, now);
        }
    }

    /// Whoever is connected by a credential that a reload has taken away is nobody's instance.
    fn part_with_strangers(&mut self, now: Instant) {
        let clients: Vec<ClientId> = self.clients.iter().map(|(client, _)| client).collect();
        for client in clients {
            if !self.clients.caller(client).stands(&self.settings.principals) {
                self.part(client, now);
            }
        }
    }

    /// The kernel's tables were read. Status changes only with what people see of them.
    pub(super) fn on_sight(&mut self, sight: Sight, clock: Clock, now: Instant) {
        let before = gist(self.session.lookout().sight());
        self.session.on_sight(sight, clock, now);
        if gist(self.session.lookout().sight()) != before {
            self.outputs.push_back(Output::StatusChanged);
        }
    }

    pub(super) fn note(&mut self, kind: NoteKind, severity: Severity, text: String) {
        let epoch = self.session.epoch();
        self.outputs.push_back(Output::Note(Note { kind, severity, text, epoch }));
    }

    fn answer(&mut self, call: CallId, result: Result<Reply, Error>, what: &str, reason: &str) {
        if result.is_ok() {
            let text = match reason {
                "" => format!("an operator {what}"),
                reason => format!("an operator {what}: {reason}"),
            };
            self.note(NoteKind::Operator, Severity::Info, text);
        }
        self.outputs.push_back(Output::Reply(call, result));
    }
}

type Gist = (Vantage, Option<bool>, Option<u64>, Option<u32>, Option<u32>);

fn gist(sight: &Sight) -> Gist {
    let inode = sight.listener().map(|listener| listener.inode);
    (sight.vantage, sight.listening(), inode, sight.accept_queue(), sight.close_wait())
}
