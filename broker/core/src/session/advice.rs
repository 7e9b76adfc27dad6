//! What happens next by itself, and what a person can do, in words.

use super::{FailureClass, Next, Outcome, Session, State};

impl Session {
    /// What happens next by itself.
    pub fn next(&self) -> Next {
        let attempt = self.epoch.0 + 1;
        let failures = self.backoff.failures();
        let (action, at, because) = match &self.state {
            State::Stopped => ("nothing".into(), None, "the broker is not running".into()),
            State::GatewayAbsent { dial_at } => (
                "look for Gateway again".into(),
                Some(*dial_at),
                "a closed port answers by itself, so asking costs Gateway nothing".into(),
            ),
            State::Connecting { .. } | State::Handshaking { .. } => {
                let deadline = self
                    .history
                    .newest()
                    .and_then(|attempt| attempt.deadline(&self.settings.deadlines));
                (
                    "kill the worker and count the attempt as failed".into(),
                    deadline.map(|deadline| deadline.at),
                    self.count_of_silence(),
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
                    FailureClass::Silent => self.count_of_silence(),
                    FailureClass::WorkerFault => "the fault was on our side".into(),
                    _ => format!("failures in a row: {failures}"),
                },
            ),
            State::ClientIdInUse { dial_at } => (
                format!("attempt {attempt} with the same client id"),
                Some(*dial_at),
                "Gateway frees an id when it notices that its old holder is gone".into(),
            ),
            State::Wedged { probe_at } => (
                "one slow probe".into(),
                Some(*probe_at),
                "each attempt leaves one more connection at a wedged Gateway".into(),
            ),
            State::Held => ("nothing".into(), None, "a person must change something first".into()),
        };
        Next { action, at, because }
    }

    /// What a person can do, the most likely first.
    pub fn advice(&self) -> Vec<String> {
        let address = &self.settings.gateway;
        let id = self.settings.client_id;
        let lines: Vec<String> = match &self.state {
            State::GatewayAbsent { .. } => vec![
                format!("start IB Gateway or TWS and log in; nothing accepts TCP at {address}"),
                "check the port: 4001/4002 Gateway live/paper, 7496/7497 TWS live/paper".into(),
                "in Gateway: Configure, Settings, API, Settings, Socket port".into(),
            ],
            State::Wedged { .. } => vec![
                format!(
                    "Gateway at {address} accepts TCP and answers nothing; it must be restarted by a person"
                ),
                "look at Gateway's window first: an open dialog or login blocks the API".into(),
                "close other programs that connect to this port; each waits in the same queue"
                    .into(),
                "then: ibouncer retry".into(),
            ],
            State::ClientIdInUse { .. } => vec![
                format!("another program uses client id {id}; end it, or give IBouncer another id"),
                "after a lost connection Gateway can hold the id for a while; waiting is enough"
                    .into(),
            ],
            State::Held => vec![format!(
                "update IB Gateway (server version 213 or later, Gateway 10.40 or later is needed), \
                 then: ibouncer retry"
            )],
            State::Degraded { .. } => vec![
                "nothing: Gateway reconnects by itself; check the internet connection if it lasts"
                    .into(),
            ],
            State::Backoff { class, .. } => advice_for(*class),
            State::Connecting { .. } | State::Handshaking { .. } => self
                .history
                .iter()
                .rev()
                .find_map(|attempt| match attempt.outcome {
                    Outcome::Failed(class) => Some(advice_for(class)),
                    Outcome::InProgress | Outcome::Ready => None,
                })
                .filter(|_| self.silent_in_row > 0)
                .unwrap_or_default(),
            State::Stopped | State::Ready { .. } => Vec::new(),
        };
        lines
    }

    fn count_of_silence(&self) -> String {
        match self.settings.attempts.silent_budget {
            0 => format!("silent attempts in a row: {}, no limit is set", self.silent_in_row),
            budget => format!(
                "silent attempts in a row: {} of {budget}, then Gateway counts as wedged",
                self.silent_in_row
            ),
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
