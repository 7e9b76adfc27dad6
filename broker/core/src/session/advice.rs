//! What happens next by itself, and what a person can do, in words: in the order that the
//! evidence supports, Gateway's own window first where nothing points elsewhere.

use std::time::Instant;

use super::dial::Intent;
use super::{FailureClass, HeldBy, Next, Outcome, Session, State};
use crate::sight::Vantage;

impl Session {
    /// What happens next by itself.
    pub fn next(&self, now: Instant) -> Next {
        let attempt = self.epoch.0 + 1;
        let failures = self.backoff.failures();
        if let Some((others, at)) = self.intent.as_ref().and_then(Intent::waits_for_others) {
            let action = format!("look whether that is over, then attempt {attempt}");
            let because = format!("one handshake at a time at one Gateway: {others}");
            return Next { action, at: Some(at), because };
        }
        let (action, at, because) = match &self.state {
            _ if self.intent.is_some() => (
                format!("look at the kernel's tables, then attempt {attempt}"),
                self.intent.as_ref().map(Intent::deadline),
                "nothing is dialled without a look".into(),
            ),
            State::Stopped => ("nothing".into(), None, "the broker is not running".into()),
            State::Adopting { look_at, .. } => (
                "take over the worker of the broker before, or dial once its lock is free".into(),
                Some(*look_at),
                "a live session is worth more than a new handshake".into(),
            ),
            State::GatewayAbsent { dial_at } => {
                (format!("attempt {attempt}"), Some(*dial_at), self.absence())
            }
            State::Connecting { .. } | State::Handshaking { .. } => {
                let deadline = self
                    .history
                    .newest()
                    .and_then(|attempt| attempt.deadline(&self.settings.deadlines));
                (
                    "kill the worker and count the attempt as failed".into(),
                    deadline.map(|deadline| deadline.at),
                    self.count_of_silence(now),
                )
            }
            State::Ready { .. } => ("serve requests".into(), None, "Gateway is connected".into()),
            State::Degraded { .. } => (
                "wait for Gateway to report its link restored".into(),
                None,
                "Gateway reconnects to Interactive Brokers by itself".into(),
            ),
            State::Backoff { dial_at, class } => (
                format!("attempt {attempt}"),
                Some(*dial_at),
                match class {
                    FailureClass::Silent => self.count_of_silence(now),
                    FailureClass::WorkerFault => "the fault was on our side".into(),
                    _ => format!("failures in a row: {failures}"),
                },
            ),
            State::ClientIdInUse { dial_at } => (
                format!("attempt {attempt} with client id {}", self.client_id()),
                Some(*dial_at),
                "Gateway frees an id when it notices that its old holder is gone".into(),
            ),
            State::Wedged { probe_at } => (
                "one slow probe".into(),
                Some(*probe_at),
                "each attempt leaves one more connection at a wedged Gateway".into(),
            ),
            State::Held { by: HeldBy::Operator } => {
                ("nothing".into(), None, "an operator holds the session".into())
            }
            State::Held { by: HeldBy::Version } => {
                ("nothing".into(), None, "a person must change something first".into())
            }
        };
        Next { action, at, because }
    }

    /// What a person can do, the most likely first.
    pub fn advice(&self, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(text) = &self.port_moved
            && !self.is_up()
        {
            lines.push(format!(
                "Gateway said before it closed: {text}; set gateway.address to the new port, then \
                 restart the broker"
            ));
        }
        lines.extend(self.advice_of_state(now));
        lines
    }

    fn advice_of_state(&self, now: Instant) -> Vec<String> {
        let address = &self.settings.gateway;
        match &self.state {
            State::GatewayAbsent { .. } => vec![
                format!("start IB Gateway or TWS and log in; nothing accepts TCP at {address}"),
                "check the port: 4001/4002 Gateway live/paper, 7496/7497 TWS live/paper".into(),
                "in Gateway: Configure, Settings, API, Settings, Socket port".into(),
            ],
            State::Wedged { .. } => self.advice_when_wedged(),
            State::ClientIdInUse { .. } => vec![
                format!(
                    "another program uses client id {}; end it, or give IBouncer another id",
                    self.settings.client_id
                ),
                "after a lost connection Gateway can hold the id for a while; waiting is enough"
                    .into(),
            ],
            State::Held { by: HeldBy::Operator } => {
                vec!["ibouncer session release ends the hold".into()]
            }
            State::Held { by: HeldBy::Version } => vec![
                "update IB Gateway (server version 213 or later, Gateway 10.40 or later is \
                 needed), then: ibouncer retry"
                    .into(),
            ],
            State::Degraded { .. } => vec![
                "nothing: Gateway reconnects by itself; check the internet connection if it lasts"
                    .into(),
            ],
            State::Backoff { class, .. } if self.starting_until(now).is_some() => {
                let mut lines = vec![
                    "Gateway may be starting: look whether its window asks for a login".into(),
                ];
                lines.extend(advice_for(*class));
                lines
            }
            State::Backoff { class, .. } => advice_for(*class),
            State::Connecting { .. } | State::Handshaking { .. } => self
                .history
                .iter()
                .rev()
                .find_map(|attempt| match attempt.outcome {
                    Outcome::Failed(class) => Some(advice_for(class)),
                    Outcome::InProgress | Outcome::Ready => None,
                })
                .filter(|_| self.ledger.record.silent_in_row > 0)
                .unwrap_or_default(),
            State::Adopting { pid, .. } => vec![
                "nothing: the worker comes by itself, or ends after worker.adoption_grace".into(),
                match pid {
                    Some(pid) => {
                        format!("if it was stopped (SIGSTOP), continue it: kill -CONT {pid}")
                    }
                    None => {
                        "if it was stopped (SIGSTOP), continue it; its process is the one that \
                             holds the worker's lock, and it is not known from here"
                            .into()
                    }
                },
            ],
            State::Stopped | State::Ready { .. } => Vec::new(),
        }
    }

    /// What the tables show decides what comes first.
    fn advice_when_wedged(&self) -> Vec<String> {
        let address = &self.settings.gateway;
        let sight = self.lookout.sight();
        let mut lines = Vec::new();
        for stranger in sight.strangers().take(3) {
            let who = match &stranger.owner {
                Ok(Some(owner)) => owner.to_string(),
                Ok(None) => format!("a program at {}", stranger.local),
                Err(cause) => format!("a program at {} ({cause})", stranger.local),
            };
            lines.push(format!(
                "{who} holds a connection to this port, {} for {} s and more; if it is yours, end \
                 it first: Gateway may be waiting for it",
                stranger.state.name(),
                stranger.age.as_secs()
            ));
        }
        let gateway = match sight.listener().map(|listener| &listener.process) {
            Some(Ok(process)) => format!("Gateway (pid {}) at {address}", process.pid),
            _ => format!("Gateway at {address}"),
        };
        lines.push(format!(
            "{gateway} accepts TCP and answers nothing: look at its window first, an open dialog \
             (\"accept incoming connection?\", a login, a restart notice) blocks the API"
        ));
        match sight.accept_queue() {
            Some(waiting @ 1..) if sight.counts() => lines.push(format!(
                "{waiting} connections wait to be accepted: Gateway is stuck with an earlier client"
            )),
            _ => {}
        }
        if let Some(stuck @ 1..) = sight.close_wait().filter(|_| sight.counts()) {
            lines.push(format!(
                "{stuck} sockets of Gateway's side are in CLOSE_WAIT: only Gateway can close them; \
                 killing their owner would kill Gateway"
            ));
        }
        if !sight.counts() {
            lines.push(
                "this host's tables do not show Gateway itself; on Gateway's host look at: \
                 ss -ltn (Recv-Q of the port) and ss -tn (CLOSE_WAIT)"
                    .into(),
            );
        }
        lines.push("if no window helps, restart Gateway by hand and log in (2FA)".into());
        lines.push(
            "IBouncer notices by itself when Gateway was restarted or its queue drains; \
                    ibouncer retry makes one attempt now"
                .into(),
        );
        lines
    }

    fn absence(&self) -> String {
        if self.lookout.is_absent() {
            "nothing listens; the port is looked at all the time, and dialled now and then because \
             NAT can serve a port without a listener"
                .into()
        } else {
            "a closed port answers by itself, so asking costs Gateway nothing".into()
        }
    }

    fn count_of_silence(&self, now: Instant) -> String {
        let silent = self.ledger.record.silent_in_row;
        if let Some(until) = self.starting_until(now) {
            let left = until.saturating_duration_since(now).as_secs();
            return format!("Gateway may be starting: silence does not count for {left} s");
        }
        let count = match self.settings.attempts.silent_budget {
            0 => format!("silent attempts in a row: {silent}, no limit is set"),
            budget => format!(
                "silent attempts in a row: {silent} of {budget}, then Gateway counts as wedged"
            ),
        };
        match self.lookout.sight().vantage {
            Vantage::Relayed => {
                format!("{count}; behind a relay each may leave one connection at Gateway")
            }
            Vantage::Local | Vantage::Remote | Vantage::None => count,
        }
    }
}

fn advice_for(class: FailureClass) -> Vec<String> {
    let lines: &[&str] = match class {
        FailureClass::Silent => &[
            "look at Gateway's window: an open dialog or login blocks the API",
            "close other programs that connect to Gateway's port, port checks included",
        ],
        FailureClass::StalledStart => &[
            "look at Gateway's window: it may wait for a login or for \"accept connection?\"",
            "check Configure, Settings, API: trusted IPs, and Read-Only API if you need orders",
        ],
        FailureClass::Rejected => &[
            "in Gateway: Configure, Settings, API: enable the API, and trust this address",
            "Gateway serves at most 32 connections; close some",
        ],
        FailureClass::AbsentOrRejected => &[
            "what accepts TCP here closed at once: a relay (docker, ssh, socat) with no Gateway \
             behind it, or a Gateway that does not trust this address",
            "look on Gateway's own host whether something listens: ss -ltn",
            "in Gateway: Configure, Settings, API: enable the API, and trust this address",
        ],
        FailureClass::Poisoned => {
            &["what answers at this address does not speak the TWS API; check host and port"]
        }
        FailureClass::WorkerFault => &["see the worker's log in the state folder"],
        FailureClass::SessionLost => &["Gateway closed the session; it may be restarting"],
        FailureClass::Refused
        | FailureClass::Unreachable
        | FailureClass::ClientIdInUse
        | FailureClass::Unsupported
        | FailureClass::Cancelled => &[],
    };
    lines.iter().map(|line| (*line).to_owned()).collect()
}
